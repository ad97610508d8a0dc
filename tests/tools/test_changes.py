"""What changed: several sources, one list; nothing seen is zero only where somebody looked."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from tests.contexts import NOON, backend, context
from tools.changes import merged, models_of, recent_changes
from tools.context import Change, Model, Service, Workload
from tools.spec import Answer, Emptiness

FORECAST = Service("forecast", {"service": "forecast"}, ("features",), "demand", (Workload("forecast", "ml", "eu-1"),))
DEMAND = Model("demand", "demand", served_by="forecast", features_from=("features",))


def change(
    minutes: int, kind: str = "deployment", service: str = "forecast", source: str = "kubernetes", **detail: str
) -> Change:
    return Change(
        NOON - timedelta(minutes=minutes), kind, f"{kind} of {service}", service, source=source, detail=detail
    )


def prometheus(*versions: tuple[str, int, int]) -> httpx.MockTransport:
    """Answers app_build_info: (version, minutes ago it was first seen, minutes ago it was last seen)."""

    def handler(request: httpx.Request) -> httpx.Response:
        result = [
            {
                "metric": {"__name__": "app_build_info", "service": "forecast", "version": version},
                "values": [[NOON.timestamp() - m * 60, "1"] for m in range(first, last - 1, -1)],
            }
            for version, first, last in versions
        ]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})

    return httpx.MockTransport(handler)


def down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def values(answer: Answer) -> dict[str, object]:
    return {f.id: f.value for f in answer.facts}


async def test_nothing_changed_is_zero_where_metrics_would_have_told() -> None:
    here = context(backend("prometheus", app=prometheus(("1", 1440, 0))), services=(FORECAST,))
    answer = await recent_changes(here, service="forecast", hours=24)
    assert values(answer)["deployments.count"] == 0
    assert values(answer)["changes.count"] == 0
    assert answer.empty is Emptiness.NOTHING
    assert (
        next(f for f in answer.facts if f.id == "deployments.count").window
        == "2026-11-23T12:00:00Z/2026-11-24T12:00:00Z"
    )


async def test_promotions_are_unknown_where_no_registry_is_configured() -> None:
    here = context(backend("prometheus", app=prometheus(("1", 1440, 0))), services=(FORECAST,))
    answer = await recent_changes(here, service="forecast")
    assert values(answer)["model_promotions.count"] is None
    assert "Nothing that is configured tells of model promotions" in answer.summary


async def test_a_source_that_could_not_be_read_is_not_zero() -> None:
    here = context(backend("prometheus", app=httpx.MockTransport(down)), services=(FORECAST,))
    answer = await recent_changes(here, service="forecast")
    assert values(answer)["deployments.count"] is None
    assert values(answer)["changes.count"] is None
    assert "Not read: metrics" in answer.summary


async def test_what_was_seen_counts_though_another_source_failed() -> None:
    here = context(
        backend("prometheus", app=httpx.MockTransport(down)), services=(FORECAST,), changes=(change(30, source="ci"),)
    )
    answer = await recent_changes(here, service="forecast")
    fact = next(f for f in answer.facts if f.id == "deployments.count")
    assert (fact.value, fact.name) == (1, "deployments, at least")


async def test_a_version_change_is_a_deployment_joined_with_what_was_posted() -> None:
    here = context(
        backend("prometheus", app=prometheus(("1", 1440, 41), ("2", 40, 0))),
        services=(FORECAST,),
        changes=(
            change(38, source="ci", version="2"),
            change(30, "config", "payments"),
            change(60, "data", "features"),
        ),
    )
    answer = await recent_changes(here, service="forecast")
    assert values(answer)["deployments.count"] == 1
    assert values(answer)["changes.count"] == 2  # payments is none of ours, features feeds the service
    assert "metric app_build_info + ci" in answer.summary


async def test_changes_of_a_model_concern_the_service_that_serves_it() -> None:
    here = context(services=(FORECAST,), models=(DEMAND,), changes=(change(10, "model_promotion", "demand", "mlops"),))
    assert values(await recent_changes(here, service="forecast"))["model_promotions.count"] == 1
    assert models_of(here, "features") == [DEMAND]
    assert models_of(here, "payments") == []


async def test_nothing_outside_the_window_is_listed() -> None:
    here = context(services=(FORECAST,), changes=(change(90),))
    assert values(await recent_changes(here, service="forecast", hours=1))["changes.count"] is None
    assert values(await recent_changes(here, service="forecast", hours=2))["changes.count"] == 1


async def test_a_service_without_workloads_in_the_catalog_has_unknown_rollouts() -> None:
    bare = Service("forecast", {"service": "forecast"})
    here = context(backend("kubernetes", app=httpx.MockTransport(down)), services=(bare,))
    answer = await recent_changes(here, service="forecast")
    assert values(answer)["deployments.count"] is None
    assert "names no workload of forecast" in answer.summary


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (change(30), change(25, source="metric"), 1),
        (change(30), change(15, source="metric"), 2),
        (change(30), change(25), 2),  # one source tells of two rollouts
        (change(30, service="a"), change(30, service="b", source="metric"), 2),
        (change(30, version="1"), change(29, source="metric", version="2"), 2),
        (change(30, image="r.test:5000/x:2"), change(29, source="metric", version="2"), 1),
        (change(30, "config"), change(30, "config", source="ci"), 2),
    ],
)
def test_two_tellings_of_one_rollout_are_one_change(one: Change, other: Change, together: int) -> None:
    assert len(merged([one, other])) == together
