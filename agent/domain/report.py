"""The report: an incident's timeline as a page that a person can read the next morning. Made by code, from events only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agent.clock import iso
from agent.domain.incident_view import IncidentView
from agent.domain.text import exact, visible
from agent.domain.timeline import Event, EventKind


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
    yield from _section(
        "Findings", (f"- {_text(f['text'])} [{', '.join(f['evidence'])}]" for f in incident_view.findings)
    )
    yield from _section("Ruled out", (f"- {_text(r['cause'])}: {_text(r['why'])}" for r in incident_view.ruled_out))
    yield from _section("Not checked", (f"- {_text(n['what'])}: {_text(n['why'])}" for n in incident_view.not_checked))
    yield from _section("What was done", _done(incident_view))
    yield from _section("For a person", [_text(incident_view.hand_over)] if incident_view.hand_over else [])
    yield from _section("To do it yourself", _by_hand(incident_view))
    yield from _section(
        "Alerts",
        (f"- {_text(a.name)} {a.status}, since {iso(a.starts_at)}: {_text(a.summary)}" for a in incident_view.alerts),
    )
    yield from _section("Timeline", (_event(e) for e in incident_view.events if e.kind in _SHOWN or _told(e)))
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
        verdict = incident_view.verdicts.get(identity, {})
        yield f"- **{proposal['action']}** on {_text(str(proposal['target']))}: `{_text(str(proposal['command']))}`"
        yield (
            f"  - why: {_text(str(proposal.get('why') or ''))}"
            if proposal.get("why")
            else "  - sealed " + str(proposal["digest"])[:12]
        )
        yield f"  - policy: {verdict.get('verdict')} ({_text(str(verdict.get('why', '')))})"
        for decision in incident_view.decisions:
            if decision["proposal"] == identity:
                yield f"  - {decision['answer']} by {_text(str(decision['by']))} at {decision['at']}"
        if outcome := incident_view.outcomes.get(identity):
            yield f"  - outcome: {outcome.data['outcome']} at {iso(outcome.at)} {_text(str(outcome.data.get('why') or ''))}"
        if verification := incident_view.verification_of(identity):
            word = {True: "recovered", False: "not recovered", None: "not decided"}[verification.data["recovered"]]
            yield f"  - verification: {word} at {iso(verification.at)}: {_text(str(verification.data['why']))}"


def _by_hand(incident_view: IncidentView) -> Iterator[str]:
    """Commands as they are typed: in blocks, where nothing of them has to be escaped."""
    for one in incident_view.by_hand:
        lines = [exact(str(one["command"]))]
        lines += [f"# to take it back: {exact(str(one['undo']))}"] if one.get("undo") else []
        fence = "`" * max(3, *(len(run) + 1 for run in ["", *re.findall("`+", " ".join(lines))]))
        yield from (f"{fence}sh", *lines, fence)


_SHOWN = frozenset(
    {
        EventKind.ALERT,
        EventKind.FINDING,
        EventKind.PROPOSAL,
        EventKind.DECISION,
        EventKind.OUTCOME,
        EventKind.VERIFICATION,
        EventKind.STATE,
        EventKind.QUESTION,
        EventKind.REPLY,
    }
)  # fmt: skip


def _told(event: Event) -> bool:
    """A note that people should read: a fail-over, somebody's steering, what the reasoner had to say of itself."""
    return event.kind is EventKind.NOTE and any(event.data.get(key) for key in ("failover", "steer", "show"))


def _event(event: Event) -> str:
    data = event.data
    match event.kind:
        case EventKind.NOTE if data.get("failover"):
            what = f"fail-over {data['failover']}: {data['text']}"
        case EventKind.NOTE if data.get("steer"):
            what = f"{event.actor} steers: {data['steer']}"
        case EventKind.ALERT:
            what = f"{data['labels'].get('alertname', 'alert')} {data['status']}"
        case EventKind.PROPOSAL:
            what = f"{data['id']}: {data['command']}"
        case EventKind.DECISION:
            what = f"{data['answer']} {data['proposal']} by {data['by']}"
        case EventKind.OUTCOME:
            what = f"{data['proposal']}: {data['outcome']}"
        case EventKind.VERIFICATION:
            what = "; ".join([str(data["why"]), *data.get("measured", ())])
        case EventKind.STATE:
            what = f"{data['to']}: {data['why']}"
        case EventKind.FINDING if data.get("dropped"):
            what = f"a claim was dropped: {data['why']}"
        case _:
            what = str(data.get("text", ""))
    return f"- {event.at:%H:%M:%S} {event.kind}: {_text(what)}"


def _evidence(incident_view: IncidentView) -> Iterator[str]:
    """Each read in one line; of the many that watched an effect, the last ones, and how many went before."""
    watched = {proposal: _watching(events) for proposal, events in incident_view.verifications.items()}
    folded = {one for ids in watched.values() for one in ids} - {
        i for f in incident_view.findings for i in f["evidence"]
    }
    for one in incident_view.evidence.values():
        if one.id in folded:
            continue
        link = f" ([open]({one.link}))" if one.link and one.link.startswith(("http://", "https://")) else ""
        yield f"- **{one.id}** {one.read}, as of {iso(one.as_of)}, {one.outcome}{link}: {_text(one.summary.split(chr(10))[0])}"
    for proposal, ids in watched.items():
        if ids:
            yield f"- {ids[0]} to {ids[-1]}: {len(ids)} reads before these, while the effect of {proposal} was watched."


def _watching(events: Sequence[Event]) -> list[str]:
    """The reads of all checks of an effect but the last."""
    last = set(events[-1].data.get("evidence", ()))
    return [i for event in events[:-1] for i in event.data.get("evidence", ()) if i not in last]


def _text(text: str) -> str:
    """One visible line in which Markdown and HTML from outside stay letters."""
    out = visible(text, 600)
    for char in "\\`*_[]<>|":
        out = out.replace(char, f"\\{char}" if char not in "<>" else {"<": "&lt;", ">": "&gt;"}[char])
    return out
