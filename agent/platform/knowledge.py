"""What is known of the platform at present: its map and its rules, asked for anew when they have grown old."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.errors import ToolError
from agent.platform.discovery import discover
from agent.platform.known import KnownPlatform
from agent.platform.platform_map import PlatformMap
from agent.platform.rules import RuleBook, rules_listed
from tools.context import Catalog, Context, Json
from tools.prometheus.client import Prometheus

FRESH = timedelta(minutes=5)  # a map and rules of that age still tell of the present
PATIENCE_S = 15.0  # that an incident waits for them: what is not told by then is told to the next


@dataclass
class Knowledge:
    """One for all incidents: those of the same minute share what was asked for the first of them."""

    map: PlatformMap | None = None
    rules: RuleBook = field(default_factory=RuleBook)
    asked: datetime | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def of(self, catalog: Catalog) -> KnownPlatform:
        """As a read of an incident sees it, with what people say in the catalog."""
        return KnownPlatform(catalog, self.rules, self.map)

    async def refresh(self, context: Context, patience_s: float = PATIENCE_S) -> None:
        """Ask every configured backend, unless that was done lately. It raises nothing: the map says what it lacks, and
        without rules an alert's labels have to do. An incident of another time is not told of the present."""
        async with self._asking:
            if self.asked is not None and abs(context.as_of - self.asked) < FRESH:
                return
            self.map, self.rules = await asyncio.gather(discover(context, patience_s), _rules(context, patience_s))
            self.asked = context.as_of


async def _rules(context: Context, patience_s: float) -> RuleBook:
    """The rules of every Prometheus that answers in time."""
    asked = [Prometheus(backend, context.as_of) for backend in context.backends.of("prometheus")]
    found = await asyncio.gather(
        *(_listed(server, kind, patience_s) for server in asked for kind in ("alert", "record"))
    )
    return rules_listed(rule for rules in found for rule in rules)


async def _listed(server: Prometheus, kind: str, patience_s: float) -> list[Json]:
    try:
        async with asyncio.timeout(patience_s):
            return await server.rules(kind)
    except (TimeoutError, ToolError):
        return []
