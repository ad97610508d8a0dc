"""How platforms call things, out of vocabulary.yaml: labels that name objects, and what each family of metrics is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agent import yaml_file
from tools.context import Labels

FILE = Path(__file__).with_name("vocabulary.yaml")
_TARGET_LABELS = ("job", "container", "service")  # what a target is called, where nothing else says what scraped it


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Naming(_Entry):
    """Labels whose value is the name of an object of a kind."""

    kind: str
    labels: tuple[str, ...]
    resource: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    kind_from: tuple[str, ...] = ()
    namespace: tuple[str, ...] = ()
    everywhere: bool = False
    alone: bool = False


class Place(_Entry):
    """An object that no label names."""

    kind: str
    namespace: str = ""
    name: str = ""
    name_from: str = ""
    beside_prometheus: bool = False


class Family(_Entry):
    """Metrics that are about the same kind of object, and what their labels say."""

    name: str
    metrics: str | None = None
    scraped: str | None = None
    about: tuple[tuple[str, ...], ...] = ()
    last: tuple[tuple[str, ...], ...] = ()
    only: bool = False
    ignore: frozenset[str] = frozenset()
    exporters: frozenset[str] = frozenset()
    kind_from: tuple[str, ...] = ()
    otherwise: Place | None = None
    always: Place | None = None
    nothing: bool = False
    itself: bool = False


OWN = Family(name="its own metrics")  # what an application says of itself: the labels of its scrape are its own


class Addresses(_Entry):
    """How variables and addresses say that they name a host, and a database."""

    held_by: str
    host_alone: str
    itself: str
    no_host: frozenset[str]
    database_schemes: frozenset[str]
    database_ports: frozenset[str]
    database_hosts: str

    def holds_address(self, variable: str) -> bool:
        """Whether a variable's name says that its value is an address."""
        return re.search(self.held_by, variable, re.IGNORECASE) is not None

    def holds_host(self, variable: str) -> bool:
        """Whether it says that a name without a port is one."""
        return re.search(self.host_alone, variable, re.IGNORECASE) is not None

    def names_itself(self, variable: str) -> bool:
        """Whether it is about where the program itself is reached, or what it guards."""
        return re.search(self.itself, variable, re.IGNORECASE) is not None

    def has_no_host(self, scheme: str) -> bool:
        return scheme.lower() in self.no_host

    def is_of_database(self, scheme: str) -> bool:
        return scheme.lower().partition("+")[0] in self.database_schemes

    def at_database(self, host: str, port: str) -> bool:
        return port in self.database_ports or re.search(self.database_hosts, host, re.IGNORECASE) is not None


class Ends(_Entry):
    """Metrics whose series name both who calls and what is called. Of each the first naming that fits."""

    name: str
    metrics: tuple[str, ...]
    callers: tuple[Naming, ...]
    callees: tuple[Naming, ...]


class Peers(_Entry):
    """Labels whose value is what the series' own object calls."""

    labels: tuple[str, ...]
    databases: frozenset[str]
    queues: frozenset[str]
    beside_databases: frozenset[str]
    nobody: frozenset[str]
    not_of: str
    graphs: tuple[Ends, ...]


class _File(_Entry):
    namespaces: tuple[str, ...]
    clusters: tuple[str, ...]
    everywhere: tuple[str, ...]
    exporter: str
    itself: str
    kinds: tuple[Naming, ...]
    families: tuple[Family, ...] = Field(min_length=1)
    addresses: Addresses
    peers: Peers


@dataclass(frozen=True)
class Vocabulary:
    file: _File

    @property
    def kinds(self) -> Sequence[Naming]:
        return self.file.kinds

    @property
    def addresses(self) -> Addresses:
        return self.file.addresses

    @property
    def peers(self) -> Peers:
        return self.file.peers

    @cached_property
    def _metrics(self) -> Sequence[tuple[re.Pattern[str], Family]]:
        return [(re.compile(f.metrics), f) for f in self.file.families if f.metrics]

    @cached_property
    def _scraped(self) -> Sequence[tuple[re.Pattern[str], Family]]:
        return [(re.compile(f.scraped), f) for f in self.file.families if f.scraped]

    @cached_property
    def _exporter(self) -> re.Pattern[str]:
        return re.compile(self.file.exporter)

    @cached_property
    def _itself(self) -> re.Pattern[str]:
        return re.compile(self.file.itself)

    @cached_property
    def _everywhere(self) -> frozenset[str]:
        return frozenset({one.kind for one in self.kinds if one.everywhere} | {*self.file.everywhere})

    @cached_property
    def _spelling(self) -> Mapping[str, str]:
        return {name: one.kind for one in self.kinds for name in (one.kind.lower(), *one.resource)}

    def is_exporter(self, value: str) -> bool:
        """Whether a pod, job or service of this name reports on others."""
        return self._exporter.search(value) is not None

    def of_target(self, metric: str) -> bool:
        """Whether a metric tells of the target as such (`up`, `process_…`), whatever runs there."""
        return self._itself.match(metric) is not None

    def of_application(self, metric: str) -> bool:
        """Whether a metric is an application's own, and of no family that reports on other objects."""
        return not any(pattern.match(metric) for pattern, _ in self._metrics)

    def spelled(self, kind: str) -> str:
        """A kind as Kubernetes writes it: `deployment` → Deployment."""
        return self._spelling.get(kind.lower(), kind)

    def lies_in_a_namespace(self, kind: str) -> bool:
        return kind not in self._everywhere

    def family(self, metrics: Iterable[str], labels: Labels) -> tuple[Family, str]:
        """The family of a rule's metrics (its own name for the object behind it, "" where the metric's name holds none);
        where no metric tells, that of the target which was scraped."""
        asked = [metric for metric in metrics if metric]
        for metric in asked:
            for pattern, family in self._metrics:
                for part in (metric, *metric.split(":")[1:]):
                    if not self.of_target(part) and (found := pattern.match(part)):
                        return family, self._spelling.get(found.groupdict().get("resource") or "", "")
        target = bool(asked) and all(self.of_target(metric) for metric in asked)
        values = [labels[name] for name in _TARGET_LABELS if labels.get(name)]
        for value in values:
            for pattern, family in self._scraped:
                if pattern.match(value) and (family.itself or not target):
                    return family, ""
        return OWN, ""


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary that is shipped."""
    return Vocabulary(yaml_file.load(FILE, _File))
