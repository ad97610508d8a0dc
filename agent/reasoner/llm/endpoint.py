"""One server that speaks the chat-completions API: asked with patience, and as it wants to be asked.

Few things are relied on. What a server refuses is left out from then on (manners.py); one that has no room now, is loading its
model, hung up, or wrapped its error in a success is asked again: after what it says, within the deadline, a bounded number of
times. Waits go by `clock`. That is the clock of the server's world, so the machine's, also where the incident's is the lab's:
the lab stands while anyone thinks.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.clock import RealClock
from agent.domain.text import visible
from agent.errors import ReasonerFailed
from agent.reasoner.llm.completion import CutOff, InsideError, NoCompletion, Said, said
from agent.reasoner.llm.provider_extras import Message
from agent.reasoner.llm.quirks import REFUSED, Manners
from tools.context import Clock

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, AsyncOpenAI

PATIENCE_S = (
    120.0  # waited for one answer, at most: then the runbook reasoner goes on, and the server is tried again later
)
CONNECT_S = 10.0
BLIND_S = (1.0, 2.0, 4.0)  # between attempts where a server does not say how long
SHORTEST_S = 0.5  # also where a server asks for less
LOADING_S = 3.0  # the same, while it loads its model
MOST_ATTEMPTS = 40
MOST_LESSONS = 6  # learned within one request

Waits = Callable[[str], Awaitable[None]]


class NotNow(Exception):
    """Worth another attempt; `seconds` is how long the server asks to wait, None where it does not say."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Answer:
    said: Said
    seconds: float  # with all waiting


async def silent(text: str) -> None:
    """Nobody is told of a wait."""


