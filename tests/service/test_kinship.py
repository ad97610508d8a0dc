"""What belongs together: alerts about one thing, never alerts that came through one exporter."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from agent.domain.alert import Alert, AlertStatus
from agent.domain.catalog import Catalog
from agent.service.correlate import Assignment, Board, opened_by
from agent.sources.alertmanager import parse

NOW = datetime(2026, 11, 30, 14, 20, tzinfo=UTC)
CASES = Path(__file__).with_name("grouping")
EXPORTER = {"job": "kube-state-metrics", "service": "kube-state-metrics", "container": "kube-rbac-proxy-main"}


def alert(name: str, minute: int = 0, expression: str = "", **labels: str) -> Alert:
    url = f"http://prometheus.example/graph?g0.expr={quote(expression)}" if expression else ""
    began = NOW.replace(minute=minute)
    return Alert(
        "alertmanager",
        f"{name}{sorted(labels.items())}",
        AlertStatus.FIRING,
        {"alertname": name, **labels},
        {},
        began,
        generator_url=url,
    )


def incidents(*alerts: Alert) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Incident → names of its alerts, and why each alert is where it is."""
    board, found, why = Board(Catalog()), dict[str, list[str]](), dict[str, str]()
    for one in alerts:
        assigned: Assignment = board.assign(one)
        incident = assigned.incident or opened_by(one).id
        board.add(incident, [one])
        found.setdefault(incident, []).append(one.name)
        why[one.name] = assigned.why
    return found, why


def together(*alerts: Alert) -> bool:
    return len(incidents(*alerts)[0]) == 1


def of_case(name: str) -> list[Alert]:
    return parse((CASES / name).read_bytes(), NOW)


def test_three_things_told_of_by_one_exporter_are_three_incidents() -> None:
    alerts = of_case("three-through-one-exporter.json")
    assert len(incidents(*alerts)[0]) == 3
    assert [opened_by(one).title for one in alerts] == [
        "checkout (shop) lacks replicas.",
        "smtp (mail): An autoscaler is at its most.",
        "nightly-29311 (ml): A job failed.",
    ]


def test_a_crash_loop_and_a_full_volume_are_two_incidents() -> None:
    assert len(incidents(*of_case("crash-and-volume.json"))[0]) == 2


def test_seven_unrelated_alerts_are_seven_incidents() -> None:
    assert len(incidents(*of_case("seven-at-once.json"))[0]) == 7


def test_pods_of_one_workload_and_what_scales_it_are_one_trouble() -> None:
    first = alert("Looping", **EXPORTER, namespace="shop", pod="web-6d4c8b7f9-2xkqz")
    assert together(
        first,
        alert("Looping2", **EXPORTER, namespace="shop", pod="web-6d4c8b7f9-9zqxk"),
        alert("Replicas", **EXPORTER, namespace="shop", deployment="web"),
        alert("AtMost", **EXPORTER, namespace="shop", horizontalpodautoscaler="web"),
        alert("Errors", namespace="shop", service="web"),
    )
    assert not together(first, alert("Replicas", **EXPORTER, namespace="test", deployment="web"))
    assert not together(first, alert("Replicas", **EXPORTER, namespace="shop", deployment="web-worker"))


def test_one_trouble_of_a_node_is_one_incident_by_whatever_name_it_is_told() -> None:
    notready = alert("NotReady", expression="kube_node_status_condition == 0", **EXPORTER, node="worker-1")
    kubelet = alert(
        "Kubelet", expression="kubelet_evictions > 1", job="kubelet", node="worker-1", instance="10.0.4.11:10250"
    )
    disk = alert(
        "Disk",
        expression="node_filesystem_avail_bytes < 1",
        job="node-exporter",
        instance="10.0.4.11:9100",
        pod="node-exporter-x2kqz",
    )
    assert together(notready, kubelet, disk)
    other = alert(
        "Disk2",
        expression="node_filesystem_avail_bytes < 1",
        job="node-exporter",
        instance="10.0.4.12:9100",
        pod="node-exporter-x2kqz",
    )
    assert not together(disk, other)


def test_pods_that_only_share_a_node_are_two_troubles() -> None:
    one = alert(
        "Throttled",
        expression="container_cpu_usage_seconds_total > 1",
        job="kubelet",
        node="n1",
        namespace="shop",
        pod="web-0",
    )
    two = alert(
        "Throttled",
        expression="container_cpu_usage_seconds_total > 1",
        job="kubelet",
        node="n1",
        namespace="pay",
        pod="api-0",
    )
    assert not together(one, two)


def test_two_queues_of_one_broker_are_two_troubles_and_the_broker_joins_either() -> None:
    broker = {"job": "rabbitmq", "namespace": "mq", "pod": "rabbit-0"}
    mail = alert("Deep", expression="rabbitmq_queue_messages > 9", queue="mail", **broker)
    orders = alert("Deep", expression="rabbitmq_queue_messages > 9", queue="orders", **broker)
    assert not together(mail, orders)
    assert together(mail, alert("Down", expression="up == 0", **broker))


def test_a_claim_of_a_pod_that_loops_is_the_same_trouble() -> None:
    full = alert("Full", namespace="logging", persistentvolumeclaim="spool-log-shipper-1")
    looping = alert("Looping", namespace="logging", pod="log-shipper-1")
    assert together(full, looping)
    assert together(looping, full)
    assert not together(full, alert("Full", namespace="logging", persistentvolumeclaim="index-log-shipper-1"))
    assert not together(full, alert("Looping", namespace="logging", pod="log-shipper-2"))


def test_what_is_about_the_whole_cluster_is_not_one_trouble() -> None:
    whole = "sum(kube_pod_container_resource_requests) > 1"
    assert not together(alert("A", expression=whole, cluster="eu"), alert("B", expression=whole, cluster="eu"))


def test_an_alert_joins_while_an_earlier_one_of_the_same_thing_still_fires() -> None:
    first, later = (
        alert("Slow", 0, namespace="shop", service="web"),
        alert("Errors", 55, namespace="shop", service="web"),
    )
    found, why = incidents(first, later)
    assert len(found) == 1
    assert why["Errors"] == "both are about web (shop), and an earlier alert still fires"
    cleared = Alert(first.source, first.fingerprint, AlertStatus.RESOLVED, first.labels, {}, first.starts_at, NOW)
    assert len(incidents(first, cleared, later)[0]) == 2


def test_an_incident_is_called_by_its_thing_and_what_is_said_of_it() -> None:
    def title(summary: str, **labels: str) -> str:
        one = alert("X", **labels)
        return opened_by(Alert(one.source, "f", one.status, one.labels, {"summary": summary}, NOW)).title

    pod = {"namespace": "shop", "pod": "mailer-6d4c8b7f9-2xkqz"}
    assert title("Pod is crash looping.", **pod) == "mailer (shop) is crash looping."
    assert title("A pod starts and ends again.", **pod) == "mailer (shop): A pod starts and ends again."
    assert title("mailer is slow", **pod) == "mailer is slow"
    assert title("Something", severity="info") == "Something"


def test_cases_hold_what_they_say() -> None:
    assert {path.name for path in CASES.iterdir()} >= {"second-alert-later", "seven-at-once.json"}
    assert len(json.loads((CASES / "second-alert-later" / "both.json").read_text())["alerts"]) == 2
