"""Vandals: somebody can write the database, and has not the key. What they write starts nothing, and the audit finds it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import update

from agent.errors import StanchError, UnusableInput
from agent.gate import audit, restore
from agent.gate.proposal import digest_of
from agent.store import decisions, timeline
from agent.store.database import SQLITE_FILE
from agent.store.decisions import Decision
from agent.store.schema import proposals as proposals_table
from tests.gate.world import ANN, Scene, World
from tests.proofs.attacks import opened_again
from tests.proofs.choices import which
from tests.proofs.law import Tampered, approvals
from tests.proofs.machine import WAITING, Gate, Held, has
from tests.proofs.stage import vandalised

TAMPERED = ("arguments", "quorum", "approvers", "sealed anew", "allowed")
BY_HAND = {
    "change": ["UPDATE events SET data = '{\"forged\":true}' WHERE n = {n} AND incident = 'inc'"],
    "another actor": [
        "UPDATE events SET actor = 'mallory' WHERE n = {n} AND incident = 'inc'"
    ],  # fits every other table
    "drop": ["DELETE FROM events WHERE n = {n} AND incident = 'inc'"],
    "swap": [
        "UPDATE events SET n = -1 WHERE n = {n} AND incident = 'inc'",
        "UPDATE events SET n = {n} WHERE n = {n} + 1 AND incident = 'inc'",
        "UPDATE events SET n = {n} + 1 WHERE n = -1",
    ],
    "cut": ["DELETE FROM events WHERE n > {n} AND incident = 'inc'"],
}
STARTED = "('done', 'not_done', 'unknown', 'denied', 'revoked', 'expired', 'voided')"
REVIVED = "UPDATE proposals SET state = 'approved', execute_by = '{later}' WHERE state IN " + STARTED
GOES_ON = {  # what somebody does to a copy that then goes on working
    "answers are made younger": [
        "UPDATE decisions SET at = '{now}'",
        "UPDATE proposals SET execute_by = '{later}' WHERE execute_by IS NOT NULL",
    ],
    "the switch is turned": ["UPDATE switches SET is_on = NOT is_on"],
    "claims are made older": ["UPDATE executions SET claimed_at = '{earlier}'"],
    "executions are forgotten": ["DELETE FROM executions", REVIVED],
    "outcomes are forgotten": ["UPDATE executions SET outcome = NULL, intent_at = NULL", REVIVED],
    "the tail is cut": [
        "DELETE FROM events WHERE incident = 'inc' AND n > {n}",
        "DELETE FROM executions",
        "DELETE FROM decisions WHERE answer != 'approve'",
        REVIVED,
    ],
    "the switch's record is cut": [
        "DELETE FROM events WHERE incident = 'gate' AND n = (SELECT max(n) FROM events WHERE incident = 'gate')",
        "UPDATE switches SET is_on = 0",
    ],
    "a backup is put back": [],
}


class Vandals(Gate):
    @has(*WAITING)
    @rule(number=which, what=st.sampled_from(TAMPERED))
    def somebody_tampers(self, number: int, what: str) -> None:
        held = self.pick(number, *WAITING)
        sealed = {**held.proposal.sealed()}
        elsewhere = "api" if held.proposal.arguments.get("workload") != "api" else "web"
        match what:
            case "arguments" | "sealed anew":
                sealed["arguments"] = {**held.proposal.arguments, "workload": elsewhere}
            case "allowed":
                sealed |= {"arguments": {**held.proposal.arguments, "workload": elsewhere}, "verdict": "allow"}
            case "quorum":
                sealed["quorum"] = 0
            case "approvers":
                sealed["approvers"] = ["eve", *held.proposal.approvers]
        values: dict[str, Any] = {"sealed": sealed}
        if what in ("sealed anew", "allowed"):
            values["digest"] = digest_of(sealed)
        if what == "allowed":
            values |= {"state": "allowed", "execute_by": self.stage.clock.now() + timedelta(minutes=15)}

        async def write() -> None:
            async with self.stage.db.write() as tx:
                await tx.execute(
                    update(proposals_table).where(proposals_table.c.id == held.proposal.id).values(**values)
                )

        self.run(write())
        self._tampered(held, what)
        self.resync(held)

    def _tampered(self, held: Held, what: str) -> None:
        held.tampered = what
        self.history.append(Tampered(self.moment(), held.proposal.id))

    @has("open", "approved")
    @rule(number=which, minutes=st.sampled_from((0, 16)))
    def somebody_forges_approvals(self, number: int, minutes: int) -> None:
        """Rows for everybody who may approve, and more time; or only more time for what was approved."""
        held = self.pick(number, "open", "approved")
        self.time_passes(minutes)
        now, proposal = self.stage.clock.now(), held.proposal
        forged = [
            Decision(proposal.id, proposal.digest, f"os:{name}", name, "approve", "", now)
            for name in ("bob", "cem", "dora")
        ]
        gave = {one.name for one in approvals(self.history, held.shown)}
        forged = [] if minutes else [d for d in forged if d.person not in gave]

        async def write() -> None:
            async with self.stage.db.write() as tx:
                for decision in forged:
                    await decisions.add(tx, decision)
                later = {"state": "approved", "execute_by": now + timedelta(hours=1)}
                await tx.execute(update(proposals_table).where(proposals_table.c.id == proposal.id).values(**later))

        self.run(write())
        self._tampered(held, "approvals" if forged else "more time")
        self.resync(held)
        self._execute(held, "nothing", self.around.rules)

    # -- the record ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.around.held)
    @rule(what=st.sampled_from(tuple(BY_HAND)), place=st.integers(1, 30), anchors_too=st.booleans())
    def somebody_changes_rows(self, what: str, place: int, anchors_too: bool) -> None:
        count = self.run(self._count())
        n = 1 + place % max(count - 1, 1)
        if n >= count:
            return
        statements = [statement.replace("{n}", str(n)) for statement in BY_HAND[what]]
        gone = anchors_too and what != "cut"
        found = self.run(vandalised(self.stage.db.folder, statements, without_anchors=gone))
        assert found, f"I9: {what} at {n} of {count} is not found"

    @precondition(lambda self: self.around.held)
    @rule()
    def somebody_makes_a_backup(self) -> None:
        folder = self.stage.db.folder
        with (
            closing(sqlite3.connect(folder / SQLITE_FILE)) as here,
            closing(sqlite3.connect(folder.parent / "backup.db")) as there,
        ):
            here.backup(there)

    @precondition(lambda self: self.around.held)
    @rule(what=st.sampled_from(tuple(GOES_ON)), place=st.integers(1, 30))
    def somebody_tampers_with_a_copy_that_goes_on(self, what: str, place: int) -> None:
        """Whatever was done to it: what the copy starts is what people and policy wanted, and nothing comes twice; the audit
        tells; and what a person accepts as lost starts nothing either."""
        hooks = World.point, World.reached
        World.point, World.reached = staticmethod(lambda _key: None), staticmethod(lambda _key, _target: None)
        try:
            self.run(self._goes_on(what, place))
        finally:
            World.point, World.reached = staticmethod(hooks[0]), staticmethod(hooks[1])

    async def _goes_on(self, what: str, place: int) -> None:
        with TemporaryDirectory() as fresh:
            copy = Path(fresh) / "copy"
            shutil.copytree(self.stage.folder, copy)
            if not self._changed(copy, what, place):
                return
            scene = await opened_again(self.stage, copy / "data", copy / "world")
            told = await audit.verify(scene.db)
            assert told, f"I9: {what}, and nobody tells"
            before = self.stage.caused()
            await _execute_everything(scene, self.around.held)
            came = _caused(scene)
            wanted = {h.proposal.key for h in self.around.held if not h.outcome and self.may_begin(h)}
            assert len(came) == len(set(came)), f"I6: {what}, and an effect came twice"
            assert set(came) - set(before) <= wanted, f"I2, I3, I4, I15: {what}, and it started"
            if scene.db.unsettled:
                with suppress(UnusableInput):  # it was not only cut
                    await restore.accept(scene.db, scene.clock, ANN, "it was put back")
                    await _execute_everything(scene, self.around.held)
                    assert _caused(scene) == came, f"I6: {what}, a person accepted it, and it started"
            await scene.db.close()

    def _changed(self, copy: Path, what: str, place: int) -> bool:
        """Whether there was something to change."""
        database, backup = copy / "data" / SQLITE_FILE, copy / "backup.db"
        later, earlier = (self.stage.clock.now() + timedelta(hours=h) for h in (1, -3))
        with closing(sqlite3.connect(database)) as raw:
            before = "\n".join(raw.iterdump())
            for statement in GOES_ON[what]:
                raw.execute(
                    statement.format(
                        now=_spelled(self.stage.clock.now()), later=_spelled(later), earlier=_spelled(earlier), n=place
                    )
                )
            raw.commit()
        if what == "a backup is put back":
            if not backup.exists():
                return False
            for end in ("-wal", "-shm"):
                database.with_name(SQLITE_FILE + end).unlink(missing_ok=True)
            shutil.copy(backup, database)
        with closing(sqlite3.connect(database)) as raw:
            return _events(before) != _events(after := "\n".join(raw.iterdump())) or (
                bool(GOES_ON[what]) and before != after
            )

    async def _count(self) -> int:
        async with self.stage.db.read() as tx:
            return (await timeline.head(tx, "inc")).n


def _spelled(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S.%f}"


def _events(dump: str) -> list[str]:
    return [line for line in dump.splitlines() if line.startswith('INSERT INTO "events"')]


def _caused(scene: Scene) -> list[str]:
    targets = [scene.world, World(scene.world.folder / "api")]
    return [key for target in targets for key in (*target.effects, *target.coming)]


async def _execute_everything(scene: Scene, held: Sequence[Held]) -> None:
    for one in [*held, *held]:
        with suppress(StanchError):
            await scene.executor.execute(one.proposal.id, scene.run)
