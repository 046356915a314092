"""The SMBIOS parser: bytes, structures, typed fields. Usable alone: no import from other rooms, and nothing of systemd or credentials."""
