"""The read of an alert's own rule: its expression, its value now, and which label values carry the breach."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.alerts.expression import Breach, by_label, expression_in, output_labels, sides_of
from tools.analysis.anomaly import breach_began
from tools.analysis.series import Series
from tools.context import Context, Json, Labels
from tools.errors import BadArguments, ToolError, ToolFailed
from tools.formatting import at, clean, clock_time, iso, labels_text, number, shorten, span
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Window, for_query, prometheus, window
from tools.prometheus.no_data import why_empty
from tools.prometheus.series_facts import MOST_SERIES, prefixes, series_data, series_facts, usable, worst_first
from tools.prometheus.units import unit_of
from tools.spec import Answer, Emptiness, Fact, read

# Labels that tell replicas, places and versions apart, in the order in which a person would look at them.
_TELLING = (
    "service",
    "pod",
    "instance",
    "node",
    "code",
    "version",
    "peer",
    "container",
    "cluster",
    "namespace",
    "job",
    "handler",
    "route",
    "method",
    "model",
    "feature",
    "queue",
    "device",
    "mountpoint",
    "zone",
    "reason",
)
_NEVER = {"__name__", "le", "quantile", "alertname", "alertstate", "severity"}
_MOST_LABELS = 10


@dataclass(frozen=True, slots=True)
class Split:
    """The measured value by one label: (label value, value), worst first, and those that breach on their own."""

    label: str
    values: tuple[tuple[str, float], ...]
    breaching: tuple[str, ...]

    @property
    def tells(self) -> bool:
        """Some values breach and others do not."""
        return 0 < len(self.breaching) < len(self.values)


@read(needs="prometheus")
async def alert_rule(
    context: Context,
    alertname: Annotated[
        str, Field(max_length=200, description="the alert's name; may be empty when expr is given")
    ] = "",
    expr: Annotated[str, Field(max_length=8000, description="PromQL or a generator URL with g0.expr")] = "",
) -> Answer:
    """An alert's rule (expression, for), its value now, since when it breaches, and which label values (pod, node, code,
    version …) carry the breach. Facts: value.last or s1.last …, limit, began, by.LABEL.count, by.LABEL.breaching.count."""
    if not alertname and not expr:
        raise BadArguments("alert_rule needs alertname or expr.")
    rules, trouble = await _rules(context, alertname)
    expression = expression_in(expr) if expr else (str(rules[0].get("query", "")) if rules else "")
    if not expression:
        text = f"Prometheus has no alerting rule {alertname!r}{trouble}. Give its expression as expr (from the alert's generatorURL)."
        return Answer(text, (), {"rules": []}, None, Emptiness.NOTHING)
    frame = window(context.as_of, 60, 30)
    try:
        server, sides = for_query(context, expression), sides_of(expression)
    except BadArguments:
        if not any(rule.get("query") == expression for rule in rules):
            raise
        return await _as_it_stands(context, alertname, rules, expression)
    breach, series, frame = await _hour(server, sides, frame, context)
    link = server.link(expression, frame)
    head = _head(alertname, rules, expression, context.live) + trouble
    now = worst_first(series, breach.low_is_bad)
    if not now:
        kind, why = await why_empty(server, breach.text, frame)
        text = f"{head}\nIt has no value at {clock_time(context.as_of)}: {kind}: {why.rstrip('.')}. This is not zero."
        return Answer(shorten(text), (), {"expression": expression, "rules": rules}, link, kind)
    mine = _of_incident(now, context.labels)
    splits = await _splits(server, breach)
    unit = unit_of(breach.measured)
    facts = [*_value_facts(mine, breach, unit, frame), *_split_facts(splits, unit, iso(context.as_of))]
    text = "\n".join(
        [head, _value_line(mine, breach, unit, frame), *_split_lines(splits, breach, unit, _breaching(mine, breach))]
    )
    data: Json = {
        "expression": expression,
        "measured": breach.text,
        "op": breach.op,
        "limit": usable(breach.limit),
        "rules": rules,
        "series": series_data(mine),
        "split": [_split_json(s) for s in splits],
    }
    return Answer(shorten(text), tuple(facts), data, link)


async def _as_it_stands(context: Context, alertname: str, rules: Sequence[Json], expression: str) -> Answer:
    """A rule of the server's own that is no PromQL we can read (VictoriaMetrics knows more): shown, with its value now."""
    server = prometheus(context)
    head = _head(alertname, rules, expression, context.live)
    series = worst_first([s for s in (await server.own_rule(expression)).series if s.times.size], False)
    data: Json = {"expression": expression, "rules": rules, "series": series_data(series)}
    if not series:
        text = f"{head}\nThe server gives no value for it at {clock_time(context.as_of)}: it does not fire. This is not zero."
        return Answer(shorten(text), (), data, None, Emptiness.NOTHING)
    breach = Breach(pql.parse("vector(1)"))
    facts = _value_facts(series, breach, "", window(context.as_of, 0, 30))
    text = f"{head}\nIt cannot be taken apart here, only asked as it stands. {_value_line(series, breach, '', window(context.as_of, 0, 30))}"
    return Answer(shorten(text), tuple(facts), data)


