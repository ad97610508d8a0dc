"""What a language model sees: the case as chat messages, rendered from the timeline. Pure and stable at the front.

A later rendering begins with the earlier one, byte for byte (until a compaction event, where rendering starts anew), so
that a provider's cache holds. A move and all its answers are contiguous and in call order; what arrived meanwhile
follows as a user message. What a provider wants back with its move (an id of its own, a thought, a signature) goes back to it
and to no other; what somebody else moved is told as text, for a call without its signature would be refused. Call ids derive
from event numbers where the provider's own cannot be used. Text from outside stands inside <data>.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.clock import iso
from agent.domain import moves
from agent.domain.alert import Alert
from agent.domain.claims.quantity import of_fact, shown
from agent.domain.events import (
    AlertJoined,
    ClaimDropped,
    Compacted,
    DecisionMade,
    EffectChecked,
    EvidenceRecorded,
    FindingMade,
    OutcomeKnown,
    ReplyGiven,
    VerdictGiven,
)
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Claim
from agent.domain.moves import Call, Conclude, Look, Move, Propose, Reply, name_of
from agent.domain.notes import MoveMade, Note, Steered
from agent.domain.text import paragraph
from agent.domain.timeline import Event, EventOf, events_of, tells
from agent.reasoner.llm.budget import estimate
from agent.reasoner.llm.provider_extras import Giver, Message, derived_id
from agent.reasoner.protocol import View
from agent.reasoner.rules.runbook_text import readable
from tools.context import Json

MOST_FACTS = 40
SUMMARY_CHARS = 1_500
RUNBOOK_CHARS = 9_000
COMPACT_ABOVE = 60_000  # estimated tokens of the messages


def messages(view: View, system: str, provider: str = "") -> list[Message]:
    """System prompt, the case, then the timeline as moves, their answers and what arrived between.

    `provider` is whom they are for, as it stands in what a move keeps for it (`given.of`).
    """
    found: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": opening(view)}]
    events = list(view.events)
    if short := events_of(events, Compacted)[-1:]:
        found.append({"role": "user", "content": f"So far, in short:\n{data(short[0].payload.text)}"})
        events = events[events.index(short[0]) + 1 :]
    ids: set[str] = set()
    for move, after in _turns(events):
        found += [*_told(move), *_turn(move, after, Giver(provider, ids))]
    return [*found, *_tail(view, Giver(provider, ids))]


def _told(move: EventOf[MoveMade] | None) -> list[Message]:
    """What the reasoner was told before this move, as it stood at the end of that step's rendering."""
    told = _not_taken(move.payload.told) if move else ""
    return [{"role": "user", "content": told}] if told else []


def _not_taken(reasons: Sequence[str]) -> str:
    return "\n".join(f"Not taken: {paragraph(r)}" for r in reasons)


