"""Whom the first look points at."""

from __future__ import annotations

from agent.diagnosis.follow import next_subjects
from agent.platform.map_names import reference
from tests.diagnosis.test_board import API, BELOW, DATABASE, OWN, seen
from tools.context import Subject
from tools.symptoms import HURTS, Symptom


def refused(accused: Subject) -> Symptom:
    return Symptom(API, "log_line", "connection refused", HURTS, "refused", None, accused, OWN)


def test_what_is_accused_is_looked_at_once() -> None:
    board = seen(refused(DATABASE))
    assert next_subjects(board, ()) == [DATABASE]
    assert next_subjects(board, (DATABASE,)) == []


def test_a_host_that_is_no_object_of_the_cluster_cannot_be_looked_at() -> None:
    assert next_subjects(seen(refused(Subject("Service", "", "", "db.provider.example"))), ()) == []


def test_what_suffers_below_without_a_reason_is_looked_at() -> None:
    silent = Symptom(DATABASE, "exits", "exit 1", HURTS, "error", labels=BELOW)
    assert next_subjects(seen(silent), ()) == [DATABASE]
    told = Symptom(DATABASE, "unschedulable", "no room", HURTS, "cpu", labels=BELOW)
    assert next_subjects(seen(silent, told), ()) == []


def test_it_is_named_as_a_read_takes_it() -> None:
    assert reference(DATABASE) == "StatefulSet/c1/tickets/ledger"
    assert reference(Subject("Node", "c1", "", "oak")) == "Node/c1/oak"
