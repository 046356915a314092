"""One table of units, of what they load, and of which systemd fails them: for unit tests, and for real guests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20
FAR = "/srv/g"  # where the files lie that units name by their paths

Fails = Callable[[int], "bool | None"]  # by systemd's version: whether PID 1 fails the unit; None where chance decides


def always(_: int) -> bool:
    return True


def never(_: int) -> bool:
    return False


def since(version: int) -> Fails:
    return lambda systemd: systemd >= version


def imported(systemd: int) -> bool:
    """Where ImportCredential= is known."""
    return systemd >= 254


def in_pages(systemd: int) -> bool:
    """Where tmpfs can be kept out of swap: Linux 6.4 and newer. Debian 12's 6.1 cannot, and systemd takes ramfs."""
    return systemd >= 254


@dataclass(frozen=True)
class Case:
    """A service: lines of its [Service], `{sealed:NAME}` in them for a value that is encrypted for that name.

    A name with an `@` is an instance, of a template with the same lines; `type` is the unit's type.
    """

    name: str
    lines: tuple[str, ...]
    fails: Fails
    start: str = "ExecStart=/bin/true"

    def expected(self, systemd: int, kernel: str) -> bool | None:
        """The same for one guest, whose kernel's release may matter."""
        if self.fails is in_pages and tuple(map(int, kernel.split(".")[:2])) < (6, 4):
            return False
        return self.fails(systemd)

    @property
    def unit(self) -> str:
        return f"g-{self.name}.service"


def case(name: str, *lines: str, fails: Fails = never, start: str = "ExecStart=/bin/true") -> Case:
    return Case(name, lines, fails, start)


