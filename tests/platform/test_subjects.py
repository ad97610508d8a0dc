"""What an alert is about: the object, never what it was scraped through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.domain.catalog import CatalogFile, from_file
from agent.platform.rules import Rule, RuleBook, read_rules
from agent.platform.subjects import subjects_of
from agent.platform.vocabulary import vocabulary
from tests.bench_subjects import main, scores
from tests.shared_data import shared_data

EXPORTER = {
    "job": "kube-state-metrics",
    "instance": "10.1.2.3:8080",
    "service": "ksm",
    "container": "kube-state-metrics",
    "endpoint": "http",
    "pod": "kube-state-metrics-6c9f7b5d4-h8w2k",
    "namespace": "shop",
}
DATABASE = {
    "job": "pg-exporter",
    "service": "pg-exporter",
    "pod": "pg-exporter-6c9f7b5d4-h8w2k",
    "namespace": "monitoring",
}

# labels, the rule's expression, the first subject as kind, namespace, name
CASES: Mapping[str, tuple[dict[str, str], str, tuple[str, str, str]]] = {
    "a deployment through kube-state-metrics": (
        {**EXPORTER, "deployment": "checkout"},
        "kube_deployment_status_replicas_unavailable > 0",
        ("Deployment", "shop", "checkout"),
    ),
    "a pod whose labels the scrape's have displaced": (
        {**EXPORTER, "namespace": "monitoring", "exported_namespace": "shop", "exported_pod": "web-0"},
        "kube_pod_container_status_restarts_total > 3",
        ("Pod", "shop", "web-0"),
    ),
    "an autoscaler of an older name": (
        {**EXPORTER, "hpa": "web"},
        "kube_hpa_status_current_replicas == kube_hpa_spec_max_replicas",
        ("HorizontalPodAutoscaler", "shop", "web"),
    ),
    "a quota is its namespace's": (
        {**EXPORTER, "resourcequota": "q"},
        "kube_resourcequota > 1",
        ("Namespace", "", "shop"),
    ),
    "a container is its pod's": (
        {"job": "kubelet", "service": "kubelet", "node": "n1", "namespace": "shop", "pod": "web-0", "container": "web"},
        "rate(container_cpu_cfs_throttled_periods_total[5m]) > 1",
        ("Pod", "shop", "web-0"),
    ),
    "a claim, not the node that measures it": (
        {
            "job": "kubelet",
            "node": "n1",
            "instance": "10.0.0.1:10250",
            "namespace": "billing",
            "persistentvolumeclaim": "ledger-0",
        },
        "kubelet_volume_stats_available_bytes < 5",
        ("PersistentVolumeClaim", "billing", "ledger-0"),
    ),
    "a node by its address": (
        {"job": "node-exporter", "instance": "10.0.0.4:9100", "pod": "node-exporter-r2v8k", "namespace": "monitoring"},
        "node_load1 > 9",
        ("Node", "", "10.0.0.4:9100"),
    ),
    "a probe's target": (
        {"job": "blackbox", "instance": "https://shop.example/", "namespace": "monitoring"},
        "probe_success == 0",
        ("Target", "", "https://shop.example/"),
    ),
    "a database, not its exporter": (
        {**DATABASE, "server": "orders-db:5432"},
        "pg_up == 0",
        ("Database", "", "orders-db:5432"),
    ),
    "a database whose exporter sits in its pod": (
        {"job": "orders", "pod": "pg-orders-0", "namespace": "data", "container": "exporter"},
        "pg_replication_lag > 9",
        ("Pod", "data", "pg-orders-0"),
    ),
    "a database on a machine of its own": (
        {"job": "mysql", "instance": "db-2:9104"},
        "mysql_global_status_threads_connected > 90",
        ("Database", "", "db-2:9104"),
    ),
    "an object that an event names": (
        {
            "job": "event-exporter",
            "involved_object_kind": "Pod",
            "involved_object_name": "web-0",
            "involved_object_namespace": "shop",
        },
        "kube_event_count > 1",
        ("Pod", "shop", "web-0"),
    ),
    "a container, where the aggregation left no pod": (
        {"namespace": "shop", "container": "checkout"},
        "sum by (namespace, container) (increase(kube_pod_container_status_restarts_total[5m])) > 1",
        ("Container", "shop", "checkout"),
    ),
    "a database of a cloud": (
        {"job": "yace", "dimension_DBInstanceIdentifier": "orders"},
        "aws_rds_cpuutilization_average > 90",
        ("Database", "", "orders"),
    ),
    "who is called, by a service graph": (
        {"job": "tempo", "client": "web", "server": "checkout"},
        "traces_service_graph_request_failed_total > 1",
        ("Service", "", "checkout"),
    ),
    "what is measured, not what a condition beside it looks at": (
        {"namespace": "shop", "service": "orders"},
        "orders_stuck > 5 and on (namespace) kube_namespace_labels > 0",
        ("Service", "shop", "orders"),
    ),
    "a queue": (
        {"job": "kafka-exporter", "topic": "orders", "consumergroup": "billing"},
        "sum by (topic, consumergroup) (kafka_consumergroup_lag) > 9",
        ("Queue", "", "orders"),
    ),
    "an OpenTelemetry service": (
        {"job": "otel-collector", "exported_job": "shop/checkout", "instance": "c:8889"},
        "http_server_request_duration_seconds_count > 1",
        ("Service", "shop", "checkout"),
    ),
    "an OpenTelemetry service by a UTF-8 label": (
        {"service.name": "checkout", "k8s.namespace.name": "shop"},
        "",
        ("Service", "shop", "checkout"),
    ),
    "who is called over Istio": (
        {"destination_service": "checkout.shop.svc.cluster.local", "source_workload": "web"},
        "sum by (destination_service, source_workload) (rate(istio_requests_total[5m])) > 1",
        ("Service", "shop", "checkout"),
    ),
    "a route of ingress-nginx": (
        {
            "ingress": "front",
            "exported_namespace": "shop",
            "namespace": "ingress-nginx",
            "service": "ingress-nginx-metrics",
        },
        "rate(nginx_ingress_controller_requests[5m]) > 1",
        ("Ingress", "shop", "front"),
    ),
    "an application of Argo CD": (
        {"name": "shop", "namespace": "argocd", "pod": "argocd-application-controller-0"},
        "argocd_app_info == 1",
        ("Application", "argocd", "shop"),
    ),
    "what Flux reconciles": (
        {"customresource_kind": "HelmRelease", "name": "web", "exported_namespace": "shop"},
        "gotk_resource_info == 1",
        ("HelmRelease", "shop", "web"),
    ),
    "a served model": (
        {"model_name": "llama", "pod": "vllm-0", "namespace": "ml"},
        "vllm:num_requests_waiting > 9",
        ("Model", "", "llama"),
    ),
    "a larger house's type and tier": (
        {"type": "api", "tier": "sv"},
        "errors:ratio_5m > 1",
        ("Service", "", "api"),
    ),
    "an application's own labels": (
        {"job": "web", "instance": "10.1.1.1:8000"},
        "up == 0",
        ("Service", "", "web"),
    ),
    "an exporter that is down itself": (
        {**EXPORTER, "namespace": "monitoring"},
        "up == 0",
        ("Pod", "monitoring", EXPORTER["pod"]),
    ),
    "the control plane, absent": (
        {"job": "kube-scheduler"},
        'absent(up{job="kube-scheduler"})',
        ("Pod", "kube-system", "kube-scheduler"),
    ),
    "what only the rule's matchers name": (
        {},
        'absent(orders_total{namespace="shop", service="orders"})',
        ("Service", "shop", "orders"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_subject_is_the_object(case: str) -> None:
    labels, expression, right = CASES[case]
    first = subjects_of(labels, Rule(expression))[0]
    assert (first.kind, first.namespace, first.name) == right


def test_a_pod_leads_to_its_own_workload_and_to_no_other_of_a_similar_name() -> None:
    labels = {"namespace": "pay", "pod": "payments-worker-6d4c8b7f9-2xkqz", "service": "payments"}
    found = [(s.kind, s.name, s.how) for s in subjects_of(labels)]
    assert found[1] == ("Deployment", "payments-worker", "by the name of the Pod")
    assert ("Deployment", "payments") not in {(kind, name) for kind, name, _ in found}


def test_an_owner_that_the_platform_tells_beats_the_name() -> None:
    owners = {("Pod", "ml", "train-0"): ("PyTorchJob", "train")}
    found = subjects_of({"namespace": "ml", "pod": "train-0"}, owners=owners)
    assert [(s.kind, s.name) for s in found] == [("Pod", "train-0"), ("PyTorchJob", "train")]


def test_a_pod_of_a_scheduled_job_leads_to_the_job_and_its_cron_job() -> None:
    found = subjects_of({"namespace": "ml", "pod": "nightly-29395440-x2kqz"})
    assert [(s.kind, s.name) for s in found] == [
        ("Pod", "nightly-29395440-x2kqz"),
        ("Job", "nightly-29395440"),
        ("CronJob", "nightly"),
    ]


def test_a_probe_of_an_address_within_the_cluster_leads_to_its_service() -> None:
    found = subjects_of(
        {"job": "blackbox", "instance": "http://checkout.shop.svc:8080/health"}, Rule("probe_success == 0")
    )
    assert (found[1].kind, found[1].namespace, found[1].name) == ("Service", "shop", "checkout")


def test_a_burn_rate_alert_is_about_what_its_indicator_measures() -> None:
    recorded = {
        "slo:burn1h": "slo:errors1h / 0.001",
        "slo:errors1h": 'sum(rate(http_requests_total{job="checkout", namespace="shop", code=~"5.."}[1h]))',
    }
    rule = Rule("slo:burn1h > 14 and slo:burn5m > 14")
    first = subjects_of({"slo": "availability"}, rule, recorded)[0]
    assert (first.kind, first.namespace, first.name) == ("Service", "shop", "checkout")
    assert "the rule asks for" in first.how
    assert subjects_of({"slo": "availability"}, rule) == ()


def test_an_object_that_an_aggregation_threw_away_is_said_to_be_lost() -> None:
    first = subjects_of({"namespace": "shop"}, Rule("sum by (namespace) (kube_pod_status_phase) > 2"))[0]
    assert (first.kind, first.name) == ("Namespace", "shop")
    assert "leaves no label that names a Pod" in first.how
    whole = subjects_of({"cluster": "eu-1"}, Rule("sum(kube_pod_status_phase) > 2"))[0]
    assert (whole.kind, whole.cluster, whole.name) == ("Cluster", "eu-1", "")


def test_a_node_is_also_told_by_the_address_at_which_it_was_measured() -> None:
    labels = {"job": "kubelet", "node": "worker-1", "instance": "10.0.4.11:10250"}
    found = subjects_of(labels, Rule("kubelet_evictions > 1"))
    assert [(s.kind, s.name) for s in found] == [("Node", "worker-1"), ("Node", "10.0.4.11:10250")]


def test_an_alert_that_always_fires_is_about_nothing() -> None:
    assert subjects_of({"severity": "none", "namespace": "monitoring"}, Rule("vector(1)")) == ()
    assert subjects_of({"namespace": "shop"}, Rule('group by (namespace) (ALERTS{severity="info"} == 1)')) == ()


def test_a_label_that_the_rule_writes_is_meant() -> None:
    labels = {**EXPORTER, "deployment": "web-front", "service": "web"}
    found = subjects_of(labels, Rule("kube_deployment_status_replicas_unavailable > 0", {"service": "web"}))
    assert [(s.kind, s.name) for s in found] == [("Deployment", "web-front"), ("Service", "web")]


def test_the_catalogs_match_stands_for_a_guessed_service() -> None:
    catalog = from_file(
        CatalogFile.model_validate({"services": {"payments": {"match": {"app": "pay-api"}}, "ksm": {}}})
    )
    assert [s.name for s in subjects_of({"app": "pay-api", "job": "whatever"}, catalog=catalog)] == ["payments"]
    through = subjects_of({**EXPORTER, "deployment": "web"}, Rule("kube_deployment_created"), catalog=catalog)
    assert [s.name for s in through] == ["web"], "the scrape's service is no match"


def test_the_name_of_an_alert_decides_nothing() -> None:
    for labels, expression, _ in CASES.values():
        renamed = subjects_of({**labels, "alertname": "KubePodCrashLooping"}, Rule(expression))
        assert renamed == subjects_of({**labels, "alertname": "Q"}, Rule(expression))


def test_every_pattern_of_the_vocabulary_can_be_asked() -> None:
    words = vocabulary()
    assert words.family(["kube_pod_info"], {})[1] == "Pod"
    assert words.spelled("statefulset") == "StatefulSet"
    assert not words.lies_in_a_namespace("Node")
    assert words.family(["nobody_knows_this"], {})[0].name == "its own metrics"


def test_the_rule_of_an_alert_is_the_one_whose_labels_fit(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "spec:\n  groups:\n  - rules:\n"
        "    - {alert: Full, expr: disk > 80, labels: {severity: warning}}\n"
        "    - {alert: Full, expr: disk > 95, labels: {severity: critical}}\n"
        "    - {record: disk, expr: node_filesystem_avail_bytes}\n"
    )
    book = read_rules(file)
    assert book.of({"alertname": "Full", "severity": "critical"}).expression == "disk > 95"
    assert book.recorded == {"disk": "node_filesystem_avail_bytes"}
    found = subjects_of({"instance": "db1:9100"}, book.of({"alertname": "Full", "severity": "warning"}), book.recorded)
    assert (found[0].kind, found[0].name) == ("Node", "db1:9100")


def test_an_alert_whose_rule_is_not_known_brings_its_own_expression() -> None:
    url = "http://prometheus.example/graph?g0.expr=probe_success+%3D%3D+0&g0.tab=1"
    assert RuleBook().of({"alertname": "X"}, url).expression == "probe_success == 0"
    assert RuleBook().of({"alertname": "X"}, "http://grafana.example/alerting/1").expression == ""


def test_the_first_subject_is_right_for_the_rules_of_most_clusters() -> None:
    right, of = scores(shared_data("rules", "alerts.jsonl"))
    assert right / of >= 0.98


def test_the_benchmark_passes_over_data_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(tmp_path)) == 0
    assert "nothing was measured" in capsys.readouterr().out
