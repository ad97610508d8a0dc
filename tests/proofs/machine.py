"""The gate against its model: people, clocks, policies, crashes and vandals in any order that hypothesis thinks of."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.case.catalog import Person
from agent.case.timeline import EventKind
from agent.errors import NotEntitled, Outdated, Overtaken, Refused, Unreachable
from agent.gate import audit, docket, stop
from agent.gate.policy import parse
from agent.gate.proposal import Proposal, ProposalState
from agent.store import executions, timeline
from tests.gate.world import ANN, Scene, World
from tests.proofs.choices import COMES_BETWEEN, MODES, PEOPLE, PROPOSED, people, rules_of_today, which, willing
from tests.proofs.model import BEGINS, OUTCOMES, PROBING, SEEN, UNSEEN, Held, Model, Rules
from tests.proofs.stage import Stage


def has(*states: str) -> Any:
    """The rule applies only while a proposal is in one of the states."""
    return precondition(lambda self: any(held.state in states for held in self.model.held))


WAITING = ("open", "approved", "allowed")
READY = ("approved", "allowed")


class Gate(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="stanch-gate-"))
        self.model = Model(Rules(), Scene.groups_at_first())
        self.never: set[str] = set()  # keys of which it was said that nothing happened
        self.begun = 0

    @initialize(rules=willing)
    def begin(self, rules: Rules) -> None:
        self.model, self.never = Model(rules, Scene.groups_at_first()), set()
        self.begun += 1
        self.stage: Stage = self.run(Stage.opened(self.place / str(self.begun), rules.text()))
        self.run(self.stage.open())
        self.stage.groups = self.model.groups
        World.point, World.reached = staticmethod(self.stage._point), staticmethod(self.stage.sending)

    def end(self) -> None:
        """Whatever was still on its way arrives, and nothing has come about that was denied."""
        self.stage.at = 0
        self.stage.clock.advance(timedelta(hours=1))
        self.promises()
        found, tampered = self.run(audit.verify(self.stage.db)), any(held.tampered for held in self.model.held)
        assert bool(found) == tampered, f"I9: what nobody touched is whole, and what somebody did shows: {found}"
        World.point = World.reached = staticmethod(lambda _key: None)
        self.run(self.stage.db.close())

    def teardown(self) -> None:
        if self.begun:
            self.end()
        self.loop.close()
        shutil.rmtree(self.place)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)

    # -- what is around the gate --------------------------------------------------------------------------------------

    @rule(rules=rules_of_today)
    def policy_changes(self, rules: Rules) -> None:
        self.model.rules, self.stage.policy = rules, parse(rules.text())

    @rule(name=st.sampled_from(("ann", "bob", "dora")), group=st.sampled_from(("oncall", "leads")))
    def somebody_joins_or_leaves(self, name: str, group: str) -> None:
        members = self.model.groups[group]
        (members.remove if name in members else members.append)(name)

    @rule(minutes=st.sampled_from((1, 14, 16, 59, 61)))
    def time_passes(self, minutes: int) -> None:
        self.stage.clock.advance(timedelta(minutes=minutes))

    @rule()
    def stop_or_go_on(self) -> None:
        self.run(self._switch(not self.model.stopped))

    async def _switch(self, stopped: bool) -> None:
        self.model.stopped = stopped
        if (await stop.stopped(self.stage.db) is not None) != stopped:
            await stop.press(self.stage.db, self.stage.clock, ANN, stopped, "smells")

    @rule(mode=st.sampled_from(MODES))
    def target_behaves(self, mode: str) -> None:
        self.stage.world.write("mode", mode)
        self.stage.world.write("sent", False)

    @rule(replicas=st.integers(1, 9), version=st.booleans())
    def somebody_changes_the_target(self, replicas: int, version: bool) -> None:
        if version:
            self.stage.world.write("version", self.stage.world.read("version", 0) + 1)
        else:
            self.stage.world.set(replicas=replicas)

    @rule()
    def process_restarts(self) -> None:
        self.run(self.stage.restart())

    # -- proposing ----------------------------------------------------------------------------------------------------

    @rule(**PROPOSED)
    def propose(
        self,
        kind: str,
        replicas: int,
        workload: str,
        requester: str | None,
        untrusted: bool,
        approvers: int,
        twice: bool,
    ) -> None:
        arguments: dict[str, Any] = {"workload": workload} | ({"replicas": replicas} if kind == "set_replicas" else {})
        step, names = f"step {len(self.model.held)}", ("workload",) if untrusted else ()
        asked = {"step": step, "arguments": arguments, "requester_person": requester, "untrusted": names}
        try:
            shown: Proposal = self.run(self.stage.propose(kind, **asked))
        except (Refused, Unreachable):
            return  # it alters nothing, or its target is dark
        if twice:
            again: Proposal = self.run(self.stage.propose(kind, **asked))
            assert (again.id, again.digest) == (shown.id, shown.digest), "I6: one step makes one proposal"
        said = self.model.rules.says(kind, arguments, untrusted)
        assert (str(shown.verdict), str(shown.state)) == (said.verdict, BEGINS[said.verdict]), f"I12, I13, I16: {said}"
        assert shown.quorum == said.quorum or said.verdict != "ask", "I2: sealed with another quorum"
        held = Held(shown, said, str(shown.state), shown.execute_by)
        self.model.held.append(held)
        for person in PEOPLE[:approvers] if held.state == "open" else ():
            self._answer(held, person, "approve", shown.digest)

    # -- deciding -----------------------------------------------------------------------------------------------------

    def pick(self, number: int, *states: str) -> Held:
        found = [h for h in self.model.held if h.state in states] if states else self.model.held
        return found[-1 - number % len(found)]

    @has(*WAITING)
    @rule(
        number=which,
        person=people,
        answer=st.sampled_from(("approve",) * 4 + ("deny", "revoke")),
        right=st.sampled_from((True,) * 5 + (False,)),
    )
    def decide(self, number: int, person: Person, answer: str, right: bool) -> None:
        held = self.pick(number, *WAITING)
        self._answer(held, person, answer, held.proposal.digest if right else "0" * 64)

    def _answer(self, held: Held, person: Person, answer: str, digest: str) -> None:
        real = person.principal.startswith(("os:", "slack:", "web:"))
        groups = tuple(g for g, members in self.model.groups.items() if person.name in members)
        now, same = self.stage.clock.now(), digest == held.proposal.digest
        expected = self.model.answer(held, person.name, real, answer, same, now)
        who = replace(person, groups=groups) if real and person.name else person
        try:
            made = self.run(self.stage.decide(held.proposal, digest, who, answer))
        except NotEntitled:
            assert expected == "not entitled", f"I2: refused {person.principal}, expected {expected}"
        except Outdated:
            assert expected == "outdated", f"I1, I3: refused as outdated, expected {expected}"
        else:
            assert expected in ("counted", "again"), f"I1, I2, I3: {answer} of {person.principal} counted: {expected}"
            if expected == "counted":
                self._counted(held, str(person.name), answer, made.proposal)
        self.resync(held)

    def _counted(self, held: Held, name: str, answer: str, now_is: Proposal) -> None:
        held.answers[name, answer] = self.stage.clock.now()
        if answer != "approve":
            assert now_is.state in (ProposalState.DENIED, ProposalState.REVOKED), "I4: an answer that ends it has not"
            return
        enough = self.model.enough(held)
        assert (now_is.state is ProposalState.APPROVED) == enough, (
            f"I2: {len(held.approvals)} of {held.needed}: {now_is.state}"
        )
        if enough:
            held.execute_by = self.stage.clock.now() + timedelta(minutes=15)
            assert now_is.execute_by == held.execute_by, "I3: the execution clock counts from the approval"

    def resync(self, held: Held) -> None:
        async def look() -> Proposal | None:
            async with self.stage.db.read() as tx:
                return await docket.find(tx, held.proposal.id)

        found = self.run(look())
        assert found is not None
        held.state = str(found.state)

    # -- executing ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.held)
    @rule(number=which, between=st.sampled_from(COMES_BETWEEN), other=rules_of_today)
    def execute(self, number: int, between: str, other: Rules) -> None:
        self._execute(self.pick(number), between, other)

    @has(*READY)
    @rule(number=which, between=st.sampled_from(COMES_BETWEEN), other=rules_of_today)
    def execute_what_may_start(self, number: int, between: str, other: Rules) -> None:
        self._execute(self.pick(number, *READY), between, other)

    @has(*READY)
    @rule(number=which)
    def a_stale_runner_executes(self, number: int) -> None:
        held, before = self.pick(number, *READY), self.stage.caused()
        old = self.stage.run
        self.run(self.stage.open())
        try:
            self.run(self.stage.ledger.execute(held.proposal.id, old))
        except Overtaken:
            assert self.stage.caused() == before
        else:
            raise AssertionError("I6: an overtaken runner may start what it likes")

    def _execute(self, held: Held, between: str, other: Rules, limbo: bool = False) -> None:
        stage, now = self.stage, self.stage.clock.now()
        ended, before = held.outcome, stage.caused()
        may = self.model.may_start(held, now) and (
            limbo or held.claimed_at is not None or self.model.within_budget(held, now)
        )
        happened = {"may": may, "taken over": False}

        async def meanwhile() -> None:
            for moment in ("before", "after"):  # a successor does what was to be done: what held before it counts
                if moment == ("before" if between == "takeover" else "after"):
                    still = self.model.may_start(replace(held, state="claimed"), stage.clock.now())
                    happened["may"] = may and still and self._as_sealed(held)
                if moment == "before":
                    await self._come_between(held, between, other, happened)
            happened["mode"] = self._mode(held)
            happened["may"] = happened["may"] and not happened.get("revoked")

        stage.meanwhile, stage.slept = meanwhile, False
        try:
            told = self.run(stage.ledger.execute(held.proposal.id, stage.run))
        except Overtaken:
            assert happened["taken over"], "overtaken by nobody"
            told = self.run(stage.ledger.execute(held.proposal.id, stage.run))
        stage.meanwhile = None
        self._claimed(held, now)
        self.resync(held)
        assert told.outcome is not None, "I7: executed, and no outcome"
        if ended:
            assert (str(told.outcome), stage.caused()) == (ended, before), "I6, I7: once ended it stays so"
            return
        fresh = [key for key in stage.caused() if key not in before]
        if not happened["may"]:
            assert fresh == [], f"I1-I5, I15: it started ({between}): {told.why}"
            assert told.outcome == "NOT_DONE", f"I7: {told.outcome} of what may not start ({between}): {told.why}"
        elif happened.get("mode") == "dark":
            assert (fresh, str(told.outcome)) == ([], "NOT_DONE")
        else:
            outcome, effects = OUTCOMES.get(held.proposal.action, SEEN)[str(happened["mode"])]
            true = (outcome, "UNKNOWN") if self._disturbed(held) else (outcome,)
            assert str(told.outcome) in true, f"I7: {happened['mode']} is told as {told.outcome}, {told.why}"
            assert fresh == [held.proposal.key] * effects, f"I6: {fresh}"
        self._told(held, str(told.outcome))

    def _mode(self, held: Held) -> str:
        mode = self.stage.world.mode if held.proposal.arguments.get("workload", "web") == "web" else "well"
        return mode if mode in OUTCOMES.get(held.proposal.action, SEEN) or mode == "dark" else "well"

    def _here(self, held: Held) -> World:
        return self.stage.targets()[0 if held.proposal.arguments.get("workload", "web") == "web" else 1]

    def _disturbed(self, held: Held) -> bool:
        """Whether something else, that came late, has changed what was to be seen: neither as before nor as wanted."""
        if held.proposal.action in PROBING:
            return False
        proposal, now = held.proposal, self._here(held).fields()
        return any(now[n] not in (proposal.before.fields[n], proposal.after.fields[n]) for n in proposal.altered)

    def _as_sealed(self, held: Held) -> bool:
        """Whether the target is still as it was when the proposal was sealed."""
        here = self._here(held)
        before = held.proposal.before
        now = {name: "" if held.proposal.action in UNSEEN else here.fields()[name] for name in before.fields}
        return now == dict(before.fields) and str(here.read("version", "")) == before.version

    async def _come_between(self, held: Held, between: str, other: Rules, happened: dict[str, Any]) -> None:
        stage, proposal = self.stage, held.proposal
        match between:
            case "stop":
                await self._switch(True)
            case "policy":
                self.model.rules, stage.policy = other, parse(other.text())
            case "leave":
                for members in self.model.groups.values():
                    members[:] = [name for name in members if name not in held.approvals]
            case "version":
                stage.world.write("version", stage.world.read("version", 0) + 1)
            case "by hand":
                stage.world.set(replicas=8, event="by hand")
            case "late":
                stage.clock.advance(timedelta(minutes=16))
            case "revoke":
                try:
                    await stage.decide(proposal, proposal.digest, replace(ANN, groups=("oncall", "leads")), "revoke")
                except (Outdated, NotEntitled):
                    return  # it has started
                async with stage.db.read() as tx:
                    row = await executions.get(tx, proposal.id)
                assert row is None or row.intent_at is None, "I4: revoked after it had started"
                happened["revoked"] = True
            case "takeover":
                happened["taken over"] = True
                await stage.open()
                await stage.runner(stage.db).execute(proposal.id, stage.run)

    async def _ends(self, proposal: str) -> list[str]:
        async with self.stage.db.read() as tx:
            events = await timeline.events(tx, "inc")
        return [e.data["outcome"] for e in events if e.kind is EventKind.OUTCOME and e.data["proposal"] == proposal]

    def _claimed(self, held: Held, now: Any) -> None:
        row = self.run(self.stage.row(held.proposal.id))
        if row is not None and held.claimed_at is None:
            held.claimed_at = row.claimed_at

    def _told(self, held: Held, outcome: str) -> None:
        row = self.run(self.stage.row(held.proposal.id))
        if row is not None:
            held.outcome = outcome
            ends = self.run(self._ends(held.proposal.id))
            assert ends == [outcome], f"I7, I9: {outcome}, and the timeline tells {ends}"
        if outcome == "NOT_DONE" and row is not None:
            self.never.add(held.proposal.key)
        lied = held.proposal.action == "blind" and self.stage.world.mode == "swallowed"
        came = self.stage.caused() if held.proposal.action == "blind" else self.stage.effects()
        if outcome == "DONE" and not lied:
            assert held.proposal.key in came, "I7: done, and nothing happened"

    # -- always -------------------------------------------------------------------------------------------------------

    @invariant()
    def promises(self) -> None:
        if not self.begun:
            return
        effects = self.stage.caused()
        assert len(effects) == len(set(effects)), f"I6: an effect came twice: {effects}"
        assert not self.never & set(effects), "I7: what was said not to have been done has happened"
        assert self.stage.wrong == [], self.stage.wrong[0]
