"""The check blocks of the runbooks that fit, for the incident's service and for what it may suffer from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agent.domain.cause import Fault
from agent.domain.check import Check
from agent.domain.evidence import Evidence
from agent.domain.timeline import canonical
from agent.errors import UnusableInput
from agent.library.parse import advice
from agent.library.render import Names, names_for, render_check
from agent.library.runbook import CheckBlock, Runbook
from agent.reasoner.protocol import Call, View
from agent.reasoner.rules.evidence_index import EvidenceIndex, ask, key, labels_of, number
from tools.context import Model, Service
from tools.errors import ToolError
from tools.prometheus.promql import parse, render
from tools.spec import Fact

MOST_BOOKS = 3
BELOW: frozenset[Fault | None] = frozenset({Fault.DEPENDENCY_DOWN, Fault.NETWORK})  # faults that lie one step behind
LEAST_SCORE = 0.5  # of a runbook that only its text recommends
OUTCOME_METRICS = ("prediction_error", "model_quality")  # speak of true outcomes, which may not be known yet
CHANGE_READS = ("recent_changes", "rollout_history", "restarts_and_versions", "model_versions")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a runbook is followed for: the incident's own service, or one that it depends on."""

    service: Service | None
    model: Model | None
    own: bool
    names: Names

    @property
    def name(self) -> str:
        return self.service.name if self.service else (self.names.service or self.names.model or "")


@dataclass(frozen=True, slots=True)
class Tried:
    """One check block for one subject. `verdict` None = cannot be told, and `why` says why."""

    subject: Subject
    book: Runbook
    weight: float
    block: CheckBlock
    check: Check | None
    call: Call | None
    evidence: Evidence | None
    verdict: bool | None
    why: str = ""
    detail: Evidence | None = None  # the same measure without the outer max or min: which label values carry it

    @property
    def facts(self) -> tuple[Fact, ...]:
        return self.check.select(self.evidence.facts) if self.check and self.evidence else ()


def own_subject(view: View) -> Subject:
    return Subject(view.service, view.model, True, names_for(view.service, view.model, labels_of(view)))


def subject_of(view: View, name: str) -> Subject | None:
    service = view.catalog.service(name)
    if service is None:
        return None
    model = view.catalog.model(service.serves_model) if service.serves_model else None
    cluster = labels_of(view).get("cluster", "")
    return Subject(service, model, False, names_for(service, model, {"cluster": cluster} if cluster else {}))


def books(view: View) -> list[tuple[Runbook, float]]:
    """The runbooks to follow with their weight: those that name the alert or its service, then the best by text."""
    named = [(m, 1.0) for m in view.runbooks if not m.why.startswith("text")]
    told = [(m, 0.6) for m in view.runbooks if m.why.startswith("text") and m.score >= LEAST_SCORE]
    return [(view.bodies[m.name], w) for m, w in (named or told)[:MOST_BOOKS] if m.name in view.bodies]


