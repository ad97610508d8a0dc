"""How causes are told apart: by what explains what, by time, over the last minute, and where a fault is mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from agent.domain.alert import Alert, AlertStatus
from agent.domain.cause import Fault
from agent.reasoner.protocol import Conclude, Propose
from agent.reasoner.rules import first_minute
from agent.reasoner.rules.first_minute import alert_of
from agent.reasoner.rules.metric_phrases import measured
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from agent.reasoner.rules.still_breaching import narrowed
from tests.reasoner.cases import BEGAN, BOOK, NOW, Case, compared, deployed, series
from tools.spec import Fact

REASONER = RunbookReasoner()
BUSY = """Are its nodes busy?
~~~yaml check
read: query_metrics
args: {promql: 'node_busy{service={{ service }}}', minutes: 30}
expect: "> 0.85"
suggests: cpu_contention
~~~
Does it use much of its limit?
~~~yaml check
read: query_metrics
args: {promql: 'used{service={{ service }}}', minutes: 30}
expect: "> 0.5"
suggests: cpu_contention
~~~
## Mitigation
"""
WITH_NODES = BOOK.replace("## Mitigation\n", BUSY, 1)


@pytest.mark.parametrize(("busy", "fault"), [(0.3, Fault.BAD_DEPLOY), (0.97, Fault.CPU_CONTENTION)])
async def test_want_of_cpu_right_after_a_rollout_is_the_versions_unless_a_neighbour_takes_it(
    busy: float, fault: Fault
) -> None:
    minutes_before = deployed("web", BEGAN - 200)
    case = Case(
        {
            "recent_changes": minutes_before,
            "throttled": series(0.4, service="web"),
            "used": series(0.8, service="web"),
            "node_busy": series(busy, service="web"),
        },
        book=WITH_NODES,
    )
    move = await case.end(REASONER)
    assert isinstance(move, Propose)
    assert move.cause.fault is fault


async def test_only_the_incidents_own_series_say_what_is_usual() -> None:
    other = tuple(
        Fact(f"s2.{f.id}", f.name, f.value if isinstance(f.value, str) else 9.0, f.unit, {"service": "elsewhere"})
        for f in compared(1.2, 1.15, 1.18)
    )
    own = tuple(Fact(f"s1.{f.id}", f.name, f.value, f.unit, f.labels) for f in compared(1.2, 1.15, 1.18))
    move = await Case({"compare_metrics": (*other, *own)}).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.NONE


async def test_the_caller_is_never_acted_on_for_a_dependency_that_is_down() -> None:
    acting = (
        BOOK
        + """### dependency_down
~~~yaml action
action: restart_workload
args: {workload: "{{ workload }}"}
success: {promql: 'p99_seconds{service={{ service }}}', expect: "< 1", hold: 2m, within: 10m}
~~~
"""
    )
    answers = {
        r"max.*failing.service=.web": series(0.4),
        r"'sum by .peer..*failing.service=.web": series(0.4, peer="checkout"),
    }
    move = await Case(answers, book=acting).end(REASONER)
    assert isinstance(move, Conclude)
    assert (move.cause.component, move.cause.fault) == ("checkout", Fault.DEPENDENCY_DOWN)


async def test_the_reason_of_a_proposal_says_what_was_measured_and_what_the_action_does() -> None:
    move = await Case({"throttled": series(0.6, service="web")}).end(REASONER)
    assert isinstance(move, Propose)
    assert move.why.startswith("This looks like CPU contention in web")
    assert move.why.endswith("more replicas share the load.")


@pytest.mark.parametrize(
    ("promql", "short"),
    [
        ("rate(a[5m]) / rate(b[5m])", "rate(a[1m]) / rate(b[1m])"),
        ('rate(a{x="[5m]"}[10m])', 'rate(a{x="[5m]"}[1m])'),
        ("increase(a[30m])", None),
        ("a > 1", None),
        ("max_over_time(rate(a[5m])[1h:1m])", "max_over_time(rate(a[1m])[1h:1m])"),
    ],
)
def test_a_measure_over_minutes_is_taken_over_one(promql: str, short: str | None) -> None:
    assert narrowed(promql) == short


@pytest.mark.parametrize(
    ("promql", "words"),
    [
        ('sum(rate(container_cpu_cfs_throttled_periods_total{service="web"}[5m]))', "throttled"),
        ('sum(rate(http_requests_total{service="web",code=~"5.."}[5m]))', "requests that fail"),
        ('sum(rate(http_requests_total{service="web"}[5m]))', "traffic"),
        ("something_else", ""),
    ],
)
def test_what_a_query_measures_has_a_name(promql: str, words: str) -> None:
    assert words in measured(promql)
    assert bool(words) == bool(measured(promql))


MODEL_BOOK = """---
name: slow
description: A model errs. Use when Slow fires.
metadata:
  stanch.alerts: "Slow"
  stanch.kind: model
