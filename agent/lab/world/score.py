"""How bad it was, for scores: nothing here is shown to any reasoner."""

from __future__ import annotations

import numpy as np

from agent.lab.scenario import Scenario, fixed
from agent.lab.world.world import World


def onset_ms(scenario: Scenario, start_ms: int) -> int:
    """When the earliest of the scenario's own effects began; those without a beginning count from the start."""
    minutes = [fixed(effect.minutes) for effect in scenario.effects if hasattr(effect, "minutes")]
    return start_ms - int(max(minutes, default=0.0) * 60_000)


def harm(world: World, since_ms: int) -> float:
    """Share of requests since then that failed or took longer than their time-out, less the share of the day before."""
    grid = world.sim.grid
    first, last = grid.index(since_ms), max(grid.index(world.now_ms()), grid.index(since_ms) + 1)
    bad = total = usual = before = 0.0
    for flows in world.sim.flows.values():
        for flow in flows.values():
            now, day = slice(first, last), slice(max(0, first - 2880), first)
            bad += float((flow.fail_share[now] * flow.offered[now]).sum())
            total += float(flow.offered[now].sum())
            usual += float((flow.fail_share[day] * flow.offered[day]).sum())
            before += float(flow.offered[day].sum())
    return float(np.maximum(bad / max(total, 1.0) - usual / max(before, 1.0), 0.0))
