"""PromQL over samples in memory: what each construct yields, what is refused, and in which words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from agent.lab.ports import Series
from agent.lab.promql import (
    STALE_MARKER,
    BadQuery,
    NotComputable,
    Options,
    QueryError,
    Unsupported,
    instant,
    ranged,
    series_of,
)
from agent.lab.promql.aggregate import kept_by_heap
from agent.lab.promql.numbers import exponent, general, plain, sample
from agent.lab.samples import Recorded

MINUTE = 60_000
START = 1_795_132_800_000
NOW = START + 10 * MINUTE


def one(name: str, values: list[float], step_ms: int = MINUTE, **labels: str) -> Series:
    times = START + step_ms * np.arange(len(values), dtype=np.int64)
    return Series({"__name__": name, **labels}, times, np.array(values, dtype=float))


def ask(series: list[Series], query: str, at_ms: int = NOW, options: Options | None = None) -> dict[str, float]:
    """Values by label set, written as `a=1,b=2`."""
    answer = instant(Recorded(series, NOW), query, at_ms, options or Options())
    return {written(dict(labels)): float(values[-1]) for labels, _, values in series_of(answer)}


def written(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


COUNTER = one("requests_total", [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600], pod="a")
RESET = one("requests_total", [500, 560, 620, 10, 70, 130, 190, 250, 310, 370, 430], pod="b")


def test_a_counter_that_grows_by_one_a_second_has_rate_one() -> None:
    assert ask([COUNTER], "rate(requests_total[5m])") == {"pod=a": pytest.approx(1.0)}


def test_a_reset_counts_from_zero() -> None:
    assert ask([RESET], "increase(requests_total[10m])") == {"pod=b": pytest.approx(550.0)}
    assert ask([RESET], "resets(requests_total[10m])") == {"pod=b": 1.0}


def test_a_window_with_a_single_sample_has_no_rate() -> None:
    assert ask([COUNTER], "rate(requests_total[59s])") == {}


def test_the_edge_of_a_window_is_closed_in_prometheus_2_and_open_in_prometheus_3() -> None:
    assert ask([COUNTER], "count_over_time(requests_total[5m])") == {"pod=a": 6.0}
    assert ask([COUNTER], "count_over_time(requests_total[5m])", options=Options(left_open=True)) == {"pod=a": 5.0}


def test_the_edge_of_the_lookback_follows_the_same_flag() -> None:
    series = [one("x", [1.0])]
    at = START + 5 * MINUTE
    assert ask(series, "x", at) == {"__name__=x": 1.0}
    assert ask(series, "x", at + 1) == {}
    assert ask(series, "x", at, Options(left_open=True)) == {}


def test_the_steps_of_a_subquery_on_the_edge_follow_the_same_flag() -> None:
    assert ask([COUNTER], "count_over_time(requests_total[5m:1m])") == {"pod=a": 6.0}
    assert ask([COUNTER], "count_over_time(requests_total[5m:1m])", options=Options(left_open=True)) == {"pod=a": 5.0}


def test_a_stale_marker_ends_a_series_at_once_and_is_no_sample() -> None:
    series = [one("x", [1.0, 2.0, STALE_MARKER])]
    assert ask(series, "x", START + 2 * MINUTE) == {}
    assert ask(series, "x", START + 2 * MINUTE - 1) == {"__name__=x": 2.0}
    assert ask(series, "sum_over_time(x[5m])", START + 2 * MINUTE) == {"": 3.0}


def test_nan_is_a_sample_like_any_other() -> None:
    assert ask([one("x", [math.nan])], "count(x)", START) == {"": 1.0}
    assert math.isnan(ask([one("x", [math.nan])], "x + 1", START)[""])


def test_nothing_later_than_now_is_seen() -> None:
    samples = Recorded([COUNTER], START + MINUTE)
    assert series_of(instant(samples, "requests_total", START + 3 * MINUTE))[0][2].tolist() == [60.0]
    assert series_of(instant(samples, "requests_total offset -5m", START))[0][2].tolist() == [60.0]
    samples.move_to(START - 1)
    assert series_of(instant(samples, "requests_total", NOW)) == []


def test_a_series_that_is_replaced_half_way_matches_step_by_step() -> None:
    old = one("info", [1.0, 1.0], version="1", pod="a")
    new = Series({"__name__": "info", "version": "2", "pod": "a"}, START + MINUTE * np.arange(8, 11), np.ones(3))
    samples = Recorded([COUNTER, old, new], NOW)
    answer = ranged(samples, "requests_total * on (pod) group_left (version) info", START, NOW, MINUTE)
    assert [(dict(labels)["version"], values.tolist()) for labels, _, values in series_of(answer)] == [
        ("1", [0, 60, 120, 180, 240, 300, 360]),
        ("2", [480, 540, 600]),
    ]


def test_a_range_has_a_step_at_both_ends_and_series_in_order_of_labels() -> None:
    answer = ranged(Recorded([RESET, COUNTER], NOW), "requests_total", START, START + 2 * MINUTE, MINUTE)
    assert [dict(labels)["pod"] for labels, _, _ in series_of(answer)] == ["a", "b"]
    assert series_of(answer)[0][1].tolist() == [START, START + MINUTE, START + 2 * MINUTE]


def test_sorted_and_best_first_results_keep_their_order() -> None:
    series = [one("x", [float(value)], n=str(value)) for value in (3, 1, 2)]
    for query, order in (("sort(x)", "123"), ("sort_desc(x)", "321"), ("topk(2, x)", "32"), ("(bottomk(2, x))", "12")):
        answer = instant(Recorded(series, NOW), query, START)
        assert [dict(labels)["n"] for labels, _, _ in series_of(answer)] == list(order)


def test_ties_at_the_edge_of_topk_are_settled_by_the_heap() -> None:
    assert sorted(kept_by_heap([1.0, 1.0, 1.0, 2.0], 2)) == [1, 3]
    assert kept_by_heap([1.0, 2.0], 0) == []


def test_p99_of_a_histogram_is_interpolated_within_its_bucket() -> None:
    buckets = [
        one("b", [value] * 11, le=le) for le, value in (("0.1", 50.0), ("1", 90.0), ("5", 100.0), ("+Inf", 100.0))
    ]
    assert ask(buckets, "histogram_quantile(0.5, b)") == {"": pytest.approx(0.1)}
    assert ask(buckets, "histogram_quantile(0.95, b)") == {"": pytest.approx(3.0)}
    assert ask(buckets, "histogram_quantile(2, b)") == {"": math.inf}


def test_the_raw_samples_of_a_range_can_be_asked_for() -> None:
    answer = instant(Recorded([COUNTER], NOW), "requests_total[2m]", NOW)
    assert [(dict(labels), values.tolist()) for labels, _, values in series_of(answer)] == [
        ({"__name__": "requests_total", "pod": "a"}, [480.0, 540.0, 600.0])
    ]


def test_absent_tells_the_labels_that_were_asked_for() -> None:
    assert ask([COUNTER], 'absent(requests_total{pod="z", code=~"5.."})') == {"pod=z": 1.0}
    assert ask([COUNTER], "absent(requests_total)") == {}


def test_long_windows_are_worked_in_blocks_and_lose_nothing() -> None:
    values = list(np.random.default_rng(1).normal(1e6, 1, 3000))
    samples = Recorded([one("x", values, step_ms=1000, n=str(n)) for n in range(3)], START + 3_000_000)
    end = START + 2_999_000
    answer = ranged(samples, "stddev_over_time(x[40m])", end - 400_000, end, 1000)
    expected = [float(np.std(values[index - 2400 : index + 1])) for index in range(2599, 3000)]
    for _, _, got in series_of(answer):
        assert got == pytest.approx(expected, rel=1e-9)


def test_the_clocks_functions_know_leap_years() -> None:
    for query, value in (
        ("days_in_month(vector(1709164800))", 29.0),
        ("month(vector(1709164800))", 2.0),
        ("day_of_week(vector(1709164800))", 4.0),
        ("day_of_year(vector(1735603200))", 366.0),
    ):
        assert ask([], query) == {"": value}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limitk(1, x)", "limitk"),
        ("sort_by_label(x)", "sort_by_label"),
        ("histogram_count(x)", "histogram_count"),
        ("histogram_fraction(0, 1, x)", "histogram_fraction"),
        ("mad_over_time(x[5m])", "mad_over_time"),
        ('x{a="1" or b="2"}', "alternative matchers"),
        (r'x{a=~"\\pL+"}', "regular expression"),
        ("info(x)", "info"),
    ],
)
def test_what_the_evaluator_does_not_speak_it_refuses_by_name(query: str, says: str) -> None:
    with pytest.raises((Unsupported, BadQuery), match=says):
        ask([one("x", [1.0], a="é")], query, START)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("sum(rate(x", "1:11: parse error: unclosed left parenthesis"),
        ("sum(\nfoo(x))", '2:1: parse error: unknown function with name "foo"'),
        ("rate(x)", '1:1: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("", "unknown position: parse error: no expression found in input"),
    ],
)
def test_what_does_not_parse_is_told_as_prometheus_tells_it(query: str, error: str) -> None:
    with pytest.raises(BadQuery) as caught:
        ask([], query)
    assert str(caught.value) == error
    assert caught.value.kind == "bad_data"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("a + on () a", "found duplicate series for the match group"),
        ("a + on (x) group_left (n) a", "found duplicate series"),
        ("a + on () b", "many-to-one matching must be explicit"),
        ('label_replace(a, "n", "same", "n", ".*")', "vector cannot contain metrics with the same labelset"),
        ('label_replace(a, "bad-name", "same", "n", ".*")', "invalid destination label name"),
        ("topk(NaN, a)", "overflows int64"),
    ],
)
def test_what_these_samples_cannot_answer_is_an_execution_error(query: str, error: str) -> None:
    with pytest.raises(NotComputable, match=error) as caught:
        ask([one("a", [1.0], n="1"), one("a", [2.0], n="2"), one("b", [1.0])], query, START)
    assert caught.value.kind == "execution"


def test_a_query_that_would_load_too_many_samples_is_refused() -> None:
    with pytest.raises(NotComputable, match="too many samples"):
        ask([COUNTER], "requests_total[10m]", options=Options(max_samples=5))
    with pytest.raises(QueryError, match="too many samples"):
        ask([COUNTER], "max_over_time(requests_total[20y:1s])")


def test_a_range_query_must_be_of_an_instant_vector() -> None:
    with pytest.raises(BadQuery, match='invalid expression type "range vector" for range query'):
        ranged(Recorded([COUNTER], NOW), "requests_total[5m]", START, NOW, MINUTE)


@pytest.mark.parametrize(
    ("value", "in_json", "in_labels", "in_alerts", "in_templates"),
    [
        (0.25, "0.25", "0.25", "2.5e-01", "0.25"),
        (1.0, "1", "1", "1e+00", "1"),
        (-0.0, "-0", "-0", "-0e+00", "-0"),
        (1e-7, "1e-07", "0.0000001", "1e-07", "1e-07"),
        (0.00001, "0.00001", "0.00001", "1e-05", "1e-05"),
        (1e20, "100000000000000000000", "100000000000000000000", "1e+20", "100000000000000000000"),
        (1.5e21, "1.5e+21", "1500000000000000000000", "1.5e+21", "1.5e+21"),
        (math.inf, "+Inf", "+Inf", "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf", "-Inf", "-Inf"),
        (math.nan, "NaN", "NaN", "NaN", "NaN"),
    ],
)
def test_numbers_are_written_as_go_writes_them(
    value: float, in_json: str, in_labels: str, in_alerts: str, in_templates: str
) -> None:
    assert (sample(value), plain(value), exponent(value), general(value)) == (
        in_json,
        in_labels,
        in_alerts,
        in_templates,
    )
