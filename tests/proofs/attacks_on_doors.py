"""Attacks on the doors of a running `stanch serve`, which has tokens with scopes and a secret for each source that signs.

`python -m tests.proofs.attacks` plays them with the others. To add one, write a function that takes the Service and gives a
Met, and list it. What is not allowed has to be refused in words, and an incident that a stranger would close stays open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers.conftest import free
from tests.servers.machines import STANCH, answers, ended, until

ALERTS, METRICS, GRAFANA_SECRET = "token-for-alerts", "token-for-metrics", "secret-of-grafana"
ALERTMANAGER, GRAFANA, EVENTS = "/v1/webhooks/alertmanager", "/v1/webhooks/grafana", "/v1/events"
HEADERS_S = 2


@dataclass(frozen=True, slots=True)
class Met:
    """What an attack met with, and whether that is right."""

    said: str
    right: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A running service, spoken to as a stranger and as who has a token."""

    url: str
    data: Path

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None) -> httpx.Response:
        content = json.dumps(body).encode() if body is not None else None
        given = {"content-type": "application/json", **(headers or {})}
        return httpx.request(method, self.url + path, headers=given, content=content, timeout=120)

    def told(self, body: Any) -> httpx.Response:
        return self.ask("POST", ALERTMANAGER, {"authorization": f"Bearer {ALERTS}"}, body)

    def states(self, name: str) -> list[str]:
        """The states of the incidents of alerts with this name."""
        command = [str(STANCH), "--data", str(self.data), "incidents", "list", "--json"]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=self.data).stdout)
        return [str(one["state"]) for one in found if name in str(one)]


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    data, port = folder / "data", free()
    data.mkdir(parents=True)
    (folder / "stanch.yaml").write_text(f"serve: {{headers_s: {HEADERS_S}, max_alerts: 20000}}\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STANCH_", "OPENAI_"))},
        "STANCH_WEBHOOK_TOKENS": f"alerts+events:{ALERTS},metrics:{METRICS}",
        "STANCH_GRAFANA_SECRET": GRAFANA_SECRET,
        "STANCH_EVENTS_SECRET": "secret-of-events",
    }
    command = [str(STANCH), "--data", str(data), "--reasoner", "runbook", "serve", "--port", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/readyz") or ended(process, folder / "serve.log"), "it is ready", 90)
        yield Service(url, data)
    finally:
        process.terminate()
        process.wait(40)


def notification(*names: str, status: str = "firing") -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": "{}",
        "status": status,
        "receiver": "stanch",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": name, "severity": "info"},
                "annotations": {},
                "fingerprint": name,
                "startsAt": "2026-11-30T13:40:00Z",
                "endsAt": "2026-11-30T13:50:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            }
            for name in names
        ],
    }


# -- the attacks ------------------------------------------------------------------------------------------------------


def a_header_named_like_nothing_opens_the_doors(service: Service) -> Met:
    """A header named `-` once opened every route."""
    asked = [
        ("POST", ALERTMANAGER),
        ("POST", GRAFANA),
        ("POST", EVENTS),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
    ]
    codes = [service.ask(method, path, {"-": "1"}, notification("Forged")).status_code for method, path in asked]
    return Met(f"{codes}", codes == [401] * len(asked))


def a_stranger_says_that_it_is_over(service: Service) -> Met:
    service.told(notification("Ill"))
    until(lambda: service.states("Ill"), "the incident is opened", 30)
    code = service.ask("POST", ALERTMANAGER, {"-": "1"}, notification("Ill", status="resolved")).status_code
    time.sleep(1)
    return Met(f"{code}, and the incident is {service.states('Ill')}", code == 401 and service.states("Ill") == ["new"])


def one_sources_signature_at_another_sources_door(service: Service) -> Met:
    """Right for Grafana's door and nowhere else."""
    body = json.dumps(notification("Signed")).encode()
    name = "x-grafana-alerting-signature"
    signed = {
        name: hmac.new(GRAFANA_SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "content-type": "application/json",
    }
    codes = [
        httpx.post(service.url + path, headers=signed, content=body).status_code
        for path in (ALERTMANAGER, EVENTS, GRAFANA)
    ]
    return Met(f"{codes}", codes == [401, 401, 202])


def a_token_for_one_thing_is_used_for_another(service: Service) -> Met:
    codes = [
        service.ask("POST", ALERTMANAGER, {"authorization": f"Bearer {METRICS}"}, notification("Scoped")).status_code,
        service.ask("GET", "/metrics", {"authorization": f"Bearer {ALERTS}"}).status_code,
        service.ask("GET", "/metrics", {"authorization": f"Bearer {METRICS}"}).status_code,
    ]
    return Met(f"{codes}", codes == [403, 403, 200])


def an_alert_calls_itself_ours(service: Service) -> Met:
    """Whatever only calls itself so is an alert like any other, and is not dropped."""
    said = service.told(notification("StanchNeedsPerson", "StanchDown")).json()
    until(lambda: len(service.states("StanchNeedsPerson")) == 1, "it has an incident", 30)
    return Met(f"{said['alerts']} alerts kept", said["alerts"] == 2)


def one_notification_of_twenty_thousand(service: Service) -> Met:
    """Health is asked all the time meanwhile, and goes on being answered."""
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as http:
            while not over.is_set():
                began = time.perf_counter()
                http.get(f"{service.url}/healthz")
                waits.append(time.perf_counter() - began)
                time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        code = service.told(notification(*(f"Many{n}" for n in range(20_000)))).status_code
    finally:
        over.set()
        asking.join()
    return Met(
        f"{code}; the longest of {len(waits)} answers of /healthz took {max(waits):.2f} s",
        code == 202 and len(waits) >= 20,
    )


def one_alert_too_many(service: Service) -> Met:
    answer = service.told(notification(*(f"More{n}" for n in range(20_001))))
    return Met(
        f"{answer.status_code}: {answer.json()['detail'][:120]}",
        answer.status_code == 413 and "max_alerts" in answer.text,
    )


def headers_that_never_end(service: Service) -> Met:
    """A connection that gives a header now and then and never all of them."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(b"POST /v1/webhooks/alertmanager HTTP/1.1\r\nhost: a\r\n")
        began, answer = time.monotonic(), b""
        while time.monotonic() - began < 20:
            try:
                line.sendall(b"x-more: 1\r\n")
                line.settimeout(0.5)
                answer += (got := line.recv(4_096))
                if not got:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    lasted = time.monotonic() - began
    return Met(f"closed after {lasted:.1f} s: {answer[:30]!r}", lasted < 10)


AttackOnDoor = Callable[[Service], Met]
ON_THE_DOORS: tuple[AttackOnDoor, ...] = (
    a_header_named_like_nothing_opens_the_doors,
    a_stranger_says_that_it_is_over,
    one_sources_signature_at_another_sources_door,
    a_token_for_one_thing_is_used_for_another,
    an_alert_calls_itself_ours,
    headers_that_never_end,
    one_notification_of_twenty_thousand,
    one_alert_too_many,
)
