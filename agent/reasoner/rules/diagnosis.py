"""Weighing what was seen: which fault, in which component, how sure.

The score of a fault in a component is a sum of signs: the first check that suggests it and holds counts 1.5, each further
one 0.75; each one that suggests it and does not hold takes 0.5 away (a fault need not show in every way it can); one that rules it
out and holds excludes it. A change
of that component shortly before the breach adds 0.75 to the faults a change can bring. A runbook found by its text alone
counts 0.6 of that. A fault without a sign that holds is no candidate. Confidence is the candidate's share of e^score among
all candidates and "something else", whose score is 0.8: one sign alone gives 0.67, two 0.81, one for and one against 0.55.
The numbers are a rule of thumb, the same for all faults, and are fitted to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from agent.diagnosis.board import Board, BoardCandidate, board
from agent.domain.alert import standing
from agent.domain.cause import MODEL_FAULTS, Cause, Fault
from agent.domain.evidence import Evidence
from agent.domain.incident import Kind
from agent.reasoner.protocol import View
from agent.reasoner.rules.checks import BELOW, CHANGE_READS, Subject, Tried, changes, outcomes_unknown
from agent.reasoner.rules.evidence_index import EvidenceIndex, fact, labels_of, number
from agent.reasoner.rules.first_minute import compare_call, history_call, onset, rule_call

FIRST_SIGN, NEXT_SIGN, AGAINST, TIMELY, OTHER = 1.5, 0.75, -0.5, 0.75, 0.8
# a change explains a breach that begins within an hour of it, clocks being what they are, and all the more within minutes
BEFORE_S, AFTER_S, SOON_S = 3600.0, 120.0, 900.0
PROMOTION_S = 12 * 3600.0  # a promoted version shows in its error within half a day, and as much later as outcomes come
LABELS_S = 36 * 3600.0  # how late outcomes are taken to come where nothing tells
FED = frozenset({Fault.DATA_BUG, Fault.STALE_FEATURES})  # what a model is fed
ERRING = frozenset(
    {Fault.BAD_MODEL_VERSION, Fault.CONCEPT_DRIFT, Fault.COVARIATE_DRIFT}
)  # and what its error looks like
BY_CHANGE = frozenset({Fault.BAD_DEPLOY, Fault.BAD_CONFIG, Fault.BAD_MODEL_VERSION})
SLOW = frozenset(
    {Fault.DISK_FULL, Fault.CERTIFICATE_EXPIRY, Fault.MEMORY_LEAK, Fault.CONCEPT_DRIFT, Fault.COVARIATE_DRIFT}
)
SURER = 0.1  # the board overrules the runbooks' checks where it is surer by this much
OFTEN = 3  # an alert that fired so many times within retention has habits
BRIEF_S = 1800  # and one that clears within this by itself is a brief one
USUAL = 1.25  # within this factor of yesterday and last week a level is the usual one


@dataclass(frozen=True, slots=True)
class Candidate:
    """One fault in one component, with the checks for and against it."""

    subject: Subject
    fault: Fault
    score: float
    signs: tuple[Tried, ...]
    against: tuple[Tried, ...]
    unknown: tuple[Tried, ...]
    excluded: bool = False

    @property
    def contradicted(self) -> bool:
        """As much speaks against it as for it."""
        return self.excluded or len(self.against) >= len(self.signs)

    @property
    def thin(self) -> bool:
        """More of what would show it is unknown than was seen."""
        return len([one for one in self.unknown if one.block.suggests is self.fault]) >= len(self.signs)

    @property
    def sound(self) -> bool:
        """Neither contradicted nor thin: the only kind of cause to act on."""
        return bool(self.signs) and not self.contradicted and not self.thin


@dataclass(frozen=True, slots=True)
class Picture:
    """What the evidence says. `candidates` best first; `usual` = the level is what it is every day."""

    cause: Cause
    kind: Kind
    candidates: tuple[Candidate, ...] = ()
    refuted: tuple[Candidate, ...] = ()
    usual: bool = False
    quiet: bool = False  # the rule does not breach now
    confidences: tuple[float, ...] = field(default=())
    board: Board = field(default_factory=Board)
    named: BoardCandidate | None = None  # the board's cause, where it is the one that is named


def weigh(view: View, checks: Sequence[Tried], settled: Set[tuple[str, Fault]] = frozenset()) -> Picture:
    """The likeliest cause with its confidence; fault `none` when nothing is wrong, `unknown` when it cannot be told.
    `settled` causes (component, fault) were mended already. Where no runbook's checks tell it, the board does."""
    picture = _by_checks(view, checks, settled)
    seen = board(view.evidence, onset(view))
    best = seen.named
    if best is None or picture.usual or picture.quiet or (best.subject.name, best.fault) in settled:
        return replace(picture, board=seen)
    told = picture.candidates[0] if picture.candidates else None
    agrees = told is not None and told.fault is best.fault
    if told is not None and told.sound and (agrees or picture.cause.confidence >= best.confidence - SURER):
        return replace(picture, board=seen)
    cause = Cause(best.subject.name, best.fault, best.confidence)
    return replace(
        picture, cause=cause, kind=kind_of(view, best.fault), candidates=(), confidences=(), board=seen, named=best
    )


