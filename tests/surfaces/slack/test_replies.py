"""An answer through `response_url`: to Slack alone, without a secret, and nowhere that it is sent on to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agent.domain.redact import Redactor
from agent.surfaces.slack.redacting_client import DiscreetClient
from agent.surfaces.slack.replies import Place, Replies, code, escaped, of_slack
from tests.serving import served

SECRET = "configured-secret-of-ours"


@dataclass
class Hook:
    url: str = ""
    heard: list[tuple[str, Any]] = field(default_factory=list)

    async def respond(self, request: Request) -> Response:
        self.heard.append((request.url.path, await request.json()))
        return Response("ok")

    async def elsewhere(self, request: Request) -> Response:
        return RedirectResponse("/respond", 307)

    def voice(self) -> Replies:
        return Replies(DiscreetClient(Redactor([SECRET]), "xoxb-test", f"{self.url}/api/"))


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = Starlette(
        routes=[Route("/respond", hook.respond, methods=["POST"]), Route("/on", hook.elsewhere, methods=["POST"])]
    )
    async with served(app) as hook.url:
        yield hook


async def test_an_answer_through_the_address_of_the_request_holds_no_secret(hook: Hook) -> None:
    assert await hook.voice().privately(Place("", "U1", "", f"{hook.url}/respond"), f"it is {SECRET}")
    ((path, body),) = hook.heard
    assert (path, body["response_type"], body["replace_original"]) == ("/respond", "ephemeral", False)
    assert SECRET not in str(body)
    assert "[redacted: configured secret]" in str(body)


async def test_an_answer_is_not_sent_on(hook: Hook) -> None:
    assert not await hook.voice().privately(Place("", "U1", "", f"{hook.url}/on"), "a number")
    assert hook.heard == []


async def test_an_answer_goes_to_no_address_but_slacks(hook: Hook) -> None:
    elsewhere = Hook()
    async with served(Starlette(routes=[Route("/respond", elsewhere.respond, methods=["POST"])])) as elsewhere.url:
        assert not await hook.voice().privately(Place("", "U1", "", f"{elsewhere.url}/respond"), "a number")
    assert elsewhere.heard == []


@pytest.mark.parametrize(
    ("address", "slacks"),
    [
        ("https://hooks.slack.com/actions/T1/1/x", True),
        ("https://hooks.slack-gov.com/x", True),
        ("https://slack.com/x", True),
        ("http://hooks.slack.com/x", False),
        ("https://hooks.slack.com.evil.test/x", False),
        ("https://evil.test/hooks.slack.com", False),
        ("https://hooks.slack.com@evil.test/x", False),
        ("https://hooks.slack.com:444/x", False),
        ("ftp://x", False),
        ("http://[::1/", False),
    ],
)
def test_what_is_an_address_of_slacks(address: str, slacks: bool) -> None:
    assert of_slack(address, "https://slack.com/api/") is slacks


def test_a_command_to_copy_stays_within_its_code() -> None:
    shown = code("kubectl scale `whoami` <@U1>")
    assert shown.count("`") == 2


def test_words_from_outside_are_spelt_so_that_they_stay_words() -> None:
    text = escaped("<!channel> <https://evil.test|bank> a & b <@U1>")
    assert not {"<", ">"} & set(text)
    assert "a &amp; b" in text
