"""The scorecard: how proposals fared, by action and environment, out of the timelines alone. It is the reason for which an
operator widens policy, or narrows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from statistics import median

from agent.clock import iso
from agent.domain.cause import Fault
from agent.domain.events import ProposalSealed
from agent.domain.incident_view import IncidentView
from agent.domain.notes import ProposalWithdrawn, SuggestionFollowedUp
from agent.gate.executor import OUTSIDE
from tools.context import Json


class Fate(StrEnum):
    """What people did with a proposal. The first two agree with it, the next four do not, the rest say nothing of it."""

    APPROVED = "approved"  # unchanged
    OUTSIDE = "outside"  # done by hand, exactly so
    EDITED = "edited"
    DENIED = "denied"  # or revoked
    OVERRULED = "overruled"  # steered elsewhere, or taken over, while it waited
    LEFT = "left"  # suggested, and not done by hand
    RAN = "ran"  # allowed: nobody was asked
    OPEN = "open"
    MOOT = "moot"  # expired, cleared by itself, or policy denied it


AGREED = (Fate.APPROVED, Fate.OUTSIDE)
DIFFERED = (Fate.EDITED, Fate.DENIED, Fate.OVERRULED, Fate.LEFT)
OVERRIDES = (Fate.EDITED, Fate.DENIED, Fate.OVERRULED)


@dataclass(frozen=True, slots=True)
class Record:
    """One proposal of a reasoner, and what became of it. `recovered` None: never verified."""

    action: str
    environment: str
    verdict: str
    rule: str
    risk: str
    at: str
    fate: Fate
    wrong_cause: bool
    to_approve: timedelta | None
    outcome: str | None
    recovered: bool | None
    undone: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One action in one environment. `agreement` is the share of those that people judged; None where they judged none."""

    action: str
    environment: str
    verdict: str  # of the newest
    rule: str
    risk: str
    records: tuple[Record, ...]

    def count(self, *fates: Fate) -> int:
        return sum(one.fate in fates for one in self.records)

    @property
    def judged(self) -> int:
        return self.count(*AGREED, *DIFFERED)

    @property
    def agreement(self) -> float | None:
        return self.count(*AGREED) / self.judged if self.judged else None

    @property
    def wrong_causes(self) -> int:
        return sum(one.wrong_cause for one in self.records)

    @property
    def minutes_to_approve(self) -> float | None:
        waited = [one.to_approve.total_seconds() / 60 for one in self.records if one.to_approve is not None]
        return round(median(waited), 1) if waited else None

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(one.outcome for one in self.records if one.outcome)

    @property
    def undos(self) -> int:
        return sum(one.undone for one in self.records)

    @property
    def overrides(self) -> int:
        return self.count(*OVERRIDES)

    @property
    def not_recovered(self) -> int:
        return sum(one.recovered is False for one in self.records)

    def to_json(self) -> dict[str, Json]:
        return {
            "action": self.action,
            "environment": self.environment or None,
            "risk": self.risk,
            "verdict": self.verdict,
            "rule": self.rule,
            "proposals": len(self.records),
            "judged": self.judged,
            "agreement": None if self.agreement is None else round(self.agreement, 3),
            "fates": {str(fate): self.count(fate) for fate in Fate},
            "wrong_causes": self.wrong_causes,
            "minutes_to_approve": self.minutes_to_approve,
            "overrides": self.overrides,
            "undos": self.undos,
            "outcomes": {name: self.outcomes[name] for name in ("DONE", "NOT_DONE", "UNKNOWN")},
            "recovered": sum(one.recovered is True for one in self.records),
            "not_recovered": self.not_recovered,
        }


def rows(incident_views: Iterable[IncidentView]) -> list[Row]:
    """Most proposed first."""
    found: dict[tuple[str, str], list[Record]] = {}
    for incident_view in incident_views:
        for record in records_of(incident_view):
            found.setdefault((record.action, record.environment), []).append(record)
    made = [_row(sorted(many, key=lambda one: one.at)) for many in found.values()]
    return sorted(made, key=lambda row: (-len(row.records), row.action, row.environment))