def _by_checks(view: View, checks: Sequence[Tried], settled: Set[tuple[str, Fault]]) -> Picture:
    found = [_candidate(view, subject, fault, checks) for subject, fault in _pairs(checks)]
    usual, quiet = _usual(view), _quiet(view)
    alive = [c for c in found if c.signs and not c.excluded and (component(view, c), c.fault) not in settled]
    # what fails below is called again and again: more traffic there is a consequence
    alive = [c for c in alive if c.fault is not Fault.TRAFFIC_SURGE or c.subject.own]
    if usual:
        alive = [c for c in alive if c.fault in SLOW]
    alive = _explained(view, alive)
    alive = _upstream_first(view, sorted(alive, key=lambda c: c.score, reverse=True))
    refuted = tuple(c for c in found if c not in alive)
    if not alive:
        return _without_candidate(view, refuted, usual, quiet, checks)
    total = sum(math.exp(c.score) for c in alive) + math.exp(OTHER)
    sure = tuple(round(math.exp(c.score) / total, 2) for c in alive)
    best = alive[0]
    cause = Cause(component(view, best), best.fault, sure[0])
    return Picture(cause, kind_of(view, best.fault), tuple(alive), refuted, usual, quiet, sure)


def _explained(view: View, alive: list[Candidate]) -> list[Candidate]:
    """Without the faults that another one explains.

    A model errs for what it is fed: broken or old features explain an error that would else be its version's or the
    world's, and concept drift is what remains. A version that came minutes before may show itself as failing or as want
    of CPU: unless every check says that it is something else, those signs are the version's.
    """
    sound = {c.fault for c in alive if c.sound}
    last = {Fault.CONCEPT_DRIFT} if Fault.BAD_MODEL_VERSION in sound else set()
    alive = [c for c in alive if c.fault not in (ERRING if sound & FED else last)]
    for version in [
        c for c in alive if c.fault is Fault.BAD_DEPLOY and c.sound and _changed(view, c.subject, "deployment", SOON_S)
    ]:
        shown = [c for c in alive if c.subject.name == version.subject.name and _shows_a_version(c)]
        if not shown:
            continue
        signs = (*version.signs, *(sign for c in shown for sign in c.signs))
        score = version.score + NEXT_SIGN * sum(sign.weight for c in shown for sign in c.signs)
        alive = [c for c in alive if c is not version and c not in shown]
        alive.append(replace(version, signs=signs, score=score))
    return alive


