"""inspect_drift: folders, servers and artifacts, as a person or a reasoner asks for them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contexts import NOON, backend, context
from tools.context import Backends, Context, Model, Service
from tools.drift.inspect import inspect_drift
from tools.drift.sources import date_in
from tools.errors import BadArguments, NotConfigured, NotRecorded, TargetUnclear, ToolFailed, Unreachable
from tools.spec import Answer

RECORDED = Path(__file__).parents[1] / "fixtures" / "drift"
DRIFT, QUIET = "evidently-0.7/data_drift_drift.json", "evidently-0.7/data_drift_nodrift.json"
FORECAST = Model("demand-forecast", "demand-forecast")
SERVING = Service("demand-forecast", {"service": "demand-forecast"}, serves_model="demand-forecast")


def folder_context(*folders: Path, base: Context | None = None) -> Context:
    return replace(base or context(), backends=Backends(drift_folders=folders))


def facts(answer: Answer) -> dict[str, Any]:
    return {fact.id: fact.value for fact in answer.facts}


def days_of_reports(folder: Path, drifted_from: int, days: int = 6) -> Path:
    """One report a day up to NOON's day; drifted from the given day on (1 = the oldest)."""
    folder.mkdir(exist_ok=True)
    for day in range(1, days + 1):
        date = NOON - timedelta(days=days - day)
        shutil.copy(RECORDED / (DRIFT if day >= drifted_from else QUIET), folder / f"drift-{date:%Y-%m-%d}.json")
    return folder


