"""The shape of every JSON document that a command prints: mypy holds the functions to it, and the schemas are made of it.

Nothing here runs. What a key means stands in the docstring of its class, and goes into the schema.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from guestcred.diagnose.causes import Cause
from guestcred.diagnose.compare import Status
from guestcred.diagnose.findings import Code
from guestcred.diagnose.matrix import Row
from guestcred.diagnose.services import Service
from guestcred.diagnose.stations import Station
from guestcred.guest.snapshot import Origin
from guestcred.record import JsonOf
from guestcred.smbios.walk import Ending
from guestcred.systemd.offered import Encoding, Reason

Verdict = Literal["agrees", "fixed", "findings"]


class FindingJson(TypedDict):
    """What happened in one sentence, and in the next what to do about it."""

    code: Code
    message: str
    hint: str


class CredentialJson(TypedDict):
    """One credential: `size` in bytes of what was imported, else of what was offered, else meant; `handle` and `index`
    say where its string is in the table, from 1, null for one that is not there; `cause` is that of its loss, or the
    origin of a foreign one; `meant` is the size by the host's manifest, null where none says so.
    """

    name: str
    status: Status
    size: int
    handle: int | None
    index: int | None
    cause: Cause | Origin | Literal["unknown"] | None
    meant: int | None


class RejectedJson(TypedDict):
    """A string with a credential prefix that PID 1 refuses; `name` is null where it has none."""

    name: str | None
    handle: int
    index: int
    reason: Reason


class KeyJson(TypedDict):
    """A string for systemd-boot or systemd-stub: `key` is its first part, without the value; `reader` says who reads it,
    or that nobody does (`read` is false) and why.
    """

    key: str
    handle: int
    index: int
    read: bool
    reader: str


class CheckDocument(TypedDict):
    """What `guestcred check` found: offered against imported. `strings` are no credentials and have a reader; `rescued` has
    the losses that do no harm any more.
    """

    schema: Literal["guestcred.check/1"]
    verdict: Verdict
    systemd: int | None
    credentials: list[CredentialJson]
    rejected: list[RejectedJson]
    strings: list[KeyJson]
    findings: list[FindingJson]
    rescued: list[FindingJson]
    warnings: list[FindingJson]


class StageJson(TypedDict):
    """A station on a credential's way, and what shows whether the credential passed it."""

    stage: Station
    passed: bool
    evidence: str


class RefusedJson(TypedDict):
    """Another string of the same name, which PID 1 refuses."""

    handle: int
    index: int
    reason: Reason


class WhyDocument(TypedDict):
    """One credential's way by `guestcred why`: `reached` is the last stage that it passed, `finding` is null where it
    arrived, `units` is what is wrong in units that request it, `said` is what PID 1 wrote about it into the journal.
    """

    schema: Literal["guestcred.why/1"]
    name: str
    status: Status | Literal["rejected", "not-offered", "not-imported", "stored"]
    cause: Cause | Origin | Reason | Literal["unknown"] | None
    stages: list[StageJson]
    reached: Station | None
    also: list[RefusedJson]
    said: list[str]
    finding: FindingJson | None
    units: list[FindingJson]
    warnings: list[FindingJson]


class StatusDocument(TypedDict):
    """All credentials over all stages by `guestcred status`, problems first."""

    schema: Literal["guestcred.status/1"]
    verdict: Verdict
    systemd: int | None
    credentials: list[JsonOf[Row]]
    findings: list[FindingJson]
    rescued: list[FindingJson]
    warnings: list[FindingJson]


class ServicesDocument(TypedDict):
    """What units request and get by `guestcred services`; the units of `user_managers` were not looked at."""

    schema: Literal["guestcred.services/1"]
    verdict: Literal["agrees", "findings"]
    systemd: int | None
    services: list[JsonOf[Service]]
    findings: list[FindingJson]
    user_managers: list[str]


class FileJson(TypedDict):
    """A credential in a store: `path` is absolute in the guest, `size` in bytes."""

    name: str
    size: int
    path: str


class GivenJson(TypedDict):
    """A credential that a service gets as `id`: `source` is where its value is from, absolute in the guest."""

    id: str
    size: int
    source: str


class DirectoryJson(TypedDict):
    """A service's directory below /run/guestcred; `skipped` has the ids that no source has."""

    unit: str
    user: str
    credentials: list[GivenJson]
    skipped: list[str]


class LeftJson(TypedDict):
    """What is left to fix: `names` are the credentials that it is about, as they are shown, `status` and `cause` what
    became of them.
    """

    names: list[str]
    status: Code | Literal["rejected"]
    cause: Cause | Reason | None
    message: str
    hint: str


