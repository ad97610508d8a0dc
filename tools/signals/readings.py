"""What a signal says of a subject: its value now and before, its own band, when it left it, and which members carry it.

The band is the median of the subject's own past, plus and minus four robust standard deviations (Rousseeuw and Croux 1993:
the scaled median absolute deviation), and never narrower than the signal's floor; where the same hours of an earlier week or
day are known, what was usual then is usual now. An onset is an interval: the scrape and the window of a rate blur it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tools.analysis.anomaly import spread
from tools.analysis.series import Floats, Series
from tools.context import Json, Labels, Platform, Subject
from tools.formatting import at, iso
from tools.signals.dialects import Dialect, Signal
from tools.signals.question import DIALECT, Targets, bare_names, belongs, scraped
from tools.spec import Emptiness

DEVIATIONS = 4.0
LEAST_PAST = 5  # samples without which there is no band
RATE_S = 300.0  # what a rate looks back over, in seconds
STALE_S = 330.0  # a series older than this says nothing of now
NOTHING = Series({}, np.zeros(0), np.zeros(0))
LASTING_S = 90.0  # of samples at the end that all have to be out: one alone is no symptom
OFTEN = 0.1  # a value that the past had as often as this is usual too
LEAST_THEN = 3  # samples of an earlier day without which it says nothing
_ACROSS: Mapping[str, Callable[..., Floats]] = {
    "max": np.fmax.reduce,
    "min": np.fmin.reduce,
    "sum": lambda rows: np.where(np.all(np.isnan(rows), axis=0), np.nan, np.nansum(rows, axis=0)),
    "mean": lambda rows: _mean(rows),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal of one subject in one window. `band` is its usual range, `began` the interval in which it left it (unix
    seconds), `state` high, low or normal against the band or the signal's limit, `unknown` without either. `members` are
    the values now by what carries them, worst first. `nothing` says which kind of nothing it is; the values are then None.
    `past` and `window` are the subject's series before and since the window began."""

    signal: Signal
    subject: Subject
    dialect: str = ""
    query: str = ""
    now: float | None = None
    before: float | None = None
    band: tuple[float, float] | None = None
    began: tuple[float, float] | None = None
    state: str = "unknown"
    members: tuple[tuple[str, float], ...] = ()
    nothing: Emptiness | None = None
    why: str = ""
    last_seen: float | None = None
    past: Series = field(default=NOTHING, compare=False, repr=False)
    window: Series = field(default=NOTHING, compare=False, repr=False)

    @property
    def bad(self) -> bool:
        """Whether it is out of line in a direction that is bad."""
        worse = self.signal.worse
        return (self.state == "high" and worse != "down") or (self.state == "low" and worse != "up")

    @property
    def size(self) -> float:
        """How far out of line it is, in halves of its band; 0 within it."""
        if self.now is None or self.band is None or self.state == "normal":
            return 0.0
        low, high = self.band
        half = max((high - low) / 2, 1e-9)
        return max(self.now - high, low - self.now, 0.0) / half

    def to_json(self) -> Json:
        return {
            "signal": self.signal.signal,
            "subject": self.subject.to_json(),
            "dialect": self.dialect or None,
            "query": self.query or None,
            "now": self.now,
            "before": self.before,
            "band": list(self.band) if self.band else None,
            "began": [iso(at(moment)) for moment in self.began] if self.began else None,
            "state": self.state,
            "unit": self.signal.unit,
            "members": [{"name": name, "value": value} for name, value in self.members],
            "nothing": str(self.nothing) if self.nothing else None,
        }


def readings(
    signal: Signal,
    query: str,
    dialects: Mapping[str, Dialect],
    series: Sequence[Series],
    subjects: Sequence[Subject],
    targets: Targets,
    platform: Platform,
    since: float,
    until: float,
    then: Sequence[Series] = (),
) -> list[Reading]:
    """The reading of each subject that some series is about; of several dialects the first of the signal's that speaks.
    `since` is when the window begins: what is older is the past. `then` are the series of the same hours on an earlier day,
    with today's times."""
    found = []
    named, earlier = (
        [(one, _dialect(one, dialects), _about(one, dialects, targets, platform)) for one in many]
        for many in (series, then)
    )
    order = {dialect.name: place for place, dialect in enumerate(signal.dialects)}
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, (_, _, about) in enumerate(named):
        for name in bare_names(about):
            by_name[name].append(place)
    for subject in subjects:
        near = sorted({place for name in platform.known_as(subject) for place in by_name.get(name, ())})
        fitting = (named[place] for place in near)
        mine = [(one, dialect) for one, dialect, about in fitting if dialect and belongs(about, subject, platform)]
        if mine:
            first = min((dialect for _, dialect in mine), key=lambda dialect: order[dialect.name])
            members = [one for one, dialect in mine if dialect is first]
            old = [one for one, dialect, about in earlier if dialect is first and belongs(about, subject, platform)]
            found.append(_reading(Reading(signal, subject, first.name, query), first, members, old, since, until))
    return found


def _dialect(series: Series, dialects: Mapping[str, Dialect]) -> Dialect | None:
    return dialects.get(series.labels.get(DIALECT, ""))


