"""From the label sets of metrics to nodes and edges: scrape targets, kube-state-metrics' objects, and whom a series says its
own object calls. All is pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.platform.addresses import host_of
from agent.platform.edges import BY_NAME, KUBE_STATE_METRICS, Edge, EdgeKind, Part
from agent.platform.owners import TOLD, Owners, owners_of
from agent.platform.rules import Rule
from agent.platform.settle import WORKLOADS
from agent.platform.subjects import subjects_of
from agent.platform.vocabulary import Ends, Naming, vocabulary
from tools.context import Catalog, Labels, Subject

UP = "metrics (up)"
_EXPORTED = "exported_"
_GRAPH_KINDS = {"database": "Database", "messaging_system": "Queue"}  # of a service graph's connection_type


@dataclass(frozen=True, slots=True)
class Told:
    """What kube-state-metrics tells of owners and addresses, by cluster."""

    owners: Mapping[str, Owners] = field(default_factory=dict)
    addresses: Mapping[tuple[str, str], Subject] = field(default_factory=dict)

    def of(self, cluster: str) -> Owners:
        return self.owners.get(cluster, {})


def in_cluster(rows: Iterable[Labels], cluster: str) -> list[Labels]:
    """The label sets, each with its cluster: its own, else the server's."""
    names = vocabulary().file.clusters
    return [{**row, "cluster": next((row[name] for name in names if row.get(name)), cluster)} for row in rows]


# -- kube-state-metrics -------------------------------------------------------------------------------------------------


def told_by_kube_state_metrics(pods: Sequence[Labels], owners: Sequence[Labels]) -> Told:
    """Owners out of kube_pod_info or kube_pod_owner, and of the series that tell the owners of ReplicaSets and Jobs."""
    found: dict[str, dict[tuple[str, str, str], tuple[str, str]]] = defaultdict(dict)
    addresses: dict[tuple[str, str], Subject] = {}
    for row in (*owners, *pods):
        kind = next((kind for kind, label in _STEPS if _own(row, label)), "Pod")
        name = _own(row, dict(_STEPS).get(kind, "pod"))
        owner_kind = row.get("owner_kind") or row.get("created_by_kind") or ""
        owner = row.get("owner_name") or row.get("created_by_name") or ""
        if owner and owner_kind not in ("", "Node") and not owner_kind.startswith("<"):
            found[row["cluster"]][kind, _space(row), name] = (owner_kind, owner)
    for row in pods:
        if row.get("pod_ip") and row.get("host_network") != "true":
            addresses[row["cluster"], row["pod_ip"]] = _subject("Pod", row, "pod")
        if row.get("host_ip") and row.get("node"):
            addresses[row["cluster"], row["host_ip"]] = Subject("Node", row["cluster"], "", row["node"])
    return Told(found, addresses)


_STEPS = (("ReplicaSet", "replicaset"), ("Job", "job_name"))


def pods_part(pods: Sequence[Labels], told: Told) -> Part:
    """Each pod with its owners and its node."""
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    for row in pods:
        pod = _subject("Pod", row, "pod")
        nodes[pod] = KUBE_STATE_METRICS
        chain = list(_owner_edges(pod, told))
        edges += chain
        nodes |= dict.fromkeys((edge.source for edge in chain if edge.known_from != BY_NAME), KUBE_STATE_METRICS)
        if node := row.get("node"):
            machine = Subject("Node", row["cluster"], "", node)
            nodes[machine] = KUBE_STATE_METRICS
            edges.append(Edge(pod, machine, EdgeKind.RUNS_ON, KUBE_STATE_METRICS))
    return Part(nodes, tuple(edges), (), {}, told.addresses)


def objects_part(rows: Iterable[Labels], told: Told) -> Part:
    """Workloads, Services, claims, autoscalers and Ingresses, each by the labels that only its own series have."""
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    addresses: dict[tuple[str, str], Subject] = {}
    for row in rows:
        for edge in _object_edges(row, told):
            edges.append(edge)
            nodes[edge.source] = KUBE_STATE_METRICS
        for kind, label in _WORKLOADS:
            if row.get(label):
                nodes[_subject(kind, row, label)] = KUBE_STATE_METRICS
        if row.get("cluster_ip") and _own(row, "service"):
            service = _subject("Service", row, "service")
            nodes[service] = KUBE_STATE_METRICS
            if row["cluster_ip"] != "None":
                addresses[row["cluster"], row["cluster_ip"]] = service
    return Part(nodes, tuple(edges), (), {}, addresses)


