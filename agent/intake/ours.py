"""Alerts about Stanch itself: people are paged for them, and nothing is investigated or changed because of one."""

from __future__ import annotations

import re
from collections.abc import Mapping

ALERT = "StanchNeedsPerson"
OURS = "stanch"  # value of the label `source`
_NAME = re.compile(r"Stanch[A-Z][A-Za-z]*")  # StanchNeedsPerson, StanchDown, …: rules without the label, too


def about_us(labels: Mapping[str, str]) -> bool:
    return labels.get("source") == OURS or bool(_NAME.fullmatch(labels.get("alertname", "")))
