"""The runbook reasoner on real runs of the lab: what it names, what it proposes, and that nothing it proposes does harm.

All scenarios and more seeds: `stanch eval --seeds 5`. Here one seed of kinds that differ in what is right to do.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.__main__ import _open
from agent.lab import scenario as scenarios
from agent.surfaces.cli.evaluate import marked
from agent.surfaces.cli.scores import Mark, report
from agent.surfaces.cli.session import Session

ACTED_ON = ["forecast-contention", "bad-model-version", "bad-deploy", "crash-loop"]
LEFT_ALONE = ["weekly-peak", "flapping-alert", "harmless-drift"]
RENAMED = {  # found although no name tells it → the cause that is right
    "forecast-contention": "cpu_contention in demand-forecast",
    "dependency-down": "dependency_down in catalog-db",
    "stale-features": "stale_features in feature-pipeline",
    "harmless-drift": "none in demand-forecast",
}
HANDED_OVER = ["upstream-data-bug", "disk-filling"]


def run(name: str, blind: bool = False) -> Mark:
    return asyncio.run(marked(Session(_open, {}), name, name, 1, "runbook", blind))


@pytest.mark.parametrize("name", ACTED_ON)
def test_what_can_be_mended_is_named_mended_and_over(name: str) -> None:
    mark = run(name)
    assert (mark.cause_right, mark.component_right, mark.action_right) == (True, True, True), mark.cause
    assert (mark.harmful, mark.recovered, mark.abstained_wrongly) == (False, True, False)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_where_nothing_is_wrong_nothing_is_proposed(name: str) -> None:
    mark = run(name)
    assert (mark.cause_right, mark.false_alarms, mark.harmful, mark.abstained_rightly) == (True, False, False, True), (
        mark.cause
    )


@pytest.mark.parametrize("name", HANDED_OVER)
def test_what_only_a_person_can_mend_is_named_and_handed_over(name: str) -> None:
    mark = run(name)
    assert (mark.cause_right, mark.component_right, mark.harmful, mark.abstained_rightly) == (
        True,
        True,
        False,
        True,
    ), mark.cause


@pytest.mark.parametrize("name", RENAMED)
def test_an_alert_whose_name_tells_nothing_and_links_no_runbook_is_understood(name: str) -> None:
    mark = run(name, blind=True)
    assert (mark.cause, mark.action_right, mark.harmful) == (RENAMED[name], True, False)


def test_no_claim_is_dropped_and_a_report_adds_up() -> None:
    mark = run("certificate-expiry")
    assert mark.claims_dropped == 0
    whole = report("runbook", 1, [mark])
    assert whole["cause_right"] == whole["per_kind"]["certificate-expiry"]["cause_right"] == 1.0
    assert (whole["scenarios"], whole["recovered"], whole["false_alarms"]) == (1, None, None)


def test_a_scenario_of_ones_own_is_scored_like_ours(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    source = (scenarios.FOLDER / "certificate-expiry.yaml").read_text()
    mine.write_text(
        source.replace("name: certificate-expiry", "name: mine").replace(
            "fault: certificate_expiry", "fault: disk_full"
        )
    )
    mark = asyncio.run(marked(Session(_open, {}), "mine", str(mine), 1, "runbook"))
    assert (mark.cause_right, mark.component_right, mark.action_right) == (False, False, True)
