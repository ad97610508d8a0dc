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

from agent.case.redact import Redactor
from agent.surfaces.slack.discreet import DiscreetClient
from agent.surfaces.slack.voice import Place, Voice, code, of_slack
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

    def voice(self) -> Voice:
        return Voice(DiscreetClient(Redactor([SECRET]), "xoxb-test", f"{self.url}/api/"))


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


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/respond", "https://hooks.slack.com.evil.test/x", "ftp://x"])
async def test_an_answer_goes_to_no_address_but_slacks(hook: Hook, address: str) -> None:
    assert not await hook.voice().privately(Place("", "U1", "", address), "a number")
    assert not of_slack(address, "https://slack.com/api/")
    assert of_slack("https://hooks.slack.com/actions/T1/1/x", "https://slack.com/api/")


def test_a_command_to_copy_stays_within_its_code() -> None:
    shown = code("kubectl scale `whoami` <@U1>")
    assert shown.count("`") == 2
    assert "<@U1>" not in shown
