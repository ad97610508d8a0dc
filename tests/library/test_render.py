from __future__ import annotations

from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.cause import Fault
from agent.errors import UnusableInput
from agent.library.render import Names, names_for, render_action, render_check
from agent.library.runbook import ActionBlock, CheckBlock
from tools.context import Service, Workload

HOSTILE = st.one_of(
    st.text(min_size=1, max_size=30).filter(lambda t: "/" not in t),
    st.lists(
        st.sampled_from(
            ['"', "'", "`", "\\", "}", "{", ")", "\n", "#", '"}) or x{a="', "{{ before }}", "\0", "=~", ".*", "é"]
        ),
        min_size=1,
        max_size=8,
    ).map("".join),
)


def rendered(promql: str, names: Names) -> str:
    return str(render_check(CheckBlock("", "query_metrics", {"promql": promql}, "> 1"), names).args["promql"])


def plain(value: Any, names: Names) -> Any:
    return render_check(CheckBlock("", "any", {"value": value}, "> 1"), names).args["value"]


def sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text  # the parser of the test, written in Rust for C strings, stops there


@settings(max_examples=1000)
@given(HOSTILE)
def test_a_hostile_value_stays_one_label_value(value: str) -> None:
    if not sendable(value):
        return
    for template in (
        "sum(x{{service={{{{ service }}}},a='1'}})",
        'sum(x{{service="{{{{ service }}}}",a="1"}})',
        "sum(x{{service='{{{{ service }}}}',a='1'}})",
    ):
        node: Any = promql_parser.parse(rendered(template.format(), Names(service=value)))
        (matchers,) = [node.expr.matchers.matchers]
        assert {(m.name, m.value) for m in matchers} == {("service", value), ("a", "1")}


@settings(max_examples=300)
@given(HOSTILE)
def test_after_a_regex_operator_a_value_matches_only_itself(value: str) -> None:
    import re

    if not sendable(value):
        return
    for template in ("x{service=~{{ service }}}", 'x{service=~"{{ service }}"}'):
        node: Any = promql_parser.parse(rendered(template, Names(service=value)))
        assert re.fullmatch(node.matchers.matchers[0].value, value)
        assert not re.fullmatch(node.matchers.matchers[0].value, value + "x")


@given(HOSTILE)
def test_elsewhere_a_value_is_itself_whatever_it_looks_like(value: str) -> None:
    assert plain("{{ service }}", Names(service=value)) == value
    assert plain("a {{ service }} b", Names(service=value)) == f"a {value} b"


@pytest.mark.parametrize("value", ["true", "1e5", "null", "07", "[1]", "{{ model }}"])
def test_a_name_that_looks_like_a_number_stays_text(value: str) -> None:
    assert plain("{{ service }}", Names(service=value, model="m")) == value


def test_an_expression_keeps_its_type_and_a_workload_its_cluster() -> None:
    names = Names(workload="eu-1/ml/forecast-server", before={"replicas": 3, "items": 4})
    assert plain("{{ before.replicas + 2 }}", names) == 5
    assert plain(["{{ before.items }}", 7, None, True], names) == [4, 7, None, True]
    assert plain("{{ [before.replicas, 9] | max }} replicas", names) == "9 replicas"
    assert plain("{{ workload }}", names) == "eu-1/ml/forecast-server"
    assert (
        rendered("x{deployment={{ workload }}} > {{ before.replicas }}", names) == 'x{deployment="forecast-server"} > 3'
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ service.__class__ }}",
        "{{ before.__init__ }}",
        "{{ before.keys() }}",
        "{{ 'x' * 999999999 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ range(9) }}",
        "{% for a in 'x' %}{% endfor %}",
        "{{ before }}",
        "{{ missing }}",
        "{{ before.missing }}",
        "{{ 1 / 0 }}",
        "{{ service | attr('x') }}",
        "{{ self }}",
        "{{",
        "{{ cycler }}",
        "{# #}{{ [1, 2] }}",
    ],
)
def test_nothing_but_plain_values_comes_out_of_a_template(template: str) -> None:
    with pytest.raises(UnusableInput, match="cpu:7: "):
        render_check(
            CheckBlock("", "any", {"value": template}, "> 1", line=7), Names(service="s", before={"a": 1}), "cpu"
        )


