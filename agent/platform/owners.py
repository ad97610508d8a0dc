"""What an object belongs to: its owner as the platform tells it, else what its name says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tools.context import Labels, Subject
from tools.kubernetes.pod_names import cronjob_of, deployment_of, workload_of

Owners: TypeAlias = Mapping[tuple[str, str, str], tuple[str, str]]
"""(kind, namespace, name) of an object → (kind, name) of what owns it."""

# kinds that are one application with each other where namespace and name are the same
APPLICATION = frozenset(
    {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Rollout",
        "CronJob",
        "Service",
        "HorizontalPodAutoscaler",
        "VerticalPodAutoscaler",
        "PodDisruptionBudget",
        "InferenceService",
        "SeldonDeployment",
        "ReplicationController",
    }
)

_DNS = re.compile(r"(?:[a-z]+://)?(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(?:[.:/].*)?")
TOLD = "owner, as the platform tells it"
_DEEPEST = 4  # a Pod, its ReplicaSet, its Deployment, what owns that


def owners_of(subject: Subject, labels: Labels, owners: Owners | None = None) -> Iterator[Subject]:
    """The owners of an object, the nearest first. ReplicaSets are passed over: nobody on call thinks in them."""
    one = subject
    for _ in range(_DEEPEST):
        if (found := _owner(one, labels if one is subject else {}, owners or {})) is None:
            return
        one = found
        if one.kind != "ReplicaSet":
            yield one


def service_at(address: str) -> tuple[str, str] | None:
    """(name, namespace) of the Service that an address within a cluster names: `http://checkout.shop.svc:8080/`."""
    found = _DNS.fullmatch(address)
    return (found["name"], found["namespace"]) if found else None


def _owner(one: Subject, labels: Labels, owners: Owners) -> Subject | None:
    told = owners.get((one.kind, one.namespace, one.name))
    if told:
        return Subject(told[0], one.cluster, one.namespace, told[1], TOLD)
    kind, name = labels.get("created_by_kind") or labels.get("owner_kind"), labels.get("created_by_name")
    name = name or labels.get("owner_name")
    if one.kind in ("Target", "Database") and (found := service_at(one.name)):
        return Subject("Service", one.cluster, found[1], found[0], f"by the address of the {one.kind}")
    if one.kind == "Pod" and kind and name and not kind.startswith("<"):
        return Subject(kind, one.cluster, one.namespace, name, "owner, by the alert's labels")
    how = f"by the name of the {one.kind}"
    match one.kind:
        case "Pod":
            made = workload_of(one.name)
        case "Job":
            made = ("CronJob", name) if (name := cronjob_of(one.name)) else None
        case "ReplicaSet":
            made = ("Deployment", name) if (name := deployment_of(one.name)) else None
        case _:
            made = None
    return Subject(made[0], one.cluster, one.namespace, made[1], how) if made else None
