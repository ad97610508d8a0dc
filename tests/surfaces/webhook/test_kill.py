"""Servers that are killed while they take in: nothing that got a 2xx is lost, and nothing is kept twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import select

from agent.gate.audit import verify
from agent.store import inbox as rows
from agent.store import schema
from agent.store.database import Database
from tests.bench_intake import JSON, body
from tests.bench_storm import missing
from tests.servers.conftest import free
from tests.servers.machines import STANCH, TOP
from tests.storm import Sent, Storm, send

KILLS, CLIENTS, TOKEN = 5, 8, "the-token"
STORM = Storm(notifications=5_000, alerts=2_500, groups=100, each=5)


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.half_server", str(folder / "data"), str(port), TOKEN]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=TOP)


async def ready(port: int, seconds: float = 30) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http, asyncio.timeout(seconds):
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
        (times,) = store.execute("SELECT sum(times) FROM deliveries").fetchone()
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


MANY, CUTS, PATIENCE_S = 5_000, 2, 600


@contextmanager
def service(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The whole program; at the end of the block it is killed."""
    command = [str(STANCH), "--data", str(folder / "data"), "--reasoner", "runbook", "serve", "--port", str(port)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STANCH_", "OPENAI_", "DATABASE_"))}
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=kept)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def taken_in(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "data" / "stanch.db", timeout=30)) as store:
        return int(store.execute("SELECT count(*) FROM alerts").fetchone()[0])


async def test_taking_in_goes_on_where_a_kill_cut_it_off(tmp_path: Path) -> None:
    port, seen = free(), [0]
    for cut in range(CUTS + 1):
        with service(tmp_path, port):
            await ready(port, PATIENCE_S)
            if not cut:
                async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
                    url = f"http://127.0.0.1:{port}/v1/webhooks/alertmanager"
                    while (answer := await http.post(url, content=body(0, MANY), headers=JSON)).status_code == 503:
                        pass
                    assert answer.status_code == 202
            async with asyncio.timeout(PATIENCE_S):
                while (count := taken_in(tmp_path)) < max(seen[-1] + 1, MANY * (cut + 1) // (CUTS + 1)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        seen.append(count)
    assert seen[1] < MANY, "the first kill came when all was taken in; it has to come before"
    assert seen == sorted(seen)
    database = await Database.open("", tmp_path / "data")
    async with database.read() as tx:
        assert await rows.waiting(tx) == 0
        alerts = (await tx.execute(select(schema.alerts.c.fingerprint))).scalars()
        told = (await tx.execute(select(schema.events.c.data).where(schema.events.c.kind == "alert"))).scalars()
        counted = [Counter(alerts), Counter(one["fingerprint"] for one in told)]
    broken = await verify(database)
    await database.close()
    assert counted == [Counter(f"f{n}" for n in range(MANY))] * 2
    assert broken == []
