"""Whether an alert's own rule is over for its subject: nothing from the rule, and data that says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from agent.lab import prometheus as face
from agent.lab.ports import Rule, Series
from agent.lab.samples import Recorded
from tests.contexts import NOON, backend, context
from tools.alerts.condition import (
    FIRING,
    alert_condition,
    looks_back,
    measures_of,
    rules_of,
    subject_labels,
)
from tools.context import Context
from tools.kubernetes.pod_names import pod_pattern
from tools.prometheus.promql import parse, render
from tools.spec import Answer

NOW_MS = int(NOON.timestamp() * 1000)
WEB = {"namespace": "shop", "service": "web"}


def series(name: str, values: Any, ago: float = 0, **labels: str) -> Series:
    """One series of half an hour, a sample each 30 s, the last one `ago` seconds before noon."""
    points = np.full(61, float(values)) if isinstance(values, int | float) else np.asarray(values, dtype=float)
    times = NOW_MS - int(ago * 1000) - 30_000 * np.arange(points.size, dtype=np.int64)[::-1]
    return Series({"__name__": name, **labels}, times, points)


def counter(name: str, rate: float, ago: float = 0, **labels: str) -> Series:
    return series(name, 1000 + np.arange(61) * 30 * rate, ago, **labels)


def here(*given: Series, rules: Sequence[Rule] = ()) -> Context:
    routes = face.routes(Recorded(list(given), NOW_MS), rules, lambda: "http://prometheus.test")
    app = httpx.ASGITransport(Starlette(routes=routes))
    return context(backend("prometheus", "http://prometheus.test", app=app))


async def asked(where: Context, expr: str, labels: dict[str, str], **more: Any) -> Answer:
    return await alert_condition(where, expr=expr, labels=labels, **more)


def firing(answer: Answer) -> int | None:
    return next(f.value for f in answer.facts if f.id == FIRING)  # type: ignore[return-value]


SHARE = 'sum by (service) (rate(requests_total{code=~"5.."}[5m])) / sum by (service) (rate(requests_total[5m])) > 0.05'
QUEUE = series("queue_age", 5, namespace="shop", service="web")


@pytest.mark.parametrize(
    ("expr", "given", "count"),
    [
        pytest.param("queue_age > 120", [series("queue_age", 500, **WEB)], 1, id="fires"),
        pytest.param("queue_age > 120", [QUEUE], 0, id="over"),
        pytest.param("queue_age > 120", [], None, id="absent"),
        pytest.param("queue_age > 120", [series("queue_age", float("nan"), **WEB)], None, id="NaN"),
        pytest.param("queue_age > 120", [series("queue_age", 5, 240, **WEB)], None, id="stale"),
        pytest.param(
            "queue_age > 120", [series("queue_age", 5, namespace="shop", service="mail")], None, id="another's"
        ),
        pytest.param(
            "queue_age > 120",
            [QUEUE, series("queue_age", 500, namespace="shop", service="mail")],
            0,
            id="another fires",
        ),
        pytest.param(
            SHARE,
            [counter("requests_total", 9, code="200", **WEB), counter("requests_total", 3, code="500", **WEB)],
            1,
            id="share fires",
        ),
        pytest.param(SHARE, [counter("requests_total", 9, code="200", **WEB)], 0, id="no failures are counted at all"),
        pytest.param(
            SHARE,
            [counter("requests_total", 0, code="200", **WEB), counter("requests_total", 0, code="500", **WEB)],
            None,
            id="no traffic",
        ),
        pytest.param(SHARE, [counter("requests_total", 9, 200, code="200", **WEB)], None, id="the target died"),
        pytest.param(
            SHARE, [counter("requests_total", 0, code="200", **WEB)], None, id="no failures among no requests"
        ),
        pytest.param("used / allowed > 0.9", [series("used", 5, **WEB)], None, id="the other side of a join is gone"),
        pytest.param("absent(queue_age)", [], 1, id="still absent"),
        pytest.param("absent(queue_age)", [QUEUE], 0, id="it is back"),
        pytest.param(
            "count(up == 0) > 1",
            [series("up", 1, instance="a"), series("up", 1, instance="b")],
            0,
            id="a filter inside",
        ),
        pytest.param("queue_age > 120 unless on () maintenance == 1", [QUEUE], 0, id="unless needs no right side"),
        pytest.param("queue_age > 120 and on () open == 1", [QUEUE], None, id="a condition that vanished"),
    ],
)
async def test_a_rule_is_over_only_with_data_that_says_so(expr: str, given: list[Series], count: int | None) -> None:
    answer = await asked(here(*given), expr, WEB)
    assert firing(answer) == count
    assert (answer.empty is not None) is (count is None)


async def test_pods_change_and_the_workload_stays() -> None:
    labels, pod = subject_labels(
        {"alertname": "Restarts", "namespace": "shop", "pod": "web-7d9f8c6b5-x2x4z", "severity": "page", "version": "2"}
    )
    assert labels == {"namespace": "shop"}
    fresh = series("restarts", 9, namespace="shop", pod="web-6bcdf8c6b5-bbbbb")
    other = series("restarts", 9, namespace="shop", pod="web-worker-6bcdf8c6b5-bbbbb")
    well = series("restarts", 0, namespace="shop", pod="web-6bcdf8c6b5-ccccc")
    assert firing(await asked(here(fresh, other), "restarts > 2", labels, pod=pod)) == 1
    assert firing(await asked(here(well, other), "restarts > 2", labels, pod=pod)) == 0
    assert firing(await asked(here(other), "restarts > 2", labels, pod=pod)) is None


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"job": "web", "instance": "10.0.0.3:8080"}, {"job": "web"}),
        ({"job": "node-exporter", "instance": "10.0.0.3:9100"}, {"job": "node-exporter", "instance": "10.0.0.3:9100"}),
        ({"job": "x", "instance": "a", "mountpoint": "/"}, {"job": "x", "instance": "a", "mountpoint": "/"}),
        (
            {"service": "web", "image": "web:2", "container_id": "c1", "team": "shop"},
            {"service": "web", "team": "shop"},
        ),
    ],
)
def test_labels_of_members_and_versions_are_left_out(labels: dict[str, str], kept: dict[str, str]) -> None:
    assert subject_labels(labels)[0] == kept


def test_labels_that_the_rule_writes_are_not_looked_for_in_its_series() -> None:
    assert subject_labels({"service": "checkout", "zone": "a"}, frozenset({"service"}))[0] == {"zone": "a"}


def test_a_pod_of_no_scheme_stands_for_itself() -> None:
    assert (pod_pattern("lonely"), pod_pattern("db-0"), pod_pattern("")) == ("lonely", r"db-\d{1,5}", "")


@pytest.mark.parametrize(
    ("expr", "parts"),
    [
        ("a > 1 or b > 1", ["a", "b"]),
        ("absent_over_time(x[10m])", ["x"]),
        ("1 - a / b > 0.5", ["1 - a / b"]),
        ("vector(1) > 0", []),
    ],
)
def test_what_has_to_give_numbers(expr: str, parts: list[str]) -> None:
    assert [render(one) for one in measures_of(parse(expr))] == parts


def test_how_far_an_expression_looks_back() -> None:
    assert looks_back(parse("max_over_time(rate(x[5m])[1h:1m] offset 10m) > 3")) == timedelta(minutes=75)
    behind = {"slo:errors:ratio": "rate(a[6h])", "loop:a": "loop:a"}
    assert looks_back(parse("slo:errors:ratio > 1"), behind) == timedelta(hours=6)
    assert looks_back(parse("loop:a > 1"), behind) == timedelta()


RULES = [
    Rule("Slow", "queue_age > 120", 300, {"severity": "warning"}),
    Rule("Slow", "queue_age > 600", 60, {"severity": "critical", "team": "{{ $labels.team }}"}),
    Rule("Odd", '{job="x"} > 1', 0),
]


async def test_the_rule_is_read_from_prometheus_else_from_the_alert_itself() -> None:
    where = here(QUEUE, rules=RULES)
    (found,) = await rules_of(where, {"alertname": "Slow", "severity": "critical", **WEB}, None)
    assert (found.expr, found.waits, found.interval) == ("queue_age > 600", timedelta(minutes=1), timedelta(seconds=30))
    assert found.written == {"severity", "team"}
    (given,) = await rules_of(where, {"alertname": "Other"}, "queue_age > 1")
    assert given.expr == "queue_age > 1"
    assert await rules_of(where, {"alertname": "Other"}, None) == []
    assert await rules_of(where, {"alertname": "Other"}, "vector(1) > 0") == []  # it looks at nothing
    two = await rules_of(where, {"alertname": "Slow"}, "queue_age  >  120")
    assert [one.expr for one in two] == ["queue_age > 120"]