def _shows_a_version(candidate: Candidate) -> bool:
    """Failing by itself, or in want of CPU without a neighbour that takes it: what a bad version may look like."""
    if candidate.fault is Fault.DEPENDENCY_DOWN:
        return not candidate.subject.own
    return candidate.fault is Fault.CPU_CONTENTION and bool(candidate.against)


def _pairs(checks: Sequence[Tried]) -> list[tuple[Subject, Fault]]:
    pairs = {
        (one.subject.name, fault): (one.subject, fault)
        for one in checks
        for fault in (one.block.suggests, one.block.rules_out)
        if fault is not None
    }
    return list(pairs.values())


def _candidate(view: View, subject: Subject, fault: Fault, checks: Sequence[Tried]) -> Candidate:
    mine = [one for one in checks if one.subject.name == subject.name]
    suggesting = [one for one in mine if one.block.suggests is fault]
    signs = [one for one in suggesting if one.verdict and _timely(view, one, fault)]
    against = [one for one in suggesting if one.verdict is False or (one.verdict and one not in signs)]
    excluding = [one for one in mine if one.block.rules_out is fault]
    score = sum(one.weight * (FIRST_SIGN if n == 0 else NEXT_SIGN) for n, one in enumerate(signs))
    score += sum(one.weight * AGAINST for one in against)
    excluded = [one for one in excluding if one.verdict]
    if fault is Fault.BAD_MODEL_VERSION:  # the registry knows every promotion: without a timely one the error is not it
        excluded += [one for one in against if one.block.read in CHANGE_READS and one.verdict]
    if fault in BY_CHANGE and signs and not all(one.block.read in CHANGE_READS for one in signs):
        score += TIMELY if _changed(view, subject) else 0.0
    unknown = [one for one in (*suggesting, *excluding) if one.verdict is None]
    return Candidate(subject, fault, score, tuple(signs), (*against, *excluded), tuple(unknown), bool(excluded))


def _timely(view: View, one: Tried, fault: Fault) -> bool:
    """A change is a sign only when it came shortly before the breach: a deploy of this morning is no cause of tonight."""
    if one.block.read != "recent_changes" or fault not in BY_CHANGE:
        return True
    return _changed(view, one.subject, "model_promotion" if fault is Fault.BAD_MODEL_VERSION else "")


def _changed(view: View, subject: Subject, kind: str = "", within: float = BEFORE_S) -> bool:
    began = onset(view)
    reach = _label_lag(view) + PROMOTION_S if kind == "model_promotion" else within
    return any(
        -AFTER_S <= began - at <= reach and (not kind or k == kind) and service in ("", subject.name)
        for at, k, service, _, _ in changes(view)
    )


def _label_lag(view: View) -> float:
    """Seconds by which true outcomes come late: an error shows no sooner after what caused it."""
    quality = next(EvidenceIndex(view).reads("model_quality"), None)
    until = number(quality, "labels_complete_until")
    return LABELS_S if until is None else max(view.now.timestamp() - until, 0.0)


def _usual(view: View) -> bool:
    """Whether the measured level is that of last week at this time, and of yesterday too (or the alert has come and gone
    before); or whether the alert is one that comes and goes by itself and has not lasted longer than it does."""
    return _fleeting(view) or _as_ever(view)


def _as_ever(view: View) -> bool:
    evidence = EvidenceIndex(view).of(compare_call(view))
    heads = own_heads(view, evidence, "ratio.last_week")
    come_before = (number(EvidenceIndex(view).of(history_call(view)), "earlier.count") or 0) >= 1

    def near(name: str) -> bool:
        found = [number(evidence, f"{head}ratio.{name}") for head in heads]
        return bool(found) and all(r is not None and 1 / USUAL <= r <= USUAL for r in found)

    return near("last_week") and (near("yesterday") or come_before)


