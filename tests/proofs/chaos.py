"""Whole incidents in a world in which one thing is broken: played in this process, with a language model that is scripted."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.api import App
from agent.app import TAKING_OVER, open_app
from agent.domain.incident_view import IncidentView
from agent.domain.timeline import EventKind
from agent.graph.worker import Rest, RestKind
from agent.lab.server import Lab
from agent.settings_file import BudgetSection
from agent.sources.alertmanager import parse
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tests.founding_play import CONCLUDE, PROPOSE, THROTTLED
from tests.proofs.face import KINDS, Face, Fault
from tests.proofs.faults import SERVER, WRITTEN

PATIENCE_S = 1.5  # of one answer, as configured: what hangs is given up then
DEADLINE_S = 90.0  # of one incident, in which it has to end or wait
BUDGET = BudgetSection(steps=8, tokens=60_000, seconds=30)
STEPS = ("look", "judge", "act", "effect", "verify")
TURNS = ("look", "propose", "conclude")
READY = 'kube_deployment_status_replicas_available{cluster="eu-1",deployment="forecast-server"}'
SERVED = 'count(model_served_version_info{model="demand-forecast",version="4"})'


@dataclass(frozen=True)
class Play:
    """A scenario, the model's moves, and the one proposal that a person approves. Everything else is denied."""

    scenario: str
    moves: Sequence[tuple[str, dict[str, Any]]]

    @property
    def wanted(self) -> tuple[str, Mapping[str, Any]]:
        proposed = dict(self.moves)["propose"]
        return proposed["action"], proposed["args"]


def success(promql: str, expect: str, within: int = 5) -> dict[str, Any]:
    return {"promql": promql, "expect": expect, "hold_minutes": 1, "within_minutes": within}


MODEL_LOOK = {
    "calls": [
        {"read": "model_versions", "args": {"model": "demand-forecast"}, "why": "which versions there are"},
        {"read": "served_version", "args": {"model": "demand-forecast"}, "why": "which one serves"},
    ]
}
ROSE = "Throttling of demand-forecast rose from {E1.value.first} to {E1.value.last}. [E1.value.last > E1.value.first]"
SCALE_LOOK = {
    "calls": [
        {"read": "query_metrics", "args": {"promql": THROTTLED, "minutes": 60}, "why": "CPU throttling"},
        {"read": "describe_workload", "args": {"workload": "eu-1/ml/forecast-server"}, "why": "how many replicas run"},
        {"read": "recent_changes", "args": {"service": "demand-forecast"}, "why": "what changed"},
    ]
}
SCALED = {"claims": [ROSE], "ruled_out": [], "why": "Throttled: {E1.value.last}.", "success": success(READY, "> 4")}
SCALE = Play(
    "forecast-contention",
    (("look", SCALE_LOOK), ("propose", {**PROPOSE, **SCALED}), ("conclude", {**CONCLUDE, "claims": [ROSE]})),
)
COUNTED = "{E1.versions.count} versions are registered. [E1.versions.count > 1]"
POINT = Play(
    "bad-model-version",
    (
        ("look", MODEL_LOOK),
        (
            "propose",
            {
                **PROPOSE,
                "action": "point_model_alias",
                "args": {"model": "demand-forecast", "version": "4", "alias": "champion"},
                "why": "The newest version serves.",
                "claims": [COUNTED],
                "ruled_out": [],
                "fault": "bad_model_version",
                "kind": "model",
                "source": "",
                "success": success(SERVED, "> 0", within=30),  # its error falls as outcomes come in
            },
        ),
        ("conclude", {**CONCLUDE, "claims": [COUNTED], "fault": "bad_model_version"}),
    ),
)


