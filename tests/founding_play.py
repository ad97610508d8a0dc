"""The founding incident as a language model works it: what it looks at, proposes and concludes."""

from __future__ import annotations

from typing import Any

P99 = 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{cluster="eu-1",service="demand-forecast"}[5m])))'
THROTTLED = (
    'sum(rate(container_cpu_cfs_throttled_periods_total{cluster="eu-1",service="demand-forecast"}[5m])) / '
    'sum(rate(container_cpu_cfs_periods_total{cluster="eu-1",service="demand-forecast"}[5m]))'
)
LOOK: dict[str, Any] = {
    "calls": [
        {"read": "alert_rule", "args": {"alertname": "ForecastLatencyHigh"}, "why": "the rule and its value"},
        {"read": "compare_metrics", "args": {"promql": P99}, "why": "p99 against earlier"},
        {"read": "query_metrics", "args": {"promql": THROTTLED, "minutes": 60}, "why": "CPU throttling"},
        {"read": "recent_changes", "args": {"service": "demand-forecast"}, "why": "what changed"},
        {"read": "inspect_drift", "args": {}, "why": "feature drift"},
        {"read": "served_version", "args": {"model": "demand-forecast"}, "why": "which version serves"},
    ]
}
SLOWER = "p99 of demand-forecast rose from {E2.before.mean} to {E2.now.mean}. [E2.now.mean > E2.before.mean]"
STARVED = (
    "Throttling of demand-forecast rose from {E3.value.first} to {E3.value.last}. [E3.value.last > E3.value.first]"
)
UNCHANGED = "Nothing was deployed in {window(E4.deployments.count)}. [E4.deployments.count == 0]"
PROPOSE: dict[str, Any] = {
    "action": "scale_workload",
    "args": {"workload": "eu-1/ml/forecast-server", "replicas": 5},
    "why": "demand-forecast is starved of CPU: {E3.value.last} of its periods are throttled.",
    "success": {"promql": P99, "expect": "< 1", "hold_minutes": 2, "within_minutes": 15},
    "source": "forecast-latency-high",
    "claims": [SLOWER, STARVED, UNCHANGED],
    "component": "demand-forecast",
    "fault": "cpu_contention",
    "confidence": 0.8,
    "kind": "joint",
    "ruled_out": ["covariate_drift: {E5.material.count} features drifted enough to matter"],
}
CONCLUDE: dict[str, Any] = {
    "claims": [STARVED],
    "component": "demand-forecast",
    "fault": "cpu_contention",
    "confidence": 0.9,
    "kind": "joint",
    "not_checked": ["the neighbours on the nodes: no read names them"],
}
