"""systemd's rules for credentials: names, limits and its own base64."""

from __future__ import annotations

import binascii

TEXT_PREFIX = b"io.systemd.credential:"
BINARY_PREFIX = b"io.systemd.credential.binary:"
SYSTEM = "run/credentials/@system"  # where PID 1 puts what it imported, below the root

SIZE_MAX = 1024 * 1024  # bytes; systemd src/shared/creds-util.h CREDENTIAL_SIZE_MAX
TOTAL_SIZE_MAX = 1024 * 1024  # bytes; CREDENTIALS_TOTAL_SIZE_MAX
NAME_MAX = 255  # bytes; FDNAME_MAX and NAME_MAX
READ_CUT = (
    4096  # bytes; all that systemd before 257 reads of an entry (read_virtual_file() of a sysfs file); seen: 252, 254
)
READ_WHOLE_SINCE = 257  # read_smbios11_field() in systemd src/shared/smbios11.c reads it with read_full_file_full()
PAGE = 4096  # bytes
STORE_PAGES = 256  # pages of the 1 MiB tmpfs that holds @system, on Linux 6.4 and later
STORE_SINCE = 254  # mount_credentials_fs() prefers tmpfs to ramfs where the kernel can keep it out of swap

URL_SAFE_SINCE = 255  # unbase64char() takes "-" and "_" since then; 252 and 254 refuse them
CONFIDENTIAL_VM_SINCE = 254  # import_credentials_smbios() skips confidential VMs since then
TDX_TRUSTED_SINCE = 262  # but takes them under TDX, whose SMBIOS table is measured
CMDLINE_BINARY_SINCE = 254  # systemd.set_credential_binary=; seen to be ignored by 252 and taken by 254 and 257
ARGUMENTS_SINCE = 254  # takes those of a container's PID 1 one by one; 252 splits them anew (seen: 252 to 262)
IMPORTS_SMBIOS_SINCE = 252
INITRD_SINCE = 254  # import_credentials_initrd(): from /run/credentials/@initrd, which it then removes
EXTRA_SYSTEM_SINCE = (
    262  # import_credentials_boot() takes /.extra/system_credentials/*.cred of the initrd, before all others
)

# what systemd itself reads, by systemd.system-credentials(7): its units ask for these in case they are there
SYSTEMD_OWN = (
    "agetty.", "bootctl.", "cryptsetup.", "firstboot.", "fsck.", "fstab.", "getty.", "home.", "import.", "imds.",
    "journal.", "login.", "network.", "passwd.", "quotacheck.", "resolve.", "shell.", "ssh.", "sysctl.", "system.",
    "systemd.", "sysusers.", "tmpfiles.", "tty.", "udev.", "userdb.", "vconsole.", "veritysetup.", "vmm.",
)  # fmt: skip

_NAME_BYTES = bytes(byte for byte in range(0x20, 0x7F) if byte not in b"/:")
_WHITESPACE = b" \t\n\r"  # systemd string-util.h WHITESPACE
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def pages(size: int) -> int:
    """How many pages of a tmpfs a credential of that size (bytes) takes."""
    return max(1, -(-size // PAGE))


def name_is_valid(name: bytes) -> bool:
    """Whether `name` may name a credential: credential_name_valid(), that is filename_is_valid() and fdname_is_valid()."""
    if not 1 <= len(name) <= NAME_MAX or name in (b".", b".."):
        return False
    return not name.translate(None, _NAME_BYTES)


def base64_decode(text: bytes, systemd: int | None) -> bytes | None:
    """Decode as systemd's unbase64mem() does, or return None where it refuses.

    White space may be anywhere, groups must be whole, padding is only at the end, and spare bits must be
    zero. `systemd` is its major version: before 255 it refuses the URL-safe characters; None means the newest rules.
    """
    compact = text.translate(None, _WHITESPACE)
    if systemd is None or systemd >= URL_SAFE_SINCE:
        compact = compact.replace(b"-", b"+").replace(b"_", b"/")
    if len(compact) % 4:
        return None
    digits = compact.rstrip(b"=")
    padding = len(compact) - len(digits)
    if padding > 2 or digits.translate(None, _ALPHABET):
        return None
    if padding and _ALPHABET.index(digits[-1:]) & (15 if padding == 2 else 3):
        return None
    return binascii.a2b_base64(compact)


def is_whole_base64(text: bytes) -> bool:
    """Whether a text is base64 of 16 bytes or more, in the standard alphabet and padded, as tools encode a secret."""
    decoded = base64_decode(text, IMPORTS_SMBIOS_SINCE)
    return decoded is not None and len(decoded) >= 16
