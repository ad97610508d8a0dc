"""Ranking a service's dependencies by what Prometheus holds of them."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

import httpx
import pytest

from tests.contexts import NOON, backend, context
from tools.context import Context, Service
from tools.errors import BadArguments, Unreachable
from tools.prometheus.root_cause_ranking import rank_suspects
from tools.spec import Answer, Emptiness

CALLS = {"web": ("checkout", "forecast"), "checkout": ("payments",), "forecast": (), "payments": (), "other": ()}
SERVICES = tuple(Service(name, {"service": name}, calls) for name, calls in CALLS.items())


def world(slow: dict[str, int]) -> Context:
    """Mean latency of every service but forecast; the slow ones are slow since so many minutes."""

    def handler(request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.url.query.decode())["query"][0]
        (service,) = set(re.findall(r'service="(\w+)"', query))
        rows = []
        if "duration_seconds_sum" in query and service != "forecast":
            values = [
                [NOON.timestamp() - m * 60, "2" if m <= slow.get(service, -1) else str(0.2 + (m % 5) / 500)]
                for m in range(200, -1, -1)
            ]
            rows = [{"metric": {}, "values": values}]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": rows}})

    return context(backend("prometheus", app=httpx.MockTransport(handler)), services=SERVICES)


def ranked(answer: Answer) -> list[str]:
    return [s["service"] for s in answer.data["suspects"]]


async def test_the_dependency_below_comes_before_its_callers() -> None:
    answer = await rank_suspects(world({"web": 10, "checkout": 11, "payments": 12}), service="web")
    assert ranked(answer)[0] == "payments"
    assert set(ranked(answer)) == {"payments", "checkout", "web"}
    facts = {f.id: f for f in answer.facts}
    assert facts["r1.onset"].value == NOON.timestamp() - 12 * 60
    assert facts["r1.excess"].labels == {"service": "payments", "signal": "mean latency"}
    assert "it calls payments, which is unusual too" in answer.summary
    assert "No standard signals for: forecast" in answer.summary


async def test_what_the_service_never_calls_is_not_looked_at() -> None:
    answer = await rank_suspects(world({"other": 10}), service="web")
    assert (answer.empty, answer.facts[0].value) == (Emptiness.NOTHING, 0)


async def test_a_quiet_platform_has_no_suspect() -> None:
    answer = await rank_suspects(world({}), service="web")
    assert ranked(answer) == []
    assert "0 behave unusually" in answer.summary


async def test_a_service_without_signals_is_unknown_not_healthy() -> None:
    answer = await rank_suspects(world({}), service="forecast")
    assert (answer.empty, answer.facts[0].value) == (Emptiness.NO_SERIES, None)


async def test_an_unknown_service_and_a_dead_server_are_said_so() -> None:
    with pytest.raises(BadArguments, match="no service 'x'"):
        await rank_suspects(world({}), service="x")

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable):
        await rank_suspects(
            context(backend("prometheus", app=httpx.MockTransport(down)), services=SERVICES), service="web"
        )
