"""From the 2xx of a notification to the proposal that waits: `python -m tests.bench_service [SCENARIO …] [--seeds N]`.

`stanch serve` and the platform it reads are processes of their own, as in production; each run has a new data folder, so
that every incident is the service's first.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from agent.lab import scenario as scenarios
from tests.servers.conftest import free
from tests.servers.machines import STANCH, answers, ended, running, until

FOUNDING = "forecast-contention"
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds: until the process was ready, from ready to 2xx, and from 2xx to the proposal."""

    ready: float
    answer: float
    proposal: float


def kept_to_proposal(names: Sequence[str] = (FOUNDING,), seeds: int = 20) -> list[tuple[str, str]]:
    took = [one for name in names for seed in range(1, seeds + 1) if (one := measured(name, seed)) is not None]
    waits = sorted(one.proposal for one in took)
    starts = sorted(one.ready for one in took)
    return [
        (
            "2xx → proposal waits",
            f"{waits[len(waits) // 2]:.2f} s, 95 % within {waits[int(len(waits) * 0.95)]:.2f} s, {len(took)} incidents, each the first of its process",
        ),
        ("stanch serve: start → ready", f"{starts[len(starts) // 2]:.1f} s"),
    ]


def measured(name: str, seed: int) -> Took | None:
    """None where the scenario brings no alert, or no proposal follows."""
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), free()
        configured = folder / "configured"
        lab = [str(STANCH), "--data", str(folder / "lab"), "lab", "serve", "--scenario", name, "--seed", str(seed)]
        lab += ["--port", str(port), "--write", str(configured)]
        with running(lab, folder / "lab.log", f"http://127.0.0.1:{port}/metrics", seconds=90):
            until(lambda: (configured / "catalog.yaml").exists(), "the lab writes a configuration")
            body = _notification(f"http://127.0.0.1:{port}", scenarios.load(name).draw(seed).alert.labels)
            _without_alertmanager(configured / "stanch.yaml")
            return _one(configured, body) if body["alerts"] else None


def _one(configured: Path, body: dict[str, Any]) -> Took | None:
    port, began = free(), time.perf_counter()
    with _service(configured, port):
        ready = time.perf_counter() - began
        time.sleep(1)  # it is idle when the alert comes
        began = time.perf_counter()
        httpx.post(f"http://127.0.0.1:{port}/v1/webhooks/alertmanager", json=body).raise_for_status()
        answered = time.perf_counter()
        waits = _until_it_waits(configured / "data" / "stanch.db", answered)
    return Took(ready, answered - began, waits - answered) if waits else None


def _until_it_waits(store: Path, since: float) -> float | None:
    """When a proposal stands in the store, looked for every 5 ms from outside."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        while time.perf_counter() - since < PATIENCE_S:
            if db.execute("SELECT 1 FROM proposals LIMIT 1").fetchone():
                return time.perf_counter()
            time.sleep(0.005)
    return None


@contextmanager
def _service(configured: Path, port: int) -> Iterator[None]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STANCH_", "OPENAI_", "DATABASE_"))}
    command = [str(STANCH), "--config", "stanch.yaml", "--data", "data", "serve", "--port", str(port)]
    log = configured / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=configured, env=kept, stdout=file, stderr=file)
    try:
        while not answers(f"http://127.0.0.1:{port}/readyz") and not ended(process, log):
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(40)


def _notification(url: str, wanted: dict[str, str]) -> dict[str, Any]:
    """The body of Alertmanager's webhook for the scenario's own alerts, as its API shows them."""
    found = httpx.get(f"{url}/alertmanager/api/v2/alerts", timeout=60).raise_for_status().json()
    alerts = [
        {
            **{k: one[k] for k in ("labels", "annotations", "startsAt", "generatorURL", "fingerprint")},
            "status": "firing",
            "endsAt": "0001-01-01T00:00:00Z",
        }
        for one in found
        if wanted.items() <= one["labels"].items()
    ]
    return {
        "version": "4",
        "groupKey": "{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "stanch",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": url,
        "alerts": alerts,
    }


def _without_alertmanager(path: Path) -> None:
    """The notification alone brings alerts in; otherwise reconciling would, at the start."""
    stanch = yaml.safe_load(path.read_text())
    del stanch["backends"]["alertmanager"]
    path.write_text(yaml.safe_dump(stanch))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("scenarios", nargs="*", default=[FOUNDING])
    options.add_argument("--seeds", type=int, default=20)
    asked = options.parse_args()
    for name, figure in kept_to_proposal(asked.scenarios, asked.seeds):
        print(f"{name}  {figure}")


if __name__ == "__main__":
    main()
