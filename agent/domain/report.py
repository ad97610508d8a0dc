"""The report: an incident's timeline as a page that a person can read the next morning. Made by code, from events only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agent.clock import iso
from agent.domain.events import (
    AlertJoined,
    ClaimDropped,
    DecisionMade,
    EffectChecked,
    FindingMade,
    OutcomeKnown,
    ProposalSealed,
    QuestionAsked,
    ReplyGiven,
    StateChanged,
)
from agent.domain.incident_view import IncidentView
from agent.domain.notes import FailedOver, Note, Steered
from agent.domain.text import exact, visible
from agent.domain.timeline import Event, EventOf


def render(incident_view: IncidentView) -> str:
    """Markdown. Text from outside is made visible and cannot break out of its line."""
    return "\n".join(_lines(incident_view)) + "\n"


def _lines(incident_view: IncidentView) -> Iterator[str]:
    incident = incident_view.incident
    yield f"# {_text(incident.title)}"
    yield ""
    yield (
        f"*{incident.id}* · **{str(incident.state).replace('_', ' ')}** · kind {incident.kind} · since {iso(incident.since)}"
        + (f" · ended {iso(incident.ended_at)}" if incident.ended_at else "")
    )
    yield from _section("Cause", _cause(incident_view))
    yield from _section("Findings", (f"- {_text(f.text)} [{', '.join(f.evidence)}]" for f in incident_view.findings))
    yield from _section("Ruled out", (f"- {_text(r.cause)}: {_text(r.why)}" for r in incident_view.ruled_out))
    yield from _section("Not checked", (f"- {_text(n.what)}: {_text(n.why)}" for n in incident_view.not_checked))
    yield from _section("What was done", _done(incident_view))
    yield from _section("For a person", [_text(incident_view.hand_over)] if incident_view.hand_over else [])
    yield from _section("To do it yourself", _by_hand(incident_view))
    yield from _section(
        "Alerts",
        (f"- {_text(a.name)} {a.status}, since {iso(a.starts_at)}: {_text(a.summary)}" for a in incident_view.alerts),
    )
    yield from _section("Timeline", _events(incident_view))
    yield from _section("Evidence", _evidence(incident_view))
    cost = f", cost {incident_view.cost:.4f}" if incident_view.cost else ""
    yield from _section(
        "How it was worked",
        [
            f"Reasoner {incident_view.reasoner}; {len(incident_view.evidence)} reads, {incident_view.tokens:,} tokens{cost}; "
            f"{incident_view.dropped} claims dropped because the evidence did not bear them."
        ],
    )


def _section(title: str, lines: object) -> Iterator[str]:
    body = list(lines)  # type: ignore[call-overload]
    if body:
        yield from ("", f"## {title}", "", *body)


def _cause(incident_view: IncidentView) -> Iterator[str]:
    cause = incident_view.cause
    if cause is None or cause.fault == "unknown":
        yield "Not found. What was checked stands under Findings and Evidence."
    elif cause.fault == "none":
        yield f"No fault: what fired is no incident (confidence {cause.confidence:.0%})."
    else:
        yield f"**{cause.fault.replace('_', ' ')}** in **{_text(cause.component)}** (confidence {cause.confidence:.0%})."


def _done(incident_view: IncidentView) -> Iterator[str]:
    for identity, proposal in incident_view.proposals.items():
        verdict = incident_view.verdicts.get(identity)
        yield f"- **{proposal.action}** on {_text(proposal.target)}: `{_text(proposal.command)}`"
        yield f"  - why: {_text(proposal.why)}" if proposal.why else f"  - sealed {proposal.digest[:12]}"
        yield f"  - policy: {verdict.verdict if verdict else None} ({_text(verdict.why if verdict else '')})"
        for event in incident_view.decisions:
            decision = event.payload
            if decision.proposal == identity:
                yield f"  - {decision.answer} by {_text(decision.by)} at {iso(event.at)}"
        if outcome := incident_view.outcomes.get(identity):
            yield f"  - outcome: {outcome.payload.outcome} at {iso(outcome.at)} {_text(outcome.payload.why or '')}"
        if seen := incident_view.verification_of(identity):
            word = {True: "recovered", False: "not recovered", None: "not decided"}[seen.payload.recovered]
            yield f"  - verification: {word} at {iso(seen.at)}: {_text(seen.payload.why)}"


def _by_hand(incident_view: IncidentView) -> Iterator[str]:
    """Commands as they are typed: in blocks, where nothing of them has to be escaped."""
    for one in incident_view.by_hand:
        lines = [exact(one.command)]
        lines += [f"# to take it back: {exact(one.undo)}"] if one.undo else []
        fence = "`" * max(3, *(len(run) + 1 for run in ["", *re.findall("`+", " ".join(lines))]))
        yield from (f"{fence}sh", *lines, fence)


def _events(incident_view: IncidentView) -> Iterator[str]:
    for event in incident_view.events:
        if (what := _what(event)) is not None:
            yield f"- {event.at:%H:%M:%S} {event.kind}: {_text(what)}"


def _what(event: Event) -> str | None:
    """An event in a line; None for those that nobody needs the next morning."""
    match event.payload:
        case FailedOver() as over if over.failover:
            return f"fail-over {over.failover}: {over.text}"
        case Steered(steer=words) if words:
            return f"{event.actor} steers: {words}"
        case Note(show=True, text=text):
            return text
        case AlertJoined(alert=alert):
            return f"{alert.labels.get('alertname', 'alert')} {alert.status}"
        case ProposalSealed() as proposal:
            return f"{proposal.id}: {proposal.command}"
        case DecisionMade() as decision:
            return f"{decision.answer} {decision.proposal} by {decision.by}"
        case OutcomeKnown() as outcome:
            return f"{outcome.proposal}: {outcome.outcome}"
        case EffectChecked() as seen:
            return "; ".join([seen.why, *seen.measured])
        case StateChanged() as moved:
            return f"{moved.to}: {moved.why}"
        case ClaimDropped() as claim:
            return f"a claim was dropped: {claim.why}"
        case FindingMade(finding=finding):
            return finding.text
        case QuestionAsked(text=text) | ReplyGiven(text=text):
            return text
    return None


def _evidence(incident_view: IncidentView) -> Iterator[str]:
    """Each read in one line; of the many that watched an effect, the last ones, and how many went before."""
    watched = {proposal: _watching(events) for proposal, events in incident_view.verifications.items()}
    folded = {one for ids in watched.values() for one in ids} - {i for f in incident_view.findings for i in f.evidence}
    for one in incident_view.evidence.values():
        if one.id in folded:
            continue
        link = f" ([open]({one.link}))" if one.link and one.link.startswith(("http://", "https://")) else ""
        yield f"- **{one.id}** {one.read}, as of {iso(one.as_of)}, {one.outcome}{link}: {_text(one.summary.split(chr(10))[0])}"
    for proposal, ids in watched.items():
        if ids:
            yield f"- {ids[0]} to {ids[-1]}: {len(ids)} reads before these, while the effect of {proposal} was watched."


def _watching(events: Sequence[EventOf[EffectChecked]]) -> list[str]:
    """The reads of all checks of an effect but the last."""
    last = set(events[-1].payload.evidence)
    return [i for event in events[:-1] for i in event.payload.evidence if i not in last]


def _text(text: str) -> str:
    """One visible line in which Markdown and HTML from outside stay letters."""
    out = visible(text, 600)
    for char in "\\`*_[]<>|":
        out = out.replace(char, f"\\{char}" if char not in "<>" else {"<": "&lt;", ">": "&gt;"}[char])
    return out
