"""What is reported is what was counted."""

from __future__ import annotations

import json
from pathlib import Path

from tests.proofs.report import Report


def test_figures_are_added_up_for_each_database(tmp_path: Path) -> None:
    report = Report()
    report.add("sqlite", kills=3, violations=0)
    report.add("sqlite", kills=4)
    report.add("postgresql", kills=5)
    report.add(mutants={"seeded": 2, "killed": 1})
    report.add(mutants={"seeded": 1, "killed": 1})
    report.write(tmp_path / "proof.json")
    sqlite, postgresql = json.loads((tmp_path / "proof.json").read_text())
    assert (sqlite["database"], sqlite["kills"], postgresql["kills"]) == ("sqlite", 7, 5)
    assert sqlite["mutants"] == postgresql["mutants"] == {"seeded": 3, "killed": 2}
    assert list(sqlite) == [
        "commit", "database", "kills", "mutants", "examples", "injections", "unknown", "violations", "seconds",
    ]  # fmt: skip
    assert sqlite["injections"] == {"tried": 0, "unauthorised": 0, "clean_done": 0}
