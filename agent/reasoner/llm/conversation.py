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
from agent.domain.alert import Alert
from agent.domain.claims.quantity import of_fact, shown
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.text import paragraph
from agent.domain.timeline import Event, EventKind
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
    start = max((i for i, e in enumerate(events) if e.kind is EventKind.COMPACTION), default=None)
    if start is not None:
        found.append({"role": "user", "content": f"So far, in short:\n{data(str(events[start].data['text']))}"})
        events = events[start + 1 :]
    ids: set[str] = set()
    for move, after in _turns(events):
        found += [*_told(move), *_turn(move, after, Giver(provider, ids))]
    return [*found, *_tail(view, Giver(provider, ids))]


def _told(move: Event | None) -> list[Message]:
    """What the reasoner was told before this move, as it stood at the end of that step's rendering."""
    told = _not_taken(move.data.get("told") or ()) if move else ""
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
    first = [e for e in view.events if e.kind is EventKind.ALERT][:1]
    shown_alerts = view.alerts[:1] if first else view.alerts
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


Turn = tuple[Event | None, list[Event]]


def _turns(events: Sequence[Event]) -> Iterator[Turn]:
    """A move with the events up to the next one; first what came before any move (move None)."""
    move: Event | None = None
    after: list[Event] = []
    for event in events:
        if event.kind is EventKind.NOTE and "move" in event.data:
            yield move, after
            move, after = event, []
        else:
            after.append(event)
    yield move, after


def _turn(move: Event | None, after: Sequence[Event], giver: Giver) -> list[Message]:
    if move is None or move.data["move"] not in _ANSWERED:
        return _news(after)
    if move.data["move"] == "look":
        return _look(move, after, giver)
    after = _without_repeats(after)
    answers = [text for e in after if e.kind in _VERDICTS and (text := _event(e))]
    dropped = [text for e in after if e.kind is EventKind.FINDING and (text := _event(e))]
    answer = "\n".join([*dropped, *answers]) or "Noted."
    rest = [e for e in after if e.kind not in (*_VERDICTS, EventKind.FINDING)]
    name = str(move.data["move"])
    return [*giver.asked(move.data, name, _written(move.data), derived_id(move.n), answer), *_news(rest)]


def _without_repeats(after: Sequence[Event]) -> list[Event]:
    """While an effect is watched, the first look and the last say it; the looks between and their reads are left out."""
    looks = [e for e in after if e.kind is EventKind.VERIFICATION]
    dull = {id(e) for e in looks[1:-1] if not e.data.get("final")}
    ids = {str(i) for e in looks if id(e) in dull for i in e.data.get("evidence", ())}
    return [e for e in after if id(e) not in dull and not (e.kind is EventKind.EVIDENCE and e.data["id"] in ids)]


def _look(move: Event, after: Sequence[Event], giver: Giver) -> list[Message]:
    """One tool call for all reads of the move, and one answer with all that came back, in the order of the calls."""
    calls = list(move.data["calls"])
    recorded = {_place(e, calls): e for e in reversed(after) if e.kind is EventKind.EVIDENCE}
    texts = [
        evidence_text(recorded[i].data) if i in recorded else f"{c['read']}: no answer was recorded."
        for i, c in enumerate(calls)
    ]
    used = {id(e) for i, e in recorded.items() if i is not None}
    asked = giver.asked(move.data, "look", {"calls": calls}, derived_id(move.n), "\n\n".join(texts))
    return [*asked, *_news([e for e in after if id(e) not in used])]


def _place(event: Event, calls: Sequence[Mapping[str, Json]]) -> int | None:
    """Which call of the move an evidence answers: by the call's number where it is recorded, else by what was asked."""
    noted = str((event.data.get("extra") or {}).get("call", ""))
    if ":" in noted and noted.rsplit(":", 1)[1].isdigit() and int(noted.rsplit(":", 1)[1]) < len(calls):
        return int(noted.rsplit(":", 1)[1])
    asked = (event.data["read"], event.data["arguments"])
    return next((i for i, c in enumerate(calls) if (c["read"], c["args"]) == asked), None)


