"""Reads about models where Prometheus, serving or posted changes answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.contexts import NOON, backend, context
from tests.tools.test_mlflow import recorded
from tools.changes import promotions, recent_changes
from tools.context import Backend, Change, Context, Model, Service
from tools.errors import NotConfigured, NotRecorded, TargetUnclear, ToolFailed, Unreachable
from tools.models.health import feature_freshness, model_quality
from tools.models.registry import tag_time
from tools.models.versions import model_lineage, model_versions, served_version
from tools.spec import Answer, Emptiness

NOW = NOON.timestamp()
FORECAST = Model(
    "demand-forecast",
    "demand-forecast",
    served_by="demand-forecast",
    served_version='model_served_version_info{model="demand-forecast"}',
    quality='model_prediction_error_ratio{model="demand-forecast"}',
    labels_complete_until='model_labels_complete_until_seconds{model="demand-forecast"}',
    freshness='feature_last_updated_seconds{model="demand-forecast"}',
    freshness_limit=timedelta(hours=2),
)
Sample = tuple[dict[str, str], float | str]


def facts(answer: Answer) -> dict[str, Any]:
    return {fact.id: fact.value for fact in answer.facts}


def prometheus(
    vectors: dict[str, Sequence[Sample]], matrix: Sequence[tuple[dict[str, str], Sequence[tuple[float, float]]]] = ()
) -> Backend:
    """Answers an instant query by the metric it names, and every range query with `matrix`."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params["query"]
        if request.url.path.endswith("query_range"):
            result: Any = [{"metric": m, "values": [[t, str(v)] for t, v in points]} for m, points in matrix]
            return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})
        found = next((samples for name, samples in vectors.items() if query.startswith(name)), ())
        result = [{"metric": m, "value": [NOW, str(v)]} for m, v in found]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})

    return backend("prometheus", "http://prom.test", app=httpx.MockTransport(answer))


def registry(answer: Callable[[httpx.Request], httpx.Response] = recorded) -> Backend:
    return backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(answer))


def here(*backends: Backend, model: Model = FORECAST, **given: Any) -> Context:
    return context(*backends, models=(model,), labels={"model": model.name}, **given)


def served(*pods: tuple[str, float]) -> Backend:
    return prometheus({"model_served": [({"pod": f"p{n}", "version": v}, value) for n, (v, value) in enumerate(pods)]})


@pytest.mark.parametrize(
    ("pods", "version", "agree"),
    [
        ([("3", 1), ("3", 1)], "3", True),
        ([("2", 1), ("2", 1)], "2", False),
        ([("3", 1), ("2", 1)], "2, 3", False),  # a roll-out under way
        ([("3", 1), ("2", 0)], "3", True),  # an info metric at 0 is history
        ([("10", 1), ("9", 1)], "9, 10", False),
        ([], None, None),
    ],
)
async def test_what_is_served_comes_from_serving(pods: Any, version: str | None, agree: bool | None) -> None:
    answer = await served_version(here(served(*pods), registry()))
    assert facts(answer)["served.version"] == version
    assert facts(answer)["alias.version"] == "3"
    assert facts(answer)["agree"] is agree
    assert (answer.empty is Emptiness.NO_SERIES) is (not pods)


async def test_the_served_version_stands_without_the_registry() -> None:
    answer = await served_version(here(served(("3", 1))))
    assert facts(answer)["served.version"] == "3"
    assert facts(answer)["alias.version"] is None
    assert facts(answer)["agree"] is None
    assert "No mlflow is configured" in answer.summary


async def test_a_past_incident_sees_what_was_served_then_and_no_alias_of_today() -> None:
    answer = await served_version(here(served(("3", 1)), registry(), as_of=NOON - timedelta(days=1), now=NOON))
    assert facts(answer)["served.version"] == "3"
    assert facts(answer)["alias.version"] is None
    assert "not recorded" in answer.summary


@pytest.mark.parametrize(
    ("path", "body", "version"),
    [("version", {"version": 3}, "3"), ("models[0].v", {"models": [{"v": "3.1-rc"}]}, "3.1-rc")],
)
async def test_serving_can_be_asked_by_address(path: str, body: Any, version: str) -> None:
    model = replace(FORECAST, served_version=None, served_url="http://serving.test/v", served_path=path)
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=body)))
    assert facts(await served_version(here(model=model, http=http)))["served.version"] == version


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda _: httpx.Response(200, json={"v": 1}), ToolFailed, "Mend served_path"),
        (lambda _: httpx.Response(200, text="3"), ToolFailed, "not a version"),
        (lambda _: httpx.Response(200, text="<html>"), ToolFailed, "finds nothing"),
        (lambda _: httpx.Response(503, text="busy"), ToolFailed, "HTTP 503"),
    ],
)
async def test_serving_that_answers_oddly_is_a_clear_failure(answer: Any, error: type[Exception], said: str) -> None:
    model = replace(FORECAST, served_version=None, served_url="http://serving.test/v")
    with pytest.raises(error, match=said):
        await served_version(here(model=model, http=httpx.AsyncClient(transport=httpx.MockTransport(answer))))


