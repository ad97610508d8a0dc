"""A storm of notifications, as a real Alertmanager in trouble sends them, and what sending it gives.

The body of each notification is one of Alertmanager's: some alerts of one group. The same alerts come again and again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

PATH = "/v1/webhooks/alertmanager"


@dataclass(frozen=True, slots=True)
class Storm:
    """`each` alerts a notification, out of `alerts` in `groups`; the order is shuffled with `seed`."""

    notifications: int = 50_000
    alerts: int = 5_000
    groups: int = 200
    each: int = 5
    seed: int = 1

    def bodies(self) -> list[tuple[bytes, tuple[str, ...]]]:
        """Every body with the fingerprints in it. Every alert occurs."""
        chance, size = random.Random(self.seed), self.alerts // self.groups
        slices = [
            [group * size + (start + n) % size for n in range(min(self.each, size))]
            for group in range(self.groups)
            for start in range(0, size, min(self.each, size))
        ]
        made = [self._body(one) for one in slices]
        order = [made[n % len(made)] for n in range(self.notifications)]
        chance.shuffle(order)
        return order

    def _body(self, numbers: Sequence[int]) -> tuple[bytes, tuple[str, ...]]:
        group = numbers[0] // (self.alerts // self.groups)
        alerts = [self._alert(number, group) for number in numbers]
        common = {"service": f"service-{group}", "cluster": "eu-1"}
        body = {
            "receiver": "stanch",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {"service": f"service-{group}"},
            "commonLabels": common,
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "version": "4",
            "groupKey": f'{{}}:{{service="service-{group}"}}',
            "truncatedAlerts": 0,
        }
        return json.dumps(body).encode(), tuple(one["fingerprint"] for one in alerts)

    def _alert(self, number: int, group: int) -> dict[str, object]:
        return {
            "status": "firing",
            "labels": {
                "alertname": f"Rule{number % 25}",
                "service": f"service-{group}",
                "cluster": "eu-1",
                "severity": "warning",
                "namespace": "shop",
                "pod": f"service-{group}-{number:05d}",
            },
            "annotations": {
                "summary": f"service-{group}: p99 of pod {number} is above a second",
                "runbook_url": "https://runbooks.example/latency-high",
            },
            "startsAt": f"2026-11-24T03:{number % 60:02d}:00.025Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=histogram_quantile%280.99%2C+rate%28x%5B5m%5D%29%29+%3E+1&g0.tab=1",
            "fingerprint": f"{number:016x}",
        }


@dataclass(slots=True)
class Sent:
    """What came of it. `kept` are fingerprints in notifications that got a 2xx."""

    seconds: list[float] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    refused: int = 0  # connections that were cut or not taken; sent again
    alerts: int = 0  # in notifications that got a 2xx

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


async def send(
    port: int, bodies: Sequence[tuple[bytes, tuple[str, ...]]], clients: int, token: str = "", sent: Sent | None = None
) -> Sent:
    """All of them, each client one after the other over a connection it keeps; what is not 2xx is sent again, as Alertmanager does."""
    sent, queue = sent or Sent(), iter(bodies)
    head = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", "User-Agent": "Alertmanager/0.33.1"}
    head |= {"Authorization": f"Bearer {token}"} if token else {}
    await asyncio.gather(*(_client(port, queue, head, sent) for _ in range(clients)))
    return sent


async def _client(
    port: int, queue: Iterator[tuple[bytes, tuple[str, ...]]], head: Mapping[str, str], sent: Sent
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while (one := next(queue, None)) is not None:
        body, fingerprints = one
        message = f"POST {PATH} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while True:
            began = time.perf_counter()
            try:
                link = link or await asyncio.open_connection("127.0.0.1", port)
                link[1].write(message)
                status = await _status(link[0])
            except (OSError, EOFError, ValueError):
                sent.refused += 1
                if link is not None:
                    link[1].close()
                link = None
                await asyncio.sleep(0.05)
                continue
            sent.answers[status] = sent.answers.get(status, 0) + 1
            if 200 <= status < 300:
                sent.seconds.append(time.perf_counter() - began)
                sent.kept.update(fingerprints)
                sent.alerts += len(fingerprints)
                break
            await asyncio.sleep(0.05)
    if link is not None:
        link[1].close()


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the answer, which is read to its end; EOFError when the connection is cut."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])
