"""Words of DSP0134 for the system as a whole, each table with its section."""

from __future__ import annotations

from guestcred.smbios.values import words

# 7.1.1, 7.1.2.1, 7.1.2.2
BIOS_CHARACTERISTICS = words(
    4,
    "ISA is supported; MCA is supported; EISA is supported; PCI is supported; PC Card (PCMCIA) is supported; "
    "PNP is supported; APM is supported; BIOS is upgradeable; BIOS shadowing is allowed; VLB is supported; "
    "ESCD support is available; Boot from CD is supported; Selectable boot is supported; BIOS ROM is socketed; "
    "Boot from PC Card (PCMCIA) is supported; EDD is supported; "
    "Japanese floppy for NEC 9800 1.2 MB is supported (int 13h); "
    "Japanese floppy for Toshiba 1.2 MB is supported (int 13h); "
    '5.25"/360 kB floppy services are supported (int 13h); 5.25"/1.2 MB floppy services are supported (int 13h); '
    '3.5"/720 kB floppy services are supported (int 13h); 3.5"/2.88 MB floppy services are supported (int 13h); '
    "Print screen service is supported (int 5h); 8042 keyboard services are supported (int 9h); "
    "Serial services are supported (int 14h); Printer services are supported (int 17h); "
    "CGA/mono video services are supported (int 10h); NEC PC-98",
)
BIOS_EXTENSION_1 = words(
    0,
    "ACPI is supported; USB legacy is supported; AGP is supported; I2O boot is supported; LS-120 boot is supported; "
    "ATAPI Zip drive boot is supported; IEEE 1394 boot is supported; Smart battery is supported",
)
BIOS_EXTENSION_2 = words(
    0,
    "BIOS boot specification is supported; Function key-initiated network boot is supported; "
    "Targeted content distribution is supported; UEFI is supported; System is a virtual machine; "
    "Manufacturing mode is supported; Manufacturing mode is enabled",
)

# 7.2.2
WAKE_UP_TYPES = words(
    0,
    "Reserved; Other; Unknown; APM Timer; Modem Ring; LAN Remote; Power Switch; PCI PME#; AC Power Restored",
)

# 7.3.1, 7.3.2
BOARD_FEATURES = words(
    0,
    "Board is a hosting board; Board requires at least one daughter board; Board is removable; "
    "Board is replaceable; Board is hot swappable",
)
BOARD_TYPES = words(
    1,
    "Unknown; Other; Server Blade; Connectivity Switch; System Management Module; Processor Module; I/O Module; "
    "Memory Module; Daughter Board; Motherboard; Processor+Memory Module; Processor+I/O Module; Interconnect Board",
)

# 7.4.1, 7.4.2, 7.4.3, 7.4.6
CHASSIS_TYPES = words(
    1,
    "Other; Unknown; Desktop; Low Profile Desktop; Pizza Box; Mini Tower; Tower; Portable; Laptop; Notebook; "
    "Hand Held; Docking Station; All In One; Sub Notebook; Space-saving; Lunch Box; Main Server Chassis; "
    "Expansion Chassis; Sub Chassis; Bus Expansion Chassis; Peripheral Chassis; RAID Chassis; Rack Mount Chassis; "
    "Sealed-case PC; Multi-system; Compact PCI; Advanced TCA; Blade; Blade Enclosure; Tablet; Convertible; "
    "Detachable; IoT Gateway; Embedded PC; Mini PC; Stick PC",
)
CHASSIS_STATES = words(1, "Other; Unknown; Safe; Warning; Critical; Non-recoverable")
CHASSIS_SECURITY = words(1, "Other; Unknown; None; External Interface Locked Out; External Interface Enabled")
RACK_TYPES = words(0, "Unspecified; OU")

# 7.16.1, 7.16.6.1, 7.16.6.2
LOG_ACCESS_METHODS = words(
    0,
    "Indexed I/O, one 8-bit index port, one 8-bit data port; Indexed I/O, two 8-bit index ports, one 8-bit data port; "
    "Indexed I/O, one 16-bit index port, one 8-bit data port; Memory-mapped physical 32-bit address; "
    "General-purpose non-volatile data functions",
)
LOG_TYPES = words(
    1,
    "Single-bit ECC memory error; Multi-bit ECC memory error; Parity memory error; Bus timeout; I/O channel block; "
    "Software NMI; POST memory resize; POST error; PCI parity error; PCI system error; CPU failure; "
    "EISA failsafe timer timeout; Correctable memory log disabled; Logging disabled; -; System limit exceeded; "
    "Asynchronous hardware timer expired; System configuration information; Hard disk information; "
    "System reconfigured; Uncorrectable CPU-complex error; Log area reset/cleared; System boot",
)
LOG_DATA_FORMATS = words(
    0,
    "None; Handle; Multiple-event; Multiple-event handle; POST results bitmap; System management; "
    "Multiple-event system management",
)

# 7.24.1, 7.25.1, 7.33.1
RESET_OPTIONS = words(1, "Operating System; System Utilities; Do Not Reboot")
SECURITY_STATUS = words(0, "Disabled; Enabled; Not Implemented; Unknown")
BOOT_STATUS = words(
    0,
    "No errors detected; No bootable media; Operating system failed to load; Firmware-detected hardware failure; "
    "Operating system-detected hardware failure; User-requested boot; System security violation; "
    "Previously-requested image; System watchdog timer expired",
)
