"""Reads of metrics: a query over a window, the same query against earlier windows, and looking for a metric's name."""

from __future__ import annotations

import asyncio
import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from tools.analysis.anomaly import robust_z
from tools.analysis.series import Series
from tools.context import Context, Json
from tools.errors import ToolFailed
from tools.formatting import clean, clock_time, labels_text, number, shorten
from tools.formatting import window as interval
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Result, Window, for_query, length, prometheus, window
from tools.prometheus.no_data import why_empty
from tools.prometheus.series_facts import (
    MOST_SERIES,
    line,
    prefixes,
    remarks_text,
    series_data,
    series_facts,
    statistic,
    usable,
    worst_first,
)
from tools.prometheus.units import unit_of
from tools.spec import Answer, Emptiness, Fact, read

PromQL = Annotated[str, Field(min_length=1, max_length=pql.MOST_CHARACTERS, description="a PromQL expression")]
Minutes = Annotated[int, Field(ge=0, le=10080, description="length of the window; 0 = one instant")]
MetricLabels = Annotated[dict[str, str], Field(max_length=20, description="label values that must be met")]

_EARLIER = {"before": None, "yesterday": timedelta(days=1), "last_week": timedelta(days=7)}
_SHOWN = 6  # series in a summary


@read(needs="prometheus")
async def query_metrics(
    context: Context, promql: PromQL, minutes: Minutes = 30, step_s: Annotated[int, Field(ge=1, le=86400)] | None = None
) -> Answer:
    """Run a PromQL range query over the last minutes. Facts: value.last/.first/.min/.max/.mean, or s1.last … for
    several series, highest last value first. Aggregate (sum by, topk) rather than ask for hundreds of series."""
    server, frame = for_query(context, promql), window(context.as_of, minutes, step_s)
    result = await server.range(promql, frame)
    link = server.link(promql, frame)
    series = worst_first(result.series)
    if not series:
        return await _empty(server, promql, frame, result)
    unit, when = unit_of(pql.parse(promql)), interval(frame.start, frame.end)
    facts = [f for one, p in zip(series, prefixes(len(series)), strict=False) for f in series_facts(one, p, unit, when)]
    head = f"{clean(promql, 300)} over {length(frame)} to {clock_time(frame.end)}, step {frame.step:g} s"
    head += f", unit {unit}." if unit else "."
    text = shorten(f"{head}\n{_lines(series, unit)}{remarks_text(result.remarks)}")
    data: Json = {
        "promql": promql,
        "unit": unit,
        "step": frame.step,
        "series": series_data(series),
        "series_count": len(series),
        "remarks": list(result.remarks),
    }
    return Answer(text, tuple(facts), data, link)


def _lines(series: Sequence[Series], unit: str) -> str:
    several = len(series) > 1
    names = prefixes(len(series))
    shown = [
        f"{p + ' ' if several else ''}{line(s, unit, several)}" for s, p in zip(series[:_SHOWN], names, strict=False)
    ]
    if len(series) > _SHOWN:
        rest = f"{len(series)} series in all, highest last value first"
        shown.append(f"{rest}; {MOST_SERIES} have facts." if len(series) > MOST_SERIES else f"{rest}.")
    return "\n".join(shown)


async def _empty(server: Prometheus, promql: str, frame: Window, result: Result) -> Answer:
    if result.series:  # series without float values
        why: tuple[Emptiness, str] = (Emptiness.NOTHING, "the series are native histograms; use histogram_quantile")
    else:
        why = await why_empty(server, promql, frame)
    reason = f"{why[0]}: {why[1].rstrip('.')}. This is not zero."
    text = f"{reason} {clean(promql, 300)} over {length(frame)} to {clock_time(frame.end)}."
    data: Json = {"promql": promql, "series": [], "remarks": list(result.remarks)}
    return Answer(shorten(text + remarks_text(result.remarks)), (), data, server.link(promql, frame), why[0])


@read(needs="prometheus")
async def compare_metrics(
    context: Context, promql: PromQL, minutes: Annotated[int, Field(ge=1, le=1440)] = 15
) -> Answer:
    """Compare the last minutes with the window just before, the same time yesterday and last week. Facts: now.mean/.last/
    .max, before.mean …, yesterday.mean …, last_week.mean …, ratio.before … (now over then, by mean), deviation."""
    server, frame = for_query(context, promql), window(context.as_of, minutes)
    frames = {"now": frame}
    for name, back in _EARLIER.items():
        frames[name] = frame.earlier(back or timedelta(minutes=minutes, seconds=frame.step))
    results = dict(zip(frames, await asyncio.gather(*(server.range(promql, f) for f in frames.values())), strict=True))
    now = worst_first(results["now"].series)
    if not now:
        return await _empty(server, promql, frame, results["now"])
    unit = unit_of(pql.parse(promql))
    then = {name: {_key(s): s for s in results[name].series} for name in _EARLIER}
    facts, lines, names = [], [], prefixes(len(now))
    for one, prefix in zip(now, names, strict=False):
        past = {name: found.get(_key(one)) for name, found in then.items()}
        head = "" if len(now) == 1 else f"{prefix}."
        facts += _comparison(one, past, head, unit, frames)
        lines.append(_comparison_line(one, past, unit, len(now) > 1))
    more = f"\n{len(now)} series in all, highest last value first." if len(now) > _SHOWN else ""
    text = f"{clean(promql, 300)}: means over {length(frame)} to {clock_time(frame.end)}, and the same length earlier."
    remarks = remarks_text(results["now"].remarks)
    body: Json = {
        "promql": promql,
        "unit": unit,
        "windows": {n: series_data(worst_first(r.series)) for n, r in results.items()},
    }
    return Answer(
        shorten("\n".join([text, *lines[:_SHOWN]]) + more + remarks), tuple(facts), body, server.link(promql, frame)
    )


