"""The catalog: services, what depends on what, the models they serve, workloads, clusters, owners, people and groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from agent import yaml_file
from agent.domain import people
from agent.domain.people import Identity, is_group_elsewhere
from agent.errors import BadConfiguration, TargetUnclear
from tools.context import Labels, Model, Service, Workload


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class WorkloadEntry(_Entry):
    name: str
    namespace: str = ""
    cluster: str = ""
    kind: str = "Deployment"


class ServiceEntry(_Entry):
    match: dict[str, str] = Field(
        default_factory=dict, description="labels of its alerts and series; default service=NAME"
    )
    depends_on: list[str] = Field(default_factory=list)
    serves_model: str | None = None
    workload: str | None = Field(None, description="short for one entry of workloads")
    workloads: list[WorkloadEntry] = Field(default_factory=list)
    namespace: str = ""
    cluster: str = ""
    environment: str = ""
    owner: str = ""
    runbooks: list[str] = Field(default_factory=list)
    traffic: str | None = Field(None, description="PromQL of its requests a second; guards watch it")
    confirmed: bool = Field(True, description="false in drafts: steers reads, never authorises an action")


class ModelEntry(_Entry):
    registry_name: str | None = None
    registry: str = ""
    alias: str = "champion"
    served_by: str = ""
    features_from: list[str] = Field(default_factory=list)
    owner: str = ""
    served_version: str | None = Field(None, description="PromQL whose `version` label is what serving runs")
    served_url: str | None = None
    served_path: str = "version"
    quality: str | None = Field(None, description="PromQL of its error or score")
    quality_lower_is_better: bool = True
    labels_complete_until: str | None = Field(None, description="PromQL of the unix time to which outcomes are known")
    freshness: str | None = Field(None, description="PromQL of the unix time each feature was last written")
    freshness_limit: timedelta | None = Field(None, description="ISO 8601 duration such as PT6H")
    drift_source: str | None = None
    confirmed: bool = True


class PersonEntry(_Entry):
    """Who somebody is on each surface; `file_type` puts the kinds of identity in."""

    @property
    def principals(self) -> tuple[str, ...]:
        found = [(one, getattr(self, one.key, None)) for one in people.IDENTITIES]
        return tuple(one.principal(value) for one, value in found if value)


class CatalogFile(_Entry):
    """catalog.yaml but for the kinds of identity: see `file_type`."""

    services: dict[str, ServiceEntry] = Field(default_factory=dict)
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    people: dict[str, PersonEntry] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(
        default_factory=dict, description="members: people, or a Slack user group as slack-group:S0123, read live"
    )


def file_type() -> type[CatalogFile]:
    """catalog.yaml, with every kind of identity that a surface verifies."""
    return _file_type(people.IDENTITIES)


@lru_cache(maxsize=4)
def _file_type(identities: tuple[Identity, ...]) -> type[CatalogFile]:
    keys: dict[str, Any] = {one.key: (one.type | None, None) for one in identities}
    person: Any = create_model("PersonEntry", __base__=PersonEntry, **keys)
    told = "catalog.yaml: what runs where, what needs what, and who may decide."
    entries: Any = (dict[str, person], Field(default_factory=dict))
    return create_model("CatalogFile", __base__=CatalogFile, __doc__=told, people=entries)


def nobody(group: str) -> frozenset[str]:
    return frozenset()


@dataclass
class Elsewhere:
    """Groups that another system keeps, such as `slack-group:S0123`. `members` gives the principals in one just now; a
    surface that can read them sets it. What cannot be read has nobody in it."""

    members: Callable[[str], frozenset[str]] = field(default=nobody)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody a surface has identified. `name` is the catalog's; None = unmapped, who may look and not decide."""

    principal: str  # os:ann | slack:T1/U2 | demo:--approve
    name: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """Implements tools.context.Catalog. An empty one is a catalog too: everything is read-only then."""

    entries: Mapping[str, Service] = field(default_factory=dict)
    model_entries: Mapping[str, Model] = field(default_factory=dict)
    people: Mapping[str, PersonEntry] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    elsewhere: Elsewhere = field(default_factory=Elsewhere, compare=False)

    def services(self) -> Sequence[Service]:
        return tuple(self.entries.values())

    def service(self, name: str) -> Service | None:
        return self.entries.get(name)

    def models(self) -> Sequence[Model]:
        return tuple(self.model_entries.values())

    def model(self, name: str) -> Model | None:
        return self.model_entries.get(name) or next(
            (m for m in self.model_entries.values() if m.registry_name == name), None
        )

    def service_for(self, labels: Labels) -> Service | None:
        """The service whose `match` labels all agree; of several the most specific; equally specific: none."""
        fitting = [s for s in self.entries.values() if s.match and all(labels.get(k) == v for k, v in s.match.items())]
        most = max((len(s.match) for s in fitting), default=0)
        best = [s for s in fitting if len(s.match) == most]
        return best[0] if len(best) == 1 else None

    def model_for(self, labels: Labels, service: Service | None) -> Model | None:
        named = self.model(labels["model"]) if labels.get("model") else None
        return named or (self.model(service.serves_model) if service and service.serves_model else None)

    def workload(self, reference: str) -> Workload:
        wanted = reference.split("/")
        known = [w for s in self.entries.values() for w in s.workloads]
        fitting = [w for w in known if str(w).split("/")[-len(wanted) :] == wanted]
        fitting = fitting or list(self.entries[reference].workloads if reference in self.entries else ())
        if len(set(fitting)) == 1:
            return fitting[0]
        names = ", ".join(sorted(str(w) for w in fitting or known)) or "none"
        count = "Several workloads are" if fitting else "No workload is"
        raise TargetUnclear(
            f"{count} called {reference!r}. Name it as cluster/namespace/name; the catalog has: {names}."
        )

    def dependents(self, name: str) -> tuple[str, ...]:
        """Services that need this one, directly: the blast radius of an action on it."""
        return tuple(s.name for s in self.entries.values() if name in s.depends_on)

    def names(self) -> frozenset[str]:
        """Every name the catalog knows; a numeral inside one of them is no bare number."""
        loads = {part for s in self.entries.values() for w in s.workloads for part in (w.name, w.namespace, w.cluster)}
        aliases = {model.alias for model in self.model_entries.values()}
        return frozenset({*self.entries, *self.model_entries, *self.people, *self.groups} | loads | aliases - {""})

    def person(self, principal: str) -> Person:
        """Who a verified principal is; unmapped people keep their principal and have no name."""
        for name, entry in self.people.items():
            if principal in entry.principals:
                return Person(principal, name, self.groups_of(name))
        return Person(principal)

    def groups_of(self, name: str) -> tuple[str, ...]:
        """By today's file, and by what another system says now of a group it keeps."""
        principals = self.people[name].principals if name in self.people else ()
        return tuple(
            group
            for group, members in self.groups.items()
            if name in members
            or any(self.elsewhere.members(one) & {*principals} for one in members if is_group_elsewhere(one))
        )

    def kept_elsewhere(self, groups: Sequence[str] | None = None) -> frozenset[str]:
        """The `slack-group:S0123` that these groups (default: all) have as members."""
        names = self.groups if groups is None else [name for name in groups if name in self.groups]
        return frozenset(one for name in names for one in self.groups[name] if is_group_elsewhere(one))


