"""The forecasting model in the lab: what demand truly is, what each version learned, what it is given, how wrong it is.

log demand = c + a·price + b·promo + d·temperature + e·sales_7d + noise, with standardised features. A version's
coefficients are frozen; it sees the features as the pipeline wrote them: nulls read as zero, late partitions an earlier
day's. Error is known only for rows whose true outcome has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.lab.scenario import (
    ConceptDrift,
    CovariateDrift,
    FeatureBug,
    LabelsLate,
    LatePartition,
    Promotion,
    Scenario,
    fixed,
)
from agent.lab.world.noise import DAY_MS, KNOT, STEP_MS, Array, Grid, generator

FEATURES = ("price", "promo", "temperature", "sales_7d")
NIGHTLY = ("temperature", "sales_7d")  # written once a night; the others every ten minutes
BATCH_HOUR = 3
ROWS = 64
BUCKET_MS = KNOT * STEP_MS  # five minutes of predictions
TRUE = np.array([-0.35, 0.50, 0.12, 0.40])
LEVEL = 3.2


@dataclass(frozen=True, slots=True)
class Coefficients:
    weights: Array
    level: float


@dataclass(frozen=True)
class Learning:
    """Per five-minute bucket (axis 0). `seen` and `fresh` are (buckets, rows, features): as served and as they truly are."""

    first_ms: int
    seen: Array
    missing: Array
    actual: Array
    served: npt.NDArray[np.int64]
    predicted: Array

    @property
    def buckets(self) -> int:
        return len(self.actual)

    def end_ms(self) -> npt.NDArray[np.int64]:
        return self.first_ms + BUCKET_MS * np.arange(1, self.buckets + 1, dtype=np.int64)


def versions(scenario: Scenario, seed: int) -> dict[str, Coefficients]:
    """Version → what it learned: four older ones, good, and what the scenario promotes."""
    found = {}
    for number in range(1, 5):
        slip = generator(seed, "version", number).normal(0, 0.015, 4) * (6 - number) / 3
        found[str(number)] = Coefficients(TRUE + slip, LEVEL)
    for n, effect in enumerate(promotions(scenario)):
        slip = generator(seed, "version", 5 + n).normal(0, 0.012, 4)
        wrong = np.array([0.0, -fixed(effect.promo_error), 0.0, 0.0])
        found[str(5 + n)] = Coefficients(TRUE + slip + wrong, LEVEL + fixed(effect.bias))
    return found


def promotions(scenario: Scenario) -> list[Promotion]:
    return [e for e in scenario.all_effects if isinstance(e, Promotion)]


def learn(
    scenario: Scenario, grid: Grid, served: Sequence[tuple[float, str]], seed: int, retrained: Mapping[str, int]
) -> Learning:
    """Predictions and outcomes for the whole grid. `served` are (from ms, version), the first from the beginning;
    `retrained` are versions trained on request, with the time at which their data ended."""
    buckets = grid.steps // KNOT
    starts = grid.first_ms + BUCKET_MS * np.arange(buckets, dtype=np.int64)
    truth = _features(scenario, grid, starts, seed)
    weights = TRUE + _concept(scenario, grid, starts)
    log_demand = LEVEL + (truth * weights[:, None, :]).sum(axis=2)
    shocks = generator(seed, "shocks").standard_normal((buckets, ROWS, 2))
    actual = np.exp(log_demand + 0.11 * shocks[..., 0] * (1 + 0.6 * (np.abs(shocks[..., 1]) > 1.9)))
    seen, missing = _as_written(scenario, grid, starts, truth, seed)
    known = versions(scenario, seed)
    for version, at in retrained.items():
        place = min(int(np.searchsorted(starts, at)), buckets - 1)
        known[version] = _trained_now(weights[place], missing[place])
    at_ms = np.array([when for when, _ in served])
    which = np.searchsorted(at_ms, starts, side="right") - 1
    numbers = np.array([int(version) for _, version in served])[np.maximum(which, 0)]
    predicted = np.empty_like(actual)
    for number in np.unique(numbers):
        mine, model = numbers == number, known[str(number)]
        predicted[mine] = np.exp(model.level + (seen[mine] * model.weights).sum(axis=2) + 0.006)
    return Learning(grid.first_ms, seen, missing, actual, numbers, predicted)


def _trained_now(weights: Array, missing: Array) -> Coefficients:
    """What a training run learns from the latest data: the truth, but little about a feature that was mostly null."""
    return Coefficients(weights * (1 - missing), LEVEL + 0.25 * float(missing.max()))


def _features(scenario: Scenario, grid: Grid, starts: npt.NDArray[np.int64], seed: int) -> Array:
    rows = generator(seed, "features").standard_normal((len(starts), ROWS, len(FEATURES)))
    rows[..., 1] = (rows[..., 1] > 0.9) * 1.6 - 0.3  # promotions are rare and strong
    season = 0.08 * np.sin(2 * np.pi * (starts % DAY_MS) / DAY_MS - 2.1)
    rows[..., 2] += season[:, None]
    for effect in scenario.all_effects:
        if isinstance(effect, CovariateDrift):
            since = grid.start_ms - fixed(effect.minutes) * 60_000
            rise = np.clip((starts - since) / (fixed(effect.over_minutes) * 60_000), 0, 1)
            rows[..., FEATURES.index(effect.feature)] += fixed(effect.shift) * rise[:, None]
    return rows


def _concept(scenario: Scenario, grid: Grid, starts: npt.NDArray[np.int64]) -> Array:
    change = np.zeros((len(starts), len(FEATURES)))
    for effect in scenario.all_effects:
        if isinstance(effect, ConceptDrift):
            since = grid.start_ms - fixed(effect.minutes) * 60_000
            rise = np.clip((starts - since) / (fixed(effect.over_minutes) * 60_000), 0, 1)
            change[:, 0] += fixed(effect.price_effect) * rise
    return change


def _as_written(
    scenario: Scenario, grid: Grid, starts: npt.NDArray[np.int64], truth: Array, seed: int
) -> tuple[Array, Array]:
    """Features as the pipeline wrote them, and the missing share per bucket and feature."""
    seen = truth.copy()
    missing = np.full((len(starts), len(FEATURES)), 0.0)
    noise = generator(seed, "nulls").random((len(starts), ROWS, len(FEATURES)))
    share = np.zeros_like(missing) + 0.004
    for effect in scenario.all_effects:
        if isinstance(effect, FeatureBug):
            since = grid.start_ms - fixed(effect.minutes) * 60_000
            share[starts >= since, FEATURES.index(effect.feature)] = fixed(effect.share)
        elif isinstance(effect, LatePartition):
            late = starts >= missed_since(scenario, grid, effect)
            other = np.roll(truth, 7, axis=1)  # another day's value: right in kind, wrong for the row
            for feature in effect.features:
                place = FEATURES.index(feature)
                seen[late, :, place] = other[late, :, place]
    null = noise < share[:, None, :]
    # a null reaches the model as the raw zero price or count, far below the mean
    seen[null] = -2.2
    missing[:] = null.mean(axis=1)
    return seen, missing


def missed_since(scenario: Scenario, grid: Grid, effect: LatePartition) -> int:
    """When the first nightly run that did not bring a new partition would have ended."""
    nights = max(1, round(fixed(effect.nights)))
    return last_batch(grid.start_ms) - (nights - 1) * DAY_MS


def last_batch(at_ms: int) -> int:
    day = at_ms - at_ms % DAY_MS + BATCH_HOUR * 3_600_000
    return day if day <= at_ms else day - DAY_MS


def feature_written_ms(
    scenario: Scenario, grid: Grid, feature: str, at: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """When the data that a feature holds at the given times was written: the night's run, or every ten minutes."""
    if feature not in NIGHTLY:
        return at - at % 600_000
    batch = BATCH_HOUR * 3_600_000
    written = (at - batch) // DAY_MS * DAY_MS + batch
    for effect in scenario.all_effects:
        if isinstance(effect, LatePartition) and feature in effect.features:
            missed = missed_since(scenario, grid, effect)
            written = np.where(at >= missed, np.minimum(written, missed - DAY_MS), written)
    return written


