"""Guest images: a Debian root file system by debootstrap, cached by its recipe, with this run's package on top."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "build" / "vm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "guestcred"
OVERLAY = Path(__file__).parent / "guest"  # files that every guest has on top of Debian's
PACKAGES = [
    *("systemd-sysv", "systemd-container", "linux-image-cloud-amd64", "initramfs-tools", "busybox", "dbus", "kmod", "udev"),
    *("python3", "python3-construct", "python3-click", "python3-systemd", "python3-jeepney"),
]  # fmt: skip
DRACUT_PACKAGES = ["dracut" if package == "initramfs-tools" else package for package in PACKAGES]
HOST_PACKAGES = [
    *("systemd-sysv", "dbus", "procps", "qemu-system-x86", "age"),
    *("python3", "python3-construct", "python3-click", "python3-systemd", "python3-jeepney"),
]
IMAGE_SIZE = "1400M"
RECIPE = 12  # hexadecimal digits of what something was made of
NEEDS_ROOT = "needs root: guests' file systems are made by mount and chroot; run it as root or with sudo"


class CannotRun(Exception):
    """Real guests cannot run here; the text says what is missing and how to get it."""


@dataclass(frozen=True)
class Release:
    """A Debian release: the name used here, its suite, the systemd it comes with, and the packages on top.

    `backports` are upgraded to those of the suite's backports. A `small` one is without documentation, translations and
    apt's lists. Outside the full matrix it boots the scenarios of the core; if `core` is given, only those of them.
    """

    name: str
    suite: str
    systemd: int
    packages: tuple[str, ...] = tuple(PACKAGES)
    small: bool = True
    backports: tuple[str, ...] = ()
    core: tuple[str, ...] | None = None

    @property
    def dracut(self) -> bool:
        """Whether its initrd has a PID 1 of systemd's own."""
        return "dracut" in self.packages

    @property
    def recipe(self) -> str:
        parts = [self.suite, *self.packages, *(() if self.small else ("whole",))]
        parts += [f"{package}/backports" for package in self.backports]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:RECIPE]

    @property
    def base(self) -> Path:
        """The cached root file system, as debootstrap left it."""
        return CACHE / f"{self.name}-{self.recipe}"


RELEASES = (
    Release("debian12", "bookworm", 252),
    Release("debian13", "trixie", 257),
    Release("debian14", "forky", 262),
)
VARIANTS = (
    Release(
        "debian12-backports",
        "bookworm",
        254,
        backports=("systemd-sysv", "systemd-container", "udev"),
        core=("reference",),
    ),
    *(
        Release(f"{release.name}-dracut", release.suite, release.systemd, tuple(DRACUT_PACKAGES), core=core)
        for release, core in zip(RELEASES, ((), ("initrd",), ()), strict=True)
    ),
)
# what systemd's own tests need: a user with a manager and a bus of its own, whom run0 lets in, and a TPM
JUDGE_PACKAGES = [
    *("systemd-tests", "jq", "libpam-systemd", "dbus-user-session", "polkitd"),
    *("libtss2-esys-3.0.2-0t64", "libtss2-rc0t64"),
]  # fmt: skip
IMDS_SINCE = 261  # systemd; its package is one of its own
IMDS_PACKAGES = ["systemd-imds", "iproute2"]
JUDGES = tuple(
    Release(f"{release.name}-judge", release.suite, release.systemd, (*DRACUT_PACKAGES, *JUDGE_PACKAGES, *more))
    for release in RELEASES[1:]
    for more in [IMDS_PACKAGES if release.systemd >= IMDS_SINCE else ()]
)
GUESTS = (*RELEASES, *VARIANTS)
HOST = Release("host13", "trixie", 257, tuple(HOST_PACKAGES))  # runs VMs, in a container


@dataclass(frozen=True)
class Image:
    """A bootable guest: its disk, and the kernel and initrd that QEMU loads."""

    release: Release
    disk: Path
    kernel: Path
    initrd: Path


def missing_tools() -> list[str]:
    """What keeps real guests from running here, one line with its fix for each."""
    tools = {
        "qemu-system-x86_64": "qemu-system-x86",
        "debootstrap": "debootstrap",
        "mkfs.ext4": "e2fsprogs",
        "systemd-nspawn": "systemd-container",
    }
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    lines = [
        f"{tool} is missing: apt-get install {package}"
        for tool, package in tools.items()
        if not shutil.which(tool, path=path)
    ]
    if not Path("/usr/share/OVMF/OVMF_CODE.fd").exists():
        lines.append("OVMF is missing: apt-get install ovmf")
    if os.geteuid() != 0:
        lines.append(NEEDS_ROOT)
    return lines


def ready() -> None:
    """Raises CannotRun, with all that is missing and how to get it."""
    missing = missing_tools()
    if missing:
        raise CannotRun("; ".join(missing))


def package() -> Path:
    """The Debian package that `make deb` built."""
    found = sorted((ROOT / "dist").glob("guestcred_*_all.deb"))
    if not found:
        raise CannotRun("there is no package in dist/: run make deb")
    return found[-1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, and wait for it first: of several processes one builds, and the others find it built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, log: Path) -> None:
    with log.open("ab") as out:
        done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise CannotRun(f"{command[0]} failed with status {done.returncode}:\n{tail}")


