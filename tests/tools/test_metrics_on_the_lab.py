"""The same reads against the lab's own Prometheus, whose alerts come from its rules."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from agent.lab.ports import Rule, Series
from agent.lab.prometheus import routes
from agent.lab.samples import Recorded
from tests.contexts import backend, context
from tests.real_prometheus import AS_OF, BREACH, DEPLOYED, END, samples
from tools.alerts.active import active_alerts, began_around
from tools.alerts.history import alert_history
from tools.alerts.rule import alert_rule
from tools.context import Context, Service
from tools.prometheus.metrics import compare_metrics, find_metrics, query_metrics
from tools.prometheus.restarts import restarts_and_versions
from tools.spec import Answer, Emptiness

FORECAST = Service("demand-forecast", {"service": "demand-forecast"})
ERRORS = (
    'sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m]))'
)
RULES = [
    Rule("ForecastLatencyHigh", "max by (service) (forecast_latency_seconds) > 1", 300, {"severity": "critical"}),
    Rule("HttpErrorRateHigh", f"{ERRORS} > 0.05", 0),
]


@pytest.fixture(scope="module")
def lab() -> Callable[[], Context]:
    found: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for name, labels, at, value in samples():
        if not name.startswith("ALERTS"):
            found.setdefault(tuple(sorted({"__name__": name, **labels}.items())), []).append((at * 1000, value))
    series = [
        Series(dict(labels), np.array([t for t, _ in rows], dtype=np.int64), np.array([v for _, v in rows]))
        for labels, rows in found.items()
    ]
    app = Starlette(routes=routes(Recorded(series, END * 1000), RULES, lambda: "http://lab.test/prometheus"))

    def here() -> Context:
        prometheus = backend("prometheus", "http://lab.test", app=httpx.ASGITransport(app=app))
        incident = {"alertname": "ForecastLatencyHigh", "service": "demand-forecast", "severity": "critical"}
        return context(prometheus, as_of=AS_OF, services=(FORECAST,), labels=incident)

    return here


def values(answer: Answer) -> dict[str, object]:
    return {fact.id: fact.value for fact in answer.facts}


async def test_queries_and_comparisons(lab: Callable[[], Context]) -> None:
    assert values(await query_metrics(lab(), promql="max(forecast_latency_seconds)"))["value.last"] == 1.9
    facts = values(await compare_metrics(lab(), promql="max(forecast_latency_seconds)"))
    assert facts["ratio.last_week"] == pytest.approx(9.4, abs=0.3)
    assert (await find_metrics(lab(), pattern="latency")).data["names"] == ["forecast_latency_seconds"]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("no_such_metric", Emptiness.NO_METRIC),
        ('forecast_latency_seconds{service="x"}', Emptiness.NO_SERIES),
        ("gone_metric", Emptiness.NO_SAMPLES),
        ("forecast_latency_seconds > 10", Emptiness.NOTHING),
    ],
)
async def test_an_empty_answer_says_which_kind_it_is(lab: Callable[[], Context], query: str, why: Emptiness) -> None:
    assert (await query_metrics(lab(), promql=query)).empty is why


async def test_the_rule_and_who_carries_it(lab: Callable[[], Context]) -> None:
    facts = values(await alert_rule(lab(), alertname="ForecastLatencyHigh"))
    assert (facts["by.pod.breaching.count"], facts["by.node.breaching.count"], facts["limit"]) == (1, 1, 1.0)
    assert facts["began"] == pytest.approx(BREACH, abs=60)
    errors = values(await alert_rule(lab(), alertname="HttpErrorRateHigh"))
    assert errors["by.code.count"] == 2


async def test_alerts_now_and_before(lab: Callable[[], Context]) -> None:
    assert values(await active_alerts(lab()))["firing.count"] == 2
    history = values(await alert_history(lab(), alertname="ForecastLatencyHigh"))
    assert (history["count"], history["firing"]) == (1, True)
    assert history["covered.days"] == pytest.approx(8, abs=0.05)
    assert values(await began_around(lab()))["count"] == 1


async def test_restarts_and_versions(lab: Callable[[], Context]) -> None:
    facts = values(await restarts_and_versions(lab(), service="demand-forecast"))
    assert (facts["restarts.count"], facts["version_changes.count"]) == (1, 1)
    assert facts["version1.at"] == pytest.approx(DEPLOYED, abs=60)
