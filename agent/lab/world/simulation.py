"""The simulation: scenario, seed and applied changes go in, the whole platform's past and near future come out.

Nothing here knows the present. Whoever asks cuts at now; what an applied change alters lies after its own time only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from agent.lab.scenario import Deploy, PinnedServing, Scenario, fixed
from agent.lab.world import learning, load
from agent.lab.world.noise import DAY_MS, HISTORY_STEPS, Array, Grid, generator
from agent.lab.world.platform import ALIAS, SERVICES, ServiceSpec
from agent.lab.world.pods import Life, Order, Origin, Rollouts, unroll

SECOND_CLUSTER = ("web", "demand-forecast", "feature-pipeline")  # what runs in every further cluster
TRAIN_MS, PROMOTE_MS = 8 * 60_000, 9 * 60_000
POLL_MS = 60_000  # how often serving asks the registry which version the alias means


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that somebody made in the lab. `key` is the caller's idempotency key, or one of ours."""

    key: str
    at_ms: int
    kind: str  # deployment | alias | alias_deleted | retraining | silence | silence_expired
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    number: str
    at_ms: int
    data_version: str
    wape: float  # on its own held-out data
    by: str = "training-pipeline"


@dataclass(frozen=True)
class Simulation:
    """Built lazily, part by part. `steps` is how far it reaches."""

    scenario: Scenario  # drawn
    seed: int
    start_ms: int
    steps: int
    applied: tuple[Applied, ...] = field(default=())
    # flows of a simulation of the same length, of which those are taken over that no change has altered
    kept: Mapping[str, Mapping[str, load.Flow]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.seed, self.start_ms, self.steps)

    @property
    def end_ms(self) -> int:
        return self.start_ms + (self.steps - HISTORY_STEPS) * 30_000

    def services(self, cluster: str) -> tuple[ServiceSpec, ...]:
        if cluster == self.scenario.clusters[0]:
            return SERVICES
        return tuple(spec for spec in SERVICES if spec.name in SECOND_CLUSTER)

    @cached_property
    def rollouts(self) -> Mapping[str, Mapping[str, Rollouts]]:
        """By cluster and service."""
        return {c: {s.name: self._rollouts(c, s) for s in self.services(c)} for c in self.scenario.clusters}

    def _rollouts(self, cluster: str, spec: ServiceSpec) -> Rollouts:
        ago = generator(self.seed, "age", cluster, spec.name).uniform(9, 24)
        env = {"LOG_LEVEL": "info"}
        if spec.name == "demand-forecast":
            env["MODEL_URI"] = "models:/demand-forecast" + (
                f"/{self._pinned_version()}" if self.pinned else "@champion"
            )
        origin = Origin(
            self.seed,
            cluster,
            spec.deployment,
            spec.namespace,
            spec.replicas,
            f"{spec.image}:{spec.version}",
            self.grid.first_ms,
            self.start_ms - int(ago * DAY_MS),
            env,
        )
        deploys = [e for e in self.scenario.all_effects if isinstance(e, Deploy)]
        mine = [e for e in deploys if e.service == spec.name and self.scenario.cluster_of(e) == cluster]
        crashing = {f"{spec.image}:{e.version}" for e in mine if e.crash}
        orders = [self._deployed(e, spec) for e in mine]
        for change in self.applied:
            where = (change.data.get("cluster"), change.data.get("namespace"), change.data.get("name"))
            if change.kind == "deployment" and where == (cluster, spec.namespace, spec.deployment):
                wanted = change.data["changes"]
                orders.append(
                    Order(change.at_ms, wanted.get("replicas"), wanted.get("template"), wanted.get("annotations"))
                )
        return unroll(origin, orders, lambda image: image in crashing)

    def _deployed(self, effect: Deploy, spec: ServiceSpec) -> Order:
        at_ms = self.start_ms - int(fixed(effect.minutes) * 60_000)
        template = {
            "image": f"{spec.image}:{effect.version}",
            "change_cause": effect.cause,
            "annotations": {"deployed-by": effect.by},
        }
        return Order(at_ms, template=template)

    @cached_property
    def flows(self) -> Mapping[str, Mapping[str, load.Flow]]:
        """By cluster and service."""
        return {
            c: load.flows(self.scenario, self.grid, c, self.rollouts[c], self.kept.get(c, {}))
            for c in self.scenario.clusters
        }

    # The registry and what serving makes of it

    @cached_property
    def versions(self) -> tuple[ModelVersion, ...]:
        """Registered versions, oldest first, with when they came."""
        found = []
        for number in range(1, 5):
            ago = (5 - number) * 11 + generator(self.seed, "trained", number).uniform(0, 3)
            at_ms = self.start_ms - int(ago * DAY_MS)
            found.append(ModelVersion(str(number), at_ms, _data_version(at_ms), 0.10 + 0.004 * (5 - number)))
        for effect in learning.promotions(self.scenario):
            at_ms = self.start_ms - int(fixed(effect.minutes) * 60_000)
            found.append(ModelVersion(str(len(found) + 1), at_ms, _data_version(at_ms), 0.097, effect.by))
        for change in self.applied:
            if change.kind == "retraining":
                at_ms = change.at_ms + TRAIN_MS
                version = str(change.data.get("data_version") or _data_version(at_ms))
                found.append(ModelVersion(str(len(found) + 1), at_ms, version, 0.098))
        return tuple(found)

    @cached_property
    def aliases(self) -> tuple[tuple[int, str], ...]:
        """What `champion` meant from when on; "" after the alias was deleted."""
        moved = [
            (change.at_ms, str(change.data.get("version", "")))
            for change in self.applied
            if change.kind in ("alias", "alias_deleted") and change.data["alias"] == ALIAS
        ]
        retrained = self._retrained()
        trained = [(v.at_ms + PROMOTE_MS - TRAIN_MS, v.number) for v in self.versions if v.number in retrained]
        return tuple(sorted([*self._promoted, *moved, *trained], key=lambda entry: entry[0]))

    @cached_property
    def _promoted(self) -> tuple[tuple[int, str], ...]:
        """As the scenario has it, before anybody acted."""
        own = self.versions[4 : 4 + len(learning.promotions(self.scenario))]
        return ((self.versions[3].at_ms + PROMOTE_MS, "4"), *((version.at_ms, version.number) for version in own))

    @property
    def pinned(self) -> bool:
        return any(isinstance(e, PinnedServing) for e in self.scenario.all_effects)

    def _pinned_version(self) -> str:
        return self.versions[3 + len(learning.promotions(self.scenario))].number

    @cached_property
    def served(self) -> tuple[tuple[float, str], ...]:
        """What serving runs from when on; follows the alias unless it is pinned."""
        moves = list(self._promoted) if self.pinned else [(at, v) for at, v in self.aliases if v]
        return tuple((float(at + POLL_MS // 2), version) for at, version in moves)

    def served_by(self, life: Life) -> list[tuple[float, str]]:
        """What one pod runs from when on: it asks once a minute, each at its own second."""
        own = generator(self.seed, "poll", life.name).uniform(0, POLL_MS)
        found: list[tuple[float, str]] = []
        for at_ms, version in self.served:
            moved = at_ms - POLL_MS // 2
            seen = moved + (own - moved) % POLL_MS
            when = max(life.start_ms, seen)
            if found and found[-1][0] == when:
                found.pop()
            found.append((when, version))
        return found

    @cached_property
    def learning(self) -> learning.Learning:
        return learning.learn(self.scenario, self.grid, self.served, self.seed, self._retrained())

    def _retrained(self) -> Mapping[str, int]:
        """Versions that came out of a request for retraining, and when their data ended."""
        asked = [c.at_ms + TRAIN_MS for c in self.applied if c.kind == "retraining"]
        return {v.number: v.at_ms for v in self.versions if v.at_ms in asked}

    @cached_property
    def psi(self) -> Mapping[str, Array]:
        return learning.psi(self.learning)


def _data_version(at_ms: int) -> str:
    """The dated snapshot a training run took: the night before."""
    night = datetime.fromtimestamp((at_ms - DAY_MS) / 1000, UTC)
    return f"sales-{night:%Y-%m-%d}"
