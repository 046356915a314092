"""The few numbers of an entry point, read without construct: the boot path needs them where a table ended badly."""

from __future__ import annotations

from guestcred.record import Record

# Bytes; DSP0134 5.2.1 and 5.2.2. These and the offsets below are declared in layout.py, and a test holds them to it.
SIZE_32, SIZE_64 = 31, 24
DUMP_TABLE = 0x20  # where 'dmidecode --dump-bin' puts the table


class EntryPoint(Record):
    """An SMBIOS entry point: `anchor` is `_SM_` or `_SM3_`, lengths in bytes, `address` physical.

    `table_length` is exact under `_SM_` and a maximum under `_SM3_`; `count` is None there.
    `defects` says in words which checksum or length does not hold.
    """

    anchor: str
    version: str
    table_length: int
    address: int
    count: int | None
    defects: tuple[str, ...]


def parse_entry_point(data: bytes) -> EntryPoint | None:
    """Read an entry point at the front of `data` (DSP0134 5.2); None where there is none or it is cut."""

    def number(start: int, stop: int) -> int:
        return int.from_bytes(data[start:stop], "little")

    if data.startswith(b"_SM3_") and len(data) >= SIZE_64:
        version = f"{data[7]}.{data[8]}.{data[9]}"
        defects = _defects(data, data[6], (SIZE_64,))
        return EntryPoint(
            anchor="_SM3_",
            version=version,
            table_length=number(0x0C, 0x10),
            address=number(0x10, 0x18),
            count=None,
            defects=defects,
        )
    if data.startswith(b"_SM_") and data[0x10:0x15] == b"_DMI_" and len(data) >= SIZE_32:
        # SMBIOS 2.1 gave 0x1E as the length, by mistake (DSP0134 5.2.1, table 1)
        defects = _defects(data, data[5], (SIZE_32, SIZE_32 - 1))
        if sum(data[0x10:SIZE_32]) % 256:
            defects += ("the entry point's intermediate checksum does not hold",)
        version = f"{data[6]}.{data[7]}"
        return EntryPoint(
            anchor="_SM_",
            version=version,
            table_length=number(0x16, 0x18),
            address=number(0x18, 0x1C),
            count=number(0x1C, 0x1E),
            defects=defects,
        )
    return None


def _defects(data: bytes, length: int, allowed: tuple[int, ...]) -> tuple[str, ...]:
    if length not in allowed:
        return (f"the entry point's length is {length}, not {allowed[0]}",)
    return ("the entry point's checksum does not hold",) if sum(data[:length]) % 256 else ()
