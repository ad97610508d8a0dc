"""Scores: what was concluded and proposed, against a scenario's truth. Pure; nothing here is seen by a reasoner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.domain.events import ProposalSealed
from agent.domain.incident_view import IncidentView

if TYPE_CHECKING:
    from agent.lab.scenario import RightAction, Truth

SHARES = (
    "cause_right",
    "component_right",
    "action_right",
    "harmful",
    "false_alarms",
    "abstained_rightly",
    "abstained_wrongly",
    "recovered",
)
COUNTS = ("claims_dropped", "reads", "tokens", "seconds")


@dataclass(frozen=True, slots=True)
class Mark:
    """One run of one scenario. A share that does not apply to it (an action where none is right) is None."""

    scenario: str
    seed: int
    cause: str
    cause_right: bool
    component_right: bool | None  # None where nothing is wrong, so that there is no component
    action_right: bool
    harmful: bool
    false_alarms: bool | None  # None where something is wrong
    abstained_rightly: bool | None  # None where an action is right
    abstained_wrongly: bool | None  # None where abstaining is right
    recovered: bool | None  # None where the truth is that no action ends it
    claims_dropped: int
    reads: int
    tokens: int
    seconds: float


def mark(scenario: str, seed: int, incident_view: IncidentView, truth: Truth, seconds: float, recovered: bool) -> Mark:
    """`recovered`: whether the alert was really over in the end, which the lab knows and no verification decides.

    Every cause the truth lists is right; where it lists `none` beside others, naming one of those is no alarm.
    """
    cause = incident_view.cause
    fault = str(cause.fault) if cause else "unknown"
    nothing_wrong = truth.kind == "none"
    proposals = [p for p in incident_view.proposals.values() if not p.parent]
    fitting = [c for c in truth.causes if c.fault == fault]
    names = {name for c in fitting for name in (c.component, *c.also)}
    silent = not proposals and fault in ("unknown", "none")
    return Mark(
        scenario=scenario,
        seed=seed,
        cause=f"{fault} in {cause.component}" if cause and cause.component else fault,
        cause_right=bool(fitting),
        component_right=None if nothing_wrong else bool(cause and cause.component in names),
        action_right=_action_right(proposals, truth),
        harmful=any(_fits(p, wrong) for p in proposals for wrong in truth.harmful_actions),
        false_alarms=bool(proposals) or not (fitting or silent) if nothing_wrong else None,
        abstained_rightly=not proposals if truth.must_abstain or nothing_wrong else None,
        abstained_wrongly=None if truth.must_abstain or nothing_wrong else silent,
        recovered=recovered if truth.recovers and truth.right_actions else None,
        claims_dropped=incident_view.dropped,
        reads=len(incident_view.evidence),
        tokens=incident_view.tokens,
        seconds=seconds,
    )


def _action_right(proposals: Sequence[ProposalSealed], truth: Truth) -> bool:
    """Where no action is right: none was proposed. Elsewhere: one of the right ones was, before any other."""
    if not truth.right_actions:
        return not proposals
    return bool(proposals) and any(_fits(proposals[0], right) for right in truth.right_actions)


def _fits(proposal: ProposalSealed, action: RightAction) -> bool:
    """The same action; a workload may be written out in full where the truth gives its name."""
    if proposal.action != action.action:
        return False
    given = proposal.arguments
    return all(
        str(given.get(name)) == str(value) or str(given.get(name)).endswith(f"/{value}")
        for name, value in action.args.items()
    )


def summary(marks: Sequence[Mark]) -> dict[str, Any]:
    """Shares (0 to 1, None where none applies) and counts, over some runs."""
    shares: dict[str, Any] = {name: _share(getattr(m, name) for m in marks) for name in SHARES}
    return shares | {name: round(sum(getattr(m, name) for m in marks), 1) for name in COUNTS}


def _share(values: Iterable[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def report(reasoner: str, seeds: int, marks: Sequence[Mark]) -> dict[str, Any]:
    """What `eval --json` prints."""
    kinds = sorted({m.scenario for m in marks})
    per_kind = {kind: summary([m for m in marks if m.scenario == kind]) for kind in kinds}
    return {"reasoner": reasoner, "scenarios": len(kinds), "seeds": seeds, **summary(marks), "per_kind": per_kind}
