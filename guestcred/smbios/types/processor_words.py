"""Words of DSP0134 for processors and caches, each table with its section."""

from __future__ import annotations

from guestcred.smbios.values import words

# 7.5.1, 7.5 (status), 7.5.9, 7.45.2
PROCESSOR_TYPES = words(1, "Other; Unknown; Central Processor; Math Processor; DSP Processor; Video Processor")
PROCESSOR_STATUS = words(0, "Unknown; Enabled; Disabled By User; Disabled By BIOS; Idle; -; -; Other")
CHARACTERISTICS = words(
    2,
    "64-bit capable; Multi-Core; Hardware Thread; Execute Protection; Enhanced Virtualization; "
    "Power/Performance Control; 128-bit Capable; Arm64 SoC ID",
)
ARCHITECTURES = words(
    1,
    "IA32 (x86); x64 (x86-64); Itanium; 32-bit ARM (Aarch32); 64-bit ARM (Aarch64); 32-bit RISC-V (RV32); "
    "64-bit RISC-V (RV64); 128-bit RISC-V (RV128); 32-bit LoongArch (LoongArch32); 64-bit LoongArch (LoongArch64)",
)

# 7.5.2; 0xBE means Core 2 or K7, as the manufacturer is
FAMILIES = (
    words(
        0x01,
        "Other; Unknown; 8086; 80286; 80386; 80486; 8087; 80287; 80387; 80487; Pentium; Pentium Pro; Pentium II; "
        "Pentium MMX; Celeron; Pentium II Xeon; Pentium III; M1; M2; Celeron M; Pentium 4 HT; Intel; -; Duron; K5; "
        "K6; K6-2; K6-3; Athlon; AMD29000; K6-2+; Power PC; Power PC 601; Power PC 603; Power PC 603+; Power PC 604; "
        "Power PC 620; Power PC x704; Power PC 750; Core Duo; Core Duo Mobile; Core Solo Mobile; Atom; Core M; "
        "Core m3; Core m5; Core m7; Alpha; Alpha 21064; Alpha 21066; Alpha 21164; Alpha 21164PC; Alpha 21164a; "
        "Alpha 21264; Alpha 21364; Turion II Ultra Dual-Core Mobile M; Turion II Dual-Core Mobile M; "
        "Athlon II Dual-Core M; Opteron 6100; Opteron 4100; Opteron 6200; Opteron 4200; FX; MIPS; MIPS R4000; "
        "MIPS R4200; MIPS R4400; MIPS R4600; MIPS R10000; C-Series; E-Series; A-Series; G-Series; Z-Series; R-Series; "
        "Opteron 4300; Opteron 6300; Opteron 3300; FirePro; SPARC; SuperSPARC; MicroSPARC II; MicroSPARC IIep; "
        "UltraSPARC; UltraSPARC II; UltraSPARC IIi; UltraSPARC III; UltraSPARC IIIi",
    )
    | words(
        0x60,
        "68040; 68xxx; 68000; 68010; 68020; 68030; Athlon X4; Opteron X1000; Opteron X2000; Opteron A-Series; "
        "Opteron X3000; Zen; -; -; -; -; Hobbit",
    )
    | words(
        0x78, "Crusoe TM5000; Crusoe TM3000; Efficeon TM8000; -; -; -; -; -; Weitek; -; Itanium; Athlon 64; Opteron"
    )
    | words(
        0x85,
        "Sempron; Turion 64; Dual-Core Opteron; Athlon 64 X2; Turion 64 X2; Quad-Core Opteron; "
        "Third-Generation Opteron; Phenom FX; Phenom X4; Phenom X2; Athlon X2; PA-RISC; PA-RISC 8500; PA-RISC 8000; "
        "PA-RISC 7300LC; PA-RISC 7200; PA-RISC 7100LC; PA-RISC 7100",
    )
    | words(
        0xA0,
        "V30; Quad-Core Xeon 3200; Dual-Core Xeon 3000; Quad-Core Xeon 5300; Dual-Core Xeon 5100; "
        "Dual-Core Xeon 5000; Dual-Core Xeon LV; Dual-Core Xeon ULV; Dual-Core Xeon 7100; Quad-Core Xeon 5400; "
        "Quad-Core Xeon; Dual-Core Xeon 5200; Dual-Core Xeon 7200; Quad-Core Xeon 7300; Quad-Core Xeon 7400; "
        "Multi-Core Xeon 7400; Pentium III Xeon; Pentium III Speedstep; Pentium 4; Xeon; AS400; Xeon MP; Athlon XP; "
        "Athlon MP; Itanium 2; Pentium M; Celeron D; Pentium D; Pentium EE; Core Solo; Core 2 or K7; Core 2 Duo; "
        "Core 2 Solo; Core 2 Extreme; Core 2 Quad; Core 2 Extreme Mobile; Core 2 Duo Mobile; Core 2 Solo Mobile; "
        "Core i7; Dual-Core Celeron; IBM390; G4; G5; ESA/390 G6; z/Architecture; Core i5; Core i3; Core i9; Xeon D",
    )
    | words(
        0xD2,
        "C7-M; C7-D; C7; Eden; Multi-Core Xeon; Dual-Core Xeon 3xxx; Quad-Core Xeon 3xxx; Nano; Dual-Core Xeon 5xxx; "
        "Quad-Core Xeon 5xxx; -; Dual-Core Xeon 7xxx; Quad-Core Xeon 7xxx; Multi-Core Xeon 7xxx; "
        "Multi-Core Xeon 3400; -; -; -; Opteron 3000; Sempron II; Embedded Opteron Quad-Core; Phenom Triple-Core; "
        "Turion Ultra Dual-Core Mobile; Turion Dual-Core Mobile; Athlon Dual-Core; Sempron SI; Phenom II; Athlon II; "
        "Six-Core Opteron; Sempron M",
    )
    | words(0xFA, "i860; i960")
    | words(0x100, "ARMv7; ARMv8; ARMv9; ARM; SH-3; SH-4")
    | words(0x118, "ARM; StrongARM")
    | words(0x12C, "6x86; MediaGX; MII")
    | {0x140: "WinChip", 0x15E: "DSP", 0x1F4: "Video Processor"}
    | words(0x200, "RV32; RV64; RV128")
    | words(
        0x258,
        "LoongArch; Loongson 1; Loongson 2; Loongson 3; Loongson 2K; Loongson 3A; Loongson 3B; Loongson 3C; "
        "Loongson 3D; Loongson 3E; Dual-Core Loongson 2K 2xxx",
    )
    | words(
        0x26C,
        "Quad-Core Loongson 3A 5xxx; Multi-Core Loongson 3A 5xxx; Quad-Core Loongson 3B 5xxx; "
        "Multi-Core Loongson 3B 5xxx; Multi-Core Loongson 3C 5xxx; Multi-Core Loongson 3D 5xxx",
    )
    | words(0x300, "Core 3; Core 5; Core 7; Core 9; Core Ultra 3; Core Ultra 5; Core Ultra 7; Core Ultra 9")
)

