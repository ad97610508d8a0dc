"""The OpenAI reasoner: a language model behind any server that speaks the chat-completions API.

Servers differ, so little is relied on: tool choice is left to the model, limits are sent in the parameter the server takes,
content is never null, the system role is `system`. One answer that cannot be used is repaired once; then ReasonerFailed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.case.redact import Redactor
from agent.case.text import visible, whole
from agent.errors import BudgetSpent, ReasonerFailed
from agent.reasoner.budget import Limits, Prices, estimate, exceeded, total, used
from agent.reasoner.move_reading import Unusable, read_moves
from agent.reasoner.move_tools import tools_of
from agent.reasoner.moves import Move, Reply, Spent, Thought, View
from agent.reasoner.prompt import COMPACT_ABOVE, Message, compaction, messages, tokens
from agent.reasoner.prompts import Prompt, load
from tools.context import Json

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ANSWER_TOKENS = 2_500
FREE, USUAL = Prices(), Limits()
MOST_COUNTED = 100_000_000  # tokens of one request that are believed
AGAIN_AFTER_S = 1.0  # one more attempt after 429 or 5xx


@dataclass(frozen=True, slots=True)
class Said:
    """A server's answer, as far as it made sense."""

    text: str
    calls: tuple[tuple[str, str], ...]  # name and arguments
    finish: str
    refusal: str
    spent: Spent


async def _free() -> float:
    return 0.0


