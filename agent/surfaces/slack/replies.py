"""Answering the person who asked: only to them, or where they spoke. An answer that Slack does not take is logged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from agent.domain.redact import Redactor
from agent.domain.text import paragraph
from agent.surfaces.slack.blocks import safe_lines
from agent.surfaces.slack.redacting_client import DiscreetClient

log = logging.getLogger("stanch.slack")
SECTION = 2_900  # characters of one section; Slack takes 3,000
MOST_SECTIONS = 45
AWAY = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)  # Slack is away, or does not want this
HOOKS = ("hooks.slack.com", "hooks.slack-gov.com")  # where response_url leads
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody spoke or clicked. `thread` is the thread's first message, "" for none."""

    channel: str
    user: str
    thread: str = ""
    response_url: str = ""


@dataclass(frozen=True)
class Replies:
    client: AsyncWebClient

    async def privately(self, place: Place, text: str) -> bool:
        """Only the person sees it. `text` is mrkdwn whose outside parts are `escaped`. Whether Slack took it."""
        if place.channel.startswith("D"):  # a direct message is between the two of them already
            return await self.openly(place, text)
        shown: dict[str, Any] = {"text": text[:SECTION], "blocks": sections(text)}
        try:
            if place.channel:
                await self.client.chat_postEphemeral(
                    channel=place.channel, user=place.user, thread_ts=place.thread or None, **shown
                )
                return True
        except SlackApiError as error:  # the app is not in this channel: the address that came with the request is left
            log.info("slack: no message to %s in %s: %s", place.user, place.channel, error.response.get("error"))
        except AWAY as error:
            log.warning("slack: no message to %s in %s: %s", place.user, place.channel, error)
        return await self._respond(place, shown)

    async def _respond(self, place: Place, shown: dict[str, Any]) -> bool:
        if not place.response_url:
            return False
        if not of_slack(place.response_url, self.client.base_url):
            log.warning("slack: no answer to %s: response_url is not an address of Slack's", place.user)
            return False
        redact = self.client.redact if isinstance(self.client, DiscreetClient) else Redactor()
        body = {"response_type": "ephemeral", "replace_original": False, **redact.value(shown)}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http,
                http.post(place.response_url, json=body, allow_redirects=False) as answer,
            ):
                return answer.status == 200
        except (*AWAY, ValueError) as error:
            log.warning("slack: no answer to %s through response_url: %s", place.user, error)
            return False

    async def openly(self, place: Place, text: str) -> bool:
        """Where they spoke, for everybody there."""
        try:
            await self.client.chat_postMessage(
                channel=place.channel,
                thread_ts=place.thread or None,
                text=text[:SECTION],
                blocks=sections(text),
                unfurl_links=False,
                unfurl_media=False,
            )
        except AWAY as error:
            log.warning("slack: no answer in %s: %s", place.channel, error)
            return False
        return True

    async def busy(self, place: Place) -> None:
        """Say that an answer is being looked for, where Slack can show that."""
        if place.thread:
            try:
                await self.client.assistant_threads_setStatus(
                    channel_id=place.channel, thread_ts=place.thread, status="is looking…"
                )
            except AWAY as error:
                log.debug("slack: no status in %s: %s", place.channel, error)


def of_slack(address: str, api: str) -> bool:
    """Whether an address out of a payload leads to Slack: its hooks, or the server whose API is configured."""
    try:
        parts, own = urlsplit(address), urlsplit(api)
        return parts[:2] == own[:2] or (parts.scheme == "https" and parts.netloc in HOOKS)
    except ValueError:
        return False


def escaped(text: str, limit: int | None = None) -> str:
    """Text from outside for mrkdwn: it can neither mention, nor link in disguise, nor hide anything."""
    return safe_lines(paragraph(text, limit)).translate(_ENTITIES)


def code(text: str, limit: int = 1_000) -> str:
    """Something to copy."""
    return f"`{escaped(text, limit).replace('`', 'ˋ')}`"


def sections(text: str) -> list[dict[str, Any]]:
    """The text as blocks, split at line ends where it can be; what would not fit is said, never dropped in silence."""
    parts: list[str] = [""]
    for line in text.split("\n"):
        for piece in [line[i : i + SECTION] for i in range(0, len(line), SECTION)] or [""]:
            if len(parts[-1]) + len(piece) + 1 > SECTION:
                parts.append("")
            parts[-1] += f"{piece}\n"
    kept = [part.strip("\n") for part in parts if part.strip()]
    if len(kept) > MOST_SECTIONS:
        kept = [*kept[:MOST_SECTIONS], f"… {len(kept) - MOST_SECTIONS} more parts do not fit into one message."]
    return [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in kept]
