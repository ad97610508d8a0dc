"""Every recorded report is read, and what we say of it agrees with what was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.drift.reports import reader
from tools.drift.reports.report import ColumnDrift, DriftReport
from tools.errors import ToolFailed

FOLDER = Path(__file__).parents[1] / "fixtures" / "drift"
TRUTH: dict[str, dict[str, Any]] = json.loads((FOLDER / "truth.json").read_text())["files"]
GONE = object()
RECORDED = sorted(path for path in FOLDER.glob("*/*") if path.suffix in (".json", ".txt"))
COMPARING = sorted(
    name
    for name, truth in TRUTH.items()
    if set(map(type, truth.get("verdict", {"": 0}).values())) == {bool} and "all_passed" not in truth["verdict"]
)


def read(name: str) -> DriftReport:
    return reader.read((FOLDER / name).read_text())


def by_column(found: DriftReport) -> dict[str, ColumnDrift]:
    return {column.column: column for column in found.columns}


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_recorded_report_is_read(path: Path) -> None:
    found = reader.read(path.read_text())
    assert found.format == path.parent.name.replace("nannyml-0.13", "nannyml").replace("whylogs-1.6", "whylogs")
    assert found.columns or found.quality
    text = json.dumps(found.to_json(), allow_nan=False)
    assert set(json.loads(text)) == {"format", "columns", "quality"}


def test_the_recordings_and_their_truth_name_the_same_files() -> None:
    assert {f"{p.parent.name}/{p.name}" for p in RECORDED if p.suffix == ".json"} == set(TRUTH)


@pytest.mark.parametrize("name", COMPARING)
def test_the_verdict_on_every_column_is_the_recorded_one(name: str) -> None:
    found = {column: drift.drifted for column, drift in by_column(read(name)).items() if drift.drifted is not None}
    assert found == TRUTH[name]["verdict"]


@pytest.mark.parametrize("name", COMPARING)
def test_planted_drift_is_material_and_unchanged_columns_are_not(name: str) -> None:
    columns, truth = by_column(read(name)), TRUTH[name]
    assert all(columns[column].material is True for column in truth["planted_columns"])
    assert all(columns[column].material is False for column in truth["unchanged_columns"] if column in columns)


@pytest.mark.parametrize("name", sorted(name for name in TRUTH if "nodrift" in name))
def test_nothing_is_called_drifted_or_material_where_nothing_was_planted(name: str) -> None:
    assert not [c for c in read(name).columns if c.drifted or c.material]


@pytest.mark.parametrize("name", sorted(n for n, t in TRUTH.items() if t["verdict_rule"].startswith("none")))
def test_a_report_without_a_verdict_gives_none(name: str) -> None:
    assert all(column.drifted is None for column in read(name).columns)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, t in TRUTH.items()
        if "stock" in t.get("planted_missing_values", []) and ("quality" in n or "summary" in n or "tests_" in n)
    ],
)
def test_planted_missing_values_are_seen(name: str) -> None:
    columns = by_column(read(name))
    assert columns["stock"].missing == pytest.approx(0.1465)
    assert all(not c.missing for c in columns.values() if c.column != "stock")


def test_a_bare_nan_is_read_as_absent() -> None:
    raw = (FOLDER / "evidently-0.4/data_quality_drift.raw-with-NaN.txt").read_text()
    assert "NaN" in raw
    assert reader.read(raw) == read("evidently-0.4/data_quality_drift.json")


def test_a_summary_without_a_verdict_still_says_how_far_the_mean_moved() -> None:
    price = by_column(read("evidently-0.4/data_quality_drift.json"))["price"]
    assert price.drifted is None
    assert price.score == pytest.approx((13.35 - 9.97) / 2.01)
    assert price.material is True


@pytest.mark.parametrize(
    ("name", "failed"), [("testsuite_drift", "7 of 9 tests"), ("testsuite_nodrift", "all 9 tests")]
)
def test_a_test_suite_says_how_many_of_its_tests_failed(name: str, failed: str) -> None:
    found = read(f"evidently-0.4/{name}.json")
    assert any(failed in note for note in found.notes)
    assert {c.column for c in found.columns if c.drifted} == (
        {"demand", "prediction", "price", "temperature", "store", "promo"} if name == "testsuite_drift" else set()
    )


def test_the_status_of_a_test_goes_before_the_rule() -> None:
    found = read("evidently-0.7/tests_drift.json")
    assert by_column(found)["price"].drifted is True
    assert any("3 of 4 tests" in note and "stock" in note for note in found.notes)
    lenient = json.loads((FOLDER / "evidently-0.7/tests_drift.json").read_text())
    lenient["tests"][0] |= {"status": "SUCCESS", "test_config": {"threshold": 2.0}}
    price = by_column(reader.read(json.dumps(lenient)))["price"]
    assert (price.drifted, price.material, price.threshold) == (False, False, 2.0)


@pytest.mark.parametrize("name", ["univariate", "multi"])
def test_nannyml_drift_begins_at_the_first_planted_chunk(name: str) -> None:
    found = read(f"nannyml-0.13/{name}.json")
    assert {c.column for c in found.columns} == {"price", "temperature", "store"}
    assert {c.method for c in found.columns if c.column == "price"} == {"jensen_shannon", "kolmogorov_smirnov"}
    assert all(c.drifted and c.material and c.since == "2026-05-12T16:00:00.000" for c in found.columns)


@pytest.mark.parametrize("upto", [1, 2, 3, 4])
def test_a_false_alarm_of_nannyml_is_not_material(upto: int) -> None:
    """Chunks 0 and 2 hold recorded false alarms; as the latest chunk they drift by the rule and do not matter."""
    chunks = json.loads((FOLDER / "nannyml-0.13/univariate.json").read_text())[:upto]
    found = reader.read(json.dumps(chunks))
    alarms = [(c.column, c.method) for c in found.columns if c.drifted]
    assert alarms == ([("temperature", "jensen_shannon")] if upto in (1, 3) else [])
    assert not any(c.material for c in found.columns)


def test_both_forms_of_a_nannyml_frame_say_the_same() -> None:
    assert read("nannyml-0.13/univariate.json") == read("nannyml-0.13/multi.json")


def test_nannyml_performance_compares_the_latest_chunk_with_the_quiet_ones() -> None:
    found = read("nannyml-0.13/performance.json")
    rmse = next(q for q in found.quality if q.metric == "rmse")
    assert rmse.reference == pytest.approx(6.156, abs=1e-3)
    assert rmse.current is not None
    assert rmse.current > 20
    assert any("rmse lies outside its range since 2026-05-12T16:00:00.000, for 4 of 8" in n for n in found.notes)


def test_what_was_realised_stands_beside_an_estimate_that_points_the_wrong_way() -> None:
    quality = {q.metric: q for q in read("nannyml-0.13/dle.json").quality}
    realised, estimated = quality["rmse"], quality["rmse_estimated"]
    assert realised.current == pytest.approx(23.572, abs=1e-3)
    assert estimated.current == pytest.approx(5.488, abs=1e-3)
    assert realised.reference == pytest.approx(6.162, abs=1e-2)


def test_evidently_0_4_regression_compares_quality_with_the_reference() -> None:
    rmse = next(q for q in read("evidently-0.4/regression_drift.json").quality if q.metric == "rmse")
    assert (rmse.reference, rmse.current) == (pytest.approx(6.0533, abs=1e-3), pytest.approx(23.1829, abs=1e-3))


@pytest.mark.parametrize(("name", "mape"), [("regression_drift", 19.1), ("regression_nodrift", 5.56)])
def test_evidently_0_7_gives_the_current_quality_only(name: str, mape: float) -> None:
    found = next(q for q in read(f"evidently-0.7/{name}.json").quality if q.metric == "MAPE")
    assert found.reference is None
    assert found.current == pytest.approx(mape, abs=0.1)


def test_a_p_value_is_material_only_after_correction_for_the_number_of_columns() -> None:
    entry = {"type": "evidently:metric_v2:ValueDrift", "method": "K-S p_value", "threshold": 0.05}
    metrics = [
        {"id": str(n), "config": {**entry, "column": f"c{n}"}, "value": p}
        for n, p in enumerate([0.03, 0.001, 0.2, 0.9])
    ]
    columns = by_column(reader.read(json.dumps({"metrics": metrics, "tests": []})))
    assert [columns[f"c{n}"].drifted for n in range(4)] == [True, True, False, False]
    assert [columns[f"c{n}"].material for n in range(4)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("method", "value", "drifted", "material"),
    [
        ("ks", 0.01, True, True),  # a p-value although the short name does not say so
        ("TVD", 0.01, True, True),
        ("psi", 0.15, True, False),
        ("psi", 0.1, True, False),
        ("psi", 0.3, True, True),
        ("Energy distance", 0.3, True, None),  # no common scale
        ("custom function 'mine'", 0.3, None, None),  # on which side it drifts nobody says
        ("psi", None, None, None),
        ("psi", True, None, None),
    ],
)
def test_each_method_is_read_by_its_own_rule(method: str, value: Any, drifted: object, material: object) -> None:
    config = {"type": "evidently:metric_v2:ValueDrift", "column": "x", "method": method, "threshold": 0.1}
    found = reader.read(json.dumps({"metrics": [{"id": "1", "config": config, "value": value}]}))
    assert (found.columns[0].drifted, found.columns[0].material) == (drifted, material)


def test_a_tiny_effect_is_not_material_however_small_its_p_value() -> None:
    scores = {"x": {"algorithm": "ks", "pvalue": 1e-9, "statistic": 0.04, "drift_category": "DRIFT", "thresholds": {}}}
    column = reader.read(json.dumps(scores)).columns[0]
    assert (column.drifted, column.material) == (True, False)


def test_possible_drift_is_no_verdict_and_is_said() -> None:
    limits = {"NO_DRIFT": [0.0, 0.15], "POSSIBLE_DRIFT": [0.15, 0.4], "DRIFT": [0.4, 1.0]}
    scores = {
        "x": {
            "algorithm": "hellinger",
            "pvalue": None,
            "statistic": 0.2,
            "drift_category": "POSSIBLE_DRIFT",
            "thresholds": limits,
        },
        "y": {
            "algorithm": "hellinger",
            "pvalue": None,
            "statistic": 0.6,
            "drift_category": "DRIFT",
            "thresholds": limits,
        },
    }
    found = reader.read(json.dumps(scores))
    assert [(c.drifted, c.material, c.threshold) for c in found.columns] == [(None, None, 0.4), (True, True, 0.4)]
    assert any("possible drift" in note and "x" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("<html><title>Report</title>", "begins '<html>"),
        ('{"hello": 1, "world": []}', "keys 'hello', 'world'"),
        ("[1, 2]", "a JSON list of 2, the first a JSON int"),
        ("3", "a JSON int"),
        ('{"metrics": [{"metric_id": "x"}]}', "keys 'metrics'"),
        ("[" * 100_000, "not JSON"),
        ('{"version": 7, "metrics": []}', "keys 'version', 'metrics'"),
        ('[{"chunk_key": "a"}]', "keys 'chunk_key'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_seen(text: str, said: str) -> None:
    with pytest.raises(ToolFailed, match=r".+") as refused:
        reader.read(text)
    assert said in str(refused.value)


def test_a_report_that_is_too_large_is_refused() -> None:
    with pytest.raises(ToolFailed, match="over the limit"):
        reader.read(" " * (reader.MAX_BYTES + 1))


def test_of_too_many_columns_the_drifted_ones_are_kept() -> None:
    config = {"type": "evidently:metric_v2:ValueDrift", "method": "psi", "threshold": 0.1}
    metrics = [
        {"id": str(n), "config": {**config, "column": f"c{n}"}, "value": 0.9 if n == 4000 else 0.0} for n in range(4001)
    ]
    found = reader.read(json.dumps({"metrics": metrics}))
    assert len(found.columns) == reader.MAX_COLUMNS
    assert found.columns[0].column == "c4000"
    assert any("4001 columns" in note for note in found.notes)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_report_with_parts_missing_never_breaks_the_reader(path: Path) -> None:
    """Every object in a report loses its values, one key at a time; what is left is read or refused, nothing else."""
    document = json.loads(path.read_text()) if path.suffix == ".json" else {}
    keys = sorted({key for item in _objects(document) for key in item})[:60]
    for key in keys:
        for value in (GONE, None, [], "text", {"a": 1}, 10**400):
            _read_or_refuse(_with(document, key, value))


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(o for inner in value.values() for o in _objects(inner))]
    return [o for inner in value[:4] for o in _objects(inner)] if isinstance(value, list) else []


def _with(value: Any, key: str, new: Any) -> Any:
    if isinstance(value, dict):
        return {k: new if k == key else _with(v, key, new) for k, v in value.items() if k != key or new is not GONE}
    return [_with(inner, key, new) for inner in value[:4]] if isinstance(value, list) else value


def _read_or_refuse(document: Any) -> None:
    try:
        json.dumps(reader.read(json.dumps(document)).to_json(), allow_nan=False)
    except ToolFailed:
        return
