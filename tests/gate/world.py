"""A target that is a folder of files, so that effects survive a kill and can be counted. One action for each kind of target."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from agent.clock import MovedClock, iso, parse_time
from agent.domain.catalog import Catalog, Person
from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest
from agent.domain.incident import Incident, Kind
from agent.domain.incident import State as IncidentState
from agent.gate.approval import Answer, decide
from agent.gate.approval import entitled as by_names
from agent.gate.executor import Executor
from agent.gate.policy import Policy, parse
from agent.gate.prepare import Wanted
from agent.gate.proposal import Proposal
from agent.store import incidents
from agent.store.database import Database
from tools.context import Backends, Context, Target
from tools.errors import Refused, ToolFailed, Unreachable
from tools.spec import Action, Identifier, Receipt, Risk, State

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GROUPS = {"oncall": ["ann", "bob", "cem"], "leads": ["ann", "dora"]}
ANN, BOB, CEM, DORA, EVE = (
    Person(f"os:{name}", name, tuple(g for g, members in GROUPS.items() if name in members))
    for name in ("ann", "bob", "cem", "dora", "eve")
)
SUCCESS = SuccessTest((Check("query_metrics", {"promql": "p99"}, "< 1"),))
ASK = """
rules:
  - {name: ask, verdict: ask, approvers: [oncall], approve_within: 1h, execute_within: 15m}
"""
ALLOW = "rules: [{name: allow, verdict: allow, approvers: [oncall]}]"


class World:
    """`mode` says how the target takes an effect; `effects` are the keys of all that ever came about, `coming` those of all
    that it has taken and not done yet."""

    point: ClassVar[Callable[[str], None]] = staticmethod(lambda _key: None)  # before and after each effect
    reached: ClassVar[Callable[[str, Base], None]] = staticmethod(
        lambda _key, _action: None
    )  # by a request, whatever comes of it

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str, default: Any) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else default

    def write(self, name: str, value: Any) -> None:
        fresh = self.folder / f"{name}.{os.getpid()}"
        fresh.write_text(json.dumps(value))
        fresh.rename(self.folder / name)  # whole or not at all

    @property
    def mode(self) -> str:
        return str(self.read("mode", "well"))

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.read("state", {"effects": [], "fields": {"replicas": 2, "event": ""}}))

    @property
    def effects(self) -> list[str]:
        return list(self.state["effects"])

    @property
    def coming(self) -> list[str]:
        return [one["key"] for one in self.read("pending", [])]

    def fields(self) -> dict[str, Any]:
        return dict(self.state["fields"])

    def set(self, **changes: Any) -> None:
        """Somebody else changes the target."""
        self.write("state", {"effects": self.effects, "fields": self.fields() | changes})

    def take(self, key: str, **changes: Any) -> None:
        """One effect: it is counted and the fields change, both or neither."""
        self.point(key)
        self._come(key, changes)
        self.point(key)

    def take_later(self, key: str, now: datetime, changes: dict[str, Any]) -> None:
        self.write("pending", [*self.read("pending", []), {"key": key, "since": iso(now), "changes": changes}])

    def catch_up(self, now: datetime, after: timedelta) -> None:
        """What was taken `after` ago comes about: of the target's own accord, whoever has died or waits."""
        taken = self.read("pending", [])
        due = [one for one in taken if now >= parse_time(one["since"]) + after]
        self.write("pending", [one for one in taken if one not in due])
        for one in due:
            self._come(one["key"], one["changes"])

    def _come(self, key: str, changes: dict[str, Any]) -> None:
        self.write("state", {"effects": [*self.effects, key], "fields": self.fields() | changes})


def world(context: Context, workload: str = "web") -> World:
    """Each workload is a target of its own."""
    place = Path(context.labels["world"])
    return World(place if workload == "web" else place / workload)


class Base(Action):
    risk: ClassVar[Risk] = Risk.REVERSIBLE
    workload: Annotated[str, Identifier("workload")] = "web"

    def target(self, context: Context) -> Target:
        return Target("workload", self.workload, "eu-1", "shop", "production", "web")

    async def observe(self, context: Context) -> State:
        here = world(context, self.workload)
        if here.mode == "dark" or (here.mode == "dark afterwards" and here.read("sent", False)):
            raise Unreachable("the target does not answer")
        return State(self.owned(here), str(here.read("version", "")))

    def owned(self, here: World) -> dict[str, Any]:
        return {"event": here.fields()["event"]}

    def wanted(self, key: str) -> dict[str, Any]:
        return {"event": key}

    def change(self, before: State, key: str) -> State:
        return State(dict(before.fields) | self.wanted(key), before.version)

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        here = world(context, self.workload)
        here.reached(key, self)
        here.write("sent", True)
        match here.mode:
            case "refuse":
                raise Refused("409: no")
            case "lost":
                raise ToolFailed("timed out")
            case "swallowed":
                return Receipt("accepted")
            case "late" | "late, no answer":
                here.take_later(key, context.clock.now(), self.wanted(key))
                if here.mode == "late":
                    return Receipt("accepted")
                raise ToolFailed("timed out")
        here.take(key, **self.wanted(key))
        if here.mode == "done, refused":
            raise Refused("409: it has changed")
        if here.mode == "overwritten":
            here.set(replicas=97, event="somebody else's")
        if here.mode in ("done, no answer", "dark afterwards", "overwritten"):
            raise ToolFailed("timed out")
        return Receipt("accepted", {"id": f"thing-{key[-4:]}"})

    def command(self, context: Context) -> str:
        return f"do {type(self).__name__} {self.workload}"


