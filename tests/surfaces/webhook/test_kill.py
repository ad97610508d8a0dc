"""A storm during which the server is killed five times: nothing that got a 2xx is lost, and nothing is kept twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

from agent.store import inbox as rows
from agent.store.database import Database
from tests.bench_storm import missing
from tests.servers.conftest import free
from tests.servers.machines import TOP
from tests.storm import Sent, Storm, send

KILLS, CLIENTS, TOKEN = 5, 8, "the-token"
STORM = Storm(notifications=5_000, alerts=2_500, groups=100, each=5)


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.half_server", str(folder / "data"), str(port), TOKEN]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=TOP)


async def ready(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http, asyncio.timeout(30):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def killed_under_load(folder: Path, port: int) -> tuple[Sent, subprocess.Popen[bytes]]:
    """Each time another sixth was answered, the server is killed, and started again."""
    sent = Sent()
    server = started(folder, port)
    await ready(port)
    sending = asyncio.create_task(send(port, STORM.bodies(), CLIENTS, TOKEN, sent))
    for kill in range(1, KILLS + 1):
        while len(sent.seconds) < STORM.notifications * kill // (KILLS + 1):
            assert not sending.done()
            await asyncio.sleep(0.005)
        server.send_signal(signal.SIGKILL)
        server.wait()
        server = started(folder, port)
    await sending
    return sent, server


def deliveries(data: Path) -> int:
    with sqlite3.connect(data / "stanch.db") as store:
        (times,) = store.execute("SELECT sum(times) FROM signals").fetchone()
    store.close()
    return int(times)


async def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    port = free()
    sent, server = await killed_under_load(tmp_path, port)
    try:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            shown = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    finally:
        server.terminate()
        server.wait(30)
    assert sent.refused >= KILLS
    assert set(sent.answers) <= {200, 202}
    assert len(sent.seconds) == STORM.notifications
    assert len(sent.kept) == STORM.alerts
    assert missing(tmp_path / "data", STORM.bodies(), sent) == set()
    database = await Database.open("", tmp_path / "data")
    async with database.read() as tx:
        kept = Counter(alert.fingerprint for entry in await rows.fresh(tx, 10_000) for alert in entry.alerts)
    await database.close()
    assert set(kept.values()) == {1}
    assert set(kept) == sent.kept
    # a kill between the commit and the answer counts a delivery that was sent again
    assert sent.alerts <= deliveries(tmp_path / "data") <= sent.alerts + sent.refused * STORM.each
    assert 'stanch_notifications_total{answer="200",source="alertmanager"}' in shown
