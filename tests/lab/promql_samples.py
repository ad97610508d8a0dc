"""Samples made for comparing PromQL engines: counters with resets, gaps, NaN, infinities, odd labels, uneven histograms."""

from __future__ import annotations

import numpy as np

from agent.lab.ports import Series
from agent.lab.samples import Recorded

BEGIN_MS = 1_795_132_800_000  # 2026-11-20T00:00:00Z
HOURS = 5
END_MS = BEGIN_MS + HOURS * 3_600_000
BOUNDS = ("0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
METADATA = {
    "http_requests_total": ("counter", 'Requests, by "code".'),
    "latency_seconds": ("histogram", "How long\nrequests take."),
    "temperature": ("gauge", "A gauge with gaps."),
    "up": ("gauge", "Whether the scrape worked."),
}


def recorded() -> Recorded:
    rng = np.random.default_rng(7)
    series = [*requests(rng), *gauges(rng), *latencies(rng), *odd_ones(rng), *replaced_pods(rng), *targets(rng)]
    return Recorded(series, END_MS, METADATA)


def scrapes(
    rng: np.random.Generator, step_ms: int = 30_000, missing: float = 0.02, begin: int = 0, end: int = 10**9
) -> np.ndarray:
    """Scrape times with jitter of milliseconds and some scrapes missing; begin and end in steps."""
    steps = np.arange(HOURS * 3_600_000 // step_ms)
    steps = steps[(steps >= begin) & (steps < end) & (rng.random(steps.size) > missing)]
    return BEGIN_MS + steps * step_ms + rng.integers(0, 40, steps.size)


def counted(rng: np.random.Generator, size: int, rate: float, resets: int) -> np.ndarray:
    growth = rng.poisson(rate, size).astype(float)
    for at in rng.integers(1, size, resets):
        growth[at] = -growth[:at][growth[:at] > 0].sum()
    values, total = np.zeros(size), 0.0
    for index, step in enumerate(growth):
        total = max(total + step, 0.0) if step >= 0 else float(rng.integers(0, 3))
        values[index] = total
    return values


def requests(rng: np.random.Generator) -> list[Series]:
    made = []
    for pod in range(4):
        for code, rate in (("200", 40.0), ("404", 1.5), ("500", 0.2)):
            times = scrapes(rng, missing=0.05)
            labels = {
                "__name__": "http_requests_total",
                "pod": f"web-{pod}",
                "code": code,
                "job": "web",
                "cluster": "eu-1",
            }
            made.append(Series(labels, times, counted(rng, times.size, rate, resets=2 + pod)))
    return made


def gauges(rng: np.random.Generator) -> list[Series]:
    made = []
    for number, room in enumerate(("hall", "kitchen", "attic")):
        times = scrapes(rng, missing=0.1)
        values = 20 + np.cumsum(rng.normal(0, 0.3, times.size))
        values[rng.random(times.size) < 0.03] = np.nan
        gap = (times > BEGIN_MS + (70 + 20 * number) * 60_000) & (times < BEGIN_MS + (85 + 20 * number) * 60_000)
        times, values = times[~gap], values[~gap]
        made.append(Series({"__name__": "temperature", "room": room, "floor": str(number)}, times, values))
    times = scrapes(rng, missing=0.0)
    made.append(Series({"__name__": "temperature", "room": "void"}, times, np.full(times.size, np.nan)))
    made.append(Series({"__name__": "constant", "room": "hall"}, times, np.full(times.size, 42.5)))
    made.append(Series({"__name__": "clock_seconds", "room": "hall"}, times, times / 1000 - 3600))
    square = np.where(np.arange(times.size) % 20 < 10, 1.0, -1.0)
    made.append(Series({"__name__": "square_wave"}, times, square))
    return made


def latencies(rng: np.random.Generator) -> list[Series]:
    made = []
    for pod in range(3):
        times = scrapes(rng, missing=0.03)
        counts = np.cumsum(rng.poisson([3, 8, 20, 9, 3, 1, 0.3], (times.size, 7)).astype(float), axis=0).cumsum(axis=1)
        for bucket, bound in enumerate(BOUNDS):
            if pod == 2 and bound == "0.25":
                continue  # this pod was built with other buckets
            keep = np.ones(times.size, dtype=bool) if bound != "1" else rng.random(times.size) > 0.2
            labels = {"__name__": "latency_seconds_bucket", "le": bound, "pod": f"web-{pod}", "job": "web"}
            made.append(Series(labels, times[keep], counts[keep, bucket]))
        whole = {"pod": f"web-{pod}", "job": "web"}
        made.append(Series({"__name__": "latency_seconds_count", **whole}, times, counts[:, -1]))
        made.append(Series({"__name__": "latency_seconds_sum", **whole}, times, counts[:, -1] * 0.21))
    return made


def odd_ones(rng: np.random.Generator) -> list[Series]:
    times = scrapes(rng, missing=0.0)
    size = times.size
    endless = np.where(np.arange(size) % 50 == 0, np.inf, np.arange(size, dtype=float))
    labels = {"__name__": "weird", "path": 'C:\\dir "quoted"', "text": "two\nlines", "name": "äöü→"}
    return [
        Series(labels, times, rng.normal(0, 5, size)),
        Series({"__name__": "weird", "path": "plain"}, times, -rng.random(size) * 1e-7),
        Series({"__name__": "huge"}, times, rng.random(size) * 1e22),
        Series({"__name__": "endless"}, times, endless),
        *(Series({"__name__": "tied", "n": str(n)}, times, np.full(size, float(n // 3))) for n in range(9)),
        *(
            Series({"__name__": "no_infinity_bucket", "le": bound}, times, np.arange(size) * (n + 1.0))
            for n, bound in enumerate(("0.1", "1", "10"))
        ),
        *(
            Series({"__name__": "same_bound_bucket", "le": bound}, times, np.arange(size) * (n + 1.0))
            for n, bound in enumerate(("1", "1.0", "2", "+Inf", "x"))
        ),
        *(
            Series({"__name__": "negative_bucket", "le": bound}, times, np.arange(size) * (n + 1.0))
            for n, bound in enumerate(("-5", "0", "5", "+Inf"))
        ),
        *(
            Series({"__name__": "falling_bucket", "le": bound}, times, np.arange(size) * factor)
            for bound, factor in (("0.1", 2.0), ("1", 1.0), ("10", 4.0), ("+Inf", 3.0))
        ),
    ]


def replaced_pods(rng: np.random.Generator) -> list[Series]:
    """A deploy half-way: old pods end, new ones begin, both for a while."""
    made = []
    for pod, version, begin, end in (
        ("a", "1", 0, 300),
        ("b", "1", 0, 305),
        ("c", "2", 295, 900),
        ("d", "2", 320, 900),
    ):
        times = scrapes(rng, begin=begin, end=end)
        made.append(Series({"__name__": "app_build_info", "pod": pod, "version": version}, times, np.ones(times.size)))
        made.append(
            Series({"__name__": "memory_bytes", "pod": pod}, times, 1e8 + np.cumsum(rng.normal(1e4, 5e4, times.size)))
        )
        made.append(
            Series({"__name__": "memory_limit_bytes", "pod": pod, "unit": "byte"}, times, np.full(times.size, 5e8))
        )
    return made


def targets(rng: np.random.Generator) -> list[Series]:
    made = []
    for number in range(3):
        times = scrapes(rng, missing=0.0)
        values = (rng.random(times.size) > 0.1 * number).astype(float)
        made.append(Series({"__name__": "up", "job": "web", "instance": f"10.0.0.{number}:8080"}, times, values))
    return made
