"""How subjects hang together: the kinds of edge, which way trouble runs along each, and what one source tells of a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from agent.domain.moves import NotChecked
from tools.context import Backend, Json, Subject

Trouble = Literal["to_source", "to_target", "both", "none"]

KUBERNETES, KUBE_STATE_METRICS, CATALOG = "Kubernetes", "kube-state-metrics", "catalog"
BY_NAME = "the name's pattern"  # a guess, which gives way to whatever else is known
ONLY_NAMED = ", only named there"  # ends where an object was seen that nobody listed: its callers or its users name it


class EdgeKind(StrEnum):
    """What the source does to the target, most telling first. `trouble` says where trouble of one end is felt."""

    CALLS = "calls"
    ROUTES = "routes"
    SERVES = "serves"
    SELECTS = "selects"
    OWNS = "owns"
    MOUNTS = "mounts"
    READS = "reads"
    SCALES = "scales"
    MANAGES = "manages"
    RUNS_ON = "runs on"

    @property
    def trouble(self) -> Trouble:
        """`to_source`: the source feels what is wrong with the target. Of a call that is errors and latency; load runs
        the other way."""
        return _TROUBLE[self]


_TROUBLE: Mapping[EdgeKind, Trouble] = {
    EdgeKind.CALLS: "to_source",
    EdgeKind.ROUTES: "to_source",
    EdgeKind.SERVES: "both",
    EdgeKind.SELECTS: "to_source",
    EdgeKind.OWNS: "both",
    EdgeKind.MOUNTS: "both",
    EdgeKind.READS: "to_source",
    EdgeKind.SCALES: "to_target",
    EdgeKind.MANAGES: "to_target",
    EdgeKind.RUNS_ON: "both",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """`known_from` says who told of it: Kubernetes, kube-state-metrics, client metrics (peer), catalog …"""

    source: Subject
    target: Subject
    kind: EdgeKind
    known_from: str

    def to_json(self) -> dict[str, Json]:
        return {
            "from": place(self.source),
            "to": place(self.target),
            "kind": str(self.kind),
            "source": self.known_from,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """What one source tells. `nodes` are the subjects it lists, each with where it was seen; an edge may name others.

    `versions` are the resourceVersions of configuration, `addresses` the subjects behind (cluster, IP address).
    """

    nodes: Mapping[Subject, str] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    unseen: tuple[NotChecked, ...] = ()
    versions: Mapping[Subject, str] = field(default_factory=dict)
    addresses: Mapping[tuple[str, str], Subject] = field(default_factory=dict)


def place(subject: Subject) -> dict[str, Json]:
    """A subject as the map's JSON writes it: kind, cluster, namespace, name."""
    return {
        "kind": subject.kind,
        "cluster": subject.cluster,
        "namespace": subject.namespace,
        "name": subject.name,
    }


def title_of(backend: Backend) -> str:
    """A backend as it is named among what was not seen: `Kubernetes`, `Prometheus eu-1`."""
    kind = backend.kind.capitalize()
    return kind if backend.name in ("", backend.kind) else f"{kind} {backend.name}"