_WORKLOADS = (
    ("Deployment", "deployment"),
    ("StatefulSet", "statefulset"),
    ("DaemonSet", "daemonset"),
    ("CronJob", "cronjob"),
    ("HorizontalPodAutoscaler", "horizontalpodautoscaler"),
    ("PersistentVolumeClaim", "persistentvolumeclaim"),
    ("Ingress", "ingress"),
)


def _object_edges(row: Labels, told: Told) -> Iterator[Edge]:
    cluster, space = row["cluster"], _space(row)
    if row.get("scaletargetref_kind") and row.get("horizontalpodautoscaler"):
        target = Subject(row["scaletargetref_kind"], cluster, space, row.get("scaletargetref_name", ""))
        yield _by_ksm(_subject("HorizontalPodAutoscaler", row, "horizontalpodautoscaler"), EdgeKind.SCALES, target)
    if row.get("persistentvolumeclaim") and row.get("volume") and _own(row, "pod"):
        claim = _subject("PersistentVolumeClaim", row, "persistentvolumeclaim")
        yield _by_ksm(_subject("Pod", row, "pod"), EdgeKind.MOUNTS, claim)
    if row.get("volumename") and row.get("persistentvolumeclaim"):
        volume = Subject("PersistentVolume", cluster, "", row["volumename"])
        yield _by_ksm(_subject("PersistentVolumeClaim", row, "persistentvolumeclaim"), EdgeKind.MOUNTS, volume)
    if row.get("ingress") and row.get("service_name"):
        service = Subject("Service", cluster, space, row["service_name"])
        yield _by_ksm(_subject("Ingress", row, "ingress"), EdgeKind.ROUTES, service)
    if row.get("external_name") and row.get("cluster_ip") is not None:
        outside = Subject("Target", cluster, "", row["external_name"].rstrip(".").lower())
        yield _by_ksm(_subject("Service", row, "service"), EdgeKind.ROUTES, outside)
    if row.get("ip") and _own(row, "endpoint"):
        pod = told.addresses.get((cluster, row["ip"]))
        if pod is not None and pod.kind == "Pod" and pod.namespace == space:
            yield _by_ksm(_subject("Service", row, "endpoint"), EdgeKind.SELECTS, _top(pod, told))


def _by_ksm(source: Subject, kind: EdgeKind, target: Subject) -> Edge:
    return Edge(source, target, kind, KUBE_STATE_METRICS)


def _subject(kind: str, row: Labels, label: str) -> Subject:
    return Subject(kind, row["cluster"], _space(row), _own(row, label))


def _space(row: Labels) -> str:
    return _own(row, "namespace")


def _own(row: Labels, name: str) -> str:
    """The object's own label, where the scrape's took its name."""
    return row.get(_EXPORTED + name) or row.get(name) or ""


def _owner_edges(subject: Subject, told: Told) -> Iterator[Edge]:
    below = subject
    for owner in owners_of(subject, {}, told.of(subject.cluster)):
        yield Edge(owner, below, EdgeKind.OWNS, KUBE_STATE_METRICS if owner.how == TOLD else BY_NAME)
        below = owner


def _top(pod: Subject, told: Told) -> Subject:
    """The workload of a pod that Services select: its nearest owner."""
    return next(iter(owners_of(pod, {}, told.of(pod.cluster))), pod)


# -- scrape targets -----------------------------------------------------------------------------------------------------


