"""The OpenAI reasoner: a language model behind any server that speaks the chat-completions API.

How the server wants to be asked is endpoint.py's; here an answer becomes a move. One that cannot be used is repaired once, one
that thinking ate up is asked for once more with more room; then ReasonerFailed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.domain.notes import (
    AnswerLimitRaised,
    AnswerRepaired,
    ContextCut,
    ConversationGrewLong,
    ModelAwaited,
    Note,
    PromptUsed,
)
from agent.domain.redact import Redactor
from agent.domain.text import visible
from agent.domain.timeline import Event, events_of
from agent.errors import BudgetSpent, ReasonerFailed
from agent.reasoner.llm.budget import Limits, Prices, estimate, exceeded, total, used
from agent.reasoner.llm.completion import Said
from agent.reasoner.llm.conversation import COMPACT_ABOVE, compaction, messages, tokens
from agent.reasoner.llm.endpoint import PATIENCE_S, Answer, Endpoint
from agent.reasoner.llm.move_reading import Unusable, known_tools, read_moves
from agent.reasoner.llm.move_tools import tools_of
from agent.reasoner.llm.prompt_files import Prompt, load
from agent.reasoner.llm.provider_extras import Message
from agent.reasoner.llm.written_calls import calls_in, without_thoughts
from agent.reasoner.protocol import ModelFailed, Move, Reply, Spent, Thought, View
from tools.context import Clock

ANSWER_TOKENS = 2_500
MORE_ROOM = 4  # times as many tokens, once, for an answer that thinking ate up
TRY_S = 20.0  # for a model that had to be left: one attempt, without patience
FAR_BELOW, ROUND = 0.3, 1024  # a server that counts less of what it was sent, or a multiple of this, has cut it
FREE, USUAL = Prices(), Limits()

Tell = Callable[[str, Note], Awaitable[None]]


async def _free() -> float:
    return 0.0


@dataclass
class Asking:
    """One move being asked for: what is sent, what it has cost so far, what has to be noted."""

    view: View
    sent: list[Message]
    tools: list[dict[str, Any]]
    seconds: float
    patience: float
    answer_tokens: int
    notes: list[Note] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)


class OpenAIReasoner:
    """Implements Reasoner. `money_today` gives what all incidents of the day have cost so far.

    `tell` is told at once, by incident, of what people should see while it lasts; without it that stands with the move.
    """

    name = "openai"

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        prompts: Path,
        base_url: str = "",
        timeout_s: float = 60.0,
        prices: Prices = FREE,
        limits: Limits = USUAL,
        money_today: Callable[[], Awaitable[float]] = _free,
        redact: Redactor | None = None,
        answer_tokens: int = ANSWER_TOKENS,
        clock: Clock | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._redact = redact or Redactor()
        self.model = model
        self.prices = prices
        self.limits = limits
        self.endpoint = Endpoint(model=model, api_key=api_key, base_url=base_url, timeout_s=timeout_s, clock=clock)
        self.provider = hashlib.sha256(f"{base_url}\n{model}".encode()).hexdigest()[:12]
        self._answer_tokens = answer_tokens
        self._money_today = money_today
        self._tell = tell
        self._prompts = {name: load(prompts, name) for name in ("incident", "question")}

    async def next_move(self, view: View) -> Thought:
        """The model's next move, repaired once if need be. Raises ReasonerFailed, BudgetSpent."""
        so_far = used(view.events)
        if why := exceeded(so_far, self.limits, await self._money_today()):
            raise BudgetSpent(f"{why[0].upper()}{why[1:]}.")
        asking = self._asking(view, max(self.limits.seconds - so_far.seconds, 1.0))
        try:
            return await self._move(asking)
        except ReasonerFailed as error:
            raise ModelFailed(str(error), total(asking.spent)) from None

    def _asking(self, view: View, seconds: float) -> Asking:
        """What this step sends."""
        prompt = self._prompts["incident" if view.question is None else "question"]
        sent: list[Message] = self._redact.value(messages(view, prompt.text, self.provider))
        asking = Asking(
            view,
            sent,
            tools_of(view),
            min(seconds, TRY_S) if view.once else seconds,
            0.0 if view.once else PATIENCE_S,
            max([self._answer_tokens, *_raised(view.events)]),
            [_from(prompt, self.model)],
        )
        if tokens(asking.sent, asking.tools) > COMPACT_ABOVE:
            asking.notes.append(ConversationGrewLong(text="the conversation grew long", compaction=compaction(view)))
        return asking

    async def _move(self, asking: Asking) -> Thought:
        said = await self._ask(asking)
        try:
            move = _move_in(said, asking.view)
        except Unusable as problem:
            if said.finish == "length":
                said, move = await self._with_more_room(asking, problem)
            else:
                said, move = await self._repaired(asking, problem)
        given = {**self._redact.value(dict(said.given)), "of": self.provider}
        return Thought(move, self.name, total(asking.spent), tuple(asking.notes), given)

    async def _with_more_room(self, asking: Asking, problem: Unusable) -> tuple[Said, Move]:
        """The same asked again with a higher limit, which is kept to from then on; repaired if that is no move either."""
        if asking.answer_tokens > self._answer_tokens:  # raised before
            return await self._repaired(asking, problem)
        asking.answer_tokens = MORE_ROOM * self._answer_tokens
        text = f"the answer of {self.model} was cut off: its limit is raised to {asking.answer_tokens} tokens"
        asking.notes.append(AnswerLimitRaised(text=text, show=True, answer_tokens=asking.answer_tokens))
        said = await self._ask(asking)
        try:
            return said, _move_in(said, asking.view)
        except Unusable as again:
            return await self._repaired(asking, again)

    async def _repaired(self, asking: Asking, problem: Unusable) -> tuple[Said, Move]:
        text = visible(str(problem), 1000)
        asking.notes.append(AnswerRepaired(text=f"repaired: {visible(str(problem), 300)}", repair=text))
        asking.sent.append(self._redact.value(_repair(problem)))
        said = await self._ask(asking)
        try:
            return said, _move_in(said, asking.view)
        except Unusable as again:
            cut = (
                f" It was cut off at {asking.answer_tokens} tokens: raise llm.answer_tokens."
                if said.finish == "length"
                else ""
            )
            raise ReasonerFailed(f"{self.model} gave no usable move, also when asked again: {again}{cut}") from None

    async def _ask(self, asking: Asking) -> Said:
        """One answer, paid for and looked at. Raises ReasonerFailed."""

        async def waits(text: str) -> None:
            note = ModelAwaited(text=text, show=True, waits=True)
            if self._tell is None:
                asking.notes.append(note)
            else:
                await self._tell(asking.view.incident.id, note)

        answer = await self.endpoint.ask(
            asking.sent,
            asking.tools,
            asking.answer_tokens,
            seconds=asking.seconds,
            patience=asking.patience,
            waits=waits,
        )
        asking.spent.append(self._spent(answer, asking))
        asking.seconds = max(asking.seconds - answer.seconds, 1.0)
        size = tokens(asking.sent, asking.tools)
        known = (*(event.payload for event in asking.view.events), *asking.notes)
        told = any(isinstance(note, ContextCut) for note in known)
        if not told and cut_short(answer.said, size):
            asking.notes.append(ContextCut(text=self._cut(answer.said, size), show=True, cut=answer.said.asked))
        return answer.said

    def _cut(self, said: Said, size: int) -> str:
        what = "says that it did not read all" if said.cut else f"read {said.asked} tokens of about {size}"
        return f"{self.endpoint.place} {what} that it was sent: its context is too small and was cut. Give the model a larger one."

    def _spent(self, answer: Answer, asking: Asking) -> Spent:
        """By the server's own count; estimated where it gives none that can be one."""
        asked = answer.said.asked or tokens(asking.sent, asking.tools)
        answered = answer.said.answered or estimate(answer.said.written)
        return Spent(asked, answered, self.prices.of(asked, answered), round(answer.seconds, 3))

    async def close(self) -> None:
        await self.endpoint.close()


