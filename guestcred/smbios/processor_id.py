"""What the eight bytes of a processor's ID say, by its family (DSP0134 7.5.3)."""

from __future__ import annotations

from guestcred.smbios.text import About, Row, hexadecimal
from guestcred.smbios.values import words

# Intel's and AMD's CPUID function 1, register EDX
_FLAGS = words(
    0,
    "FPU (Floating-point unit on-chip); VME (Virtual mode extension); DE (Debugging extension); "
    "PSE (Page size extension); TSC (Time stamp counter); MSR (Model specific registers); "
    "PAE (Physical address extension); MCE (Machine check exception); CX8 (CMPXCHG8 instruction supported); "
    "APIC (On-chip APIC hardware supported); -; SEP (Fast system call); MTRR (Memory type range registers); "
    "PGE (Page global enable); MCA (Machine check architecture); CMOV (Conditional move instruction supported); "
    "PAT (Page attribute table); PSE-36 (36-bit page size extension); "
    "PSN (Processor serial number present and enabled); CLFSH (CLFLUSH instruction supported); -; DS (Debug store); "
    "ACPI (ACPI supported); MMX (MMX technology supported); FXSR (FXSAVE and FXSTOR instructions supported); "
    "SSE (Streaming SIMD extensions); SSE2 (Streaming SIMD extensions 2); SS (Self-snoop); HTT (Multi-threading); "
    "TM (Thermal monitor supported); -; PBE (Pending break enabled)",
)

# families whose ID is that of CPUID, by maker; the others have none that is defined
_INTEL = (
    *((0x0B, 0x15), (0x28, 0x2F), (0xA1, 0xB3), (0xB5, 0xB5), (0xB9, 0xC7), (0xCD, 0xD0), (0xD2, 0xDB)),
    *((0xDD, 0xE0), (0x300, 0x307)),
)
_AMD = (
    *((0x18, 0x1D), (0x1F, 0x1F), (0x38, 0x3F), (0x46, 0x4F), (0x66, 0x6B), (0x83, 0x8F), (0xB6, 0xB7)),
    (0xE4, 0xEF),
)
_ARM = ((0x100, 0x102), (0x118, 0x119))
_LOONGARCH = ((0x258, 0x262), (0x26C, 0x271))
_SOC_ID = 9  # bit of the processor characteristics; DSP0134 7.5.9


def _one_of(family: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= family <= last for first, last in ranges)


def identity(data: bytes, about: About) -> list[Row]:
    """The bytes, what they say of the processor, and its features."""
    family = about.get("processor_family")
    if family == 0xFE:
        family = about.get("processor_family_2", family)
    rows = [Row("ID", hexadecimal(data), verbose=True)]
    low, high = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
    short = low & 0xFFFF
    intel, amd = _one_of(family, _INTEL), _one_of(family, _AMD)
    told = ""
    if family == 0x05:
        told = f"Type {short >> 12}, Family {short >> 8 & 0xF}, Major Stepping {short >> 4 & 0xF}, Minor Stepping {short & 0xF}"
    elif family == 0x06:
        model = short >> 4 & 0xF
        intel = short >> 8 & 0xF == 4 and (model == 4 or model >= 7) and short & 0xF >= 3  # a 486 that has CPUID
        if not intel:
            told = f"Type {short >> 12 & 3}, Family {short >> 8 & 0xF}, Model {model}, Stepping {short & 0xF}"
    elif _one_of(family, _ARM):
        told = _arm(low, high, bool(about.get("processor_characteristics", 0) >> _SOC_ID & 1))
    elif _one_of(family, _LOONGARCH):
        told = f"Processor Identity 0x{low:08x}"
    if intel:
        base, model = (low >> 20 & 0xFF) + (low >> 8 & 0xF), (low >> 12 & 0xF0) + (low >> 4 & 0xF)
        told = f"Type {low >> 12 & 3}, Family {base}, Model {model}, Stepping {low & 0xF}"
    elif amd:
        base, extended = low >> 8 & 0xF, (low >> 8 & 0xF) == 0xF
        model = low >> 4 & 0xF | (low >> 12 & 0xF0 if extended else 0)
        told = f"Family {base + (low >> 20 & 0xFF if extended else 0)}, Model {model}, Stepping {low & 0xF}"
    if told:
        rows.append(Row("Signature", told))
    if intel or amd:
        names = tuple(word for bit, word in _FLAGS.items() if high >> bit & 1)
        rows.append(Row("Flags", None if names else "None", names))
    return rows


def _arm(low: int, high: int, soc_id: bool) -> str:
    if soc_id:  # the answers of SMCCC_ARCH_SOC_ID
        return (
            f"JEP-106 Bank 0x{low >> 24 & 0x7F:02x} Manufacturer 0x{low >> 16 & 0x7F:02x}, "
            f"SoC ID 0x{low & 0xFFFF:04x}, SoC Revision 0x{high:08x}"
        )
    if not low:  # not defined before SMBIOS 3.1
        return ""
    return (
        f"Implementor 0x{low >> 24:02x}, Variant 0x{low >> 20 & 0xF:x}, Architecture {low >> 16 & 0xF}, "
        f"Part 0x{low >> 4 & 0xFFF:03x}, Revision {low & 0xF}"
    )
