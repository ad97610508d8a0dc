"""The programs that are needed, each with the package that brings it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.clock import iso
from tests.conftest import need
from tests.servers.history import EXPRESSION, STEP, History
from tests.servers.machines import prometheus_command, running
from tools.formatting import at


@dataclass(frozen=True, slots=True)
class Filled:
    """A real Prometheus with more than eight days behind it, and the alert that fires there."""

    url: str
    history: History

    def body(self) -> bytes:
        """What Alertmanager would send for it; `cluster` is an external label, so no series here has it."""
        labels = {"alertname": "CheckoutSlow", "service": "checkout", "severity": "critical", "cluster": "eu-1"}
        alert = {
            "status": "firing",
            "labels": labels,
            "startsAt": iso(at(self.history.fired)),
            "endsAt": "0001-01-01T00:00:00Z",
            "annotations": {"summary": "checkout is slow", "runbook_url": "https://runbooks.example/latency-high"},
            "generatorURL": f"{self.url}/graph?g0.expr={quote(EXPRESSION)}&g0.tab=1",
            "fingerprint": "5bd6c1a8f2f3a1e0",
        }
        return json.dumps(
            {
                "version": "4",
                "status": "firing",
                "receiver": "stanch",
                "groupKey": "{}:{}",
                "truncatedAlerts": 0,
                "groupLabels": {},
                "commonLabels": labels,
                "commonAnnotations": {},
                "externalURL": "http://a",
                "alerts": [alert],
            }
        ).encode()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    prometheus, promtool = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder, port = tmp_path_factory.mktemp("history"), free()
    url = f"http://127.0.0.1:{port}"
    history = History(int(time.time()) // STEP * STEP)
    history.fill(promtool, folder, f"127.0.0.1:{port}")
    with running(prometheus_command(prometheus, folder, port), folder / "log", f"{url}/-/ready"):
        yield Filled(url, history)


@pytest.fixture
def alert_file(filled: Filled, tmp_path: Path) -> Path:
    (tmp_path / "alert.json").write_bytes(filled.body())
    return tmp_path / "alert.json"


def free() -> int:
    """A free port, where the function-scoped fixture of that name cannot reach."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
