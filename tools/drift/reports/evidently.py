"""Evidently's JSON, releases 0.7 (`Report.run().json()`) and 0.4 (`Report.json()`, `TestSuite.json()`).

0.7 writes no drift flag: a p-value drifts below its threshold, a distance at or above it. A test that the report carries
on that metric is the writer's own verdict and goes first. 0.4 writes `drift_detected`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tools.drift.reports.report import (
    LARGE,
    ColumnDrift,
    DriftReport,
    Quality,
    large_distance,
    number,
    rows,
    small_p_value,
    table,
)

Json = Any


class Method(NamedTuple):
    """How a method's score is read: on which side it drifts, and on which scale of LARGE it lies."""

    below: bool | None  # True: a p-value, drifts below the threshold; False: a distance; None: not known
    scale: str | None = None


# By Evidently's own names and display names. A method that the user chose is recorded by its short name, so `ks` is a
# p-value although its name does not say so. TVD and empirical_mmd are permutation p-values.
P_VALUES = frozenset(
    [
        "ks",
        "z",
        "chisquare",
        "anderson",
        "cramer_von_mises",
        "fisher_exact",
        "g_test",
        "mannw",
        "es",
        "t_test",
        "empirical_mmd",
        "tvd",
        "total-variation-distance",
    ]
)
DISTANCES: Mapping[str, str | None] = {
    "psi": "psi",
    "wasserstein": "wasserstein",
    "wasserstein distance (normed)": "wasserstein",
    "jensenshannon": "jensen_shannon",
    "jensen-shannon distance": "jensen_shannon",
    "kl_div": "kullback_leibler",
    "kullback-leibler divergence": "kullback_leibler",
    "hellinger": "hellinger",
    "hellinger distance": "hellinger",
    "ed": None,
    "energy distance": None,
    "perc_text_content_drift": None,
    "percentile text content drift": None,
    "abs_text_content_drift": None,
    "absolute text content drift": None,
}
QUALITY = frozenset(
    [
        "MeanError",
        "MAPE",
        "RMSE",
        "MAE",
        "R2Score",
        "AbsMaxError",
        "Accuracy",
        "Precision",
        "Recall",
        "F1Score",
        "TPR",
        "TNR",
        "FPR",
        "FNR",
        "RocAuc",
        "LogLoss",
        "F1ByLabel",
        "PrecisionByLabel",
        "RecallByLabel",
        "RocAucByLabel",
        "NDCG",
        "MAP",
        "MRR",
        "HitRate",
        "PrecisionTopK",
        "RecallTopK",
        "FBetaTopK",
    ]
)


def is_0_7(document: Json) -> bool:
    metrics = table(document).get("metrics")
    if not isinstance(metrics, list) or "version" in document:
        return False
    return not metrics or str(table(table(metrics[0]).get("config")).get("type")).startswith("evidently:metric_v2")


def is_0_4(document: Json) -> bool:
    top = table(document)
    return isinstance(top.get("version"), str) and any(isinstance(top.get(key), list) for key in ("metrics", "tests"))


def method_of(name: str) -> Method:
    """How to read a method by its name or display name; what we do not know is read neither way."""
    low = name.strip().lower()
    if low.endswith("p_value") or low in P_VALUES:
        return Method(below=True)
    return Method(below=False, scale=DISTANCES[low]) if low in DISTANCES else Method(below=None)


def read_0_7(document: Json) -> DriftReport:
    metrics = [(_kind(metric), metric) for metric in rows(table(document).get("metrics"))]
    tests = rows(table(document).get("tests"))
    statuses = {str(table(t.get("metric_config")).get("metric_id")): t for t in tests}
    missing = {
        str(table(m.get("config")).get("column")): number(table(m.get("value")).get("share"))
        for kind, m in metrics
        if kind == "MissingValueCount"
    }
    drift = [_value_drift(m, statuses.get(str(m.get("id"))), missing) for kind, m in metrics if kind == "ValueDrift"]
    described = {
        str(table(m.get("config")).get("column")): None for _, m in metrics if table(m.get("config")).get("column")
    }
    compared = {column.column for column in drift}
    bare = [ColumnDrift(name, missing=missing.get(name)) for name in described if name not in compared]
    notes = _failed(tests) + _share([table(m.get("value")) for kind, m in metrics if kind == "DriftedColumnsCount"])
    if not metrics:
        notes += ("the report holds no metric at all",)
    return DriftReport("evidently-0.7", _judged(drift) + tuple(bare), tuple(_quality_0_7(metrics)), notes=notes)


