"""Series of everything that is no pod: Deployments, nodes, the queue, the certificate, the model and its features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agent.lab.ports import Series
from agent.lab.scenario import CertificateAge, Contention, DiskGrowth, fixed
from agent.lab.world import learning
from agent.lab.world.frame import Frame
from agent.lab.world.load import MINUTE_MS, queue_levels
from agent.lab.world.noise import DAY_MS, STEP_MS, Array
from agent.lab.world.platform import MODEL, NODE_CORES, QUEUE, QUEUE_WORKER

DISK_BYTES = 200e9
KSM = "kube-state-metrics"


def kube_deployment_spec_replicas(frame: Frame) -> Iterator[Series]:
    for cluster, flow in frame.services():
        values = np.zeros(frame.grid.steps)
        for since, wanted in flow.rollouts.replicas:
            values[frame.grid.index(since) :] = wanted
        labels = _deployment(cluster, flow.spec.namespace, flow.spec.name, flow.spec.deployment)
        yield frame.always("kube_deployment_spec_replicas", cluster + KSM, labels, values)


def kube_deployment_status_replicas_available(frame: Frame) -> Iterator[Series]:
    for cluster, flow in frame.services():
        labels = _deployment(cluster, flow.spec.namespace, flow.spec.name, flow.spec.deployment)
        values = flow.ready.sum(axis=0).astype(float)
        yield frame.always("kube_deployment_status_replicas_available", cluster + KSM, labels, values)


def _deployment(cluster: str, namespace: str, service: str, deployment: str) -> dict[str, str]:
    return {"cluster": cluster, "namespace": namespace, "service": service, "deployment": deployment, "job": KSM}


def node_cpu_seconds_total(frame: Frame) -> Iterator[Series]:
    for cluster, place, node in frame.nodes():
        busy = _node_busy(frame, cluster, place)
        for mode, share in (("user", busy * 0.86), ("system", busy * 0.14), ("idle", 1 - busy)):
            total = np.cumsum(NODE_CORES * share * (STEP_MS / 1000)) + 1e6
            labels = {**_node(cluster, node), "mode": mode}
            yield frame.always("node_cpu_seconds_total", node, labels, total)


def _node_busy(frame: Frame, cluster: str, place: int) -> Array:
    """Busy share of a node: its pods, daemons, and whatever else runs there."""
    used = 0.9 + 0.25 * np.abs(frame.grid.heavy("node", cluster, place))
    for flow in frame.sim.flows[cluster].values():
        for slot in range(place, flow.rollouts.slots, 4):
            used = used + flow.busy[slot] * flow.spec.cpu_limit
    for effect in frame.sim.scenario.all_effects:
        if isinstance(effect, Contention) and frame.sim.scenario.cluster_of(effect) == cluster:
            flow = frame.sim.flows[cluster][effect.service]
            if place < flow.rollouts.replicas[0][1]:
                since = frame.grid.start_ms - fixed(effect.minutes) * MINUTE_MS + 20_000 * place
                lasts = effect.lasts_minutes
                until = None if lasts is None else since + fixed(lasts) * MINUTE_MS
                used = used + 5.6 * frame.grid.ramp(since, fixed(effect.over_minutes) * MINUTE_MS, until)
    return np.asarray(np.clip(used / NODE_CORES, 0.02, 0.985))


def _node(cluster: str, node: str) -> dict[str, str]:
    return {
        "cluster": cluster,
        "namespace": "kube-system",
        "service": "node-exporter",
        "node": node,
        "instance": f"{node}:9100",
        "job": "node-exporter",
    }


def node_filesystem_avail_bytes(frame: Frame) -> Iterator[Series]:
    for cluster, place, node in frame.nodes():
        saw = (frame.grid.times + place * 6 * 3_600_000) % DAY_MS / DAY_MS  # logs pile up and are rotated daily
        free = DISK_BYTES * (0.46 - 0.03 * saw) + 2e8 * frame.grid.slow("disk", node)
        for effect in frame.sim.scenario.all_effects:
            if (
                isinstance(effect, DiskGrowth)
                and effect.node == place
                and frame.sim.scenario.cluster_of(effect) == cluster
            ):
                since = frame.grid.start_ms - fixed(effect.minutes) * MINUTE_MS
                grown = np.maximum(frame.grid.times - since, 0) / (fixed(effect.hours_to_full) * 3_600_000)
                free = free - DISK_BYTES * 0.44 * grown
        labels = {**_node(cluster, node), "mountpoint": "/var/lib/containerd"}
        yield frame.always("node_filesystem_avail_bytes", node, labels, np.floor(np.maximum(free, 1e6)))


def node_filesystem_size_bytes(frame: Frame) -> Iterator[Series]:
    for cluster, _, node in frame.nodes():
        labels = {**_node(cluster, node), "mountpoint": "/var/lib/containerd"}
        yield frame.always("node_filesystem_size_bytes", node, labels, np.full(frame.grid.steps, DISK_BYTES))


def _queue(frame: Frame, name: str, which: int) -> Iterator[Series]:
    for cluster, flow in frame.services():
        if flow.spec.name == QUEUE_WORKER:
            values = queue_levels(frame.grid, flow)[which]
            labels = {
                "cluster": cluster,
                "namespace": "shop",
                "service": QUEUE_WORKER,
                "queue": QUEUE,
                "job": "queue-exporter",
            }
            yield frame.always(name, f"{cluster}/queue", labels, np.round(values, 2))


def queue_depth(frame: Frame) -> Iterator[Series]:
    yield from _queue(frame, "queue_depth", 0)


def queue_oldest_message_age_seconds(frame: Frame) -> Iterator[Series]:
    yield from _queue(frame, "queue_oldest_message_age_seconds", 1)


def probe_ssl_earliest_cert_expiry(frame: Frame) -> Iterator[Series]:
    days = next((fixed(e.days_left) for e in frame.sim.scenario.all_effects if isinstance(e, CertificateAge)), 61.0)
    for cluster in frame.sim.scenario.clusters:
        ends = np.full(frame.grid.steps, np.floor(frame.grid.start_ms / 1000 + days * 86_400))
        labels = {
            "cluster": cluster,
            "namespace": "shop",
            "service": "web",
            "instance": "https://shop.example",
            "job": "blackbox",
        }
        yield frame.always("probe_ssl_earliest_cert_expiry", f"{cluster}/probe", labels, ends)


def _model(frame: Frame, service: str = "demand-forecast", **extra: str) -> dict[str, str]:
    return {"cluster": frame.sim.scenario.clusters[0], "namespace": "ml", "service": service, "model": MODEL, **extra}


def model_prediction_error_ratio(frame: Frame) -> Iterator[Series]:
    sim, times = frame.sim, frame.times("quality")
    until = learning.labels_until(sim.scenario, frame.grid, times)
    values = np.round(learning.error_at(sim.learning, sim.scenario, frame.grid, until), 5)
    labels = _model(frame, metric="wape", job="model-quality")
    yield frame.always("model_prediction_error_ratio", "quality", labels, values)


def model_labels_complete_until_seconds(frame: Frame) -> Iterator[Series]:
    until = learning.complete_until(frame.sim.scenario, frame.grid, frame.times("quality")) / 1000
    labels = _model(frame, job="model-quality")
    yield frame.always("model_labels_complete_until_seconds", "quality", labels, np.floor(until))


def _held(frame: Frame, values: Array, target: str) -> Array:
    """A value per five-minute bucket, as it stands at each step: the last bucket that is complete."""
    last = (frame.times(target) - frame.sim.learning.first_ms) // learning.BUCKET_MS - 1
    held = values[np.clip(last, 0, len(values) - 1)]
    return np.asarray(np.where(last >= 0, held, np.nan))


def model_prediction_mean(frame: Frame) -> Iterator[Series]:
    means = frame.sim.learning.predicted.mean(axis=1)
    smooth = np.convolve(means, np.ones(3) / 3)[: len(means)]
    smooth[:2] = means[:2]
    labels = _model(frame, job="demand-forecast")
    yield frame.always("model_prediction_mean", "quality", labels, np.round(_held(frame, smooth, "quality"), 4))


def feature_null_ratio(frame: Frame) -> Iterator[Series]:
    for place, feature in enumerate(learning.FEATURES):
        values = _held(frame, frame.sim.learning.missing[:, place], "features")
        yield frame.always("feature_null_ratio", "features", _feature(frame, feature), np.round(values, 4))


def _feature(frame: Frame, feature: str) -> dict[str, str]:
    return _model(frame, "feature-pipeline", feature=feature, job="feature-pipeline")


def feature_last_updated_seconds(frame: Frame) -> Iterator[Series]:
    times = frame.times("features")
    for feature in learning.FEATURES:
        written = learning.feature_written_ms(frame.sim.scenario, frame.grid, feature, times)
        yield frame.always("feature_last_updated_seconds", "features", _feature(frame, feature), written / 1000.0)


def model_feature_drift_score(frame: Frame) -> Iterator[Series]:
    for feature, values in frame.sim.psi.items():
        labels = _model(frame, "demand-forecast", feature=feature, method="psi", job="model-quality")
        yield frame.always("model_feature_drift_score", "drift", labels, np.round(_held(frame, values, "drift"), 4))
