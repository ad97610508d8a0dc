"""One cluster of the world as Kubernetes would show it. Implements `ports.ClusterWorld`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.errors import UnusableInput
from agent.lab.ports import ClusterEvent, Deployment, Pod
from agent.lab.world import pods
from agent.lab.world.load import Flow
from agent.lab.world.logs import pod_lines
from agent.lab.world.noise import STEP_MS
from agent.lab.world.platform import ServiceSpec
from agent.lab.world.pods import FOREVER, Life, Rollouts
from agent.lab.world.world import World

EVENTS_KEPT_MS = 3_600_000  # Kubernetes forgets events after an hour


class Cluster:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    def now_ms(self) -> int:
        return self.world.now_ms()

    def _flow(self, spec: ServiceSpec) -> Flow:
        return self.world.sim.flows[self.name][spec.name]

    def _step(self, at_ms: int) -> int:
        """The step that holds at a time."""
        grid = self.world.sim.grid
        return min(max(int((at_ms - grid.first_ms) // STEP_MS), 0), grid.steps - 1)

    def deployments(self) -> Sequence[Deployment]:
        return [self._deployment(spec) for spec in self.world.sim.services(self.name)]

    def _deployment(self, spec: ServiceSpec) -> Deployment:
        now, rollouts = self.now_ms(), self._flow(spec).rollouts
        orders = [order for order in rollouts.orders if order.at_ms <= now]
        base = 1000 + sum(ord(letter) for letter in spec.name)
        return Deployment(
            name=spec.deployment,
            namespace=spec.namespace,
            replicas=rollouts.wanted,
            generation=12 + len(orders),
            # the object's version moves with every write and whenever its status does
            resource_version=base * 1000 + 7 * len(orders) + self._status_changes(rollouts, now),
            revisions=rollouts.revisions,
            pods=tuple(self._pod(spec, life, now) for life in pods.at(rollouts.lives, now)),
            annotations=rollouts.annotations,
            labels={"app": spec.deployment, "service": spec.name, "team": spec.owner},
            cpu_limit=spec.cpu_limit,
            memory_limit=spec.memory_limit_mib << 20,
        )

    def _status_changes(self, rollouts: Rollouts, now: int) -> int:
        marks = [at for life in rollouts.lives for at in (life.start_ms, life.ready_ms, life.end_ms)]
        return sum(1 for at in marks if rollouts.orders and rollouts.orders[0].at_ms <= at <= now)

    def _pod(self, spec: ServiceSpec, life: Life, now: int) -> Pod:
        flow, step = self._flow(spec), self._step(now)
        kills = self._kills(flow, life, step)
        restarts = pods.crash_restarts(life, now) + len(kills)
        ready = pods.ready_after(life, now) and bool(flow.ready[life.slot, step] or not kills)
        return Pod(
            name=life.name,
            node=life.node,
            started_ms=int(life.start_ms),
            ready=ready,
            restarts=restarts,
            waiting_reason="CrashLoopBackOff" if life.crashes and restarts else "",
            last_terminated_reason="" if not restarts else "Error" if life.crashes else "OOMKilled",
            image=life.image,
        )

    def _kills(self, flow: Flow, life: Life, step: int) -> list[int]:
        """Times at which a pod's process was killed for memory."""
        grid = self.world.sim.grid
        first = grid.index(life.start_ms)
        return [int(grid.times[first + at]) for at in np.flatnonzero(flow.oom[life.slot, first : step + 1])]

    def events(self) -> Sequence[ClusterEvent]:
        now = self.now_ms()
        since = now - EVENTS_KEPT_MS
        found = [
            event
            for spec in self.world.sim.services(self.name)
            for event in self._events(spec, now)
            if since <= event.at_ms <= now
        ]
        return sorted(found, key=lambda event: event.at_ms)

    def _events(self, spec: ServiceSpec, now: int) -> list[ClusterEvent]:
        flow = self._flow(spec)
        found = [self._scaled(spec, at, before, after) for at, before, after in _steps(flow.rollouts)]
        for life in flow.rollouts.lives:
            found += self._pod_events(spec, flow, life, now)
        return found

    def _scaled(self, spec: ServiceSpec, at: int, before: int, after: int) -> ClusterEvent:
        word = "up" if after > before else "down"
        message = f"Scaled {word} replica set of {spec.deployment} to {after} from {before}"
        return ClusterEvent(at, spec.namespace, "Deployment", spec.deployment, "ScalingReplicaSet", message)

    def _pod_events(self, spec: ServiceSpec, flow: Flow, life: Life, now: int) -> list[ClusterEvent]:
        def event(at: float, reason: str, message: str, kind: str = "Normal", count: int = 1) -> ClusterEvent:
            return ClusterEvent(int(at), spec.namespace, "Pod", life.name, reason, message, kind, count)

        start = life.start_ms
        found = [
            event(start, "Scheduled", f"Successfully assigned {spec.namespace}/{life.name} to {life.node}"),
            event(start + 2000, "Pulled", f'Container image "{life.image}" already present on machine'),
            event(start + 3000, "Started", f"Started container {spec.deployment}"),
        ]
        if life.end_ms != FOREVER:
            found.append(event(life.end_ms - 1000, "Killing", f"Stopping container {spec.deployment}"))
        for at in self._kills(flow, life, self._step(now)):
            found.append(
                event(at, "OOMKilling", f"Memory cgroup out of memory: killed process of {spec.deployment}", "Warning")
            )
        if (count := pods.crash_restarts(life, now)) > 0:
            words = f"Back-off restarting failed container {spec.deployment} in pod {life.name}"
            found.append(event(max(start + 9000, now - 20_000), "BackOff", words, "Warning", count * 3))
        return found

    def logs(self, namespace: str, pod: str, since_ms: int, limit: int) -> Sequence[tuple[int, str]]:
        """The newest `limit` lines of a pod since then, oldest first."""
        for spec in self.world.sim.services(self.name):
            flow = self._flow(spec)
            for life in flow.rollouts.lives:
                if (spec.namespace, life.name) == (namespace, pod):
                    return pod_lines(self.world.sim, self.name, flow, life, since_ms, self.now_ms(), limit)
        return []

    def change_deployment(self, namespace: str, name: str, changes: Mapping[str, Any]) -> Deployment:
        spec = next(
            (s for s in self.world.sim.services(self.name) if (s.namespace, s.deployment) == (namespace, name)), None
        )
        if spec is None:
            raise UnusableInput(f"Cluster {self.name} has no Deployment {namespace}/{name}.")
        where = {"cluster": self.name, "namespace": namespace, "name": name}
        self.world.change("deployment", {**where, "changes": dict(changes)}, _key(changes))
        return self._deployment(spec)


def _steps(rollouts: Rollouts) -> list[tuple[int, int, int]]:
    changes = zip(rollouts.replicas, rollouts.replicas[1:], strict=False)
    return [(at, before, after) for (_, before), (at, after) in changes]


def _key(changes: Mapping[str, Any]) -> str:
    """The caller's own key, which it leaves in an annotation whose name ends in `/key`."""
    for place in (changes.get("annotations"), (changes.get("template") or {}).get("annotations")):
        for name, value in (place or {}).items():
            if name.endswith("/key") and value:
                return str(value)
    return ""