def cut_short(said: Said, size: int) -> bool:
    """Whether a server read less than about `size` tokens: by its word, or by its count, which is far below that or stops at a
    usual size of a context. The estimate is generous: a true count is seldom less than half of it."""
    return said.cut or (0 < said.asked < size * FAR_BELOW) or (0 < said.asked < size and said.asked % ROUND == 0)


def _raised(events: Sequence[Event]) -> list[int]:
    """Limits of an answer that this incident has raised before."""
    return [event.payload.answer_tokens for event in events_of(events, AnswerLimitRaised)]


def _move_in(said: Said, view: View) -> Move:
    """The move an answer means, called or written as text; Unusable says why there is none."""
    if said.refusal:
        raise Unusable(
            "You refused. This is operations work on the asker's own systems, and you only look and propose."
        )
    text = without_thoughts(said.text)
    if calls := said.calls or calls_in(text, known_tools(view)):
        return read_moves(calls, view)
    if view.question is not None and text:
        return Reply(text)
    cut = " It was cut off." if said.finish == "length" else ""
    raise Unusable(f"No tool was called.{cut} Answer with tool calls: reads, or one move.")


def _repair(problem: Unusable) -> Message:
    return {"role": "user", "content": f"Your last answer could not be used. {problem} Answer again with tool calls."}


def _from(prompt: Prompt, model: str) -> Note:
    text = f"prompt {prompt.name} version {prompt.version}"
    return PromptUsed(text=text, prompt=prompt.to_json(), model=model)
