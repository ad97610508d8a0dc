"""A Kubernetes cluster in memory: the lab's ClusterWorld without a simulation. A change takes effect at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.lab.ports import ClusterEvent, Deployment, Pod, Revision

MINUTE = 60_000
NOON_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z


def deployment(name: str = "forecast-server", namespace: str = "ml", replicas: int = 3, **given: Any) -> Deployment:
    """A Deployment with two revisions, three healthy pods on two nodes."""
    revisions = (
        Revision(1, f"registry.test/{name}:v40", NOON_MS - 3000 * MINUTE, {}, {"WORKERS": "4"}, "release v40"),
        Revision(
            2,
            f"registry.test/{name}:v41",
            NOON_MS - 90 * MINUTE,
            {"stanch.dev/commit": "9fceb02", "stanch.dev/pull-request": "812"},
            {"WORKERS": "8"},
            "release v41",
        ),
    )
    pods = tuple(
        Pod(f"{name}-{n:05d}", f"node-{n % 2}", NOON_MS - 80 * MINUTE, True, image=revisions[-1].image)
        for n in range(replicas)
    )
    values: dict[str, Any] = {
        "generation": 2,
        "resource_version": 100,
        "revisions": revisions,
        "pods": pods,
        "labels": {"team": "forecast"},
        "cpu_limit": 1.5,
    }
    return Deployment(name, namespace, replicas, **{**values, **given})


@dataclass
class MemoryCluster:
    """`changes` is every call of change_deployment that was made."""

    held: list[Deployment] = field(default_factory=lambda: [deployment()])
    happened: list[ClusterEvent] = field(default_factory=list)
    lines: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # by pod
    now: int = NOON_MS
    changes: list[Mapping[str, Any]] = field(default_factory=list)

    def now_ms(self) -> int:
        return self.now

    def deployments(self) -> Sequence[Deployment]:
        return tuple(self.held)

    def events(self) -> Sequence[ClusterEvent]:
        return tuple(self.happened)

    def logs(self, namespace: str, pod: str, since_ms: int, limit: int) -> Sequence[tuple[int, str]]:
        return [(at, line) for at, line in self.lines.get(pod, []) if since_ms <= at <= self.now][-limit:]

    def deployment(self, name: str = "forecast-server") -> Deployment:
        return next(d for d in self.held if d.name == name)

    def put(self, d: Deployment) -> None:
        self.held = [d if (old.namespace, old.name) == (d.namespace, d.name) else old for old in self.held]

    def touch(self, name: str = "forecast-server") -> None:
        """A status update: a new resource version and nothing else."""
        d = self.deployment(name)
        self.put(replace(d, resource_version=d.resource_version + 1))

    def change_deployment(self, namespace: str, name: str, changes: Mapping[str, Any]) -> Deployment:
        self.changes.append(changes)
        d = self.deployment(name)
        if "replicas" in changes:
            d = _scaled(d, changes["replicas"], self.now)
        if "template" in changes:
            d = _rolled_out(d, changes["template"], self.now)
        d = replace(
            d,
            annotations=_merged(d.annotations, changes.get("annotations", {})),
            resource_version=d.resource_version + 1,
            generation=d.generation + bool({"replicas", "template"} & changes.keys()),
        )
        self.put(d)
        return d


def _scaled(d: Deployment, replicas: int, now: int) -> Deployment:
    image = d.revisions[-1].image
    added = [Pod(f"{d.name}-{n:05d}", f"node-{n % 2}", now, True, image=image) for n in range(len(d.pods), replicas)]
    return replace(d, replicas=replicas, pods=(*d.pods[:replicas], *added))


def _rolled_out(d: Deployment, template: Mapping[str, Any], now: int) -> Deployment:
    last = d.revisions[-1]
    new = Revision(
        last.number + 1,
        template.get("image", last.image),
        now,
        _merged(last.annotations, template.get("annotations", {})),
        _merged(last.env, template.get("env", {})),
        template.get("change_cause", ""),
    )
    pods = tuple(replace(pod, image=new.image, started_ms=now, restarts=0) for pod in d.pods)
    return replace(d, revisions=(*d.revisions, new), pods=pods)


def _merged(old: Mapping[str, str], new: Mapping[str, str | None]) -> dict[str, str]:
    """None removes, as in a merge patch."""
    return {name: value for name, value in {**old, **new}.items() if value is not None}
