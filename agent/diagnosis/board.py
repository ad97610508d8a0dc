"""The board: what an incident's evidence shows, as symptoms, and what may be behind them, as candidates. A pure fold of the
evidence, the same for both reasoners.

A candidate is a fault in a subject. Its score is the weight of the strongest sign that speaks for it, half of each further
one of another kind, and a little for each symptom of others that it explains: of what needs its subject, or points at it.
Measurements that left their band clearly after the trouble began count half; of what does not stand below the incident's subjects, a third.
A candidate that only says "something below is down" gives way to one that says what is wrong there. Confidence is the share
of e^score among all candidates and "something else", whose score is OTHER. The numbers are rules of thumb; how often they
are right is measured by `stanch eval`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.diagnosis.causes import FURTHER_DOWN, ITS_OWN, SUFFERING, TIMELY, Entry, Sign, table
from agent.domain.cause import Fault
from agent.domain.evidence import Evidence
from tools.context import Json, Subject
from tools.formatting import at, iso
from tools.symptoms import ABOVE, BELOW, BESIDE, CHANGED, HURTS, OWN, SIGNAL, TELLS, WARNS, Symptom, symptoms_of

_SEVERITIES = {HURTS: "hurts", WARNS: "warns", TELLS: "tells"}
OTHER = 0.8  # score of "something that nobody looked at"
FURTHER, EXPLAINED, MOST_EXPLAINED = 0.5, 0.35, 3
DEEPER = 0.1  # for each step further down, of what fails below: what fails there makes all above it fail
LATE_S, LATE = 600.0, 0.5  # began later than the trouble by more than this: a consequence rather than the cause
ELSEWHERE: Mapping[str, float] = {OWN: 1.0, BELOW: 1.0, ABOVE: 0.35, BESIDE: 0.35, "": 1.0}
CHANGE_S = 3600.0  # a change explains what begins within an hour of it
LIKELY = 1.0  # least score of a cause whose runbooks are worth their checks
MODEL_CHANGE_S = 12 * 3600.0  # a model's version shows in its error as outcomes come
TELLS_BY_ITSELF = 3.0
NAMED = 1.8  # least that its signs give to a cause that is named
MOST_CANDIDATES = 5
MOST_FOLLOWED = 3  # times that what is accused accuses something in turn
# what shows damage without saying why
SUFFERS = frozenset({"unready", "exits", "probe_failing", "rollout_stuck", "service_without_pods", "job_failed"})
SUFFERS_SIGNALS = frozenset(
    {
        *("error_ratio", "latency_mean", "latency_p50", "latency_p99", "not_ready", "replicas_missing", "restarts"),
        *("crash_loops", "probe_up", "requests_waiting", "prediction_error_ratio", "prediction_latency", "model_error"),
        *("model_quality", "job_failures", "job_age", "peer_error_ratio", "peer_latency", "time_to_first_token"),
    }
)
POINTING = frozenset({Fault.DEPENDENCY_DOWN})  # says where, not what


@dataclass(frozen=True, slots=True)
class Noted:
    """A symptom with where it was read: `E7`, fact `s2`. `id` is its name on the board."""

    id: str
    symptom: Symptom
    evidence: str
    fact: str

    def to_json(self) -> dict[str, Json]:
        one = self.symptom
        return {
            "id": self.id,
            "subject": one.subject.to_json(),
            "kind": one.kind if one.kind != SIGNAL else one.reason,
            "since": [iso(at(moment)) for moment in one.since] if one.since else None,
            "severity": _SEVERITIES[one.severity],
            "text": one.text,
            "evidence": self.evidence,
        }

    @property
    def reference(self) -> str:
        return f"{self.evidence}.{self.fact}"


@dataclass(frozen=True, slots=True)
class BoardCandidate:
    """A fault in a subject: what speaks for it, strongest first, and what of others it explains."""

    subject: Subject
    fault: Fault
    score: float
    signs: tuple[Noted, ...]
    explains: tuple[Noted, ...] = ()
    confidence: float = 0.0
    own: float = 0.0  # the part of the score that its signs give

    def to_json(self) -> dict[str, Json]:
        return {
            "subject": self.subject.to_json(),
            "fault": str(self.fault),
            "confidence": self.confidence,
            "for": [one.id for one in (*self.signs, *self.explains)],
            "against": [],
            "missing": [],
        }


@dataclass(frozen=True, slots=True)
class Board:
    symptoms: tuple[Noted, ...] = ()
    candidates: tuple[BoardCandidate, ...] = ()  # best first

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that are out of line with the incident's subjects and below them, the nearest first."""
        near = [one for one in self.symptoms if one.symptom.labels.get("relation", OWN) in (OWN, BELOW)]
        return tuple(dict.fromkeys(one.symptom.reason for one in near if one.symptom.kind == SIGNAL))

    @property
    def named(self) -> BoardCandidate | None:
        """The cause that may be named: enough speaks for it, and nothing as much for another."""
        best = next(iter(self.candidates), None)
        return best if best and best.own >= NAMED and best.confidence >= 0.5 else None


