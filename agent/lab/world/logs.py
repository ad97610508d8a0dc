"""Log lines that services write, made on demand: the same lines for the same pod and step, whenever asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from agent.lab.world.learning import BUCKET_MS, FEATURES, NIGHTLY, feature_written_ms
from agent.lab.world.load import Flow
from agent.lab.world.noise import STEP_MS, generator
from agent.lab.world.pods import FOREVER, Life
from agent.lab.world.simulation import Simulation

MOST_STEPS = 2880  # a day of steps is as much as one question is answered for
PATHS = {
    "web": "/",
    "checkout": "/cart/pay",
    "payments": "/charges",
    "catalog-db": "query items_by_sku",
    "demand-forecast": "/v1/forecast",
    "feature-pipeline": "/features/online",
    "inventory-planner": "/plan",
    "order-worker": "orders",
}


def pod_lines(
    sim: Simulation, cluster: str, flow: Flow, life: Life, since_ms: int, until_ms: int, limit: int
) -> Sequence[tuple[int, str]]:
    """The newest lines of a pod within a window, oldest first, as (milliseconds, text)."""
    first = max(since_ms, int(life.start_ms), until_ms - MOST_STEPS * STEP_MS)
    last = min(until_ms, int(min(life.end_ms, until_ms)))
    found: list[tuple[int, str]] = []
    step = (last - sim.grid.first_ms) // STEP_MS
    while len(found) < limit and step >= 0 and sim.grid.first_ms + step * STEP_MS > first - STEP_MS:
        lines = [(at, text) for at, text in _step_lines(sim, cluster, flow, life, int(step)) if first <= at <= last]
        found = lines + found
        step -= 1
    return found[-limit:] if limit else []


def _step_lines(sim: Simulation, cluster: str, flow: Flow, life: Life, step: int) -> list[tuple[int, str]]:
    if step >= sim.grid.steps:
        return []
    rng = generator(sim.seed, "log", life.name, step)
    begin = int(sim.grid.times[step])
    texts = list(_texts(sim, flow, life, step, rng))
    offsets = np.sort(rng.integers(0, STEP_MS, len(texts)))
    return [(begin + int(offset), text) for offset, text in zip(offsets, texts, strict=True)]


def _texts(sim: Simulation, flow: Flow, life: Life, step: int, rng: np.random.Generator) -> Iterator[str]:
    spec, slot = flow.spec, life.slot
    if life.crashes:
        yield 'level=info msg="starting" version=' + life.image.rpartition(":")[2]
        yield 'level=fatal msg="cannot parse configuration: unknown key" key=pool.max_idle_conns line=14'
        return
    if life.start_ms <= sim.grid.times[step] < life.start_ms + STEP_MS:
        yield f'level=info msg="listening" port=8080 version={life.image.rpartition(":")[2]}'
    if flow.oom[slot, step]:
        yield 'level=info msg="listening" port=8080 recovered=true'
    if not flow.ready[slot, step]:
        return
    rate, path = float(flow.arrivals[slot, step]) * STEP_MS / 1000, PATHS[spec.name]
    typical = float(flow.latency.median[slot, step]) * 1000
    for _ in range(2):
        took = typical * float(rng.lognormal(0, 0.4))
        yield f'level=info msg="request" path="{path}" status=200 duration_ms={took:.0f} trace={rng.integers(1 << 40):010x}'
    yield from _troubles(flow, slot, step, rate, rng)
    if spec.name == "feature-pipeline":
        yield from _features(sim, step)
    if spec.name == "demand-forecast":
        yield from _model_moves(sim, life, step)


def _troubles(flow: Flow, slot: int, step: int, rate: float, rng: np.random.Generator) -> Iterator[str]:
    spec, path = flow.spec, PATHS[flow.spec.name]
    late = float(flow.latency.beyond(spec.timeout_s)[slot, step])
    failing = max(float(flow.failing[slot, step]) - late, 0.0)
    for _ in range(min(int(rng.poisson(rate * late)), 4)):
        yield f'level=error msg="deadline exceeded" path="{path}" status=504 timeout_ms={spec.timeout_s * 1000:.0f} trace={rng.integers(1 << 40):010x}'
    for _ in range(min(int(rng.poisson(rate * failing)), 5)):
        bad = [peer for _, peer in flow.deps if float(peer.fail_share[step]) > 0.02]
        if bad:
            peer = bad[int(rng.integers(len(bad)))].spec.name
            yield f'level=error msg="upstream error" peer={peer} status=503 attempt=2 trace={rng.integers(1 << 40):010x}'
        else:
            yield f'level=error msg="{_reason(spec.name, failing)}" path="{path}" status=500 trace={rng.integers(1 << 40):010x}'
    if float(flow.throttled[slot, step]) > 0.2 and rng.random() < 0.3:
        yield f'level=warn msg="worker pool busy" queued={int(rng.integers(3, 30))}'
    used = float(flow.memory[slot, step]) / (spec.memory_limit_mib << 20)
    if used > 0.8 and rng.random() < 0.4:
        yield f'level=warn msg="gc could not free memory" heap_used_percent={used * 100:.0f}'


def _reason(service: str, failing: float) -> str:
    if failing < 0.02:
        return "client closed request early"
    return {
        "catalog-db": "could not obtain lock on relation items within 3000 ms",
        "payments": "no connection to provider: pool exhausted",
        "checkout": "TypeError: cannot read property 'amount' of undefined",
        "web": "template error: missing block 'basket'",
    }.get(service, "internal error: invalid state")


def _features(sim: Simulation, step: int) -> Iterator[str]:
    at = int(sim.grid.times[step])
    if at % 600_000 < STEP_MS:
        bucket = min((at - sim.grid.first_ms) // BUCKET_MS, sim.learning.buckets - 1)
        for place, feature in enumerate(FEATURES):
            share = float(sim.learning.missing[bucket, place])
            if share > 0.05:
                yield f'level=warn msg="null values written" feature={feature} share={share:.2f}'
        yield 'level=info msg="online features written" features=price,promo rows=64000'
    if at % 86_400_000 == 3 * 3_600_000:
        for feature in NIGHTLY:
            written = feature_written_ms(sim.scenario, sim.grid, feature, np.array([at]))[0]
            day = datetime.fromtimestamp((int(written) - 86_400_000) / 1000, UTC)
            yield f'level=info msg="nightly batch done" feature={feature} partition={day:%Y-%m-%d}'


def _model_moves(sim: Simulation, life: Life, step: int) -> Iterator[str]:
    begin = float(sim.grid.times[step])
    for since, version in sim.served_by(life):
        if begin <= since < begin + STEP_MS and life.end_ms == FOREVER:
            yield f'level=info msg="model loaded" model=demand-forecast version={version}'
