"""Whether an alert's own rule still gives something for one subject, and whether it has the data to say so.

Verification asks this of every incident whose rule can be read: a rule is over for a subject when it gives nothing for it
while what it measures still gives numbers for it. Pods come and go, so a subject is known by the labels that outlive them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.alerts.expression import bare, compares
from tools.analysis.series import Series
from tools.context import Context, Json, Labels
from tools.errors import BadArguments, ToolError
from tools.formatting import clean, clock_time, iso, labels_text, shorten
from tools.kubernetes.pod_names import pod_pattern
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, prometheus, window
from tools.spec import Answer, Emptiness, Fact, read

FRESH = timedelta(minutes=3)  # a sample older than this says nothing about now
LATELY = timedelta(hours=1)  # what had no sample for so long is not kept on this server
FIRING = "firing.count"  # the fact that a check asks for
# Labels that tell members, versions and how bad it is, not what it is about: a new pod or a version taken back has others.
_MEMBERS = frozenset(
    {
        "alertname",
        "severity",
        "alertstate",
        "pod_ip",
        "host_ip",
        "uid",
        "id",
        "container_id",
        "image",
        "image_id",
        "image_spec",
        "version",
        "revision",
        "model_version",
        "pod_template_hash",
        "replicaset",
        "controller_revision_hash",
        "git_sha",
        "commit",
        "prometheus",
        "prometheus_replica",
        "replica",
        "name",
        "le",
        "quantile",
    }
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = frozenset({"mountpoint", "device", "fstype", "nodename"})  # with these beside it an instance is a machine
_REPORTERS = re.compile(r"exporter|node|blackbox|probe|snmp|ipmi|ssl|cert", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one side of a rule's comparisons gave for a subject: None where there was no usable number."""

    text: str
    value: float | None
    why: str = ""


@read(needs="prometheus", offered=False)
async def alert_condition(
    context: Context,
    expr: Annotated[str, Field(max_length=8000, description="the rule's expression")],
    labels: Annotated[dict[str, str], Field(max_length=40, description="what it is about, by labels that stay")],
    pod: Annotated[str, Field(max_length=300, description="pattern of its pods' names")] = "",
    alertname: Annotated[str, Field(max_length=200)] = "",
    measures: Annotated[list[str], Field(max_length=8, description="what has to give numbers; default all")] = [],  # noqa: B006
) -> Answer:
    """Whether an alert's rule gives anything for its subject now. Fact firing.count: series it gives; unknown (never zero)
    where it gives none and what it measures has no number, or an old one, for the subject."""
    tree = pql.parse(expr)
    server = prometheus(context, {**pql.equalities(tree), **labels})
    fires = await server.instant(expr)
    mine = [s for s in fires.series if concerns(s.labels, labels, pod)]
    asked = measures or [pql.render(m) for m in measures_of(tree)]
    known = names_for(tree, labels, pod)
    seen = await asyncio.gather(*(_measured(server, text, labels, pod, known) for text in asked))
    blind = [m for m in seen if m.value is None] or ([Measured(expr, None, "it measures nothing")] if not seen else [])
    return _answer(context, alertname or expr, labels, mine, seen, blind, server.link(expr, window(context.as_of, 60)))


def _answer(
    context: Context,
    what: str,
    labels: Labels,
    mine: Sequence[Series],
    seen: Sequence[Measured],
    blind: Sequence[Measured],
    link: str,
) -> Answer:
    when, about = iso(context.as_of), dict(labels)
    count = len(mine) if mine or not blind else None
    facts = [Fact(FIRING, "series its rule gives for this subject", count, "count", about, when)]
    facts += [Fact(f"measure{n}.value", "what it measures", m.value, "", about, when) for n, m in enumerate(seen, 1)]
    whom = f" for {labels_text(labels, 120)}" if labels else ""
    if count is None:
        said = (
            f"gives nothing{whom}, and whether it is over cannot be told: {clean(blind[0].text, 160)}: {blind[0].why}"
        )
    else:
        said = f"still fires{whom} ({count} series)" if count else f"gives nothing{whom}, and has the data to say so"
    data: Json = {
        "firing": count,
        "labels": dict(labels),
        "measures": [{"promql": m.text, "value": m.value, "why": m.why} for m in seen],
    }
    text = shorten(f"The rule of {clean(what, 200)} {said} at {clock_time(context.as_of)}.")
    return Answer(text, tuple(facts), data, link, Emptiness.NO_SAMPLES if count is None else None)


# -- the rule ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert's rule as far as it is known. `written` are the names of the labels that the rule itself adds."""

    expr: str
    waits: timedelta = timedelta()  # its `for`
    interval: timedelta | None = None  # between two evaluations
    written: frozenset[str] = frozenset()


