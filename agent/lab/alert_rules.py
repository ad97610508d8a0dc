"""The platform's alerting rules, as a rule file has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from agent.lab.ports import Rule

_SYLLABLES = ("ba", "cor", "di", "fen", "gul", "ho", "jit", "ka", "lum", "mo", "nar", "pi", "qua", "ros", "tev", "vu")
BY = "sum by (cluster, namespace, service"
ERRORS = f'{BY}) (rate(http_requests_total{{code=~"5.."}}[5m])) / {BY}) (rate(http_requests_total[5m]))'
CALLS = f'{BY}, peer) (rate(http_client_requests_total{{code=~"5.."}}[5m])) / {BY}, peer) (rate(http_client_requests_total[5m]))'
THROTTLED = (
    f"{BY}) (rate(container_cpu_cfs_throttled_periods_total[5m])) / {BY}) (rate(container_cpu_cfs_periods_total[5m]))"
)
MEMORY = (
    "max by (cluster, namespace, service, pod) (container_memory_working_set_bytes)"
    ' / max by (cluster, namespace, service, pod) (kube_pod_container_resource_limits{resource="memory"})'
)
AVAILABLE = "kube_deployment_spec_replicas - kube_deployment_status_replicas_available"


def p99(matcher: str) -> str:
    inner = f"sum by (cluster, namespace, service, le) (rate(http_request_duration_seconds_bucket{{{matcher}}}[5m]))"
    return f"histogram_quantile(0.99, {inner})"


# name: (expression without its threshold, comparison, threshold, for, severity, runbook, summary)
TABLE: Mapping[str, tuple[str, str, float, int, str, str, str]] = {
    "ForecastLatencyHigh": (
        p99('service="demand-forecast"'),
        ">",
        1.0,
        300,
        "critical",
        "forecast-latency-high",
        "p99 latency of {{ $labels.service }} is {{ $value }} s",
    ),
    "HttpLatencyHigh": (
        p99('service=~"web|checkout|payments|catalog-db"'),
        ">",
        1.0,
        300,
        "warning",
        "latency-high",
        "p99 latency of {{ $labels.service }} is {{ $value }} s",
    ),
    "HttpErrorRateHigh": (
        ERRORS,
        ">",
        0.05,
        300,
        "critical",
        "error-rate-high",
        "{{ $labels.service }} fails a share {{ $value }} of its requests",
    ),
    "CPUThrottlingHigh": (
        THROTTLED,
        ">",
        0.25,
        600,
        "warning",
        "cpu-contention",
        "{{ $labels.service }} is throttled in a share {{ $value }} of its CPU periods",
    ),
    "ContainerMemoryNearLimit": (
        MEMORY,
        ">",
        0.9,
        300,
        "warning",
        "memory-leak",
        "{{ $labels.pod }} uses {{ $value }} of its memory limit",
    ),
    "PodCrashLooping": (
        "max by (cluster, namespace, service, pod) (increase(kube_pod_container_status_restarts_total[30m]))",
        ">",
        2.0,
        120,
        "critical",
        "crash-loop",
        "{{ $labels.pod }} has restarted {{ $value }} times in half an hour",
    ),
    "DependencyErrorsHigh": (
        CALLS,
        ">",
        0.05,
        300,
        "critical",
        "dependency-down",
        "a share {{ $value }} of calls from {{ $labels.service }} to {{ $labels.peer }} fails",
    ),
    "NodeDiskFilling": (
        "predict_linear(node_filesystem_avail_bytes[2h], 43200) / node_filesystem_size_bytes",
        "<",
        0.05,
        600,
        "warning",
        "disk-filling",
        "{{ $labels.node }} {{ $labels.mountpoint }} will be full within 12 hours",
    ),
    "QueueBacklogGrowing": (
        "queue_oldest_message_age_seconds",
        ">",
        120.0,
        300,
        "warning",
        "queue-backlog",
        "the oldest message of {{ $labels.queue }} is {{ $value }} s old",
    ),
    "CertificateExpiringSoon": (
        "(probe_ssl_earliest_cert_expiry - time()) / 86400",
        "<",
        14.0,
        900,
        "warning",
        "certificate-expiry",
        "the certificate of {{ $labels.instance }} ends in {{ $value }} days",
    ),
    "ModelErrorHigh": (
        'model_prediction_error_ratio{metric="wape"}',
        ">",
        0.2,
        600,
        "warning",
        "concept-drift",
        "{{ $labels.metric }} of {{ $labels.model }} is {{ $value }}",
    ),
    "FeatureNullsHigh": (
        "feature_null_ratio",
        ">",
        0.05,
        600,
        "warning",
        "upstream-data-bug",
        "feature {{ $labels.feature }} of {{ $labels.model }} is null in a share {{ $value }}",
    ),
    "FeatureStale": (
        "time() - feature_last_updated_seconds",
        ">",
        93600.0,
        900,
        "warning",
        "stale-features",
        "feature {{ $labels.feature }} of {{ $labels.model }} was last written {{ $value }} s ago",
    ),
    "FeatureDriftHigh": (
        'model_feature_drift_score{method="psi"}',
        ">",
        0.25,
        900,
        "warning",
        "feature-drift",
        "feature {{ $labels.feature }} of {{ $labels.model }} has a PSI of {{ $value }}",
    ),
    "DeploymentReplicasMissing": (
        AVAILABLE,
        ">",
        0.0,
        600,
        "warning",
        "crash-loop",
        "{{ $labels.deployment }} lacks {{ $value }} replicas",
    ),
    "TargetDown": (
        "1 - min by (cluster, namespace, service, pod) (up)",
        ">",
        0.0,
        300,
        "warning",
        "crash-loop",
        "{{ $labels.pod }} does not answer scrapes",
    ),
}


def rules(thresholds: Mapping[str, float] | None = None) -> list[Rule]:
    """All rules, some with another threshold."""
    given = thresholds or {}
    return [_rule(name, given.get(name)) for name in TABLE]


def renamed(listed: list[Rule], seed: int) -> list[Rule]:
    """The same rules under names that tell nothing, without a description that tells the name and without `runbook_url`."""
    rng = np.random.default_rng([seed, len(listed)])
    found: list[Rule] = []
    for rule in listed:
        name = "".join(rng.choice(list(_SYLLABLES), 3)).title()
        kept = {key: text for key, text in rule.annotations.items() if key == "summary"}
        found.append(replace(rule, name=f"{name}{len(found) + 1}", annotations=kept))
    return found


def _rule(name: str, threshold: float | None) -> Rule:
    expr, comparison, usual, for_s, severity, runbook, summary = TABLE[name]
    limit = usual if threshold is None else threshold
    words = {">": "above", "<": "below"}[comparison]
    annotations = {
        "summary": summary,
        "description": f"{name} fires when this stays {words} {limit:g} for {for_s // 60} minutes.",
        "runbook_url": f"https://runbooks.example/{runbook}",
    }
    full = f"{expr} {comparison} {limit:g}" if " - " not in expr else f"({expr}) {comparison} {limit:g}"
    return Rule(name, full, for_s, {"severity": severity}, annotations)
