"""How a first look grows with the platform: `python -m tests.bench_platform [SERVICES …]` (default: 100 2000).

A real Prometheus, back-filled: each service has requests, latencies, CPU, restarts and targets as client libraries, cAdvisor
and kube-state-metrics write them; calls are told by a service graph. The front calls the last service of the alphabet among
sixty others, and that one fails. Told: queries, bytes and seconds of the map, of the read `signal` and of `rank_suspects`,
and on which place the culprit stands.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from agent.platform.knowledge import Knowledge
from tests.conftest import need
from tests.contexts import context
from tests.real_prometheus import start
from tools.context import Backend, Context, Subject
from tools.signals.signal import signal
from tools.signals.suspects import rank_suspects

END = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
STEP, LENGTH, TROUBLE, MOST_CALLS = 60, 4 * 3600, 15 * 60, 60
Line = tuple[str, Callable[[int], float]]


def names(services: int) -> list[str]:
    return ["front", *(f"svc-{n:04}" for n in range(services - 2)), "zz-last"]


def calls(services: list[str]) -> list[tuple[str, str]]:
    rng = np.random.default_rng(7)
    behind = [(services[i], services[int(rng.integers(i + 1, len(services) - 1))]) for i in range(1, len(services) - 2)]
    return [*(("front", one) for one in [*services[1:MOST_CALLS], "zz-last"]), *behind]


def lines(services: list[str]) -> Iterator[tuple[str, str, list[Line]]]:
    """Family, type and its series."""
    bad = {"front", "zz-last"}

    def good(name: str) -> Callable[[int], float]:
        return lambda t: 10.0 * t - (5.0 * max(0, t - LENGTH + TROUBLE) if name in bad else 0)

    def failed(name: str) -> Callable[[int], float]:
        return lambda t: 5.0 * max(0, t - LENGTH + TROUBLE) if name in bad else 0.0

    place = {
        name: f'job="{name}",instance="10.0.{n // 250}.{n % 250}:8080",namespace="shop"'
        for n, name in enumerate(services)
    }
    pod = {name: f"{name}-6c9f7b5d4-x7zq4" for name in services}
    kubelet = {name: f'job="kubelet",namespace="shop",pod="{pod[name]}",container="app"' for name in services}
    state = {name: f'job="kube-state-metrics",namespace="shop",pod="{pod[name]}"' for name in services}
    yield "up", "gauge", [(f"up{{{place[name]}}}", lambda t: 1) for name in services]
    yield (
        "http_requests",
        "counter",
        [
            one
            for name in services
            for one in (
                (f'http_requests_total{{{place[name]},code="200"}}', good(name)),
                (f'http_requests_total{{{place[name]},code="500"}}', failed(name)),
            )
        ],
    )
    yield (
        "http_request_duration_seconds_sum",
        "gauge",
        [(f"http_request_duration_seconds_sum{{{place[n]}}}", lambda t: 2.0 * t) for n in services],
    )
    yield (
        "http_request_duration_seconds_count",
        "gauge",
        [(f"http_request_duration_seconds_count{{{place[n]}}}", lambda t: 10.0 * t) for n in services],
    )
    yield (
        "container_cpu_usage_seconds",
        "counter",
        [(f"container_cpu_usage_seconds_total{{{kubelet[n]}}}", lambda t: 0.2 * t) for n in services],
    )
    yield (
        "container_memory_working_set_bytes",
        "gauge",
        [(f"container_memory_working_set_bytes{{{kubelet[n]}}}", lambda t: 2e8) for n in services],
    )
    yield (
        "kube_pod_container_status_restarts",
        "counter",
        [(f'kube_pod_container_status_restarts_total{{{state[n]},container="app"}}', lambda t: 0) for n in services],
    )
    yield (
        "kube_pod_info",
        "gauge",
        [
            (
                f'kube_pod_info{{{state[n]},node="node-{i % 40}",created_by_kind="ReplicaSet",created_by_name="{n}-6c9f7b5d4"}}',
                lambda t: 1,
            )
            for i, n in enumerate(services)
        ],
    )
    yield (
        "kube_replicaset_owner",
        "gauge",
        [
            (
                f'kube_replicaset_owner{{job="kube-state-metrics",namespace="shop",replicaset="{n}-6c9f7b5d4",owner_kind="Deployment",owner_name="{n}"}}',
                lambda t: 1,
            )
            for n in services
        ],
    )
    yield (
        "traces_service_graph_request",
        "counter",
        [
            (f'traces_service_graph_request_total{{client="{one}",server="{other}",job="tempo"}}', lambda t: 10.0 * t)
            for one, other in calls(services)
        ],
    )


def history(services: list[str]) -> str:
    told = []
    for family, kind, series in lines(services):
        told.append(f"# TYPE {family} {kind}")
        for name, value in series:
            told += [f"{name} {value(t)} {END - LENGTH + t}" for t in range(0, LENGTH + 1, STEP)]
    return "\n".join([*told, "# EOF", ""])


async def measured(address: str) -> None:
    queries, sizes = [0], [0]

    async def note(response: httpx.Response) -> None:
        queries[0] += 1
        sizes[0] += len(await response.aread())

    async def step(what: str, doing: Callable[[], object]) -> object:
        queries[0], sizes[0] = 0, 0
        began, spent = time.perf_counter(), time.process_time()
        done = await doing()  # type: ignore[misc]
        took = f"{time.perf_counter() - began:5.1f} s, of which {time.process_time() - spent:4.1f} s CPU of ours"
        print(f"  {what:14} {queries[0]:4} queries {sizes[0] / 1e6:7.2f} MB {took}", flush=True)
        return done

    async with httpx.AsyncClient(base_url=address, timeout=60, event_hooks={"response": [note]}) as http:
        made = context(Backend("prometheus", "main", address, http), as_of=datetime.fromtimestamp(END, UTC))
        knowledge = Knowledge()
        await step("map", lambda: knowledge.refresh(made, 60))
        platform = knowledge.of(made.catalog)
        known: Context = replace(made, subjects=(Subject("Service", "", "shop", "front"),), platform=platform)
        told = await step("signal", lambda: signal(known))
        ranked = await step("rank_suspects", lambda: rank_suspects(known, service="front"))
        seen = {one["subject"]["name"] for one in told.data["readings"]}  # type: ignore[attr-defined]
        order = [one["service"] for one in ranked.data["suspects"]]  # type: ignore[attr-defined]
        place = [n for n, name in enumerate(order, 1) if "zz-last" in name]
        print(
            f"  the culprit, last in the alphabet: {'seen' if 'zz-last' in seen else 'not seen'} by signal, place {place} of {len(order)}"
        )


def main() -> None:
    for services in [int(one) for one in sys.argv[1:]] or [100, 2000]:
        with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            probe.close()
            print(f"{services} services", flush=True)
            server, address = start(
                need("prometheus", "prometheus"),
                need("promtool", "prometheus"),
                Path(folder),
                port,
                history(names(services)),
            )
            asyncio.run(measured(address))
            server.terminate()
            server.wait(timeout=30)


if __name__ == "__main__":
    main()
