"""The Nix files: each is parsed, and the modules are evaluated, without nixpkgs, or with the lib that NIXPKGS_LIB names."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from needs import need

from guestcred.guest.config import read_services
from guestcred.guest.rootfs import Tree

ROOT = Path(__file__).parent.parent
NIX = ROOT / "packaging" / "nix"
FILES = [ROOT / "flake.nix", *sorted(NIX.glob("*.nix"))]
LIBS = [None, *([os.environ["NIXPKGS_LIB"]] if "NIXPKGS_LIB" in os.environ else [])]


def nix(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [need("nix-instantiate", "nix-bin"), *map(str, arguments)]
    # it needs a store that nobody but us can have
    environment = {
        **os.environ,
        "NIX_STORE_DIR": f"{folder}/store",
        "NIX_STATE_DIR": f"{folder}/state",
        "HOME": str(folder),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_nix(path: Path, tmp_path: Path) -> None:
    done = nix("--parse", path, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def evaluate(folder: Path, module: str, settings: str, lib: str | None) -> subprocess.CompletedProcess[str]:
    arguments = ["--eval", "--strict", "--json", ROOT / "tests/nix/evaluate.nix"]
    more = [] if lib is None else ["--arg", "lib", f"import {lib}"]
    return nix(*arguments, "--argstr", "module", module, "--arg", "settings", settings, *more, folder=folder)


def machine(folder: Path, module: str, settings: str, lib: str | None) -> dict[str, Any]:
    done = evaluate(folder, module, settings, lib)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


HOST = """{
  microvms.test-vm = {
    credentials.API_KEY.file = "/run/secrets/host-api-key";
    credentials.DB_PASSWORD.file = "/run/secrets/100%/host-db-password";
    literals = { ENVIRONMENT = "test"; CLUSTER = "britton-desktop"; };
    notify = "guest";
    after = [ "sops-install-secrets.service" ];
  };
  microvms.other = { credentials.A.file = "/run/a"; setPackage = false; };
}"""


@pytest.mark.parametrize("lib", LIBS)
def test_what_a_host_with_microvm_nix_gets(tmp_path: Path, lib: str | None) -> None:
    found = machine(tmp_path, "host", HOST, lib)
    services = found["systemd"]["services"]
    launch = "API_KEY=API_KEY\nDB_PASSWORD=DB_PASSWORD\n--set=CLUSTER=britton-desktop\n--set=ENVIRONMENT=test\n--notify=guest\n"
    assert services["microvm@test-vm"] == {
        "overrideStrategy": "asDropin",
        "wants": ["sops-install-secrets.service"],
        "after": ["sops-install-secrets.service"],
        "serviceConfig": {
            "LimitCORE": 0,
            "LoadCredential": [
                "API_KEY:/run/secrets/host-api-key",
                "DB_PASSWORD:/run/secrets/100%%/host-db-password",
                f"guestcred.launch:/store/guestcred-test-vm.launch:{launch}",
            ],
        },
    }
    assert services["microvm@other"]["serviceConfig"]["LoadCredential"] == [
        "A:/run/a",
        "guestcred.launch:/store/guestcred-other.launch:A=A\n",
    ]
    # the rest of the VM is left alone, and of a VM that is a flake of its own everything
    assert found["vms"].keys() == {"test-vm"} and found["vms"]["test-vm"].keys() == {"cloud-hypervisor", "qemu"}
    qemu = found["vms"]["test-vm"]["qemu"]
    assert (qemu["name"], qemu["overridden"]) == ("qemu-1-guestcred", "qemu-overridden-1-guestcred")
    assert found["packages"] == ["guestcred"]


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        ("cloud-hypervisor", "GUESTCRED_CLOUD_HYPERVISOR"),
        ("qemu-system-x86_64", "GUESTCRED_QEMU"),
        ("qemu-img", None),
    ],
)
def test_what_a_package_is_made_into(tmp_path: Path, program: str, variable: str | None) -> None:
    """Its build script, run as it stands on a package that has one program and something else."""
    found = machine(tmp_path, "host", HOST, None)
    real, ours = tmp_path / "real", tmp_path / "guestcred"
    (real / "bin").mkdir(parents=True)
    (real / "libexec").mkdir()
    (ours / "libexec" / "guestcred").mkdir(parents=True)
    (ours / "libexec" / "guestcred" / "stand-in").symlink_to(ROOT / "packaging/host/stand-in")
    (real / "bin" / program).write_text(
        '#!/bin/sh\nprintf "%s|" "$@" "${GUESTCRED_QEMU:-}${GUESTCRED_CLOUD_HYPERVISOR:-}"\n'
    )
    (real / "bin" / program).chmod(0o755)
    script = found["vms"]["test-vm"]["cloud-hypervisor"]["script"]
    script = script.replace("/store/cloud-hypervisor", str(real)).replace("/store/guestcred", str(ours))
    subprocess.run(["bash", "-euc", script], env={"out": f"{tmp_path}/out", "PATH": os.environ["PATH"]}, check=True)
    assert (tmp_path / "out" / "libexec").readlink() == real / "libexec"
    done = subprocess.run(
        [tmp_path / "out" / "bin" / program, "a b"], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"a b|{real / 'bin' / program if variable else ''}|"


GUEST = """{
  enable = true;
  settings.services.demo-oem-credentials = {
    user = "demo-svc-user";
    load = [ "api-key:API_KEY" "db-password:DB_PASSWORD" ];
    import = [ "TLS_*" ];
    set = [ "region:eu \\"x\\" \\\\ ü" ];
    required = [ "api-key" ];
  };
}"""


@pytest.mark.parametrize("lib", LIBS)
def test_what_a_guest_gets(tmp_path: Path, lib: str | None) -> None:
    found = machine(tmp_path, "guest", GUEST, lib)
    assert found["boot"] == {"initrd": {"kernelModules": ["dmi-sysfs"]}, "kernelModules": ["dmi-sysfs"]}
    assert found["systemd"]["packages"] == ["guestcred"]
    # as the units themselves say it
    wanted = {
        path.stem: [
            word for line in path.read_text().splitlines() if line[:9] == "WantedBy=" for word in line[9:].split(" ")
        ]
        for path in (ROOT / "packaging/systemd").glob("*.service")
    }
    got = {name: unit["wantedBy"] for name, unit in found["systemd"]["services"].items()}
    assert got == {name: targets for name, targets in wanted.items() if targets} and "guestcred" in got
    text = found["etc"]["guestcred/nixos.toml"]["text"]
    assert tomllib.loads(text)["services"]["demo-oem-credentials"] == {
        "user": "demo-svc-user",
        "load": ["api-key:API_KEY", "db-password:DB_PASSWORD"],
        "import": ["TLS_*"],
        "set": ['region:eu "x" \\ ü'],
        "required": ["api-key"],
    }
    (tmp_path / "etc" / "guestcred").mkdir(parents=True)
    (tmp_path / "etc" / "guestcred" / "nixos.toml").write_text(text)
    (service,) = read_services(Tree(str(tmp_path)))
    assert service.unit == "demo-oem-credentials.service" and service.required == ("api-key",)


@pytest.mark.parametrize("lib", LIBS)
def test_a_guest_that_enables_nothing_gets_nothing(tmp_path: Path, lib: str | None) -> None:
    found = machine(tmp_path, "guest", "{ }", lib)
    assert found["packages"] == [] and found["systemd"]["packages"] == [] and found["etc"] == {}


@pytest.mark.parametrize("lib", LIBS)
@pytest.mark.parametrize(
    ("module", "settings"),
    [
        ("host", '{ microvms.a.credentials.A.file = "relative"; }'),
        ("host", '{ microvms.a.credentials.A.file = "/with:colon"; }'),
        ("host", "{ microvms.a.credentials.A.file = ./path-into-the-store; }"),
        ("host", '{ microvms.a.credentials."A/B".file = "/run/a"; }'),
        ("host", '{ microvms.a.credentials."#A".file = "/run/a"; }'),
        ("host", '{ microvms.a.credentials."-A".file = "/run/a"; }'),
        ("host", '{ microvms.a.credentials."..".file = "/run/a"; }'),
        ("host", '{ microvms.a.credentials."A=B".file = "/run/a"; }'),
        ("host", '{ microvms.a.literals.A = "two\\nlines"; }'),
        ("host", '{ microvms.a.literals."A:B" = "x"; }'),
        ("host", '{ microvms.a.notify = "never"; }'),
        ("host", "{ microvms.a.unknown = 1; }"),
        ("guest", '{ enable = true; settings.services.demo = { load = [ "a:B" ]; }; }'),
        ("guest", '{ enable = true; settings.services.demo = { user = ""; }; }'),
        ("guest", '{ enable = true; settings.services.demo = { user = "u"; load = [ "a/b:B" ]; }; }'),
        ("guest", '{ enable = true; settings.services.demo = { user = "u"; load = "a"; }; }'),
        ("guest", '{ enable = true; settings.services.demo = { user = "u"; loud = [ ]; }; }'),
        ("guest", '{ enable = true; settings.services.demo = { user = "u"; set = [ "a" ]; }; }'),
        ("guest", '{ enable = true; settings.services."demo.socket" = { user = "u"; }; }'),
        ("guest", '{ enable = true; settings.services."a/b" = { user = "u"; }; }'),
        ("guest", '{ enable = true; settings.services.".a" = { user = "u"; }; }'),
    ],
)
def test_what_guestcred_refuses_is_no_configuration(
    tmp_path: Path, module: str, settings: str, lib: str | None
) -> None:
    done = evaluate(tmp_path, module, settings, lib)
    assert done.returncode != 0 and "error:" in done.stderr
