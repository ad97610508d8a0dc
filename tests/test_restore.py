"""A backup is put back under the application: nothing goes on by itself, a person is called, and settles it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from agent.api import App
from agent.domain.incident import State
from agent.domain.timeline import EventKind
from agent.errors import Unsettled
from agent.gate.proposal import ProposalState
from agent.graph.run_context import RunContext
from agent.graph.worker import RestKind
from agent.service.escalation import Escalation
from agent.store.database import SQLITE_FILE
from tests.graph.test_graph import LOOK, MENDED, Scripted, finish, incident, me, replicas, scale
from tests.service.test_dispatcher import watching
from tools.context import Backend, Backends


def copied(app: App, back: bool = False) -> None:
    """The database to a backup, or the backup back into the database, while the application is open."""
    folder = app.settings.data
    ends = [folder / SQLITE_FILE, folder / "backup.db"]
    with closing(sqlite3.connect(ends[back])) as here, closing(sqlite3.connect(ends[not back])) as there:
        here.backup(there)


async def put_back(app: App, name: str) -> str:
    """Backed up while it waits for its approval, approved, run, and put back."""
    await app.api.work(name)
    (proposal,) = await app.api.proposals()
    copied(app)
    await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
    rest, _ = await finish(app, name)
    assert rest.kind is RestKind.ENDED
    copied(app, back=True)
    return proposal.id


async def test_what_is_behind_its_anchors_is_not_run_and_a_person_is_called(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, name):
        await put_back(app, name)
        before, run = len(await app.api.events(name)), (await app.api.incident_view(name)).incident.run
        with pytest.raises(Unsettled, match="has lost events"):
            await app.api.work(name)
        assert (await app.api.incident_view(name)).incident.run == run, "no run has begun"
        async with watching(app):
            while name not in app.api.run_context.db.unsettled:
                await app.clock.sleep(0)
        assert len(await app.api.events(name)) == before, "nothing is added to it"
        called = await calls(app)
        assert [one["labels"]["incident"] for one in called if one["labels"]["alertname"] == "StanchNeedsPerson"] == [
            name
        ]


async def test_the_id_of_an_incident_that_a_restore_has_lost_is_not_used_again(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, name):
        (alert,) = (await app.api.incident_view(name)).alerts
        with closing(sqlite3.connect(app.settings.data / SQLITE_FILE)) as db, db:
            for table, column in (("alerts", "incident"), ("events", "incident"), ("incidents", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
        (received,) = await app.api.receive([alert])
        assert received.incident
        assert received.incident != name, "what it had told is anchored, and would be contradicted"
        assert received.incident.startswith(name)


async def calls(app: App) -> list[dict[str, dict[str, str]]]:
    """What an Alertmanager is sent."""
    sent: list[dict[str, dict[str, str]]] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.extend(json.loads(request.content))
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(take), base_url="http://alertmanager") as http:
        backends = Backends((Backend("alertmanager", "am", "http://alertmanager", http),))
        book: RunContext = replace(app.api.run_context, backends=backends)
        await Escalation(book, timedelta()).look()
    return sent


async def test_a_restored_incident_asks_a_person_and_goes_on_when_it_is_answered(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, name):
        proposal = await put_back(app, name)
        assert await replicas(app) == 6
        (settled,) = [
            one for one in await app.api.accept_restore(me(app), "the backup was put back") if one.incident == name
        ]
        assert settled.unknown == (proposal,)
        rest = await app.api.work(name)
        assert (rest.kind, rest.waits_for) == (RestKind.PERSON, "person")
        incident_view = await app.api.incident_view(name)
        assert incident_view.incident.state is State.NEEDS_INPUT
        await app.api.settle(proposal, me(app), True, "six replicas run")
        rest, incident_view = await finish(app, name)
        assert rest.kind is RestKind.ENDED
        assert incident_view.incident.state.ended
        assert len([e for e in incident_view.events if e.kind is EventKind.INTENT]) == 0, "it was not started once more"
        assert await app.api.audit() == []


async def test_an_answer_in_words_lets_it_think_again(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED, LOOK, MENDED])) as (app, name):
        proposal = await put_back(app, name)
        await app.api.accept_restore(me(app), "the backup was put back")
        await app.api.steer(name, me(app), "it is well again, go on")
        rest, incident_view = await finish(app, name)
        assert rest.kind is RestKind.ENDED
        assert (await app.api.proposals_of(name))[0].state is ProposalState.UNKNOWN
        assert proposal in incident_view.outcomes
        assert await app.api.audit() == []
