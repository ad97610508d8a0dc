"""The whole service, mortal: `python -m tests.proofs.service` has imported everything and opened nothing, and forks a child
for every life. It reads orders, one JSON a line, and answers each with what became of its incident.

A life is what `stanch serve` runs, over the lab: door, inbox, watch, graph, gate. Beside it stand an Alertmanager that sends
until it is answered with 2xx, and a person who approves one proposal once. A life dies before a statement that changes the
store or the checkpoints, before a commit, between commit and anchor, before and after the effect, and at the report.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.api import App, Listener
from agent.app import open_app
from agent.domain.check import Check, SuccessTest
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.timeline import Event, EventKind
from agent.errors import Outdated
from agent.gate.proposal import ProposalState
from agent.lab.server import Lab
from agent.lab.state import CHANGES
from agent.reasoner.protocol import Move, Thought, View
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from agent.store import anchors, wakes
from agent.surfaces.cli import demo_env, serve
from agent.surfaces.cli.session import Session
from tests.graph.test_graph import LOOK, MENDED, P99, scale
from tests.proofs.kills import Workers, in_child

SCENARIO, SEED = "forecast-contention", 1
CHANGING = ("INSERT", "UPDATE", "DELETE", "REPLACE")
LOOK_S = 0.03  # between two looks of the person and of time
QUIET = 12  # looks at which nothing has to be done any more: longer than the watch's own look
PATIENCE_S = 90.0  # of one life, on a busy machine
STAGES = ("intake", "correlation", "investigation", "proposal", "approval", "execution", "verification", "report")
BEGINS = {
    "alert": "correlation",
    "investigating": "investigation",
    "proposal": "proposal",
    "awaiting_approval": "approval",
    "acting": "execution",
    "verifying": "verification",
    "verification": "report",
}
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
RATE = P99.replace("[5m]", "[1m]")
HELPED = SuccessTest((Check("query_metrics", {"promql": RATE, "minutes": 5}, "< 1"),), MINUTE, 10 * MINUTE)


@dataclass(frozen=True, slots=True)
class Order:
    """`deaths` are the points at which the lives end, one after the other; the last life lives."""

    incident: str
    deaths: tuple[int, ...] = ()
    reasoner: str = "scripted"  # or runbook
    address: str = ""  # "" is SQLite


@dataclass
class Story:
    """What became of an order. `points` are those of the last life, `kills` the stages at which lives died."""

    order: dict[str, Any]
    points: int = 0
    begins: dict[str, int] = field(default_factory=dict)  # the first point of each stage, as far as screens were told
    kills: list[str] = field(default_factory=list)
    effects: int = 0
    state: str = ""
    outcomes: list[str] = field(default_factory=list)
    answered: bool = False  # a person was told that the approval counts
    waits: bool = False
    violations: list[str] = field(default_factory=list)


class Death:
    """Counts the points at which the process could die, and dies at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0
        self.listening = True
        self.begins = {"intake": 0}

    def point(self) -> None:
        if not self.listening:
            return
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(self, what: str, args: tuple[Any, ...]) -> None:
        """Anchors, effects and the report, before they are written."""
        if what == "open" and str(args[0]).endswith((anchors.FILE, CHANGES, ".part")):
            self.point()

    def traced(self, statement: str, changed: list[bool]) -> None:
        """A transaction that changes nothing is no place to die: it could not be told apart."""
        if statement.startswith(CHANGING):
            changed[0] = True
            self.point()
        elif statement.startswith("COMMIT") and changed[0]:
            changed[0] = False
            self.point()

    def told(self, event: Event) -> None:
        """A surface is told of an event: which stage begins."""
        if event.kind is EventKind.STATE:
            begins = BEGINS.get(str(event.data["to"]), "")
        else:
            begins = BEGINS.get(str(event.kind), "")
        if begins and (begins != "report" or event.data["recovered"]):
            self.begins.setdefault(begins, self.count + 1)

    def watch(self, app: App) -> None:
        """Every statement and commit of the store; those of the checkpoints as soon as there are any."""
        sys.addaudithook(self.opened)
        worker, waiting, changed = app.api.worker, [True], [False]

        def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
            self.traced(statement.lstrip().upper(), changed)
            if waiting and worker._graph is not None and not statement.startswith("BEGIN"):  # which runs in a thread
                waiting.clear()
                mine = [False]
                trace = worker._graph.checkpointer.conn.set_trace_callback(lambda text: self.traced(text, mine))
                self.tracing = asyncio.ensure_future(trace)

        db = app.api.run_context.db
        engine = db._engine if db.embedded else db._engine.sync_engine  # type: ignore[union-attr]
        event.listen(engine, "before_cursor_execute", executed)
        event.listen(engine, "commit", lambda _: self.traced("COMMIT", changed))


class Mortal(Lab):
    """A lab whose effects are points: one before the change is written, one when it was answered and nobody has read it."""

    death = Death(None)

    def app(self) -> Starlette:
        made = super().app()
        made.add_middleware(Answered, point=lambda: self.death.point())
        return made


