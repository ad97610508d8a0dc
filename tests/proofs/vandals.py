"""Vandals: somebody can write the database, and has not the key. What they write starts nothing, and the audit finds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import update

from agent.gate.proposal import digest_of
from agent.store import decisions, timeline
from agent.store.decisions import Decision
from agent.store.schema import proposals as proposals_table
from tests.proofs.choices import which
from tests.proofs.law import Tampered, approvals
from tests.proofs.machine import WAITING, Gate, Held, has
from tests.proofs.stage import vandalised

TAMPERED = ("arguments", "quorum", "approvers", "sealed anew", "allowed")
BY_HAND = {
    "change": ["UPDATE events SET data = '{\"forged\":true}' WHERE n = {n}"],
    "drop": ["DELETE FROM events WHERE n = {n}"],
    "swap": ["UPDATE events SET n = -1 WHERE n = {n}", "UPDATE events SET n = {n} WHERE n = {n} + 1", "UPDATE events SET n = {n} + 1 WHERE n = -1"],
    "cut": ["DELETE FROM events WHERE n > {n}"],
}  # fmt: skip


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
        if forged:
            self._tampered(held, "approvals")
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

    async def _count(self) -> int:
        async with self.stage.db.read() as tx:
            return (await timeline.head(tx, "inc")).n
