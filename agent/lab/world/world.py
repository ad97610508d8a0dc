"""The world at the present: a simulation cut at now, and the one place where changes enter it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agent.lab.ports import Series
from agent.lab.scenario import Scenario
from agent.lab.world.frame import Frame, PodTarget
from agent.lab.world.load import Flow
from agent.lab.world.metrics import METRICS
from agent.lab.world.noise import HISTORY_STEPS, STEP_MS
from agent.lab.world.platform import MODEL
from agent.lab.world.simulation import Applied, Simulation

AHEAD_STEPS = 480  # how far a simulation reaches at first: four hours after the start
AHEAD_MOST = 7 * 2880


class World:
    """Implements `ports.Samples`. `scenario` is drawn; `keep` makes a change durable before it takes effect."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        start_ms: int,
        now_ms: Callable[[], int],
        applied: Sequence[Applied] = (),
        keep: Callable[[Applied], None] = lambda change: None,
    ) -> None:
        self.scenario, self.seed, self.start_ms = scenario, seed, start_ms
        self.now_ms = now_ms
        self._keep = keep
        self._ahead = AHEAD_STEPS
        self._frame = Frame(self._simulate(tuple(applied), {}))
        self._full: dict[str, list[Series]] = {}
        self._shown: dict[str, list[Series]] = {}
        self._shown_at = -1

    def _simulate(self, applied: tuple[Applied, ...], kept: Mapping[str, Mapping[str, Flow]]) -> Simulation:
        steps = HISTORY_STEPS + self._ahead
        return Simulation(self.scenario, self.seed, self.start_ms, steps, applied, kept)

    @property
    def sim(self) -> Simulation:
        """The simulation, reaching past now."""
        return self.frame.sim

    @property
    def frame(self) -> Frame:
        while self.now_ms() >= self._frame.sim.end_ms - STEP_MS * 10:
            self._ahead = min(self._ahead * 2, self._ahead + AHEAD_MOST)
            self._renew(self._simulate(self._frame.sim.applied, {}))
        return self._frame

    def _renew(self, sim: Simulation) -> None:
        self._frame = Frame(sim, self._unchanged(sim))
        self._full.clear()
        self._shown.clear()

    def _unchanged(self, sim: Simulation) -> Sequence[PodTarget]:
        """Pods whose series may stay; those of the model's serving go where another version is served from now on."""
        old = self._frame
        if sim.steps != old.sim.steps:
            return ()
        return [pod for pod in old.pods if pod.spec.name != MODEL or sim.served == old.sim.served]

    def change(self, kind: str, data: Mapping[str, Any], key: str = "") -> Applied:
        """Something changes now. Kept durably first; what lies before now stays as it was."""
        before = self.sim.applied
        change = Applied(key or f"{kind}-{len(before) + 1}", self.now_ms(), kind, data)
        self._keep(change)
        self._renew(self._simulate((*before, change), self.sim.flows))
        return change

    @property
    def applied(self) -> tuple[Applied, ...]:
        return self._frame.sim.applied

    def names(self) -> Sequence[str]:
        return sorted(METRICS)

    def metadata(self) -> Mapping[str, tuple[str, str]]:
        bases = {
            name: name.rpartition("_")[0] if kind == "histogram" else name for name, (kind, _, _) in METRICS.items()
        }
        return {bases[name]: (kind, words) for name, (kind, words, _) in METRICS.items()}

    def series(self, name: str | None = None) -> Sequence[Series]:
        """Up to now. A name nobody knows has no series."""
        if name is None:
            return [one for each in self.names() for one in self.series(each)]
        if name not in METRICS:
            return []
        frame, now = self.frame, self.now_ms()
        if now != self._shown_at:
            self._shown.clear()
            self._shown_at = now
        if name not in self._shown:
            if name not in self._full:
                self._full[name] = list(METRICS[name][2](frame))
            self._shown[name] = [cut for one in self._full[name] if len((cut := _until(one, now)).times)]
        return self._shown[name]


def _until(series: Series, now_ms: int) -> Series:
    last = int(np.searchsorted(series.times, now_ms, side="right"))
    return series if last == len(series.times) else Series(series.labels, series.times[:last], series.values[:last])
