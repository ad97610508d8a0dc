"""The proofs that a mutant has to pass, each from beginning to end in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.recovery import recovery_is_seen_in_data
from tests.proofs.under_fire import GateUnderFire

ONCE = settings(
    max_examples=400, stateful_step_count=25, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """`first_for` are the invariants that it is the quickest to see broken."""

    name: str
    run: Callable[[], None]
    first_for: tuple[str, ...] = ()


PROOFS = (
    Proof("the gate does as its model does", lambda: run_state_machine_as_test(GateUnderFire, settings=ONCE)),
    Proof("recovery is seen in data", lambda: settings(ONCE, max_examples=2_000)(recovery_is_seen_in_data)(), ("I17",)),
)
