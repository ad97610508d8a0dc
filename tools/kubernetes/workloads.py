"""Reads of workloads: how one is now, what happened to it, what it was before. Through Kubernetes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from tools.context import Context, Json, Workload
from tools.errors import NotRecorded
from tools.formatting import clean, clock_time, iso, labels_text, number, shorten, span
from tools.formatting import window as interval
from tools.kubernetes.client import Cluster, cluster_of, path_of
from tools.kubernetes.rollouts import difference, kept_by, owned_by, revisions_of, time_of
from tools.kubernetes.status import (
    PodStatus,
    WorkloadStatus,
    autoscaler_of,
    selector_text,
    status_of,
)
from tools.spec import Answer, Emptiness, Fact, WorkloadName, read

Object = Mapping[str, Any]


@read(needs="kubernetes", vouches=True)
async def describe_workload(context: Context, workload: WorkloadName) -> Answer:
    """How a workload is now: replicas wanted and ready, image, limits, restarts, why pods wait or last ended, nodes,
    rollout, autoscaler. Facts: replicas.wanted, replicas.ready, restarts.count, cpu.limit, rollout.complete …"""
    which = context.catalog.workload(workload)
    _only_now(context, f"how {which} was", "query_metrics on kube_* metrics shows the past")
    cluster = await cluster_of(context, which)
    whole = await cluster.get(path_of(which))
    if whole is None:
        return _absent(context, which)
    status = await status_in(cluster, which, whole)
    when = interval(context.as_of, context.as_of)
    return Answer(
        shorten("\n".join(_told(which, status, context.as_of))),
        tuple(_facts(which, status, when)),
        {"workload": str(which), "kind": which.kind, **_plain(asdict(status))},
    )


@read(needs="kubernetes", vouches=True)
async def workload_events(
    context: Context, workload: WorkloadName, minutes: Annotated[int, Field(ge=1, le=1440)] = 60
) -> Answer:
    """Kubernetes' events of the last minutes about a workload, its pods and their ReplicaSets, warnings first.
    Facts: events.count, warnings.count, warning.REASON.count. A cluster keeps events for about an hour."""
    which = context.catalog.workload(workload)
    _only_now(context, f"events of {which}", "the cluster drops events after about an hour")
    cluster = await cluster_of(context, which)
    found, names = await asyncio.gather(
        cluster.list(f"/api/v1/namespaces/{which.namespace}/events"), _names_of(cluster, which)
    )
    since = context.as_of - timedelta(minutes=minutes)
    mine = [one for one in found if _concerns(one, which, names) and since <= _when(one, since) <= context.as_of]
    mine.sort(key=lambda one: (one.get("type") != "Warning", -_when(one, since).timestamp()))
    when = interval(since, context.as_of)
    warnings = _reasons(one for one in mine if one.get("type") == "Warning")
    facts = [
        Fact("events.count", f"events of {which}", sum(_times(one) for one in mine), "count", {}, when),
        Fact("warnings.count", f"warnings of {which}", sum(warnings.values()), "count", {}, when),
        *(Fact(f"warning.{r}.count", f"warnings {r}", n, "count", {}, when) for r, n in list(warnings.items())[:20]),
    ]
    data = [_event_json(one, since) for one in mine[:500]]
    if not mine:
        text = f"No events about {which} in the {minutes} min to {clock_time(context.as_of)}."
        return Answer(text, tuple(facts), data, None, Emptiness.NOTHING)
    head = f"{len(mine)} events about {which} in the {minutes} min to {clock_time(context.as_of)}:"
    lines = [_event_line(one, context.as_of, since) for one in mine[:10]]
    return Answer(shorten("\n".join([head, *lines])), tuple(facts), data)


@read(needs="kubernetes", vouches=True)
async def rollout_history(context: Context, workload: WorkloadName) -> Answer:
    """The revisions of a workload: number, image, when, cause, and what changed in each by name. Facts: revisions.count,
    current.revision, current.image, current.at, previous.revision, previous.image. roll_back_workload takes a number."""
    which = context.catalog.workload(workload)
    cluster = await cluster_of(context, which)
    whole, kept = await asyncio.gather(cluster.get(path_of(which)), kept_by(cluster, which))
    if whole is None:
        return _absent(context, which)
    found = [r for r in revisions_of(which, whole, kept) if r.at <= context.as_of]
    when = interval(context.as_of, context.as_of)
    facts = [Fact("revisions.count", f"recorded revisions of {which}", len(found), "count", {}, when)]
    if not found:
        text = f"The cluster keeps no revision of {which} from before {iso(context.as_of)}."
        return Answer(text, tuple(facts), [], None, Emptiness.NOTHING)
    for name, one in zip(("current", "previous"), reversed(found), strict=False):
        facts += [
            Fact(f"{name}.revision", f"{name} revision of {which}", one.number, "", {}, when),
            Fact(f"{name}.image", f"image of the {name} revision", clean(one.image), "", {}, when),
            Fact(f"{name}.at", f"start of the {name} revision", one.at.timestamp(), "unix", {}, when),
        ]
    rows: list[dict[str, Json]] = []
    for before, one in zip([None, *found], found, strict=False):
        rows.insert(
            0,
            {
                "revision": one.number,
                "at": iso(one.at),
                "image": clean(one.image, 300),
                "cause": one.cause,
                "changed": list(difference(before, one)),
                "commit": one.tells("commit"),
                "pull_request": one.tells("pull_request"),
                "rolled_back": one.rolled_back,
            },
        )
    head = f"{which}: {len(found)} recorded revisions; present {found[-1].number} since {iso(found[-1].at)}."
    lines = [_revision_line(row, n == 0) for n, row in enumerate(rows[:6])]
    return Answer(shorten("\n".join([head, *lines])), tuple(facts), rows)


async def status_in(cluster: Cluster, which: Workload, whole: Object) -> WorkloadStatus:
    """The status of a workload whose object was read: its pods and its namespace's autoscalers are asked for."""
    pods, scalers = await asyncio.gather(
        cluster.list(f"/api/v1/namespaces/{which.namespace}/pods", labelSelector=selector_text(whole)),
        cluster.list(f"/apis/autoscaling/v2/namespaces/{which.namespace}/horizontalpodautoscalers"),
    )
    return status_of(whole, pods, autoscaler_of(scalers, which.kind, which.name))


