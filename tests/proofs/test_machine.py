"""The gate holds its promises against its model, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.report import Report
from tests.proofs.under_fire import GateUnderFire

EXAMPLES, ALL = 60, 2_000


def test_the_gate_does_as_its_model_does(report: Report) -> None:
    examples = ALL if report.long else EXAMPLES
    once = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(GateUnderFire, settings=once)
    report.add("sqlite", examples=examples)
