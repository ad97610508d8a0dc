"""Every small mistake that somebody could make is noticed by a proof or a test. In CI a share of them, by turns."""

from __future__ import annotations

import ast

import pytest

from tests.proofs.mutants import TOP, Mutant, every
from tests.proofs.mutate import fates, listed
from tests.proofs.report import Report

MUTANTS = every()
SHARE = {True: 4, False: 8}  # in CI so many that are left to the proofs, and so many that name their tests: a minute
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LIST = TOP / "tests" / "proofs" / "MUTANTS.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_still_fits_the_source(mutant: Mutant) -> None:
    assert (TOP / mutant.file).read_text().count(mutant.old) == 1, (
        "its place in the source has changed: change it as well"
    )
    compile(mutant.source(), mutant.file, "exec")


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.tests], ids=lambda m: m.name)
def test_the_tests_that_a_mutant_names_are_there(mutant: Mutant) -> None:
    for test in mutant.tests.split():
        file, *within = test.partition("[")[0].split("::")
        tree = ast.parse((TOP / file).read_text())
        assert {node.name for node in ast.walk(tree) if isinstance(node, DEFINED)} >= set(within), test


def share(turn: int) -> list[Mutant]:
    """Those whose turn it is: with every commit others, spread over all areas."""
    chosen = []
    for proved, number in SHARE.items():
        mine = [mutant for mutant in MUTANTS if proved is not bool(mutant.tests)]
        chosen += [mine[(turn + n * len(mine) // number) % len(mine)] for n in range(min(number, len(mine)))]
    return chosen


def test_each_mutant_has_its_turn() -> None:
    seen = {mutant.name for turn in range(len(MUTANTS)) for mutant in share(turn)}
    assert seen == {mutant.name for mutant in MUTANTS}


def test_every_mutant_is_killed(report: Report) -> None:
    tried = MUTANTS if report.long else share(report.turn)
    found = fates(tried)
    report.add(mutants={"seeded": len(found), "killed": sum(bool(one.by) for one in found)})
    if report.long:
        LIST.write_text(listed(found))
    assert [str(one) for one in found if not one.by] == []