def labels_until(scenario: Scenario, grid: Grid, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to when outcomes have come in, complete or not, as of the given times."""
    lag = fixed(scenario.label_delay_minutes) * 60_000
    late = next((e for e in scenario.all_effects if isinstance(e, LabelsLate)), None)
    until = at - int(fixed(late.days) * DAY_MS if late else lag)
    return until - until % BUCKET_MS


def complete_until(scenario: Scenario, grid: Grid, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to when outcomes are known to be complete: before the first load that came in with rows missing."""
    until = labels_until(scenario, grid, at)
    broken = incomplete_from(scenario, grid)
    return until if broken is None else np.minimum(until, broken)


def incomplete_from(scenario: Scenario, grid: Grid) -> int | None:
    late = next((e for e in scenario.all_effects if isinstance(e, LabelsLate)), None)
    if late is None or not fixed(late.missing_share):
        return None
    since = grid.start_ms - int(fixed(late.days) * DAY_MS + fixed(late.minutes) * 60_000)
    return since - since % BUCKET_MS


def error_at(learning: Learning, scenario: Scenario, grid: Grid, until: npt.NDArray[np.int64]) -> Array:
    """WAPE over the error window that ends where outcomes end; what has not come in is not counted."""
    actual = learning.actual
    broken = incomplete_from(scenario, grid)
    if broken is not None:
        late = next(e for e in scenario.all_effects if isinstance(e, LabelsLate))
        first = max(0, (broken - learning.first_ms) // BUCKET_MS)
        actual = actual.copy()
        actual[first:] *= 1 - fixed(late.missing_share)
    miss = np.concatenate([[0.0], np.cumsum(np.abs(learning.predicted - actual).sum(axis=1))])
    sold = np.concatenate([[0.0], np.cumsum(actual.sum(axis=1))])
    last = np.clip((until - learning.first_ms) // BUCKET_MS, 0, learning.buckets)
    start = np.maximum(last - int(scenario.error_window_minutes * 60_000) // BUCKET_MS, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(last > start, (miss[last] - miss[start]) / (sold[last] - sold[start]), np.nan))


def psi(learning: Learning, hours: int = 12) -> Mapping[str, Array]:
    """Population stability index (Siddiqi 2006) of each feature over trailing hours, against the first two days.

    Ten bins at the reference's tenths; an empty bin counts as half a row. Smoothed so that sampling noise stays small.
    """
    window = hours * 3_600_000 // BUCKET_MS
    found: dict[str, Array] = {}
    for place, feature in enumerate(FEATURES):
        values = learning.seen[..., place]
        reference = values[:576].ravel()
        edges = np.unique(np.quantile(reference, np.linspace(0.1, 0.9, 9)))
        bins = len(edges) + 1
        flat = np.searchsorted(edges, values.ravel(), side="left") + bins * np.repeat(np.arange(len(values)), ROWS)
        counts = np.bincount(flat, minlength=bins * len(values)).reshape(len(values), bins)
        total = np.vstack([np.zeros((1, bins)), np.cumsum(counts, axis=0)])
        stop = np.arange(1, len(values) + 1)
        now = total[stop] - total[np.maximum(stop - window, 0)]
        p = np.maximum(now, 0.5) / now.sum(axis=1, keepdims=True)
        q = np.maximum(counts[:576].sum(axis=0), 0.5) / (576 * ROWS)
        found[feature] = ((p - q) * np.log(p / q)).sum(axis=1)
    return found