def chroot(root: Path, *command: str, log: Path) -> None:
    """Run a command inside a root file system; raises CannotRun with the end of its log where that fails."""
    _run("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "chroot", root, *command, log=log)


def build_base(release: Release) -> Path:
    """The release's root file system, made by debootstrap where the cache has none; it appears whole or not at all."""
    with locked(CACHE / f"{release.name}.lock"):
        if not release.base.is_dir():
            _build_base(release)
    return release.base


def recipes(folder: Path, release: Release, name: str = "") -> list[Path]:
    """What is kept in `folder` of a release, whatever recipe made it; another's name may begin with its name.

    `name` is that of an image with a last command of its own.
    """
    return list(folder.glob(f"{name}{release.name}-{'[0-9a-f]' * RECIPE}"))


def _build_base(release: Release) -> None:
    for old in recipes(CACHE, release):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{release.name}-") as folder:
        target, log = Path(folder) / "rootfs", CACHE / f"{release.name}.log"
        log.unlink(missing_ok=True)
        scripts = _debootstrap_scripts(Path(folder), release.suite)
        _run("env", f"DEBOOTSTRAP_DIR={scripts}", "debootstrap", "--variant=minbase", release.suite, target, log=log)
        # by apt, not debootstrap: a suite in motion has dependencies that only apt can sort
        chroot(target, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *release.packages, log=log)
        if release.backports:
            suite = f"{release.suite}-backports"
            line = (
                (target / "etc/apt/sources.list")
                .read_text()
                .splitlines()[0]
                .replace(f" {release.suite} ", f" {suite} ")
            )
            (target / "etc/apt/sources.list.d/backports.list").write_text(f"{line}\n")
            chroot(target, "apt-get", "update", "-qq", log=log)
            chroot(
                target,
                "apt-get",
                "install",
                "-y",
                "-qq",
                "--no-install-recommends",
                "-t",
                suite,
                *release.backports,
                log=log,
            )
        chroot(target, "apt-get", "clean", log=log)
        if release.small:
            for unneeded in ("usr/share/doc", "usr/share/locale", "var/lib/apt/lists"):
                shutil.rmtree(target / unneeded, ignore_errors=True)
        target.rename(release.base)


def _debootstrap_scripts(folder: Path, suite: str) -> Path:
    """Debootstrap's own folder, with a script for a suite that it is too old to know: all of them are the one for sid."""
    own = Path("/usr/share/debootstrap")
    if (own / "scripts" / suite).exists():
        return own
    copy = folder / "debootstrap"
    shutil.copytree(own, copy, symlinks=True)
    (copy / "scripts" / suite).symlink_to("sid")
    return copy


@contextmanager
def overlay(lower: Path) -> Iterator[Path]:
    """The folder `lower` with a scratch layer over it, `upper` beside it, mounted for as long as the context lasts."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".overlay-") as folder:
        upper, work, merged = (Path(folder) / name for name in ("upper", "work", "merged"))
        for path in (upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mounted = subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", options, merged], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            raise CannotRun(f"cannot mount an overlay: {mounted.stderr.strip()}")
        try:
            yield merged
        finally:
            subprocess.run(["umount", merged], check=True)


def build_image(release: Release, package: Path, out: Path, *, name: str = "", finish: str = "true") -> Image:
    """A disk below `out` with the Debian package installed; reused where package and overlay are the same as before.

    `finish` is a last shell command in it, for which the image has a `name` of its own.
    """
    base = build_base(release)
    key = hashlib.sha256(release.recipe.encode() + finish.encode() + package.read_bytes())
    for path in sorted(OVERLAY.rglob("*")):
        if path.is_file():
            key.update(str(path.relative_to(OVERLAY)).encode() + path.read_bytes())
    folder = out / f"{name}{release.name}-{key.hexdigest()[:RECIPE]}"
    image = Image(release, folder / "disk.ext4", folder / "vmlinuz", folder / "initrd")
    with locked(out / f"{name}{release.name}.lock"):
        if not image.disk.exists():
            for old in recipes(out, release, name):
                shutil.rmtree(old)
            folder.mkdir()
            _build_image(base, package, image, finish)
    return image


def _build_image(base: Path, package: Path, image: Image, finish: str) -> None:
    log, made = image.disk.with_name("build.log"), image.disk.with_name("disk.making")
    with overlay(base) as root:
        shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
        shutil.copy(package, root / "tmp/guestcred.deb")
        chroot(root, "sh", "-eu", "/usr/local/lib/vm/setup", log=log)
        (root / "tmp/guestcred.deb").unlink()
        chroot(root, "sh", "-euc", finish, log=log)
        shutil.copy(next((root / "boot").glob("vmlinuz-*")), image.kernel)
        shutil.copy(next((root / "boot").glob("initrd.img-*")), image.initrd)
        _run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, made, IMAGE_SIZE, log=log)
    made.rename(image.disk)
