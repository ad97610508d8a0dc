"""The lab's Prometheus over HTTP, checked against recorded answers of the real one, and its text formats."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from agent.lab.exposition import exposition, openmetrics
from agent.lab.ports import Rule, Series
from agent.lab.prometheus import routes
from agent.lab.promql import STALE_MARKER
from agent.lab.samples import Recorded
from tests.conftest import need
from tests.lab.promql_samples import END_MS, METADATA, recorded
from tests.shared_data import shared_data

RULE = Rule("ServerDown", "up == 0", 0, {"severity": "page"}, {"summary": "{{ $labels.instance }} is down"})


async def get(
    path: str, samples: Recorded | None = None, rules: tuple[Rule, ...] = (RULE,), **parameters: Any
) -> httpx.Response:
    app = Starlette(routes=routes(samples or recorded(), rules, lambda: "http://lab/prometheus"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
        return await client.get(path, params=parameters)


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; of a list, the shape of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


def known(name: str) -> Any:
    return json.loads(shared_data("prometheus", f"prom_{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "path", "parameters"),
    [
        ("empty", "query", {"query": "nothing"}),
        ("bad", "query", {"query": "sum(rate(x"}),
        ("timeout", "query", {"query": "up", "timeout": "1ns"}),
        ("range_too_many", "query_range", {"query": "up", "start": "0", "end": "11001", "step": "1"}),
        ("exemplars", "query_exemplars", {"query": "up"}),
    ],
)
async def test_answers_equal_recorded_ones(name: str, path: str, parameters: dict[str, str]) -> None:
    assert (await get(f"/api/v1/{path}", **parameters)).json() == known(name)


@pytest.mark.parametrize(
    ("name", "path"), [("targets", "targets"), ("rules", "rules"), ("buildinfo", "status/buildinfo")]
)
async def test_answers_have_the_fields_of_recorded_ones(name: str, path: str) -> None:
    theirs, ours = known(name), (await get(f"/api/v1/{path}")).json()
    for kept_by_labels in ("labels", "discoveredLabels", "annotations", "alerts"):
        strip(theirs, kept_by_labels)
        strip(ours, kept_by_labels)
    assert shape(ours) == shape(theirs)


def strip(value: Any, key: str) -> None:
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        strip(inner, key)
    if isinstance(value, dict):
        value.pop(key, None)


async def test_a_form_may_be_posted() -> None:
    app = Starlette(routes=routes(recorded(), [], lambda: ""))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
        answer = await client.post("/api/v1/query", data={"query": "1 / 0"})
    assert answer.json()["data"]["result"][1] == "+Inf"


async def test_what_fires_is_shown_as_alert_rule_and_series() -> None:
    times = END_MS - 30_000 * np.arange(20, -1, -1, dtype=np.int64)
    down = Series({"__name__": "up", "instance": "a:1", "job": "web"}, times, (times < END_MS - 90_000) * 1.0)
    samples = Recorded([down], END_MS)
    (alert,) = (await get("/api/v1/alerts", samples)).json()["data"]["alerts"]
    assert alert == {
        "labels": {"alertname": "ServerDown", "instance": "a:1", "job": "web", "severity": "page"},
        "annotations": {"summary": "a:1 is down"},
        "state": "firing",
        "activeAt": "2026-11-20T04:58:30Z",
        "value": "0e+00",
    }
    (group,) = (await get("/api/v1/rules", samples)).json()["data"]["groups"]
    assert (group["rules"][0]["state"], group["rules"][0]["alerts"]) == ("firing", [alert])
    (target,) = (await get("/api/v1/targets", samples)).json()["data"]["activeTargets"]
    assert (target["health"], target["lastError"] != "") == ("down", True)
    result = (await get("/api/v1/query", samples, query="ALERTS")).json()["data"]["result"]
    assert result[0]["metric"]["alertstate"] == "firing"
    assert "ALERTS" in (await get("/api/v1/label/__name__/values", samples)).json()["data"]


async def test_an_unsupported_query_is_422_and_names_the_construct() -> None:
    answer = await get("/api/v1/query", query="sort_by_label(up)")
    assert answer.status_code == 422
    assert answer.json() == {
        "status": "error",
        "errorType": "execution",
        "error": "the function sort_by_label() is not known to this evaluator",
    }


async def test_metadata_names_type_and_help() -> None:
    answer = (await get("/api/v1/metadata", metric="temperature")).json()["data"]
    assert answer == {"temperature": [{"type": "gauge", "help": "A gauge with gaps.", "unit": ""}]}
    assert len((await get("/api/v1/metadata", limit=1)).json()["data"]) == 1


async def test_it_says_that_it_is_healthy() -> None:
    assert (await get("/-/healthy")).text == "Prometheus Server is Healthy.\n"


def test_the_present_is_exposed_with_types_and_escapes() -> None:
    text = exposition(recorded())
    assert '# HELP http_requests_total Requests, by "code".\n# TYPE http_requests_total counter\n' in text
    assert (
        "# HELP latency_seconds How long\\nrequests take.\n# TYPE latency_seconds histogram\nlatency_seconds_bucket{"
        in text
    )
    assert 'path="C:\\\\dir \\"quoted\\"",text="two\\nlines"' in text
    assert text.count("# TYPE latency_seconds") == 1
    assert 'app_build_info{pod="a",version="1"}' not in text  # it ended hours ago
    assert "# TYPE constant untyped" in text


def test_stale_markers_are_not_exposed() -> None:
    ended = Series({"__name__": "x"}, np.array([END_MS - 30_000, END_MS]), np.array([1.0, STALE_MARKER]))
    assert exposition(Recorded([ended], END_MS)) == ""
    assert openmetrics(Recorded([ended], END_MS), 0).count("x ") == 2 + 1


def test_openmetrics_begins_where_it_is_told_to() -> None:
    lines = openmetrics(recorded(), END_MS - 120_000).splitlines()
    assert lines[-1] == "# EOF"
    samples = [line for line in lines if not line.startswith("#")]
    assert samples
    assert min(float(line.rsplit(" ", 1)[1]) for line in samples) >= END_MS / 1000 - 120


@pytest.mark.server
def test_promtool_finds_nothing_wrong_with_the_exposition(tmp_path: Path) -> None:
    promtool = need("promtool", "prometheus")
    named = {name: METADATA.get(name, ("gauge", "Of a kind.")) for name in ("temperature", "up", "latency_seconds")}
    kept = [one for one in recorded().series() if one.labels["__name__"].startswith(tuple(named))]
    text = exposition(Recorded(kept, END_MS, named))
    result = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
    assert result.returncode == 0, result.stdout + result.stderr
