"""Mutants of the doors: the webhook and Slack."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

GUARD = "agent/surfaces/webhook/guard.py"
DOOR_TESTS = "tests/surfaces/webhook/test_door.py::"

MUTANTS = (
    Mutant("only the first token opens", "I12", GUARD, "return sum([hmac.compare_digest(presented, known) for known in self._digests]) > 0", "return hmac.compare_digest(presented, self._digests[0])", f"{DOOR_TESTS}test_either_token_opens_as_bearer_and_as_password"),
)  # fmt: skip
