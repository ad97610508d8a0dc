"""Series of one pod: requests, calls to dependencies, CPU, memory, versions, readiness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agent.lab.ports import Series
from agent.lab.world.frame import Frame, PodTarget
from agent.lab.world.noise import STEP_MS, Array
from agent.lab.world.platform import BUCKETS, MODEL
from agent.lab.world.pods import FOREVER, crash_restarts

UNSEEN = 0.004  # share of 404


def requests(pod: PodTarget, frame: Frame) -> Array:
    """Requests a second as they fell, with the scatter of a Poisson count."""
    mean = pod.of(pod.flow.arrivals)
    scatter = frame.grid.white("count", pod.cluster, pod.spec.name, pod.life.slot)[pod.span]
    seconds = STEP_MS / 1000
    return np.asarray(np.maximum(mean + np.sqrt(np.maximum(mean, 0) / seconds) * scatter, 0.0) * (mean > 0))


def up(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    labels = {"__name__": "up", **pod.labels, "job": pod.spec.name}
    yield Series(labels, pod.times, pod.scraped.astype(float))


def http_requests_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    rate = requests(pod, frame)
    bad = pod.of(pod.flow.failing)
    late = np.minimum(pod.of(pod.flow.latency.beyond(pod.spec.timeout_s)), bad)
    shares = {"200": (1 - bad) * (1 - UNSEEN), "404": (1 - bad) * UNSEEN, "500": bad - late, "504": late}
    for code, share in shares.items():
        yield pod.series("http_requests_total", pod.counter(rate * share, code), {"code": code})


def http_request_duration_seconds_bucket(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    rate = requests(pod, frame)
    for bound in BUCKETS:
        share = 1 - pod.of(pod.flow.beyond(bound))
        le = "+Inf" if bound == float("inf") else f"{bound:g}"
        yield pod.series("http_request_duration_seconds_bucket", pod.counter(rate * share, le), {"le": le})


def http_request_duration_seconds_count(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    yield pod.series("http_request_duration_seconds_count", pod.counter(requests(pod, frame), "count"))


def http_request_duration_seconds_sum(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    spent = requests(pod, frame) * np.minimum(pod.of(pod.flow.latency.mean()), 10.0)
    total = pod.reset(np.cumsum(spent * (STEP_MS / 1000)))
    yield pod.series("http_request_duration_seconds_sum", total)


def http_client_requests_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    rate = requests(pod, frame)
    for calls, flow in pod.flow.deps:
        bad = flow.fail_share[pod.span]
        for code, share in (("200", 1 - bad), ("503", bad)):
            extra = {"peer": flow.spec.name, "code": code}
            # a failed call is made once more
            tried = rate * calls * (1 + bad)
            yield pod.series("http_client_requests_total", pod.counter(tried * share, code + flow.spec.name), extra)


def container_cpu_usage_seconds_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    cores = pod.of(pod.flow.busy) * pod.spec.cpu_limit + 0.012
    total = pod.reset(np.cumsum(cores * (STEP_MS / 1000)))
    yield pod.outside("container_cpu_usage_seconds_total", total, "cadvisor")


def container_cpu_cfs_periods_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    total = pod.counter(_periods(pod), "periods")
    yield pod.outside("container_cpu_cfs_periods_total", total, "cadvisor")


def _periods(pod: PodTarget) -> Array:
    """CFS periods a second in which the container ran at all: ten, or fewer while it idles."""
    return np.asarray(10 * np.clip(0.35 + 4 * pod.of(pod.flow.busy), 0, 1))


def _throttled(pod: PodTarget, frame: Frame) -> Array:
    scatter = 1 + 0.08 * frame.grid.heavy("throttle", pod.cluster, pod.spec.name, pod.life.slot)[pod.span]
    return np.asarray(_periods(pod) * np.clip(pod.of(pod.flow.throttled) * scatter, 0, 1))


def container_cpu_cfs_throttled_periods_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    total = pod.counter(_throttled(pod, frame), "throttled")
    yield pod.outside("container_cpu_cfs_throttled_periods_total", total, "cadvisor")


def container_cpu_cfs_throttled_seconds_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    # a throttled period stands still for some of its 100 ms, the longer the busier
    seconds = _throttled(pod, frame) * (0.02 + 0.05 * pod.of(pod.flow.busy))
    total = pod.reset(np.cumsum(seconds * (STEP_MS / 1000)))
    yield pod.outside("container_cpu_cfs_throttled_seconds_total", total, "cadvisor")


def container_memory_working_set_bytes(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    yield pod.outside("container_memory_working_set_bytes", np.floor(pod.of(pod.flow.memory)), "cadvisor")


def kube_pod_container_resource_limits(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    cores = np.full(len(pod.times), pod.spec.cpu_limit)
    size = np.full(len(pod.times), float(pod.spec.memory_limit_mib << 20))
    for values, resource, unit in ((cores, "cpu", "core"), (size, "memory", "byte")):
        extra = {"resource": resource, "unit": unit}
        yield pod.outside("kube_pod_container_resource_limits", values, "kube-state-metrics", extra)


def restarts(pod: PodTarget) -> Array:
    """How often the container has been restarted, per step."""
    if pod.life.crashes:
        return np.array([crash_restarts(pod.life, at) for at in pod.times], float)
    return np.cumsum(pod.flow.oom[pod.life.slot, pod.span]).astype(float)


def kube_pod_container_status_restarts_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    yield pod.outside("kube_pod_container_status_restarts_total", restarts(pod), "kube-state-metrics")


def kube_pod_container_status_waiting_reason(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    if pod.life.crashes:
        waits = (restarts(pod) > 0).astype(float)
        extra = {"reason": "CrashLoopBackOff"}
        yield pod.outside("kube_pod_container_status_waiting_reason", waits, "kube-state-metrics", extra)


def kube_pod_container_status_last_terminated_reason(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    count = restarts(pod)
    if count.any():
        extra = {"reason": "Error" if pod.life.crashes else "OOMKilled"}
        values = (count > 0).astype(float)
        yield pod.outside("kube_pod_container_status_last_terminated_reason", values, "kube-state-metrics", extra)


def process_start_time_seconds(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    began = np.full(len(pod.times), round(pod.life.start_ms / 1000 + 3.0, 2))
    for at in np.flatnonzero(pod.flow.oom[pod.life.slot, pod.span]):
        began[at:] = pod.times[at] / 1000
    yield pod.series("process_start_time_seconds", began)


def app_build_info(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    version = pod.life.image.rpartition(":")[2]
    yield pod.series("app_build_info", np.ones(len(pod.times)), {"version": version})


def model_served_version_info(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    if pod.spec.name != "demand-forecast" or pod.life.ready_ms == FOREVER:
        return
    served = frame.sim.served_by(pod.life)
    for place, (since, version) in enumerate(served):
        until = served[place + 1][0] if place + 1 < len(served) else FOREVER
        mine = (pod.times >= since) & (pod.times < until) & pod.scraped & (pod.times >= pod.life.ready_ms)
        if mine.any():
            labels = {"__name__": "model_served_version_info", **pod.labels, "job": pod.spec.name}
            yield Series({**labels, "model": MODEL, "version": version}, pod.times[mine], np.ones(int(mine.sum())))


def model_predictions_total(pod: PodTarget, frame: Frame) -> Iterator[Series]:
    if pod.spec.name == "demand-forecast":
        good = requests(pod, frame) * (1 - pod.of(pod.flow.failing))
        yield pod.series("model_predictions_total", pod.counter(good * 8, "predictions"), {"model": MODEL})
