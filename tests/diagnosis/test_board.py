"""The board: symptoms in, candidates out. Names are of no platform of ours."""

from __future__ import annotations

from datetime import timedelta

from agent.diagnosis.board import Board, board
from agent.diagnosis.causes import table
from agent.domain.cause import Fault
from agent.domain.evidence import Evidence, ReadOutcome
from tests.contexts import NOON
from tools.context import Subject
from tools.spec import Fact
from tools.symptoms import HURTS, TELLS, Symptom, symptom_facts

BEGAN = NOON.timestamp()
API = Subject("Deployment", "c1", "tickets", "api")
DATABASE = Subject("StatefulSet", "c1", "tickets", "ledger")
OWN, BELOW, BESIDE = {"relation": "own"}, {"relation": "below", "steps": "1"}, {"relation": "beside"}


def evidence(*found: Symptom, facts: tuple[Fact, ...] = ()) -> dict[str, Evidence]:
    when = NOON + timedelta(minutes=5)
    told = (*symptom_facts(found, ""), *facts)
    return {"E1": Evidence("E1", "survey", {}, "runbook", when, when, ReadOutcome.OK, "", told)}


def seen(*found: Symptom) -> Board:
    return board(evidence(*found), BEGAN)


def signal(subject: Subject, name: str, state: str = "high", since: float = BEGAN, **labels: str) -> Symptom:
    return Symptom(
        subject, "signal", f"{name} {state}", HURTS, name, (since - 300, since), None, {"state": state, **labels}
    )


def test_what_tells_by_itself_is_named_with_its_subject() -> None:
    found = seen(
        Symptom(API, "unschedulable", "no room", HURTS, "cpu", labels=OWN),
        Symptom(API, "unready", "0 of 2", labels=OWN),
    )
    assert found.named is not None
    assert (found.named.fault, found.named.subject) == (Fault.SCHEDULING, API)
    assert found.named.confidence >= 0.9


def test_one_sign_that_others_share_is_not_named() -> None:
    assert seen(signal(API, "memory_use", **OWN)).named is None


def test_nothing_out_of_order_has_no_candidate() -> None:
    assert seen() == Board()


def test_what_points_at_a_database_gives_way_to_what_is_wrong_with_it() -> None:
    refused = Symptom(
        API,
        "log_line",
        "connection refused: ledger:5432",
        HURTS,
        "refused",
        None,
        Subject("Service", "", "", "ledger"),
        OWN,
    )
    stuck = Symptom(DATABASE, "unschedulable", "claim is unbound", HURTS, "claim_unbound", labels=BELOW)
    found = seen(refused, Symptom(API, "exits", "exit 1", HURTS, "error", labels=OWN), stuck)
    assert found.named is not None
    assert (found.named.fault, found.named.subject) == (Fault.SCHEDULING, DATABASE)
    assert {one.symptom.kind for one in found.named.explains} == {"log_line", "exits"}
    assert Fault.DEPENDENCY_DOWN not in {one.fault for one in found.candidates}


def test_a_peer_that_nobody_sees_is_what_its_caller_points_at() -> None:
    peer = Subject("Service", "", "", "db.provider.example")
    found = seen(Symptom(API, "log_line", "i/o timeout", HURTS, "timeout", None, peer, OWN))
    assert found.named is not None
    assert (found.named.fault, found.named.subject) == (Fault.DEPENDENCY_DOWN, peer)


def test_a_change_is_a_cause_only_shortly_before_damage() -> None:
    def changed(before_s: float) -> Symptom:
        return Symptom(API, "changed", "image 1.2 to 1.3", TELLS, "image", (BEGAN - before_s,) * 2, None, OWN)

    failing = signal(API, "error_ratio", **OWN)
    named = seen(changed(300), failing).named
    assert named is not None
    assert named.fault is Fault.BAD_DEPLOY
    assert seen(changed(6 * 3600), failing).named is None
    assert seen(changed(300)).candidates == ()


def test_trouble_of_something_beside_is_not_the_cause_of_ones_own() -> None:
    found = seen(Symptom(DATABASE, "image_pull", "not found", HURTS, "tag_unknown", labels=BESIDE))
    assert found.named is None


def test_what_began_long_after_is_a_consequence() -> None:
    early, late = (seen(signal(API, "cpu_throttling", since=BEGAN + s, **OWN)).candidates[0].score for s in (0, 3600))
    assert late < early


def test_the_same_thing_read_twice_is_one_symptom_and_the_newer_counts() -> None:
    older, newer = evidence(signal(API, "queue_age"))["E1"], evidence(signal(API, "queue_age"))["E1"]
    both = {"E1": older, "E2": Evidence("E2", *(getattr(newer, name) for name in list(Evidence.__slots__)[1:]))}
    found = board(both, BEGAN)
    assert [one.evidence for one in found.symptoms] == ["E2"]


def test_every_fault_of_the_table_is_there_once() -> None:
    faults = [entry.fault for entry in table()]
    assert len(faults) == len(set(faults))
    assert not {Fault.NONE, Fault.UNKNOWN} & set(faults)


def test_a_version_whose_new_pods_alone_fail_explains_how_they_fail() -> None:
    rolled = Symptom(API, "changed", "4 to 5", TELLS, "image", (BEGAN - 600,) * 2, None, {**OWN, "dose": "new"})
    probe = Symptom(API, "probe_failing", "404", HURTS, "path", labels=OWN)
    named = seen(rolled, probe).named
    assert named is not None
    assert named.fault is Fault.BAD_DEPLOY
    missing = Symptom(API, "config_missing", "no key", HURTS, "secret_key", labels=OWN)
    named = seen(rolled, missing).named
    assert named is not None
    assert named.fault is Fault.BAD_CONFIG
