"""The README's commands, timed, on a fresh Debian: a minimal root file system with a clone of the current commit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from vm.images import RELEASES, CannotRun, Release, build_base, missing_tools, overlay

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "fresh"
PACKAGES = ("git", "make", "ca-certificates")  # what a fresh machine has besides debootstrap's minbase
USER = 1000
COMMANDS = ("make demo", "make test-fast")
# how a machine reaches the network is not part of the project: proxies and pip's index are passed on
NETWORK = re.compile(r"(https?_proxy|no_proxy|PIP_(INDEX_URL|CERT|DEFAULT_TIMEOUT))", re.IGNORECASE)
CERTIFICATES = Path("/usr/local/share/ca-certificates")
APT_LINE = re.compile(r"^  ((?:sudo )?apt-get .*)$", re.MULTILINE)

# processes of its own; from this machine only the kernel, the devices and the network
ENTER = """
mount -t proc proc "$1/proc"; mount -t sysfs -o ro sysfs "$1/sys"; mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"; mount -t tmpfs -o mode=755 tmpfs "$1/run"
exec env -i "${@:3}" chroot --userspec="$2" "$1" sh -c 'cd "$HOME/guestcred" && eval "$COMMAND"' </dev/null
"""


@dataclass(frozen=True)
class Machine:
    """A fresh root file system with a clone in the home of root, or of an ordinary user who may not become root."""

    root: Path
    release: str
    uid: int

    @property
    def who(self) -> str:
        return "user" if self.uid else "root"

    @property
    def home(self) -> str:
        return "/home/user" if self.uid else "/root"

    def prepare(self) -> None:
        """Do what a person does before the first command: an account, a network, a clone."""
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        if CERTIFICATES.is_dir():
            shutil.copytree(CERTIFICATES, self.root / str(CERTIFICATES)[1:], dirs_exist_ok=True)
            subprocess.run(["chroot", self.root, "update-ca-certificates"], check=True, capture_output=True)
        if self.uid:
            subprocess.run(["chroot", self.root, "useradd", "-m", "-u", str(self.uid), "user"], check=True)
        clone = self.root / self.home[1:] / "guestcred"
        subprocess.run(["git", "clone", "-q", f"file://{ROOT}", clone], check=True)
        subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", clone], check=True)

    def run(self, command: str, uid: int) -> tuple[int, float, str]:
        """Exit status, seconds and output of a command line in the clone."""
        variables = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
        variables |= {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.home,
            "COMMAND": command,
        }
        assigned = [f"{name}={value}" for name, value in variables.items()]
        namespaces = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
        begin = time.monotonic()
        done = subprocess.run(
            [*namespaces, "bash", "-euc", ENTER, "enter", str(self.root), f"{uid}:{uid}", *assigned],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, time.monotonic() - begin, done.stdout.decode(errors="replace")

    def follow(self, commands: tuple[str, ...]) -> bool:
        """Run all commands as a reader of README.md does, and print a line for each; returns whether all succeeded."""
        log = OUT / f"{self.release}-{self.who}.log"
        log.write_text("")

        def step(command: str, uid: int) -> tuple[int, str]:
            status, seconds, output = self.run(command, uid)
            with log.open("a") as file:
                file.write(f"$ {command}\n{output}\nexit status {status}\n\n")
            shown = command if len(command) < 60 else f"{command[:57]}..."
            print(f"{self.release}  {self.who}  {seconds:6.1f} s  exit {status}  {shown}", flush=True)
            for line in re.findall(r"^.*\d passed.*$|^SKIPPED.*$", output, re.MULTILINE):
                print(f"{'':>24}{line.strip('= ')}")
            return status, output

        for command in commands:
            status, output = step(command, self.uid)
            asked = APT_LINE.findall(output)
            if status and self.uid and len(asked) == 1:
                if step(asked[0], 0)[0]:
                    status = 1
                else:
                    status, output = step(command, self.uid)
            if status:
                print("\n".join(output.splitlines()[-40:]))
                return False
        return True


def check(release: Release, commands: tuple[str, ...]) -> bool:
    """Run the commands as root and as an ordinary user, each on a fresh machine of that release."""
    base = build_base(Release(f"fresh-{release.name}", release.suite, release.systemd, PACKAGES, small=False))
    passed = True
    for uid in (0, USER):
        with overlay(base) as root:
            machine = Machine(root, release.name, uid)
            machine.prepare()
            passed &= machine.follow(commands)
    return passed


def main(arguments: list[str]) -> int:
    """Run on the releases that are named, all commands or those of them that are given."""
    known = {release.name: release for release in RELEASES}
    commands = tuple(argument for argument in arguments if argument in COMMANDS) or COMMANDS
    names = [argument for argument in arguments if argument not in COMMANDS]
    if not names or not set(names) <= known.keys():
        print(f"usage: make test-fresh RELEASE={'|'.join(known)}", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%h %s"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    print(f"fresh clones of {commit.stdout.strip()}{', without what is not committed' if changed.stdout else ''}")
    try:
        missing = missing_tools()
        if missing:
            raise CannotRun("; ".join(missing))
        passed = not [name for name in names if not check(known[name], commands)]
    except CannotRun as error:
        print(f"no fresh machine can be made here: {error}", file=sys.stderr)
        return 1
    print(f"fresh machines: {'passed' if passed else 'FAILED'}; logs in {OUT.relative_to(ROOT)}/")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
