"""Fail-over: when the first reasoner gives nothing usable, the second takes the case, for the rest of the incident."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.case.text import visible
from agent.case.timeline import Event, EventKind
from agent.errors import ReasonerFailed
from agent.reasoner.moves import Reasoner, Thought, View


class Failover:
    """Implements Reasoner. Whether it has failed over stands on the timeline, so a restart does not forget it."""

    def __init__(self, first: Reasoner, second: Reasoner) -> None:
        self.first = first
        self.second = second
        self.name = first.name

    @property
    def after(self) -> str:
        """The name under which the second goes on: `openai→runbook`."""
        return f"{self.first.name}→{self.second.name}"

    async def next_move(self, view: View) -> Thought:
        """The first one's move; the second one's from the first failure on. Raises what the second raises."""
        if failed_over(view.events, self.after):
            return replace(await self.second.next_move(view), by=self.after)
        try:
            return await self.first.next_move(view)
        except ReasonerFailed as error:
            thought = await self.second.next_move(view)
            why = visible(str(error), 500)
            note = {"failover": self.after, "why": why, "text": f"{self.second.name} goes on: {why}"}
            return replace(thought, by=self.after, notes=(note, *thought.notes))


def failed_over(events: Iterable[Event], name: str) -> bool:
    """Whether a note of the timeline hands this case over, or a move was already made under the new name."""
    return any(e.kind is EventKind.NOTE and (e.data.get("failover") or e.data.get("by") == name) for e in events)
