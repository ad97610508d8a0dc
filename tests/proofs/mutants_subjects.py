"""Mutants of subjects and of what belongs together: an exporter taken for the object, two troubles in one incident."""

from __future__ import annotations

from tests.proofs.mutants import Mutant

SUBJECTS, WORDS, INDICATOR = "agent/platform/subjects.py", "agent/platform/vocabulary.py", "agent/platform/indicator.py"
PODS, KINSHIP, BOARD, GROUPING = (
    "tools/kubernetes/pod_names.py",
    "agent/service/kinship.py",
    "agent/service/correlate.py",
    "agent/service/grouping.py",
)
TABLE, KIN, STORED = (
    "tests/platform/test_subjects.py",
    "tests/service/test_kinship.py",
    "tests/service/test_grouping.py",
)

MUTANTS = (
    Mutant(
        "a label of the scrape names the object",
        "subject",
        SUBJECTS,
        "        return True\n    return name in family.exporters and words.is_exporter(value)",
        "        return False\n    return name in family.exporters and words.is_exporter(value)",
        TABLE,
    ),
    Mutant(
        "the scrape's label beats the exported one",
        "subject",
        SUBJECTS,
        "exported = {name.removeprefix(_EXPORTED): name for name in labels if name.startswith(_EXPORTED)}",
        "exported: dict[str, str] = {}",
        TABLE,
    ),
    Mutant(
        "a condition beside the measure names the subject",
        "subject",
        INDICATOR,
        'if kind == "BinaryExpr" and str(node.op) in _CONDITIONS and pql.selectors(node.lhs):',
        "if False:",
        TABLE,
    ),
    Mutant(
        "a recorded series is not followed",
        "subject",
        INDICATOR,
        "if depth and (behind := recorded.get(pql.metric_of(node))):",
        'if False and (behind := ""):',
        f"{TABLE}::test_a_burn_rate_alert_is_about_what_its_indicator_measures",
    ),
    Mutant(
        "an exporter that is down is about what it reports on",
        "subject",
        WORDS,
        "if pattern.match(value) and (family.itself or not target):",
        "if pattern.match(value):",
        TABLE,
    ),
    Mutant(
        "a pod of payments-worker is one of payments",
        "subject",
        PODS,
        'return ("Deployment" if found["hash"] else "DaemonSet"), found["of"]',
        'return ("Deployment" if found["hash"] else "DaemonSet"), found["of"].partition("-")[0]',
        TABLE,
    ),
    Mutant(
        "two queues of one broker are one trouble",
        "correlation",
        BOARD,
        '(beside(subjects), ("about",))',
        '(beside(subjects), ("about", "beside"))',
        f"{KIN}::test_two_queues_of_one_broker_are_two_troubles_and_the_broker_joins_either",
    ),
    Mutant(
        "an alert that has cleared holds an incident open",
        "correlation",
        BOARD,
        "return any(not resolved for _, resolved in self._standing.get(incident, {}).values())",
        "return bool(self._standing.get(incident))",
        f"{KIN}::test_an_alert_joins_while_an_earlier_one_of_the_same_thing_still_fires",
    ),
    Mutant(
        "what a person has gathers nothing",
        "correlation",
        GROUPING,
        "return ended.ended_at >= now - HELD and self._board.fires(ended.id)",
        "return False",
        f"{STORED}::test_a_later_alert_joins_what_was_handed_over_while_the_first_still_fires",
    ),
    Mutant(
        "an alert without a channel is spared its investigation",
        "correlation",
        GROUPING,
        "in_a_storm(one, threads, mentioned, self._most_threads) if disturbs else one",
        "in_a_storm(one, len(batch.routed), mentioned, self._most_threads)",
        f"{STORED}::test_seven_unrelated_alerts_are_all_investigated_where_no_thread_is_opened_for_them",
    ),
)
