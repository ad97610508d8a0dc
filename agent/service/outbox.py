"""The outbox: what a surface that posts keeps of its own. Which incidents want a thread, what each thread was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.domain.incident import Incident
from agent.domain.urgency import Urgency
from agent.store import incidents, messages, requests, urgency
from agent.store.database import Database
from agent.store.messages import Sent
from tools.context import Clock

__all__ = ["Outbox", "Sent"]
REMEMBERED = timedelta(days=2)  # how long an answered request is known again; signatures hold five minutes


@dataclass(frozen=True)
class Outbox:
    """`surface` is `slack`, …; `thread` an incident's id or a digest's name; `slot` a message's place in the thread."""

    db: Database
    clock: Clock
    surface: str

    async def recent(self, limit: int = 200) -> Sequence[tuple[Incident, Urgency]]:
        """Incidents with what attention they may take, newest first; those nobody has routed yet are left out."""
        async with self.db.read() as tx:
            found = await incidents.listing(tx, limit)
            routed = await urgency.among(tx, [one.id for one in found])
        return [(one, routed[one.id]) for one in found if one.id in routed]

    async def attention(self, incident: str) -> Urgency | None:
        async with self.db.read() as tx:
            return await urgency.of(tx, incident)

    async def seen(self, incident: str) -> None:
        """A person looked at it, or answered: nobody else has to be called."""
        async with self.db.write() as tx:
            await urgency.seen(tx, incident, self.clock.now())

    async def sent(self, thread: str) -> dict[str, Sent]:
        """What the thread was shown, by slot."""
        async with self.db.read() as tx:
            return await messages.of(tx, self.surface, thread)

    async def keep(self, thread: str, slot: str, place: str, address: str = "", content: str = "") -> None:
        """Before sending: without address and content. Afterwards: with both."""
        async with self.db.write() as tx:
            await messages.put(tx, Sent(self.surface, thread, slot, place, address, content, self.clock.now()))

    async def at(self, place: str, address: str) -> Sent | None:
        """The message that the surface calls so; its `thread` says which incident is meant."""
        async with self.db.read() as tx:
            return await messages.at(tx, self.surface, place, address)

    async def first(self, key: str) -> bool:
        """Whether this request arrives for the first time. It is remembered before it is answered."""
        async with self.db.write() as tx:
            now = self.clock.now()
            await requests.forget(tx, now - REMEMBERED)
            return await requests.first(tx, self.surface, key, now)
