"""Ranking what a subject needs, over a real Prometheus. Each story has an hour of its own, ended by its moment."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from agent.platform.known import KnownPlatform
from tests.conftest import need
from tests.contexts import ListedCatalog, backend, context
from tests.real_prometheus import Family, openmetrics, start
from tools.context import Backend, Context, Service
from tools.errors import BadArguments, Unreachable
from tools.signals.suspects import rank_suspects
from tools.spec import Answer, Emptiness

BEGIN = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
LENGTH, TROUBLE = 4 * 3600, 15 * 60  # of a story, and of what goes wrong at its end
CROWD = (*(f"part-{n:02}" for n in range(40)), "zebra")
CALLS = {
    "web": ("checkout", "forecast"),
    "checkout": ("payments", "ledger-db"),
    "payments": (),
    "forecast": (),
    "ledger-db": (),
    "other": (),
    "silent": (),
    "front": CROWD,
    **dict.fromkeys(CROWD, ()),
}
CATALOG = ListedCatalog(tuple(Service(name, {"service": name}, calls) for name, calls in CALLS.items()))
USUAL = dict.fromkeys(("web", "checkout", "payments", "forecast", "other", "front", *CROWD), (10.0, 0.0, 0.2))
# requests a second, share that fails, seconds each: during the trouble
STORIES: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "quiet": {},
    "payments waits": {"payments": (10, 0, 1.2), "checkout": (10, 0, 1.2), "web": (10, 0, 1.15)},
    "checkout fails by itself": {"checkout": (10, 0.4, 0.2), "web": (10, 0.4, 0.2)},
    "a rare call fails": {"checkout": (10, 0.3, 0.2), "web": (10, 0.3, 0.2), "payments": (0.01, 1.0, 0.2)},
    "another's trouble": {"other": (10, 0.9, 3.0)},
    "the database swaps": {"checkout": (10, 0.4, 0.2), "web": (10, 0.4, 0.2)},
    "the last of many": {"zebra": (10, 0.5, 0.2), "front": (10, 0.5, 0.2)},
}


def moment(story: str) -> datetime:
    return datetime.fromtimestamp(BEGIN + (list(STORIES).index(story) + 1) * LENGTH - 60, UTC)


def families() -> Iterator[Family]:
    requests, seconds, counted, connections = [], [], [], []
    for n, (story, changed) in enumerate(STORIES.items()):
        times = range(BEGIN + n * LENGTH, BEGIN + (n + 1) * LENGTH, 60)
        for service, usual in USUAL.items():
            good = bad = waited = 0.0
            for t in times:
                rate, share, each = changed.get(service, usual) if t >= times[-1] - TROUBLE else usual
                good, bad = good + 60 * rate * (1 - share), bad + 60 * rate * share
                waited += 60 * rate * each
                requests += [({"service": service, "code": c}, t, v) for c, v in (("200", good), ("503", bad))]
                seconds.append(({"service": service}, t, waited))
                counted.append(({"service": service}, t, good + bad))
        for t in times:
            used = 95.0 if story == "the database swaps" and t >= times[-1] - TROUBLE else 20.0 + t // 60 % 3
            connections.append(({"service": "ledger-db", "state": "active"}, t, used))
    yield "http_requests", "counter", requests
    yield "http_request_duration_seconds_sum", "gauge", seconds
    yield "http_request_duration_seconds_count", "gauge", counted
    yield "pg_stat_activity_count", "gauge", connections
    yield "pg_settings_max_connections", "gauge", [({"service": "ledger-db"}, t, 100.0) for _, t, _ in connections]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    programs = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder: Path = tmp_path_factory.mktemp("suspects")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, url = start(*programs, folder, port, openmetrics(families()))
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture
async def told(address: str) -> AsyncIterator[Callable[[str], Context]]:
    """Story → what a read may touch at its end."""
    async with httpx.AsyncClient(base_url=address) as http:

        def at(story: str) -> Context:
            made = context(Backend("prometheus", "main", address, http), as_of=moment(story))
            return replace(made, catalog=CATALOG, platform=KnownPlatform(CATALOG))

        yield at


def ranked(answer: Answer) -> list[str]:
    return [one["service"] for one in answer.data["suspects"]]


Told = Callable[[str], Context]


async def test_the_dependency_below_comes_before_its_callers(told: Told) -> None:
    answer = await rank_suspects(told("payments waits"), service="web")
    assert ranked(answer)[0] == "payments"
    facts = {fact.id: fact for fact in answer.facts}
    assert facts["r1.lost"].value == pytest.approx(
        7.5, rel=0.2
    )  # a second more of each of ten a second, in 15 of 20 min
    assert facts["r1.excess"].labels == {"service": "payments", "signal": "latency mean"}
    assert "No signal is known of:" not in answer.summary.replace("No signal is known of: ledger-db", "")


async def test_what_fails_by_itself_is_not_cleared_by_what_it_calls(told: Told) -> None:
    answer = await rank_suspects(told("checkout fails by itself"), service="web")
    assert ranked(answer)[0] == "checkout"
    assert answer.data["suspects"][0]["loses"] == "requests"


async def test_a_call_that_hardly_anybody_makes_accuses_nobody_though_each_of_it_fails(told: Told) -> None:
    assert ranked(await rank_suspects(told("a rare call fails"), service="web"))[0] == "checkout"


async def test_what_no_request_measures_and_is_out_of_line_stands_before_the_one_that_needs_it(told: Told) -> None:
    assert ranked(await rank_suspects(told("the database swaps"), service="web"))[:2] == ["ledger-db", "checkout"]


async def test_the_last_of_the_alphabet_is_looked_at_like_the_first(told: Told) -> None:
    assert ranked(await rank_suspects(told("the last of many"), service="front"))[0] == "zebra"


async def test_what_the_service_never_calls_is_not_looked_at(told: Told) -> None:
    answer = await rank_suspects(told("another's trouble"), service="web")
    assert (answer.empty, answer.facts[0].value) == (Emptiness.NOTHING, 0)
    assert "other" not in answer.data["looked_at"]


async def test_a_quiet_platform_has_no_suspect(told: Told) -> None:
    answer = await rank_suspects(told("quiet"), service="web")
    assert ranked(answer) == []
    assert "0 may be the root" in answer.summary


async def test_a_service_without_signals_is_unknown_not_healthy(told: Told) -> None:
    answer = await rank_suspects(told("quiet"), service="silent")
    assert (answer.empty, answer.facts[0].value) == (Emptiness.NO_SERIES, None)


async def test_no_subject_and_a_dead_server_are_said_so(told: Told) -> None:
    with pytest.raises(BadArguments, match="names no subject"):
        await rank_suspects(told("quiet"))

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    broken = context(backend("prometheus", app=httpx.MockTransport(down)))
    with pytest.raises(Unreachable):
        await rank_suspects(replace(broken, catalog=CATALOG, platform=KnownPlatform(CATALOG)), service="web")
