"""Every cause of a loss: what happened in one sentence, and what to do in the next."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Cause = Literal[
        "dmi-sysfs-absent",
        "import-disabled",
        "confidential-vm",
        "container",
        "earlier-stage",
        "systemd-too-old",
        "cut-read",
        "cut-by-kernel",
        "store-full",
        "shadowed-by-fw-cfg",
        "shadowed-by-initrd",
        "lost-at-switch-root",
        "lost-on-the-way",
        "altered",
        "unreadable",
        "undecided",
        "unknown",
    ]

_INTO_INITRD = 'apt install guestcred-initrd, or on NixOS boot.initrd.kernelModules = [ "dmi-sysfs" ]'

CAUSES: dict[Cause, tuple[str, str]] = {
    "dmi-sysfs-absent": (
        "PID 1 reads SMBIOS through /sys/firmware/dmi/entries, and the kernel has no dmi-sysfs there",
        f"{_INTO_INITRD}; it helps only where 'modinfo dmi-sysfs' finds a module and modprobe.d has no blacklist for it, "
        "else only a kernel with CONFIG_DMI_SYSFS=y does",
    ),
    "import-disabled": (
        "systemd.import_credentials=no is on the kernel command line (of a container: among PID 1's arguments)",
        "that is on purpose: ask who set it; then remove it where that is made (boot loader, the host's VM, the container's "
        "manager), and boot again",
    ),
    "confidential-vm": (
        "this is a confidential VM, and systemd does not trust what the host's firmware tables say there",
        "hand secrets over encrypted (systemd-creds encrypt --with-key=tpm2) or after attestation",
    ),
    "container": (
        "this is a container, and PID 1 reads no SMBIOS and no fw_cfg in one, and nothing else where it was handed credentials",
        "pass the credential through the container manager (systemd-nspawn --load-credential=NAME:PATH)",
    ),
    "earlier-stage": (
        "an earlier PID 1 (in the initrd) did the import, and the one after it does not repeat it",
        f"{_INTO_INITRD}; an initrd that has dmi-sysfs lacks the system's own version of systemd: make it anew",
    ),
    "systemd-too-old": (
        "this systemd is older than 252 and does not import from SMBIOS",
        "upgrade systemd to 252 or later",
    ),
    "cut-read": (
        "systemd before 257 reads only the first 4096 bytes of a Type 11 structure, and this string lies across or behind them",
        "upgrade systemd to 257 or later, or send some of that structure's strings by another way (fw_cfg, disk or vsock): "
        "no order of them fits",
    ),
    "cut-by-kernel": (
        "only the low 16 bits of the table's length were kept when it was placed (SeaBIOS does that), and what lies behind is cut off",
        "keep the whole table, with all OEM strings, under 64 KiB: send large values by disk or vsock",
    ),
    "store-full": (
        "the 1 MiB store of @system was full: every credential takes at least a 4 KiB page of it",
        "offer at most 256 credentials, or join small ones into one",
    ),
    "shadowed-by-fw-cfg": (
        "QEMU's fw_cfg offers a credential of the same name, which PID 1 reads first and keeps",
        "to get the OEM string's value, remove '-fw_cfg name=opt/io.systemd.credentials/NAME' on the host; else remove the OEM string",
    ),
    "shadowed-by-initrd": (
        "the initrd brought a credential of the same name in /.extra/system_credentials, and it comes before SMBIOS",
        "remove one of the two: the file from what the initrd is made of, or the OEM string on the host",
    ),
    "lost-at-switch-root": (
        "the initrd's PID 1 imported it, and /run/credentials/@system did not come along at switch-root",
        "keep /run mounted over switch-root (systemctl switch-root does)",
    ),
    "lost-on-the-way": (
        "the host's manifest names it, and the table has no such string",
        "see what stands between the host and the table: the hypervisor's limits ('guestcred encode --dry-run'), or a "
        "program that changes its OEM strings",
    ),
    "altered": (
        "the host's manifest tells of other bytes, so its string was cut or changed on the way",
        "hand it over with 'guestcred launch', past the option parsers that split or unquote, and see that nothing "
        "changes the secret between its reading and the VM's start",
    ),
    "unreadable": (
        "its place in @system is taken by something that is not a readable file",
        "see who put it there and remove it: a credential is a regular file",
    ),
    "undecided": (
        "systemd could not be asked whether this is a container or a confidential VM, where it imports nothing on purpose",
        "see why 'systemd-detect-virt --container' and 'systemd-detect-virt --cvm' do not answer, then: guestcred apply",
    ),
    "unknown": (
        "nothing that can be seen from here explains it",
        "read PID 1's own words: journalctl -b _PID=1 | grep -i credential",
    ),
}
