"""Encoding: what goes in comes out in the guest, or is refused before anything is printed."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestcred.errors import GuestcredError
from guestcred.host import hypervisors
from guestcred.host.encode import (
    Encoded,
    check_guest,
    check_limits,
    encode,
    fits,
    limits,
    oem_string,
    request_limit,
)
from guestcred.host.hypervisors import TABLE_MAX
from guestcred.host.secret import Secret
from guestcred.smbios.entry_point import SIZE_64
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import READ_CUT

NAME = st.text([chr(code) for code in range(0x20, 0x7F) if chr(code) not in "/:="], min_size=1, max_size=255)
NAMES = NAME.filter(lambda name: name not in (".", ".."))
OTHERS = build_structure(1, 1, [b"QEMU", b"pc"]) + build_structure(4, 2, [b"CPU 0"])


def secrets_of(values: dict[str, bytes]) -> list[Secret]:
    return [Secret(name, value, False) for name, value in values.items()]


def table_of(encoded: tuple[Encoded, ...]) -> bytes:
    return OTHERS + build_structure(11, 3, [credential.text for credential in encoded]) + build_structure(127, 4)


def check(encoded: tuple[Encoded, ...], guest_systemd: int | None = None, hypervisor: str = "qemu") -> None:
    check_limits(limits(encoded, hypervisor, guest_systemd, reserve=2048), encoded)


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=300) | st.from_regex(rb"[ -~]{0,60}", fullmatch=True), max_size=20))
def test_what_is_encoded_arrives(values: dict[str, bytes]) -> None:
    encoded = encode(secrets_of(values))
    check(encoded)
    for systemd in (252, 254, 257, 262, None):
        verdicts = judge(parse(table_of(encoded)).structures, systemd)
        assert {verdict.name: verdict.value for verdict in verdicts if isinstance(verdict, Accepted)} == values
        assert len(verdicts) == len(values)


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.integers(0, 40_000).map(bytes), max_size=4), st.sampled_from([252, 257]))
def test_what_would_not_arrive_is_refused(values: dict[str, bytes], systemd: int) -> None:
    encoded = encode(secrets_of(values))
    table = table_of(encoded)
    structure = build_structure(11, 3, [credential.text for credential in encoded])
    # what Linux leaves of a table that is too long, and systemd 252 of a structure
    kept = table[: len(table) % 0x10000] if systemd != 252 else structure[:READ_CUT]
    verdicts = judge(parse(kept).structures, systemd)
    arrives = {verdict.name: verdict.value for verdict in verdicts if isinstance(verdict, Accepted)} == values
    try:
        check(encoded, systemd)
    except GuestcredError:
        return
    assert arrives


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"c2VjcmV0Cg==", "text"),
        (b"britton-desktop", "text"),
        (b"user@host:/path_1.2", "text"),
        *((value, "binary") for value in (b"", b"a,b", b"a b", b"a\n", b'"', b"'", b"[", b"]", b"$x", b"%i", b"a\\b")),
        *((value, "binary") for value in (b"<&>", b"\0", b"\xff", "ü".encode(), b"{", b"*", b"~", b"#", b";", b"`")),
    ],
)
def test_text_only_where_nothing_can_damage_it(value: bytes, encoding: str) -> None:
    assert oem_string("A", value)[0] == encoding


def sized(name: str, size: int) -> Secret:
    """A secret whose OEM string has `size` bytes."""
    return Secret(name, b"x" * (size - len(oem_string(name, b"x")[1]) + 1), False)


@pytest.mark.parametrize(
    ("hypervisor", "systemd", "maximum", "rest"),
    [
        # bytes besides the string and its NUL: 5 of the structure, its second NUL, the reserve
        ("qemu", None, TABLE_MAX, 6 + 2048),
        ("cloud-hypervisor", None, 0x10000 - SIZE_64, 6 + 2048),
        ("crosvm", 257, 0x10000 - SIZE_64, 6 + 2048),
        ("qemu", 252, 4096, 6),
    ],
)
def test_at_and_over_a_limit_of_bytes(hypervisor: str, systemd: int | None, maximum: int, rest: int) -> None:
    fitting = maximum - rest - 1
    check(encode([sized("A", fitting)]), systemd, hypervisor)
    with pytest.raises(GuestcredError, match=f"{maximum + 1} bytes, only {maximum} fit") as caught:
        check(encode([sized("A", fitting + 1)]), systemd, hypervisor)
    assert caught.value.status == 1


def test_the_hint_names_what_to_leave_out() -> None:
    encoded = encode([sized("SMALL", 100), sized("CERT", 30_000), sized("IMAGE", 50_000), sized("B", 200)])
    with pytest.raises(GuestcredError) as caught:
        check(encoded)
    assert caught.value.hints == ("leave out IMAGE (50001 bytes) and send it on a disk or over vsock",)


def test_255_strings_and_no_more() -> None:
    secrets = secrets_of({f"N{number}": b"v" for number in range(256)})
    check(encode(secrets[:255]))
    with pytest.raises(GuestcredError, match="256 strings, only 255 fit") as caught:
        check(encode(secrets))
    assert "leave out 1 of them" in caught.value.hints[0]


def test_256_pages_and_no_more() -> None:
    small = [f"N{number}" for number in range(250)]
    values = dict.fromkeys(small, b"v") | {"A": b"x" * 4096 * 2, "B": b"x" * 4096 * 4}
    check(encode(secrets_of(values)))
    with pytest.raises(GuestcredError, match="257 pages, only 256 fit") as caught:
        check(encode(secrets_of(values | {"B": b"x" * (4096 * 4 + 1)})))
    assert "B (5 pages)" in caught.value.hints[0]


def test_the_configs_own_strings_count() -> None:
    others = tuple(b"%d" % number for number in range(255))
    with pytest.raises(GuestcredError, match="256 strings"):
        encoded = encode(secrets_of({"A": b"v"}), others)
        check_limits(limits(encoded, "cloud-hypervisor", others=others, reserve=0), encoded)
    with pytest.raises(GuestcredError, match="already has an OEM string for A"):
        encode(secrets_of({"A": b"v"}), [b"io.systemd.credential:A=other"])


def test_a_guest_too_old() -> None:
    with pytest.raises(GuestcredError, match="systemd 249 imports nothing"):
        check_guest(249)
    check_guest(252)
    check_guest(None)


@pytest.mark.parametrize(
    ("version", "maximum", "source"),
    [
        (None, 131072, "assumes cloud-hypervisor 54 or later; earlier ones take only 51200"),
        (55, 131072, "cloud-hypervisor 55 takes no larger request"),
        (54, 131072, "cloud-hypervisor 54 takes no larger request"),
        (53, 51200, "cloud-hypervisor 53 takes no larger request"),
        (0, 51200, "cloud-hypervisor does not tell its version"),
    ],
)
def test_what_a_request_may_have_hangs_on_the_version(version: int | None, maximum: int, source: str) -> None:
    for body, holds in ((maximum, True), (maximum + 1, False)):
        limit = request_limit("cloud-hypervisor", body, version)
        assert fits((limit,)) is holds and (limit.maximum, limit.source) == (maximum, source)


def test_the_table_decides_where_the_request_is_too_large_as_well() -> None:
    encoded = encode([sized("A", 140_000)])
    with pytest.raises(GuestcredError, match="too much for the table: 142055 bytes, only 65512 fit"):
        check_limits(limits(encoded, "cloud-hypervisor", body=140_100, reserve=2048), encoded)
    # a config may be large for other reasons
    with pytest.raises(GuestcredError, match="too much for the request: 140100 bytes, only 131072 fit"):
        check_limits(limits((), "cloud-hypervisor", body=140_100, reserve=2048), ())


def test_encoded_prints_no_value() -> None:
    assert "hunter2" not in repr(encode(secrets_of({"A": b"hunter2"}))) + repr(secrets_of({"A": b"hunter2"}))


TEXTS = ["io.systemd.credential:A=v", "io.systemd.credential:<&>'\"=v", "io.systemd.credential.binary: B=QQ=="]


@pytest.mark.parametrize(
    ("hypervisor", "config", "expected"),
    [
        (
            "cloud-hypervisor",
            {"cpus": {"boot_vcpus": 1}},
            {"cpus": {"boot_vcpus": 1}, "platform": {"oem_strings": TEXTS}},
        ),
        ("cloud-hypervisor", {"platform": None, "x": [1.5]}, {"platform": {"oem_strings": TEXTS}, "x": [1.5]}),
        (
            "cloud-hypervisor",
            {"platform": {"uuid": "u", "oem_strings": ["mine", "ü"]}},
            {"platform": {"uuid": "u", "oem_strings": ["mine", "ü", *TEXTS]}},
        ),
        ("crosvm", {}, {"smbios": {"oem-strings": TEXTS}}),
        ("crosvm", {"smbios": {"manufacturer": "m"}}, {"smbios": {"manufacturer": "m", "oem-strings": TEXTS}}),
    ],
)
def test_a_config_keeps_what_it_has(hypervisor: str, config: dict[str, object], expected: dict[str, object]) -> None:
    parsed = hypervisors.Config(json.dumps(config).encode(), hypervisor)
    assert json.loads(parsed.merged(TEXTS)) == expected


def test_a_configs_own_strings_are_bytes() -> None:
    config = json.dumps({"platform": {"oem_strings": ["mine", "ü"]}}).encode()
    assert hypervisors.Config(config, "cloud-hypervisor").strings == (b"mine", "ü".encode())


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a": "hunter2", 1}', "not JSON (line 1, column 18)"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'"hunter2"', "not a JSON object"),
        (b'{"platform": "hunter2"}', "'platform' is not an object"),
        (b'{"platform": {"oem_strings": "hunter2"}}', "'platform.oem_strings' is not a list"),
        (b'{"platform": {"oem_strings": ["hunter2", 1]}}', "'platform.oem_strings' is not a list"),
        (b'{"platform": {"oem_strings": ["hunter2", ""]}}', "'platform.oem_strings' has a string that is empty"),
        (b'{"platform": {"oem_strings": ["hunter2\\u0000"]}}', "'platform.oem_strings' has a string that is empty or"),
        (b'{"hunter2": 1, "hunter2": 2}', "an object has a key twice"),
        (b'{"platform": {"oem_strings": ["hunter2"], "oem_strings": []}}', "an object has a key twice"),
        *((b'{"hunter2": [%s]}' % text, "not finite") for text in (b"NaN", b"Infinity", b"-Infinity", b"1e999")),
    ],
)
def test_a_wrong_config_is_told_and_not_repeated(config: bytes, reason: str) -> None:
    with pytest.raises(GuestcredError, match=re.escape(reason)) as caught:
        hypervisors.Config(config, "cloud-hypervisor")
    assert "hunter2" not in str(caught.value)


def test_libvirts_element_is_escaped() -> None:
    element = ElementTree.fromstring(hypervisors.libvirt(TEXTS))
    assert (element.tag, element.attrib) == ("sysinfo", {"type": "smbios"})
    assert [entry.text for entry in element.findall("oemStrings/entry")] == TEXTS


def test_a_comma_in_a_path_is_doubled_for_qemu() -> None:
    assert hypervisors.qemu(["/run/a,b/000"]) == ["-smbios", "type=11,path=/run/a,,b/000"]
