"""Requests through the platform: traffic, contention, queues, time-outs, retries, memory. Arrays are (slots, steps)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agent.lab.scenario import (
    AnyEffect,
    ChronicThrottling,
    Contention,
    Deploy,
    Hang,
    Scenario,
    SlowConsumer,
    Surge,
    fixed,
)
from agent.lab.world import queueing
from agent.lab.world.noise import DAY_MS, STEP_MS, Array, Grid, Mask, Reals
from agent.lab.world.platform import QUEUE_WORKER, SERVICES, ServiceSpec
from agent.lab.world.pods import FOREVER, Rollouts

MINUTE_MS = 60_000
RESTART_S = 25  # from an out-of-memory kill until the process answers again
PEAK_RATE = 55.0  # requests a second at web, weekday afternoon
GIVE_UP_S = 8.0  # longest a request stands in a queue before its caller hangs up
BASE_ERRORS = 0.0015


@dataclass(frozen=True)
class Flow:
    """What one service went through. `arrivals` per slot and second with retries; `failing` share of answers that are 5xx."""

    spec: ServiceSpec
    rollouts: Rollouts
    ready: Mask
    arrivals: Array
    work: Array  # seconds of CPU a request costs
    busy: Array  # utilisation of the CPU limit
    throttled: Array
    latency: queueing.Latency
    failing: Array
    memory: Array  # bytes; NaN where no process runs
    oom: Mask  # steps at which a process was killed for memory
    deps: tuple[tuple[float, Flow], ...] = field(default=())
    _beyond: dict[float, Reals] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def offered(self) -> Array:
        return np.asarray(self.arrivals.sum(axis=0))

    @cached_property
    def fail_share(self) -> Array:
        return self.average(self.failing)

    def average(self, values: Reals) -> Array:
        """Mean over slots, weighted by traffic."""
        total = np.maximum(self.offered, 1e-9)
        return np.asarray((values * self.arrivals).sum(axis=0) / total)

    def beyond(self, bound: float) -> Reals:
        """Share of requests slower than a bound, per slot: own time, or that of a dependency that was called."""
        if bound not in self._beyond:
            self._beyond[bound] = self._slower(bound)
        return self._beyond[bound]

    def _slower(self, bound: float) -> Reals:
        fast: Reals = 1 - self.latency.beyond(bound)
        for calls, flow in self.deps:
            left = bound - self.spec.cpu_s - self.spec.other_s
            if left > 0:
                fast = fast * (1 - min(calls, 1.0) * flow.slow(left))
        return np.asarray(1 - fast)

    def slow(self, bound: float) -> Array:
        return self.average(self.beyond(bound))


def traffic(scenario: Scenario, grid: Grid, spec: ServiceSpec, cluster: str, usual: bool = False) -> Array:
    """Requests a second at a service: daily and weekly harmonics with AR(1) and heavy-tailed noise, and surges."""
    hour, day = grid.hours % 24, grid.hours / 24
    daily = 1 + 0.42 * np.cos(2 * np.pi * (hour - 15) / 24) + 0.10 * np.cos(4 * np.pi * (hour - 13) / 24)
    weekly = 1 + 0.06 * np.cos(2 * np.pi * (day - 5.5) / 7)
    rate = PEAK_RATE / 1.52 * fixed(scenario.traffic) * spec.share * daily * weekly
    if usual:
        return rate
    everyone = 0.04 * grid.slow("traffic", cluster)
    own = 0.02 * grid.slow("traffic", cluster, spec.name, hours=0.5) + 0.015 * grid.heavy("burst", cluster, spec.name)
    rate = rate * np.exp(np.clip(everyone + own, -0.5, 0.5))
    for effect in scenario.all_effects:
        if isinstance(effect, Surge) and spec.visitors and scenario.cluster_of(effect) == cluster:
            rate = rate * (1 + (fixed(effect.factor) - 1) * _surge(effect, grid))
    return rate


def _surge(effect: Surge, grid: Grid) -> Array:
    over = fixed(effect.over_minutes) * MINUTE_MS
    since = grid.start_ms - fixed(effect.minutes) * MINUTE_MS
    lasts = None if effect.lasts_minutes is None else fixed(effect.lasts_minutes) * MINUTE_MS
    risen = grid.ramp(since, over, None if lasts is None else since + lasts)
    if effect.weekly:
        before = since - 7 * DAY_MS
        risen = np.maximum(risen, grid.ramp(before, over, before + (lasts or 4 * 3_600_000)))
    return risen


def flows(
    scenario: Scenario, grid: Grid, cluster: str, rollouts: Mapping[str, Rollouts], earlier: Mapping[str, Flow]
) -> dict[str, Flow]:
    """Every service of a cluster, those that are called before those that call. Of `earlier` flows on the same grid those
    are kept that nothing has changed for."""
    found: dict[str, Flow] = {}
    for spec in SERVICES:
        if spec.name not in rollouts:
            continue
        deps = tuple((calls, found[peer]) for peer, calls in spec.calls if peer in found)
        old, mine = earlier.get(spec.name), rollouts[spec.name]
        same = (
            old is not None and old.rollouts == mine and all(a[1] is b[1] for a, b in zip(old.deps, deps, strict=True))
        )
        found[spec.name] = old if old is not None and same else _flow(scenario, grid, cluster, spec, mine, deps)
    return found


def _flow(
    scenario: Scenario,
    grid: Grid,
    cluster: str,
    spec: ServiceSpec,
    rollouts: Rollouts,
    deps: tuple[tuple[float, Flow], ...],
) -> Flow:
    here = [e for e in scenario.all_effects if scenario.cluster_of(e) == cluster]
    mine = [e for e in here if _aims_at(e) == spec.name]
    images = {f"{spec.image}:{e.version}": e for e in mine if isinstance(e, Deploy)}
    memory, oom, ready = _processes(grid, spec, rollouts, images)
    effects = _by_image(grid, rollouts, images)
    work = spec.cpu_s * effects["cpu"] * (1 + _contention(scenario, grid, cluster, spec, rollouts, mine))
    usual = BASE_ERRORS * np.exp(np.clip(0.4 * grid.heavy("errors", cluster, spec.name), -2, 2))
    failing = 1 - (1 - usual) * (1 - effects["errors"]) * (1 - _hang(grid, rollouts, mine))
    fails = np.zeros(grid.steps)
    for calls, flow in deps:
        fails = 1 - (1 - fails) * (1 - flow.fail_share**2 * min(calls, 2.0))  # one retry each
    failing = 1 - (1 - failing) * (1 - np.clip(fails, 0, 1))
    offered = traffic(scenario, grid, spec, cluster)
    serving = np.maximum(ready.sum(axis=0), 1)
    other = spec.other_s + effects["slow"]
    for calls, dep in deps:
        other = other + min(calls, 1.0) * dep.average(dep.latency.median)
    arrivals = np.where(ready, offered / serving, 0.0)
    once = _queue(grid, spec, rollouts, ready, arrivals, work, other, failing, memory, oom, deps)
    many = once.fail_share > 0.02
    if spec.name == QUEUE_WORKER or not many.any():
        return once  # what comes out of a queue is taken once
    # callers try a failed request once more, which is load again
    arrivals = arrivals * (1 + np.where(many, np.minimum(once.fail_share, 0.8), 0.0))
    return _queue(grid, spec, rollouts, ready, arrivals, work, other, failing, memory, oom, deps)


def _aims_at(effect: AnyEffect) -> str:
    return QUEUE_WORKER if isinstance(effect, SlowConsumer) else getattr(effect, "service", "")


def _queue(
    grid: Grid,
    spec: ServiceSpec,
    rollouts: Rollouts,
    ready: Mask,
    arrivals: Array,
    work: Array,
    other: Array,
    failing: Array,
    memory: Array,
    oom: Mask,
    deps: tuple[tuple[float, Flow], ...],
) -> Flow:
    servers = max(1, round(spec.cpu_limit))
    busy = queueing.utilisation(arrivals, work, spec.cpu_limit)
    capacity = spec.cpu_limit / work
    waiting = queueing.backlog(arrivals, capacity, GIVE_UP_S * capacity)
    steady = np.minimum(busy, queueing.SATURATED)
    wait = work * max(1.0, spec.cpu_limit / servers) / servers / (1 - steady)
    waits = np.where(waiting > 0, 1.0, queueing.erlang_c(steady, servers))
    single = [np.asarray(part, np.float32) for part in (work + other, waits, wait, waiting / capacity)]
    latency = queueing.Latency(*single)
    late = latency.beyond(spec.timeout_s)
    return Flow(
        spec,
        rollouts,
        ready,
        arrivals,
        work,
        np.minimum(busy, 1.0),
        queueing.throttled_share(arrivals, work, spec.cpu_limit),
        latency,
        1 - (1 - failing) * (1 - late),
        memory,
        oom,
        deps,
    )


def _contention(
    scenario: Scenario, grid: Grid, cluster: str, spec: ServiceSpec, rollouts: Rollouts, mine: Sequence[object]
) -> Array:
    """How much dearer a request is on the CPU, per slot: a neighbour's load on the node, and noise that nodes share."""
    share = np.zeros((rollouts.slots, grid.steps))
    for slot in range(rollouts.slots):
        share[slot] = 0.05 * np.abs(grid.heavy("node", cluster, slot % 4))
    usual = traffic(scenario, grid, spec, cluster, usual=True)
    base = usual * spec.cpu_s / spec.cpu_limit / rollouts.replicas[0][1]
    at = grid.index(grid.start_ms)
    for effect in mine:
        if isinstance(effect, Contention):
            since = grid.start_ms - fixed(effect.minutes) * MINUTE_MS
            until = None if effect.lasts_minutes is None else since + fixed(effect.lasts_minutes) * MINUTE_MS
            more = max(fixed(effect.utilisation) / float(base[min(at, grid.steps - 1)]) - 1, 0.0)
            for slot in range(min(rollouts.slots, rollouts.replicas[0][1])):
                onset = since + 20_000 * slot
                share[slot] += more * grid.ramp(onset, fixed(effect.over_minutes) * MINUTE_MS, until)
        elif isinstance(effect, ChronicThrottling):
            share += max(fixed(effect.utilisation) / float(base.max()) - 1, 0.0)
        elif isinstance(effect, SlowConsumer):
            since = grid.start_ms - fixed(effect.minutes) * MINUTE_MS
            share += (fixed(effect.factor) - 1) * grid.ramp(since, 2 * MINUTE_MS)
    return share