class PlannedJson(TypedDict):
    """What is in place after `guestcred apply`; `present` are missing credentials that others put where units find them."""

    verdict: Verdict
    systemd: int | None
    credentials: list[CredentialJson]
    rescued: list[FileJson]
    present: list[FileJson]
    services: list[DirectoryJson]
    findings: list[LeftJson]


class ReportDocument(PlannedJson):
    """What `guestcred apply` leaves in /run/guestcred/report.json: what is in place, and what is left to fix."""

    schema: Literal["guestcred.report/1"]


class ApplyDocument(PlannedJson):
    """What a run of `guestcred apply` did, beside the report: with `dry_run` it wrote nothing, and `changed` says whether
    it would have.
    """

    schema: Literal["guestcred.apply/1"]
    dry_run: bool
    changed: bool


class EndedJson(TypedDict):
    """Where and why the walk through the table had to stop; `offset` in bytes."""

    offset: int
    reason: Ending


class TargetJson(TypedDict):
    """The structure that a line points to."""

    handle: int
    type: int
    name: str


class LineJson(TypedDict):
    """A line of a structure, as dmidecode has it."""

    label: str
    text: NotRequired[str]
    items: NotRequired[list[str]]
    points_to: NotRequired[TargetJson]


class SectionJson(TypedDict):
    """A heading, and the lines below it."""

    heading: str
    rows: list[LineJson]


class TypedJson(TypedDict):
    """`fields` by their DSP0134 names as they stand in the structure, and `decoded`, what they mean."""

    name: str
    fields: dict[str, object]
    decoded: list[SectionJson]


class StructureJson(TypedDict):
    """A structure; `length` is that of its formatted area in bytes. The last three only with --type or --all."""

    handle: int
    type: int
    length: int
    strings: list[str]
    name: NotRequired[str]
    fields: NotRequired[dict[str, object]]
    decoded: NotRequired[list[SectionJson]]


class OemStringJson(TypedDict):
    """An OEM string, counted from 1 in its structure: a credential with its `size` in bytes, or another `text`; `value`
    only with --reveal; `reader`, of a string for systemd-boot or systemd-stub.
    """

    handle: int
    index: int
    name: NotRequired[str]
    encoding: NotRequired[Encoding]
    size: NotRequired[int]
    value: NotRequired[str]
    text: NotRequired[str]
    reader: NotRequired[str]


class DumpWarningJson(TypedDict):
    """What looks wrong about the table."""

    code: Code
    message: str


class DumpDocument(TypedDict):
    """A decoded table by `guestcred dump`."""

    schema: Literal["guestcred.dump/1"]
    smbios_version: str | None
    ended: EndedJson | None
    structures: list[StructureJson]
    oem_strings: list[OemStringJson]
    warnings: list[DumpWarningJson]


class DumpValueDocument(TypedDict):
    """One value of each structure that has it, by `guestcred dump --string`."""

    schema: Literal["guestcred.dump-value/1"]
    keyword: str
    values: list[str]


class EncodedJson(TypedDict):
    """A credential: `size` is that of its value, `string_size` of its OEM string, in bytes."""

    name: str
    encoding: Encoding
    size: int
    string_size: int


class LimitJson(TypedDict):
    """How much of a limit is used, in `unit`; `source` says whose limit it is."""

    name: str
    used: int
    maximum: int
    unit: Literal["bytes", "strings", "pages"]
    source: str


For = TypedDict("For", {"for": str})  # a word of Python's own: the hypervisor


class EncodeDocument(For):
    """How much of every limit the strings use, by `guestcred encode --dry-run`."""

    schema: Literal["guestcred.encode/1"]
    fits: bool
    credentials: list[EncodedJson]
    limits: list[LimitJson]


class ForecastDocument(For):
    """What guests with each of several systemds would import by `guestcred status --from`; the last one is judged by."""

    schema: Literal["guestcred.forecast/1"]
    verdict: Literal["agrees", "findings"]
    fits: bool
    guests: list[CheckDocument]
    limits: list[LimitJson]


class ConfigFileJson(TypedDict):
    """A TOML file, and the services that it names."""

    path: str
    services: list[str]


class MistakeJson(FindingJson):
    """What is wrong in a file, where `line` and `key` can be told."""

    path: str
    line: int | None
    key: str | None


class ConfigDocument(TypedDict):
    """What `guestcred config check` found in TOML files."""

    schema: Literal["guestcred.config/1"]
    verdict: Literal["agrees", "findings"]
    files: list[ConfigFileJson]
    findings: list[MistakeJson]
    warnings: list[MistakeJson]


class CapturedDocument(TypedDict):
    """What `guestcred capture` wrote: the absolute `path` of the new folder, and how many `files` are in it."""

    schema: Literal["guestcred.captured/1"]
    path: str
    files: int