def tokens(parts: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
    """Estimated tokens of a request."""
    return estimate(json.dumps([*parts, *tools], ensure_ascii=False))


def data(text: str, limit: int | None = None) -> str:
    """Text from outside, delimited: it cannot close its own fence, nor hide in control characters."""
    clean = paragraph(text, limit).replace("<data", "< data").replace("</data", "< /data")
    return f"<data>{clean}</data>"


def opening(view: View) -> str:
    """The case as it began: alerts, service, model, runbooks. Nothing in it changes while the incident lasts."""
    parts = [f"Incident {view.incident.id}, since {iso(view.incident.since)}. Alerts:"]
    shown_alerts = view.alerts[:1] if events_of(view.events, AlertJoined) else view.alerts
    parts += [_alert(a) for a in shown_alerts]
    if view.service:
        s = view.service
        loads = ", ".join(str(w) for w in s.workloads) or "none"
        parts.append(
            f"Catalog: service {s.name}; depends on {', '.join(s.depends_on) or 'nothing'}; workloads {loads}; "
            f"serves model {s.serves_model or 'none'}; owner {s.owner or 'unknown'}."
        )
    if view.model:
        m = view.model
        features = ", ".join(m.features_from) or "unknown"
        parts.append(
            f"Catalog: model {m.name}, alias {m.alias}, served by {m.served_by}; features from {features}; owner {m.owner or 'unknown'}."
        )
    parts += _runbooks(view)
    return "\n\n".join(parts)


def _alert(alert: Alert) -> str:
    texts = {"labels": dict(alert.labels), "annotations": dict(alert.annotations), "rule": alert.expression}
    return f"- firing since {iso(alert.starts_at)}: {data(json.dumps(texts, ensure_ascii=False, sort_keys=True), 4000)}"


def _runbooks(view: View) -> list[str]:
    if not view.runbooks:
        return ["No runbook fits."]
    listed = "; ".join(f"{m.name} ({m.why})" for m in view.runbooks)
    best = view.bodies.get(view.runbooks[0].name)
    text = f"\n\nThe best, {best.name}:\n{data(readable(best, view), RUNBOOK_CHARS)}" if best else ""
    return [f"Runbooks: {listed}. search_runbooks opens others.{text}"]


Turn = tuple[EventOf[MoveMade] | None, list[Event]]


def _turns(events: Sequence[Event]) -> Iterator[Turn]:
    """A move with the events up to the next one; first what came before any move (move None)."""
    move: EventOf[MoveMade] | None = None
    after: list[Event] = []
    for event in events:
        if tells(event, MoveMade):
            yield move, after
            move, after = event, []
        else:
            after.append(event)
    yield move, after


def _turn(move: EventOf[MoveMade] | None, after: Sequence[Event], giver: Giver) -> list[Message]:
    if move is None or isinstance(move.payload.move, Reply):
        return _news(after)
    made = move.payload
    if isinstance(made.move, Look):
        return _look(move, made.move.calls, after, giver)
    after = _without_repeats(after)
    answers = [text for e in after if isinstance(e.payload, _VERDICTS) and (text := _event(e))]
    dropped = [text for e in after if tells(e, ClaimDropped) and (text := _event(e))]
    answer = "\n".join([*dropped, *answers]) or "Noted."
    rest = [e for e in after if not isinstance(e.payload, (*_VERDICTS, FindingMade, ClaimDropped))]
    asked = giver.asked(made.by, made.given, name_of(made.move), _written(made.move), derived_id(move.n), answer)
    return [*asked, *_news(rest)]


def _without_repeats(after: Sequence[Event]) -> list[Event]:
    """While an effect is watched, the first look and the last say it; the looks between and their reads are left out."""
    looks = events_of(after, EffectChecked)
    dull = {id(e) for e in looks[1:-1] if not e.payload.final}
    ids = {i for e in looks if id(e) in dull for i in e.payload.evidence}
    return [e for e in after if id(e) not in dull and not (tells(e, EvidenceRecorded) and e.payload.evidence.id in ids)]


def _look(move: EventOf[MoveMade], calls: Sequence[Call], after: Sequence[Event], giver: Giver) -> list[Message]:
    """One tool call for all reads of the move, and one answer with all that came back, in the order of the calls."""
    recorded = {_place(e.payload, calls): e for e in reversed(events_of(after, EvidenceRecorded))}
    texts = [
        evidence_text(recorded[i].payload.evidence) if i in recorded else f"{call.read}: no answer was recorded."
        for i, call in enumerate(calls)
    ]
    used = {id(e) for i, e in recorded.items() if i is not None}
    wanted = {"calls": [call.to_json() for call in calls]}
    made = move.payload
    asked = giver.asked(made.by, made.given, "look", wanted, derived_id(move.n), "\n\n".join(texts))
    return [*asked, *_news([e for e in after if id(e) not in used])]


def _place(recorded: EvidenceRecorded, calls: Sequence[Call]) -> int | None:
    """Which call of the move an evidence answers: by the call's number where it is recorded, else by what was asked."""
    noted = recorded.call
    if ":" in noted and noted.rsplit(":", 1)[1].isdigit() and int(noted.rsplit(":", 1)[1]) < len(calls):
        return int(noted.rsplit(":", 1)[1])
    asked = (recorded.evidence.read, recorded.evidence.arguments)
    return next((i for i, call in enumerate(calls) if (call.read, call.args) == asked), None)


def evidence_text(one: Evidence) -> str:
    """One recorded read: its number, its summary as data, and its facts with the ids that references use."""
    if one.outcome is ReadOutcome.FAILED:
        return f"{one.id} failed, nothing is known from it: {data(one.summary, SUMMARY_CHARS)}"
    few = one.facts[:MOST_FACTS]
    shared = dict(set.intersection(*(set(f.labels.items()) for f in few))) if few else {}
    own = [{k: v for k, v in f.labels.items() if k not in shared} for f in few]
    known = [f"{f.id}={_value(one, f)}{_labels(labels)}" for f, labels in zip(few, own, strict=True)]
    more = f" … {len(one.facts) - MOST_FACTS} more" if len(one.facts) > MOST_FACTS else ""
    return f"{one.id} {one.outcome}: {data(one.summary, SUMMARY_CHARS)}\nfacts of {one.id}{_labels(shared)}: {data('; '.join(known) + more) if known else 'none'}"


def _value(one: Evidence, fact: Any) -> str:
    quantity = of_fact(one.id, fact)
    return shown(quantity, one.as_of) if quantity.known else "unknown"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{k}={v}" for k, v in sorted(labels.items())) + "}" if labels else ""


