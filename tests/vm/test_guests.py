"""Real guests: each scenario on each release, and the whole flow from a secret on a host to services in guests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vm import flow
from vm.boot import boot
from vm.images import HOST, OUT, RELEASES, CannotRun, Image, build_base
from vm.rescue import verify_rescue
from vm.scenarios import Scenario, matrix, scenarios
from vm.verify import verify

Record = Callable[[str, object], None]
DEBIAN13 = next(release for release in RELEASES if release.name == "debian13")

pytestmark = pytest.mark.vm


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        marked = [
            pytest.param(
                scenario, release, id=f"{scenario.name}-{release.name}", marks=() if core else pytest.mark.vm_full
            )
            for scenario, release, core in matrix(scenarios(metafunc.config.option.vm_seed))
        ]
        metafunc.parametrize(("scenario", "image"), marked, indirect=["image"])


@pytest.mark.parametrize("image", [DEBIAN13], indirect=True, ids=lambda release: release.name)
def test_whole_flow(image: Image, record_property: Record) -> None:
    try:
        build_base(HOST)
        results = flow.run(image)
    except CannotRun as error:
        raise pytest.fail.Exception(f"the whole flow cannot run here: {error}", pytrace=False) from None
    broken = [claim for claim, holds in results["checks"] if not holds]
    record_property("stages", flow.stage_table(results["stages"]))
    record_property("damage", flow.damage_table(results["damage"]))
    record_property("claims", len(results["checks"]))
    record_property("hold", len(results["checks"]) - len(broken))
    assert not broken


def test_guest(scenario: Scenario, image: Image, record_property: Record) -> None:
    record_property("scenario", scenario.name)
    record_property("release", image.release.name)
    record_property("machine", scenario.shown)
    booted = boot(image, scenario, OUT / "runs" / f"{scenario.name}-{image.release.name}")
    for name, count in zip(("offered", "predicted", "imported"), verify(booted, scenario, image.release)):
        record_property(name, count)
    if scenario.rescue:
        cost = verify_rescue(booted, scenario.rescue(image.release.systemd))
        record_property("unit_ms", cost.own)
        record_property("exposure", cost.exposure)
        record_property("critical", cost.critical)
        record_property("boot", cost.boot)
