"""What the lab's faces see of the world. Times are integer milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Millis = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: labels with `__name__`, times ascending, values of the same length (NaN is a real NaN sample)."""

    labels: Mapping[str, str]
    times: Millis
    values: Floats


class Samples(Protocol):
    """The world's samples. Nothing later than `now_ms()` is ever handed out."""

    def now_ms(self) -> int: ...
    def names(self) -> Sequence[str]: ...
    def series(self, name: str | None = None) -> Sequence[Series]:
        """Every series of one metric, or of all (name=None), up to now."""
        ...

    def metadata(self) -> Mapping[str, tuple[str, str]]:
        """Metric name → (type, help)."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule, as a rule file has it."""

    name: str
    expr: str
    for_s: int
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    group: str = "lab"


@dataclass(frozen=True, slots=True)
class Revision:
    """One ReplicaSet of a Deployment: the pod template it stands for."""

    number: int
    image: str
    at_ms: int
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the template (restartedAt, our key …)
    env: Mapping[str, str] = field(default_factory=dict)
    change_cause: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    name: str
    node: str
    started_ms: int
    ready: bool
    restarts: int = 0
    waiting_reason: str = ""  # CrashLoopBackOff, ImagePullBackOff …
    last_terminated_reason: str = ""  # OOMKilled, Error …
    image: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    name: str
    namespace: str
    replicas: int  # wanted
    generation: int
    resource_version: int
    revisions: tuple[Revision, ...]  # oldest first; the last is the current one
    pods: tuple[Pod, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the Deployment itself
    labels: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: float = 1.0  # cores
    memory_limit: int = 1 << 30  # bytes
    autoscaled_by: str = ""  # name of a HorizontalPodAutoscaler that owns `replicas`


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    at_ms: int
    namespace: str
    kind: str  # of the involved object: Deployment, Pod, Node
    name: str
    reason: str
    message: str
    type: str = "Normal"  # or Warning
    count: int = 1


class ClusterWorld(Protocol):
    """One Kubernetes cluster of the lab. Changes take effect in the simulation and are kept durably before they return."""

    def now_ms(self) -> int: ...
    def deployments(self) -> Sequence[Deployment]: ...
    def events(self) -> Sequence[ClusterEvent]: ...
    def logs(self, namespace: str, pod: str, since_ms: int, limit: int) -> Sequence[tuple[int, str]]: ...
    def change_deployment(self, namespace: str, name: str, changes: Mapping[str, Any]) -> Deployment:
        """Changes: `replicas` (int), `template` ({image?, annotations?, env?, change_cause?}), `annotations` (of the Deployment)."""
        ...
