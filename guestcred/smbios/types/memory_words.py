"""Words of DSP0134 for memory, each table with its section."""

from __future__ import annotations

from guestcred.smbios.values import words

# 7.6.1 to 7.6.4, 7.7.1
DETECTING_METHODS = words(1, "Other; Unknown; None; 8-bit Parity; 32-bit ECC; 64-bit ECC; 128-bit ECC; CRC")
CORRECTING = words(0, "Other; Unknown; None; Single-bit Error Correcting; Double-bit Error Correcting; Error Scrubbing")
INTERLEAVE = words(
    1,
    "Other; Unknown; One-way Interleave; Two-way Interleave; Four-way Interleave; Eight-way Interleave; "
    "Sixteen-way Interleave",
)
CONTROLLER_SPEEDS = words(0, "Other; Unknown; 70 ns; 60 ns; 50 ns")
MODULE_TYPES = words(0, "Other; Unknown; Standard; FPM; EDO; Parity; ECC; SIMM; DIMM; Burst EDO; SDRAM")

# 7.17.1 to 7.17.3
ARRAY_LOCATIONS = words(
    1,
    "Other; Unknown; System Board Or Motherboard; ISA Add-on Card; EISA Add-on Card; PCI Add-on Card; "
    "MCA Add-on Card; PCMCIA Add-on Card; Proprietary Add-on Card; NuBus",
) | words(
    0xA0,
    "PC-98/C20 Add-on Card; PC-98/C24 Add-on Card; PC-98/E Add-on Card; PC-98/Local Bus Add-on Card; CXL Add-on Card",
)
ARRAY_USES = words(1, "Other; Unknown; System Memory; Video Memory; Flash Memory; Non-volatile RAM; Cache Memory")
ARRAY_CORRECTION = words(1, "Other; Unknown; None; Parity; Single-bit ECC; Multi-bit ECC; CRC")

# 7.18.1 to 7.18.3, 7.18.6, 7.18.7
FORM_FACTORS = words(
    1,
    "Other; Unknown; SIMM; SIP; Chip; DIP; ZIP; Proprietary Card; DIMM; TSOP; Row Of Chips; RIMM; SODIMM; SRIMM; "
    "FB-DIMM; Die; CAMM; CUDIMM; CSODIMM",
)
DEVICE_TYPES = words(
    1,
    "Other; Unknown; DRAM; EDRAM; VRAM; SRAM; RAM; ROM; Flash; EEPROM; FEPROM; EPROM; CDRAM; 3DRAM; SDRAM; SGRAM; "
    "RDRAM; DDR; DDR2; DDR2 FB-DIMM; Reserved; Reserved; Reserved; DDR3; FBD2; DDR4; LPDDR; LPDDR2; LPDDR3; LPDDR4; "
    "Logical non-volatile device; HBM; HBM2; DDR5; LPDDR5; HBM3; MRDIMM",
)
TYPE_DETAILS = words(
    1,
    "Other; Unknown; Fast-paged; Static Column; Pseudo-static; RAMBus; Synchronous; CMOS; EDO; Window DRAM; "
    "Cache DRAM; Non-Volatile; Registered (Buffered); Unbuffered (Unregistered); LRDIMM",
)
TECHNOLOGIES = words(1, "Other; Unknown; DRAM; NVDIMM-N; NVDIMM-F; NVDIMM-P; Intel Optane persistent memory; MRDIMM")
OPERATING_MODES = words(
    1, "Other; Unknown; Volatile memory; Byte-accessible persistent memory; Block-accessible persistent memory"
)

# 7.19.1 to 7.19.3, 7.38.1
ERROR_TYPES = words(
    1,
    "Other; Unknown; OK; Bad Read; Parity Error; Single-bit Error; Double-bit Error; Multi-bit Error; Nibble Error; "
    "Checksum Error; CRC Error; Corrected Single-bit Error; Corrected Error; Uncorrectable Error",
)
ERROR_GRANULARITY = words(1, "Other; Unknown; Device Level; Memory Partition Level")
ERROR_OPERATIONS = words(1, "Other; Unknown; Read; Write; Partial Write")
CHANNEL_TYPES = words(1, "Other; Unknown; RamBus; SyncLink")