async def rules_of(context: Context, labels: Labels, given: str | None) -> list[AlertRule]:
    """The rules that an alert with these labels can be from: as Prometheus lists them, else the expression that the alert
    brought itself (`given`). Empty where neither can be read."""
    try:
        listed = await prometheus(context, labels).rules()
    except ToolError:
        listed = []
    named = [r for r in listed if r.get("name") == labels.get("alertname") and isinstance(r.get("query"), str)]
    fitting = [r for r in named if all(labels.get(k, v) == v for k, v in _fixed(r).items())]
    same = [r for r in fitting if given and _same(str(r["query"]), given)]
    found = [_rule(r) for r in same or fitting] or ([AlertRule(given)] if given else [])
    return [rule for rule in found if _askable(rule.expr, context)]


async def was_measured(context: Context, expr: str) -> bool:
    """Whether the server that answers for an expression had samples of anything it selects in the last hour."""
    tree = pql.parse(expr)
    server = prometheus(context, pql.equalities(tree))
    asked = {pql.selector_text(s) for s in pql.selectors(tree)}
    over = f"[{LATELY.seconds // 60}m]"
    answers = await asyncio.gather(*(server.instant(f"count(last_over_time({text}{over}))") for text in asked))
    return any(answer.series for answer in answers)


async def recorded(context: Context) -> dict[str, str]:
    """Expressions of the recording rules by name; empty where they cannot be read."""
    try:
        return {str(r.get("name")): str(r.get("query")) for r in await prometheus(context).rules("record")}
    except ToolError:
        return {}


def _rule(rule: Mapping[str, Json]) -> AlertRule:
    waits, every = rule.get("duration"), rule.get("interval")
    return AlertRule(
        str(rule["query"]),
        timedelta(seconds=float(waits)) if isinstance(waits, int | float) else timedelta(),
        timedelta(seconds=float(every)) if isinstance(every, int | float) and every > 0 else None,
        frozenset(rule.get("labels") or {}),
    )


def _fixed(rule: Mapping[str, Json]) -> dict[str, str]:
    return {str(k): str(v) for k, v in (rule.get("labels") or {}).items() if "{{" not in str(v)}


def _same(one: str, other: str) -> bool:
    try:
        return pql.render(pql.parse(one)) == pql.render(pql.parse(other))
    except BadArguments:
        return False


def _askable(expr: str, context: Context) -> bool:
    """Whether we send such an expression at all."""
    try:
        tree = pql.parse(expr)
        pql.guard(tree, 1, context.as_of)
    except BadArguments:
        return False
    return bool(pql.selectors(tree))


# -- the subject ------------------------------------------------------------------------------------------------------


def subject_labels(labels: Labels, written_by_rule: frozenset[str] = frozenset()) -> tuple[dict[str, str], str]:
    """The labels by which an alert's subject stays known when its members change, and a pattern of its pods' names.

    `written_by_rule` are the names of labels that the rule itself adds: the series do not carry those.
    """
    kept = {
        k: v
        for k, v in labels.items()
        if v and k not in _MEMBERS | written_by_rule and not k.startswith(("__", "label_"))
    }
    machine = bool(_HOST & kept.keys()) or bool(_REPORTERS.search(kept.get("job", "")))
    if not machine:
        kept.pop("instance", None)
    return {k: v for k, v in kept.items() if k != "pod"}, pod_pattern(kept.get("pod", ""))


def concerns(series: Labels, labels: Labels, pod: str) -> bool:
    """Whether a series can be about the subject: none of its labels says otherwise."""
    if any(series.get(name, value) != value for name, value in labels.items()):
        return False
    return not pod or "pod" not in series or re.fullmatch(pod, series["pod"]) is not None


def names_for(tree: pql.Node, labels: Labels, pod: str) -> list[str]:
    """The labels to keep when a part of the rule is asked for the subject. What the rule writes itself is not on its parts."""
    made = {
        str(node.args[1].val)
        for node in pql.walk(tree)
        if type(node).__name__ == "Call" and node.func.name in ("label_replace", "label_join")
    }
    return sorted(name for name in {*labels, *(["pod"] if pod else [])} - made if _NAME.fullmatch(name))


# -- what has to give numbers ---------------------------------------------------------------------------------------------


