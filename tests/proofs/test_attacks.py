"""Each attack, played: nothing that people and policy did not want comes about, and the audit tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.attacks import ON_THE_MEMORY, Attack, named


@pytest.mark.parametrize("attack", ON_THE_MEMORY, ids=named)
async def test_an_attack_on_the_memory_starts_nothing_and_the_audit_tells(attack: Attack, tmp_path: Path) -> None:
    came = await attack(tmp_path)
    assert came.effects == came.most, came
    assert came.told, came
