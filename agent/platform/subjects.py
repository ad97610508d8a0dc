"""From an alert to what it is about: its labels, its rule's expression and the platform's vocabulary, in that order of trust.

Labels of the object beat labels of the scrape. Nothing here depends on how an alert is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.platform.indicator import Indicator, indicator_of
from agent.platform.owners import Owners, owners_of, service_at
from agent.platform.rules import Rule
from agent.platform.vocabulary import Family, Naming, Place, Vocabulary, vocabulary
from tools.context import Catalog, Labels, Subject

_EXPORTED = "exported_"  # the object's own label, where the scrape's label took its name
_JOB = re.compile(r"(?:(?:serviceMonitor|podMonitor|probe)/)?(?P<namespace>[^/]+)/(?P<name>[^/]+)(?:/\d+)?")
_PODS = frozenset({"pod", "pod_name"})
_ADDRESSES = frozenset({"instance", "endpoint"})


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert's labels as they can be used: without those that name nothing here, `exported_` ones under their own names.
    `how` says of each where it is from."""

    labels: Labels
    how: Labels
    namespace: str
    cluster: str


def subjects_of(
    labels: Labels,
    rule: Rule | None = None,
    recorded: Mapping[str, str] | None = None,
    owners: Owners | None = None,
    catalog: Catalog | None = None,
) -> tuple[Subject, ...]:
    """What an alert is about: first what it names itself, then what that belongs to. Empty: it is about nothing, or says
    nothing of it. `recorded` are recording rules by name, `owners` what is known of the platform's objects; a service that
    the catalog's `match` finds stands for every guess of a Service."""
    words, rule = vocabulary(), rule or Rule()
    indicator = indicator_of(rule.expression, recorded) if rule.expression else Indicator()
    if indicator.known and not indicator.metrics:
        return ()
    family, resource = words.family(indicator.metrics, {**indicator.fixed, **labels})
    if family.nothing:
        return ()
    seen = _seen(words, family, resource, labels, indicator, rule)
    if family.always:
        return (_placed(family.always, family, seen, {}),)
    found = list(dict.fromkeys(_named(words, family, resource, seen)))
    found += list(_address(found, seen))
    if not found and family.otherwise:
        found = [
            _placed(family.otherwise, family, seen, {**indicator.fixed, **labels}, _lost(family, resource, indicator))
        ]
    elif found and found[0].kind == "Namespace" and resource not in ("", "Namespace") and indicator.aggregates:
        found = [replace(found[0], how=f"{found[0].how}; {_lost(family, resource, indicator)}")]
    behind = [owner for one in found[:1] for owner in owners_of(one, seen.labels, owners)]
    return tuple(dict.fromkeys(_corrected([*found[:1], *behind, *found[1:]], len(behind) + 1, seen, catalog)))


def _corrected(found: Sequence[Subject], at: int, seen: Seen, catalog: Catalog | None) -> Sequence[Subject]:
    """With the service that the catalog finds by what labels name, in the place of those that were guessed."""
    service = catalog.service_for(seen.labels) if catalog else None
    if service is None:
        return found
    namespaces = {one.namespace for one in service.workloads} or {seen.namespace}
    namespace = namespaces.pop() if len(namespaces) == 1 else seen.namespace
    how = "the catalog's match " + ", ".join(f"{name}={value}" for name, value in service.match.items())
    ours = Subject("Service", seen.cluster, namespace, service.name, how)
    if found and found[0].kind != "Service":
        rest = [one for one in found[at:] if one.kind not in ("Service", "Namespace", "Target")]
        return [*found[:at], ours, *rest]
    return [ours, *(one for one in found if one.kind != "Service")]


# -- which labels count ---------------------------------------------------------------------------------------------


def _seen(words: Vocabulary, family: Family, resource: str, labels: Labels, indicator: Indicator, rule: Rule) -> Seen:
    usable: dict[str, str] = {}
    how: dict[str, str] = {}
    for name, value, whence, trusted in _told_labels(labels, indicator, rule):
        if value and name not in usable and not _names_nothing(words, family, resource, name, value, trusted):
            usable[name], how[name] = value, whence
    space = next((usable[name] for name in words.file.namespaces if usable.get(name)), "")
    cluster = next((labels[name] for name in words.file.clusters if labels.get(name)), "")
    return Seen(usable, how, space, cluster)


def _told_labels(labels: Labels, indicator: Indicator, rule: Rule) -> Iterator[tuple[str, str, str, bool]]:
    """Each label: its name, its value, where it is from, and whether it is said of the object on purpose."""
    exported = {name.removeprefix(_EXPORTED): name for name in labels if name.startswith(_EXPORTED)}
    for name, full in exported.items():
        yield name, labels[full], f"label {full}", True
    for name, value in labels.items():
        written = rule.labels.get(name) == value
        if written or name not in exported:
            yield name, value, f"label {name}, written by the rule" if written else f"label {name}", written
    for name, value in indicator.fixed.items():
        if name not in labels:
            yield name, value, f'the rule asks for {name}="{value}"', False


