"""Grafana's webhook body: Alertmanager's with its own version, values and links, which are kept beside each alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.errors import UnusableInput
from agent.intake import alertmanager
from agent.intake.alertmanager import Delivery

VERSIONS = ("1", "4")


def read(data: Any, now: datetime) -> Delivery:
    """Of decoded JSON. UnusableInput says what was seen and what to send."""
    if isinstance(data, Mapping) and "alerts" not in data and {"ruleName", "evalMatches"} & data.keys():
        raise UnusableInput(
            "This is Grafana's legacy alerting (before version 9), which has no `alerts`. Switch to Grafana Alerting "
            "and give its webhook contact point this address."
        )
    return alertmanager.read(data, now, "grafana", VERSIONS)
