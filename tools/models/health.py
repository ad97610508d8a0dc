"""Reads about how well a model does: its quality as far as true outcomes are known, and how old its features are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Annotated

from pydantic import Field

from tools.analysis.series import Series, thin
from tools.context import Context, Model
from tools.errors import NotConfigured, NotRecorded
from tools.formatting import at, clean, iso, labels_text, number, shorten, span
from tools.formatting import window as window_text
from tools.models.mlflow import registry_of
from tools.models.registry import model_named
from tools.prometheus.client import prometheus, window
from tools.prometheus.series_facts import worst_first
from tools.spec import Answer, Emptiness, Fact, ModelName, read

SHOWN_FEATURES = 20
POINTS = 120


@dataclass(frozen=True, slots=True)
class History:
    """One measure over time: unix seconds and values, oldest first. `series` says how many series there were."""

    metric: str
    points: Sequence[tuple[float, float]]
    source: str
    series: int = 1
    link: str | None = None


@read
async def model_quality(
    context: Context,
    model: ModelName | None = None,
    days: Annotated[int, Field(ge=1, le=90)] = 14,
    metric: Annotated[
        str, Field(max_length=200, description="a metric of the training run, where none is monitored")
    ] = "",
    incident_minutes: Annotated[int, Field(ge=1, le=20160, description="how long ago the incident began")] = 60,
) -> Answer:
    """A model's error or score over time, and up to when true outcomes are known (labels_complete_until).

    Whatever lies later than that is unknown: neither zero nor fine. window.covered says whether the incident's time is
    known at all. before = median of the first half of the window, ratio = last / before.
    """
    entry = model_named(context, model)
    monitored = bool(entry.quality) and context.backends.has("prometheus")
    history = await (_monitored(context, entry, days) if monitored else _logged(context, entry, days, metric))
    until = await _labels_until(context, entry)
    covered = None if until is None else until >= (context.as_of - timedelta(minutes=incident_minutes)).timestamp()
    start, end = context.as_of - timedelta(days=days), context.as_of
    last = history.points[-1] if history.points else None
    before = _before(history.points, start, end)
    ratio = last[1] / before if last and before else None
    spanned = window_text(start, end)
    name = f"{history.metric} of {entry.name}"
    facts = (
        Fact(
            "quality.last",
            f"{name}, last known",
            last[1] if last else None,
            window=iso(at(last[0])) if last else spanned,
        ),
        Fact("quality.before", f"{name}, median of the first half of the window", before, window=spanned),
        Fact("quality.ratio", "last against before", ratio, "ratio", window=spanned),
        Fact("quality.at", "time of the last known value", last[0] if last else None, "unix"),
        Fact("labels_complete_until", "true outcomes are known up to", until, "unix"),
        Fact("window.covered", f"outcomes of the last {incident_minutes} min are known", covered),
    )
    lines = [
        _quality_line(entry, history, days, last, before, ratio),
        _coverage(context, until, covered, incident_minutes),
    ]
    data = {
        "model": entry.name,
        "metric": history.metric,
        "source": history.source,
        "lower_is_better": entry.quality_lower_is_better,
        "labels_complete_until": None if until is None else iso(at(until)),
        "points": [[t, v] for t, v in history.points[-POINTS:]],
    }
    empty = None if history.points else Emptiness.NO_SAMPLES
    return Answer(shorten(" ".join(lines)), facts, data, history.link, empty)


@read(needs="prometheus")
async def feature_freshness(context: Context, model: ModelName | None = None) -> Answer:
    """How old each of a model's features is against the limit the catalog sets; stalest first."""
    entry = model_named(context, model)
    if not entry.freshness:
        raise NotConfigured(
            f"The catalog does not say when the features of {entry.name} were last written. Set freshness (PromQL of "
            "unix seconds by `feature`) and freshness_limit on the model in catalog.yaml."
        )
    client = prometheus(context)
    found = await client.instant(entry.freshness)
    ages = _ages(found.series, context.as_of.timestamp())
    limit = entry.freshness_limit.total_seconds() if entry.freshness_limit else None
    stale = None if limit is None else sum(age > limit for age in ages.values())
    facts = [
        Fact("features.count", "features", len(ages), "count"),
        Fact("stale.count", "features older than the limit", stale if ages else None, "count"),
        Fact("limit", "freshness limit", limit, "s"),
        Fact("oldest.age", "age of the stalest feature", max(ages.values(), default=None), "s"),
    ]
    shown = list(ages.items())[:SHOWN_FEATURES]
    facts += [Fact(f"{_slug(name)}.age", f"age of {name}", age, "s", {"feature": name}) for name, age in shown]
    facts = list({fact.id: fact for fact in facts}.values())
    link = client.link(entry.freshness, window(context.as_of, 60))
    data = {"model": entry.name, "limit_seconds": limit, "ages_seconds": ages}
    if not ages:
        text = f"No feature of {entry.name} reports when it was last written (query {clean(entry.freshness)})."
        return Answer(text, tuple(facts), data, link, Emptiness.NO_SERIES)
    allowed = f"limit {span(limit)}" if limit is not None else "the catalog sets no limit"
    late = f"{stale} of {len(ages)} features are older than that" if stale is not None else f"{len(ages)} features"
    listed = ", ".join(f"{clean(name, 60)} {span(age)}" for name, age in shown[:8])
    summary = f"Features of {entry.name} as of {iso(context.as_of)}: {allowed}; {late}. Stalest first: {listed}."
    return Answer(shorten(summary), tuple(facts), data, link)


