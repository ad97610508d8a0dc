"""Policy as code: cases with their verdicts, why a verdict came about, and what in a file can never matter."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.catalog import Catalog, file_type
from agent.errors import BadConfiguration
from agent.gate import policy_check, policy_tests
from agent.gate.explain import explain, standing
from agent.gate.policy import Policy, Request, parse
from tests.gate.test_policy import SCALE, TUESDAY, WEB, requests, rules
from tests.gate.world import ACTIONS, NOON
from tools.context import Service, Workload
from tools.spec import Risk

TEXT = """
approvers: [oncall]
rules:
  - {name: never at night, action: "set_*", hours: {from: "22:00", to: "06:00", zone: Europe/Berlin}, verdict: deny}
  - {name: staging, environment: staging, verdict: allow}
  - name: by day
    action: set_replicas
    environment: production
    cluster: "eu-*"
    arguments: {replicas: {max: 20, at_most_times: 3}}
    verdict: ask
    quorum: 2
  - {name: destroy, risk: destructive, verdict: ask}
"""
GOOD = """
- name: by day in production
  action: set_replicas
  arguments: {replicas: 6}
  circumstances: {environment: production, cluster: eu-1, service: web, at: 2026-11-24T12:00:00+00:00, now: {replicas: 2}}
  expect: ask
  quorum: 2
- name: more than three times
  action: set_replicas
  arguments: {replicas: 7}
  circumstances: {environment: production, cluster: eu-1, at: 2026-11-24T12:00:00Z, now: {replicas: 2}}
  expect: deny
- name: at night in Berlin, written in UTC
  action: set_replicas
  arguments: {replicas: 6}
  circumstances: {environment: staging, at: 2026-11-24T21:30:00Z}
  expect: deny
- name: in staging by day
  action: probed
  circumstances: {environment: staging, at: 2026-11-24T12:00:00}
  expect: allow
"""


def put(text: str, policy: str = TEXT) -> policy_tests.Tested:
    found = [policy_tests.Case.model_validate(one) for one in yaml.safe_load(text)]
    return policy_tests.run(parse(policy), found, ACTIONS, NOON)


def test_each_case_is_put_to_the_policy_and_rules_nobody_reaches_are_named() -> None:
    found = put(GOOD)
    assert [one.wrong for one in found.checked] == ["", "", "", ""]
    assert [one.rule for one in found.checked] == ["by day", "", "never at night", "staging"]
    assert (found.failed, found.unreached) == (0, ("destroy",))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"expect": "allow"}, "expected allow, got ask"),
        ({"quorum": 1}, "expected 1 people, got 2"),
        ({"action": "destroy", "expect": "ask", "quorum": 1}, "expected 1 people, got 2"),
        ({"action": "no_such_thing", "expect": "ask"}, "expected ask, got deny"),
    ],
)
def test_another_verdict_than_expected_fails_and_says_what_came(change: dict[str, Any], wrong: str) -> None:
    first = yaml.safe_load(GOOD)[0] | change
    (one,) = put(json.dumps([first], default=str)).checked
    assert one.wrong == wrong


def test_an_action_that_does_not_exist_is_denied_whatever_the_file_says() -> None:
    (one,) = put("[{name: x, action: format_disk, expect: deny}]", "rules: [{verdict: allow}]").checked
    assert (one.wrong, one.why) == ("", "there is no action 'format_disk' here")
    (two,) = put("[{name: x, action: mine, risk: reversible, expect: allow}]", "rules: [{verdict: allow}]").checked
    assert two.wrong == ""


def test_what_a_case_leaves_out_is_unknown_and_not_guessed() -> None:
    (one,) = put("[{name: x, action: probed, circumstances: {at: 2026-11-24T12:00:00Z}, expect: deny}]").checked
    assert (one.wrong, one.reached) == ("", {2}), "it may be staging, and may not"


def test_a_name_from_untrusted_text_and_a_draft_can_be_tested_too() -> None:
    text = """
