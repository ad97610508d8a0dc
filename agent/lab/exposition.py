"""Samples as text: the present for a scrape, and a span of history for `promtool tsdb create-blocks-from openmetrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from agent.lab.ports import Samples, Series
from agent.lab.promql.numbers import sample
from agent.lab.promql.values import STALE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PRESENT_MS = 300_000  # an older sample is no longer present
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
Metadata = Mapping[str, tuple[str, str]]


def exposition(samples: Samples) -> str:
    """Every series' newest sample, unless it is older than five minutes, in Prometheus' text format."""
    since = samples.now_ms() - PRESENT_MS
    lines: list[str] = []
    for family, kind, text, names in families(samples):
        body = [
            f"{head(series)} {sample(float(series.values[-1]))}"
            for name in names
            for series in samples.series(name)
            if series.times.size and series.times[-1] >= since and series.values[-1:].view(np.int64)[0] != STALE
        ]
        if body:
            lines += [f"# HELP {family} {escaped_help(text)}", f"# TYPE {family} {kind}", *body]
    return "\n".join([*lines, ""])


def openmetrics(samples: Samples, since_ms: int) -> str:
    """Every sample since then, with its time, in OpenMetrics. Stale markers cannot be written and are left out."""
    lines: list[str] = []
    for family, kind, text, names in families(samples):
        body = [line for name in names for series in samples.series(name) for line in timed(series, since_ms)]
        if not body:
            continue
        counts = kind == "counter" and family.endswith("_total")
        lines.append(f"# TYPE {family.removesuffix('_total') if counts else family} {open_kind(family, kind)}")
        lines.append(f"# HELP {family.removesuffix('_total') if counts else family} {escaped(text)}")
        lines += body
    return "\n".join([*lines, "# EOF", ""])


def open_kind(family: str, kind: str) -> str:
    """OpenMetrics wants a counter's samples to end in _total, and calls an untyped metric unknown."""
    return "unknown" if kind == "untyped" or (kind == "counter" and not family.endswith("_total")) else kind


def timed(series: Series, since_ms: int) -> Iterator[str]:
    first = int(np.searchsorted(series.times, since_ms))
    start = head(series)
    fresh = series.values[first:].view(np.int64) != STALE
    for at, value in zip(series.times[first:][fresh].tolist(), series.values[first:][fresh].tolist(), strict=True):
        yield f"{start} {sample(value)} {at // 1000}.{at % 1000:03d}"


def families(samples: Samples) -> Iterator[tuple[str, str, str, list[str]]]:
    """Family, type, help, and the names of its series: a histogram's parts belong together."""
    metadata = samples.metadata()
    members: dict[str, list[str]] = {}
    for name in samples.names():
        members.setdefault(family_of(name, metadata), []).append(name)
    for family, names in sorted(members.items()):
        kind, text = metadata.get(family, ("untyped", ""))
        yield family, kind, text, sorted(names)


def family_of(name: str, metadata: Metadata) -> str:
    if name in metadata:
        return name
    for kind, suffixes in PARTS.items():
        for suffix in suffixes:
            base = name.removesuffix(suffix)
            if base != name and metadata.get(base, ("",))[0] == kind:
                return base
    return name


def head(series: Series) -> str:
    """`name{a="b"}`"""
    pairs = [f'{name}="{escaped(value)}"' for name, value in sorted(series.labels.items()) if name != "__name__"]
    return series.labels["__name__"] + ("{" + ",".join(pairs) + "}" if pairs else "")


def escaped(value: str) -> str:
    return escaped_help(value).replace('"', '\\"')


def escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
