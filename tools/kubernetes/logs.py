"""The read of a workload's own logs, straight from its pods: lines counted by pattern, errors first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from tools.context import Context, Json, Workload
from tools.errors import ToolFailed
from tools.formatting import at, clean, clock_time, iso, shorten
from tools.formatting import window as interval
from tools.kubernetes.client import Cluster, cluster_of, path_of
from tools.kubernetes.rollouts import time_of
from tools.kubernetes.status import PodStatus, selector_text, status_of
from tools.logs.patterns import Pattern, patterns
from tools.logs.search import is_error
from tools.spec import Answer, Emptiness, Fact, WorkloadName, read

MOST_PODS = 10
MOST_LINES = 2000  # of one container
MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Line:
    ms: int
    text: str
    pod: str

    @property
    def error(self) -> bool:
        return is_error(self.text, {})


@read(needs="kubernetes")
async def workload_logs(
    context: Context,
    workload: WorkloadName,
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30,
    contains: Annotated[str, Field(max_length=300, description="text that a line must hold")] = "",
) -> Answer:
    """Log lines of a workload's pods in the last minutes counted by pattern (numbers, ids and addresses masked), errors
    first, with the run before the last restart. Facts: lines.count, errors.count, p1.count … Only pods that still exist."""
    which = context.catalog.workload(workload)
    cluster = await cluster_of(context, which)
    whole = await cluster.get(path_of(which))
    if whole is None:
        raise ToolFailed(f"There is no {which.kind} {which}: it was deleted, or the catalog names another place.")
    pods_path = f"/api/v1/namespaces/{which.namespace}/pods"
    pods = status_of(whole, await cluster.list(pods_path, labelSelector=selector_text(whole)), None).pods
    asked = sorted(pods, key=lambda pod: (pod.ready, -pod.restarts, pod.name))[:MOST_PODS]
    since = context.as_of - timedelta(minutes=minutes)
    read_pods = await asyncio.gather(*(_lines(cluster, which, pod, since) for pod in asked))
    lines = [line for lines, _ in read_pods for line in lines]
    last = context.as_of.timestamp() * 1000
    kept = [line for line in lines if since.timestamp() * 1000 <= line.ms <= last and contains in line.text]
    about = f"{len(asked)} of {len(pods)} pods" if len(asked) < len(pods) else f"{len(pods)} pods"
    if any(cut for _, cut in read_pods):
        about += f"; only the newest {MOST_LINES} lines of a pod were read"
    return _answer(which, sorted(kept, key=lambda line: line.ms), contains, since, context.as_of, about)


async def _lines(cluster: Cluster, which: Workload, pod: PodStatus, since: datetime) -> tuple[list[Line], bool]:
    """The pod's lines, those of the run before a restart included, and whether there were more than we read."""
    path = f"/api/v1/namespaces/{which.namespace}/pods/{pod.name}/log"
    how = {
        "container": pod.container,
        "timestamps": "true",
        "sinceTime": iso(since.replace(microsecond=0)),
        "tailLines": str(MOST_LINES),
        "limitBytes": str(MOST_BYTES),
    }
    texts = [await cluster.text(path, **how)]
    if pod.restarts:
        texts.insert(0, await cluster.text(path, previous="true", **how))
    lines = [line for text in texts if text for line in _parsed(text, pod.name)]
    return lines, any(text is not None and text.count("\n") >= MOST_LINES for text in texts)


def _parsed(text: str, pod: str) -> list[Line]:
    """Kubernetes writes the time in front of each line; what has none continues the line before."""
    lines: list[Line] = []
    for raw in text.splitlines():
        stamp, _, rest = raw.partition(" ")
        if when := time_of(_micros(stamp)) if stamp[:1].isdigit() else None:
            lines.append(Line(int(when.timestamp() * 1000), rest, pod))
        elif lines:
            lines[-1] = Line(lines[-1].ms, f"{lines[-1].text} {raw}"[:4000], pod)
    return lines


def _micros(stamp: str) -> str:
    """Nanoseconds cut to the six digits Python reads."""
    head, dot, fraction = stamp.rstrip("Z").partition(".")
    return f"{head}{dot}{fraction[:6]}+00:00" if stamp.endswith("Z") else stamp


def _answer(
    which: Workload, lines: Sequence[Line], contains: str, since: datetime, until: datetime, about: str
) -> Answer:
    when = interval(since, until)
    bad = patterns([(line.ms, line.text) for line in lines if line.error])
    good = patterns([(line.ms, line.text) for line in lines if not line.error])
    errors = sum(pattern.count for pattern in bad)
    facts = [
        Fact("lines.count", f"log lines of {which}", len(lines), "count", {}, when),
        Fact("errors.count", f"log lines of {which} that are errors", errors, "count", {}, when),
        Fact("patterns.count", "patterns", len(bad) + len(good), "count", {}, when),
    ]
    holding = f" holding {clean(contains, 60)!r}" if contains else ""
    if not lines:
        text = f"No lines{holding} from {about} of {which} in the time to {clock_time(until)}."
        return Answer(text, tuple(facts), {"workload": str(which), "patterns": []}, None, Emptiness.NO_SAMPLES)
    ordered = [*bad, *good]
    facts += [
        Fact(f"p{n}.count", f"lines of pattern {n}", p.count, "count", {}, when) for n, p in enumerate(ordered[:20], 1)
    ]
    head = f"{len(lines)} lines{holding}, {errors} errors from {about} of {which}, {clock_time(since, until)} to {clock_time(until)}"
    shown = [_told(n, pattern, n <= len(bad), until) for n, pattern in enumerate(ordered[:8], 1)]
    more = [f"and {len(ordered) - 8} more patterns"] if len(ordered) > 8 else []
    data: Json = {
        "workload": str(which),
        "lines": len(lines),
        "patterns": [_plain(pattern, n < len(bad)) for n, pattern in enumerate(ordered[:200])],
    }
    return Answer(shorten("\n".join([head, *shown, *more])), tuple(facts), data)


def _told(n: int, pattern: Pattern, error: bool, near: datetime) -> str:
    first, last = (clock_time(at(ms // 1000), near) for ms in (pattern.first_ms, pattern.last_ms))
    times = f"at {first}" if pattern.count == 1 else f"{first} to {last}"
    return f"p{n}{' error' if error else ''} ×{pattern.count}, {times}: {clean(pattern.text, 140)}"


def _plain(pattern: Pattern, error: bool) -> Json:
    return {
        "pattern": pattern.text,
        "count": pattern.count,
        "error": error,
        "example": pattern.example,
        "first": iso(at(pattern.first_ms / 1000)),
        "last": iso(at(pattern.last_ms / 1000)),
    }
