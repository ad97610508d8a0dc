"""Which objects names stand for, once every source has told what it knows: `checkout:8080` of a caller in the namespace
shop is the Service checkout there, a host that no cluster has is a Target of its own. Nothing here asks anybody."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from agent.platform.edges import BY_NAME, CATALOG, KUBE_STATE_METRICS, KUBERNETES, Edge, EdgeKind, Part
from tools.context import Subject

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", "ReplicaSet", "CronJob", "Job")
_LOOSE = frozenset({"Service", "Target", "Database", *WORKLOADS})  # kinds that are guessed from a name
_OUTSIDE = frozenset({"Target", "Database"})
_OF_CLUSTER = re.compile(r"(?:.+\.)?(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(?:\..*)?")  # a pod's too
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_TRUST = (CATALOG, KUBERNETES, KUBE_STATE_METRICS)  # best first; any other between these and a name's pattern
_Table: TypeAlias = Mapping[tuple[str, str], Sequence[Subject]]  # (cluster, name) → what is called so


@dataclass(frozen=True, slots=True)
class Known:
    """What is listed: the only cluster that anybody names ("" for none or several), subjects by name and by address."""

    cluster: str = ""
    listed: frozenset[Subject] = frozenset()
    services: _Table = field(default_factory=dict)
    workloads: _Table = field(default_factory=dict)
    addresses: Mapping[tuple[str, str], Subject] = field(default_factory=dict)


def known(parts: Iterable[Part]) -> Known:
    parts = tuple(parts)
    everything = {one for part in parts for one in part.nodes}
    ends = {one for part in parts for edge in part.edges for one in (edge.source, edge.target)}
    clusters = {one.cluster for one in everything | ends if one.cluster}
    found = Known(clusters.pop() if len(clusters) == 1 else "")
    listed = {in_cluster(one, found) for one in everything}
    services, workloads = defaultdict(list), defaultdict(list)
    for one in sorted(listed, key=lambda s: (s.cluster, s.namespace, s.name)):
        if one.kind == "Service":
            services[one.cluster, one.name].append(one)
        elif one.kind in WORKLOADS:
            workloads[one.cluster, one.name].append(one)
    addresses = {
        (cluster or found.cluster, ip): in_cluster(one, found)
        for part in parts
        for (cluster, ip), one in part.addresses.items()
    }
    return Known(found.cluster, frozenset(listed), services, workloads, addresses)


def in_cluster(subject: Subject, known: Known) -> Subject:
    """With the cluster, where only one is named at all. A model, and a host outside, lie in none."""
    if subject.kind == "Model" or (subject.kind in _OUTSIDE and _outside(subject.name)):
        return replace(subject, cluster="") if subject.cluster else subject
    if subject.cluster or not known.cluster:
        return subject
    return replace(subject, cluster=known.cluster)


def settled(subject: Subject, known: Known, near: str = "") -> Subject:
    """The listed subject that a name stands for, looked for in the namespace `near` first; the subject itself where none,
    or more than one, fits."""
    placed = in_cluster(subject, known)
    if placed.kind == "Node":
        return _machine(placed, known)
    loose = placed.kind == "Service" and not placed.namespace  # listed or not, it may be one that has a namespace
    if placed.kind not in _LOOSE or (placed in known.listed and not loose):
        return placed
    if subject.kind in _OUTSIDE:
        return _behind_address(subject, known, near) or placed
    subject = placed
    if subject.namespace:
        first = known.workloads if subject.kind in WORKLOADS else known.services
        return _listed(subject.cluster, subject.name, subject.namespace, known, first) or subject
    return _by_name(subject.cluster, subject.name, near, known) or subject


def settled_edges(edges: Iterable[Edge], known: Known) -> tuple[Edge, ...]:
    """Each edge once, between settled ends; where several sources name an owner, the best of them counts."""
    found: dict[tuple[Subject, Subject, EdgeKind], list[str]] = defaultdict(list)
    for edge in edges:
        source = settled(edge.source, known)
        target = settled(edge.target, known, source.namespace)
        if source != target and edge.known_from not in found[source, target, edge.kind]:
            found[source, target, edge.kind].append(edge.known_from)
    best: dict[Subject, int] = {}
    for (_, target, kind), sources in found.items():
        if kind is EdgeKind.OWNS and sources:
            best[target] = min(best.get(target, len(_TRUST) + 1), *map(_rank, sources))
    return tuple(
        Edge(source, target, kind, ", ".join(sorted(sources, key=_rank)))
        for (source, target, kind), sources in found.items()
        if sources and (kind is not EdgeKind.OWNS or min(map(_rank, sources)) == best[target])
    )


def _rank(known_from: str) -> int:
    if known_from == BY_NAME:
        return len(_TRUST) + 1
    return _TRUST.index(known_from) if known_from in _TRUST else len(_TRUST)


def _outside(host: str) -> bool:
    """Whether a host is named as the whole world names it, and not as one cluster does."""
    return "." in host and _IP.fullmatch(host) is None and _OF_CLUSTER.fullmatch(host) is None


def _machine(node: Subject, known: Known) -> Subject:
    """The machine at an address, where a node goes by that: `10.0.0.5:9100` of an exporter."""
    at = known.addresses.get((node.cluster, node.name.rpartition(":")[0] or node.name))
    return at if at is not None and at.kind == "Node" else node


def _behind_address(subject: Subject, known: Known, near: str) -> Subject | None:
    host, cluster = subject.name, subject.cluster or known.cluster
    if (at := known.addresses.get((cluster, host))) and at.kind != "Node":
        return at
    if dns := _OF_CLUSTER.fullmatch(host):
        name, namespace = dns["name"], dns["namespace"]
        return _listed(cluster, name, namespace, known) or Subject("Service", cluster, namespace, name, subject.how)
    match host.split("."):
        case [name]:
            return _by_name(cluster, name, near, known)
        case [name, namespace]:  # a Service and its namespace, or a pod behind a Service beside the caller
            return _listed(cluster, name, namespace, known) or _listed(cluster, namespace, near, known)
        case [_, name, namespace]:
            return _listed(cluster, name, namespace, known)
    return None


def _listed(cluster: str, name: str, namespace: str, known: Known, first: _Table | None = None) -> Subject | None:
    """The Service of this name and namespace, else the one workload; out of the table `first` before any."""
    for table in (first or known.services, known.services, known.workloads):
        fitting = [one for one in table.get((cluster, name), ()) if one.namespace == namespace]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _by_name(cluster: str, name: str, near: str, known: Known) -> Subject | None:
    """The Service or workload of this name beside who names it, else the only one of the cluster."""
    if near and (beside := _listed(cluster, name, near, known)):
        return beside
    for table in (known.services, known.workloads):
        fitting = table.get((cluster, name), ())
        if fitting := [one for one in fitting if one.namespace] or fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None