def read_0_4(document: Json) -> DriftReport:
    results = [(str(m.get("metric")), table(m.get("result"))) for m in rows(document.get("metrics"))]
    tests = rows(document.get("tests"))
    missing = _missing_0_4(results)
    drift = {
        column.column: column
        for name, entry in [*_drift_entries(results), *_test_entries(tests)]
        if (column := _drift_0_4(name, entry, missing))
    }
    bare = {
        name: _summary_0_4(name, result, missing)
        for name, result in [*_summaries(results), *((n, {}) for n in missing)][::-1]
        if name not in drift
    }
    quality = tuple(_quality_0_4(results))
    columns = _judged(drift.values()) + tuple(bare[name] for name in reversed(list(bare)))
    notes = _failed(tests) + _share(result for _, result in results)
    return DriftReport("evidently-0.4", columns, quality, at=_text(document.get("timestamp")), notes=notes)


def _kind(metric: Mapping[str, Json]) -> str:
    return str(table(metric.get("config")).get("type", "")).rsplit(":", 1)[-1]


def _value_drift(
    metric: Mapping[str, Json], test: Mapping[str, Json] | None, missing: Mapping[str, float | None]
) -> ColumnDrift:
    config = table(metric["config"])
    name, column = str(config.get("method") or ""), str(config.get("column"))
    score = number(metric.get("value"))
    threshold = number(config.get("threshold"))
    tested = table(table(test).get("test_config")).get("threshold")
    status = str(table(test).get("status")).rsplit(".", 1)[-1].upper()
    if status in ("FAIL", "WARNING", "SUCCESS"):  # WARNING: a failed test that is not critical
        drifted: bool | None = status != "SUCCESS"
        threshold = threshold if number(tested) is None else number(tested)
    else:
        drifted = _over(method_of(name), score, threshold)
    return ColumnDrift(column, name or None, score, threshold, drifted, missing=missing.get(column))


def _over(method: Method, score: float | None, threshold: float | None) -> bool | None:
    """The method's own rule; the default threshold is Evidently's."""
    if score is None or method.below is None:
        return None
    if method.below:
        return score < (0.05 if threshold is None else threshold)
    return score >= (0.1 if threshold is None else threshold)