def server(reports: Mapping[str, str], entries: Any = None) -> httpx.MockTransport:
    """A report server: the list at /reports/, each report below it."""
    listing = [{"name": n, "url": f"/reports/{n}", "at": n[6:16] + "T03:00:00Z"} for n in reports]

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/reports/":
            return httpx.Response(200, json=listing if entries is None else entries)
        name = path.removeprefix("/reports/")
        return (
            httpx.Response(200, text=reports[name]) if name in reports else httpx.Response(404, text="no such report")
        )

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("style", ["absolute", "relative to the folder", "relative to here", "file:"])
async def test_a_file_is_read_however_a_person_names_it(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RECORDED / "evidently-0.7"
    monkeypatch.chdir(RECORDED)
    source = {
        "absolute": str(folder / "data_drift_drift.json"),
        "relative to the folder": "data_drift_drift.json",
        "relative to here": "evidently-0.7/data_drift_drift.json",
        "file:": f"file:{folder / 'data_drift_drift.json'}",
    }[style]
    answer = await inspect_drift(folder_context(folder), source=source)
    assert facts(answer)["drifted.count"] == 8
    assert facts(answer)["material.count"] == 8
    assert facts(answer)["columns.count"] == 10
    assert facts(answer)["price.score"] == pytest.approx(1.6761, abs=1e-4)
    assert facts(answer)["price.drifted"] is True
    assert set(answer.data) == {"format", "columns", "quality"}
    assert "8 of 10 columns drifted, 8 of them by enough to matter" in answer.summary


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*-*/*")), ids=lambda p: f"{p.parent.name}/{p.name}")
async def test_every_recording_gives_a_dense_answer_with_unique_facts(path: Path) -> None:
    answer = await inspect_drift(folder_context(path.parent), source=str(path))
    ids = [fact.id for fact in answer.facts]
    assert len(ids) == len(set(ids))
    assert len(answer.summary) <= 1200
    json.dumps(answer.data, allow_nan=False)


@pytest.mark.parametrize("source", ["../secret.json", "/etc/passwd", "sub/../../secret.json", "link.json", "a\x00b"])
async def test_nothing_outside_the_drift_folders_is_read(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    shutil.copy(RECORDED / DRIFT, tmp_path / "secret.json")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(BadArguments):
        await inspect_drift(folder_context(folder), source=source)


async def test_a_link_in_a_folder_that_leads_out_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    shutil.copy(RECORDED / DRIFT, tmp_path / "secret.json")
    (folder / "2026-11-24.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(NotRecorded, match="holds no drift report"):
        await inspect_drift(folder_context(folder), source=str(folder))


async def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"There is no 'gone\.json'"):
        await inspect_drift(folder_context(tmp_path), source="gone.json")


async def test_of_a_folder_the_newest_report_counts_and_earlier_ones_say_since_when(tmp_path: Path) -> None:
    answer = await inspect_drift(folder_context(days_of_reports(tmp_path, drifted_from=4)), source=str(tmp_path))
    found = facts(answer)
    assert found["price.drifted"] is True
    assert found["price.since"] == "2026-11-22T00:00:00Z"
    assert found["age.hours"] == 12
    assert found["price.score.before"] == pytest.approx(0.0464, abs=1e-3)
    price = next(c for c in answer.data["columns"] if c["column"] == "price")
    assert price["since"] == "2026-11-22T00:00:00Z"


async def test_a_report_newer_than_the_incident_is_never_looked_at(tmp_path: Path) -> None:
    past = context(as_of=NOON - timedelta(days=3), now=NOON)
    answer = await inspect_drift(folder_context(days_of_reports(tmp_path, 4), base=past), source=str(tmp_path))
    assert "drift-2026-11-21.json" in answer.summary
    assert facts(answer)["drifted.count"] == 0
    with pytest.raises(NotRecorded, match="later than this incident's time"):
        await inspect_drift(folder_context(tmp_path, base=past), source="drift-2026-11-24.json")
    long_ago = context(as_of=NOON - timedelta(days=90), now=NOON)
    with pytest.raises(NotRecorded, match="newer than this incident's time"):
        await inspect_drift(folder_context(tmp_path, base=long_ago), source=str(tmp_path))


async def test_files_without_a_date_in_their_name_go_by_when_they_were_written(tmp_path: Path) -> None:
    for name, recorded, hours in (("b.json", QUIET, 30), ("a.json", DRIFT, 6)):
        shutil.copy(RECORDED / recorded, tmp_path / name)
        written = (NOON - timedelta(hours=hours)).timestamp()
        os.utime(tmp_path / name, (written, written))
    answer = await inspect_drift(folder_context(tmp_path), source=str(tmp_path))
    assert facts(answer)["drifted.count"] == 8
    assert facts(answer)["age.hours"] == 6


async def test_a_file_that_is_no_report_is_passed_over_and_named(tmp_path: Path) -> None:
    days_of_reports(tmp_path, drifted_from=9)
    (tmp_path / "notes-2026-11-24T09:00.json").write_text('{"hello": 1}')
    answer = await inspect_drift(folder_context(tmp_path), source=str(tmp_path))
    assert facts(answer)["drifted.count"] == 0
    assert "passed over notes-2026-11-24T09:00.json" in answer.summary
    with pytest.raises(ToolFailed, match="keys 'hello'"):
        await inspect_drift(folder_context(tmp_path), source="notes-2026-11-24T09:00.json")


async def test_one_column_can_be_asked_for() -> None:
    where = folder_context(RECORDED)
    answer = await inspect_drift(where, source=QUIET, column="stock")
    assert [c["column"] for c in answer.data["columns"]] == ["stock"]
    assert facts(answer)["stock.drifted"] is False
    with pytest.raises(BadArguments, match=r"has no column 'colour'\. Its columns: price, temperature"):
        await inspect_drift(where, source=QUIET, column="colour")


async def test_missing_values_and_quality_become_facts() -> None:
    where = folder_context(RECORDED)
    found = facts(await inspect_drift(where, source="evidently-0.7/tests_drift.json"))
    assert found["stock.missing"] == pytest.approx(0.1465)
    assert found["MAPE.current"] == pytest.approx(19.0997, abs=1e-3)
    found = facts(await inspect_drift(where, source="evidently-0.4/regression_drift.json"))
    assert found["rmse.reference"] == pytest.approx(6.0533, abs=1e-3)
    assert found["drifted.count"] is None  # a report that compares nothing has not found zero


async def test_a_second_method_of_a_column_has_facts_of_its_own() -> None:
    found = facts(await inspect_drift(folder_context(RECORDED), source="nannyml-0.13/univariate.json"))
    assert found["price.score"] == pytest.approx(0.566, abs=1e-3)
    assert found["price.kolmogorov_smirnov.score"] == pytest.approx(0.5455)
    assert found["price.since"] == "2026-05-12T16:00:00.000"
    assert found["drifted.count"] == 3


async def test_a_report_server_is_listed_and_its_newest_report_read() -> None:
    reports = {f"drift-2026-11-{d}.json": (RECORDED / (DRIFT if d > 22 else QUIET)).read_text() for d in range(20, 26)}
    where = context(backend("drift", "http://lab.test/reports", app=server(reports)))
    answer = await inspect_drift(where)
    found = facts(answer)
    assert found["drifted.count"] == 8
    assert found["price.since"] == "2026-11-23T03:00:00Z"  # the report of the 25th lies ahead of NOON on the 24th
    assert found["age.hours"] == 9
    assert answer.link == "http://lab.test/reports/drift-2026-11-24.json"
    one = await inspect_drift(where, source="http://lab.test/reports/drift-2026-11-21.json")
    assert facts(one)["drifted.count"] == 0
    assert facts(await inspect_drift(where, source="http://lab.test/reports/"))["drifted.count"] == 8


async def test_a_raw_nan_survives_the_way_through_a_server() -> None:
    raw = (RECORDED / "evidently-0.4/data_quality_drift.raw-with-NaN.txt").read_text()
    where = context(backend("drift", "http://lab.test/reports", app=server({"drift-2026-11-24.json": raw})))
    assert facts(await inspect_drift(where))["stock.missing"] == pytest.approx(0.1465)


@pytest.mark.parametrize(
    "source", ["http://evil.test/report.json", "http://lab.test/reportsx", "http://lab.test/reports/../x"]
)
async def test_no_other_address_is_ever_fetched(source: str) -> None:
    where = context(backend("drift", "http://lab.test/reports", app=server({})))
    with pytest.raises(BadArguments):
        await inspect_drift(where, source=source)


async def test_a_listed_address_on_another_host_is_not_followed() -> None:
    name = "drift-2026-11-24.json"
    entries = [{"name": name, "url": "http://evil.test/x", "at": "2026-11-24T03:00:00Z"}]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return (
            httpx.Response(200, json=entries)
            if request.url.path == "/reports/"
            else httpx.Response(200, text=(RECORDED / QUIET).read_text())
        )

    where = context(backend("drift", "http://lab.test/reports", app=httpx.MockTransport(answer)))
    assert facts(await inspect_drift(where))["drifted.count"] == 0
    assert set(asked) == {"lab.test"}


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        ([], NotRecorded, "holds no drift report"),
        ({"a": 1}, ToolFailed, "expected is a JSON list"),
        ([{"name": "gone.json", "at": "2026-11-24T00:00:00Z"}], ToolFailed, "HTTP 404"),
        ([{"name": "x-2026-12-24.json"}], NotRecorded, "newer than this incident's time"),
        ([3, {"nome": 1}], NotRecorded, "holds no drift report"),
    ],
)
async def test_a_report_server_that_answers_oddly_is_a_clear_failure(entries: Any, error: type, said: str) -> None:
    where = context(backend("drift", "http://lab.test/reports", app=server({}, entries)))
    with pytest.raises(error, match=said):
        await inspect_drift(where)


async def test_a_report_server_that_is_down_is_unreachable() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(Unreachable):
        await inspect_drift(context(backend("drift", "http://lab.test", app=httpx.MockTransport(refuse))))


async def test_an_artifact_of_an_mlflow_run_is_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/get-artifact"
        assert dict(request.url.params) == {"run_uuid": "8c3f", "path": "evidently/report.json"}
        return httpx.Response(200, text=(RECORDED / DRIFT).read_text())

    where = context(backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(answer)))
    answer_ = await inspect_drift(where, source="runs:/8c3f/evidently/report.json")
    assert facts(answer_)["drifted.count"] == 8
    with pytest.raises(BadArguments, match="runs:/<run_id>"):
        await inspect_drift(where, source="runs:/8c3f/../x")


async def test_the_model_of_the_incident_says_where_its_reports_are(tmp_path: Path) -> None:
    days_of_reports(tmp_path, 1)
    model = replace(FORECAST, drift_source=str(tmp_path))
    for labels in ({"model": "demand-forecast"}, {"service": "demand-forecast"}):
        where = folder_context(tmp_path, base=context(models=(model,), services=(SERVING,), labels=labels))
        assert facts(await inspect_drift(where))["drifted.count"] == 8


async def test_without_any_source_it_says_what_to_set() -> None:
    with pytest.raises(NotConfigured, match="STANCH_DRIFT_URL"):
        await inspect_drift(context())
    two = context(backend("drift", "http://a.test", name="a"), backend("drift", "http://b.test", name="b"))
    with pytest.raises(TargetUnclear):
        await inspect_drift(two)


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("drift-2026-11-24.json", datetime(2026, 11, 24, tzinfo=UTC)),
        ("20261124T0310.json", datetime(2026, 11, 24, 3, 10, tzinfo=UTC)),
        ("r_2026-11-24T03:10:05Z.json", datetime(2026, 11, 24, 3, 10, 5, tzinfo=UTC)),
        ("2026-13-44.json", None),
        ("2026-02-31.json", None),
        ("report.json", None),
    ],
)
def test_a_date_is_read_out_of_a_name(name: str, when: datetime | None) -> None:
    assert date_in(name) == when
