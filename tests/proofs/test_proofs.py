"""The tours and the random walk, without any mutant in place."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.proofs import PROOFS, Proof
from tests.proofs.recovery import recovery_is_seen_in_data
from tests.proofs.report import Report
from tests.proofs.under_fire import GateUnderFire
from tests.proofs.walk import chosen, in_shares

EXAMPLES, SHARE, SHARES = 12, 150, 6  # in CI; under `--prove` so many in each share
RANDOM = ("recovery is seen in data", "the gate does as its model does")


@pytest.mark.parametrize("proof", [p for p in PROOFS if p.name not in RANDOM], ids=lambda p: p.name)
def test_the_tour(proof: Proof) -> None:
    proof.run()  # whatever it finds broken, it raises


def test_the_gate_does_as_its_model_does(report: Report) -> None:
    if not report.long:
        run_state_machine_as_test(GateUnderFire, settings=chosen(EXAMPLES))
        return report.add("sqlite", examples=EXAMPLES)
    walked = in_shares(SHARE, range(1, SHARES + 1))
    report.add(
        "sqlite", examples=sum(one.examples for one in walked), violations=sum(bool(one.found) for one in walked)
    )
    assert [one.found for one in walked if one.found] == []


def test_recovery_is_seen_in_data(report: Report) -> None:
    examples = 10_000 if report.long else 250
    settings(chosen(examples))(recovery_is_seen_in_data)()
    report.add(examples=examples)
