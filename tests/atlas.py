"""The atlas of well-known credentials and Type 11 strings: what Debian's packages of four systemds hold, merged with what was reviewed.

`make atlas` downloads the packages with apt, writes what is in them (`tests/atlas_facts.json`), the atlas
(`guestcred/systemd/atlas_data.py`) and its page (`docs/atlas.md`), and shows what changed. Where the packages contradict
what was reviewed (`tests/atlas.toml`), it says so and ends with status 1.
"""

from __future__ import annotations

import difflib
import gzip
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vm.images import CACHE

from guestcred.text import listed

ROOT = Path(__file__).parent.parent
REVIEWED = ROOT / "tests/atlas.toml"
FACTS = ROOT / "tests/atlas_facts.json"
DATA = ROOT / "guestcred/systemd/atlas_data.py"
PAGE = ROOT / "docs/atlas.md"
SUITES = {252: "bookworm", 254: "bookworm-backports", 257: "trixie", 262: "forky"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PAGES = ("systemd.system-credentials.7.gz", "smbios-type-11.7.gz")
# of the source package systemd; the programs that agetty.* and login.* are for come from another
UNNEEDED = re.compile(r"-dev$|-tests$|-udeb$|^udev-udeb$|^libnss|standalone|template|^libudev|^libsystemd0|ukify")
OTHERS = ("util-linux", "login")

Facts = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """Who reads it, as in the reviewed file; `by` are units that read it alike, or one that is none."""

    by: tuple[str, ...]
    inside: str
    since: int
    time: str
    when: str
    drop_in: bool
    absent: bool
    inlined: bool
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A credential, or the first part of a Type 11 string."""

    name: str
    since: int
    parts: str
    form: str
    instead: str
    why: str
    readers: tuple[Reader, ...]

    @property
    def is_string(self) -> bool:
        return self.name.startswith("io.systemd.")


@dataclass
class Package:
    """What was found in the packages of one version."""

    version: str = ""
    manual: dict[str, int | None] = field(default_factory=dict)
    requests: dict[str, list[str]] = field(default_factory=dict)
    holds: dict[str, list[str]] = field(default_factory=dict)


# ---- the reviewed part


def reviewed(text: str) -> list[Entry]:
    """The entries of the reviewed file, in its order."""
    entries = []
    for table in tomllib.loads(text)["entry"]:
        readers = tuple(_reader(reader, table["since"]) for reader in table["readers"])
        for name in table["names"]:
            texts = {key: table.get(key, "") for key in ("parts", "form", "instead", "why")}
            if "*" not in name:
                texts["parts"] = ""
            entries.append(Entry(name, table["since"], **texts, readers=readers))
    return entries


def _reader(table: dict[str, Any], since: int) -> Reader:
    by = tuple(table["by"]) if isinstance(table["by"], list) else (table["by"],)
    inside = table.get("in", "")
    return Reader(
        by=by,
        inside=inside,
        since=table.get("since", since),
        time=table.get("time", "at boot"),
        when=table.get("when", ""),
        drop_in=table.get("drop_in", False),
        absent=table.get("absent", False),
        inlined=table.get("inlined", False),
        holds=tuple(table.get("holds", inside or re.sub(r"@?\.service$", "", by[0])).split()),
    )


# ---- what is in the packages


def download(suite: str) -> list[Path]:
    """The packages of a suite, by apt with a configuration of its own, from the archive that this machine's apt uses."""
    folder = CACHE / "atlas" / suite
    for path in ("lists/partial", "archives/partial", "packages"):
        (folder / path).mkdir(parents=True, exist_ok=True)
    archive = _output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    (uri, *_) = [line.split()[1] for line in archive.splitlines() if line.startswith("Debian ")]
    suites = dict.fromkeys([suite.removesuffix("-backports"), suite])
    sources = "".join(f"deb [signed-by={KEYRING}] {uri} {name} main\n" for name in suites)
    (folder / "sources.list").write_text(sources)
    (folder / "status").touch()
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "root",
    }
    (folder / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    apt = ("env", f"APT_CONFIG={folder}/apt.conf")
    _output(*apt, "apt-get", "update", "-qq")
    packages = []
    for record in _output(*apt, "apt-cache", "dumpavail").split("\n\n"):
        found = re.match(r"Package: (\S+)\n", record)
        if found and (found[1] == "systemd" or re.search(r"^Source: systemd( |$)", record, re.MULTILINE)):
            packages += [] if UNNEEDED.search(found[1]) else [f"{found[1]}/{suite}"]
    for old in (folder / "packages").iterdir():
        old.unlink()
    names = sorted({*packages, *OTHERS})
    subprocess.run([*apt, "apt-get", "download", "-qq", *names], cwd=folder / "packages", check=True)
    return sorted((folder / "packages").glob("*.deb"))


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def look_into(packages: list[Path], entries: list[Entry]) -> Package:
    """What the manual pages name, what units request, and which files hold the names that were reviewed."""
    found = Package()
    wanted = {holder for entry in entries for reader in entry.readers for holder in reader.holds}
    texts = {form for entry in entries for form in forms(entry)}
    for package in packages:
        if package.name.startswith("systemd_"):
            found.version = package.name.split("_")[1].replace("%3a", ":")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as tree:
                for member in tree:
                    name = Path(member.name).name
                    holder = next((holder for holder in wanted if name == holder or _is_library(name, holder)), None)
                    unit = "lib/systemd/system/" in member.name and name.endswith(".service")
                    if not member.isfile() or not (holder or unit or name in PAGES):
                        continue
                    file = tree.extractfile(member)
                    assert file is not None
                    data = file.read()
                    if name in PAGES:
                        found.manual |= named(gzip.decompress(data).decode())
                    elif unit:
                        requests = re.findall(r"^(?:Import|Load)Credential=(\S+)", data.decode(), re.MULTILINE)
                        if requests:
                            found.requests[name] = requests
                    elif holder:
                        held = [text for text in texts if text.encode() in data]
                        held += [f"ImportCredential={text.decode()}" for text in _IMPORTS.findall(data)]
                        if held:
                            found.holds[holder] = sorted({*found.holds.get(holder, []), *held})
    return found


_IMPORTS = re.compile(rb"ImportCredential=([a-z][\w.*-]+)")


def _is_library(name: str, holder: str) -> bool:
    return holder.startswith("lib") and fnmatchcase(name, f"{holder}-*.so")


def forms(entry: Entry) -> tuple[str, ...]:
    """How a program may have the name in it: whole, or with the last part added when it runs."""
    whole = entry.name.partition("*")[0] or entry.name.lstrip("*.")
    # what a getty unit imports under another name
    whole = re.sub(r"^tty\..*\.(?=agetty|login)", "", entry.name) if entry.name.startswith("tty.") else whole
    stem = whole.rpartition(".")[0]
    if entry.is_string:
        return (whole.removesuffix("="),)
    return (whole, f"{stem}.") if "." in stem else (whole,)


def named(page: str) -> dict[str, int | None]:
    """The names in a manual page's lists, and the version in which it says each was added."""
    names: dict[str, int | None] = {}
    text = page.replace("\\&", "").replace("\\-", "-")
    for terms, described in re.findall(r"^\.PP\n(\\fI.*)\n\.RS 4\n((?:.*\n)*?)\.RE$", text, re.MULTILINE):
        since = re.search(r"Added in version (\d+)\.", described)
        for term in terms.split(", "):
            name = re.match(r"\\fI([^\\]+)\\fR", term)
            if name:
                names[name[1]] = int(since[1]) if since else None
    return names


def gather(entries: list[Entry]) -> Facts:
    """The facts of all versions, from packages that are downloaded now."""
    facts: Facts = {}
    for version, suite in SUITES.items():
        found = look_into(download(suite), entries)
        assert int(found.version.partition(".")[0].partition("-")[0]) == version, found.version
        facts[str(version)] = {
            "package": found.version,
            "manual": dict(sorted(found.manual.items())),
            "requests": dict(sorted(found.requests.items())),
            "holds": dict(sorted(found.holds.items())),
        }
    return facts


# ---- both together


def covers(pattern: str, name: str) -> bool:
    """Whether a unit's request is for the name; of a name with parts, for all of them."""
    return fnmatchcase(name.replace("*", "PART"), re.sub(r"%[a-zA-Z]", "*", pattern.partition(":")[0]))


def reads(entry: Entry, reader: Reader, by: str, facts: Facts) -> bool:
    """Whether that version's packages show that this one of the readers gets it and looks at it."""
    held = {text for holder in reader.holds for text in facts["holds"].get(holder, [])}
    # the programs of util-linux are of other versions
    holds = reader.inlined or reader.inside in ("agetty", "login") or not held.isdisjoint(forms(entry))
    if not by.endswith(".service"):
        return holds
    # a unit that a generator makes is in no package
    made = [text.partition("=")[2] for text in held if text.startswith("ImportCredential=")]
    return holds and any(covers(pattern, entry.name) for pattern in facts["requests"].get(by, made))


def problems(entries: list[Entry], facts: Facts) -> list[str]:
    """Where the packages contradict what was reviewed, or have what nobody reviewed."""
    found = []
    names = {entry.name: entry for entry in entries}
    for version, seen in facts.items():
        for name, since in seen["manual"].items():
            if name not in names:
                found.append(f"{name}: in the manual page of {version}, and not in the atlas")
            elif since not in (None, names[name].since) and not names[name].why and version == max(facts):
                found.append(
                    f"{name}: the manual page says {since}, reviewed is {names[name].since}, and there is no `why`"
                )
        for unit, patterns in seen["requests"].items():
            for pattern in patterns:
                stem = re.sub(r"%[a-zA-Z]", "*", pattern.partition(":")[0]).partition("*")[0]
                if not any(entry.name.startswith(stem) or covers(pattern, entry.name) for entry in entries):
                    found.append(f"{unit} of {version} requests {pattern}, which is not in the atlas")
    for entry in entries:
        if bool(entry.parts) != ("*" in entry.name):
            found.append(f"{entry.name}: `parts` is for a name with '*', and each has it")
        if bool(entry.instead) == bool(entry.readers):
            found.append(f"{entry.name}: it has readers, or another is read instead")
        for reader, by in [(one, by) for one in entry.readers for by in one.by]:
            for version, seen in facts.items():
                expected = int(version) >= reader.since and not reader.drop_in and not reader.absent
                if reads(entry, reader, by, seen) != expected:
                    found.append(f"{entry.name}: {by} of {version} {'does not read' if expected else 'reads'} it")
    return found


def data(entries: list[Entry]) -> str:
    """The module with the atlas."""
    lines = [
        '"""Who reads which well-known credential and Type 11 string: written by `make atlas`, and never by hand."""',
        "",
        "# by, inside, since, time, when, drop_in",
        "_Reader = tuple[tuple[str, ...], str, int, str, str, bool]",
        "",
        "# name, since, parts, form, instead, readers",
        "Row = tuple[str, int, str, str, str, tuple[_Reader, ...]]",
        "",
        "# fmt: off",
        "ENTRIES: tuple[Row, ...] = (",
    ]
    for entry in sorted(entries, key=lambda entry: entry.name):
        lines.append(f"    ({_python(entry.name, entry.since, entry.parts, entry.form, entry.instead)}, (")
        for reader in entry.readers:
            row = _python(reader.by, reader.inside, reader.since, reader.time, reader.when, reader.drop_in)
            lines.append(f"        ({row}),")
        lines.append("    )),")
    return "\n".join([*lines, ")", ""])


def _python(*values: object) -> str:
    """Values as the project writes them in Python."""
    return ", ".join(
        f"({_python(*value)},)"
        if isinstance(value, tuple)
        else json.dumps(value)
        if isinstance(value, str)
        else repr(value)
        for value in values
    )


def page(entries: list[Entry], facts: Facts) -> str:
    """The page of the atlas."""
    packages = ", ".join(f"{seen['package']}" for seen in facts.values())
    strings = [entry for entry in entries if entry.is_string]
    lines = [
        "# Who reads what",
        "",
        "The names by which systemd itself, and the programs that its units start, look for credentials, and the Type 11",
        "strings that are no credentials. `guestcred why NAME` ends with the same. Debian's packages were looked into for",
        f"it ({packages}): the manual pages systemd.system-credentials(7) and smbios-type-11(7), what units import, and",
        "which programs have the name in them; when it has effect was read in systemd's source. `make atlas` writes this page.",
        "",
        f"## Credentials: {len(entries) - len(strings)} names",
        "",
    ]
    lines += _table([entry for entry in entries if not entry.is_string], facts)
    lines += ["", f"## Type 11 strings: {len(strings)} keys", "", *_table(strings, facts)]
    lines += ["", "## Where the manual page and the source disagree", ""]
    lines += [f"- `{entry.name}`: {entry.why}" for entry in entries if entry.why]
    return "\n".join([*lines, ""])


def _table(entries: list[Entry], facts: Facts) -> list[str]:
    lines = ["| name | since | read by | in the manual pages of |", "|---|---|---|---|"]
    for entry in sorted(entries, key=lambda entry: entry.name):
        told = f"nobody: it is `{entry.instead}`" if entry.instead else "; ".join(_readers(entry))
        parts = f"; `*` is {entry.parts}" if entry.parts else ""
        manuals = " ".join(version for version, seen in facts.items() if entry.name in seen["manual"])
        lines.append(f"| `{entry.name}` | {entry.since} | {told}{parts} | {manuals or '-'} |")
    return lines


def _readers(entry: Entry) -> list[str]:
    """Each of the readers, in the words of `why`."""
    told = []
    for reader in entry.readers:
        text = f"{f'{reader.inside} in ' if reader.inside else ''}{listed(list(reader.by))} {reader.time}"
        text += f" (since {reader.since})" if reader.since != entry.since else ""
        text += ", only with a drop-in that imports it" if reader.drop_in else ""
        told.append(f"{text}, {reader.when}" if reader.when else text)
    return told


def main() -> int:
    """Make all anew; 1 where packages and review contradict each other."""
    entries = reviewed(REVIEWED.read_text())
    facts = gather(entries)
    written = {
        FACTS: json.dumps(facts, indent=1) + "\n",
        DATA: data(entries),
        PAGE: page(entries, facts),
    }
    for path, text in written.items():
        old = path.read_text() if path.exists() else ""
        name = str(path.relative_to(ROOT))
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, name, n=0))
        path.write_text(text)
    found = problems(entries, facts)
    print(*found, f"{len(entries)} names, {len(found)} contradictions", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
