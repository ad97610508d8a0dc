"""A incident_view: everything known about one incident, folded from its timeline. Screens, report and JSON are views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.clock import iso
from agent.domain.alert import Alert
from agent.domain.cause import Cause, Fault
from agent.domain.events import (
    ClaimDropped,
    DecisionMade,
    EffectChecked,
    EvidenceRecorded,
    FindingMade,
    IntentDeclared,
    OutcomeKnown,
    ProposalSealed,
    QuestionAsked,
    ReplyGiven,
    VerdictGiven,
)
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Finding
from agent.domain.incident import Incident
from agent.domain.moves import Conclude, NotChecked, Propose, RuledOut
from agent.domain.notes import (
    CommandsToCopy,
    CommandToCopy,
    GivenToPerson,
    MoveMade,
    Note,
    Recalled,
    ReportWritten,
    RunbookFound,
    RunbooksAdded,
    Steered,
)
from agent.domain.payload import Payload
from agent.domain.timeline import Event, EventOf
from tools.context import Subject

MOST_CANDIDATES = 5  # that are told


@dataclass
class IncidentView:
    """Plain lists in the order of the timeline; the latest proposal, execution and verification by proposal id."""

    incident: Incident
    alerts: tuple[Alert, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: dict[str, Evidence] = field(default_factory=dict)
    runbooks: list[RunbookFound] = field(default_factory=list)  # best first
    findings: list[Finding] = field(default_factory=list)
    dropped: int = 0
    cause: Cause | None = None
    ruled_out: list[RuledOut] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)
    passed_over: list[NotChecked] = field(default_factory=list)  # known from the start: broken runbooks, no backend
    hand_over: str = ""
    by_hand: list[CommandToCopy] = field(default_factory=list)
    why: str = ""  # of the latest proposal
    proposals: dict[str, ProposalSealed] = field(default_factory=dict)
    verdicts: dict[str, VerdictGiven] = field(default_factory=dict)
    decisions: list[EventOf[DecisionMade]] = field(default_factory=list)
    intents: dict[str, EventOf[IntentDeclared]] = field(default_factory=dict)
    outcomes: dict[str, EventOf[OutcomeKnown]] = field(default_factory=dict)
    verifications: dict[str, list[EventOf[EffectChecked]]] = field(default_factory=dict)
    questions: list[EventOf[QuestionAsked]] = field(default_factory=list)
    replies: list[EventOf[ReplyGiven]] = field(default_factory=list)
    reasoners: list[str] = field(default_factory=list)
    tokens: int = 0
    cost: float = 0.0
    report: str | None = None
    paused: str = ""  # who paused it; any steering lets it go on
    taken_over: str = ""  # who took it over

    @property
    def proposal(self) -> ProposalSealed | None:
        """The latest one that is no undo."""
        own = [p for p in self.proposals.values() if not p.parent]
        return own[-1] if own else None

    @property
    def undo(self) -> ProposalSealed | None:
        children = [p for p in self.proposals.values() if p.parent]
        return children[-1] if children else None

    def verification_of(self, proposal: str) -> EventOf[EffectChecked] | None:
        """The one that settled it, else the latest."""
        events = self.verifications.get(proposal, [])
        return next((e for e in reversed(events) if e.payload.final), events[-1] if events else None)

    @property
    def reasoner(self) -> str:
        return self.reasoners[-1] if self.reasoners else "runbook"

    @property
    def seconds(self) -> float:
        return (self.events[-1].at - self.events[0].at).total_seconds() if self.events else 0.0


def fold(incident: Incident, alerts: Sequence[Alert], events: Sequence[Event]) -> IncidentView:
    incident_view = IncidentView(incident, tuple(alerts), tuple(events))
    for event in events:
        told = event.payload
        if isinstance(told, Note) and told.spent is not None:
            incident_view.tokens += told.spent.tokens
            incident_view.cost += told.spent.money
        take = _TAKE.get(type(told))
        if take is not None:
            take(incident_view, event)
    known = incident_view.passed_over
    incident_view.not_checked = [*known, *(one for one in incident_view.not_checked if one not in known)]
    _not_checked_from_evidence(incident_view)
    return incident_view


def _evidence(incident_view: IncidentView, event: EventOf[EvidenceRecorded]) -> None:
    incident_view.evidence[event.payload.evidence.id] = event.payload.evidence


def _finding(incident_view: IncidentView, event: EventOf[FindingMade]) -> None:
    if event.payload.finding.text not in [finding.text for finding in incident_view.findings]:
        incident_view.findings.append(event.payload.finding)


def _dropped(incident_view: IncidentView, event: EventOf[ClaimDropped]) -> None:
    incident_view.dropped += 1


def _proposal(incident_view: IncidentView, event: EventOf[ProposalSealed]) -> None:
    incident_view.proposals[event.payload.id] = event.payload


def _verdict(incident_view: IncidentView, event: EventOf[VerdictGiven]) -> None:
    incident_view.verdicts[event.payload.proposal] = event.payload


def _intent(incident_view: IncidentView, event: EventOf[IntentDeclared]) -> None:
    incident_view.intents[event.payload.proposal] = event


def _outcome(incident_view: IncidentView, event: EventOf[OutcomeKnown]) -> None:
    incident_view.outcomes[event.payload.proposal] = event


def _verification(incident_view: IncidentView, event: EventOf[EffectChecked]) -> None:
    incident_view.verifications.setdefault(event.payload.proposal, []).append(event)


def _recalled(incident_view: IncidentView, event: EventOf[Recalled]) -> None:
    incident_view.runbooks = list(event.payload.runbooks)
    incident_view.passed_over = list(event.payload.not_checked)


def _added(incident_view: IncidentView, event: EventOf[RunbooksAdded]) -> None:
    known = {one.name for one in event.payload.added}
    incident_view.runbooks = [*event.payload.added, *(one for one in incident_view.runbooks if one.name not in known)]


def _move(incident_view: IncidentView, event: EventOf[MoveMade]) -> None:
    made, move = event.payload, event.payload.move
    if made.by and made.by not in incident_view.reasoners[-1:]:
        incident_view.reasoners.append(made.by)
    if isinstance(move, Propose | Conclude):
        incident_view.cause = move.cause
        incident_view.ruled_out = _still_ruled_out(incident_view, move.ruled_out)
        incident_view.not_checked = list(move.not_checked)
    if isinstance(move, Propose):
        incident_view.why = move.why
    if isinstance(move, Conclude):
        incident_view.hand_over = move.hand_over or incident_view.hand_over


def _given_to_person(incident_view: IncidentView, event: EventOf[GivenToPerson]) -> None:
    incident_view.hand_over = event.payload.hand_over or incident_view.hand_over
    if event.payload.not_checked is not None:
        incident_view.not_checked = list(event.payload.not_checked)


def _commands(incident_view: IncidentView, event: EventOf[CommandsToCopy]) -> None:
    incident_view.by_hand = list(event.payload.by_hand)


def _steered(incident_view: IncidentView, event: EventOf[Steered]) -> None:
    who = event.payload.who or event.actor
    incident_view.paused = who if event.payload.halt == "paused" else ""
    incident_view.taken_over = who if event.payload.halt == "taken over" else ""


def _report(incident_view: IncidentView, event: EventOf[ReportWritten]) -> None:
    incident_view.report = event.payload.report or incident_view.report


def _still_ruled_out(incident_view: IncidentView, fresh: Sequence[RuledOut]) -> list[RuledOut]:
    """What an earlier move ruled out stays, unless a later one says it anew or names it as the cause."""
    anew = {one.cause for one in fresh}
    cause = str(incident_view.cause.fault) if incident_view.cause else ""
    kept = [
        one
        for one in incident_view.ruled_out
        if one.cause not in anew and not _plain(one.cause).startswith(_plain(cause) or "?")
    ]
    return [*kept, *fresh]


def _plain(cause: str) -> str:
    return cause.replace("_", " ")


def _not_checked_from_evidence(incident_view: IncidentView) -> None:
    """A failed read is something that was not checked, unless the same read with the same arguments worked later."""
    worked = {
        (e.read, str(e.arguments)) for e in incident_view.evidence.values() if e.outcome is not ReadOutcome.FAILED
    }
    for evidence in incident_view.evidence.values():
        if evidence.outcome is ReadOutcome.FAILED and (evidence.read, str(evidence.arguments)) not in worked:
            entry = NotChecked(evidence.why or evidence.read, evidence.summary)
            if entry not in incident_view.not_checked:
                incident_view.not_checked.append(entry)


_TAKE: Mapping[type[Payload], Callable[[IncidentView, EventOf[Any]], None]] = {
    EvidenceRecorded: _evidence,
    FindingMade: _finding,
    ClaimDropped: _dropped,
    ProposalSealed: _proposal,
    VerdictGiven: _verdict,
    DecisionMade: lambda incident_view, event: incident_view.decisions.append(event),
    IntentDeclared: _intent,
    OutcomeKnown: _outcome,
    EffectChecked: _verification,
    QuestionAsked: lambda incident_view, event: incident_view.questions.append(event),
    ReplyGiven: lambda incident_view, event: incident_view.replies.append(event),
    Recalled: _recalled,
    RunbooksAdded: _added,
    MoveMade: _move,
    GivenToPerson: _given_to_person,
    CommandsToCopy: _commands,
    Steered: _steered,
    ReportWritten: _report,
}


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an incident beside its timeline's own fold: what it is about, and what the board shows, as JSON."""

    subjects: Sequence[Subject] = ()
    symptoms: Sequence[dict[str, Any]] = ()
    candidates: Sequence[dict[str, Any]] = ()

    def subject_of(self, cause: Cause) -> dict[str, Any] | None:
        """The subject that a cause's component names; None where it is none that is known."""
        known = [one.to_json() for one in self.subjects]
        said = [one["subject"] for one in (*self.candidates, *self.symptoms)]
        return next((one for one in (*said, *known) if one["name"] == cause.component), None)

    def with_cause(self, cause: Cause | None) -> list[dict[str, Any]]:
        """The candidates, the cause that was concluded first, also where a runbook's checks told it and not the board."""
        listed = list(self.candidates)
        if cause is None or cause.fault in (Fault.NONE, Fault.UNKNOWN):
            return listed
        same = [one for one in listed if (one["fault"], one["subject"]["name"]) == (str(cause.fault), cause.component)]
        own = {"subject": self.subject_of(cause), "fault": str(cause.fault), "confidence": cause.confidence}
        first = {**(same[0] if same else {"for": [], "against": [], "missing": []}), **own}
        return [first, *(one for one in listed if one not in same)]


