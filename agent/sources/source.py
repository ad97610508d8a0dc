"""What a source of alerts is: where it sends to, how it proves itself, and how what it sends is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from agent.domain.alert import Alert
from agent.sources.portions import Steps
from agent.sources.signature import Genuine, Signature
from tools.context import Change


@dataclass(frozen=True, slots=True)
class Delivery:
    """`odd` says, a line each, what could not be read or is not as expected; the alerts are those that can be read.

    `left_out` is how many alerts the sender says that it left out (`max_alerts` of Alertmanager's receiver)."""

    alerts: tuple[Alert, ...] = ()
    odd: tuple[str, ...] = ()
    left_out: int = 0
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came. `headers` have lower-case names; a list of more than `most` alerts is TooMany."""

    body: bytes
    headers: Mapping[str, str]
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Signing:
    """A source that signs: the header (lower case) that carries its signature, and whether one is its own."""

    header: str
    genuine: Genuine


@dataclass(frozen=True, slots=True)
class Source:
    """One source. `name` is `[a-z]+`: in its metrics, in the inbox and in the variable of its secret."""

    name: str
    path: str
    scope: str  # what a token has to be good for (STANCH_WEBHOOK_TOKENS)
    parse: Callable[[Incoming, datetime], Steps[Delivery]]  # UnusableInput says what to mend
    schema: Mapping[str, Any]  # JSON schema of a body
    about: str  # of the body, for /docs; its first words up to a comma are the title
    media: tuple[str, ...] = ("application/json",)
    signs: Signing | None = None  # None: it comes with a token
    reconciled: bool = False  # what was refused or left out is found by asking the Alertmanager that is configured

    @property
    def secret_variable(self) -> str:
        return f"STANCH_{self.name.upper()}_SECRET" if self.signs else ""

    def signature(self, secret: SecretStr) -> Signature | None:
        return Signature(self.signs.header, secret, self.signs.genuine) if self.signs else None