async def _hour(
    server: Prometheus, sides: Sequence[Breach], hour: Window, context: Context
) -> tuple[Breach, list[Series], Window]:
    """What a rule measures, over the last hour or, where it looks too far back for that, at present; of several sides, each
    of which fires alone, the first that does."""
    found = []
    for side in sides:
        frame = hour
        try:
            result = await server.range(side.text, frame)
        except BadArguments:
            frame = Window(hour.end, hour.end, hour.step)
            result = await server.instant(side.text)
        found.append((side, [s for s in result.series if s.times.size and _fresh(s, context)], frame))
        if any(side.holds(one.last) for one in found[-1][1]):
            return found[-1]
    return next((one for one in found if one[1]), found[0])


async def _rules(context: Context, alertname: str) -> tuple[list[Json], str]:
    """The rules of that name, those that fit the incident's severity first, and what went wrong, in words."""
    if not alertname:
        return [], ""
    try:
        found = [r for r in await prometheus(context).rules() if r.get("name") == alertname]
    except ToolFailed as error:
        return [], f" (the rules could not be read: {clean(str(error), 200)})"
    severity = context.labels.get("severity")
    kept = ("name", "query", "duration", "labels", "annotations", "group", "state", "health", "lastError")
    slim = [{key: rule[key] for key in kept if key in rule} for rule in found]
    return sorted(slim, key=lambda r: (r.get("labels") or {}).get("severity") != severity), ""


def _head(alertname: str, rules: Sequence[Json], expression: str, live: bool) -> str:
    name = clean(alertname) or "The expression"
    text = f"{name}: {clean(expression, 500)}"
    if rules:
        waits = rules[0].get("duration")
        text += f" for {span(float(waits))}" if isinstance(waits, int | float) and waits else " (fires at once)"
        if rules[0].get("lastError"):
            text += f"; the rule itself fails: {clean(str(rules[0]['lastError']))}"
        if len(rules) > 1:
            text += f"; {len(rules)} rules have this name"
        if not live:
            text += "; the rule is as it stands today"
    return text + "."


def _fresh(series: Series, context: Context) -> bool:
    return float(series.times[-1]) >= context.as_of.timestamp() - 330


def _of_incident(series: Sequence[Series], labels: Labels) -> list[Series]:
    """The series that do not contradict the incident's labels; all of them if each one does."""
    mine = [s for s in series if all(labels.get(k, v) == v for k, v in s.labels.items() if k != "__name__")]
    return mine or list(series)


def _value_facts(series: Sequence[Series], breach: Breach, unit: str, frame: Window) -> list[Fact]:
    when = iso(frame.end)
    facts = [
        fact
        for one, prefix in zip(series, prefixes(len(series)), strict=False)
        for fact in series_facts(one, prefix, unit, when, ("last",))
    ]
    facts.append(Fact("count", "series the rule looks at", len(series), "count", {}, when))
    if breach.limit is None:
        return facts
    over = [s for s in series if breach.holds(s.last)]
    began = _began(series, breach, frame)
    return [
        *facts,
        Fact("limit", f"limit ({breach.op})", usable(breach.limit), unit, {}, when),
        Fact("breaching.count", "series in breach", len(over), "count", {}, when),
        Fact("began", "start of the breach, within the last hour", began, "unix", {}, when),
    ]


def _began(series: Sequence[Series], breach: Breach, frame: Window) -> float | None:
    """Earliest start of the breaches that hold now; None when nothing breaches, or when it began before the window."""
    if breach.limit is None:
        return None
    starts = [breach_began(s, breach.op, breach.limit) for s in series]
    known = [start for start in starts if start is not None]
    if not known or frame.points == 1 or any(start <= frame.start.timestamp() + frame.step for start in known):
        return None
    return min(known)


def _since(series: Sequence[Series], breach: Breach, frame: Window) -> str:
    """Since when it breaches, in words; also that its series is no older."""
    began = _began(series, breach, frame)
    if began is None:
        return " for the whole last hour" if frame.points > 1 else ""
    new = any(float(s.times[0]) == began for s in series)
    return f" since {clock_time(at(began))}{', when its series began' if new else ''}"


def _breaching(series: Sequence[Series], breach: Breach) -> bool:
    return any(breach.holds(s.last) for s in series)


def _amount(value: float, unit: str) -> str:
    """A number with its unit; of many seconds also in hours or days."""
    long = unit == "s" and np.isfinite(value) and abs(value) >= 3600
    return number(value, unit) + (f" ({span(value)})" if long else "")


