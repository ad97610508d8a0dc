"""The executor: the only place from which an action is ever started.

claim (one transaction) → observe again → durable intent → apply, once → outcome: DONE, NOT_DONE or UNKNOWN

`execute` may be called again after a crash at any point. Without an intent nothing was sent, and it starts over; with one,
it only looks: an action is never applied a second time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from agent.clock import iso
from agent.domain.events import IntentDeclared, OutcomeKnown
from agent.errors import Overtaken, Refused, ToolError, Unsettled
from agent.gate import kill_switch, proposal_store
from agent.gate.outcome import Seen, after_settling, as_wanted, differences, happened, pauses, plain, unchanged
from agent.gate.policy import Policy, Ruling, Verdict
from agent.gate.policy_file import Budgets
from agent.gate.preflight import Entitled, Facts, Obstacle, obstacle
from agent.gate.prepare import ContextOf, Preparation, resolved
from agent.gate.proposal import Proposal, ProposalState
from agent.gate.proposal_history import Testimony, as_told, vouched_done, witnessed
from agent.store import executions, incidents, timeline
from agent.store.anchors import Start
from agent.store.database import Database, Transaction
from agent.store.executions import Execution, Outcome
from tools.context import Clock, Context
from tools.spec import Action, State

__all__ = ["Execution", "Executor", "Outcome"]

HOUR = timedelta(hours=1)
SETTLE = timedelta(seconds=30)  # for a target that shows nothing but knows its keys: what actions have by default
PATIENCE = timedelta(seconds=10)  # between intent and effect; a runner paused for longer may have a successor
_ENDS_AS = {
    Outcome.DONE: ProposalState.DONE,
    Outcome.NOT_DONE: ProposalState.NOT_DONE,
    Outcome.UNKNOWN: ProposalState.UNKNOWN,
}
OUTSIDE = "done outside Stanch: the target is already as wanted"


@dataclass(frozen=True, slots=True)
class _Hand:
    """What one execution holds in hand."""

    proposal: Proposal
    execution: Execution
    action: Action
    run: int
    said: Testimony  # of its timeline, in the claim


class _HasToLast(Exception):
    """What is to be written may not be lost with the power."""


class Executor:
    """`entitled(person, approvers)` answers by today's catalog; `context(incident)` gives what the action may touch."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        policy: Callable[[], Policy],
        actions: Mapping[str, type[Action]],
        context: ContextOf,
        entitled: Entitled,
    ) -> None:
        self._db = db
        self._clock = clock
        self._policy = policy
        self._actions = actions
        self._context = context
        self._entitled = entitled
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # one call at a time for a proposal
        self.preparation = Preparation(db, clock, policy, actions, context)

    @property
    def policy(self) -> Policy:
        """What holds at this moment."""
        return self._policy()

    async def execute(self, proposal_id: str, run: int) -> Execution:
        """Start the proposal, or find out what became of it. Raises Overtaken when `run` is no longer the epoch."""
        async with self._turns[proposal_id]:
            proposal, execution, said = await self._claimed(proposal_id, run)
            if execution.outcome is not None:
                return execution
            action = self._actions[proposal.action].parse(proposal.arguments)
            hand = _Hand(proposal, execution, action, run, said)
            return await (self._start(hand) if execution.intent_at is None else self._reconcile(hand))

    # -- claim ----------------------------------------------------------------------------------------------------------

    async def _claimed(self, proposal_id: str, run: int) -> tuple[Proposal, Execution, Testimony]:
        """A claim sends nothing, so a power cut may take it back; a refusal has to last, and is made anew where it does."""
        try:
            async with self._db.write(lasting=False) as tx:
                return await self._claim(tx, proposal_id, run, may_refuse=False)
        except _HasToLast:
            async with self._db.write() as tx:
                return await self._claim(tx, proposal_id, run)

    async def _claim(
        self, tx: Transaction, proposal_id: str, run: int, may_refuse: bool = True
    ) -> tuple[Proposal, Execution, Testimony]:
        """In one transaction: nothing stands in the way, and the one row that says so."""
        proposal = await proposal_store.held(tx, proposal_id, run)
        said = await witnessed(tx, proposal)
        known = await _known(tx, proposal, said, run)
        if known is not None and (known.outcome is not None or known.intent_at is not None):
            if known.outcome is None and proposal.state is not ProposalState.CLAIMED:
                proposal = await proposal_store.put(
                    tx, proposal, ProposalState.CLAIMED, "its timeline tells that it was started"
                )
            return proposal, known, said
        objection = await self._obstacle(tx, proposal, Budgets() if known else self._policy().budgets, said)
        if objection is not None:
            if not may_refuse:
                raise _HasToLast
            return proposal, await self._refuse(tx, proposal, known, objection, run), said
        if known is not None:
            return proposal, known, said
        claimed = replace(_row(proposal, run), claimed_at=self._clock.now())
        await executions.add(tx, claimed)
        return await proposal_store.move(tx, proposal, ProposalState.CLAIMED, "claimed"), claimed, said

    async def _obstacle(
        self, tx: Transaction, proposal: Proposal, budgets: Budgets, said: Testimony
    ) -> Obstacle | None:
        halt = await kill_switch.held(tx)  # also puts all claims in a line, so that budgets are counted right
        policy, now = self._policy(), self._clock.now()
        parent = await proposal_store.find(tx, proposal.parent) if proposal.parent else None
        if proposal.covered and not await _is_undo_of(tx, proposal, parent):
            return Obstacle(ProposalState.VOIDED, "it is not the undo that was approved")
        counted = budgets != Budgets()  # where nothing is limited nothing is counted
        this_hour, on_target = await executions.count_since(tx, now - HOUR, str(proposal.target)) if counted else (0, 0)
        facts = Facts(
            proposal=proposal,
            decisions=said.decisions,
            ruling=_ruling(policy, proposal, parent, self._clock),
            now=now,
            entitled=self._entitled,
            stopped=f"{halt.by} stopped everything: {halt.reason}" if halt else policy.stopped(),
            budgets=budgets,
            this_hour=this_hour,
            on_target=on_target,
            contradicted=said.contradicts,
        )
        return obstacle(facts)

    async def _refuse(
        self, tx: Transaction, proposal: Proposal, known: Execution | None, objection: Obstacle, run: int
    ) -> Execution:
        """It does not start, ever: the proposal ends, and says why."""
        ended = replace(_row(proposal, run), outcome=Outcome.NOT_DONE, why=f"not started: {objection.why}")
        if proposal.state is ProposalState.CLAIMED:
            objection = replace(objection, state=ProposalState.NOT_DONE)
        if known is not None:
            ended = replace(ended, claimed_at=known.claimed_at, ended_at=self._clock.now())
            if not await executions.end(tx, ended):
                raise Overtaken(
                    f"{proposal.id} was executed by somebody else meanwhile; what became of it stands there."
                )
        if proposal.state in (ProposalState.APPROVED, ProposalState.ALLOWED, ProposalState.CLAIMED):
            await proposal_store.move(tx, proposal, objection.state, objection.why)
            await self._note_outcome(tx, ended, run, objection.state)
        return ended

    # -- start ----------------------------------------------------------------------------------------------------------

    async def _start(self, hand: _Hand) -> Execution:
        """Claimed, and certainly nothing sent yet."""
        try:
            context = await self._now(hand)
            seen = plain(await hand.action.observe(context))
        except ToolError as error:
            return await self._end(hand, Outcome.NOT_DONE, f"not started: its target could not be looked at: {error}")
        if not unchanged(seen, hand.proposal.before):
            if as_wanted(seen, hand.proposal):
                return await self._end(hand, Outcome.NOT_DONE, OUTSIDE, ProposalState.VOIDED)
            changed = differences(seen, hand.proposal.before)
            return await self._end(hand, Outcome.NOT_DONE, f"not started: the state has changed ({changed})")
        async with self._db.write() as tx:
            hand = replace(hand, execution=await self._intend(tx, hand))
        if hand.execution.outcome is not None:
            return hand.execution
        return await self._apply(hand, context, seen)

    async def _intend(self, tx: Transaction, hand: _Hand) -> Execution:
        """Say durably what is about to be done. Clocks, policy and kill switch are asked once more: looking took time."""
        proposal = await proposal_store.held(tx, hand.proposal.id, hand.run)
        said = hand.said
        if said.upto != await timeline.tail(tx, proposal.incident):  # something came meanwhile
            said = await witnessed(tx, proposal, against_rows=False)  # they were, in the claim
        if (objection := await self._obstacle(tx, proposal, Budgets(), said)) is not None:
            return await self._refuse(tx, proposal, hand.execution, objection, hand.run)
        now = self._clock.now()
        if not await executions.intend(tx, proposal.id, now):
            raise Overtaken(f"{proposal.id} is being executed by somebody else; what becomes of it is looked up.")
        assert hand.execution.claimed_at is not None
        told = IntentDeclared(
            proposal=proposal.id,
            key=proposal.key,
            digest=proposal.digest,
            action=proposal.action,
            arguments=dict(proposal.arguments),
            claimed_at=hand.execution.claimed_at,
        )
        key, start = f"intent:{proposal.id}", Start(proposal.id, str(proposal.target), now)
        await timeline.append(tx, proposal.incident, told, "stanch", now, key, hand.run, fresh=True, start=start)
        return replace(hand.execution, intent_at=now)

    async def _apply(self, hand: _Hand, context: Context, seen: State) -> Execution:
        """The effect. From here on nothing may be sent again."""
        assert hand.execution.intent_at is not None
        if self._clock.now() - hand.execution.intent_at > PATIENCE:
            raise Overtaken(
                f"{hand.proposal.id} was held up between intent and effect; what became of it is looked up."
            )
        try:
            receipt = await hand.action.apply(context, seen, hand.proposal.key)
        except Refused as error:
            if await self._probed(hand, context):  # somebody on the way sent it twice, and the second was refused
                return await self._end(hand, Outcome.DONE, f"the target has it, though its answer was: {error}")
            return await self._end(hand, Outcome.NOT_DONE, f"refused: {error}")
        except ToolError as error:
            return await self._settle(hand, f"no clear answer: {error}")
        answer = {"text": receipt.text, "values": dict(receipt.values)}
        hand = replace(hand, execution=replace(hand.execution, receipt=answer, answered_at=self._clock.now()))
        return await self._settle(hand, receipt.text)

    # -- outcome --------------------------------------------------------------------------------------------------------

    async def _reconcile(self, hand: _Hand) -> Execution:
        """After a crash behind the intent: it may have been sent, or whoever meant to is only slow. Look, never send."""
        return await self._settle(hand, "after a crash", at_least=2 * PATIENCE)

    async def _settle(self, hand: _Hand, said: str, at_least: timedelta = timedelta()) -> Execution:
        """Look until the effect shows or the time is up in which it would have to. The time counts from now: whatever was
        still on its way when we began to look has arrived by its end."""
        seen = await self._look(hand)
        if hand.action.settle is None and seen.probed is None:
            if hand.execution.receipt is not None:
                return await self._end(hand, Outcome.DONE, "the target took it; its effect cannot be seen")
            return await self._end(hand, Outcome.UNKNOWN, f"{said}; its effect can never be seen")
        if happened(seen, hand.proposal):
            return await self._end(hand, Outcome.DONE, said)
        await self._keep_answer(hand)
        for pause in pauses(max(hand.action.settle or SETTLE, at_least)):
            await self._clock.sleep(pause.total_seconds())
            seen = await self._look(hand)
            if happened(seen, hand.proposal):
                return await self._end(hand, Outcome.DONE, said)
        outcome, why = after_settling(seen, hand.proposal, hand.execution.receipt is not None)
        return await self._end(hand, outcome, f"{said}; {why}", lost=outcome is Outcome.NOT_DONE)

    async def _look(self, hand: _Hand) -> Seen:
        """Probe and observe; a target that does not answer has said nothing."""
        context = await self._now(hand)
        probed = await self._probed(hand, context)
        if probed is not None or hand.action.settle is None:  # what never shows is not looked for
            return Seen(probed, None)
        try:
            return Seen(None, plain(await hand.action.observe(context)))
        except ToolError:
            return Seen(None, None)

    async def _probed(self, hand: _Hand, context: Context) -> bool | None:
        """The target's own word on the key; None where it has none or does not answer."""
        try:
            return await hand.action.probe(context, hand.proposal.key)
        except ToolError:
            return None

    async def _now(self, hand: _Hand) -> Context:
        return replace(await self._context(hand.proposal.incident), as_of=self._clock.now())

    async def _keep_answer(self, hand: _Hand) -> None:
        """Keep what the target answered before waiting: its values may be needed for the undo."""
        execution = hand.execution
        if execution.receipt is not None and execution.answered_at is not None:
            async with self._db.write() as tx:
                await incidents.hold(tx, hand.proposal.incident, hand.run)
                await executions.answered(tx, hand.proposal.id, execution.answered_at, execution.receipt)

    async def _end(
        self, hand: _Hand, outcome: Outcome, why: str, state: ProposalState | None = None, lost: bool = False
    ) -> Execution:
        """The outcome, in one transaction with its event and the proposal's end. The first one written stands.

        `lost` tells a reasoner that nobody refused: it never reached its target, and may be proposed anew.
        """
        proposal = hand.proposal
        ended = replace(hand.execution, outcome=outcome, why=why, ended_at=self._clock.now())
        async with self._db.write() as tx:
            await incidents.hold(tx, proposal.incident, hand.run)
            if not await executions.end(tx, ended):
                found = await executions.get(tx, proposal.id)
                assert found is not None
                if found.outcome is None:
                    raise Overtaken(
                        f"{proposal.id} is being executed by somebody else, who will say what became of it."
                    )
                return found
            state = state or _ENDS_AS[outcome]
            await proposal_store.move(tx, proposal, state, why)
            await self._note_outcome(tx, ended, hand.run, state, lost, fresh=True)
        return ended

    async def _note_outcome(
        self,
        tx: Transaction,
        ended: Execution,
        run: int,
        state: ProposalState,
        lost: bool = False,
        fresh: bool = False,
    ) -> None:
        told = OutcomeKnown(
            proposal=ended.proposal,
            outcome=str(ended.outcome),
            why=ended.why,
            receipt=ended.receipt["text"] if ended.receipt else None,
            values=dict(ended.values),
            lost=lost,
            state=str(state),
            claimed_at=iso(ended.claimed_at) if ended.claimed_at else None,
        )
        key, now = f"outcome:{ended.proposal}", self._clock.now()
        await timeline.append(tx, ended.incident, told, "stanch", now, key, run, fresh)