def _hang(grid: Grid, rollouts: Rollouts, mine: Sequence[object]) -> Array:
    """Share of requests a hanging process fails, per slot; a process started afterwards is well."""
    share = np.zeros((rollouts.slots, grid.steps))
    for effect in mine:
        if not isinstance(effect, Hang):
            continue
        since = grid.start_ms - fixed(effect.minutes) * MINUTE_MS
        until = FOREVER if effect.lasts_minutes is None else since + fixed(effect.lasts_minutes) * MINUTE_MS
        for life in rollouts.lives:
            if effect.heals_on_restart and life.start_ms > since:
                continue
            begin, end = grid.index(max(life.start_ms, since + 15_000 * life.slot)), _end(grid, min(life.end_ms, until))
            share[life.slot, begin:end] = np.maximum(share[life.slot, begin:end], fixed(effect.share))
    return share


def _end(grid: Grid, at_ms: float) -> int:
    return grid.steps if at_ms == FOREVER else grid.index(at_ms)


def _by_image(grid: Grid, rollouts: Rollouts, images: Mapping[str, Deploy]) -> dict[str, Array]:
    shape = (rollouts.slots, grid.steps)
    found = {"cpu": np.ones(shape), "errors": np.zeros(shape), "slow": np.zeros(shape)}
    for life in rollouts.lives:
        deploy = images.get(life.image)
        if deploy is None or life.ready_ms == FOREVER:
            continue
        span = slice(grid.index(life.ready_ms), _end(grid, life.end_ms))
        found["cpu"][life.slot, span] = fixed(deploy.cpu_factor)
        found["errors"][life.slot, span] = fixed(deploy.error_share)
        found["slow"][life.slot, span] = fixed(deploy.slow_s)
    return found


