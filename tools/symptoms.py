"""Symptoms: what is not as it should be with one subject, since when. Reads find them; they travel as facts.

A symptom is never a cause: `exits` says that a container ends and in what words, not why the words are true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tools.context import Context, Labels, Platform, Subject
from tools.spec import Fact

HURTS, WARNS, TELLS = 3, 2, 1  # severity: users or the workload suffer now · it will · it only tells something
SIGNAL = "signal"  # the kind of what is measured out of line; its reason is the signal's name
CHANGED = "changed"  # the kind of a change; its reason is what was changed
OWN, BELOW, ABOVE, BESIDE = "own", "below", "above", "beside"  # where a subject stands to those of the incident
MOST_STEPS = 3  # that trouble is followed along the map
_OWN = frozenset({"kind", "cluster", "namespace", "name", "severity", "from", "to", "reason", "accuses"})


@dataclass(frozen=True, slots=True)
class Symptom:
    """`kind` is a word of the table of symptoms (`unschedulable`, `exits`, `image_pull` …), `reason` what tells causes of
    one kind apart (`node_affinity`, `memory`, `tag_unknown` …). `text` is a sentence of what was seen, with the decisive
    words as they were found. `since` is an interval in unix seconds. `accuses` is another subject that the symptom points
    at: the database whose name a log line gives, the claim that a pod waits for. `labels` are further names of it.
    """

    subject: Subject
    kind: str
    text: str
    severity: int = HURTS
    reason: str = ""
    since: tuple[float, float] | None = None
    accuses: Subject | None = None
    labels: Labels = field(default_factory=dict)

    def same_as(self, other: Symptom) -> bool:
        """Whether both say one thing of one subject, in whatever words."""
        return (self.subject, self.kind, self.reason) == (other.subject, other.kind, other.reason)


def placed(found: Sequence[Symptom], context: Context) -> list[Symptom]:
    """The symptoms with their `relation` to the incident's subjects: its own, of something below that its trouble may come
    from, of something above that feels it, or of something beside. `steps` is how far away."""
    if context.platform is None or not context.subjects:
        return list(found)
    below = _distances(context.platform, context.subjects)
    known: dict[Subject, Labels] = {}
    for one in found:
        if one.subject not in known:
            known[one.subject] = _relation(one.subject, context.subjects, below, context.platform)
    return [replace(one, labels={**one.labels, **known[one.subject]}) for one in found]


def _distances(platform: Platform, subjects: Sequence[Subject]) -> dict[Subject, int]:
    """What the subjects' trouble may come from, with its distance. What an alert names first and what owns that are one."""
    found = dict.fromkeys(subjects, 0)
    frontier = list(subjects)
    for step in range(1, MOST_STEPS + 1):
        following = [one for each in frontier for one in platform.feels(each) if one not in found]
        found |= {one: step for one in following if one not in found}
        frontier = list(dict.fromkeys(following))
    return found


def _relation(
    subject: Subject, subjects: Sequence[Subject], below: dict[Subject, int], platform: Platform
) -> dict[str, str]:
    if any(one == subject or platform.same(one, subject) for one in subjects):
        return {"relation": OWN, "steps": "0"}
    if subject.kind == "Cluster":  # what the whole cluster lacks, each of its parts lacks
        return {"relation": BELOW, "steps": str(MOST_STEPS)}
    steps = next((n for one, n in below.items() if one == subject or platform.same(one, subject)), None)
    if steps is not None:
        return {"relation": BELOW if steps else OWN, "steps": str(steps)}
    feels = platform.feels(subject)
    above = any(one == each or platform.same(one, each) for one in feels for each in subjects[:1])
    return {"relation": ABOVE if above else BESIDE}


def symptom_facts(found: Sequence[Symptom], window: str) -> list[Fact]:
    """One fact a symptom, `s1` …: its value is the kind, its name the sentence."""
    return [Fact(f"s{n}", one.text, one.kind, "", _labels(one), window) for n, one in enumerate(found, 1)]


def symptoms_of(facts: Iterable[Fact]) -> list[tuple[str, Symptom]]:
    """The symptoms among the facts of one read, each with its fact's id. The inverse of symptom_facts."""
    return [(fact.id, _symptom(fact)) for fact in facts if is_symptom(fact)]


def is_symptom(fact: Fact) -> bool:
    """Whether a fact of a read is a symptom."""
    return fact.id[:1] == "s" and fact.id[1:].isdigit() and "severity" in fact.labels


def _labels(one: Symptom) -> dict[str, str]:
    subject = one.subject
    labels = {
        "kind": subject.kind,
        "cluster": subject.cluster,
        "namespace": subject.namespace,
        "name": subject.name,
        "severity": str(one.severity),
        "reason": one.reason,
    }
    if one.since:
        labels |= {"from": str(one.since[0]), "to": str(one.since[1])}
    if one.accuses:
        labels["accuses"] = "/".join((one.accuses.kind, one.accuses.cluster, one.accuses.namespace, one.accuses.name))
    return {**{k: v for k, v in one.labels.items() if k not in _OWN}, **{k: v for k, v in labels.items() if v}}


def _symptom(fact: Fact) -> Symptom:
    labels = fact.labels
    subject = Subject(*(labels.get(key, "") for key in ("kind", "cluster", "namespace", "name")))
    since = (float(labels["from"]), float(labels["to"])) if "from" in labels else None
    accused = Subject(*labels["accuses"].split("/", 3)) if labels.get("accuses") else None
    more = {k: v for k, v in labels.items() if k not in _OWN}
    return Symptom(
        subject, str(fact.value), fact.name, int(labels["severity"]), labels.get("reason", ""), since, accused, more
    )
