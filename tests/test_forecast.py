"""Stories of `status --from`: on a host, what guests with each systemd would import of a VM's OEM strings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from test_cli import run

from guestcred.diagnose.forecast import forecast
from guestcred.host.encode import encode, framed
from guestcred.host.secret import Secret
from guestcred.show.forecast import forecast_text
from guestcred.smbios.walk import OEM_STRINGS, parse
from guestcred.systemd.importing import imports, keep
from guestcred.systemd.rules import NAME_MAX

TEXT = b"io.systemd.credential:"


def config(tmp_path: Path, strings: list[bytes]) -> Path:
    path = tmp_path / "vm.json"
    path.write_text(json.dumps({"cpus": {}, "platform": {"oem_strings": [text.decode() for text in strings]}}))
    return path


def document(*arguments: object, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json", *arguments, status=status))
    assert found["schema"] == "guestcred.forecast/1"
    return found


def statuses(found: dict[str, Any]) -> list[dict[str, str]]:
    return [{one["name"]: one["status"] for one in guest["credentials"]} for guest in found["guests"]]


def across(*more: bytes) -> list[bytes]:
    """The strings of a host that lie across the first 4096 bytes."""
    return [TEXT + b"CACERT=" + b"c" * 2000, TEXT + b"TLSKEY=" + b"t" * 3000, TEXT + b"APIKEY=0123456789", *more]


def test_each_systemd_has_its_column(tmp_path: Path) -> None:
    strings = across(b"io.systemd.credential.binary:URL=YWJj_w==", b"something else")
    said = run("status", "--from", config(tmp_path, strings))
    lines = said.splitlines()
    assert lines[0] == "agrees: 4 credentials for cloud-hypervisor, 3 with a problem"
    assert [re.split("  +", line) for line in lines[1:5]] == [
        ["credential", "meant", "offered", "252-253", "254", "255-256", "257+"],
        ["TLSKEY", "-", "yes", "cut", "cut", "cut", "yes"],
        ["APIKEY", "-", "yes", "LOST", "LOST", "LOST", "yes"],
        ["URL", "-", "yes", "no", "no", "LOST", "yes"],
    ]
    assert len({line.index("yes", 20) for line in lines[2:5]}) == 1, "the columns are aligned"
    assert lines[5] == "1 credential would be imported whole: -v shows it"
    assert "truncated: systemd 252-253, 254 and 255-256: TLSKEY would be imported shortened: systemd before 257" in said
    assert "  fix: upgrade systemd to 257 or later, or send some" in said
    assert re.search(r"ok +strings +5 of +255", said) and re.search(r"ok +store +4 of +256", said)
    assert re.search(r"ok +total +5014 of", said)
    quiet = run("status", "-q", "--from", tmp_path / "vm.json")
    assert quiet.startswith("truncated: ") and quiet in said


def test_the_newest_or_the_one_that_is_named_decides(tmp_path: Path) -> None:
    path = config(tmp_path, across())
    assert document("--from", path)["verdict"] == "agrees"
    old = document("--from", path, "--systemd", "252", status=1)
    assert old["verdict"] == "findings" and statuses(old) == [
        {"CACERT": "imported", "TLSKEY": "truncated", "APIKEY": "missing"}
    ]
    assert old["limits"][0]["name"] == "structure" and not old["fits"]
    said = run("status", "--from", path, "--systemd", "251", status=1)
    assert "this systemd is older than 252" in said and "systemd 251:" not in said


def test_what_does_not_fit_is_a_finding(tmp_path: Path) -> None:
    found = document("--from", config(tmp_path, [TEXT + b"A=" + b"a" * 70000]), status=1)
    assert not found["fits"] and found["verdict"] == "findings"
    many = [TEXT + f"N{number:03}=v".encode() for number in range(257)]
    assert statuses(document("--from", config(tmp_path, many), status=1))[-1]["N256"] == "missing"


def test_a_manifest_says_what_was_meant(tmp_path: Path) -> None:
    strings = [one.text for one in encode(framed((Secret("A", b"a", False), Secret("B", b"b", False))))]
    said = run("status", "-v", "--from", config(tmp_path, strings))
    assert said.startswith("agrees: 2 credentials for") and re.search(r"^A +yes +yes +yes", said, re.MULTILINE)
    del strings[2]
    said = run("status", "--from", config(tmp_path, strings), status=1)
    assert (
        re.search(r"^B +yes +LOST +- ", said, re.MULTILINE) and "B would be meant by the host and not offered" in said
    )


def test_a_folder_of_qemu_and_standard_input(tmp_path: Path) -> None:
    folder = tmp_path / "strings"
    folder.mkdir()
    for number, text in enumerate(across()):
        (folder / f"{number:03}").write_bytes(text)
    assert run("status", "--from", folder).startswith("agrees: 3 credentials for qemu, 2 with a problem\n")
    (folder / "999").write_bytes(b"a\0b")
    assert "holds something else" in run("status", "--from", folder, status=2)
    (folder / "999").unlink()
    (folder / "link").symlink_to(folder / "000")
    assert "cannot read the strings in" in run("status", "--from", folder, status=3)


def test_what_is_no_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vm.json"
    path.write_text('{"platform": {"oem_strings": "hunter2hunter2"}}')
    said = run("status", "--from", path, status=2)
    assert "is not a list of strings" in said and "hunter2" not in said
    assert "cannot read" in run("status", "--from", tmp_path / "nowhere", status=3)
    for other in (["--root", tmp_path], ["--html", tmp_path / "page.html"]):
        assert "neither --root nor --html" in run("status", "--from", path, *other, status=2)
    assert not (tmp_path / "page.html").exists()


def test_no_string_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vm.json"
    path.write_text('{"platform": {"oem_strings": []}}')
    assert run("status", "--from", path).startswith("agrees: 0 credentials for cloud-hypervisor\n")


@pytest.mark.parametrize("text", ["{}", '{"paltform": {"oem_strings": ["a"]}}', '{"platform": {"oem-strings": ["a"]}}'])
def test_where_no_strings_can_be_is_not_agreement(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vm.json"
    path.write_text(text)
    said = run("status", "--from", path, status=2)
    assert "neither 'platform.oem_strings' of cloud-hypervisor nor 'smbios.oem-strings' of crosvm is there" in said
    (tmp_path / "empty").mkdir()
    assert "holds something else" in run("status", "--from", tmp_path / "empty", status=2)


def test_the_strings_of_crosvm(tmp_path: Path) -> None:
    path = tmp_path / "vm.json"
    path.write_text(json.dumps({"smbios": {"oem-strings": [text.decode() for text in across()]}}))
    assert run("status", "--from", path).startswith("agrees: 3 credentials for crosvm, 2 with a problem\n")
    assert document("--from", path)["for"] == "crosvm"


@pytest.mark.parametrize("width", [80, 120])
def test_rows_fit_the_terminal(width: int) -> None:
    names = [b"A" * NAME_MAX, b"B" * (NAME_MAX - 4) + b"_END"]
    told = forecast(tuple(TEXT + name + b"=" + b"v" * 3900 for name in names), None)
    rows = forecast_text(told, "qemu", (), width, verbose=True).split("\n\n")[0].splitlines()
    assert len(rows) == 4 and max(map(len, rows)) <= width and rows[3].split()[0].endswith("_END")


# captured guests of which nothing but the length of what is offered decides
GUESTS = [
    "debian12-reference",
    "debian12-across-4096",
    "debian13-reference",
    "debian14-across-4096",
    "debian14-many-300",
]


@pytest.mark.parametrize("name", GUESTS)
def test_it_foretells_what_real_guests_imported(name: str) -> None:
    table = parse((FIXTURES / name / "sys/firmware/dmi/tables/DMI").read_bytes())
    offered = [structure for structure in table.structures if structure.type == OEM_STRINGS]
    strings = tuple(text for structure in offered for text in structure.strings)
    check = json.loads(run("--root", FIXTURES / name, "check", "--json", status=None))
    (comparison,) = forecast(strings, check["systemd"]).comparisons
    came = {one["name"]: (one["status"].replace("rescued", "missing"), one["cause"]) for one in check["credentials"]}
    assert {one.shown: (one.status, one.cause) for one in comparison.credentials} == came


def test_a_store_is_full_at_the_first_without_room() -> None:
    wanted = {"A": bytes(4096 * 254), "B": b"", "C": bytes(4097), "D": b""}
    assert keep(wanted) == {"A": wanted["A"], "B": b""}
    assert keep({"A": wanted["A"], "B": b"", "C": b"c"}).keys() == {"A", "B", "C"}
    assert imports(b"\x0b\x05\0\0\x01" + TEXT + b"A=a\0\0", 251) == {}
