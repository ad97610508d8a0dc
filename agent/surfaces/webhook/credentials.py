"""Who may knock: a bearer token, or HTTP basic with the token as its password. Nobody, where no token is configured,
unless the service is bound to loopback."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from agent.surfaces.webhook.problem import Problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="stanch", Basic realm="stanch"'}
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
SET_TOKENS = "Set STANCH_WEBHOOK_TOKENS to one or two secrets, and send one of them as bearer token."


class Keys:
    """The tokens that are valid; two may be while one replaces the other."""

    def __init__(self, tokens: Sequence[str], loopback: bool) -> None:
        self._tokens = [sha256(token.encode()).digest() for token in tokens if token]
        self._loopback = loopback

    def fits(self, headers: Mapping[str, str]) -> bool:
        """Whether one of the tokens was sent. All of them are compared, each in constant time."""
        given = _sent(headers.get("authorization", ""))
        digest = sha256(given.encode("utf-8", "surrogateescape")).digest()
        matches = [hmac.compare_digest(token, digest) for token in self._tokens]
        return bool(given) and any(matches)

    def check(self, headers: Mapping[str, str]) -> None:
        """A Problem unless one of the tokens was sent, or none is needed here."""
        if self.fits(headers):
            return
        if self._tokens or not self._loopback:
            raise refused(headers, bool(self._tokens))
        self.check_host(headers)

    def open_to_all(self) -> bool:
        return self._loopback and not self._tokens

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Without a token only what calls this machine by a name of its own is served: neither a web page that made its
        name point here, nor a proxy that lets the network in."""
        host = headers.get("host", "")
        if _name(host) not in HERE:
            raise Problem(
                403, f"Without tokens only loopback is served, and this was sent to {host!r:.80}. {SET_TOKENS}"
            )


def refused(headers: Mapping[str, str], configured: bool = True) -> Problem:
    if not configured:
        return Problem(401, f"No token is configured, and the service is bound to the network. {SET_TOKENS}", CHALLENGE)
    what = "The credentials are not valid here" if headers.get("authorization") else "Credentials are missing"
    how = "Send `Authorization: Bearer TOKEN`, or HTTP basic with the token as password (STANCH_WEBHOOK_TOKENS)."
    return Problem(401, f"{what}. {how}", CHALLENGE)


def _sent(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(value.strip(), validate=True).decode("utf-8", "surrogateescape").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
