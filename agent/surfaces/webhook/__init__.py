"""The door for machines: Alertmanager, Grafana and events come in over HTTP."""

from agent.surfaces.webhook.door import build
from agent.surfaces.webhook.readiness import Readiness

__all__ = ["Readiness", "build"]
