"""Mutants around the gate: what is proposed and sealed, what voids it, what a run rests on and goes on with."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

APPROVAL = "agent/gate/approval.py"
LEDGER = "agent/gate/ledger.py"
PREPARATION = "agent/gate/preparation.py"
WITNESS = "agent/gate/witness.py"
GRAPH = "agent/graph.py"
JUDGE = "agent/judge.py"
DATABASE = "agent/store/database.py"
WORKER = "agent/worker.py"
APPROVAL_TESTS = "tests/gate/test_approval.py::"
CANARIES_TESTS = "tests/gate/test_canaries.py::"
STRICTER_TESTS = "tests/gate/test_stricter.py::"
WITNESS_TESTS = "tests/gate/test_witness.py::"
CONTRACT_TESTS = "tests/store/test_contract.py::"
GRAPH_TESTS = "tests/test_graph.py::"

MUTANTS = (
    Mutant("a withdrawn proposal is revived in its row", "I4", WITNESS, "return \"state\" in event.data  # withdrawn: expired, superseded, voided", "return False", WITNESS_TESTS + "test_a_withdrawn_proposal_revived_in_its_row_does_not_start"),
    Mutant("a parent's outcome is forged to DONE", "I2", WITNESS, "return told == wanted and genuine(tx.audit_key, end)", "return told == wanted", WITNESS_TESTS + "test_an_undo_whose_parents_outcome_was_written_by_somebody_does_not_start"),
    Mutant("a rule that denies the undo is overruled", "I4", LEDGER, "ruling.verdict is Verdict.DENY and ruling.rule == \"\":", "ruling.verdict is Verdict.DENY:", STRICTER_TESTS + "test_a_covered_undo_is_held_up_by_a_rule_that_says_so_and_by_no_rule_that_does_not_name_it"),
    Mutant("alerts that cleared void nothing", "I4", WORKER, "    if dossier.alerts and cleared(dossier.alerts):\n        return \"cleared\"\n", "", GRAPH_TESTS + "test_alerts_that_cleared_void_the_proposal_that_waits"),
    Mutant("an undo runs after a person took over", "I4", GRAPH, "left = bool(halted(dossier)) or verdict.helped", "left = verdict.helped", GRAPH_TESTS + "test_nothing_is_undone_once_a_person_took_over"),
    Mutant("what policy allowed is edited by anybody", "I2", APPROVAL, "if answer in (Answer.DENY, Answer.REVOKE) and proposal.state is ProposalState.ALLOWED:", "if answer is not Answer.APPROVE and proposal.state is ProposalState.ALLOWED:", APPROVAL_TESTS + "test_what_policy_allowed_is_edited_only_by_who_has_a_say"),
    Mutant("a secret is sealed in a proposal", "I14", JUDGE, "        self._check_secrets(prepared)\n        return await self._submit", "        return await self._submit", CANARIES_TESTS + "test_a_move_whose_target_shows_a_secret_is_not_sealed"),
    Mutant("a secret is sealed in an edit", "I14", JUDGE, "        self._check_secrets(prepared)\n        made = await approval.edit", "        made = await approval.edit", CANARIES_TESTS + "test_a_proposal_that_holds_a_secret_is_not_made"),
    Mutant("a worse undo is covered", "I2", PREPARATION, "return _HARM.index(undo.risk) <= _HARM.index(kind.risk) and undo.risk is not Risk.DESTRUCTIVE", "return undo.risk is not Risk.DESTRUCTIVE", STRICTER_TESTS + "test_an_approval_covers_no_undo_that_does_more_harm_or_destroys"),
    Mutant("a destructive undo is covered", "I2", PREPARATION, "return _HARM.index(undo.risk) <= _HARM.index(kind.risk) and undo.risk is not Risk.DESTRUCTIVE", "return _HARM.index(undo.risk) <= _HARM.index(kind.risk)", STRICTER_TESTS + "test_an_approval_covers_no_undo_that_does_more_harm_or_destroys"),
    Mutant("a data folder that existed stays open to others", "I14", DATABASE, "        place.chmod(0o700)\n", "", CONTRACT_TESTS + "test_a_data_folder_that_existed_becomes_its_owners_alone"),
)  # fmt: skip