async def _known(tx: Transaction, proposal: Proposal, said: Testimony, run: int) -> Execution | None:
    """What has begun of the proposal, by the row, its timeline and the anchors: what any of them tells to have been started is
    never started again. A row that somebody took away is put back as the others tell it."""
    row = await executions.get(tx, proposal.id)
    anchored = tx.anchors.start(proposal.id)
    begun = said.intent.at if said.intent is not None else anchored.at if anchored is not None else None
    if row is None and begun is None and said.end is None:
        return None
    told = replace(
        row or _row(proposal, run),
        incident=proposal.incident,
        key=proposal.key,
        action=proposal.action,
        target=str(proposal.target),
    )
    told = as_told(told, said)
    if row is None and begun is not None and told.outcome is None:
        told = replace(told, claimed_at=begun, intent_at=begun)
        try:
            await executions.add(tx, told)
        except IntegrityError:
            raise Unsettled(f"The executor holds {proposal.id} under another name. {timeline.SEE_AUDIT}") from None
    return replace(told, intent_at=told.intent_at or begun)


def _row(proposal: Proposal, run: int) -> Execution:
    return Execution(
        proposal.id, proposal.incident, run, proposal.action, str(proposal.target), proposal.key, claimed_at=None
    )


def _ruling(policy: Policy, proposal: Proposal, parent: Proposal | None, clock: Clock) -> Ruling:
    """Policy's answer of today. A covered undo that no rule names is judged as the action it takes back."""
    ruling = policy.rule(proposal.request(clock.now()))
    if proposal.covered and parent is not None and ruling.verdict is Verdict.DENY and ruling.rule == "":
        return policy.rule(parent.request(clock.now()))
    return ruling


async def _is_undo_of(tx: Transaction, proposal: Proposal, parent: Proposal | None) -> bool:
    """Whether this is exactly the undo that was sealed with its parent, and the parent really ran."""
    if parent is None or parent.undo is None or not parent.undo_covered or not parent.intact:
        return False
    ran = await executions.get(tx, parent.id)
    if ran is None or not await vouched_done(tx, parent, ran.values) or proposal.action != parent.undo.action:
        return False
    try:
        return {name: resolved(value, ran) for name, value in parent.undo.arguments.items()} == dict(proposal.arguments)
    except Refused:
        return False  # a value that the target never told cannot have been sealed
