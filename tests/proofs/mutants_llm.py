"""Mutants of the way to a language model and back from it; each with the tests that notice it."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

FAILOVER, PROGRESS, GIVEN = (
    "agent/reasoner/failover.py",
    "agent/reasoner/progress.py",
    "agent/reasoner/llm/provider_extras.py",
)
ENDPOINT, MANNERS, COMPLETION = (
    "agent/reasoner/llm/endpoint.py",
    "agent/reasoner/llm/quirks.py",
    "agent/reasoner/llm/completion.py",
)
WRITTEN, READING, REASONER = (
    "agent/reasoner/llm/written_calls.py",
    "agent/reasoner/llm/move_reading.py",
    "agent/reasoner/llm/openai_reasoner.py",
)
RUNBOOK, THINK, PROBE, TALK = (
    "agent/reasoner/rules/runbook_reasoner.py",
    "agent/graph/steps/think.py",
    "agent/reasoner/llm/probe.py",
    "agent/graph/talk.py",
)

HERE = "tests/reasoner/test_failover.py::"
LAB = "tests/test_failover_in_the_lab.py::"
ROWS = "tests/reasoner/test_endpoints.py::"
END = f"{ROWS}test_the_model_goes_on_to_the_end"

MUTANTS = (
    # -- the runbook reasoner goes on wherever the model fails
    Mutant("a model's looks are taken from the runbook reasoner's", "it keeps working when the language model does not", RUNBOOK, 'if e.payload.by.endswith(RunbookReasoner.name)]', 'if e.payload.by]', f"{HERE}test_a_model_that_fails_after_some_looks_ends_as_without_it"),
    Mutant("a model's steps are taken from the runbook reasoner's", "it keeps working when the language model does not", THINK, "most = self.most_moves + min(\n            used(incident_view.events).steps, self.most_moves\n        )", "most = self.most_moves", f"{LAB}test_a_model_that_fails_after_some_looks_ends_as_without_it[24]"),
    Mutant("a failed attempt costs nothing", "I11", FAILOVER, "if isinstance(error, ModelFailed):", "if error is None:", f"{HERE}test_a_model_that_fails_after_some_looks_ends_as_without_it"),
    Mutant("a model that repeats itself is never left", "I11", FAILOVER, "idle(view.events) >= PATIENT", "idle(view.events) >= 100 * PATIENT", f"{HERE}test_a_model_that_makes_the_same_look_for_ever_is_left"),
    Mutant("a model that repeats itself is not told", "no progress is noticed and said", THINK, "circles = idle(incident_view.events) == 1", "circles = idle(incident_view.events) == 3", f"{LAB}test_a_model_that_repeats_itself_is_told_once_and_the_timeline_and_report_say_so"),
    Mutant("only the last move counts as the same", "no progress is noticed and said", PROGRESS, "            seen.add(found)\n", "            seen = {found}\n", f"{HERE}test_looks_that_alternate_are_circles_too_and_a_new_one_is_not"),
    Mutant("a look after an effect is a circle", "no progress is noticed and said", PROGRESS, "            before, seen = [], set()\n", "            continue\n", f"{HERE}test_looking_again_is_no_circle_when_the_answer_moved_or_something_happened"),
    Mutant("polling is progress for ever", "I11", PROGRESS, "POLLS = 3", "POLLS = 300", f"{HERE}test_looking_again_is_no_circle_when_the_answer_moved_or_something_happened"),
    Mutant("a proposal may be made for ever", "I11", PROGRESS, 'return canonical([action, dict(args)])', 'return b""', f"{HERE}test_a_proposal_made_again_is_a_circle"),
    # -- and back
    Mutant("a model that was left never comes back", "a model that had to be left is tried again", FAILOVER, "return (news and view.question is None) or view.now - now.left.at >= AFTER", "return False", f"{HERE}test_a_model_that_was_gone_is_tried_again_when_something_has_happened {HERE}test_a_model_that_was_gone_is_tried_again_after_some_minutes"),
    Mutant("a case goes back and forth", "never flapping", FAILOVER, "now.returns >= MOST_RETURNS", "now.returns >= 100", f"{HERE}test_a_case_does_not_go_back_and_forth_for_ever"),
    Mutant("a model that is gone is tried at every move", "never flapping", FAILOVER, "now.tries >= MOST_TRIES", "now.tries >= 100", f"{HERE}test_a_case_does_not_go_back_and_forth_for_ever"),
    Mutant("a spent model is tried again", "I11", FAILOVER, 'left=event, final=final', "left=event, final=False", f"{HERE}test_a_model_that_has_spent_its_budget_is_not_tried_again"),
    Mutant("a return is forgotten by a restart", "the timeline says who has the case", FAILOVER, 'by=by, left=None, returns', 'by=by, returns', f"{HERE}test_who_has_the_case_stands_on_the_timeline"),
    Mutant("a try has all the patience", "never flapping", FAILOVER, 'once=True', 'once=False', f"{HERE}test_a_model_that_was_gone_is_tried_again_when_something_has_happened"),
    # -- patience
    Mutant("what the server asks to wait is not read", "Retry-After is waited for", ENDPOINT, 'found = [_number(headers.get("retry-after-ms", ""), 1000.0), _number(headers.get("retry-after", ""))]', "found: list[float | None] = []", f"{END}[rate_limited] {END}[loading]"),
    Mutant("a date is no time to wait", "Retry-After is waited for", ENDPOINT, 'found.append((until - (_date(headers.get("date", "")) or now)).total_seconds())', "pass", f"{END}[rate_limited_until]"),
    Mutant("the date is read by our own clock", "Retry-After is waited for", ENDPOINT, '(_date(headers.get("date", "")) or now)', "now", f"{END}[rate_limited_until]"),
    Mutant("any wait is waited", "within the incident's deadline", ENDPOINT, "if pause is None or waited + pause > patience or spent + pause >= seconds:", "if pause is None or spent + pause >= 9 * seconds:", f"{ROWS}test_a_wait_longer_than_anybody_has_patience_for_is_not_waited {ROWS}test_waiting_for_one_answer_is_bounded"),
    Mutant("the incident's deadline is not kept", "within the incident's deadline", ENDPOINT, "or spent + pause >= seconds:", "or pause >= 10 * seconds:", f"{ROWS}test_waiting_ends_with_the_seconds_that_an_incident_has"),
    Mutant("nobody is told of a wait", "people see that it waits", ENDPOINT, "                if not waited:\n", "                if waited > 1e9:\n", f"{END}[rate_limited]"),
    Mutant("a dropped connection is the end", "it is tried again", ENDPOINT, 'return NotNow(f"{self.place} cannot be reached', 'return ReasonerFailed(f"{self.place} cannot be reached', f"{END}[hangs_up]"),
    Mutant("an error inside a success is the end", "it is tried again", ENDPOINT, "return ReasonerFailed(text) if lasting else NotNow(text)", "return ReasonerFailed(text)", f"{END}[error_in_200] {END}[error_in_a_choice] {END}[error_in_a_stream]"),
    Mutant("half a stream is an answer", "it is tried again", COMPLETION, 'if not ended and not found.get("error")', 'if not pieces and not found.get("error")', f"{END}[stream_ends_early]"),
    Mutant("a wrong key is tried again", "no wait helps", ENDPOINT, "if error.status_code not in (408, 409, 425, 429) and error.status_code < 500:", "if error.status_code < 400:", f"{ROWS}test_what_no_wait_mends_is_left_at_once_and_what_might_pass_after_a_few_attempts"),
    # -- what is given back
    Mutant("what came with a call is not given back", "what a provider wants back is given back", GIVEN, 'call = {**given.get("call", {}), "id"', 'call = {"id"', f"{END}[signature] {END}[streaming_only]"),
    Mutant("thoughts are not given back", "what a provider wants back is given back", GIVEN, 'move = {**given.get("message", {}), "role"', 'move = {"role"', f"{END}[thoughts]"),
    Mutant("a provider's ids are not given back", "what a provider wants back is given back", GIVEN, "id_ = own if", "id_ = own if not own and", f"{END}[own_ids]"),
    Mutant("the same id is given back twice", "ids as Mistral wants them", GIVEN, " and own not in self.ids else", " else", f"{END}[nine_letters]"),
    Mutant("our own ids are of any form", "ids as Mistral wants them", GIVEN, 'return f"e{n:08d}"', 'return f"e{n}_0"', f"{END}[no_ids]"),
    Mutant("a signature goes to another provider", "dropped when a case is handed to another provider", GIVEN, 'if given.get("of", self.provider) != self.provider or by in OTHERS:', "if by in OTHERS:", f"{ROWS}test_what_a_provider_wants_back_outlives_a_restart_and_goes_to_nobody_else"),
    Mutant("the runbook reasoner's moves are given for the model's own", "what a provider wants back is given back", GIVEN, " or by in OTHERS:", ":", f"{ROWS}test_what_the_runbook_reasoner_did_is_told_as_text"),
    Mutant("what is given back may be of any size", "I14", COMPLETION, "while part and _size(found) + _size(part) > MOST_GIVEN:", "while part and _size(part) < 0:", f"{ROWS}test_what_is_given_back_is_bounded_and_has_no_secret"),
    Mutant("what is given back is kept with its secrets", "I14", REASONER, 'given = {**self._redact.value(dict(said.given)), "of": self.provider}', 'given = {**dict(said.given), "of": self.provider}', f"{ROWS}test_what_is_given_back_is_bounded_and_has_no_secret"),
    # -- how calls are written
    Mutant("the limit is not raised", "reasoning that eats the limit", REASONER, 'if said.finish == "length":\n                said, move', 'if said.finish == "never":\n                said, move', f"{END}[reasoning_eats_limit]"),
    Mutant("a raised limit is forgotten", "reasoning that eats the limit", REASONER, "max([self._answer_tokens, *_raised(view.events)])", "self._answer_tokens", f"{END}[reasoning_eats_limit] {ROWS}test_a_raised_limit_is_remembered_by_the_incident"),
    Mutant("calls as text are not read", "calls written as text are read", REASONER, "said.calls or calls_in(text, known_tools(view))", "said.calls", f"{END}[call_fenced] {END}[call_in_tags] {END}[call_in_harmony]"),
    Mutant("what is thought aloud is taken for a call", "nothing else is guessed", REASONER, "text = without_thoughts(said.text)", "text = said.text", f"{ROWS}test_nothing_else_is_guessed {ROWS}test_a_question_is_answered_without_what_was_thought_aloud"),
    Mutant("any word before a dot is a prefix", "nothing else is guessed", WRITTEN, '.removeprefix("functions.")', '.rpartition(".")[2]', f"{ROWS}test_nothing_else_is_guessed"),
    Mutant("suffixes of a channel are not taken off", "Harmony suffixes", WRITTEN, 'name.split("<|")[0]', "name", f"{END}[harmony_suffix]"),
    Mutant("arguments are decoded once", "double-encoded arguments", READING, "MOST_CODED = 2", "MOST_CODED = 0", f"{END}[coded_twice]"),
    # -- what a server does not take
    Mutant("only 400 is learned from", "422 as well as 400", MANNERS, "REFUSED = (400, 422, 500, 501)", "REFUSED = (400,)", f"{END}[no_length_fields] {END}[thoughts_refused] {END}[turns]"),
    Mutant("the field is looked for in what the server repeats", "422 as well as 400", MANNERS, "wrong = next((name for name in named if name in sent), None) or _first_named(text, sent)", "wrong = _first_named(body, list(reversed(sent)))", f"{END}[thoughts_refused]"),
    Mutant("a system role is insisted on", "no system role", MANNERS, 'if self.folds and found and found[0]["role"] == "system":', 'if self.folds and not found:', f"{END}[no_system] {END}[turns]"),
    Mutant("no stream is asked for", "streaming only", MANNERS, "            self.streams = True\n", "            return False\n", f"{END}[streaming_only]"),
    Mutant("every piece of a stream is a call of its own", "streaming only", COMPLETION, "        mine = calls[-1]\n", "        mine = None\n", f"{END}[streams_carelessly]"),
    Mutant("a cut prompt is not noticed", "contexts cut silently are said", REASONER, "return said.cut or", "return False and said.cut or False and", f"{END}[silently_cut] {END}[says_truncated]"),
    Mutant("a cut prompt is said with every move", "contexts cut silently are said once", REASONER, "        if not told and cut_short(answer.said, size):\n", "        if cut_short(answer.said, size):\n", f"{END}[silently_cut]"),
    # -- the probe
    Mutant("the probe takes any second call for the answer", "doctor says what works", PROBE, "if WORD in second.said.written.lower():", "if second.name:", "tests/reasoner/test_probe.py::test_a_model_that_calls_nothing_or_forgets_the_answer_is_wrong"),
)  # fmt: skip
