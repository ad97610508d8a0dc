"""Mutants around the gate: what is proposed and sealed, what voids it, what a run rests on and goes on with."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

ALERT = "agent/domain/alert.py"
APPROVAL = "agent/gate/approval.py"
LEDGER = "agent/gate/executor.py"
PREPARATION = "agent/gate/prepare.py"
PROVENANCE = "agent/gate/provenance.py"
WITNESS = "agent/gate/proposal_history.py"
ACT = "agent/graph/steps/act.py"
CONCLUDE = "agent/graph/steps/conclude.py"
VERIFY = "agent/graph/steps/verify.py"
JUDGE = "agent/graph/steps/propose.py"
DATABASE = "agent/store/database.py"
THINK = "agent/graph/steps/think.py"
WORKER = "agent/graph/worker.py"
APPROVAL_TESTS = "tests/gate/test_approval.py::"
CANARIES_TESTS = "tests/gate/test_canaries.py::"
LEDGER_TESTS = "tests/gate/test_executor.py::"
PROVENANCE_TESTS = "tests/gate/test_provenance.py::"
SETTLED_INCIDENT_TESTS = "tests/gate/test_settled_incident.py::"
STRICTER_TESTS = "tests/gate/test_stricter.py::"
WHOSE_WORD_TESTS = "tests/gate/test_whose_word.py::"
WITNESS_TESTS = "tests/gate/test_proposal_history.py::"
CONTRACT_TESTS = "tests/store/test_contract.py::"
DECISIONS_TESTS = "tests/surfaces/slack/test_decisions.py::"
TALKING_TESTS = "tests/surfaces/slack/test_messages.py::"
GRAPH_TESTS = "tests/graph/test_graph.py::"
WORKER_TESTS = "tests/graph/test_worker.py::"

MUTANTS = (
    Mutant(
        "a withdrawn proposal is revived in its row",
        "I4",
        WITNESS,
        "IntentDeclared | OutcomeKnown | ProposalWithdrawn) for event",
        "IntentDeclared | OutcomeKnown) for event",
        WITNESS_TESTS + "test_a_withdrawn_proposal_revived_in_its_row_does_not_start",
    ),
    Mutant(
        "a parent's outcome is forged to DONE",
        "I2",
        WITNESS,
        "if not genuine(tx.audit_key, end) or not tells(end, OutcomeKnown):",
        "if not tells(end, OutcomeKnown):",
        WITNESS_TESTS + "test_an_undo_whose_parents_outcome_was_written_by_somebody_does_not_start",
    ),
    Mutant(
        "a rule that denies the undo is overruled",
        "I4",
        LEDGER,
        'ruling.verdict is Verdict.DENY and ruling.rule == "":',
        "ruling.verdict is Verdict.DENY:",
        STRICTER_TESTS + "test_a_covered_undo_is_held_up_by_a_rule_that_says_so_and_by_no_rule_that_does_not_name_it",
    ),
    Mutant(
        "alerts that cleared void nothing",
        "I4",
        WORKER,
        "    if incident_view.alerts and cleared(incident_view.alerts):\n        return Why.CLEARED\n",
        "",
        GRAPH_TESTS + "test_alerts_that_cleared_void_the_proposal_that_waits",
    ),
    Mutant(
        "an undo runs after a person took over",
        "I4",
        VERIFY,
        "left = bool(halted(incident_view)) or verdict.helped",
        "left = verdict.helped",
        GRAPH_TESTS + "test_nothing_is_undone_once_a_person_took_over",
    ),
    Mutant(
        "what policy allowed is edited by anybody",
        "I2",
        APPROVAL,
        "if answer in (Answer.DENY, Answer.REVOKE) and proposal.state is ProposalState.ALLOWED:",
        "if answer is not Answer.APPROVE and proposal.state is ProposalState.ALLOWED:",
        APPROVAL_TESTS + "test_what_policy_allowed_is_edited_only_by_who_has_a_say",
    ),
    Mutant(
        "a secret is sealed in a proposal",
        "I14",
        JUDGE,
        "        self._check_secrets(prepared)\n        return await self._submit",
        "        return await self._submit",
        CANARIES_TESTS + "test_a_move_whose_target_shows_a_secret_is_not_sealed",
    ),
    Mutant(
        "a secret is sealed in an edit",
        "I14",
        JUDGE,
        "        self._check_secrets(prepared)\n        made = await approval.edit",
        "        made = await approval.edit",
        CANARIES_TESTS + "test_a_proposal_that_holds_a_secret_is_not_made",
    ),
    Mutant(
        "a worse undo is covered",
        "I2",
        PREPARATION,
        "return _HARM.index(undo.risk) <= _HARM.index(kind.risk) and undo.risk is not Risk.DESTRUCTIVE",
        "return undo.risk is not Risk.DESTRUCTIVE",
        STRICTER_TESTS + "test_an_approval_covers_no_undo_that_does_more_harm_or_destroys",
    ),
    Mutant(
        "a destructive undo is covered",
        "I2",
        PREPARATION,
        "return _HARM.index(undo.risk) <= _HARM.index(kind.risk) and undo.risk is not Risk.DESTRUCTIVE",
        "return _HARM.index(undo.risk) <= _HARM.index(kind.risk)",
        STRICTER_TESTS + "test_an_approval_covers_no_undo_that_does_more_harm_or_destroys",
    ),
    Mutant(
        "a data folder that existed stays open to others",
        "I14",
        DATABASE,
        "        place.chmod(0o700)\n",
        "",
        CONTRACT_TESTS + "test_a_data_folder_that_existed_becomes_its_owners_alone",
    ),
    Mutant(
        "an undo-only action is proposed",
        "I12",
        PREPARATION,
        "if kind.undo_only and parent is None:",
        "if kind.undo_only and parent == '':",
        LEDGER_TESTS + "test_what_cannot_be_proposed_is_said_why",
    ),
    Mutant(
        "what alters nothing is proposed",
        "I5",
        PREPARATION,
        "if all(name in before.fields and",
        "if not before.fields and all(name in before.fields and",
        LEDGER_TESTS + "test_what_cannot_be_proposed_is_said_why",
    ),
    Mutant(
        "a name out of logs counts as the platform's",
        "I13",
        "tools/logs/search.py",
        '@read(needs="loki")\nasync def search_logs',
        '@read(needs="loki", vouches=True)\nasync def search_logs',
        WHOSE_WORD_TESTS + "test_a_name_is_as_good_as_whoever_wrote_it_down",
    ),
    Mutant(
        "an unknown person's words are trusted",
        "I13",
        JUDGE,
        "e for e in incident_view.events if self.run_context.catalog().person(e.actor).name",
        "e for e in incident_view.events",
        WHOSE_WORD_TESTS + "test_a_name_is_as_good_as_whoever_wrote_it_down",
    ),
    Mutant(
        "a placeholder in a runbook vouches for what fills it",
        "I13",
        PROVENANCE,
        'return frozenset(value for value in values if "{{" not in value and "{%" not in value)',
        "return frozenset(values)",
        PROVENANCE_TESTS + "test_a_block_vouches_for_what_it_spells_out_and_not_for_what_is_filled_in",
    ),
    Mutant(
        "a runbook of another incident vouches",
        "I13",
        JUDGE,
        "book = library.book(source) if source in found else None",
        "book = library.book(source)",
        WHOSE_WORD_TESTS + "test_a_name_is_as_good_as_whoever_wrote_it_down",
    ),
    Mutant(
        "labels of telemetry vouch for a name",
        "I13",
        PROVENANCE,
        "if one.read in reads and one.outcome is ReadOutcome.OK:",
        "if one.outcome is ReadOutcome.OK:",
        PROVENANCE_TESTS + "test_the_platform_vouches_for_its_own_objects_and_telemetry_for_none",
    ),
    Mutant(
        "an edit keeps the trust of the name it replaced",
        "I13",
        JUDGE,
        "tuple(u for u in old.untrusted if arguments.get(u) == old.arguments.get(u))",
        "()",
        WHOSE_WORD_TESTS + "test_a_name_is_as_good_as_whoever_wrote_it_down",
    ),
    Mutant(
        "an unknown argument of an edit is dropped",
        "I1",
        JUDGE,
        "        if unknown:\n",
        "        if unknown and not changes:\n",
        DECISIONS_TESTS + "test_an_edit_of_an_argument_that_is_not_there_is_refused_by_name",
    ),
    Mutant(
        "what policy only suggests waits for approval",
        "I12",
        JUDGE,
        '    if ruled.verdict == "ask":\n',
        '    if ruled.verdict in ("ask", "suggest"):\n',
        GRAPH_TESTS + "test_where_policy_only_suggests_nothing_runs_and_the_command_is_shown",
    ),
    Mutant(
        "a person said stop and it starts",
        "I4",
        ACT,
        "if halted(incident_view) is not None and proposal not in incident_view.intents:",
        "if halted(incident_view) is None and proposal == '':",
        TALKING_TESTS + "test_what_was_proposed_while_somebody_said_pause_never_starts",
    ),
    Mutant(
        "UNKNOWN is thought on without a person",
        "I7",
        ACT,
        '        if outcome == "UNKNOWN":\n',
        '        if outcome == "UNKNOWN" and parent:\n',
        SETTLED_INCIDENT_TESTS + "test_a_persons_word_lets_the_incident_go_on",
    ),
    Mutant(
        "what was done is not verified",
        "I17",
        ACT,
        'if outcome == "DONE" or execution.why == OUTSIDE:',
        "if execution.why == OUTSIDE:",
        GRAPH_TESTS + "test_an_approved_proposal_is_executed_verified_and_written_down",
    ),
    Mutant(
        "a fix that did not help stays",
        "I17",
        VERIFY,
        "        if undo is None:\n",
        "        if undo is None or verdict.final:\n",
        GRAPH_TESTS + "test_a_fix_that_does_not_help_is_undone_as_it_was_approved",
    ),
    Mutant(
        "the budget of moves is not kept",
        "I11",
        THINK,
        "        if number > most:",
        "        if number > 1000 * most:",
        GRAPH_TESTS + "test_a_reasoner_that_never_ends_is_ended_by_its_budget",
    ),
    Mutant(
        "recovered is the reasoner's word",
        "I17",
        CONCLUDE,
        "recovered = verification is not None and verification.payload.recovered is True",
        "recovered = verification is not None or move.cause.fault not in ('none', 'unknown')",
        WORKER_TESTS + "test_recovered_is_the_word_of_what_was_seen",
    ),
    Mutant(
        "nothing seen yet is recovered",
        "I17",
        CONCLUDE,
        "verification.payload.recovered is True",
        "verification.payload.recovered is not False",
        WORKER_TESTS + "test_recovered_is_the_word_of_what_was_seen",
    ),
    Mutant(
        "a taken-over incident goes on by itself",
        "I4",
        THINK,
        "    if incident_view.taken_over:\n        cause",
        "    if incident_view.taken_over and not incident_view.findings:\n        cause",
        TALKING_TESTS + "test_handing_over_ends_it_with_what_is_known",
    ),
    Mutant(
        "a pause is only a word",
        "I4",
        THINK,
        "    if incident_view.paused:\n",
        "    if incident_view.paused and not incident_view.events:\n",
        TALKING_TESTS + "test_pause_holds_everything_until_somebody_says_go_on",
    ),
    Mutant(
        "steering voids nothing",
        "I4",
        WORKER,
        "    if steered_since_proposed(incident_view, proposal.id):\n        return Why.STEERED\n",
        "",
        GRAPH_TESTS + "test_steering_voids_the_proposal_that_waits",
    ),
    Mutant(
        "steering before the proposal voids it",
        "I11",
        WORKER,
        "seen = seen or (tells(event, ProposalSealed)",
        "seen = True or (tells(event, ProposalSealed)",
        WORKER_TESTS + "test_only_what_is_said_after_a_proposal_steers_away_from_it",
    ),
    Mutant(
        "an approval that is due is not expired",
        "I3",
        WORKER,
        "    if proposal.approve_by is not None and proposal.approve_by <= now:\n        return Why.EXPIRED\n",
        "",
        WORKER_TESTS + "test_what_becomes_of_an_approval_that_is_awaited",
    ),
    Mutant(
        "a cleared incident outruns its approval",
        "I4",
        WORKER,
        "if why is not None and why.voids:",
        "if why is not None and why.voids and why is not Why.CLEARED:",
        GRAPH_TESTS + "test_alerts_that_cleared_void_the_proposal_that_waits",
    ),
    Mutant(
        "one cleared alert clears them all",
        "I17",
        WORKER,
        "return all(alert.status is AlertStatus.RESOLVED for alert in standing(alerts))",
        "return any(alert.status is AlertStatus.RESOLVED for alert in standing(alerts))",
        WORKER_TESTS + "test_it_is_over_when_the_newest_signal_of_every_alert_says_so",
    ),
    Mutant(
        "an older signal outlives the newer one",
        "I10",
        ALERT,
        "_order(alert) >= _order(known)",
        "True",
        WORKER_TESTS + "test_it_is_over_when_the_newest_signal_of_every_alert_says_so",
    ),
    Mutant(
        "what somebody did by hand is done again",
        "I5",
        WORKER,
        "            why = await self._judge.outside(proposal, self._run_context.context(incident_view))",
        "            why = None",
        GRAPH_TESTS + "test_what_somebody_did_by_hand_voids_the_proposal_and_is_verified",
    ),
)
