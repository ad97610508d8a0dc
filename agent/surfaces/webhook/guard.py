"""Who may come in. Everything is closed that is not opened here by name."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.surfaces.webhook.problems import Refusal, answer

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="stanch", Basic realm="stanch"'}
LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Keys:
    """The tokens that open the door, as a bearer token or as the password of basic authentication.

    Each is compared in constant time, and all of them always.
    """

    def __init__(self, tokens: Sequence[SecretStr]) -> None:
        self._digests = [hashlib.sha256(token.get_secret_value().encode()).digest() for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def fit(self, authorization: str) -> bool:
        presented = hashlib.sha256(_presented(authorization)).digest()
        return sum([hmac.compare_digest(presented, known) for known in self._digests]) > 0


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
    """Answers 401 before anything of a request is read, unless it brings a key.

    `public` are open paths; `own` routes that look after themselves; `signed` paths whose requests may bring a header
    with a signature instead, which the endpoint checks. Without keys, requests from this very machine are let in
    where `loopback` is true.
    """

    def __init__(
        self, app: ASGIApp, keys: Keys, loopback: bool, public: Collection[str], own: Sequence[BaseRoute],
        signed: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._app, self._keys, self._loopback = app, keys, loopback
        self._public, self._own, self._signed = frozenset(public), tuple(own), dict(signed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await answer(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        path = scope["path"]
        if path in self._public or any(route.matches(scope)[0] is not Match.NONE for route in self._own):
            return None
        headers = Headers(scope=scope)
        if self._keys.fit(headers.get("authorization", "")):
            scope.setdefault("state", {})["admitted"] = True
            return None
        if self._signed.get(path, "-") in headers:
            return None
        if self._keys or not self._loopback:
            return Refusal(401, self._help(path), CHALLENGE)
        if headers.get("origin") or _host(headers.get("host", "")) not in LOCAL:
            return Refusal(403, "Without STANCH_WEBHOOK_TOKENS only programs on this machine may call. Set a token.")
        scope.setdefault("state", {})["admitted"] = True
        return None

    def _help(self, path: str) -> str:
        if not self._keys:
            return "No token is configured, and this address is reached from outside. Set STANCH_WEBHOOK_TOKENS."
        return f"{path} needs one of STANCH_WEBHOOK_TOKENS: `Authorization: Bearer …`, or basic with it as password."


def _host(header: str) -> str:
    return header if header.endswith("]") else header.rpartition(":")[0] or header


def admitted(scope: Scope) -> bool:
    """Whether the guard saw a key; else the endpoint has to check the signature."""
    return bool(scope.get("state", {}).get("admitted"))
