"""Buttons and forms: approve, deny, edit, explain. Who may decide is the gate's answer; here it is passed on and put in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agent.api import App
from agent.domain.catalog import Person
from agent.errors import NotEntitled, Outdated, StanchError, UnusableInput
from agent.gate.proposal import WAITING, Proposal, ProposalState
from agent.service.outbox import Outbox
from agent.surfaces.slack import modals
from agent.surfaces.slack.explain import clock, explained, who
from agent.surfaces.slack.groups import UserGroups
from agent.surfaces.slack.modals import Ticket
from agent.surfaces.slack.payloads import Click, Submission
from agent.surfaces.slack.replies import AWAY, Place, Replies, code, escaped

Answer = Callable[[Proposal, Person], Awaitable[None]]


@dataclass(frozen=True)
class Decisions:
    """`heard(incident)` is told after anything that may let the incident go on."""

    app: App
    outbox: Outbox
    voice: Replies
    groups: UserGroups
    heard: Callable[[str], None]

    async def clicked(self, what: str, click: Click) -> None:
        """`what` is approve, deny, edit or explain. The asker alone gets the answer; the card is the timeline's."""
        place = place_of(click)
        ticket = Ticket.of(click.actions[0].value)
        if ticket is None:
            await self.voice.privately(place, "This button is none of mine: it names no proposal. Nothing was done.")
            return
        ticket = Ticket(p=ticket.p, d=ticket.d, c=place.channel, t=place.thread)
        await self._answered(
            place,
            ticket,
            principal(click.actor),
            {
                "approve": lambda proposal, person: self._approve(ticket, person, place),
                "deny": lambda proposal, person: self._form(
                    proposal, ticket, person, place, click.trigger_id, deny=True
                ),
                "edit": lambda proposal, person: self._form(
                    proposal, ticket, person, place, click.trigger_id, deny=False
                ),
                "explain": lambda proposal, person: self._explain(proposal, place),
            }[what],
        )

    async def _answered(self, place: Place, ticket: Ticket, who_asks: str, answer: Answer) -> None:
        """Do it; what the gate says against it goes to the asker, with what to do next. User groups are read before the
        person is looked up, so that the groups a decision counts by are those of this moment."""
        try:
            proposal = await self._proposal(ticket)
            await self.outbox.seen(proposal.incident)
            await self.groups.refresh(self.app.catalog.kept_elsewhere(proposal.approvers))
            await answer(proposal, self.app.api.person(who_asks))
        except StanchError as error:
            await self.voice.privately(place, await self._objection(error, ticket, self.app.api.person(who_asks)))

    async def _proposal(self, ticket: Ticket) -> Proposal:
        found = await self._found(ticket)
        if found is None:
            raise UnusableInput(f"There is no proposal {ticket.p} here. `stanch approvals list` shows those that wait.")
        return found

    async def _found(self, ticket: Ticket) -> Proposal | None:
        of = await self.app.api.proposals_of(ticket.p.rpartition("-p")[0])
        return next((proposal for proposal in of if proposal.id == ticket.p), None)

    # -- what the buttons do --------------------------------------------------------------------------------------------

    async def _approve(self, ticket: Ticket, person: Person, place: Place) -> None:
        decided = await self.app.api.decide(ticket.p, ticket.d, person, "approve")
        self.heard(decided.incident)
        missing = await self.app.api.missing(decided)
        if missing and decided.state is ProposalState.OPEN:
            await self.voice.privately(place, lone(decided, missing, who(decided, self.app.catalog)))

    async def _form(
        self, proposal: Proposal, ticket: Ticket, person: Person, place: Place, trigger: str, deny: bool
    ) -> None:
        """The form opens for whoever may look at it; the gate decides when it comes back."""
        if person.name is None:
            raise NotEntitled(f"{person.principal} is nobody in the catalog, so cannot decide.")
        current(proposal, ticket)
        kind = self.app.tools.action(proposal.action)
        view = modals.deny(proposal, ticket) if deny else modals.edit(proposal, kind, ticket)
        try:
            await self.voice.client.views_open(trigger_id=trigger, view=view)
        except AWAY as error:
            command = f"stanch approvals {'deny' if deny else 'edit'} {proposal.id}"
            why = f"The form did not open ({escaped(str(error), 200)}). Click again, or use: {code(command)}"
            await self.voice.privately(place, why)

    async def _explain(self, proposal: Proposal, place: Place) -> None:
        incident_view = await self.app.api.incident_view(proposal.incident)
        text = explained(proposal, incident_view, self.app.catalog, self._problems(proposal))
        await self.voice.privately(place, text)

    # -- what the forms do ------------------------------------------------------------------------------------------------

    async def wrong(self, form: Submission) -> Mapping[str, str]:
        """What is wrong with the values of an edit, by block; empty when they can be tried."""
        ticket = Ticket.of(form.view.private_metadata)
        if form.view.callback_id != modals.EDIT or ticket is None:
            return {}
        try:
            proposal = await self._proposal(ticket)
            return modals.entered(form.view.state.values, proposal, self.app.tools.action(proposal.action)).errors
        except StanchError as error:
            return {next(iter(form.view.state.values), ""): str(error)[:150]}

    async def submitted(self, form: Submission) -> None:
        """A form that came back with values that can be tried."""
        ticket = Ticket.of(form.view.private_metadata)
        if ticket is None:
            return
        place = Place(ticket.c, form.user.id, ticket.t)
        await self._answered(
            place,
            ticket,
            principal(form.actor),
            {
                modals.DENY: lambda proposal, person: self._deny(ticket, person, form),
                modals.EDIT: lambda proposal, person: self._edit(proposal, ticket, person, place, form),
            }[form.view.callback_id],
        )

    async def _deny(self, ticket: Ticket, person: Person, form: Submission) -> None:
        reason = modals.reason(form.view.state.values)
        decided = await self.app.api.decide(ticket.p, ticket.d, person, "deny", reason)
        self.heard(decided.incident)

    async def _edit(self, proposal: Proposal, ticket: Ticket, person: Person, place: Place, form: Submission) -> None:
        current(proposal, ticket)
        kind = self.app.tools.action(proposal.action)
        entered = modals.entered(form.view.state.values, proposal, kind)
        edited = await self.app.api.edit(proposal.id, person, entered.changes)
        self.heard(edited.incident)
        text = f"Your edit is {escaped(edited.id)}: {code(edited.command)} "
        if edited.state is ProposalState.OPEN:
            own = "You may approve it yourself." if edited.requester_may_approve else "Somebody else has to approve it."
            text += f"It needs its own approval: {who(edited, self.app.catalog)}. {own}"
        else:
            text += f"It is {escaped(str(edited.state))}: {escaped(edited.note)}."
        await self.voice.privately(place, text)

    # -- what the gate says against it --------------------------------------------------------------------------------------

    async def _objection(self, error: StanchError, ticket: Ticket, person: Person) -> str:
        """What happened and what to do now."""
        text = escaped(str(error), 1_500)
        proposal = await self._found(ticket)
        if isinstance(error, NotEntitled):
            return f"{text}\n{self._who_may(proposal, person)}"
        if isinstance(error, Outdated) and proposal is not None:
            return f"{text}\n{await self._instead(proposal)}"
        return text

    def _who_may(self, proposal: Proposal | None, person: Person) -> str:
        lines = []
        if person.name is None:
            team, _, user = person.principal.removeprefix("slack:").partition("/")
            entry = f"NAME: {{slack: {{team: {team}, user: {user}}}}}"
            lines.append(f"Nothing was done. To count, you need an entry under people in catalog.yaml: {code(entry)}")
        if proposal is not None:
            lines.append(f"Who may decide: {who(proposal, self.app.catalog)}.")
            lines += [escaped(problem) for problem in self._problems(proposal)]
        return "\n".join(lines)

    async def _instead(self, proposal: Proposal) -> str:
        """The proposal of the same incident that waits now."""
        of = await self.app.api.proposals_of(proposal.incident)
        waiting = [p for p in of if p.state in WAITING and p.id != proposal.id]
        if not waiting:
            return "Nothing was done, and no other proposal of this incident waits."
        new = waiting[-1]
        link = await self._link(new)
        return f"Nothing was done. Now it is {link}: {code(new.command)}, to be decided by {clock(new.approve_by)}."

    async def _link(self, proposal: Proposal) -> str:
        """The proposal's name, opening its card where it stands in the thread already."""
        sent = (await self.outbox.sent(proposal.incident)).get(f"approval:{proposal.id}")
        if sent is None or not sent.address:
            return f"{escaped(proposal.id)} (its card follows in this thread)"
        try:
            found = await self.voice.client.chat_getPermalink(channel=sent.place, message_ts=sent.address)
        except AWAY:
            return f"{escaped(proposal.id)} (its card is further down in this thread)"
        return f"<{found['permalink']}|{escaped(proposal.id)}>"

    def _problems(self, proposal: Proposal) -> list[str]:
        kept = self.app.catalog.kept_elsewhere(proposal.approvers)
        return [why for name, why in self.groups.problems.items() if name in kept]


def principal(actor: tuple[str, str]) -> str:
    return f"slack:{actor[0]}/{actor[1]}"


def place_of(click: Click) -> Place:
    message = click.message
    thread = message.thread_ts or message.ts or click.container.message_ts
    return Place(click.place, click.user.id, thread, click.response_url)


def current(proposal: Proposal, ticket: Ticket) -> None:
    """Raises Outdated unless it is what the card showed, and waits."""
    if proposal.digest != ticket.d or not proposal.intact:
        raise Outdated(f"{proposal.id} is not what this card shows. Look at it again.")
    if proposal.state not in WAITING:
        raise Outdated(f"{proposal.id} is {proposal.state} and can no longer be changed.")


def lone(proposal: Proposal, missing: int, approvers: str) -> str:
    """For somebody whose approval does not suffice: how many are missing, and the command. Never a lower quorum."""
    more = "one more person has" if missing == 1 else f"{missing} more people have"
    return (
        f"Your approval counts. It takes {approvers}: {more} to approve by {clock(proposal.approve_by)}. "
        f"Stanch will not start it before. If nobody can be reached, this is what to type yourself:\n{code(proposal.command)}"
    )
