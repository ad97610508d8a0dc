"""What Prometheus reads at /metrics, in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.application import App
from agent.case.incident import ENDED, State
from agent.errors import StoreAway
from agent.intake.inbox import Inbox
from agent.surfaces.webhook.readiness import Readiness

WITHIN = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Absorbed(Collector):
    """The inbox's own count of what it had already."""

    def __init__(self, box: Inbox) -> None:
        self._box = box

    def collect(self) -> Iterator[Metric]:
        told = "Alerts and changes that had been delivered before"
        yield CounterMetricFamily("stanch_duplicate_signals", told, value=self._box.absorbed)


class Meters:
    def __init__(self, app: App) -> None:
        self._app = app
        self.registry = registry = CollectorRegistry()
        self.notifications = Counter(
            "stanch_notifications", "Requests to the webhooks, by HTTP status", ["source", "answer"], registry=registry
        )
        self.alerts = Counter("stanch_alerts", "Alerts in notifications that were kept", ["source"], registry=registry)
        registry.register(_Absorbed(app.inbox))
        self.ours = Counter("stanch_own_alerts_ignored", "Alerts about Stanch itself, passed over", registry=registry)
        self.quarantined = Counter(
            "stanch_quarantined",
            "Notifications that are kept for a person because they are odd",
            ["source"],
            registry=registry,
        )
        self.commit = Histogram(
            "stanch_commit_seconds",
            "From a notification that was read to its durable commit",
            registry=registry,
            buckets=WITHIN,
        )
        self.waiting = Gauge(
            "stanch_inbox_waiting", "Notifications that are kept and not worked yet", registry=registry
        )
        self.incidents = Gauge("stanch_open_incidents", "Incidents that have not ended", ["state"], registry=registry)
        self.ready = Gauge("stanch_ready", "Whether notifications are taken", registry=registry)

    async def exposition(self, ready: Readiness) -> bytes:
        """With what stands in the store as of now; not a number where the database does not say."""
        nan = float("nan")
        try:
            waiting, counts = float(await self._app.inbox.waiting()), await self._app.desk.open_by_state()
        except StoreAway:
            waiting, counts = nan, {}
        self.waiting.set(waiting)
        for state in State:
            if state not in ENDED:
                self.incidents.labels(str(state)).set(nan if waiting != waiting else counts.get(state, 0))
        self.ready.set(1 if ready else 0)
        return generate_latest(self.registry)
