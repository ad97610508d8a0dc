"""The door through which Slack's requests come: over Socket Mode or HTTP, each checked, answered at once, worked once.

    inbound = await attach(app, Outbox(db, clock, "slack"), client, heard=watch.hint)
    web.routes.extend(inbound.routes())        # none in Socket Mode
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(inbound.run_socket())   # returns at once in HTTP mode; ends with close()
    await inbound.close()                      # what was acknowledged is finished first

Before Bolt sees a request: signature and age (HTTP), its shape, its workspace, bots, and whether it was answered before.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.api import App
from agent.clock import RealClock
from agent.domain.text import visible
from agent.errors import BadConfiguration, UnusableInput
from agent.service.outbox import Outbox
from agent.surfaces.slack import modals, payloads
from agent.surfaces.slack.decisions import Decisions
from agent.surfaces.slack.groups import UserGroups
from agent.surfaces.slack.messages import Talking
from agent.surfaces.slack.payloads import Click, Command, EventBody, Submission
from agent.surfaces.slack.replies import Replies
from agent.surfaces.slack.signature import genuine
from tools.context import Clock

log = logging.getLogger("stanch.slack")
PATH = "/slack/events"
LARGEST = 1_000_000  # bytes of a body; Slack's are far smaller
GRACE_S = 10.0  # for what was acknowledged and is still worked when the service stops
BUTTON = re.compile(r"(?:stanch_)?(approve|deny|edit|explain)")
Heard = Callable[[str], None]


def nobody_listens(incident: str) -> None:
    return


async def attach(
    app: App, outbox: Outbox, client: AsyncWebClient, heard: Heard = nobody_listens, wall: Clock | None = None
) -> Inbound:
    """The inbound side over one application. `client` calls the Web API; `heard(incident)` is told when people have said
    or decided something; `wall` is the clock that signatures are checked against (Slack's, never the lab's)."""
    slack = app.settings.slack
    if slack.mode == "http" and not slack.signing_secret.get_secret_value():
        raise BadConfiguration(
            "slack.mode is http, which needs STANCH_SLACK_SIGNING_SECRET (Basic Information of the app)."
        )
    if slack.mode == "socket" and not slack.app_token.get_secret_value():
        raise BadConfiguration(
            "slack.mode is socket, which needs STANCH_SLACK_APP_TOKEN (xapp-…, scope connections:write)."
        )
    groups = UserGroups(client, app.catalog.kept_elsewhere())
    app.catalog.elsewhere.members = groups.members
    inbound = Inbound(app, outbox, client, groups, heard, wall or RealClock())
    inbound.spawn(groups.follow(), passing=True)
    return inbound


class Inbound:
    def __init__(
        self, app: App, outbox: Outbox, client: AsyncWebClient, groups: UserGroups, heard: Heard, wall: Clock
    ) -> None:
        self._slack = app.settings.slack
        self._postbox = outbox
        self._client = client
        self._wall = wall
        voice = Replies(client)
        self._decisions = Decisions(app, outbox, voice, groups, heard)
        self._talking = Talking(app, outbox, voice, heard)
        self._bolt = self._listening()
        self._working: set[asyncio.Task[None]] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    # -- for the service ------------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """`/slack/events`, in HTTP mode; to be mounted without any other authentication: it has its own."""
        return [Route(PATH, self._post, methods=["POST"])] if self._slack.mode == "http" else []

    async def run_socket(self) -> None:
        """Hold the connection to Slack, and connect again whenever it is lost, until `close`."""
        if self._slack.mode != "socket":
            return
        socket = _Socket(self, self._bolt, self._slack.app_token.get_secret_value(), self._client)
        connecting = asyncio.create_task(socket.client.connect())  # type: ignore[no-untyped-call]
        try:
            await self._closing.wait()
        finally:
            connecting.cancel()
            await socket.client.close()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Take nothing more, finish what was acknowledged, and stop."""
        self._closing.set()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def idle(self) -> None:
        """When nothing that was acknowledged is still worked."""
        while self._working:
            await asyncio.wait(self._working)

    def spawn(self, work: Coroutine[Any, Any, None], passing: bool = False) -> None:
        """Work that goes on after the acknowledgement. `passing` work may be cut off at any time."""
        tasks = self._passing if passing else self._working
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell)

    # -- the door ---------------------------------------------------------------------------------------------------------

    async def _post(self, request: Request) -> Response:
        body = await _bounded(request)
        if body is None:
            return Response(f"The body is larger than {LARGEST} bytes.", 413)
        headers, secret = request.headers, self._slack.signing_secret.get_secret_value()
        stamps, signatures = (headers.getlist(f"x-slack-{name}") for name in ("request-timestamp", "signature"))
        if not genuine(secret, stamps, signatures, body, self._wall.now().timestamp()):
            return Response("The signature is missing, wrong or older than 5 minutes.", 401)
        try:
            answer = await self.take(payloads.decode(body))
        except UnusableInput as error:
            return Response(str(error), 400)
        return Response(answer.body, answer.status, media_type=answer.headers.get("content-type", ["text/plain"])[0])

    async def take(self, body: Mapping[str, Any]) -> BoltResponse:
        """One request that is Slack's, over either transport. UnusableInput where it is not as Slack sends it."""
        if body.get("ssl_check") == "1":
            return BoltResponse(status=200, body="")
        request = payloads.read(body)
        if isinstance(request, Click) and not BUTTON.fullmatch(request.actions[0].action_id):
            request = None
        if request is None:
            return BoltResponse(status=404, body="Nothing here listens to that.")
        if not isinstance(request, payloads.Verification):
            if why := payloads.refusal(request, self._slack.team):
                log.warning("slack: refused: %s", visible(why, 200))
                return BoltResponse(status=403, body=f"Refused: {visible(why, 200)}.")
            if request.by_bot or self._foreign(request) or not await self._fresh(request):
                return BoltResponse(status=200, body="")
        clean = request.model_dump(mode="json", exclude_none=True)
        return await self._bolt.async_dispatch(AsyncBoltRequest(body=clean, mode="socket_mode"))

    def _foreign(self, request: payloads.Request) -> bool:
        """Somebody of another workspace talks in a channel that is shared with it: no fault of Slack's, and no answer."""
        return bool(self._slack.team and request.actor[0] != self._slack.team)

    async def _fresh(self, request: payloads.Request) -> bool:
        return request.key is None or await self._postbox.first(request.key)

    # -- what Bolt calls ----------------------------------------------------------------------------------------------------

    def _listening(self) -> AsyncApp:
        """Bolt without what is done before it, and with tokens only where `client` has them."""
        bolt = AsyncApp(
            name="stanch",
            signing_secret="unused: the signature is checked before",
            authorize=_authorized,
            client=AsyncWebClient(base_url=self._slack.api_url),
            request_verification_enabled=False,
            process_before_response=True,  # the listeners below only acknowledge and spawn
            ignoring_self_events_enabled=False,
            ignoring_self_assistant_message_events_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        bolt.action(BUTTON)(self._on_click)
        bolt.view(re.compile(f"{modals.EDIT}|{modals.DENY}"))(self._on_form)
        bolt.event(re.compile(".*"))(self._on_event)
        bolt.command(re.compile(".*"))(self._on_command)
        return bolt

    async def _on_click(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        click = Click.model_validate(body)
        pressed = BUTTON.fullmatch(click.actions[0].action_id)
        assert pressed is not None
        self.spawn(self._decisions.clicked(pressed[1], click))

    async def _on_form(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        form = Submission.model_validate(body)
        if wrong := await self._decisions.wrong(form):
            await ack(response_action="errors", errors=dict(wrong))
            return
        fresh = await self._postbox.first(form.effect)
        await ack()
        if fresh:
            self.spawn(self._decisions.submitted(form))

    async def _on_event(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        self.spawn(self._talking.event(EventBody.model_validate(body)))

    async def _on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack("Looking…")
        self.spawn(self._talking.command(Command.model_validate(body)))


class _Socket(AsyncSocketModeHandler):
    """Bolt's connection, with our door before its application."""

    def __init__(self, inbound: Inbound, bolt: AsyncApp, app_token: str, client: AsyncWebClient) -> None:
        super().__init__(bolt, app_token, web_client=client)
        self._inbound = inbound

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        started = time.time()
        try:
            answer = await self._inbound.take(req.payload if isinstance(req.payload, dict) else {})
        except UnusableInput as error:
            answer = BoltResponse(status=400, body=str(error))
        await send_async_response(client, req, answer, started)


async def _authorized(team_id: str | None) -> AuthorizeResult:
    """Whom Bolt takes the request to be from: the workspace was checked before, and answers go through our own client."""
    return AuthorizeResult(enterprise_id=None, team_id=team_id, bot_token="unused")


async def _bounded(request: Request) -> bytes | None:
    """The body; None when it is larger than any of Slack's."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("slack: a defect while working a request", exc_info=error)