def to_json(incident_view: IncidentView, seconds: float | None = None, told: Told | None = None) -> dict[str, Any]:
    """The incident as `demo`, `investigate` and `incidents show` print it with --json; absent parts are null."""
    incident, cause, told = incident_view.incident, incident_view.cause, told or Told()
    return {
        "schema": 2,
        "incident": {
            "id": incident.id,
            "state": str(incident.state),
            "kind": str(incident.kind),
            "title": incident.title,
            "since": iso(incident.since),
            "alerts": [_alert(a) for a in incident_view.alerts],
        },
        "subjects": [one.to_json() for one in told.subjects],
        "cause": {**cause.to_json(), "subject": told.subject_of(cause)} if cause else None,
        "candidates": told.with_cause(cause)[:MOST_CANDIDATES],
        "symptoms": list(told.symptoms),
        "runbooks": [{"name": r.name, "score": r.score, "why": r.why} for r in incident_view.runbooks],
        "findings": [{"text": f.text, "evidence": list(f.evidence)} for f in incident_view.findings],
        "ruled_out": [r.to_json() for r in incident_view.ruled_out],
        "not_checked": [n.to_json() for n in incident_view.not_checked],
        "proposal": _proposal_json(incident_view, incident_view.proposal),
        "decisions": [
            {"by": d.payload.by, "at": iso(d.at), "answer": d.payload.answer} for d in incident_view.decisions
        ],
        "execution": _execution_json(incident_view, incident_view.proposal),
        "verification": _verification_json(incident_view, incident_view.proposal),
        "undo": {
            "proposal": _proposal_json(incident_view, incident_view.undo),
            "execution": _execution_json(incident_view, incident_view.undo),
        }
        if incident_view.undo
        else None,
        "reasoner": incident_view.reasoner,
        "counts": {
            "reads": len(incident_view.evidence),
            "tokens": incident_view.tokens,
            "cost": round(incident_view.cost, 6),
            "dropped_claims": incident_view.dropped,
        },
        "report": incident_view.report,
        "seconds": round(incident_view.seconds if seconds is None else seconds, 2),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name,
        "status": str(alert.status),
        "severity": alert.severity,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "starts_at": iso(alert.starts_at),
        "ends_at": iso(alert.ends_at) if alert.ends_at else None,
    }


def _proposal_json(incident_view: IncidentView, proposal: ProposalSealed | None) -> dict[str, Any] | None:
    if proposal is None:
        return None
    verdict = incident_view.verdicts.get(proposal.id)
    return {
        "id": proposal.id,
        "action": proposal.action,
        "arguments": proposal.arguments,
        "target": proposal.target,
        "risk": proposal.risk,
        "digest": proposal.digest,
        "command": proposal.command,
        "verdict": verdict.verdict if verdict else None,
    }


def _execution_json(incident_view: IncidentView, proposal: ProposalSealed | None) -> dict[str, Any] | None:
    outcome = incident_view.outcomes.get(proposal.id) if proposal else None
    if proposal is None or outcome is None:
        return None
    intent = incident_view.intents.get(proposal.id)
    return {
        "outcome": outcome.payload.outcome,
        "started": iso(intent.at) if intent else None,
        "ended": iso(outcome.at),
    }


def _verification_json(incident_view: IncidentView, proposal: ProposalSealed | None) -> dict[str, Any] | None:
    event = incident_view.verification_of(proposal.id) if proposal else None
    return {"recovered": event.payload.recovered, "at": iso(event.at)} if event else None
