"""Mutants of the tools: what is sent to a target, with what precondition, to which one; what an answer is taken for."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

CATALOG = "agent/domain/catalog.py"
ALERT_ACTIONS = "tools/alerts/actions.py"
CONTEXT = "tools/context.py"
FETCH = "tools/fetch.py"
HTTP_ACTION = "tools/http_action/action.py"
HTTP_SPEC = "tools/http_action/http_spec.py"
KUBERNETES = "tools/kubernetes/client.py"
MLFLOW = "tools/models/mlflow.py"
MODEL_ACTIONS = "tools/models/actions.py"
MODELS = "tools/models/versions.py"
SENDING = "tools/http_write.py"
TOOLBOX = "tools/toolbox.py"
WORKLOAD_ACTIONS = "tools/kubernetes/actions.py"
CATALOG_TESTS = "tests/domain/test_catalog.py::"
ALERT_ACTIONS_TESTS = "tests/tools/alerts/test_actions.py::"
HTTP_ACTION_TESTS = "tests/tools/test_http_action.py::"
MODEL_ACTIONS_TESTS = "tests/tools/test_model_actions.py::"
REDIRECTS_TESTS = "tests/tools/test_redirects.py::"
WORKLOAD_ACTIONS_TESTS = "tests/tools/test_workload_actions.py::"
WORKLOADS_TESTS = "tests/tools/test_workloads.py::"

MUTANTS = (
    Mutant(
        "a workload that another controller owns is changed",
        "I5",
        WORKLOAD_ACTIONS,
        "if owner := controller_of(whole):",
        "if (owner := controller_of(whole)) and not reference:",
        WORKLOAD_ACTIONS_TESTS + "test_a_workload_that_another_controller_owns_is_refused_by_its_name",
    ),
    Mutant(
        "a look follows redirects",
        "I13",
        FETCH,
        "path, follow_redirects=False, **sent",
        "path, follow_redirects=True, **sent",
        REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool",
    ),
    Mutant(
        "a look at the registry follows redirects",
        "I13",
        MLFLOW,
        "path, follow_redirects=False, **sent",
        "path, follow_redirects=True, **sent",
        REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool",
    ),
    Mutant(
        "a redirect's body is the served version",
        "I17",
        MODELS,
        '    if not response.is_success:\n        raise ToolFailed(f"{url} answered HTTP',
        '    if response.status_code >= 400:\n        raise ToolFailed(f"{url} answered HTTP',
        REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool",
    ),
    Mutant(
        "an observation follows redirects",
        "I5",
        SENDING,
        "response = await http.get(url, follow_redirects=False, **how)",
        "response = await http.get(url, follow_redirects=True, **how)",
        REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool",
    ),
    Mutant(
        "a patch does not test the generation",
        "I5",
        WORKLOAD_ACTIONS,
        "[guard, *operations, *marked]",
        "[*operations, *marked]",
        WORKLOAD_ACTIONS_TESTS + "test_a_status_update_voids_nothing_and_a_changed_specification_does",
    ),
    Mutant(
        "the key does not go with the change",
        "I7",
        WORKLOAD_ACTIONS,
        "[guard, *operations, *marked]",
        "[guard, *operations]",
        WORKLOAD_ACTIONS_TESTS + "test_key_and_change_go_in_one_request",
    ),
    Mutant(
        "another execution's key is taken for ours",
        "I7",
        WORKLOAD_ACTIONS,
        "return True if held == key else False if held is None else None",
        "return held is not None",
        WORKLOAD_ACTIONS_TESTS + "test_what_is_seen_afterwards_is_what_was_to_be_changed",
    ),
    Mutant(
        "another's key later says that ours never was",
        "I7",
        WORKLOAD_ACTIONS,
        "return True if held == key else False if held is None else None",
        "return held == key",
        WORKLOAD_ACTIONS_TESTS + "test_what_is_seen_afterwards_is_what_was_to_be_changed",
    ),
    Mutant(
        "a dry run is a run",
        "I8",
        KUBERNETES,
        '        if dry_run:\n            how["params"] = {"dryRun": "All"}\n',
        "",
        WORKLOAD_ACTIONS_TESTS + "test_a_dry_run_changes_nothing",
    ),
    Mutant(
        "an autoscaled workload is scaled",
        "I5",
        WORKLOAD_ACTIONS,
        "        if scaler is not None:\n",
        "        if scaler is not None and scaler.least > self.replicas:\n",
        WORKLOAD_ACTIONS_TESTS + "test_an_autoscaled_target_is_refused_by_name",
    ),
    Mutant(
        "a patch follows redirects",
        "I16",
        KUBERNETES,
        'where["follow_redirects"] = False',
        'where["follow_redirects"] = True',
        WORKLOAD_ACTIONS_TESTS + "test_a_redirect_is_no_answer_about_what_was_sent",
    ),
    Mutant(
        "an answer of the proxy counts as refused",
        "I7",
        KUBERNETES,
        "if 400 <= status < 500 and status != 408:",
        "if 400 <= status < 600 and status != 408:",
        WORKLOAD_ACTIONS_TESTS + "test_an_error_of_the_server_is_not_refused_and_a_forbidden_patch_is",
    ),
    Mutant(
        "a request timeout counts as refused",
        "I7",
        KUBERNETES,
        "if 400 <= status < 500 and status != 408:",
        "if 400 <= status < 500:",
        WORKLOAD_ACTIONS_TESTS + "test_only_a_clear_no_of_the_server_is_refused",
    ),
    Mutant(
        "a cluster that is not configured is another one",
        "I16",
        KUBERNETES,
        'if backend.match.get("cluster", workload.cluster) != workload.cluster:',
        'if backend.match.get("cluster", workload.cluster) == "":',
        WORKLOADS_TESTS + "test_a_workload_of_another_cluster_is_never_read_from_this_one",
    ),
    Mutant(
        "a workload without a cluster runs anywhere",
        "I16",
        KUBERNETES,
        "    if not workload.cluster:\n",
        "    if not workload.name:\n",
        WORKLOAD_ACTIONS_TESTS + "test_the_target_names_its_one_cluster_and_the_risk_is_the_authors",
    ),
    Mutant(
        "of two clusters the first is taken",
        "I16",
        CONTEXT,
        "        if len(candidates) == 1:\n            return candidates[0]\n        known",
        "        if candidates:\n            return candidates[0]\n        known",
        WORKLOAD_ACTIONS_TESTS + "test_of_two_servers_that_fit_none_is_chosen",
    ),
    Mutant(
        "a roll back goes to another template than agreed",
        "I1",
        WORKLOAD_ACTIONS,
        'if found is None or found.digest != agreed.get("template"):',
        "if found is None:",
        WORKLOAD_ACTIONS_TESTS + "test_a_roll_back_goes_to_the_template_that_was_agreed_on_or_nowhere",
    ),
    Mutant(
        "a send follows redirects",
        "I16",
        SENDING,
        "response = await http.request(method, url, follow_redirects=False, **how)",
        "response = await http.request(method, url, follow_redirects=True, **how)",
        HTTP_ACTION_TESTS + "test_only_a_clear_no_is_refused",
    ),
    Mutant(
        "a server's error counts as refused",
        "I7",
        SENDING,
        "if 400 <= status < 500 and status != 408:",
        "if 400 <= status and status != 408:",
        HTTP_ACTION_TESTS + "test_only_a_clear_no_is_refused",
    ),
    Mutant(
        "a lost answer counts as refused",
        "I7",
        SENDING,
        '        raise Unreachable(\n            f"{to} did not answer {method}',
        '        raise Refused(\n            f"{to} did not answer {method}',
        HTTP_ACTION_TESTS + "test_an_answer_lost_after_the_effect_is_not_refused_and_the_probe_finds_it",
    ),
    Mutant(
        "a silence has no end",
        "I11",
        ALERT_ACTIONS,
        "minutes: Annotated[int, Field(ge=1, le=1440)]",
        "minutes: Annotated[int, Field(ge=1)]",
        ALERT_ACTIONS_TESTS + "test_a_silence_always_ends_within_a_day",
    ),
    Mutant(
        "a silence matches by pattern",
        "I1",
        ALERT_ACTIONS,
        '"isRegex": False, "isEqual": True}',
        '"isRegex": True, "isEqual": True}',
        ALERT_ACTIONS_TESTS + "test_the_silence_that_is_sent_has_exact_matchers_and_an_end",
    ),
    Mutant(
        "an alias that was moved meanwhile is moved",
        "I5",
        MODEL_ACTIONS,
        "if _state(await self._now(registry, entry)) != before:",
        "if not before.fields:",
        MODEL_ACTIONS_TESTS + "test_an_alias_that_somebody_else_moved_meanwhile_is_not_moved",
    ),
    Mutant(
        "a version that is not ready is served",
        "I5",
        "tools/models/served_before.py",
        'if version.status != "READY":',
        'if version.status == "FAILED":',
        MODEL_ACTIONS_TESTS + "test_a_version_that_is_not_ready_is_not_pointed_at",
    ),
    Mutant(
        "a declared action's argument leaves its path",
        "I1",
        HTTP_SPEC,
        'return quote(text, safe="")',
        'return quote(text, safe="/")',
        HTTP_ACTION_TESTS + "test_what_is_filled_in_is_spelt_as_one_part_of_the_address",
    ),
    Mutant(
        "two dots leave the path",
        "I1",
        HTTP_SPEC,
        'if any(part in (".", "..") for part in unquote(urlsplit(url).path).split("/")):',
        'if ".." in template:',
        HTTP_ACTION_TESTS + "test_what_an_argument_holds_stays_one_part_of_the_address",
    ),
    Mutant(
        "a secret may stand in an address",
        "I14",
        HTTP_SPEC,
        '"apply": frozenset({"before", "key", "version"}),',
        '"apply": frozenset({"before", "key", "version", "secrets"}),',
        HTTP_ACTION_TESTS + "test_every_mistake_is_found_when_the_configuration_is_read",
    ),
    Mutant(
        "the command is not quoted",
        "I1",
        HTTP_SPEC,
        "_environment(lambda value: shlex.quote(str(value)))",
        "_environment(lambda value: str(value))",
        HTTP_ACTION_TESTS + "test_the_command_is_quoted_word_by_word",
    ),
    Mutant(
        "the version is not sent to the target",
        "I5",
        HTTP_ACTION,
        "names = self._names(before=dict(before.fields), key=key, version=before.version)",
        'names = self._names(before=dict(before.fields), key=key, version="")',
        HTTP_ACTION_TESTS + "test_the_version_that_was_decided_on_goes_to_the_target",
    ),
    Mutant(
        "a dry run carries the real key",
        "I8",
        HTTP_ACTION,
        'await self._send(context, self.spec.dry_run, before, "dry-run")',
        'await self._send(context, self.spec.apply, before, "dry-run")',
        HTTP_ACTION_TESTS + "test_a_dry_run_asks_the_platform_where_one_is_declared",
    ),
    Mutant(
        "a name that fits twice is the first",
        "I16",
        CATALOG,
        "if len(set(fitting)) == 1:",
        "if fitting:",
        CATALOG_TESTS + "test_a_workload_name_in_two_clusters_is_never_guessed",
    ),
    Mutant(
        "an undo-only action is offered",
        "I12",
        TOOLBOX,
        " and not a.undo_only",
        "",
        ALERT_ACTIONS_TESTS + "test_what_only_undoes_is_offered_to_nobody",
    ),
)
