"""The part of the platform map that Kubernetes tells: what the account may list is asked for first, and read side by side.

Nothing of a Secret or a ConfigMap is read but its name and version. What may not be seen is said, and is not empty.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.domain.moves import NotChecked
from agent.errors import ToolFailed
from agent.platform.edges import Part, title_of
from agent.platform.kubernetes_edges import MANAGED_BY, Objects, part_of
from agent.platform.kubernetes_pods import at, dicts
from tools.context import Backend
from tools.kubernetes.client import Cluster, connect

MOST = 20_000  # objects of a kind
AT_ONCE = 6  # requests to one API server


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API lists it. `optional`: only where the API has it, which is asked beforehand."""

    kind: str
    group: str
    version: str
    plural: str
    metadata_only: bool = False
    everywhere: bool = False  # lies in no namespace
    optional: bool = False
    fields: str = ""  # a field selector

    def path(self, namespace: str) -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{base}/namespaces/{namespace}/{self.plural}" if namespace else f"{base}/{self.plural}"


_NO_RELEASES = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"

RESOURCES = (
    Resource("Pod", "", "v1", "pods"),
    Resource("Service", "", "v1", "services"),
    Resource("Node", "", "v1", "nodes", metadata_only=True, everywhere=True),
    Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    Resource("ConfigMap", "", "v1", "configmaps", metadata_only=True),
    Resource("Secret", "", "v1", "secrets", metadata_only=True, fields=_NO_RELEASES),
    Resource("ResourceQuota", "", "v1", "resourcequotas", metadata_only=True),
    Resource("Deployment", "apps", "v1", "deployments"),
    Resource("StatefulSet", "apps", "v1", "statefulsets"),
    Resource("DaemonSet", "apps", "v1", "daemonsets"),
    Resource("ReplicaSet", "apps", "v1", "replicasets", metadata_only=True),
    Resource("Job", "batch", "v1", "jobs"),
    Resource("CronJob", "batch", "v1", "cronjobs"),
    Resource("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    Resource("Ingress", "networking.k8s.io", "v1", "ingresses"),
    Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    Resource("Rollout", "argoproj.io", "v1alpha1", "rollouts", optional=True),
    Resource("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", optional=True),
)
_METADATA = ("name", "namespace", "labels", "ownerReferences", "resourceVersion")
_CONTAINER = ("name", "env", "envFrom", "command", "args")  # what of a container is kept


@dataclass(frozen=True, slots=True)
class Listing:
    """What became of listing one resource. `namespace`: the only one that could be read; `why`: what could not, and why."""

    resource: Resource
    items: Sequence[Mapping[str, Any]] = ()
    namespace: str = ""
    why: str = ""


async def map_of_kubernetes(backend: Backend) -> Part:
    """What one cluster tells. Unreachable and ToolFailed where it cannot be asked at all."""
    cluster = await connect(backend)
    turns = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(_listed(cluster, one, turns) for one in await _present(cluster)))
    name = backend.match.get("cluster", "")
    objects = Objects(name, {one.resource.kind: one.items for one in found})
    part = await asyncio.to_thread(part_of, objects)  # seconds, where there are many thousand pods
    return Part(part.nodes, part.edges, unseen(found, title_of(backend)), part.versions, part.addresses)


def unseen(listings: Iterable[Listing], cluster: str) -> tuple[NotChecked, ...]:
    """What could not be listed, by its reason."""
    by_why: dict[str, list[str]] = defaultdict(list)
    for one in listings:
        if one.why:
            by_why[one.why].append(one.resource.plural)
    return tuple(NotChecked(f"{cluster}: {', '.join(plurals)}", why) for why, plurals in by_why.items())


async def _present(cluster: Cluster) -> Sequence[Resource]:
    """The resources that the API has; which of the optional ones, it is asked."""
    optional = [one for one in RESOURCES if one.optional]
    try:
        groups = await cluster.get("/apis")
        known = {group.get("name") for group in dicts(at(groups, "groups"))}
        optional = [one for one in optional if one.group in known]
        answers = await asyncio.gather(*(cluster.get(f"/apis/{one.group}/{one.version}") for one in optional))
    except (
        ToolFailed
    ):  # an account that may not ask what there is: what belongs to every cluster is listed all the same
        optional, answers = [], []
    has = [
        one
        for one, answer in zip(optional, answers, strict=True)
        if one.plural in {resource.get("name") for resource in dicts(at(answer, "resources"))}
    ]
    return [*(one for one in RESOURCES if not one.optional), *has]


async def _listed(cluster: Cluster, resource: Resource, turns: asyncio.Semaphore) -> Listing:
    async with turns:
        try:
            if await cluster.may_list(resource.group, resource.plural) is not False:
                return await _read(cluster, resource, "")
            namespace = cluster.namespace
            if resource.everywhere or await cluster.may_list(resource.group, resource.plural, namespace) is False:
                there = "" if resource.everywhere else f", nor in the namespace {namespace}"
                return Listing(
                    resource, why=f"the account may not list them in the cluster{there}. Grant it by a Role."
                )
            return await _read(cluster, resource, namespace)
        except ToolFailed as error:
            return Listing(resource, why=str(error))


async def _read(cluster: Cluster, resource: Resource, namespace: str) -> Listing:
    items: list[Mapping[str, Any]] = []
    why = f"the account may list them in the namespace {namespace} only" if namespace else ""
    fields = {"fieldSelector": resource.fields} if resource.fields else {}
    async for page in cluster.pages(resource.path(namespace), fields, metadata_only=resource.metadata_only):
        if len(items) >= MOST:
            why = f"there are more than {MOST}; the rest was not read"
            break
        items += [trimmed(resource, one) for one in page]
    return Listing(resource, items, namespace, why)


def trimmed(resource: Resource, one: Mapping[str, Any]) -> Mapping[str, Any]:
    """The little of an object that the map is made of. Of annotations only those of GitOps: kubectl's last-applied one holds
    all of a Secret."""
    about = at(one, "metadata") or {}
    metadata = {name: about[name] for name in _METADATA if name in about}
    metadata["annotations"] = {
        name: value for name, value in (about.get("annotations") or {}).items() if name in MANAGED_BY
    }
    if resource.metadata_only:
        return {"metadata": metadata}
    if resource.kind != "Pod":
        return {**{name: value for name, value in one.items() if name != "status"}, "metadata": metadata}
    spec = at(one, "spec") or {}
    containers = {
        which: [{name: each[name] for name in _CONTAINER if name in each} for each in dicts(spec.get(which))]
        for which in ("containers", "initContainers")
    }
    kept = {name: spec[name] for name in ("nodeName", "hostNetwork", "volumes") if name in spec}
    status = {name: at(one, "status", name) for name in ("phase", "podIP", "hostIP")}
    return {"metadata": metadata, "spec": {**kept, **containers}, "status": status}
