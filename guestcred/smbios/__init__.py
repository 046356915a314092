"""The SMBIOS parser: bytes, structures, typed fields; usable alone, and nothing of systemd or credentials in it."""