def linked(view: View, fault: Fault) -> list[Runbook]:
    """Runbooks with an action for a fault that the followed ones, which have none, name in what they say about it."""
    followed = [book for book, _ in books(view)]
    if any(block.fault is fault for book in followed for block in book.actions):
        return []
    words = (word for book in followed for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", advice(book, fault)))
    named = [view.bodies[w] for w in dict.fromkeys(words) if w in view.bodies and view.bodies[w] not in followed]
    return [book for book in named if any(block.fault is fault for block in book.actions)]


def followed_for(view: View, subject: Subject) -> list[tuple[Runbook, float, CheckBlock]]:
    """The check blocks for a subject. Of a dependency: what the runbook for failing dependencies asks about it; whether
    something *behind* it fails, which is what the caller's own runbook asks, is then asked there and not twice."""
    own = [(book, weight, block) for book, weight in books(view) for block in book.checks]
    further = (
        []
        if subject.own
        else [(book, 1.0, block) for book in linked(view, Fault.DEPENDENCY_DOWN) for block in book.checks]
    )
    if further:
        own = [one for one in own if not {one[2].suggests, one[2].rules_out} & BELOW]
    return [*further, *own]


def tried(view: View, subject: Subject) -> list[Tried]:
    """Every check block of the runbooks, rendered for a subject, with its verdict as far as there is evidence; what two
    runbooks ask alike counts once."""
    evidence_index = EvidenceIndex(view)
    found: dict[bytes, Tried] = {}
    for n, (book, weight, block) in enumerate(followed_for(view, subject)):
        one = _try(view, evidence_index, subject, book, weight, block)
        if one.check is None and not subject.own:
            continue  # the question does not apply to it: it has no model, or no workload of its own
        asked = [one.check.to_json(), str(block.suggests), str(block.rules_out)] if one.check else [n]
        found.setdefault(canonical(asked), one)
    return list(found.values())


def _try(
    view: View, evidence_index: EvidenceIndex, subject: Subject, book: Runbook, weight: float, block: CheckBlock
) -> Tried:
    blank = Tried(subject, book, weight, block, None, None, None, None)
    try:
        check = render_check(block, subject.names, book.name)
    except UnusableInput as error:
        return replace(blank, why=str(error))
    call = ask(view, check.read, block.title or f"a check of {book.name}", **check.args)
    if call is None:
        return replace(blank, check=check, why=f"{check.read} is not offered here; configure its backend")
    evidence = evidence_index.of(call)
    if evidence is None:
        return replace(blank, check=check, call=call, why="not looked at yet")
    verdict = check.holds(evidence.facts)
    blank = replace(blank, detail=evidence_index.of(detail_call(view, check)))
    if verdict is not None and speaks_of_outcomes(check) and outcomes_unknown(view):
        return replace(
            blank, check=check, call=call, evidence=evidence, why="true outcomes of this time are not known yet"
        )
    return replace(
        blank,
        check=check,
        call=call,
        evidence=evidence,
        verdict=verdict,
        why="" if verdict is not None else f"no data: {evidence.summary[:160]}",
    )


def detail_call(view: View, check: Check) -> Call | None:
    """The check's query without its outer max or min, which hides the label values that carry it."""
    inner = inside(str(check.args.get("promql", ""))) if check.read == "query_metrics" else None
    return ask(view, "query_metrics", "which label values carry it", promql=inner, minutes=check.args.get("minutes"))


def inside(promql: str) -> str | None:
    """What stands inside an aggregation that keeps no label; None where there is none."""
    try:
        node = parse(promql)
    except ToolError:
        return None
    if type(node).__name__ != "AggregateExpr" or node.modifier is not None or str(node.op) not in ("max", "min"):
        return None
    return render(node.expr)


def speaks_of_outcomes(check: Check) -> bool:
    return any(word in f"{check.read} {check.args}" for word in OUTCOME_METRICS)


def outcomes_unknown(view: View) -> bool:
    """Whether a read said that the labels of the incident's time are still incomplete."""
    quality = next(EvidenceIndex(view).reads("model_quality"), None)
    covered = quality.fact("window.covered") if quality else None
    return covered is not None and covered.value is False


def calls_of(checks: list[Tried]) -> Iterator[Call]:
    seen: set[bytes] = set()
    for one in checks:
        if one.call is not None and key(one.call) not in seen:
            seen.add(key(one.call))
            yield one.call


def details_of(view: View, checks: list[Tried]) -> Iterator[Call]:
    """For what held: one more query each, that shows where."""
    for one in checks:
        if one.verdict and one.block.suggests and one.check and (call := detail_call(view, one.check)):
            yield call


def changes(view: View) -> list[tuple[float, str, str, Evidence, Fact]]:
    """Known changes as (unix seconds, kind, service, evidence, fact), each once, oldest first."""
    found: dict[tuple[float, str, str], tuple[float, str, str, Evidence, Fact]] = {}
    for evidence in EvidenceIndex(view).reads("recent_changes"):
        for fact in evidence.facts:
            at = number(evidence, fact.id) if fact.id.endswith(".at") else None
            if at is not None:
                kind, service = fact.labels.get("kind", ""), fact.labels.get("service", "")
                found.setdefault((at, kind, service), (at, kind, service, evidence, fact))
    return sorted(found.values(), key=lambda one: one[0])
