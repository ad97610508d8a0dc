"""What restarted or changed its version, seen in metrics alone: start times, build infos, container restarts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.analysis.series import Series
from tools.context import Change, Context, Json, Labels
from tools.errors import BadArguments
from tools.formatting import at, clean, clock_time, count, iso, labels_text, shorten
from tools.formatting import window as interval
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Window, prometheus
from tools.spec import Answer, Emptiness, Fact, read

_BUILD_INFO = r"[a-zA-Z0-9_]*(build|version)_info"
_VERSION_LABELS = ("version", "revision", "git_commit", "commit", "image_tag", "tag", "image", "gitVersion", "branch")
_REPLICA_LABELS = ("pod", "instance", "container")
_LIVES = 90.0  # seconds a series may be silent and still count as alive
_AT_END = 330.0


@dataclass(frozen=True, slots=True)
class Restart:
    at: float  # unix seconds
    what: str
    labels: Mapping[str, str]
    new: bool  # a replica not seen before, rather than one that started again


@dataclass(frozen=True, slots=True)
class VersionChange:
    at: float  # unix seconds of the first sample with the new version
    metric: str
    before: str
    after: str
    labels: Mapping[str, str]


def selections(context: Context, service: str, labels: Labels) -> list[str]:
    """Bodies of selectors (without braces) that mean the service: by the catalog's match, and by its workloads' pods."""
    entry = context.catalog.service(service) if service else None
    match = dict(entry.match) if entry and entry.match else ({"service": service} if service else {})
    if not match and not labels:
        raise BadArguments("Name a service or give labels; otherwise every process of the platform would be looked at.")
    found = [pql.selector_here("", {**match, **labels})[1:-1]]
    for workload in entry.workloads if entry else ():
        pods = {"pod": f"{pql.literal(workload.name)}-.+"}
        found.append(pql.selector_here("", {"namespace": workload.namespace, **labels}, **pods)[1:-1])
    return list(dict.fromkeys(found))


def _of(metric: str, bodies: Sequence[str]) -> str:
    return " or ".join(f"{metric}{{{body}}}" for body in bodies)


def _window(since: datetime, until: datetime) -> Window:
    seconds = (until - since).total_seconds()
    return Window(since, until, max(30.0, float(-(-seconds // 1500))))


async def restarts(server: Prometheus, bodies: Sequence[str], frame: Window) -> list[Restart] | None:
    """Process starts within the frame, oldest first; None when no such series has process_start_time_seconds."""
    series = (await server.range(_of("process_start_time_seconds", bodies), frame)).series
    if not series:
        return None
    start = frame.start.timestamp()
    found = []
    for one in series:
        starts = np.unique(one.finite[one.finite >= start])
        seen_before = bool(one.times.size and one.times[0] <= start + frame.step)
        for place, when in enumerate(starts):
            found.append(Restart(float(when), _replica(one.labels), _shown(one.labels), not seen_before and place == 0))
    return sorted(found, key=lambda r: (r.at, r.what))


async def container_restarts(server: Prometheus, bodies: Sequence[str], frame: Window) -> list[Restart] | None:
    """Increases of kube_pod_container_status_restarts_total, one a step; None when there is no such series."""
    series = (await server.range(_of("kube_pod_container_status_restarts_total", bodies), frame)).series
    if not series:
        return None
    found = []
    for one in series:
        for place in np.nonzero(np.diff(one.values) > 0)[0]:
            times = int(one.values[place + 1] - one.values[place])
            found += [Restart(float(one.times[place + 1]), _replica(one.labels), _shown(one.labels), False)] * times
    return sorted(found, key=lambda r: (r.at, r.what))


async def version_changes(server: Prometheus, bodies: Sequence[str], frame: Window) -> list[VersionChange] | None:
    """Versions in *_build_info and *_version_info that appeared within the frame; None when there is no such series."""
    query = " or ".join(f'{{__name__=~"{_BUILD_INFO}", {body}}}' for body in bodies)
    series = (await server.range(query, frame)).series
    if not series:
        return None
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        groups.setdefault(_what_is_versioned(one.labels), []).append(one)
    changes = [change for group in groups.values() for change in _changes_in(group, frame)]
    return sorted(changes, key=lambda c: (c.at, c.metric))


def _what_is_versioned(labels: Labels) -> tuple[str, ...]:
    names = ("__name__", "cluster", "namespace", "service", "job", "model", "deployment", "container")
    return tuple(labels.get(name, "") for name in names)


def version_of(labels: Labels) -> str:
    """The most telling version label of an info series."""
    return next((labels[name] for name in _VERSION_LABELS if labels.get(name)), "")


def _changes_in(group: Sequence[Series], frame: Window) -> list[VersionChange]:
    """Each version that appeared after the beginning, with the version that most replicas had right before."""
    first: dict[str, float] = {}
    for one in group:
        version = version_of(one.labels)
        if version and one.times.size:
            first[version] = min(first.get(version, np.inf), float(one.times[0]))
    beginning = frame.start.timestamp() + max(frame.step, _LIVES)
    found = []
    for version, when in sorted(first.items(), key=lambda item: item[1]):
        before = _alive(group, when - frame.step, frame.step) - {version}
        if when > beginning and before:
            labels = _shown(group[0].labels)
            name = group[0].labels.get("__name__", "")
            found.append(VersionChange(when, name, ", ".join(sorted(before)), version, labels))
    return found


def _alive(group: Sequence[Series], when: float, step: float) -> set[str]:
    """Versions with a sample at a time, or not much earlier."""
    return {
        version_of(one.labels)
        for one in group
        if np.any((one.times <= when) & (one.times >= when - max(step, _AT_END))) and version_of(one.labels)
    }


def _replica(labels: Labels) -> str:
    return next((labels[name] for name in _REPLICA_LABELS if labels.get(name)), labels_text(labels, 60))


def _shown(labels: Labels) -> dict[str, str]:
    hidden = {"__name__", *_VERSION_LABELS}
    return {name: value for name, value in labels.items() if name not in hidden}


@read(needs="prometheus")
async def restarts_and_versions(
    context: Context,
    service: Annotated[
        str, Field(max_length=200, description="a service of the catalog, or a value of the label service")
    ] = "",
    labels: Annotated[dict[str, str], Field(max_length=20)] = {},  # noqa: B006 (never changed)
    hours: Annotated[int, Field(ge=1, le=168)] = 6,
) -> Answer:
    """What restarted or changed its version in the last hours, by metrics. Facts: restarts.count (processes that started
    again), started.count (new replicas), container_restarts.count, version_changes.count; None where no metric says."""
    bodies = selections(context, service, labels)
    server = prometheus(context, labels)
    frame = _window(context.as_of - timedelta(hours=hours), context.as_of)
    began, containers, versions = await asyncio.gather(
        restarts(server, bodies, frame),
        container_restarts(server, bodies, frame),
        version_changes(server, bodies, frame),
    )
    again = None if began is None else [r for r in began if not r.new]
    new = None if began is None else [r for r in began if r.new]
    facts = _facts(again, new, containers, versions, interval(frame.start, frame.end))
    text = "\n".join(
        [
            f"{clean(service) or labels_text(labels)}, last {hours} h to {clock_time(context.as_of)}:",
            _restart_line("Processes that started again", again, "process_start_time_seconds", context.as_of),
            _restart_line("New replicas", new, "process_start_time_seconds", context.as_of),
            _restart_line("Container restarts", containers, "kube_pod_container_status_restarts_total", context.as_of),
            _version_line(versions, context.as_of),
        ]
    )
    data: Json = {
        "restarts": _json(again),
        "started": _json(new),
        "container_restarts": _json(containers),
        "version_changes": None if versions is None else [_version_json(v) for v in versions],
    }
    nothing = Emptiness.NO_SERIES if began is None and containers is None and versions is None else None
    return Answer(shorten(text), facts, data, server.link(_of("process_start_time_seconds", bodies), frame), nothing)


def _facts(
    again: Sequence[Restart] | None,
    new: Sequence[Restart] | None,
    containers: Sequence[Restart] | None,
    versions: Sequence[VersionChange] | None,
    when: str,
) -> tuple[Fact, ...]:
    counted: Sequence[tuple[str, str, Sequence[Restart] | Sequence[VersionChange] | None]] = (
        ("restarts", "processes that started again", again),
        ("started", "new replicas", new),
        ("container_restarts", "container restarts", containers),
        ("version_changes", "version changes", versions),
    )
    facts = [Fact(f"{i}.count", n, None if v is None else len(v), "count", {}, when) for i, n, v in counted]
    for i, _, found in counted:
        if found:
            facts.append(Fact(f"{i}.last", f"time of the last of {i}", found[-1].at, "unix", {}, when))
    for n, change in enumerate((versions or [])[-5:], 1):
        facts.append(
            Fact(
                f"version{n}.at",
                f"time of {change.metric} {clean(change.after, 60)}",
                change.at,
                "unix",
                change.labels,
                when,
            )
        )
        facts.append(
            Fact(f"version{n}.to", f"new version in {change.metric}", clean(change.after), "", change.labels, when)
        )
    return tuple(facts)


def _restart_line(what: str, found: Sequence[Restart] | None, metric: str, near: datetime) -> str:
    if found is None:
        return f"{what}: unknown, no {metric} for it."
    if not found:
        return f"{what}: none."
    shown = "; ".join(f"{clean(r.what, 60)} {clock_time(at(r.at), near)}" for r in found[-6:])
    return f"{what}: {len(found)} ({shown})."


def _version_line(found: Sequence[VersionChange] | None, near: datetime) -> str:
    if found is None:
        return "Versions: unknown, no *_build_info or *_version_info for it."
    if not found:
        return "Versions: no change."
    shown = "; ".join(
        f"{c.metric} {clean(c.before, 60)} → {clean(c.after, 60)} at {clock_time(at(c.at), near)}" for c in found[-5:]
    )
    return f"Versions: {count(len(found), 'change')}: {shown}."


def _json(found: Sequence[Restart] | None) -> Json:
    return (
        None
        if found is None
        else [{"at": iso(at(r.at)), "what": r.what, "labels": dict(r.labels)} for r in found[-200:]]
    )


def _version_json(change: VersionChange) -> Json:
    return {
        "at": iso(at(change.at)),
        "metric": change.metric,
        "from": change.before,
        "to": change.after,
        "labels": dict(change.labels),
    }


async def changes_by_metrics(context: Context, service: str, since: datetime, until: datetime) -> list[Change] | None:
    """Version changes as changes: deployments, or model promotions for *_version_info of a model. None = no metric says."""
    server = prometheus(context)
    found = await version_changes(server, selections(context, service, {}), _window(since, until))
    return None if found is None else [_as_change(c, service) for c in found]


def _as_change(change: VersionChange, service: str) -> Change:
    model = change.labels.get("model", "") if re.search(r"model|version_info$", change.metric) else ""
    return Change(
        at=at(change.at),
        kind="model_promotion" if model else "deployment",
        what=f"{model or service}: {change.before} → {change.after}",
        service=service,
        cluster=change.labels.get("cluster", ""),
        source=f"metric {change.metric}",
        detail={"version": change.after, "version_before": change.before, **({"model": model} if model else {})},
    )