---
# A model errs
## Diagnosis
Was a version promoted?
~~~yaml check
read: recent_changes
args: {service: "{{ service }}", hours: 72}
fact: model_promotions.count
expect: ">= 1"
suggests: bad_model_version
~~~
Has the error risen?
~~~yaml check
read: query_metrics
args: {promql: 'wape{service={{ service }}}', minutes: 30}
expect: "> 0.2"
suggests: concept_drift
~~~
Since the promotion?
~~~yaml check
read: query_metrics
args: {promql: 'wape{service={{ service }}}', minutes: 30}
expect: "> 0.2"
suggests: bad_model_version
~~~
Did its predictions jump?
~~~yaml check
read: query_metrics
args: {promql: 'jump{service={{ service }}}', minutes: 30}
expect: "> 0.2"
suggests: bad_model_version
~~~
"""


@pytest.mark.parametrize(
    ("hours_before", "fault"), [(0.5, Fault.BAD_MODEL_VERSION), (60.0, Fault.CONCEPT_DRIFT)], ids=["soon", "days"]
)
async def test_an_error_is_a_versions_only_where_it_follows_a_promotion(hours_before: float, fault: Fault) -> None:
    window = "2026-11-21T03:20:00Z/2026-11-24T03:20:00Z"
    promoted = (
        Fact("changes.count", "changes", 1, "count", {}, window),
        Fact("deployments.count", "rollouts", 0, "count", {}, window),
        Fact("model_promotions.count", "promotions", 1, "count", {}, window),
        Fact(
            "c1.at",
            "time of a promotion",
            BEGAN - hours_before * 3600,
            "unix",
            {"kind": "model_promotion", "service": "web"},
            window,
        ),
    )
    answers = {"recent_changes": promoted, "wape": series(0.4), "jump": series(0.1)}
    move = await Case(answers, book=MODEL_BOOK).end(REASONER)
    assert isinstance(move, Conclude | Propose)
    assert move.cause.fault is fault
    assert move.cause.confidence >= 0.6  # nothing is left of a version that was promoted too long before


def other(name: str, severity: str, minutes: int) -> Alert:
    labels = {"alertname": name, "service": "web", "cluster": "eu-1", "severity": severity}
    began = NOW - timedelta(minutes=minutes)
    return Alert("alertmanager", name, AlertStatus.FIRING, labels, {"summary": name}, began)


@pytest.mark.parametrize(
    ("rule", "measured"),
    [("up == 0 and on () vector(1)", "up"), ("a == 0 or b == 0", None), ("a > 1", "a")],
)
def test_of_a_rule_with_two_conditions_that_fire_alone_neither_is_taken_for_the_whole(
    rule: str, measured: str | None
) -> None:
    url = f"http://p/graph?{urlencode({'g0.expr': rule})}"
    assert first_minute.measured(replace(other("A", "critical", 0), generator_url=url)) == measured


@pytest.mark.parametrize("severity", ["warning", "info", ""])
def test_an_incident_is_read_by_its_most_severe_alert_not_by_the_first(severity: str) -> None:
    view = Case().view()
    assert view.alerts[0].severity == "critical"
    joined = replace(view, alerts=(other("Throttled", severity, 40), *view.alerts))
    assert alert_of(joined) == view.alerts[0]


HABIT = (
    Fact("count", "times", 23, "count"),
    Fact("earlier.count", "times before", 22, "count", {}, "2026-11-10T00:00:00Z/2026-11-24T03:20:00Z"),
    Fact("median_duration", "median", 900, "s"),
)


async def test_a_habit_of_one_alert_does_not_excuse_what_fires_with_it() -> None:
    answers = {"throttled": series(0.4, service="web"), "alert_history": HABIT}
    alone = await Case(dict(answers)).end(REASONER)
    assert isinstance(alone, Conclude)
    assert alone.cause.fault is Fault.NONE
    together = Case(dict(answers), beside=(other("ErrorsHigh", "warning", 14),))
    move = await together.end(REASONER)
    assert isinstance(move, Propose)
    assert move.cause.fault is Fault.CPU_CONTENTION
