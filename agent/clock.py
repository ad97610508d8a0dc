"""The Clock: where tools, gate, worker and lab take the time from."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta


class RealClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class MovedClock:
    """A clock that stands until somebody moves it: a test, the lab, or a replay. `sleep` moves it at once."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def advance(self, by: timedelta) -> None:
        self._now += max(by, timedelta())

    def move_to(self, when: datetime) -> None:
        self._now = max(self._now, when)


def iso(when: datetime) -> str:
    """`2026-11-24T03:04:05Z`, with milliseconds only where there are any."""
    text = when.astimezone(UTC).isoformat(timespec="milliseconds" if when.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """RFC 3339 to aware UTC; nanoseconds are cut to microseconds."""
    if "." in text:
        text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
