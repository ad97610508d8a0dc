"""What the door needs of the application, and no more: an inbox over a database."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.clock import RealClock
from agent.domain.incident import State
from agent.service.inbox import Inbox
from agent.settings import Settings
from agent.store import inbox as rows
from agent.store import incidents
from agent.store.database import Database
from agent.store.inbox import Entry
from tools.context import Clock


@dataclass(frozen=True)
class States:
    db: Database

    async def states(self) -> dict[State, int]:
        async with self.db.read() as tx:
            return await incidents.states(tx)


@dataclass(frozen=True)
class Half:
    """What the door needs of the application."""

    settings: Settings
    db: Database
    inbox: Inbox
    clock: Clock = field(default_factory=RealClock)

    @property
    def api(self) -> States:
        return States(self.db)

    async def entries(self) -> list[Entry]:
        async with self.db.read() as tx:
            return await rows.fresh(tx, 10_000)

    async def quarantined(self) -> list[str]:
        async with self.db.read() as tx:
            return [why for _, _, _, why in await rows.quarantined(tx, 10_000)]
