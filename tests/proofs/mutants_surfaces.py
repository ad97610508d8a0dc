"""Mutants of the doors: what comes in by the webhook, what is shown and pressed in Slack, what a person says."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

REDACT = "agent/domain/redact.py"
DESK = "agent/api.py"
ALERTMANAGER = "agent/sources/alertmanager.py"
EVENTS = "agent/sources/events.py"
GRAFANA = "agent/sources/grafana.py"
APPROVAL = "agent/surfaces/slack/approval.py"
DECISIONS = "agent/surfaces/slack/decisions.py"
GROUPS = "agent/surfaces/slack/groups.py"
INBOUND = "agent/surfaces/slack/receiver.py"
MODALS = "agent/surfaces/slack/modals.py"
PAYLOADS = "agent/surfaces/slack/payloads.py"
SIGNATURE = "agent/surfaces/slack/signature.py"
TALKING = "agent/surfaces/slack/messages.py"
VOICE = "agent/surfaces/slack/replies.py"
WORDS = "agent/surfaces/slack/intents.py"
BODIES = "agent/surfaces/webhook/bodies.py"
DOOR = "agent/surfaces/webhook/routes.py"
PROBLEMS = "agent/surfaces/webhook/problems.py"
CANARIES_TESTS = "tests/gate/test_canaries.py::"
ALERTMANAGER_TESTS = "tests/sources/test_alertmanager.py::"
CARDS_TESTS = "tests/surfaces/slack/test_cards.py::"
DECISIONS_TESTS = "tests/surfaces/slack/test_decisions.py::"
DOOR_TESTS = "tests/surfaces/slack/test_receiver.py::"
GROUPS_TESTS = "tests/surfaces/slack/test_groups.py::"
MODALS_TESTS = "tests/surfaces/slack/test_modals.py::"
TALKING_TESTS = "tests/surfaces/slack/test_messages.py::"
VOICE_TESTS = "tests/surfaces/slack/test_replies.py::"
WEBHOOK_DOOR_TESTS = "tests/surfaces/webhook/test_routes.py::"
SIGNED_TESTS = "tests/surfaces/webhook/test_signed.py::"

MUTANTS = (
    Mutant(
        "a user group that was lost keeps its members",
        "I2",
        GROUPS,
        "        self._read.pop(name, None)\n",
        "",
        GROUPS_TESTS + "test_a_group_that_can_no_longer_be_read_has_nobody_in_it",
    ),
    Mutant(
        "a user group that is stale keeps its members",
        "I2",
        GROUPS,
        "return found.members if found and self.tick() - found.at <= KEPT_S else frozenset()",
        "return found.members if found else frozenset()",
        GROUPS_TESTS + "test_what_was_read_long_ago_is_not_trusted",
    ),
    Mutant(
        "a configured secret in base64 is shown",
        "I14",
        REDACT,
        "    yield from _alphabets(alone)\n",
        "",
        CANARIES_TESTS + "test_a_secret_is_found_in_base64_of_either_alphabet",
    ),
    Mutant(
        "a form to deny opens for what no longer waits",
        "I4",
        DECISIONS,
        "        current(proposal, ticket)\n        kind = self.app.tools.action(proposal.action)\n        view =",
        "        kind = self.app.tools.action(proposal.action)\n        view =",
        DECISIONS_TESTS + "test_a_form_opens_only_for_what_waits",
    ),
    Mutant(
        "a stale form to deny denies what waits now",
        "I1",
        DECISIONS,
        'self.app.api.decide(ticket.p, ticket.d, person, "deny", reason)',
        'self.app.api.decide(ticket.p, (await self._proposal(ticket)).digest, person, "deny", reason)',
        DECISIONS_TESTS + "test_a_form_decides_on_nothing_but_what_its_card_showed",
    ),
    Mutant(
        "a stale form to edit edits what waits now",
        "I1",
        DECISIONS,
        "        current(proposal, ticket)\n        kind = self.app.tools.action(proposal.action)\n        entered =",
        "        kind = self.app.tools.action(proposal.action)\n        entered =",
        DECISIONS_TESTS + "test_a_form_decides_on_nothing_but_what_its_card_showed",
    ),
    Mutant(
        "a full service says 429",
        "I10",
        PROBLEMS,
        "503",
        "429",
        WEBHOOK_DOOR_TESTS + "test_a_delivery_tried_again_after_503_is_kept_once_and_its_stale_firing_absorbed",
    ),
    Mutant(
        "what was not kept is acknowledged",
        "I10",
        DOOR,
        "        except TimeoutError:  # it may be written yet; sent again it is a duplicate then\n            raise later(",
        "        except TimeoutError:  # it may be written yet; sent again it is a duplicate then\n            return ()\n            raise later(",
        WEBHOOK_DOOR_TESTS + "test_what_is_not_written_in_time_is_not_acknowledged",
    ),
    Mutant(
        "Grafana's old signatures are taken again",
        "I12",
        GRAFANA,
        "abs(now - int(sent)) > AGE_S",
        "now - int(sent) > 1000 * AGE_S",
        SIGNED_TESTS + "test_grafanas_old_or_malformed_times_are_no_signature",
    ),
    Mutant(
        "Grafana's signature does not cover the time",
        "I12",
        GRAFANA,
        'signed = body if sent is None else sent.encode() + b":" + body',
        "signed = body",
        SIGNED_TESTS + "test_grafana_signs_the_body_or_the_time_and_the_body",
    ),
    Mutant(
        "an event's old signature is taken again",
        "I12",
        EVENTS,
        "abs(now - int(sent)) > AGE_S",
        "int(sent) > now + AGE_S",
        SIGNED_TESTS + "test_a_signed_event_needs_no_token_and_holds_five_minutes",
    ),
    Mutant(
        "an event's signature does not cover its id",
        "I12",
        EVENTS,
        'signed = name.encode("latin-1", "replace") + b"." + sent.encode() + b"." + body',
        'signed = name.encode("latin-1", "replace")[:0] + b"." + sent.encode() + b"." + body',
        SIGNED_TESTS + "test_a_signed_event_needs_no_token_and_holds_five_minutes",
    ),
    Mutant(
        "the group's status is taken for the alert's",
        "I10",
        ALERTMANAGER,
        "status = _status(one, ends, now)",
        "status = AlertStatus.RESOLVED if notification.status == 'resolved' else _status(one, ends, now)",
        ALERTMANAGER_TESTS + "test_an_alert_stands_as_it_says_itself",
    ),
    Mutant(
        "an end in the future is taken for resolved",
        "I10",
        ALERTMANAGER,
        "return AlertStatus.RESOLVED if ends <= now else AlertStatus.FIRING",
        "return AlertStatus.RESOLVED",
        ALERTMANAGER_TESTS + "test_an_alert_stands_as_it_says_itself",
    ),
    Mutant(
        "one unreadable alert drops its neighbours",
        "I10",
        ALERTMANAGER,
        '            unread.add(f"alerts.{place} cannot be read: {error}")',
        '            unread.add(f"alerts.{place} cannot be read: {error}")\n            break',
        ALERTMANAGER_TESTS + "test_an_alert_that_cannot_be_read_holds_up_none_before_or_after_it",
    ),
    Mutant(
        "what cannot be read is not kept for a person",
        "I10",
        DOOR,
        '        writes += [self._app.inbox.quarantine(source, body, " ".join(odd)[:2_000])] if odd else []\n',
        "",
        SIGNED_TESTS + "test_an_event_whose_alert_cannot_be_read_is_a_change_and_kept_for_a_person",
    ),
    Mutant(
        "a body without an end is read whole",
        "I11",
        BODIES,
        "            if size > limit:",
        "            if size > 100 * limit:",
        WEBHOOK_DOOR_TESTS + "test_a_body_is_measured_before_it_is_read_and_while_it_comes",
    ),
    Mutant(
        "Slack's signature is not limited to the body",
        "I12",
        SIGNATURE,
        'b":" + body, hashlib',
        'b":" + body[:64], hashlib',
        DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says",
    ),
    Mutant(
        "an old request of Slack's is taken again",
        "I12",
        SIGNATURE,
        "    if abs(now - int(stamps[0])) > AGE_S:\n        return False\n",
        "",
        DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says",
    ),
    Mutant(
        "a request from the future is taken",
        "I12",
        SIGNATURE,
        "abs(now - int(stamps[0])) > AGE_S",
        "now - int(stamps[0]) > AGE_S",
        DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says",
    ),
    Mutant(
        "two signatures: the last counts",
        "I12",
        SIGNATURE,
        "len(signatures) != 1",
        "len(signatures) < 1",
        DOOR_TESTS + "test_one_signature_and_one_time_or_none",
    ),
    Mutant(
        "without a secret everything is genuine",
        "I12",
        SIGNATURE,
        "if not secret or len(stamps)",
        "if len(stamps)",
        DOOR_TESTS + "test_a_signature_holds_for_five_minutes_either_way_and_never_without_a_secret",
    ),
    Mutant(
        "another workspace is let in",
        "I2",
        PAYLOADS,
        "    if team and request.installed_in != team:\n",
        "    if team and request.installed_in != team and not request.actor[0]:\n",
        DOOR_TESTS + "test_a_click_from_another_workspace_is_refused",
    ),
    Mutant(
        "a guest of another workspace decides",
        "I2",
        PAYLOADS,
        "    if team and not isinstance(request, EventBody) and request.actor[0] != team:\n",
        "    if team and isinstance(request, Command) and request.actor[0] != team:\n",
        DOOR_TESTS + "test_a_click_from_another_workspace_is_refused",
    ),
    Mutant(
        "a person's workspace is that of the channel",
        "I2",
        PAYLOADS,
        "return self.user.team_id or self.installed_in, self.user.id",
        "return self.installed_in or self.user.team_id, self.user.id",
        DOOR_TESTS + "test_a_click_from_another_workspace_is_refused",
    ),
    Mutant(
        "people are told apart by user alone",
        "I2",
        DECISIONS,
        'return f"slack:{actor[0]}/{actor[1]}"',
        'return f"slack:T1/{actor[1]}"',
        DOOR_TESTS + "test_without_a_team_in_the_settings_the_person_still_counts_by_team_and_user",
    ),
    Mutant(
        "a bot's click counts",
        "I2",
        INBOUND,
        "if request.by_bot or self._foreign(request)",
        "if self._foreign(request)",
        DECISIONS_TESTS + "test_a_bot_decides_nothing",
    ),
    Mutant(
        "the app's own user may press its buttons",
        "I2",
        PAYLOADS,
        'return self.user.is_bot or self.user.id in ("USLACKBOT", own)',
        'return self.user.is_bot or self.user.id == "USLACKBOT"',
        DECISIONS_TESTS + "test_a_bot_decides_nothing",
    ),
    Mutant(
        "a request that comes twice is worked twice",
        "I6",
        INBOUND,
        "return request.key is None or await self._postbox.first(request.key)",
        "return True",
        DOOR_TESTS + "test_every_recorded_request_is_taken_or_refused_as_its_recording_says",
    ),
    Mutant(
        "a button approves what is sealed now",
        "I1",
        DECISIONS,
        'self.app.api.decide(ticket.p, ticket.d, person, "approve")',
        'self.app.api.decide(ticket.p, (await self._proposal(ticket)).digest, person, "approve")',
        DECISIONS_TESTS + "test_a_button_with_another_digest_is_refused",
    ),
    Mutant(
        "typed words approve",
        "I2",
        WORDS,
        "    if _DECIDES.fullmatch(words):\n        return Meaning.DECIDE, words\n",
        "",
        TALKING_TESTS + "test_words_mean_what_people_mean",
    ),
    Mutant(
        "anybody steers",
        "I2",
        TALKING,
        "        if person.name is None:\n            raise NotEntitled(",
        "        if person.name is None and said.meaning is not Meaning.STEER:\n            raise NotEntitled(",
        TALKING_TESTS + "test_steering_is_for_people_of_the_catalog",
    ),
    Mutant(
        "an answer goes to any address",
        "I14",
        VOICE,
        "if not of_slack(place.response_url, self.client.base_url):",
        "if not place.response_url.startswith('http'):",
        VOICE_TESTS + "test_an_answer_goes_to_no_address_but_slacks",
    ),
    Mutant(
        "an answer follows redirects",
        "I14",
        VOICE,
        "json=body, allow_redirects=False",
        "json=body, allow_redirects=True",
        VOICE_TESTS + "test_an_answer_is_not_sent_on",
    ),
    Mutant(
        "an answer through response_url keeps its secrets",
        "I14",
        VOICE,
        "**redact.value(shown)}",
        "**shown}",
        VOICE_TESTS + "test_an_answer_through_the_address_of_the_request_holds_no_secret",
    ),
    Mutant(
        "words from outside may mention everybody",
        "I14",
        VOICE,
        "return safe_lines(paragraph(text, limit)).translate(_ENTITIES)",
        "return safe_lines(paragraph(text, limit))",
        VOICE_TESTS + "test_words_from_outside_are_spelt_so_that_they_stay_words",
    ),
    Mutant(
        "a command to copy may end its code",
        "I1",
        VOICE,
        ".replace('`', 'ˋ')}`",
        "}`",
        VOICE_TESTS + "test_a_command_to_copy_stays_within_its_code",
    ),
    Mutant(
        "groups are read after the decision",
        "I2",
        DECISIONS,
        "            await self.groups.refresh(self.app.catalog.kept_elsewhere(proposal.approvers))\n            await answer(",
        "            await answer(",
        DECISIONS_TESTS + "test_who_came_into_the_group_a_moment_ago_counts_at_the_decision",
    ),
    Mutant(
        "the card leaves out where it acts",
        "I16",
        APPROVAL,
        '    yield "Cluster", [span(exact(target.cluster) or "none named")]\n',
        "",
        CARDS_TESTS + "test_target_cluster_change_risk_and_undo_stand_before_the_buttons_on_a_phone",
    ),
    Mutant(
        "the card shows one change of several",
        "I1",
        APPROVAL,
        '    for name, before, after in _diff(proposal):\n        yield "Change"',
        '    for name, before, after in list(_diff(proposal))[:1]:\n        yield "Change"',
        CARDS_TESTS + "test_every_change_stands_on_the_card_and_in_what_is_confirmed",
    ),
    Mutant(
        "the confirmation does not say that there is no undo",
        "I2",
        APPROVAL,
        'undo = "It can be undone." if proposal.undo else "Stanch cannot undo it."',
        'undo = "It can be undone."',
        CARDS_TESTS + "test_what_cannot_be_undone_says_so_before_it_is_approved",
    ),
    Mutant(
        "an edit of a form keeps the old limits",
        "I1",
        MODALS,
        "return Entered(changes, errors or _wrong(action, {**now, **changes}))",
        "return Entered(changes, errors)",
        MODALS_TESTS + "test_a_wrong_value_is_said_beside_its_input",
    ),
    Mutant(
        "pausing leaves what waits to be approved",
        "I4",
        DESK,
        "            await proposal_store.withdraw(\n                self.run_context.db, self.run_context.clock, proposal.id, ProposalState.VOIDED, why\n            )",
        "            assert why",
        TALKING_TESTS + "test_what_waited_is_void_the_moment_somebody_says_pause",
    ),
    Mutant(
        "anybody pauses",
        "I2",
        DESK,
        "        if person.name is None:\n            raise NotEntitled(",
        "        if person.name is None and how != 'paused':\n            raise NotEntitled(",
        TALKING_TESTS + "test_only_people_of_the_catalog_stop_an_incident_whatever_they_stop_it_with",
    ),
)
