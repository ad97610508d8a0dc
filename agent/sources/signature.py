"""How a source proves that a notification is its own. Each brings its header, its secret and its way to look at both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

Genuine = Callable[[str, Mapping[str, str], bytes, float], bool]  # secret, headers (lower case), body, Unix time now


@dataclass(frozen=True, slots=True)
class Signature:
    """`header` carries it. Without a configured secret the header means nothing, and opens nothing."""

    header: str
    secret: SecretStr
    genuine: Genuine

    def brought(self, headers: Mapping[str, str]) -> bool:
        """Whether there is something to verify."""
        return bool(self.secret.get_secret_value()) and self.header in headers

    def verifies(self, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        secret = self.secret.get_secret_value()
        return bool(secret) and self.genuine(secret, headers, body, now)