def _comparison(
    now: Series, past: Mapping[str, Series | None], head: str, unit: str, frames: Mapping[str, Window]
) -> list[Fact]:
    spans = {name: interval(f.start, f.end) for name, f in frames.items()}
    facts = series_facts(now, f"{head}now", unit, spans["now"], ("last", "mean", "max", "min"))
    labels = facts[0].labels
    for name, earlier in past.items():
        if earlier is None or not earlier.values.size:
            facts.append(Fact(f"{head}{name}.mean", "mean (no data)", None, unit, labels, spans[name]))
        else:
            facts += series_facts(earlier, f"{head}{name}", unit, spans[name], ("mean", "max", "min"))
        value = ratio(now, earlier)
        facts.append(Fact(f"{head}ratio.{name}", f"now over {name}, by mean", value, "ratio", labels, spans["now"]))
    score = _deviation(now, past)
    facts.append(Fact(f"{head}deviation", "robust z against yesterday and last week", score, "", labels, spans["now"]))
    return facts


def ratio(now: Series, earlier: Series | None) -> float | None:
    """Mean now over mean then; None without data on either side, or over zero."""
    if earlier is None or not earlier.finite.size or not now.finite.size:
        return None
    base = statistic(earlier, "mean")
    return usable(statistic(now, "mean") / base) if base else None


def _deviation(now: Series, past: Mapping[str, Series | None]) -> float | None:
    """How many robust standard deviations the median of now lies from what the same hours held before."""
    known = [s.finite for name in ("yesterday", "last_week") if (s := past.get(name)) is not None and s.finite.size]
    return robust_z(now.finite, known) if known and now.finite.size else None


def _comparison_line(now: Series, past: Mapping[str, Series | None], unit: str, several: bool) -> str:
    parts = [f"now {number(statistic(now, 'mean'), unit)} (last {number(now.last, unit)})"]
    for name, earlier in past.items():
        if earlier is None or not earlier.values.size:
            parts.append(f"{name.replace('_', ' ')}: no data")
            continue
        times = ratio(now, earlier)
        factor = f" (×{times:.3g})" if times is not None else " (no ratio: it was zero or not a number)"
        parts.append(f"{name.replace('_', ' ')} {number(statistic(earlier, 'mean'), unit)}{factor}")
    return (f"{labels_text(now.labels)}: " if several else "") + "; ".join(parts) + "."


def _key(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(series.labels.items()))


@read(needs="prometheus")
async def find_metrics(
    context: Context,
    pattern: Annotated[str, Field(max_length=200, description="words or parts of a name; * and | work")],
    labels: MetricLabels = {},  # noqa: B006 (never changed)
) -> Answer:
    """Look for metric names by words (all must occur; * is a wildcard, | an alternative), optionally only those that
    series with these labels have. Gives type, help and the number of series."""
    server = prometheus(context, labels)
    since = context.as_of - timedelta(days=1)
    names = await server.label_values("__name__", pql.selector("", labels) if labels else "", since)
    found = matching(names, pattern)
    if not found:
        near = difflib.get_close_matches(pattern, names, 8, 0.4)
        hint = f" Names like it: {', '.join(near)}." if near else ""
        where = f" with {labels_text(labels)}" if labels else ""
        text = f"None of {len(names)} metric names{where} fits {clean(pattern)!r}.{hint}"
        none = Emptiness.NO_METRIC if names or not labels else Emptiness.NO_SERIES
        return Answer(text, (Fact("count", "metrics found", 0, "count"),), {"metrics": []}, None, none)
    described = await _described(server, found[:12], labels)
    lines = [
        f"{d['name']} ({d['type'] or 'type unknown'}, {number(d['series'])} series) {clean(str(d['help']), 80)}".rstrip()
        for d in described
    ]
    more = f"\n{len(found)} in all; narrow the pattern to see the rest." if len(found) > len(described) else ""
    facts = (Fact("count", "metrics found", len(found), "count"),)
    return Answer(shorten("\n".join(lines) + more, 1500), facts, {"metrics": described, "names": found[:500]})


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """Names in which every word of some alternative occurs, shortest first. `.*` is read as `*`."""
    alternatives = [
        [f"*{word.strip('^$')}*" for word in part.replace(".*", "*").lower().split()] for part in pattern.split("|")
    ]
    found = [n for n in names if any(all(fnmatch.fnmatchcase(n.lower(), w) for w in words) for words in alternatives)]
    return sorted(found, key=lambda name: (len(name), name))


async def _described(server: Prometheus, names: Sequence[str], labels: Mapping[str, str]) -> list[dict[str, Json]]:
    """Type, help and number of series; unknown (None, "") where the server does not say."""
    counts, about = await asyncio.gather(
        asyncio.gather(*(_count(server, name, labels) for name in names)),
        asyncio.gather(*(_about(server, name) for name in names)),
    )
    return [
        {"name": name, "type": kind, "help": help_text, "series": count}
        for name, count, (kind, help_text) in zip(names, counts, about, strict=True)
    ]


async def _count(server: Prometheus, name: str, labels: Mapping[str, str]) -> float | None:
    try:
        series = (await server.instant(f"count({pql.selector(name, labels)})")).series
    except ToolFailed:
        return None
    return series[0].last if series else 0


async def _about(server: Prometheus, name: str) -> tuple[str, str]:
    """Type and help; a histogram's parts are described under its own name."""
    try:
        found = await server.metadata(name)
        for suffix in ("_bucket", "_sum", "_count", "_total"):
            if not any(found) and name.endswith(suffix):
                found = await server.metadata(name.removesuffix(suffix))
    except ToolFailed:
        return "", ""
    return found
