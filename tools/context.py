"""Everything a tool may touch, as plain values and Protocols. Nothing here reads the environment or the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tools.errors import NotConfigured, TargetUnclear

if TYPE_CHECKING:
    import httpx

Json: TypeAlias = Any  # any plain JSON value; a recursive union costs more ignores than it catches
Labels: TypeAlias = Mapping[str, str]


class Clock(Protocol):
    """Where everybody takes the time from. `now` is aware and in UTC."""

    def now(self) -> datetime: ...
    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Workload:
    """A thing that runs replicas: one Kubernetes Deployment or StatefulSet in one cluster."""

    name: str
    namespace: str
    cluster: str
    kind: str = "Deployment"
    service: str = ""
    environment: str = ""

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Subject:
    """The thing an alert, a change or a symptom is about. `kind` is spelled as Kubernetes does where it has one
    (Deployment, Pod, Node …), else Service, Queue, Model, Target, Database, Cluster … Of a Cluster `name` is empty.

    `how` says in words how it was known; two subjects are the same thing however they were known.
    """

    kind: str
    cluster: str
    namespace: str
    name: str
    how: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        """As people call it: `mailer (shop)`."""
        name = self.name or (self.cluster if self.kind == "Cluster" else "")
        return f"{name} ({self.namespace})" if name and self.namespace else name

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "cluster": self.cluster,
            "namespace": self.namespace,
            "name": self.name,
            "how": self.how,
        }


@dataclass(frozen=True, slots=True)
class Service:
    """A catalog entry. `match` are the labels by which alerts and series are recognised as this service's."""

    name: str
    match: Labels = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    serves_model: str | None = None
    workloads: tuple[Workload, ...] = ()
    environment: str = ""
    owner: str = ""
    runbooks: tuple[str, ...] = ()
    confirmed: bool = True  # a drafted entry steers reads and never authorises an action
    traffic: str | None = None  # PromQL of its requests per second, for guards

    @property
    def clusters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(w.cluster for w in self.workloads))


@dataclass(frozen=True, slots=True)
class Model:
    """A machine-learning model of the customer's: where it is registered, served and measured."""

    name: str
    registry_name: str
    alias: str = "champion"
    served_by: str = ""
    features_from: tuple[str, ...] = ()
    registry: str = ""  # name of the registry backend; "" when there is one
    owner: str = ""
    served_version: str | None = None  # PromQL whose `version` label is what serving really runs
    served_url: str | None = None  # or a GET whose JSON says so, with `served_path` (JMESPath)
    served_path: str = "version"
    quality: str | None = None  # PromQL of the model's error or score over time
    quality_lower_is_better: bool = True
    labels_complete_until: str | None = None  # PromQL of the unix time up to which true outcomes are known
    freshness: str | None = None  # PromQL of the unix time each feature was last written, by `feature` label
    freshness_limit: timedelta | None = None
    drift_source: str | None = None  # what inspect_drift reads when nobody names a source
    confirmed: bool = True
    alias_named: bool = True  # False: nobody said which alias serving follows, and `alias` is a custom's name


@dataclass(frozen=True, slots=True)
class Target:
    """What an action acts on; it always names its cluster (for a registry or Alertmanager: the backend's name)."""

    kind: str  # workload | model | alert | http
    name: str
    cluster: str
    namespace: str = ""
    environment: str = ""
    service: str = ""
    confirmed: bool = True

    def __str__(self) -> str:
        return "/".join(part for part in (self.cluster, self.namespace, self.name) if part)


class Catalog(Protocol):
    """The inventory, as tools see it. Lookups by name are exact; nothing is guessed."""

    def services(self) -> Sequence[Service]: ...
    def service(self, name: str) -> Service | None: ...
    def service_for(self, labels: Labels) -> Service | None: ...
    def model(self, name: str) -> Model | None: ...
    def models(self) -> Sequence[Model]: ...
    def workload(self, reference: str) -> Workload:
        """The one workload that `[cluster/][namespace/]name` or a service's name means; else TargetUnclear."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was changed on the platform: a rollout, a promotion, an event that was posted to us."""

    at: datetime
    kind: str  # deployment | model_promotion | config | data | restart | scaling | other
    what: str
    service: str = ""
    cluster: str = ""
    by: str = ""
    link: str = ""
    source: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


class Changes(Protocol):
    """Changes that were posted to us (CloudEvents), out of the store."""

    async def between(self, since: datetime, until: datetime) -> Sequence[Change]: ...