def _about(
    series: Series, dialects: Mapping[str, Dialect], targets: Targets, platform: Platform
) -> tuple[Subject, ...]:
    dialect = _dialect(series, dialects)
    if dialect is None:
        return ()
    labels = {name: value for name, value in series.labels.items() if name != DIALECT and name not in dialect.peer}
    if not dialect.kind:
        return scraped(targets.of(labels), min(dialect.metrics), platform)
    about = platform.about(labels, min(dialect.metrics))
    if any(one.kind == dialect.kind for one in about) or not labels.get(dialect.naming[-1]):
        return about
    namespace = labels.get(dialect.naming[0], "") if len(dialect.naming) > 1 else labels.get("namespace", "")
    how = f"label {dialect.naming[-1]}"
    return (Subject(dialect.kind, labels.get("cluster", ""), namespace, labels[dialect.naming[-1]], how), *about)


def _reading(
    blank: Reading, dialect: Dialect, members: Sequence[Series], then: Sequence[Series], since: float, until: float
) -> Reading:
    whole = joined(members, blank.signal.across)
    finite = np.isfinite(whole.values)
    if not finite.any():
        return replace(blank, nothing=Emptiness.NO_SAMPLES, why="every value is NaN: nothing was counted in its window")
    last = float(whole.times[finite][-1])
    if until - last > STALE_S:
        return replace(blank, nothing=Emptiness.NO_SAMPLES, why="its series ended", last_seen=last)
    past, window = whole.between(0, since - 1), whole.between(since, until)
    now = float(whole.values[finite][-1])
    band = band_of(past.finite, blank.signal.floor)
    if band and then:
        band = widened(band, joined(then, blank.signal.across).between(since, np.inf).finite, blank.signal.floor)
    state = _state(whole.between(last - LASTING_S, last).finite, band, blank.signal)
    left = began(whole, band, state) if band and state in ("high", "low") else None
    return replace(
        blank,
        now=now,
        before=float(np.median(past.finite)) if past.finite.size else None,
        band=band,
        state=state,
        began=left,
        members=_members(members, dialect, blank.signal, window.times),
        past=past,
        window=window,
    )


def joined(members: Sequence[Series], across: str) -> Series:
    """The members' values as one series of their subject; where a member has no value it is left out."""
    if len(members) == 1:
        return members[0]
    times = np.unique(np.concatenate([one.times for one in members]))
    rows = np.full((len(members), times.size), np.nan)
    for row, one in zip(rows, members, strict=True):
        row[np.searchsorted(times, one.times)] = np.where(np.isfinite(one.values), one.values, np.nan)
    return Series({}, times, _ACROSS[across](rows))


def _mean(rows: Floats) -> Floats:
    counted = np.maximum(np.isfinite(rows).sum(axis=0), 1)
    total: Floats = np.where(np.isfinite(rows).any(axis=0), np.nansum(rows, axis=0) / counted, np.nan)
    return total


def band_of(past: Floats, floor: float) -> tuple[float, float] | None:
    """The usual range of values, not below zero where they never were; None with fewer than LEAST_PAST of them."""
    if past.size < LEAST_PAST:
        return None
    level = float(np.median(past))
    half = max(DEVIATIONS * spread(past), floor)
    low, high = np.quantile(past, (OFTEN, 1 - OFTEN))
    low, high = min(level - half, float(low)), max(level + half, float(high))
    return max(low, 0.0) if past.min() >= 0 else low, high


def widened(band: tuple[float, float], then: Floats, floor: float) -> tuple[float, float]:
    """A band with what was usual at the same hours on an earlier day: its values then, and as much more as the noise between
    neighbours, or the floor."""
    if then.size < LEAST_THEN:
        return band
    low, high = np.quantile(then, (0.1, 0.9))
    more = max(DEVIATIONS * spread(np.diff(then)) / np.sqrt(2), floor)
    lowest = float(low) - more
    return min(band[0], max(lowest, 0.0) if then.min() >= 0 <= band[0] else lowest), max(band[1], float(high) + more)


def _state(newest: Floats, band: tuple[float, float] | None, signal: Signal) -> str:
    """By the newest samples: all of them have to be out."""
    if signal.limit is not None and signal.worse != "both":
        beyond = (newest >= signal.limit if signal.worse == "up" else newest <= signal.limit).all()
        if beyond:
            return "high" if signal.worse == "up" else "low"
    if band is None:
        return "unknown"
    return "high" if (newest > band[1]).all() else "low" if (newest < band[0]).all() else "normal"


def began(series: Series, band: tuple[float, float], state: str) -> tuple[float, float] | None:
    """The interval in which a series left its band for good, in unix seconds: from the last sample within it, less what a
    rate looks back over, to the first outside. None when it was outside from the start, or is not outside at its end."""
    out = series.values > band[1] if state == "high" else series.values < band[0]
    known = np.isfinite(series.values)
    times, out = series.times[known], out[known]
    if not out.size or not out[-1]:
        return None
    inside = np.flatnonzero(~out)
    if not inside.size:
        return None
    first = int(inside[-1]) + 1
    return float(times[first - 1]) - RATE_S, float(times[first])


def _members(
    members: Sequence[Series], dialect: Dialect, signal: Signal, window: Floats
) -> tuple[tuple[str, float], ...]:
    """The newest value of each member, worst first; none where there is but one that says nothing more."""
    start = float(window[0]) if window.size else 0.0
    values = [(_called(one.labels, dialect), one.between(start, np.inf).finite) for one in members]
    last = [(name, float(found[-1])) for name, found in values if found.size]
    ordered = sorted(last, key=lambda one: (one[1] if signal.worse == "down" else -one[1], one[0]))
    return tuple(ordered) if len(ordered) > 1 or dialect.peer else ()


def _called(labels: Labels, dialect: Dialect) -> str:
    names = dialect.peer or dialect.naming[-2:]
    return "/".join(labels[name] for name in names if labels.get(name))
