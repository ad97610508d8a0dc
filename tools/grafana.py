"""Links that open Grafana's Explore at exactly one query and window."""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import urlencode


def explore(grafana: str, source: str, query: str, start: datetime, end: datetime, step: float | None = None) -> str:
    """`source` is the data source's name or uid; the backend's name in our configuration should equal it."""
    asked: dict[str, object] = {"refId": "A", "expr": query}
    if step:
        asked["interval"] = f"{step:.0f}s"
    times = {"from": str(int(start.timestamp() * 1000)), "to": str(int(end.timestamp() * 1000))}
    panes = {"stanch": {"datasource": source, "range": times, "queries": [asked]}}
    text = json.dumps(panes, separators=(",", ":"))
    return f"{grafana.rstrip('/')}/explore?{urlencode({'schemaVersion': '1', 'panes': text})}"