def _only_now(context: Context, what: str, instead: str) -> None:
    if not context.live:
        raise NotRecorded(f"Kubernetes keeps no record of {what} at {iso(context.as_of)}; {instead}.")


def _absent(context: Context, which: Workload) -> Answer:
    fact = Fact("exists", f"{which.kind} {which} exists", False, "", {}, interval(context.as_of, context.as_of))
    text = f"There is no {which.kind} {which.name} in namespace {which.namespace} of cluster {which.cluster}: it was "
    text += "deleted, or the catalog names another place."
    return Answer(text, (fact,), None, None, Emptiness.NOTHING)


def _facts(which: Workload, s: WorkloadStatus, when: str) -> Iterator[Fact]:
    name = str(which)
    yield Fact("exists", f"{which.kind} {name} exists", True, "", {}, when)
    counts = {
        "replicas.wanted": s.wanted,
        "replicas.ready": s.ready,
        "replicas.missing": max(s.wanted - s.ready, 0),
        "replicas.updated": s.updated,
        "pods.count": len(s.pods),
        "restarts.count": s.restarts,
        "waiting.count": s.waiting.total(),
        "ended.count": s.ended.total(),
        "nodes.count": len(s.nodes),
    }
    for id_, value in counts.items():
        yield Fact(id_, f"{id_.replace('.', ' ')} of {name}", value, "count", {}, when)
    for reason, n in s.waiting.items():
        yield Fact(f"waiting.{reason}.count", f"containers of {name} waiting for {reason}", n, "count", {}, when)
    for reason, n in s.ended.items():
        yield Fact(f"ended.{reason}.count", f"containers of {name} last ended by {reason}", n, "count", {}, when)
    for n, c in enumerate(s.containers):
        suffix, labels = f".{c.name}" if n else "", {"container": c.name}
        yield Fact(f"image{suffix}", f"image of {name}", c.image, "", labels, when)
        yield Fact(f"cpu.limit{suffix}", f"CPU limit of {name}", c.cpu_limit, "cores", labels, when)
        yield Fact(f"cpu.request{suffix}", f"CPU request of {name}", c.cpu_request, "cores", labels, when)
        yield Fact(f"memory.limit{suffix}", f"memory limit of {name}", c.memory_limit, "bytes", labels, when)
    yield Fact("revision", f"present revision of {name}", s.revision or None, "", {}, when)
    yield Fact("rollout.complete", f"rollout of {name} is complete", s.complete, "", {}, when)
    yield Fact("rollout.status", f"rollout of {name}", s.rollout, "", {}, when)
    for kind, (holds, _) in s.conditions.items():
        yield Fact(f"condition.{kind}", f"condition {kind} of {name}", holds, "", {}, when)
    yield Fact("autoscaler", f"autoscaler of {name}", s.autoscaler.name if s.autoscaler else "none", "", {}, when)
    if s.autoscaler:
        yield Fact("autoscaler.min", "least replicas it sets", s.autoscaler.least, "count", {}, when)
        yield Fact("autoscaler.max", "most replicas it sets", s.autoscaler.most, "count", {}, when)
    if starts := [pod.started.timestamp() for pod in s.pods if pod.started]:
        yield Fact("newest_pod.started", f"start of the newest pod of {name}", max(starts), "unix", {}, when)
        yield Fact("oldest_pod.started", f"start of the oldest pod of {name}", min(starts), "unix", {}, when)


