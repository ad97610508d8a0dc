"""Mutants of the gate's memory: anchors, what the claim holds its rows against, settling, audit_key_place."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

ANCHORS, TIMELINE, DATABASE = "agent/store/anchors.py", "agent/store/timeline.py", "agent/store/database.py"
EXECUTIONS, PROPOSALS, CUSTODY = "agent/store/executions.py", "agent/store/proposals.py", "agent/store/audit_key.py"
BOOK = "agent/store/anchor_file.py"
LEDGER, WITNESS, STOP, DOCKET = (
    "agent/gate/executor.py",
    "agent/gate/proposal_history.py",
    "agent/gate/kill_switch.py",
    "agent/gate/proposal_store.py",
)
RESTORE, MEMORY, AUDIT, BOOKS = (
    "agent/gate/restore.py",
    "agent/gate/startup_audit.py",
    "agent/gate/audit.py",
    "agent/gate/table_audit.py",
)
APPROVAL, WORKER = "agent/gate/approval.py", "agent/graph/worker.py"

MEM = "tests/gate/test_startup_audit.py::"
ATTACK = "tests/proofs/test_attacks.py::test_an_attack_on_the_memory_starts_nothing_and_the_audit_tells"
COLUMN = "tests/gate/test_columns.py::test_no_column_that_says_another_thing_starts_what_may_not_start"
KEPT = "tests/store/test_audit_key.py::"
POWER = "tests/proofs/test_power.py::test_what_people_are_told_and_what_is_sent_has_its_anchor_on_disk"

MUTANTS = (
    # -- behind the anchors
    Mutant("a database behind its anchors goes on", "I9", TIMELINE, "    if anchored is not None and anchored.n > found.n:", "    if anchored is not None and anchored.n > found.n + 1000:", tests=f"{ATTACK} {MEM}test_what_is_behind_its_anchor_is_named_when_it_is_opened_and_nothing_is_added_to_it"),
    Mutant("another event under the anchored number goes on", "I9", TIMELINE, "    if anchored is not None and anchored.n == found.n:\n        raise Unsettled(f\"Event {found.n} of {incident} is not the one that was anchored. {SEE_AUDIT}\")", "    if anchored is not None and anchored.n == found.n:\n        return found", tests=f"{MEM}test_an_event_that_was_written_anew_under_its_number_starts_nothing"),
    Mutant("what follows the last anchor is not verified", "I9", TIMELINE, "    if (place := broken_at(tx.audit_key, fresh, since.n, since.hash)) is not None:", "    if (place := None) is not None:", tests=f"{MEM}test_what_follows_the_last_anchor_and_is_not_ours_starts_nothing"),
    Mutant("what a crash left ahead is not anchored", "I9", TIMELINE, "    tx.behind[incident] = found  # written", "    tx.found[incident] = found  # written", tests=f"{MEM}test_a_database_ahead_of_its_anchor_is_verified_and_anchored"),
    Mutant("the claim does not look at the anchors", "I4", DOCKET, "        await timeline.tail(tx, incident)\n", "", tests=f"{MEM}test_what_is_behind_its_anchor_is_named_when_it_is_opened_and_nothing_is_added_to_it"),
    Mutant("a run begins on what is behind", "I9", WORKER, "            await timeline.tail(tx, incident)\n", "", tests="tests/test_restore.py::test_what_is_behind_its_anchors_is_not_run_and_a_person_is_called"),
    Mutant("an anchor's key is not looked at", "I9", ANCHORS, "if found is None or not hmac.compare_digest(_mac(self.key, found[1] + b\"}\"), found[2]):", "if found is None:", tests=f"{ATTACK} tests/gate/test_audit.py::test_a_line_of_the_anchors_that_is_not_ours_is_a_break_that_says_so"),
    Mutant("the newest line counts and not the greatest number", "I9", ANCHORS, "        if known is None or line.head.n > known.n:", "        if known is None or line.head.n != known.n:", tests=f"{MEM}test_an_old_line_that_is_written_once_more_takes_nothing_back"),
    Mutant("two hashes for one number are no matter", "I9", ANCHORS, "            self._twice.add(line.incident)", "            self._twice.discard(line.incident)", tests=f"{MEM}test_two_copies_that_both_worked_start_nothing_more"),
    Mutant("the audit passes over two hashes for one number", "I9", AUDIT, "        if len(told) > 1:\n", "        if len(told) > 2:\n", tests="tests/gate/test_audit.py::test_two_hashes_for_one_number_are_a_break"),
    Mutant("a line that a crash cut is a break for ever", "I11", ANCHORS, "            self.wrong.pop()", "            self.wrong.append(self.wrong[-1])", tests="tests/gate/test_audit.py::test_a_line_of_the_anchors_that_a_crash_cut_is_passed_over_and_the_next_one_says_so"),
    Mutant("a line is glued to what a crash cut", "I9", BOOK, "text = (b\"\\n\" if fragment else b\"\") + lines(fragment)", "text = lines(fragment)", tests="tests/gate/test_audit.py::test_a_line_of_the_anchors_that_a_crash_cut_is_passed_over_and_the_next_one_says_so"),
    Mutant("anchors that are gone are not missed", "I9", STOP, "    if last is not None and says_founded(last) and not tx.anchors.founded:", "    if last is None and not tx.anchors.founded:", tests=f"{ATTACK} {MEM}test_anchors_that_were_deleted_are_missed_and_settling_doubts_everything_that_might_start"),
    Mutant("lines that are not ours do not matter to the claim", "I9", STOP, "    if wrong := tx.anchors.wrong:", "    if wrong := tx.anchors.wrong[:0]:", tests=f"{MEM}test_lines_that_are_not_ours_are_passed_over_once_somebody_has_accepted_them"),
    # -- before it is told, and before it is sent
    Mutant("a decision is acknowledged before its anchor is on disk", "I9", APPROVAL, "    tx.sync = True  # whoever is told that it counts may rely on it\n", "", tests=POWER),
    Mutant("a stop is acknowledged before its anchor is on disk", "I15", STOP, "replace(told, founded=founded), actor, now, key)\n    tx.sync = True", "replace(told, founded=founded), actor, now, key)", tests=POWER),
    Mutant("an effect is sent before its intent's anchor is on disk", "I8", DATABASE, "sync=done.sync or bool(done.named or done.behind)", "sync=done.sync or bool(done.behind)", tests=POWER),
    Mutant("an anchored intent starts again", "I6", LEDGER, "    anchored = tx.anchors.start(proposal.id)\n", "    anchored = tx.anchors.start(\"\")\n", tests=f"{MEM}test_an_anchored_intent_never_starts_again_whatever_the_tables_say"),
    Mutant("an intent's anchor does not name its proposal", "I6", LEDGER, "hand.run, fresh=True, start=start)\n", "hand.run, fresh=True)\n", tests=f"{ATTACK} {MEM}test_a_proposal_of_which_only_the_anchors_know_is_told_of_and_its_name_is_not_taken_again"),
    # -- columns
    Mutant("the kill switch's row alone counts", "I15", STOP, "    if last is not None and says_stop(last):\n        return Stopped(last", "    if last is None and switch.at is None and switch.actor:\n        return Stopped(last", tests=f"{ATTACK} {COLUMN}"),
    Mutant("a budget counts rows alone", "I15", EXECUTIONS, "(rows | tx.anchors.starts_since(since)).values()", "rows.values()", tests=f"{ATTACK} {COLUMN}"),
    Mutant("decisions count as their rows say", "I3", LEDGER, "            decisions=said.decisions,", "            decisions=await decisions.of(tx, proposal.id),", tests=ATTACK),
    Mutant("an outcome that was cleared in its row is looked for anew", "I7", WITNESS, "    if execution.outcome is outcome:\n        return execution\n", "    if execution.outcome is not outcome:\n        return execution\n", tests=f"{MEM}test_a_row_that_was_cleared_of_its_outcome_tells_what_the_timeline_tells"),
    Mutant("an outcome that no event tells of is told", "I7", WITNESS, "        if execution.outcome is not None:\n            raise", "        if execution.outcome is None and execution.receipt:\n            raise", tests=f"{MEM}test_an_outcome_that_no_timeline_tells_of_is_not_told"),
    Mutant("what stands under a key is not looked at", "I4", TIMELINE, "    if known.kind is not kind or not genuine(tx.audit_key, known):", "    if not genuine(tx.audit_key, known):", tests=ATTACK),
    Mutant("the audit does not hold a proposal's state against its timeline", "I9", BOOKS, "    if row[\"state\"] not in told:", "    if not told:", tests=COLUMN),
    Mutant("the audit does not hold an incident's state against its timeline", "I9", BOOKS, "    if rows[0][\"state\"] != told:", "    if not told:", tests="tests/gate/test_table_audit.py::test_the_state_of_an_incident_and_the_kill_switch_are_held_against_their_timelines"),
    Mutant("the audit does not look at keys", "I9", BOOKS, "        if key != due if due else key.startswith(_RESERVED):", "        if not due and key.startswith(\"?\"):", tests=f"{ATTACK} {COLUMN}"),
    # -- settling
    Mutant("a number recurs after a restore", "I9", TIMELINE, "Entry(incident, told, actor, at), told.gap.until + 1", "Entry(incident, told, actor, at), 0", tests=f"{MEM}test_a_restore_that_a_person_accepts_goes_on_behind_everything_that_was_anchored"),
    Mutant("anybody may settle", "I12", RESTORE, "    if person.name is None:", "    if person.principal == \"\":", tests=f"{MEM}test_settling_is_a_persons_word_with_a_reason_and_only_where_there_is_something_to_settle"),
    Mutant("what was approved before a restore starts", "I6", RESTORE, "    if start is None and proposal.state not in READY:", "    if start is None:", tests=f"{MEM}test_what_was_approved_and_not_started_is_asked_about_as_well"),
    Mutant("what the anchors know to have started is not asked about", "I7", RESTORE, "    if proposal.state is ProposalState.OPEN and start is None:", "    if proposal.state is ProposalState.OPEN:", tests=f"{MEM}test_what_was_open_in_the_backup_and_has_run_since_is_unknown"),
    Mutant("what was changed can be settled", "I9", RESTORE, "    if (place := broken_at(tx.audit_key, events)) is not None:", "    if (place := None) is not None:", tests=f"{MEM}test_what_was_changed_cannot_be_settled"),
    Mutant("a lost stop stays lost", "I15", RESTORE, "        if witness_lost or kill_switch.RECORD in gaps:", "        if witness_lost:", tests=f"{MEM}test_a_stop_that_a_restore_has_lost_is_pressed_again_by_settling"),
    Mutant("a lost proposal's name is taken again", "I6", PROPOSALS, "begun = [start.proposal.removeprefix(f\"{incident}-p\") for start in tx.anchors.starts_of(incident).values()]", "begun = [\"0\" for start in tx.anchors.starts_of(incident).values()]", tests=f"{MEM}test_a_proposal_of_which_only_the_anchors_know_is_told_of_and_its_name_is_not_taken_again"),
    Mutant("a run goes on before people have answered", "I11", WORKER, "            if await self._asks_after_restore(incident):", "            if False:", tests="tests/test_restore.py::test_a_restored_incident_asks_a_person_and_goes_on_when_it_is_answered"),
    Mutant("accepting rubbish once accepts all that comes", "I9", ANCHORS, "        if (said[\"bytes\"], said[\"sha256\"]) != (self.offset, self._digest.hexdigest()):", "        if said[\"bytes\"] > self.offset:", tests=f"{MEM}test_what_was_accepted_counts_for_the_lines_as_they_stood"),
    # -- folders of before, and audit_key_place
    Mutant("what was approved under the rules of before starts", "I12", MEMORY, "        await proposal_store.ask_anew(tx, proposal, ASKED_ANEW, now)\n", "        assert proposal.intact\n", tests=f"{KEPT}test_a_folder_of_before_opens_verifies_and_starts_nothing_that_was_approved_then"),
    Mutant("a folder is adopted again and again", "I9", MEMORY, "    if not db.anchors.founded:\n        db.anchors.accept(\"adopted\")", "    db.anchors.accept(\"adopted\")", tests=f"{KEPT}test_an_unkeyed_line_is_not_adopted_where_keyed_ones_began"),
    Mutant("unkeyed lines of before do not count", "I9", ANCHORS, "        if said[\"how\"] == \"adopted\":", "        if said[\"how\"] == \"never\":", tests=f"{KEPT}test_a_cut_folder_of_before_is_not_healed_by_adopting_it"),
    Mutant("a key that anybody may read is taken", "I12", CUSTODY, "    if mode & (stat.S_IRWXO | stat.S_IWGRP):", "    if mode & stat.S_IWGRP:", tests=f"{KEPT}test_a_key_that_others_may_read_or_that_is_none_is_refused"),
    Mutant("a second key is no matter", "I9", CUSTODY, "        if own.exists() and own.read_bytes() != key:", "        if own.exists() and not key:", tests=f"{KEPT}test_a_second_key_in_the_folder_is_refused_with_what_to_do"),
    Mutant("anchors elsewhere are written and never read", "I9", ANCHORS, "self._readings[place] = self._reading(path, self._take)", "self._readings[place] = self._reading(self.paths[0], self._take)", tests=f"{KEPT}test_anchors_elsewhere_are_missed_when_the_folders_own_are_cut_with_the_database"),
    Mutant("the audit key is shown", "I14", "agent/settings.py", "    if isinstance(value, SecretStr):\n        yield", "    if isinstance(value, SecretStr) and len(value) != 64:\n        yield", tests=f"{KEPT}test_settings_name_the_places"),
)  # fmt: skip
