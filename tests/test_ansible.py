"""The Ansible role and its fact: run by a real ansible-playbook, on this machine and below a temporary folder only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import schemas
from conftest import REFERENCE, Build
from test_cli import KEY

ROOT = Path(__file__).parent.parent
ANSIBLE = ROOT / "packaging/ansible"
FACT = ANSIBLE / "roles/guestcred/files/guestcred.fact"


def program(folder: Path, root: Path | None) -> dict[str, str]:
    """An environment in which `guestcred` looks at that tree; None: there is no such program."""
    folder.mkdir()
    if root is not None:
        (folder / "guestcred").write_text(f'#!/bin/sh\nexec {sys.executable} -m guestcred --root {root} "$@"\n')
        (folder / "guestcred").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("state", ["well", "lost", "no table", "no program"])
def test_the_fact_is_json_whatever_happens(tree: Build, tmp_path: Path, state: str) -> None:
    guests = {"well": REFERENCE, "lost": tree([KEY], {}), "no table": tmp_path, "no program": None}
    done = subprocess.run(
        [FACT], env=program(tmp_path / "bin", guests[state]), capture_output=True, text=True, check=True
    )
    schemas.hold(done.stdout)
    told = json.loads(done.stdout)
    verdicts = {"well": "agrees", "lost": "findings"}
    assert told["verdict"] == verdicts.get(state, "unknown") and done.stderr == ""
    assert ("problem" in told) == (state not in verdicts)
    if state == "no table":
        assert told["problem"].startswith("guestcred: error: there is no DMI table at ")


@pytest.mark.parametrize("state", ["well", "lost"])
def test_the_role_under_a_real_ansible(tree: Build, tmp_path: Path, state: str) -> None:
    playbook = shutil.which("ansible-playbook")
    if playbook is None:
        pytest.skip("needs ansible-playbook: sudo apt-get install --no-install-recommends ansible-core")
    root = REFERENCE if state == "well" else tree([KEY], {})
    variables = {
        "guestcred_package": "",
        "guestcred_facts_dir": f"{tmp_path}/facts.d",
        "guestcred_metrics": f"{tmp_path}/metrics/guestcred.prom",
        "guestcred_unit_dir": f"{tmp_path}/units",
        "ansible_become": False,
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_remote_tmp": f"{tmp_path}/remote",
    }
    environment = {
        **program(tmp_path / "bin", root),
        "ANSIBLE_LOCAL_TEMP": f"{tmp_path}/local",
        "ANSIBLE_HOME": f"{tmp_path}/home",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    command = [playbook, "-i", "guest,", "-e", json.dumps(variables), str(ANSIBLE / "site.yml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) == (state == "well"), done.stdout + done.stderr
    assert (tmp_path / "facts.d/guestcred.fact").read_bytes() == FACT.read_bytes()
    settings = (tmp_path / "units/guestcred-report.service.d/metrics.conf").read_text()
    assert (tmp_path / "metrics").is_dir() and "ReadWritePaths=-/" in settings
    example = (ROOT / "packaging/examples/metrics.conf").read_text()
    standing = example.replace("/var/lib/prometheus/node-exporter", f"{tmp_path}/metrics")
    assert settings.partition("[Service]")[2] == standing.partition("[Service]")[2]
    if state == "lost":
        assert "KEY was offered but not imported" in done.stdout
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "changed=0" in again.stdout