def evidence_text(recorded: Mapping[str, Json]) -> str:
    """One recorded read: its number, its summary as data, and its facts with the ids that references use."""
    from agent.domain.evidence import evidence_from_json

    fields = {k: v for k, v in recorded.items() if k in Evidence.__dataclass_fields__}
    one = evidence_from_json(fields)
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
    d = event.data
    match event.kind:
        case EventKind.ALERT if event.n > 1:
            return f"An alert {d.get('status', '')}: {data(json.dumps(d.get('labels', {}), ensure_ascii=False, sort_keys=True), 1000)}"
        case EventKind.EVIDENCE:
            return evidence_text(d)
        case EventKind.FINDING if d.get("dropped"):
            return f"A claim was dropped: {data(str(d['text']), 300)}: {d.get('why', '')}"
        case EventKind.REPLY if d.get("to") == "stanch":
            return f"{event.actor} answers: {data(str(d['text']), 2000)}"
        case EventKind.REPLY if d.get("question"):
            return f"{d.get('to')} asked: {data(str(d['question']), 500)} The answer was: {data(str(d['text']), 1000)}"
        case EventKind.NOTE if "steer" in d:
            return f"{event.actor} says: {data(str(d['steer']), 2000)}"
        case EventKind.VERDICT:
            return f"Policy on {d.get('proposal')}: {d.get('verdict')}. {d.get('why', '')}"
        case EventKind.DECISION:
            reason = f" {data(str(d['reason']), 500)}" if d.get("reason") else ""
            return f"{event.actor} on {d.get('proposal')}: {d.get('answer')}.{reason}"
        case EventKind.OUTCOME:
            return f"{d.get('proposal')}: {d.get('outcome')}. {d.get('why') or ''}"
        case EventKind.VERIFICATION:
            word = {"True": "recovered", "False": "not recovered"}.get(str(d.get("recovered")), "undecided")
            return f"Verification of {d.get('proposal')} at {event.at:%H:%M:%S}: {word}. {d.get('why') or ''}{_measured(d)}"
    return ""


def _measured(verification: Mapping[str, Json]) -> str:
    seen = "; ".join(str(one) for one in verification.get("measured") or ())
    return f" ({seen})" if seen else ""


_VERDICTS = (EventKind.VERDICT, EventKind.DECISION, EventKind.OUTCOME, EventKind.VERIFICATION)
_ANSWERED = ("look", "propose", "ask", "conclude")


def _written(noted: Mapping[str, Json]) -> dict[str, Json]:
    """A move's own arguments out of its note."""
    kept = ("action", "args", "kind", "hand_over", "question", "source")
    found = {k: noted[k] for k in kept if k in noted} | dict(noted.get("cause") or {})
    if "claims" in noted:
        found["claims"] = [_claim(c) for c in noted["claims"]]
    return found


def _claim(claim: Mapping[str, Json]) -> str:
    asserts = "; ".join(f"{a['left']} {a['op']} {a['right']}" for a in claim["asserts"])
    return f"{claim['text']} [{asserts}]" if asserts else str(claim["text"])


def _tail(view: View, giver: Giver) -> list[Message]:
    """What is said in this step only: the last attempt and why it was not taken, the question of a question run."""
    told = _not_taken(view.rejections)
    last: Any = view.extra.get("last")
    asked = f"A person asks: {data(view.question, 4000)}" if view.question is not None else ""
    if told and last:
        again = f"{told}\nMake the move again with that mended, or leave it out."
        parts = giver.asked(last, str(last["move"]), _attempted(last), "again0000", again)
        return [*parts, {"role": "user", "content": asked}] if asked else parts
    text = "\n".join(part for part in (told, asked) if part)
    return [{"role": "user", "content": text}] if text else []


def _attempted(last: Mapping[str, Json]) -> dict[str, Json]:
    """A move that was not taken, as it was written: with its reasons, which the note of a taken one has filled in."""
    found = _written(last) | {k: last[k] for k in ("why", "calls") if k in last}
    for name, key in (("ruled_out", "cause"), ("not_checked", "what")):
        if last.get(name):
            found[name] = [f"{one[key]}: {one['why']}" for one in last[name]]
    return found | ({"text": last["reply"]} if last["move"] == "reply" else {})


def compaction(view: View) -> str:
    """The case in short, for a compaction event: what was read, found, proposed and said. Deterministic."""
    reads = [
        f"{e.id} {e.read} {json.dumps(dict(e.arguments), sort_keys=True)}: {e.outcome}, {e.summary[:160]}"
        for e in view.evidence.values()
    ]
    found = [
        f"finding: {e.data['template']}"
        for e in view.events
        if e.kind is EventKind.FINDING and not e.data.get("dropped")
    ]
    said = [
        text for e in view.events if e.kind in (*_VERDICTS, EventKind.REPLY, EventKind.NOTE) and (text := _event(e))
    ]
    return "\n".join(["Reads:", *reads, *found, *said])
