"""From Kubernetes' objects to nodes and edges: who owns, selects, routes to, mounts, reads, scales and calls what. All is
pure; objects are as the API lists them, and what is missing in one is missing in the map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from agent.platform.edges import BY_NAME, KUBERNETES, Edge, EdgeKind, Part
from agent.platform.kubernetes_pods import at, dicts, pod_edges, template_edges
from agent.platform.settle import WORKLOADS
from tools.context import Subject
from tools.kubernetes.pod_names import deployment_of

Object: TypeAlias = Mapping[str, Any]

_SELECTABLE = frozenset(WORKLOADS) - {"Job", "CronJob"}
_OWNED = frozenset({"Pod", *WORKLOADS})
_UNLISTED = frozenset({"ReplicaSet", "EndpointSlice"})  # steps between others; a ReplicaSet of its own is a workload
_VERSIONED = frozenset({"ConfigMap", "Secret"})
_IN_NO_NAMESPACE = frozenset({"Node", "PersistentVolume"})
_HASH = "pod-template-hash"
_OF_SERVICE = "kubernetes.io/service-name"
_ARGO, _ARGO_TRACKING = "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id"
_FLUX = {"Kustomization": "kustomize.toolkit.fluxcd.io", "HelmRelease": "helm.toolkit.fluxcd.io"}
MANAGED_BY = frozenset(
    {_ARGO, _ARGO_TRACKING, *(f"{one}/{key}" for one in _FLUX.values() for key in ("name", "namespace"))}
)


@dataclass(frozen=True)
class Objects:
    """The objects of one cluster, by kind."""

    cluster: str
    of: Mapping[str, Sequence[Object]]

    def kind(self, name: str) -> Sequence[Object]:
        return self.of.get(name, ())

    def subject(self, kind: str, one: Object) -> Subject:
        return Subject(kind, self.cluster, namespace_of(one), name_of(one))

    @cached_property
    def replica_sets(self) -> Mapping[tuple[str, str], Object]:
        return {(namespace_of(one), name_of(one)): one for one in self.kind("ReplicaSet")}

    @cached_property
    def workloads(self) -> Mapping[str, Sequence[tuple[str, Object]]]:
        """(kind, object) of each that Services may select, by namespace."""
        found: dict[str, list[tuple[str, Object]]] = defaultdict(list)
        for kind in _SELECTABLE:
            for one in self.kind(kind):
                found[namespace_of(one)].append((kind, one))
        return found

    @cached_property
    def running(self) -> Mapping[str, Sequence[Object]]:
        """Pods that have not ended, by namespace."""
        found: dict[str, list[Object]] = defaultdict(list)
        for pod in self.kind("Pod"):
            if at(pod, "status", "phase") not in ("Succeeded", "Failed"):
                found[namespace_of(pod)].append(pod)
        return found


def part_of(objects: Objects) -> Part:
    """What the objects of one cluster tell of the platform."""
    nodes = dict.fromkeys(_nodes(objects), KUBERNETES)
    edges = [
        *_owners(objects),
        *(edge for pod in objects.kind("Pod") for edge in pod_edges(objects.subject("Pod", pod), pod)),
        *_templates(objects),
        *_services(objects),
        *_routes(objects),
        *_scalers(objects),
        *_volumes(objects),
        *_managers(objects),
    ]
    versions = {
        objects.subject(kind, one): str(at(one, "metadata", "resourceVersion") or "")
        for kind in _VERSIONED
        for one in objects.kind(kind)
    }
    return Part(nodes, tuple(dict.fromkeys(edges)), (), versions, dict(_addresses(objects)))


def _nodes(objects: Objects) -> Iterator[Subject]:
    for kind, listed in objects.of.items():
        if kind not in _UNLISTED:
            yield from (objects.subject(kind, one) for one in listed)
    yield from (objects.subject("ReplicaSet", one) for one in objects.kind("ReplicaSet") if _controller(one) is None)


# -- owners -----------------------------------------------------------------------------------------------------------


def _owners(objects: Objects) -> Iterator[Edge]:
    for kind in _OWNED - {"ReplicaSet"}:
        for one in objects.kind(kind):
            if owner := _owner(objects, one):
                yield Edge(owner[0], objects.subject(kind, one), EdgeKind.OWNS, owner[1])


def _owner(objects: Objects, one: Object) -> tuple[Subject, str] | None:
    """The owner and how it is known. ReplicaSets are passed over; a machine runs its static pods, and owns none."""
    told, namespace = _controller(one), namespace_of(one)
    if told is None or told[0] == "Node":
        return None
    kind, name = told
    if kind != "ReplicaSet":
        return Subject(kind, objects.cluster, namespace, name), KUBERNETES
    if replica_set := objects.replica_sets.get((namespace, name)):
        kind, name = _controller(replica_set) or told
        return Subject(kind, objects.cluster, namespace, name), KUBERNETES
    made_by = labels_of(one).get(_HASH)
    guessed = name.removesuffix(f"-{made_by}") if made_by and name.endswith(f"-{made_by}") else deployment_of(name)
    return Subject("Deployment" if guessed else kind, objects.cluster, namespace, guessed or name), BY_NAME


def _controller(one: Object) -> tuple[str, str] | None:
    """(kind, name) of the owner that controls an object."""
    owners = dicts(at(one, "metadata", "ownerReferences"))
    told = next((owner for owner in owners if owner.get("controller")), None)
    return (str(told.get("kind", "")), str(told.get("name", ""))) if told else None


# -- what runs --------------------------------------------------------------------------------------------------------


def _templates(objects: Objects) -> Iterator[Edge]:
    """What workloads, and pods whose owner is not listed, mount, read and call. A CronJob's Jobs do what it says."""
    beside: dict[str, set[str]] = defaultdict(set)
    for one in objects.kind("Service"):
        beside[namespace_of(one)].add(name_of(one))
    listed = {objects.subject(kind, one) for kind in WORKLOADS for one in objects.kind(kind)}
    for kind in (*WORKLOADS, "Pod"):
        for one in objects.kind(kind):
            owner = _owner(objects, one) if kind in ("Pod", "Job") else None
            if owner is None or owner[0] not in listed:
                subject, spec = (
                    objects.subject(kind, one),
                    (one if kind == "Pod" else template_of(kind, one)).get("spec"),
                )
                yield from template_edges(subject, spec if isinstance(spec, Mapping) else {}, beside[subject.namespace])