def _news(events: Sequence[Event]) -> list[Message]:
    """What arrived, as one user message; nothing when nothing did."""
    texts = [text for event in events if (text := _event(event))]
    return [{"role": "user", "content": "\n".join(texts)}] if texts else []


def _event(event: Event) -> str:
    match event.payload:
        case AlertJoined(alert=alert) if event.n > 1:
            labels = json.dumps(dict(alert.labels), ensure_ascii=False, sort_keys=True)
            return f"An alert {alert.status}: {data(labels, 1000)}"
        case EvidenceRecorded(evidence=evidence):
            return evidence_text(evidence)
        case ClaimDropped() as claim:
            return f"A claim was dropped: {data(claim.text, 300)}: {claim.why}"
        case ReplyGiven(to="stanch") as answer:
            return f"{event.actor} answers: {data(answer.text, 2000)}"
        case ReplyGiven() as reply if reply.question:
            return f"{reply.to} asked: {data(reply.question, 500)} The answer was: {data(reply.text, 1000)}"
        case Steered(steer=words):
            return f"{event.actor} says: {data(words, 2000)}"
        case VerdictGiven() as ruled:
            return f"Policy on {ruled.proposal}: {ruled.verdict}. {ruled.why}"
        case DecisionMade() as made:
            reason = f" {data(made.reason, 500)}" if made.reason else ""
            return f"{event.actor} on {made.proposal}: {made.answer}.{reason}"
        case OutcomeKnown() as end:
            return f"{end.proposal}: {end.outcome}. {end.why or ''}"
        case EffectChecked() as seen:
            word = {True: "recovered", False: "not recovered", None: "undecided"}[seen.recovered]
            measured = f" ({'; '.join(seen.measured)})" if seen.measured else ""
            return f"Verification of {seen.proposal} at {event.at:%H:%M:%S}: {word}. {seen.why}{measured}"
    return ""


_VERDICTS = (VerdictGiven, DecisionMade, OutcomeKnown, EffectChecked)


def _written(move: Move) -> dict[str, Json]:
    """A move's own arguments, as a language model writes them."""
    kept = ("action", "args", "kind", "hand_over", "question", "source")
    whole = moves.to_json(move)
    found = {k: whole[k] for k in kept if k in whole}
    if isinstance(move, Propose | Conclude):
        found |= move.cause.to_json()
    if isinstance(move, Look | Propose | Conclude):
        found["claims"] = [_claim(claim) for claim in move.claims]
    return found


def _claim(claim: Claim) -> str:
    asserts = "; ".join(f"{one.left} {one.op} {one.right}" for one in claim.asserts)
    return f"{claim.text} [{asserts}]" if asserts else claim.text


def _tail(view: View, giver: Giver) -> list[Message]:
    """What is said in this step only: the last attempt and why it was not taken, the question of a question run."""
    told, last = _not_taken(view.rejections), view.last
    asked = f"A person asks: {data(view.question, 4000)}" if view.question is not None else ""
    if told and last:
        again = f"{told}\nMake the move again with that mended, or leave it out."
        parts = giver.asked(last.by, last.given, name_of(last.move), _attempted(last.move), "again0000", again)
        return [*parts, {"role": "user", "content": asked}] if asked else parts
    text = "\n".join(part for part in (told, asked) if part)
    return [{"role": "user", "content": text}] if text else []


def _attempted(move: Move) -> dict[str, Json]:
    """A move that was not taken, as it was written: with its reasons, which the note of a taken one has filled in."""
    found = _written(move)
    match move:
        case Look(calls=calls):
            found["calls"] = [call.to_json() for call in calls]
        case Reply(text=text):
            found["text"] = text
        case Propose(why=why):
            found["why"] = why
    if isinstance(move, Propose | Conclude):
        reasons = {
            "ruled_out": [f"{one.cause}: {one.why}" for one in move.ruled_out],
            "not_checked": [f"{one.what}: {one.why}" for one in move.not_checked],
        }
        found |= {name: given for name, given in reasons.items() if given}
    return found


def compaction(view: View) -> str:
    """The case in short, for a compaction event: what was read, found, proposed and said. Deterministic."""
    reads = [
        f"{e.id} {e.read} {json.dumps(dict(e.arguments), sort_keys=True)}: {e.outcome}, {e.summary[:160]}"
        for e in view.evidence.values()
    ]
    found = [f"finding: {event.payload.finding.template}" for event in events_of(view.events, FindingMade)]
    said = [text for e in view.events if isinstance(e.payload, (*_VERDICTS, ReplyGiven, Note)) and (text := _event(e))]
    return "\n".join(["Reads:", *reads, *found, *said])
