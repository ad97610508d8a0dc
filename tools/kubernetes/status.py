"""What Kubernetes says of a workload now, read into values: replicas, limits, restarts, reasons, rollout, autoscaler. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tools.formatting import clean
from tools.kubernetes.client import quantity
from tools.kubernetes.rollouts import REVISION, time_of

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """Cores and bytes; None where none is set."""

    name: str
    image: str
    cpu_limit: float | None
    cpu_request: float | None
    memory_limit: float | None
    memory_request: float | None


@dataclass(frozen=True, slots=True)
class PodStatus:
    name: str
    node: str
    phase: str
    ready: bool
    restarts: int
    started: datetime | None
    images: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # reasons: CrashLoopBackOff, ImagePullBackOff, Unschedulable …
    ended: tuple[tuple[str, int, datetime | None], ...] = ()  # last terminations: reason, exit code, when
    container: str = ""  # the one a person means when naming none
    message: str = ""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    name: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    wanted: int
    ready: int
    updated: int
    available: int
    revision: str
    rollout: str  # `complete`, or what it waits for
    complete: bool
    conditions: Mapping[str, tuple[bool, str]]  # type → (holds, reason: message)
    containers: tuple[ContainerLimits, ...]
    pods: tuple[PodStatus, ...]
    autoscaler: Autoscaler | None
    controller: str = ""  # what owns the workload itself, such as an operator's object
    nodes: Mapping[str, int] = field(default_factory=dict)

    @property
    def restarts(self) -> int:
        return sum(pod.restarts for pod in self.pods)

    @property
    def waiting(self) -> Counter[str]:
        return Counter(reason for pod in self.pods for reason in pod.waiting)

    @property
    def ended(self) -> Counter[str]:
        return Counter(reason for pod in self.pods for reason, _, _ in pod.ended)


def status_of(whole: Object, pods: Sequence[Object], autoscaler: Autoscaler | None) -> WorkloadStatus:
    spec, status = whole.get("spec") or {}, whole.get("status") or {}
    wanted = _int(spec.get("replicas"), 1)
    updated, available = _int(status.get("updatedReplicas")), _int(status.get("availableReplicas"))
    rollout = _rollout(whole, wanted, updated, available)
    template = (spec.get("template") or {}).get("spec") or {}
    read = tuple(_pod(pod) for pod in pods)
    return WorkloadStatus(
        wanted=wanted,
        ready=_int(status.get("readyReplicas")),
        updated=updated,
        available=available,
        revision=str(((whole.get("metadata") or {}).get("annotations") or {}).get(REVISION, "")),
        rollout=rollout,
        complete=rollout == "complete",
        conditions={str(c.get("type")): _condition(c) for c in status.get("conditions") or []},
        containers=tuple(_limits(c) for c in template.get("containers") or []),
        pods=read,
        autoscaler=autoscaler,
        controller=controller_of(whole),
        nodes=dict(Counter(pod.node for pod in read if pod.node)),
    )


def controller_of(whole: Object) -> str:
    """`Kind name` of the object that controls this one, "" for none."""
    owners = (whole.get("metadata") or {}).get("ownerReferences") or []
    return next((f"{one.get('kind')} {one.get('name')}" for one in owners if one.get("controller")), "")


def autoscaler_of(found: Sequence[Object], kind: str, name: str) -> Autoscaler | None:
    """The HorizontalPodAutoscaler among those of a namespace that owns this workload's replicas."""
    for one in found:
        spec = one.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (kind, name):
            title = str((one.get("metadata") or {}).get("name"))
            return Autoscaler(title, _int(spec.get("minReplicas"), 1), _int(spec.get("maxReplicas")))
    return None


def selector_text(whole: Object) -> str:
    """The workload's pod selector as a labelSelector parameter."""
    selector = (whole.get("spec") or {}).get("selector") or {}
    terms = [f"{name}={value}" for name, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        values = f"({','.join(one.get('values') or [])})"
        match one.get("operator"):
            case "In" | "NotIn" as operator:
                terms.append(f"{one.get('key')} {operator.lower()} {values}")
            case "Exists":
                terms.append(str(one.get("key")))
            case "DoesNotExist":
                terms.append(f"!{one.get('key')}")
    return ",".join(terms)


def _rollout(whole: Object, wanted: int, updated: int, available: int) -> str:
    """What `kubectl rollout status` would say, in a few words."""
    metadata, status = whole.get("metadata") or {}, whole.get("status") or {}
    if _int(status.get("observedGeneration")) < _int(metadata.get("generation")):
        return "not yet observed by the controller"
    reasons = {c.get("type"): c.get("reason") for c in status.get("conditions") or []}
    if reasons.get("Progressing") == "ProgressDeadlineExceeded":
        return "failed: progress deadline exceeded"
    if (whole.get("spec") or {}).get("paused"):
        return "paused"
    if updated < wanted:
        return f"{updated} of {wanted} replicas updated"
    if (left := _int(status.get("replicas")) - updated) > 0:
        return f"{left} old replicas still there"
    return "complete" if available >= updated else f"{available} of {updated} updated replicas available"


def _condition(one: Object) -> tuple[bool, str]:
    reason, message = clean(str(one.get("reason") or ""), 60), clean(str(one.get("message") or ""), 120)
    return one.get("status") == "True", reason if message in ("", reason) else f"{reason}: {message}"


def _limits(container: Object) -> ContainerLimits:
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return ContainerLimits(
        clean(str(container.get("name", ""))),
        clean(str(container.get("image", ""))),
        quantity(limits.get("cpu")),
        quantity(requests.get("cpu")),
        quantity(limits.get("memory")),
        quantity(requests.get("memory")),
    )


def _pod(pod: Object) -> PodStatus:
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    unscheduled = (conditions.get("PodScheduled") or {}).get("status") == "False"
    waits = [((one.get("state") or {}).get("waiting") or {}) for one in statuses]
    waiting = [clean(str(one["reason"]), 60) for one in waits if one.get("reason")]
    waiting = [reason for reason in waiting if reason not in ("ContainerCreating", "PodInitializing")]
    messages = [
        str(one.get("message") or "") for one in [*waits, *([conditions["PodScheduled"]] if unscheduled else [])]
    ]
    if unscheduled:
        waiting.append(clean(str(conditions["PodScheduled"].get("reason") or "Unschedulable"), 60))
    containers = [str(c.get("name", "")) for c in spec.get("containers") or []]
    default = (metadata.get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return PodStatus(
        name=str(metadata.get("name", "")),
        node=str(spec.get("nodeName") or ""),
        phase=str(status.get("reason") or status.get("phase") or ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        restarts=sum(_int(one.get("restartCount")) for one in statuses),
        started=time_of(status.get("startTime")),
        images=tuple(clean(str(one.get("image", ""))) for one in status.get("containerStatuses") or []),
        waiting=tuple(waiting),
        ended=tuple(_ended(one) for one in statuses if (one.get("lastState") or {}).get("terminated")),
        container=str(default or (containers[0] if containers else "")),
        message=clean(next((m for m in messages if m), ""), 160),
    )


def _ended(container: Object) -> tuple[str, int, datetime | None]:
    last = container["lastState"]["terminated"]
    return clean(str(last.get("reason") or "Error"), 60), _int(last.get("exitCode")), time_of(last.get("finishedAt"))


def _int(value: object, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
