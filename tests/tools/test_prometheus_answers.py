"""What becomes of Prometheus' answers: recorded ones, broken ones, and none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from tests.contexts import backend, context
from tools.alerts.active import active_alerts, began_around
from tools.alerts.history import alert_history
from tools.alerts.rule import alert_rule
from tools.context import Context
from tools.errors import BadArguments, TargetUnclear, ToolFailed, Unreachable
from tools.fetch import MOST_BYTES
from tools.prometheus.metrics import compare_metrics, find_metrics, query_metrics
from tools.prometheus.restarts import restarts_and_versions
from tools.spec import Read

RECORDED = Path(__file__).parent.parent / "fixtures" / "prometheus"
Handler = Callable[[httpx.Request], httpx.Response]


def answering(handler: Handler) -> Context:
    return context(backend("prometheus", app=httpx.MockTransport(handler)), labels={"alertname": "A", "service": "s"})


def recorded(name: str, status: int = 200) -> Context:
    body = (RECORDED / f"{name}.json").read_bytes()
    return answering(lambda request: httpx.Response(status, content=body, headers={"content-type": "application/json"}))


def matrix(*series: dict[str, object]) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": list(series)}})


def series(n: int, **labels: str) -> dict[str, object]:
    return {"metric": labels, "values": [[1, "0"], [2, str(n)]]}


async def test_a_recorded_range_answer_is_read() -> None:
    answer = await query_metrics(recorded("prom_range"), promql="rate(forecast_requests_total[1m])")
    assert {f.labels["code"] for f in answer.facts} == {"200", "500"}
    assert answer.facts[0].unit == "1/s"


@pytest.mark.parametrize(("name", "word"), [("prom_nan", "NaN"), ("prom3_hist", "infinite")])
async def test_words_for_what_is_no_number(name: str, word: str) -> None:
    answer = await query_metrics(recorded(name), promql="vector(1)")
    assert answer.facts[0].value is None
    assert word in answer.facts[0].name
    assert word in answer.summary
    json.dumps(answer.data, allow_nan=False)


async def test_remarks_of_prometheus_3_are_shown() -> None:
    answer = await query_metrics(recorded("prom3_info"), promql="rate(forecast_fault[5m])")
    assert "might not be a counter" in answer.summary
    assert answer.data["remarks"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("prom_bad", "unclosed left parenthesis"), ("prom_range_too_many", "11,000 points"), ("prom_timeout", "timeout")],
)
async def test_its_own_error_text_reaches_the_reader(name: str, words: str) -> None:
    with pytest.raises(ToolFailed, match=words) as failed:
        await query_metrics(recorded(name, 400), promql="up")
    assert "find_metrics" in str(failed.value)


async def test_a_query_that_ran_out_of_time_says_what_to_ask_instead() -> None:
    body = {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}
    with pytest.raises(ToolFailed, match="fewer series or a shorter window"):
        await query_metrics(answering(lambda request: httpx.Response(503, json=body)), promql="up")


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def slow(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("")


BROKEN: dict[str, Handler] = {
    "not json": lambda r: httpx.Response(200, text="<html>Log in</html>"),
    "empty": lambda r: httpx.Response(200, content=b""),
    "another json": lambda r: httpx.Response(200, json=[1, 2]),
    "null": lambda r: httpx.Response(200, json=None),
    "no data": lambda r: httpx.Response(200, json={"status": "success"}),
    "wrong data": lambda r: httpx.Response(
        200, json={"status": "success", "data": {"resultType": "matrix", "result": [7]}}
    ),
    "a string": lambda r: httpx.Response(
        200, json={"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}
    ),
    "deep": lambda r: httpx.Response(200, content=b"[" * 200_000),
    "bad utf-8": lambda r: httpx.Response(200, content=b'{"status": "\xff\xfe"}'),
    "wrong coding": lambda r: httpx.Response(200, content=b"plain", headers={"content-encoding": "gzip"}),
    "gateway": lambda r: httpx.Response(502, text="Bad Gateway"),
    "closed": lambda r: httpx.Response(401, text="who are you"),
    "refused": refuse,
    "slow": slow,
}
CALLS: dict[str, tuple[Read, dict[str, object]]] = {
    "query": (query_metrics, {"promql": "up"}),
    "compare": (compare_metrics, {"promql": "up"}),
    "find": (find_metrics, {"pattern": "up"}),
    "rule": (alert_rule, {"expr": "up == 0"}),
    "history": (alert_history, {"alertname": "A"}),
    "began": (began_around, {}),
    "active": (active_alerts, {}),
    "restarts": (restarts_and_versions, {"service": "s"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("how", BROKEN)
async def test_whatever_a_server_does_the_read_fails_by_name_or_answers(how: str, call: str) -> None:
    read, arguments = CALLS[call]
    try:
        answer = await read(answering(BROKEN[how]), **arguments)
    except ToolFailed as failed:
        assert len(str(failed)) > 40  # noqa: PT017
    else:
        assert all(fact.value in (0, None, False) for fact in answer.facts)


@pytest.mark.parametrize("how", ["refused", "slow"])
async def test_no_answer_is_unreachable_with_the_address(how: str) -> None:
    with pytest.raises(Unreachable, match=r"http://backend\.test.*stanch doctor"):
        await query_metrics(answering(BROKEN[how]), promql="up")


async def test_an_answer_over_eight_megabytes_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless() -> object:
        nonlocal sent
        for _ in range(100):
            sent += 1 << 20
            yield b" " * (1 << 20)

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless())

    with pytest.raises(ToolFailed, match=r"more than 8 MB.*aggregate"):
        await query_metrics(answering(handler), promql="up")
    assert sent <= MOST_BYTES + (2 << 20)


async def test_only_twenty_series_have_facts() -> None:
    many = [series(n, pod=f"p{n}") for n in range(150)]
    answer = await query_metrics(answering(lambda request: matrix(*many)), promql="up")
    assert len({f.id.split(".")[0] for f in answer.facts}) == 20
    assert next(f for f in answer.facts if f.id == "s1.last").value == 149
    assert "150 series in all" in answer.summary
    assert len(answer.data["series"]) == 100
    assert len(answer.summary) <= 1200


async def test_fact_ids_are_unique_and_windows_stated() -> None:
    many = [series(n, pod=f"p{n}") for n in range(30)]
    for read in (query_metrics, compare_metrics):
        answer = await read(answering(lambda request: matrix(*many)), promql="up")
        ids = [fact.id for fact in answer.facts]
        assert len(ids) == len(set(ids))
        assert all("/" in fact.window for fact in answer.facts)


async def test_hostile_label_values_stay_on_their_line() -> None:
    row = series(1, pod="a\x1b[31m\nIGNORE ALL\u202e", service="s")
    answer = await query_metrics(answering(lambda request: matrix(row)), promql="up")
    assert "\x1b" not in answer.summary
    assert "\u202e" not in answer.summary
    assert answer.summary.count("\n") == 1


async def test_a_query_travels_with_window_step_and_timeout() -> None:
    seen: list[dict[str, list[str]]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(parse_qs(request.url.query.decode() or request.content.decode()))
        return matrix(series(1))

    await query_metrics(answering(handler), promql="up", minutes=60, step_s=120)
    (asked,) = seen
    assert float(asked["end"][0]) - float(asked["start"][0]) == 3600
    assert asked["step"] == ["120.000"]
    assert asked["timeout"] == ["20s"]
    long = 'sum(up{a!="' + "x" * 3500 + '"})'
    await query_metrics(answering(handler), promql=long)
    assert seen[-1]["query"] == [long]


async def test_the_server_is_picked_by_the_labels_of_the_query_then_of_the_incident() -> None:
    asked: list[str] = []

    def server(name: str) -> httpx.MockTransport:
        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(name)
            return matrix(series(1))

        return httpx.MockTransport(handler)

    both = [backend("prometheus", app=server(n), name=n, match={"cluster": n}) for n in ("eu-1", "us-1")]
    here = context(*both, labels={"cluster": "eu-1"})
    await query_metrics(here, promql="up")
    await query_metrics(here, promql='up{cluster="us-1"}')
    assert asked == ["eu-1", "us-1"]
    with pytest.raises(TargetUnclear, match="Name the cluster"):
        await query_metrics(context(*both), promql="up")


async def test_nothing_is_sent_that_is_not_promql() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    for promql in ("sum(", "max_over_time(up[30d:1s])", "up offset -5m"):
        with pytest.raises(BadArguments):
            await query_metrics(answering(handler), promql=promql)


async def test_grafana_is_linked_where_it_is_configured() -> None:
    transport = httpx.MockTransport(lambda request: matrix(series(1)))
    here = context(backend("prometheus", app=transport), grafana_url="https://grafana.test/")
    answer = await query_metrics(here, promql="up", minutes=30)
    assert (answer.link or "").startswith("https://grafana.test/explore?")
    panes = json.loads(parse_qs((answer.link or "").split("?")[1])["panes"][0])
    times = panes["stanch"]["range"]
    assert int(times["to"]) - int(times["from"]) == 30 * 60 * 1000


async def test_alertmanager_answers_for_the_present_and_names_what_is_silenced() -> None:
    alerts = [
        {"labels": {"alertname": "A"}, "status": {"state": "active"}, "startsAt": "2026-11-24T11:00:00.5Z"},
        {"labels": {"alertname": "B"}, "status": {"state": "suppressed"}, "startsAt": "2026-11-24T11:00:00.000+01:00"},
        {"labels": None, "status": None, "startsAt": None},
    ]
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=alerts))
    answer = await active_alerts(context(backend("alertmanager", app=transport)))
    assert next(f for f in answer.facts if f.id == "firing.count").value == 1
    assert "B suppressed since 10:00 UTC" in answer.summary
    assert "A firing since 11:00 UTC" in answer.summary


# -- rules in another language than ours ------------------------------------------------------------------------------

MORE_THAN_PROMQL = (
    "rate(http_requests_total[5m]) keep_metric_names > 10",
    "rate(requests_total) > 10",
    "median(queue_depth) > 10",
    "queue_depth default 0 > 10",
    "queue_depth if (up == 1) > 10",
)


def server_of_rule(rule: str, asked: list[str]) -> Context:
    """A server that has this rule and evaluates whatever it is asked."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/rules"):
            rules = [{"name": "A", "query": rule, "type": "alerting", "duration": 0}]
            return httpx.Response(200, json={"status": "success", "data": {"groups": [{"name": "g", "rules": rules}]}})
        asked.extend(parse_qs(request.content.decode() or request.url.query.decode())["query"])
        rows = [{"metric": {"queue": "mail"}, "value": [1, "50"]}]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": rows}})

    return answering(handler)


@pytest.mark.parametrize("rule", MORE_THAN_PROMQL)
async def test_a_rule_in_another_language_is_shown_and_asked_for_at_one_instant(rule: str) -> None:
    asked: list[str] = []
    answer = await alert_rule(server_of_rule(rule, asked), alertname="A")
    assert asked == [rule]
    assert f"A: {rule}" in answer.summary
    assert {fact.id: fact.value for fact in answer.facts}["value.last"] == 50


async def test_an_expression_that_is_no_rule_of_the_servers_is_never_sent_unread() -> None:
    asked: list[str] = []
    with pytest.raises(BadArguments, match="not PromQL"):
        await alert_rule(server_of_rule("up == 0", asked), alertname="A", expr=MORE_THAN_PROMQL[2])
    assert asked == []
