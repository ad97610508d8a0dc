"""A Slack of our own: the Web API, Socket Mode, and a signer for requests over HTTP. In memory, over loopback.

async with FakeSlack.start() as slack:            # slack.url is what STANCH_SLACK_API_URL gets
    slack.messages("C1")                          # what the channel shows, in order: ts, text, blocks, thread_ts, edits
    slack.trouble = Trouble(status=429, retry_after=2, times=3)
    ack = await slack.deliver("interactive", click("U1", "T1", message, "stanch_approve"))   # Socket Mode
    headers = sign(SECRET, body, at)              # HTTP mode
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import WSMsgType, web

from tests.slack_limits import problems

TEAM, BOT_USER, BOT = "T1", "U0BOT", "B1"
METHODS = {
    "auth.test",
    "apps.connections.open",
    "chat.postMessage",
    "chat.update",
    "chat.postEphemeral",
    "views.open",
    "conversations.replies",
    "conversations.history",
    "conversations.info",
    "conversations.list",
    "usergroups.users.list",
    "users.info",
}


@dataclass
class Call:
    """One call of the Web API, and what it was answered."""

    method: str
    body: dict[str, Any]
    answer: dict[str, Any]
    at: float  # by the fake's clock


@dataclass
class Trouble:
    """What the Web API answers instead of working. `methods` empty: all. `error`: {"ok": false, "error": …} at 200."""

    status: int = 200
    error: str = ""
    retry_after: int = 1
    times: int = 1_000_000
    methods: tuple[str, ...] = ()
    after_effect: bool = False  # it works, but the answer never comes


@dataclass
class FakeSlack:
    url: str = ""
    scopes: str = "chat:write,app_mentions:read,channels:history,channels:read"
    channels: dict[str, str] = field(default_factory=lambda: {"C1": "incidents", "C2": "ml"})  # id → name
    usergroups: dict[str, list[str]] = field(default_factory=dict)
    bots: set[str] = field(default_factory=lambda: {BOT_USER})
    calls: list[Call] = field(default_factory=list)
    acks: dict[str, Any] = field(default_factory=dict)  # envelope id → payload of the acknowledgement
    ephemerals: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()  # block types that are invalid_blocks here
    trouble: Trouble | None = None
    posted: list[dict[str, Any]] = field(default_factory=list)
    now: Callable[[], float] = lambda: 1_795_416_000.0
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _acked: dict[str, asyncio.Event] = field(default_factory=dict)
    _connected: asyncio.Event = field(default_factory=asyncio.Event)

    @staticmethod
    @asynccontextmanager
    async def start(port: int = 0) -> AsyncIterator[FakeSlack]:
        slack = FakeSlack()
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/api/{method}", slack._api)
        app.router.add_get("/socket", slack._socket)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1)
        await site.start()
        slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
        try:
            yield slack
        finally:
            for socket in slack.sockets:
                await socket.close()
            await runner.cleanup()

    def messages(self, channel: str = "C1", thread: str | None = None) -> list[dict[str, Any]]:
        """What the channel shows, in order; with `thread`, that thread with its root."""
        return [m for m in self.posted if m["channel"] == channel and thread in (None, m["ts"], m.get("thread_ts"))]

    # -- Socket Mode --------------------------------------------------------------------------------------------------

    async def connected(self, seconds: float = 10.0) -> None:
        await asyncio.wait_for(self._connected.wait(), seconds)

    async def deliver(
        self, kind: str, payload: Mapping[str, Any], envelope: str = "", seconds: float = 10.0, **more: Any
    ) -> Any:
        """Send one envelope (`interactive`, `events_api`, `slash_commands`) and wait for its acknowledgement's payload.

        Give `envelope` again to deliver the same once more. TimeoutError when nobody acknowledges.
        """
        name = envelope or f"e-{next(self._numbers)}"
        acked = self._acked[name] = asyncio.Event()
        await self.connected(seconds)
        body = {"envelope_id": name, "type": kind, "accepts_response_payload": kind != "events_api", "payload": payload}
        await self.sockets[-1].send_str(json.dumps({**body, **more}))
        await asyncio.wait_for(acked.wait(), seconds)
        return self.acks[name]

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": len(self.sockets)}))
        self._connected.set()
        async for frame in socket:
            if frame.type is WSMsgType.TEXT and frame.data.startswith("{"):
                said = json.loads(frame.data)
                self.acks[said["envelope_id"]] = said.get("payload")
                self._acked.setdefault(said["envelope_id"], asyncio.Event()).set()
        self.sockets.remove(socket)
        if not self.sockets:
            self._connected.clear()
        return socket

    # -- Web API ------------------------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        body = {**request.query, **_body(await request.text(), request.content_type)}
        trouble = (
            self.trouble if self.trouble and (method in self.trouble.methods or not self.trouble.methods) else None
        )
        if trouble and trouble.times > 0:
            trouble.times -= 1
            if trouble.after_effect:
                self._answer(method, body)
            answer = {"ok": False, "error": trouble.error or "ratelimited"}
            self.calls.append(Call(method, body, answer, self.now()))
            headers = {"Retry-After": str(trouble.retry_after)} if trouble.status == 429 else {}
            return web.json_response(answer, status=trouble.status, headers=headers)
        if not request.headers.get("Authorization", "").startswith("Bearer x"):
            answer = {"ok": False, "error": "not_authed"}
        else:
            answer = self._answer(method, body)
        self.calls.append(Call(method, body, answer, self.now()))
        return web.json_response(answer, headers={"x-oauth-scopes": self.scopes})

    def _answer(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if method not in METHODS:
            return {"ok": False, "error": "unknown_method"}
        answer: dict[str, Any] = getattr(self, "_" + method.replace(".", "_"))(body)
        return {"ok": "error" not in answer, **answer}

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": "http://example.test/",
            "team": "T",
            "user": "stanch",
            "team_id": TEAM,
            "user_id": BOT_USER,
            "bot_id": BOT,
        }

    def _apps_connections_open(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"url": self.url.replace("http", "ws", 1).replace("/api/", "/socket")}

    def _chat_postMessage(self, body: dict[str, Any]) -> dict[str, Any]:
        if problem := self._wrong(body):
            return {"error": problem}
        ts = f"{self.now():.0f}.{next(self._numbers):06d}"
        message = {**body, "channel": self._channel(body), "ts": ts, "user": BOT_USER, "bot_id": BOT, "edits": 0}
        self.posted.append(message)
        return {"channel": message["channel"], "ts": ts, "message": message}

    def _chat_update(self, body: dict[str, Any]) -> dict[str, Any]:
        found = next((m for m in self.messages(body.get("channel", "")) if m["ts"] == body.get("ts")), None)
        if found is None:
            return {"error": "message_not_found"}
        if problem := self._wrong(body):
            return {"error": problem}
        found.update({"blocks": [], **body}, edits=found["edits"] + 1)
        return {"channel": found["channel"], "ts": found["ts"], "text": found["text"], "message": found}

    def _chat_postEphemeral(self, body: dict[str, Any]) -> dict[str, Any]:
        if problem := self._wrong(body):
            return {"error": problem}
        self.ephemerals.append(body)
        return {"message_ts": f"{self.now():.0f}.{next(self._numbers):06d}"}

    def _views_open(self, body: dict[str, Any]) -> dict[str, Any]:
        view = body["view"]
        if problems(view.get("blocks", []), 100) or len(view["title"]["text"]) > 24 or len(json.dumps(view)) > 250_000:
            return {"error": "invalid_arguments", "problems": problems(view.get("blocks", []), 100)}
        self.views.append(body)
        return {"view": {**view, "id": f"V{len(self.views)}", "hash": "1"}}

    def _conversations_replies(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.messages(body.get("channel", ""), body.get("ts", ""))
        return self._read(body, found) if found else {"error": "thread_not_found"}

    def _conversations_history(self, body: dict[str, Any]) -> dict[str, Any]:
        found = [m for m in self.messages(body.get("channel", "")) if not m.get("thread_ts")]
        return self._read(body, found[::-1])

    def _read(self, body: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
        shown = str(body.get("include_all_metadata", "")).lower() in ("1", "true")
        found = [m for m in found if float(m["ts"]) >= float(body.get("oldest") or 0)]
        kept = [
            {k: v for k, v in m.items() if k not in ("edits", "channel") and (shown or k != "metadata")} for m in found
        ]
        return {"messages": kept[: int(body.get("limit") or 100)], "has_more": False}

    def _conversations_info(self, body: dict[str, Any]) -> dict[str, Any]:
        name = self.channels.get(body.get("channel", ""))
        return (
            {"channel": {"id": body["channel"], "name": name, "is_member": True}}
            if name
            else {"error": "channel_not_found"}
        )

    def _conversations_list(self, _: dict[str, Any]) -> dict[str, Any]:
        listed = [{"id": key, "name": name, "is_member": True} for key, name in self.channels.items()]
        return {"channels": listed, "response_metadata": {"next_cursor": ""}}

    def _usergroups_users_list(self, body: dict[str, Any]) -> dict[str, Any]:
        group = self.usergroups.get(body.get("usergroup", ""))
        return {"error": "no_such_subteam"} if group is None else {"users": group}

    def _users_info(self, body: dict[str, Any]) -> dict[str, Any]:
        user = body.get("user", "")
        return {"user": {"id": user, "team_id": TEAM, "name": user.lower(), "is_bot": user in self.bots}}

    def _channel(self, body: dict[str, Any]) -> str | None:
        named = str(body.get("channel", "")).removeprefix("#")
        return named if named in self.channels else next((k for k, v in self.channels.items() if v == named), None)

    def _wrong(self, body: dict[str, Any]) -> str:
        """Slack's word for what is wrong with a message."""
        blocks = body.get("blocks") or []
        if self._channel(body) is None:
            return "channel_not_found"
        if problems(blocks) or any(block["type"] in self.refuses for block in blocks):
            return "invalid_blocks"
        text = body.get("text", "")
        return "no_text" if not text else "msg_too_long" if len(text) > 40_000 else ""


