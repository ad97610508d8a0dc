"""What has become of a wait, by the facts: pure questions to a timeline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.domain.alert import Alert, AlertStatus, standing
from agent.domain.cause import Cause, Fault
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView, fold
from agent.domain.timeline import Event, EventKind
from agent.gate.proposal import ProposalState
from agent.graph.steps.conclude import final_state
from agent.graph.worker import approval_news, cleared, spoken_since_asked, steered_since_proposed
from agent.reasoner.protocol import Conclude
from tests.gate.world import NOON
from tests.surfaces.slack.scenes import proposal
from tests.told import plain as event

PROPOSED = event(EventKind.PROPOSAL, "stanch", id="inc-1-p1", parent=None)
STEERED = event(EventKind.NOTE, "os:ann", steer="look at the database")
CONCLUDE = Conclude((), Cause("web", Fault.CPU_CONTENTION))


def case(*events: Event, alerts: tuple[Alert, ...] = ()) -> IncidentView:
    return fold(Incident("inc-1", State.INVESTIGATING, Kind.INFRA, "t", NOON), alerts, events)


def alert(fingerprint: str, status: str, minute: int = 0, **more: Any) -> Alert:
    return Alert("alertmanager", fingerprint, AlertStatus(status), {}, {}, NOON + timedelta(minutes=minute), **more)


@pytest.mark.parametrize(
    ("alerts", "all_clear"),
    [
        ([alert("a", "resolved"), alert("b", "resolved")], True),
        ([alert("a", "resolved"), alert("b", "firing")], False),
        ([alert("a", "firing"), alert("a", "resolved")], True),
        ([alert("a", "firing", 5), alert("a", "resolved", 0)], False),  # it fires again; the older end came late
        ([alert("a", "resolved", 0), alert("a", "firing", 5)], False),
        ([alert("a", "resolved", 5), alert("a", "firing", 0)], True),  # sent again, and older than its end
    ],
)
def test_it_is_over_when_the_newest_signal_of_every_alert_says_so(alerts: list[Alert], all_clear: bool) -> None:
    assert cleared(alerts) is all_clear
    assert len(standing(alerts)) == len({one.fingerprint for one in alerts})


@pytest.mark.parametrize(
    ("state", "minutes", "events", "alerts", "news"),
    [
        ("open", 0, [PROPOSED], [alert("a", "firing")], None),
        ("open", 0, [PROPOSED], [], None),
        ("open", 0, [PROPOSED], [alert("a", "resolved")], "cleared"),
        ("open", 0, [PROPOSED, STEERED], [alert("a", "firing")], "steered"),
        ("open", 0, [STEERED, PROPOSED], [alert("a", "firing")], None),  # said before, and heard
        ("open", 60, [PROPOSED], [alert("a", "firing")], "expired"),
        ("open", 59, [PROPOSED], [alert("a", "firing")], None),
        ("approved", 60, [PROPOSED, STEERED], [alert("a", "resolved")], "approved"),
        ("denied", 0, [PROPOSED], [alert("a", "firing")], "denied"),
        ("revoked", 0, [PROPOSED], [alert("a", "firing")], "denied"),
        ("denied_by_policy", 0, [PROPOSED], [alert("a", "firing")], "denied"),
    ],
)
def test_what_becomes_of_an_approval_that_is_awaited(
    state: str, minutes: int, events: list[Event], alerts: list[Alert], news: str | None
) -> None:
    one = replace(proposal(state=ProposalState(state)), id="inc-1-p1", approve_by=NOON + timedelta(hours=1))
    found = approval_news(one, case(*events, alerts=tuple(alerts)), NOON + timedelta(minutes=minutes))
    assert found == news


def test_only_what_is_said_after_a_proposal_steers_away_from_it() -> None:
    assert not steered_since_proposed(case(STEERED, PROPOSED), "inc-1-p1")
    assert not steered_since_proposed(case(PROPOSED, STEERED), "inc-1-p2")
    assert steered_since_proposed(case(STEERED, PROPOSED, STEERED), "inc-1-p1")


def test_a_question_is_answered_by_what_is_said_after_it() -> None:
    asked = event(EventKind.QUESTION, "runbook", text="is the sale on?")
    lost = event(EventKind.OUTCOME, "stanch", proposal="inc-1-p1", outcome="UNKNOWN")
    answered = event(EventKind.REPLY, "os:ann", to="stanch", text="yes")
    ours = event(EventKind.REPLY, "runbook", to="os:ann", text="p99 is 2 s")
    for opened in (asked, lost):
        assert not spoken_since_asked(case(STEERED, opened))
        assert not spoken_since_asked(case(opened, ours)), "our own words answer nothing"
        assert spoken_since_asked(case(opened, STEERED))
        assert spoken_since_asked(case(opened, answered))


@pytest.mark.parametrize(
    ("recovered", "taken_over", "hand_over", "state"),
    [
        (True, False, None, State.RECOVERED),
        (True, False, "call the owner", State.HANDED_OVER),
        (True, True, None, State.RECOVERED),
        (False, False, None, State.HANDED_OVER),
        (None, False, None, State.HANDED_OVER),  # nothing was seen yet
        ("never looked", False, None, State.HANDED_OVER),
    ],
)
def test_recovered_is_the_word_of_what_was_seen(
    recovered: Any, taken_over: bool, hand_over: str | None, state: State
) -> None:
    looked = event(EventKind.VERIFICATION, "stanch", proposal="inc-1-p1", recovered=recovered, final=True)
    events = [PROPOSED, *([] if recovered == "never looked" else [looked])]
    if taken_over:
        events.append(event(EventKind.NOTE, "os:ann", steer="taken over", halt="taken over", who="ann"))
    assert final_state(case(*events), replace(CONCLUDE, hand_over=hand_over)) is state


def test_a_cause_of_none_and_an_unknown_one_end_as_what_they_are() -> None:
    for fault, state in ((Fault.NONE, State.NO_FAULT), (Fault.UNKNOWN, State.INCONCLUSIVE)):
        assert final_state(case(), replace(CONCLUDE, cause=Cause("", fault))) is state
    assert final_state(case(PROPOSED), replace(CONCLUDE, cause=Cause("", Fault.UNKNOWN))) is State.HANDED_OVER
