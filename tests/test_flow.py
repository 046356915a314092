"""The whole flow's own tools: what is searched for, and that the documented commands can be run as they stand."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from difficult import SECRETS
from vm import twin
from vm.flow import documented
from vm.flow_host import cloud_hypervisor
from vm.images import HOST
from vm.record import AT_REST, Record, digest
from vm.search import files, found_in, needles, search

from guestcred.host.command_line import read_command_line

SECRET = b"\x00a secret, with a comma\n"


def test_a_secret_is_found_as_it_is_and_in_base64() -> None:
    wanted = needles({"ONE": SECRET, "OTHER": b"another secret"})
    assert found_in(b"before" + SECRET + b"behind", wanted) == ["ONE"]
    assert found_in(b"=" + base64.b64encode(SECRET), wanted) == ["ONE"]
    assert found_in(b"=" + base64.b64encode(SECRET + b"and more"), wanted) == ["ONE"]
    assert found_in(SECRET[1:], wanted) == []


def test_what_is_too_short_to_mean_anything_is_not_searched_for() -> None:
    assert SECRETS.keys() - needles(SECRETS).keys() == {"EQUALS", "EMPTY"}


def test_files_are_searched_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(SECRET)
    (tmp_path / "a-named-secret").touch()
    (tmp_path / "link").symlink_to("nowhere")
    wanted = needles({"IN": SECRET, "NAME": b"a-named-secret"})
    _, found = search(files(tmp_path), wanted)
    assert found == {str(tmp_path): ["NAME"], str(tmp_path / "folder" / "file"): ["IN"]}


def test_a_stage_is_compared_by_names_and_bytes() -> None:
    record = Record(lambda _: None)
    seen = {"owner": "root", "mode": "0400", "size": 1, "sha256": digest(b"1")}
    record.compare("vm", "offered", "/", {"A": seen}, {"A": b"1"})
    record.compare("vm", "offered", "/", {"A": seen}, {"A": b"2"})
    record.compare("vm", "offered", "/", {}, {"A": b"1"})
    record.compare("vm", "offered", "/", {"A": seen, "B": seen}, {"A": b"1"})
    record.compare("vm", AT_REST, "/", {"A": seen}, {"A": b"1"})
    record.compare("vm", AT_REST, "/", {"A": seen}, {"A": b"2"})
    assert [holds for _, holds in record.checks] == [True, False, False, False, False, True]


def test_the_host_has_what_the_documented_commands_install() -> None:
    (line,) = re.findall(r"^apt-get install --no-install-recommends (.*)", documented(), re.MULTILINE)
    assert {name for name in line.split() if "/" not in name} <= set(HOST.packages)


def test_the_twin_of_cloud_hypervisor_is_what_its_command_line_says(tmp_path: Path) -> None:
    config = read_command_line(tuple(cloud_hypervisor("test-vm")), allow_log=False).config
    config["platform"] = {"oem_strings": [SECRET.decode("latin-1")]}
    config["disks"][1]["path"] = str(tmp_path / "in")
    (tmp_path / "in").touch()
    fd = twin.memory_file(config["platform"]["oem_strings"][0])
    command = twin.qemu(config, 7, [fd])
    told = " ".join(command)
    for part in ("-smp 2", "-m 1024M", "-kernel /srv/guest/vmlinuz", "-initrd /srv/guest/initrd", "file:console.log"):
        assert part in told
    assert [word.rpartition(",")[2] for word in command if word.startswith("file=")] == [
        "snapshot=on",
        "readonly=on",
        "snapshot=on",
    ]
    assert f"type=11,path=/dev/fd/{fd}" in command and SECRET.decode("latin-1") not in told
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.read(fd, 100) == SECRET
    os.close(fd)
