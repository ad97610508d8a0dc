"""Symptoms travel as facts and come back as they were."""

from __future__ import annotations

from tools.context import Subject
from tools.spec import Fact
from tools.symptoms import TELLS, Symptom, symptom_facts, symptoms_of

MAILER = Subject("Deployment", "prod", "shop", "mailer")
DATABASE = Subject("Database", "", "", "orders/main")  # a name may hold what separates


def test_a_symptom_reads_back_from_its_fact_unchanged() -> None:
    found = [
        Symptom(
            MAILER, "log_line", "refused", TELLS, "authentication", (10.0, 20.5), DATABASE, {"line": "Access denied"}
        ),
        Symptom(DATABASE, "unready", "0 of 3 ready"),
    ]
    facts = symptom_facts(found, "w")
    assert [fact.id for fact in facts] == ["s1", "s2"]
    assert symptoms_of(facts) == [("s1", found[0]), ("s2", found[1])]


def test_other_facts_are_no_symptoms() -> None:
    assert symptoms_of([Fact("s1", "a member", 3, "count"), Fact("state", "x", "high", "", {"severity": "3"})]) == []


def test_the_same_thing_in_other_words_is_one_symptom() -> None:
    assert Symptom(MAILER, "unready", "a").same_as(Symptom(MAILER, "unready", "b"))
    assert not Symptom(MAILER, "unready", "a").same_as(Symptom(MAILER, "unready", "a", reason="probe"))