- {name: u, action: probed, circumstances: {environment: staging, untrusted: [workload]}, expect: deny}
- {name: d, action: probed, circumstances: {environment: staging, confirmed: false}, expect: suggest}
"""
    assert put(text, TEXT.replace("never at night, ", "never at night, risk: destructive, ")).failed == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {name: a, action: b, expect: alow}", r"cases.yaml:1: 0.expect: .*Did you mean 'allow'"),
        (
            "- {name: a, action: b, expect: ask}\n- {name: a, action: b, expekt: ask}",
            r"cases.yaml:2: .*Did you mean 'expect'",
        ),
        ("- {name: a, action: b, expect: ask, circumstances: {cluser: x}}", "Did you mean 'cluster'"),
        ("rules: []", "cases.yaml:1"),
        ("[]", "no case. Write a list"),
        ("", "cases.yaml:1"),
    ],
)
def test_a_mistake_in_the_cases_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "cases.yaml").write_text(text)
    with pytest.raises(BadConfiguration, match=words):
        policy_tests.load(tmp_path / "cases.yaml")


# -- explain ----------------------------------------------------------------------------------------------------------


def test_every_rule_says_what_held_and_what_did_not() -> None:
    request = Request("set_replicas", {"replicas": 6}, WEB, Risk.REVERSIBLE, TUESDAY, {"replicas": 2})
    told = explain(parse(TEXT), request)
    assert [(s.name, s.part) for s in told.steps] == [
        ("never at night", "passed"),
        ("staging", "passed"),
        ("by day", "decides"),
        ("destroy", "passed"),
    ]
    night, staging, day, _ = told.steps
    assert (
        night.why
        == "hours is Tue 12:00 UTC, wanted mon tue wed thu fri sat sun 22:00-06:00 Europe/Berlin: does not fit"
    )
    assert staging.why == "environment is production, wanted staging: does not fit"
    assert "replicas is 6 (now 2), wanted at most 20, at most ×3 of what is now: fits" in day.why
    assert told.floors == ()


def test_what_cannot_be_told_counts_and_says_so() -> None:
    request = replace(SCALE, action="set_replicas", target=replace(WEB, environment=""))
    told = explain(parse(TEXT), request)
    assert [s.part for s in told.steps] == ["passed", "counts", "counts", "passed"]
    assert told.steps[1].why == "environment is unknown, wanted staging: cannot be told to fit"
    assert told.ruling.verdict == "deny"


def test_floors_say_what_they_made_stricter() -> None:
    told = explain(parse("approvers: [a]\nrules: [{verdict: allow}]"), replace(SCALE, risk=Risk.DESTRUCTIVE))
    assert told.floors == ("allow becomes ask: destructive actions are never run without asking",)
    assert told.ruling.quorum == 2
    two = explain(parse("approvers: [a]\nrules: [{verdict: ask}]"), replace(SCALE, risk=Risk.DESTRUCTIVE))
    assert two.floors == ("1 becomes 2 people",)


def test_without_a_policy_the_explanation_is_that_there_is_none() -> None:
    told = explain(Policy.none(), SCALE)
    assert (told.steps, told.ruling.verdict, "no policy" in told.ruling.why) == ((), "deny", True)


def test_freezes_budgets_and_the_kill_switch_are_told_apart() -> None:
    text = "budgets: {per_hour: 3, per_target_per_hour: 1}\nfreezes: [{from: 2026-11-24, to: 2026-11-25, reason: sale}]"
    freeze, budget, switch = standing(parse(text), SCALE, None, 2, 1)
    assert (freeze.text, freeze.stops) == ("sale", True)
    assert (budget.text, budget.stops) == ("1 actions ran on this target in the last hour; the budget is 1", True)
    assert (switch.text, switch.stops) == ("off", False)
    freeze, budget, switch = standing(parse("kill_switch: true"), SCALE, None, 2, 1)
    assert (freeze.stops, budget.text) == (
        False,
        "2 of any number in the last hour, 1 of any number on this target",
    )
    assert (switch.text, switch.stops) == ("the policy's kill switch is on", True)
    assert standing(parse(""), SCALE, "os:ann stopped everything: smells", 0, 0)[2].stops


@given(st.lists(rules, max_size=4), requests)
def test_an_explanation_never_says_another_verdict_than_policy(listed: list[dict[str, Any]], request: Request) -> None:
    policy = parse(json.dumps({"rules": listed}))
    told = explain(policy, request)
    assert told.ruling == policy.rule(request)
    deciding = [s for s in told.steps if s.part == "decides"]
    assert len(deciding) <= 1
    assert bool(told.reached()) or told.ruling.rule == ""


# -- what can never matter --------------------------------------------------------------------------------------------

CATALOG = Catalog(
    {
        "web": Service(
            "web",
            workloads=(Workload("web", "shop", "eu-1", "Deployment", "web", "production"),),
            environment="production",
        )
    },
    people=file_type().model_validate({"people": {"ann": {"os_user": "ann"}, "bob": {"os_user": "bob"}}}).people,
    groups={"oncall": ["ann", "bob"], "elsewhere": ["slack-group:S123"]},
)


def found(text: str, catalog: Catalog | None = CATALOG) -> list[str]:
    return policy_check.findings(text, "policy.yaml", parse(text), ACTIONS, catalog)


def test_a_policy_whose_every_word_is_known_has_no_finding() -> None:
    text = "approvers: [oncall]\nrules: [{action: set_replicas, service: web, arguments: {replicas: {max: 3}}, verdict: ask, quorum: 2}]"
    assert found(text) == []
    assert found(TEXT, None) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{action: set_replica, verdict: ask}", "no action is called 'set_replica'. Did you mean 'set_replicas'?"),
        (
            "{arguments: {replica: {max: 3}}, action: set_replicas, verdict: ask}",
            "no action here takes 'replica'. Did you mean 'replicas'?",
        ),
        (
            "{action: set_replicas, risk: destructive, verdict: ask}",
            "the actions named here are reversible, so this never fits.",
        ),
        (
            "{verdict: ask, approvers: [onkall]}",
            "'onkall' is neither a person nor a group of the catalog. Did you mean 'oncall'?",
        ),
        ("{verdict: ask, quorum: 3}", "3 people have to approve and 2 may. Add approvers."),
        ("{verdict: ask, cluster: us-1}", "the catalog has no cluster 'us-1'. Did you mean 'eu-1'?"),
        ("{verdict: ask, environment: prod}", "the catalog has no environment 'prod'"),
        ("{verdict: ask, service: wep}", "Did you mean 'web'?"),
    ],
)
def test_what_can_never_matter_is_named_by_line_with_its_mend(rule: str, words: str) -> None:
    text = f"approvers: [oncall]\nrules:\n  - {{action: probed, verdict: deny}}\n  - {rule}\n"
    assert any(one.startswith("policy.yaml:4: ") and words in one for one in found(text)), found(text)


def test_a_rule_below_one_that_fits_everything_is_never_reached() -> None:
    (one,) = found("rules:\n  - {verdict: deny}\n  - {action: probed, verdict: allow}\n")
    assert one == "policy.yaml:3: this rule is never reached: rule 1 fits everything. Move it above."


def test_people_of_a_group_that_is_kept_elsewhere_are_not_counted_here() -> None:
    assert found("approvers: [elsewhere]\nrules: [{verdict: ask, quorum: 9}]") == []


def test_a_rule_that_asks_nobody_is_named_by_line() -> None:
    with pytest.raises(BadConfiguration, match=r"p.yaml:3: rule 2: asks nobody. Name approvers"):
        parse("rules:\n  - {verdict: deny}\n  - {verdict: ask}\n", "p.yaml")


def test_the_moment_of_the_test_stands_in_where_a_case_names_none() -> None:
    text = "[{name: x, action: probed, expect: allow}]"
    policy = parse("rules: [{hours: {from: '11:00', to: '13:00'}, verdict: allow}]")
    found = [policy_tests.Case.model_validate(one) for one in yaml.safe_load(text)]
    assert policy_tests.run(policy, found, ACTIONS, NOON).failed == 0
    assert policy_tests.run(policy, found, ACTIONS, datetime(2026, 11, 24, 14, tzinfo=UTC)).failed == 1
