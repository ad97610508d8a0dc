"""Sealing what a proposal is held against: the reasoner's test, with the alert's own rule put beside it by code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from agent.domain.alert import AlertStatus, standing
from agent.domain.check import RULE, Check, SuccessTest
from agent.domain.evidence import ReadOutcome
from agent.domain.incident_view import IncidentView
from agent.errors import ToolError
from agent.gate.recovery import Blur, settled, timed
from agent.gate.verification import Facts
from agent.gate.verification import look as look_at
from agent.graph.run_context import RunContext, subject
from agent.graph.steps.look import look, recorded
from agent.reasoner.protocol import Call
from tools.alerts.condition import (
    FIRING,
    AlertRule,
    alert_condition,
    looks_back,
    rules_of,
    subject_labels,
    was_measured,
)
from tools.alerts.condition import recorded as recording_rules
from tools.context import Context, Model
from tools.prometheus import promql as pql
from tools.prometheus.client import for_query

WHY_RULE = "whether the alert's own rule fires for it"
MOST_RULES = 8  # of one incident's alerts; beyond that the labels that they share are asked for


@dataclass(frozen=True)
class Yardstick:
    run_context: RunContext

    async def sealed(
        self, incident_view: IncidentView, asked: SuccessTest, number: int, run: int, context: Context
    ) -> SuccessTest:
        """The test with the alert's own rule, long enough, and not holding now. Raises Refused where it holds already."""
        rules = await _rules(incident_view, context)
        checks = (*asked.checks, *(check for check, _ in rules))
        _, model = subject(self.run_context.catalog(), incident_view.incident.labels, incident_view.alerts)
        blur = await _blur(checks, [rule for _, rule in rules], model, context)
        test = timed(replace(asked, checks=checks), blur)
        facts = await self._now(incident_view, test, number, run, context)
        seen = look_at(replace(test, guards=()), facts, (), context.as_of)
        return settled(test, seen.checks, _metrics(model.served_version if model else None))

    async def _now(
        self, incident_view: IncidentView, test: SuccessTest, number: int, run: int, context: Context
    ) -> list[Facts]:
        """What each check's read says before anything is done, as recorded evidence."""
        calls = [Call(c.read, c.args, WHY_RULE if c.is_rule else "what has to change") for c in test.checks]
        found: list[Facts] = []
        for i, looked in enumerate(await look(calls, self.run_context.tools, context)):
            key = f"{number}:success{i}"
            what = recorded(looked, "stanch", context, {"call": key}, self.run_context.redact)
            evidence = await self.run_context.record(incident_view.incident.id, run, what, key)
            found.append(evidence.facts if evidence.outcome is ReadOutcome.OK else None)
        return found


async def _rules(incident_view: IncidentView, context: Context) -> list[tuple[Check, AlertRule]]:
    """A check and the rule for each subject of the alerts that fire; none where no rule can be read."""
    found: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[Check, AlertRule]] = {}
    for alert in standing(incident_view.alerts):
        if alert.status is not AlertStatus.FIRING:
            continue
        for rule in await rules_of(context, alert.labels, alert.expression):
            labels, pod = subject_labels(alert.labels, rule.written)
            key = (rule.expr, pod, tuple(sorted(labels.items())))
            found.setdefault(key, (rule_check(rule.expr, labels, pod, alert.name), rule))
    if len(found) <= MOST_RULES:
        return await _judgeable(found.values(), context)
    shared: dict[str, tuple[Check, AlertRule]] = {}
    for check, rule in found.values():
        others = [c.args["labels"] for c, r in found.values() if r.expr == rule.expr]
        labels = {k: v for k, v in check.args["labels"].items() if all(o.get(k) == v for o in others)}
        shared.setdefault(rule.expr, (rule_check(rule.expr, labels, "", str(check.args["alertname"])), rule))
    return await _judgeable(list(shared.values())[:MOST_RULES], context)


def rule_check(expr: str, labels: dict[str, str], pod: str, alertname: str) -> Check:
    args = {"expr": expr, "labels": dict(sorted(labels.items())), "pod": pod, "alertname": alertname}
    return Check(RULE, {k: v for k, v in args.items() if v or k == "labels"}, "== 0", FIRING)


async def _judgeable(found: Iterable[tuple[Check, AlertRule]], context: Context) -> list[tuple[Check, AlertRule]]:
    """Those whose data the server that is asked has. One that fires elsewhere is a rule that cannot be read: sealed, it could
    never be said to be over."""
    held = [(await _with_what_has_data(check, context), rule) for check, rule in found]
    return [(check, rule) for check, rule in held if check is not None]


async def _with_what_has_data(check: Check, context: Context) -> Check | None:
    """Of a rule that fires by one of several ways (`or`), what has data now is what has to have it later; None where nothing
    it measures was there lately."""
    expr = str(check.args["expr"])
    try:
        answer = await alert_condition(context, **check.args)
        if answer.data["firing"] is None and not await was_measured(context, expr):
            return None
    except ToolError:
        return check
    parts = answer.data["measures"]
    given = [str(m["promql"]) for m in parts if m["value"] is not None]
    whole = len(given) == len(parts) or not given or not _has_or(expr)
    return check if whole else replace(check, args={**check.args, "measures": given})


def _has_or(expr: str) -> bool:
    return any(type(n).__name__ == "BinaryExpr" and str(n.op) == "or" for n in pql.walk(pql.parse(expr)))


async def _blur(checks: Sequence[Check], rules: Sequence[AlertRule], model: Model | None, context: Context) -> Blur:
    texts = [str(text) for check in checks if (text := check.args.get("promql") or check.args.get("expr"))]
    quality = model.quality if model and model.quality else None
    by_quality = any(check.read == "model_quality" for check in checks)
    if quality and by_quality:
        texts.append(quality)
    trees = [tree for text in texts if (tree := _tree(text)) is not None]
    names = {pql.metric_of(node) for tree in trees for node in pql.selectors(tree)}
    behind = await recording_rules(context) if any(":" in name for name in names) else {}
    late = timedelta()
    if model and model.labels_complete_until and (by_quality or names & _metrics(quality)):
        late = await _label_delay(model.labels_complete_until, context)
    every = [rule.interval for rule in rules if rule.interval]
    return Blur(
        max((looks_back(tree, behind) for tree in trees), default=timedelta()),
        max((rule.waits for rule in rules), default=timedelta()),
        late,
        max(every, default=None),
    )


async def _label_delay(promql: str, context: Context) -> timedelta:
    """How far behind now the true outcomes are that a model is measured by; nothing where it cannot be read."""
    try:
        series = (await for_query(context, promql).instant(promql)).series
    except ToolError:
        return timedelta()
    until = [s.last for s in series if s.last > 0]
    return timedelta(seconds=max(context.as_of.timestamp() - min(until), 0.0)) if until else timedelta()


def _tree(promql: str) -> pql.Node | None:
    try:
        return pql.parse(promql)
    except ToolError:
        return None


def _metrics(promql: str | None) -> frozenset[str]:
    tree = _tree(promql) if promql else None
    return frozenset(pql.metric_of(node) for node in pql.selectors(tree)) - {""} if tree is not None else frozenset()
