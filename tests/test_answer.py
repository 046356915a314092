"""What is shown of cloud-hypervisor's answers: its reason, and nothing of a secret or of the config."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestcred.host.answer import HIDDEN, QUOTES_CONFIG, reason_in

VALUE = b"correct horse, battery"
ENCODED = base64.b64encode(VALUE).decode()
CONFIG = {
    "payload": {"kernel": "/boot/vmlinux-6.12", "cmdline": "console=hvc0 systemd.set_credential=A:hunter2hunter2"},
    "platform": {"oem_strings": ["/theirs/which-is-no-path", f"io.systemd.credential.binary:KEY={ENCODED}"]},
}


def shown(*chain: str, plain: bytes | None = None, values: tuple[bytes, ...] = (VALUE,)) -> str:
    said = json.dumps(["Error from API", *chain]).encode() if plain is None else plain
    return reason_in(said, json.dumps(CONFIG).encode(), values)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ((), ""),
        (("The VM could not boot", "No such file (os error 2)"), "The VM could not boot: No such file (os error 2)"),
        (("Cannot open", "/boot/vmlinux-6.12"), "Cannot open: /boot/vmlinux-6.12"),
        (('Cannot open "/boot/vmlinux-6.12"',), 'Cannot open "/boot/vmlinux-6.12"'),
        (
            ('invalid type: string "x", expected u8 at line 1',),
            f'invalid type: string "{HIDDEN}", expected u8 at line 1',
        ),
        (("unknown variant `hunter`",), f"unknown variant `{HIDDEN}`"),
        (('an open quote "hunter',), f'an open quote "{HIDDEN}"'),
        (("bad hunter2hunter2",), f"bad {HIDDEN}"),
        (("bad /theirs/which",), f"bad {HIDDEN}"),
        (('bad "/theirs/which"',), f'bad "{HIDDEN}"'),
        ((f"at {ENCODED[4:12]}.",), f"at {HIDDEN}."),
        (("as horse, battery!",), f"as{HIDDEN}!"),
        ((VALUE.decode(),), QUOTES_CONFIG),
        (("PlatformConfig { a: None }",), QUOTES_CONFIG),
        (("unknown field oem_strings",), QUOTES_CONFIG),
        (("two\nlines\x1b[31m",), "two lines\\x1b[31m"),
        (("long " * 200,), ("long " * 200)[:300] + "..."),
    ],
)
def test_a_reason_is_shown_and_the_config_is_not(chain: tuple[str, ...], expected: str) -> None:
    assert shown(*chain) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"", ""),
        (b"Error from API: VmBoot(VmNotCreated)", "Error from API: VmBoot(VmNotCreated)"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 300 + "..."),
        (b'{"error": 1}', QUOTES_CONFIG),
        (json.dumps(CONFIG).encode(), QUOTES_CONFIG),
    ],
)
def test_an_answer_that_is_no_list(said: bytes, expected: str) -> None:
    assert shown(plain=said) in (expected, QUOTES_CONFIG)


def test_a_short_secret_is_hidden_whole() -> None:
    assert shown("bad pw12 here", values=(b"pw12",)) == f"bad {HIDDEN} here"


@given(st.binary(min_size=8, max_size=40), st.data(), st.text(max_size=20), st.text(max_size=20))
def test_no_piece_of_a_secret_is_shown(value: bytes, data: st.DataObject, front: str, behind: str) -> None:
    form = data.draw(st.sampled_from([value.decode("latin-1"), base64.b64encode(value).decode()]))
    start = data.draw(st.integers(0, len(form) - 8))
    piece = form[start : data.draw(st.integers(start + 8, len(form)))]
    said = shown(f"{front} {piece} {behind}", values=(value,))
    assert not any(piece[at : at + 8] in said for at in range(len(piece) - 7)) or piece in front + behind
