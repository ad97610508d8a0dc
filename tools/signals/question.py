"""What is asked for a signal: one query for all its dialects and all subjects, narrowed to what they are made of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tools.context import Labels, Platform, Subject
from tools.prometheus import promql as pql
from tools.signals.dialects import SCRAPED, TARGET, Dialect, Signal

DIALECT = "stanch_dialect"  # the label by which an answer's dialect is known
KEPT = ("cluster",)  # asked for beside the naming labels: two clusters are never one
MOST_MATCH = 10_000  # characters of matchers; beyond, more is asked for and sorted out here
MOST_CHARACTERS = 60_000  # of one query: it names every subject, in each dialect
_PORT = re.compile(r":\d{1,5}$")
_AROUND = frozenset({"Node", "Namespace", "Cluster"})  # kinds that much else lies in
_EXPORTER = "exporter_build_info"  # the metric by which an exporter is told from what it reports on
_LISTED = ("up", "target_info")  # metrics with all labels of what is scraped
_OF_PROCESS = ("process_", "python_", "go_", "jvm_", "nodejs_", "dotnet_")  # of an exporter these are its own


@dataclass(frozen=True)
class Targets:
    """What a server scrapes: the labels of each target by its job and instance, and which of them are exporters, which
    report on something else. Applications that push have no `up`; their `target_info` tells the same."""

    by_place: Mapping[tuple[str, str], Labels] = field(default_factory=dict)
    exporters: frozenset[tuple[str, str]] = frozenset()

    @cached_property
    def words(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """Every word that a target's labels could name a thing by: values, without a port, and what they begin with."""
        return {place: frozenset(_beginnings(labels.values())) for place, labels in self.by_place.items()}

    def of(self, labels: Labels) -> Labels:
        """The labels of a series with those of its target behind them."""
        place = (labels.get("job", ""), labels.get("instance", ""))
        return {**self.by_place.get(place, {}), **labels}


def targets_query(names: Iterable[str]) -> str:
    """The query that lists what is scraped, out of a server's metric names."""
    return " or ".join([*_LISTED, *sorted(name for name in names if name.endswith(_EXPORTER))])


def targets_of(rows: Iterable[Labels]) -> Targets:
    found: dict[tuple[str, str], Labels] = {}
    exporters = set()
    for labels in rows:
        mine = {name: value for name, value in labels.items() if name != "__name__"}
        place = (mine.get("job", ""), mine.get("instance", ""))
        if labels.get("__name__", "").endswith(_EXPORTER):
            exporters.add(place)
        else:
            found[place] = {**mine, **found.get(place, {})}
    return Targets(found, frozenset(exporters))


@dataclass(frozen=True)
class Asked:
    """One query, and the dialects that it joins."""

    promql: str
    dialects: Mapping[str, Dialect]


def questions(signal: Signal, subjects: Sequence[Subject], targets: Targets, platform: Platform) -> list[Asked]:
    """The queries for a signal: one, unless it would be longer than one may be. None where no dialect can speak of any of
    these subjects."""
    parts: list[tuple[Dialect, str]] = []
    for dialect in signal.dialects:
        for match, further in _matches(dialect, subjects, targets, platform):
            parts.append((dialect, _labelled(dialect.filled(match, (*KEPT, *further)), dialect.name)))
    found: list[list[tuple[Dialect, str]]] = []
    for dialect, text in parts:
        if found and len(" or ".join([*(t for _, t in found[-1]), text])) <= MOST_CHARACTERS:
            found[-1].append((dialect, text))
        else:
            found.append([(dialect, text)])
    return [Asked(" or ".join(t for _, t in group), {d.name: d for d, _ in group}) for group in found]


def _labelled(query: str, dialect: str) -> str:
    return f'label_replace({query}, "{DIALECT}", {pql.quote(dialect)}, "", "")'


