"""After an UNKNOWN the incident waits for a person; their word lets it go on, to verification or to thinking again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from agent.api import App
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import fold
from agent.domain.timeline import EventKind
from agent.gate.executor import Executor
from agent.graph.worker import RestKind, settled_news
from tests.gate.world import NOON
from tests.graph.test_graph import END, LOOK, MENDED, Scripted, finish, incident, me, replicas, scale
from tests.told import plain as event
from tools.context import Context
from tools.kubernetes.actions import ScaleWorkload
from tools.spec import Receipt
from tools.spec import State as Seen


class ScaleWorkloadAndSeeNothing(ScaleWorkload):
    """The platform takes it and does nothing, so that nobody can tell."""

    sent: ClassVar[list[str]] = []

    @classmethod
    def name(cls) -> str:
        return "scale_workload"

    async def apply(self, context: Context, before: Seen, key: str) -> Receipt:
        self.sent.append(key)
        return Receipt("accepted")


def swallowing(app: App) -> None:
    """A executor over a platform that swallows what it takes."""
    book, old = app.api.run_context, app.api.judge.executor
    actions = app.tools.by_name() | {"scale_workload": ScaleWorkloadAndSeeNothing}
    policy = old.policy
    app.api.judge.executor = Executor(
        book.db, book.clock, lambda: policy, actions, book.context_of, lambda _p, _a: True
    )


@pytest.mark.parametrize("done", [True, False])
async def test_a_persons_word_lets_the_incident_go_on(tmp_path: Path, done: bool) -> None:
    ScaleWorkloadAndSeeNothing.sent.clear()
    reasoner = Scripted([LOOK, scale(), MENDED if done else END])
    async with incident(tmp_path, reasoner) as (app, identity):
        swallowing(app)
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        rest = await app.api.work(identity)
        assert (rest.kind, rest.waits_for) == (RestKind.PERSON, "person")
        assert (await app.api.incident_view(identity)).incident.state is State.NEEDS_INPUT
        assert (await app.api.work(identity)).kind is RestKind.PERSON, "nothing goes on by itself"
        if done:  # a person finished the job by hand, and says so
            action = ScaleWorkload.parse(dict(proposal.arguments)).resolved(app.api.context())
            await action.apply(app.api.context(), await action.observe(app.api.context()), "by-hand")
        await app.api.settle(proposal.id, me(app), done, "I looked at the cluster")
        rest, incident_view = await finish(app, identity)
        assert rest.kind is RestKind.ENDED
        assert incident_view.incident.state is (State.RECOVERED if done else State.HANDED_OVER)
        assert bool(incident_view.verifications.get(proposal.id)) is done
        assert await replicas(app) == (6 if done else 3)
        assert incident_view.outcomes[proposal.id].actor == me(app).principal
        assert await app.api.audit() == []
    assert len(ScaleWorkloadAndSeeNothing.sent) == 1, "what was settled is never sent again"


@pytest.mark.parametrize(
    ("parent", "outcome", "news"),
    [
        (None, "DONE", "settled:inc-p2"),  # what was done is watched
        (None, "NOT_DONE", "answered:inc-p2"),
        ("inc-p1", "DONE", "answered:inc-p2"),  # a fix that was taken back is none to watch
        ("inc-p1", "NOT_DONE", "answered:inc-p2"),
    ],
)
def test_what_a_persons_word_on_an_unknown_leads_to(parent: str | None, outcome: str, news: str) -> None:
    told = {"proposal": "inc-p2", "outcome": outcome, "settled_by": "ann"}
    events = [
        event(EventKind.PROPOSAL, "stanch", id="inc-p2", parent=parent),
        event(EventKind.OUTCOME, "os:ann", **told),
    ]
    incident_view = fold(Incident("inc", State.NEEDS_INPUT, Kind.INFRA, "t", NOON), (), events)
    found = settled_news(incident_view)
    assert found is not None
    assert f"{found.why}:{found.proposal}" == news
    asked = [*events, event(EventKind.QUESTION, "runbook", text="and now?")]
    assert settled_news(fold(incident_view.incident, (), asked)) is None
