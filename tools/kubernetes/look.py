"""A bounded look at a cluster: lists side by side, as many requests as are allowed, and what could not be seen by its reason."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tools.context import Subject
from tools.errors import ToolFailed, Unreachable
from tools.kubernetes.client import Cluster, Forbidden
from tools.kubernetes.symptoms.objects import IN_NO_NAMESPACE, Object, Seen, at, dicts, name_of, namespace_of

MOST_REQUESTS, MOST_ITEMS, AT_ONCE = 25, 2000, 6


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API lists it. Of one that is `metadata_only` nothing but names, labels, owners and times is asked for."""

    kind: str
    group: str
    version: str
    plural: str
    metadata_only: bool = False

    def path(self, namespace: str) -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{base}/namespaces/{namespace}/{self.plural}" if namespace else f"{base}/{self.plural}"


# What is read of a namespace, the most telling first: the last are left out where requests run short.
RESOURCES = (
    Resource("Pod", "", "v1", "pods"),
    Resource("Deployment", "apps", "v1", "deployments"),
    Resource("Service", "", "v1", "services"),
    Resource("Event", "", "v1", "events"),
    Resource("StatefulSet", "apps", "v1", "statefulsets"),
    Resource("ReplicaSet", "apps", "v1", "replicasets"),
    Resource("DaemonSet", "apps", "v1", "daemonsets"),
    Resource("Job", "batch", "v1", "jobs"),
    Resource("CronJob", "batch", "v1", "cronjobs"),
    Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    Resource("ConfigMap", "", "v1", "configmaps", metadata_only=True),
    Resource("Secret", "", "v1", "secrets", metadata_only=True),
    Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    Resource("Ingress", "networking.k8s.io", "v1", "ingresses"),
    Resource("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    Resource("ResourceQuota", "", "v1", "resourcequotas"),
)
REVISIONS = Resource("ControllerRevision", "apps", "v1", "controllerrevisions")
OPTIONAL = (  # read only where the API has their groups
    Resource("Rollout", "argoproj.io", "v1alpha1", "rollouts"),
    Resource("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes"),
)
NODES = Resource("Node", "", "v1", "nodes")
NAMESPACES = Resource("Namespace", "", "v1", "namespaces")
CLASSES = Resource("StorageClass", "storage.k8s.io", "v1", "storageclasses")
VOLUMES = Resource("PersistentVolume", "", "v1", "persistentvolumes")
INGRESS_CLASSES = Resource("IngressClass", "networking.k8s.io", "v1", "ingressclasses")
LEASES = Resource("Lease", "coordination.k8s.io", "v1", "leases")
THIN = ("Pod", "Service", "Deployment", "StatefulSet")  # what is read of a neighbour's namespace
BY_KIND = {one.kind: one for one in (*RESOURCES, *OPTIONAL, NODES, NAMESPACES, CLASSES, VOLUMES, INGRESS_CLASSES)}


@dataclass
class Look:
    """What has been read so far. `hidden`: what could not be, with the reason; `requests` counts those made."""

    cluster: Cluster
    of: dict[str, dict[tuple[str, str], Object]] = field(default_factory=lambda: defaultdict(dict))
    whole: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    hidden: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    requests: int = 0
    unreachable: Unreachable | None = None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def list(self, resource: Resource, namespace: str = "", **params: str) -> Sequence[Object]:
        """The items of a list, kept; a failure is kept as a reason. With a selector the list is not the whole."""
        where = f"{resource.plural} in {namespace}" if namespace else resource.plural
        items: Sequence[Object] = []
        async with self.turns:
            if not self._may_ask(where):
                return []
            try:
                items = await self._pages(resource, namespace, params, where)
            except Forbidden as error:
                self.hidden[where] = _short(error, "the account may not list them")
            except Unreachable as error:
                self.unreachable, self.hidden[where] = error, str(error)
            except ToolFailed as error:
                self.hidden[where] = str(error)
        self.keep(resource.kind, items)
        if where not in self.hidden and where not in self.unknown and not params:
            self.whole[resource.kind].add(namespace)
        return items

    async def _pages(
        self, resource: Resource, namespace: str, params: Mapping[str, str], where: str
    ) -> Sequence[Object]:
        items: list[Mapping[str, Any]] = []
        more, path = "", resource.path(namespace)
        while True:
            page = await self.cluster.page(path, params, more, metadata_only=resource.metadata_only)
            if page is None:  # what the server does not know is not known to be absent
                self.unknown.add(where)
                if resource not in OPTIONAL:
                    self.hidden[where] = "the API server has no such list"
                return items
            items += page[0]
            more = page[1]
            if not more:
                return items
            if len(items) >= MOST_ITEMS or self.requests >= MOST_REQUESTS:
                self.hidden[where] = f"only the first {len(items)} were read"
                return items
            self.requests += 1

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object by its name, kept."""
        where = f"{resource.plural} {name}"
        async with self.turns:
            if not self._may_ask(where):
                return None
            try:
                found = await self.cluster.get(f"{resource.path(namespace)}/{name}")
            except ToolFailed as error:
                self.hidden[where] = "the account may not read it" if isinstance(error, Forbidden) else str(error)
                return None
        if isinstance(found, dict):
            self.keep(resource.kind, [found])
            return found
        return None

    async def groups(self) -> frozenset[str]:
        """The API's groups; none where the account may not ask."""
        self.requests += 1
        try:
            found = await self.cluster.get("/apis")
        except ToolFailed:
            return frozenset()
        return frozenset(str(group.get("name")) for group in dicts(at(found, "groups")))

    def keep(self, kind: str, items: Sequence[Object]) -> None:
        for one in items:
            self.of[kind][namespace_of(one), name_of(one)] = one

    def seen(self, cluster: str, now: datetime) -> Seen:
        """What was read, for symptoms to be looked for in it."""
        of = {kind: list(items.values()) for kind, items in self.of.items()}
        return Seen(cluster, now, of, {kind: frozenset(spaces) for kind, spaces in self.whole.items()})

    def _may_ask(self, where: str) -> bool:
        if self.requests >= MOST_REQUESTS:
            self.hidden[where] = f"not read: a look makes at most {MOST_REQUESTS} requests"
            return False
        self.requests += 1
        return True


def _short(error: ToolFailed, what: str) -> str:
    advice = str(error).partition("The account lacks a permission: ")[2].split(".")[0]
    return f"{what} ({advice})" if advice and "see the message" not in advice else what


async def look_at(cluster: Cluster, subjects: Sequence[Subject], near: Sequence[Subject]) -> Look:
    """Read what concerns these subjects: of the first one's namespace all, of two further ones the little that says
    whether what lies there is well."""
    look = Look(cluster)
    spaces = await _namespaces(look, subjects, near)
    jobs = [look.list(NODES)]
    jobs += [look.list(one, spaces[0]) for one in RESOURCES] if spaces else []
    for subject in subjects[:3]:
        if subject.kind == "Node":
            jobs.append(look.list(BY_KIND["Pod"], "", fieldSelector=f"spec.nodeName={subject.name}"))
    groups, _ = await asyncio.gather(look.groups(), asyncio.gather(*jobs))
    if look.unreachable is not None and not look.of:
        raise look.unreachable
    await asyncio.gather(*_further(look, spaces, groups))
    return look


def _further(look: Look, spaces: Sequence[str], groups: Collection[str]) -> list[Any]:
    """What only some findings need, the cluster's own parts, and the namespaces of neighbours."""
    space = spaces[0] if spaces else ""
    optional = [one for one in OPTIONAL if space and one.group in groups]
    optional += [REVISIONS] if space and (look.of["StatefulSet"] or look.of["DaemonSet"]) else []
    claims = [one for one in look.of["PersistentVolumeClaim"].values() if at(one, "status", "phase") != "Bound"]
    jobs: list[Any] = [look.list(one, space) for one in optional]
    jobs += [look.list(CLASSES), look.list(VOLUMES)] if claims else []
    jobs += [look.list(INGRESS_CLASSES)] if look.of["Ingress"] else []
    jobs += [look.get(NAMESPACES, "", space)] if space else []
    jobs += [look.list(BY_KIND["Pod"], "kube-system")] if space != "kube-system" else []
    jobs += [look.list(LEASES, "kube-system")]
    return jobs + [look.list(BY_KIND[kind], space) for space in spaces[1:3] for kind in THIN]


async def _namespaces(look: Look, subjects: Sequence[Subject], near: Sequence[Subject]) -> list[str]:
    """The namespaces to read, the first subject's first. Where nobody says in which one a thing lies, the cluster is
    asked, and the account's own is taken where that may not be asked."""
    found: dict[str, None] = {}
    for subject in subjects:
        if subject.kind == "Namespace":
            found[subject.name] = None
        elif subject.kind == "Cluster":
            found["kube-system"] = None
        elif subject.namespace:
            found[subject.namespace] = None
    if not found and (first := next((one for one in subjects if one.kind not in IN_NO_NAMESPACE), None)):
        resource = BY_KIND.get(first.kind)
        if resource is not None:
            by_name = Resource(resource.kind, resource.group, resource.version, resource.plural, metadata_only=True)
            for one in await look.list(by_name, "", fieldSelector=f"metadata.name={first.name}"):
                if name_of(one) == first.name:
                    found[namespace_of(one)] = None
            look.of.pop(first.kind, None)  # it was metadata alone
            look.hidden.clear()
        if not found:
            found[look.cluster.namespace] = None
    for subject in near:
        if subject.namespace:
            found[subject.namespace] = None
    return list(found)
