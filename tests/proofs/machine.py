"""The gate against the law of its promise: people, clocks, policies, crashes and vandals in any order that hypothesis thinks of."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.domain.catalog import Person
from agent.domain.timeline import EventKind
from agent.errors import NotEntitled, Outdated, Overtaken, Refused, Unreachable
from agent.gate import audit, kill_switch, proposal_store
from agent.gate.policy import parse
from agent.gate.proposal import Proposal, ProposalState
from agent.store import executions, timeline
from tests.gate.world import ANN, Base, Scene, World
from tests.proofs.choices import COMES_BETWEEN, MODES, PEOPLE, PROPOSED, people, rules_of_today, which, willing
from tests.proofs.law import (
    Answered,
    Began,
    History,
    Moment,
    Sent,
    Shown,
    Told,
    TurnedAway,
    approvals,
    approved,
    heard,
    objections,
    room,
    unlawful,
)
from tests.proofs.model import BEGINS, OUTCOMES, PROBING, SEEN, UNSEEN, Rules, Said
from tests.proofs.stage import Stage


def has(*states: str) -> Any:
    """The rule applies only while a proposal is in one of the states."""
    return precondition(lambda self: any(held.state in states for held in self.around.held))


WAITING = ("open", "approved", "allowed")
READY = ("approved", "allowed")


@dataclass
class Held:
    """One proposal that the walk goes on with. `state` only says what can be tried with it; the law does not know it."""

    proposal: Proposal
    shown: Shown
    state: str
    tampered: str = ""
    parent: Held | None = None  # of an undo
    outcome: str = ""


@dataclass
class Around:
    """What holds now: policy, people, the kill switch; and the proposals so far."""

    rules: Rules
    groups: dict[str, list[str]]
    stopped: bool = False
    held: list[Held] = field(default_factory=list)


class Gate(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="stanch-gate-"))
        self.around, self.history = Around(Rules(), Scene.groups_at_first()), History()
        self.begun = 0

    @initialize(rules=willing)
    def begin(self, rules: Rules) -> None:
        self.around, self.history = Around(rules, Scene.groups_at_first()), History()
        self.begun += 1
        self.stage: Stage = self.run(Stage.opened(self.place / str(self.begun), rules.text()))
        self.run(self.stage.open())
        self.stage.groups, self.stage.arrived = self.around.groups, self._arrived
        World.point, World.reached = staticmethod(self.stage._point), staticmethod(self.stage.sending)

    def end(self) -> None:
        """Whatever was still on its way arrives, and nothing has come about that was denied."""
        self.stage.at = 0
        self.stage.clock.advance(timedelta(hours=1))
        self.promises()
        found, tampered = self.run(audit.verify(self.stage.db)), any(held.tampered for held in self.around.held)
        assert bool(found) == tampered, f"I9: what nobody touched is whole, and what somebody did shows: {found}"
        World.point, World.reached = staticmethod(lambda _key: None), staticmethod(lambda _key, _action: None)
        self.run(self.stage.db.close())

    def teardown(self) -> None:
        if self.begun:
            self.end()
        self.loop.close()
        shutil.rmtree(self.place)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)

    def moment(self) -> Moment:
        groups = {name: tuple(members) for name, members in self.around.groups.items()}
        return Moment(self.stage.clock.now(), self.around.rules, groups, self.around.stopped)

    def _arrived(self, key: str, action: Base) -> None:
        here = World(self.stage.world.folder if action.workload == "web" else self.stage.world.folder / action.workload)
        found = action.owned(here), str(here.read("version", ""))
        self.history.append(Sent(self.moment(), key, action.name(), action.model_dump(mode="json"), found))

    def show(self, proposal: Proposal, said: Said, parent: Held | None = None) -> Held:
        """From here on people have seen it. `parent`: it is said to be an undo that the parent's approval covers."""
        undo = proposal.undo
        shown = Shown(
            self.moment(),
            proposal.id,
            proposal.digest,
            proposal.key,
            proposal.action,
            dict(proposal.arguments),
            str(proposal.target),
            (dict(proposal.before.fields), proposal.before.version),
            said,
            proposal.approvers,
            proposal.approve_by,
            proposal.execute_within,
            proposal.requester_person,
            bool(proposal.untrusted),
            (undo.action, dict(undo.arguments)) if undo else None,
            proposal.undo_covered,
            parent.proposal.id if parent else "",
        )
        self.history.append(shown)
        self.around.held.append(Held(proposal, shown, str(proposal.state), parent=parent))
        return self.around.held[-1]

    # -- what is around the gate --------------------------------------------------------------------------------------

    @rule(rules=rules_of_today)
    def policy_changes(self, rules: Rules) -> None:
        self.around.rules, self.stage.policy = rules, parse(rules.text())

    @rule(name=st.sampled_from(("ann", "bob", "dora")), group=st.sampled_from(("oncall", "leads")))
    def somebody_joins_or_leaves(self, name: str, group: str) -> None:
        members = self.around.groups[group]
        (members.remove if name in members else members.append)(name)

    @rule(minutes=st.sampled_from((1, 14, 16, 59, 61)))
    def time_passes(self, minutes: int) -> None:
        self.stage.clock.advance(timedelta(minutes=minutes))

    @rule()
    def stop_or_go_on(self) -> None:
        self.run(self._switch(not self.around.stopped))

    async def _switch(self, stopped: bool) -> None:
        self.around.stopped = stopped
        if (await kill_switch.stopped(self.stage.db) is not None) != stopped:
            await kill_switch.press(self.stage.db, self.stage.clock, ANN, stopped, "smells")

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
        step, names = f"step {len(self.around.held)}", ("workload",) if untrusted else ()
        asked = {"step": step, "arguments": arguments, "requester_person": requester, "untrusted": names}
        try:
            shown: Proposal = self.run(self.stage.propose(kind, **asked))
        except (Refused, Unreachable):
            return  # it alters nothing, or its target is dark
        if twice:
            again: Proposal = self.run(self.stage.propose(kind, **asked))
            assert (again.id, again.digest) == (shown.id, shown.digest), "I6: one step makes one proposal"
        said = self.around.rules.says(kind, arguments, untrusted)
        assert (str(shown.verdict), str(shown.state)) == (said.verdict, BEGINS[said.verdict]), f"I12, I13, I16: {said}"
        assert shown.quorum == said.quorum or said.verdict != "ask", "I2: sealed with another quorum"
        held = self.show(shown, said)
        for person in PEOPLE[:approvers] if held.state == "open" else ():
            self._answer(held, person, "approve", shown.digest)

    # -- deciding -----------------------------------------------------------------------------------------------------

    def pick(self, number: int, *states: str) -> Held:
        found = [h for h in self.around.held if h.state in states] if states else self.around.held
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
        now, groups = self.moment(), tuple(g for g, members in self.around.groups.items() if person.name in members)
        expected = heard(self.history, held.shown, now, person.name, real, answer, digest)
        who = replace(person, groups=groups) if real and person.name else person
        try:
            made = self.run(self.stage.decide(held.proposal, digest, who, answer))
        except NotEntitled:
            assert expected == "not entitled", f"I2: refused {person.principal}, expected {expected}"
        except Outdated:
            self.history.append(TurnedAway(now, held.proposal.id))
            assert expected == "outdated", f"I1, I3: refused as outdated, expected {expected}"
        else:
            self.history.append(Answered(now, held.proposal.id, digest, person.name, real, answer))
            assert expected in ("counted", "again"), f"I1, I2, I3: {answer} of {person.principal} counted: {expected}"
            if expected == "counted":
                self._counted(held, answer, made.proposal)
        self.resync(held)

    def _counted(self, held: Held, answer: str, now_is: Proposal) -> None:
        if answer != "approve":
            assert now_is.state in (ProposalState.DENIED, ProposalState.REVOKED), "I4: an answer that ends it has not"
            return
        complete = approved(self.history, held.shown)
        assert (now_is.state is ProposalState.APPROVED) == (complete is not None), (
            f"I2: complete: {complete}, {now_is.state}"
        )
        if complete is not None:
            assert now_is.execute_by == complete + held.shown.execute_within, "I3: it counts from the approval"

    def resync(self, held: Held) -> None:
        async def look() -> Proposal | None:
            async with self.stage.db.read() as tx:
                return await proposal_store.find(tx, held.proposal.id)

        found = self.run(look())
        assert found is not None
        held.state = str(found.state)

    # -- executing ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.around.held)
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
            self.run(self.stage.executor.execute(held.proposal.id, old))
        except Overtaken:
            assert self.stage.caused() == before
        else:
            raise AssertionError("I6: an overtaken runner may start what it likes")

    def lawful(self, held: Held) -> bool:
        return not objections(self.history, held.shown, self.moment())

    def may_begin(self, held: Held) -> bool:
        """Whether nothing stands in the way of it now. What was begun has its place in the budgets."""
        begun = bool(self.history.of(Began, held.proposal.id))
        return self.lawful(held) and (begun or room(self.history, held.shown, self.moment()))

    def _execute(self, held: Held, between: str, other: Rules) -> None:
        stage, asked, place = self.stage, self.moment(), len(self.history)
        ended, before = held.outcome, stage.caused()
        may = self.may_begin(held)
        happened: dict[str, Any] = {"may": may, "taken over": False}

        async def meanwhile() -> None:
            for moment in ("before", "after"):  # a successor does what was to be done: what held before it counts
                if moment == ("before" if between == "takeover" else "after"):
                    happened["may"] = may and self.lawful(held) and self._as_sealed(held)
                if moment == "before":
                    await self._come_between(held, between, other, happened)
            happened["mode"] = self._mode(held)

        stage.meanwhile, stage.slept = meanwhile, False
        try:
            told = self.run(stage.executor.execute(held.proposal.id, stage.run))
        except Overtaken:
            assert happened["taken over"], "overtaken by nobody"
            told = self.run(stage.executor.execute(held.proposal.id, stage.run))
        stage.meanwhile = None
        self._began(held, asked, place)
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
                self.around.rules, stage.policy = other, parse(other.text())
            case "leave":
                gone = {one.name for one in approvals(self.history, held.shown)}
                for members in self.around.groups.values():
                    members[:] = [name for name in members if name not in gone]
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
                self.history.append(Answered(self.moment(), proposal.id, proposal.digest, "ann", True, "revoke"))
            case "takeover":
                happened["taken over"] = True
                await stage.open()
                await stage.runner(stage.db).execute(proposal.id, stage.run)

    async def _ends(self, proposal: str) -> list[tuple[str, dict[str, Any]]]:
        async with self.stage.db.read() as tx:
            events = await timeline.events(tx, "inc")
        mine = [e.data for e in events if e.kind is EventKind.OUTCOME and e.data["proposal"] == proposal]
        return [(data["outcome"], data["values"]) for data in mine]

    def _began(self, held: Held, asked: Moment, place: int) -> None:
        """If the record says so it was begun when it was asked for, which is `place` in the history."""
        row = self.run(self.stage.row(held.proposal.id))
        if row is not None and row.claimed_at is not None and not self.history.of(Began, held.proposal.id):
            self.history.insert(place, Began(asked, held.proposal.id))

    def _told(self, held: Held, outcome: str) -> None:
        proposal, row = held.proposal, self.run(self.stage.row(held.proposal.id))
        ends = self.run(self._ends(proposal.id))
        self.history += [Told(self.moment(), proposal.id, *end) for end in ends]
        if row is not None:
            held.outcome = outcome
            assert [end for end, _ in ends] == [outcome], f"I7, I9: {outcome}, and the timeline tells {ends}"
        lied = proposal.action == "blind" and self.stage.world.mode == "swallowed"
        came = self.stage.caused() if proposal.action == "blind" else self.stage.effects()
        if outcome == "DONE" and not lied:
            assert proposal.key in came, "I7: done, and nothing happened"

    # -- always -------------------------------------------------------------------------------------------------------

    @invariant()
    def promises(self) -> None:
        if not self.begun:
            return
        effects = self.stage.caused()
        assert len(effects) == len(set(effects)), f"I6: an effect came twice: {effects}"
        never = {one.proposal for one in self.history if isinstance(one, Told) and one.outcome == "NOT_DONE"}
        came = [h.proposal.id for h in self.around.held if h.proposal.id in never and h.proposal.key in effects]
        assert came == [], "I7: what was said not to have been done has happened"
        assert self.stage.wrong == [], self.stage.wrong[0]
        assert (wrong := unlawful(self.history)) == [], wrong[0]
