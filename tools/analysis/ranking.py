"""Which component is most likely the root of an incident: by what it loses of its own, and by who depends on whom.

Where bad events can be counted, a component is ranked by its *excess bad events*: failed requests and seconds of waiting a
second, beyond its own past, times its traffic. What the components below it lose explains as much of its own; what is left
is its own. So a deep component with a large ratio and no traffic accuses nobody, and one that hands on what happens below
it clears itself. What is not measured by requests (a database, a node, a queue) and is out of line takes over what its
dependents cannot explain.

Where nothing counts requests, three simple rankings are joined by reciprocal rank (Cormack, Clarke, Büttcher, SIGIR 2009):
the deepest unusual component along the calls from the symptom, the deviation that no callee explains, and how closely a
component moves with the symptom. Onset breaks ties where the data resolve it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.analysis.anomaly import spread
from tools.analysis.series import Floats

ANOMALOUS = 5.0  # robust standard deviations
COUNTED = 1.0  # of what is weighed by its traffic: noise weighs little there
_FUSION = 2.0  # added to every rank: with a handful of candidates the first place must count
_STRONGEST = 1e4  # beyond this, more deviations say nothing more
_TAKES_OVER = 1.01  # what is out of line and measured by no request stands before the dependent that it explains
_BESIDE = 1e-6  # and where it explains none, behind all that lose something


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric of one component: values now and in a normal time, and the direction that is bad (+1 up, -1 down).

    `floor` is the least robust standard deviation taken for real, in the metric's unit. `onset` is unix seconds. Of one that
    bad events are counted by, `loses` says what (requests, time) and `traffic` has the requests a second at each value of now.
    """

    component: str
    metric: str
    now: Floats
    normal: Floats
    bad: int = 1
    floor: float = 0.0
    onset: float | None = None
    loses: str = ""
    traffic: Floats | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A ranked component. `excess` is in robust standard deviations; `lost` is what it loses a second of `loses`, of its own
    and of what it calls; `explained_by` is the callee that explains most of it."""

    component: str
    score: float
    excess: float
    metric: str
    onset: float | None
    explained_by: str | None
    lost: float | None = None
    loses: str = ""


def excess(signal: Signal) -> float:
    """One-sided distance of now's worse part from the normal median, in robust standard deviations; 0 without data."""
    now, normal = _finite(signal.now), _finite(signal.normal)
    if not now.size or normal.size < 3:
        return 0.0
    level = float(np.median(normal))
    worst = float(np.quantile(signal.bad * (now - level), 0.75))
    return min(max(worst / max(spread(normal), signal.floor), 0.0), _STRONGEST)


def lost(signal: Signal) -> float:
    """Excess bad events a second: failed requests, or seconds of waiting; 0 without data or traffic."""
    normal = _finite(signal.normal)
    if not signal.loses or signal.traffic is None or normal.size < 3:
        return 0.0
    bad = _finite((signal.now - np.median(normal)) * signal.traffic)
    return max(float(bad.mean()), 0.0) if bad.size else 0.0


Flows = Mapping[str, Mapping[str, Signal]]  # what is lost → component → the signal that it loses most of


def rank(signals: Sequence[Signal], depends_on: Mapping[str, Sequence[str]], symptom: str = "") -> list[Suspect]:
    """Suspects, most likely first. `depends_on` maps a component to what it calls or needs; `symptom` is where the alert
    fired.

    With a symptom in the graph only what it reaches is ranked. Components without any excess are left out, except the
    symptom itself, which stands where nothing below it explains it.
    """
    within = reachable(depends_on, symptom) if symptom in depends_on else {one.component for one in signals}
    mine = [one for one in signals if one.component in within]
    strongest = _strongest(mine)
    sizes = {name: size for name, (size, _) in strongest.items() if size > 0 or name == symptom}
    flows, felt = _flows(mine), {one.loses: excess(one) for one in mine if one.component == symptom}
    if flows:
        counted = {one.component for one in mine if one.loses}
        unmeasured = {name: size for name, size in sizes.items() if name not in counted}
        scores = _by_loss(flows, felt, depends_on)
        scores |= _taken_over(unmeasured, scores, depends_on)
        scores |= {symptom: 0.0} if symptom in sizes and symptom not in scores else {}
    else:
        scores = _by_deviation(strongest, sizes, depends_on, symptom)
    found = [_suspect(name, scores[name], strongest[name], flows, sizes, depends_on) for name in scores]
    return sorted(found, key=_order)


