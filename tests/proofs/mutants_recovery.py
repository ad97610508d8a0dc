"""Mutants of what counts as recovered, of what an action is aimed at, and of what a person is given to type."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

RECOVERY, VERIFICATION, SUCCESS = (
    "agent/gate/recovery.py",
    "agent/gate/verification.py",
    "agent/graph/steps/success_test.py",
)
CONDITION, BEFORE = "tools/alerts/condition.py", "tools/models/served_before.py"
MODEL_ACTIONS, ALERT_ACTIONS, WORKLOAD_ACTIONS = (
    "tools/models/actions.py",
    "tools/alerts/actions.py",
    "tools/kubernetes/actions.py",
)
T_RECOVERY, T_CONDITION, T_BEFORE = (
    "tests/gate/test_recovery.py",
    "tests/tools/alerts/test_condition.py",
    "tests/tools/test_served_before.py",
)
T_GRAPH, T_ACTIONS, T_ALERTS = (
    "tests/graph/test_recovered.py",
    "tests/tools/test_model_actions.py",
    "tests/tools/alerts/test_actions.py",
)

MUTANTS = (
    # -- what is sealed
    Mutant("the alert's own rule is left out", "I17", SUCCESS, "checks = (*asked.checks, *(check for check, _ in rules))", "checks = asked.checks",
           f"{T_GRAPH}::test_a_vacuous_test_is_sealed_with_the_alerts_own_rule_and_decides_nothing"),
    Mutant("a rule without data anywhere is sealed", "I17", SUCCESS, "if answer.data[\"firing\"] is None and not await was_measured(context, expr):", "if False:",
           "tests/graph/test_recovered.py::test_a_rule_whose_series_are_on_another_server_is_none_that_could_be_over"),
    Mutant("an alert that is over by itself is acted on", "I17", RECOVERY, "if rules and all(now[place] is True for place in rules):", "if False:",
           f"{T_RECOVERY}::test_what_holds_before_anything_is_done_is_refused"),
    Mutant("a test that holds already is sealed", "I17", RECOVERY, "if all(held is True for held in now):", "if not now:",
           f"{T_RECOVERY}::test_what_holds_before_anything_is_done_is_refused"),
    Mutant("without a rule a test decides whatever it measures", "I17", RECOVERY, "return test if rules or tells else", "return test if True else",
           f"{T_RECOVERY}::test_without_a_rule_or_a_signal_that_is_off_now_a_person_says_whether_it_is_over"),
    Mutant("that serving runs the version is an effect", "I17", RECOVERY, "if check.read in _OF_OBJECTS:", "if check.read in ():",
           f"{T_RECOVERY}::test_without_a_rule_or_a_signal_that_is_off_now_a_person_says_whether_it_is_over"),
    Mutant("a replica count is an effect", "I17", RECOVERY, "_OBJECT_METRIC.fullmatch(metric)", "metric == ''",
           f"{T_RECOVERY}::test_that_an_action_happened_is_no_effect"),
    Mutant("a second of holding is enough", "I17", RECOVERY, "hold = max(test.hold, SHORTEST_HOLD, SCRAPES * (blur.interval or USUAL_INTERVAL))", "hold = test.hold",
           f"{T_RECOVERY}::test_it_has_to_hold_for_two_scrapes_and_a_minute_at_least"),
    Mutant("the window is over before the trouble can have left it", "I17", RECOVERY, "max(test.within, blur.looks_back + blur.waits + hold + blur.label_delay)", "test.within",
           f"{T_RECOVERY}::test_the_window_outlasts_all_that_the_trouble_shows_on_in {T_RECOVERY}::test_before_the_window_is_over_nothing_is_called_a_failure"),
    Mutant("a reasoner brings a rule of its own", "I17", "agent/graph/steps/propose.py", "if any(check.is_rule for check in success.checks):", "if not success:",
           f"{T_GRAPH}::test_a_test_may_not_bring_a_rule_of_its_own"),
    Mutant("who decides is not sealed", "I1", "agent/domain/check.py", 'return found | ({"by_person": True} if self.by_person else {})', "return found",
           f"{T_RECOVERY}::test_what_is_new_in_a_test_is_sealed_and_what_was_sealed_before_reads_back_as_it_was"),
    # -- what is watched
    Mutant("code says recovered where a person has to", "I17", VERIFICATION, "if test.by_person:", "if False:",
           f"{T_RECOVERY}::test_what_a_person_decides_is_never_called_recovered_by_code"),
    Mutant("what helped is taken back while the alert goes on", "promise", VERIFICATION, "return Verdict(False, True, said, _helped(test, baseline, seen))", "return Verdict(False, True, said)",
           f"{T_RECOVERY}::test_what_was_asked_held_and_the_alert_goes_on_so_it_is_left_as_it_is"),
    Mutant("what held before counts as help", "promise", VERIFICATION, "if not test.tells:", "if not own:",
           f"{T_RECOVERY}::test_what_was_asked_held_and_the_alert_goes_on_so_it_is_left_as_it_is"),
    Mutant("what cannot be told is taken back", "promise", "agent/graph/steps/verify.py", "if verdict.recovered is None:\n            return await self._ask_whether_over", "if verdict.recovered == 1:\n            return await self._ask_whether_over",
           "tests/servers/test_model_rollback.py::test_that_serving_runs_the_version_is_no_recovery_where_the_rule_cannot_be_read"),
    Mutant("a request for training is asked whether it helped", "I17", "tools/models/actions.py", "mitigates: ClassVar[bool] = False", "mitigates: ClassVar[bool] = True",
           f"{T_GRAPH}::test_nobody_asks_whether_a_request_for_training_has_mended_anything"),
    # -- the rule's word
    Mutant("a rule without data is over", "I17", CONDITION, "count = len(mine) if mine or not blind else None", "count = len(mine)",
           f"{T_CONDITION}::test_a_rule_is_over_only_with_data_that_says_so"),
    Mutant("another service's data will do", "I17", CONDITION, "if any(series.get(name, value) != value for name, value in labels.items()):\n        return False", "",
           f"{T_CONDITION}::test_a_rule_is_over_only_with_data_that_says_so"),
    Mutant("NaN is a number", "I17", CONDITION, "if not np.isfinite(value):", "if value is None:",
           f"{T_CONDITION}::test_a_rule_is_over_only_with_data_that_says_so"),
    Mutant("what a dead target left behind is data", "I17", CONDITION, "if newest is None or newest < (server.as_of - FRESH).timestamp():", "if newest == 0:",
           f"{T_CONDITION}::test_a_rule_is_over_only_with_data_that_says_so"),
    Mutant("no failures among no requests are good news", "I17", CONDITION, "if total is not None and total > 0:", "if total is not None:",
           f"{T_CONDITION}::test_a_rule_is_over_only_with_data_that_says_so"),
    Mutant("a pod that is gone is the workload", "I17", CONDITION, 'return {k: v for k, v in kept.items() if k != "pod"}, pod_pattern(kept.get("pod", ""))', 'return {k: v for k, v in kept.items() if k != "pod"}, re.escape(kept.get("pod", ""))',
           f"{T_CONDITION}::test_pods_change_and_the_workload_stays"),
    Mutant("the rule of another severity is asked", "I17", CONDITION, "all(labels.get(k, v) == v for k, v in _fixed(r).items())", "r is not None",
           f"{T_CONDITION}::test_the_rule_is_read_from_prometheus_else_from_the_alert_itself"),
    Mutant("a recording rule's range is forgotten", "I17", CONDITION, "if behind and depth:", "if behind and depth > 5:",
           f"{T_CONDITION}::test_how_far_an_expression_looks_back"),
    # -- the right target
    Mutant("the alias is champion whatever the catalog says", "promise", MODEL_ACTIONS, 'return self.model_copy(update={"alias": entry.alias})', 'return self.model_copy(update={"alias": self.alias or "champion"})',
           f"{T_ACTIONS}::test_the_catalogs_alias_is_moved_and_no_other"),
    Mutant("another's alias is moved", "promise", MODEL_ACTIONS, 'if self.alias not in ("", entry.alias):', 'if self.alias == "nobody":',
           f"{T_ACTIONS}::test_the_catalogs_alias_is_moved_and_no_other"),
    Mutant("a version whose validation failed is pointed at", "promise", MODEL_ACTIONS, "if why := unfit(found):", "if why := '':",
           f"{T_ACTIONS}::test_a_version_that_is_not_ready_is_not_pointed_at"),
    Mutant("an alias that nobody named is moved", "promise", MODEL_ACTIONS, "if not entry.alias_named and len(whole.aliases) > 1:", "if False:",
           f"{T_BEFORE}::test_of_two_aliases_the_catalogs_is_looked_at"),
    Mutant("a failed version served before", "promise", BEFORE, "value.strip().lower() in _FAILED", "value in _FAILED and value.isupper()",
           f"{T_BEFORE}::test_a_version_whose_validation_failed_is_passed_over_and_named"),
    Mutant("a canary served before", "promise", BEFORE, "last = {v: float(t[t < began][-1]) for v, t in runs.items() if v != current and (t < began).any()}", "last = {v: float(t[-1]) for v, t in runs.items() if v != current and t.any()}",
           f"{T_BEFORE}::test_a_version_that_ran_only_beside_the_present_one_did_not_serve_before"),
    Mutant("another alias's promotion tells what served", "promise", BEFORE, 'c.detail.get("alias") in (None, "", entry.alias) and', "c and",
           f"{T_BEFORE}::test_posted_promotions_of_its_alias_tell_it_where_metrics_do_not"),
    Mutant("a silence falls on every alert of the name", "promise", ALERT_ACTIONS, 'if not mine or context.labels.get("alertname", self.alertname) != self.alertname:', "if False:",
           f"{T_ALERTS}::test_a_silence_without_labels_takes_the_incidents_own_and_never_all_of_a_name"),
    # -- what is typed
    Mutant("the command names the catalog's model", "promise", MODEL_ACTIONS, 'asked = json.dumps({"name": entry.registry_name,', 'asked = json.dumps({"name": self.model,',
           f"{T_ACTIONS}::test_what_a_person_would_type_names_the_registrys_model_and_the_catalogs_alias"),
    Mutant("a value of a command is run", "promise", "tools/http_action/http_spec.py", "_environment(lambda value: shlex.quote(str(value)))", "_environment(lambda value: str(value))",
           "tests/servers/test_commands.py::test_what_is_typed_for_a_declared_action_has_its_values_quoted"),
    Mutant("the kind of a workload is guessed", "promise", WORKLOAD_ACTIONS, "namespace, name, kind, place = which.namespace, which.name, which.kind.lower(), which.cluster", "namespace, name, place = which.namespace, which.name, which.cluster",
           "tests/tools/test_workload_actions.py::test_the_command_is_what_a_person_would_type"),
    Mutant("the terminal keeps whom to call to itself", "promise", "agent/surfaces/cli/screen.py", 'return [("hand over", words, "bold yellow")] if words else []', "return []",
           f"{T_GRAPH}::test_what_is_suggested_can_be_read_and_copied_in_the_terminal"),
    Mutant("a command is broken over lines", "promise", "agent/surfaces/cli/screen.py", 'self.console.print(Text(exact(command), style="cyan"), soft_wrap=True, highlight=False)', 'self.console.print(Text(exact(command), style="cyan"), highlight=False)',
           f"{T_GRAPH}::test_what_is_suggested_can_be_read_and_copied_in_the_terminal"),
    Mutant("what is not configured is not said", "promise", "agent/graph/steps/conclude.py", "return tuple(_typed(move, tools, context))", "return ()",
           f"{T_GRAPH}::test_an_action_that_is_not_configured_is_still_given_as_a_command"),
)  # fmt: skip