def _told(which: Workload, s: WorkloadStatus, now: datetime) -> Iterator[str]:
    yield f"{which.kind} {which} at {clock_time(now)}: {s.ready} of {s.wanted} replicas ready, rollout {s.rollout}" + (
        f" (revision {s.revision})." if s.revision else "."
    )
    for c in s.containers:
        limits = f"{number(c.cpu_limit)} cores" if c.cpu_limit is not None else "no CPU limit"
        memory = f"{c.memory_limit / 2**20:,.0f} MiB" if c.memory_limit is not None else "no memory limit"
        yield f"{c.name}: {c.image}; limits {limits}, {memory}."
    told = [f"{n} waiting for {reason}" for reason, n in s.waiting.most_common(4)]
    told += [f"{n} last ended by {reason}" for reason, n in s.ended.most_common(4)]
    yield f"{len(s.pods)} pods, {s.restarts} restarts{': ' + ', '.join(told) if told else ''}; on nodes " + (
        labels_text({node: str(n) for node, n in s.nodes.items()})
    )
    yield (
        f"Autoscaler: {s.autoscaler.name} ({s.autoscaler.least} to {s.autoscaler.most})."
        if s.autoscaler
        else "No autoscaler."
    )
    if s.controller:
        yield f"Controlled by {clean(s.controller)}: what is changed here, that may change back."
    for kind, (holds, why) in s.conditions.items():
        if holds is (kind == "ReplicaFailure"):
            yield f"{kind} is {str(holds).lower()}: {why}."
    ill = [pod for pod in s.pods if not pod.ready or pod.restarts]
    for pod in sorted(ill, key=lambda pod: (pod.ready, -pod.restarts))[:5]:
        yield _pod_line(pod, now)