def _processes(
    grid: Grid, spec: ServiceSpec, rollouts: Rollouts, images: Mapping[str, Deploy]
) -> tuple[Array, Mask, Mask]:
    """Memory, kills and readiness per slot. A leak grows evenly until the limit; the kernel kills, the kubelet restarts."""
    shape = (rollouts.slots, grid.steps)
    memory, oom, ready = np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
    limit, base = spec.memory_limit_mib * float(1 << 20), spec.memory_mib * float(1 << 20)
    for life in rollouts.lives:
        span = slice(grid.index(life.start_ms), _end(grid, life.end_ms))
        age = np.maximum(grid.times[span] - life.start_ms, 0.0)
        # caches warm up over some ten minutes
        used = base * (0.82 + 0.18 * (1 - np.exp(-age / 600_000)))
        used = used * (1 + 0.012 * grid.slow("memory", rollouts.cluster, spec.name, life.slot)[span])
        well = (grid.times[span] >= life.ready_ms) & (life.ready_ms != FOREVER)
        deploy = images.get(life.image)
        if deploy is not None and fixed(deploy.leak_full_minutes) > 0:
            full = fixed(deploy.leak_full_minutes) * MINUTE_MS * (1 + 0.07 * (life.slot % 3))
            part = (age % full) / full
            used = np.minimum(used * (1 - part) + limit * part, limit)
            kills = np.floor(age / full)
            oom[life.slot, span] = np.diff(kills, prepend=0.0) > 0
            well &= ~((age % full < RESTART_S * 1000) & (kills > 0))
        memory[life.slot, span] = used
        ready[life.slot, span] |= well
    return memory, oom, ready


def queue_levels(grid: Grid, worker: Flow) -> tuple[Array, Array]:
    """Orders waiting and the age of the oldest, from what comes in and what the workers can do (fluid queue)."""
    capacity = np.where(worker.ready, worker.spec.cpu_limit / worker.work, 0.0).sum(axis=0)
    came = worker.offered * (STEP_MS / 1000)
    net = came - capacity * (STEP_MS / 1000)
    total = np.cumsum(net)
    level = total - np.minimum(np.minimum.accumulate(total), 0.0)
    depth = level + worker.offered * 0.4
    return depth, depth / np.maximum(np.minimum(capacity, worker.offered), 0.1)
