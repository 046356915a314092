"""The SMBIOS parser: bytes, structures, typed fields; usable alone, and nothing of systemd or credentials in it.

`read()` and `parse()` give a `Table`, `build()` makes structures for one, `qemu()` and its like whole ones: docs/smbios.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.library import Structure as Structure
    from guestcred.smbios.library import Table as Table
    from guestcred.smbios.library import build as build
    from guestcred.smbios.library import parse as parse
    from guestcred.smbios.library import read as read
    from guestcred.smbios.presets import cloud_hypervisor as cloud_hypervisor
    from guestcred.smbios.presets import crosvm as crosvm
    from guestcred.smbios.presets import qemu as qemu
else:

    def __getattr__(name: str) -> object:
        """The library is imported when somebody asks for it: the boot path passes through here too."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in ("cloud_hypervisor", "crosvm", "qemu"):
            from guestcred.smbios import presets as place
        else:
            from guestcred.smbios import library as place

        return getattr(place, name)


__all__ = ["Structure", "Table", "build", "cloud_hypervisor", "crosvm", "parse", "qemu", "read"]
