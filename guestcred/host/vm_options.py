"""Every option of cloud-hypervisor 40 to 54: whose it is, its keys, and their places in the VM config.

Sources: get_cli_options_sorted() in its cloud-hypervisor/src/main.rs (src/main.rs before 52), the parse() functions in
vmm/src/config.rs, and the records in vmm/src/vm_config.rs, at each of its releases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from guestcred.host.option_values import (
    ACCESS,
    ADDRESS,
    DISTANCES,
    FEATURES,
    MAC,
    PORT,
    SIZE,
    STRINGS,
    TEXT,
    TOGGLE,
    TOPOLOGY,
    Kind,
    cpus_of,
    integer,
    integers,
    words,
)
from guestcred.host.vm_shapes import (
    console,
    cpus,
    disk,
    firmware_config,
    limited,
    memory,
    numa,
    platform,
    vhost_user,
)
from guestcred.record import Record

FIRST, LAST = 40, 54  # the versions that this table was made of

U8, U16, U32, U64 = integer(8), integer(16), integer(32), integer(64)


class Key(Record):
    """A key of an option: `place` in the option's object ("" is its own name), in versions `since` to `until`.

    `default` is what cloud-hypervisor puts there for a command line without it, where the VM config may not lack it.
    A `flag` is a word without a value.
    """

    name: str
    kind: Kind = TEXT
    place: str = ""
    since: int = FIRST
    until: int | None = None
    default: object = None
    required: bool = False
    flag: bool = False


class Option(Record):
    """An option by its long name, and whose it is: "vm" for the VM config, "process" for the arguments, or both.

    `takes` says what follows it. `place` is in the VM config, a dot between section and key; a `many` option fills a
    list there. Without `keys` its value is one of `kind`. `shape` makes the object of the keys' values, and may raise
    ValueError. `feature` is the one of cloud-hypervisor's build that it needs, as vmm.ping tells them.
    """

    name: str
    place: str = ""
    keys: tuple[Key, ...] = ()
    whose: Literal["vm", "process", "both"] = "vm"
    takes: Literal["value", "values", "flag", "optional"] = "value"
    since: int = FIRST
    until: int | None = None
    feature: str | None = None
    shape: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    kind: Kind = TEXT

    @property
    def many(self) -> bool:
        """Whether it may stand several times, and have several values each time."""
        return self.takes == "values"


def _device(*without: str, since: int = FIRST, numbered: int = 52) -> tuple[Key, ...]:
    """What most devices have: PciDeviceCommonConfig in config.rs, and before 52 the same keys one by one."""
    keys = (
        Key("id", since=since),
        Key("iommu", TOGGLE, since=since),
        Key("pci_segment", U16, since=since),
        Key("pci_device_id", U8, since=numbered),
    )
    return tuple(key for key in keys if key.name not in without)


_LIMITS = tuple(
    Key(f"{what}_{part}", U64) for what in ("bw", "ops") for part in ("size", "one_time_burst", "refill_time")
)
_MODES = tuple(Key(mode, flag=True) for mode in ("off", "pty", "tty", "null"))
_PAGES = (
    Key("hotplug_size", SIZE),
    Key("hotplugged_size", SIZE),
    Key("shared", TOGGLE),
    Key("hugepages", TOGGLE),
    Key("hugepage_size", SIZE),
    Key("prefault", TOGGLE),
    Key("reserve", TOGGLE, since=53),
)
_SYSTEM = ("manufacturer", "product_name", "version", "serial_number", "uuid", "sku_number", "family")
_MEMORY = 512 << 20


def _flag(name: str, place: str, **more: Any) -> Option:
    return Option(name, place, takes="flag", **more)


def _seccomp(text: str) -> str:
    if text not in ("true", "false", "log", "errno"):
        raise ValueError
    return text


def _process(name: str, **more: Any) -> Option:
    return Option(name, whose="process", **more)


OPTIONS = {
    option.name: option
    for option in (
        _process("api-socket"),
        _process("event-monitor"),
        _process("log-file"),
        _process("log-format", since=52),
        _process("seccomp", kind=Kind("true, false, log or errno", _seccomp)),
        _process("no-shutdown", since=52, takes="flag"),
        _process("dbus-service-name"),
        _process("dbus-object-path"),
        _process("dbus-system-bus", takes="flag"),
        Option("gdb", "gdb", whose="both", feature="guest_debug"),
        Option("kernel", "payload.kernel"),
        Option("firmware", "payload.firmware"),
        Option("igvm", "payload.igvm", feature="igvm"),
        Option("initramfs", "payload.initramfs"),
        Option("cmdline", "payload.cmdline"),
        Option("host-data", "payload.host_data", feature="sev_snp"),
        Option(
            "fw-cfg-config",
            "payload.fw_cfg_config",
            (
                *(Key(name, TOGGLE) for name in ("e820", "kernel", "cmdline", "initramfs")),
                Key("acpi_table", TOGGLE, "acpi_tables"),
                Key("items", Kind("a list such as [name=opt/x,file=PATH]", str, raw=True)),
            ),
            since=48,
            feature="fw_cfg",
            shape=firmware_config,
        ),
        Option(
            "cpus",
            "cpus",
            (
                Key("boot", U32, "boot_vcpus", default=1),
                Key("max", U32, "max_vcpus"),
                Key("topology", TOPOLOGY),
                Key("kvm_hyperv", TOGGLE),
                Key("max_phys_bits", U8),
                Key("affinity", cpus_of("vcpu", 32)),
                Key("features", FEATURES),
                Key("nested", TOGGLE, since=50),
                Key("core_scheduling", words("vm=Vm", "vcpu=Vcpu", "off=Off"), since=52),
                Key("profile", words("Host=Host", any_case=False), since=53),
            ),
            shape=cpus,
        ),
        Option(
            "memory",
            "memory",
            (
                Key("size", SIZE, default=_MEMORY),
                Key("mergeable", TOGGLE),
                Key("hotplug_method", words("acpi=Acpi", "virtio-mem=VirtioMem")),
                *_PAGES,
                Key("thp", TOGGLE),
                Key("file"),
            ),
            shape=memory,
        ),
        Option(
            "memory-zone",
            "memory.zones",
            (
                Key("id", required=True),
                Key("size", SIZE, default=_MEMORY),
                Key("file"),
                Key("host_numa_node", U32),
                *_PAGES,
                Key("mergeable", TOGGLE, since=52),
            ),
            takes="values",
        ),
        Option(
            "numa",
            "numa",
            (
                Key("guest_numa_id", U32, required=True),
                Key("cpus", integers(32)),
                Key("distances", DISTANCES),
                Key("memory_zones", STRINGS),
                Key("sgx_epc_sections", STRINGS, until=47),
                Key("pci_segments", integers(16)),
                Key("device_id", since=51),
            ),
            takes="values",
            shape=numa,
        ),
        Option(
            "platform",
            "platform",
            (
                Key("num_pci_segments", U16),
                Key("iommu_segments", integers(16)),
                Key("iommu_address_width", U8, "iommu_address_width_bits", since=44),
                Key("iommufd", TOGGLE, since=52),
                Key("vfio_p2p_dma", TOGGLE, since=52),
                Key("serial_number"),
                Key("uuid"),
                *(Key(f"system_{name}", since=53) for name in _SYSTEM),
                Key("chassis_asset_tag", since=53),
                Key("oem_strings", STRINGS),
                Key("tdx", TOGGLE),
                Key("sev_snp", TOGGLE),
            ),
            shape=platform,
        ),
        Option(
            "pci-segment",
            "pci_segments",
            (
                Key("pci_segment", U16),
                Key("mmio32_aperture_weight", U32),
                Key("mmio64_aperture_weight", U32),
            ),
            takes="values",
        ),
        Option(
            "sgx-epc",
            "sgx_epc",
            (Key("id", required=True), Key("size", SIZE, default=0), Key("prefault", TOGGLE)),
            takes="values",
            until=47,
        ),
        Option("rate-limit-group", "rate_limit_groups", (Key("id"), *_LIMITS), takes="values", shape=limited),
        Option(
            "disk",
            "disks",
            (
                Key("path"),
                Key("readonly", TOGGLE),
                Key("direct", TOGGLE),
                Key("num_queues", U64),
                Key("queue_size", U16),
                Key("vhost_user", TOGGLE),
                Key("socket", place="vhost_socket"),
                Key("rate_limit_group"),
                *_LIMITS,
                Key("_disable_io_uring", TOGGLE, "disable_io_uring"),
                Key("_disable_aio", TOGGLE, "disable_aio"),
                Key("serial"),
                Key("queue_affinity", cpus_of("queue_index", 16)),
                Key("backing_files", TOGGLE, since=51),
                Key("sparse", TOGGLE, since=51),
                Key(
                    "image_type",
                    words("raw=Raw", "qcow2=Qcow2", "vhd=FixedVhd", "vhdx=Vhdx", "vmdk=FlatVmdk"),
                    since=51,
                ),
                Key("lock_granularity", words("byte-range=ByteRange", "full=Full", any_case=False), since=52),
                *_device(),
            ),
            takes="values",
            shape=disk,
        ),
        Option(
            "net",
            "net",
            (
                Key("tap"),
                Key("ip", ADDRESS),
                Key("mask", ADDRESS),
                Key("mac", MAC),
                Key("host_mac", MAC),
                Key("mtu", U16),
                Key("num_queues", U64),
                Key("queue_size", U16),
                Key("vhost_user", TOGGLE),
                Key("socket", place="vhost_socket"),
                Key("vhost_mode", words("client=Client", "server=Server")),
                *_LIMITS,
                Key("offload_tso", TOGGLE),
                Key("offload_ufo", TOGGLE),
                Key("offload_csum", TOGGLE),
                *_device(),
            ),
            takes="values",
            shape=limited,
        ),
        Option(
            "rng",
            "rng",
            (
                Key("src", default="/dev/urandom"),
                Key("iommu", TOGGLE),
                *_device("iommu", since=52),
            ),
        ),
        Option("rtc", "rtc", _device(since=53, numbered=53), takes="optional", since=53),
        Option(
            "balloon",
            "balloon",
            (
                Key("size", SIZE, default=0),
                Key("deflate_on_oom", TOGGLE),
                Key("free_page_reporting", TOGGLE),
                *_device(since=53, numbered=53),
            ),
        ),
        Option(
            "fs",
            "fs",
            (
                Key("tag", required=True),
                Key("socket", required=True),
                Key("num_queues", U64),
                Key("queue_size", U16),
                *_device("iommu"),
            ),
            takes="values",
        ),
        Option(
            "generic-vhost-user",
            "generic_vhost_user",
            (
                Key("socket", required=True),
                Key("queue_sizes", integers(16), required=True),
                Key("device_type", since=53),
                Key("virtio_id"),
                *_device("iommu"),
            ),
            takes="values",
            since=52,
            shape=vhost_user,
        ),
        Option(
            "pmem",
            "pmem",
            (Key("file", required=True), Key("size", SIZE), Key("discard_writes", TOGGLE), *_device()),
            takes="values",
        ),
        Option(
            "serial", "serial", (*_MODES, Key("file"), Key("socket"), Key("iommu", TOGGLE, until=51)), shape=console
        ),
        Option(
            "console",
            "console",
            (*_MODES, Key("file"), Key("socket"), Key("iommu", TOGGLE), *_device("iommu", since=52)),
            shape=console,
        ),
        Option("debug-console", "debug_console", (*_MODES, Key("file"), Key("iobase", PORT)), shape=console),
        Option(
            "device",
            "devices",
            (
                Key("path", required=True),
                Key("x_nv_gpudirect_clique", U8),
                Key("x_exclude_mmap_bars", integers(64), since=52),
                *_device(),
            ),
            takes="values",
        ),
        Option("user-device", "user_devices", (Key("socket", required=True), *_device("iommu")), takes="values"),
        Option("vdpa", "vdpa", (Key("path", required=True), Key("num_queues", U64), *_device()), takes="values"),
        Option(
            "vsock",
            "vsock",
            (Key("cid", U32, required=True), Key("socket", required=True), *_device()),
        ),
        Option("tpm", "tpm", (Key("socket", required=True),)),
        Option(
            "ivshmem",
            "ivshmem",
            (
                Key("path", required=True),
                Key("size", SIZE, default=128 << 20),
                *_device("iommu", since=53, numbered=53),
            ),
            since=48,
            feature="ivshmem",
        ),
        Option(
            "landlock-rules",
            "landlock_rules",
            (Key("path", required=True), Key("access", ACCESS, required=True)),
            takes="values",
            since=41,
        ),
        _flag("landlock", "landlock_enable", since=41),
        _flag("pvpanic", "pvpanic"),
        _flag("watchdog", "watchdog"),
        _flag("pvmemcontrol", "pvmemcontrol", since=41),
    )
}
