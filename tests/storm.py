"""A storm of notifications for a webhook, and a sender that keeps as many connections busy as it is told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PATH = "/v1/webhooks/alertmanager"


@dataclass(frozen=True)
class Notification:
    """One body, and the keys of the alerts in it."""

    body: bytes
    keys: tuple[str, ...]


def storm(notifications: int, alerts: int, groups: int, each: int, seed: int = 1) -> list[Notification]:
    """`alerts` distinct firing alerts in `groups` (one service each), `each` in a notification, every one delivered about
    notifications * each / alerts times, in the order in which Alertmanager would flush the groups."""
    chance = random.Random(seed)
    size = alerts // groups
    members = [[_alert(group, n) for n in range(size)] for group in range(groups)]
    turns = [0] * groups
    made = []
    for n in range(notifications):
        group = n % groups if n < groups else chance.randrange(groups)
        chosen = [(turns[group] * each + k) % size for k in range(min(each, size))]
        turns[group] += 1
        mine = [members[group][k] for k in chosen]
        body = {
            "version": "4", "groupKey": f'{{}}:{{service="service-{group}"}}', "receiver": "stanch", "status": "firing",
            "groupLabels": {"service": f"service-{group}"}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093", "truncatedAlerts": 0, "notification_reason": "new alerts added",
            "alerts": mine,
        }  # fmt: skip
        keys = tuple(f"{a['fingerprint']}:{START.isoformat()}:firing" for a in mine)
        made.append(Notification(json.dumps(body).encode(), keys))
    return made


def _alert(group: int, n: int) -> dict[str, Any]:
    labels = {
        "alertname": f"HttpErrorRateHigh{n % 5}", "service": f"service-{group}", "cluster": "eu-1", "namespace": "shop",
        "severity": "warning", "pod": f"service-{group}-{n:04d}-7c9f", "instance": f"10.0.{group % 250}.{n}:8080",
    }  # fmt: skip
    return {
        "status": "firing", "labels": labels, "startsAt": START.isoformat().replace("+00:00", ".000Z"),
        "annotations": {"summary": f"service-{group} answers 7 % of requests with 5xx", "runbook_url": "https://runbooks.example/error-rate-high"},
        "endsAt": "0001-01-01T00:00:00Z", "fingerprint": hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16],
        "generatorURL": "http://prometheus:9090/graph?g0.expr=sum%28rate%28http_requests_total%5B5m%5D%29%29+%3E+0.05&g0.tab=1",
    }  # fmt: skip


@dataclass
class Sent:
    """What came of a storm. `accepted` are the keys of alerts in notifications that got a 2xx."""

    answers: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of each 2xx
    accepted: set[str] = field(default_factory=set)
    again: int = 0  # deliveries that got no 2xx and were repeated
    took: float = 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which that share was answered."""
        return sorted(self.seconds)[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


async def send(
    port: int,
    token: str,
    made: Sequence[Notification],
    connections: int = 32,
    patience: timedelta = timedelta(seconds=60),
) -> Sent:
    """All of them, each until it got a 2xx, as Alertmanager does after a 5xx or a broken connection."""
    sent, waiting = Sent(), list(reversed(made))
    began = time.monotonic()
    async with asyncio.timeout(patience.total_seconds()), asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(_sender(port, token, waiting, sent))
    sent.took = time.monotonic() - began
    return sent


async def _sender(port: int, token: str, waiting: list[Notification], sent: Sent) -> None:
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while waiting:
        one = waiting.pop()
        began = time.monotonic()
        status = 0
        try:
            connection = connection or await asyncio.open_connection("127.0.0.1", port)
            status = await _post(*connection, token, one.body)
        except (OSError, asyncio.IncompleteReadError):
            if connection is not None:
                connection[1].close()
            connection = None
            await asyncio.sleep(0.02)
        sent.answers[status] += 1
        if 200 <= status < 300:
            sent.seconds.append(time.monotonic() - began)
            sent.accepted.update(one.keys)
        else:
            sent.again += 1
            waiting.append(one)
    if connection is not None:
        connection[1].close()


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, body: bytes) -> int:
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (PATH.encode(), token.encode(), len(body))
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


def kept(database: Path) -> tuple[set[str], int]:
    """The keys (hashed) of the signals on disk, and how often all of them were delivered."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)) as connection:
        rows = list(connection.execute("SELECT key, times FROM signals"))
    return {key for key, _ in rows}, sum(times for _, times in rows)


def lost(sent: Sent, database: Path) -> set[str]:
    """Alerts that were answered with a 2xx and are not on disk."""
    on_disk, _ = kept(database)
    return {key for key in sent.accepted if hashlib.sha256(key.encode()).hexdigest() not in on_disk}
