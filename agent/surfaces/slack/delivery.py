"""One call to Slack, and what its answer means: arrived, wait, this message not so, or a person has to mend something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from agent.surfaces.slack.blocks import Block
from agent.surfaces.slack.thread import Message

EVENT: Final = "stanch_message"  # the type of our metadata
SEARCHED = 100  # messages that are looked through for one of ours

_MEND: Mapping[str, str] = {
    "channel_not_found": "the channel does not exist, or the app cannot see it. Invite the app there, or correct slack.channel",
    "not_in_channel": "the app is not in the channel. Invite it there with /invite",
    "is_archived": "the channel is archived. Choose another as slack.channel",
    "restricted_action": "a rule of the workspace keeps the app from posting there",
    "missing_scope": "the token lacks a scope. Install the app again from `stanch slack manifest`",
}
_TOKEN = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required"}
_TOO_MUCH = {
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "msg_blocks_too_long",
    "msg_too_long",
    "invalid_arguments",
}
_UNSURE = {"fatal_error", "internal_error", "service_unavailable", "request_timeout"}  # it may have worked all the same
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"}


class Wait(Exception):
    """Slack asks for patience, or does not answer. `known`: the call certainly had no effect."""

    def __init__(self, why: str, seconds: float | None, known: bool) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.known = known


class Rejected(Exception):
    """These blocks are not taken; others may be."""


class Gone(Exception):
    """The message is no longer there, or can no longer be changed."""


class Barred(Exception):
    """Nothing can be posted to this channel until a person mends what the text says."""


@dataclass(frozen=True)
class Delivery:
    """Posts, edits and finds messages. `native` is False once the workspace has refused native tables and charts."""

    client: AsyncWebClient
    native: bool = True

    async def send(
        self, place: str, thread: str, message: Message, parent: str, edited: str = ""
    ) -> tuple[str, str, Delivery]:
        """The channel's id and the message's ts, and how to send from now on: blocks, else plain ones, else the text alone."""
        tries: list[tuple[tuple[Block, ...], bool]] = [(message.blocks, True), (message.plain, False), ((), False)]
        tries = tries if self.native or message.blocks == message.plain else tries[1:]
        for place_in_line, (blocks, native) in enumerate(tries):
            try:
                found = await self._say(place, thread, message, list(blocks), parent, edited)
            except Rejected:
                if not blocks:
                    raise
                continue
            refused = not native and bool(blocks) and place_in_line > 0 and message.blocks != message.plain
            return str(found["channel"]), str(found["ts"]), replace(self, native=False) if refused else self
        raise Rejected("no form of the message is taken")

    async def _say(
        self, place: str, thread: str, message: Message, blocks: list[Block], parent: str, edited: str
    ) -> Mapping[str, Any]:
        known: dict[str, Any] = {
            "channel": place,
            "text": message.text,
            "blocks": blocks,
            "metadata": {"event_type": EVENT, "event_payload": {"thread": thread, "slot": message.slot}},
        }
        if edited:
            return await self.call("chat.update", {**known, "ts": edited})
        more = {"thread_ts": parent} if parent else {}
        return await self.call(
            "chat.postMessage", {**known, **more, "unfurl_links": False, "unfurl_media": False, "mrkdwn": False}
        )

    async def find(self, place: str, thread: str, slot: str, parent: str) -> tuple[str, str] | None:
        """The channel's id and the ts of a message that may have arrived without our hearing of it.

        Barred where the token does not allow reading.
        """
        channel = await self._channel_id(place)
        asked = {"channel": channel, "limit": SEARCHED, "include_all_metadata": "true"}
        if parent:
            found = await self.call("conversations.replies", {**asked, "ts": parent})
        else:
            found = await self.call("conversations.history", asked)
        for message in found.get("messages", ()):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == EVENT and metadata.get("event_payload") == {
                "thread": thread,
                "slot": slot,
            }:
                return channel, str(message["ts"])
        return None

    async def _channel_id(self, place: str) -> str:
        """Reading wants a channel's id; the configuration may name it `#incidents`."""
        cursor = ""
        while not re.fullmatch(r"[CGD][A-Z0-9]+", place):
            asked = {
                "limit": 1000,
                "exclude_archived": "true",
                "types": "public_channel,private_channel",
                "cursor": cursor,
            }
            found = await self.call("conversations.list", asked)
            named = [c["id"] for c in found.get("channels", ()) if c.get("name") == place.removeprefix("#")]
            cursor = str((found.get("response_metadata") or {}).get("next_cursor") or "")
            if not named and not cursor:
                raise Gone(f"no channel is called {place}")
            place = named[0] if named else place
        return place

    async def call(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer; Wait, Rejected, Gone or Barred otherwise."""
        try:
            reads = method.startswith("conversations.")
            answer = await (
                self.client.api_call(method, http_verb="GET", params=dict(body))
                if reads
                else self.client.api_call(method, json=dict(body))
            )
        except SlackApiError as error:
            raise _meaning(method, error) from error
        except (TimeoutError, aiohttp.ClientError, OSError, SlackClientError, ValueError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            raise Wait(f"Slack does not answer {method}: {error or type(error).__name__}", None, refused) from error
        return answer.data if isinstance(answer.data, dict) else {}


def _meaning(method: str, error: SlackApiError) -> Exception:
    response = error.response
    data = response.data if isinstance(response.data, dict) else {}
    word = str(data.get("error") or f"status {response.status_code}")
    if response.status_code == 429 or word == "ratelimited":
        headers = {k.lower(): v for k, v in (response.headers or {}).items()}
        return Wait(f"Slack limits the rate of {method}", float(headers.get("retry-after", 30)), True)
    if word in _TOO_MUCH:
        return Rejected(word)
    if word in _GONE:
        return Gone(word)
    if word in _TOKEN:
        return Barred(f"Slack refuses the bot token ({word}). Set STANCH_SLACK_BOT_TOKEN to the app's present one.")
    if word in _MEND:
        return Barred(f"Slack refuses {method} ({word}): {_MEND[word]}.")
    return Wait(f"Slack answers {method} with {word}", None, response.status_code < 500 and word not in _UNSURE)
