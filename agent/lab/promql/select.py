"""Selectors: which series match, and which of their samples each step sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import numpy as np
from promql_parser import AtModifier, Matcher, MatchOp, VectorSelector

from agent.lab.ports import Floats, Millis, Samples, Series
from agent.lab.promql.errors import Unsupported
from agent.lab.promql.values import NAME, STALE, Bools, Frame, Indexes, Labels, Vector, Windows, inhabited, labels_of

Test = Callable[[str], bool]
Found = Sequence[tuple[Labels, Series]]


@lru_cache(maxsize=512)
def anchored(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise Unsupported(f"the regular expression {pattern!r} is not one the lab can evaluate: {error}") from error


def test_of(matcher: Matcher) -> Test:
    """A label that is absent has the value ""."""
    wanted = matcher.value
    match str(matcher.op):
        case "MatchOp.Equal":
            return lambda value: value == wanted
        case "MatchOp.NotEqual":
            return lambda value: value != wanted
        case "MatchOp.Re":
            return lambda value: anchored(wanted).fullmatch(value) is not None
        case _:
            return lambda value: anchored(wanted).fullmatch(value) is None


def matchers_of(selector: VectorSelector) -> list[Matcher]:
    """All matchers of a selector, its metric name among them."""
    if selector.matchers.or_matchers:
        raise Unsupported(
            'alternative matchers ({a="1" or b="2"}) are not PromQL of Prometheus; use a regular expression'
        )
    named = [Matcher(MatchOp.Equal, NAME, selector.name)] if selector.name else []
    return named + list(selector.matchers.matchers)


def matching(samples: Samples, matchers: Sequence[Matcher], window: tuple[int, int] | None = None) -> Found:
    """Every series that fits all matchers, by label set. `window`: all the caller will look at, in milliseconds."""
    tests = [(matcher.name, test_of(matcher)) for matcher in matchers if matcher.name != NAME]
    name_tests = [test_of(matcher) for matcher in matchers if matcher.name == NAME]
    exact = [matcher.value for matcher in matchers if matcher.name == NAME and matcher.op == MatchOp.Equal]
    names = exact[:1] or samples.names()
    found = [
        (labels_of(series.labels), series)
        for name in names
        if all(test(name) for test in name_tests)
        for series in series_within(samples, name, window, alertname_of(tests))
        if all(test(series.labels.get(label, "")) for label, test in tests)
    ]
    return sorted(found, key=lambda pair: pair[0])


def alertname_of(tests: Sequence[tuple[str, Test]]) -> Test:
    """Which alerts' series are wanted at all."""
    wanted = [test for label, test in tests if label == "alertname"]
    return lambda name: all(test(name) for test in wanted)


def series_within(samples: Samples, name: str, window: tuple[int, int] | None, alertname: Test) -> Sequence[Series]:
    """Samples that are computed on demand offer `series_within(name, since_ms, until_ms, alertname)`, so that they need
    not compute what nobody looks at."""
    on_demand: Callable[[str, int, int, Test], Sequence[Series]] | None = getattr(samples, "series_within", None)
    if window is None or on_demand is None:
        return samples.series(name)
    return on_demand(name, *window, alertname)


def looked_at(frame: Frame, at: AtModifier | None, offset_ms: int) -> Millis:
    """The moments that an expression with `@` and `offset` looks at, one a step."""
    if at is None:
        return frame.steps - offset_ms
    text = str(at).removeprefix("@ ")
    fixed = {"start()": frame.start_ms, "end()": frame.end_ms}.get(text)
    moment = round(float(text) * 1000) if fixed is None else fixed
    return np.full(frame.steps.size, moment - offset_ms, dtype=np.int64)


def newest(frame: Frame, selector: VectorSelector) -> tuple[Vector, Indexes]:
    """The newest sample within the lookback at each step, and its time (for `timestamp`)."""
    moments = looked_at(frame, selector.at, milliseconds(selector.offset))
    lookback = frame.options.lookback_ms - (1 if frame.options.left_open else 0)
    window = (int(moments.min()) - lookback, int(moments.max()))
    found = matching(frame.samples, matchers_of(selector), window)
    frame.admit(len(found) * moments.size)
    places: dict[int, tuple[Indexes, Millis, Bools]] = {}
    values = np.zeros((len(found), moments.size))
    present = np.zeros(values.shape, dtype=bool)
    times = np.zeros(values.shape, dtype=np.int64)
    for row, (_, series) in enumerate(found):
        if not series.times.size:
            continue
        place = places.get(id(series.times))  # series scraped together share their times
        if place is None:
            index = np.maximum(np.searchsorted(series.times, moments, side="right") - 1, 0)
            at = series.times[index]
            place = places[id(series.times)] = (index, at, (at <= moments) & (at >= moments - lookback))
        values[row], times[row], present[row] = series.values[place[0]], place[1], place[2]
    present &= values.view(np.int64) != STALE
    vector = Vector([labels for labels, _ in found], values, present)
    return inhabited(vector), times[present.any(axis=1)]


def milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration / timedelta(milliseconds=1))


def windows_of(found: Found, starts: Millis, ends: Millis, range_ms: int, frame: Frame) -> Windows:
    """For every series and step the samples within [start, end], or (start, end] where windows are left-open."""
    places: dict[int, Place] = {}
    cuts: list[tuple[Labels, Millis, Floats, Place]] = []
    total = 0
    for labels, series in found:
        place = places.get(id(series.times))  # series scraped together share their times
        if place is None:
            place = places[id(series.times)] = place_of(series.times, starts, ends, frame.options.left_open)
        times, values = series.times[place.first : place.last], series.values[place.first : place.last]
        stale = values.view(np.int64) == STALE
        if stale.any():
            times, values = times[~stale], values[~stale]
            place = place_of(times, starts, ends, frame.options.left_open)
        if (place.high > place.low).any():
            cuts.append((labels, times, values, place))
            total += times.size
            frame.admit(max(total, len(cuts) * starts.size))
    offsets = np.cumsum([0, *(times.size for _, times, _, _ in cuts)])[:-1, np.newaxis]
    return Windows(
        [labels for labels, _, _, _ in cuts],
        np.concatenate([np.zeros(0, dtype=np.int64), *(times for _, times, _, _ in cuts)]),
        np.concatenate([np.zeros(0), *(values for _, _, values, _ in cuts)]),
        np.array([place.low for *_, place in cuts], dtype=np.int64).reshape(-1, starts.size) + offsets,
        np.array([place.high for *_, place in cuts], dtype=np.int64).reshape(-1, starts.size) + offsets,
        starts,
        ends,
        range_ms,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where all windows together lie in a series, [first, last), and each window within that."""

    first: int
    last: int
    low: Indexes
    high: Indexes


def place_of(times: Millis, starts: Millis, ends: Millis, left_open: bool) -> Place:
    first = int(np.searchsorted(times, starts.min()))
    last = int(np.searchsorted(times, ends.max(), side="right"))
    within = times[first:last]
    low = np.searchsorted(within, starts, side="right" if left_open else "left")
    return Place(first, last, low, np.maximum(np.searchsorted(within, ends, side="right"), low))


def subquery_windows(inner: Vector, grid: Millis, starts: Millis, ends: Millis, range_ms: int, frame: Frame) -> Windows:
    """The same over the results of an expression evaluated on a grid of steps."""
    found = []
    for row, labels in enumerate(inner.labels):
        here = inner.present[row]
        found.append((labels, Series({}, grid if here.all() else grid[here], inner.values[row][here])))
    return windows_of(found, starts, ends, range_ms, frame)
