"""Fail-over: when the first reasoner gives nothing usable, the second takes the case.

One that could not be reached is tried again later in the same incident: when something has happened since, or after some
minutes; with one attempt, that is the next move itself if it holds. A bounded number of times, so that the case does not go
back and forth. One that has spent its budget, or that goes in circles, is not tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from agent.domain.events import AlertJoined, DecisionMade, EffectChecked, OutcomeKnown
from agent.domain.notes import FailedOver, MoveMade, Note, Steered, TriedAgain, WentBack
from agent.domain.text import visible
from agent.domain.timeline import Event
from agent.errors import BudgetSpent, ReasonerFailed
from agent.reasoner.llm.budget import total
from agent.reasoner.progress import PATIENT, idle
from agent.reasoner.protocol import ModelFailed, Reasoner, Thought, View

AFTER = timedelta(minutes=2)  # by the incident's clock
MOST_TRIES, MOST_RETURNS = 3, 2  # of one incident
_NEWS = (AlertJoined, DecisionMade, OutcomeKnown, EffectChecked, Steered)


@dataclass(frozen=True)
class Standing:
    """Who has the case, as the timeline tells it. `by` is the way it took: `openai→runbook→openai`."""

    by: str
    left: Event | None = None  # since when the second has it, or when the first was last tried
    final: bool = False
    tries: int = 0
    returns: int = 0


class Failover:
    """Implements Reasoner. Who has the case stands on the timeline, so a restart does not forget it."""

    def __init__(self, first: Reasoner, second: Reasoner) -> None:
        self.first = first
        self.second = second
        self.name = first.name

    async def next_move(self, view: View) -> Thought:
        """The move of whoever has the case. Raises what the second raises."""
        now = standing(view.events, self.first.name, self.second.name)
        if now.left is None:
            return await self._first(view, now)
        return await self._again(view, now) if due(view, now) else await self._second(view, now.by)

    async def _first(self, view: View, now: Standing) -> Thought:
        try:
            if view.question is None and idle(view.events) >= PATIENT:
                raise GoesInCircles(
                    f"{now.by.rpartition('→')[2]} repeats itself: its last {PATIENT} moves brought nothing new"
                )
            return replace(await self.first.next_move(view), by=now.by)
        except ReasonerFailed as error:
            by, why = f"{now.by}→{self.second.name}", visible(str(error), 500)
            note = FailedOver(
                text=f"{self.second.name} goes on: {why}",
                failover=by,
                why=why,
                final=isinstance(error, BudgetSpent | GoesInCircles),
            )
            return await self._second(view, by, note, error)

    async def _again(self, view: View, now: Standing) -> Thought:
        """One attempt of the first: it goes on if it gives a move, else the second does."""
        by = f"{now.by}→{self.first.name}"
        try:
            thought = await self.first.next_move(replace(view, once=True))
        except ReasonerFailed as error:
            why = visible(str(error), 500)
            text = f"{self.first.name} was tried again: {why}"
            return await self._second(
                view, now.by, TriedAgain(text=text, tried=self.first.name, why=why, show=True), error
            )
        back = WentBack(text=f"{self.first.name} answers again and goes on", returned=by, show=True)
        return replace(thought, by=by, notes=(back, *thought.notes))

    async def _second(
        self, view: View, by: str, note: Note | None = None, error: ReasonerFailed | None = None
    ) -> Thought:
        """The second's move, with what the first one's attempt cost."""
        thought = await self.second.next_move(view)
        if isinstance(error, ModelFailed):
            thought = replace(thought, spent=total([error.spent, thought.spent]))
        return replace(thought, by=by, notes=(*([note] if note else []), *thought.notes))


class GoesInCircles(ReasonerFailed):
    """The first reasoner repeats itself, also after it was told."""


def standing(events: Iterable[Event], first: str, second: str) -> Standing:
    """Folded from the notes of fail-overs, tries and returns; a move made under the second's name counts as one too."""
    now = Standing(first)
    for event in events:
        match event.payload:
            case FailedOver(failover=by, final=final):
                now = replace(now, by=by, left=event, final=final)
            case TriedAgain():
                now = replace(now, left=event, tries=now.tries + 1)
            case WentBack(returned=by):
                now = replace(now, by=by, left=None, returns=now.returns + 1)
            case MoveMade(by=by) if now.left is None and by.endswith(f"→{second}"):
                now = replace(now, by=by, left=event)
    return now


def due(view: View, now: Standing) -> bool:
    """Whether the first one, that was left, is tried again for this move."""
    if now.left is None or now.final or now.tries >= MOST_TRIES or now.returns >= MOST_RETURNS:
        return False
    since = now.left.n
    news = any(event.n > since and isinstance(event.payload, _NEWS) for event in view.events)
    return (news and view.question is None) or view.now - now.left.at >= AFTER