def reachable(depends_on: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """The start and everything it calls, directly or not."""
    seen, todo = {start}, [start]
    while todo:
        fresh = [callee for callee in depends_on.get(todo.pop(), ()) if callee not in seen]
        seen.update(fresh)
        todo += fresh
    return seen


def _finite(values: Floats) -> Floats:
    kept: Floats = values[np.isfinite(values)]
    return kept


def _strongest(signals: Sequence[Signal]) -> dict[str, tuple[float, Signal]]:
    found: dict[str, tuple[float, Signal]] = {}
    for signal in signals:
        size = excess(signal)
        if signal.component not in found or size > found[signal.component][0]:
            found[signal.component] = (size, signal)
    return found


def _suspect(
    name: str,
    score: float,
    strongest: tuple[float, Signal],
    flows: Flows,
    sizes: Mapping[str, float],
    depends_on: Mapping[str, Sequence[str]],
) -> Suspect:
    size, signal = strongest
    behind = explained_by(name, sizes, depends_on)
    mine = [of[name] for of in flows.values() if name in of]
    if not mine:
        return Suspect(name, score, size, signal.metric, signal.onset, behind)
    most = max(mine, key=excess)
    of = flows[most.loses]
    below = [callee for callee in depends_on.get(name, ()) if callee != name and callee in of]
    behind = max(below, key=lambda callee: lost(of[callee]), default=None)
    return Suspect(name, score, excess(most), most.metric, most.onset, behind, lost(most), most.loses)


def _order(one: Suspect) -> tuple[float, float, float, str]:
    onset = one.onset if one.onset is not None else math.inf
    return -round(one.score, 9), onset, -one.excess, one.component


def explained_by(name: str, sizes: Mapping[str, float], depends_on: Mapping[str, Sequence[str]]) -> str | None:
    """The most anomalous callee, where it is anomalous at all."""
    callees = [c for c in depends_on.get(name, ()) if sizes.get(c, 0.0) > ANOMALOUS and c != name]
    return max(callees, key=lambda c: sizes[c], default=None)


# -- by excess bad events ---------------------------------------------------------------------------------------------


def _flows(signals: Sequence[Signal]) -> Flows:
    """What each component loses beyond its own noise, by what is lost; of two metrics of one loss the one given first."""
    found: dict[str, dict[str, Signal]] = defaultdict(dict)
    for one in signals:
        if lost(one) > 0 and excess(one) >= COUNTED:
            found[one.loses].setdefault(one.component, one)
    return found


def _by_loss(flows: Flows, felt: Mapping[str, float], depends_on: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Component → the largest share that is its own of any loss, weighed by how unusual that loss is at the symptom (`felt`,
    by what is lost); where the symptom does not have it, half as much as where it is most unusual."""
    scores: dict[str, float] = {}
    for loses, of in flows.items():
        losses = {name: lost(signal) for name, signal in of.items()}
        unusual = felt[loses] if loses in felt else max(excess(signal) for signal in of.values()) / 2
        weight = math.log1p(unusual) / max(losses.values())
        for name, loss in losses.items():
            below = sum(losses.get(callee, 0.0) for callee in depends_on.get(name, ()) if callee != name)
            scores[name] = max(scores.get(name, 0.0), max(loss - below, 0.0) * weight)
    return scores


def _taken_over(
    unmeasured: Mapping[str, float], scores: Mapping[str, float], depends_on: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """What no request measures and is out of line takes over what its dependents cannot explain."""
    found: dict[str, float] = {}
    for name, size in unmeasured.items():
        if size >= ANOMALOUS:
            dependents = [scores[one] for one, needs in depends_on.items() if name in needs and one in scores]
            found[name] = max((_TAKES_OVER * score for score in dependents), default=0.0) + _BESIDE * math.log1p(size)
    return found


# -- by deviation alone -----------------------------------------------------------------------------------------------


def _by_deviation(
    strongest: Mapping[str, tuple[float, Signal]],
    sizes: Mapping[str, float],
    depends_on: Mapping[str, Sequence[str]],
    symptom: str,
) -> dict[str, float]:
    """Component → three rankings joined by reciprocal rank."""
    deepest = _deepest(sizes, depends_on, symptom)
    places = [
        _places({name: (name in deepest, sizes[name]) for name in sizes}),
        _places({name: (unexplained(name, sizes, depends_on), sizes[name]) for name in sizes}),
        _places({name: (_likeness(strongest, name, symptom), sizes[name]) for name in sizes}),
    ]
    return {name: sum(1 / (_FUSION + place[name]) for place in places) for name in sizes}


def _places(keys: Mapping[str, tuple[float, float]]) -> dict[str, int]:
    """Name → how many are strictly better; equals share a place."""
    ordered = sorted(keys.values(), reverse=True)
    return {name: ordered.index(key) for name, key in keys.items()}


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
    """Correlation of a component's signal with the symptom's over normal time and now; 0 where not comparable."""
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
