"""The PetShop development set: 26 injected issues with their call graph, read where it lies."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.analysis.ranking import Signal

Table = dict[tuple[str, str, str], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Issue:
    name: str
    symptom: str
    metric: str
    cause: str
    table: Table


def table(path: Path) -> Table:
    """(node, metric, statistic) → values; an empty cell is NaN."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    body = [row for row in rows[3:] if row[0] not in ("unix_timestamp", "")]
    return {
        (rows[0][n], rows[1][n], rows[2][n]): np.array([float(row[n]) if row[n] else np.nan for row in body])
        for n in range(1, len(rows[0]))
    }


def graph(folder: Path) -> dict[str, list[str]]:
    with (folder / "graph.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    return {row[0]: [rows[0][n] for n in range(1, len(row)) if float(row[n] or 0) == 1] for row in rows[1:]}


def issues(folder: Path) -> Iterator[Issue]:
    for path in sorted([*folder.glob("train/issue_*"), *folder.glob("test/issue_*")]):
        target = json.loads((path / "target.json").read_text())
        yield Issue(
            f"{path.parent.name}/{path.name}",
            target["target"]["node"],
            target["target"]["metric"],
            target["root_cause"]["node"],
            table(path / "metrics.csv"),
        )


def signals(issue: Issue, normal: Table) -> list[Signal]:
    """The target's metric of every node: latency is bad upwards, availability (0 to 100) downwards."""
    wanted = {"latency": ("latency", "Average", 1, 0.0), "availability": ("availability", "Average", -1, 0.5)}
    metric, statistic, bad, floor = wanted[issue.metric]
    return [
        Signal(node, metric, now, normal[node, metric, statistic], bad, floor)
        for (node, m, s), now in issue.table.items()
        if (m, s) == (metric, statistic) and (node, metric, statistic) in normal
    ]
