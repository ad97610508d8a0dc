"""Follow-up of suggestions: was what policy only let us suggest done by hand all the same? The target is looked at, and the answer noted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from agent.domain.notes import SuggestionFollowedUp
from agent.gate import proposal_store
from agent.gate.proposal import Proposal, ProposalState
from agent.graph.steps.propose import Judge
from agent.store import incidents, timeline

PATIENCE = timedelta(hours=2)  # after which a suggestion that was not followed counts as left
FORGOTTEN = timedelta(days=2)  # what is older is not looked at any more: the target has gone its own way
MOST_INCIDENTS = 100
SHOWN = frozenset({ProposalState.SUGGESTED, ProposalState.SHADOWED})


@dataclass
class SuggestionFollowup:
    judge: Judge

    async def look(self) -> None:
        """Look at the target of every recent suggestion of which it is not known yet."""
        book = self.judge.run_context
        async with book.db.read() as tx:
            recent = [i.id for i in await incidents.listing(tx, MOST_INCIDENTS)]
            every = [p for incident in recent for p in await proposal_store.of(tx, incident) if p.state in SHOWN]
            shown = [p for p in every if book.clock.now() - p.created_at < FORGOTTEN]
            open_ones = [p for p in shown if await timeline.by_key(tx, p.incident, _key(p)) is None]
        for proposal in open_ones:
            if proposal.key not in proposal.after.fields.values():  # an event of ours: by hand it leaves another mark
                await self._one(proposal)

    async def _one(self, proposal: Proposal) -> None:
        book = self.judge.run_context
        same = await self.judge.outside(proposal, await book.context_of(proposal.incident)) is not None
        if not same and book.clock.now() - proposal.created_at < PATIENCE:
            return
        what = "was done by hand, exactly as suggested" if same else "was not done by hand"
        note = SuggestionFollowedUp(text=f"{proposal.id} {what}", hindsight=proposal.id, same=same)
        async with book.db.write() as tx:
            await timeline.append(tx, proposal.incident, note, "stanch", book.clock.now(), _key(proposal))


def _key(proposal: Proposal) -> str:
    return f"hindsight:{proposal.id}"
