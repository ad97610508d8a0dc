"""Every metric of the lab, listed once: its type, its help text, and what builds its series."""

from __future__ import annotations

from collections.abc import Mapping

from agent.lab.world import series_platform as rest
from agent.lab.world import series_pods as pods
from agent.lab.world.frame import Builder, PodBuilder, each_pod

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

OF_PODS: tuple[tuple[str, str, PodBuilder], ...] = (
    (GAUGE, "Whether the last scrape of the target succeeded.", pods.up),
    (COUNTER, "Requests answered, by status code.", pods.http_requests_total),
    (HISTOGRAM, "Seconds until a request was answered.", pods.http_request_duration_seconds_bucket),
    (HISTOGRAM, "Seconds until a request was answered.", pods.http_request_duration_seconds_count),
    (HISTOGRAM, "Seconds until a request was answered.", pods.http_request_duration_seconds_sum),
    (COUNTER, "Calls made to other services, by peer and status code.", pods.http_client_requests_total),
    (COUNTER, "CPU time used.", pods.container_cpu_usage_seconds_total),
    (COUNTER, "CFS periods in which the container ran.", pods.container_cpu_cfs_periods_total),
    (COUNTER, "CFS periods in which the quota ran out.", pods.container_cpu_cfs_throttled_periods_total),
    (COUNTER, "Time the container stood still for want of quota.", pods.container_cpu_cfs_throttled_seconds_total),
    (GAUGE, "Memory that cannot be taken back.", pods.container_memory_working_set_bytes),
    (GAUGE, "Limits of the container.", pods.kube_pod_container_resource_limits),
    (COUNTER, "Restarts of the container.", pods.kube_pod_container_status_restarts_total),
    (GAUGE, "Why the container waits.", pods.kube_pod_container_status_waiting_reason),
    (GAUGE, "Why the container ended last.", pods.kube_pod_container_status_last_terminated_reason),
    (GAUGE, "When the process began, unix seconds.", pods.process_start_time_seconds),
    (GAUGE, "The version that runs.", pods.app_build_info),
    (GAUGE, "The model version that serving has loaded.", pods.model_served_version_info),
    (COUNTER, "Predictions served.", pods.model_predictions_total),
)

OF_THE_REST: tuple[tuple[str, str, Builder], ...] = (
    (GAUGE, "Replicas wanted.", rest.kube_deployment_spec_replicas),
    (GAUGE, "Replicas that answer.", rest.kube_deployment_status_replicas_available),
    (COUNTER, "CPU time of the node by mode.", rest.node_cpu_seconds_total),
    (GAUGE, "Free bytes on the file system.", rest.node_filesystem_avail_bytes),
    (GAUGE, "Size of the file system.", rest.node_filesystem_size_bytes),
    (GAUGE, "Messages waiting.", rest.queue_depth),
    (GAUGE, "Age of the oldest message.", rest.queue_oldest_message_age_seconds),
    (GAUGE, "When the first certificate of the chain ends, unix seconds.", rest.probe_ssl_earliest_cert_expiry),
    (
        GAUGE,
        "Error against true outcomes, over the window that ends where outcomes end.",
        rest.model_prediction_error_ratio,
    ),
    (GAUGE, "Up to when true outcomes are complete, unix seconds.", rest.model_labels_complete_until_seconds),
    (GAUGE, "Mean of the predictions of the last quarter of an hour.", rest.model_prediction_mean),
    (GAUGE, "Share of rows in which the feature is missing.", rest.feature_null_ratio),
    (GAUGE, "When the feature was last written, unix seconds.", rest.feature_last_updated_seconds),
    (GAUGE, "Distance of the feature's distribution from the training data.", rest.model_feature_drift_score),
)

METRICS: Mapping[str, tuple[str, str, Builder]] = {
    **{build.__name__: (kind, words, each_pod(build)) for kind, words, build in OF_PODS},
    **{build.__name__: (kind, words, build) for kind, words, build in OF_THE_REST},
}
