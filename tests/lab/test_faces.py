"""The lab's HTTP faces, held against recordings of the real servers where there are any."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.clock import iso
from agent.lab import reports
from agent.lab.server import Lab
from tests.shared_data import shared_data

API = "/mlflow/api/2.0/mlflow"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.open(tmp_path, "bad-model-version", 1) as opened:
        yield opened


@pytest.fixture
async def http(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as client:
        yield client


def shape(value: Any) -> Any:
    """Keys and types, lists by their first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


def within(expected: Any, got: Any) -> bool:
    """Whether everything of an expected shape is there; more may be. An empty list says nothing about its entries."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(key in got and within(inner, got[key]) for key, inner in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and (not expected or not got or within(expected[0], got[0]))
    return bool(expected == got)


def recorded(method: str, path: str, status: int = 200) -> dict[str, Any]:
    calls = json.loads(shared_data("mlflow", "rest.json").read_text())
    return next(
        c for c in calls if (c["method"], c["path"], c["status"]) == (method, f"/api/2.0/mlflow/{path}", status)
    )


@pytest.mark.parametrize(
    "path",
    [
        "registered-models/get",
        "registered-models/search",
        "registered-models/alias",
        "model-versions/search",
        "model-versions/get",
    ],
)
async def test_mlflow_reads_have_mlflows_shape(path: str, http: httpx.AsyncClient) -> None:
    call = recorded("GET", path)
    got = await http.get(f"{API}/{path}", params=call["params"])
    assert got.status_code == 200
    assert within(shape(call["response"]), shape(got.json()))


async def test_mlflow_runs_have_mlflows_shape(http: httpx.AsyncClient) -> None:
    version = (await http.get(f"{API}/model-versions/get", params={"name": "demand-forecast", "version": "5"})).json()
    run = {"run_id": version["model_version"]["run_id"]}
    got = await http.get(f"{API}/runs/get", params=run)
    assert within(shape(recorded("GET", "runs/get")["response"]), shape(got.json()))
    history = await http.get(f"{API}/metrics/get-history", params={**run, "metric_key": "wape"})
    assert within(shape(recorded("GET", "metrics/get-history")["response"]), shape(history.json()))
    found = await http.post(f"{API}/runs/search", json={"experiment_ids": ["1"], "max_results": 2})
    assert len(found.json()["runs"]) == 2
    listed = await http.get(f"{API}/artifacts/list", params={**run, "path": "model"})
    assert within(shape(recorded("GET", "artifacts/list")["response"]), shape(listed.json()))
    artifact = await http.get("/mlflow/get-artifact", params={"run_uuid": run["run_id"], "path": "model/MLmodel.json"})
    assert artifact.json()["version"] == "5"


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "registered-models/alias", {"name": "demand-forecast", "alias": "nosuch"}, 400),
        ("GET", "registered-models/alias", {"name": "nosuch", "alias": "champion"}, 404),
        ("POST", "registered-models/alias", {"name": "demand-forecast", "alias": "champion", "version": "9"}, 404),
        ("DELETE", "registered-models/alias", {}, 400),
        ("GET", "runs/get", {"run_id": "nosuch"}, 404),
    ],
)
async def test_mlflow_errors_are_mlflows(
    method: str, path: str, sent: dict[str, str], status: int, http: httpx.AsyncClient
) -> None:
    way = {"params": sent} if method == "GET" else {"json": sent}
    got = await http.request(method, f"{API}/{path}", **way)  # type: ignore[arg-type]
    calls = json.loads(shared_data("mlflow", "rest.json").read_text())
    bodies = [
        c["response"] for c in calls if (c["method"], c["status"]) == (method, status) and c["path"].endswith(path)
    ]
    assert got.status_code == status
    assert got.json() in bodies


async def test_moving_the_alias_moves_serving_and_is_one_effect(lab: Lab, http: httpx.AsyncClient) -> None:
    assert (await http.get("/serving/demand-forecast/version")).json()["version"] == "5"
    sent = {"name": "demand-forecast", "alias": "champion", "version": "4"}
    assert (await http.post(f"{API}/registered-models/alias", json=sent)).json() == {}
    alias = await http.get(f"{API}/registered-models/alias", params={"name": "demand-forecast", "alias": "champion"})
    assert alias.json()["model_version"]["version"] == "4"
    lab.clock.advance(timedelta(minutes=1))
    assert (await http.get("/serving/demand-forecast/version")).json()["version"] == "4"
    assert [(change.kind, change.data["version"]) for change in lab.effects()] == [("alias", "4")]


async def test_scaling_through_kubernetes_changes_the_world(lab: Lab, http: httpx.AsyncClient) -> None:
    path = "/kubernetes/eu-1/apis/apps/v1/namespaces/ml/deployments/forecast-server/scale"
    kind = {"content-type": "application/merge-patch+json"}
    assert (
        await http.patch(path, params={"dryRun": "All"}, json={"spec": {"replicas": 9}}, headers=kind)
    ).status_code == 200
    assert lab.effects() == []
    assert (await http.patch(path, json={"spec": {"replicas": 5}}, headers=kind)).status_code == 200
    assert (await http.get(path)).json()["spec"]["replicas"] == 5
    assert len(lab.effects()) == 1


async def test_prometheus_and_the_exposition_show_the_present(lab: Lab, http: httpx.AsyncClient) -> None:
    query = {"query": 'count(up{service="demand-forecast"} == 1)'}
    answer = (await http.get("/prometheus/api/v1/query", params=query)).json()["data"]["result"]
    assert answer[0]["value"][1] == "3"
    text = (await http.get("/metrics")).text
    assert "# TYPE http_requests_total counter" in text
    assert "model_served_version_info{" in text


async def test_the_logs_are_found_by_label_and_text(lab: Lab, http: httpx.AsyncClient) -> None:
    asked = {"query": '{service="demand-forecast"} |= "model loaded"', "start": str(int(lab.onset.timestamp()) * 10**9)}
    got = (await http.get("/loki/loki/api/v1/query_range", params=asked)).json()["data"]
    lines = [line for stream in got["result"] for _, line in stream["values"]]
    assert got["resultType"] == "streams"
    assert lines
    assert all("version=5" in line for line in lines)
    again = (await http.get("/loki/loki/api/v1/query_range", params=asked)).json()["data"]
    assert again == got
    assert "service" in (await http.get("/loki/loki/api/v1/labels")).json()["data"]
    assert "web" in (await http.get("/loki/loki/api/v1/label/service/values")).json()["data"]


@pytest.mark.parametrize(
    "query", ["", "web", "{}", '{service="web"', '{service=~"("}', '{service="web"} | json', 'rate({a="b"}[5m])']
)
async def test_a_log_query_we_do_not_know_is_refused(query: str, http: httpx.AsyncClient) -> None:
    got = await http.get("/loki/loki/api/v1/query_range", params={"query": query})
    assert got.status_code == 400
    assert "parse error" in got.text


async def test_drift_reports_have_evidentlys_shape(lab: Lab, http: httpx.AsyncClient) -> None:
    listed = (await http.get("/reports/")).json()
    assert [entry["at"] for entry in listed] == sorted(entry["at"] for entry in listed)
    assert listed[-1]["at"] <= iso(lab.clock.now())
    newest = (await http.get(listed[-1]["url"])).json()
    real = json.loads(shared_data("drift", "evidently-0.7", "data_drift_drift.json").read_text())
    for kind in ("DriftedColumnsCount", "ValueDrift"):
        mine, theirs = (next(m for m in r["metrics"] if m["config"]["type"].endswith(kind)) for r in (newest, real))
        assert within(shape(theirs), shape(mine))
    scores = {
        m["config"]["column"]: m["value"] for m in newest["metrics"] if m["config"]["type"].endswith("ValueDrift")
    }
    assert scores["price"] < 0.1  # undrifted, though the model is bad
    assert (await http.get("/reports/nosuch.json")).status_code == 404


def test_a_report_tells_the_feature_that_drifted_from_those_that_did_not(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "harmless-drift", 1)
    metrics = reports.report(lab.world, lab.now_ms())["metrics"]
    scores = {m["config"]["column"]: m["value"] for m in metrics if m["config"]["type"].endswith("ValueDrift")}
    assert {column for column, score in scores.items() if score >= 0.1} <= {"temperature", "prediction"}
    assert scores["temperature"] > 0.5


async def test_alerts_have_alertmanagers_shape(lab: Lab, http: httpx.AsyncClient) -> None:
    got = (await http.get("/alertmanager/api/v2/alerts", params={"filter": 'alertname="ModelErrorHigh"'})).json()
    real = json.loads(shared_data("alertmanager", "api", "am_alerts2.json").read_text())
    assert within({**shape(real[0]), "labels": {}, "annotations": {}}, shape(got[0]))
    assert got[0]["status"]["state"] == "active"
    none = await http.get("/alertmanager/api/v2/alerts", params={"filter": 'alertname="NoSuch"'})
    assert none.json() == []


async def test_a_silence_suppresses_until_it_is_deleted(lab: Lab, http: httpx.AsyncClient) -> None:
    now = lab.clock.now()
    matcher = {"name": "alertname", "value": "ModelErrorHigh", "isRegex": False, "isEqual": True}
    body = {
        "matchers": [matcher],
        "startsAt": iso(now),
        "endsAt": iso(now + timedelta(hours=1)),
        "createdBy": "ann",
        "comment": "x",
    }
    made = (await http.post("/alertmanager/api/v2/silences", json=body)).json()["silenceID"]
    alerts = (await http.get("/alertmanager/api/v2/alerts")).json()
    assert [a["status"]["silencedBy"] for a in alerts if a["labels"]["alertname"] == "ModelErrorHigh"] == [[made]]
    real = json.loads(shared_data("alertmanager", "api", "am_silences.json").read_text())
    assert within(shape(real[0]), shape((await http.get("/alertmanager/api/v2/silences")).json()[0]))
    assert (await http.delete(f"/alertmanager/api/v2/silence/{made}")).status_code == 200
    assert (await http.get(f"/alertmanager/api/v2/silence/{made}")).json()["status"]["state"] == "expired"
    refused = await http.post("/alertmanager/api/v2/silences", json={**body, "matchers": []})
    assert refused.status_code == 400
    assert "at least 1 items" in refused.json()["message"]


async def test_retraining_is_asked_for_once_per_event(lab: Lab, http: httpx.AsyncClient) -> None:
    event = {
        "specversion": "1.0",
        "id": "E-1",
        "source": "/x",
        "type": "retraining",
        "data": {"data_version": "sales-x"},
    }
    for _ in range(2):
        assert (await http.post("/retraining", json=event)).status_code == 202
    assert len(lab.effects()) == 1
    assert (await http.get("/retraining/E-1")).json() == {"id": "E-1", "accepted": True}
    assert (await http.get("/retraining/E-2")).status_code == 404
    assert (await http.post("/retraining", content=b"no json")).status_code == 400
    lab.clock.advance(timedelta(minutes=12))
    alias = await http.get(f"{API}/registered-models/alias", params={"name": "demand-forecast", "alias": "champion"})
    assert alias.json()["model_version"]["version"] == "6"


async def test_the_webhook_body_has_alertmanagers_shape(lab: Lab) -> None:
    body = lab.webhook_body()
    real = json.loads(shared_data("alertmanager", "0.33", "first-firing.json").read_text())
    real.pop("notification_reason")  # 0.33 only
    expected = {**shape(real), "commonLabels": {}, "commonAnnotations": {}, "groupLabels": {}}
    expected["alerts"] = [{**expected["alerts"][0], "labels": {}, "annotations": {}}]
    assert within(expected, shape(body))
    assert body["alerts"][0]["labels"]["alertname"] == "ModelErrorHigh"
    assert body["groupLabels"]["alertname"] == "ModelErrorHigh"
    assert len(body["alerts"][0]["fingerprint"]) == 16


async def test_a_kubeconfig_has_a_context_for_every_cluster(tmp_path: Path) -> None:
    async with Lab.open(tmp_path / "lab", "two-clusters", 1) as lab:
        config = json.loads(lab.kubeconfig(tmp_path / "kube" / "config").read_text())
        assert [c["name"] for c in config["contexts"]] == ["eu-1", "us-1"]
        for cluster in config["clusters"]:
            async with httpx.AsyncClient() as client:
                got = await client.get(
                    cluster["cluster"]["server"] + "/apis/apps/v1/namespaces/ml/deployments/forecast-server"
                )
                assert got.json()["metadata"]["name"] == "forecast-server"


def test_the_catalog_is_one_that_the_product_reads(tmp_path: Path) -> None:
    from agent.domain import catalog

    path = tmp_path / "catalog.yaml"
    path.write_text(Lab.prepare(tmp_path / "lab", "two-clusters", 1).catalog_yaml("root"))
    read = catalog.load(path)
    assert read.person("os:root").name == "ann"
    assert [str(w) for w in read.service("demand-forecast").workloads] == [
        "eu-1/ml/forecast-server",
        "us-1/ml/forecast-server",
    ]  # type: ignore[union-attr]
    assert read.model("demand-forecast").served_by == "demand-forecast"  # type: ignore[union-attr]


async def test_serving_follows_an_alias_that_moves_after_somebody_looked(lab: Lab, http: httpx.AsyncClient) -> None:
    query = {"query": 'count by (version) (last_over_time(model_served_version_info{model="demand-forecast"}[30s]))'}

    async def served() -> list[str]:
        found = (await http.get("/prometheus/api/v1/query", params=query)).json()["data"]["result"]
        return [one["metric"]["version"] for one in found]

    assert await served() == ["5"]
    moved = {"name": "demand-forecast", "alias": "champion", "version": "4"}
    (await http.post(f"{API}/registered-models/alias", json=moved)).raise_for_status()
    await lab.clock.sleep(180)
    assert await served() == ["4"]
