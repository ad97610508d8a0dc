"""What an alert costs from the door to its incident: `python -m tests.bench_intake [EACH …]`.

`stanch serve` is a process of its own. Notifications of EACH small alerts are posted one after the other until all alerts stand
on a timeline; /healthz is asked meanwhile, from outside. Processor time is the whole process's: the machine's noise is not in it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench_storm import cpu
from tests.servers.conftest import free
from tests.servers.machines import TOP, answers, ended, until
from tests.storm import PATH

EACH = (1, 5, 50, 500, 20_000)
IDLE_S = 3.0
ABOUT = 2_000  # alerts of a measurement with small notifications
PATIENCE_S = 900
JSON = {"Content-Type": "application/json"}
BEGAN = "2026-11-30T13:40:00Z"


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu_ms` is of one alert; the others are milliseconds, of the loop, the writer and of asking /healthz."""

    each: int
    cpu_ms: float
    seconds: float
    answer_s: float
    healthz: tuple[float, ...]
    inside: dict[str, float]

    def health(self, share: float) -> float:
        ordered = sorted(self.healthz)
        return ordered[int(share * (len(ordered) - 1))] * 1e3


def body(first: int, each: int) -> bytes:
    """As ../shared/cases/doors/many_alerts.py makes it: nothing relates one alert to another."""
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": f"F{n}", "severity": "info"},
            "annotations": {},
            "startsAt": BEGAN,
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": f"f{n}",
        }
        for n in range(first, first + each)
    ]
    told = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "stanch", "alerts": alerts}
    return json.dumps(told).encode()


def measured(each: int) -> Cost:
    """A new process and a new folder."""
    count = max(1, ABOUT // each)
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), free()
        command = [
            sys.executable,
            "-m",
            "tests.watched_server",
            str(folder / "figures"),
            "--data",
            str(folder / "data"),
        ]
        command += ["--reasoner", "runbook", "serve", "--port", str(port)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=TOP)
        try:
            until(
                lambda: answers(f"http://127.0.0.1:{port}/readyz") or ended(server, folder / "log"), "it is ready", 300
            )
            bodies = [body(n * each, each) for n in range(count)]
            worked, seconds, answered, healthz = asyncio.run(spent(server, port, bodies, folder, count * each))
        finally:
            server.terminate()
            server.wait(60)
        inside: dict[str, Any] = json.loads((folder / "figures").read_text())
    return Cost(each, worked / (count * each) * 1e3, seconds, answered, tuple(healthz), inside)


async def spent(
    server: subprocess.Popen[bytes], port: int, bodies: Sequence[bytes], folder: Path, alerts: int
) -> tuple[float, float, float, list[float]]:
    """Processor seconds, without those that asking /healthz and watching cost a process that does nothing else; seconds; the
    longest wait for an answer; and what /healthz took."""
    healthz: list[float] = []
    asking = asyncio.create_task(ask(port, healthz))
    try:
        await asyncio.sleep(1)
        idle = cpu(server.pid)
        await asyncio.sleep(IDLE_S)
        idle = (cpu(server.pid) - idle) / IDLE_S
        server.send_signal(signal.SIGUSR1)
        healthz.clear()
        began, worked = time.perf_counter(), cpu(server.pid)
        longest = await taken_in(port, bodies, folder, alerts)
        seconds = time.perf_counter() - began
        return cpu(server.pid) - worked - idle * seconds, seconds, longest, healthz
    finally:
        asking.cancel()


async def taken_in(port: int, bodies: Sequence[bytes], folder: Path, alerts: int) -> float:
    """Post them; returns the longest wait for an answer once all their alerts stand on a timeline."""
    longest = 0.0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as http:
        for one in bodies:
            began = time.perf_counter()
            while (answer := await http.post(PATH, content=one, headers=JSON)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # sent again, as Alertmanager does
            assert answer.status_code in (200, 202), answer.text
            longest = max(longest, time.perf_counter() - began)
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(on_timelines, folder) < alerts:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return longest


async def ask(port: int, healthz: list[float]) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as http:
        while True:
            began = time.perf_counter()
            (await http.get("/healthz")).raise_for_status()
            healthz.append(time.perf_counter() - began)
            await asyncio.sleep(0.1)


def on_timelines(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'data' / 'stanch.db'}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT max(0, coalesce(max(id), 0)) FROM alerts").fetchone()[0])


def intake(sizes: Sequence[int] = EACH) -> list[tuple[str, str]]:
    figures = []
    for each in sizes:
        one = measured(each)
        name = f"taking in, {each:,} alerts a notification"
        figures.append(
            (name, f"{one.cpu_ms:.2f} ms CPU an alert, {one.seconds:.1f} s; answered within {one.answer_s:.2f} s")
        )
        figures.append(
            (
                "  meanwhile",
                f"/healthz p50 {one.health(0.5):.0f} ms, p99 {one.health(0.99):.0f} ms; longest hold of the loop "
                f"{one.inside['loop']:.0f} ms ({one.inside['loop_cpu']:.0f} of it CPU), p99 {one.inside['p99']:.0f}; "
                f"longest write transaction {one.inside['writer']:.0f} ms ({one.inside['writer_cpu']:.0f} CPU) of {one.inside['writes']:,}; "
                f"longest garbage collection {one.inside['collecting']:.0f} CPU",
            )
        )
    return figures


def main() -> None:
    for name, figure in intake([int(one) for one in sys.argv[1:]] or EACH):
        print(f"{name:40}  {figure}")


if __name__ == "__main__":
    main()
