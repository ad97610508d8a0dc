"""What a pod, or a workload's pod template, mounts, reads, calls and runs on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from agent.platform.addresses import Host, hosts_in_argument, hosts_in_variable
from agent.platform.edges import KUBERNETES, Edge, EdgeKind
from tools.context import Subject

GIVEN_ADDRESSES = "Kubernetes (addresses given to containers)"
_EVERYWHERE = "kube-root-ca.crt"  # in each namespace, and mounted by each pod


def pod_edges(pod: Subject, one: Mapping[str, Any]) -> Iterator[Edge]:
    """Its node, and the claims that are its own: those of a StatefulSet's template carry the pod's name."""
    spec = one.get("spec") or {}
    if node := spec.get("nodeName"):
        yield Edge(pod, Subject("Node", pod.cluster, "", str(node)), EdgeKind.RUNS_ON, KUBERNETES)
    for volume in dicts(spec.get("volumes")):
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not claim and "ephemeral" in volume:
            claim = f"{pod.name}-{volume.get('name')}"
        if claim and pod.name in str(claim):
            yield _edge(pod, EdgeKind.MOUNTS, "PersistentVolumeClaim", claim)


def template_edges(subject: Subject, spec: Mapping[str, Any], services: Iterable[str]) -> Iterator[Edge]:
    """What all pods of a template mount, read and call. `services` are those of its own namespace: a bare word in a
    variable is a host only where it is one of them."""
    yield from (edge for volume in dicts(spec.get("volumes")) for edge in _of_volume(subject, volume))
    containers = [*dicts(spec.get("containers")), *dicts(spec.get("initContainers"))]
    for container in containers:
        yield from _configuration(subject, container)
        for host in _hosts(container):
            if host.sure or host.name in services:
                target = Subject(host.kind, subject.cluster, "", host.name)
                yield Edge(subject, target, EdgeKind.CALLS, GIVEN_ADDRESSES)


def _of_volume(subject: Subject, volume: Mapping[str, Any]) -> Iterator[Edge]:
    if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
        yield _edge(subject, EdgeKind.MOUNTS, "PersistentVolumeClaim", claim)
    for source in (volume, *dicts((volume.get("projected") or {}).get("sources"))):
        held = source.get("configMap") or {}
        if held.get("name") and held["name"] != _EVERYWHERE:
            yield _edge(subject, EdgeKind.READS, "ConfigMap", held["name"])
        secret = source.get("secret") or {}
        if name := secret.get("secretName") or secret.get("name"):
            yield _edge(subject, EdgeKind.READS, "Secret", name)


def _configuration(subject: Subject, container: Mapping[str, Any]) -> Iterator[Edge]:
    for kind, one, all_of in (
        ("ConfigMap", "configMapKeyRef", "configMapRef"),
        ("Secret", "secretKeyRef", "secretRef"),
    ):
        named = [(entry.get("valueFrom") or {}).get(one) for entry in dicts(container.get("env"))]
        named += [entry.get(all_of) for entry in dicts(container.get("envFrom"))]
        for reference in named:
            if isinstance(reference, Mapping) and reference.get("name"):
                yield _edge(subject, EdgeKind.READS, kind, reference["name"])


def _hosts(container: Mapping[str, Any]) -> Iterator[Host]:
    """Whom a container is told to call. The port that a variable of its own names (`DB_HOST`, `DB_PORT`) says whether it is
    a database."""
    variables = {
        str(entry.get("name")): str(entry["value"]) for entry in dicts(container.get("env")) if entry.get("value")
    }
    for name, value in variables.items():
        port = variables.get(name.removesuffix("HOST") + "PORT", "") if name.endswith("HOST") else ""
        for host in hosts_in_variable(name, value, variables):
            with_port = list(hosts_in_variable(name, f"{host.name}:{port}", variables)) if port else []
            yield replace(host, database=host.database or any(one.database for one in with_port))
    for text in [*(container.get("command") or ()), *(container.get("args") or ())]:
        yield from hosts_in_argument(str(text))


def _edge(source: Subject, kind: EdgeKind, target_kind: str, name: object) -> Edge:
    return Edge(source, Subject(target_kind, source.cluster, source.namespace, str(name)), kind, KUBERNETES)


def at(one: Any, *path: str) -> Any:
    """What stands at a path; None where it leads nowhere."""
    for name in path:
        one = one.get(name) if isinstance(one, Mapping) else None
    return one


def dicts(listed: Any) -> Iterable[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