def board(evidence: Mapping[str, Evidence], began: float) -> Board:
    """What the evidence shows. `began`: unix seconds at which the trouble began, as far as the alerts say."""
    noted = tuple(_noted(evidence.values()))
    found = [one for entry in table() for one in _candidates(entry, noted, began)]
    found = _deepest(_explained(one, noted) for one in found)
    found = sorted(found, key=lambda one: (-one.score, one.fault, one.subject.title))[:MOST_CANDIDATES]
    total = sum(math.exp(one.score) for one in found) + math.exp(OTHER)
    return Board(noted, tuple(replace(one, confidence=round(math.exp(one.score) / total, 2)) for one in found))


def _noted(evidence: Iterable[Evidence]) -> Iterator[Noted]:
    """Every symptom once: of what was read twice, the newer."""
    found: list[tuple[str, str, Symptom]] = []
    for one in evidence:
        for fact, symptom in symptoms_of(one.facts):
            found = [known for known in found if symptom.kind == CHANGED or not _twice(known[2], symptom)]
            found.append((one.id, fact, symptom))
    found = [(where, fact, one) for (where, fact, _), one in zip(found, _followed([s for *_, s in found]), strict=True)]
    found.sort(key=lambda one: (-one[2].severity, int(one[2].labels.get("steps") or 9)))
    for n, (where, fact, symptom) in enumerate(found, 1):
        yield Noted(f"S{n}", symptom, where, fact)


def _followed(symptoms: Sequence[Symptom]) -> list[Symptom]:
    """What a symptom of the incident's own, or of what lies below, accuses stands below too, whether the map knew it or
    not; and so does what that accuses."""
    accused: set[Subject] = set()
    for _ in range(MOST_FOLLOWED):
        more = {
            one.accuses
            for one in symptoms
            if one.accuses and (one.labels.get("relation", OWN) in (OWN, BELOW) or _accused(one.subject, accused))
        }
        if more <= accused:
            break
        accused |= more
    return [_below(one) if _accused(one.subject, accused) else one for one in symptoms]


def _accused(subject: Subject, accused: Iterable[Subject]) -> bool:
    return any(_is(subject, one) for one in accused)


def _below(one: Symptom) -> Symptom:
    if one.labels.get("relation") in (OWN, BELOW):
        return one
    return replace(one, labels={**one.labels, "relation": BELOW, "steps": "1"})


def _twice(one: Symptom, other: Symptom) -> bool:
    """Whether both are one thing seen twice: of one subject, or of a model and the service that serves it under its name."""
    return one.same_as(other) or (
        one.kind == other.kind == SIGNAL and one.reason == other.reason and _is(one.subject, other.subject)
    )


def _candidates(entry: Entry, noted: Sequence[Noted], began: float) -> Iterator[BoardCandidate]:
    """One candidate for each subject that something speaks of."""
    mine: dict[Subject, list[tuple[float, Noted]]] = defaultdict(list)
    for one in noted:
        fitting = [sign for sign in entry.signs if sign.fits(one.symptom) and _holds(sign, one, noted, began)]
        for sign in fitting[:1]:
            subject = one.symptom.accuses if sign.at == "accused" else None
            mine[subject or one.symptom.subject].append((_weight(sign, one.symptom, began), one))
    for subject, signs in mine.items():
        signs.sort(key=lambda weighed: -weighed[0])
        heaviest = {(one.symptom.kind, one.symptom.reason): weight for weight, one in reversed(signs)}
        strongest, *further = sorted(heaviest.values(), reverse=True)
        score = strongest + FURTHER * sum(further)
        yield BoardCandidate(subject, entry.fault, score, tuple(one for _, one in signs), own=score)


