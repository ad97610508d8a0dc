"""Which version served before: what was seen or told, never the next lower number, never one whose validation failed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from agent.lab import prometheus as face
from agent.lab.ports import Series
from agent.lab.samples import Recorded
from tests.contexts import NOON, ListedCatalog, backend, context
from tools.context import Change, Context, Model
from tools.errors import Refused
from tools.models.actions import PointModelAlias
from tools.models.registry import ModelVersion, RegisteredModel
from tools.models.served_before import Before, served_before, unfit
from tools.models.versions import model_versions
from tools.spec import State

ANSWERS = Path(__file__).parents[1] / "fixtures" / "mlflow" / "two-aliases.json"
NOW_MS = int(NOON.timestamp() * 1000)
MODEL = Model("demand", "retail.demand_hourly", alias="production", served_version="served_info")
VERSIONS = RegisteredModel(
    MODEL.registry_name, {"production": "8"}, tuple(ModelVersion(v) for v in ("9", "8", "7", "6", "5"))
)


def ran(version: str, since_h: float, until_h: float, value: float = 1) -> Series:
    """Serving ran it from so many hours ago until so many hours ago."""
    begin, end = (NOW_MS - int(h * 3_600_000) for h in (since_h, until_h))
    times = np.arange(begin, end + 1, 60_000, dtype=np.int64)
    return Series({"__name__": "served_info", "version": version}, times, np.full(times.size, value))


def here(*given: Series, model: Model = MODEL) -> Context:
    app = Starlette(routes=face.routes(Recorded(list(given), NOW_MS), (), lambda: "http://prometheus.test"))
    return context(backend("prometheus", "http://prometheus.test", app=httpx.ASGITransport(app)), models=(model,))


def posted(*told: tuple[float, str, str]) -> list[Change]:
    return [
        Change(
            NOON - timedelta(hours=h),
            "model_promotion",
            "promoted",
            detail={"model": "demand", "version": v, "alias": a},
        )
        for h, v, a in told
    ]


def tagged(found: RegisteredModel, **tags: dict[str, str]) -> RegisteredModel:
    named = {name.removeprefix("v"): value for name, value in tags.items()}
    return replace(found, versions=tuple(replace(v, tags=named.get(v.version, {})) for v in found.versions))


async def before(where: Context, found: RegisteredModel = VERSIONS, *told: Change) -> Before:
    return await served_before(where, where.catalog.models()[0], found, "8", told)


async def test_what_serving_ran_before_counts_and_not_the_next_lower_number() -> None:
    found = await before(here(ran("7", 90, 60), ran("5", 60, 3), ran("8", 3, 0)))
    assert found.version == "5"
    assert "serving ran it until 2026-11-24T08:" in found.how or "2026-11-24T09:00" in found.how


async def test_a_version_that_ran_only_beside_the_present_one_did_not_serve_before() -> None:
    assert (await before(here(ran("6", 90, 3), ran("8", 3, 0), ran("9", 2, 1)))).version == "6"


async def test_a_version_that_came_back_is_preceded_by_what_ran_in_between() -> None:
    assert (await before(here(ran("8", 90, 50), ran("6", 50, 3), ran("8", 3, 0)))).version == "6"


async def test_a_version_whose_validation_failed_is_passed_over_and_named() -> None:
    failed = tagged(VERSIONS, v7={"validation_status": "FAILED"})
    found = await before(here(ran("6", 90, 60), ran("7", 60, 3), ran("8", 3, 0)), failed)
    assert found.version == "6"
    assert "version 7" in found.how
    assert "its validation failed (tag validation_status: FAILED)" in found.how
    alone = await before(here(ran("7", 60, 3), ran("8", 3, 0)), failed)
    assert alone.version is None
    gone = await before(here(ran("4", 60, 3), ran("8", 3, 0)))
    assert (gone.version, "no longer" in gone.how) == (None, True)


async def test_posted_promotions_of_its_alias_tell_it_where_metrics_do_not() -> None:
    told = posted((90, "6", "production"), (50, "7", "champion"), (3, "8", "production"))
    assert (await before(here(), VERSIONS, *told)).version == "6"


async def test_promotion_tags_tell_it_where_nothing_else_does() -> None:
    times = {
        "v5": "2026-11-20T00:00:00Z",
        "v7": "2026-11-10T00:00:00Z",
        "v8": "2026-11-23T00:00:00Z",
        "v9": "2026-11-24T00:00:00Z",
    }
    found = tagged(VERSIONS, **{v: {"promoted_at": at} for v, at in times.items()})
    assert (await before(here(), found)).version == "5"


async def test_what_nobody_tells_is_said_and_never_guessed() -> None:
    found = await before(here())
    assert found.version is None
    assert "promoted_at tag" in found.how
    assert (await before(here(ran("8", 500, 0)))).version is None


@pytest.mark.parametrize(
    ("tags", "fit"),
    [
        ({}, True),
        ({"validation_status": "passed"}, True),
        ({"validation_status": "pending"}, True),
        ({"validation_status": "rejected"}, False),
        ({"approved": "false"}, False),
        ({"quality-gate": "Failed"}, False),
        ({"comment": "failed"}, True),
    ],
)
def test_tags_that_say_a_version_may_not_be_served(tags: dict[str, str], fit: bool) -> None:
    assert (unfit(ModelVersion("7", tags=tags)) == "") is fit


def registry(request: httpx.Request) -> httpx.Response:
    """The answers of a registry with two aliases, `production` and another team's `champion`."""
    calls = json.loads(ANSWERS.read_text())
    for call in calls:
        asked: dict[str, Any] = dict(request.url.params)
        if request.url.path == call["path"] and all(str(asked.get(k)) == v for k, v in call["query"].items()):
            return httpx.Response(call["status"], json=call["response"])
    return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"})


def two_aliases(model: Model = MODEL) -> Context:
    return context(backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(registry)), models=(model,))


async def test_versions_say_that_what_served_before_cannot_be_told() -> None:
    answer = await model_versions(two_aliases(replace(MODEL, served_version=None)), model="demand")
    found = {f.id: f.value for f in answer.facts}
    assert found["alias.production.previous"] is None
    assert "alias.champion.previous" not in found
    assert "What served before version 8 cannot be told" in answer.summary


async def test_of_two_aliases_the_catalogs_is_looked_at() -> None:
    where = two_aliases()
    wanted = PointModelAlias(model="demand", version="7").resolved(where)
    assert (await wanted.observe(where)).fields == {"version": "8"}
    unnamed = replace(where, catalog=ListedCatalog((), (replace(MODEL, alias="champion", alias_named=False),)))
    with pytest.raises(Refused, match="nobody said which one serving follows"):
        await PointModelAlias(model="demand", version="6").resolved(unnamed).dry_run(unnamed, State({"version": "7"}))
