"""Which component is most likely the root of an incident: by size of anomaly, onset, and who depends on whom.

Three simple rankings are joined by reciprocal rank (Cormack, Clarke, Büttcher, SIGIR 2009): the deepest anomalous
component along the calls from the symptom; the excess that no callee explains; and how closely a component's signal
moves with the symptom's. Each alone errs in its own way. Onset breaks ties where the data resolve it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.analysis.anomaly import spread
from tools.analysis.series import Floats

ANOMALOUS = 5.0  # robust standard deviations
_FUSION = 2.0  # added to every rank: with a handful of candidates the first place must count
_STRONGEST = 1e4  # beyond this, more deviations say nothing more


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric of one component: values now and in a normal time, and the direction that is bad (+1 up, -1 down).

    `floor` is the least robust standard deviation taken for real, in the metric's unit. `onset` is unix seconds.
    """

    component: str
    metric: str
    now: Floats
    normal: Floats
    bad: int = 1
    floor: float = 0.0
    onset: float | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A ranked component. `excess` is in robust standard deviations; `explained_by` a callee at least as anomalous."""

    component: str
    score: float
    excess: float
    metric: str
    onset: float | None
    explained_by: str | None


def excess(signal: Signal) -> float:
    """One-sided distance of now's worse half from the normal median, in robust standard deviations; 0 without data."""
    now = signal.now[np.isfinite(signal.now)]
    normal = signal.normal[np.isfinite(signal.normal)]
    if not now.size or normal.size < 3:
        return 0.0
    level = float(np.median(normal))
    worst = float(np.quantile(signal.bad * (now - level), 0.75))
    return min(max(worst / max(spread(normal), signal.floor), 0.0), _STRONGEST)


def rank(signals: Sequence[Signal], depends_on: Mapping[str, Sequence[str]], symptom: str = "") -> list[Suspect]:
    """Suspects, most likely first. `depends_on` maps a component to what it calls; `symptom` is where the alert fired.

    With a symptom in the graph only what it reaches is ranked. Components without any excess are left out, except the
    symptom itself, which stands where nothing below it explains it.
    """
    strongest: dict[str, tuple[float, Signal]] = {}
    for signal in signals:
        size = excess(signal)
        if signal.component not in strongest or size > strongest[signal.component][0]:
            strongest[signal.component] = (size, signal)
    within = reachable(depends_on, symptom) if symptom in depends_on else set(strongest)
    sizes = {name: size for name, (size, _) in strongest.items() if name in within and (size > 0 or name == symptom)}
    deepest = _deepest(sizes, depends_on, symptom)
    places = [
        _places({name: (name in deepest, sizes[name]) for name in sizes}),
        _places({name: (unexplained(name, sizes, depends_on), sizes[name]) for name in sizes}),
        _places({name: (_likeness(strongest, name, symptom), sizes[name]) for name in sizes}),
    ]
    scores = {name: sum(1 / (_FUSION + place[name]) for place in places) for name in sizes}
    latest = math.inf
    found = [
        Suspect(
            n, scores[n], sizes[n], strongest[n][1].metric, strongest[n][1].onset, explained_by(n, sizes, depends_on)
        )
        for n in sizes
    ]
    return sorted(
        found, key=lambda s: (-round(s.score, 6), s.onset if s.onset is not None else latest, -s.excess, s.component)
    )


def _places(keys: Mapping[str, tuple[float, float]]) -> dict[str, int]:
    """Name → how many are strictly better; equals share a place."""
    ordered = sorted(keys.values(), reverse=True)
    return {name: ordered.index(key) for name, key in keys.items()}


def reachable(depends_on: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """The start and everything it calls, directly or not."""
    seen, todo = {start}, [start]
    while todo:
        fresh = [callee for callee in depends_on.get(todo.pop(), ()) if callee not in seen]
        seen.update(fresh)
        todo += fresh
    return seen


def explained_by(name: str, sizes: Mapping[str, float], depends_on: Mapping[str, Sequence[str]]) -> str | None:
    """The most anomalous callee, where it is anomalous at all."""
    callees = [c for c in depends_on.get(name, ()) if sizes.get(c, 0.0) > ANOMALOUS and c != name]
    return max(callees, key=lambda c: sizes[c], default=None)


def unexplained(name: str, sizes: Mapping[str, float], depends_on: Mapping[str, Sequence[str]]) -> float:
    """Excess on a logarithmic scale, less that of the most anomalous callee."""
    callee = max((sizes.get(c, 0.0) for c in depends_on.get(name, ()) if c != name), default=0.0)
    return math.log1p(sizes[name]) - math.log1p(callee)


def _deepest(sizes: Mapping[str, float], depends_on: Mapping[str, Sequence[str]], symptom: str) -> set[str]:
    """Anomalous components that no anomalous callee explains, reached from the symptom through anomalous ones."""
    anomalous = {name for name, size in sizes.items() if size > ANOMALOUS}
    calls = {n: [c for c in depends_on.get(n, ()) if c in anomalous] for n in anomalous | {symptom}}
    chain = reachable(calls, symptom) & anomalous if symptom else anomalous
    return {name for name in chain if name != symptom and not [c for c in calls[name] if c != name and c in chain]}


def _likeness(strongest: Mapping[str, tuple[float, Signal]], name: str, symptom: str) -> float:
    """Rank correlation of a component's signal with the symptom's over normal time and now; 0 where not comparable."""
    if symptom not in strongest or name == symptom:
        return 0.0
    one, other = (np.concatenate([s.normal, s.now]) * s.bad for s in (strongest[name][1], strongest[symptom][1]))
    if one.shape != other.shape:
        return 0.0
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 5:
        return 0.0
    a, b = one[both], other[both]
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
