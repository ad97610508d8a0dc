"""Scenes of incidents that never were, every text of which a test may choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.domain.alert import Alert, AlertStatus
from agent.domain.catalog import Catalog, file_type
from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, Guard, SuccessTest
from agent.domain.events import (
    DecisionMade,
    EffectChecked,
    EvidenceRecorded,
    FindingMade,
    IntentDeclared,
    OutcomeKnown,
    ProposalSealed,
    QuestionAsked,
    ReplyGiven,
    StateChanged,
    TimelineEvent,
)
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Finding
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import fold
from agent.domain.moves import Call, Look, NotChecked, Propose, RuledOut
from agent.domain.notes import GivenToPerson, MoveMade, Recalled, RunbookFound, Steered
from agent.domain.timeline import Event
from agent.domain.urgency import Depth, Urgency
from agent.gate.policy import Verdict
from agent.gate.proposal import Proposal, ProposalState, Undo, seal
from agent.surfaces.slack.card_context import Scene
from tools.context import Service, Target
from tools.spec import Fact, Risk
from tools.spec import State as TargetState

AT = datetime(2026, 11, 17, 15, 38, tzinfo=UTC)
INCIDENT = "inc-1"
Text = Callable[[str], str]  # the place of a text → what stands there


def as_named(place: str) -> str:
    return place


def proposal(text: Text = as_named, state: ProposalState = ProposalState.OPEN, **changes: Any) -> Proposal:
    target = Target("workload", text("target"), text("cluster"), "ml", text("environment"), "demand-forecast")
    check = Check("query_metrics", {"promql": text("promql")}, "< 1")
    made = Proposal(
        id="inc-1-p1",
        incident=INCIDENT,
        n=1,
        parent=None,
        action="scale_workload",
        arguments={"replicas": 8},
        target=target,
        risk=Risk.REVERSIBLE,
        before=TargetState({"replicas": 4, "note": text("before")}, "1"),
        after=TargetState({"replicas": 8, "note": text("after")}, "1"),
        key="k",
        success=SuccessTest((check,), guards=(Guard(check, name=text("guard")),)),
        baseline=(1.0,),
        undo=Undo("scale_workload", {"replicas": 4}, text("undo")),
        undo_covered=True,
        covered=False,
        untrusted=(text("untrusted"),),
        policy_version="v1",
        verdict=Verdict.ASK,
        rule=text("rule"),
        command=text("command"),
        dry_run=text("dry run"),
        why=text("why"),
        cause=Cause("demand-forecast", Fault.CPU_CONTENTION, 0.9),
        requester="runbook",
        requester_person=None,
        created_at=AT,
        approve_by=AT + timedelta(hours=1),
        execute_within=timedelta(minutes=15),
        quorum=2,
        approvers=(text("approver"),),
        requester_may_approve=False,
    )
    return replace(seal(replace(made, **changes)), state=state, note=text("note"))


def happened(text: Text, made: Proposal) -> list[tuple[str, TimelineEvent]]:
    """Everything that may stand on a timeline, with texts of the test's choice."""
    facts = tuple(Fact(f"{name}.mean", text("fact"), 1.0, "s") for name in ("now", "before"))
    link = "https://prometheus.example/graph?g0.expr=up"
    evidence = Evidence(
        "E1", "query_metrics", {}, "runbook", AT, AT, ReadOutcome.OK, text("summary"), facts, link, "", text("measure")
    )
    failed = replace(evidence, id="E2", outcome=ReadOutcome.FAILED, why=text("failed read"), summary=text("failure"))
    propose = Propose(
        made.action,
        made.arguments,
        made.why,
        (),
        Cause(text("component"), Fault.CPU_CONTENTION, 0.9),
        made.success,
        ruled_out=(RuledOut(text("ruled out"), text("ruled out why"), ("E1",)),),
        not_checked=(NotChecked(text("unchecked"), text("unchecked why")),),
    )
    found = [FindingMade(finding=Finding(text(f"finding {i}"), "", ("E1",))) for i in range(7)]
    decided = DecisionMade(proposal=made.id, answer="approve", by=text("by"), reason=text("reason"), digest=made.digest)
    return [
        ("stanch", Recalled(runbooks=(RunbookFound(text("runbook"), 1, "", "x"),))),
        (
            "runbook",
            MoveMade(by="runbook", number=1, move=Look(tuple(Call("r", {}, text(f"call {i}")) for i in range(2)))),
        ),
        ("runbook", EvidenceRecorded(evidence=evidence, extra={"call": "1:0"})),
        ("runbook", EvidenceRecorded(evidence=failed, extra={"call": "1:1"})),
        ("runbook", MoveMade(by="runbook", number=2, move=propose)),
        *(("runbook", one) for one in found),
        ("runbook", ProposalSealed.from_json(made.to_json())),
        ("runbook", QuestionAsked(text=text("question"))),
        ("os:ann", QuestionAsked(text=text("asked"), to="stanch")),
        ("runbook", ReplyGiven(text=text("reply"), evidence=("E1",), to="os:ann", question=text("asked"))),
        ("os:ann", Steered(steer=text("steer"))),
        ("os:ann", decided),
        ("stanch", IntentDeclared(proposal=made.id)),
        ("stanch", OutcomeKnown(proposal=made.id, outcome="UNKNOWN", why=text("outcome"))),
        (
            "stanch",
            EffectChecked(proposal=made.id, recovered=None, why="w", measured=(text("measured"),), evidence=("E1",)),
        ),
        ("runbook", GivenToPerson(hand_over=text("hand over"))),
        ("stanch", StateChanged(from_=State.VERIFYING, to=State.HANDED_OVER, why="w")),
    ]


def scene(text: Text = as_named, state: ProposalState = ProposalState.UNKNOWN, title: str = "") -> Scene:
    """A whole incident, handed over at the end."""
    made = proposal(text, state)
    events = [
        Event(n, INCIDENT, 1, AT + timedelta(seconds=20 * n), told.KIND, actor, told.to_json(), "", "")
        for n, (actor, told) in enumerate(happened(text, made), 1)
    ]
    labels = {"alertname": text("alert"), "service": "demand-forecast", "cluster": text("label"), "namespace": "ml"}
    annotations = {"summary": text("annotation"), "runbook_url": f"https://runbooks.example/{text('runbook url')}"}
    alert = Alert("alertmanager", "f1", AlertStatus.FIRING, labels, annotations, AT)
    incident = Incident(
        INCIDENT,
        State.HANDED_OVER,
        Kind.JOINT,
        title or text("title"),
        AT,
        text("severity"),
        ("f1",),
        labels,
        1,
        AT,
        AT + timedelta(minutes=9),
    )
    service = Service(
        name="demand-forecast", match={"service": "demand-forecast"}, environment=text("env"), owner=text("owner")
    )
    needs = Service(name=text("dependent"), match={"x": "y"}, depends_on=("demand-forecast",))
    catalog = Catalog(
        {service.name: service, needs.name: needs},
        {},
        file_type().model_validate({"people": {"ann": {"os_user": "ann"}}}).people,
    )
    attention = Urgency(INCIDENT, Depth.INVESTIGATE, "C1", ("S0ONCALL", text("mention")), text("route"))
    return Scene(fold(incident, (alert,), events), attention, catalog, {made.id: made})
