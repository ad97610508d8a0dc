"""Parameters of Prometheus' HTTP API: times, durations and selectors, refused in its own words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from promql_parser import VectorSelector

from agent.clock import parse_time
from agent.lab.promql import QueryError, parse
from agent.lab.promql.functions import LABEL_NAME
from agent.lab.promql.values import quoted

DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
UNITS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
LARGEST_MS = 2**63 // 1_000_000
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Refusal(Exception):
    """A parameter that Prometheus answers with 400 bad_data; the text is its `error`."""


class Parameters:
    """Form first, then query string, then path: the first value of a name counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def all(self, name: str) -> list[str]:
        return [value for its_name, value in self._pairs if its_name == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def time(self, name: str, default: int | None) -> int | None:
        """A time that may be left out, in milliseconds."""
        text = self.get(name)
        if not text:
            return default
        moment = milliseconds_of(text)
        if moment is None:
            said = f"Invalid time value for '{name}': cannot parse {quoted(text)} to a valid timestamp"
            raise Refusal(f'invalid parameter "{name}": {said}')
        return moment

    def moment(self, name: str) -> int:
        text = self.get(name)
        moment = milliseconds_of(text)
        if moment is None:
            raise Refusal(f'invalid parameter "{name}": cannot parse {quoted(text)} to a valid timestamp')
        return moment

    def duration(self, name: str) -> int:
        text = self.get(name)
        length = duration_of(text)
        if length is None:
            raise Refusal(f'invalid parameter "{name}": cannot parse {quoted(text)} to a valid duration')
        return length

    def step(self) -> int:
        step = self.duration("step")
        if step <= 0:
            raise Refusal(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        return step

    def timeout(self) -> None:
        """Accepted and of no effect: no query here takes long."""
        if self.get("timeout"):
            self.duration("timeout")

    def limit(self) -> int:
        text = self.get("limit")
        if text and re.fullmatch(r"[+-]?\d+", text) is None:
            raise Refusal("limit must be a number")
        return int(text or -1)

    def selector(self, text: str) -> VectorSelector:
        try:
            expr = parse(text)
        except QueryError as error:
            if "non-empty matcher" in str(error):
                raise Refusal("match[] must contain at least one non-empty matcher") from error
            raise Refusal(f'invalid parameter "match[]": {error}') from error
        if not isinstance(expr, VectorSelector):
            place = max(text.find("["), text.find("("), 0)
            raise Refusal(
                f'invalid parameter "match[]": 1:{place + 1}: parse error: unexpected {quoted(text[place : place + 1])}'
            )
        return expr


def label_name(name: str) -> str:
    if LABEL_NAME.fullmatch(name) is None:
        raise Refusal(f"invalid label name: {quoted(name)}")
    return name


def milliseconds_of(text: str) -> int | None:
    """Unix seconds, or RFC 3339."""
    try:
        seconds = float(text) if "_" not in text else math.nan
    except ValueError:
        return int(parsed(text).timestamp() * 1000) if RFC_3339.fullmatch(text) else None
    return round(seconds * 1000) if math.isfinite(seconds) else None


def parsed(text: str) -> datetime:
    return parse_time(text)


def duration_of(text: str) -> int | None:
    """Seconds, or a duration such as `1h30m`, in milliseconds."""
    try:
        seconds = float(text) if "_" not in text else math.nan
        return int(seconds * 1000) if abs(seconds * 1000) < LARGEST_MS else None
    except ValueError:
        match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    length = sum(int(count) * unit for count, unit in zip(match.groups(), UNITS, strict=True) if count)
    return length if length < LARGEST_MS else None
