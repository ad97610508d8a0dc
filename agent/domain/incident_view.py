"""A incident_view: everything known about one incident, folded from its timeline. Screens, report and JSON are views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.clock import iso
from agent.domain.alert import Alert
from agent.domain.cause import Cause, Fault
from agent.domain.evidence import Evidence, ReadOutcome, evidence_from_json
from agent.domain.incident import Incident
from agent.domain.timeline import Event, EventKind
from tools.context import Json

J = Mapping[str, Json]


@dataclass
class IncidentView:
    """Plain lists in the order of the timeline; the latest proposal, execution and verification by proposal id."""

    incident: Incident
    alerts: tuple[Alert, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: dict[str, Evidence] = field(default_factory=dict)
    runbooks: list[J] = field(default_factory=list)  # {name, score, section, why}
    findings: list[J] = field(default_factory=list)  # {text, evidence, …}
    dropped: int = 0
    cause: Cause | None = None
    ruled_out: list[J] = field(default_factory=list)  # {cause, why, evidence}
    not_checked: list[J] = field(default_factory=list)  # {what, why}
    passed_over: list[J] = field(
        default_factory=list
    )  # known from the start: broken runbooks, backends that are not there
    hand_over: str = ""
    by_hand: list[J] = field(default_factory=list)  # {command, undo}: what a person would type
    why: str = ""  # of the latest proposal
    proposals: dict[str, J] = field(default_factory=dict)
    verdicts: dict[str, J] = field(default_factory=dict)
    decisions: list[J] = field(default_factory=list)  # {proposal, by, at, answer, reason}
    intents: dict[str, Event] = field(default_factory=dict)
    outcomes: dict[str, Event] = field(default_factory=dict)
    verifications: dict[str, list[Event]] = field(default_factory=dict)
    questions: list[Event] = field(default_factory=list)
    replies: list[Event] = field(default_factory=list)
    reasoners: list[str] = field(default_factory=list)
    tokens: int = 0
    cost: float = 0.0
    report: str | None = None
    paused: str = ""  # who paused it; any steering lets it go on
    taken_over: str = ""  # who took it over

    @property
    def proposal(self) -> J | None:
        """The latest one that is no undo."""
        own = [p for p in self.proposals.values() if not p.get("parent")]
        return own[-1] if own else None

    @property
    def undo(self) -> J | None:
        children = [p for p in self.proposals.values() if p.get("parent")]
        return children[-1] if children else None

    def verification_of(self, proposal: str) -> Event | None:
        """The one that settled it, else the latest."""
        events = self.verifications.get(proposal, [])
        return next((e for e in reversed(events) if e.data.get("final")), events[-1] if events else None)

    @property
    def reasoner(self) -> str:
        return self.reasoners[-1] if self.reasoners else "runbook"

    @property
    def seconds(self) -> float:
        return (self.events[-1].at - self.events[0].at).total_seconds() if self.events else 0.0


def fold(incident: Incident, alerts: Sequence[Alert], events: Sequence[Event]) -> IncidentView:
    incident_view = IncidentView(incident, tuple(alerts), tuple(events))
    for event in events:
        take = _TAKE.get(event.kind)
        if take is not None:
            take(incident_view, event)
    incident_view.not_checked = [
        *incident_view.passed_over,
        *(one for one in incident_view.not_checked if one not in incident_view.passed_over),
    ]
    _not_checked_from_evidence(incident_view)
    return incident_view


def _evidence(incident_view: IncidentView, event: Event) -> None:
    evidence = evidence_from_json({key: value for key, value in event.data.items() if key != "extra"})
    incident_view.evidence[evidence.id] = evidence


def _finding(incident_view: IncidentView, event: Event) -> None:
    if event.data.get("dropped"):
        incident_view.dropped += 1
    elif event.data["text"] not in [f["text"] for f in incident_view.findings]:
        incident_view.findings.append(event.data)


def _proposal(incident_view: IncidentView, event: Event) -> None:
    incident_view.proposals[str(event.data["id"])] = event.data


def _verdict(incident_view: IncidentView, event: Event) -> None:
    incident_view.verdicts[str(event.data["proposal"])] = event.data


def _decision(incident_view: IncidentView, event: Event) -> None:
    incident_view.decisions.append({**event.data, "at": iso(event.at)})


def _intent(incident_view: IncidentView, event: Event) -> None:
    incident_view.intents[str(event.data["proposal"])] = event


def _outcome(incident_view: IncidentView, event: Event) -> None:
    incident_view.outcomes[str(event.data["proposal"])] = event


def _verification(incident_view: IncidentView, event: Event) -> None:
    incident_view.verifications.setdefault(str(event.data["proposal"]), []).append(event)


def _note(incident_view: IncidentView, event: Event) -> None:
    data = event.data
    if spent := data.get("spent"):
        incident_view.tokens += int(spent.get("tokens", 0))
        incident_view.cost += float(spent.get("money", 0.0))
    if data.get("by") and data.get("move") and data["by"] not in incident_view.reasoners[-1:]:
        incident_view.reasoners.append(str(data["by"]))
    if (cause := data.get("cause")) is not None:
        incident_view.cause = Cause(cause["component"], Fault(cause["fault"]), float(cause["confidence"]))
    if "ruled_out" in data:
        incident_view.ruled_out = _still_ruled_out(incident_view, data["ruled_out"])
    if "runbooks" in data:
        incident_view.runbooks = list(data["runbooks"])
        incident_view.passed_over = list(data.get("not_checked", ()))
    elif "not_checked" in data:
        incident_view.not_checked = list(data["not_checked"])
    incident_view.hand_over = str(data.get("hand_over") or incident_view.hand_over)
    if "by_hand" in data:
        incident_view.by_hand = list(data["by_hand"])
    if "steer" in data:
        who = str(data.get("who") or event.actor)
        incident_view.paused = who if data.get("halt") == "paused" else ""
        incident_view.taken_over = who if data.get("halt") == "taken over" else ""
    if data.get("move") == "propose":
        incident_view.why = str(data.get("why", ""))
    incident_view.report = data.get("report") or incident_view.report


def _still_ruled_out(incident_view: IncidentView, fresh: Sequence[J]) -> list[J]:
    """What an earlier move ruled out stays, unless a later one says it anew or names it as the cause."""
    anew = {str(one["cause"]) for one in fresh}
    cause = str(incident_view.cause.fault) if incident_view.cause else ""
    kept = [
        r
        for r in incident_view.ruled_out
        if r["cause"] not in anew and not _plain(str(r["cause"])).startswith(_plain(cause) or "?")
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
            entry = {"what": evidence.why or evidence.read, "why": evidence.summary}
            if entry not in incident_view.not_checked:
                incident_view.not_checked.append(entry)


_TAKE: Mapping[EventKind, Callable[[IncidentView, Event], None]] = {
    EventKind.EVIDENCE: _evidence,
    EventKind.FINDING: _finding,
    EventKind.PROPOSAL: _proposal,
    EventKind.VERDICT: _verdict,
    EventKind.DECISION: _decision,
    EventKind.INTENT: _intent,
    EventKind.OUTCOME: _outcome,
    EventKind.VERIFICATION: _verification,
    EventKind.QUESTION: lambda incident_view, event: incident_view.questions.append(event),
    EventKind.REPLY: lambda incident_view, event: incident_view.replies.append(event),
    EventKind.NOTE: _note,
}


def to_json(incident_view: IncidentView, seconds: float | None = None) -> dict[str, Any]:
    """The incident as `demo`, `investigate` and `incidents show` print it with --json; absent parts are null."""
    incident, cause = incident_view.incident, incident_view.cause
    return {
        "schema": 1,
        "incident": {
            "id": incident.id, "state": str(incident.state), "kind": str(incident.kind), "title": incident.title,
            "since": iso(incident.since), "alerts": [_alert(a) for a in incident_view.alerts],
        },
        "cause": {"component": cause.component, "fault": str(cause.fault), "confidence": cause.confidence} if cause else None,
        "runbooks": [{key: r[key] for key in ("name", "score", "why")} for r in incident_view.runbooks],
        "findings": [{"text": f["text"], "evidence": f["evidence"]} for f in incident_view.findings],
        "ruled_out": incident_view.ruled_out,
        "not_checked": incident_view.not_checked,
        "proposal": _proposal_json(incident_view, incident_view.proposal),
        "decisions": [{"by": d["by"], "at": d["at"], "answer": d["answer"]} for d in incident_view.decisions],
        "execution": _execution_json(incident_view, incident_view.proposal),
        "verification": _verification_json(incident_view, incident_view.proposal),
        "undo": {"proposal": _proposal_json(incident_view, incident_view.undo), "execution": _execution_json(incident_view, incident_view.undo)}
        if incident_view.undo else None,
        "reasoner": incident_view.reasoner,
        "counts": {
            "reads": len(incident_view.evidence), "tokens": incident_view.tokens, "cost": round(incident_view.cost, 6),
            "dropped_claims": incident_view.dropped,
        },
        "report": incident_view.report,
        "seconds": round(incident_view.seconds if seconds is None else seconds, 2),
    }  # fmt: skip


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name, "status": str(alert.status), "severity": alert.severity, "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels), "starts_at": iso(alert.starts_at), "ends_at": iso(alert.ends_at) if alert.ends_at else None,
    }  # fmt: skip


def _proposal_json(incident_view: IncidentView, proposal: J | None) -> dict[str, Any] | None:
    if proposal is None:
        return None
    verdict = incident_view.verdicts.get(str(proposal["id"]), {})
    keys = ("id", "action", "arguments", "target", "risk", "digest", "command")
    return {**{key: proposal.get(key) for key in keys}, "verdict": verdict.get("verdict")}


def _execution_json(incident_view: IncidentView, proposal: J | None) -> dict[str, Any] | None:
    outcome = incident_view.outcomes.get(str(proposal["id"])) if proposal else None
    if proposal is None or outcome is None:
        return None
    started: datetime | None = intent.at if (intent := incident_view.intents.get(str(proposal["id"]))) else None
    return {"outcome": outcome.data["outcome"], "started": iso(started) if started else None, "ended": iso(outcome.at)}


def _verification_json(incident_view: IncidentView, proposal: J | None) -> dict[str, Any] | None:
    event = incident_view.verification_of(str(proposal["id"])) if proposal else None
    return {"recovered": event.data["recovered"], "at": iso(event.at)} if event else None