async def test_serving_that_is_down_or_asked_of_the_past_is_said() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    model = replace(FORECAST, served_version=None, served_url="http://serving.test/v")
    http = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
    with pytest.raises(Unreachable, match="served_url"):
        await served_version(here(model=model, http=http))
    with pytest.raises(NotRecorded, match="the present only"):
        await served_version(here(model=model, http=http, as_of=NOON - timedelta(hours=1), now=NOON))
    with pytest.raises(NotConfigured, match="served_version"):
        await served_version(here(model=replace(model, served_url=None)))


async def test_versions_out_of_recorded_answers() -> None:
    answer = await model_versions(here(registry()))
    assert facts(answer)["alias.champion"] == "3"
    assert (
        facts(answer)["alias.champion.previous"] is None
    )  # nobody tells what served before: the number below is a guess
    assert "What served before version 3 cannot be told" in answer.summary
    assert answer.link == "http://mlflow.test/#/models/demand-forecast"
    assert "data v2" in answer.summary


def promoted(version: str, minutes: int, model: str = "demand-forecast") -> Change:
    detail = {"model": model, "version": version, "alias": "champion"}
    return Change(
        NOON - timedelta(minutes=minutes), "model_promotion", f"v{version} promoted", source="ci", detail=detail
    )


async def test_a_posted_promotion_dates_the_alias() -> None:
    answer = await model_versions(
        here(registry(), changes=(promoted("2", 90), promoted("3", 30), promoted("3", 5, "other")))
    )
    assert facts(answer)["alias.champion.promoted"] == (NOON - timedelta(minutes=30)).timestamp()
    assert "by a change posted by ci" in answer.summary


async def test_a_tag_dates_the_alias() -> None:
    def tagged(request: httpx.Request) -> httpx.Response:
        body = recorded(request).json()
        for version in body.get("model_versions", ()):
            version["tags"] = [{"key": "promoted_at", "value": "2026-11-24T09:30:00+00:00"}]
        return httpx.Response(200, json=body)

    answer = await model_versions(here(registry(tagged)))
    assert facts(answer)["alias.champion.promoted"] == (NOON - timedelta(hours=2, minutes=30)).timestamp()
    assert "promoted 2026-11-24T09:30:00Z by its tag promoted_at" in answer.summary


async def test_another_registry_takes_part_by_posting_promotions() -> None:
    answer = await model_versions(here(changes=(promoted("6", 90), promoted("7", 30))))
    assert facts(answer) == {
        "versions.count": 2,
        "alias.champion": "7",
        "alias.champion.promoted": (NOON - timedelta(minutes=30)).timestamp(),
    }
    with pytest.raises(NotConfigured, match="/v1/events"):
        await model_versions(here())


@pytest.mark.parametrize("read", [model_versions, served_version, model_lineage, model_quality, feature_freshness])
async def test_a_model_is_named_by_the_catalog_and_never_guessed(read: Any) -> None:
    with pytest.raises(TargetUnclear, match=r"no model 'forecsat'. It knows: demand-forecast"):
        await read(here(registry(), served()), model="forecsat")
    with pytest.raises(TargetUnclear, match="Name one of: demand-forecast"):
        await read(replace(here(registry(), served()), labels={"service": "web"}))


async def test_the_service_that_fires_leads_to_its_model() -> None:
    serving = Service("demand-forecast", {"service": "demand-forecast"}, serves_model="demand-forecast")
    where = here(served(("3", 1)), registry(), services=(serving,))
    answer = await served_version(replace(where, labels={"service": "demand-forecast"}))
    assert facts(answer)["served.version"] == "3"


async def test_lineage_out_of_recorded_answers() -> None:
    answer = await model_lineage(here(registry()))
    found = facts(answer)
    assert (found["version"], found["data.version"], found["metric.mape"]) == ("3", "v2", 0.31)
    assert (found["previous.version"], found["previous.data.version"], found["previous.run.id"]) == ("2", "v1", None)
    assert "no training run is recorded for it" in answer.summary


def daily(values: Sequence[float], until: float = NOW) -> list[tuple[float, float]]:
    return [(until - (len(values) - 1 - day) * 86400, value) for day, value in enumerate(values)]


