"""Which objects of a cluster concern a subject: what it is made of, what it stands behind, reads, calls and sits on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from tools.context import Subject
from tools.kubernetes.pod_names import workload_of
from tools.kubernetes.symptoms.addresses import Call, calls_of, service_called
from tools.kubernetes.symptoms.changes import read
from tools.kubernetes.symptoms.objects import WORKLOADS, Load, Seen, at, dicts, name_of, namespace_of, owner_of
from tools.kubernetes.symptoms.scheduling import claims_of
from tools.kubernetes.symptoms.services import behind
from tools.symptoms import Symptom

_ONE_WITH_ITS_PODS = frozenset({*WORKLOADS, "Pod", "Service"})
Key: TypeAlias = tuple[str, str, str]  # kind, namespace, name


def key_of(subject: Subject) -> Key:
    return subject.kind, subject.namespace, subject.name


def concerning(
    seen: Seen, loads: Sequence[Load], subjects: Sequence[Subject], near: Sequence[Subject], found: Sequence[Symptom]
) -> list[Symptom]:
    """The symptoms that concern these subjects: the subjects' own first, then those of what belongs to them, then those
    of neighbours; the worst first among each."""
    ranks = _ranks(seen, loads, subjects, near)
    spaces = {one.name for one in subjects if one.kind == "Namespace"}
    every = any(one.kind == "Cluster" for one in subjects)

    def rank(one: Symptom) -> int | None:
        mine = ranks.get(key_of(one.subject))
        if mine is None and one.accuses is not None and ranks.get(key_of(one.accuses), 9) <= 1:
            return 2
        if mine is None and one.kind == "control_plane":
            return 2  # whatever runs in the cluster may suffer from it
        if mine is None and (every or one.subject.namespace in spaces):
            return 1
        return mine

    placed = [(place, one) for one in found if (place := rank(one)) is not None]
    return [one for _, one in sorted(placed, key=lambda pair: (pair[1].severity == 1, pair[0], -pair[1].severity))]


def _ranks(seen: Seen, loads: Sequence[Load], subjects: Sequence[Subject], near: Sequence[Subject]) -> dict[Key, int]:
    """0: the subject, 1: what belongs to it, 2: its neighbours."""
    found: dict[Key, int] = {}
    calls = [(load, calls_of(load)) for load in loads]
    for subject in subjects:
        own = loads_meant(seen, loads, subject)
        itself = 0 if subject.kind in _ONE_WITH_ITS_PODS else 1
        placed = [(0, key_of(subject)), *((itself, key_of(load.subject)) for load in own)]
        for place, key in [*placed, *((1, k) for load in own for k in _parts(seen, load))]:
            found[key] = min(place, found.get(key, 9))
        for load in own:
            for one in _neighbours(seen, loads, load, calls):
                found.setdefault(one, 2)
    for subject in near:
        for key in (key_of(subject), *(key_of(load.subject) for load in loads_meant(seen, loads, subject))):
            found.setdefault(key, 2)
    return found


def loads_meant(seen: Seen, loads: Sequence[Load], subject: Subject) -> list[Load]:
    """The workloads that a subject is, stands for, carries or is used by."""
    beside = [load for load in loads if subject.namespace in ("", load.subject.namespace)]
    kind, name = subject.kind, subject.name
    if kind == "Node":
        return [one for one in loads if any(at(pod, "spec", "nodeName") == name for pod in one.pods)]
    if kind == "Service":
        services = [
            one for one in seen.kind("Service") if name_of(one) == name and subject.namespace in ("", namespace_of(one))
        ]
        found = [load for service in services for load in behind(service, loads)]
        return found or [load for load in beside if load.subject.name == name]
    if kind == "PersistentVolumeClaim":
        return [one for one in beside if name in _claims(one)]
    if kind in ("ConfigMap", "Secret"):
        return [one for one in beside if f"{kind}/{name}" in read(one.template)]
    if kind == "HorizontalPodAutoscaler":
        whole = seen.find(kind, subject.namespace, name)
        name, kind = str(at(whole, "spec", "scaleTargetRef", "name")), str(at(whole, "spec", "scaleTargetRef", "kind"))
    if kind in ("Ingress", "HTTPRoute"):
        return [load for service in _routed(seen, subject) for load in loads_meant(seen, loads, service)]
    if kind in ("Pod", "ReplicaSet", "Job"):
        whole = seen.find(kind, subject.namespace, name)
        if whole is not None:
            kind, name = owner_of(seen, kind, whole)
        elif kind == "Pod" and (told := workload_of(name)):
            kind, name = told
    if kind in ("Database", "Target", "Queue"):
        called = service_called(seen, name, subject.namespace)
        return loads_meant(seen, loads, called) if called and called.kind == "Service" else []
    same_kind = [one for one in beside if (one.subject.kind, one.subject.name) == (kind, name)]
    return same_kind or [one for one in beside if one.subject.name == name and kind in WORKLOADS]


def _claims(load: Load) -> set[str]:
    return {claim for one in (load.template, *load.pods) for claim in claims_of(one)}


def _parts(seen: Seen, load: Load) -> Iterator[Key]:
    """What belongs to a workload: its Services and their routes, claims, configuration, autoscaler, nodes, namespace."""
    space = load.subject.namespace
    services = [one for one in seen.kind("Service", space) if behind(one, [load])]
    yield from (("Service", space, name_of(one)) for one in services)
    for kind in ("Ingress", "HTTPRoute"):
        for route in seen.kind(kind, space):
            if any(one.name in map(name_of, services) for one in _routed(seen, seen.subject_of(kind, route))):
                yield kind, space, name_of(route)
    yield from (("PersistentVolumeClaim", space, claim) for claim in _claims(load))
    for named in read(load.template):
        kind, _, name = named.partition("/")
        yield kind, space, name
    yield from (("Node", "", str(at(pod, "spec", "nodeName"))) for pod in load.pods if at(pod, "spec", "nodeName"))
    yield from (("Pod", space, name_of(pod)) for pod in load.pods)
    yield "Namespace", "", space


def _neighbours(
    seen: Seen, loads: Sequence[Load], load: Load, calls: Sequence[tuple[Load, Sequence[Call]]]
) -> Iterator[Key]:
    """What a workload is told to call, who stands behind that, and who is told to call it."""
    for call in calls_of(load):
        yield "Service", call.namespace, call.name
        service = seen.find("Service", call.namespace, call.name)
        for other in behind(service, loads) if service else ():
            yield key_of(other.subject)
            yield from (("PersistentVolumeClaim", other.subject.namespace, claim) for claim in _claims(other))
    mine = {name_of(one) for one in seen.kind("Service", load.subject.namespace) if behind(one, [load])}
    mine |= {load.subject.name}
    for other, called in calls:
        if any(call.name in mine and call.namespace == load.subject.namespace for call in called):
            yield key_of(other.subject)


def _routed(seen: Seen, route: Subject) -> list[Subject]:
    whole = seen.find(route.kind, route.namespace, route.name)
    rules = dicts(at(whole, "spec", "rules"))
    paths = [at(path, "backend", "service", "name") for rule in rules for path in dicts(at(rule, "http", "paths"))]
    paths += [at(whole, "spec", "defaultBackend", "service", "name")]
    paths += [backend.get("name") for rule in rules for backend in dicts(rule.get("backendRefs"))]
    return [seen.subject("Service", route.namespace, str(name)) for name in dict.fromkeys(paths) if name]
