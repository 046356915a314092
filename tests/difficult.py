"""Ten secrets that get lost or damaged on the way, sent by the shell and by guestcred; run it for the table."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from needs import memory
from qemu import Machine, machine

from guestcred.manifest import FRAME
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge

SECRETS: dict[str, bytes] = {
    "COMMA": b"before,behind it",
    "NEWLINE": b"-----BEGIN KEY-----\nMC4CAQ\n-----END KEY-----",
    "TRAILING_NEWLINE": b"ends in a newline\n",
    "LEADING_SPACE": b"  two spaces",
    "NUL": b"before\0after",
    "RANDOM_3_KIB": random.Random(5).randbytes(3072),
    "QUOTES": b"\"double\" 'single' \\ `tick` $HOME",
    "BRACKETS": b"[one]{two}]]",
    "EQUALS": b"a=b==",
    "UTF_8": "pässwörd ☃".encode(),
    "EMPTY": b"",
}


def write(folder: Path) -> dict[str, Path]:
    """One file a secret, as it is."""
    files = {name: folder / name.lower() for name in SECRETS}
    for name, file in files.items():
        file.write_bytes(SECRETS[name])
    return files


def arrived(table: bytes | None) -> dict[str, bytes]:
    """What PID 1 would import from a table, by name, without the manifest around it."""
    accepted = [verdict for verdict in judge(parse(table or b"").structures, None) if isinstance(verdict, Accepted)]
    return {verdict.name: verdict.value for verdict in accepted if verdict.name not in FRAME}


def by_guestcred(files: dict[str, Path], folder: Path) -> list[str]:
    """The command that sends them all."""
    pairs = [f"{name}={file}" for name, file in files.items()]
    options = ["--for", "qemu", "--keep-newline", "--allow-empty"]
    return [sys.executable, "-m", "guestcred", "launch", *options, *pairs, "--", *machine(folder)]


def by_shell(name: str, file: Path, folder: Path) -> list[str]:
    """The command that people write; quoted, which is more than most do."""
    script = f'"$@" -smbios "type=11,value=io.systemd.credential:{name}=$(cat {file})"'
    return ["bash", "-c", f"exec {script}", "bash", *machine(folder)]


def _verdict(name: str, values: dict[str, bytes], started: bool) -> str:
    if not started:
        return "QEMU does not start"
    if name not in values:
        return "lost"
    got, sent = values[name], SECRETS[name]
    return "intact" if got == sent else f"damaged: {len(got)} bytes of {len(sent)}"


def main() -> None:
    """Print the table, measured now."""
    version = subprocess.run([machine(Path())[0], "--version"], capture_output=True, text=True, check=True)
    with memory() as folder:
        files = write(folder)
        with Machine(by_guestcred(files, folder), folder) as qemu:
            table = qemu.table()
        ours = arrived(table)
        print(f"{version.stdout.splitlines()[0]}; the table is {len(table or b'')} bytes\n")
        print(f"| {'secret':<16} | bytes | {'$(cat FILE) in an argument':<28} | {'guestcred launch':<16} |")
        print(f"|{'-' * 18}|{'-' * 7}|{'-' * 30}|{'-' * 18}|")
        for name, file in files.items():
            with Machine(by_shell(name, file, folder), folder) as qemu:
                naive = qemu.table()
            shell = _verdict(name, arrived(naive), naive is not None)
            print(f"| {name:<16} | {len(SECRETS[name]):>5} | {shell:<28} | {_verdict(name, ours, True):<16} |")


if __name__ == "__main__":
    main()