class Answered:
    """A point after the answer to everything that is no read."""

    def __init__(self, app: ASGIApp, point: Callable[[], None]) -> None:
        self.app, self.point = app, point

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if scope.get("method") in ("PATCH", "PUT", "POST", "DELETE") and "/kubernetes/" in scope.get("path", ""):
            self.point()


class Steady:
    """Looks, proposes, concludes: what is next is read off the timeline, so that a new life goes on with it."""

    name = "scripted"

    async def next_move(self, view: View) -> Thought:
        return Thought(self.move(view), self.name)

    def move(self, view: View) -> Move:
        if not view.evidence:
            return LOOK
        return MENDED if any(e.kind is EventKind.PROPOSAL for e in view.events) else scale(8, success=HELPED)


REASONERS: dict[str, type[Steady | RunbookReasoner]] = {"scripted": Steady, "runbook": RunbookReasoner}


class Place:
    """Where one order's service lives, and what others outside it know: who was answered what."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def know(self, name: str) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else None

    def keep(self, name: str, value: Any) -> None:
        """Whole or not at all, as what a person remembers is."""
        part = self.folder / f"{name}.new"
        part.write_text(json.dumps(value))
        part.replace(self.folder / name)


class Lives:
    """All lives of one worker. The runbooks are indexed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, order: Order) -> Story:
        story = Story(asdict(order))
        place = Place(self.folder / order.incident)
        if (index := self.folder / "rehearsal" / "demo" / "index").exists():
            shutil.copytree(index, place.folder / "demo" / "index", dirs_exist_ok=True)
        for number, at in enumerate([*order.deaths, None]):
            status = in_child(lambda at=at, number=number: self.child(order, at, number))  # type: ignore[misc]
            if status == -signal.SIGKILL and at is not None:
                story.kills.append("")
            elif status != 0:
                story.violations.append(
                    f"life {number} ended with {status}: {(place.folder / 'said').read_text()[-600:]}"
                )
            if status == 0:
                break  # it has ended or waits; there is nobody left to kill
        if "Traceback" in (place.folder / "said").read_text():
            story.violations.append(f"it defends itself with a traceback: {(place.folder / 'said').read_text()[-600:]}")
        told = place.know("told") or {}
        stages = place.know("stages") or []
        return replace(story, **told, kills=stages[: len(story.kills)])

    async def child(self, order: Order, at: int | None, number: int) -> None:
        """What the process says goes into a file."""
        said = os.open(self.folder / order.incident / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(said, stream)
        logging.basicConfig(level=logging.WARNING)
        await self.live(order, at, number)

    async def live(self, order: Order, at: int | None, number: int) -> None:
        place, death = Place(self.folder / order.incident), Death(at)
        Mortal.death = death
        async with asyncio.timeout(PATIENCE_S), opened(place, order, death.told) as (app, session, lab):
            death.watch(app)
            if number:
                await remember_stage(place, app)
            await served(app, session, lab, place)
            death.listening = False
            place.keep("told", await examine(app, place, lab) | {"points": death.count, "begins": death.begins})
        death.listening = False


@asynccontextmanager
async def opened(place: Place, order: Order, told: Listener) -> AsyncIterator[tuple[App, Session, Lab]]:
    """The application as `stanch serve` has it, over the lab as it was left. No Alertmanager is asked for what was missed:
    what was answered has to be kept without."""

    def opener(settings: Any, clock: Any = None, listeners: Any = ()) -> AbstractAsyncContextManager[App]:
        backends = {**settings.backends, "alertmanager": ()}
        mine = replace(settings, backends=backends, database_url=order.address)
        return open_app(mine, clock, listeners, REASONERS[order.reasoner]())

    session = Session(opener, {"data": str(place.folder), "reasoner": "runbook"})
    lab = Mortal.prepare(place.folder / "demo" / "lab", SCENARIO, SEED)
    async with lab.served(), demo_env._application(session, lab, place.folder / "demo", (told,)) as app:
        yield replace(app, warm=cold), session, lab


async def cold() -> None:
    """Nothing is loaded ahead: the parent of all lives has loaded it."""


async def served(app: App, session: Session, lab: Lab, place: Place) -> None:
    """`stanch serve` until there is nothing more to do, with an Alertmanager and a person beside it."""
    listener = serve._listener("127.0.0.1", 0)
    door = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/webhooks/alertmanager"

    async def outside() -> None:
        await send(door, lab, place)
        await attend(app, place)
        app.watch.stop()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve._run(app, (), listener, True, session))
        tasks.create_task(outside())


async def send(door: str, lab: Lab, place: Place) -> None:
    """Until it is answered with 2xx; what was answered is remembered."""
    if place.know("accepted") is not None:
        return
    body = lab.webhook_body()
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                if (await http.post(door, json=body)).is_success:
                    break
            except httpx.TransportError:
                pass  # it has not begun to listen
            await asyncio.sleep(LOOK_S)
    place.keep("accepted", sorted(one["fingerprint"] for one in body["alerts"]))


