"""`stanch policy`, `stop`, `resume`, `approvals settle` and `audit verify --json` as a person or a script meets them."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from tests.command_line import Run
from tests.surfaces.test_cli import Demo
from tests.warm import Warm

ME = pwd.getpwuid(os.getuid()).pw_name
POLICY = """\
approvers: [oncall]
rules:
  - name: by day
    action: scale_workload
    environment: production
    arguments: {replicas: {at_most_times: 3}}
    verdict: ask
  - {name: restarts, action: "restart_*", verdict: ask}
"""
CATALOG = f"""\
services:
  web: {{environment: production, workloads: [{{name: web, namespace: shop, cluster: eu-1}}]}}
people: {{me: {{os_user: {ME}}}}}
groups: {{oncall: [me]}}
"""
CASES = """\
- name: three times
  action: scale_workload
  arguments: {workload: web, replicas: 6}
  circumstances: {environment: production, cluster: eu-1, service: web, at: 2026-11-24T12:00:00Z, now: {replicas: 2}}
  expect: ask
- name: four times
  action: scale_workload
  arguments: {workload: web, replicas: 8}
  circumstances: {environment: production, cluster: eu-1, service: web, at: 2026-11-24T12:00:00Z, now: {replicas: 2}}
  expect: EXPECTED