def template_of(kind: str, one: Object) -> Object:
    """The pod template of a workload; {} where there is none."""
    path = ("spec", "jobTemplate", "spec", "template") if kind == "CronJob" else ("spec", "template")
    found = at(one, *path)
    return found if isinstance(found, Mapping) else {}


# -- services and routes ----------------------------------------------------------------------------------------------


def _services(objects: Objects) -> Iterator[Edge]:
    without = set()
    for one in objects.kind("Service"):
        service, selector = objects.subject("Service", one), at(one, "spec", "selector")
        if at(one, "spec", "type") == "ExternalName":
            host = str(at(one, "spec", "externalName") or "").rstrip(".").lower()
            if host:
                yield Edge(service, Subject("Target", objects.cluster, "", host), EdgeKind.ROUTES, KUBERNETES)
        elif isinstance(selector, Mapping) and selector:
            for kind, found in _selected(objects, service.namespace, selector):
                yield Edge(service, objects.subject(kind, found), EdgeKind.SELECTS, KUBERNETES)
        else:
            without.add((service.namespace, service.name))
    yield from _endpoints(objects, without)


def _selected(objects: Objects, namespace: str, selector: Mapping[str, Any]) -> Iterator[tuple[str, Object]]:
    """The workloads whose pods a selector fits, by their templates; where labels are given to pods later, the pods' owner
    if it fits all of the owner's pods, else the pods."""

    def fits(labels: Mapping[str, Any]) -> bool:
        return all(labels.get(name) == value for name, value in selector.items())

    workloads = objects.workloads.get(namespace, ())
    found = [(kind, one) for kind, one in workloads if fits(labels_of(template_of(kind, one)))]
    if found:
        yield from found
        return
    pods = objects.running.get(namespace, ())
    fitting = [pod for pod in pods if fits(labels_of(pod))]
    by_owner: dict[tuple[str, str] | None, list[Object]] = defaultdict(list)
    for pod in pods if fitting else ():
        by_owner[_controller(pod)].append(pod)
    listed = {(kind, name_of(one)): (kind, one) for kind, one in workloads}
    for owner in dict.fromkeys(_controller(pod) for pod in fitting):
        mine = [pod for pod in fitting if _controller(pod) == owner]
        if owner in listed and len(mine) == len(by_owner[owner]):
            yield listed[owner]
        else:
            yield from (("Pod", pod) for pod in mine)


def _endpoints(objects: Objects, without_selector: set[tuple[str, str]]) -> Iterator[Edge]:
    """Where a Service without a selector leads: pods that somebody put there, or addresses outside."""
    for piece in objects.kind("EndpointSlice"):
        namespace, name = namespace_of(piece), labels_of(piece).get(_OF_SERVICE, "")
        if (namespace, name) not in without_selector:
            continue
        service = Subject("Service", objects.cluster, namespace, str(name))
        for endpoint in dicts(piece.get("endpoints")):
            if at(endpoint, "targetRef", "kind") == "Pod":
                pod = Subject("Pod", objects.cluster, namespace, str(at(endpoint, "targetRef", "name")))
                yield Edge(service, pod, EdgeKind.SELECTS, KUBERNETES)
                continue
            for address in endpoint.get("addresses") or ():
                target = Subject("Target", objects.cluster, "", str(address).lower())
                yield Edge(service, target, EdgeKind.ROUTES, KUBERNETES)