def _row(records: Sequence[Record]) -> Row:
    newest = records[-1]
    return Row(newest.action, newest.environment, newest.verdict, newest.rule, newest.risk, tuple(records))


def records_of(incident_view: IncidentView) -> list[Record]:
    """Those that a reasoner made: an undo is counted with its parent, and what a person typed is a person's word."""
    return [
        _record(incident_view, proposal)
        for proposal in incident_view.proposals.values()
        if not proposal.parent and not proposal.requester_person
    ]


def _record(incident_view: IncidentView, proposal: ProposalSealed) -> Record:
    name = proposal.id
    fate = fate_of(incident_view, proposal)
    outcome, seen = incident_view.outcomes.get(name), incident_view.verification_of(name)
    recovered = seen.payload.recovered if seen is not None and seen.payload.final else None
    children = [incident_view.outcomes.get(p.id) for p in incident_view.proposals.values() if p.parent == name]
    undone = any(child is not None and child.payload.outcome == "DONE" for child in children)
    return Record(
        proposal.action,
        proposal.environment,
        proposal.verdict,
        proposal.rule,
        proposal.risk,
        iso(proposal.created_at),
        fate,
        _wrong_cause(incident_view, proposal, fate, recovered),
        _to_approve(incident_view, proposal) if fate is Fate.APPROVED else None,
        outcome.payload.outcome if outcome is not None else None,
        recovered,
        undone,
    )


def fate_of(incident_view: IncidentView, proposal: ProposalSealed) -> Fate:
    """What people did with it, by their decisions first and by what was noted of it after."""
    name = proposal.id
    answers = [d.payload.answer for d in incident_view.decisions if d.payload.proposal == name]
    outcome = incident_view.outcomes.get(name)
    if outcome is not None and outcome.payload.why == OUTSIDE:
        return Fate.OUTSIDE
    for answer, fate in (("edit", Fate.EDITED), ("deny", Fate.DENIED), ("revoke", Fate.DENIED)):
        if answer in answers:
            return fate
    if (noted := _noted(incident_view, name)) is not None:
        return noted
    if proposal.verdict == "allow":
        return Fate.RAN
    if "approve" in answers:
        return Fate.APPROVED
    return Fate.OPEN if proposal.verdict == "ask" and not incident_view.incident.state.ended else Fate.MOOT


def _noted(incident_view: IncidentView, name: str) -> Fate | None:
    """By the notes of its end and of suggestion_followup; `voided: outside`, `voided: steered` are the worker's words."""
    for event in incident_view.events:
        match event.payload:
            case SuggestionFollowedUp(hindsight=proposal, same=same) if proposal == name:
                return Fate.OUTSIDE if same else Fate.LEFT
            case ProposalWithdrawn(proposal=proposal, text=text) if proposal == name:
                why = text.rpartition(": ")[2]
                if why == "outside":
                    return Fate.OUTSIDE
                overruled = why == "steered" or why.startswith(("paused", "taken over", "a person said stop"))
                return Fate.OVERRULED if overruled else Fate.MOOT
    return None


def _wrong_cause(incident_view: IncidentView, proposal: ProposalSealed, fate: Fate, recovered: bool | None) -> bool:
    """People did not follow it, or it did not help, and in the end the incident was put down to something else."""
    final, then = incident_view.cause, proposal.cause
    if final is None or final.fault is Fault.UNKNOWN or (fate in AGREED and recovered is True):
        return False
    unfollowed = fate in DIFFERED or recovered is False
    return unfollowed and (final.fault, final.component) != (then.fault, then.component)


def _to_approve(incident_view: IncidentView, proposal: ProposalSealed) -> timedelta | None:
    """From the proposal to the approval that completed it."""
    decided = [
        d for d in incident_view.decisions if d.payload.proposal == proposal.id and d.payload.answer == "approve"
    ]
    return decided[-1].at - proposal.created_at if decided else None
