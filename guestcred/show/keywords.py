"""Words for types and for single values, as `dmidecode` has them."""

from __future__ import annotations

from guestcred.smbios.names import STRUCTURE_NAMES

# dmidecode(8), --type
TYPE_KEYWORDS = {
    "bios": (0, 13),
    "system": (1, 12, 15, 23, 32),
    "baseboard": (2, 10, 41),
    "chassis": (3,),
    "processor": (4,),
    "memory": (5, 6, 16, 17),
    "cache": (7,),
    "connector": (8,),
    "slot": (9,),
}

# dmidecode(8), --string: the type, and the line of it
STRING_KEYWORDS = {
    "bios-vendor": (0, "Vendor"),
    "bios-version": (0, "Version"),
    "bios-release-date": (0, "Release Date"),
    "bios-revision": (0, "BIOS Revision"),
    "firmware-revision": (0, "Firmware Revision"),
    "system-manufacturer": (1, "Manufacturer"),
    "system-product-name": (1, "Product Name"),
    "system-version": (1, "Version"),
    "system-serial-number": (1, "Serial Number"),
    "system-uuid": (1, "UUID"),
    "system-sku-number": (1, "SKU Number"),
    "system-family": (1, "Family"),
    "baseboard-manufacturer": (2, "Manufacturer"),
    "baseboard-product-name": (2, "Product Name"),
    "baseboard-version": (2, "Version"),
    "baseboard-serial-number": (2, "Serial Number"),
    "baseboard-asset-tag": (2, "Asset Tag"),
    "chassis-manufacturer": (3, "Manufacturer"),
    "chassis-type": (3, "Type"),
    "chassis-version": (3, "Version"),
    "chassis-serial-number": (3, "Serial Number"),
    "chassis-asset-tag": (3, "Asset Tag"),
    "processor-family": (4, "Family"),
    "processor-manufacturer": (4, "Manufacturer"),
    "processor-version": (4, "Version"),
    "processor-frequency": (4, "Current Speed"),
}

# What dmidecode has and dump not, and what to type instead.
INSTEAD = {
    "--dump": "--format json has the bytes of each field, and --dump-bin FILE those of the whole table",
    "--oem-string": "dump shows all OEM strings without their values, and with --reveal with them",
    "--no-quirks": "there are no quirks: --format json has every field as it stands there",
    "--no-sysfs": "the kernel's files are the table itself, and memory is read only where there are none",
    "--version": "guestcred --version says it",
    "--dev-mem": "save the table with 'dmidecode -d FILE --dump-bin table.bin', then: guestcred dump table.bin",
}


def types_of(text: str) -> frozenset[int] | None:
    """The types that a word, a name or numbers with commas stand for, None for `all`. Raises ValueError."""
    if text.lower() == "all":
        return None
    found: set[int] = set()
    for part in text.split(","):
        word = part.strip().lower().replace("_", " ").replace("-", " ")
        by_name = {number for number, name in STRUCTURE_NAMES.items() if name.lower().replace("-", " ") == word}
        found |= set(TYPE_KEYWORDS.get(word, ())) or by_name or {_number(part.strip(), 0xFF)}
    return frozenset(found)


def handle_of(text: str) -> int:
    """A handle, as 0x0011 or in decimal. Raises ValueError."""
    return _number(text, 0xFFFF)


def _number(text: str, most: int) -> int:
    number = int(text, 0)
    if not 0 <= number <= most:
        raise ValueError(text)
    return number
