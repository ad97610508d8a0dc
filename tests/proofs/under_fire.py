"""The machine goes on: processes die and are held up, people and runners act at once, undos are forged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from agent.domain.timeline import EventKind
from agent.errors import NotEntitled, Outdated, Overtaken, Refused, ToolError, UnusableInput
from agent.gate import kill_switch
from agent.gate.prepare import Prepared
from agent.gate.proposal import ProposalState, seal
from agent.store import decisions, timeline
from agent.store.database import Database
from tests.gate.world import ANN, BOB, CEM
from tests.proofs.choices import COMES_BETWEEN, MODES, PROPOSED, rules_of_today, which, willing
from tests.proofs.law import Answered, Told
from tests.proofs.machine import READY, WAITING, Held, has
from tests.proofs.model import BEGINS, PROBING, Rules
from tests.proofs.stage import Crash
from tests.proofs.vandals import Vandals

OPS = (
    "approve ann",
    "approve bob",
    "approve cem",
    "deny bob",
    "revoke ann",
    "execute 0",
    "execute 1",
    "execute 0",
    "execute 1",
    "stop",
)
ACTED = PROPOSED | {"rules": st.one_of(willing, willing, willing, st.none()), "approvers": st.integers(1, 3)}
BETWEEN_LIVES = ("nothing", "nothing", "nothing", "policy", "late", "stop", "version")
WHO = {"ann": ANN, "bob": BOB, "cem": CEM}


class GateUnderFire(Vandals):
    # -- dying --------------------------------------------------------------------------------------------------------

    @has(*READY)
    @rule(
        number=which,
        point=st.integers(1, 64),
        other=rules_of_today,
        between=st.sampled_from(BETWEEN_LIVES),
    )
    def process_dies(self, number: int, point: int, between: str, other: Rules) -> None:
        self._dies(self.pick(number, *READY), point, between, other)

    def _dies(self, held: Held, point: int, between: str, other: Rules) -> None:
        stage = self.stage
        stage.at, stage.then, stage.slept = point, stage.crash, False
        asked, place, may = self.moment(), len(self.history), self.may_begin(held)
        died = self._lives(held) is None
        said = stage.slept and self._mode(held) == "swallowed" and held.proposal.action != "blind"
        self.run(stage.restart())
        self._began(held, asked, place)
        self.resync(held)
        row = self.run(stage.row(held.proposal.id))
        assert may or row is None or row.intent_at is None, "I1-I5, I15: an intent though something stood in the way"
        happened: dict[str, Any] = {}
        self.run(self._come_between(held, between, other, happened))
        if died and (row is None or (row.intent_at is None and row.outcome is None)):
            if held.state in ("approved", "allowed", "claimed"):
                self._execute(held, "nothing", other)
            return
        self._looks_only(held, said)

    @has(*READY)
    @rule(number=which, point=st.integers(8, 40))
    def process_is_held_up(self, number: int, point: int) -> None:
        self._held_up(self.pick(number, *READY), point)

    def _held_up(self, held: Held, point: int) -> None:
        stage, asked, place = self.stage, self.moment(), len(self.history)
        stage.at, stage.then = point, stage.jump
        self._lives(held)
        stage.at = 0
        self._began(held, asked, place)
        self.resync(held)
        row = self.run(stage.row(held.proposal.id))
        if row is not None:
            self._looks_only(held, said=False)

    def _lives(self, held: Held) -> object | None:
        """Execute, and die or not."""
        try:
            return object() if self.run(self.stage.executor.execute(held.proposal.id, self.stage.run)) else None
        except Overtaken:
            return None
        except Crash:
            return None

    def _looks_only(self, held: Held, said: bool) -> None:
        """There was an intent: nothing is sent any more, and what is told is true."""
        stage, before = self.stage, self.stage.caused()
        told = self.run(stage.executor.execute(held.proposal.id, stage.run))
        self.resync(held)
        assert set(stage.caused()) == set(before), "I6: sent again after a crash"
        happened = held.proposal.key in before
        outcome, mode = str(told.outcome), self._mode(held)
        truth = "DONE" if happened else "NOT_DONE"
        probed = held.proposal.action in PROBING
        hidden = mode in ("dark", "dark afterwards", "overwritten", "swallowed") and not (
            probed and mode != "swallowed"
        )
        if said:
            assert outcome == "UNKNOWN", "I7: the target took it, and that was forgotten"
        elif held.proposal.action == "blind" or hidden or self._disturbed(held):
            assert outcome in (truth, "UNKNOWN"), f"I7: {truth}, and it is told as {outcome}: {told.why}"
        else:
            assert outcome == truth, f"I7: {truth} under {mode}, and it is told as {outcome}: {told.why}"
        self._told(held, outcome)

    # -- at once ------------------------------------------------------------------------------------------------------

    @has(*WAITING)
    @rule(number=which, ops=st.lists(st.sampled_from(OPS), min_size=2, max_size=5), two=st.booleans())
    def all_at_once(self, number: int, ops: list[str], two: bool) -> None:
        held = self.pick(number, *WAITING)
        both = [held] + [h for h in self.around.held if h.state in ("approved", "allowed") and h is not held][:1] * two
        asked, place = self.moment(), len(self.history)
        self.run(self._all(both, ops, place))
        for one in both:
            self.resync(one)
            self._began(one, asked, place)
            self.run(self._relearn(one))
        rules = self.around.rules
        self.end()
        self.begin(rules)  # who came first is the threads' affair; what follows must not depend on it

    async def _all(self, both: Sequence[Held], ops: Sequence[str], place: int) -> None:
        """An answer that was taken counts from `place` on: whether it was taken before another's effect cannot be told."""
        stage, now = self.stage, self.moment()
        other = await Database.open("", stage.db.folder)
        ledgers = stage.executor, stage.runner(other)

        async def one(held: Held, op: str) -> None:
            what, _, who = op.partition(" ")
            proposal = held.proposal
            if what == "execute":
                await ledgers[int(who)].execute(proposal.id, stage.run)
            elif what == "stop":
                with suppress(UnusableInput):  # somebody was first
                    await kill_switch.press(other, stage.clock, ANN, True, "smells")
            else:
                groups = tuple(g for g, members in self.around.groups.items() if who in members)
                await stage.decide(proposal, proposal.digest, replace(WHO[who], groups=groups), what, other)

        work = [one(both[place % len(both)], op) for place, op in enumerate(ops)]
        for n, ended in enumerate(await asyncio.gather(*work, return_exceptions=True)):
            what, _, who = ops[n].partition(" ")
            if isinstance(ended, BaseException) and not isinstance(ended, NotEntitled | Outdated | Overtaken):
                raise ended
            if ended is None and what in ("approve", "deny", "revoke"):
                proposal = both[n % len(both)].proposal
                self.history.insert(place, Answered(now, proposal.id, proposal.digest, who, True, what))
        self.around.stopped = await kill_switch.stopped(stage.db) is not None
        await other.close()

    async def _relearn(self, held: Held) -> None:
        """What the record says came first, held against the promises."""
        proposal = held.proposal.id
        async with self.stage.db.read() as tx:
            made = await decisions.of(tx, proposal)
            events = await timeline.events(tx, "inc")
        row = await self.stage.row(proposal)
        mine = [e for e in events if e.data.get("proposal") == proposal]
        intents = [e for e in mine if e.kind is EventKind.INTENT]
        ends = [e for e in mine if e.kind is EventKind.OUTCOME]
        assert len(ends) <= 1, "I7: two outcomes"
        if row is not None and row.outcome is not None:
            assert [e.data["outcome"] for e in ends] == [row.outcome], "I7, I9: the timeline tells another outcome"
            held.outcome = str(row.outcome)
            done = held.proposal.key in self.stage.caused() or self._mode(held) == "swallowed"
            assert row.outcome != "DONE" or done, "I7: done, and nothing happened"
        self.history += [Told(self.moment(), proposal, e.data["outcome"], e.data["values"]) for e in ends]
        if intents:
            assert not [d for d in made if d.answer in ("deny", "revoke")], "I4: started, and a person had said no"

    # -- in one go: what is rare by itself -------------------------------------------------------------------------------

    @rule(mode=st.sampled_from(MODES), between=st.sampled_from(COMES_BETWEEN), other=rules_of_today, **ACTED)
    def propose_and_execute(self, mode: str, between: str, other: Rules, **proposed: Any) -> None:
        if held := self._proposed(mode, proposed):
            self._execute(held, between, other)

    @rule(
        mode=st.sampled_from(MODES),
        point=st.integers(1, 64),
        between=st.sampled_from(BETWEEN_LIVES),
        other=rules_of_today,
        **ACTED,
    )
    def propose_and_die(self, mode: str, point: int, between: str, other: Rules, **proposed: Any) -> None:
        held = self._proposed(mode, proposed)
        if held and held.state in READY:
            self._dies(held, point, between, other)

    @rule(point=st.integers(8, 40), **ACTED)
    def propose_and_be_held_up(self, point: int, **proposed: Any) -> None:
        held = self._proposed("well", proposed)
        if held and held.state in READY:
            self._held_up(held, point)

    @rule(between=st.sampled_from(("policy", "leave", "late")), other=rules_of_today, **ACTED)
    def propose_and_execute_under_another_policy(self, between: str, other: Rules, **proposed: Any) -> None:
        if held := self._proposed("well", proposed):
            self.run(self._come_between(held, between, other, {}))
            self.policy_changes(other)
            self._execute(held, "nothing", other)

    @rule(**ACTED)
    def propose_and_execute_twice(self, **proposed: Any) -> None:
        """Two of a kind, so that budgets are met."""
        for more in (0, 1):
            if more:
                proposed["rules"] = None
            if held := self._proposed("well", proposed | {"replicas": 1 + (proposed["replicas"] + more) % 9}):
                self._execute(held, "nothing", self.around.rules)

    def _proposed(self, mode: str, proposed: dict[str, Any]) -> Held | None:
        """A proposal as most are: under a policy that is willing, or under whatever has become of it."""
        count, rules = len(self.around.held), proposed.pop("rules")
        if rules is not None:
            self.policy_changes(rules)
            self.run(self._switch(False))
            self.around.groups |= self.stage.groups_at_first()
        self.target_behaves("well")
        self.propose(**proposed)
        self.target_behaves(mode)
        return self.around.held[-1] if len(self.around.held) > count else None

    # -- undoing ------------------------------------------------------------------------------------------------------

    @has("done", "not_done", "unknown")
    @rule(number=which, forged=st.sampled_from(("", "", "arguments", "parent")))
    def undo(self, number: int, forged: str) -> None:
        ended = ("not_done", "unknown") if forged == "parent" else ("done",)
        able = [h for h in self.around.held if h.state in ended and h.proposal.undo is not None and not h.tampered]
        if not able:
            return
        held = able[number % len(able)]
        prepared = self._undo_of(held, forged)
        if prepared is None:
            return
        shown = self.run(
            self.stage.executor.preparation.submit(prepared, self.stage.run, f"step {len(self.around.held)}")
        )
        said = self.around.rules.says(shown.action, shown.arguments, bool(shown.untrusted))
        covered = shown.covered
        if not forged:
            ours = all(
                self._here(held).fields()[name] == held.proposal.after.fields[name] for name in held.proposal.altered
            )
            assert covered == (held.proposal.undo_covered and ours), "I1: covered is what we left, and nothing else"
            assert str(shown.state) == ("allowed" if covered else BEGINS[said.verdict])
        said = replace(said, verdict="allow") if covered else said
        undo = self.show(shown, said, held if covered else None)
        if forged:
            self._execute(undo, "nothing", self.around.rules)

    def _undo_of(self, held: Held, forged: str) -> Prepared | None:
        stage = self.stage
        row = self.run(stage.row(held.proposal.id))
        if row is None:
            return None
        try:
            if forged == "parent":
                asked = replace(row, outcome="DONE", receipt={"values": {"id": "x"}})
                prepared: Prepared = self.run(stage.executor.preparation.undo_of(held.proposal, asked))
            else:
                prepared = self.run(stage.executor.preparation.undo_of(held.proposal, row))
        except (Refused, ToolError):
            return None
        if not forged:
            return prepared
        proposal = prepared.proposal
        if forged == "arguments":
            proposal = replace(
                proposal,
                arguments={
                    **proposal.arguments,
                    "workload": "web",
                    **({"replicas": 33} if proposal.action == "set_replicas" else {"name_of_it": "y"}),
                },
            )
        until = proposal.created_at + proposal.execute_within
        sealed = seal(replace(proposal, covered=True, parent=held.proposal.id, verdict=type(proposal.verdict).ALLOW))
        allowed = replace(prepared.ruling, verdict=type(proposal.verdict).ALLOW)
        return replace(
            prepared, proposal=replace(sealed, state=ProposalState.ALLOWED, execute_by=until), ruling=allowed
        )
