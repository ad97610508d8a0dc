"""The tour and the random walk, without any mutant in place."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.proofs import PROOFS, Proof
from tests.proofs.recovery import recovery_is_seen_in_data
from tests.proofs.report import Report
from tests.proofs.under_fire import GateUnderFire

EXAMPLES, ALL = 25, 1_500
RANDOM = ("recovery is seen in data", "the gate does as its model does")


@pytest.mark.parametrize("proof", [p for p in PROOFS if p.name not in RANDOM], ids=lambda p: p.name)
def test_the_tour(proof: Proof, report: Report) -> None:
    proof.run()
    report.add("sqlite", violations=0)


def test_the_gate_does_as_its_model_does(report: Report) -> None:
    examples = ALL if report.long else EXAMPLES
    run_state_machine_as_test(GateUnderFire, settings=chosen(examples))
    report.add("sqlite", examples=examples)


def test_recovery_is_seen_in_data(report: Report) -> None:
    examples = 20 * ALL if report.long else 10 * EXAMPLES
    chosen(examples)(recovery_is_seen_in_data)()
    report.add(examples=examples)


def chosen(examples: int) -> settings:
    """The same walk every time; what it finds is made small."""
    return settings(
        max_examples=examples, stateful_step_count=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
