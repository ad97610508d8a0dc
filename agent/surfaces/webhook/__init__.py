"""The webhook: Alertmanager, Grafana and events come in over HTTP."""

from agent.surfaces.webhook.readiness import Readiness
from agent.surfaces.webhook.routes import build

__all__ = ["Readiness", "build"]
