"""What Prometheus reads of us, in a registry of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.domain.incident import State

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServiceMetrics:
    """`absorbed` says how many alerts were known when they were delivered, since the start."""

    def __init__(self, absorbed: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.notifications = Counter(
            "stanch_notifications",
            "Notifications, by where they came from and what was answered.",
            ("source", "answer"),
            registry=self.registry,
        )
        self.alerts = Counter("stanch_alerts", "Alerts in notifications that were kept.", registry=self.registry)
        self.passed_over = Counter(
            "stanch_passed_over", "Our own calls for a person, come back.", registry=self.registry
        )
        self.set_aside = Counter("stanch_set_aside", "Notifications kept for a person.", registry=self.registry)
        self.waiting = Gauge("stanch_inbox_waiting", "Notifications kept and not worked yet.", registry=self.registry)
        self.incidents = Gauge("stanch_incidents", "Incidents, by state.", ("state",), registry=self.registry)
        self.commit = Histogram(
            "stanch_commit_seconds",
            "From a notification that was read to its commit.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Absorbed(absorbed))
        ProcessCollector(registry=self.registry)

    def exposition(self, waiting: int | None, states: Mapping[State, int]) -> bytes:
        """`waiting` None, `states` empty: the database could not be asked."""
        self.waiting.set(math.nan if waiting is None else waiting)
        self.incidents.clear()
        for state, count in states.items():
            self.incidents.labels(str(state)).set(count)
        return generate_latest(self.registry)


class _Absorbed(Collector):
    def __init__(self, absorbed: Callable[[], int]) -> None:
        self._absorbed = absorbed

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "stanch_duplicates", "Alerts that were known when they were delivered.", value=self._absorbed()
        )


class Counted:
    """Counts each answer to a notification, whoever gives it. `sources` are the paths with their sources."""

    def __init__(self, app: ASGIApp, measures: ServiceMetrics, sources: Mapping[str, str]) -> None:
        self._app, self._notifications, self._sources = app, measures.notifications, dict(sources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        source = self._sources.get(scope.get("path", ""))
        if source is None:
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._notifications.labels(source, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counting)
