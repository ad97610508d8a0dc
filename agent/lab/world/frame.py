"""Who is scraped, when, and under which labels: the frame in which a simulation's arrays become series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias
from zlib import crc32

import numpy as np

from agent.lab.ports import Floats, Millis, Series
from agent.lab.world.load import Flow
from agent.lab.world.noise import STEP_MS, Grid, Mask, Reals
from agent.lab.world.platform import NODES, ServiceSpec
from agent.lab.world.pods import FOREVER, Life
from agent.lab.world.simulation import Simulation

Builder: TypeAlias = Callable[["Frame"], Iterable[Series]]
PodBuilder: TypeAlias = Callable[["PodTarget", "Frame"], Iterable[Series]]


@dataclass(frozen=True)
class PodTarget:
    """One pod as a scrape target: its labels, its slice of the steps, and at which of them a scrape succeeded."""

    cluster: str
    spec: ServiceSpec
    flow: Flow
    life: Life
    span: slice
    times: Millis  # one per step of the span
    scraped: Mask  # a scrape reached the process
    running: Mask  # the container ran (seen by the node's agent, whether or not the process answered)
    labels: Mapping[str, str]
    made: dict[str, tuple[Series, ...]] = field(default_factory=dict, compare=False, repr=False)

    def counter(self, rate: Reals, key: str) -> Floats:
        """A counter of whole events that starts with the process and falls to zero when that is killed."""
        # a process that is older than the history has counted already
        ahead = max(0.0, self._first - self.life.start_ms) / 1000 if self.span.start == 0 else 0.0
        head = float(rate[: 2880 * 2].mean()) * ahead if ahead else 0.0
        return self.reset(np.floor(np.cumsum(rate * (STEP_MS / 1000)) + head))

    def reset(self, total: Floats) -> Floats:
        for at in np.flatnonzero(self.flow.oom[self.life.slot, self.span]):
            total[at:] -= total[at]
        return total

    @property
    def _first(self) -> float:
        return float(self.times[0])

    def of(self, values: Reals) -> Reals:
        """This pod's part of a (slots, steps) array."""
        return values[self.life.slot, self.span]

    def series(self, name: str, values: Reals, extra: Mapping[str, str] | None = None) -> Series:
        """A series of the process itself: samples where a scrape succeeded."""
        labels = {"__name__": name, **self.labels, "job": self.spec.name, **(extra or {})}
        return Series(labels, self.times[self.scraped], np.asarray(values[self.scraped], float))

    def outside(self, name: str, values: Reals, job: str, extra: Mapping[str, str] | None = None) -> Series:
        """A series about the container that somebody else reports (cAdvisor, kube-state-metrics)."""
        labels = {"__name__": name, **self.labels, "job": job, **(extra or {})}
        return Series(labels, self.times[self.running], np.asarray(values[self.running], float))


class Frame:
    """Targets of a simulation, computed once."""

    def __init__(self, sim: Simulation, earlier: Sequence[PodTarget] = ()) -> None:
        self.sim = sim
        self._earlier = {(id(target.flow), target.life): target for target in earlier}

    @property
    def grid(self) -> Grid:
        return self.sim.grid

    @cached_property
    def pods(self) -> tuple[PodTarget, ...]:
        """Every pod there ever was. One whose service nothing has changed for is the earlier frame's, with its series."""
        return tuple(self._pods())

    def _pods(self) -> Iterator[PodTarget]:
        for cluster, flows in self.sim.flows.items():
            for flow in flows.values():
                gaps = [self.gaps(cluster, flow.spec.name, slot) for slot in range(flow.rollouts.slots)]
                for life in flow.rollouts.lives:
                    if (old := self._earlier.get((id(flow), life))) is not None:
                        yield old
                        continue
                    end = self.grid.steps if life.end_ms == FOREVER else self.grid.index(life.end_ms)
                    span = slice(self.grid.index(life.start_ms), end)
                    if span.start < span.stop:
                        yield self._pod(cluster, flow, life, span, gaps[life.slot][span])

    def _pod(self, cluster: str, flow: Flow, life: Life, span: slice, gap: Mask) -> PodTarget:
        times = self.grid.times[span] + crc32(life.name.encode()) % STEP_MS
        up = (times >= life.start_ms + 8000) & (not life.crashes)
        born = np.isfinite(flow.memory[life.slot, span])
        up = up & born & (flow.ready[life.slot, span] | (times < min(life.ready_ms, 9e15)))
        digits = crc32(f"{cluster}/{life.name}".encode())
        labels = {
            "cluster": cluster,
            "namespace": flow.spec.namespace,
            "service": flow.spec.name,
            "pod": life.name,
            "container": flow.spec.deployment,
            "instance": f"10.{digits % 32 + 8}.{digits // 32 % 250}.{digits // 8192 % 250 + 1}:8080",
            "node": life.node,
        }
        return PodTarget(cluster, flow.spec, flow, life, span, times, up & ~gap, born, labels)

    def gaps(self, *key: object) -> Mask:
        """Scrapes that failed: about one in two thousand begins a gap of one to four steps."""
        begins = self.grid.white("gap", *key)
        lost = begins > 3.3
        for reach, level in ((1, 3.4), (2, 3.6), (3, 3.9)):
            lost[reach:] |= begins[:-reach] > level
        return lost

    def services(self) -> Iterator[tuple[str, Flow]]:
        for cluster, flows in self.sim.flows.items():
            for flow in flows.values():
                yield cluster, flow

    def nodes(self) -> Iterator[tuple[str, int, str]]:
        """(cluster, place, node name)."""
        for cluster in self.sim.scenario.clusters:
            for place, node in enumerate(NODES):
                yield cluster, place, f"{cluster}-{node}"

    def times(self, target: str) -> Millis:
        """Scrape times of a target that is always there."""
        return self.grid.times + crc32(target.encode()) % STEP_MS

    def always(self, name: str, target: str, labels: Mapping[str, str], values: Floats) -> Series:
        """A series of such a target; NaN values are left out, as an exporter that has nothing to say leaves them out."""
        said = np.isfinite(values)
        times = self.times(target)
        full = {"__name__": name, **labels}
        return Series(full, times, values) if bool(said.all()) else Series(full, times[said], values[said])


def each_pod(build: PodBuilder) -> Builder:
    """A metric of pods: built once for each of them."""

    def every(frame: Frame) -> Iterator[Series]:
        for pod in frame.pods:
            if build.__name__ not in pod.made:
                pod.made[build.__name__] = tuple(build(pod, frame))
            yield from pod.made[build.__name__]

    return every