async def attend(app: App, place: Place) -> None:
    """Approve once, let the lab's time pass where only a clock is awaited, and leave when nothing is left to do."""
    quiet = 0
    while quiet < QUIET:
        await asyncio.sleep(LOOK_S)
        async with app.api.run_context.db.read() as tx:
            ahead = await wakes.due(tx, app.clock.now() + DAY)
        due = [w for w in ahead if w.due <= app.clock.now()]
        checks = [w for w in ahead if not w.reason.startswith("expiry")]
        busy = app.watch.busy or due or await app.inbox.waiting() > 0
        if await approved_now(app, place):
            busy = True
        elif checks and not busy:
            await app.clock.sleep((checks[0].due - app.clock.now()).total_seconds())
            busy = True
        if busy:
            app.inbox.on_news()  # the hint that spares a look
        quiet = 0 if busy else quiet + 1


async def approved_now(app: App, place: Place) -> bool:
    if place.know("approved") is not None:
        return False
    for proposal in await app.api.proposals():
        person = app.api.person(f"os:{app.settings.os_user}")
        try:
            counted = await app.api.decide(proposal.id, proposal.digest, person, "approve")
        except Outdated:
            return False
        place.keep("approved", {"proposal": counted.id, "state": str(counted.state)})
        return True
    return False


async def remember_stage(place: Place, app: App) -> None:
    """At which stage the last life died, by what it had committed."""
    place.keep("stages", [*(place.know("stages") or []), await stage_of(app, place)])


async def stage_of(app: App, place: Place) -> str:
    known = await app.api.incidents()
    if not known:
        return "intake" if place.know("accepted") is None and not await app.inbox.waiting() else "correlation"
    incident_view = await app.api.incident_view(known[0].id)
    if incident_view.incident.state.ended or (
        incident_view.verifications and incident_view.incident.state is State.INVESTIGATING
    ):
        return "report"
    match incident_view.incident.state:
        case State.NEW:
            return "correlation"
        case State.AWAITING_APPROVAL:
            return "approval"
        case State.ACTING:
            return "execution"
        case State.VERIFYING:
            return "verification"
    moves = [e.data["move"] for e in incident_view.events if e.data.get("move")]
    return "proposal" if incident_view.proposals or (moves and "action" in moves[-1]) else "investigation"


async def examine(app: App, place: Place, lab: Lab) -> dict[str, Any]:
    """What became of it, and every way in which it is not as promised."""
    known = await app.api.incidents()
    if len(known) != 1:
        return {"violations": [f"the alert that was answered has {len(known)} incidents"]}
    incident_view = await app.api.incident_view(known[0].id)
    proposals = await app.api.proposals_of(known[0].id)
    effects, state = [one.key for one in lab.effects()], incident_view.incident.state
    open_ones = [p for p in proposals if p.state is ProposalState.OPEN]
    waits = (state is State.AWAITING_APPROVAL and bool(open_ones)) or state is State.NEEDS_INPUT
    wrong = [f"the audit breaks: {one}" for one in await app.api.audit()]
    wrong += promises(incident_view, effects, place, waits)
    approved = (place.know("approved") or {}).get("proposal")
    mine = next((p for p in proposals if p.id == approved), None)
    if approved and (mine is None or not [d for d in incident_view.decisions if d.payload.proposal == approved]):
        wrong.append("lost: an approval that was answered is not kept")
    if mine is not None and mine.state in (ProposalState.OPEN, ProposalState.APPROVED, ProposalState.CLAIMED):
        wrong.append(f"lost: what was approved is {mine.state} at the end")
    outcomes = [str(e.data["outcome"]) for e in incident_view.outcomes.values()]
    return {
        "effects": len(effects),
        "state": str(state),
        "outcomes": outcomes,
        "answered": bool(approved),
        "waits": waits,
        "violations": wrong,
    }


def promises(incident_view: IncidentView, effects: list[str], place: Place, waits: bool) -> list[str]:
    state, outcomes = incident_view.incident.state, [str(e.data["outcome"]) for e in incident_view.outcomes.values()]
    rules = {
        "lost: an alert that was answered": not set(place.know("accepted"))
        <= {a.fingerprint for a in incident_view.alerts},
        "twice: an effect": len(effects) != len(set(effects))
        or len(effects) > outcomes.count("DONE") + outcomes.count("UNKNOWN"),
        "twice: an outcome": sum(e.kind is EventKind.OUTCOME for e in incident_view.events)
        != len(incident_view.outcomes),
        "stuck: it neither ends nor waits": not waits and not state.ended,
        "stuck: it ended without a report": state.ended
        and not (incident_view.report and Path(incident_view.report).exists()),
        "an effect nobody approved": bool(effects) and not incident_view.decisions,
        "done, and nothing happened": "DONE" in outcomes and not effects,
        "an intent without an outcome": set(incident_view.intents) != set(incident_view.outcomes),
    }
    return [f"{rule} ({state}, {len(effects)} effects, {outcomes})" for rule, broken in rules.items() if broken]


class Services(Workers):
    module, story = "tests.proofs.service", Story


def work(folder: Path) -> None:
    lives = Lives(folder)
    Place(folder / "rehearsal")
    asyncio.run(lives.live(Order("rehearsal"), None, 0))  # warm, and all is closed again
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        print(json.dumps(asdict(lives.tell(order))), flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[2]))
