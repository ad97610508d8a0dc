"""The random walk in shares, each with a seed of its own: `python -m tests.proofs.walk EXAMPLES SEED` takes one.

The same seed walks the same way, so what a share has found it finds again; there it is made small.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.proofs.under_fire import GateUnderFire

TOP = Path(__file__).parents[2]
STEPS = 25


def chosen(examples: int, small: bool = True) -> settings:
    """The same examples every time. `small` makes what is found small: minutes, and only once something is found."""
    phases = (Phase.generate, Phase.shrink) if small else (Phase.generate,)
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )


def walk(examples: int, number: int, small: bool = True) -> None:
    """One share. Raises what the walk found."""
    share: type[RuleBasedStateMachine] = seed(number)(type("Share", (GateUnderFire,), {}))
    run_state_machine_as_test(share, settings=settings(chosen(examples, small), derandomize=False))


@dataclass(frozen=True, slots=True)
class Walked:
    seed: int
    examples: int
    found: str  # "" when the gate did as its model does


def in_shares(examples: int, seeds: Sequence[int], workers: int = 2) -> list[Walked]:
    """All shares, side by side in processes of their own."""

    def one(number: int) -> Walked:
        command = [sys.executable, "-m", "tests.proofs.walk", str(examples), str(number)]
        ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        found = "" if ended.returncode == 0 else ended.stdout + ended.stderr or f"it ended with {ended.returncode}"
        print(f"\nwalk {number}: {examples} examples, {'found something' if found else 'nothing found'}", flush=True)
        return Walked(number, examples, found)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, seeds))


if __name__ == "__main__":
    walk(int(sys.argv[1]), int(sys.argv[2]))
