"""Whether Slack works as it is configured: the token, its scopes, the channel, the socket. One line each with what to do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from agent.domain.catalog import Catalog
from agent.surfaces.slack.groups import UserGroups
from agent.surfaces.slack.manifest import SCOPES, USER_GROUPS
from agent.surfaces.slack.settings import SlackSettings

Row = tuple[str, str, str]  # what, ok | wrong | absent, in words
UNREACHABLE = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)
PATIENCE_S = 10


async def checked(slack: SlackSettings, catalog: Catalog) -> list[Row]:
    """Every row that can be checked; nothing is posted."""
    client = AsyncWebClient(token=slack.bot_token.get_secret_value(), base_url=slack.api_url, timeout=PATIENCE_S)
    return [row async for row in _rows(client, slack, catalog)]


async def _rows(client: AsyncWebClient, slack: SlackSettings, catalog: Catalog) -> AsyncIterator[Row]:
    if not slack.bot_token.get_secret_value():
        yield "slack token", "wrong", "STANCH_SLACK_BOT_TOKEN is not set: the Bot User OAuth Token (xoxb-…) of the app"
        return
    try:
        answer = await client.auth_test()
    except UNREACHABLE as error:
        yield (
            "slack token",
            "wrong",
            f"auth.test at {slack.api_url}: {_why(error)}. Check STANCH_SLACK_BOT_TOKEN (xoxb-…).",
        )
        return
    team = str(answer.get("team_id", ""))
    yield "slack token", "ok", f"{answer.get('user')} in {answer.get('team')} ({team})"
    yield _team(slack, team)
    yield _scopes(str(answer.headers.get("x-oauth-scopes", "")), catalog)
    yield await _channel(client, slack.channel)
    yield await _door(client, slack)
    groups = UserGroups(client, catalog.kept_elsewhere())
    await groups.refresh(groups.names)
    for name in sorted(groups.names):
        problem = groups.problems.get(name)
        yield name, "wrong" if problem else "ok", problem or f"{len(groups.members(name))} members in Slack"


def _team(slack: SlackSettings, team: str) -> Row:
    if not slack.team:
        return (
            "slack team",
            "absent",
            f"set slack.team: {team} in stanch.yaml, so that requests from any other are refused",
        )
    if slack.team != team:
        return (
            "slack team",
            "wrong",
            f"slack.team is {slack.team}, but the token is of {team}: every request would be refused",
        )
    return "slack team", "ok", team


def _scopes(header: str, catalog: Catalog) -> Row:
    """The token's scopes as Slack says them with every answer."""
    has = {one.strip() for one in header.split(",") if one.strip()}
    if not has:
        return "slack scopes", "absent", "Slack did not say which scopes the token has"
    wanted = {**SCOPES, **(USER_GROUPS if catalog.kept_elsewhere() else {})}
    missing = [f"{scope} ({why})" for scope, why in wanted.items() if scope not in has]
    if missing:
        text = f"missing: {', '.join(missing)}. Add them (`stanch slack manifest` has all) and install the app again."
        return "slack scopes", "wrong", text
    return "slack scopes", "ok", ", ".join(sorted(wanted))


async def _channel(client: AsyncWebClient, channel: str) -> Row:
    if not channel:
        return "slack channel", "wrong", "no channel: set slack.channel in stanch.yaml, or STANCH_SLACK_CHANNEL"
    if not re.fullmatch(r"[CGD][A-Z0-9]+", channel):
        return (
            "slack channel",
            "wrong",
            f"{channel!r} is a name: give the channel's id (C…, at the foot of its details)",
        )
    try:
        await client.conversations_history(channel=channel, limit=1)
    except UNREACHABLE as error:
        return (
            "slack channel",
            "wrong",
            f"{channel} cannot be read: {_why(error)}. Invite the app there: /invite @stanch",
        )
    return "slack channel", "ok", channel


async def _door(client: AsyncWebClient, slack: SlackSettings) -> Row:
    """How requests come in."""
    if slack.mode == "http":
        secret = bool(slack.signing_secret.get_secret_value())
        text = (
            "requests come to /slack/events" if secret else "STANCH_SLACK_SIGNING_SECRET is not set (Basic Information)"
        )
        return "slack requests", "ok" if secret else "wrong", text
    if not slack.app_token.get_secret_value():
        return (
            "slack requests",
            "wrong",
            "STANCH_SLACK_APP_TOKEN is not set: an app-level token (xapp-…) with connections:write",
        )
    try:
        await client.apps_connections_open(app_token=slack.app_token.get_secret_value())
    except UNREACHABLE as error:
        return (
            "slack requests",
            "wrong",
            f"Socket Mode: {_why(error)}. Check STANCH_SLACK_APP_TOKEN and its scope connections:write.",
        )
    return "slack requests", "ok", "Socket Mode"


def _why(error: Exception) -> str:
    if isinstance(error, SlackApiError):
        needed = error.response.get("needed")
        return f"{error.response.get('error')}{f' (needs {needed})' if needed else ''}"
    return str(error) or type(error).__name__