class Endpoint:
    """`place` names it to people. One client for all incidents; made at the first use."""

    def __init__(
        self, *, model: str, api_key: str, base_url: str = "", timeout_s: float = 60.0, clock: Clock | None = None
    ) -> None:
        self.model = model
        self.place = base_url or "the OpenAI API"
        self.timeout_s = timeout_s
        self.manners = Manners(both=bool(base_url) and "api.openai.com" not in base_url)
        self._api_key = api_key
        self._base_url = base_url
        self._clock = clock or RealClock()
        self._client: AsyncOpenAI | None = None

    async def ask(
        self,
        sent: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        tokens: int,
        *,
        seconds: float,
        patience: float = PATIENCE_S,
        waits: Waits = silent,
    ) -> Answer:
        """One answer of at most so many tokens, within `seconds`. `waits` is told once, before the first wait.

        Raises ReasonerFailed.
        """
        self._connected()  # loading the SDK is not the server's time
        spent, waited, blind = 0.0, 0.0, 0
        for _ in range(MOST_ATTEMPTS):
            room = min(self.timeout_s, seconds - spent)
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(max(room, 0.0)):
                    found = await self._taught(sent, tools, tokens)
                return Answer(found, spent + asyncio.get_running_loop().time() - started)
            except TimeoutError:
                raise ReasonerFailed(f"{self.model} gave no answer within {room:g} s. Is {self.place} up?") from None
            except NotNow as busy:
                pause = busy.seconds if busy.seconds is not None else (*BLIND_S, None)[min(blind, len(BLIND_S))]
                blind += busy.seconds is None
                spent += asyncio.get_running_loop().time() - started
                if pause is None or waited + pause > patience or spent + pause >= seconds:
                    raise ReasonerFailed(_given_up(str(busy), busy.seconds, waited)) from None
                if not waited:
                    await waits(f"waiting for {self.model}: {busy}. Asked again in {pause:.3g} s.")
            await self._clock.sleep(pause)
            waited, spent = waited + pause, spent + pause
        raise ReasonerFailed(f"{self.place} gave no answer in {MOST_ATTEMPTS} attempts.")

    async def _taught(self, sent: Sequence[Message], tools: Sequence[Mapping[str, Any]], tokens: int) -> Said:
        """The request, sent again without what the server refuses. Raises NotNow, ReasonerFailed."""
        from openai import APIConnectionError, APIError, APIStatusError

        for _ in range(MOST_LESSONS + 1):
            request = self.manners.request(sent, tools, tokens)
            try:
                return said(await self._send(request))
            except APIStatusError as error:
                if error.status_code not in REFUSED or not self.manners.learn(error.response.text, request):
                    raise self._refused(error) from None
            except InsideError as error:
                if error.code not in (0, *REFUSED) or not self.manners.learn(
                    json.dumps({"message": str(error)}), request
                ):
                    raise self._inside(error) from None
            except CutOff as error:
                raise NotNow(f"{self.place} hung up: {error}") from None
            except NoCompletion as error:
                raise ReasonerFailed(f"{self.place} cannot be used: {error}. Is it the right address?") from None
            except APIConnectionError as error:
                raise self._unconnected(error) from None
            except (APIError, ValueError) as error:
                raise self._unusable(error) from None
        raise ReasonerFailed(f"{self.place} refuses what it is asked, also without {sorted(self.manners.refused)}.")

    async def _send(self, request: Mapping[str, Any]) -> str:
        """The answer's text as it came: streamed or not, the SDK reads it whole and interprets nothing."""
        client: Any = self._connected()
        more = {key: value for key, value in request.items() if key not in ("messages", "tools")}
        given = {key: request[key] for key in ("messages", "tools") if key in request}
        raw = await client.chat.completions.with_raw_response.create(model=self.model, **given, extra_body=more)
        return str(raw.text)

    def _refused(self, error: APIStatusError) -> Exception:
        """What a status means: wait as told, try again, or give up."""
        text = f"{self.place} answered {error.status_code}: {visible(str(error), 300)}"
        if error.status_code not in (408, 409, 425, 429) and error.status_code < 500:
            return ReasonerFailed(text)
        if "insufficient_quota" in error.response.text:
            return ReasonerFailed(f"{text} The account is out of money: no wait helps.")
        told = told_to_wait(error.response.headers, self._clock.now())
        if told is None and error.status_code == 503 and "loading" in error.response.text.lower():
            told = LOADING_S
        return NotNow(text, told)

    def _inside(self, error: InsideError) -> Exception:
        text = f"{self.place} answered 200 with an error inside: {visible(str(error), 300)}"
        lasting = 400 <= error.code < 500 and error.code not in (408, 409, 425, 429)
        return ReasonerFailed(text) if lasting else NotNow(text)

    def _unconnected(self, error: APIError) -> Exception:
        """A connection that was refused, dropped, or not made in time; a server that is silent is not asked again."""
        from openai import APITimeoutError

        cause = type(error.__cause__).__name__
        if isinstance(error, APITimeoutError) and cause != "ConnectTimeout":
            return ReasonerFailed(f"{self.model} gave no answer within {self.timeout_s:g} s. Is {self.place} up?")
        return NotNow(f"{self.place} cannot be reached ({cause}: {visible(str(error.__cause__ or error), 200)})")

    def _unusable(self, error: Exception) -> ReasonerFailed:
        return ReasonerFailed(f"{self.place} cannot be used: {type(error).__name__}: {visible(str(error), 300)}")

    def _connected(self) -> AsyncOpenAI:
        """The client, made at the first use: importing the SDK takes most of a second."""
        if self._client is None:
            from openai import AsyncOpenAI, Timeout

            self._client = AsyncOpenAI(
                api_key=self._api_key or "none",
                base_url=self._base_url or None,
                max_retries=0,
                timeout=Timeout(self.timeout_s, connect=min(CONNECT_S, self.timeout_s)),
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def _given_up(text: str, told: float | None, waited: float) -> str:
    after = f" It was waited for {waited:.3g} s." if waited else ""
    return f"{text}{'' if told is None else f' It asks to wait {told:g} s.'}{after}"


def told_to_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a server asks to wait: the longer of `retry-after-ms` and `retry-after`, which is seconds or a date (by
    the server's own clock where it sends one)."""
    found = [_number(headers.get("retry-after-ms", ""), 1000.0), _number(headers.get("retry-after", ""))]
    if (until := _date(headers.get("retry-after", ""))) is not None:
        found.append((until - (_date(headers.get("date", "")) or now)).total_seconds())
    return max((max(one, SHORTEST_S) for one in found if one is not None), default=None)


def _number(text: str, unit: float = 1.0) -> float | None:
    try:
        seconds = float(text) / unit
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(text: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
