"""Mutants of the tools: what is sent to a target, with what precondition, to which one; what an answer is taken for."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

FETCH = "tools/fetch.py"
MLFLOW = "tools/mlflow.py"
MODELS = "tools/models.py"
SENDING = "tools/sending.py"
WORKLOAD_ACTIONS = "tools/workload_actions.py"
REDIRECTS_TESTS = "tests/tools/test_redirects.py::"
WORKLOAD_ACTIONS_TESTS = "tests/tools/test_workload_actions.py::"

MUTANTS = (
    Mutant("a workload that another controller owns is changed", "I5", WORKLOAD_ACTIONS, "if owner := controller_of(whole):", "if (owner := controller_of(whole)) and not reference:", WORKLOAD_ACTIONS_TESTS + "test_a_workload_that_another_controller_owns_is_refused_by_its_name"),
    Mutant("a look follows redirects", "I13", FETCH, "path, follow_redirects=False, **sent", "path, follow_redirects=True, **sent", REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool"),
    Mutant("a look at the registry follows redirects", "I13", MLFLOW, "path, follow_redirects=False, **sent", "path, follow_redirects=True, **sent", REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool"),
    Mutant("a redirect's body is the served version", "I17", MODELS, "    if not response.is_success:\n        raise ToolFailed(f\"{url} answered HTTP", "    if response.status_code >= 400:\n        raise ToolFailed(f\"{url} answered HTTP", REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool"),
    Mutant("an observation follows redirects", "I5", SENDING, "response = await http.get(url, follow_redirects=False, **how)", "response = await http.get(url, follow_redirects=True, **how)", REDIRECTS_TESTS + "test_a_redirect_is_followed_by_no_tool"),
)  # fmt: skip