def _body(text: str, content_type: str) -> dict[str, Any]:
    if content_type == "application/json" and text:
        return dict(json.loads(text))
    form: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True))
    for name in ("blocks", "view", "metadata"):
        if name in form:
            form[name] = json.loads(form[name])
    return form


# -- what people do in Slack ------------------------------------------------------------------------------------------


def sign(secret: str, body: str, at: float) -> dict[str, str]:
    """The headers under which Slack sends a body over HTTP."""
    stamp = str(int(at))
    mac = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    kind = "application/json" if body.startswith("{") else "application/x-www-form-urlencoded"
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}", "Content-Type": kind}


def form(payload: Mapping[str, Any]) -> str:
    """The body of an interaction over HTTP."""
    return urlencode({"payload": json.dumps(payload)})


def click(user: str, message: Mapping[str, Any], action_id: str, team: str = TEAM, at: float = 1.0) -> dict[str, Any]:
    """Somebody presses a button of a message that the fake shows. LookupError when there is none."""
    block, button = next(
        (b, e) for b in message["blocks"] for e in b.get("elements", []) if e.get("action_id") == action_id
    )
    action = {"type": "button", "action_ts": f"{at:.6f}", "block_id": block.get("block_id", ""), **button}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": user.lower(), "team_id": team},
        "api_app_id": "A1",
        "token": "unused",
        "trigger_id": f"1.2.{at}",
        "team": {"id": team, "domain": "example"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": message["channel"], "name": "incidents"},
        "container": {"type": "message", "message_ts": message["ts"], "channel_id": message["channel"]},
        "message": {k: message[k] for k in ("ts", "text", "thread_ts", "user", "bot_id") if k in message},
        "state": {"values": {}},
        "response_url": "http://127.0.0.1:9/respond",
        "actions": [action],
    }


def said(
    user: str,
    text: str,
    channel: str = "C1",
    thread: str = "",
    ts: str = "1795416001.000900",
    event_id: str = "Ev1",
    kind: str = "message",
    team: str = TEAM,
    **more: Any,
) -> dict[str, Any]:
    """Somebody says something: the payload of events_api (`kind` message or app_mention)."""
    event = {
        "type": kind,
        "user": user,
        "text": text,
        "ts": ts,
        "event_ts": ts,
        "channel": channel,
        "team": team,
        **more,
    }
    if thread:
        event["thread_ts"] = thread
    if kind == "message":
        event.setdefault("channel_type", "channel")
    return {
        "type": "event_callback",
        "team_id": team,
        "api_app_id": "A1",
        "event_id": event_id,
        "event_time": int(float(ts)),
        "event": event,
        "authorizations": [{"team_id": team, "user_id": BOT_USER, "is_bot": True}],
    }
