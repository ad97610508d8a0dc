"""The part of the platform map that a Prometheus tells. It is asked at most MOST_ASKED times, whatever its size: first which
metrics there are, then only those that tell of objects or of calls, and each aggregated to the labels that are read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.domain.moves import NotChecked
from agent.errors import BadArguments, ToolFailed
from agent.platform import metric_edges as read
from agent.platform.edges import Part, title_of
from agent.platform.vocabulary import Vocabulary, vocabulary
from tools.context import Backend, Catalog, Labels
from tools.prometheus.client import Prometheus

MOST_ASKED = 12  # requests to one server
MOST_METRICS = 25  # with labels that name a peer
RECENT = timedelta(minutes=15)  # what has had series within it is there

PODS, OWNERS, OBJECTS, TARGETS, PEERS = "pods", "owners", "objects", "scrape targets", "client metrics"
_PODS = ("kube_pod_info", "kube_pod_owner")  # the first that is there
_OWNERS = ("kube_replicaset_owner", "kube_job_owner")
_OBJECTS = (
    "kube_deployment_created",
    "kube_statefulset_created",
    "kube_daemonset_created",
    "kube_cronjob_info",
    "kube_service_info",
    "kube_endpoint_address",
    "kube_ingress_path",
    "kube_horizontalpodautoscaler_info",
    "kube_persistentvolumeclaim_info",
    "kube_pod_spec_volumes_persistentvolumeclaims_info",
)
_OF_PODS = (
    "pod",
    "node",
    "created_by_kind",
    "created_by_name",
    "owner_kind",
    "owner_name",
    "pod_ip",
    "host_ip",
    "host_network",
)
_OF_OWNERS = ("replicaset", "job_name", "owner_kind", "owner_name")
_OF_OBJECTS = (
    *("deployment", "statefulset", "daemonset", "cronjob", "service", "cluster_ip", "external_name", "endpoint", "ip"),
    *("ingress", "service_name", "horizontalpodautoscaler", "scaletargetref_kind", "scaletargetref_name"),
    *("persistentvolumeclaim", "volume", "volumename", "pod"),
)
_OF_CALLERS = (
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Rollout",
    "Service",
)  # kinds whose labels name a caller
_NAME = re.compile(r"[A-Za-z_]\w*")  # recording rules, which have colons, repeat what others say
_PARTS = re.compile(r"_(bucket|sum|created|max|min)$")
_OF_CLIENTS = re.compile(r"client|request|call|rpc|upstream|outbound|peer|http|db_|redis|sql", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    what: str  # PODS, OWNERS …, or the name of a graph
    promql: str


async def map_of_metrics(backend: Backend, as_of: datetime, catalog: Catalog | None = None) -> Part:
    """What one Prometheus tells. Unreachable and ToolFailed where it cannot be asked at all."""
    server, words, since = Prometheus(backend, as_of), vocabulary(), as_of - RECENT
    labels = frozenset(await server.label_names("", since))
    metrics = await server.label_values("__name__", _telling(words), since)
    peers = [name for name in words.peers.labels if name in labels]
    named = await server.label_values("__name__", [f'{{{name}!=""}}' for name in peers], since) if peers else []
    clients, left = client_metrics(named, words)
    asked = questions(frozenset(metrics), labels, clients, words)
    answers = await asyncio.gather(*(_ask(server, one, backend.match.get("cluster", "")) for one in asked))
    rows = {one.what: answer for one, answer in zip(asked, answers, strict=True) if not isinstance(answer, NotChecked)}
    unseen = [answer for answer in answers if isinstance(answer, NotChecked)]
    if left:
        why = f"{len(left)} more metrics name a peer than the {MOST_METRICS} that were asked"
        unseen.append(NotChecked(f"{title_of(backend)}: calls by {', '.join(left[:5])} …", why))
    return part_of(rows, tuple(unseen), catalog)


def part_of(
    rows: Mapping[str, Sequence[Labels]], unseen: Sequence[NotChecked] = (), catalog: Catalog | None = None
) -> Part:
    """The part out of the label sets that answered each question, each with its `cluster`."""
    told = read.told_by_kube_state_metrics(rows.get(PODS, ()), rows.get(OWNERS, ()))
    graphs = {ends.name: ends for ends in vocabulary().peers.graphs}
    parts = [
        read.pods_part(rows.get(PODS, ()), told),
        read.objects_part(rows.get(OBJECTS, ()), told),
        read.targets_part(rows.get(TARGETS, ()), told, catalog),
        read.peers_part(rows.get(PEERS, ()), told, catalog),
        *(read.graph_part(rows[name], ends) for name, ends in graphs.items() if name in rows),
    ]
    return Part(
        {one: seen for part in reversed(parts) for one, seen in part.nodes.items()},
        tuple(dict.fromkeys(edge for part in parts for edge in part.edges)),
        tuple(unseen),
        {},
        {at: one for part in parts for at, one in part.addresses.items()},
    )


def client_metrics(named: Iterable[str], words: Vocabulary) -> tuple[Sequence[str], Sequence[str]]:
    """Of the metrics that have a label of a peer, those to ask (one of a histogram's parts) and those that are too many."""
    graphs = {name for ends in words.peers.graphs for name in ends.metrics}
    foreign = re.compile(words.peers.not_of)
    found = {
        name
        for name in named
        if _NAME.fullmatch(name)
        and name not in graphs
        and not (foreign.search(name) or _PARTS.search(name))
        and words.of_application(name)
    }
    ordered = sorted(found, key=lambda name: (_OF_CLIENTS.search(name) is None, name))
    return ordered[:MOST_METRICS], ordered[MOST_METRICS:]


def questions(
    metrics: frozenset[str], labels: frozenset[str], clients: Sequence[str], words: Vocabulary
) -> Sequence[Question]:
    """The queries that tell of the platform, for a server with these metrics and labels."""
    where = [*words.file.clusters, *words.file.namespaces]
    found = [
        _question(PODS, [name for name in _PODS if name in metrics][:1], [*where, *_OF_PODS], labels),
        _question(OWNERS, [name for name in _OWNERS if name in metrics], [*where, *_OF_OWNERS], labels),
        _question(OBJECTS, [name for name in _OBJECTS if name in metrics], [*where, *_OF_OBJECTS], labels),
        Question(TARGETS, "up") if "up" in metrics else None,
    ]
    callers = [label for one in words.kinds if one.kind in _OF_CALLERS for label in one.labels]
    callers += ["job"] if "pod" in labels else ["job", "instance"]
    peers = [*words.peers.labels, *words.peers.beside_databases]
    found.append(_question(PEERS, clients, [*where, *callers, *peers], labels))
    for ends in words.peers.graphs:
        names = [label for one in (*ends.callers, *ends.callees) for label in (*one.labels, *one.namespace)]
        there = [name for name in ends.metrics if name in metrics]
        found.append(_question(ends.name, there, [*where, *names, "connection_type"], labels))
    return [one for one in found if one is not None]


def _question(what: str, metrics: Sequence[str], by: Iterable[str], labels: frozenset[str]) -> Question | None:
    kept = [name for one in by for name in (one, f"exported_{one}") if name in labels and re.fullmatch(r"\w+", name)]
    if not metrics:
        return None
    return Question(what, f"group by ({', '.join(dict.fromkeys(kept))}) ({' or '.join(metrics)})")


def _telling(words: Vocabulary) -> str:
    """A selector of the metrics whose names are known to tell of objects and calls."""
    graphs = [name for ends in words.peers.graphs for name in ends.metrics]
    return f'{{__name__=~"{"|".join(["up", *_PODS, *_OWNERS, *_OBJECTS, *graphs])}"}}'


async def _ask(server: Prometheus, question: Question, cluster: str) -> list[Labels] | NotChecked:
    try:
        answer = await server.instant(question.promql)
    except (ToolFailed, BadArguments) as error:
        return NotChecked(f"{title_of(server.backend)}: {question.what}", str(error))
    return read.in_cluster((series.labels for series in answer.series), cluster)