def _holds(sign: Sign, one: Noted, noted: Sequence[Noted], began: float) -> bool:
    """Whether what the sign needs beside itself is there."""
    if SUFFERING in sign.needs and not any(_suffers(other.symptom) and _near(one, other) for other in noted):
        return False
    relation = one.symptom.labels.get("relation", OWN)
    if (ITS_OWN in sign.needs and relation != OWN) or (FURTHER_DOWN in sign.needs and relation != BELOW):
        return False
    if TIMELY in sign.needs:
        since = one.symptom.since
        within = MODEL_CHANGE_S if one.symptom.reason == "model" else CHANGE_S
        return since is not None and -LATE_S <= began - since[0] <= within
    return True


def _suffers(symptom: Symptom) -> bool:
    return symptom.kind in SUFFERS or (symptom.kind == SIGNAL and symptom.reason in SUFFERS_SIGNALS)


def _near(one: Noted, other: Noted) -> bool:
    """Whether one could be the other's damage: of the same thing, or of what needs it."""
    mine, theirs = one.symptom, other.symptom
    if mine.subject == theirs.subject or mine.subject.name == theirs.subject.name:
        return True
    return mine.labels.get("relation") in (OWN, BELOW) and theirs.labels.get("relation") == OWN


def _weight(sign: Sign, symptom: Symptom, began: float) -> float:
    weight = sign.weight * ELSEWHERE[symptom.labels.get("relation", "")]
    weight += DEEPER * int(symptom.labels.get("steps") or 0) if FURTHER_DOWN in sign.needs else 0.0
    late = symptom.kind == SIGNAL and symptom.since is not None and symptom.since[0] > began + LATE_S
    return weight * LATE if late else weight


def _explained(one: BoardCandidate, noted: Sequence[Noted]) -> BoardCandidate:
    """With the damage of others that it explains, and what points at it."""
    mine = {sign.id for sign in one.signs}
    pointing = [n for n in noted if n.id not in mine and n.symptom.accuses and _is(n.symptom.accuses, one.subject)]
    below = one.signs[0].symptom.labels.get("relation") in (OWN, BELOW)
    felt = [n for n in noted if below and n.id not in mine and n not in pointing and _suffers(n.symptom)]
    felt = [n for n in felt if n.symptom.labels.get("relation") in (OWN, ABOVE) or n.symptom.subject == one.subject]
    explains = (*pointing, *felt)
    return replace(one, explains=explains, score=one.score + EXPLAINED * min(len(explains), MOST_EXPLAINED))


def _deepest(found: Iterable[BoardCandidate]) -> list[BoardCandidate]:
    """Without those that only point at something of which it is known what is wrong."""
    found = list(found)
    said = [one for one in found if one.fault not in POINTING and one.own >= NAMED]
    if any(one.signs[0].symptom.kind == "control_plane" and one.signs[0].symptom.reason == "dns" for one in said):
        found = [one for one in found if one.fault not in POINTING or not _of_names(one)]
    rolled_out = {one.subject for one in found if one.fault is Fault.BAD_DEPLOY and _by_dose(one)}
    found = [one for one in found if one.subject not in rolled_out or not _shows_in_pods(one)]
    return [
        one for one in found if one.fault not in POINTING or not any(_is(one.subject, other.subject) for other in said)
    ]


def _by_dose(one: BoardCandidate) -> bool:
    """Whether a roll-out's new pods fail and its old ones do not."""
    return any(sign.symptom.kind == CHANGED and sign.symptom.labels.get("dose") == "new" for sign in one.signs)


def _shows_in_pods(one: BoardCandidate) -> bool:
    """Whether it only says how new pods fail, which their version explains: what is missing for them is another matter."""
    return one.fault is Fault.BAD_CONFIG and one.own < TELLS_BY_ITSELF


def _of_names(one: BoardCandidate) -> bool:
    """Whether all that speaks for it is that a name could not be resolved."""
    return all(sign.symptom.reason == "unknown_host" for sign in one.signs)


def _is(one: Subject, other: Subject) -> bool:
    """Whether both may be one thing: a host name of a log line tells no kind, and often no namespace."""
    if one == other:
        return True
    spaces = {one.namespace, other.namespace} - {""}
    return len(spaces) < 2 and one.name.split(".")[0] == other.name.split(".")[0] and bool(one.name)
