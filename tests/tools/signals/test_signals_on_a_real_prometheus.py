"""Signals of a platform that nobody prepared for us, on a real Prometheus: right subject, right value, right time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from agent.platform.known import KnownPlatform
from tests.conftest import need
from tests.contexts import context
from tests.real_prometheus import AS_OF, END, Family, openmetrics, start, ticks
from tools.context import Backend, Context, Subject
from tools.errors import BadArguments
from tools.prometheus.client import prometheus
from tools.signals.dialects import shipped, signal_named
from tools.signals.readings import Reading
from tools.signals.signal import read_signals, server_of, signal
from tools.spec import Emptiness

HISTORY = ticks(END - 4 * 3600)
THROTTLED, FAILING = END - 20 * 60, END - 12 * 60  # when it begins
GONE = END - 40 * 60
PODS = {  # pod → share of periods throttled, before and after
    "mailer-6c9f7b5d4-h8w2k": (0.01, 0.01),
    "mailer-6c9f7b5d4-x7zq4": (0.01, 0.6),
    "payments-5c6d7f8b9-klm8n": (0.02, 0.02),
    "payments-worker-6b5c4d7f2-pqrst": (0.5, 0.5),
}
MAILER = Subject("Deployment", "", "shop", "mailer")
PAYMENTS = Subject("Deployment", "", "shop", "payments")


def grown(before: float, after: float, since: int) -> list[tuple[int, float]]:
    """A counter by minutes that grows by `before` a second, and from `since` on by `after`."""
    return [(t, (t - HISTORY[0]) * before + max(0, t - since) * (after - before)) for t in HISTORY]


def rows(labels: Mapping[str, str], values: list[tuple[int, float]]) -> list[tuple[Mapping[str, str], int, float]]:
    return [(labels, at, value) for at, value in values]


def families() -> Iterator[Family]:
    kubelet = {"job": "kubelet", "instance": "10.0.0.1:10250", "namespace": "shop", "container": "app"}
    quotes = {"job": "quotes", "instance": "10.0.7.7:9000", "node": "oak"}
    redis = {"job": "sessions", "instance": "10.0.8.8:9121"}
    yield (
        "container_cpu_cfs_periods",
        "counter",
        [row for pod in PODS for row in rows({**kubelet, "pod": pod}, grown(10, 10, END))],
    )
    yield (
        "container_cpu_cfs_throttled_periods",
        "counter",
        [
            row
            for pod, (before, after) in PODS.items()
            for row in rows({**kubelet, "pod": pod}, grown(10 * before, 10 * after, THROTTLED))
        ],
    )
    yield (
        "http_requests",
        "counter",
        [
            *rows({**quotes, "code": "200"}, grown(20, 15, FAILING)),
            *rows({**quotes, "code": "500"}, grown(0, 5, FAILING)),
        ],
    )
    yield "up", "gauge", [row for place in (quotes, redis) for row in rows(place, [(t, 1) for t in HISTORY])]
    yield "redis_exporter_build_info", "gauge", rows({**redis, "version": "1.45"}, [(t, 1) for t in HISTORY])
    yield (
        "process_resident_memory_bytes",
        "gauge",
        [row for place, size in ((quotes, 9e8), (redis, 1e7)) for row in rows(place, [(t, size) for t in HISTORY])],
    )
    volume = {
        "job": "kubelet",
        "instance": "10.0.0.1:10250",
        "namespace": "shop",
        "persistentvolumeclaim": "data-quotes-0",
    }
    weekly = [*(t - 7 * 86400 for t in HISTORY), *HISTORY]
    yield (
        "rq_jobs",
        "gauge",
        [
            row
            for queue, begins in (("letters", (FAILING, FAILING - 7 * 86400)), ("parcels", (FAILING,)))
            for row in rows(
                {"job": "rq", "instance": "10.0.9.9:9726", "queue": queue, "status": "queued"},
                [(t, 500 if any(begin <= t < begin + 3600 for begin in begins) else 30) for t in weekly],
            )
        ],
    )
    until = [t for t in HISTORY if t <= GONE]
    yield "kubelet_volume_stats_available_bytes", "gauge", rows(volume, [(t, 4e9) for t in until])
    yield "kubelet_volume_stats_capacity_bytes", "gauge", rows(volume, [(t, 1e10) for t in until])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    programs = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder: Path = tmp_path_factory.mktemp("signals")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, url = start(*programs, folder, port, openmetrics(families()))
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture
async def asked(address: str) -> AsyncIterator[tuple[Context, list[str]]]:
    """A context whose incident is about the mailer, and the paths that are asked for."""
    paths: list[str] = []

    async def note(request: httpx.Request) -> None:
        paths.append(request.url.path)

    async with httpx.AsyncClient(base_url=address, event_hooks={"request": [note]}) as http:
        made = context(Backend("prometheus", "main", address, http), as_of=AS_OF)
        yield replace(made, subjects=(MAILER,), platform=KnownPlatform()), paths


async def reading(context: Context, name: str, subject: Subject) -> Reading:
    found = await read_signals(await server_of(context), [signal_named(name)], [subject], 20, fine=True)
    assert len(found) == 1
    return found[0]


async def test_throttling_is_seen_in_the_workload_whose_pods_have_it(asked: tuple[Context, list[str]]) -> None:
    found = await reading(asked[0], "cpu_throttling", MAILER)
    assert (found.state, found.bad) == ("high", True)
    assert found.now == pytest.approx(0.6, abs=0.01)
    assert found.before == pytest.approx(0.01, abs=0.002)
    assert found.members[0][0].startswith("mailer-6c9f7b5d4-x7zq4")
    assert found.began is not None
    assert found.began[0] < THROTTLED <= found.began[1] <= THROTTLED + 300


async def test_a_longer_name_is_another_workload(asked: tuple[Context, list[str]]) -> None:
    found = await reading(asked[0], "cpu_throttling", PAYMENTS)
    assert (found.state, found.bad, found.began) == ("normal", False, None)
    assert found.now == pytest.approx(0.02, abs=0.002)


async def test_an_application_without_kubernetes_is_known_by_its_job(asked: tuple[Context, list[str]]) -> None:
    found = await reading(asked[0], "error_ratio", Subject("Service", "", "", "quotes"))
    by_hand = 'sum(rate(http_requests_total{job="quotes",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="quotes"}[5m]))'
    expected = (await prometheus(asked[0]).instant(by_hand)).series[0].last
    assert found.now == pytest.approx(expected, rel=1e-6)
    assert found.began is not None
    assert found.began[0] < FAILING <= found.began[1] <= FAILING + 300


async def test_what_an_application_measures_is_not_said_of_the_machine_that_it_runs_on(
    asked: tuple[Context, list[str]],
) -> None:
    found = await reading(asked[0], "error_ratio", Subject("Node", "", "", "oak"))
    assert found.nothing is Emptiness.NO_SERIES


async def test_a_look_at_a_hundred_things_fits_into_queries_that_are_sent(asked: tuple[Context, list[str]]) -> None:
    many = [Subject("Deployment", "", "shop", f"a-rather-long-name-of-a-workload-{n:03}") for n in range(100)]
    found = await read_signals(await server_of(asked[0]), shipped(), [*many, MAILER], 20)
    assert [one.signal.signal for one in found if one.subject == MAILER and one.bad] == ["cpu_throttling"]
    assert [one.why for one in found if one.nothing is Emptiness.NOTHING] == []


async def test_what_an_exporter_needs_itself_is_not_said_of_what_it_reports_on(
    asked: tuple[Context, list[str]],
) -> None:
    assert (await reading(asked[0], "memory_use", Subject("Service", "", "", "quotes"))).now == 9e8
    none = await reading(asked[0], "memory_use", Subject("Service", "", "", "sessions"))
    assert (none.nothing, none.now) == (Emptiness.NO_SERIES, None)


async def test_a_series_that_ended_has_no_value_now(asked: tuple[Context, list[str]]) -> None:
    found = await reading(asked[0], "volume_free", Subject("PersistentVolumeClaim", "", "shop", "data-quotes-0"))
    assert (found.nothing, found.now) == (Emptiness.NO_SAMPLES, None)
    assert found.last_seen is not None
    assert GONE <= found.last_seen <= GONE + 330


async def test_what_comes_every_week_at_this_hour_is_usual(asked: tuple[Context, list[str]]) -> None:
    weekly = await reading(asked[0], "queue_depth", Subject("Queue", "", "", "letters"))
    assert (weekly.now, weekly.state, weekly.bad) == (500, "normal", False)
    assert weekly.band is not None
    assert weekly.band[1] >= 500
    fresh = await reading(asked[0], "queue_depth", Subject("Queue", "", "", "parcels"))
    assert (fresh.now, fresh.state, fresh.bad) == (500, "high", True)
    assert fresh.began is not None
    assert fresh.began[0] < FAILING <= fresh.began[1] <= FAILING + 300


async def test_the_three_kinds_of_nothing_are_told_apart(asked: tuple[Context, list[str]]) -> None:
    elsewhere = Subject("Deployment", "", "shop", "search")
    assert (await reading(asked[0], "cpu_throttling", elsewhere)).nothing is Emptiness.NO_SERIES
    assert (await reading(asked[0], "volume_inodes_free", elsewhere)).nothing is Emptiness.NO_METRIC


async def test_a_look_asks_once_a_signal_for_all_subjects_and_more_only_of_what_is_out_of_line(
    asked: tuple[Context, list[str]],
) -> None:
    context, paths = asked
    server = await server_of(context)
    assert len(paths) == 2
    subjects = [MAILER, PAYMENTS, Subject("Service", "", "", "quotes"), Subject("Deployment", "", "shop", "search")]
    found = await read_signals(server, shipped(), subjects, 20)
    bad = {one.signal.signal for one in found if one.bad}
    assert {"cpu_throttling", "error_ratio"} <= bad
    assert found[0].bad
    measured = {one.signal.signal for one in found if one.nothing is None}
    assert len(paths) - 2 <= len(measured) + 3 * len(bad) + 1


async def test_the_read_of_one_signal_tells_what_carries_it(asked: tuple[Context, list[str]]) -> None:
    answer = await signal(asked[0], signal="cpu_throttling")
    facts = {fact.id: fact.value for fact in answer.facts}
    assert facts["state"] == "high"
    assert facts["now"] == pytest.approx(0.6, abs=0.01)
    assert {"before", "low", "high", "began", "settled", "m1"} <= set(facts)
    assert "CPU throttling of mailer (shop)" in answer.summary
    assert "began between" in answer.summary


async def test_the_read_of_all_signals_has_what_is_out_of_line_first(asked: tuple[Context, list[str]]) -> None:
    answer = await signal(asked[0])
    assert answer.summary.splitlines()[1].startswith("CPU throttling of mailer (shop)")
    assert next(fact.value for fact in answer.facts if fact.id == "cpu_throttling.state") == "high"


async def test_a_signal_that_is_not_known_is_refused_with_one_like_it(asked: tuple[Context, list[str]]) -> None:
    with pytest.raises(BadArguments, match="cpu_throttling"):
        await signal(asked[0], signal="cpu_throtling")
