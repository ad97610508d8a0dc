"""What was read of a cluster, as symptoms are looked for in it: objects as the API gives them, of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias

from tools.context import Subject
from tools.kubernetes.pod_names import cronjob_of, deployment_of
from tools.kubernetes.rollouts import HASH, time_of

Object: TypeAlias = Mapping[str, Any]

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", "CronJob", "Job", "ReplicaSet")
SYNCED = ("Deployment", "StatefulSet", "Rollout", "ReplicaSet")  # kinds with a number of replicas
IN_NO_NAMESPACE = frozenset({"Node", "PersistentVolume", "Namespace", "StorageClass", "IngressClass", "Cluster"})
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """Objects by kind. `whole`: of each kind the namespaces ("" for none) that were read completely; None: all were."""

    cluster: str
    now: datetime
    of: Mapping[str, Sequence[Object]]
    whole: Mapping[str, frozenset[str]] | None = None
    _found: dict[tuple[str, str, str], Object] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for kind, listed in self.of.items():
            for one in listed:
                self._found[kind, namespace_of(one), name_of(one)] = one

    def kind(self, kind: str, namespace: str | None = None) -> Sequence[Object]:
        """All of a kind, or those of one namespace."""
        return self.of.get(kind, ()) if namespace is None else self._in_namespace.get((kind, namespace), ())

    @cached_property
    def _in_namespace(self) -> Mapping[tuple[str, str], Sequence[Object]]:
        found: dict[tuple[str, str], list[Object]] = defaultdict(list)
        for kind, listed in self.of.items():
            for one in listed:
                found[kind, namespace_of(one)].append(one)
        return dict(found)

    def pods_with(self, namespace: str, selector: Mapping[str, str]) -> list[Object]:
        """The pods of a namespace that have all these labels; none for no labels."""
        listed = [self._pods_by_label.get((namespace, key, str(value)), ()) for key, value in selector.items()]
        fewest = min(listed, key=len, default=())
        return [pod for pod in fewest if all(labels_of(pod).get(key) == value for key, value in selector.items())]

    @cached_property
    def _pods_by_label(self) -> Mapping[tuple[str, str, str], Sequence[Object]]:
        found: dict[tuple[str, str, str], list[Object]] = defaultdict(list)
        for pod in self.kind("Pod"):
            for key, value in labels_of(pod).items():
                found[namespace_of(pod), key, str(value)].append(pod)
        return dict(found)

    def knows(self, kind: str, namespace: str) -> bool:
        """Whether what is not among the objects of this kind does not exist."""
        if self.whole is None:
            return kind in self.of
        return namespace in self.whole.get(kind, frozenset())

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._found.get((kind, "" if kind in IN_NO_NAMESPACE else namespace, name))

    def lacks(self, kind: str, namespace: str, name: str) -> bool:
        """Whether an object certainly does not exist. Never true of what could not be read."""
        place = "" if kind in IN_NO_NAMESPACE else namespace
        return self.knows(kind, place) and self.find(kind, namespace, name) is None

    def subject(self, kind: str, namespace: str, name: str) -> Subject:
        return Subject(kind, self.cluster, "" if kind in IN_NO_NAMESPACE else namespace, name)

    def subject_of(self, kind: str, one: Object) -> Subject:
        return self.subject(kind, namespace_of(one), name_of(one))

    def age(self, one: Object) -> float:
        """Seconds since an object was made; a long time where it does not say."""
        made = moment(one, "metadata", "creationTimestamp") or moment(one, "status", "startTime")
        return (self.now - made).total_seconds() if made else 1e9

    def events(self, kind: str, one: Object, *reasons: str) -> list[Object]:
        """Events about this very object (by its uid where both tell it), with one of these reasons, the newest first."""
        uid, about = at(one, "metadata", "uid"), (kind, namespace_of(one), name_of(one))
        found = [
            event
            for event in self._events.get(about, ())
            if (not reasons or event.get("reason") in reasons)
            and (not uid or at(event, "involvedObject", "uid") in (None, "", uid))
        ]
        return sorted(found, key=event_time, reverse=True)

    @cached_property
    def _events(self) -> Mapping[tuple[str, str, str], Sequence[Object]]:
        found: dict[tuple[str, str, str], list[Object]] = defaultdict(list)
        for event in self.of.get("Event", ()):
            about = event.get("involvedObject") or mapping(event, "regarding")
            namespace = str(about.get("namespace") or namespace_of(event))
            kind = str(about.get("kind"))
            found[kind, "" if kind in IN_NO_NAMESPACE else namespace, str(about.get("name"))].append(event)
        return found


@dataclass(frozen=True)
class Load:
    """A workload with its pods; `whole` is {} where the object itself was not read."""

    seen: Seen
    subject: Subject
    whole: Object
    pods: Sequence[Object]

    @property
    def template(self) -> Object:
        """Its pod template; that of a bare pod is the pod."""
        path = ("spec", "jobTemplate", "spec", "template") if self.subject.kind == "CronJob" else ("spec", "template")
        found = at(self.whole, *path)
        return found if isinstance(found, Mapping) else (self.pods[0] if self.pods else {})

    @property
    def living(self) -> list[Object]:
        """Pods that have neither ended well nor are being deleted."""
        return [
            pod for pod in self.pods if phase_of(pod) != "Succeeded" and not at(pod, "metadata", "deletionTimestamp")
        ]

    @property
    def active(self) -> list[Object]:
        """Pods that count as replicas: those that have not ended in any way."""
        return [pod for pod in self.living if phase_of(pod) != "Failed"]

    @property
    def enough(self) -> bool:
        """Whether as many pods are ready as should be, so that what failed was replaced."""
        return self.wanted is not None and self.ready >= self.wanted

    @property
    def wanted(self) -> int | None:
        """How many pods there should be; None where the workload does not say."""
        if self.subject.kind in SYNCED:
            return whole_number(at(self.whole, "spec", "replicas"), 1) if self.whole else None
        if self.subject.kind == "DaemonSet" and self.whole:
            return whole_number(at(self.whole, "status", "desiredNumberScheduled"))
        return None

    @property
    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.pods)

    @property
    def runs_once(self) -> bool:
        """Whether its pods are meant to end."""
        return self.subject.kind in ("Job", "CronJob") or at(self.template, "spec", "restartPolicy") in (
            "Never",
            "OnFailure",
        )


def loads_of(seen: Seen) -> list[Load]:
    """The workloads among what was read, each with its pods: by owners, so that labels may lie."""
    pods: dict[tuple[str, str, str], list[Object]] = defaultdict(list)
    for pod in seen.kind("Pod"):
        kind, name = owner_of(seen, "Pod", pod)
        pods[kind, namespace_of(pod), name].append(pod)
    found: dict[tuple[str, str, str], Object] = {}
    for kind in WORKLOADS:
        for one in seen.kind(kind):
            if owner_of(seen, kind, one) == (kind, name_of(one)):
                found[kind, namespace_of(one), name_of(one)] = one
    return [
        Load(seen, seen.subject(*key), found.get(key, {}), sorted(pods[key], key=created, reverse=True))
        for key in dict.fromkeys([*found, *pods])
    ]


def owner_of(seen: Seen, kind: str, one: Object) -> tuple[str, str]:
    """(kind, name) of the workload at the top of an object's owners; of a bare or a static pod its own."""
    told = next((owner for owner in dicts(at(one, "metadata", "ownerReferences")) if owner.get("controller")), None)
    if told is None or told.get("kind") == "Node":
        return kind, name_of(one)
    above, name = str(told.get("kind")), str(told.get("name"))
    if whole := seen.find(above, namespace_of(one), name):
        return owner_of(seen, above, whole)
    if above == "ReplicaSet":
        made_by = str(labels_of(one).get(HASH) or labels_of(one).get("rollouts-pod-template-hash") or "")
        short = name.removesuffix(f"-{made_by}") if made_by else deployment_of(name)
        if short and short != name:
            rollout = seen.find("Rollout", namespace_of(one), short) or "rollouts-pod-template-hash" in labels_of(one)
            return ("Rollout" if rollout else "Deployment"), short
    if above == "Job" and (cronjob := cronjob_of(name)):
        return "CronJob", cronjob
    return above, name


