"""Every kind of fault at every step, in the language model, Prometheus, MLflow and Kubernetes: the incident ends or waits for a
person within its budget, nothing answers with a traceback, and nothing happens that nobody approved."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.proofs import chaos
from tests.proofs.faults import SERVER, WRITTEN
from tests.proofs.report import Report

PROCESSES = 2
SHARE = 41  # every so many of the combinations in CI
CLEAN = chaos.Fault()


def told(report: Report, folder: Path) -> list[chaos.Told]:
    numbers = range(len(chaos.combinations()))
    if not report.long:
        (folder / "share").mkdir()
        return chaos.run(numbers[::SHARE], folder / "share")
    shares = [numbers[n::PROCESSES] for n in range(PROCESSES)]
    for n in range(PROCESSES):
        (folder / f"{n}").mkdir()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(chaos.run, shares, [folder / f"{n}" for n in range(PROCESSES)]))
    return [one for share in found for one in share]


def test_in_a_broken_world_an_incident_ends_or_waits_within_its_budget(tmp_path: Path, report: Report) -> None:
    began = time.monotonic()
    stories = told(report, tmp_path)
    wrong = [f"{one.fault}: {what}" for one in stories for what in one.wrong]
    report.add(
        chaos={
            "faults": sum(bool(one.hit) for one in stories),
            "ended": sum(not one.waits and bool(one.state) for one in stories),
            "waiting": sum(bool(one.waits) for one in stories),
            "stuck": sum("stuck" in what for what in wrong),
            "untrue": sum("untrue" in what for what in wrong),
            "unauthorised": sum("unauthorised" in what for what in wrong),
            "tracebacks": sum("traceback" in what for what in wrong),
        }
    )
    print(
        f"{len(stories)} incidents; {time.monotonic() - began:.0f} s; the longest took {max(s.seconds for s in stories):.1f} s"
    )
    print(Counter((one.fault.who, one.state, *one.outcomes) for one in stories))
    assert wrong == []
    missed = [one.fault for one in stories if not one.hit]
    assert missed == [], "a fault that nothing met proves nothing"
    if report.long:
        assert {one.fault.who for one in stories} == set(chaos.KINDS)
        assert len(SERVER) >= 12
        assert len(WRITTEN) >= 12


@pytest.mark.parametrize("play", [chaos.SCALE, chaos.POINT], ids=["scale", "point"])
async def test_with_nothing_broken_it_is_done_once_and_recovers(play: chaos.Play, tmp_path: Path) -> None:
    """The model's recovery is seen only once true outcomes have come in: its success test waits that long."""
    await chaos.prepare(tmp_path / "template")
    story = await chaos.played(play, CLEAN, tmp_path / "clean", tmp_path / "template")
    assert (story.wrong, story.state, story.outcomes, story.effects) == ([], "recovered", ["DONE"], 1)