class Platform(Protocol):
    """What is known of the platform's objects: what a series is about, and which objects hang together."""

    def about(self, labels: Labels, metric: str = "") -> tuple[Subject, ...]:
        """What a series with these labels is about: what it names, then what that belongs to."""
        ...

    def same(self, one: Subject, other: Subject) -> bool:
        """Whether they are one thing under two kinds: a Deployment, and the Service of its pods."""
        ...

    def known_as(self, subject: Subject) -> frozenset[str]:
        """Every name that the subject goes by, without a port: what bears none of them is not it."""
        ...

    def names(self, subject: Subject, kind: str) -> str:
        """A regular expression of the names that objects of a kind have which are the subject, are a part of it or carry
        it; "" when there are none."""
        ...

    def near(self, subject: Subject, hops: int = 2) -> tuple[Subject, ...]:
        """What hangs together with a subject, the nearest first; everything within so many hops, each thing once."""
        ...

    def feels(self, subject: Subject) -> tuple[Subject, ...]:
        """What its trouble may come from, one step away: what it calls, reads, mounts, runs on. Each thing once."""
        ...

    def recognised_by(self, subject: Subject) -> Labels:
        """The labels by which people say that its series are told; none where nobody said."""
        ...

    def find(self, text: str) -> Subject:
        """The subject that a person means by `[Kind/][namespace/]name`."""
        ...


class EvidenceBook(Protocol):
    """Evidence of the incident at hand, for open_evidence."""

    async def body(self, evidence_id: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class RunbookHit:
    name: str
    section: str
    score: float
    why: str
    text: str = ""


class EvidenceIndex(Protocol):
    """The runbooks, for search_runbooks."""

    async def search(self, text: str, limit: int = 5) -> Sequence[RunbookHit]: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """One server that tools talk to. `match` are label values that select it among several (clusters)."""

    kind: str  # one of tools.backends
    name: str
    url: str
    http: httpx.AsyncClient  # base_url set, timeouts set, tokens set
    public_url: str = ""  # where a person's browser reaches it; "" = url
    match: Labels = field(default_factory=dict)
    kubeconfig: Path | None = None
    kube_context: str | None = None

    @property
    def link_base(self) -> str:
        return (self.public_url or self.url).rstrip("/")


@dataclass(frozen=True, slots=True)
class Backends:
    """All configured servers."""

    all: tuple[Backend, ...] = ()
    drift_folders: tuple[Path, ...] = ()
    grafana_url: str = ""
    retraining_url: str = ""  # where request_retraining posts its CloudEvent; "" = not offered

    def of(self, kind: str) -> tuple[Backend, ...]:
        return tuple(b for b in self.all if b.kind == kind)

    def has(self, kind: str) -> bool:
        """Whether something of the kind can be asked; `retraining` is an address of its own."""
        extra = {"drift": bool(self.drift_folders), "retraining": bool(self.retraining_url)}
        return bool(self.of(kind)) or extra.get(kind, False)

    def pick(self, kind: str, labels: Labels | None = None, name: str = "") -> Backend:
        """The one backend of a kind that serves these labels; NotConfigured for none, TargetUnclear for several."""
        candidates = self.of(kind)
        if not candidates:
            raise NotConfigured(
                f"No {kind} is configured. Set STANCH_{kind.upper()}_URL or backends.{kind} in stanch.yaml."
            )
        if name:
            candidates = tuple(b for b in candidates if b.name == name)
        elif len(candidates) > 1:
            wanted = labels or {}
            # an unlabelled backend serves everything; a labelled one serves what agrees with all its labels
            candidates = tuple(b for b in candidates if all(wanted.get(k) == v for k, v in b.match.items()))
        if len(candidates) == 1:
            return candidates[0]
        known = ", ".join(f"{b.name} {dict(b.match)}" for b in self.of(kind))
        what = f"name {name!r}" if name else f"labels {dict(labels or {})}"
        raise TargetUnclear(
            f"{len(candidates)} of the {kind} backends fit {what}. Configured: {known}. Name the cluster."
        )


@dataclass(frozen=True, slots=True)
class Context:
    """What one call of a tool gets. `as_of` is the incident's time: a read never looks past it."""

    clock: Clock
    as_of: datetime
    backends: Backends
    catalog: Catalog
    changes: Changes
    evidence: EvidenceBook
    evidence_index: EvidenceIndex
    labels: Labels = field(default_factory=dict)  # of the incident: picks the backend when arguments do not
    subjects: tuple[Subject, ...] = ()  # of the incident, what its alerts name first
    since: datetime | None = None  # when the incident began
    platform: Platform | None = None
    live_within: timedelta = timedelta(minutes=2)
    http: httpx.AsyncClient | None = None  # for configured addresses (http_action, retraining); None = no network

    @property
    def live(self) -> bool:
        """Whether as_of is the present, so that reads without a history may answer."""
        return abs(self.clock.now() - self.as_of) <= self.live_within
