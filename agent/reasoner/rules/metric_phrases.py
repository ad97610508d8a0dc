"""What a check measured, in words: "CPU throttling is 31 % of periods", not "the check gives 0.31"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.reasoner.rules.checks import Tried

# the first pattern that the query contains says what it measures; from the particular to the general
METRICS: tuple[tuple[str, str], ...] = (
    (r"cfs_throttled", "the share of CPU periods in which its containers were throttled"),
    (r"cpu_usage_seconds.*resource_limits", "its use of CPU, as a share of the limit,"),
    (r"node_cpu_seconds", "the CPU use of the busiest node it runs on"),
    (r"http_client_requests.*peer=~?[\"'].*5\.\.", "the share of calls to it that fail"),
    (r"http_client_requests.*5\.\.", "the share of its calls to a dependency that fail, at worst,"),
    (r"http_requests_total.*5\.\.", "the share of its requests that fail"),
    (r"http_requests_total", "traffic"),
    (r"request_duration.*", "the latency of the slowest requests"),
    (r"waiting_reason", "the number of containers held back from starting"),
    (r"OOMKilled", "the number of containers that were ended for want of memory"),
    (r"restarts_total", "the number of container restarts"),
    (r"predict_linear.*memory", "its use of memory two hours on, as a share of the limit,"),
    (r"memory_working_set", "its use of memory, as a share of the limit,"),
    (r"predict_linear.*filesystem", "the free share of the fullest disk half a day on"),
    (r"deriv.*filesystem", "the change of the fullest disk over half a day, as a share of its size,"),
    (r"filesystem", "the free share of the fullest disk"),
    (r"spec_replicas", "the number of missing replicas"),
    (r"queue_oldest", "the age of the oldest message"),
    (r"deriv.*queue_depth", "the growth of the queue, in messages a second,"),
    (r"queue_depth", "the length of the queue"),
    (r"cert_expiry", "the time left on the certificate, in days,"),
    (r"feature_null_ratio", "the share of nulls in the emptiest feature"),
    (r"feature_last_updated", "the age of the oldest feature, in hours,"),
    (r"prediction_mean.*offset", "the distance of the mean prediction from last week's, as a share,"),
    (r"labels_complete", "the age of the newest complete outcomes, in hours,"),
    (r"prediction_error", "the model's error"),
)
WHEN = {"before": "just before", "yesterday": "yesterday at this time", "last_week": "last week at this time"}


def statements(one: Tried) -> Iterator[str]:
    """Templates that say what a check saw, the fullest first; none where it saw nothing."""
    if one.evidence is None or not one.facts:
        return
    found = one.facts[0]
    ref = f"{{{one.evidence.id}.{found.id}}}"
    what = measured(str(one.evidence.arguments.get("promql", "")))
    then = WHEN.get(found.id.rpartition("ratio.")[2]) if "ratio." in found.id else None
    if one.evidence.read == "compare_metrics" and then:
        yield f"{_first_up(what or 'what it compares')} is {ref} times that of {then}"
        return
    if one.evidence.read in ("query_metrics", "compare_metrics"):
        if what:
            yield f"{_first_up(what)} is {ref}"
        return
    if found.id == "quality.ratio":
        yield f"The model's error is {ref} times what it was before"
    elif found.id == "agree":
        yield f"Whether serving runs the version that the alias names: {ref}"
    elif found.window and found.unit == "count":
        yield f"{_first_up(found.name)} in {{window({one.evidence.id}.{found.id})}}: {ref}"
    yield f"{_first_up(found.name)}: {ref}"


def measured(promql: str) -> str:
    """The name of what a query measures; "" where it is not known."""
    return next((words for pattern, words in METRICS if re.search(pattern, promql, re.DOTALL)), "")


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