def _judged(columns: Iterable[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    """With `material`: p-values are corrected for how many of them the report holds."""
    from dataclasses import replace

    listed = list(columns)
    tested = sum(1 for c in listed if method_of(c.method or "").below)
    judged = []
    for c in listed:
        method = method_of(c.method or "")
        if method.below:
            material = small_p_value(c.score, c.threshold or 0.05, tested, c.drifted, None)
        else:
            material = large_distance(method.scale, c.score, c.drifted)
        judged.append(replace(c, material=material))
    return tuple(judged)


def _quality_0_7(metrics: Iterable[tuple[str, Mapping[str, Json]]]) -> Iterable[Quality]:
    """Current rows only: 0.7 does not export the reference's quality."""
    for kind, metric in metrics:
        if kind not in QUALITY:
            continue
        value, config = metric.get("value"), table(metric["config"])
        group = config.get("regression_name") or config.get("classification_name") or "default"
        name = kind if group == "default" else f"{kind}.{group}"
        if (plain := number(value)) is not None:
            yield Quality(name, None, plain)
        elif "mean" in table(value):
            yield Quality(name, None, number(table(value)["mean"]))
        else:
            yield from (Quality(f"{name}.{label}", None, number(one)) for label, one in table(value).items())


def _drift_entries(results: Iterable[tuple[str, Mapping[str, Json]]]) -> Iterable[tuple[str, Mapping[str, Json]]]:
    for _, result in results:
        yield from ((name, table(entry)) for name, entry in table(result.get("drift_by_columns")).items())
        if "drift_detected" in result and "column_name" in result:
            yield str(result["column_name"]), result


def _test_entries(tests: Iterable[Mapping[str, Json]]) -> Iterable[tuple[str, Mapping[str, Json]]]:
    """A test suite's own columns: one test a column, or all columns in one test's `features`."""
    for test in tests:
        parameters = table(test.get("parameters"))
        yield from ((name, table(entry)) for name, entry in table(parameters.get("features")).items())
        if "column_name" in parameters and "stattest" in parameters:
            yield str(parameters["column_name"]), parameters


def _drift_0_4(name: str, entry: Mapping[str, Json], missing: Mapping[str, float]) -> ColumnDrift | None:
    method = _text(entry.get("stattest_name", entry.get("stattest")))
    if method is None:
        return None
    flag = entry.get("drift_detected", entry.get("detected"))
    return ColumnDrift(
        name,
        method,
        number(entry.get("drift_score", entry.get("score"))),
        number(entry.get("stattest_threshold", entry.get("threshold"))),
        flag if isinstance(flag, bool) else None,
        missing=missing.get(name),
    )


def _missing_0_4(results: Iterable[tuple[str, Mapping[str, Json]]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for _, result in results:
        current = table(result.get("current"))
        shares = table(current.get("share_of_missing_values_by_column"))
        counts, total = table(current.get("nans_by_columns")), number(current.get("number_of_rows"))
        found |= {name: count / total for name, n in counts.items() if total and (count := number(n)) is not None}
        found |= {name: share for name, s in shares.items() if (share := number(s)) is not None}
    return found


def _summaries(results: Iterable[tuple[str, Mapping[str, Json]]]) -> list[tuple[str, Mapping[str, Json]]]:
    return [(str(r["column_name"]), r) for _, r in results if "current_characteristics" in r and "column_name" in r]


def _summary_0_4(name: str, result: Mapping[str, Json], missing: Mapping[str, float]) -> ColumnDrift:
    """No verdict stands in a summary, but its two means do: how far apart they lie, in reference standard deviations."""
    before, now = table(result.get("reference_characteristics")), table(result.get("current_characteristics"))
    percentage = number(now.get("missing_percentage"))
    share = missing.get(name, None if percentage is None else percentage / 100)
    spread, old, new = number(before.get("std")), number(before.get("mean")), number(now.get("mean"))
    if not spread or old is None or new is None:
        return ColumnDrift(name, missing=share)
    shift = abs(new - old) / spread
    method = "shift of the mean, in reference standard deviations"
    return ColumnDrift(name, method, shift, material=shift >= LARGE["mean_shift"], missing=share)


def _quality_0_4(results: Iterable[tuple[str, Mapping[str, Json]]]) -> Iterable[Quality]:
    for name, result in results:
        current, reference = table(result.get("current")), table(result.get("reference"))
        if name.endswith("QualityMetric"):
            for metric, value in current.items():
                if (now := number(value)) is not None:
                    yield Quality(metric, number(reference.get(metric)), now)


def _failed(tests: list[Mapping[str, Json]]) -> tuple[str, ...]:
    """One line on the tests that failed, with Evidently's own words."""
    bad = [t for t in tests if str(t.get("status")).rsplit(".", 1)[-1].upper() in ("FAIL", "ERROR", "WARNING")]
    if not bad:
        return (f"all {len(tests)} tests in the report passed",) if tests else ()
    # a column's drift is told with the column: only the other tests need words here
    other = [t for t in bad if t.get("id") != "drift" and "column_name" not in table(t.get("parameters"))]
    listed = "; ".join(str(t.get("description") or t.get("name"))[:120] for t in other[:6])
    return (f"{len(bad)} of {len(tests)} tests in the report failed{': ' if listed else ''}{listed}",)


def _share(results: Iterable[Mapping[str, Json]]) -> tuple[str, ...]:
    for result in results:
        share = number(result.get("share_of_drifted_columns", result.get("share")))
        if share is not None and ("dataset_drift" in result or "count" in result):
            verdict = {True: ", called dataset drift", False: ", not called dataset drift"}
            flag = result.get("dataset_drift")
            return (f"share of drifted columns {share:.2f}{verdict.get(flag, '') if isinstance(flag, bool) else ''}",)
    return ()


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