@pytest.mark.parametrize("template", ["x{a=`{{ service }}`}", 'x{a="\\{{ service }}"}', "x{a={{ before.flag }}}"])
def test_where_a_value_cannot_be_quoted_it_is_refused(template: str) -> None:
    with pytest.raises(UnusableInput):
        rendered(template, Names(service="s", before={"flag": True}))


def test_a_quote_in_a_comment_does_not_open_a_string() -> None:
    names = Names(service='a"b')
    assert rendered("# don't\nx{a={{ service }}}", names) == '# don\'t\nx{a="a\\"b"}'


def test_a_name_that_is_not_known_is_said_with_those_that_are() -> None:
    with pytest.raises(UnusableInput, match=r"'model' is undefined.*Known here: service, before\.replicas"):
        plain("{{ model }}", Names(service="s", before={"replicas": 1}))


def action(success: dict[str, Any], guards: tuple[dict[str, Any], ...] = ()) -> ActionBlock:
    args = {"workload": "{{ workload }}", "replicas": "{{ before.replicas + 2 }}"}
    return ActionBlock(Fault.CPU_CONTENTION, "scale_workload", args, success, guards, 3)


def test_an_action_comes_with_its_success_test_and_the_default_guard() -> None:
    names = Names(service="f", workload="eu-1/ml/f", before={"replicas": 2}, traffic="sum(rate(r[5m]))")
    block = action(
        {"promql": "x{s={{ service }}}", "expect": "<= {{ before.replicas }}", "hold": "90s", "within": "1h"}
    )
    name, args, success = render_action(block, names)
    assert (name, args) == ("scale_workload", {"workload": "eu-1/ml/f", "replicas": 4})
    (check,) = success.checks
    assert (check.read, check.args["promql"], check.expect) == ("query_metrics", 'x{s="f"}', "<= 2")
    assert (success.hold.total_seconds(), success.within.total_seconds()) == (90, 3600)
    (guard,) = success.guards
    assert (guard.check.args["promql"], guard.at_least, guard.at_most) == ("sum(rate(r[5m]))", 0.7, None)


def test_own_guards_and_several_checks_stand_instead() -> None:
    checks = [{"read": "served_version", "args": {"model": "{{ model }}"}, "fact": "agree", "expect": "== true"}]
    block = action(
        {"checks": checks, "hold": "2m", "within": "10m"}, ({"promql": "e", "at_most": 1.5, "name": "errors"},)
    )
    _, _, success = render_action(block, Names(workload="w", model="m", before={"replicas": 2}, traffic="t"))
    assert success.checks[0].to_json() == {
        "read": "served_version",
        "args": {"model": "m"},
        "expect": "== true",
        "fact": "agree",
    }
    assert [(g.name, g.at_least, g.at_most) for g in success.guards] == [("errors", None, 1.5)]


def test_the_alerts_labels_choose_among_workloads_and_none_is_guessed() -> None:
    both = Service("f", workloads=(Workload("w", "ml", "eu-1"), Workload("w", "ml", "us-1")), serves_model="m")
    assert names_for(both, None, {"cluster": "us-1"}).workload == "us-1/ml/w"
    unclear = names_for(both, None, {})
    assert (unclear.workload, unclear.cluster, unclear.model) == (None, "", "m")
    assert names_for(None, None, {"service": "x", "cluster": "c"}).service == "x"


def test_a_cluster_that_nobody_knows_keeps_no_series_out() -> None:
    block = CheckBlock("up?", "query_metrics", {"promql": "up{cluster={{ cluster }},service={{ service }}}"}, "> 0")
    for cluster, written in (("", ".*"), ("eu-1", "eu-1|")):
        rendered = render_check(block, Names(service="web", cluster=cluster)).args["promql"]
        assert rendered == f'up{{cluster=~"{written}",service="web"}}'
