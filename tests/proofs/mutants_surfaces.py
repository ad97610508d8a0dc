"""Mutants of the doors: what comes in by the webhook, what is shown and pressed in Slack, what a person says."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

REDACT = "agent/case/redact.py"
ALERTMANAGER = "agent/intake/alertmanager.py"
EVENTS = "agent/intake/events.py"
GRAFANA = "agent/intake/grafana.py"
DECISIONS = "agent/surfaces/slack/decisions.py"
GROUPS = "agent/surfaces/slack/groups.py"
INBOUND = "agent/surfaces/slack/inbound.py"
PAYLOADS = "agent/surfaces/slack/payloads.py"
SIGNATURE = "agent/surfaces/slack/signature.py"
BODIES = "agent/surfaces/webhook/bodies.py"
DOOR = "agent/surfaces/webhook/door.py"
PROBLEMS = "agent/surfaces/webhook/problems.py"
CANARIES_TESTS = "tests/gate/test_canaries.py::"
ALERTMANAGER_TESTS = "tests/intake/test_alertmanager.py::"
DECISIONS_TESTS = "tests/surfaces/slack/test_decisions.py::"
DOOR_TESTS = "tests/surfaces/slack/test_door.py::"
GROUPS_TESTS = "tests/surfaces/slack/test_groups.py::"
WEBHOOK_DOOR_TESTS = "tests/surfaces/webhook/test_door.py::"
SIGNED_TESTS = "tests/surfaces/webhook/test_signed.py::"

MUTANTS = (
    Mutant("a user group that was lost keeps its members", "I2", GROUPS, "        self._read.pop(name, None)\n", "", GROUPS_TESTS + "test_a_group_that_can_no_longer_be_read_has_nobody_in_it"),
    Mutant("a user group that is stale keeps its members", "I2", GROUPS, "return found.members if found and self.tick() - found.at <= KEPT_S else frozenset()", "return found.members if found else frozenset()", GROUPS_TESTS + "test_what_was_read_long_ago_is_not_trusted"),
    Mutant("a configured secret in base64 is shown", "I14", REDACT, "    yield from _alphabets(alone)\n", "", CANARIES_TESTS + "test_a_secret_is_found_in_base64_of_either_alphabet"),
    Mutant("a form to deny opens for what no longer waits", "I4", DECISIONS, "        current(proposal, ticket)\n        kind = self.app.tools.action(proposal.action)\n        view =", "        kind = self.app.tools.action(proposal.action)\n        view =", DECISIONS_TESTS + "test_a_form_opens_only_for_what_waits"),
    Mutant("a stale form to deny denies what waits now", "I1", DECISIONS, "self.app.desk.decide(ticket.p, ticket.d, person, \"deny\", reason)", "self.app.desk.decide(ticket.p, (await self._proposal(ticket)).digest, person, \"deny\", reason)", DECISIONS_TESTS + "test_a_form_decides_on_nothing_but_what_its_card_showed"),
    Mutant("a stale form to edit edits what waits now", "I1", DECISIONS, "        current(proposal, ticket)\n        kind = self.app.tools.action(proposal.action)\n        entered =", "        kind = self.app.tools.action(proposal.action)\n        entered =", DECISIONS_TESTS + "test_a_form_decides_on_nothing_but_what_its_card_showed"),
    Mutant("a full service says 429", "I10", PROBLEMS, "503", "429", WEBHOOK_DOOR_TESTS + "test_a_delivery_tried_again_after_503_is_kept_once_and_its_stale_firing_absorbed"),
    Mutant("what was not kept is acknowledged", "I10", DOOR, "        except TimeoutError:  # it may be written yet; sent again it is a duplicate then\n            raise later(", "        except TimeoutError:  # it may be written yet; sent again it is a duplicate then\n            return ()\n            raise later(", WEBHOOK_DOOR_TESTS + "test_what_is_not_written_in_time_is_not_acknowledged"),
    Mutant("Grafana's old signatures are taken again", "I12", GRAFANA, "abs(now - int(sent)) > AGE_S", "now - int(sent) > 1000 * AGE_S", SIGNED_TESTS + "test_grafanas_old_or_malformed_times_are_no_signature"),
    Mutant("Grafana's signature does not cover the time", "I12", GRAFANA, "signed = body if sent is None else sent.encode() + b\":\" + body", "signed = body", SIGNED_TESTS + "test_grafana_signs_the_body_or_the_time_and_the_body"),
    Mutant("an event's old signature is taken again", "I12", EVENTS, "abs(now - int(sent)) > AGE_S", "int(sent) > now + AGE_S", SIGNED_TESTS + "test_a_signed_event_needs_no_token_and_holds_five_minutes"),
    Mutant("an event's signature does not cover its id", "I12", EVENTS, "signed = name.encode(\"latin-1\", \"replace\") + b\".\" + sent.encode() + b\".\" + body", "signed = name.encode(\"latin-1\", \"replace\")[:0] + b\".\" + sent.encode() + b\".\" + body", SIGNED_TESTS + "test_a_signed_event_needs_no_token_and_holds_five_minutes"),
    Mutant("the group's status is taken for the alert's", "I10", ALERTMANAGER, "status = _status(one, ends, now)", "status = AlertStatus.RESOLVED if notification.status == 'resolved' else _status(one, ends, now)", ALERTMANAGER_TESTS + "test_an_alert_stands_as_it_says_itself"),
    Mutant("what cannot be read is not kept for a person", "I10", DOOR, "        writes += [self._app.inbox.quarantine(source, body, \" \".join(odd)[:2_000])] if odd else []\n", "", SIGNED_TESTS + "test_an_event_whose_alert_cannot_be_read_is_a_change_and_kept_for_a_person"),
    Mutant("a body without an end is read whole", "I11", BODIES, "            if size > limit:", "            if size > 100 * limit:", WEBHOOK_DOOR_TESTS + "test_a_body_is_measured_before_it_is_read_and_while_it_comes"),
    Mutant("Slack's signature is not limited to the body", "I12", SIGNATURE, "b\":\" + body, hashlib", "b\":\" + body[:64], hashlib", DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says"),
    Mutant("an old request of Slack's is taken again", "I12", SIGNATURE, "    if abs(now - int(stamps[0])) > AGE_S:\n        return False\n", "", DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says"),
    Mutant("a request from the future is taken", "I12", SIGNATURE, "abs(now - int(stamps[0])) > AGE_S", "now - int(stamps[0]) > AGE_S", DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says"),
    Mutant("without a secret everything is genuine", "I12", SIGNATURE, "if not secret or len(stamps)", "if len(stamps)", DOOR_TESTS + "test_a_signature_holds_for_five_minutes_either_way_and_never_without_a_secret"),
    Mutant("another workspace is let in", "I2", PAYLOADS, "    if team and request.installed_in != team:\n", "    if team and request.installed_in != team and not request.actor[0]:\n", DOOR_TESTS + "test_a_click_from_another_workspace_is_refused"),
    Mutant("a guest of another workspace decides", "I2", PAYLOADS, "    if team and not isinstance(request, EventBody) and request.actor[0] != team:\n", "    if team and isinstance(request, Command) and request.actor[0] != team:\n", DOOR_TESTS + "test_a_click_from_another_workspace_is_refused"),
    Mutant("a person's workspace is that of the channel", "I2", PAYLOADS, "return self.user.team_id or self.installed_in, self.user.id", "return self.installed_in or self.user.team_id, self.user.id", DOOR_TESTS + "test_a_click_from_another_workspace_is_refused"),
    Mutant("a bot's click counts", "I2", INBOUND, "if request.by_bot or self._foreign(request)", "if self._foreign(request)", DECISIONS_TESTS + "test_a_bot_decides_nothing"),
    Mutant("a request that comes twice is worked twice", "I6", INBOUND, "return request.key is None or await self._postbox.first(request.key)", "return True", DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says"),
    Mutant("a button approves what is sealed now", "I1", DECISIONS, "self.app.desk.decide(ticket.p, ticket.d, person, \"approve\")", "self.app.desk.decide(ticket.p, (await self._proposal(ticket)).digest, person, \"approve\")", DECISIONS_TESTS + "test_a_button_with_another_digest_is_refused"),
)  # fmt: skip