def own_heads(view: View, evidence: Evidence | None, ending: str) -> list[str]:
    """Prefixes of the facts that end so and are of the incident's own series; of all series where none is."""
    labels = labels_of(view)
    found = [f for f in (evidence.facts if evidence else ()) if f.id.endswith(ending)]
    mine = [f for f in found if all(labels.get(k, v) == v for k, v in f.labels.items())]
    return [f.id.removesuffix(ending) for f in mine or found]


def _fleeting(view: View) -> bool:
    """A habit explains an alert only where no change shortly before it could, and where it came alone: what usually clears
    itself says nothing about others that fire with it."""
    if len({alert.name for alert in standing(view.alerts) if alert.status == "firing"}) > 1:
        return False
    if any(-AFTER_S <= onset(view) - at <= BEFORE_S for at, *_ in changes(view)):
        return False
    history = EvidenceIndex(view).of(history_call(view))
    count, median = number(history, "earlier.count") or 0, number(history, "median_duration")
    lasted = view.now.timestamp() - onset(view)
    return count >= OFTEN and median is not None and median <= BRIEF_S and lasted <= 2 * median


def _quiet(view: View) -> bool:
    return number(EvidenceIndex(view).of(rule_call(view)), "breaching.count") == 0


def _upstream_first(view: View, alive: list[Candidate]) -> list[Candidate]:
    """A dependency that calls to it or its own alert implicate, and that shows a fault of its own, explains its dependents.

    The deepest goes first, and a fault of its own before "something below it is down".
    """
    pointed = implicated(view, [one for c in alive for one in c.signs])
    deep = [
        c
        for c in alive
        if not c.subject.own and (c.subject.name in pointed or _beyond_changes(c)) and not c.contradicted
    ]
    specific = [c for c in alive if c.subject.own and c.fault not in BELOW and c.sound and _beyond_changes(c)]
    rest = [c for c in alive if c.subject.own]
    if not deep or (specific and not any(c.subject.name in pointed for c in deep)):
        return rest
    depth = depths(view)
    deep.sort(key=lambda c: (c.fault in BELOW, -depth.get(c.subject.name, 0), -c.score))
    return [*deep, *(c for c in rest if c.fault not in BELOW)]


def _beyond_changes(candidate: Candidate) -> bool:
    """Whether more than a change speaks for it: that something was deployed is no damage."""
    return any(one.block.read not in CHANGE_READS for one in candidate.signs)


def implicated(view: View, signs: Sequence[Tried]) -> set[str]:
    """Services that failing calls point at, and those with an alert of their own that began no later."""
    found = {p for one in signs if one.block.suggests in BELOW and (p := peer_of(view, one))}
    began = onset(view)
    for evidence in EvidenceIndex(view).reads("began_around"):
        for seen in evidence.facts:
            at, service = number(evidence, seen.id), view.catalog.service_for(seen.labels)
            if seen.id.endswith(".began") and at is not None and service and at <= began + AFTER_S:
                found.add(service.name)
    return found


def depths(view: View) -> dict[str, int]:
    """Services below the incident's own, and the pipelines of its model, with their distance."""
    found: dict[str, int] = {}
    level = [*(view.service.depends_on if view.service else ()), *(view.model.features_from if view.model else ())]
    distance = 1
    while level:
        found |= {name: distance for name in level if name not in found}
        services = [s for name in level if (s := view.catalog.service(name))]
        level = [d for s in services for d in s.depends_on if d not in found]
        distance += 1
    return found


def component(view: View, candidate: Candidate) -> str:
    """The name a cause carries: the peer a dependency check shows, the model of a model's fault, else the service."""
    if candidate.fault in BELOW and (peer := worst_peer(view, candidate)):
        return peer
    model = candidate.subject.model
    if candidate.fault in (Fault.DATA_BUG, Fault.STALE_FEATURES) and model and model.features_from:
        return model.features_from[0]
    if candidate.fault in MODEL_FAULTS and model:
        return model.name
    if candidate.subject.service:
        return candidate.subject.name
    labels = labels_of(view)
    node = next((f.labels["node"] for one in candidate.signs for f in one.facts if f.labels.get("node")), "")
    return node or labels.get("node") or candidate.subject.name or labels.get("instance") or ""


