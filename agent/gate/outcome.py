"""Deriving an outcome: what was seen of an effect, and what may truly be said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from agent.gate.proposal import Proposal
from agent.store.executions import Outcome
from tools.context import Json
from tools.spec import State

FIRST_LOOK, LONGEST = timedelta(milliseconds=500), timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the target: what it says about the key (None: it cannot say), and what is (None: it did not answer)."""

    probed: bool | None
    state: State | None


def plain(state: State) -> State:
    """The state as plain JSON, so that what is compared later is what was sealed."""
    return State({str(name): _json(value) for name, value in state.fields.items()}, state.version)


def unchanged(seen: State, before: State) -> bool:
    """Whether the target is exactly as it was when the proposal was sealed, its version included."""
    return dict(seen.fields) == dict(before.fields) and seen.version == before.version


def as_wanted(seen: State, proposal: Proposal) -> bool:
    """Whether every field that the action alters is already as it should become."""
    return all(name in seen.fields and seen.fields[name] == proposal.after.fields[name] for name in proposal.altered)


def as_it_was(seen: State, proposal: Proposal) -> bool:
    """Whether every field that the action alters still has its old value."""
    return all(seen.fields.get(name) == proposal.before.fields.get(name) for name in proposal.altered)


def happened(seen: Seen, proposal: Proposal) -> bool:
    """The target's own word by key, else the fields it shows."""
    if seen.probed is not None:
        return seen.probed
    return seen.state is not None and as_wanted(seen.state, proposal)


def after_settling(seen: Seen, proposal: Proposal, answered: bool) -> tuple[Outcome, str]:
    """The outcome when the time is up in which an effect shows, and none was seen. Only what is certain is said."""
    if answered:
        return Outcome.UNKNOWN, "the target took it, and its effect was never seen"
    if seen.probed is False:
        return Outcome.NOT_DONE, "the target says that it never happened"
    if seen.state is None:
        return Outcome.UNKNOWN, "the target gave no answer, and could not be looked at afterwards"
    if as_it_was(seen.state, proposal):
        return Outcome.NOT_DONE, "the target gave no answer, and is as it was before"
    return Outcome.UNKNOWN, "the target gave no answer, and is neither as before nor as wanted"


def differences(seen: State, before: State) -> str:
    names = sorted({*seen.fields, *before.fields})
    changed = [
        f"{n}: {before.fields.get(n)!r} → {seen.fields.get(n)!r}"
        for n in names
        if seen.fields.get(n) != before.fields.get(n)
    ]
    return "; ".join(changed) or f"its version: {before.version} → {seen.version}"


def pauses(settle: timedelta) -> list[timedelta]:
    """How long to wait between looks: longer and longer, and in all exactly the settling time."""
    waits: list[timedelta] = []
    step, left = FIRST_LOOK, settle
    while left > timedelta(0):
        waits.append(min(step, left))
        left -= waits[-1]
        step = min(step * 2, LONGEST)
    return waits


def _json(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _json(inner) for key, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, list | tuple) else value
