"""systemd's rules of delivery: each unit of the table that real guests start too, by what is foreseen for it."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import memory
from vm import units_guest
from vm.units_table import CASES, FILES, Case

from guestcred.diagnose import services as services_module
from guestcred.diagnose.lacks import with_lacks
from guestcred.diagnose.services import Services, judge_services
from guestcred.guest import observe as observing
from guestcred.guest.deliveries import Consumer, Look
from guestcred.guest.observe import observe
from guestcred.guest.rootfs import Tree
from guestcred.systemd.delivery import Rules, Spent, as_executed, rules_of
from guestcred.systemd.requests import Request, Unit, parse_unit

DEBIAN12, DEBIAN13 = "6.1.0-41-amd64", "6.12.57+deb13-amd64"
GUESTS = [(252, DEBIAN12), (252, DEBIAN13), (254, DEBIAN12), (254, DEBIAN13), (257, DEBIAN13), (262, "7.0.9-amd64")]


def fake_seal(name: str, _: str = "host") -> bytes:
    return base64.b64encode(b"sealed:" + name.encode())


def fake_unseal(text: bytes, identifier: str, *, for_user: bool) -> int | str:
    assert not for_user
    try:
        word, _, name = base64.b64decode(text, validate=True).partition(b":")
    except ValueError:
        return "not-base64"
    if word != b"sealed":
        return "not-encrypted"
    return 5 if name.decode() == identifier else "other-name"


def unit_of(case: Case, systemd: int) -> tuple[Unit, dict[str, bytes]]:
    """The unit as PID 1 of that version gives it, and the values of its SetCredentialEncrypted=."""
    instance = re.findall(r"@(.*)\.service$", case.unit)
    properties: dict[str, Any] = {}
    values = {}
    for line in case.lines:
        key, _, value = line.partition("=")
        if instance:
            unescaped = re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), instance[0])
            value = value.replace("%i", instance[0]).replace("%I", unescaped)
        first, colon, rest = value.partition(":")
        if key == "ImportCredential":
            if systemd >= 257:
                properties.setdefault("ImportCredentialEx", []).append((first, rest))
            elif systemd >= 254 and not colon:
                properties.setdefault(key, []).append(first)
        elif key.startswith("Load"):
            properties.setdefault(key, []).append((first, rest if colon else first))
        elif key.startswith("Set"):
            data = rest.encode()
            if found := re.fullmatch(r"\{sealed:(\w+)\}", rest):
                data = base64.b64decode(fake_seal(found[1]))
                values[first] = data
            properties.setdefault(key, []).append((first, data))
    return parse_unit(case.unit, "inactive", properties), values


@pytest.fixture(scope="module")
def root() -> Any:
    with memory() as folder:
        short = Path("/tmp") / f"g{folder.name[-8:]}"  # the path of a socket has to be short
        short.symlink_to(folder)
        try:
            units_guest.make(short, FILES, fake_seal)
            for path, size in (("proc/sys/kernel/ostype", 6), ("proc/kallsyms", (1 << 20) + 7)):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(b"x" * size)
            (folder / "sys/kernel/mm/transparent_hugepage").mkdir(parents=True)
            (folder / "sys/kernel/mm/transparent_hugepage/enabled").write_bytes(b"x" * 23)
            (folder / "proc/1/net").mkdir(parents=True)
            bound = Path("/proc/net/unix").read_text().replace(str(short), "")
            (folder / "proc/1/net/unix").write_text(bound)
            yield folder
        finally:
            short.unlink()
            for made in units_guest.KEPT:
                made.close()


def judged(root: Path, systemd: int, kernel: str, monkeypatch: pytest.MonkeyPatch, *cases: Case) -> Services:
    monkeypatch.setattr(observing, "unseal", fake_unseal)
    tree = Tree(str(root))
    made = [unit_of(case, systemd) for case in cases]
    units = tuple(unit for unit, _ in made)
    rules = rules_of(systemd, kernel)
    observed = observe(tree, units, {unit.name: values for unit, values in made}, systemd, rules)
    (root / "capture.json").write_text(json.dumps({"kernel": kernel}))
    services = judge_services(tree, Look(tuple(Consumer(unit, None) for unit in units), (), observed), None, systemd)
    return with_lacks(services, None, lambda *_: "")


def foreseen(services: Services, unit: str) -> bool:
    return any(
        finding.code in ("refused", "required") and f"{unit} " in finding.message for finding in services.findings
    )


@pytest.mark.parametrize(("systemd", "kernel"), GUESTS)
def test_what_systemd_does_with_each_unit_is_foreseen(
    root: Path, systemd: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = judged(root, systemd, kernel, monkeypatch, *CASES)
    told = {case.name: foreseen(services, case.unit) for case in CASES}
    wanted = {case.name: case.expected(systemd, kernel) is not False for case in CASES}
    assert not {name for name in told if told[name] != wanted[name]}
    assert sum(wanted.values()) >= 30


def request(setting: Any, identifier: str = "a", source: str = "") -> Request:
    return Request(setting, identifier, source, source[:1] == "/", None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("LoadCredential", "a", "/x"), ("LoadCredential", "a", "/x")),
        (("LoadCredential", "a\\b", "/x\\\\y"), ("LoadCredential", "ab", "/x\\y")),
        (("LoadCredential", "a", "/x no"), ("LoadCredential", "a", "/x")),
        (("LoadCredential", "a", "/x yes"), ("LoadCredentialEncrypted", "a", "/x")),
        (("LoadCredential", "a", "/x y z"), ("LoadCredentialEncrypted", "a", "/x")),
        (("LoadCredential", "a", "/x z"), None),
        (("LoadCredential", "a", "/x\\"), None),
        (("LoadCredential", "a b", "/x"), None),
        (("SetCredential", "a", ""), ("SetCredential", "a", "")),
        (("SetCredential", "a b", ""), None),
        (("ImportCredential", "", "a*"), ("ImportCredential", "", "a*")),
        (("ImportCredential", "p", "a*"), ("ImportCredential", "p", "a*")),
        (("ImportCredential", "", "a b*"), ("ImportCredential", "b*", "a")),
        (("ImportCredential", "", "a\\"), None),
    ],
)
def test_what_the_helper_reads(before: tuple[str, ...], after: tuple[str, ...] | None) -> None:
    """extract_many_words() without quotes: a backslash takes the next character as it is, a space ends a word."""
    asked, wanted = request(*before), None if after is None else request(*after)
    assert as_executed(asked, rules_of(255, None)) == wanted
    assert as_executed(asked, rules_of(254, None)) == asked


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [("6.3.9", False), ("6.4.0-rc1", True), ("7.0", True), ("6", True), (None, True), ("x.y", True)],
)
def test_the_kernel_decides_about_tmpfs(kernel: str | None, expected: bool) -> None:
    assert rules_of(254, kernel).in_pages is expected and not rules_of(253, kernel).in_pages


def test_what_counts() -> None:
    spent = Spent()
    for size in (0, 1, 4096, 4097):
        spent = spent.plus("\u00e4", size)
    assert (spent.total, spent.pages, spent.files) == (4 * 2 + 8194, 4, 4)
    rules: Rules = rules_of(257, None)
    assert Spent(1 << 20, 256, 1023).refusal(rules) is None
    assert Spent((1 << 20) + 1, 1, 1).refusal(rules) == "total-too-large"
    assert Spent(1, 257, 1).refusal(rules) == Spent(1, 1, 1024).refusal(rules) == "store-full"
    assert Spent(1, 257, 1024).refusal(rules_of(252, None)) is None


@pytest.mark.parametrize("systemd", [254, 262])
@pytest.mark.parametrize(
    "rule", ["imports_overwrite", "rereads", "forgives_imports", "exclusive", "folders_connect", "in_pages"]
)
def test_a_broken_rule_is_seen(root: Path, rule: str, systemd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = rules_of(systemd, DEBIAN13)
    broken = right.replace(**{rule: not getattr(right, rule)})
    for module in (sys.modules[__name__], services_module):
        monkeypatch.setattr(module, "rules_of", lambda *_: broken)
    services = judged(root, systemd, DEBIAN13, monkeypatch, *CASES)
    assert any(foreseen(services, case.unit) != (case.expected(systemd, DEBIAN13) is not False) for case in CASES)