def _value_line(series: Sequence[Series], breach: Breach, unit: str, frame: Window) -> str:
    limit = f"{breach.op} {_amount(breach.limit, unit) if breach.limit is not None else clean(breach.against, 120)}"
    shown = "; ".join(
        (f"{labels_text(s.labels, 100)}: " if s.labels else "") + _amount(s.last, unit) for s in series[:4]
    )
    more = f" and {len(series) - 4} more" if len(series) > 4 else ""
    what = f"{clean(breach.text, 120)} of " if breach.side else ""
    text = f"Now {what}{shown}{more}" + (f"; fires when {limit}" if breach.op else "; fires whenever there is a value")
    if breach.limit is not None:
        over = sum(bool(breach.holds(s.last)) for s in series)
        text += (
            f"; {over} of {len(series)} in breach"
            if len(series) > 1
            else ("; in breach" if over else "; not in breach now")
        )
        if over:
            text += _since(series, breach, frame)
    return text + ("; further conditions stand beside it." if breach.rest else ".")


# -- which label values carry it --------------------------------------------------------------------------------


async def _splits(server: Prometheus, breach: Breach) -> list[Split]:
    """The measured value by each label its series have, at as_of; the most telling label first."""
    try:
        labels = await _labels_to_try(server, breach)
    except ToolError:
        return []
    found = await asyncio.gather(*(_split(server, breach, label) for label in labels))
    useful = [one for one in found if one is not None and len(one.values) > 1]
    return sorted(
        useful, key=lambda one: (not one.tells, len(one.breaching) / len(one.values), labels.index(one.label))
    )


async def _labels_to_try(server: Prometheus, breach: Breach) -> list[str]:
    since = server.as_of - timedelta(minutes=10)
    names: dict[str, None] = {}
    for node in pql.selectors(breach.measured)[:3]:
        fixed = {name for name, op, _ in pql.matchers_of(node) if op == "="}
        for name in await server.label_names(pql.selector_text(node), since):
            if name not in fixed | _NEVER:
                names[name] = None
    return sorted(names, key=lambda name: (_TELLING.index(name) if name in _TELLING else 99, name))[:_MOST_LABELS]


async def _split(server: Prometheus, breach: Breach, label: str) -> Split | None:
    kept = output_labels(breach.measured)
    query = breach.text if kept is None or label in kept else by_label(breach.measured, label)
    try:
        series = (await server.instant(query)).series
    except ToolError:
        return None
    values: dict[str, float] = {}
    worse = min if breach.low_is_bad else max
    for one in series:
        if label in one.labels and np.isfinite(one.last):
            name = one.labels[label]
            values[name] = worse(values.get(name, one.last), one.last)
    ordered = sorted(values.items(), key=lambda item: (item[1] if breach.low_is_bad else -item[1], item[0]))
    return Split(label, tuple(ordered), tuple(name for name, value in ordered if breach.holds(value)))


def _split_lines(splits: Sequence[Split], breach: Breach, unit: str, in_breach: bool) -> list[str]:
    telling = [s for s in splits if s.tells]
    lines = [_telling_line(split, unit) for split in telling[:4]]
    even = [f"{s.label} ({len(s.values)})" for s in splits if s.breaching and not s.tells]
    if even:
        lines.append(f"Every value breaches of: {', '.join(even)}.")
    if in_breach and not telling and not even:
        lines += [f"No single {s.label} breaches alone; worst {_shown(s.values[:3], unit)}." for s in splits[:3]]
    if not in_breach:
        lines += [f"By {s.label}: {_shown(s.values[:4], unit)}." for s in splits[:4]]
    return lines or ["Its series have no further label that tells them apart."]


def _telling_line(split: Split, unit: str) -> str:
    bad = [(name, value) for name, value in split.values if name in split.breaching]
    good = [value for name, value in split.values if name not in split.breaching]
    rest = number(float(np.median(good)), unit)
    return (
        f"Carried by {split.label}: {_shown(bad[:4], unit)} ({len(bad)} of {len(split.values)} breach; "
        f"median of the others {rest})."
    )


def _shown(values: Sequence[tuple[str, float]], unit: str) -> str:
    return ", ".join(f"{clean(name, 60) or '(empty)'} {number(value, unit)}" for name, value in values)


def _split_facts(splits: Sequence[Split], unit: str, when: str) -> list[Fact]:
    facts = []
    for split in splits:
        head = f"by.{split.label}"
        facts.append(Fact(f"{head}.count", f"values of {split.label}", len(split.values), "count", {}, when))
        breaching = Fact(
            f"{head}.breaching.count", f"{split.label} values in breach", len(split.breaching), "count", {}, when
        )
        facts.append(breaching)
        for n, (name, value) in enumerate(split.values[:3], 1):
            facts.append(Fact(f"{head}.s{n}.value", f"{split.label} {n}", value, unit, {split.label: name}, when))
    return facts[: 3 * MOST_SERIES]


def _split_json(split: Split) -> Mapping[str, Json]:
    return {
        "label": split.label,
        "breaching": list(split.breaching)[:50],
        "values": [[name, value] for name, value in split.values[:50]],
    }
