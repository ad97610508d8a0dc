"""Eight days and more of one small service's history up to the present, for promtool, with one incident at its end.

The checkout service's pod checkout-c answers slowly since twenty minutes. Samples reach ten minutes into the future, so
that they are present while a test runs; nothing may look ahead at them.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

STEP = 60
DAY = 86_400
EXPRESSION = 'max by (service) (checkout_latency_seconds{service="checkout"}) > 1'
RULES = f"""
groups:
- name: checkout
  rules:
  - alert: CheckoutSlow
    expr: {EXPRESSION}
    for: 5m
    labels: {{severity: critical}}
    annotations: {{summary: slow, runbook_url: "https://runbooks.example/latency-high"}}
"""
SERVICE = {"service": "checkout", "namespace": "shop"}  # the cluster is an external label: only alerts carry it
PODS = {"checkout-a": "node-1", "checkout-b": "node-1", "checkout-c": "node-2"}
SLOW, YESTERDAY, LAST_WEEK = 1.9, 0.4, 0.3
LENGTHS = (600, 1200, 1800)  # how long it fired before: the median is 20 minutes


@dataclass(frozen=True, slots=True)
class History:
    now: int  # unix seconds on a whole step

    @property
    def breach(self) -> int:
        return self.now - 20 * 60

    @property
    def fired(self) -> int:
        return self.breach + 300

    @property
    def deployed(self) -> int:
        return self.now - 40 * 60

    @property
    def restarted(self) -> int:
        return self.now - 25 * 60

    def ticks(self, start: int | None = None, end: int | None = None) -> range:
        first = self.now - 8 * DAY - 3 * 3600 if start is None else start
        return range(first, (self.now + 600 if end is None else end) + 1, STEP)

    def latency(self, pod: str, at: int) -> float:
        """A level of its own on each of the days a person compares with, so that no two can be mixed up."""
        if at >= self.breach and pod == "checkout-c":
            return SLOW
        days = round((self.now - at) / DAY)
        level = {0: 0.2, 1: YESTERDAY, 7: LAST_WEEK}.get(days, 0.25)
        return level if pod == "checkout-c" else level / 2

    def families(self) -> Iterator[tuple[str, list[tuple[Mapping[str, str], int, float]]]]:
        yield "up", [({**SERVICE, "job": "checkout", "instance": p}, t, 1) for p in PODS for t in self.ticks()]
        yield (
            "checkout_latency_seconds",
            [({**SERVICE, "pod": p, "node": n}, t, self.latency(p, t)) for p, n in PODS.items() for t in self.ticks()],
        )
        day = self.ticks(self.now - DAY - 3600)
        yield (
            "process_start_time_seconds",
            [
                (
                    {**SERVICE, "pod": p},
                    t,
                    self.restarted if p == "checkout-a" and t >= self.restarted else self.now - 9 * DAY,
                )
                for p in PODS
                for t in day
            ],
        )
        yield (
            "checkout_build_info",
            [
                ({**SERVICE, "version": version}, t, 1)
                for version, times in (
                    ("1.4.2", self.ticks(day[0], self.deployed)),
                    ("1.4.3", self.ticks(self.deployed + STEP)),
                )
                for t in times
            ],
        )
        yield "ALERTS", self.alerts(state=True)
        yield "ALERTS_FOR_STATE", self.alerts(state=False)

    def alerts(self, state: bool) -> list[tuple[Mapping[str, str], int, float]]:
        """CheckoutSlow on three earlier days and now; PaymentsErrors beside it; NodeDiskFilling since six hours."""
        mine = {"alertname": "CheckoutSlow", "service": "checkout", "severity": "critical"}
        spans = [(mine, self.now - days * DAY, length) for days, length in zip((6, 4, 2), LENGTHS, strict=True)]
        spans += [
            (mine, self.fired, self.now + 600 - self.fired),
            ({"alertname": "PaymentsErrors", "service": "payments"}, self.fired + 180, self.now + 420 - self.fired),
            ({"alertname": "NodeDiskFilling", "node": "node-9"}, self.now - 6 * 3600, 6 * 3600 + 600),
        ]
        firing = {"alertstate": "firing"} if state else {}
        return [
            ({**labels, **firing}, t, 1.0 if state else float(start - 300))
            for labels, start, length in spans
            for t in self.ticks(start, start + length)
        ]

    def openmetrics(self) -> str:
        lines = []
        for name, rows in self.families():
            lines.append(f"# TYPE {name} gauge")
            for labels, at, value in sorted(rows, key=lambda row: (sorted(row[0].items()), row[1])):
                assert math.isfinite(value)
                shown = ",".join(f'{k}="{v}"' for k, v in labels.items())
                lines.append(f"{name}{{{shown}}} {value} {at}")
        return "\n".join([*lines, "# EOF", ""])

    def fill(self, promtool: str, folder: Path, own_address: str) -> None:
        """prometheus.yml, rules.yml and data in `folder`. It scrapes itself once an hour, so that it has a target."""
        (folder / "history.om").write_text(self.openmetrics())
        (folder / "rules.yml").write_text(RULES)
        (folder / "prometheus.yml").write_text(
            "rule_files: [rules.yml]\nglobal: {evaluation_interval: 1h, scrape_interval: 1h, external_labels: {cluster: eu-1}}\n"
            f"scrape_configs: [{{job_name: checkout, static_configs: [{{targets: ['{own_address}']}}]}}]\n"
        )
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=240h"]
        subprocess.run(
            [*command, str(folder / "history.om"), str(folder / "data")], check=True, capture_output=True, timeout=120
        )
