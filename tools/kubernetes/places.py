"""Where Kubernetes keeps a workload, of any kind, also one that the catalog does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.context import Backend, Context, Workload
from tools.errors import TargetUnclear, ToolFailed
from tools.kubernetes.client import Cluster, backend_of, connect
from tools.kubernetes.status import selector_text
from tools.logs.naming import workload_named

_APIS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets/{}",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "Rollout": "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/{}",
    "Pod": "/api/v1/namespaces/{}/pods/{}",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A workload with its object as Kubernetes has it."""

    workload: Workload
    cluster: Cluster
    whole: dict[str, Any]

    async def pods(self) -> list[dict[str, Any]]:
        """Its pods; of a pod itself."""
        if self.workload.kind == "Pod":
            return [self.whole]
        path = f"/api/v1/namespaces/{self.workload.namespace}/pods"
        return await self.cluster.list(path, labelSelector=selector_text(self.whole))


async def placed(context: Context, reference: str) -> Placed:
    """The one workload that `[cluster/][namespace/]name` means: the catalog's, else the incident's own, else what
    Kubernetes has under a name with its namespace. TargetUnclear, ToolFailed."""
    wanted, kinds = _wanted(context, reference)
    backend = backend_of(context, wanted) if wanted.cluster else context.backends.pick("kubernetes", context.labels)
    cluster, refused = await connect(backend), list[ToolFailed]()
    for kind in kinds:
        try:
            whole = await cluster.get(_APIS[kind].format(wanted.namespace, wanted.name))
        except ToolFailed as error:  # an account may see Deployments and no Jobs
            refused.append(error)
            continue
        if isinstance(whole, dict):
            where = wanted.cluster or _cluster_name(backend)
            found = Workload(wanted.name, wanted.namespace, where, kind, wanted.service, wanted.environment)
            return Placed(found, cluster, whole)
    if refused:
        raise refused[0]
    if len(kinds) == 1:
        raise ToolFailed(f"There is no {kinds[0]} {wanted}: it was deleted, or the catalog names another place.")
    raise TargetUnclear(
        f"Neither the catalog nor Kubernetes has a workload {reference!r}. Name it as namespace/name, or find it with stanch map."
    )


def _wanted(context: Context, reference: str) -> tuple[Workload, tuple[str, ...]]:
    """The place, and the kinds that it may be of."""
    try:
        entry = context.catalog.workload(reference)
    except TargetUnclear:
        if _in_catalog(context, reference):
            raise
        subject = workload_named(context, reference)
        if subject and subject.kind in _APIS and subject.namespace:
            return Workload(subject.name, subject.namespace, subject.cluster, subject.kind), (subject.kind,)
        *place, name = reference.split("/")
        if not 1 <= len(place) <= 2 or not all(place):
            raise
        return Workload(name, place[-1], place[0] if len(place) == 2 else ""), tuple(_APIS)
    if entry.kind not in _APIS:
        raise ToolFailed(f"{entry} is a {entry.kind}; {', '.join(_APIS)} can be read.") from None
    return entry, (entry.kind,)


def _in_catalog(context: Context, reference: str) -> bool:
    """Whether the catalog has several of that name: then none is guessed."""
    return any(f"/{load}".endswith(f"/{reference}") for one in context.catalog.services() for load in one.workloads)


def _cluster_name(backend: Backend) -> str:
    return backend.match.get("cluster") or backend.name