@pytest.mark.parametrize(("delay_hours", "covered"), [(0.1, True), (7 * 24, False)])
async def test_quality_says_whether_the_incident_is_covered_at_all(delay_hours: float, covered: bool) -> None:
    until = NOW - delay_hours * 3600
    where = prometheus({"model_labels": [({}, until), ({}, NOW)]}, [({}, daily([0.1] * 12 + [0.3, 0.3]))])
    answer = await model_quality(here(where))
    found = facts(answer)
    assert found["quality.last"] == 0.3
    assert found["quality.before"] == 0.1
    assert found["quality.ratio"] == pytest.approx(3)
    assert found["labels_complete_until"] == pytest.approx(until)
    assert found["window.covered"] is covered
    assert ("NOT covered: quality then is unknown" in answer.summary) is not covered


async def test_quality_of_several_series_is_that_of_the_worst() -> None:
    series = [({"segment": "a"}, daily([0.1] * 14)), ({"segment": "b"}, daily([0.1] * 13 + [0.5]))]
    lower = await model_quality(here(prometheus({}, series)))
    assert facts(lower)["quality.last"] == 0.5
    assert "The worst of 2 series" in lower.summary
    higher = replace(FORECAST, quality_lower_is_better=False)
    assert facts(await model_quality(here(prometheus({}, series), model=higher)))["quality.last"] == 0.1


async def test_no_samples_are_no_zero() -> None:
    answer = await model_quality(here(prometheus({})))
    assert facts(answer)["quality.last"] is None
    assert facts(answer)["quality.ratio"] is None
    assert answer.empty is Emptiness.NO_SAMPLES
    gone = await model_quality(here(prometheus({}, [({}, [(NOW, float("nan"))])])))
    assert facts(gone)["quality.last"] is None


async def test_the_longest_window_is_still_sent() -> None:
    assert facts(await model_quality(here(prometheus({}, [({}, daily([0.1] * 90))])), days=90))["quality.last"] == 0.1


async def test_freshness_is_an_age_against_the_limit_stalest_first() -> None:
    hours = {"price": 30.0, "promo": 1.0, "stock": 3.0}
    written: list[Sample] = [({"feature": f}, NOW - h * 3600) for f, h in hours.items()]
    written += [({"feature": "promo", "pod": "b"}, NOW - 60), ({"feature": "odd"}, "NaN")]
    answer = await feature_freshness(here(prometheus({"feature_last": written})))
    found = facts(answer)
    assert found["price.age"] == 30 * 3600
    assert found["promo.age"] == 3600  # the stalest of its series
    assert (found["stale.count"], found["features.count"], found["limit"]) == (2, 3, 7200)
    assert list(answer.data["ages_seconds"]) == ["price", "stock", "promo"]
    assert "2 of 3 features are older" in answer.summary


async def test_no_feature_at_all_is_not_called_fresh() -> None:
    answer = await feature_freshness(here(prometheus({})))
    assert answer.empty is Emptiness.NO_SERIES
    assert facts(answer)["stale.count"] is None
    with pytest.raises(NotConfigured, match="freshness_limit"):
        await feature_freshness(here(prometheus({}), model=replace(FORECAST, freshness=None)))


async def test_promotions_leave_to_the_posts_what_was_posted() -> None:
    where = here(registry(), changes=(promoted("3", 30),))
    found = sorted(await promotions(where, FORECAST), key=lambda change: change.at)
    assert [c.detail["version"] for c in found] == ["1", "2", "3"]
    assert all("promoted," not in c.what for c in found)
    assert {c["source"] for c in (await recent_changes(where, hours=48)).data["changes"]} == {
        "mlflow",
        "ci",
    }
    assert [c["source"] for c in (await recent_changes(where, hours=1)).data["changes"]] == ["ci"]


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-24T09:30:00Z", "2026-11-24T09:30:00+00:00"),
        ("2026-11-24 09:30", "2026-11-24T09:30:00+00:00"),
        ("2026-11-24T10:30:00+01:00", "2026-11-24T09:30:00+00:00"),
        ("1795512600", "2026-11-24T09:30:00+00:00"),
        ("1795512600000", "2026-11-24T09:30:00+00:00"),
        ("yesterday", None),
        ("", None),
        ("12", None),
    ],
)
def test_a_time_in_a_tag(text: str, iso: str | None) -> None:
    found = tag_time(text)
    assert (found.isoformat() if found else None) == iso


async def test_every_answer_is_plain_json_with_unique_facts() -> None:
    where = here(served(("3", 1)), registry())
    for answer in (await model_versions(where), await served_version(where), await model_lineage(where)):
        json.dumps(answer.data, allow_nan=False)
        ids = [fact.id for fact in answer.facts]
        assert len(ids) == len(set(ids))
        assert len(answer.summary) <= 1200
