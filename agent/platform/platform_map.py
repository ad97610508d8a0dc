"""The platform map: subjects, and how they hang together, as of one time. It says what could not be seen: forbidden is
not empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent.clock import iso
from agent.domain.moves import NotChecked
from agent.domain.text import visible
from agent.platform import map_names
from agent.platform.edges import BY_NAME, ONLY_NAMED, Edge, EdgeKind, Part, place
from agent.platform.owners import Owners
from agent.platform.settle import WORKLOADS, in_cluster, known, settled, settled_edges
from tools.context import Json, Subject

__all__ = ["Edge", "EdgeKind", "Part", "PlatformMap", "joined"]

_SAME = frozenset({EdgeKind.SELECTS, EdgeKind.OWNS})
_CARRIES = frozenset({EdgeKind.RUNS_ON, EdgeKind.MOUNTS})
_KINDS = {kind: place for place, kind in enumerate(("Service", *WORKLOADS, "Model", "Database", "Target", "Queue"))}
_TELLING = {kind: place for place, kind in enumerate(EdgeKind)}
_EMPTY: tuple[Edge, ...] = ()
_MOST_DRAWN = 500  # edges that Mermaid draws unless its maxEdges is raised
_BACKGROUND = frozenset({"Pod", "Node", "ConfigMap", "Secret", "ResourceQuota", "PersistentVolume"})


@dataclass(frozen=True, slots=True)
class PlatformMap:
    """`nodes` → where each was seen. `unseen` is what could not be asked, and why. `versions` are the resourceVersions of
    ConfigMaps and Secrets: one that differs from an earlier map's has been changed since."""

    nodes: Mapping[Subject, frozenset[str]]
    edges: tuple[Edge, ...]
    as_of: datetime
    unseen: tuple[NotChecked, ...] = ()
    versions: Mapping[Subject, str] = field(default_factory=dict)
    _of_source: Mapping[Subject, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)
    _of_target: Mapping[Subject, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)
    _same: dict[Subject, tuple[Subject, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_of_source", _grouped(self.edges, lambda edge: edge.source))
        object.__setattr__(self, "_of_target", _grouped(self.edges, lambda edge: edge.target))

    def edges_of(self, subject: Subject) -> tuple[Edge, ...]:
        """The edges that begin or end at a subject, the most telling kind first."""
        found = (*self._of_source.get(subject, _EMPTY), *self._of_target.get(subject, _EMPTY))
        return tuple(sorted(found, key=lambda edge: _TELLING[edge.kind]))

    def owners(self, cluster: str | None = None) -> Owners:
        """What owns each object of a cluster, as `subjects_of` takes it; of all clusters (None) what none contradicts."""
        found: dict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
        for edge in self.edges:
            if edge.kind is EdgeKind.OWNS and cluster in (None, edge.target.cluster):
                one = edge.target
                found[one.kind, one.namespace, one.name].add((edge.source.kind, edge.source.name))
        return {key: next(iter(owners)) for key, owners in found.items() if len(owners) == 1}

    def find(self, text: str) -> Subject:
        """The subject that `[Kind/][cluster/][namespace/]name` means. A Service and its workload of one name are one thing:
        the workload is given. UnusableInput names all that fit, or the nearest names."""
        return map_names.find(text, self.nodes, self.same_as)

    def same_as(self, subject: Subject) -> tuple[Subject, ...]:
        """The one thing under its other kinds: the Service that selects it, its workload, its pods. Never its node, nor the
        siblings of a pod."""
        if subject not in self._same:
            self._same[subject] = self._found_same(subject)
        return self._same[subject]

    def _found_same(self, subject: Subject) -> tuple[Subject, ...]:
        below = self._reach([subject], self._down)
        above = self._reach([subject], self._up)
        owners = self._reach(below, self._owners_of) if subject.kind == "Service" else {}
        twins = self._twins(subject) if subject.kind == "Service" else {}
        return tuple(sorted((below | above | owners | twins).keys() - {subject}, key=_order))

    def workload(self, subject: Subject) -> Subject:
        """What owns a pod, where that is known; any other subject itself."""
        if subject.kind != "Pod":
            return subject
        return next(iter(self._owners_of(subject)), subject)

    def members(self, subject: Subject) -> tuple[Subject, ...]:
        """The pods of a workload or a Service; of a pod itself."""
        below = self._reach([subject], self._down)
        return tuple(sorted((one for one in below if one.kind == "Pod"), key=_order))

    def neighbours(self, subject: Subject, hops: int = 2) -> tuple[tuple[Subject, int], ...]:
        """Every subject within so many hops, each once, with its distance: the nearest first, and at one distance by what
        connects them (calls before shared nodes). What is the same thing as a subject is as near as that is."""
        frontier = [subject, *self.same_as(subject)]
        seen, found = set(frontier), list[tuple[Subject, int]]()
        for hop in range(1, hops + 1):
            reached: dict[Subject, int] = {}
            for edge in sorted((e for one in frontier for e in self.edges_of(one)), key=lambda e: _TELLING[e.kind]):
                for end in (edge.source, edge.target):
                    if end in seen or end in reached:
                        continue
                    for one in (end, *self.same_as(end)):
                        if one not in seen:
                            reached.setdefault(one, _TELLING[edge.kind])
            frontier = sorted(reached, key=lambda one: (reached[one], _order(one)))
            seen |= reached.keys()
            found += [(one, hop) for one in frontier]
        return tuple(found)

    def upstream(self, subject: Subject) -> tuple[Subject, ...]:
        """What trouble of a subject may come from, one edge away, the most telling kind first: what it calls, reads or
        mounts, and what it runs on. Each thing once, as its workload where it has one."""
        one_thing = {subject, *self.same_as(subject), *self.members(subject)}
        found: dict[Subject, int] = {}
        for edge in sorted((e for one in one_thing for e in self.edges_of(one)), key=lambda e: _TELLING[e.kind]):
            ends = (edge.source, edge.target)
            felt = {"to_source": ends[1:], "to_target": ends[:1], "both": ends, "none": ()}[edge.kind.trouble]
            if edge.kind in _CARRIES:  # a machine's other tenants are beside, not below
                felt = ends[1:]
            for end in felt:
                if edge.kind not in _SAME and end not in one_thing:
                    found.setdefault(self.face(end), _TELLING[edge.kind])
        return tuple(sorted(found.keys() - one_thing, key=lambda one: (found[one], _order(one))))

    def face(self, subject: Subject) -> Subject:
        """The one of the several kinds of a thing by which it goes: its workload, else its Service, else itself."""
        return min((subject, *self.same_as(subject)), key=_faced)

    def around(self, subject: Subject, hops: int = 2) -> PlatformMap:
        """The part of the map within so many hops of a subject."""
        kept = {subject, *self.same_as(subject), *(one for one, _ in self.neighbours(subject, hops))}
        return PlatformMap(
            {one: seen for one, seen in self.nodes.items() if one in kept},
            tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
            self.as_of,
            self.unseen,
            {one: version for one, version in self.versions.items() if one in kept},
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "nodes": [place(one) | {"seen_in": sorted(seen)} for one, seen in self.nodes.items()],
            "edges": [edge.to_json() for edge in self.edges],
            "as_of": iso(self.as_of),
            "unseen": [one.to_json() for one in self.unseen],
            "versions": [place(one) | {"version": version} for one, version in self.versions.items()],
        }

    def to_mermaid(self, around: Subject | None = None) -> str:
        """A Mermaid flowchart of the map, or of what is within two hops of a subject; pods are drawn as what owns them."""
        return _flowchart(self.around(around) if around else self, around)

    # -- walking ------------------------------------------------------------------------------------------------------

    def _reach(self, begin: Iterable[Subject], step: Callable[[Subject], Iterable[Subject]]) -> dict[Subject, None]:
        """What steps lead to from the beginning, which is part of it; each once, so that a circle ends."""
        found = dict.fromkeys(begin)
        waiting = list(found)
        while waiting:
            for one in step(waiting.pop()):
                if one not in found:
                    found[one] = None
                    waiting.append(one)
        return found

    def _down(self, subject: Subject) -> Iterable[Subject]:
        return (edge.target for edge in self._of_source.get(subject, _EMPTY) if edge.kind in _SAME)

    def _up(self, subject: Subject) -> Iterable[Subject]:
        return (edge.source for edge in self._of_target.get(subject, _EMPTY) if edge.kind in _SAME)

    def _owners_of(self, subject: Subject) -> Iterable[Subject]:
        return (edge.source for edge in self._of_target.get(subject, _EMPTY) if edge.kind is EdgeKind.OWNS)

    def _selected(self, service: Subject) -> frozenset[Subject]:
        edges = self._of_source.get(service, _EMPTY)
        return frozenset(edge.target for edge in edges if edge.kind is EdgeKind.SELECTS)

    def _twins(self, service: Subject) -> dict[Subject, None]:
        """Services that select just what this one does."""
        mine = self._selected(service)
        others = {edge.source for one in mine for edge in self._of_target.get(one, _EMPTY)}
        return dict.fromkeys(one for one in others if one.kind == "Service" and self._selected(one) == mine)


def joined(parts: Iterable[Part], as_of: datetime) -> PlatformMap:
    """One map out of what several sources tell. Names and addresses are settled against what is listed; two clusters stay
    two."""
    parts = tuple(parts)
    about = known(parts)
    edges = tuple(settled_edges((edge for part in parts for edge in part.edges), about))
    listed = {in_cluster(one, about) for part in parts for one in part.nodes}
    edges = (*edges, *_by_name({*listed, *(end for edge in edges for end in (edge.source, edge.target))}, edges))
    seen: dict[Subject, set[str]] = defaultdict(set)
    for part in parts:
        for one, where in part.nodes.items():
            seen[settled(one, about) if _is_loose(one) else in_cluster(one, about)].add(where)
    for edge in edges:
        for end in (edge.source, edge.target):
            if end not in seen or all(where.endswith(ONLY_NAMED) for where in seen[end]):
                seen[end].add(edge.known_from + ONLY_NAMED)
    return PlatformMap(
        {one: frozenset(seen[one]) for one in sorted(seen, key=_order)},
        tuple(sorted(edges, key=lambda e: (_TELLING[e.kind], _order(e.source), _order(e.target)))),
        as_of,
        tuple(dict.fromkeys(one for part in parts for one in part.unseen)),
        {in_cluster(one, about): version for part in parts for one, version in part.versions.items()},
    )


def _by_name(nodes: Iterable[Subject], edges: Iterable[Edge]) -> list[Edge]:
    """A Service of which nobody tells what it selects is the workload of its name beside it."""
    told = {edge.source for edge in edges if edge.kind is EdgeKind.SELECTS and edge.target.kind != "Target"}
    places: dict[tuple[str, str, str], list[Subject]] = defaultdict(list)
    for one in nodes:
        if one.kind in WORKLOADS:
            places[one.cluster, one.namespace, one.name].append(one)
    services = [one for one in nodes if one.kind == "Service" and one.namespace and one not in told]
    return [
        Edge(service, loads[0], EdgeKind.SELECTS, BY_NAME)
        for service in sorted(services, key=_order)
        if len(loads := places.get((service.cluster, service.namespace, service.name), [])) == 1
    ]


def _is_loose(subject: Subject) -> bool:
    """Whether a listed subject may be another one under a name of its own: a service without a place, a machine's address."""
    return (subject.kind == "Service" and not subject.namespace) or subject.kind == "Node"


def _grouped(edges: Iterable[Edge], end: Callable[[Edge], Subject]) -> Mapping[Subject, tuple[Edge, ...]]:
    found: dict[Subject, list[Edge]] = defaultdict(list)
    for edge in edges:
        found[end(edge)].append(edge)
    return {one: tuple(some) for one, some in found.items()}


def _faced(subject: Subject) -> tuple[int, tuple[str, str, int, str, str]]:
    ranks = {**dict.fromkeys(WORKLOADS, 0), "Service": 1, "Pod": 3, "Target": 3}
    return ranks.get(subject.kind, 2), _order(subject)


def _order(subject: Subject) -> tuple[str, str, int, str, str]:
    """By place, then services and workloads before what they are made of."""
    return subject.cluster, subject.namespace, _KINDS.get(subject.kind, len(_KINDS)), subject.kind, subject.name


# -- drawing ----------------------------------------------------------------------------------------------------------


def _flowchart(platform: PlatformMap, around: Subject | None) -> str:
    """Each pod is drawn as what owns it. Without a subject, machines and configuration are left out too: the whole of a
    platform is drawn to see who calls whom."""
    hidden = frozenset[str]() if around else _BACKGROUND
    around = platform.workload(around) if around else None
    edges = list(dict.fromkeys(_drawn(edge, platform) for edge in platform.edges))
    edges = [e for e in edges if e[0] != e[1] and not {e[0].kind, e[1].kind} & hidden]
    nodes = dict.fromkeys([one for edge in edges for one in edge[:2]] + ([around] if around else []))
    names = {one: f"n{number}" for number, one in enumerate(nodes, 1)}
    lines = ["flowchart LR"]
    if len(edges) > _MOST_DRAWN:
        lines.append(f"  %% {len(edges)} edges: raise Mermaid's maxEdges above its {_MOST_DRAWN}, or name a subject")
    lines += [f'  {names[one]}["{_drawn_label(one)}"]' for one in nodes]
    lines += [f"  {names[source]} -->|{kind}| {names[target]}" for source, target, kind in edges]
    if around:
        lines.append(f"  style {names[around]} stroke-width:3px")
    return "\n".join(lines) + "\n"


def _drawn(edge: Edge, platform: PlatformMap) -> tuple[Subject, Subject, EdgeKind]:
    return platform.workload(edge.source), platform.workload(edge.target), edge.kind


def _drawn_label(subject: Subject) -> str:
    shown = visible(subject.title or subject.kind, 80).replace("#", "#35;").replace('"', "#quot;")
    return f"{shown}<br/>{visible(subject.kind, 60)}"
