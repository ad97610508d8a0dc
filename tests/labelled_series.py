"""Series whose truth is known because they were made so: quiet ones with seasons, gaps and noise of several tails, and troubled
ones with the moment at which the trouble began. A value is a function of its time, so that any stretch of eight days can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.analysis.series import Floats
from tools.signals.dialects import Signal, signal_named

DAY, WEEK = 86_400.0, 604_800.0
NOW = 1_795_600_000.0
Shape = Callable[[Floats], Floats]

# signal → its usual level, from and to; noise is a share of the level
LEVELS: Mapping[str, tuple[float, float]] = {
    "traffic": (20, 2000),
    "latency_p99": (0.05, 2),
    "latency_mean": (0.02, 0.5),
    "error_ratio": (0.002, 0.01),
    "cpu_use": (0.2, 6),
    "memory_use": (2e8, 8e9),
    "queue_depth": (30, 3000),
    "node_load": (0.1, 1.5),
    "node_memory_available": (0.2, 0.7),
    "threads": (40, 600),
    "cache_hit_ratio": (0.7, 0.98),
    "database_connections": (0.1, 0.5),
}
TAILS = ("normal", "laplace", "student", "lognormal", "poisson")
SEASONS = ("none", "day", "day and week")
QUIET = (
    *("quiet", "quiet", "quiet", "gaps", "nan", "one point"),
    *("ended", "better", "every day", "yesterday only", "two values"),
)
TROUBLED = ("step", "step", "ramp", "step with gaps", "step after the same yesterday", "again")
KEPT = (9 * DAY, 9 * DAY, 9 * DAY, 2 * DAY, 6 * 3600.0)  # seconds of history that a server has


@dataclass(frozen=True)
class Case:
    """One series, seen at NOW. `began` is when the trouble began, None where all is well."""

    kind: str
    season: str
    tail: str
    signal: Signal
    level: float
    noise: float
    began: float | None
    shape: Shape
    blurred: bool  # by the five minutes of a rate
    kept: float  # seconds of history
    seed: int

    @property
    def bad(self) -> bool:
        return self.began is not None

    def values(self, start: float, end: float, step: float) -> tuple[Floats, Floats]:
        """Times and values from start to end; samples that are missing are left out, and some may be NaN."""
        fine = np.arange(start - 300, end + 1, 30.0)
        rng = np.random.default_rng((self.seed, int(start)))
        plain = self.shape(fine) * (1 + self.noise * _noise(rng, self.tail, fine.size))
        if self.blurred:
            plain = np.convolve(plain, np.ones(10) / 10)[: fine.size]
        keep = (fine >= max(start, NOW - self.kept)) & (np.round((fine - start) % step) == 0)
        times, values = fine[keep], np.maximum(plain[keep], 0.0)
        if "ratio" in self.signal.unit:
            values = np.minimum(values, 1.0)
        if self.kind == "two values":  # now and then one more for minutes, as replicas or connections do
            values = self.level * np.where(_bursts(self.seed, times), 1.3, 1.0)
        if self.kind == "one point" and end == NOW:
            values[-1] = (
                values[-1]
                + _worse(self.signal) * 8 * self.noise * self.level
                + _worse(self.signal) * 3 * self.signal.floor
            )
        if self.kind in ("gaps", "step with gaps"):
            here = rng.random(times.size) > 0.2
            here[-2:] = True
            times, values = times[here], values[here]
        if self.kind == "nan":
            values[rng.random(times.size) < 0.2] = np.nan
        return times, values


def cases(count: int, seed: int, kinds: Sequence[str] = (*QUIET, *TROUBLED)) -> Iterator[Case]:
    """As many cases, of these kinds in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield _case(rng, kinds[number % len(kinds)], seed * 1_000_003 + number)