def _names_nothing(words: Vocabulary, family: Family, resource: str, name: str, value: str, trusted: bool) -> bool:
    """Whether a label only says through what was scraped."""
    if name in family.ignore and trusted:
        return name in _ADDRESSES
    if resource and name != "job" and any(name in one.labels for one in words.kinds if one.kind == resource):
        return False
    if name in family.ignore or (resource not in ("", "Pod") and name in _PODS and not trusted):
        return True
    return name in family.exporters and words.is_exporter(value)


# -- what they name -------------------------------------------------------------------------------------------------


def _named(words: Vocabulary, family: Family, resource: str, seen: Seen) -> Iterator[Subject]:
    """What labels name: the metric's own object, what the family is about, then every other object, then what is named
    only where nothing else is."""
    first = [one for one in words.kinds if resource and one.kind == resource]
    about = [Naming(kind=kind, labels=tuple(labels), kind_from=family.kind_from) for kind, *labels in family.about]
    others = [] if family.only else [one for one in words.kinds if not one.alone]
    found = list(_objects(words, [*first, *about, *others], seen))
    if not found:
        last = [Naming(kind=kind, labels=tuple(labels)) for kind, *labels in family.last]
        alone = [] if family.only else [one for one in words.kinds if one.alone]
        found = list(_objects(words, [*last, *alone], seen))[:1]
    yield from found


def _address(found: Sequence[Subject], seen: Seen) -> Iterator[Subject]:
    """A machine goes by its name and by the address at which it was measured: others know it by that alone."""
    address = seen.labels.get("instance", "")
    if found and found[0].kind == "Node" and address and address != found[0].name:
        yield replace(found[0], name=address, how="label instance, its address")


def _objects(words: Vocabulary, namings: Sequence[Naming], seen: Seen) -> Iterator[Subject]:
    """Of one kind the label that says it best; no label names two things."""
    kinds: set[str] = set()
    used: set[str] = set()
    for naming in namings:
        label = next((name for name in naming.labels if seen.labels.get(name) and name not in used), None)
        if label is None or (naming.beside and not any(seen.labels.get(name) for name in naming.beside)):
            continue
        subject = _subject(words, naming, label, seen)
        if subject.kind not in kinds:
            kinds.add(subject.kind)
            used.add(label)
            yield subject


def _subject(words: Vocabulary, naming: Naming, label: str, seen: Seen) -> Subject:
    kind = next((words.spelled(seen.labels[name]) for name in naming.kind_from if seen.labels.get(name)), naming.kind)
    beside = [name for one in words.kinds if label in one.labels for name in one.namespace]
    given = next((seen.labels[name] for name in (*naming.namespace, *beside) if seen.labels.get(name)), seen.namespace)
    name, namespace, how = seen.labels[label], given if words.lies_in_a_namespace(kind) else "", seen.how[label]
    if kind == "Service":
        name, namespace = _service(label, name, namespace)
    return Subject(kind, seen.cluster, namespace, name, how)


def _service(label: str, name: str, namespace: str) -> tuple[str, str]:
    """A Service's name and namespace out of a DNS name, an OpenTelemetry or operator's job, or a proxy's spelling."""
    if at := service_at(name):
        return at
    if label == "job" and (job := _JOB.fullmatch(name)):
        return job["name"], namespace or job["namespace"]
    return name.partition("@")[0], namespace


def _placed(place: Place, family: Family, seen: Seen, labels: Labels, why: str = "") -> Subject:
    """What a family is about where no label names it."""
    if place.kind == "Cluster":
        return Subject("Cluster", seen.cluster, "", "", why or f"metrics of {family.name}")
    name = labels.get(place.name_from, "") or place.name
    near = seen.namespace or (_of_prometheus(labels) if place.beside_prometheus else "")
    namespace = place.namespace if family.always else near or place.namespace
    how = f"metrics of {family.name}, which no label names"
    return Subject(place.kind, seen.cluster, namespace, name, how)


def _of_prometheus(labels: Labels) -> str:
    """The namespace of the Prometheus that sent the alert (`prometheus: monitoring/k8s`)."""
    namespace, found, _ = labels.get("prometheus", "").partition("/")
    return namespace if found else ""


def _lost(family: Family, resource: str, indicator: Indicator) -> str:
    """That an aggregation threw the object away."""
    if not indicator.aggregates:
        return ""
    kind = resource or (family.about[0][0] if family.about else "single object")
    return f"the rule's aggregation leaves no label that names a {kind}; which it is stands in the raw series"