def _pod_line(pod: PodStatus, now: datetime) -> str:
    ended = [f"{reason} (exit {code}){f' at {clock_time(at, now)}' if at else ''}" for reason, code, at in pod.ended]
    parts = [
        "ready" if pod.ready else "not ready",
        pod.phase,
        f"{pod.restarts} restarts",
        f"waiting: {', '.join(pod.waiting)}" if pod.waiting else "",
        f"last ended: {', '.join(ended)}" if ended else "",
        f"up {span((now - pod.started).total_seconds())}" if pod.started else "",
        f"on {pod.node}" if pod.node else "",
        pod.message,
    ]
    return f"- {pod.name}: {'; '.join(part for part in parts if part)}"


async def _names_of(cluster: Cluster, which: Workload) -> frozenset[str]:
    """Names of the pods there are now, and of what keeps the workload's revisions."""
    whole, kept = await asyncio.gather(cluster.get(path_of(which)), kept_by(cluster, which))
    pods = []
    if whole is not None:
        pods = await cluster.list(f"/api/v1/namespaces/{which.namespace}/pods", labelSelector=selector_text(whole))
    mine = [one for one in kept if owned_by(one, which.kind, which.name)]
    return frozenset(str((one.get("metadata") or {}).get("name")) for one in [*pods, *mine])


_GONE = {  # how controllers name what they make: for pods and ReplicaSets that are no longer there
    "Pod": re.compile(r"-[a-z0-9]{5,10}-[a-z0-9]{5}$|-\d{1,4}$"),
    "ReplicaSet": re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5,10}$|-[0-9a-f]{8,10}$"),
}


def _concerns(event: Object, which: Workload, names: frozenset[str]) -> bool:
    """Whether an event is about the workload, its autoscaler, or pods and ReplicaSets of its, present or gone."""
    about = event.get("involvedObject") or {}
    kind, name = str(about.get("kind")), str(about.get("name", ""))
    if kind in (which.kind, "HorizontalPodAutoscaler"):
        return name == which.name
    if kind not in _GONE:
        return False
    return name in names or _GONE[kind].sub("", name) == which.name != name


def _when(event: Object, otherwise: datetime) -> datetime:
    series = event.get("series") or {}
    for text in (
        series.get("lastObservedTime"),
        *(event.get(k) for k in ("lastTimestamp", "eventTime", "firstTimestamp")),
    ):
        if text and (at := time_of(text)):
            return at
    return otherwise


def _times(event: Object) -> int:
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    return count if isinstance(count, int) else 1


def _reasons(events: Iterator[Object]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in events:
        reason = clean(str(one.get("reason") or "unnamed"), 60)
        found[reason] = found.get(reason, 0) + _times(one)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _event_line(event: Object, near: datetime, since: datetime) -> str:
    about = event.get("involvedObject") or {}
    times = f" ×{_times(event)}" if _times(event) > 1 else ""
    text = f"{event.get('type')} {event.get('reason')}{times} {about.get('kind')} {about.get('name')}: {event.get('message')}"
    return f"- {clock_time(_when(event, since).replace(microsecond=0), near)} {clean(text, 180)}"


def _event_json(event: Object, since: datetime) -> Json:
    about = event.get("involvedObject") or {}
    return {
        "at": iso(_when(event, since)),
        "type": event.get("type"),
        "reason": event.get("reason"),
        "count": _times(event),
        "object": f"{about.get('kind')} {about.get('name')}",
        "message": clean(str(event.get("message") or ""), 1000),
    }


def _revision_line(row: Mapping[str, Json], present: bool) -> str:
    known = {"commit": row["commit"], "pull request": row["pull_request"], "cause": row["cause"]}
    told = "".join(f"; {name} {value}" for name, value in known.items() if value)
    changed = ", ".join(row["changed"]) or "nothing"
    return f"- {row['revision']}{' (present)' if present else ''} {row['at']}: {row['image']}; changed: {clean(changed)}{told}"


def _plain(value: Any) -> Any:
    """Plain JSON of a dataclass that was made a dict."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return iso(value) if isinstance(value, datetime) else value