async def _monitored(context: Context, model: Model, days: int) -> History:
    """The catalog's query over the window; of several series the one that does worst now."""
    client = prometheus(context)
    query = model.quality or ""
    asked = window(context.as_of, days * 1440)
    found = worst_first((await client.range(query, asked)).series, lowest=not model.quality_lower_is_better)
    points = _finite(thin(found[0], POINTS * 2)) if found else []
    labels = f" {{{labels_text(found[0].labels, 80)}}}" if len(found) > 1 else ""
    return History(f"{_metric_of(query)}{labels}", points, query, len(found), client.link(query, asked))


async def _logged(context: Context, model: Model, days: int, metric: str) -> History:
    """Without a monitored measure: what the run behind the alias's version logged."""
    if not context.backends.has("mlflow"):
        raise NotConfigured(
            f"No quality of {model.name} is known: set quality (PromQL) on the model in catalog.yaml, or configure MLflow."
        )
    if not context.live:
        raise NotRecorded(
            "Which version the alias pointed at then is not recorded, so neither is whose metrics to read."
        )
    registry = registry_of(context, model)
    version = await registry.alias(model.registry_name, model.alias)
    run = await registry.run(version.run_id) if version and version.run_id else None
    key = metric or min(run.metrics if run else (), default="")
    if run is None or not key:
        return History(metric or "quality", [], "no run with metrics stands behind the alias", 0)
    start, end = context.as_of - timedelta(days=days), context.as_of + context.live_within
    points = [(t.timestamp(), v) for t, v in await registry.history(run.run_id, key) if start <= t <= end]
    source = f"as logged by run {run.run_id} of version {version.version if version else '?'}"
    return History(key, points, source, 1, registry.link(model.registry_name, version.version if version else ""))


async def _labels_until(context: Context, model: Model) -> float | None:
    """Unix time up to which outcomes are known; of several series the earliest, for what they all cover."""
    if not model.labels_complete_until or not context.backends.has("prometheus"):
        return None
    found = await prometheus(context).instant(model.labels_complete_until)
    return min((s.last for s in found.series if math.isfinite(s.last) and s.last > 0), default=None)


def _before(points: Sequence[tuple[float, float]], start: datetime, end: datetime) -> float | None:
    """Median of the values in the first half of the window: robust, and a fault of the last days is not in it."""
    middle = (start.timestamp() + end.timestamp()) / 2
    early = [value for when, value in points if when <= middle]
    return median(early) if early else None


def _finite(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
    return [(when, value) for when, value in pairs if math.isfinite(value)]


def _ages(series: Sequence[Series], now: float) -> dict[str, float]:
    """Feature → age in seconds, stalest first. Of several series of one feature the stalest counts."""
    ages: dict[str, float] = {}
    for one in series:
        if math.isfinite(one.last) and one.last > 0:
            name = one.labels.get("feature") or labels_text(one.labels)
            ages[name] = max(ages.get(name, -math.inf), now - one.last)
    return dict(sorted(ages.items(), key=lambda item: (-item[1], item[0])))


def _quality_line(
    model: Model,
    history: History,
    days: int,
    last: tuple[float, float] | None,
    before: float | None,
    ratio: float | None,
) -> str:
    better = "lower" if model.quality_lower_is_better else "higher"
    if last is None:
        return f"No value of {clean(history.metric)} of {model.name} in the last {days} d ({clean(history.source)})."
    line = f"{clean(history.metric)} of {model.name} ({better} is better): last known {number(last[1])} at {iso(at(last[0]))}"
    line += f", before {number(before)}" if before is not None else ", nothing known of the first half of the window"
    line += f" (ratio {number(ratio)})" if ratio is not None else ""
    several = f" The worst of {history.series} series." if history.series > 1 else ""
    return f"{line}; window {days} d, {clean(history.source)}.{several}"


def _coverage(context: Context, until: float | None, covered: bool | None, minutes: int) -> str:
    if until is None:
        return "Up to when true outcomes are known is not recorded, so recent values may rest on few of them."
    age = context.as_of.timestamp() - until
    known = f"True outcomes are known up to {iso(at(until))} ({span(age)} before)."
    if covered:
        return f"{known} The incident's last {minutes} min are covered."
    return f"{known} The incident's last {minutes} min are NOT covered: quality then is unknown, neither good nor bad."


def _metric_of(query: str) -> str:
    """The first metric's name in a query, for people; the whole query stands in the source."""
    found = re.findall(r"([A-Za-z_:][A-Za-z0-9_:]*)\s*[\[{]", query)
    return found[0] if found else clean(query, 80)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:60] or "_"