def load(path: Path) -> Catalog:
    """The catalog of a file; BadConfiguration names file, line and mend."""
    return from_file(yaml_file.load(path, file_type()), str(path))


def from_file(file: CatalogFile, name: str = "catalog.yaml") -> Catalog:
    _check_references(file, name)
    return Catalog(
        {key: _service(key, entry) for key, entry in file.services.items()},
        {key: _model(key, entry) for key, entry in file.models.items()},
        file.people,
        file.groups,
    )


def _service(name: str, entry: ServiceEntry) -> Service:
    listed = entry.workloads + ([WorkloadEntry(name=entry.workload)] if entry.workload else [])
    return Service(
        name=name,
        match=entry.match or {"service": name},
        depends_on=tuple(entry.depends_on),
        serves_model=entry.serves_model,
        workloads=tuple(
            Workload(
                w.name, w.namespace or entry.namespace, w.cluster or entry.cluster, w.kind, name, entry.environment
            )
            for w in listed
        ),
        environment=entry.environment,
        owner=entry.owner,
        runbooks=tuple(entry.runbooks),
        confirmed=entry.confirmed,
        traffic=entry.traffic,
    )


def _model(name: str, entry: ModelEntry) -> Model:
    values = entry.model_dump()
    values["features_from"] = tuple(values["features_from"])
    values["registry_name"] = values["registry_name"] or name
    return Model(name=name, alias_named="alias" in entry.model_fields_set, **values)


def _check_references(file: CatalogFile, name: str) -> None:
    """Names that point nowhere, and workloads without a cluster, are mistakes now rather than at 3 a.m."""
    problems = []
    for key, entry in file.services.items():
        problems += [
            f"services.{key}.depends_on: no service {other!r}"
            for other in entry.depends_on
            if other not in file.services
        ]
        if entry.serves_model and entry.serves_model not in file.models:
            problems.append(f"services.{key}.serves_model: no model {entry.serves_model!r}")
        for load in [*entry.workloads, *([WorkloadEntry(name=entry.workload)] if entry.workload else [])]:
            if not (load.cluster or entry.cluster):
                problems.append(f"services.{key}: workload {load.name!r} names no cluster")
    for key, model in file.models.items():
        if model.served_by and model.served_by not in file.services:
            problems.append(f"models.{key}.served_by: no service {model.served_by!r}")
    for group, members in file.groups.items():
        problems += [
            f"groups.{group}: no person {who!r} under people"
            for who in members
            if who not in file.people and not is_group_elsewhere(who)
        ]
    if problems:
        raise BadConfiguration("\n".join(f"{name}: {problem}. Add it or correct the name." for problem in problems))
