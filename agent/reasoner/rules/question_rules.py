"""Questions people ask in mid-incident, answered from the evidence, by rules: what is not understood is said so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from agent.domain.claims.claims import Filled, fill
from agent.domain.events import (
    AboutProposal,
    DecisionMade,
    EffectChecked,
    FindingMade,
    IntentDeclared,
    OutcomeKnown,
    ProposalSealed,
    VerdictGiven,
)
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.notes import GivenToPerson, MoveMade, Recalled
from agent.domain.text import visible
from agent.domain.timeline import events_of
from agent.reasoner.protocol import Call, Conclude, Look, Move, NotChecked, Propose, Reply, View
from agent.reasoner.rules.evidence_index import EvidenceIndex, ask, fact, labels_of, present
from agent.reasoner.rules.findings_text import names_in
from agent.reasoner.rules.first_minute import measured
from tools.errors import ToolError
from tools.prometheus.promql import parse

CAN = (
    "I answer from what was recorded: why I think so, what was and was not checked, the status and the plan, "
    "what a piece of evidence says (its id), how a service of the catalog or a metric is doing."
)
MOST_LINES = 12
TOPICS = {
    "latency": "duration|latency|p99",
    "slow": "duration|latency|p99",
    "error": "5\\.\\.|error|code",
    "memory": "memory",
    "cpu": "cpu|throttl",
    "throttl": "throttl",
    "traffic": "requests_total",
    "drift": "inspect_drift|drift",
    "feature": "feature",
    "quality": "model_quality|prediction_error",
    "version": "version",
    "deploy": "recent_changes|rollout",
    "change": "recent_changes|rollout",
    "restart": "restart",
    "replica": "describe_workload|replicas",
    "queue": "queue",
    "disk": "filesystem",
    "certificate": "ssl|cert",
    "alert": "alert",
    "log": "logs",
    "owner": "describe_service",
}


def answer(view: View) -> Move:
    """A reply, or first the reads it takes: at most one look."""
    question = (view.question or "").strip()
    lower = question.lower()
    named = re.findall(r"(?<![\w.])E\d+(?![\w.])", question)
    if named:
        return _reply(view, (line for i in named for line in _evidence(view, i)))
    for pattern, write in _TABLE:
        if re.search(pattern, lower):
            return _reply(view, write(view))
    return _about(view, question, lower)


def _reply(view: View, lines: Iterable[str]) -> Reply:
    """The lines that can be filled in, each by itself: one that cannot is left out, not the whole answer."""
    names = names_in(view)
    good: list[str] = []
    for line in lines:
        said = any(_same_fact(line, other) for other in good)
        if line and not said and isinstance(fill(line, view.evidence, names), Filled):
            good.append(line)
    if len(good) > MOST_LINES:
        good = [*good[: MOST_LINES - 1], "… and more: /evidence lists all that was read."]
    return Reply("\n".join(good) or f"Nothing that was recorded answers that. {CAN}")


def _same_fact(line: str, other: str) -> bool:
    """Two wordings of one fact: the first that can be filled in is enough."""
    mine, theirs = (re.findall(r": (\{[^{}]+\})$", one) for one in (line, other))
    return bool(mine) and mine == theirs


def _why(view: View) -> Iterator[str]:
    last = next((one.move for one in reversed(_moves(view)) if isinstance(one.move, Propose | Conclude)), None)
    if last is None:
        yield "No cause has been named yet. What was found so far:"
    else:
        where = f" in {last.cause.component}" if last.cause.component else ""
        yield f"The cause named so far is {last.cause.fault.replace('_', ' ')}{where}, because:"
    yield from _findings(view)
    for one in last.ruled_out if last else ():
        yield f"Ruled out: {one.cause} ({', '.join(one.evidence)})."


def _findings(view: View) -> list[str]:
    templates = [e.payload.finding.template for e in events_of(view.events, FindingMade)]
    return [f"- {t}" for t in dict.fromkeys(templates)]


def _moves(view: View) -> list[MoveMade]:
    return [e.payload for e in events_of(view.events, MoveMade)]


def _checked(view: View) -> Iterator[str]:
    done = [e for e in view.evidence.values() if e.outcome is not ReadOutcome.FAILED]
    yield "Checked:" if done else "Nothing has been checked yet."
    for one in done:
        yield f"- {one.id}: {_plain(one.why) or one.read}{'' if one.outcome is ReadOutcome.OK else ' (nothing there)'}"


def _unchecked(view: View) -> Iterator[str]:
    failed = [e for e in view.evidence.values() if e.outcome is ReadOutcome.FAILED]
    listed = [one.what for one in _left_out(view)]
    yield "Not checked:" if failed or listed else "No read has failed, and no check was left out."
    yield from (f"- {one.id}: {_plain(one.why) or one.read} (the read failed)" for one in failed)
    yield from (f"- {_plain(what)}" for what in listed if what not in {e.why for e in failed})


def _left_out(view: View) -> tuple[NotChecked, ...]:
    """What was last said not to have been checked."""
    for event in reversed(view.events):
        match event.payload:
            case MoveMade(move=Propose(not_checked=listed) | Conclude(not_checked=listed)):
                return listed
            case Recalled(not_checked=listed):
                return listed
            case GivenToPerson(not_checked=tuple(listed)):
                return listed
    return ()


def _status(view: View) -> Iterator[str]:
    yield f"The incident is in the state {str(view.incident.state).replace('_', ' ')}."
    proposals = events_of(view.events, ProposalSealed)
    if proposals:
        proposal = proposals[-1].payload
        yield f"Proposed: {proposal.action}. {_fate(view, proposal.id)}"
    else:
        yield "No action has been proposed."
    yield from _findings(view)[:3]
    yield _plain(_handed_over(view))


def _handed_over(view: View) -> str:
    """Whom to call and why, as it was said last; "" where nobody is."""
    for event in reversed(view.events):
        match event.payload:
            case MoveMade(move=Conclude(hand_over=words)) | GivenToPerson(hand_over=words):
                return words
    return ""


def _fate(view: View, proposal: str) -> str:
    words = "It waits."
    for event in view.events:
        told = event.payload
        if isinstance(told, AboutProposal) and told.proposal == proposal:
            words = _FATES[type(told)]
    return words


_FATES: Mapping[type[AboutProposal], str] = {
    VerdictGiven: "The policy has ruled.",
    DecisionMade: "People have decided on it.",
    IntentDeclared: "It is being run.",
    OutcomeKnown: "It has run or was tried.",
    EffectChecked: "Its effect was looked at.",
}


def _evidence(view: View, evidence_id: str) -> Iterator[str]:
    one = view.evidence.get(evidence_id)
    if one is None:
        yield f"There is no such evidence. There are: {', '.join(view.evidence) or 'none'}."
        return
    why = _plain(one.why) or one.read
    yield f"{one.id}: {why}{'' if why.endswith('?') else '.'}"
    yield from _facts(one, 8)


def _facts(one: Evidence, most: int) -> Iterator[str]:
    known = [f for f in one.facts if fact(one, f.id)]
    for found in known[:most]:
        labels = ", ".join(
            v for k, v in found.labels.items() if k in ("service", "pod", "feature", "peer", "alertname")
        )
        of = f" of {labels}" if labels else ""
        for words in (f"{found.name}{of}", found.name, f"{found.id.replace('.', ' ')}{of}"):
            yield f"- {words}: {{{one.id}.{found.id}}}"


def _about(view: View, question: str, lower: str) -> Move:
    """A service or model of the catalog, a metric or PromQL, or a topic that some evidence is about."""
    words = {w.strip("?,.!'\"") for w in question.split()}
    service = next((s.name for s in view.catalog.services() if s.name in words), None)
    calls = _calls_for_service(view, service) if service else _calls_for_metric(view, question, words)
    evidence_index = EvidenceIndex(view)
    if missing := evidence_index.missing(calls):
        return Look(missing)
    if calls:
        found = [e for c in calls if (e := evidence_index.of(c))]
        failed = [f"{e.id}: {e.read} failed." for e in found if e.outcome is ReadOutcome.FAILED]
        return _reply(view, [*failed, *(line for e in found for line in _evidence(view, e.id))])
    topics = [pattern for word, pattern in TOPICS.items() if word in lower]
    fitting = [e for e in view.evidence.values() if any(re.search(p, f"{e.read} {dict(e.arguments)}") for p in topics)]
    if fitting:
        return _reply(view, (line for e in fitting[-3:] for line in _evidence(view, e.id)))
    return Reply(f"I cannot tell what is asked. {CAN}")


def _calls_for_service(view: View, name: str) -> tuple[Call, ...]:
    own = view.service.name if view.service else ""
    promql = measured(min(view.alerts, key=lambda a: a.starts_at, default=None))
    same = promql.replace(f'"{own}"', f'"{name}"') if promql and own and f'"{own}"' in promql else None
    labels = {k: v for k, v in labels_of(view).items() if k == "cluster"}
    return present(
        [
            ask(view, "compare_metrics", f"what the alert measures, in {name}", promql=same),
            ask(view, "recent_changes", f"what changed in {name}", service=name, hours=24),
            ask(view, "restarts_and_versions", f"what restarted in {name}", service=name, labels=labels),
        ]
    )


def _calls_for_metric(view: View, question: str, words: set[str]) -> tuple[Call, ...]:
    quoted = re.findall(r"`([^`]+)`", question)
    names = [*quoted, *(w for w in sorted(words) if re.fullmatch(r"[a-z][a-z0-9]*(?:[_:][a-z0-9]+){2,}(?:\{.*\})?", w))]
    return present(ask(view, "query_metrics", f"asked for: {n}", promql=n) for n in names[:3] if _parses(n))


def _parses(promql: str) -> bool:
    try:
        parse(promql)
    except ToolError:
        return False
    return True


def _plain(text: str) -> str:
    """Recorded words as part of a template: no braces, nothing hidden, no bare numerals."""
    return re.sub(r"[{}]", "", re.sub(r"\S*\d\S*", "…", visible(text, 200)))


_TABLE: Sequence[tuple[str, Callable[[View], Iterator[str]]]] = (
    (
        r"\bnot (?:yet |been )*(?:check|look|seen|know)|\bn.t (?:you )?(?:yet |been )*(?:check|look|seen|know)|\bun(?:checked|known)|\bmissing\b|\bdid(?:n.t| not) (?:you )?(?:check|look)",
        _unchecked,
    ),
    (r"\b(?:checked|looked|look at|evidence|seen|did you check|what do you know)\b", _checked),
    (r"\bwhy\b|\bcause\b|\breason\b|\bexplain\b|\bhow do you know\b|\bfinding", _why),
    (
        r"\bstatus\b|\bplan\b|\bstate\b|\bnext\b|\bpropos|\bwhat is (?:going on|happening|wrong)|\bwhat.s (?:up|going on|wrong)|\bsummary\b",
        _status,
    ),
)
