"""The whole service with real servers: a real Prometheus scrapes the lab, its rule fires, a real Alertmanager calls
`stanch serve`, a thread opens in a Slack of our own, a person clicks, the lab recovers, and Alertmanager says so itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import need
from tests.fake_slack import FakeSlack, click, sign
from tests.servers.conftest import Filled, free
from tests.servers.machines import STANCH, alertmanager_command, answers, ended, prometheus_command, running, until
from tests.servers.test_alertmanager_webhook import PROMETHEUS

pytestmark = pytest.mark.server
TOKEN = "an-alertmanager-token"
RULES = """
groups:
- name: lab
  interval: 1s
  rules:
  - alert: ContainerMemoryNearLimit
    expr: |
      max by (cluster, namespace, service) (container_memory_working_set_bytes{service="checkout"}
        / on (cluster, namespace, service, pod)
          max by (cluster, namespace, service, pod) (kube_pod_container_resource_limits{resource="memory"})) > 0.8
    for: 0s
    labels: {severity: critical}
    annotations: {summary: '{{ $labels.service }} uses {{ $value | humanizePercentage }} of its memory'}
"""
ALERTMANAGER = """
route: {{receiver: stanch, group_by: [alertname, service], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: stanch
  webhook_configs:
  - url: 'http://127.0.0.1:{service}/v1/webhooks/alertmanager'
    send_resolved: true
    http_config: {{authorization: {{credentials: {token}}}}}
"""
SHIPPED = Path(__file__).parents[2] / "runbooks" / "infra" / "memory-leak.md"


@dataclass
class Live:
    folder: Path
    ports: dict[str, int]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """The platform and its monitoring. The service itself is what the test starts."""
    prometheus = need("prometheus", "prometheus")
    alertmanager = need("prometheus-alertmanager", "prometheus-alertmanager")
    ports = {name: free() for name in ("lab", "prometheus", "alertmanager", "service")}
    monitoring, configured = tmp_path / "monitoring", tmp_path / "configured"
    monitoring.mkdir()
    (monitoring / "rules.yml").write_text(RULES)
    (monitoring / "prometheus.yml").write_text(PROMETHEUS.format(**ports))
    (monitoring / "alertmanager.yml").write_text(ALERTMANAGER.format(**ports, token=TOKEN))
    lab = [str(STANCH), "--data", str(tmp_path / "lab"), "lab", "serve", "--scenario", "memory-leak", "--port"]
    with ExitStack() as stack:
        stack.enter_context(
            running(
                [*lab, str(ports["lab"]), "--write", str(configured)],
                tmp_path / "lab.log",
                f"http://127.0.0.1:{ports['lab']}/metrics",
                seconds=90,
            )
        )
        until(lambda: (configured / "catalog.yaml").exists(), "the lab writes a configuration")
        configure(configured, ports)
        stack.enter_context(
            running(
                alertmanager_command(alertmanager, monitoring, ports["alertmanager"]),
                monitoring / "am.log",
                f"http://127.0.0.1:{ports['alertmanager']}/-/ready",
            )
        )
        stack.enter_context(
            running(
                prometheus_command(prometheus, monitoring, ports["prometheus"]),
                monitoring / "log",
                f"http://127.0.0.1:{ports['prometheus']}/-/ready",
            )
        )
        yield Live(configured, ports)


def configure(folder: Path, ports: dict[str, int]) -> None:
    """What the lab wrote, with Slack, a real Alertmanager, somebody who may click, and a runbook that waits less long."""
    stanch = yaml.safe_load((folder / "stanch.yaml").read_text())
    stanch |= {"slack": {"channel": "C1", "team": "T1"}, "runbooks": ["own"]}
    stanch["backends"]["alertmanager"] = [{"name": "am", "url": f"http://127.0.0.1:{ports['alertmanager']}"}]
    (folder / "stanch.yaml").write_text(yaml.safe_dump(stanch))
    catalog = yaml.safe_load((folder / "catalog.yaml").read_text())
    catalog["people"]["ann"]["slack"] = {"team": "T1", "user": "U1"}
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog))
    (folder / "own").mkdir()
    (folder / "own" / SHIPPED.name).write_text(
        SHIPPED.read_text().replace("hold: 3m", "hold: 5s").replace("hold: 5m", "hold: 5s")
    )


async def started(folder: Path, port: int, slack: FakeSlack, *options: str, **more: str) -> subprocess.Popen[bytes]:
    """`stanch serve` as a process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STANCH_", "OPENAI_", "DATABASE_"))}
    env = {
        "STANCH_WEBHOOK_TOKENS": TOKEN,
        "STANCH_SLACK_BOT_TOKEN": "xoxb-test",
        "STANCH_SLACK_APP_TOKEN": "xapp-test",
        "STANCH_SLACK_SIGNING_SECRET": "secret",
        "STANCH_SLACK_API_URL": slack.url,
    }
    command = [str(STANCH), *options, "--data", "data", "serve", "--port", str(port)]
    with (folder / "serve.log").open("ab") as log:
        return await asyncio.to_thread(
            subprocess.Popen, command, cwd=folder, env={**kept, **env, **more}, stdout=log, stderr=log
        )


@asynccontextmanager
async def serving(folder: Path, port: int, slack: FakeSlack, *options: str, **more: str) -> AsyncIterator[str]:
    """It, until the block ends; then by SIGTERM. Gives its address."""
    process, log = await started(folder, port, slack, *options, **more), folder / "serve.log"
    url = f"http://127.0.0.1:{port}"
    try:
        await eventually(lambda: answers(f"{url}/readyz") or ended(process, log), "it is ready", 60)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 40) == 0, log.read_text()[-2000:]


async def eventually(holds: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    for _ in range(round(seconds / 0.2)):
        found = await asyncio.to_thread(holds)
        if found:
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def shown(slack: FakeSlack) -> str:
    return json.dumps(slack.messages("C1"), ensure_ascii=False)


def button(slack: FakeSlack, action: str) -> dict[str, Any] | None:
    """The message with this button, where one is shown."""
    return next((m for m in slack.messages("C1") if action in json.dumps(m.get("blocks", []))), None)


async def test_from_a_rule_that_fires_to_a_thread_that_is_closed(live: Live) -> None:
    port = live.ports["service"]
    async with FakeSlack.start() as slack, serving(live.folder, port, slack, "--config", "stanch.yaml"):
        await eventually(lambda: slack.messages("C1"), "a thread opens", 90)
        root = slack.messages("C1")[0]
        asked = await eventually(lambda: button(slack, "stanch_approve"), "it asks for approval", 60)
        assert "roll back" in asked["text"]
        await slack.deliver("interactive", click("U1", asked, "stanch_approve"))
        await eventually(lambda: "recovered" in shown(slack).lower(), "the thread says that it recovered", 300)
        assert button(slack, "stanch_approve") is None
        assert all(m.get("thread_ts") in (None, root["ts"]) for m in slack.messages("C1"))
        assert len([m for m in slack.messages("C1") if "thread_ts" not in m]) == 1
        resolved = await eventually(lambda: _alert_events(live, "resolved"), "Alertmanager's own resolved arrives", 60)
        assert resolved
        assert "ann" in shown(slack) or "<@U1>" in shown(slack)
        print("\n".join(m["text"] for m in slack.messages("C1")))


def _alert_events(live: Live, status: str) -> list[dict[str, Any]]:
    (incident,) = _told(live.folder, "incidents", "list")
    told = subprocess.run(
        [str(STANCH), "--data", "data", "incidents", "timeline", incident["id"], "--jsonl"],
        cwd=live.folder,
        capture_output=True,
        check=True,
    )
    events = [json.loads(line) for line in told.stdout.splitlines()]
    return [e for e in events if e["kind"] == "alert" and e["data"]["status"] == status]


async def test_with_nothing_but_a_prometheus_the_first_minutes_work_stands_in_the_thread(
    filled: Filled, tmp_path: Path
) -> None:
    """No catalog, no Kubernetes, no MLflow, no key; Slack calls over HTTP here."""
    (tmp_path / "stanch.yaml").write_text("slack: {mode: http}\n")
    bare = {"STANCH_PROMETHEUS_URL": filled.url, "STANCH_SLACK_CHANNEL": "C1"}
    async with FakeSlack.start() as slack, serving(tmp_path, free(), slack, **bare) as url:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        answer = await asyncio.to_thread(
            httpx.post, f"{url}/v1/webhooks/alertmanager", content=filled.body(), headers=headers
        )
        assert answer.status_code == 202, answer.text
        await eventually(lambda: slack.messages("C1"), "a thread opens", 30)
        opened = time.monotonic() - began
        await eventually(lambda: "higher than last week" in shown(slack), "the thread compares with last week", 60)
        print(
            f"\nbare stack: the thread opens after {opened:.1f} s, the finding stands after {time.monotonic() - began:.1f} s"
        )
        assert "it fired" in shown(slack).lower() or "fired" in shown(slack)
        assert "not checked" in shown(slack).lower()
        await asyncio.to_thread(knocks, url)


def knocks(url: str) -> None:
    """Slack's own door is open to who signs; everything else but the two signs of life wants a token."""
    body = json.dumps({"type": "url_verification", "challenge": "c-1", "token": "t"})
    signed = httpx.post(f"{url}/slack/events", content=body, headers=sign("secret", body, time.time()))
    assert (signed.status_code, "c-1" in signed.text) == (200, True)
    forged = httpx.post(f"{url}/slack/events", content=body, headers=sign("other", body, time.time()))
    assert forged.status_code == 401
    for path, status in {"/healthz": 200, "/readyz": 200, "/metrics": 401, "/docs": 401, "/openapi.json": 401}.items():
        assert httpx.get(url + path).status_code == status, path
    measured = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'stanch_notifications_total{answer="202",source="alertmanager"} 1.0' in measured
    assert "stanch_slack_barred 0.0" in measured


ROUTES = """
route:
  receiver: one
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  routes:
  - {{receiver: two, group_by: [service], group_wait: 1s, group_interval: 2s, continue: true}}
  - {{receiver: three, group_by: [pod], group_wait: 1s, group_interval: 2s, continue: true}}
  - {{receiver: one, continue: true}}
receivers:
- {{name: one, webhook_configs: [&hook {{url: 'http://127.0.0.1:{service}/v1/webhooks/alertmanager', http_config: {{authorization: {{credentials: {token}}}}}}}]}}
- {{name: two, webhook_configs: [*hook]}}
- {{name: three, webhook_configs: [*hook]}}
"""


async def test_six_alerts_over_three_routes_and_a_killed_service_are_one_incident(tmp_path: Path) -> None:
    """Alertmanager finds nobody, then a service that is killed, then one that stays: nothing is lost or taken twice."""
    program = need("prometheus-alertmanager", "prometheus-alertmanager")
    ports = {"service": free(), "alertmanager": free()}
    (tmp_path / "alertmanager.yml").write_text(ROUTES.format(**ports, token=TOKEN))
    (tmp_path / "catalog.yaml").write_text("services: {web: {depends_on: [checkout]}, checkout: {}}\n")
    url = f"http://127.0.0.1:{ports['alertmanager']}"
    six = [
        {"labels": {"alertname": name, "service": service, "pod": f"{service}-{n}", "severity": "critical"}}
        for n, (name, service) in enumerate(
            (a, s) for a in ("HighLatency", "HighErrors", "Throttled") for s in ("web", "checkout")
        )
    ]
    command = alertmanager_command(program, tmp_path, ports["alertmanager"])
    with running(command, tmp_path / "am.log", f"{url}/-/ready"):
        async with FakeSlack.start() as slack:
            posted = await asyncio.to_thread(httpx.post, f"{url}/api/v2/alerts", json=six)
            assert posted.status_code == 200, posted.text
            await asyncio.sleep(2)  # nobody listens yet: Alertmanager tries again by itself
            killed = await started(tmp_path, ports["service"], slack)
            await eventually(lambda: answers(f"http://127.0.0.1:{ports['service']}/readyz"), "it is ready", 60)
            await asyncio.sleep(1)
            killed.kill()
            await asyncio.to_thread(killed.wait)
            async with serving(tmp_path, ports["service"], slack):
                await eventually(lambda: len(_alerts(tmp_path)) == 6, "all six have arrived", 90)
                await asyncio.sleep(5)  # what is sent again is sent now
            assert len(_alerts(tmp_path)) == 6


def _alerts(folder: Path) -> list[str]:
    """Fingerprints of the alerts of the one incident there is."""
    found = _told(folder, "incidents", "list")
    assert len(found) <= 1, [one["title"] for one in found]
    return [
        a["fingerprint"] for one in found for a in _told(folder, "incidents", "show", one["id"])["incident"]["alerts"]
    ]


def _told(folder: Path, *words: str) -> Any:
    ran = subprocess.run([str(STANCH), "--data", "data", *words, "--json"], cwd=folder, capture_output=True)
    assert ran.returncode in (0, 3, 6), ran.stderr.decode()  # how the incident stands
    return json.loads(ran.stdout)
