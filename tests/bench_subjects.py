"""How often the first subject of an alert is right: `python -m tests.bench_subjects [PATH]`.

PATH is a folder with alerts.jsonl (a line an alert with `labels`, `generatorURL` and its `subject`). Both halves are told,
the even lines (0, 2 …), on which the vocabulary was made, and the odd ones, which it had not seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agent.platform.rules import Rule
from agent.platform.subjects import subjects_of
from tools.alerts.expression import expression_in

PLACES = ("../shared/data/rules", "../../shared/data/rules")


def found(alert: dict[str, Any], labels_alone: bool) -> dict[str, str]:
    expression = "" if labels_alone else expression_in(alert.get("generatorURL", ""))
    subjects = subjects_of(alert["labels"], Rule(expression))
    first = subjects[0].to_json() if subjects else {}
    return {name: str(first.get(name, "")) for name in ("kind", "namespace", "name")}


def scores(file: Path) -> tuple[int, int]:
    """How many first subjects are right, of how many, with the rule at hand."""
    alerts = _alerts(file)
    return sum(found(alert, False) == alert["subject"] for _, alert in alerts), len(alerts)


def _alerts(file: Path) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(json.loads(line) for line in file.read_text().splitlines() if line.strip()))


def share(alerts: list[tuple[int, dict[str, Any]]], labels_alone: bool, tell: bool) -> str:
    wrong = [(n, a, got) for n, a in alerts if (got := found(a, labels_alone)) != a["subject"]]
    for number, alert, got in wrong if tell else ():
        sys.stdout.write(f"  line {number}: {alert['labels'].get('alertname')}: {got}, right is {alert['subject']}\n")
    return f"{len(alerts) - len(wrong)} of {len(alerts)}"


def main(path: str = "") -> int:
    folders = [Path(path)] if path else [Path(__file__).parent.parent / place for place in PLACES]
    file = next((folder / "alerts.jsonl" for folder in folders if (folder / "alerts.jsonl").exists()), None)
    if file is None:
        sys.stdout.write("alerts.jsonl is not on this machine; nothing was measured.\n")
        return 0
    alerts = _alerts(file)
    for half, name in enumerate(("even lines", "odd lines")):
        mine = [one for one in alerts if one[0] % 2 == half]
        sys.stdout.write(
            f"{name}: with the rule {share(mine, False, True)}, by labels alone {share(mine, True, False)}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