"""


class Place:
    """A folder with a policy, a catalog and cases, and the command line over it."""

    def __init__(self, warm: Warm, folder: Path) -> None:
        self.warm, self.folder = warm, folder
        for name, text in (("policy", POLICY), ("catalog", CATALOG), ("cases", CASES.replace("EXPECTED", "deny"))):
            (folder / f"{name}.yaml").write_text(text)

    def __call__(self, *args: str | Path, code: int = 0) -> Run:
        place = self.folder
        run = self.warm.stanch(
            "--data", place / "data", "--policy", place / "policy.yaml", "--catalog", place / "catalog.yaml", *args
        )
        assert run.code == code, f"{args}: {run.code}\n{run.out}\n{run.err}"
        return run


@pytest.fixture
def place(warm: Warm, tmp_path: Path) -> Place:
    return Place(warm, tmp_path)


def test_cases_that_hold_are_a_table_and_say_what_they_leave_untried(place: Place) -> None:
    run = place("policy", "test", place.folder / "cases.yaml")
    assert "✓ three times  ask     by day" in run.out
    assert "2 cases, 0 failed." in run.out
    assert "1 of 2 rules are reached by a case." in run.out
    assert "no case reaches: restarts" in run.out


def test_a_case_that_fails_is_exit_7_and_says_why(place: Place) -> None:
    (place.folder / "cases.yaml").write_text(CASES.replace("EXPECTED", "ask"))
    run = place("policy", "test", place.folder / "cases.yaml", code=7)
    assert "✗ four times" in run.out
    assert "expected ask, got deny: no rule allows scale_workload here" in run.out
    found = place("policy", "test", place.folder / "cases.yaml", "--json", code=7).json
    assert (found["passed"], found["failed"], found["unreached"]) == (1, 1, ["restarts"])
    assert found["cases"][1]["verdict"] == "deny"


def test_a_mistake_in_cases_or_policy_is_exit_4_with_its_line(place: Place) -> None:
    (place.folder / "cases.yaml").write_text("- {name: a, action: b, expct: ask}")
    assert (
        "cases.yaml:1: 0.expct: unknown key. Did you mean 'expect'?"
        in place("policy", "test", place.folder / "cases.yaml", code=4).err
    )
    (place.folder / "policy.yaml").write_text("rules:\n  - {verdct: ask}\n")
    assert "policy.yaml:2: rules.0.verdct" in place("policy", "check", code=4).err


def test_check_says_what_can_never_matter(place: Place) -> None:
    assert "2 rules" in place("policy", "check").out
    (place.folder / "policy.yaml").write_text(POLICY.replace("scale_workload", "scale_worklaod"))
    run = place("policy", "check", code=7)
    assert "policy.yaml:4: no action is called 'scale_worklaod'. Did you mean 'scale_workload'?" in run.out


def test_explain_an_action_rule_by_rule(place: Place) -> None:
    run = place("policy", "explain", "scale_workload", "workload=web", "replicas=8", "--now", "replicas=2")
    assert "Policy says deny: no rule allows scale_workload here" in run.out
    assert "  1. by day (ask): does not fit" in run.out
    assert "replicas is 8 (now 2), wanted at most ×3 of what is now: does not fit" in run.out
    assert "kill switch: off" in run.out
    found = place(
        "policy", "explain", "scale_workload", "workload=web", "replicas=6", "--now", "replicas=2", "--json"
    ).json
    assert (found["verdict"], found["rule"], found["rules"][0]["part"]) == ("ask", "by day", "decides")
    elsewhere = place(
        "policy",
        "explain",
        "scale_workload",
        "workload=web",
        "replicas=6",
        "--now",
        "replicas=2",
        "--environment",
        "staging",
        "--at",
        "2026-11-24T12:00",
        "--json",
    ).json
    assert elsewhere["verdict"] == "deny"


def test_explain_of_nothing_says_what_there_is(place: Place) -> None:
    assert "Or name an action:" in place("policy", "explain", "no-such-thing", code=2).err
    assert "is no time" in place("policy", "explain", "scale_workload", "--at", "noon", code=2).err


def test_stop_and_resume_say_who_and_stand_on_record(place: Place) -> None:
    stopped = place("stop", "--reason", "something smells")
    assert f"os:{ME} stopped everything at " in stopped.out
    again = place("stop", code=2)
    assert "something smells" in again.err
    assert "kill switch" in place("doctor", code=7).out
    assert "! kill switch: os:" in place("policy", "explain", "scale_workload", "workload=web", "replicas=3").out
    place("resume", "--reason", "it was the drains")
    assert "Nothing is stopped" in place("resume", code=2).err
    record = place("incidents", "timeline", "gate", "--jsonl").out
    assert "something smells" in record
    assert "it was the drains" in record
    assert place("incidents", "list", "--json").json == []
    assert place("audit", "verify", "--json").json == []


def test_somebody_the_catalog_does_not_know_stops_nothing(place: Place) -> None:
    (place.folder / "catalog.yaml").write_text("people: {}\n")
    assert "is nobody in the catalog, so cannot stop anything" in place("stop", code=4).err


# -- over a demo that waits -------------------------------------------------------------------------------------------


@pytest.fixture
def demo(warm: Warm, stopped_demo: Path, tmp_path: Path) -> Demo:
    return Demo(warm, shutil.copytree(stopped_demo, tmp_path / "data"))


def test_what_is_stopped_does_not_start_although_it_was_approved(demo: Demo) -> None:
    person = ("--catalog", demo.data / "demo" / "catalog.yaml")
    stopped = demo(*person, "stop", "--reason", "drill")
    assert stopped.out.count("stopped everything") == 2, "the person's own installation and the demo"
    shown = demo("approvals", "show", demo.proposal)
    assert "Nothing starts until `stanch resume`" in " ".join(shown.out.split())
    run = demo("approvals", "approve", demo.proposal, "--json", code=5)
    assert run.json["execution"]["outcome"] == "NOT_DONE"
    assert demo.effects() == 0


def test_a_proposal_that_waits_is_explained(demo: Demo) -> None:
    run = demo("policy", "explain", demo.proposal)
    assert f"{demo.proposal} was sealed with ask, and is open." in run.out
    assert "→ 1. ask for everything (ask): decides" in run.out


def test_what_is_not_unknown_cannot_be_settled(demo: Demo) -> None:
    assert "--done or --not-done" in demo("approvals", "settle", demo.proposal, "--reason", "x", code=2).err
    run = demo("approvals", "settle", demo.proposal, "--done", "--reason", "I did it", code=2)
    assert "only what is unknown can be settled" in run.err
