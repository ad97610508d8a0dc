"""The proposal store: proposals as the store keeps them, and the one way their state changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from agent.domain.events import OutcomeKnown
from agent.domain.notes import ProposalWithdrawn
from agent.errors import IllegalTransition, UnusableInput
from agent.gate.proposal import WAITING, Proposal, ProposalState, from_sealed
from agent.store import incidents, proposals, timeline
from agent.store.database import Database, Transaction
from agent.store.proposals import ProposalRow
from tools.context import Clock


async def add(tx: Transaction, proposal: Proposal) -> None:
    await proposals.add(
        tx,
        ProposalRow(
            proposal.id,
            proposal.incident,
            proposal.n,
            proposal.digest,
            str(proposal.state),
            proposal.note,
            proposal.execute_by,
            proposal.sealed(),
        ),
    )


async def find(tx: Transaction, proposal: str) -> Proposal | None:
    row = await proposals.get(tx, proposal)
    return _proposal(row) if row else None


async def held(tx: Transaction, proposal: str, run: int | None = None) -> Proposal:
    """The proposal, with its incident's row locked until the transaction ends; Overtaken if `run` is not the epoch, and
    Unsettled where its timeline is not what is anchored."""
    if (row := await proposals.held(tx, proposal)) is None:
        raise UnusableInput(f"There is no proposal {proposal}. `stanch approvals list` shows those that wait.")
    found = _proposal(row)
    for incident in {row.incident, found.incident}:  # somebody may have moved the row
        await incidents.hold(tx, incident, run)
        await timeline.tail(tx, incident)
    return found


async def of(tx: Transaction, incident: str) -> list[Proposal]:
    return [_proposal(row) for row in await proposals.of(tx, incident)]


async def listing(tx: Transaction, states: Collection[ProposalState] | None = WAITING) -> list[Proposal]:
    """Those that wait (the default), or all with None."""
    chosen = None if states is None else [str(state) for state in states]
    return [_proposal(row) for row in await proposals.listing(tx, chosen)]


async def move(
    tx: Transaction, proposal: Proposal, state: ProposalState, note: str, execute_by: datetime | None = None
) -> Proposal:
    """The proposal in its next state; IllegalTransition where that cannot follow."""
    moved = proposal.to(state, note, execute_by)
    if not await proposals.set_state(
        tx, proposal.id, str(proposal.state), str(state), note, moved.execute_by
    ):  # not under `held`
        raise IllegalTransition(f"Proposal {proposal.id} is no longer {proposal.state}.")
    return moved


async def put(tx: Transaction, proposal: Proposal, state: ProposalState, note: str) -> Proposal:
    """The proposal in a state that does not follow from its row's: what the timeline or the anchors tell of it holds."""
    await proposals.set_state(tx, proposal.id, str(proposal.state), str(state), note, proposal.execute_by)
    return replace(proposal, state=state, note=note)


async def withdraw(
    db: Database, clock: Clock, proposal: str, state: ProposalState, why: str, run: int | None = None
) -> Proposal:
    """End a proposal that waits: expired, superseded or voided. One that has started or ended stays as it is."""
    async with db.write() as tx:
        found = await held(tx, proposal, run)
        if found.state not in WAITING:
            return found
        told = ProposalWithdrawn(text=f"{proposal} is {state}: {why}", proposal=proposal, state=str(state))
        await timeline.append(tx, found.incident, told, "stanch", clock.now(), f"end:{proposal}", run)
        return await move(tx, found, state, why)


async def ask_anew(tx: Transaction, proposal: Proposal, why: str, now: datetime) -> None:
    """End a proposal that waits, or was claimed and certainly not started, so that the same may be proposed once more."""
    state = ProposalState.NOT_DONE if proposal.state is ProposalState.CLAIMED else ProposalState.VOIDED
    told = OutcomeKnown(
        proposal=proposal.id, outcome="NOT_DONE", why=f"not started: {why}", values={}, lost=True, state=str(state)
    )
    await timeline.append(tx, proposal.incident, told, "stanch", now, f"outcome:{proposal.id}")
    await move(tx, proposal, state, why)


def _proposal(row: ProposalRow) -> Proposal:
    return from_sealed(row.sealed, row.digest, row.state, row.note, row.execute_by)
