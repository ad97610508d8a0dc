"""Alerting rules over the lab's history: when each alert was pending and firing, and what is firing now.

Rules are evaluated only when somebody asks: over the last six hours for what is active now (and further back as long as
something is active at the beginning), over the window of the query for `ALERTS`. What has been evaluated is kept, and as
time goes on only the new steps are added. The samples of the past must therefore not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import quote_plus

import numpy as np

from agent.clock import iso
from agent.lab.ports import Floats, Millis, Rule, Samples, Series
from agent.lab.promql import STALE_MARKER, Labels, Options, Vector, ranged
from agent.lab.promql.values import nameless
from agent.lab.templates import filled

STEP_MS = 30_000
BLOCK_STEPS = 720  # six hours
FURTHEST_BACK_MS = 14 * 86_400_000  # an alert that has been active for longer is as old as this
SYNTHETIC = ("ALERTS", "ALERTS_FOR_STATE")


@dataclass(frozen=True, slots=True)
class Interval:
    """One alert from the step at which its expression began to hold until it ceased. Times in milliseconds."""

    rule: Rule
    labels: Mapping[str, str]  # alertname, the rule's and the series' labels
    series: Mapping[str, str]  # the labels of the expression's result, which templates see
    active_ms: int
    fired_ms: int | None  # None: it never fired, or does not yet
    ended_ms: int | None  # the first step at which it no longer held; None: still active
    value: float  # of the expression, when it last held

    @property
    def state(self) -> str:
        return "pending" if self.fired_ms is None else "firing"

    def annotations(self) -> dict[str, str]:
        return {name: filled(text, self.series, self.value) for name, text in self.rule.annotations.items()}


@dataclass(frozen=True, slots=True)
class Block:
    """What a rule's expression gave over some consecutive steps."""

    steps: Millis
    result: Vector


class WithAlerts:
    """Samples with the series that a Prometheus adds for its alerting rules, `ALERTS` and `ALERTS_FOR_STATE`."""

    def __init__(self, samples: Samples, rules: Sequence[Rule], options: Options | None = None) -> None:
        self.rules = rules
        self._samples = samples
        self._histories = [History(rule, samples, options or Options()) for rule in rules]

    def now_ms(self) -> int:
        return self._samples.now_ms()

    def names(self) -> Sequence[str]:
        return [*(SYNTHETIC if self.rules else ()), *self._samples.names()]

    def metadata(self) -> Mapping[str, tuple[str, str]]:
        return self._samples.metadata()

    def series(self, name: str | None = None) -> Sequence[Series]:
        """The synthetic series of all that has to be evaluated for them: the whole history."""
        if name in SYNTHETIC:
            return self.series_within(name, self.now_ms() - FURTHEST_BACK_MS, self.now_ms())
        if name is not None:
            return self._samples.series(name)
        return [*self._samples.series(), *chain.from_iterable(self.series(one) for one in SYNTHETIC)]

    def series_within(
        self, name: str, since_ms: int, until_ms: int, alertname: Callable[[str], bool] = bool
    ) -> Sequence[Series]:
        """Of the synthetic series those of the alerts whose name passes: the other rules are not evaluated."""
        if name not in SYNTHETIC:
            return self._samples.series(name)
        wanted = [history for history in self._histories if alertname(history.rule.name)]
        found = [one for history in wanted for one in history.intervals(since_ms, until_ms)]
        return synthetic(name, found, min(until_ms, self.now_ms()))

    def intervals(self, since_ms: int, until_ms: int) -> list[Interval]:
        """All alerts that were pending or firing in between; what began before since is complete."""
        return [one for history in self._histories for one in history.intervals(since_ms, until_ms)]

    def active(self) -> list[Interval]:
        """What is pending or firing now, that is at the last step."""
        now = self.now_ms()
        return [one for one in self.intervals(now, now) if one.ended_ms is None]


