"""What is known of the platform's objects, for reads that speak of subjects: by names alone, and by the map where there is
one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from agent.domain.alert import Alert
from agent.errors import UnusableInput
from agent.platform.owners import APPLICATION, Owners
from agent.platform.platform_map import PlatformMap
from agent.platform.rules import Rule, RuleBook
from agent.platform.subjects import subjects_of
from agent.platform.vocabulary import vocabulary
from tools.context import Catalog, Labels, Subject
from tools.kubernetes.pod_names import pods_of
from tools.prometheus.promql import literal

_PORT = re.compile(r"(?P<host>.+?)(?::\d{1,5})?")


def subjects_about(alert: Alert, catalog: Catalog | None = None, rules: RuleBook | None = None) -> tuple[Subject, ...]:
    """What an alert is about, by its labels, its rule where that is known, else the expression that it brought."""
    rules = rules or RuleBook()
    rule = rules.of(alert.labels, alert.generator_url)
    return subjects_of(alert.labels, rule, rules.recorded, catalog=catalog)


@dataclass(frozen=True)
class KnownPlatform:
    """Implements tools.context.Platform."""

    catalog: Catalog | None = None
    rules: RuleBook = field(default_factory=RuleBook)
    map: PlatformMap | None = None
    _others: dict[Subject, tuple[Subject, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def subjects_of(self, alerts: Iterable[Alert]) -> tuple[Subject, ...]:
        """What alerts are about, each subject once, those of the first alert first."""
        found = (one for alert in alerts for one in subjects_about(alert, self.catalog, self.rules))
        return tuple(dict.fromkeys(found))

    def about(self, labels: Labels, metric: str = "") -> tuple[Subject, ...]:
        if self.catalog is None and self.map is None:
            return _about(tuple(sorted(labels.items())), metric)
        return subjects_of(labels, Rule(metric), owners=self._owners, catalog=self.catalog)

    @cached_property
    def _owners(self) -> Owners:
        return self.map.owners() if self.map is not None else {}

    def same(self, one: Subject, other: Subject) -> bool:
        return _same(one, other) or any(_same(one, also) for also in self._under_other_names(other))

    def names(self, subject: Subject, kind: str) -> str:
        found = (_names(one, kind) for one in (subject, *self._under_other_names(subject)))
        return "|".join(dict.fromkeys(name for name in found if name))

    def known_as(self, subject: Subject) -> frozenset[str]:
        return frozenset(_host(one.name) for one in (subject, *self._under_other_names(subject)))

    def _under_other_names(self, subject: Subject) -> tuple[Subject, ...]:
        """What the map knows to be the same thing, and the workloads that the catalog says a Service has."""
        if subject not in self._others:
            self._others[subject] = tuple(self._other_names(subject))
        return self._others[subject]

    def _other_names(self, subject: Subject) -> Iterator[Subject]:
        if self.map is not None:
            yield from self.map.same_as(self._on_map(subject))
        service = self.catalog.service(subject.name) if self.catalog and subject.kind == "Service" else None
        for load in service.workloads if service else ():
            if _may_be(subject.namespace, load.namespace) and _may_be(subject.cluster, load.cluster):
                yield Subject(load.kind, subject.cluster, load.namespace, load.name, "the catalog's workloads")

    def near(self, subject: Subject, hops: int = 2) -> tuple[Subject, ...]:
        """What hangs together with a subject, the nearest first; nothing without a map."""
        if self.map is None:
            return ()
        mine = self._on_map(subject)
        faces = dict.fromkeys(self.map.face(one) for one, _ in self.map.neighbours(mine, hops))
        return tuple(one for one in faces if one != self.map.face(mine))

    def recognised_by(self, subject: Subject) -> Labels:
        service = self.catalog.service(subject.name) if self.catalog and subject.kind in APPLICATION else None
        return service.match if service else {}

    def feels(self, subject: Subject) -> tuple[Subject, ...]:
        if self.map is not None:
            return self.map.upstream(self._on_map(subject))
        service = self.catalog.service(subject.name) if self.catalog and subject.kind in APPLICATION else None
        needed = service.depends_on if service else ()
        return tuple(Subject("Service", subject.cluster, "", name, "the catalog's depends_on") for name in needed)

    def _on_map(self, subject: Subject) -> Subject:
        """The node that a subject is, where labels told less of it than the map does."""
        assert self.map is not None
        if subject in self.map.nodes:
            return subject
        fitting = [one for one in self.map.nodes if one.kind == subject.kind and _same(one, subject)]
        return fitting[0] if len(fitting) == 1 else subject

    def find(self, text: str) -> Subject:
        """A subject out of `[Kind/][namespace/]name`. Without a kind it is a Service: what most people mean by a name."""
        if self.map is not None and any(one.name and text.endswith(one.name) for one in self.map.nodes):
            return self.map.find(text)
        kind, cut, rest = text.partition("/")
        if not cut or not kind[:1].isupper():
            kind, rest = "Service", text
        kind = vocabulary().spelled(kind)
        namespace, _, name = rest.rpartition("/") if vocabulary().lies_in_a_namespace(kind) else ("", "", rest)
        if not name.strip() or "/" in namespace:
            raise UnusableInput(
                f"{text!r} names no subject. Write [Kind/][namespace/]name, a kind with a capital letter: Deployment/shop/mailer."
            )
        return Subject(kind, "", namespace.strip(), name.strip(), "named by a person")


@lru_cache(maxsize=4096)  # a look maps thousands of series of a few objects
def _about(labels: tuple[tuple[str, str], ...], metric: str) -> tuple[Subject, ...]:
    return subjects_of(dict(labels), Rule(metric))


def _same(one: Subject, other: Subject) -> bool:
    if not _may_be(one.cluster, other.cluster):
        return False
    if one.kind == other.kind == "Node":
        return _host(one.name) == _host(other.name)
    alike = one.kind == other.kind or {one.kind, other.kind} <= APPLICATION
    return alike and one.name == other.name and _may_be(one.namespace, other.namespace)


def _names(subject: Subject, kind: str) -> str:
    name = literal(subject.name)
    if kind == subject.kind or {kind, subject.kind} <= APPLICATION:
        return name
    if kind in ("Pod", "Container"):
        return _pods(subject)
    if kind == "PersistentVolumeClaim" and subject.kind in APPLICATION:
        return f"(.+-)?{name}(-[0-9]+)?"
    if kind == "Job" and subject.kind == "CronJob":
        return f"{name}-[0-9]+"
    return ""


def _pods(subject: Subject) -> str:
    if subject.kind in ("Pod", "Container"):
        return literal(subject.name)
    workload = subject.kind in APPLICATION or subject.kind in ("Job", "ReplicaSet")
    return pods_of(subject.kind, subject.name) if workload else ""


def _may_be(one: str, other: str) -> bool:
    """What one of them does not tell may be what the other says."""
    return one == other or not one or not other


def _host(name: str) -> str:
    found = _PORT.fullmatch(name)
    return found["host"] if found else name
