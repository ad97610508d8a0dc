"""Contexts for tests: real values with nothing behind them but what a test puts there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from agent.clock import MovedClock
from tools.context import (
    Backend,
    Backends,
    Change,
    Clock,
    Context,
    Labels,
    Model,
    RunbookHit,
    Service,
    Workload,
)
from tools.errors import TargetUnclear

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # what tests call now, unless they say otherwise


@dataclass(frozen=True, slots=True)
class ListedCatalog:
    """A catalog out of two tuples."""

    entries: tuple[Service, ...] = ()
    known_models: tuple[Model, ...] = ()

    def services(self) -> Sequence[Service]:
        return self.entries

    def service(self, name: str) -> Service | None:
        return next((s for s in self.entries if s.name == name), None)

    def service_for(self, labels: Labels) -> Service | None:
        return next((s for s in self.entries if s.match and all(labels.get(k) == v for k, v in s.match.items())), None)

    def model(self, name: str) -> Model | None:
        return next((m for m in self.known_models if m.name == name), None)

    def models(self) -> Sequence[Model]:
        return self.known_models

    def workload(self, reference: str) -> Workload:
        found = {
            str(w): w
            for s in self.entries
            for w in s.workloads
            if s.name == reference or f"/{w}".endswith(f"/{reference}")
        }
        if len(found) != 1:
            raise TargetUnclear(f"{len(found)} workloads fit {reference!r}: {', '.join(found) or 'none'}.")
        return next(iter(found.values()))


@dataclass(frozen=True, slots=True)
class ListedChanges:
    listed: tuple[Change, ...] = ()

    async def between(self, since: datetime, until: datetime) -> Sequence[Change]:
        return [c for c in self.listed if since <= c.at <= until]


@dataclass(frozen=True, slots=True)
class ListedEvidence:
    bodies: Mapping[str, str] = field(default_factory=dict)

    async def body(self, evidence_id: str) -> str | None:
        return self.bodies.get(evidence_id)


@dataclass(frozen=True, slots=True)
class ListedShelf:
    hits: tuple[RunbookHit, ...] = ()

    async def search(self, text: str, limit: int = 5) -> Sequence[RunbookHit]:
        return [hit for hit in self.hits if hit.name in text or text in hit.text][:limit]


def backend(
    kind: str,
    url: str = "http://backend.test",
    *,
    app: httpx.AsyncBaseTransport | None = None,
    name: str = "",
    match: Labels | None = None,
    public_url: str = "",
) -> Backend:
    """A backend at a real address, or, with `app`, behind a transport (httpx.MockTransport, httpx.ASGITransport)."""
    no_idle = httpx.Limits(max_keepalive_connections=0)  # nothing is left open when a test forgets to close
    http = httpx.AsyncClient(base_url=url, transport=app, timeout=10, limits=no_idle)
    return Backend(kind, name or kind, url, http, public_url=public_url, match=match or {})


def context(
    *backends: Backend,
    as_of: datetime = NOON,
    now: datetime | None = None,
    clock: Clock | None = None,
    catalog: ListedCatalog | None = None,
    services: tuple[Service, ...] = (),
    models: tuple[Model, ...] = (),
    changes: tuple[Change, ...] = (),
    evidence: Mapping[str, str] | None = None,
    runbooks: tuple[RunbookHit, ...] = (),
    labels: Labels | None = None,
    grafana_url: str = "",
    http: httpx.AsyncClient | None = None,
) -> Context:
    """A context as of NOON whose clock stands at `now` (default: as_of, so that the context is live)."""
    return Context(
        clock=clock or MovedClock(now or as_of),
        as_of=as_of,
        backends=Backends(tuple(backends), grafana_url=grafana_url),
        catalog=catalog or ListedCatalog(services, models),
        changes=ListedChanges(changes),
        evidence=ListedEvidence(evidence or {}),
        evidence_index=ListedShelf(runbooks),
        labels=labels or {},
        http=http,
    )