def measures_of(tree: pql.Node) -> list[pql.Node]:
    """The parts of a rule that have to give numbers before its silence says anything, in the order they are written.

    Of a comparison its sides; of `unless` the left side; of `absent(x)` x, which has to be back.
    """
    node = bare(tree)
    kind = type(node).__name__
    if kind == "MatrixSelector":
        return [node.vector_selector]
    if kind == "SubqueryExpr":
        return measures_of(node.expr)
    if not pql.selectors(node):
        return []
    if kind == "BinaryExpr" and str(node.op) == "unless":
        return measures_of(node.lhs)
    if _may_be_silent(node) or any(_may_be_silent(inner) for inner in pql.walk(node) if inner is not node):
        return [found for child in pql.children(node) for found in measures_of(child)]
    return [node]


def _may_be_silent(node: pql.Node) -> bool:
    """Whether a node gives nothing in good times: a comparison, a condition, absent()."""
    if type(node).__name__ == "Call":
        return str(node.func.name) in ("absent", "absent_over_time")
    return type(node).__name__ == "BinaryExpr" and (str(node.op) in ("and", "or", "unless") or compares(node))


async def _measured(server: Prometheus, text: str, labels: Labels, pod: str, names: Sequence[str]) -> Measured:
    """What a part gives for the subject now, from samples that are fresh."""
    node = pql.parse(text)
    value = await _sum(server, text, labels, pod, names)
    if value is None and (whole := _events_of(node)) is not None:
        total = await _sum(server, pql.render(whole), labels, pod, names)
        if total is not None and total > 0:
            value = 0.0  # none of the events it counts, and enough of what they would be among
    if value is None:
        return Measured(text, None, "no data for this subject")
    if not np.isfinite(value):
        return Measured(text, None, "it is not a number")
    for selector in needed(node):
        newest = await _sum(server, pql.selector_text(selector), labels, pod, names, "timestamp")
        if newest is None or newest < (server.as_of - FRESH).timestamp():
            return Measured(
                text, None, f"{pql.selector_text(selector)} has no sample of the last {FRESH.seconds // 60} minutes"
            )
    return Measured(text, float(value))


async def _sum(
    server: Prometheus, text: str, labels: Labels, pod: str, names: Sequence[str], of: str = ""
) -> float | None:
    """The part's value over the subject's series: their sum (NaN if one is), or with `of` their newest time."""
    by = f"by ({', '.join(names)}) " if names else ""
    found = await server.instant(f"max {by}(timestamp({text}))" if of else f"sum {by}({text})")
    values = [s.last for s in found.series if concerns(s.labels, labels, pod)]
    if not values:
        return None
    return max(values) if of else float(np.sum(values))


def _events_of(node: pql.Node) -> pql.Node | None:
    """Of a share such as failed over all requests of one counter: the whole. Counters of failures need not exist."""
    node = bare(node)
    if type(node).__name__ != "BinaryExpr" or str(node.op) != "/":
        return None
    part, whole = pql.selectors(node.lhs), pql.selectors(node.rhs)
    metrics = {pql.metric_of(s) for s in whole}
    ranged = {id(m.vector_selector) for m in pql.walk(node.lhs) if type(m).__name__ == "MatrixSelector"}
    narrower = all(any(_narrower(p, w) for w in whole) for p in part)
    return node.rhs if part and whole and metrics and ranged and narrower else None


def needed(node: pql.Node) -> list[pql.Node]:
    """The selectors of a part, without those that only narrow another one of the same metric."""
    every = pql.selectors(node)
    unique = list({pql.selector_text(s): s for s in every}.values())
    return [s for s in unique if not any(_narrower(s, other) for other in unique)]


def _narrower(one: pql.Node, other: pql.Node) -> bool:
    mine, theirs = set(pql.matchers_of(one)), set(pql.matchers_of(other))
    return bool(pql.metric_of(one)) and pql.metric_of(one) == pql.metric_of(other) and theirs < mine


# -- how long it looks back -----------------------------------------------------------------------------------------------


def looks_back(tree: pql.Node, recorded: Mapping[str, str] | None = None, depth: int = 5) -> timedelta:
    """The longest way back in time of an expression: ranges, subqueries and offsets within one another. `recorded` are the
    expressions of recording rules by name, followed where the expression names one."""
    own = timedelta()
    kind = type(tree).__name__
    if kind == "MatrixSelector":
        own = tree.range
    elif kind == "SubqueryExpr":
        own = tree.range + (tree.offset or timedelta())
    elif kind == "VectorSelector":
        own = max(tree.offset or timedelta(), timedelta())
        behind = (recorded or {}).get(pql.metric_of(tree))
        if behind and depth:
            own += looks_back(pql.parse(behind), recorded, depth - 1)
    return own + max((looks_back(child, recorded, depth) for child in pql.children(tree)), default=timedelta())