def _matches(
    dialect: Dialect, subjects: Sequence[Subject], targets: Targets, platform: Platform
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The matchers that narrow a dialect to the subjects, each with labels that are asked for beside the naming ones; none
    when it cannot speak of any."""
    if dialect.subject != SCRAPED:
        match = _match(dialect, subjects, platform)
        if match is not None:
            yield match, ()
        return
    mine = _scraped(dialect, subjects, targets, platform)
    if mine is not None:
        yield mine, ()
    yield from _recognised(subjects, targets, platform)


def _recognised(
    subjects: Sequence[Subject], targets: Targets, platform: Platform
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Services of the catalog that labels of their series tell, where no target is known to be theirs: what was pushed, and
    what one target reports of several."""
    values: dict[tuple[str, ...], list[Labels]] = {}
    for one in subjects:
        labels = platform.recognised_by(one)
        if labels and not any(labels.items() <= target.items() for target in targets.by_place.values()):
            values.setdefault(tuple(sorted(labels)), []).append(labels)
    for names, many in values.items():
        told = _any_of(names[0], sorted({labels[names[0]] for labels in many}))
        yield _short_enough(told, f'{names[0]}!=""'), names


def _match(dialect: Dialect, subjects: Sequence[Subject], platform: Platform) -> str | None:
    """The matchers that narrow a dialect whose series name their object; None when it cannot speak of any."""
    names = [name for one in subjects if (name := platform.names(one, dialect.kind))]
    if not names:
        return None
    named = f"{_label_of_kind(dialect)}=~{pql.quote('|'.join(dict.fromkeys(names)))}"
    spaces = sorted({one.namespace for one in subjects})
    if len(dialect.naming) < 2 or not all(spaces):
        return _short_enough(named)
    return _short_enough(f"{named},{_any_of(dialect.naming[0], spaces)}", _any_of(dialect.naming[0], spaces))


def _any_of(label: str, values: Iterable[str]) -> str:
    return f"{label}=~{pql.quote('|'.join(map(pql.literal, values)))}"


def _short_enough(*matches: str) -> str:
    """The first that is not too long for a query which has it several times; nothing where all are."""
    return next((match for match in matches if len(match) <= MOST_MATCH), "")


def _label_of_kind(dialect: Dialect) -> str:
    """Of a Container the pod's label: a subject knows its pods, not how their containers are called."""
    return dialect.naming[-2] if dialect.kind == "Container" and len(dialect.naming) > 1 else dialect.naming[-1]


def _scraped(dialect: Dialect, subjects: Sequence[Subject], targets: Targets, platform: Platform) -> str | None:
    metric = min(dialect.metrics)
    mine = list(dict.fromkeys(_places(metric, subjects, targets, platform)))
    if not mine:
        return None
    jobs, instances = (sorted({place[at] for place in mine}) for at in (0, 1))
    job, instance = (_any_of(label, values) for label, values in zip(TARGET, (jobs, instances), strict=True))
    return _short_enough(f"{job},{instance}", job)


def _places(
    metric: str, subjects: Sequence[Subject], targets: Targets, platform: Platform
) -> Iterator[tuple[str, str]]:
    own = metric.startswith(_OF_PROCESS)
    by_name: dict[str, list[Subject]] = defaultdict(list)
    for one in subjects:
        for name in platform.known_as(one):
            by_name[name].append(one)
    for place, labels in targets.by_place.items():
        if (own and place in targets.exporters) or by_name.keys().isdisjoint(targets.words[place]):
            continue
        about = scraped(labels, metric, platform)
        near = dict.fromkeys(one for name in bare_names(about) for one in by_name.get(name, ()))
        if any(belongs(about, one, platform) for one in near):
            yield place


def scraped(labels: Labels, metric: str, platform: Platform) -> tuple[Subject, ...]:
    """What a target's metrics are about; it goes by its job's name too, which is all that some platforms call it."""
    about, job = platform.about(labels, metric), labels.get("job", "").rpartition("/")[2]
    if not job or any(one.kind == "Service" and one.name == job for one in about):
        return about
    return (*about, Subject("Service", "", labels.get("namespace", ""), job, "label job"))


def _beginnings(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        bare = _PORT.sub("", value).rpartition("/")[2]
        yield from (value, _PORT.sub("", value), bare)
        yield from (bare[:at] for at, letter in enumerate(bare) if letter in "-.")


def bare_names(about: Iterable[Subject]) -> frozenset[str]:
    """The names of what a series is about, without a port."""
    return frozenset(_PORT.sub("", one.name) for one in about)


def belongs(about: Sequence[Subject], subject: Subject, platform: Platform) -> bool:
    """Whether what a series is about is the subject, or a part of it. What a pod runs on is neither."""
    parts = [one for place, one in enumerate(about) if not place or one.kind not in _AROUND]
    return any(one == subject or platform.same(one, subject) for one in parts)
