"""Policy: the first rule that fits decides, nothing fits ⇒ deny, and floors that no file loosens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadConfiguration
from agent.gate.policy import SUGGEST_EVERYTHING, Policy, Request, Verdict, load, parse, stricter
from tools.context import Target
from tools.spec import Risk

TUESDAY = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WEB = Target("workload", "web", "eu-1", "shop", "production", "web")
SCALE = Request("scale_workload", {"replicas": 6}, WEB, Risk.REVERSIBLE, TUESDAY, {"replicas": 2})


def verdict(rules: str, request: Request = SCALE) -> Verdict:
    return parse(f"approvers: [oncall]\nrules: {rules}").rule(request).verdict


def test_no_policy_denies_everything_and_says_so() -> None:
    ruling = Policy.none().rule(SCALE)
    assert ruling.verdict is Verdict.DENY
    assert "no policy" in ruling.why


def test_what_no_rule_names_is_denied() -> None:
    assert verdict("[]") is Verdict.DENY
    assert verdict("[{action: restart_*, verdict: allow}]") is Verdict.DENY
    assert parse("").rule(SCALE).verdict is Verdict.DENY


def test_the_first_rule_that_fits_decides() -> None:
    assert verdict("[{action: scale_*, verdict: ask}, {verdict: allow}]") is Verdict.ASK
    assert verdict("[{verdict: allow}, {action: scale_*, verdict: ask}]") is Verdict.ALLOW


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ("action: [roll_*, scale_workload]", True),
        ("risk: reversible", True),
        ("risk: [disruptive, destructive]", False),
        ("environment: production", True),
        ("environment: staging", False),
        ("cluster: 'eu-*'", True),
        ("cluster: us-1", False),
        ("service: [web, checkout]", True),
        ("hours: {days: [tue], from: '09:00', to: '17:00', zone: Europe/Berlin}", True),
        ("hours: {days: [mon], from: '09:00', to: '17:00'}", False),
        ("hours: {from: '09:00', to: '12:00'}", False),
        ("hours: {from: '09:00', to: '13:00', zone: Europe/Berlin}", False),
        ("hours: {from: 10:00, to: 18:30}", True),
        ("arguments: {replicas: {min: 1, max: 6}}", True),
        ("arguments: {replicas: {max: 5}}", False),
        ("arguments: {replicas: {at_most_times: 3}}", True),
        ("arguments: {replicas: {at_most_times: 2.9}}", False),
        ("arguments: {replicas: {at_least_times: 4}}", False),
        ("arguments: {replicas: {one_of: [4, 6]}}", True),
        ("arguments: {replicas: {one_of: ['6']}}", False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(condition: str, fits: bool) -> None:
    assert (verdict(f"[{{{condition}, verdict: allow}}]") is Verdict.ALLOW) is fits


@pytest.mark.parametrize(
    ("hour", "day", "holds"), [(23, 23, True), (3, 24, True), (3, 23, False), (12, 23, False), (23, 24, False)]
)
def test_hours_over_midnight_belong_to_the_day_they_begin_on(hour: int, day: int, holds: bool) -> None:
    at = datetime(2026, 11, day, hour, tzinfo=UTC)  # the 23rd is a Monday
    got = verdict("[{hours: {days: [mon], from: '22:00', to: '06:00'}, verdict: allow}]", replace(SCALE, at=at))
    assert (got is Verdict.ALLOW) is holds


@pytest.mark.parametrize(
    "request_",
    [
        replace(SCALE, target=replace(WEB, environment="")),
        replace(SCALE, target=replace(WEB, environment="production")),
    ],
)
def test_what_may_be_production_is_treated_as_production(request_: Request) -> None:
    assert verdict("[{environment: production, verdict: deny}, {verdict: allow}]", request_) is Verdict.DENY
    assert verdict("[{environment: production, verdict: suggest}, {verdict: allow}]", request_) is Verdict.SUGGEST


def test_what_may_not_be_staging_does_not_get_what_staging_gets() -> None:
    unknown = replace(SCALE, target=replace(WEB, environment=""))
    assert verdict("[{environment: staging, verdict: allow}]", unknown) is Verdict.DENY
    assert verdict("[{environment: staging, verdict: allow}, {verdict: suggest}]", unknown) is Verdict.SUGGEST


@pytest.mark.parametrize("value", [None, "6", True, [6]])
def test_a_limit_on_what_is_no_number_does_not_hold(value: Any) -> None:
    request = replace(SCALE, arguments={"replicas": value})
    assert verdict("[{arguments: {replicas: {max: 10}}, verdict: allow}]", request) is Verdict.DENY
    assert verdict("[{arguments: {replicas: {min: 10}}, verdict: deny}, {verdict: allow}]", request) is Verdict.DENY


def test_a_multiple_of_what_is_not_known_does_not_hold() -> None:
    request = replace(SCALE, before={})
    assert verdict("[{arguments: {replicas: {at_most_times: 3}}, verdict: allow}]", request) is Verdict.DENY


def test_floors_no_file_loosens() -> None:
    everything = parse("approvers: [oncall]\nrules: [{verdict: allow}]")
    assert everything.rule(replace(SCALE, risk=Risk.DISRUPTIVE)).verdict is Verdict.ASK
    destroying = everything.rule(replace(SCALE, risk=Risk.DESTRUCTIVE))
    assert (destroying.verdict, destroying.quorum) == (Verdict.ASK, 2)
    assert everything.rule(replace(SCALE, target=replace(WEB, cluster=""))).verdict is Verdict.DENY
    assert everything.rule(replace(SCALE, target=replace(WEB, confirmed=False))).verdict is Verdict.SUGGEST
    nobody = parse("rules: [{verdict: allow}]")
    assert nobody.rule(SCALE).verdict is Verdict.ALLOW
    assert nobody.rule(replace(SCALE, risk=Risk.DISRUPTIVE)).verdict is Verdict.DENY, "nobody could be asked"


@pytest.mark.parametrize("given_", ["allow", "ask", "suggest"])
def test_a_name_from_untrusted_text_is_denied_or_needs_two(given_: str) -> None:
    request = replace(SCALE, untrusted=("workload",))
    assert verdict(f"[{{verdict: {given_}}}]", request) is Verdict.DENY
    two = parse(f"approvers: [oncall]\nrules: [{{verdict: {given_}, allow_untrusted: two_people}}]").rule(request)
    assert (two.verdict, two.quorum) == (Verdict.SUGGEST if given_ == "suggest" else Verdict.ASK, 2)


def test_a_freeze_stops_what_would_run_and_not_what_is_only_said() -> None:
    freeze = "freezes: [{from: 2026-11-24, to: 2026-11-25, reason: sale, except: [roll_back_*]}]\napprovers: [a]\n"
    asks, suggests = parse(freeze + "rules: [{verdict: ask}]"), parse(freeze + "rules: [{verdict: suggest}]")
    assert asks.rule(SCALE).verdict is Verdict.DENY
    assert "sale" in asks.rule(SCALE).why
    assert asks.rule(replace(SCALE, action="roll_back_workload")).verdict is Verdict.ASK
    assert asks.rule(replace(SCALE, at=TUESDAY + timedelta(days=1))).verdict is Verdict.ASK
    assert suggests.rule(SCALE).verdict is Verdict.SUGGEST


def test_the_kill_switch_may_be_a_file(tmp_path: Path) -> None:
    policy = parse(f"kill_switch_file: {tmp_path / 'stop'}")
    assert policy.stopped() is None
    (tmp_path / "stop").touch()
    assert "exists" in str(policy.stopped())


def test_what_init_writes_suggests_everything_and_allows_nothing() -> None:
    policy = parse(SUGGEST_EVERYTHING)
    assert {policy.rule(replace(SCALE, risk=risk)).verdict for risk in Risk} == {Verdict.SUGGEST}
    commented = (
        SUGGEST_EVERYTHING.replace("  # - name", "  - name")
        .replace("  #   ", "    ")
        .replace("# freezes", "freezes")
        .replace("#   -", "  -")
    )
    assert len(parse(commented).file.rules) == 2, "the examples are right too"
    assert len(parse(commented).file.freezes) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{verdikt: ask}]", r"policy.yaml:1: rules.0.verdikt: unknown key. Did you mean 'verdict'"),
        ("rules:\n  - action: x\n    verdict: alow", r"policy.yaml:3: .*Did you mean 'allow'"),
        ("rules: [{verdict: ask}]", "asks nobody"),
        ("rules: [{verdict: ask, approvers: []}]", "approvers"),
        ("rules: [{verdict: ask, approvers: [a], quorum: 0}]", "quorum"),
        ("rules: [{verdict: ask, approvers: [a], approve_within: soon}]", "duration such as 30s"),
        ("rules: [{verdict: allow, hours: {from: '9', to: '10:00'}}]", "time such as 09:00"),
        ("rules: [{verdict: allow, hours: {zone: Mars/Olympus}}]", "no time zone"),
        ("freezes: [{from: 2026-02-01, to: 2026-01-01, reason: x}]", "ends before it begins"),
        ("rules: [", "not YAML"),
        ("rules: []\nrules: []", "stands twice"),
        ("- allow", "policy.yaml:1"),
        ("rules: {verdict: allow}", "policy.yaml:1"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_mend(text: str, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        parse(text)


def test_a_file_that_cannot_be_read_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_the_version_is_of_the_text() -> None:
    assert parse("rules: []").version == parse("rules: []").version != parse("rules: [] ").version


rules = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from([str(v) for v in Verdict]),
        "approvers": st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    },
    optional={
        "action": st.sampled_from(["*", "scale_*", "restart"]),
        "risk": st.sampled_from([str(r) for r in Risk]),
        "environment": st.sampled_from(["production", "staging", "*"]),
        "quorum": st.integers(1, 3),
        "arguments": st.sampled_from([{"replicas": {"max": 5}}, {"replicas": {"at_most_times": 2}}]),
        "allow_untrusted": st.sampled_from(["deny", "two_people"]),
        "requester_may_approve": st.booleans(),
    },
)
requests = st.builds(
    Request,
    st.sampled_from(["scale_workload", "restart"]),
    st.fixed_dictionaries({"replicas": st.sampled_from([1, 5, 6, "6", None])}),
    st.builds(
        Target,
        st.just("workload"),
        st.just("web"),
        st.sampled_from(["", "eu-1"]),
        st.just("shop"),
        st.sampled_from(["", "production", "staging"]),
        st.just("web"),
        st.booleans(),
    ),
    st.sampled_from(list(Risk)),
    st.just(TUESDAY),
    st.sampled_from([{}, {"replicas": 2}]),
    st.sampled_from([(), ("workload",)]),
)


@given(st.lists(rules, max_size=4), requests)
def test_no_file_loosens_the_floors(listed: list[dict[str, Any]], request: Request) -> None:
    ruling = parse(json.dumps({"rules": listed})).rule(request)
    runs = ruling.verdict in (Verdict.ASK, Verdict.ALLOW)
    assert not (runs and not request.target.cluster)
    assert not (runs and not request.target.confirmed)
    assert not (ruling.verdict is Verdict.ALLOW and (request.risk is not Risk.REVERSIBLE or request.untrusted))
    assert not (runs and (request.risk is Risk.DESTRUCTIVE or request.untrusted) and ruling.quorum < 2)
    assert not (ruling.verdict is Verdict.ASK and not ruling.approvers)
    assert runs <= any(rule["verdict"] in ("ask", "allow") for rule in listed)


@given(st.lists(rules, max_size=3), rules, requests)
def test_a_denial_put_first_and_a_rule_put_last_never_loosen(
    listed: list[dict[str, Any]], other: dict[str, Any], request: Request
) -> None:
    plain = parse(json.dumps({"rules": listed})).rule(request).verdict
    denied = parse(json.dumps({"rules": [{**other, "verdict": "deny"}, *listed]})).rule(request).verdict
    assert denied.looseness <= plain.looseness
    if plain is not Verdict.DENY:
        more = parse(json.dumps({"rules": [*listed, other]})).rule(request).verdict
        assert more.looseness <= plain.looseness


@given(st.lists(rules, max_size=3), requests, st.sampled_from(["environment", "cluster", "service"]))
def test_knowing_less_of_a_target_never_loosens_to_more_than_some_target_gets(
    listed: list[dict[str, Any]], request: Request, hidden: str
) -> None:
    policy = parse(json.dumps({"rules": listed}))
    blank = policy.rule(replace(request, target=replace(request.target, **{hidden: ""}))).verdict
    known = policy.rule(request).verdict
    assert blank.looseness <= known.looseness


@given(st.lists(rules, min_size=1, max_size=3), requests)
def test_the_stricter_of_two_rulings_is_no_looser_than_either(listed: list[dict[str, Any]], request: Request) -> None:
    rulings = [parse(json.dumps({"rules": [rule]})).rule(request) for rule in listed]
    joint = stricter(*rulings)
    assert joint.verdict.looseness == min(r.verdict.looseness for r in rulings)
    asking = [r for r in rulings if r.verdict is joint.verdict]
    if joint.verdict is Verdict.ASK:
        assert joint.quorum >= max(r.quorum for r in asking)
        assert all(set(joint.approvers) <= set(r.approvers) for r in asking)