def _routes(objects: Objects) -> Iterator[Edge]:
    for one in objects.kind("Ingress"):
        ingress, rules = objects.subject("Ingress", one), dicts(at(one, "spec", "rules"))
        backends = [path.get("backend") for rule in rules for path in dicts(at(rule, "http", "paths"))]
        for backend in [at(one, "spec", "defaultBackend"), *backends]:
            if name := at(backend, "service", "name"):
                yield _from(ingress, EdgeKind.ROUTES, "Service", str(name))
        for tls in dicts(at(one, "spec", "tls")):
            if tls.get("secretName"):
                yield _from(ingress, EdgeKind.READS, "Secret", str(tls["secretName"]))
    for one in objects.kind("HTTPRoute"):
        route = objects.subject("HTTPRoute", one)
        for parent in dicts(at(one, "spec", "parentRefs")):
            kind, space = parent.get("kind") or "Gateway", parent.get("namespace") or route.namespace
            gateway = Subject(str(kind), objects.cluster, str(space), str(parent.get("name")))
            yield Edge(gateway, route, EdgeKind.ROUTES, KUBERNETES)
        for rule in dicts(at(one, "spec", "rules")):
            for backend in dicts(rule.get("backendRefs")):
                if backend.get("kind", "Service") == "Service" and backend.get("name"):
                    space = str(backend.get("namespace") or "")
                    yield _from(route, EdgeKind.ROUTES, "Service", str(backend["name"]), space)


def _scalers(objects: Objects) -> Iterator[Edge]:
    for one in objects.kind("HorizontalPodAutoscaler"):
        kind, name = at(one, "spec", "scaleTargetRef", "kind"), at(one, "spec", "scaleTargetRef", "name")
        if kind and name:
            yield _from(objects.subject("HorizontalPodAutoscaler", one), EdgeKind.SCALES, str(kind), str(name))


def _volumes(objects: Objects) -> Iterator[Edge]:
    for one in objects.kind("PersistentVolumeClaim"):
        if name := at(one, "spec", "volumeName"):
            volume = Subject("PersistentVolume", objects.cluster, "", str(name))
            yield Edge(objects.subject("PersistentVolumeClaim", one), volume, EdgeKind.MOUNTS, KUBERNETES)


def _managers(objects: Objects) -> Iterator[Edge]:
    """Which GitOps object puts each object there. What was only copied from another object manages nothing."""
    for kind, listed in objects.of.items():
        if kind in ("Pod", "ReplicaSet", "EndpointSlice"):
            continue
        for one in listed:
            if manager := _manager(objects.cluster, kind, one):
                yield Edge(manager, objects.subject(kind, one), EdgeKind.MANAGES, KUBERNETES)


def _manager(cluster: str, kind: str, one: Object) -> Subject | None:
    named = {**labels_of(one), **(at(one, "metadata", "annotations") or {})}
    application, _, itself = str(named.get(_ARGO_TRACKING, "")).partition(":")
    if application and itself.endswith(f"/{kind}:{namespace_of(one)}/{name_of(one)}"):
        return _application(cluster, application)
    if named.get(_ARGO) and not application:
        return _application(cluster, str(named[_ARGO]))
    for manager, prefix in _FLUX.items():
        if name := named.get(f"{prefix}/name"):
            return Subject(manager, cluster, str(named.get(f"{prefix}/namespace") or namespace_of(one)), str(name))
    return None


def _application(cluster: str, name: str) -> Subject:
    """An Application; outside Argo CD's own namespace it is written `namespace_name`."""
    namespace, found, rest = name.partition("_")
    return Subject("Application", cluster, namespace if found else "", rest if found else name)


def _addresses(objects: Objects) -> Iterator[tuple[tuple[str, str], Subject]]:
    for pods in objects.running.values():
        for pod in pods:
            if (ip := at(pod, "status", "podIP")) and not at(pod, "spec", "hostNetwork"):
                yield (objects.cluster, str(ip)), objects.subject("Pod", pod)
            if (ip := at(pod, "status", "hostIP")) and (node := at(pod, "spec", "nodeName")):
                yield (objects.cluster, str(ip)), Subject("Node", objects.cluster, "", str(node))
    for one in objects.kind("Service"):
        for ip in at(one, "spec", "clusterIPs") or [at(one, "spec", "clusterIP")]:
            if ip and ip != "None":
                yield (objects.cluster, str(ip)), objects.subject("Service", one)


# -- reading objects --------------------------------------------------------------------------------------------------


def _from(source: Subject, kind: EdgeKind, target_kind: str, name: str, namespace: str = "") -> Edge:
    target = Subject(target_kind, source.cluster, namespace or source.namespace, name)
    return Edge(source, target, kind, KUBERNETES)


def name_of(one: Object) -> str:
    return str(at(one, "metadata", "name") or "")


def namespace_of(one: Object) -> str:
    return str(at(one, "metadata", "namespace") or "")


def labels_of(one: Object) -> Mapping[str, str]:
    return at(one, "metadata", "labels") or {}
