"""Alerts about Stanch itself: they are for people, and never open an incident here."""

from __future__ import annotations

from agent.case.alert import Alert

OURS = "stanch"  # value of the label `source`
PREFIX = "Stanch"  # how the names of our alerts begin


def ours(alert: Alert) -> bool:
    return alert.labels.get("source") == OURS or alert.name.startswith(PREFIX)
