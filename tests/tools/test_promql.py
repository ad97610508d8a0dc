"""PromQL: what we send, what we refuse, and that no label value can become a query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import promql_parser as pp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.alerts.expression import breach_of, by_label, expression_in
from tools.errors import BadArguments
from tools.prometheus.promql import (
    equalities,
    guard,
    literal,
    matchers_of,
    parse,
    quote,
    render,
    selector,
    selector_here,
    selectors,
)
from tools.prometheus.units import unit_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=60))
@example('x"}) or count(req_total{tenant="rival')
@example("\\")
@example('\\"')
@example("a\nb\x00\x7f\u2028😀")
@example("\ud800")
@example("`'{}")
def test_a_label_value_never_becomes_a_query(value: str) -> None:
    tree = parse(selector("up", {"service": value, "pod": "a"}))
    assert type(tree).__name__ == "VectorSelector"
    assert matchers_of(tree) == [("service", "=", value.encode("utf-8", "replace").decode()), ("pod", "=", "a")]
    assert matchers_of(parse(render(tree))) == matchers_of(tree)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_a_hostile_label_name_is_refused(name: str) -> None:
    if name.isascii() and name.isidentifier():
        return
    with pytest.raises(BadArguments):
        selector("up", {name: "x"})


def test_an_odd_metric_name_is_quoted() -> None:
    (node,) = selectors(parse(selector('a"b', {})))
    assert [(m.name, m.value) for m in node.matchers.matchers] == [("__name__", 'a"b')]


@given(st.text(min_size=1, max_size=20).filter(lambda t: "\x00" not in t))
def test_a_literal_pattern_is_one_matcher(text: str) -> None:
    (node,) = selectors(parse(selector("up", {"job": "x"}, pod=literal(text) + "-.+")))
    assert [op for _, op, _ in matchers_of(node)] == ["=", "=~"]


@pytest.mark.parametrize(
    "query",
    [
        'sum by (service) (rate(http_requests_total{code=~"5..", a!="b"}[5m] offset 1h)) / on (service) sum(rate(x[5m])) > bool 0.05',
        "max_over_time(rate(a[5m])[1h:30s])",
        "max_over_time(rate(a[5m])[1h:] offset 5m)",
        "(a > 3) and b < 2",
        "a / ignoring (x) group_left (v) b",
        "sum without (x) (a)",
        'count_values("v", a)',
        "topk(3, a)",
        "quantile(0.9, a)",
        "-a ^ 2",
        "a @ 1000.500",
        "a @ start()",
        "a @ end() offset 1w",
        "time() - a",
        "a unless on () b",
        'label_replace(up, "x", "$1", "y", "(.*)\\"")',
        "rate(a[1500ms])",
        "2 ^ -1 * 3",
        "a > +Inf",
        "a == NaN",
    ],
)
def test_what_is_written_back_means_the_same(query: str) -> None:
    once = render(parse(query))
    assert render(parse(once)) == once
    assert pp.parse(once).prettify() == pp.parse(query).prettify()


def test_a_quote_in_a_value_survives_being_written_back() -> None:
    query = 'up{a="q\\"u\\\\o"}'
    assert matchers_of(parse(render(parse(query)))) == [("a", "=", 'q"u\\o')]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("max_over_time(up[30d:1s])", "inner points"),
        ("max_over_time(up[1d:])", "Write its step"),
        ("max_over_time(max_over_time(up[12h:30s])[12h:30s])", "evaluated"),
        ("rate(up[60d])", "too long"),
        ("rate(up[20d])", "step"),
        ("up[5m]", "Wrap it"),
        ('"text"', "Wrap it"),
        ("up[1h:5m]", "Wrap it"),
        ('{job=~".+"}', "may match every series"),
        ('count({__name__=~".+"})', "may match every series"),
        ("up offset -5m", "past the incident"),
        ("max_over_time(up[1h:5m] offset -1h)", "past the incident"),
        (f"up @ {int((NOON + timedelta(hours=1)).timestamp())}", "after the incident"),
    ],
)
def test_a_query_of_death_is_refused_with_what_to_change(query: str, says: str) -> None:
    with pytest.raises(BadArguments, match=says):
        guard(parse(query), 240, NOON)


def test_too_many_points_are_refused() -> None:
    with pytest.raises(BadArguments, match="larger step_s"):
        guard(parse("up"), 5000, NOON)


@pytest.mark.parametrize(
    "query", ["up", "rate(up[5m])", "max_over_time(rate(a[5m])[1h:30s])", "rate(a[1d])", "1", "vector(1)"]
)
def test_everyday_queries_pass(query: str) -> None:
    guard(parse(query), 241, NOON)


@pytest.mark.parametrize(
    "query",
    [
        "sum(",
        "",
        "nosuch(up)",
        "rate(up)",
        'up{a="b}',
        "(" * 1000 + "a",
        "-" * 500 + "a",
        "+".join(["a"] * 500),
        "a" * 9000,
        "up{a\x00}",
        "sum(" * 300 + "a" + ")" * 300,
    ],
)
def test_what_is_not_promql_is_explained(query: str) -> None:
    with pytest.raises(BadArguments):
        parse(query)


def test_equal_matchers_pick_the_server() -> None:
    assert equalities(parse('sum(a{cluster="eu-1", x="1"}) / sum(b{cluster="eu-1", x="2", y=~"z"})')) == {
        "cluster": "eu-1"
    }


@pytest.mark.parametrize(
    ("expression", "measured", "op", "limit"),
    [
        ("a > 1", "a", ">", 1.0),
        ("1 < a", "a", ">", 1.0),
        ("(sum(a)) >= (0.5)", "sum (a)", ">=", 0.5),
        ("a < -1", "a", "<", -1.0),
        ("a > 15 * 60", "a", ">", 900.0),
        ("(a > 3) and b < 2", "a", ">", 3.0),
        ("up == 0", "up", "==", 0.0),
        ("a > b", "a", ">", None),
        ('absent(up{job="x"})', 'absent(up{job="x"})', "", None),
        ("a > 1 / 0", "a", ">", None),
    ],
)
def test_the_comparison_comes_off(expression: str, measured: str, op: str, limit: float | None) -> None:
    breach = breach_of(expression)
    assert (breach.text, breach.op, breach.limit) == (measured, op, limit)


@pytest.mark.parametrize(
    ("expression", "label", "wanted"),
    [
        ("sum(rate(a[5m]))", "pod", "sum by (pod) (rate(a[5m]))"),
        ("sum by (x) (a) / sum by (x) (b)", "pod", "sum by (x, pod) (a) / sum by (x, pod) (b)"),
        ("sum without (pod, x) (a)", "pod", "sum without (x) (a)"),
        (
            "histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m])))",
            "pod",
            "histogram_quantile(0.99, sum by (le, pod) (rate(a_bucket[5m])))",
        ),
        (
            'sum(a{code=~"5.."}) / sum(a)',
            "code",
            'sum by (code) (a{code=~"5.."}) / ignoring (code) group_left () sum (a)',
        ),
        ("sum(a) / on () sum(b)", "pod", "sum by (pod) (a) / on (pod) sum by (pod) (b)"),
        ("sum(a) * 100", "pod", "sum by (pod) (a) * 100"),
        ("topk(3, sum by (x) (a))", "pod", "topk (3, sum by (x, pod) (a))"),
    ],
)
def test_an_expression_is_split_by_one_more_label(expression: str, label: str, wanted: str) -> None:
    assert by_label(parse(expression), label) == wanted


def test_an_expression_is_found_in_a_generator_url() -> None:
    assert expression_in("http://p:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1") == "up == 0"
    assert expression_in("up == 0") == "up == 0"


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        ("a_seconds", "s"),
        ("a_bytes", "bytes"),
        ("rate(a_total[5m])", "1/s"),
        ("rate(a_bytes_total[5m])", "bytes/s"),
        ("sum(rate(x_seconds_sum[5m])) / sum(rate(x_seconds_count[5m]))", "s"),
        ("histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[5m])))", "s"),
        ('sum(rate(a_total{code="5"}[5m])) / sum(rate(a_total[5m]))', "ratio"),
        ("a_ratio", "ratio"),
        ("up", ""),
        ("process_start_time_seconds", "unix"),
        ("time() - process_start_time_seconds", "s"),
        ("count(a_seconds)", "count"),
        ("increase(a_total[1h])", "count"),
        ("a_seconds > 1", "s"),
        ("a_seconds > bool 1", ""),
        ("max(a_bytes) * 8", ""),
        ("rate(container_cpu_usage_seconds_total[5m])", "s/s"),
    ],
)
def test_the_unit_is_read_off_the_name(query: str, unit: str) -> None:
    assert unit_of(parse(query)) == unit


def test_quoting_is_one_string() -> None:
    assert quote('a"b\\') == '"a\\"b\\\\"'


def test_a_cluster_also_fits_series_that_lack_the_label() -> None:
    """Often it is an external label: alerts carry it, the series do not."""
    written = selector_here("up", {"service": "web", "cluster": "eu-1.a"}, pod="web-.+")
    assert written == r'up{service="web", cluster=~"eu\\-1\\.a|", pod=~"web-.+"}'
    assert equalities(parse(written)) == {"service": "web", "cluster": "eu-1.a"}  # still names its server
    assert selector_here("up", {"service": "web"}) == 'up{service="web"}'
    assert equalities(parse('up{cluster=~"eu-.|"}')) == {}  # a pattern names no one cluster
