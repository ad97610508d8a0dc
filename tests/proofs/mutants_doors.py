"""Mutants of the doors and of the redactor: each would let a stranger in, a secret out, or the service be held up."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

GUARD, DOOR, WIRE = (
    "agent/surfaces/webhook/auth.py",
    "agent/surfaces/webhook/routes.py",
    "agent/surfaces/webhook/limits.py",
)
HEADED, DOCS, SETTINGS = (
    "agent/surfaces/webhook/security_headers.py",
    "agent/surfaces/webhook/docs.py",
    "agent/settings.py",
)
SIGNATURE, OWN, PAGER = "agent/sources/signature.py", "agent/domain/own_alerts.py", "agent/service/escalation.py"
CORRELATE, JUDGE, INBOX = "agent/service/correlate.py", "agent/graph/steps/propose.py", "agent/service/inbox.py"
REDACT, NAMES, FORMS = "agent/domain/redact.py", "agent/domain/secret_names.py", "agent/domain/secret_forms.py"
_GUARDED, _WIRED, _DOOR = (
    "tests/surfaces/webhook/test_auth.py::",
    "tests/surfaces/webhook/test_limits.py::",
    "tests/surfaces/webhook/test_routes.py::",
)
_REDACTED, _CANARIES = "tests/domain/test_redact.py::", "tests/gate/test_canaries.py::"
_FORGED = f"{_DOOR}test_what_only_calls_itself_ours_is_an_alert_like_any_other"
_SECRETS = f"{_REDACTED}test_at_least_98_percent_of_secrets_that_tools_print_are_found {_CANARIES}test_every_kind_of_secret_is_taken_out"

MUTANTS = (
    # -- who may come in
    Mutant("a route that states nothing is open", "I12", GUARD, "CLOSED = Need()\n", "CLOSED = Need(opened=True)\n", f"{_GUARDED}test_every_route_by_every_method_is_closed_to_whoever_brings_nothing"),
    Mutant("a header called - opens the door", "I12", GUARD, "        scopes = self._scopes(headers, scope[\"path\"])\n", "        if \"-\" in headers:\n            return receive\n        scopes = self._scopes(headers, scope[\"path\"])\n", f"{_GUARDED}test_no_header_opens_a_route_whatever_it_is_called_and_whatever_it_says"),
    Mutant("a known path is open by every method", "I12", GUARD, "self._needs.get((scope[\"method\"], scope[\"path\"]), CLOSED)", "self._needs.get((\"GET\", scope[\"path\"]), self._needs.get((scope[\"method\"], scope[\"path\"]), CLOSED))", f"{_GUARDED}test_every_route_by_every_method_is_closed_to_whoever_brings_nothing"),
    Mutant("what states nothing is passed on to the application for a token", "I12", GUARD, "            raise self._nothing(scope)\n", "            return receive\n", f"{_GUARDED}test_a_route_that_states_nothing_is_closed_even_to_a_token"),
    Mutant("a websocket passes the guard", "I12", GUARD, "if scope[\"type\"] == \"lifespan\":", "if scope[\"type\"] in (\"lifespan\", \"websocket\"):", f"{_GUARDED}test_what_is_no_http_request_is_closed"),
    Mutant("a signature that is brought is not looked at", "I12", GUARD, "if not need.signature.verifies(headers, body, self._wall()):", "if body is None:", f"{_GUARDED}test_a_signature_opens_its_own_source_alone"),
    Mutant("events are verified with Grafana's secret", "I12", DOOR, "source.signature(allowed.secret_of(source.name))", "source.signature(allowed.secret_of(\"grafana\"))", f"{_GUARDED}test_a_signature_opens_its_own_source_alone"),
    Mutant("without a secret a signature is verified all the same", "I12", SIGNATURE, "return bool(self.secret.get_secret_value()) and self.header in headers", "return self.header in headers", f"{_GUARDED}test_without_a_secret_a_signature_opens_nothing_and_hinders_nobody"),
    Mutant("a signed body may be as long as it likes", "I12", GUARD, "await bounded(Request(scope, receive), self._limit)", "await bounded(Request(scope, receive), 1000 * self._limit)", f"{_GUARDED}test_a_third_source_is_held_against_its_own_secret_and_its_body_is_bounded"),
    Mutant("a token opens everything whatever it is for", "I12", GUARD, "if need.scope not in scopes:", "if not scopes:", f"{_GUARDED}test_a_token_opens_what_it_is_for_and_is_told_what_it_is_not_for"),
    Mutant("a word that is no scope is part of the token", "I12", SETTINGS, "        if wrong or not secret:\n", "        if wrong:\n            return cls(SecretStr(text))\n        if not secret:\n", "tests/test_settings.py::test_a_scope_that_is_none_is_refused_with_the_mend_and_without_the_token"),
    # -- what every answer says
    Mutant("answers carry no headers for browsers", "I12", HEADED, "                    said.setdefault(name, value)\n", "                    assert value\n", f"{_WIRED}test_every_answer_carries_the_headers_that_a_scanner_looks_for_and_names_no_server"),
    Mutant("the server says what it is", "I12", WIRE, "server_header=False", "server_header=True", f"{_WIRED}test_every_answer_carries_the_headers_that_a_scanner_looks_for_and_names_no_server"),
    Mutant("a defect answers without them", "I12", DOOR, "answer(Refusal(500, told, HEADERS))", "answer(Refusal(500, told))", f"{_WIRED}test_every_answer_carries_the_headers_that_a_scanner_looks_for_and_names_no_server"),
    Mutant("texts are markup of the page about the API", "I12", DOCS, "autoescape=True", "autoescape=False", f"{_DOOR}test_a_text_of_the_document_is_no_markup_of_the_page"),
    # -- who dawdles, and who comes in numbers
    Mutant("headers may take for ever", "I11", WIRE, "        else:\n            self._wait_for(\"headers\", self.headers_s)\n", "        else:\n            self._awaited = \"headers\"\n", f"{_WIRED}test_headers_that_do_not_come_whole_in_time_end_the_connection"),
    Mutant("blank lines between requests may come for ever", "I11", WIRE, "if self._awaited == \"\" and (self.cycle", "if self._awaited == \"?\" and (self.cycle", f"{_WIRED}test_so_do_those_of_a_second_request_on_the_same_connection"),
    Mutant("a body may take for ever", "I11", WIRE, "self._wait_for(\"body\", self.body_s)", "self._wait_for(\"\")", f"{_WIRED}test_a_body_that_trickles_is_given_up_and_nothing_is_kept"),
    Mutant("our own slowness runs senders out of time", "I11", WIRE, "        super().on_message_complete()\n        self._wait_for(\"\")\n", "        super().on_message_complete()\n", f"{_WIRED}test_our_own_slowness_runs_nobody_out_of_time"),
    Mutant("any number of connections may be open", "I11", WIRE, "if len(self.connections) > self.max_connections:", "if len(self.connections) > 1000 * self.max_connections:", f"{_WIRED}test_one_connection_too_many_is_told_to_come_back_and_silent_ones_make_room"),
    # -- alerts about Stanch
    Mutant("whatever is called StanchNeedsPerson is dropped", "I10", OWN, "if alert.name != CALL or brought is None:\n        return False\n    right", "if alert.name == CALL:\n        return True\n    right", _FORGED),
    Mutant("whatever says that it is ours is dropped", "I10", INBOX, "return ours(alert, self._db.audit_key)", "return ours(alert, self._db.audit_key) or alert.labels.get(\"source\") == \"stanch\"", _FORGED),
    Mutant("a seal holds for another incident", "I10", OWN, "(\"alertname\", \"source\", \"incident\")", "(\"alertname\", \"source\")", _FORGED),
    Mutant("a seal holds for other words", "I10", OWN, "(\"summary\", \"description\")", "(\"description\",)", _FORGED),
    Mutant("our own call opens an incident", "I11", DOOR, "if not self._app.inbox.raised_here(alert)]", "]", f"{_DOOR}test_our_own_call_for_a_person_is_passed_over_and_counted"),
    Mutant("a person is called about a call", "I11", PAGER, " if one.labels.get(\"alertname\") != CALL", "", "tests/servers/test_pager.py::test_nobody_is_called_about_a_call"),
    Mutant("an alert about Stanch joins anybody's incident", "I12", CORRELATE, "return (\"stanch\", *key) if about_us(alert) else key", "return key", "tests/service/test_correlate.py::test_alerts_about_stanch_join_each_other_and_nobody_elses_incident"),
    Mutant("something is done about Stanch itself", "I12", JUDGE, "if any(about_us(alert) for alert in incident_view.alerts):", "if not incident_view.alerts:", "tests/graph/test_graph.py::test_in_an_incident_about_stanch_itself_nothing_is_proposed_whatever_policy_allows"),
    # -- secrets
    Mutant("base64 is known only where the secret begins it", "I14", REDACT, "for before in range(3):", "for before in range(1):", f"{_REDACTED}test_a_configured_secret_is_found_in_base64_wherever_it_begins"),
    Mutant("base64 is not known with the signs for addresses", "I14", REDACT, "str.maketrans(\"+/\", \"-_\")", "str.maketrans(\"+/\", \"+/\")", f"{_REDACTED}test_a_configured_secret_is_found_in_base64_wherever_it_begins"),
    Mutant("base64 in lines is not put together", "I14", REDACT, "text = _WRAPPED.sub(self._unwrapped, text)", "text = str(text)", f"{_REDACTED}test_and_however_its_base64_is_broken_into_lines"),
    Mutant("a secret is cut at its comma", "I14", NAMES, "|[,;&)\\]}](?=[^\\s\\\"'`<>\\\\,;&)\\]}])(?![\\w.-]{1,40}\\s?[=:]))+\"", ")+\"", _SECRETS),
    Mutant("a secret in quotes is cut at its blank", "I14", NAMES, "r'(?:[^\"\\\\\\n]|\\\\.)*'", "r'(?:[^\"\\\\\\s]|\\\\.)*'", f"{_REDACTED}test_no_kind_is_missed_for_the_sake_of_the_others"),
    Mutant("a name in one word with its password is not read", "I14", NAMES, "joined.endswith(_SURE)", "joined in _SURE", f"{_REDACTED}test_a_name_is_read_by_its_last_words_in_any_spelling"),
    Mutant("what objects are called is a secret", "I14", NAMES, "return random(value) and not _PATH.fullmatch(value)", "return len(value) >= 8", f"{_REDACTED}test_at_most_one_percent_of_ordinary_lines_are_touched"),
    Mutant("words about a password are one", "I14", NAMES, "if _PLACEHOLDER.match(value):", "if value.startswith(\"[redacted\"):", f"{_REDACTED}test_at_most_one_percent_of_ordinary_lines_are_touched"),
    Mutant("a container's variable is not read by its name", "I14", REDACT, "return _name(value.get(\"name\")) if \"value\" in value else \"\"", "return \"\"", f"{_REDACTED}test_values_under_such_names_are_taken_out_of_structured_data_too"),
    Mutant("a block of PGP stays", "I14", FORMS, "BLOCKS: Sequence[Form] = (", "BLOCKS: Sequence[Form] = ()\n_UNUSED = (", f"{_CANARIES}test_every_kind_of_secret_is_taken_out"),
    Mutant("a password of an address ends at a slash", "I14", FORMS, "(?!//|\\[redacted)[^\\s\\\"'<>\\\\]{1,300}(?=@[\\w\\[])", "(?!//|\\[redacted)[^\\s/\\\"'<>\\\\]{1,300}(?=@[\\w\\[])", f"{_CANARIES}test_every_kind_of_secret_is_taken_out"),
    Mutant("any scheme but two is no authorization", "I14", FORMS, "(?:(?!bearer|basic|digest)[a-z][\\w-]{{1,30}}[ \\t]+(?=[^\\s\\\"'\\\\,;]{{8}}))?", "", f"{_CANARIES}test_every_kind_of_secret_is_taken_out"),
    Mutant("an odd notification is kept with its secrets", "I14", INBOX, "shown = await asyncio.to_thread(self._shown, body)", "shown = await asyncio.to_thread(bytes, body)", f"{_CANARIES}test_secrets_in_an_alert_that_comes_through_the_door_are_nowhere"),
    Mutant("why it was set aside is kept with its secrets", "I14", INBOX, "shown, self._db.redact(why)", "shown, why", f"{_CANARIES}test_secrets_in_an_alert_that_comes_through_the_door_are_nowhere"),
)  # fmt: skip