# 7.5.5
UPGRADES = words(
    0x01,
    "Other; Unknown; Daughter Board; ZIF Socket; Replaceable Piggy Back; None; LIF Socket; Slot 1; Slot 2; "
    "370-pin Socket; Slot A; Slot M; Socket 423; Socket A (Socket 462); Socket 478; Socket 754; Socket 940; "
    "Socket 939; Socket mPGA604; Socket LGA771; Socket LGA775; Socket S1; Socket AM2; Socket F (1207); "
    "Socket LGA1366; Socket G34; Socket AM3; Socket C32; Socket LGA1156; Socket LGA1567; Socket PGA988A; "
    "Socket BGA1288; Socket rPGA988B; Socket BGA1023; Socket BGA1224; Socket LGA1155; Socket LGA1356; "
    "Socket LGA2011; Socket FS1; Socket FS2; Socket FM1; Socket FM2; Socket LGA2011-3; Socket LGA1356-3; "
    "Socket LGA1150; Socket BGA1168; Socket BGA1234; Socket BGA1364; Socket AM4; Socket LGA1151; Socket BGA1356; "
    "Socket BGA1440; Socket BGA1515; Socket LGA3647-1; Socket SP3; Socket SP3r2; Socket LGA2066; Socket BGA1392; "
    "Socket BGA1510; Socket BGA1528; Socket LGA4189; Socket LGA1200; Socket LGA4677; Socket LGA1700; "
    "Socket BGA1744; Socket BGA1781; Socket BGA1211; Socket BGA2422; Socket LGA1211; Socket LGA2422; "
    "Socket LGA5773; Socket BGA5773; Socket AM5; Socket SP5; Socket SP6; Socket BGA883; Socket BGA1190; "
    "Socket BGA4129; Socket LGA4710; Socket LGA7529; Socket BGA1964; Socket BGA1792; Socket BGA2049; "
    "Socket BGA2551; Socket LGA1851; Socket BGA2114; Socket BGA2833",
) | {0xFF: "See Socket Type"}

# 7.8, 7.8.2 to 7.8.5
CACHE_MODES = words(0, "Write Through; Write Back; Varies With Memory Address; Unknown")
CACHE_LOCATIONS = words(0, "Internal; External; -; Unknown")
SRAM_TYPES = words(0, "Other; Unknown; Non-burst; Burst; Pipeline Burst; Synchronous; Asynchronous")
CACHE_ERROR_CORRECTION = words(1, "Other; Unknown; None; Parity; Single-bit ECC; Multi-bit ECC")
CACHE_TYPES = words(1, "Other; Unknown; Instruction; Data; Unified")
ASSOCIATIVITY = words(
    1,
    "Other; Unknown; Direct Mapped; 2-way Set-associative; 4-way Set-associative; Fully Associative; "
    "8-way Set-associative; 16-way Set-associative; 12-way Set-associative; 24-way Set-associative; "
    "32-way Set-associative; 48-way Set-associative; 64-way Set-associative; 20-way Set-associative",
)
