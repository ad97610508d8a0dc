"""Text from outside never becomes an address that is called: only servers of the configuration are, whatever they answer.

Every attempt of this process to connect or to look a name up is watched, wherever in the libraries it is made.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from agent.library.index import Library
from agent.sources import alertmanager, grafana
from agent.surfaces.slack.replies import Place, Replies
from tests.contexts import NOON, backend, context
from tests.proofs.report import Report
from tests.tools.test_http_action import SECRETS, example
from tools.alerts.rule import alert_rule
from tools.case_reads import search_runbooks
from tools.context import Context, Model
from tools.drift.inspect import inspect_drift
from tools.errors import StanchError
from tools.http_action.action import HttpActionSpec, declare
from tools.logs.search import search_logs
from tools.models.versions import model_lineage, model_versions, served_version
from tools.prometheus.metrics import find_metrics, query_metrics

LISTED = [
    line.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\u" in line or "\\t" in line else line
    for line in (Path(__file__).parent / "forbidden_addresses.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


class Sockets:
    """What this process reaches for while it is watched."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[tuple[str, Any]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "socket.connect" and isinstance(args[1], tuple):
            self.seen.append((str(args[1][0]), args[1][1]))
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self.seen.append((str(args[0]), args[1] if event == "socket.getaddrinfo" else 0))
        elif event == "open" and str(args[0]).startswith(("/etc/passwd", "/etc/shadow", "/etc/hostname", "/var/run")):
            self.seen.append((str(args[0]), "file"))

    def since(self, allowed: int) -> list[tuple[str, Any]]:
        found = [one for one in self.seen if one != ("127.0.0.1", allowed)]
        self.seen.clear()
        return found


SOCKETS = Sockets()


