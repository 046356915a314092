"""The objects of the VM config that are not simply their keys: what cloud-hypervisor's parse() functions make of them.

Each takes the values of an option's keys by their places, and raises ValueError with what is wrong.
"""

from __future__ import annotations

import re
from typing import Any

from guestcred.host.option_values import split, unquoted

Values = dict[str, Any]

_BUCKETS = {"bw": "bandwidth", "ops": "ops"}
_MODES = {"off": "Off", "pty": "Pty", "tty": "Tty", "null": "Null", "file": "File", "socket": "Socket"}
# virtio's device types, section 5 of its specification, by the words of GenericVhostUserConfig::parse()
_DEVICE_TYPES = re.findall(
    r"\S+",
    """
    - net block console rng balloon iomem rpmsg scsi 9p mac80211_wlan rproc_serial caif memory_balloon - - gpu clock
    input vsock crypto signal_dist pstore iommu mem sound fs pmem rpmb mac80211_hwsim video_encoder video_decoder scmi
    nitro_sec_mod i2c watchdog can dmabuf param_serv audio_policy bt gpio rdma camera ism spi tee cpu_balloon media usb
    """,
)


def limited(values: Values) -> Values:
    """With a rate limiter of the `bw_` and `ops_` keys; a bucket needs a size and a time. `--rate-limit-group`, `--net`"""
    limiter = {}
    for short, name in _BUCKETS.items():
        bucket = {part: values.pop(f"{short}_{part}", 0) for part in ("size", "one_time_burst", "refill_time")}
        if bucket["size"] and bucket["refill_time"]:
            limiter[name] = bucket
    return {**values, "rate_limiter_config": limiter} if limiter else values


def disk(values: Values) -> Values:
    """`--disk`: the type of an image is of no meaning where a vhost-user program has it."""
    if "vhost_socket" in values:
        values.pop("image_type", None)
    return limited(values)


def cpus(values: Values) -> Values:
    """`--cpus`: as many at most as at boot, unless there is a `max`."""
    return {"max_vcpus": values["boot_vcpus"], **values}


def memory(values: Values) -> Values:
    """`--memory`: its `file` is read and counts for nothing; that of a `--memory-zone` does."""
    values.pop("file", None)
    return values


def numa(values: Values) -> Values:
    """`--numa`: a node of a device has nothing else."""
    if "device_id" in values and values.keys() & {"cpus", "memory_zones"}:
        raise ValueError("device_id cannot stand with cpus or memory_zones")
    return values


def platform(values: Values) -> Values:
    """`--platform`: the older name of a key counts where the newer is not there; both mean the same field."""
    for older in ("serial_number", "uuid"):
        if f"system_{older}" in values:
            values.pop(older, None)
    return values


def console(values: Values) -> Values:
    """`--console`, `--serial`, `--debug-console`: the first of the modes that is there, in this order."""
    mode = next((mode for mode in _MODES if mode in values), None)
    if mode is None:
        raise ValueError(f"one of {', '.join(_MODES)} is missing")
    kept = {key: value for key, value in values.items() if key not in _MODES}
    if mode in ("file", "socket"):
        kept[mode] = values[mode]
    return {"mode": _MODES[mode], **kept}


def vhost_user(values: Values) -> Values:
    """`--generic-vhost-user`: a device type by number or by name."""
    older = values.pop("virtio_id", None)
    kind = values.pop("device_type", older)
    if kind is None:
        raise ValueError("device_type is missing")
    if kind in _DEVICE_TYPES and kind != "-":
        number = _DEVICE_TYPES.index(kind)
    elif kind.isascii() and kind.isdigit() and kind[0] != "0" and len(kind) < 10:
        number = int(kind)
    else:
        raise ValueError("device_type is no virtio device type")
    if number in (_DEVICE_TYPES.index("iommu"), _DEVICE_TYPES.index("watchdog")):
        raise ValueError("a device of this type cannot be a vhost-user one")
    return {**values, "device_type": number}


def firmware_config(values: Values) -> Values:
    """`--fw-cfg-config`: its items are option strings themselves, with colons between."""
    items = values.pop("items", None)
    if items is None:
        return values
    text = items.strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError("items is not a list such as [name=opt/x,file=PATH]")
    return {**values, "items": {"item_list": [_item(item) for item in text[1:-1].split(":")]}}


def _item(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in split(text)] if text.strip() else []
    if any(not equals or key not in ("name", "file", "string") for key, equals, _ in pairs):
        raise ValueError("an item has other keys than name, file and string")
    found = {key: unquoted(value.strip()) for key, _, value in pairs if value.strip()}
    if "name" not in found:
        raise ValueError("an item has no name")
    return found


def inherited(zones: list[Values], memory: Values) -> None:
    """A `--memory-zone` that does not say whether it is mergeable is so where `--memory` is (52 and later)."""
    if memory.get("mergeable"):
        for zone in zones:
            zone.setdefault("mergeable", True)
