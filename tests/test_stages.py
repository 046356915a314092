"""Whose PID 1 imported a credential: by the times of its file and of PID 1."""

from __future__ import annotations

import os

import pytest
from conftest import Build

from guestcred.guest.rootfs import Tree
from guestcred.guest.stages import read_stages
from guestcred.systemd.bus import Manager

STARTED, GENERATORS = 1_700_000_000_000_000, 1_700_000_000_200_000  # microseconds
MANAGER = Manager("257", "kvm", "", STARTED, GENERATORS)


@pytest.mark.parametrize(
    ("written", "earlier", "stage"),
    [
        (STARTED - 3_000_000, True, "initrd"),
        (STARTED - 3_000_000, False, None),
        (STARTED - 4_000, True, "system"),  # the kernel's clock for files stands still between two ticks
        (STARTED + 50_000, True, "system"),
        (STARTED + 50_000, False, "system"),
        (GENERATORS + 1, True, None),  # by nobody's import
    ],
)
def test_the_stage_is_told_by_time(tree: Build, written: int, earlier: bool, stage: str | None) -> None:
    root = tree([], {"F": b"v"})
    os.utime(root / "run/credentials/@system/F", ns=(0, written * 1000))
    found = read_stages(Tree(str(root)), MANAGER, earlier)
    assert found == ({} if stage is None else {"F": stage})


def test_a_systemd_that_does_not_tell_its_times_tells_no_stage(tree: Build) -> None:
    root = tree([], {"F": b"v"})
    assert read_stages(Tree(str(root)), Manager("257", "kvm", ""), True) == {}
