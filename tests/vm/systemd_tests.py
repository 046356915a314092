"""systemd's own tests of credentials, for `make judge`: how each is run, and what it expects of its machine."""

from __future__ import annotations

import base64
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from vm.images import IMDS_SINCE
from vm.scenarios import Initrd, Scenario, text

GUEST = Path(__file__).with_name("judge_guest.py")

# what systemd's test/integration-tests/TEST-54-CREDS/meson.build has the hypervisor hand over
SMBIOS = {
    "mynspawncredential": b"strangevalue",
    "smbioscredential": b"magicdata",
    "sysusers.extra": b"u credtestuser",
    "tmpfiles.extra": b"f /tmp/sourcedfromcredential - - - - tmpfilessecret",
    "fstab.extra": b"injected /injected tmpfs X-mount.mkdir 0 0",
    "getty.ttys.container": b"idontexist",
}
BINARY = {
    "binarysmbioscredential": b"magicbinarydata",
    "systemd.extra-unit.my-service.service": b"[Service]\nType=oneshot\nExecStart=touch /tmp/unit-cred\n",
    "systemd.unit-dropin.my-service.service": b"[Service]\nExecStart=touch /tmp/unit-dropin\n",
    "systemd.unit-dropin.my-service.service~30-named": b"[Service]\nExecStart=touch /tmp/unit-named-dropin\n",
}
FW_CFG = {"myqemucredential": b"othervalue"}
CMDLINE = {
    "kernelcmdlinecred": "uff",
    "sysctl.extra": "kernel.domainname=sysctltest",
    "login.motd": "hello",
    "login.issue": "welcome",
}
CMDLINE_BINARY = {"waldi": "d29vb29mZmZ3dWZmZnd1ZmYK"}
HANDED = {"myinitrdcred": b"guatemala"}
WORDS = {  # what `check` and `why` must say: status and cause
    **dict.fromkeys((*SMBIOS, *BINARY), ("imported", None)),
    **dict.fromkeys(FW_CFG, ("foreign", "fw-cfg")),
    **dict.fromkeys((*CMDLINE, *CMDLINE_BINARY), ("foreign", "cmdline")),
    **dict.fromkeys(HANDED, ("foreign", "initrd")),
    **dict.fromkeys(("this-should-not-exist", "undefinedcredential"), ("not-offered", None)),
}


@dataclass(frozen=True)
class SystemdTest:
    """A test of systemd's: what it is run with, what it expects of its machine, and how each credential of the system came.

    `since` is the first systemd that has it.
    """

    name: str
    handed: Scenario
    words: dict[str, tuple[str, str | None]]
    environment: tuple[str, ...] = ()
    tpm: bool = False
    since: int = 0

    @property
    def run(self) -> tuple[str, ...]:
        return ("python3", "/run/vm/judge_guest.py", self.name, *self.environment)

    @property
    def scenario(self) -> Scenario:
        return dataclasses.replace(
            self.handed,
            files={"judge_guest.py": GUEST.read_bytes()},
            commands=(self.run, *(("guestcred", "why", name, "--format", "json") for name in self.words)),
            limit=3000,
        )

    def lacks(self, systemd: int) -> str | None:
        """What keeps it from running here with that systemd, and the fix where there is one."""
        if systemd < self.since:
            return f"it came with systemd {self.since}"
        return "swtpm is missing: apt-get install swtpm" if self.tpm and not shutil.which("swtpm") else None


CREDS = SystemdTest(
    "TEST-54-CREDS",
    Scenario(
        "judge-creds",
        (
            *(text(name, value) for name, value in SMBIOS.items()),
            *(b"io.systemd.credential.binary:%s=%s" % (name.encode(), base64.b64encode(value)) for name, value in BINARY.items()),
        ),
        fw_cfg=FW_CFG,
        cmdline=" ".join((
            *(f"systemd.set_credential={name}:{value}" for name, value in CMDLINE.items()),
            *(f"systemd.set_credential_binary={name}:{value}" for name, value in CMDLINE_BINARY.items()),
            "rd.systemd.import_credentials=no",
        )),
        initrd=Initrd(extra={}, handed=HANDED),
    ),
    WORDS,
)  # fmt: skip
# of TEST-70-TPM2 the part that is about credentials
TPM2 = SystemdTest("TEST-70-TPM2", Scenario("judge-tpm2"), {}, environment=("TEST_MATCH_SUBTEST=creds",), tpm=True)
# of TEST-74-AUX-UTILS the part in which a cloud's metadata service brings credentials
IMDS = SystemdTest(
    "TEST-74-AUX-UTILS", Scenario("judge-imds"), {}, environment=("TEST_MATCH_SUBTEST=imds",), since=IMDS_SINCE
)
TESTS = (CREDS, TPM2, IMDS)
