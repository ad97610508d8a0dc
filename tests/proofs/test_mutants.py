"""Every small mistake that somebody could make in the gate is noticed by a proof. In CI a share of them, in turn."""

from __future__ import annotations

import pytest

from tests.proofs.mutants import MUTANTS, TOP, Mutant
from tests.proofs.mutate import fates, listed
from tests.proofs.report import Report

SHARE = 19  # in CI one of so many
LIST = TOP / "tests" / "proofs" / "MUTANTS.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_still_fits_the_source(mutant: Mutant) -> None:
    assert (TOP / mutant.file).read_text().count(mutant.old) == 1, (
        "its place in the source has changed: change it as well"
    )
    compile(mutant.source(), mutant.file, "exec")


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


def test_every_mutant_is_killed(report: Report) -> None:
    tried = MUTANTS if report.long else MUTANTS[::SHARE]
    found = fates(tried)
    report.add(mutants={"seeded": len(found), "killed": sum(bool(one.by) for one in found)})
    if report.long:
        LIST.write_text(listed(found))
    assert [str(one) for one in found if not one.by] == []
