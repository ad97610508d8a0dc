"""How good "out of line" is: `python -m tests.bench_signals [COUNT] [--tuning]`, on series whose truth is known.

The figures that are told come from a seed on which nothing was tuned; `--tuning` shows those of the seed that was used for that.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.platform.known import KnownPlatform
from tests.labelled_series import NOW, Case, cases
from tools.analysis.series import Series
from tools.context import Subject
from tools.signals.dialects import Dialect
from tools.signals.question import DIALECT, Targets
from tools.signals.readings import Reading, readings
from tools.signals.signal import AHEAD, COARSE_S, EARLIER, FINE_S, LEAST_MINUTES, PAST

TUNING, TOLD = 11, 2026
SINCE = NOW - LEAST_MINUTES * 60
FRAME_S = PAST.total_seconds() + LEAST_MINUTES * 60
SERVICE = Subject("Service", "", "", "mill")
ASKED = Dialect(name="made", source="https://example.org", query="max by (<by>)(made{<match>})")
PLATFORM = KnownPlatform()


@dataclass
class Score:
    """Counts of what was said of windows, and how far the told onset was from the true one (seconds; 0 within it)."""

    hits: int = 0
    misses: int = 0
    false: int = 0
    quiet: int = 0
    onsets: list[float] = field(default_factory=list)
    untold: int = 0

    @property
    def precision(self) -> float:
        return self.hits / max(self.hits + self.false, 1)

    @property
    def recall(self) -> float:
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def false_of_1000(self) -> float:
        return 1000 * self.false / max(self.quiet, 1)

    def line(self) -> str:
        text = (
            f"precision {self.precision:.3f}  recall {self.recall:.3f}  false alarms {self.false_of_1000:5.1f} of 1,000"
        )
        if self.onsets:
            off = [one for one in self.onsets if one]
            text += f"  onset within its interval {1 - len(off) / len(self.onsets):.3f}"
            text += f", else off by {np.median(off):.0f} s (median)" if off else ""
        return text


def series_of(case: Case, step: float, ago: float = 0.0) -> Series:
    """The series in the frame of a look, or in that of an earlier day, moved to today."""
    until = NOW - ago + (AHEAD.total_seconds() if ago else 0)
    times, values = case.values(NOW - FRAME_S - ago, until, step)
    return Series({"job": "mill", "instance": "mill:80", DIALECT: ASKED.name}, times + ago, values)


def look(case: Case) -> Reading:
    """What a look says: coarse at first, and closer where that is out of line."""
    first = _read(case, [series_of(case, COARSE_S)])
    if not first.bad:
        return first
    closer = [series_of(case, FINE_S)]
    second = _read(case, closer)
    for ago in (one.total_seconds() for one in EARLIER if second.bad):
        then = series_of(case, COARSE_S, ago)
        if then.finite.size:
            return _read(case, closer, [then])
    return second


def _read(case: Case, found: list[Series], then: Sequence[Series] = ()) -> Reading:
    place = (Targets(), PLATFORM, SINCE, NOW)
    signal = case.signal.model_copy(update={"dialects": (ASKED,)})
    return readings(signal, "", {ASKED.name: ASKED}, found, [SERVICE], *place, then)[0]


def add(score: Score, case: Case, said: Reading) -> None:
    score.quiet += not case.bad
    score.false += said.bad and not case.bad
    score.hits += said.bad and case.bad
    score.misses += case.bad and not said.bad
    if case.began is not None and said.bad:
        if said.began is None:
            score.untold += 1
        else:
            first, last = said.began
            score.onsets.append(max(first - case.began, case.began - last, 0.0))


def scored(many: Iterable[Case]) -> dict[str, Score]:
    """Scores of all, by kind and by season."""
    found: dict[str, Score] = defaultdict(Score)
    for case in many:
        said = look(case)
        for group in ("all", f"kind {case.kind}", f"season {case.season}", f"tail {case.tail}"):
            add(found[group], case, said)
    return found


def main(words: list[str]) -> None:
    count = next((int(word) for word in words if word.isdigit()), 6000)
    seed = TUNING if "--tuning" in words else TOLD
    for group, score in sorted(scored(cases(count, seed)).items()):
        print(f"{group:36} {score.line()}")


if __name__ == "__main__":
    main(sys.argv[1:])
