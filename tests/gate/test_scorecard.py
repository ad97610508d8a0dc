"""The scorecard tells what people did with proposals, out of the timelines alone, and cites it in the policy it would justify."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from agent.gate.policy import SUGGEST_EVERYTHING, parse
from agent.gate.policy_suggestion import earned, steps
from agent.gate.scorecard import Fate, Record, Row
from tests.gate.test_policy import SCALE
from tests.graph.test_graph import END, LOOK, MENDED, Scripted, finish, incident, me, scale
from tools.spec import Action

DAY = date(2026, 11, 24)
ONE = Record(
    "scale_workload",
    "production",
    "ask",
    "by day",
    "reversible",
    "2026-11-24T12:00:00.000Z",
    Fate.APPROVED,
    False,
    timedelta(minutes=3),
    "DONE",
    True,
    False,
)


def row(*records: Record, verdict: str = "ask", risk: str = "reversible") -> Row:
    many = tuple(replace(one, verdict=verdict, risk=risk) for one in records)
    return Row("scale_workload", "production", verdict, "by day", risk, many)


def left(n: int, fate: Fate = Fate.OUTSIDE) -> list[Record]:
    return [replace(ONE, fate=fate, to_approve=None, outcome=None, recovered=None)] * n


# -- out of real incidents --------------------------------------------------------------------------------------------


async def test_an_approved_proposal_that_helped_is_agreement(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.clock.sleep(120)
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        await finish(app, identity)
        (one,) = await app.api.scorecard()
    told = one.to_json()
    assert (told["action"], told["proposals"], told["agreement"]) == ("scale_workload", 1, 1.0)
    assert told["minutes_to_approve"] == 2.0
    assert (told["outcomes"], told["recovered"], told["overrides"]) == ({"DONE": 1, "NOT_DONE": 0, "UNKNOWN": 0}, 1, 0)


@pytest.mark.parametrize(("answer", "fate"), [("deny", Fate.DENIED), ("edit", Fate.EDITED), ("steer", Fate.OVERRULED)])
async def test_what_people_wanted_otherwise_is_an_override(tmp_path: Path, answer: str, fate: Fate) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), END])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        if answer == "edit":
            await app.api.edit(proposal.id, me(app), {"replicas": 5})
        elif answer == "deny":
            await app.api.decide(proposal.id, proposal.digest, me(app), "deny", "no")
        else:
            await app.api.steer(identity, me(app), "look at the database")
        await app.api.work(identity)
        found = await app.api.scorecard()
    (one,) = [r for row in found for r in row.records]
    assert one.fate is fate
    assert (found[0].agreement, found[0].overrides) == (0.0, 1)


@pytest.mark.parametrize(("by_hand", "fate", "agreement"), [(True, Fate.OUTSIDE, 1.0), (False, Fate.LEFT, 0.0)])
async def test_a_suggestion_is_judged_by_what_people_then_did(
    tmp_path: Path, by_hand: bool, fate: Fate, agreement: float
) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), END]), SUGGEST_EVERYTHING) as (app, identity):
        await finish(app, identity)
        (early,) = await app.api.scorecard()
        assert (early.judged, early.agreement) == (0, None), "nobody knows yet"
        if by_hand:
            kind: type[Action] = app.tools.action("scale_workload")
            action = kind.parse({"workload": "forecast-server", "replicas": 6}).resolved(app.api.context())
            await action.apply(app.api.context(), await action.observe(app.api.context()), "typed-by-a-person")
        await app.clock.sleep(3 * 3600)
        (one,) = await app.api.scorecard()
        again = await app.api.scorecard()
    assert (one.records[0].fate, one.agreement) == (fate, agreement)
    assert again == [one], "it is noted once"


# -- what figures justify ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "step"),
    [
        (row(*left(5), verdict="suggest"), "ask"),
        (row(*left(5), verdict="shadow"), "suggest"),
        (row(*left(4), verdict="suggest"), None),
        (row(*left(4), *left(2, Fate.LEFT), verdict="suggest"), None),
        (row(*left(9), replace(left(1)[0], wrong_cause=True), verdict="suggest"), None),
        (row(*[ONE] * 20), "allow"),
        (row(*[ONE] * 19), None),
        (row(*[ONE] * 20, risk="disruptive"), None),
        (row(*[ONE] * 20, replace(ONE, undone=True)), None),
        (row(*[ONE] * 20, replace(ONE, outcome="UNKNOWN")), None),
        (row(*[ONE] * 20, replace(ONE, recovered=False)), None),
        (row(*[replace(ONE, fate=Fate.DENIED)] * 4, ONE, ONE), "suggest"),
        (row(ONE, replace(ONE, undone=True), verdict="allow"), "ask"),
        (row(*[ONE] * 50, verdict="allow"), None),
        (row(*[replace(ONE, fate=Fate.MOOT)] * 50, verdict="suggest"), None),
    ],
)
def test_a_step_of_trust_is_earned_by_figures_and_is_never_longer_than_one(one: Row, step: str | None) -> None:
    assert earned(one) == step


TEXT = """\
approvers: [oncall]
rules:
  # never touch it at night
  - {name: night, hours: {from: "22:00", to: "06:00"}, verdict: deny}
  - name: by day
    arguments: {replicas: {max: 6}}
    verdict: suggest
"""


def test_a_promotion_is_a_diff_that_applies_cites_its_figures_and_loses_no_condition(tmp_path: Path) -> None:
    (step,) = steps([row(*left(9), *left(1, Fate.LEFT), verdict="suggest")], parse(TEXT), TEXT, "policy.yaml", DAY)
    assert "scorecard of 2026-11-24: 10 proposals, people agreed with 9 of 10 (90%), 0 wrong causes" in step.diff
    (tmp_path / "policy.yaml").write_text(TEXT)
    subprocess.run(["git", "apply"], input=step.diff.encode(), cwd=tmp_path, check=True, capture_output=True)
    policy = parse((tmp_path / "policy.yaml").read_text())
    assert [rule.name for rule in policy.file.rules] == ["night", "scale_workload in production", "by day"]
    assert policy.rule(SCALE).verdict == "ask"
    assert policy.rule(replace(SCALE, arguments={"replicas": 7})).verdict == "deny", "its limit is kept"
    assert policy.rule(replace(SCALE, at=SCALE.at.replace(hour=23))).verdict == "deny"
    elsewhere = replace(SCALE, target=replace(SCALE.target, environment="staging"))
    assert policy.rule(elsewhere).verdict == "suggest", "trust earned in one environment counts there"


def test_where_one_line_cannot_say_it_there_is_no_diff() -> None:
    for text in ("rules: [{name: by day, verdict: suggest}]", TEXT.replace("approvers: [oncall]\n", "")):
        (step,) = steps([row(*left(9), verdict="suggest")], parse(text), text, "policy.yaml", DAY)
        assert (step.after, step.diff) == ("ask", "")
