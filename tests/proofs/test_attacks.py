"""Each attack, played: nothing that people and policy did not want comes about, and the audit tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.attacks import ON_THE_MEMORY, Attack, named
from tests.proofs.attacks_on_doors import ON_THE_DOORS, serving


@pytest.mark.parametrize("attack", ON_THE_MEMORY, ids=named)
async def test_an_attack_on_the_memory_starts_nothing_and_the_audit_tells(attack: Attack, tmp_path: Path) -> None:
    came = await attack(tmp_path)
    assert came.effects == came.most, came
    assert came.told, came


def test_an_attack_on_the_doors_of_a_running_service_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        met = {named(attack): attack(service) for attack in ON_THE_DOORS}
    assert {name: one.said for name, one in met.items() if not one.right} == {}