@dataclass
class Server:
    """A configured server that answers everything with `status` and `body`, and may send people elsewhere."""

    status: int = 200
    body: Any = field(default_factory=list)
    location: str = ""
    port: int = 0
    requests: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
        )
        await reader.readexactly(length)
        body = json.dumps(self.body).encode()
        where = f"Location: {self.location}\r\n".encode("utf-8", "replace") if self.location else b""
        writer.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s" % (self.status, where))
        writer.write(b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


Place_ = Callable[[Context, Server, str], Awaitable[object]]


def model(**more: str) -> Model:
    return Model("m", "m", served_by="s", **more)


async def of_slack(_: Context, server: Server, url: str) -> object:
    voice = Replies(AsyncWebClient(token="x", base_url=f"http://127.0.0.1:{server.port}/api/"))
    assert not await voice.privately(Place("", "U1", "", url), "hello") or server.requests
    return None


async def of_an_alert(_: Context, server: Server, url: str) -> object:
    """All that an Alertmanager or a Grafana may send along, and the look-up of the runbook by its address."""
    one = {
        "status": "firing",
        "labels": {"alertname": "A", "instance": url},
        "annotations": {"runbook_url": url, "dashboard": url},
        "startsAt": "2026-11-24T12:00:00Z",
        "generatorURL": url,
        "fingerprint": "f",
        "imageURL": url,
        "panelURL": url,
        "silenceURL": url,
        "dashboardURL": url,
    }
    body = json.dumps({"version": "4", "status": "firing", "externalURL": url, "alerts": [one], "groupKey": "g"})
    alerts = [*alertmanager.parse(body, NOON), *grafana.parse(body.encode(), NOON).alerts]
    return LIBRARY.match(alerts, None)


async def of_a_declared_action(c: Context, server: Server, url: str) -> object:
    declared = declare(HttpActionSpec.model_validate(example(base=f"http://127.0.0.1:{server.port}")), SECRETS)
    action = declared.parse(dict.fromkeys(declared.model_fields, url) | {"count": 3})
    return await action.observe(c)


READS: dict[str, Place_] = {
    "inspect_drift's source": lambda c, s, url: inspect_drift(c, source=url),
    "a drift report's column": lambda c, s, url: inspect_drift(c, source="", column=url),
    "a model's name": lambda c, s, url: model_versions(c, model=url),
    "a version": lambda c, s, url: model_lineage(c, model="m", version=url),
    "a metric's name": lambda c, s, url: find_metrics(c, pattern=url, labels={"instance": url}),
    "a query": lambda c, s, url: query_metrics(c, promql=json.dumps(url)),
    "a rule's expression": lambda c, s, url: alert_rule(c, alertname="A", expr=url),
    "a log query": lambda c, s, url: search_logs(c, labels={"url": url}, contains=url),
    "a search of runbooks": lambda c, s, url: search_runbooks(c, text=url),
    "a declared action's argument": of_a_declared_action,
    "an alert": of_an_alert,
    "Slack's response_url": of_slack,
}
REDIRECTED: dict[str, Place_] = {
    "the drift server": lambda c, s, url: inspect_drift(c, source=""),
    "MLflow": lambda c, s, url: model_versions(c, model="m"),
    "Prometheus": lambda c, s, url: query_metrics(c, promql="up"),
    "Loki": lambda c, s, url: search_logs(c, labels={"a": "b"}),
    "the serving process": lambda c, s, url: served_version(c, model="m"),
    "a declared action's server": lambda c, s, url: of_a_declared_action(c, s, "web"),
    "Slack": lambda c, s, url: of_slack(c, s, f"http://127.0.0.1:{s.port}/respond"),
}
LIBRARY = Library.open((), Path("/nonexistent"))


def spelled(line: str, own: int, trap: int) -> str:
    return line.replace("OWN", f"127.0.0.1:{own}").replace("TRAP", str(trap))


@asynccontextmanager
async def reaching(server: Server) -> AsyncIterator[Context]:
    """A context in which every backend is this server; clients are made once, each reads the machine's certificates."""
    base = f"http://127.0.0.1:{server.port}"
    servers = [backend(kind, base) for kind in ("drift", "mlflow", "prometheus", "loki")]
    async with httpx.AsyncClient(trust_env=False) as http:
        yield context(*servers, models=(model(served_url=f"{base}/version"),), http=http)
    for one in servers:
        await one.http.aclose()


async def tried(place: Place_, c: Context, server: Server, url: str) -> list[tuple[str, Any]]:
    """What was reached for beside the server that is configured."""
    SOCKETS.watching = True
    try:
        with suppress(StanchError):
            await place(c, server, url)
    finally:
        SOCKETS.watching = False
    return SOCKETS.since(server.port)


@pytest.mark.parametrize("name", READS)
async def test_an_address_in_a_text_is_not_called(name: str, report: Report) -> None:
    async with serving(Server()) as server, serving(Server()) as trap, reaching(server) as c:
        for line in LISTED:
            assert await tried(READS[name], c, server, spelled(line, server.port, trap.port)) == [], line
        assert trap.requests == 0
    if name == "inspect_drift's source":
        report.add(forbidden_addresses=len(LISTED))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("name", REDIRECTED)
async def test_a_configured_server_cannot_send_us_elsewhere(name: str, status: int, report: Report) -> None:
    async with serving(Server(status)) as server, serving(Server()) as trap, reaching(server) as c:
        lines = LISTED if report.long else LISTED[status % 7 :: 7]
        for line in lines:
            server.location = spelled(line, server.port, trap.port).replace("\r", "").replace("\n", "")
            assert await tried(REDIRECTED[name], c, server, "") == [], line
        assert trap.requests == 0
        assert server.requests > 0


async def test_a_report_listed_elsewhere_is_not_fetched_there() -> None:
    async with serving(Server()) as server, serving(Server()) as trap, reaching(server) as c:
        for line in LISTED:
            url = spelled(line, server.port, trap.port)
            server.body = [
                {"name": f"drift-2026-11-2{n}.json", "url": url, "at": "2026-11-20T00:00:00Z"} for n in range(3)
            ]
            assert await tried(REDIRECTED["the drift server"], c, server, "") == [], line
        assert trap.requests == 0
        assert server.requests > len(LISTED)


async def test_what_is_configured_is_called() -> None:
    """The watch sees what it should see."""
    async with serving(Server()) as server, serving(Server()) as other, reaching(server) as c:
        assert set(await tried(REDIRECTED["Prometheus"], c, other, "")) == {("127.0.0.1", server.port)}
        assert await tried(REDIRECTED["Slack"], c, server, "") == []
        assert server.requests >= 2


def test_at_least_sixty_spellings_are_published_and_none_twice() -> None:
    assert len(set(LISTED)) == len(LISTED) >= 60
