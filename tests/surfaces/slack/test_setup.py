"""Setting Slack up: the manifest that makes the app, and what `doctor` says of it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from agent.domain.catalog import Catalog, CatalogFile, file_type, from_file
from agent.errors import BadConfiguration
from agent.surfaces.slack.groups import UserGroups
from agent.surfaces.slack.health import checked
from agent.surfaces.slack.manifest import EVENTS, SCOPES, manifest
from agent.surfaces.slack.settings import SlackSettings
from tests.fake_slack import FakeSlack, Trouble
from tests.warm import Warm

SOURCES = Path(__file__).parents[3] / "agent" / "surfaces" / "slack"
# the scope under which Slack lets a bot call each method
NEEDS = {
    "chat_postMessage": "chat:write",
    "chat_update": "chat:write",
    "chat_postEphemeral": "chat:write",
    "conversations_replies": "channels:history",
    "conversations_history": "channels:history",
    "assistant_threads_setStatus": "assistant:write",
    "usergroups_users_list": "usergroups:read",
    "views_open": "",
    "auth_test": "",
    "apps_connections_open": "",
    "chat_getPermalink": "",
}
DELIVERED_BY = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
}


def called() -> set[str]:
    """The methods of the Web API that the sources call."""
    names = set()
    for path in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and (
                node.attr in NEEDS
                or node.attr.startswith(("chat_", "users_", "files_", "conversations_", "reactions_"))
            ):
                names.add(node.attr)
    return names


def test_the_scopes_are_those_that_something_needs_and_no_others() -> None:
    assert called() <= set(NEEDS), "a method whose scope nobody has looked up"
    needed = {NEEDS[name] for name in called()} | set(DELIVERED_BY.values()) | {"commands", "assistant:write"}
    assert set(EVENTS) == set(DELIVERED_BY)
    assert needed - {"", "usergroups:read"} == set(SCOPES)
    assert manifest("socket", user_groups=True)["oauth_config"]["scopes"]["bot"] == sorted([*SCOPES, "usergroups:read"])


def test_the_manifest_keeps_to_slacks_limits() -> None:
    for mode, url in (("socket", ""), ("http", "https://stanch.example/slack/events")):
        made = manifest(mode, url)
        about, features, settings = made["display_information"], made["features"], made["settings"]
        assert len(about["name"]) <= 35
        assert len(about["description"]) <= 140
        assert len(features["agent_view"]["agent_description"]) <= 300
        assert len(features["agent_view"]["suggested_prompts"]) <= 4
        assert "assistant_view" not in features
        assert features["app_home"]["messages_tab_enabled"]
        assert settings["socket_mode_enabled"] is (mode == "socket")
        addresses = [
            features["slash_commands"][0].get("url"),
            settings["interactivity"].get("request_url"),
            settings["event_subscriptions"].get("request_url"),
        ]
        assert set(addresses) == {url or None}


def test_the_command_line_prints_it(warm: Warm, tmp_path: Path) -> None:
    made = warm.stanch("--data", tmp_path / "data", "slack", "manifest")
    assert made.json["settings"]["socket_mode_enabled"] is True
    as_yaml = warm.stanch(
        "--data",
        tmp_path / "data",
        "slack",
        "manifest",
        "--yaml",
        "--mode",
        "http",
        "--url",
        "https://s.example/slack/events",
    )
    assert yaml.safe_load(as_yaml.out)["settings"]["interactivity"]["request_url"] == "https://s.example/slack/events"
    refused = warm.stanch("--data", tmp_path / "data", "slack", "manifest", "--mode", "http")
    assert refused.code == 2
    assert "--url https://HOST/slack/events" in refused.err


def settings(slack: FakeSlack, **other: Any) -> SlackSettings:
    given = {"bot_token": SecretStr("xoxb-1"), "app_token": SecretStr("xapp-1"), "channel": "C1", "team": "T1", **other}
    return SlackSettings(api_url=slack.url, **given)


async def said_of(slack: FakeSlack, catalog: Catalog | None = None, **other: Any) -> dict[str, tuple[str, str]]:
    return {what: (state, text) for what, state, text in await checked(settings(slack, **other), catalog or Catalog())}


async def test_doctor_says_what_works() -> None:
    async with FakeSlack.start() as slack:
        slack.scopes = ",".join(SCOPES)
        found = await said_of(slack)
        assert {state for state, _ in found.values()} == {"ok"}
        assert not [call for call in slack.calls if call.method.startswith("chat.")]


@pytest.mark.parametrize(
    ("other", "row", "words"),
    [
        ({"bot_token": SecretStr("")}, "slack token", "STANCH_SLACK_BOT_TOKEN is not set"),
        ({"bot_token": SecretStr("bad")}, "slack token", "not_authed"),
        ({"team": "T9"}, "slack team", "every request would be refused"),
        ({"channel": "C9"}, "slack channel", "/invite @stanch"),
        ({"channel": "#incidents"}, "slack channel", "give the channel's id"),
        ({"app_token": SecretStr("")}, "slack requests", "connections:write"),
        ({"mode": "http"}, "slack requests", "STANCH_SLACK_SIGNING_SECRET"),
    ],
)
async def test_doctor_says_what_is_wrong_and_what_to_do(other: dict[str, Any], row: str, words: str) -> None:
    async with FakeSlack.start() as slack:
        slack.scopes = ",".join(SCOPES)
        slack.trouble = (
            Trouble(error="channel_not_found", methods=("conversations.history",)) if row == "slack channel" else None
        )
        state, text = (await said_of(slack, **other))[row]
        assert state == "wrong"
        assert words in text


async def test_doctor_names_missing_scopes_and_groups_that_cannot_be_read() -> None:
    catalog = from_file(CatalogFile(groups={"on-call": ["slack-group:S0123"]}))
    async with FakeSlack.start() as slack:
        slack.scopes = "chat:write"
        found = await said_of(slack, catalog, team="")
        assert "app_mentions:read (mentions" in found["slack scopes"][1]
        assert "usergroups:read" in found["slack scopes"][1]
        assert found["slack team"] == ("absent", found["slack team"][1])
        assert "slack.team: T1" in found["slack team"][1]
        assert "no_such_subteam" in found["slack-group:S0123"][1]


async def test_doctor_when_slack_is_away() -> None:
    async with FakeSlack.start() as slack:
        gone = slack.url
    found = {
        what: state for what, state, _ in await checked(SlackSettings(SecretStr("xoxb-1"), api_url=gone), Catalog())
    }
    assert found == {"slack token": "wrong"}


async def test_a_user_group_is_trusted_for_two_minutes_and_then_holds_nobody() -> None:
    clock = [0.0]
    async with FakeSlack.start() as slack:
        from slack_sdk.web.async_client import AsyncWebClient

        slack.usergroups["S0123"] = ["U1", "U2"]
        name = "slack-group:S0123"
        client = AsyncWebClient(token="xoxb-1", base_url=slack.url)
        groups = UserGroups(client, frozenset({name}), lambda: clock[0])
        assert groups.members(name) == frozenset()
        await groups.refresh([name, "slack-group:S9"])
        assert groups.members(name) == {"slack:T1/U1", "slack:T1/U2"}
        clock[0] = 9.0
        await groups.refresh([name])
        assert [c.method for c in slack.calls].count("usergroups.users.list") == 1
        clock[0] = 121.0
        assert groups.members(name) == frozenset()
        slack.trouble = Trouble(error="ratelimited", status=429)
        await groups.refresh([name])
        assert "ratelimited" in groups.problems[name]


def test_a_group_names_people_or_a_slack_user_group() -> None:
    body = json.loads(
        '{"people": {"ann": {"slack": {"team": "T1", "user": "U1"}}}, "groups": {"on-call": ["slack-group:S0123"]}}'
    )
    catalog = from_file(file_type()(**body))
    assert catalog.person("slack:T1/U1").groups == ()
    catalog.elsewhere.members = {"slack-group:S0123": frozenset({"slack:T1/U1"})}.__getitem__
    assert catalog.person("slack:T1/U1").groups == ("on-call",)
    for wrong in ("slack-group:", "slack-group:oncall", "S0123"):
        with pytest.raises(BadConfiguration, match="no person"):
            from_file(CatalogFile(groups={"on-call": [wrong]}))
