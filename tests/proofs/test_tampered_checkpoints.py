"""A checkpoint is no authority: whatever stands in it, nothing runs but what was approved, and no code comes out of it."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.api import App
from agent.app import open_app
from agent.domain.incident import State
from agent.errors import StanchError
from agent.lab.server import Lab
from agent.reasoner.protocol import Thought, View
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tests.command_line import TOP
from tests.graph.test_graph import END, LOOK, me, scale
from tests.proofs.report import Report
from tests.proofs.tampered import PAYLOADS, Rows

CI = (
    "act on what waits",
    "act on what was denied",
    "an answer that says approved",
    "os.system",
    "half a blob",
)


class ByIncident:
    """Proposes until something was proposed twice (once, of another service), and then gives up."""

    name = "scripted"

    async def next_move(self, view: View) -> Thought:
        proposed = sum(event.kind.value == "proposal" for event in view.events)
        if not view.evidence:
            return Thought(LOOK, self.name)
        if view.incident.labels.get("service") == "web":
            return Thought(END if proposed else scale(7, "eu-1/shop/web"), self.name)
        return Thought(END if proposed > 1 else scale(5 + proposed), self.name)


@dataclass(frozen=True)
class Kept:
    """A data folder in which one incident waits for its second proposal and another for its first."""

    folder: Path
    incident: str
    denied: str
    open: str
    other: str
    elsewhere: str


def session(folder: Path) -> Session:
    return Session(functools.partial(open_app, reasoner=ByIncident()), {"data": str(folder)})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return asyncio.run(prepared(tmp_path_factory.mktemp("waiting")))


async def prepared(folder: Path) -> Kept:
    async with demo_env.begun(session(folder), [], "forecast-contention", 1) as (app, alerts, _):
        labels = {**alerts[0].labels, "service": "web", "namespace": "shop"}
        earlier = alerts[0].starts_at - timedelta(hours=3)
        of_web = replace(alerts[0], labels=labels, fingerprint="of-web", starts_at=earlier)
        mine, other = [str((await app.api.receive([alert]))[0].incident) for alert in (alerts[0], of_web)]
        denied = await app.api.proposal(str((await app.api.work(mine)).proposal))
        await app.api.decide(denied.id, denied.digest, me(app), "deny", "too few")
        waits, waits_elsewhere = await app.api.work(mine), await app.api.work(other)
        return Kept(folder, mine, denied.id, str(waits.proposal), str(waits_elsewhere.proposal), other)


@asynccontextmanager
async def tampered(kept: Kept, place: Path, payload: str, approved: bool) -> AsyncIterator[tuple[App, Lab]]:
    """A copy of the folder after somebody has been at its checkpoints, before or after an honest approval."""
    shutil.copytree(kept.folder, place)
    lab = Lab.resume(place / "demo" / "lab")
    assert lab is not None
    if approved:
        async with lab.served(), demo_env._application(session(place), lab, place / "demo", []) as app:
            found = await app.api.proposal(kept.open)
            await app.api.decide(found.id, found.digest, me(app), "approve")
    with closing(sqlite3.connect(place / "demo" / "checkpoints.db")) as raw, raw:
        known = (kept.incident, kept.denied, kept.open, kept.other, kept.elsewhere)
        PAYLOADS[payload](Rows(raw, *known, place / "code-ran"))
    async with lab.served(), demo_env._application(session(place), lab, place / "demo", []) as app:
        yield app, lab


async def gone_on(app: App, incident: str) -> None:
    """Until it rests or ends; what cannot be read is said, and ends the run."""
    try:
        for _ in range(3):  # far enough to act and to begin to verify
            rest = await app.api.work(incident)
            if rest.due is None or rest.kind.value != "clock":
                return
            await app.clock.sleep(max(1.0, (rest.due - app.clock.now()).total_seconds()))
    except (StanchError, AssertionError, ValueError, TypeError, LookupError, AttributeError):
        return  # the watch tries a failed run three times and then calls a person


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("approved", [False, True], ids=["nobody approved", "approved"])
async def test_nothing_runs_but_what_was_approved(
    payload: str, approved: bool, kept: Kept, tmp_path: Path, report: Report
) -> None:
    if not report.long and (payload not in CI or approved != (payload in CI[::3])):
        pytest.skip("a share of these runs in CI; all of them under --prove")
    async with tampered(kept, tmp_path / "copy", payload, approved) as (app, lab):
        approved_key = (await app.api.proposal(kept.open)).key
        before = len(lab.effects())
        await gone_on(app, kept.incident)
        await gone_on(app, kept.elsewhere)
        effects = lab.effects()[before:]
        assert [one.key for one in effects] in ([], [approved_key] if approved else [])
        assert not (tmp_path / "copy" / "code-ran").exists()
        assert await app.api.audit() == []
        state = (await app.api.incident_view(kept.incident)).incident.state
        assert state is not State.RECOVERED or effects
    report.add(tampered_checkpoints=1)


async def test_the_honest_checkpoint_runs_what_was_approved_once(kept: Kept, tmp_path: Path) -> None:
    shutil.copytree(kept.folder, tmp_path / "copy")
    lab = Lab.resume(tmp_path / "copy" / "demo" / "lab")
    assert lab is not None
    place = tmp_path / "copy"
    async with lab.served(), demo_env._application(session(place), lab, place / "demo", []) as app:
        found = await app.api.proposal(kept.open)
        await app.api.decide(found.id, found.digest, me(app), "approve")
        await gone_on(app, kept.incident)
        assert [one.key for one in lab.effects()] == [found.key]


def test_start_is_refused_where_langgraph_reads_leniently(tmp_path: Path) -> None:
    """Somebody else's plug-in has loaded LangGraph before us, so that our setting comes too late."""
    program = "import langgraph.checkpoint.serde.jsonplus\nfrom agent.__main__ import main\nmain()"
    command = [sys.executable, "-c", program, "--data", str(tmp_path), "incidents", "list"]
    bare = {name: value for name, value in os.environ.items() if name != "LANGGRAPH_STRICT_MSGPACK"}  # ours, from here
    ran = subprocess.run(command, cwd=TOP, env=bare, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 4, ran.stderr
    assert "LANGGRAPH_STRICT_MSGPACK=true" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_at_least_twenty_payloads_are_published() -> None:
    assert len(PAYLOADS) >= 20
