"""Buttons and forms: who may decide, on exactly what was shown, once; and what people are told when it does not count."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agent.errors import BadArguments
from agent.gate.proposal import ProposalState
from agent.surfaces.slack.groups import FRESH_S
from tests.fake_slack import Trouble
from tests.graph.test_graph import END, LOOK, finish, replicas, scale
from tests.surfaces.slack.house import GROUPS, House, house

REPLICAS = "argument:replicas"


async def state(home: House) -> ProposalState:
    return (await home.app.api.proposal(home.proposal.id)).state


async def test_an_approval_by_button_is_decided_run_and_verified(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), END)) as home:
        answer = await home.post(home.click("approve"))
        assert answer.status_code == 200
        assert [(d["answer"], d["by"], d["person"]) for d in await home.decisions()] == [
            ("approve", "slack:T1/U1", "ann")
        ]
        assert home.heard == [home.incident]
        await finish(home.app, home.incident)
        assert await replicas(home.app) == 6
        assert home.slack.ephemerals == []


async def test_whoever_may_not_approve_is_told_alone_what_to_do(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click("approve", "U3"))
        assert "eve may not approve" in home.told
        assert "1 of on-call (ann, bob)" in home.told
        assert home.slack.ephemerals[-1]["user"] == "U3"
        await home.post(home.click("approve", "U9"))
        assert "slack:T1/U9 is nobody in the catalog" in home.told
        assert "slack: {team: T1, user: U9}" in home.told
        assert await home.decisions() == []
        assert home.slack.posted == []


@pytest.mark.parametrize(
    "bot",
    [{"user": {"id": "U0BOT", "team_id": "T1"}}, {"user": {"id": "U1", "is_bot": True}}, {"user": {"id": "USLACKBOT"}}],
)
async def test_a_bot_decides_nothing(tmp_path: Path, bot: dict[str, Any]) -> None:
    async with house(tmp_path, groups={"on-call": ["ann", "bob"]}) as home:
        assert (await home.post(home.click("approve", **bot))).status_code == 200
        assert await home.decisions() == []
        assert home.slack.ephemerals == [], "nobody there reads an answer"


async def test_a_click_is_one_click_however_often_it_comes(tmp_path: Path) -> None:
    async with house(tmp_path, quorum=2) as home:
        click = home.click("approve")
        for _ in range(5):
            assert (await home.post(click)).status_code == 200
        assert len(await home.decisions()) == 1
        assert len(home.slack.ephemerals) == 1


async def test_a_lone_responder_is_told_how_many_are_missing_and_the_command(tmp_path: Path) -> None:
    async with house(tmp_path, quorum=2) as home:
        await home.post(home.click("approve"))
        assert "2 of on-call (ann, bob): one more person has to approve" in home.told
        assert f"`{home.proposal.command}`" in home.told
        assert await state(home) is ProposalState.OPEN
        await home.post(home.click("approve", "U2"))
        assert await state(home) is ProposalState.APPROVED


async def test_an_outdated_card_is_refused_and_the_new_proposal_named(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        edited = await home.app.api.edit(home.proposal.id, home.app.api.person("slack:T1/U2"), {"replicas": 4})
        await home.outbox.keep(home.incident, f"approval:{edited.id}", "C1", "1795416000.000900", "0" * 64)
        await home.post(home.click("approve"))
        assert "is superseded" in home.told
        assert edited.id in home.told
        assert "--replicas=4" in home.told
        assert [d["answer"] for d in await home.decisions()] == ["edit"]


async def test_a_button_with_another_digest_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for what in ("approve", "edit", "deny"):
            await home.post(home.click(what, value=f'{{"p": "{home.proposal.id}", "d": "{"0" * 64}"}}'))
            assert "is not what" in home.told
        for value in ("INC-1:restart", "", "{}", '{"p": "inc-00000000-p1", "d": ""}'):
            await home.post(home.click("approve", value=value))
            assert "none of mine" in home.told or "There is no proposal" in home.told
        assert await home.decisions() == []


async def test_deny_asks_why_and_the_reason_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click("deny"))
        form = home.submit({"reason": "not during the sale"})
        for _ in range(3):
            assert (await home.post(form)).text in ("", "{}")
        assert [(d["answer"], d["reason"]) for d in await home.decisions()] == [("deny", "not during the sale")]


@pytest.mark.parametrize("what", ["deny", "edit"])
async def test_a_form_opens_only_for_what_waits(tmp_path: Path, what: str) -> None:
    async with house(tmp_path) as home:
        bob = home.app.api.person("slack:T1/U2")
        await home.app.api.decide(home.proposal.id, home.proposal.digest, bob, "deny")
        await home.post(home.click(what))
        assert home.slack.views == []
        assert "can no longer be changed" in home.told


@pytest.mark.parametrize(("what", "values"), [("deny", {"reason": "no"}), ("edit", {REPLICAS: "4"})])
async def test_a_form_decides_on_nothing_but_what_its_card_showed(
    tmp_path: Path, what: str, values: dict[str, str]
) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click(what))
        form = home.submit(values)
        form["view"]["private_metadata"] = form["view"]["private_metadata"].replace(home.proposal.digest, "0" * 64)
        await home.post(form)
        assert "is not what" in home.told
        assert await home.decisions() == []
        assert await state(home) is ProposalState.OPEN
        await home.app.api.edit(home.proposal.id, home.app.api.person("slack:T1/U2"), {"replicas": 5})
        await home.post(home.submit(values, view="V2"))
        assert "is superseded" in home.told
        assert [d["answer"] for d in await home.decisions()] == ["edit"], "the new one waits for its own decision"


async def test_edit_is_a_form_with_typed_inputs_and_makes_a_new_proposal(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click("edit"))
        view = home.slack.views[-1]["view"]
        number = next(b for b in view["blocks"] if b.get("block_id") == REPLICAS)["element"]
        assert (number["type"], number["initial_value"], number["is_decimal_allowed"]) == ("number_input", "6", False)
        assert number["min_value"] == "1"
        for wrong, words in (("6", "Nothing is changed"), ("many", "whole number"), ("9999", "less than")):
            answer = (await home.post(home.submit({REPLICAS: wrong}))).json()
            assert answer["response_action"] == "errors"
            assert words in answer["errors"][REPLICAS]
        assert await home.decisions() == []
        for _ in range(3):
            await home.post(home.submit({REPLICAS: "4"}))
        (new,) = await home.app.api.proposals()
        assert (new.arguments["replicas"], new.requester_person) == (4, "ann")
        assert await state(home) is ProposalState.SUPERSEDED
        assert "Somebody else has to approve it" in home.told
        await home.post(home.click("approve", "U1", home.button(new)))
        assert "somebody else has to approve it" in home.told
        await home.post(home.click("approve", "U2", home.button(new)))
        await finish(home.app, home.incident)
        assert await replicas(home.app) == 4


async def test_a_form_of_somebody_who_may_not_edit_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click("edit", "U9"))
        assert home.slack.views == []
        await home.post(home.click("edit", "U3"))
        await home.post(home.submit({REPLICAS: "4"}, "U3"))
        assert "eve may not edit" in home.told
        assert [p.id for p in await home.app.api.proposals()] == [home.proposal.id]


async def test_explain_answers_only_the_asker(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.post(home.click("explain", "U9"))
        shown = home.slack.ephemerals[-1]
        text = "\n".join(block["text"]["text"] for block in shown["blocks"])
        assert shown["user"] == "U9"
        assert shown["thread_ts"]
        for words in (
            "*Why*",
            "replicas: `3` → `6`",
            "rule `ask`",
            "1 of on-call (ann, bob)",
            "*Evidence*",
            "E1",
            "*Undo*",
        ):
            assert words in text
        assert home.slack.posted == []


async def test_a_form_that_slack_does_not_open_is_explained(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.slack.trouble = Trouble(error="expired_trigger_id", methods=("views.open",))
        await home.post(home.click("edit"))
        assert "expired_trigger_id" in home.told
        assert f"stanch approvals edit {home.proposal.id}" in home.told


LIVE = {"on-call": ["slack-group:S0123"]}


async def test_a_slack_user_group_is_read_at_the_decision_and_at_the_execution(tmp_path: Path) -> None:
    async with house(tmp_path, groups=LIVE) as home:
        home.slack.usergroups["S0123"] = ["U1"]
        await home.post(home.click("approve", "U2"))
        assert "bob may not approve" in home.told
        await home.post(home.click("approve", "U1"))
        assert await state(home) is ProposalState.APPROVED
        await finish(home.app, home.incident)
        assert await replicas(home.app) == 6


async def test_who_came_into_the_group_a_moment_ago_counts_at_the_decision(tmp_path: Path) -> None:
    async with house(tmp_path, groups=LIVE) as home:
        home.slack.usergroups["S0123"] = ["U2"]
        await home.post(home.click("approve", "U1"))
        assert "ann may not approve" in home.told
        home.slack.usergroups["S0123"] = ["U1"]
        groups = home.inbound._decisions.groups
        groups.tick = lambda: time.monotonic() + FRESH_S + 1
        await home.post(home.click("approve", "U1"))
        assert await state(home) is ProposalState.APPROVED


async def test_an_edit_of_an_argument_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        with pytest.raises(BadArguments, match="scale_workload has no argument replicsa"):
            await home.app.api.edit(home.proposal.id, home.app.api.person("slack:T1/U2"), {"replicsa": 4})
        assert [p.id for p in await home.app.api.proposals()] == [home.proposal.id]


async def test_an_approver_who_has_left_the_group_does_not_count_when_it_starts(tmp_path: Path) -> None:
    async with house(tmp_path, groups=LIVE) as home:
        home.slack.usergroups["S0123"] = ["U1"]
        await home.post(home.click("approve", "U1"))
        home.slack.usergroups["S0123"] = []
        home.app.catalog.elsewhere.members = lambda name: frozenset()
        _, incident_view = await finish(home.app, home.incident)
        assert await replicas(home.app) == 3
        assert "today counts: nobody" in str([e.data for e in incident_view.events])


@pytest.mark.parametrize(
    "trouble", [Trouble(error="missing_scope"), Trouble(status=500), Trouble(status=429, error="ratelimited")]
)
async def test_a_user_group_that_cannot_be_read_refuses(tmp_path: Path, trouble: Trouble) -> None:
    async with house(tmp_path, groups=LIVE) as home:
        trouble.methods = ("usergroups.users.list",)
        home.slack.trouble = trouble
        await home.post(home.click("approve", "U1"))
        assert "ann may not approve" in home.told
        assert "slack-group:S0123 cannot be read" in home.told
        assert await home.decisions() == []


def test_groups_have_the_people_that_the_tests_expect() -> None:
    assert GROUPS["on-call"] == ["ann", "bob"]