@dataclass
class Told:
    """What became of one incident."""

    fault: Fault
    hit: int = 0
    state: str = ""
    waits: str = ""
    outcomes: list[str] = field(default_factory=list)
    effects: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Tracebacks(logging.Handler):
    """Everything that was logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(self.format(record)[-1200:])


def combinations() -> list[tuple[Play, Fault]]:
    """All of them: what breaks, how, when, and whether it stays so."""
    found = [(SCALE, Fault("llm", what, turn)) for what in (*SERVER, *WRITTEN) for turn in TURNS]
    found += [(SCALE, Fault("llm", what, TURNS[0], True)) for what in (*SERVER, *WRITTEN)]
    for who, play, steps in (
        ("prometheus", SCALE, ("look", "judge", "verify")),  # nobody asks it while it is acted
        ("kubernetes", SCALE, ("look", "judge", "act", "effect")),
        ("mlflow", POINT, ("look", "judge", "act", "effect")),
    ):
        found += [(play, Fault(who, what, step)) for what in SERVER for step in steps]
        found += [(play, Fault(who, what, steps[0], True)) for what in SERVER]
    return found


async def played(play: Play, fault: Fault, folder: Path, template: Path) -> Told:
    """The incident, from alert to where it ends or waits."""
    told, logged, began = Told(fault), Tracebacks(), time.monotonic()
    shutil.copytree(template, folder)
    logging.root.addHandler(logged)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await _played(play, told, folder)
    except TimeoutError:
        told.wrong.append(f"stuck: not over after {DEADLINE_S:g} s")
    except Exception:  # noqa: BLE001 (it is what is looked for)
        told.wrong.append(f"traceback: {traceback.format_exc()[-1500:]}")
    finally:
        logging.root.removeHandler(logged)
        shutil.rmtree(folder)
    told.wrong += [f"traceback: {one}" for one in logged.seen]
    told.seconds = time.monotonic() - began
    return told


async def _played(play: Play, told: Told, folder: Path) -> None:
    lab = Lab.prepare(folder / "demo" / "lab", play.scenario, 1)
    body = lab.webhook_body()
    face = Face(lab, told.fault, TURNS if told.fault.who == "llm" else STEPS, play.moves)
    async with face.served() as url:
        session = Session(lambda *given, **more: _opened(url, *given, **more), {"data": str(folder)})
        async with demo_env._application(session, lab, folder / "demo", (lambda event: _moved_on(face, event),)) as app:
            (received, *_) = await app.api.receive(parse(json.dumps(body), lab.clock.now())[:1])
            assert received.incident is not None
            rest = await _driven(app, face, received.incident, play)
            await _examine(app, lab, received.incident, rest, told)
            told.hit, told.asked = face.hit, dict(face.asked)


def _opened(url: str, settings: Any, clock: Any = None, listeners: Any = ()) -> AbstractAsyncContextManager[App]:
    """The demo's settings with short patience, and a language model behind the same address. Logs, drift reports and
    Alertmanager are left out: they would make the runbook reasoner look longer, and break nothing new."""
    backends = {
        kind: tuple(entry.model_copy(update={"timeout_s": PATIENCE_S}) for entry in entries)
        for kind, entries in settings.backends.items()
        if kind in KINDS
    }
    llm = settings.llm.model_copy(update={"base_url": f"{url}/v1", "timeout_s": PATIENCE_S, "budget": BUDGET})
    return open_app(replace(settings, backends=backends, llm=llm, reasoner="openai"), clock, listeners)


def _moved_on(face: Face, event: Any) -> None:
    if event.data.get("move") == "propose":
        face.step = "judge"


async def _driven(app: App, face: Face, incident: str, play: Play) -> Rest:
    """As a person at a terminal: approve what was meant, deny everything else, let time pass."""
    while (rest := await app.api.work(incident)).kind is not RestKind.ENDED:
        if rest.kind is RestKind.CLOCK and rest.due is not None:
            face.step = "verify"
            await app.clock.sleep((rest.due - app.clock.now()).total_seconds())
        elif rest.waits_for == "approval" and rest.proposal:
            proposal = await app.api.proposal(rest.proposal)
            meant = (proposal.action, dict(proposal.arguments)) == (play.wanted[0], dict(play.wanted[1]))
            person = app.api.person(f"os:{app.settings.os_user}")
            await app.api.decide(proposal.id, proposal.digest, person, "approve" if meant else "deny")
            face.step = "act"
        else:
            break
    return rest


async def _examine(app: App, lab: Lab, incident: str, rest: Rest, told: Told) -> None:
    incident_view = await app.api.incident_view(incident)
    proposals = await app.api.proposals_of(incident)
    effects = [one.key for one in lab.effects()]
    approved = {d.payload.proposal for d in incident_view.decisions if d.payload.answer == "approve"}
    covered = {p.key for p in proposals if p.id in approved or (p.covered and p.parent in approved)}
    keyed = {key for key in effects if not key.startswith("alias-")}  # a registry keeps no key
    told.state, told.effects = str(incident_view.incident.state), len(effects)
    told.waits = rest.waits_for if rest.kind is RestKind.PERSON else ""
    told.outcomes = [str(e.data["outcome"]) for e in incident_view.outcomes.values()]
    rules = {
        "unauthorised: an effect nobody approved": not keyed <= covered or len(effects) > len(covered),
        "unauthorised: an effect twice": len(effects) != len(set(effects)),
        "stuck: it neither ends nor waits": not incident_view.incident.state.ended and not told.waits,
        "stuck: it ended without a report": incident_view.incident.state.ended and not incident_view.report,
        "untrue: done, and nothing happened": "DONE" in told.outcomes and not effects,
        "untrue: not done, and it happened": set(told.outcomes) == {"NOT_DONE"} and bool(effects),
        "over its budget": _over(incident_view),
    }
    told.wrong += [f"{rule} ({told.state}, {told.outcomes}, {effects})" for rule, broken in rules.items() if broken]
    told.wrong += [f"the audit breaks: {one}" for one in await app.api.audit()]


def _over(incident_view: IncidentView) -> bool:
    """A model was asked although its budget was spent, or more moves were made than an incident may take."""
    spent = [event.data.get("spent") or {} for event in incident_view.events if event.kind is EventKind.NOTE]
    tokens = [int(one["tokens"]) for one in spent if one.get("tokens")]
    moves = sum("move" in event.data for event in incident_view.events)
    return sum(tokens[:-1]) >= BUDGET.tokens or len(tokens) > BUDGET.steps or moves > BUDGET.steps + TAKING_OVER + 1


def run(numbers: Sequence[int], folder: Path) -> list[Told]:
    """These of the combinations, one after the other, in a process that has played each play before."""

    async def all_of() -> list[Told]:
        every = combinations()
        await prepare(folder / "template")
        return [await played(*every[number], folder / f"{number}", folder / "template") for number in numbers]

    return asyncio.run(all_of())


async def prepare(template: Path) -> None:
    """A data folder as every incident finds it: tables made, runbooks indexed. And a first incident of each play, so that
    nothing has to be imported or worked out while somebody waits for an answer."""
    lab = Lab.prepare(template / "demo" / "lab", SCALE.scenario, 1)
    face = Face(lab, Fault(), STEPS, SCALE.moves)
    async with face.served() as url:
        session = Session(lambda *given, **more: _opened(url, *given, **more), {"data": str(template)})
        async with demo_env._application(session, lab, template / "demo", ()):
            pass
    shutil.rmtree(template / "demo" / "lab")
    for play in (SCALE, POINT):
        await played(play, Fault(), template.with_name("first"), template)