def _case(rng: np.random.Generator, kind: str, seed: int) -> Case:
    names = [name for name in LEVELS if kind != "better" or signal_named(name).worse != "both"]
    signal = signal_named(str(rng.choice(names))).model_copy(update={"limit": None})
    level = float(np.exp(rng.uniform(*np.log(LEVELS[signal.signal]))))
    noise = float(np.exp(rng.uniform(np.log(0.002), np.log(0.12))))
    season = str(rng.choice(SEASONS))
    tail = str(rng.choice(TAILS))
    blurred = bool(rng.random() < 0.5)
    usual = _usual(rng, season, level)
    began = float(NOW - rng.uniform(5, 18) * 60) if kind in TROUBLED else None
    size = float(rng.uniform(1.5, 6)) * max(6 * noise * level, signal.floor, 0.08 * level)
    kept = float(rng.choice(KEPT))
    case = Case(kind, season, tail, signal, level, noise, began, usual, blurred, kept, seed)
    return replace(case, shape=_with_trouble(case, usual, _worse(signal) * size))


def _worse(signal: Signal) -> float:
    return -1.0 if signal.worse == "down" else 1.0


def _usual(rng: np.random.Generator, season: str, level: float) -> Shape:
    """The level by time of day and day of week; no day is like another, and no season comes on the minute."""
    swing = float(rng.uniform(0.2, 0.6)) if season != "none" else 0.0
    phase, steep = float(rng.uniform(0, DAY)), float(rng.choice([1.0, 3.0]))
    weekend = float(rng.uniform(0.3, 0.7)) if season == "day and week" else 1.0
    days = NOW + DAY * np.arange(-12.0, 3.0)
    drift, late = rng.lognormal(0, 0.05, days.size), rng.normal(0, 600, days.size)

    def shape(times: Floats) -> Floats:
        moved = times + phase + np.interp(times, days, late)
        wave = np.tanh(steep * np.sin(moved / DAY * 2 * np.pi)) / np.tanh(steep) + np.interp(times, days, drift) - 1
        rest = (moved % WEEK) / DAY >= 5
        found: Floats = level * (1 + swing * wave) * np.where(rest, weekend, 1.0)
        return found

    return shape


def _with_trouble(case: Case, usual: Shape, size: float) -> Shape:
    since = case.began if case.began is not None else NOW - 12 * 60

    def step(times: Floats, begin: float, end: float = np.inf) -> Floats:
        return np.where((times >= begin) & (times < end), 1.0, 0.0)

    def shape(times: Floats) -> Floats:
        match case.kind:
            case "step" | "step with gaps":
                share = step(times, since)
            case "ramp":
                share = np.clip((times - since) / 240, 0, 1)
            case "step after the same yesterday":
                share = step(times, since) + step(times, since - DAY, NOW - DAY + 3600)
            case "ended":
                share = step(times, NOW - 3000, NOW - 1500)
            case "better":
                share = -step(times, since)
            case "every day":
                late = np.random.default_rng(case.seed).normal(0, 200, 20)[((NOW + 7200 - times) // DAY).astype(int)]
                share = step((times - since - late) % DAY, 0.0, 3600.0)
            case "again":
                share = step(times, since) + step(times, NOW - 6000, NOW - 5100)
            case "yesterday only":
                share = step(times, since - DAY, NOW - DAY + 3600)
            case _:
                share = np.zeros(times.size)
        return usual(times) + size * share

    return shape


def _bursts(seed: int, times: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which times lie in a burst: one in eight stretches of five minutes."""
    return np.array([np.random.default_rng((seed, int(place))).random() < 0.125 for place in times // 300], dtype=bool)


def _noise(rng: np.random.Generator, tail: str, size: int) -> Floats:
    """Noise of mean 0 and deviation 1."""
    match tail:
        case "laplace":
            return rng.laplace(0, 1 / np.sqrt(2), size)
        case "student":
            return rng.standard_t(4, size) / np.sqrt(2)
        case "lognormal":
            return (rng.lognormal(0, 0.6, size) - np.exp(0.18)) / np.sqrt((np.exp(0.36) - 1) * np.exp(0.36))
        case "poisson":
            return (rng.poisson(9, size) - 9) / 3.0
        case _:
            return rng.standard_normal(size)
