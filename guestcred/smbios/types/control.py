"""How the machine is reset, protected, turned on and booted (DSP0134 7.24 to 7.26, 7.33)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, WORD, Field, Formatted, bits, enumerated, octets
from guestcred.smbios.text import About, Row, number, unit, word
from guestcred.smbios.types import system_words as said
from guestcred.smbios.values import Bits, Words


def _power_on(_: int, about: About) -> str | None:
    ranges = (
        ("month", 1, 0x12),
        ("day_of_month", 1, 0x31),
        ("hour", 0, 0x23),
        ("minute", 0, 0x59),
        ("second", 0, 0x59),
    )
    values = {name: about.get(f"next_scheduled_power_on_{name}") for name, _, _ in ranges}
    if None in values.values():
        return None
    told = {
        name: f"{values[name]:02X}" if values[name] & 0xF <= 9 and low <= values[name] <= high else "*"
        for name, low, high in ranges
    }
    return f"{told['month']}-{told['day_of_month']} {told['hour']}:{told['minute']}:{told['second']}"


def _watchdog(name: str, about: About) -> bool:
    return name not in ("capabilities",) and not about.get("capabilities").watchdog_timer


def _reset(value: Bits, _: About) -> list[Row]:
    rows = [Row("Status", "Enabled" if value.status else "Disabled")]
    rows.append(Row("Watchdog Timer", "Present" if value.watchdog_timer else "Not Present"))
    if value.watchdog_timer:
        rows += [
            Row("Boot Option", word(value.boot_option)),
            Row("Boot Option On Limit", word(value.boot_option_on_limit)),
        ]
    return rows


def _security(value: Bits, _: About) -> list[Row]:
    labels = ("Power-On Password", "Keyboard Password", "Administrator Password", "Front Panel Reset")
    names = ("power_on_password", "keyboard_password", "administrator_password", "front_panel_reset")
    return [Row(f"{label} Status", word(getattr(value, name))) for label, name in zip(labels, names)]


_COUNT = number(0xFFFF)


TYPES: dict[int, Formatted] = {
    23: Formatted(
        "System Reset",
        Field(
            "capabilities",
            bits(
                BYTE,
                status=(0, 1, None),
                boot_option=(1, 2, Words(said.RESET_OPTIONS)),
                boot_option_on_limit=(3, 2, Words(said.RESET_OPTIONS)),
                watchdog_timer=(5, 1, None),
            ),
            "Status",
            _reset,
        ),
        Field("reset_count", WORD, "Reset Count", _COUNT),
        Field("reset_limit", WORD, "Reset Limit", _COUNT),
        Field("timer_interval", WORD, "Timer Interval", unit("min", unknown=0xFFFF)),
        Field("timeout", WORD, "Timeout", unit("min", unknown=0xFFFF)),
        irrelevant=_watchdog,
    ),
    24: Formatted(
        "Hardware Security",
        Field(
            "hardware_security_settings",
            bits(
                BYTE,
                front_panel_reset=(0, 2, Words(said.SECURITY_STATUS)),
                administrator_password=(2, 2, Words(said.SECURITY_STATUS)),
                keyboard_password=(4, 2, Words(said.SECURITY_STATUS)),
                power_on_password=(6, 2, Words(said.SECURITY_STATUS)),
            ),
            "Power-On Password Status",
            _security,
        ),
    ),
    25: Formatted(
        "System Power Controls",
        Field("next_scheduled_power_on_month", BYTE, "Next Scheduled Power-on", _power_on),
        Field("next_scheduled_power_on_day_of_month", BYTE),
        Field("next_scheduled_power_on_hour", BYTE),
        Field("next_scheduled_power_on_minute", BYTE),
        Field("next_scheduled_power_on_second", BYTE),
    ),
    32: Formatted(
        "System Boot Information",
        Field("reserved", octets(6)),
        Field(
            "boot_status",
            enumerated(BYTE, said.BOOT_STATUS, (128, 191, "OEM-specific"), (192, 255, "Product-specific")),
            "Status",
        ),
    ),
}
