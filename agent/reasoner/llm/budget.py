"""What a language model may cost: steps, tokens, seconds and money an incident, money a day. Pure: folded from the timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.domain.notes import Note
from agent.domain.timeline import Event
from agent.reasoner.protocol import Spent

BYTES_PER_TOKEN = 2.5  # bytes / 4 undercounts by up to 38 % (JSON, PromQL, label names)


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for a million tokens."""

    prompt: float = 0.0
    completion: float = 0.0
    currency: str = "USD"

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one incident, and `money_a_day` of all of them."""

    steps: int = 25
    tokens: int = 200_000
    seconds: float = 600.0
    money: float = 2.0
    money_a_day: float = 50.0


@dataclass(frozen=True, slots=True)
class Used:
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    money: float = 0.0


def estimate(text: str) -> int:
    """Tokens of a text without a vocabulary: ceil(UTF-8 bytes / 2.5), rather too many than too few."""
    return -(-len(text.encode()) * 2 // 5)


def used(events: Iterable[Event]) -> Used:
    """What language models have used in this incident; a step is a note whose `spent` has tokens."""
    parts = [told.spent for event in events if isinstance(told := event.payload, Note) and told.spent is not None]
    return Used(
        sum(1 for spent in parts if spent.tokens),
        sum(spent.tokens for spent in parts),
        sum(spent.seconds for spent in parts),
        sum(spent.money for spent in parts),
    )


def exceeded(spent: Used, limits: Limits, money_today: float = 0.0) -> str | None:
    """Which limit is reached, in words; None while all hold. A limit is reached when it is used up, not when it is passed."""
    if spent.steps >= limits.steps:
        return f"the budget of {limits.steps} steps an incident is spent"
    if spent.tokens >= limits.tokens:
        return f"the budget of {limits.tokens:,} tokens an incident is spent"
    if spent.seconds >= limits.seconds:
        return f"the budget of {limits.seconds:g} seconds an incident is spent"
    if limits.money and spent.money >= limits.money:
        return f"the budget of {limits.money:g} an incident is spent"
    if limits.money_a_day and money_today >= limits.money_a_day:
        return f"the budget of {limits.money_a_day:g} a day is spent"
    return None


def money_in(events: Iterable[Event]) -> float:
    """Money noted on the given events: for the day's total, give it the day's events of all incidents."""
    return used(events).money


def total(spent: Iterable[Spent]) -> Spent:
    """The sum of several calls, such as an answer and its repair."""
    parts = list(spent)
    return Spent(
        sum(s.prompt_tokens for s in parts),
        sum(s.completion_tokens for s in parts),
        sum(s.money for s in parts),
        sum(s.seconds for s in parts),
    )
