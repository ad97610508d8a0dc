"""Who may come in. A route states what it asks of its callers; one that states nothing is closed.

Outside of that table nothing counts: no header but Authorization and, on the routes of a source that signs, its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.settings import Token, everything
from agent.sources.signature import Signature
from agent.surfaces.webhook.bodies import bounded
from agent.surfaces.webhook.problems import Refusal, answer

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="stanch", Basic realm="stanch"'}
LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})
Scopes = frozenset[str]


@dataclass(frozen=True, slots=True)
class Need:
    """A token with `scope`, or, where the route's source signs, its `signature`; `opened`: nothing."""

    scope: str | None = None
    signature: Signature | None = None
    opened: bool = False


CLOSED = Need()
PUBLIC = Need(opened=True)
ITSELF = Need(opened=True)  # the route authenticates by itself, as Slack's does
Needs = Mapping[
    tuple[str, str], Need
]  # by method and path, compared as the router does: whole, decoded, letter by letter


class Keys:
    """The tokens that open the door, as a bearer token or as the password of basic authentication.

    Each is compared in constant time, and all of them always.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._known = [(hashlib.sha256(t.secret.get_secret_value().encode()).digest(), t.scopes) for t in tokens]

    def __bool__(self) -> bool:
        return bool(self._known)

    def scopes(self, authorization: str) -> Scopes | None:
        """What it opens; None when it is no token of ours."""
        presented = hashlib.sha256(_presented(authorization)).digest()
        fitting = [scopes for digest, scopes in self._known if hmac.compare_digest(presented, digest)]
        return frozenset().union(*fitting) if fitting else None


def _presented(authorization: str) -> bytes:
    """The token out of an Authorization header; empty when there is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("latin-1", "replace")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


class Guard:
    """Answers before anything of a request is understood, unless it brings what its route needs.

    A stranger gets 401 for all but the open routes, whether there is such a route or not. Without tokens, requests from
    this very machine are let in where `loopback` is true. `limit` are the bytes that are read to verify a signature.
    """

    def __init__(
        self,
        app: ASGIApp,
        needs: Needs,
        keys: Keys,
        loopback: bool,
        limit: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._needs, self._keys = app, needs, keys
        self._loopback, self._limit, self._wall = loopback, limit, wall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "there is none here"})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        need = self._needs.get((scope["method"], scope["path"]), CLOSED)
        try:
            if not need.opened:
                receive = await self._admitted(need, scope, receive)
        except Refusal as refusal:
            await answer(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admitted(self, need: Need, scope: Scope, receive: Receive) -> Receive:
        """A signature that is brought has to be right, whatever else was brought."""
        headers = Headers(scope=scope)
        if need.signature is not None and need.signature.brought(headers):
            body = await bounded(Request(scope, receive), self._limit)
            if not need.signature.verifies(headers, body, self._wall()):
                raise Refusal(
                    401,
                    f"{need.signature.header} does not fit the body and the configured secret, or is too old.",
                    CHALLENGE,
                )
            return _again(body, receive)
        scopes = self._scopes(headers, scope["path"])
        if need.scope is None:
            raise self._nothing(scope)
        if need.scope not in scopes:
            raise Refusal(
                403,
                f"This token is good for {', '.join(sorted(scopes))}; {scope['path']} needs one for {need.scope} (STANCH_WEBHOOK_TOKENS).",
            )
        return receive

    def _scopes(self, headers: Headers, path: str) -> Scopes:
        scopes = self._keys.scopes(headers.get("authorization", ""))
        if scopes is not None:
            return scopes
        if self._keys or not self._loopback:
            raise Refusal(401, self._help(path), CHALLENGE)
        if headers.get("origin") or _host(headers.get("host", "")) not in LOCAL:
            raise Refusal(403, "Without STANCH_WEBHOOK_TOKENS only programs on this machine may call. Set a token.")
        return everything()

    def _nothing(self, scope: Scope) -> Refusal:
        """What states no need is not there, whoever asks."""
        methods = sorted(method for method, path in self._needs if path == scope["path"])
        if methods:
            return Refusal(405, f"{scope['path']} takes {' or '.join(methods)}.", {"Allow": ", ".join(methods)})
        return Refusal(404, f"There is no {scope['path']} here.")

    def _help(self, path: str) -> str:
        if not self._keys:
            return "No token is configured, and this address is reached from outside. Set STANCH_WEBHOOK_TOKENS."
        return f"{path} needs one of STANCH_WEBHOOK_TOKENS: `Authorization: Bearer …`, or basic with it as password."


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once more for who comes after; then what the connection says."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> Message:
        return waiting.pop() if waiting else await receive()

    return read


def _host(header: str) -> str:
    return header if header.endswith("]") else header.rpartition(":")[0] or header