class SetReplicas(Base):
    """Set how many replicas run."""

    replicas: Annotated[int, Field(ge=0, le=100)]

    def owned(self, here: World) -> dict[str, Any]:
        return {"replicas": here.fields()["replicas"]}

    def wanted(self, key: str) -> dict[str, Any]:
        return {"replicas": self.replicas}

    def undo(self, before: State) -> Action | None:
        return SetReplicas(workload=self.workload, replicas=before.fields["replicas"])


class Restart(Base):
    """Restart: seen by an annotation that equals the key."""

    risk: ClassVar[Risk] = Risk.DISRUPTIVE


class Probed(Base):
    """A target that remembers keys."""

    async def probe(self, context: Context, key: str) -> bool | None:
        return key in world(context, self.workload).effects


class Blind(Base):
    """A target whose effect can never be seen."""

    settle: ClassVar[timedelta | None] = None

    def owned(self, here: World) -> dict[str, Any]:
        return {"event": ""}


class BlindProbed(Probed):
    settle: ClassVar[timedelta | None] = None

    def owned(self, here: World) -> dict[str, Any]:
        return {"event": ""}


class Create(Base):
    """Create a thing; only the answer says how it is called."""

    def undo(self, before: State) -> Action | None:
        return Remove(name_of_it="{receipt.id}")


class Remove(Base):
    undo_only: ClassVar[bool] = True
    name_of_it: str

    def wanted(self, key: str) -> dict[str, Any]:
        return {"event": f"removed {self.name_of_it}"}


class Destroy(Base):
    risk: ClassVar[Risk] = Risk.DESTRUCTIVE


class Nowhere(Base):
    """A target whose cluster nobody knows."""

    def target(self, context: Context) -> Target:
        return Target("workload", self.workload, "", "shop", "production", "web")


ACTIONS = {c.name(): c for c in (SetReplicas, Restart, Probed, Blind, BlindProbed, Create, Remove, Destroy, Nowhere)}


class LateClock(MovedClock):
    """A clock under which a late effect comes about when its time has come."""

    here: World | None = None
    after = timedelta(seconds=8)
    point: Callable[[], None] = staticmethod(lambda: None)  # whenever somebody waits

    async def sleep(self, seconds: float) -> None:
        self.point()
        await super().sleep(seconds)

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        if self.here is not None and self.here.coming:
            self.here.catch_up(self.now(), self.after)


class Scene:
    """A gate over a world, with one incident open."""

    def __init__(self, db: Database, folder: Path, policy: str = ASK) -> None:
        self.db = db
        self.world = World(folder)
        self.clock = LateClock(NOON)
        self.clock.here = self.world
        self.policy: Policy = parse(policy)
        self.groups = self.groups_at_first()
        self.executor = Executor(db, self.clock, lambda: self.policy, ACTIONS, self.context, self.entitled)
        self.run = 0

    @staticmethod
    def groups_at_first() -> dict[str, list[str]]:
        return {name: list(members) for name, members in GROUPS.items()}

    async def context(self, incident: str) -> Context:
        nothing: Any = None
        return Context(
            self.clock,
            self.clock.now(),
            Backends(),
            Catalog(),
            nothing,
            nothing,
            nothing,
            {"world": str(self.world.folder), "incident": incident},
        )

    def entitled(self, name: str, approvers: Any) -> bool:
        return by_names(name, [g for g, members in self.groups.items() if name in members], approvers)

    async def open(self, incident: str = "inc") -> Scene:
        async with self.db.write() as tx:
            if await incidents.get(tx, incident) is None:
                await incidents.add(
                    tx, Incident(incident, IncidentState.NEW, Kind.UNKNOWN, "p99", NOON, opened_at=NOON)
                )
            self.run = await incidents.claim_run(tx, incident)
        return self

    async def propose(
        self, action: str = "set_replicas", step: str = "1", incident: str = "inc", **other: Any
    ) -> Proposal:
        arguments = other.pop("arguments", {"replicas": 6} if action == "set_replicas" else {})
        wanted = Wanted(action, arguments, SUCCESS, "because", Cause("web", Fault.CPU_CONTENTION), "runbook")
        prepared = await self.executor.preparation.prepare(incident, replace(wanted, **other))
        return await self.executor.preparation.submit(prepared, self.run, step)

    async def approve(self, proposal: Proposal, *people: Person) -> Proposal:
        for person in people or (ANN,):
            proposal = (
                await decide(self.db, self.clock, proposal.id, proposal.digest, person, Answer.APPROVE)
            ).proposal
        return proposal
