"""The proofs that a mutant has to pass, each from beginning to end in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs import kept, tour
from tests.proofs.recovery import recovery_is_seen_in_data, what_is_sealed_does_not_hold_when_it_is_sealed
from tests.proofs.under_fire import GateUnderFire

ONCE = settings(
    max_examples=400,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """`first_for` are the invariants that it is the quickest to see broken."""

    name: str
    run: Callable[[], None]
    first_for: tuple[str, ...] = ()


PROOFS = (
    Proof("what a budget allows", tour.what_a_budget_allows, ("I15",)),
    Proof("what comes between", tour.what_comes_between, ("I4", "I5", "I15")),
    Proof("what changes after the approval", tour.what_changes_after_the_approval, ("I2", "I3", "I4", "I15")),
    Proof("what policy says", tour.what_policy_says, ("I12", "I13", "I16")),
    Proof("who decides", tour.who_decides, ("I2", "I3", "I4", "I1")),
    Proof("who tampers", tour.who_tampers, ("I1", "I2", "I3")),
    Proof("what is undone", tour.what_is_undone, ("I1", "I2")),
    Proof("what the audit finds", tour.what_the_audit_finds, ("I9",)),
    Proof("what is told", tour.what_is_told, ("I6", "I7", "I8")),
    Proof("what a twin does", tour.what_a_twin_does, ("I6", "I7")),
    Proof("who is held up", tour.who_is_held_up, ("I6",)),
    Proof("who acts at once", tour.who_acts_at_once, ("I6", "I7")),
    Proof("who dies where", tour.who_dies_where, ("I6", "I7", "I8", "I9")),
    Proof("what goes on after tampering", tour.what_goes_on_after_tampering),
    Proof("what was answered is kept", kept.what_was_answered_is_kept, ("I10",)),
    Proof("what a secret leaves", kept.what_a_secret_leaves, ("I14",)),
    Proof("recovery is seen in data", lambda: settings(ONCE, max_examples=1_000)(recovery_is_seen_in_data)(), ("I17",)),
    Proof("what is sealed does not hold yet", settings(ONCE)(what_is_sealed_does_not_hold_when_it_is_sealed), ("I17",)),
    Proof("the gate does as its model does", lambda: run_state_machine_as_test(GateUnderFire, settings=ONCE)),
)
