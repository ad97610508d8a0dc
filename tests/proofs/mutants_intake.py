"""Mutants of intake: what is long and goes on by portions, and what must not be lost or doubled on the way."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

PORTIONS, RECEPTION, SITTING = (
    "tests/service/test_portions.py",
    "agent/service/grouping.py",
    "agent/service/intake_batch.py",
)
DOOR, WATCH, INBOX = "agent/surfaces/webhook/routes.py", "agent/service/dispatcher.py", "agent/service/inbox.py"
TIMELINE, MIGRATION = "agent/store/timeline.py", "agent/store/migrations/versions/0003_intake_by_portions.py"
DOOR_TESTS, MIGRATED = "tests/surfaces/webhook/test_routes.py", "tests/store/test_migrate_inbox.py"

MUTANTS = (
    Mutant("a long notification is kept in one transaction", "I10", INBOX, "ALERTS = ROWS * PORTION", "ALERTS = 1_000 * PORTION; ROWS = 1_000", f"{PORTIONS}::test_a_long_notification_is_kept_in_short_rows_and_short_transactions"),
    Mutant("a short notification waits behind the whole of a long one", "portions", INBOX, "some = enumerate(rows[len(got) : len(got) + ROWS], len(got))", "some = enumerate(rows[len(got) :], len(got))", f"{PORTIONS}::test_a_short_one_does_not_wait_behind_the_whole_of_a_long_one"),
    Mutant("only the first portion is kept before the answer", "I10", INBOX, "while len(got) < len(rows):", "while not got:", f"{PORTIONS}::test_a_long_notification_is_kept_in_short_rows_and_short_transactions {PORTIONS}::test_what_is_taken_in_by_portions_verifies_and_stands_on_timelines_once"),
    Mutant("portions come in the order of the body", "I10", INBOX, "alerts = sorted(alerts, key=attrgetter(\"starts_at\"))", "alerts = list(alerts)", f"{PORTIONS}::test_a_long_notification_is_kept_in_short_rows_and_short_transactions"),
    Mutant("all that waits is taken in at once", "portions", WATCH, "await inbox.fresh(tx, BATCH, PORTION)", "await inbox.fresh(tx, 10_000)", f"{PORTIONS}::test_each_transaction_takes_in_one_portion_and_a_decision_gets_in_between"),
    Mutant("a long body is read in one go", "portions", "agent/sources/portions.py", "            await asyncio.sleep(0)\n", "", f"{PORTIONS}::test_bodies_that_are_read_at_the_same_time_take_turns"),
    Mutant("of two incidents with one id the second is lost", "I10", SITTING, "there = digits == SHORT and name in self.taken", "there = False", f"{PORTIONS}::test_two_alerts_whose_incidents_would_have_one_id_get_an_incident_each"),
    Mutant("the id of an incident that was lost is used again", "I9", SITTING, "await incidents.taken(tx, names) | tx.anchors.known(names))", "await incidents.taken(tx, names))", "tests/test_restore.py::test_the_id_of_an_incident_that_a_restore_has_lost_is_not_used_again"),
    Mutant("an alert joins an incident that has ended", "correlation", RECEPTION, "if before is not None and (not before.state.ended or self._goes_on(before, batch.now)):", "if before is not None:", f"{PORTIONS}::test_what_others_opened_and_ended_since_the_last_look_is_known"),
    Mutant("what another process opened is not known", "correlation", RECEPTION, "for incident, alert in await alerts.since(tx, self._seen or 0):", "for incident, alert in ():", f"{PORTIONS}::test_what_others_opened_and_ended_since_the_last_look_is_known"),
    Mutant("events of one portion do not follow one another", "I9", TIMELINE, "tx.heads.get(one.incident) or tx.found[one.incident]", "tx.found[one.incident]", f"{PORTIONS}::test_what_is_taken_in_by_portions_verifies_and_stands_on_timelines_once"),
    Mutant("a timeline begins anew with each portion", "I9", TIMELINE, "tx.heads.get(one.incident) or tx.found[one.incident]", "tx.heads.get(one.incident) or Head(0, FIRST)", f"{PORTIONS}::test_what_is_taken_in_by_portions_verifies_and_stands_on_timelines_once {PORTIONS}::test_alerts_that_nobody_investigates_end_their_incidents_together"),
    Mutant("alerts that cleared end nothing", "I11", SITTING, " or alert.status is AlertStatus.RESOLVED:", ":", f"{PORTIONS}::test_alerts_that_nobody_investigates_end_their_incidents_together"),
    Mutant("an investigation that is due is taken for nothing to do", "I11", WATCH, "names = [one for one in names if one in known and known[one].depth is not Depth.INVESTIGATE]", "names = [one for one in names if one in known]", f"{PORTIONS}::test_an_incident_that_is_investigated_by_now_is_not_taken_for_a_shallow_one"),
    Mutant("what waited longer is overtaken after the migration", "I10", MIGRATION, "    for row in waiting[first:]:\n        for part in _parts(row):", "    for row in sorted(waiting[first:], key=lambda row: -row[\"id\"]):\n        for part in _parts(row):", f"{MIGRATED}::test_what_waits_keeps_its_order_and_a_long_entry_becomes_short_ones"),
    Mutant("the migration loses the end of a long entry", "I10", MIGRATION, "for n, start in enumerate(range(0, len(alerts), PORTION) or [0]):", "for n, start in enumerate([0, PORTION]):", f"{MIGRATED}::test_what_waits_keeps_its_order_and_a_long_entry_becomes_short_ones {MIGRATED}::test_the_service_goes_on_with_what_the_version_before_had_not_taken_in"),
    Mutant("what was refused is not looked for", "I10", DOOR, "        self._app.inbox.on_refusal()\n        return Refusal(413", "        return Refusal(413", f"{DOOR_TESTS}::test_more_alerts_than_may_be_in_one_notification_are_413_and_looked_for tests/servers/test_reconcile.py::test_what_was_refused_for_its_length_is_found_within_seconds"),
    Mutant("what Alertmanager left out is not looked for", "I10", DOOR, "            if source.reconciled and delivery.left_out:\n                self._app.inbox.on_refusal()\n", "", f"{DOOR_TESTS}::test_more_alerts_than_may_be_in_one_notification_are_413_and_looked_for"),
    Mutant("a refusal is looked for minutes later", "I10", WATCH, "(wanted, stopped), timeout", "(stopped,), timeout", "tests/servers/test_reconcile.py::test_what_was_refused_for_its_length_is_found_within_seconds"),
    Mutant("any number of alerts is taken", "413", "agent/sources/long_json.py", "if most is not None and len(listed) > most:", "if most is None and listed == most:", f"{DOOR_TESTS}::test_more_alerts_than_may_be_in_one_notification_are_413_and_looked_for"),
)  # fmt: skip
