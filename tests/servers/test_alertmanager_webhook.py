"""From a live platform to an incident: the lab in real time, scraped by a real Prometheus, whose alert a real Alertmanager
sends to a receiver, and its body, as it came, is what `stanch investigate` is given."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.servers.conftest import free
from tests.servers.machines import STANCH, Ran, alertmanager_command, prometheus_command, running, stanch, until

pytestmark = pytest.mark.server
SERVICE = "checkout"  # leaks in the scenario memory-leak
RULES = """
groups:
- name: lab
  interval: 1s
  rules:
  - alert: ContainerMemoryNearLimit
    expr: |
      max by (namespace, service, pod) (container_memory_working_set_bytes)
        / max by (namespace, service, pod) (kube_pod_container_resource_limits{resource="memory"}) > 0.9
    for: 0s
    labels: {severity: warning}
    annotations:
      summary: '{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory'
      runbook_url: https://runbooks.example/memory-leak
"""
PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, external_labels: {{cluster: eu-1}}}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
scrape_configs:
- {{job_name: lab, honor_labels: true, static_configs: [{{targets: ['127.0.0.1:{lab}']}}]}}
"""
ALERTMANAGER = """
route: {{receiver: stanch, group_by: [alertname, service], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- {{name: stanch, webhook_configs: [{{url: 'http://127.0.0.1:{receiver}/', send_resolved: true}}]}}
"""


@dataclass
class Received:
    """The bodies that came, as bytes, in order."""

    bodies: list[bytes] = field(default_factory=list)

    def first(self, status: str) -> bytes | None:
        return next((b for b in self.bodies if json.loads(b)["status"] == status and SERVICE.encode() in b), None)


@dataclass
class Live:
    """What runs and what it sent; closing `lab` takes the platform away."""

    prometheus: str
    alertmanager: str
    received: Received
    lab: ExitStack


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    prometheus = need("prometheus", "prometheus")
    alertmanager = need("prometheus-alertmanager", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("live")
    ports = {"lab": free(), "prometheus": free(), "alertmanager": free()}
    received = Received()
    with ExitStack() as stack, ExitStack() as lab:
        ports["receiver"] = _receiver(received, stack)
        (folder / "rules.yml").write_text(RULES)
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(**ports))
        (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(**ports))
        command = [str(STANCH), "--data", str(folder / "lab"), "lab", "serve", "--scenario", "memory-leak", "--port"]
        lab.enter_context(
            running(
                [*command, str(ports["lab"])],
                folder / "lab.log",
                f"http://127.0.0.1:{ports['lab']}/metrics",
                seconds=90,
            )
        )
        urls = {name: f"http://127.0.0.1:{ports[name]}" for name in ("prometheus", "alertmanager")}
        stack.enter_context(
            running(
                alertmanager_command(alertmanager, folder, ports["alertmanager"]),
                folder / "am.log",
                f"{urls['alertmanager']}/-/ready",
            )
        )
        stack.enter_context(
            running(
                prometheus_command(prometheus, folder, ports["prometheus"]),
                folder / "log",
                f"{urls['prometheus']}/-/ready",
            )
        )
        yield Live(**urls, received=received, lab=lab)


def _receiver(received: Received, stack: ExitStack) -> int:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return server.server_port


@pytest.fixture(scope="module")
def worked(live: Live, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("worked")
    body = until(lambda: live.received.first("firing"), "Alertmanager sends the firing alert", 60)
    (folder / "firing.json").write_bytes(body)
    ran = stanch(
        folder,
        "investigate",
        "firing.json",
        "--json",
        PROMETHEUS_URL=live.prometheus,
        ALERTMANAGER_URL=live.alertmanager,
    )
    print(f"\nlive stack: {ran.seconds:.1f} s with the program's start")
    return ran, folder, json.loads(body)


def test_alertmanagers_own_body_becomes_an_incident(worked: tuple[Ran, Path, dict[str, Any]]) -> None:
    ran, _, body = worked
    assert ran.code in (3, 6), ran.err  # a minute of history and no catalog: a person or more data is needed
    shown = ran.json()
    assert shown["schema"] == 2
    assert shown["incident"]["state"] == {3: "handed_over", 6: "inconclusive"}[ran.code]
    assert [a["fingerprint"] for a in shown["incident"]["alerts"]] == [a["fingerprint"] for a in body["alerts"]]
    assert {a["labels"]["cluster"] for a in shown["incident"]["alerts"]} == {"eu-1"}  # external: the series lack it
    assert shown["runbooks"][0]["name"] == "memory-leak"
    assert not any("never fired before" in f["text"] for f in shown["findings"])  # there is hardly any history
    assert shown["proposal"] is None
    assert set(shown) == {
        "schema",
        "incident",
        "subjects",
        "cause",
        "candidates",
        "symptoms",
        "runbooks",
        "findings",
        "ruled_out",
        "not_checked",
        "proposal",
        "decisions",
        "execution",
        "verification",
        "undo",
        "reasoner",
        "counts",
        "report",
        "seconds",
    }


def test_every_finding_stands_on_evidence_that_holds_its_numbers(worked: tuple[Ran, Path, dict[str, Any]]) -> None:
    ran, folder, _ = worked
    shown = ran.json()
    lines = stanch(folder, "incidents", "timeline", shown["incident"]["id"], "--jsonl").out.splitlines()
    evidence = {e["data"]["id"]: e["data"] for e in map(json.loads, lines) if e["kind"] == "evidence"}
    assert len(shown["findings"]) >= 3
    for finding in shown["findings"]:
        assert finding["evidence"], finding
        assert set(finding["evidence"]) <= set(evidence)
    (value,) = [f for f in shown["findings"] if "The alert's rule measures" in f["text"]]
    measured, limit = re.findall(r"(\d+(?:\.\d+)?)", value["text"])[:2]
    facts = {f["id"]: f["value"] for f in evidence[value["evidence"][0]]["facts"]}
    last = next(v for k, v in facts.items() if k.endswith(".last"))
    factor = 100 if "%" in value["text"] else 1
    assert float(measured) == pytest.approx(last * factor, rel=0.02)
    assert float(limit) == pytest.approx(0.9 * factor)
    assert last > 0.9


def test_a_resolved_body_needs_nothing_more(
    live: Live, worked: tuple[Ran, Path, dict[str, Any]], tmp_path: Path
) -> None:
    """The platform goes away, so the rule has no value and Alertmanager sends its own resolved body."""
    ran, folder, _ = worked
    live.lab.close()
    body = until(lambda: live.received.first("resolved"), "Alertmanager sends the resolved alert", 60)
    for place in (tmp_path, folder):
        (place / "resolved.json").write_bytes(body)
    env = {"PROMETHEUS_URL": live.prometheus, "ALERTMANAGER_URL": live.alertmanager}

    unheard = stanch(tmp_path, "investigate", "resolved.json", "--json", **env)
    assert unheard.code == 0, unheard.err
    assert unheard.json()["incident"]["state"] == "closed"
    assert {a["status"] for a in unheard.json()["incident"]["alerts"]} == {"resolved"}
    assert "already resolved" in unheard.err

    known = stanch(folder, "investigate", "resolved.json", "--json", **env)
    assert known.json()["incident"]["id"] == ran.json()["incident"]["id"]
    assert known.code == 0, known.err
    assert "every alert of it is resolved now" in known.err
    assert known.json()["incident"]["state"] == ran.json()["incident"]["state"]  # how it was left is not rewritten