def targets_part(rows: Iterable[Labels], told: Told, catalog: Catalog | None = None) -> Part:
    """What is scraped: the object of each target, what owns it and where it runs; a Service that is scraped through its
    pods selects them."""
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    for row in rows:
        found = subjects_of(row, Rule(expression="up"), owners=told.of(row["cluster"]), catalog=catalog)
        found = tuple(one for one in found if one.kind not in ("Namespace", "Cluster"))
        nodes |= dict.fromkeys(found[:1], UP)
        service = next((one for one in found if one.kind == "Service"), None)
        if found and found[0].kind == "Pod":
            edges += _owner_edges(found[0], told)
            edges += [Edge(found[0], one, EdgeKind.RUNS_ON, UP) for one in found if one.kind == "Node"]
            if service is not None:
                edges.append(Edge(service, _top(found[0], told), EdgeKind.SELECTS, UP))
                nodes[service] = UP
        elif service is not None and row.get("instance"):
            nodes[service] = UP
            edges.append(Edge(service, _instance(row, told), EdgeKind.SELECTS, UP))
    return Part(nodes, tuple(edges))


def _instance(row: Labels, told: Told) -> Subject:
    """What is scraped at an address: the workload of the pod that has it, else the address."""
    pod = told.addresses.get((row["cluster"], row["instance"].rpartition(":")[0]))
    if pod is not None and pod.kind == "Pod":
        return _top(pod, told)
    return Subject("Target", row["cluster"], "", row["instance"])


# -- who calls whom -----------------------------------------------------------------------------------------------------


def peers_part(rows: Iterable[Labels], told: Told, catalog: Catalog | None = None) -> Part:
    """Calls out of labels that name the peer. What an exporter measures is no call of its own: its labels name no caller."""
    words = vocabulary()
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    for row in rows:
        label = next((name for name in words.peers.labels if row.get(name, "") not in words.peers.nobody), None)
        if label is None:
            continue
        labels = {name: value for name, value in row.items() if name not in words.peers.labels}
        callee = _callee(row, label)
        caller = _caller(labels, told, catalog)
        if caller is not None and callee is not None and caller.name != callee.name:
            known_from = f"client metrics ({label})"
            nodes[caller] = "client metrics"
            edges.append(Edge(caller, callee, EdgeKind.CALLS, known_from))
    return Part(nodes, tuple(edges))


def _caller(labels: Labels, told: Told, catalog: Catalog | None) -> Subject | None:
    """The workload behind a series, else its Service, else its pod."""
    found = subjects_of(labels, owners=told.of(labels["cluster"]), catalog=catalog)
    for kinds in (WORKLOADS, ("Service",), ("Pod",)):
        if one := next((one for one in found if one.kind in kinds), None):
            return one
    return None


def _callee(row: Labels, label: str) -> Subject | None:
    """What a label's value names; a bare word is looked up among Services and workloads when all sources are joined."""
    peers, value = vocabulary().peers, row[label]
    if label in peers.queues:
        return Subject("Queue", row["cluster"], "", value)
    host = host_of(value)
    if host is None:
        return None
    database = host.database or label in peers.databases or any(row.get(name) for name in peers.beside_databases)
    return Subject("Database" if database else "Target", row["cluster"], "", host.name)


def graph_part(rows: Iterable[Labels], ends: Ends) -> Part:
    """Calls out of metrics that name both ends."""
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    for row in rows:
        caller, callee = _end(row, ends.callers), _end(row, ends.callees)
        if caller is None or callee is None:
            continue
        kind = _GRAPH_KINDS.get(row.get("connection_type", ""))
        callee = Subject(kind, callee.cluster, "", callee.name) if kind else callee
        nodes |= {caller: ends.name, callee: ends.name}
        edges.append(Edge(caller, callee, EdgeKind.CALLS, ends.name))
    return Part(nodes, tuple(edges))


def _end(row: Labels, namings: Sequence[Naming]) -> Subject | None:
    nobody = vocabulary().peers.nobody
    for naming in namings:
        name = next((row[label] for label in naming.labels if row.get(label, "") not in nobody), "")
        if name:
            space = next((row[label] for label in naming.namespace if row.get(label, "") not in nobody), "")
            host = host_of(name) if "." in name or ":" in name else None
            if host is not None and naming.kind == "Service":
                return Subject(host.kind, row["cluster"], "", host.name)
            return Subject(naming.kind, row["cluster"], space, name)
    return None
