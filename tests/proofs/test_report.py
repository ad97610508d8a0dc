"""What is reported is what was counted."""

from __future__ import annotations

import json
from pathlib import Path

from tests.proofs.promises import table
from tests.proofs.report import ALL, FILE, TOP, Report


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
        "commit",
        "database",
        "kills",
        "mutants",
        "examples",
        "injections",
        "unknown",
        "violations",
        "seconds",
    ]
    assert sqlite["injections"] == {"tried": 0, "unauthorised": 0, "clean_done": 0}


def test_only_all_proofs_together_are_a_whole_run() -> None:
    report = Report(long=True)
    for name in sorted(ALL):
        assert not report.whole
        report.add("sqlite" if name == "kills" else "", **{name: 1})
    assert report.whole


def test_processes_side_by_side_are_added_up() -> None:
    first, second = Report(), Report()
    first.add("sqlite", kills=3)
    first.add(fuzz={"inputs": 5})
    second.add(fuzz={"inputs": 7})
    for database, figures in first.figures.items():
        second.add(database, **figures)
    sqlite, postgresql = second.to_json()
    assert (sqlite["kills"], postgresql["kills"], sqlite["fuzz"]) == (3, 0, {"inputs": 12})


def test_the_readme_tells_the_figures_of_the_last_whole_run() -> None:
    """`python -m tests.proofs.promises` prints what belongs there."""
    assert table(json.loads(FILE.read_text())) in (TOP / "README.md").read_text()


def test_every_promise_names_proofs_that_exist() -> None:
    named = [part for line in table(json.loads(FILE.read_text())).splitlines() for part in line.split("`")[1::2]]
    paths = [word for command in named for word in command.split() if word.endswith(".py")]
    assert len(paths) > 12
    assert [path for path in paths if not (TOP / path).is_file()] == []
