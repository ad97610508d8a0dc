"""Every read and the alias action against a real MLflow server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contexts import backend, context
from tests.mlflow_server import MODEL, MlflowServer, mlflow_server
from tools.changes import promotions
from tools.context import Context, Model
from tools.drift.inspect import inspect_drift
from tools.errors import NotRecorded, Refused, ToolFailed
from tools.models.actions import PointModelAlias
from tools.models.health import model_quality
from tools.models.mlflow import Mlflow, MlflowAnswered
from tools.models.versions import model_lineage, model_versions, served_version
from tools.spec import Answer

__all__ = ["mlflow_server"]  # the fixture
pytestmark = pytest.mark.server
REPORT = Path(__file__).parents[1] / "fixtures" / "drift" / "evidently-0.7" / "data_drift_drift.json"


def facts(answer: Answer) -> dict[str, Any]:
    return {fact.id: fact.value for fact in answer.facts}


@pytest.fixture
async def here(mlflow_server: MlflowServer) -> AsyncIterator[Context]:
    """The present, with the catalog's name of the model unlike the registry's."""
    entry = Model("forecast", MODEL, served_url="http://serving.test/version", served_by="demand-forecast")
    serving = httpx.MockTransport(lambda _: httpx.Response(200, json={"model": MODEL, "version": 3}))
    async with httpx.AsyncClient(transport=serving) as http:
        made = context(
            backend("mlflow", mlflow_server.url),
            as_of=datetime.now(UTC),
            models=(entry,),
            labels={"model": "forecast"},
            http=http,
        )
        yield made
        await made.backends.all[0].http.aclose()


async def test_versions_aliases_and_what_lies_before(here: Context) -> None:
    answer = await model_versions(here)
    found = facts(answer)
    assert found["versions.count"] == 3
    assert found["alias.champion"] == "3"
    assert found["alias.champion.previous"] is None
    assert found["alias.champion.promoted"] is None
    assert found["v3.status"] == "READY"
    assert 0 <= here.as_of.timestamp() - found["v3.created"] < 7_200  # made by this run, whose server serves all tests
    assert "promoted at an unknown time (the registry keeps no alias history), not before" in answer.summary


async def test_served_and_alias_are_compared(here: Context, mlflow_server: MlflowServer) -> None:
    assert facts(await served_version(here)) == {
        "served.version": "3",
        "served.versions.count": 1,
        "alias.version": "3",
        "agree": True,
    }
    mlflow_server.point_champion("1")
    try:
        answer = await served_version(here)
    finally:
        mlflow_server.point_champion("3")
    assert facts(answer)["agree"] is False
    assert "do NOT agree" in answer.summary


async def test_lineage_stands_beside_the_version_before(here: Context, mlflow_server: MlflowServer) -> None:
    answer = await model_lineage(here)
    found = facts(answer)
    assert found["version"] == "3"
    assert found["run.id"] == mlflow_server.runs["3"]
    assert found["data.version"] == "2026-11-03"
    assert found["metric.mape"] == pytest.approx(0.31)
    assert found["previous.metric.mape"] == pytest.approx(0.11)
    assert found["param.depth"] == "5"
    assert "mape 0.11 → 0.31" in answer.summary
    assert "parameters that differ: depth" in answer.summary
    assert facts(await model_lineage(here, version="1"))["metric.rmse"] == pytest.approx(11)


async def test_quality_falls_back_to_what_the_run_logged(here: Context) -> None:
    answer = await model_quality(here, days=3)
    found = facts(answer)
    assert found["quality.last"] == pytest.approx(0.31)
    assert found["quality.before"] == pytest.approx(0.11)
    assert found["quality.ratio"] == pytest.approx(0.31 / 0.11)
    assert found["labels_complete_until"] is None
    assert found["window.covered"] is None
    assert "is not recorded" in answer.summary


async def test_the_alias_goes_there_and_back(here: Context, mlflow_server: MlflowServer) -> None:
    action = PointModelAlias.parse({"model": "forecast", "version": 2}).resolved(here)
    assert isinstance(action, PointModelAlias)
    before = await action.observe(here)
    assert before.fields == {"version": "3"}
    assert action.change(before, "k1").fields == {"version": "2"}
    said = await action.dry_run(here, before)
    assert said is not None
    assert "version 2 of demand-forecast exists and is READY" in said
    receipt = await action.apply(here, before, "k1")
    try:
        assert receipt.values == {"version": "2"}
        assert mlflow_server.champion() == "2"
        assert await action.probe(here, "k1") is True
        assert (await action.observe(here)).fields == {"version": "2"}
        undo = action.undo(before)
        assert undo == PointModelAlias(model="forecast", version="3", alias="champion")
        await undo.apply(here, await undo.observe(here), "k2")
        assert mlflow_server.champion() == "3"
        assert await action.probe(here, "k1") is False
    finally:
        mlflow_server.point_champion("3")


async def test_an_alias_that_was_moved_meanwhile_is_left_alone(here: Context, mlflow_server: MlflowServer) -> None:
    action = PointModelAlias(model="forecast", version="2")
    before = await action.observe(here)
    mlflow_server.point_champion("1")
    try:
        with pytest.raises(Refused, match="moved by somebody else"):
            await action.apply(here, before, "k3")
        assert mlflow_server.champion() == "1"
    finally:
        mlflow_server.point_champion("3")


async def test_unknown_aliases_versions_models_and_runs_are_refused_in_words(here: Context) -> None:
    before = await PointModelAlias(model="forecast", version="2").observe(here)
    with pytest.raises(Refused, match="has no alias 'challenger'"):
        await PointModelAlias(model="forecast", version="2", alias="challenger").observe(here)
    with pytest.raises(Refused, match="has no version 9"):
        await PointModelAlias(model="forecast", version="9").dry_run(here, before)
    with pytest.raises(Refused, match=r"HTTP 404 RESOURCE_DOES_NOT_EXIST.*version=9"):
        await PointModelAlias(model="forecast", version="9").apply(here, before, "k4")
    registry = Mlflow(here.backends.pick("mlflow"))
    with pytest.raises(MlflowAnswered, match="name=nosuch not found") as unknown:
        await registry.model("nosuch")
    assert unknown.value.status == 404
    assert await registry.run("nosuch") is None
    assert await registry.alias(MODEL, "nosuch") is None


async def test_a_host_the_server_does_not_expect_is_told_how_to_be_allowed(mlflow_server: MlflowServer) -> None:
    """The same server under a name it was not told about, as behind an ingress."""
    async with httpx.AsyncClient(base_url=mlflow_server.url, headers={"Host": "mlflow.example"}) as http:
        reached = backend("mlflow", "http://mlflow.example")
        foreign = Mlflow(type(reached)("mlflow", "mlflow", "http://mlflow.example", http))
        with pytest.raises(ToolFailed, match=r"--allowed-hosts mlflow\.example"):
            await foreign.model(MODEL)


async def test_an_artifact_is_read_as_a_drift_report(here: Context, mlflow_server: MlflowServer) -> None:
    run = mlflow_server.runs["3"]
    place = mlflow_server.call("GET", "/runs/get", {"run_id": run})["run"]["info"]["artifact_uri"].split(":/", 1)[1]
    url = f"{mlflow_server.url}/api/2.0/mlflow-artifacts/artifacts/{place.lstrip('/')}/evidently/report.json"
    async with httpx.AsyncClient(timeout=30) as http:
        (await http.put(url, content=REPORT.read_bytes())).raise_for_status()
    assert facts(await inspect_drift(here, source=f"runs:/{run}/evidently/report.json"))["drifted.count"] == 8
    with pytest.raises(ToolFailed):
        await inspect_drift(here, source=f"runs:/{run}/evidently/other.json")


async def test_registrations_are_changes_and_only_a_tag_dates_a_promotion(
    here: Context, mlflow_server: MlflowServer
) -> None:
    (model,) = here.catalog.models()
    found = sorted(await promotions(here, model), key=lambda change: change.at)
    assert [(c.kind, c.detail["version"]) for c in found] == [("other", "1"), ("other", "2"), ("model_promotion", "3")]
    assert "moved at an unknown time after that" in found[-1].what
    told = here.as_of - timedelta(minutes=7)
    tag = {"name": MODEL, "version": "2", "key": "promoted_at", "value": told.isoformat()}
    mlflow_server.call("POST", "/model-versions/set-tag", tag)
    found = await promotions(here, model)
    assert [(c.kind, c.at) for c in found if "by its tag" in c.what] == [("model_promotion", told)]


async def test_the_past_is_not_answered_with_the_present(here: Context) -> None:
    from dataclasses import replace

    past = replace(here, as_of=here.as_of - timedelta(days=1))
    answer = await model_versions(past)
    assert facts(answer) == {"versions.count": 0}
    assert "not recorded" in answer.summary
    with pytest.raises(NotRecorded):
        await served_version(past)
    with pytest.raises(NotRecorded):
        await model_quality(past)
    with pytest.raises(NotRecorded):
        await model_lineage(past)