# path -> (kind, value): file SIZE, text TEXT, link TARGET, fifo, socket, deaf, dgram, folder, sealed NAME, null NAME, junk
FILES: dict[str, tuple[str, str]] = {
    f"{FAR}/small": ("file", "5"),
    f"{FAR}/empty": ("file", "0"),
    f"{FAR}/mib": ("file", str(MIB)),
    f"{FAR}/mib+1": ("file", str(MIB + 1)),
    f"{FAR}/mib-1": ("file", str(MIB - 1)),
    f"{FAR}/600k": ("file", "600000"),
    f"{FAR}/500k": ("file", "500000"),
    f"{FAR}/half": ("file", str(MIB // 2 - 100)),
    f"{FAR}/with space": ("file", "5"),
    f"{FAR}/i/a\\x2db": ("file", "5"),
    f"{FAR}/plain": ("text", "no base64 at all, this\n"),
    f"{FAR}/junk": ("junk", ""),
    f"{FAR}/sealed": ("sealed", "a"),
    f"{FAR}/sealed-other": ("sealed", "other"),
    f"{FAR}/sealed-null": ("null", "a"),
    f"{FAR}/link": ("link", "small"),
    f"{FAR}/gone": ("link", "nowhere"),
    f"{FAR}/loop": ("link", "loop"),
    f"{FAR}/to-folder": ("link", "two"),
    f"{FAR}/deaf": ("deaf", ""),
    f"{FAR}/heard": ("socket", ""),
    f"{FAR}/dgram": ("dgram", ""),
    f"{FAR}/two/a": ("file", "5"),
    f"{FAR}/two/sub/b": ("file", "5"),
    f"{FAR}/none": ("folder", ""),
    f"{FAR}/colon/a:b": ("file", "5"),
    f"{FAR}/colon-sub/sub/a:b": ("file", "5"),
    f"{FAR}/umlaut/\u00e4": ("file", "5"),
    f"{FAR}/spaced/a b": ("file", "5"),
    f"{FAR}/hidden/.a:b": ("file", "5"),
    f"{FAR}/long/{'x' * 253}": ("file", "5"),
    f"{FAR}/long-enough/{'x' * 252}": ("file", "5"),
    f"{FAR}/fifos/pipe": ("fifo", ""),
    f"{FAR}/fifos/a": ("file", "5"),
    f"{FAR}/links/gone": ("link", "nowhere"),
    f"{FAR}/links/a": ("file", "5"),
    f"{FAR}/with-deaf/s": ("deaf", ""),
    f"{FAR}/with-heard/s": ("socket", ""),
    f"{FAR}/sealed-all/a": ("sealed", "d_a"),
    f"{FAR}/sealed-one/a": ("sealed", "other"),
    f"{FAR}/both/b_c": ("file", "5"),
    f"{FAR}/both/b/c": ("file", "6"),
    **{f"{FAR}/257/{n:04}": ("file", "1") for n in range(257)},
    **{f"{FAR}/256/{n:04}": ("file", "1") for n in range(256)},
    **{f"{FAR}/300/{n:04}": ("file", "1") for n in range(300)},
    **{f"{FAR}/300-empty/{n:04}": ("file", "0") for n in range(300)},
    **{f"{FAR}/1024-empty/{n:04}": ("file", "0") for n in range(1024)},
    **{f"{FAR}/1023-empty/{n:04}": ("file", "0") for n in range(1023)},
    "/etc/credstore/file": ("file", "5"),
    "/etc/credstore/n-folder": ("folder", ""),
    "/usr/lib/credstore/n-below": ("folder", ""),
    "/etc/credstore/n-below": ("file", "5"),
    "/etc/credstore/n-gone": ("link", "nowhere"),
    "/etc/credstore/n-gone-first": ("link", "nowhere"),
    "/run/credstore/n-gone-first": ("file", "5"),
    "/etc/credstore/n-loop": ("link", "n-loop"),
    "/etc/credstore/n-socket": ("deaf", ""),
    "/etc/credstore/n-large": ("file", str(MIB)),
    "/etc/credstore/g1-folder": ("folder", ""),
    "/etc/credstore/g2-gone": ("link", "nowhere"),
    "/etc/credstore/g3-a": ("file", "5"),
    "/usr/lib/credstore/g3-a": ("link", "nowhere"),
    "/etc/credstore/g4-a": ("file", str(MIB)),
    "/etc/credstore/g5-a": ("file", "5"),
    "/etc/credstore/g5-b": ("file", "6"),
    "/etc/credstore/g6-socket": ("deaf", ""),
    "/etc/credstore/g7-a": ("file", "600000"),
    "/run/credstore/g7-a": ("file", "600000"),
    "/etc/credstore/g8-a": ("file", "6"),
    "/run/credstore/g8-a": ("file", "7"),
    "/usr/lib/credstore/g8-b": ("file", "8"),
    "/etc/credstore.encrypted/s-right": ("sealed", "s-right"),
    "/etc/credstore.encrypted/s-other": ("sealed", "other"),
    "/etc/credstore.encrypted/h1-right": ("sealed", "h1-right"),
    "/etc/credstore.encrypted/h2-other": ("sealed", "other"),
    "/etc/credstore.encrypted/h3-plain": ("text", "no base64 at all, this\n"),
    "/etc/credstore.encrypted/h5-junk": ("junk", ""),
    "/etc/credstore.encrypted/h4-plain": ("text", "no base64 at all, this\n"),
    "/etc/credstore/h4-plain": ("file", "5"),
}

CASES: tuple[Case, ...] = (
    # sizes
    case("mib", f"LoadCredential=a:{FAR}/mib", fails=always),
    case("mib-and-one", f"LoadCredential=a:{FAR}/mib+1", fails=always),
    case("mib-1", f"LoadCredential=a:{FAR}/mib-1"),
    case("mib-1-long-id", f"LoadCredential=ab:{FAR}/mib-1", fails=always),
    case("600k", f"LoadCredential=a:{FAR}/600k"),
    case("2x600k", f"LoadCredential=a:{FAR}/600k", f"LoadCredential=b:{FAR}/600k", fails=always),
    case("2x500k", f"LoadCredential=a:{FAR}/500k", f"LoadCredential=b:{FAR}/500k"),
    case("257-pages", f"LoadCredential=a:{FAR}/half", f"LoadCredential=b:{FAR}/half", "SetCredential=c:x", fails=in_pages),
    case("256-pages", f"LoadCredential=a:{FAR}/half", f"LoadCredential=b:{FAR}/half"),
    case("mib-1-and-default", f"LoadCredential=a:{FAR}/mib-1", "SetCredential=b:x", fails=always),
    case("mib-1-is-default", f"LoadCredential=a:{FAR}/mib-1", "SetCredential=a:x"),
    case("large-by-name", "LoadCredential=n-large", fails=always),
    case("large-by-pattern", "ImportCredential=g4-*", fails=imported),
    case("proc", "LoadCredential=a:/proc/sys/kernel/ostype"),
    case("proc-large", "LoadCredential=a:/proc/kallsyms", fails=always),
    case("sys", "LoadCredential=a:/sys/kernel/mm/transparent_hugepage/enabled"),
    case("empty", f"LoadCredential=a:{FAR}/empty"),
    # folders
    case("folder", f"LoadCredential=a:{FAR}/two"),
    case("folder-slash", f"LoadCredential=a:{FAR}/two/"),
    case("folder-empty", f"LoadCredential=a:{FAR}/none"),
    case("folder-by-link", f"LoadCredential=a:{FAR}/to-folder"),
    case("folder-256", f"LoadCredential=a:{FAR}/256"),
    case("folder-257", f"LoadCredential=a:{FAR}/257", fails=in_pages),
    case("folder-300", f"LoadCredential=a:{FAR}/300", fails=in_pages),
    case("folder-300-empty", f"LoadCredential=a:{FAR}/300-empty"),
    case("folder-1023-empty", f"LoadCredential=a:{FAR}/1023-empty"),
    case("folder-1024-empty", f"LoadCredential=a:{FAR}/1024-empty", fails=in_pages),
    case("folder-colon", f"LoadCredential=a:{FAR}/colon", fails=always),
    case("folder-colon-below", f"LoadCredential=a:{FAR}/colon-sub", fails=always),
    case("folder-umlaut", f"LoadCredential=a:{FAR}/umlaut", fails=always),
    case("folder-space", f"LoadCredential=a:{FAR}/spaced"),
    case("folder-hidden", f"LoadCredential=a:{FAR}/hidden"),
    case("folder-long", f"LoadCredential=ab:{FAR}/long", fails=always),
    case("folder-long-enough", f"LoadCredential=ab:{FAR}/long-enough"),
    case("folder-fifo", f"LoadCredential=a:{FAR}/fifos"),
    case("folder-link", f"LoadCredential=a:{FAR}/links"),
    case("folder-deaf", f"LoadCredential=a:{FAR}/with-deaf", fails=always),
    case("folder-heard", f"LoadCredential=a:{FAR}/with-heard", fails=lambda systemd: systemd < 262),
    case("folder-itself-twice", f"LoadCredential=a:{FAR}/both"),
    case("folder-and-id", f"LoadCredential=a:{FAR}/two", f"LoadCredential=a_a:{FAR}/small",
         fails=lambda systemd: None if systemd >= 259 else False),
    case("folder-and-default", f"LoadCredential=a:{FAR}/two", "SetCredential=a_a:x"),
    case("two-folders", f"LoadCredential=a:{FAR}/two", f"LoadCredential=a_sub:{FAR}/two/sub"),
    # by name
    case("name", "LoadCredential=file"),
    case("name-absent", "LoadCredential=no-such-name"),
    case("name-folder", "LoadCredential=n-folder", fails=always),
    case("name-folder-below", "LoadCredential=n-below"),
    case("name-gone", "LoadCredential=n-gone"),
    case("name-gone-first", "LoadCredential=n-gone-first"),
    case("name-loop", "LoadCredential=n-loop", fails=always),
    case("name-loop-default", "LoadCredential=n-loop", "SetCredential=n-loop:x", fails=always),
    case("name-socket", "LoadCredential=n-socket", fails=always),
    # by pattern
    case("pattern", "ImportCredential=g5-*"),
    case("pattern-exact", "ImportCredential=file"),
    case("pattern-absent", "ImportCredential=no-such-*"),
    case("pattern-folder", "ImportCredential=g1-*", fails=imported),
    case("pattern-folder-exact", "ImportCredential=g1-folder", fails=imported),
    case("pattern-gone", "ImportCredential=g2-*", fails=imported),
    case("pattern-gone-exact", "ImportCredential=g2-gone", fails=imported),
    case("pattern-gone-below", "ImportCredential=g3-*", fails=lambda systemd: systemd == 254),
    case("pattern-socket", "ImportCredential=g6-*", fails=imported),
    case("pattern-twice", "ImportCredential=g7-*", fails=lambda systemd: systemd == 254),
    case("pattern-renamed", "ImportCredential=g5-*:new-"),
    case("pattern-renamed-colon", "ImportCredential=g5-*:new.a"),
    case("pattern-and-name", "LoadCredential=g5-a:file", "ImportCredential=g5-*"),
    case("pattern-and-large", f"LoadCredential=g5-a:{FAR}/mib-1", fails=always),
    # by absolute path
    case("path", f"LoadCredential=a:{FAR}/small"),
    case("path-absent", f"LoadCredential=a:{FAR}/nowhere", fails=always),
    case("path-absent-default", f"LoadCredential=a:{FAR}/nowhere", "SetCredential=a:x"),
    case("path-absent-pattern", f"LoadCredential=file:{FAR}/nowhere", "ImportCredential=file", fails=always),
    case("path-link", f"LoadCredential=a:{FAR}/link"),
    case("path-gone", f"LoadCredential=a:{FAR}/gone", fails=always),
    case("path-gone-default", f"LoadCredential=a:{FAR}/gone", "SetCredential=a:x"),
    case("path-loop", f"LoadCredential=a:{FAR}/loop", fails=always),
    case("path-loop-default", f"LoadCredential=a:{FAR}/loop", "SetCredential=a:x", fails=always),
    case("path-slash", f"LoadCredential=a:{FAR}/small/", fails=always),
    case("path-deaf", f"LoadCredential=a:{FAR}/deaf", fails=always),
    case("path-deaf-default", f"LoadCredential=a:{FAR}/deaf", "SetCredential=a:x", fails=always),
    case("path-heard", f"LoadCredential=a:{FAR}/heard"),
    case("path-dgram", f"LoadCredential=a:{FAR}/dgram", fails=always),
    # encrypted
    case("sealed", f"LoadCredentialEncrypted=a:{FAR}/sealed"),
    case("sealed-null", f"LoadCredentialEncrypted=a:{FAR}/sealed-null"),
    case("sealed-other", f"LoadCredentialEncrypted=a:{FAR}/sealed-other", fails=always),
    case("sealed-plain", f"LoadCredentialEncrypted=a:{FAR}/plain", fails=always),
    case("sealed-junk", f"LoadCredentialEncrypted=a:{FAR}/junk", fails=always),
    case("sealed-empty", f"LoadCredentialEncrypted=a:{FAR}/empty", fails=always),
    case("sealed-absent", "LoadCredentialEncrypted=no-such-name"),
    case("sealed-path-absent", f"LoadCredentialEncrypted=a:{FAR}/nowhere", fails=always),
    case("sealed-name", "LoadCredentialEncrypted=s-right"),
    case("sealed-name-other", "LoadCredentialEncrypted=s-other", fails=always),
    case("sealed-name-plain", "LoadCredentialEncrypted=file", fails=always),
    case("sealed-not-decrypted", "LoadCredential=s-right"),
    case("sealed-folder", f"LoadCredentialEncrypted=d:{FAR}/sealed-all"),
    case("sealed-folder-other", f"LoadCredentialEncrypted=d:{FAR}/sealed-one", fails=always),
    case("sealed-set", "SetCredentialEncrypted=a:{sealed:a}"),
    case("sealed-set-other", "SetCredentialEncrypted=a:{sealed:other}", fails=always),
    case("sealed-set-unused", f"LoadCredential=a:{FAR}/small", "SetCredentialEncrypted=a:{sealed:other}"),
    case("sealed-pattern", "ImportCredential=h1-*"),
    case("sealed-pattern-other", "ImportCredential=h2-*", fails=lambda systemd: 254 <= systemd < 259),
    case("sealed-pattern-plain", "ImportCredential=h3-*", fails=imported),
    case("sealed-pattern-junk", "ImportCredential=h5-*", fails=lambda systemd: 254 <= systemd < 259),
    case("sealed-pattern-below", "ImportCredential=h4-*", fails=lambda systemd: systemd == 254),
    # what a newer systemd reads again, as words
    case("words@a\\x2db", f"LoadCredential=a:{FAR}/i/%i", fails=since(255)),
    case("words-name@a\\x2db", "LoadCredential=a:%i"),
    case("words-unescaped@a\\x2db", f"LoadCredential=a:{FAR}/%I", fails=always),
    case("words-space-id", f"LoadCredential=my id:{FAR}/small", fails=since(255)),
    case("words-space-source", f"LoadCredential=a:{FAR}/with space", fails=since(255)),
    case("words-space-name", "LoadCredential=my id", fails=since(255)),
    case("words-space-default", "SetCredential=my id:x", fails=since(255)),
    case("words-space-pattern", "ImportCredential=we are*"),
    # nothing amiss
    case("defaults", "SetCredential=a:x", "SetCredential=b:"),
    case("all", "LoadCredential=file", f"LoadCredential=a:{FAR}/small", "ImportCredential=g5-*", "SetCredential=b:x"),
    case("runs", "LoadCredential=file", start="Type=exec\nExecStart=/bin/sleep infinity"),
    case("runs-pattern", "ImportCredential=g8-*", start="Type=exec\nExecStart=/bin/sleep infinity"),
    case("runs-twice", f"LoadCredential=g8-a:{FAR}/small", "ImportCredential=g8-*",
         start="Type=exec\nExecStart=/bin/sleep infinity"),
    case("runs-folder", f"LoadCredential=a:{FAR}/both", start="Type=exec\nExecStart=/bin/sleep infinity"),
    case("runs-after-pre", "LoadCredential=file", "ExecStartPre=/bin/true", start="Type=exec\nExecStart=/bin/sleep infinity"),
    case("fails-in-pre", f"LoadCredential=a:{FAR}/mib", "ExecStartPre=/bin/true", fails=always),
    case("forks", "LoadCredential=file",
         start="Type=forking\nGuessMainPID=no\nExecStart=/bin/sh -c '/bin/sleep 100000 &'"),
)  # fmt: skip
