"""What two alerts have to share to be one trouble: the thing they are about, under every name it goes by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from agent.domain.alert import Alert
from agent.domain.catalog import Catalog
from agent.domain.text import rounded
from agent.platform.owners import APPLICATION
from tools.context import Service, Subject

Key: TypeAlias = tuple[str, ...]
Workloads: TypeAlias = dict[tuple[str, str], list[tuple[str, Service]]]

ANY = "*"  # stands for every namespace
_WORKS = APPLICATION | {"Pod", "Job", "ReplicaSet"}
_SHARED_BY_MANY = frozenset({"Cluster", "Namespace", "Node"})  # that both lie there makes no two alerts one trouble
_CLAIM = re.compile(r"(?<=-)(?=(.+-\d+$))")  # of a StatefulSet's pod: TEMPLATE-POD, and either may have dashes
_PORT = re.compile(r"(?P<host>.+?)(?::\d{1,5})?")
_VERBS = "is|are|has|have|was|were|cannot|can't|does|did|will|lacks|waits|keeps"


def workloads_of(catalog: Catalog) -> Workloads:
    """The catalog's workloads by kind and name, each with its namespace and its service."""
    found: Workloads = {}
    for service in catalog.services():
        for load in service.workloads:
            found.setdefault((load.kind, load.name), []).append((load.namespace, service))
    return found


def service_of(subjects: Sequence[Subject], catalog: Catalog, workloads: Workloads) -> Service | None:
    """The catalog's service that one of them is, by its name or as one of its workloads."""
    for one in subjects:
        if one.kind == "Service" and (service := catalog.service(one.name)):
            return service
    for one in subjects:
        for namespace, service in workloads.get((one.kind, one.name), ()):
            if namespace in ("", one.namespace):
                return service
    return None


def model_of(subjects: Sequence[Subject], catalog: Catalog) -> str:
    """The catalog's name of the model that one of them is, else the name it has; "" for none."""
    name = next((one.name for one in subjects if one.kind == "Model"), "")
    known = catalog.model(name) if name else None
    return known.name if known else name


def about(subjects: Sequence[Subject]) -> list[Subject]:
    """Of an alert's subjects those that are its trouble: what it names, and the application that this is a part of. What
    else stands there (the queue's broker, a pod's node) may be another's."""
    if not subjects or (subjects[0].kind in ("Cluster", "Namespace") and "aggregation" in subjects[0].how):
        return []
    first = subjects[0]
    if first.kind not in _WORKS:
        return [one for one in subjects if one.kind == first.kind]
    return [one for one in subjects if one.kind in _WORKS]


def beside(subjects: Sequence[Subject]) -> list[Subject]:
    """The rest, as far as it is anybody's own."""
    mine = about(subjects)
    return [one for one in subjects if one not in mine and one.kind not in _SHARED_BY_MANY]


def kept_as(subject: Subject) -> Iterator[Key]:
    """The keys under which an alert about it is found."""
    if subject.kind == "Cluster":
        return
    yield _key(subject, subject.namespace)
    if subject.kind in APPLICATION and subject.namespace:
        yield _key(subject, ANY)
    for pod in _claimed_by(subject):
        yield "claim", subject.cluster, subject.namespace, pod


def looked_for(subject: Subject) -> Iterator[Key]:
    """The keys under which others about it may stand: one that tells no namespace means that of any."""
    if subject.kind == "Cluster":
        return
    yield _key(subject, subject.namespace)
    if subject.kind in APPLICATION:
        yield _key(subject, "" if subject.namespace else ANY)
    for pod in _claimed_by(subject):
        yield "Pod", subject.cluster, subject.namespace, pod
    if subject.kind == "Pod":
        yield "claim", subject.cluster, subject.namespace, subject.name


def _claimed_by(subject: Subject) -> list[str]:
    """The pods that a claim of this name may be of."""
    return _CLAIM.findall(subject.name) if subject.kind == "PersistentVolumeClaim" else []


def _key(subject: Subject, namespace: str) -> Key:
    kind = "application" if subject.kind in APPLICATION else subject.kind
    name = subject.name
    if kind == "Node" and (found := _PORT.fullmatch(name)):
        name = found["host"]
    return kind, subject.cluster, namespace, name


def headline(alert: Alert, subjects: Sequence[Subject]) -> str:
    """What people call the incident that an alert opens: the thing first, then what the alert says of it. A summary that
    names the thing already stays as it is."""
    says = rounded(alert.summary or alert.name)
    one = _called(subjects)
    if one is None or not one.title or one.name.casefold() in says.casefold():
        return says
    if found := re.fullmatch(rf"(?:an?|the)?\s*{_words(one, subjects)}\s+((?:{_VERBS})\b.*)", says, re.IGNORECASE):
        return f"{one.title} {found[1]}"
    return f"{one.title}: {says}"


def _called(subjects: Sequence[Subject]) -> Subject | None:
    """A pod is called by its workload's name: people know that one."""
    if not subjects:
        return None
    first = subjects[0]
    owner = subjects[1] if len(subjects) > 1 and subjects[1].kind in APPLICATION else None
    return owner if owner is not None and first.kind in ("Pod", "Job", "ReplicaSet") else first


def _words(one: Subject, subjects: Sequence[Subject]) -> str:
    kinds = {one.kind, *(other.kind for other in subjects)}
    spelled = {re.sub(r"(?<=[a-z])(?=[A-Z])", r"[ ]?", kind) for kind in kinds}
    return f"(?:{'|'.join(sorted(spelled, key=len, reverse=True))})"