class History:
    """One rule's evaluations, in blocks that follow on one another."""

    def __init__(self, rule: Rule, samples: Samples, options: Options) -> None:
        self.rule = rule
        self._samples = samples
        self._options = options
        self._blocks: list[Block] = []

    def intervals(self, since_ms: int, until_ms: int) -> list[Interval]:
        """The rule's alerts that were pending or firing in between."""
        furthest = (self._samples.now_ms() - FURTHEST_BACK_MS) // STEP_MS * STEP_MS
        since = max(since_ms // STEP_MS * STEP_MS, furthest)
        until = min(until_ms, self._samples.now_ms()) // STEP_MS * STEP_MS
        self._go_on(until)
        while (oldest := int(self._blocks[0].steps[0])) > furthest and (
            since < oldest or reaches_back(self._blocks[0], since)
        ):
            self._blocks.insert(0, self._evaluated(oldest - BLOCK_STEPS * STEP_MS, oldest - STEP_MS))
        begin = next((n for n, block in enumerate(self._blocks) if block.steps[-1] >= since), len(self._blocks) - 1)
        while begin and reaches_back(self._blocks[begin], since):
            begin -= 1
        joined = join(self._blocks[begin:])
        upto = int(np.searchsorted(joined.steps, until, side="right"))
        return intervals_of(self.rule, joined.steps[:upto], joined.result, since)

    def _go_on(self, until: int) -> None:
        if not self._blocks:
            self._blocks.append(self._evaluated(until - (BLOCK_STEPS - 1) * STEP_MS, until))
        newest = int(self._blocks[-1].steps[-1])
        for begin in range(newest + STEP_MS, until + 1, BLOCK_STEPS * STEP_MS):
            self._append(self._evaluated(begin, min(until, begin + (BLOCK_STEPS - 1) * STEP_MS)))

    def _append(self, block: Block) -> None:
        if self._blocks[-1].steps.size + block.steps.size <= BLOCK_STEPS:
            self._blocks[-1] = join([self._blocks[-1], block])
        else:
            self._blocks.append(block)

    def _evaluated(self, begin: int, end: int) -> Block:
        answer = ranged(self._samples, self.rule.expr, begin, end, STEP_MS, self._options)
        if isinstance(answer.value, Vector):
            labels = [nameless(labels) for labels in answer.value.labels]
            return Block(answer.steps, Vector(labels, answer.value.values, answer.value.present))
        values: Floats = np.asarray(answer.value)[np.newaxis, :]
        return Block(answer.steps, Vector([()], values, np.ones(values.shape, dtype=bool)))


def join(blocks: Sequence[Block]) -> Block:
    steps = np.concatenate([block.steps for block in blocks])
    rows: dict[Labels, int] = {}
    for labels in chain.from_iterable(block.result.labels for block in blocks):
        rows.setdefault(labels, len(rows))
    values, present = np.zeros((len(rows), steps.size)), np.zeros((len(rows), steps.size), dtype=bool)
    begin = 0
    for block in blocks:
        where = [rows[labels] for labels in block.result.labels]
        values[where, begin : begin + block.steps.size] = block.result.values
        present[where, begin : begin + block.steps.size] = block.result.present
        begin += block.steps.size
    return Block(steps, Vector(list(rows), values, present))


def reaches_back(block: Block, since_ms: int) -> bool:
    """Whether something that is active at `since_ms` has been so from the block's beginning on, and perhaps before."""
    upto = int(np.searchsorted(block.steps, since_ms, side="right"))
    return bool(block.result.present[:, : max(upto, 1)].all(axis=1).any())


def intervals_of(rule: Rule, steps: Millis, result: Vector, since_ms: int) -> list[Interval]:
    """Runs of steps at which a series is there. It fires at the first step that is `for` or more after the run's first."""
    found = []
    changes = np.diff(result.present[:, : steps.size].astype(np.int8), prepend=0, append=0, axis=1)
    for labels, values, change in zip(result.labels, result.values, changes, strict=True):
        edges = np.flatnonzero(change)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end < steps.size and steps[end] < since_ms:
                continue
            value, series = float(values[end - 1]), dict(labels)
            own = {name: filled(text, series, value) for name, text in rule.labels.items()}
            firing = int(np.searchsorted(steps, steps[begin] + rule.for_s * 1000))
            found.append(
                Interval(
                    rule=rule,
                    labels={**series, **own, "alertname": rule.name},
                    series=series,
                    active_ms=int(steps[begin]),
                    fired_ms=int(steps[firing]) if firing < end else None,
                    ended_ms=int(steps[end]) if end < steps.size else None,
                    value=value,
                )
            )
    return found


def synthetic(name: str, intervals: Sequence[Interval], until_ms: int) -> list[Series]:
    """The series of ALERTS or ALERTS_FOR_STATE, each run of samples closed by a stale marker as Prometheus does."""
    parts: dict[Labels, list[tuple[Millis, Floats]]] = {}
    for interval in sorted(intervals, key=lambda one: one.active_ms):
        for state, begin, end, value in spans(name, interval):
            labels = {**interval.labels, **state, "__name__": name}
            times = np.arange(begin, (until_ms if end is None else end) + 1, STEP_MS, dtype=np.int64)
            values = np.full(times.size, value)
            if end is not None:
                values[-1] = STALE_MARKER
            parts.setdefault(tuple(sorted(labels.items())), []).append((times, values))
    return [
        Series(
            dict(labels), np.concatenate([times for times, _ in runs]), np.concatenate([values for _, values in runs])
        )
        for labels, runs in parts.items()
    ]


def spans(name: str, interval: Interval) -> Iterator[tuple[dict[str, str], int, int | None, float]]:
    """State labels, first step, the step at which it is gone (None: it is not), and the samples' value."""
    if name == "ALERTS_FOR_STATE":
        yield {}, interval.active_ms, interval.ended_ms, float(interval.active_ms // 1000)
        return
    if interval.fired_ms != interval.active_ms:
        gone = interval.ended_ms if interval.fired_ms is None else interval.fired_ms
        yield {"alertstate": "pending"}, interval.active_ms, gone, 1.0
    if interval.fired_ms is not None:
        yield {"alertstate": "firing"}, interval.fired_ms, interval.ended_ms, 1.0


def firing(samples: WithAlerts, external_url: Callable[[], str]) -> list[dict[str, object]]:
    """What fires now, each as an alert in Alertmanager's webhook."""
    return [
        {
            "status": "firing",
            "labels": dict(sorted(one.labels.items())),
            "annotations": one.annotations(),
            "startsAt": iso(datetime.fromtimestamp(one.fired_ms / 1000, UTC)),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": f"{external_url()}/graph?g0.expr={quote_plus(one.rule.expr)}&g0.tab=1",
            "fingerprint": fingerprint(one.labels),
        }
        for one in samples.active()
        if one.fired_ms is not None
    ]


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus' fingerprint of a label set: FNV-1a over its sorted pairs, 16 hexadecimal digits."""
    result = 0xCBF29CE484222325
    for name, value in sorted(labels.items()):
        for byte in (*name.encode(), 0xFF, *value.encode(), 0xFF):
            result = (result ^ byte) * 0x100000001B3 % 2**64
    return f"{result:016x}"
