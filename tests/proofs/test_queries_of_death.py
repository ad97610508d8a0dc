"""Queries that would hurt Prometheus are refused before anything is sent; those that people and runbooks use are sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agent.domain.check import Check
from agent.lab import scenario as scenarios
from agent.lab.alert_rules import rules
from agent.library.parse import read_folder
from agent.library.render import Names, render_action, render_check
from agent.settings import shipped
from tests.contexts import backend, context
from tests.proofs.report import Report
from tools.context import Context
from tools.errors import BadArguments
from tools.prometheus.metrics import compare_metrics, query_metrics
from tools.prometheus.promql import guard, parse
from tools.prometheus.restarts import selections
from tools.signals.dialects import shipped as signals

HERE = Path(__file__).parent
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEADLY = yaml.safe_load((HERE / "queries_of_death.yaml").read_text())
EVERYDAY = yaml.safe_load((HERE / "everyday_queries.yaml").read_text())
NAMES = Names(
    "demand-forecast",
    "eu-1/ml/forecast-server",
    "demand-forecast",
    "ml",
    "eu-1",
    {"replicas": 3, "previous_revision": 4, "previous_version": "6"},
    'sum(rate(http_requests_total{service="demand-forecast"}[5m]))',
)
POINTS = 241


def spelled(one: Mapping[str, Any]) -> str:
    before, after, times = one.get("around", ("", "", 0))
    query = str(one["query"]).replace("R", "$1" * one["references"]) if "references" in one else str(one["query"])
    return str(before * times + one.get("join", "").join([query] * one.get("repeat", 1)) + after * times)


class Counting:
    """A Prometheus that counts what reaches it and knows nothing."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": []}})


def over(server: Counting) -> Context:
    return context(backend("prometheus", app=httpx.MockTransport(server)))


@pytest.mark.parametrize("one", DEADLY, ids=lambda one: str(one["query"])[:40])
async def test_a_query_of_death_is_refused_and_nothing_is_sent(one: Mapping[str, Any], report: Report) -> None:
    server, query = Counting(), spelled(one)
    how = {name: one[name] for name in ("minutes", "step_s") if name in one}
    with pytest.raises(BadArguments) as refused:
        await query_metrics(over(server), promql=query, **how)
    assert len(str(refused.value)) > 30
    if not how:
        with pytest.raises(BadArguments):
            await compare_metrics(over(server), promql=query)
    assert server.requests == 0
    report.add(queries_of_death=1)


def test_there_are_at_least_fifty_and_none_twice() -> None:
    assert len({(spelled(one), one.get("minutes"), one.get("step_s")) for one in DEADLY}) == len(DEADLY) >= 50


@pytest.mark.parametrize("query", EVERYDAY)
async def test_an_everyday_query_is_sent(query: str) -> None:
    server = Counting()
    await query_metrics(over(server), promql=query)
    assert server.requests > 0


def of_runbooks() -> Iterator[str]:
    books, _ = read_folder(shipped("runbooks"))
    for book in books:
        checks: list[Check] = [render_check(block, NAMES) for block in book.checks]
        for block in book.actions:
            success = render_action(block, NAMES)[2]
            checks += [*success.checks, *(one.check for one in success.guards)]
        yield from (str(check.args["promql"]) for check in checks if "promql" in check.args)


def of_rules() -> Iterator[str]:
    yield from (rule.expr for rule in rules(scenarios.load("forecast-contention").draw(1).thresholds))


def of_our_own() -> Iterator[str]:
    """What reads ask of their own accord, over the service with the most workloads."""
    (body,) = selections(context(), "web", {})
    yield from (dialect.filled(body) for signal in signals() for dialect in signal.dialects)


@pytest.mark.parametrize("source", [of_runbooks, of_rules, of_our_own], ids=lambda source: source.__name__)
def test_what_runbooks_rules_and_reads_ask_stays_allowed(source: Any) -> None:
    queries = list(source())
    assert len(queries) >= 5
    for query in queries:
        guard(parse(query), POINTS, NOON)