class OpenAIReasoner:
    """Implements Reasoner. `money_today` gives what all incidents of the day have cost so far."""

    name = "openai"

    def __init__(
        self, *, model: str, api_key: str, prompts: Path, base_url: str = "", timeout_s: float = 60.0,
        prices: Prices = FREE, limits: Limits = USUAL, money_today: Callable[[], Awaitable[float]] = _free,
        redact: Redactor | None = None,
    ) -> None:  # fmt: skip
        self._redact = redact or Redactor()
        self.model = model
        self.prices = prices
        self.limits = limits
        self.timeout_s = timeout_s
        self._api_key = api_key
        self._base_url = base_url
        self._money_today = money_today
        self._prompts = {name: load(prompts, name) for name in ("incident", "question")}
        self._lengths = _lengths(base_url)
        self._client: AsyncOpenAI | None = None

    async def next_move(self, view: View) -> Thought:
        """The model's next move, repaired once if need be. Raises ReasonerFailed, BudgetSpent."""
        so_far = used(view.events)
        if why := exceeded(so_far, self.limits, await self._money_today()):
            raise BudgetSpent(f"{why[0].upper()}{why[1:]}.")
        prompt = self._prompts["incident" if view.question is None else "question"]
        tools, sent = tools_of(view), self._redact.value(messages(view, prompt.text))
        notes: list[dict[str, Json]] = [_from(prompt, self.model)]
        if tokens(sent, tools) > COMPACT_ABOVE:
            notes.append({"text": "the conversation grew long", "compaction": compaction(view)})
        seconds = min(self.timeout_s, max(self.limits.seconds - so_far.seconds, 1.0))
        said = await self._ask(sent, tools, seconds)
        spent = [said.spent]
        try:
            move = _move_in(said, view)
        except Unusable as problem:
            notes.append({"text": f"repaired: {visible(str(problem), 300)}", "repair": visible(str(problem), 1000)})
            said = await self._ask([*sent, self._redact.value(_repair(problem))], tools, seconds)
            spent.append(said.spent)
            move = self._second(said, view)
        return Thought(move, self.name, total(spent), tuple(notes))

    def _second(self, said: Said, view: View) -> Move:
        try:
            return _move_in(said, view)
        except Unusable as problem:
            raise ReasonerFailed(f"{self.model} gave no usable move, also when asked again: {problem}") from None

    async def _ask(self, sent: Sequence[Message], tools: Sequence[dict[str, Any]], seconds: float) -> Said:
        """One request with a deadline; once more where the server asks for patience. Raises ReasonerFailed."""
        from openai import APIError, APIStatusError

        for last in (False, True):
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._send(sent, tools)
            except TimeoutError:
                raise ReasonerFailed(
                    f"{self.model} gave no answer within {seconds:g} s. Is {self._place} up?"
                ) from None
            except APIStatusError as error:
                if not last and (error.status_code == 429 or error.status_code >= 500):
                    await asyncio.sleep(AGAIN_AFTER_S)
                    continue
                raise ReasonerFailed(
                    f"{self._place} answered {error.status_code}: {visible(str(error), 300)}"
                ) from None
            except (APIError, ValueError) as error:
                raise ReasonerFailed(
                    f"{self._place} cannot be used: {type(error).__name__}: {visible(str(error), 300)}"
                ) from None
            return self._said(answer, sent, tools, asyncio.get_running_loop().time() - started)
        raise ReasonerFailed(f"{self._place} gave no answer.")

    async def _send(self, sent: Sequence[Message], tools: Sequence[dict[str, Any]]) -> Any:
        """The request, with the length limit in the parameter this server takes; learned once where it refuses one."""
        from openai import BadRequestError

        client: Any = self._connected()
        try:
            return await client.chat.completions.create(
                model=self.model, messages=list(sent), tools=list(tools), **dict.fromkeys(self._lengths, ANSWER_TOKENS)
            )
        except BadRequestError as error:
            kept = tuple(n for n in self._lengths if n not in str(error)) or ("max_tokens",)
            if not any(n in str(error) for n in ("max_tokens", "max_completion_tokens")):
                raise
            self._lengths = kept if kept != self._lengths else ("max_completion_tokens",)
            return await client.chat.completions.create(
                model=self.model, messages=list(sent), tools=list(tools), **dict.fromkeys(self._lengths, ANSWER_TOKENS)
            )

    def _connected(self) -> AsyncOpenAI:
        """The client, made at the first use: importing the SDK takes most of a second."""
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                api_key=self._api_key or "none", base_url=self._base_url or None, timeout=self.timeout_s, max_retries=0
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def _place(self) -> str:
        return self._base_url or "the OpenAI API"

    def _said(self, answer: Any, sent: Sequence[Message], tools: Sequence[dict[str, Any]], seconds: float) -> Said:
        """The SDK takes any JSON for an answer, so every part of it may be of any type."""
        choices = getattr(answer, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if message is None or not hasattr(message, "content"):
            raise ReasonerFailed(
                f"{self._place} answered something that is no chat completion. Is it the right address?"
            )
        calls = tuple(_calls(getattr(message, "tool_calls", None)))
        text = whole(message.content) if isinstance(message.content, str) else ""
        written = text + "".join(name + arguments for name, arguments in calls)
        spent = self._spent(getattr(answer, "usage", None), sent, tools, written, seconds)
        return Said(
            text, calls, str(getattr(choice, "finish_reason", "") or ""), str(getattr(message, "refusal", "") or ""), spent
        )  # fmt: skip

    def _spent(
        self, usage: Any, sent: Sequence[Message], tools: Sequence[dict[str, Any]], written: str, seconds: float
    ) -> Spent:
        """By the server's own count; estimated where it gives none that can be one."""
        asked = _count(getattr(usage, "prompt_tokens", None)) or tokens(sent, tools)
        answered = _count(getattr(usage, "completion_tokens", None)) or estimate(written)
        return Spent(asked, answered, self.prices.of(asked, answered), round(seconds, 3))


def _calls(written: Any) -> Iterator[tuple[str, str]]:
    """Name and arguments of each tool call that has them."""
    for one in written if isinstance(written, list) else ():
        function: Any = getattr(one, "function", None)
        if hasattr(function, "name"):
            arguments = getattr(function, "arguments", None)
            written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
            yield whole(str(function.name or "")), whole(written)


def _count(value: Any) -> int:
    """A number of tokens, or 0 where it is none: a server's word must not lift a budget."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_COUNTED else 0


def _lengths(base_url: str) -> tuple[str, ...]:
    """OpenAI's own newer models refuse `max_tokens`; other servers ignore `max_completion_tokens`."""
    return (
        ("max_completion_tokens",)
        if not base_url or "api.openai.com" in base_url
        else ("max_tokens", "max_completion_tokens")
    )


def _move_in(said: Said, view: View) -> Move:
    """The move an answer means; Unusable says why there is none."""
    if said.refusal:
        raise Unusable(
            "You refused. This is operations work on the asker's own systems, and you only look and propose."
        )
    if said.calls:
        return read_moves(said.calls, view)
    if view.question is not None and said.text.strip():
        return Reply(said.text.strip())
    cut = " It was cut off." if said.finish == "length" else ""
    raise Unusable(f"No tool was called.{cut} Answer with tool calls: reads, or one move.")


def _repair(problem: Unusable) -> Message:
    return {"role": "user", "content": f"Your last answer could not be used. {problem} Answer again with tool calls."}


def _from(prompt: Prompt, model: str) -> dict[str, Json]:
    return {"text": f"prompt {prompt.name} version {prompt.version}", "prompt": prompt.to_json(), "model": model}
