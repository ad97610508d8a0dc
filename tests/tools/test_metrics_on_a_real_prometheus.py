"""The reads of metrics and alerts against a real Prometheus with eight days of history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contexts import backend, context
from tests.real_prometheus import AS_OF, BREACH, DEPLOYED, END, RESTARTED
from tools.alerts.active import active_alerts, began_around
from tools.alerts.history import alert_history
from tools.alerts.rule import alert_rule
from tools.context import Context, Service, Workload
from tools.errors import BadArguments, ToolFailed
from tools.prometheus.metrics import compare_metrics, find_metrics, query_metrics
from tools.prometheus.restarts import restarts_and_versions
from tools.spec import Answer, Emptiness

pytestmark = pytest.mark.server

LATENCY = 'max(forecast_latency_seconds{service="demand-forecast"})'
FORECAST = Service("demand-forecast", {"service": "demand-forecast"}, workloads=(Workload("forecast", "ml", "eu-1"),))
INCIDENT = {"alertname": "ForecastLatencyHigh", "service": "demand-forecast", "severity": "critical"}


def here(url: str, as_of: datetime = AS_OF, labels: Mapping[str, str] = INCIDENT) -> Context:
    return context(backend("prometheus", url), as_of=as_of, now=datetime.now(UTC), services=(FORECAST,), labels=labels)


def values(answer: Answer) -> dict[str, object]:
    return {fact.id: fact.value for fact in answer.facts}


async def test_one_series_gives_five_facts_and_a_link_to_the_window(prometheus_url: str) -> None:
    answer = await query_metrics(here(prometheus_url), promql=LATENCY, minutes=30)
    facts = values(answer)
    assert set(facts) == {"value.last", "value.first", "value.min", "value.max", "value.mean"}
    assert facts["value.last"] == 1.9
    assert facts["value.first"] == pytest.approx(0.206, abs=0.01)
    assert answer.facts[0].unit == "s"
    assert answer.facts[0].window == "2026-11-20T11:30:00Z/2026-11-20T12:00:00Z"
    link = parse_qs(urlsplit(answer.link or "").query)
    assert link["g0.expr"] == [LATENCY]
    assert link["g0.range_input"] == ["1800s"]
    assert link["g0.end_input"] == ["2026-11-20 12:00:00"]
    assert len(answer.data["series"][0]["points"]) > 20


async def test_several_series_come_worst_first_with_their_labels(prometheus_url: str) -> None:
    answer = await query_metrics(here(prometheus_url), promql="forecast_latency_seconds")
    first = next(f for f in answer.facts if f.id == "s1.last")
    assert (first.value, first.labels["pod"]) == (1.9, "forecast-c")
    assert "value.last" not in values(answer)


async def test_a_read_never_looks_past_the_incident(prometheus_url: str) -> None:
    before = here(prometheus_url, AS_OF - timedelta(minutes=30))
    assert values(await query_metrics(before, promql=LATENCY, minutes=60))["value.max"] == pytest.approx(0.2, abs=0.06)
    history = values(await alert_history(before, alertname="ForecastLatencyHigh"))
    assert (history["count"], history["firing"]) == (3, False)


@pytest.mark.parametrize("minutes", [0, 1])
async def test_a_window_of_one_point_works(prometheus_url: str, minutes: int) -> None:
    answer = await query_metrics(here(prometheus_url), promql=LATENCY, minutes=minutes)
    assert values(answer)["value.mean"] == pytest.approx(1.9)


async def test_a_negative_window_is_refused_with_the_argument_named(prometheus_url: str) -> None:
    with pytest.raises(BadArguments, match="minutes"):
        await query_metrics(here(prometheus_url), promql=LATENCY, minutes=-5)


async def test_what_is_not_a_number_is_unknown_with_a_word(prometheus_url: str) -> None:
    answer = await query_metrics(here(prometheus_url), promql="odd_value")
    assert {f.value for f in answer.facts} == {None}
    assert {f.name for f in answer.facts if f.id.endswith(".last")} == {"last (NaN)", "last (infinite)"}


@pytest.mark.parametrize(
    ("query", "why", "says"),
    [
        ("no_such_metric", Emptiness.NO_METRIC, "no metric no_such_metric"),
        (
            'forecast_latency_seconds{service="x"}',
            Emptiness.NO_SERIES,
            "service='x'; known for service: demand-forecast",
        ),
        ('sum(up{job="forecast", instance="z"})', Emptiness.NO_SERIES, "instance='z'"),
        ('up{job="forecast", instance="forecast-a", cluster="us-1"}', Emptiness.NO_SERIES, "cluster='us-1'"),
        ("gone_metric", Emptiness.NO_SAMPLES, "not in the window"),
        ("forecast_latency_seconds > 10", Emptiness.NOTHING, "comparison"),
    ],
)
async def test_an_empty_answer_says_which_kind_it_is(
    prometheus_url: str, query: str, why: Emptiness, says: str
) -> None:
    answer = await query_metrics(here(prometheus_url), promql=query)
    assert answer.empty is why
    assert answer.facts == ()
    assert says in answer.summary
    assert "not zero" in answer.summary


async def test_prometheus_own_words_reach_the_reader(prometheus_url: str) -> None:
    with pytest.raises(ToolFailed, match=r"many-to-many.*find_metrics"):
        await query_metrics(here(prometheus_url), promql="up + on (x) group_left () up")


async def test_now_is_compared_with_before_yesterday_and_last_week(prometheus_url: str) -> None:
    facts = values(await compare_metrics(here(prometheus_url), promql=LATENCY, minutes=15))
    assert facts["now.mean"] == pytest.approx(1.9)
    assert facts["yesterday.mean"] == pytest.approx(0.2, abs=0.05)
    assert facts["ratio.last_week"] == pytest.approx(9.4, abs=0.3)
    assert 1 < float(str(facts["ratio.before"])) < 9
    assert float(str(facts["deviation"])) > 10


async def test_a_comparison_without_history_is_unknown_not_zero(prometheus_url: str) -> None:
    answer = await compare_metrics(here(prometheus_url), promql='sum(rate(http_requests_total{code="200"}[5m]))')
    facts = values(answer)
    assert facts["ratio.yesterday"] is None
    assert facts["yesterday.mean"] is None
    assert "yesterday: no data" in answer.summary


async def test_metrics_are_found_by_parts_of_their_names(prometheus_url: str) -> None:
    answer = await find_metrics(here(prometheus_url), pattern="latency forecast", labels={"service": "demand-forecast"})
    assert [m["name"] for m in answer.data["metrics"]] == ["forecast_latency_seconds"]
    assert answer.data["metrics"][0]["series"] == 3
    missing = await find_metrics(here(prometheus_url), pattern="forecast_latncy")
    assert missing.empty is Emptiness.NO_METRIC
    assert "forecast_latency_seconds" in missing.summary


async def test_a_rule_tells_value_limit_onset_and_who_carries_it(prometheus_url: str) -> None:
    answer = await alert_rule(here(prometheus_url), alertname="ForecastLatencyHigh")
    facts = values(answer)
    assert (facts["value.last"], facts["limit"], facts["breaching.count"]) == (1.9, 1.0, 1)
    assert facts["began"] == pytest.approx(BREACH, abs=60)
    assert (facts["by.pod.count"], facts["by.pod.breaching.count"], facts["by.node.breaching.count"]) == (3, 1, 1)
    assert "Carried by pod: forecast-c 1.9 s" in answer.summary
    assert "for 5 min" in answer.summary


async def test_a_ratio_is_split_by_the_label_that_narrows_one_side(prometheus_url: str) -> None:
    labels = {**INCIDENT, "alertname": "HttpErrorRateHigh"}
    answer = await alert_rule(here(prometheus_url, labels=labels), alertname="HttpErrorRateHigh")
    facts = values(answer)
    assert facts["value.last"] == pytest.approx(0.1, abs=0.02)
    assert facts["by.code.s1.value"] == pytest.approx(0.05, abs=0.01)
    assert "No single code breaches alone" in answer.summary


async def test_a_rule_can_come_from_a_generator_url(prometheus_url: str) -> None:
    answer = await alert_rule(here(prometheus_url, labels={}), expr="http://p/graph?g0.expr=up+%3D%3D+0&g0.tab=1")
    facts = values(answer)
    assert (facts["limit"], facts["breaching.count"], facts["count"]) == (0.0, 0, 3)
    assert "0 of 3 in breach" in answer.summary


async def test_an_unknown_rule_is_said_so(prometheus_url: str) -> None:
    answer = await alert_rule(here(prometheus_url), alertname="Nope")
    assert answer.empty is Emptiness.NOTHING
    assert "no alerting rule 'Nope'" in answer.summary


async def test_history_counts_episodes_and_the_median_until_it_cleared(prometheus_url: str) -> None:
    facts = values(await alert_history(here(prometheus_url), alertname="ForecastLatencyHigh", days=15))
    assert (facts["count"], facts["earlier.count"], facts["firing"]) == (4, 3, True)
    assert facts["median_duration"] == pytest.approx(1200, abs=60)
    assert facts["last.start"] == pytest.approx(BREACH + 300, abs=60)
    assert facts["covered.days"] == pytest.approx(8, abs=0.05)


async def test_an_alert_that_never_fired_is_zero_over_a_stated_time(prometheus_url: str) -> None:
    answer = await alert_history(here(prometheus_url), alertname="Nope", days=3)
    assert values(answer)["count"] == 0
    assert next(f for f in answer.facts if f.id == "count").window.startswith("2026-11-17T12")
    assert "0 times" in answer.summary


async def test_what_began_beside_the_incident(prometheus_url: str) -> None:
    answer = await began_around(here(prometheus_url), minutes=10)
    assert values(answer) == {"count": 1, "a1.began": BREACH + 180}
    assert "CPUThrottlingHigh" in answer.summary
    assert "NodeDiskFilling" not in answer.summary
    long_ago = await began_around(here(prometheus_url), minutes=10, at="2026-11-16T12:00:00Z")
    assert values(long_ago)["count"] == 0
    with pytest.raises(BadArguments, match="time zone"):
        await began_around(here(prometheus_url), at="2026-11-16T12:00:00")


async def test_active_alerts_of_the_past_come_from_their_series(prometheus_url: str) -> None:
    answer = await active_alerts(here(prometheus_url))
    assert values(answer)["firing.count"] == 3
    one = await active_alerts(here(prometheus_url), labels={"alertname": "ForecastLatencyHigh"})
    assert values(one) == {"firing.count": 1, "pending.count": 0, "a1.since": BREACH}
    assert values(await active_alerts(here(prometheus_url, AS_OF - timedelta(days=2))))["firing.count"] == 0


async def test_restarts_and_versions(prometheus_url: str) -> None:
    answer = await restarts_and_versions(here(prometheus_url), service="demand-forecast", hours=6)
    facts = values(answer)
    assert (facts["restarts.count"], facts["started.count"], facts["version_changes.count"]) == (1, 0, 1)
    assert facts["container_restarts.count"] is None
    assert facts["restarts.last"] == RESTARTED
    assert facts["version1.at"] == pytest.approx(DEPLOYED, abs=60)
    assert facts["version1.to"] == "1.4.3"
    recent = values(await restarts_and_versions(here(prometheus_url), service="demand-forecast", hours=1))
    assert (recent["restarts.count"], recent["version_changes.count"]) == (0, 1)


async def test_an_unknown_service_has_unknown_restarts(prometheus_url: str) -> None:
    answer = await restarts_and_versions(here(prometheus_url), service="nope")
    assert answer.empty is Emptiness.NO_SERIES
    assert {f.value for f in answer.facts} == {None}
    with pytest.raises(BadArguments, match="service"):
        await restarts_and_versions(here(prometheus_url))


@pytest.mark.parametrize(
    "hostile",
    [
        'x"}) or count(up{job="forecast',
        "\\",
        'a\\"',
        "a\nb",
        "nul\x01\x7f",
        "\u2028\u202e😀",
        "\ud800",
        "`'{}",
        "%00&query=up",
    ],
)
async def test_hostile_labels_are_taken_literally(prometheus_url: str, hostile: str) -> None:
    answer = await restarts_and_versions(here(prometheus_url), labels={"service": hostile})
    assert answer.empty is Emptiness.NO_SERIES
    found = await find_metrics(here(prometheus_url), pattern="up", labels={"service": hostile})
    assert found.empty is Emptiness.NO_SERIES
    assert values(await active_alerts(here(prometheus_url), labels={"service": hostile}))["firing.count"] == 0


def test_the_history_ends_where_the_tests_say() -> None:
    assert datetime.fromtimestamp(END, UTC) == AS_OF
