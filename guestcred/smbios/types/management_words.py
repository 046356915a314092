"""Words of DSP0134, IPMI 2.0 and DSP0270 for management, each table with its section."""

from __future__ import annotations

from guestcred.smbios.values import words

# 7.35.1, 7.35.2
MANAGEMENT_DEVICES = words(
    1, "Other; Unknown; LM75; LM78; LM79; LM80; LM81; ADM9240; DS1780; MAX1617; GL518SM; W83781D; HT82H791"
)
ADDRESS_TYPES = words(1, "Other; Unknown; I/O Port; Memory; SMBus")

# 7.39.1; IPMI 2.0, appendix C1
IPMI_INTERFACES = words(
    0,
    "Unknown; KCS (Keyboard Control Style); SMIC (Server Management Interface Chip); BT (Block Transfer); "
    "SSIF (SMBus System Interface)",
)
REGISTER_SPACINGS = words(0, "Successive Byte Boundaries; 32-bit Boundaries; 16-byte Boundaries")

# 7.43.1 and DSP0239; 7.43.2
HOST_INTERFACES = words(
    2,
    "KCS: Keyboard Controller Style; 8250 UART Register Compatible; 16450 UART Register Compatible; "
    "16550/16550A UART Register Compatible; 16650/16650A UART Register Compatible; "
    "16750/16750A UART Register Compatible; 16850/16850A UART Register Compatible",
) | {0x40: "Network", 0xF0: "OEM"}
PROTOCOLS = words(0, "Reserved; Reserved; IPMI; MCTP; Redfish over IP") | {0xF0: "OEM"}

# DSP0270 8.3, 8.4
NETWORK_DEVICES = words(2, "USB; PCI/PCIe; USB v2; PCI/PCIe v2")
ASSIGNMENTS = words(0, "Unknown; Static; DHCP; AutoConf; Host Selected")
ADDRESS_FORMATS = words(0, "Unknown; IPv4; IPv6")
DEVICE_CHARACTERISTICS = words(0, "Credential bootstrapping via IPMI is supported")

# 7.44.1
TPM_CHARACTERISTICS = words(
    3,
    "Family configurable via firmware update; Family configurable via platform software support; "
    "Family configurable via OEM proprietary mechanism",
)

# 7.46.1 to 7.46.4
VERSION_FORMATS = words(0, "Free-form; MAJOR.MINOR; 32-bit hexadecimal; 64-bit hexadecimal")
FIRMWARE_ID_FORMATS = words(0, "Free-form; UEFI GUID")
FIRMWARE_CHARACTERISTICS = words(0, "Updatable; Write-Protect")
FIRMWARE_STATES = words(
    1, "Other; Unknown; Disabled; Enabled; Absent; Stand-by Offline; Stand-by Spare; Unavailable Offline"
)
