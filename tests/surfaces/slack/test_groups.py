"""Slack's user groups: who is in one is what Slack said a moment ago, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from agent.surfaces.slack.groups import FRESH_S, KEPT_S, UserGroups
from tests.fake_slack import FakeSlack, Trouble

GROUP = "slack-group:S0123"


@dataclass
class Hands:
    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Seen:
    slack: FakeSlack
    groups: UserGroups
    hands: Hands


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with FakeSlack.start() as slack:
        slack.usergroups["S0123"] = ["U1"]
        hands = Hands()
        groups = UserGroups(AsyncWebClient(token="xoxb-test", base_url=slack.url), frozenset({GROUP}), hands)
        await groups.refresh([GROUP])
        assert groups.members(GROUP) == {"slack:T1/U1"}
        yield Seen(slack, groups, hands)


@pytest.mark.parametrize(
    "trouble", [Trouble(error="no_such_subteam"), Trouble(status=500), Trouble(status=429, error="ratelimited")]
)
async def test_a_group_that_can_no_longer_be_read_has_nobody_in_it(seen: Seen, trouble: Trouble) -> None:
    trouble.methods = ("usergroups.users.list",)
    seen.slack.trouble = trouble
    seen.hands.at += FRESH_S + 1
    await seen.groups.refresh([GROUP])
    assert seen.groups.members(GROUP) == frozenset()
    assert "nobody counts as in it" in seen.groups.problems[GROUP]
    seen.slack.trouble = None
    await seen.groups.refresh([GROUP])
    assert (seen.groups.members(GROUP), seen.groups.problems) == ({"slack:T1/U1"}, {})


async def test_what_was_read_long_ago_is_not_trusted(seen: Seen) -> None:
    seen.hands.at += KEPT_S
    assert seen.groups.members(GROUP) == {"slack:T1/U1"}
    seen.hands.at += 1
    assert seen.groups.members(GROUP) == frozenset()


async def test_a_decision_reads_again_what_is_older_than_a_moment(seen: Seen) -> None:
    seen.slack.usergroups["S0123"] = ["U2"]
    seen.hands.at += FRESH_S + 1
    await seen.groups.refresh([GROUP])
    assert seen.groups.members(GROUP) == {"slack:T1/U2"}


async def test_only_groups_of_the_catalog_are_asked_for(seen: Seen) -> None:
    seen.slack.usergroups["S0999"] = ["U1"]
    await seen.groups.refresh(["slack-group:S0999"])
    assert seen.groups.members("slack-group:S0999") == frozenset()