def worst_peer(view: View, candidate: Candidate) -> str | None:
    """The dependency that the signs of a candidate name, or the only one there is. A dependency that fails although no
    call of its own does is itself the one."""
    named = next((p for one in candidate.signs if (p := peer_of(view, one))), None)
    if named is None and not candidate.subject.own:
        return candidate.subject.name
    depends = candidate.subject.service.depends_on if candidate.subject.service else ()
    return named or (depends[0] if len(depends) == 1 else None)


def peer_of(view: View, one: Tried) -> str | None:
    """The peer with the worst value, by the label that names it; reads order the worst first."""
    for found in (*(one.detail.facts if one.detail else ()), *one.facts):
        peer = next((found.labels[k] for k in ("peer", "upstream", "destination_service") if found.labels.get(k)), None)
        if peer and found.value and (view.catalog.service(peer) or not view.catalog.services()):
            return peer
    return None


def kind_of(view: View, fault: Fault) -> Kind:
    if fault in (Fault.NONE, Fault.UNKNOWN):
        return Kind.NONE if fault is Fault.NONE else Kind.UNKNOWN
    if fault in MODEL_FAULTS:
        return Kind.MODEL
    return Kind.JOINT if view.model is not None and view.service and view.service.serves_model else Kind.INFRA


def _without_candidate(
    view: View, refuted: tuple[Candidate, ...], usual: bool, quiet: bool, checks: Sequence[Tried]
) -> Picture:
    """No fault: the rule does not breach or the level is the usual one, and what was checked speaks against the rest.

    Each of these counts 0.2 over 0.4: not breaching now; as yesterday and last week; it cleared by itself before; every
    check answered. Two are needed. Unknown outcomes make a model's health unknown, never good.
    """
    name = (
        view.service.name if view.service else (view.model.name if view.model else labels_of(view).get("service", ""))
    )
    history = EvidenceIndex(view).of(history_call(view))
    clears = (number(history, "earlier.count") or 0) >= OFTEN
    told = [one for one in checks if one.block.suggests]
    answered = bool(told) and all(one.verdict is not None for one in told)
    harmless = _harmless_drift(view)
    habit = clears and (quiet or _as_ever(view))  # by itself it is no second witness that the alert comes and goes
    points = [quiet, usual, habit, answered, harmless]
    blind = view.model is not None and outcomes_unknown(view) and _about_model(view)
    if sum(points) >= 2 and (quiet or usual or harmless) and not blind:
        cause = Cause(name, Fault.NONE, round(min(0.4 + 0.2 * sum(points), 0.9), 2))
        return Picture(cause, Kind.NONE, (), refuted, usual, quiet)
    return Picture(Cause(name, Fault.UNKNOWN, 0.0), Kind.UNKNOWN, (), refuted, usual, quiet)


def _about_model(view: View) -> bool:
    return bool(labels_of(view).get("model")) or any(
        w in a.name.lower() for a in view.alerts for w in ("model", "drift", "feature")
    )


def _harmless_drift(view: View) -> bool:
    """Drift without damage: features were looked at, and the model's error is what it was, on complete outcomes."""
    drift = next(EvidenceIndex(view).reads("inspect_drift"), None)
    quality = next(EvidenceIndex(view).reads("model_quality"), None)
    ratio = number(quality, "quality.ratio")
    covered = fact(quality, "window.covered")
    lower = view.model is None or view.model.quality_lower_is_better
    fine = (
        ratio is not None and (ratio <= 1.1 if lower else ratio >= 0.9) and (covered is None or covered.value is True)
    )
    return _about_model(view) and number(drift, "drifted.count") is not None and fine
