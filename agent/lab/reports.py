"""The lab's drift reports: one a day in Evidently 0.7's JSON, computed from the features that serving saw.

`GET /reports/` lists them, newest last; `GET /reports/<name>` is one.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.clock import iso
from agent.lab.answers import answer
from agent.lab.clock import moment
from agent.lab.world.learning import BATCH_HOUR, BUCKET_MS, FEATURES, Learning
from agent.lab.world.noise import DAY_MS, Array
from agent.lab.world.world import World

REFERENCE = 576  # buckets: the first two days stand for the training data
THRESHOLD = 0.1
V2 = "evidently:metric_v2:"


def routes(world: World) -> list[Route]:
    def listing(request: Request) -> Response:
        return answer(
            [{"name": name, "url": f"/reports/{name}", "at": iso(moment(at))} for name, at in _reports(world)]
        )

    def one(request: Request) -> Response:
        wanted = request.path_params["name"]
        at = next((at for name, at in _reports(world) if name == wanted), None)
        return answer({"error": f"there is no report {wanted}"}, 404) if at is None else answer(report(world, at))

    return [Route("/reports/", listing, methods=["GET"]), Route("/reports/{name}", one, methods=["GET"])]


def _reports(world: World) -> list[tuple[str, int]]:
    """A report at each nightly hour since the reference ended, and one an hour ago at most: the monitoring's last run."""
    now, first = world.now_ms(), world.sim.grid.first_ms + REFERENCE * BUCKET_MS
    nights = range(first - first % DAY_MS + DAY_MS + BATCH_HOUR * 3_600_000 + 1_800_000, now + 1, DAY_MS)
    hour = now - now % 3_600_000
    times = sorted({*nights, hour} if hour > first else set(nights))
    return [(f"demand-forecast-{moment(at):%Y-%m-%dT%H%M}.json", at) for at in times]


def report(world: World, at_ms: int) -> dict[str, Any]:
    """Features, prediction and missing values of the 24 hours before a time, against the reference."""
    learning = world.sim.learning
    last = int((at_ms - learning.first_ms) // BUCKET_MS)
    now = slice(max(0, last - DAY_MS // BUCKET_MS), last)
    columns = {feature: _distance(learning, place, now) for place, feature in enumerate(FEATURES)}
    columns["prediction"] = _wasserstein(learning.predicted[:REFERENCE], learning.predicted[now])
    drifted = sum(1 for _, score in columns.values() if score >= THRESHOLD)
    metrics = [
        _metric("DriftedColumnsCount", {"drift_share": 0.5}, {"count": float(drifted), "share": drifted / len(columns)})
    ]
    for column, (method, score) in columns.items():
        metrics.append(
            _metric("ValueDrift", {"column": column, "method": method, "threshold": THRESHOLD}, round(score, 6))
        )
    rows = learning.predicted[now].size
    metrics.append(_metric("RowCount", {}, float(rows)))
    for place, feature in enumerate(FEATURES):
        share = float(learning.missing[now, :][:, place].mean())
        metrics.append(
            _metric(
                "MissingValueCount",
                {"column": feature},
                {"count": float(round(share * rows)), "share": round(share, 6)},
            )
        )
    return {"metrics": metrics, "tests": []}


def _metric(name: str, config: dict[str, Any], value: Any) -> dict[str, Any]:
    shown = ",".join(f"{key}={config[key]}" for key in config)
    full = f"{name}({shown})"
    return {
        "id": hashlib.md5(full.encode(), usedforsecurity=False).hexdigest(),
        "metric_name": full,
        "config": {"type": V2 + name, **config},
        "value": value,
    }


def _distance(learning: Learning, place: int, now: slice) -> tuple[str, float]:
    values = learning.seen[..., place]
    if FEATURES[place] == "promo":
        return "Jensen-Shannon distance", _jensen_shannon(values[:REFERENCE] > 0, values[now] > 0)
    return _wasserstein(values[:REFERENCE], values[now])


def _wasserstein(reference: Array, current: Array) -> tuple[str, float]:
    """Wasserstein distance normed by the reference's deviation, by quantiles."""
    at = np.linspace(0.005, 0.995, 200)
    apart = np.abs(np.quantile(reference, at) - np.quantile(current, at)).mean()
    return "Wasserstein distance (normed)", float(apart / max(float(reference.std()), 1e-9))


def _jensen_shannon(reference: Any, current: Any) -> float:
    p = np.array([1 - reference.mean(), reference.mean()]) + 1e-12
    q = np.array([1 - current.mean(), current.mean()]) + 1e-12
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle)).sum() / 2 + (q * np.log2(q / middle)).sum() / 2
    return math.sqrt(max(float(divergence), 0.0))
