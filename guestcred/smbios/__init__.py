"""The SMBIOS parser: bytes, structures, typed fields. Usable alone; nothing of systemd or credentials may live here."""