# -- reading objects --------------------------------------------------------------------------------------------------


def at(one: Any, *path: str) -> Any:
    """What stands at a path; None where it leads nowhere."""
    for name in path:
        one = one.get(name) if one.__class__ is dict or isinstance(one, Mapping) else None
    return one


def mapping(one: Any, *path: str) -> Mapping[str, Any]:
    """The object that stands at a path; {} where there is none."""
    found = at(one, *path)
    return found if isinstance(found, Mapping) else {}


def texts(one: Any, *path: str) -> list[str]:
    """The strings of the list at a path; [] where there is none."""
    found = at(one, *path)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def dicts(listed: Any) -> list[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def name_of(one: Object) -> str:
    return str(at(one, "metadata", "name") or "")


def namespace_of(one: Object) -> str:
    return str(at(one, "metadata", "namespace") or "")


def labels_of(one: Object) -> Mapping[str, str]:
    found = at(one, "metadata", "labels")
    return found if found.__class__ is dict or isinstance(found, Mapping) else {}


def moment(one: Any, *path: str) -> datetime | None:
    """The time that stands at a path."""
    return time_of(at(one, *path))


def created(one: Object) -> datetime:
    return moment(one, "metadata", "creationTimestamp") or moment(one, "status", "startTime") or _UNKNOWN


def phase_of(pod: Object) -> str:
    return str(at(pod, "status", "phase") or "")


def condition(one: Object, kind: str) -> Object:
    """The condition of a kind; {} where there is none."""
    return next((each for each in dicts(at(one, "status", "conditions")) if each.get("type") == kind), {})


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def whole_number(value: object, otherwise: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def event_time(event: Object) -> datetime:
    """When an event was last seen."""
    series = at(event, "series", "lastObservedTime")
    for text in (series, *(event.get(key) for key in ("lastTimestamp", "eventTime", "firstTimestamp"))):
        if text and (when := time_of(text)):
            return when
    return moment(event, "metadata", "creationTimestamp") or _UNKNOWN


def event_words(event: Object) -> str:
    return str(event.get("message") or event.get("note") or "")


def containers_of(pod: Object) -> Iterator[tuple[Object, Object, bool]]:
    """(spec, status, init) of each container of a pod, init containers first. One that restarts always is a sidecar and
    not init; status is {} before there is one."""
    for specs, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        told = {str(one.get("name")): one for one in dicts(at(pod, "status", statuses))}
        for spec in dicts(at(pod, "spec", specs)):
            init = specs == "initContainers" and spec.get("restartPolicy") != "Always"
            yield spec, told.get(str(spec.get("name")), {}), init
