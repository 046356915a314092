"""cloud-hypervisor's command line: what it means in the VM config, and what is refused before anything starts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from guestcred.errors import GuestcredError
from guestcred.host.command_line import (
    CommandLine,
    Need,
    check_needs,
    exposed,
    only_asks,
    program_at,
    read_command_line,
)
from guestcred.host.vm_options import OPTIONS

# Made once beside a real cloud-hypervisor 54: what its own parser makes of the arguments, checked and printed by it as a
# VM config, is the same as what it makes of `config`.
SEEN = json.loads((Path(__file__).parent / "command_lines.json").read_text())


def read(text: str, **more: bool) -> CommandLine:
    return read_command_line(("cloud-hypervisor", *shlex.split(text)), **more)


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: " ".join(seen["arguments"])[:60])
def test_the_vm_config_is_the_one_of_the_real_parser(seen: dict[str, object]) -> None:
    arguments = seen["arguments"]
    assert isinstance(arguments, list)
    line = read_command_line(("cloud-hypervisor", *arguments))
    assert line.config == seen["config"]
    assert list(line.command) == ["cloud-hypervisor", *seen["process"]]  # type: ignore[misc]


def test_every_option_and_key_is_among_them() -> None:
    """But those that only older versions or other builds have: no 54 could say what they mean."""
    words = [word for seen in SEEN for word in seen["arguments"]]
    options = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    elsewhere = {"sgx-epc", "pvmemcontrol", "host-data", "dbus-service-name", "dbus-object-path", "dbus-system-bus"}
    assert options == OPTIONS.keys() - elsewhere
    text = " ".join(words)
    keys = {(option.name, key.name) for option in OPTIONS.values() for key in option.keys}
    unused = {(option, key) for option, key in keys if option in options and key not in text}
    assert unused == {("numa", "sgx_epc_sections"), ("platform", "tdx"), ("platform", "sev_snp")}


def test_both_spellings_of_repeated_options_mean_the_same() -> None:
    spellings = ("--disk path=a path=b", "--disk path=a --disk path=b", "--disk=path=a --disk=path=b")
    configs = [read(f"--kernel k {spelling}").config for spelling in spellings]
    assert configs[0]["disks"] == [{"path": "a"}, {"path": "b"}]
    assert configs.count(configs[0]) == 3


def test_what_older_versions_have() -> None:
    line = read("--kernel k --sgx-epc id=e,size=64K,prefault=on --numa guest_numa_id=0,sgx_epc_sections=[e]")
    assert line.config["sgx_epc"] == [{"id": "e", "size": 65536, "prefault": True}]
    assert line.config["numa"] == [{"guest_numa_id": 0, "sgx_epc_sections": ["e"]}]
    assert [(need.what, need.until) for need in line.needs] == [
        ("--sgx-epc", 47),
        ("--numa number 1 sgx_epc_sections", 47),
    ]


REFUSED = {
    "--bogus 1": "cloud-hypervisor 40 to 54 has no option --bogus",
    "--dis path=a": "has no option --dis; did you mean --disk?",
    "--gpu socket=s": "has no option --gpu; it is none of an unchanged cloud-hypervisor: leave it out",
    "--restore source_url=file:///s": "--restore cannot be given secrets",
    "-v": "with -v cloud-hypervisor logs every OEM string, secrets too",
    "-vv": "--allow-log",
    "--net fd=[3],mac=02:00:00:00:00:01": "--net number 1: fd= cannot go over the API",
    "--net tap=a fd=3": "--net number 2: fd= cannot go over the API",
    "--device fd=3": "--device number 1: fd= cannot go over the API",
    "--platform iommufd_fd=3": "--platform: iommufd_fd= cannot go over the API",
    "--disk foo=1": "--disk number 1: key number 1 (3 bytes) is none of path, readonly",
    "--disk pth=1": "--disk number 1 has no key pth; did you mean path?",
    "--memory size=abc": "--memory: size is not a size such as 512M",
    "--memory size=1T": "size is not a size",
    "--memory size=18014398509481984K": "size is not a size",
    "--memory 'size=1G, shared=on'": "--memory: unknown key; did you mean shared?",
    "--memory shared=yes": "--memory: shared is not on or off",
    "--cpus boot=-1": "boot is not a number",
    "--cpus boot=1_0": "boot is not a number",
    "--cpus boot=4294967296": "boot is not a number from 0 to 4294967295",
    "--cpus boot": "--cpus: boot has no value",
    "--cpus boot=1 --cpus boot=2": "--cpus stands twice",
    "--cpus topology=1:2": "topology is not four numbers such as 1:2:1:1",
    "--cpus features=avx": "features is not a list of CPU features",
    "--cpus affinity=0@1": "affinity is not a list of pairs such as [0@[1,2],1@[3]]",
    "--cpus affinity=[0]": "affinity is not a list of pairs",
    "--cpus core_scheduling=x": "core_scheduling is not one of vm, vcpu and off",
    "--cpus profile=host": "profile is not one of Host",
    "--vsock socket=/x": "--vsock: cid is missing",
    "--fs tag=a": "--fs number 1: socket is missing",
    "--serial foo": "--serial: key number 1 (3 bytes) is none of",
    "--serial ''": "--serial: one of off, pty, tty, null, file, socket is missing",
    "--serial file=": "is missing",
    "--debug-console off,iobase=e9": "iobase is not a port such as 0xe9",
    "--platform oem_strings=[a": "--platform: a '[' is not closed",
    "--platform oem_strings=a]": "--platform: a ']' has no '['",
    "--platform 'uuid=\"x'": "--platform: a quote is not closed",
    "--net mac=zz": "mac is not a MAC address",
    "--net ip=1.2.3": "ip is not an IP address",
    "--numa guest_numa_id=0,cpus=[3-1]": "cpus is not a list of numbers and ranges such as [0,2-4]",
    "--numa guest_numa_id=0,cpus=0,device_id=a": "device_id cannot stand with cpus or memory_zones",
    "--landlock-rules path=/tmp,access=rwx": "access is not r, w or rw",
    "--watchdog=on": "--watchdog takes no value",
    "--seccomp foo": "--seccomp: its value is not true, false, log or errno",
    "stray": "number 3 behind the program (5 bytes)",
    "-x": "number 3 behind the program, -x",
    "--disk=path=a path=b": "number 4 behind the program (6 bytes)",
    "--disk": "--disk has no value",
    "--disk --watchdog": "--disk has no value",
    "--firmware f": "--firmware cannot stand with another payload",
    "--generic-vhost-user socket=/s,queue_sizes=1": "device_type is missing",
    "--generic-vhost-user device_type=iommu,socket=/s,queue_sizes=1": "cannot be a vhost-user one",
    "--fw-cfg-config items=[file=/x]": "an item has no name",
    "--fw-cfg-config items=[name=a,foo=/x]": "an item has other keys",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused_by_its_name_and_place(text: str) -> None:
    with pytest.raises(GuestcredError) as refused:
        read(f"--kernel k {text}")
    assert refused.value.status == 2
    assert REFUSED[text] in "; ".join([refused.value.problem, *refused.value.hints])


@pytest.mark.parametrize("text", ["", "--api-socket /a", "--memory size=1G"])
def test_a_command_line_without_a_vm(text: str) -> None:
    with pytest.raises(GuestcredError, match="neither --kernel nor --firmware"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "--platform oem_strings=[a],hunter2",
        "--platform oem_strings=a,hunter2,hunter2=hunter2",
        "--platform hunter2=1",
        "--memory hunter2",
        "--memory size=hunter2",
        "--memory size=hunter2]",
        "--cpus features=hunter2",
        "--net mac=hunter2",
        "hunter2",
        "--Hunter2=x",
        "--seccomp hunter2",
        "--generic-vhost-user device_type=hunter2,socket=/s,queue_sizes=1",
        "--fw-cfg-config items=[hunter2]",
        "--serial hunter2",
    ],
)
def test_a_value_is_in_no_refusal(text: str) -> None:
    with pytest.raises(GuestcredError) as refused:
        read(f"--kernel k {text}")
    assert "hunter2" not in " ".join([refused.value.problem, *refused.value.hints]).lower()


def test_what_belongs_to_the_process_stays_there_as_it_stands() -> None:
    text = "--seccomp=log --kernel k --log-file -- --event-monitor path=e --api-socket path=a -vv -v"
    with pytest.raises(GuestcredError, match="--log-file has no value"):
        read(text, allow_log=True)
    line = read(text.replace(" --log-file --", " --log-file l"), allow_log=True)
    assert line.command == (
        *("cloud-hypervisor", "--seccomp=log", "--log-file", "l", "--event-monitor", "path=e", "-vv", "-v"),
    )
    assert line.socket == "path=a"


def test_the_program_may_stand_behind_others() -> None:
    command = ("nice", "-n", "5", "/nix/store/x/bin/cloud-hypervisor", "--kernel", "k")
    assert program_at(command) == 3 and program_at(("my-vmm", "--kernel", "k")) == 0
    line = read_command_line(command)
    assert line.command == command[:4] and line.config == {"payload": {"kernel": "k"}}


def test_help_and_version_start_nothing() -> None:
    assert only_asks(("cloud-hypervisor", "--version")) and only_asks(("nice", "cloud-hypervisor", "-V"))
    assert not only_asks(("cloud-hypervisor", "--kernel", "k")) and not only_asks(("env", "-V", "cloud-hypervisor"))


def test_what_a_running_version_lacks_is_refused_by_its_name() -> None:
    disk = read("--kernel k --disk path=a path=b,image_type=raw").needs
    assert disk == (Need("--disk number 2 image_type", 51, None, None),)
    check_needs(disk, 51, ())
    check_needs(disk, 0, None)
    with pytest.raises(
        GuestcredError, match="--disk number 2 image_type needs cloud-hypervisor 51 or later, and this is 50"
    ):
        check_needs(disk, 50, ())
    with pytest.raises(GuestcredError, match="--sgx-epc needs cloud-hypervisor 47 or earlier, and this is 48"):
        check_needs(read("--kernel k --sgx-epc id=a").needs, 48, ())
    with pytest.raises(GuestcredError, match="oem_strings with quotes needs cloud-hypervisor 48 or later"):
        check_needs(read("""--kernel k --platform 'oem_strings=["a"]'""").needs, 47, ())
    with pytest.raises(GuestcredError, match="cloud-hypervisor 39 is older than 40"):
        check_needs((), 39, ())
    for text, feature in (("--ivshmem path=/p", "ivshmem"), ("--platform sev_snp=on", "sev_snp"), ("--igvm i", "igvm")):
        needs = read(text if "igvm" in text else f"--kernel k {text}").needs
        check_needs(needs, 54, ("kvm", feature))
        with pytest.raises(GuestcredError, match=f"needs a cloud-hypervisor that is built with {feature}"):
            check_needs(needs, 54, ("kvm",))


def test_what_looks_like_a_secret_in_its_strings_is_told_by_name() -> None:
    strings = [
        "io.systemd.credential:API_KEY=x",
        "io.systemd.credential:A=0123456789abcdefghij0123",
        "io.systemd.credential.binary:B=MDEyMzQ1Njc4OWFiY2RlZmdoaWo=",
        "io.systemd.credential:ENVIRONMENT=test",
        "io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888",
        "password",
    ]
    line = read(f"--kernel k --platform oem_strings=[{','.join(strings)}]")
    assert exposed(line) == ["API_KEY", "A", "B"] and line.notifies
    assert not read("--kernel k --platform oem_strings=[a]").notifies
