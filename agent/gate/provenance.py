"""Provenance: where the names in an action come from. A name that only untrusted text knows is nobody's word."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.events import EvidenceRecorded, QuestionAsked, ReplyGiven
from agent.domain.evidence import ReadOutcome
from agent.domain.notes import Note, Steered
from agent.domain.people import is_person
from agent.domain.timeline import Event, events_of
from tools.context import Json

_NAME = re.compile(r"[A-Za-z0-9._/:@-]+")
_NAMING = frozenset(
    {"workload", "deployment", "statefulset", "pod", "namespace", "cluster", "node", "model", "version", "alias"}
)  # labels by which a platform names its own objects; a message or an annotation is text


class Origin(StrEnum):
    CATALOG = "catalog"
    PLATFORM = "platform"  # told by a platform's API, not by what runs on it
    PERSON = "person"
    RUNBOOK = "runbook"  # written out in an action block of the configured folder
    UNTRUSTED = "untrusted"

    @property
    def trusted(self) -> bool:
        return self is not Origin.UNTRUSTED


@dataclass(frozen=True, slots=True)
class Sources:
    """Names that may be trusted, by where they stand. Everything else anybody may have written."""

    catalog: Collection[str] = ()
    platform: Collection[str] = ()
    people: Collection[str] = field(default=())
    runbook: Collection[str] = ()


def origins(arguments: Mapping[str, Json], identifiers: Mapping[str, str], sources: Sources) -> dict[str, Origin]:
    """The origin of each argument that names something (`Action.identifiers()`); the comparison is exact."""
    return {name: _origin(arguments.get(name), sources) for name in identifiers if arguments.get(name) is not None}


def untrusted(arguments: Mapping[str, Json], identifiers: Mapping[str, str], sources: Sources) -> tuple[str, ...]:
    """The arguments whose names stand in untrusted text only."""
    found = origins(arguments, identifiers, sources)
    return tuple(name for name, origin in found.items() if not origin.trusted)


def words_of_people(events: Iterable[Event]) -> frozenset[str]:
    """Names that verified people wrote: in questions, answers and steering. What they quote, they have read."""
    said: set[str] = set()
    for event in events:
        told = event.payload
        if is_person(event.actor) and isinstance(told, QuestionAsked | ReplyGiven | Note):
            words = f"{told.text} {told.steer}" if isinstance(told, Steered) else told.text
            said |= {word.strip(".,:") for word in _NAME.findall(words)}
    return frozenset(said - {""})


def names_of_platform(events: Iterable[Event], reads: Collection[str]) -> frozenset[str]:
    """Names that the platform itself told in answer to one of `reads` (Kubernetes, a model registry): labels that name
    objects, and full references made of them. Telemetry and logs carry labels too and are not among these reads."""
    found: set[str] = set()
    for event in events_of(events, EvidenceRecorded):
        one = event.payload.evidence
        if one.read in reads and one.outcome is ReadOutcome.OK:
            for fact in one.facts:
                labels = {key: str(value) for key, value in fact.labels.items() if key in _NAMING}
                found |= set(labels.values()) | _references(labels)
    return frozenset(found - {""})


def written_out(block: Mapping[str, Json]) -> frozenset[str]:
    """Names that stand in an action block as they are, before rendering. A placeholder's value is the incident's word."""
    values = (value for value in block.values() if isinstance(value, str))
    return frozenset(value for value in values if "{{" not in value and "{%" not in value)


def _origin(value: Json, sources: Sources) -> Origin:
    """Of a list, the origin of its least trusted name."""
    if isinstance(value, list | tuple):
        each: Sequence[Origin] = [_origin(one, sources) for one in value]
        return next((o for o in each if not o.trusted), each[0] if each else Origin.UNTRUSTED)
    places = (
        (Origin.CATALOG, sources.catalog),
        (Origin.PLATFORM, sources.platform),
        (Origin.PERSON, sources.people),
        (Origin.RUNBOOK, sources.runbook),
    )
    return next((origin for origin, names in places if str(value) in names), Origin.UNTRUSTED)


def _references(labels: Mapping[str, str]) -> set[str]:
    """`namespace/name` and `cluster/namespace/name` of what the labels name."""
    names = {labels[kind] for kind in ("workload", "deployment", "statefulset") if kind in labels}
    namespace, cluster = labels.get("namespace"), labels.get("cluster")
    short = {f"{namespace}/{name}" for name in names} if namespace else set()
    return short | ({f"{cluster}/{one}" for one in short} if cluster else set())
