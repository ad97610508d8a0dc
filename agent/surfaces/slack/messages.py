"""What people type: in an incident's thread, by mention, to the app, or as a slash command. Words start reads and steer;
what changes production goes through the gate, by button."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.api import App
from agent.domain.catalog import Person
from agent.domain.incident import ENDED, State
from agent.errors import NotEntitled, StanchError, UnusableInput
from agent.service.outbox import Outbox
from agent.surfaces.slack.decisions import principal
from agent.surfaces.slack.explain import listed, source
from agent.surfaces.slack.intents import Meaning, Said, meant
from agent.surfaces.slack.payloads import Command, EventBody
from agent.surfaces.slack.replies import Place, Replies, code, escaped

SPOKEN = (None, "file_share", "thread_broadcast")  # subtypes of messages that somebody typed
DIGEST = "digest:"  # begins the names of threads that are no incident's
HELP = """\
*What I answer*
• In an incident's thread just ask: _why?_, _is it drift?_, _what did you check?_ Elsewhere mention me, or name the incident.
• `steer: look at the database first` sends the investigation another way. What waits for approval is voided then.
• `pause` and `resume`; `hand over` when you take it over.
• `incidents` lists what is open.
Approve, Edit and Deny are buttons on the proposal's card. Typed words never start anything."""


@dataclass(frozen=True)
class Talking:
    """`heard(incident)` is told after anything that may let the incident go on, or has put an answer on its timeline."""

    app: App
    outbox: Outbox
    voice: Replies
    heard: Callable[[str], None]

    async def event(self, body: EventBody) -> None:
        """A message or a mention. Both arrive for one text: whichever comes first is answered."""
        event = body.event
        if not event.user or event.subtype not in SPOKEN or not event.ts:
            return
        incident = await self._thread(event.channel, event.thread_ts)
        direct = event.channel_type == "im"
        if not (incident or direct or event.type == "app_mention"):
            return
        said = meant(event.text, body.bot_users)
        if said.meaning is Meaning.OTHERS or not await self.outbox.first(f"said:{event.channel}/{event.ts}"):
            return
        place = Place(event.channel, event.user, event.thread_ts or ("" if direct else event.ts))
        here = incident or said.incident
        in_place = None if here == incident and incident else self.voice.openly
        await self._take(said, here, self.app.api.person(principal(body.actor)), place, in_place)

    async def command(self, command: Command) -> None:
        """The slash command: answered to whoever typed it."""
        said = meant(command.text)
        place = Place(command.channel_id, command.user_id, "", command.response_url)
        await self._take(
            said, said.incident, self.app.api.person(principal(command.actor)), place, self.voice.privately
        )

    async def _thread(self, channel: str, thread_ts: str | None) -> str | None:
        """The incident whose thread this is."""
        sent = await self.outbox.at(channel, thread_ts) if thread_ts else None
        return sent.thread if sent and not sent.thread.startswith(DIGEST) else None

    async def _take(
        self,
        said: Said,
        incident: str | None,
        person: Person,
        place: Place,
        answer: Callable[[Place, str], Awaitable[bool]] | None,
    ) -> None:
        """`answer` says what is found; None where the incident's own thread shows it."""
        try:
            if incident:
                incident = (await self.app.api.find(incident)).id
                await self.outbox.seen(incident)
            match said.meaning:
                case Meaning.IDLE:
                    return
                case Meaning.HELP:
                    await self.voice.privately(place, HELP)
                case Meaning.LIST:
                    await self.voice.privately(place, await self._open())
                case Meaning.DECIDE:
                    await self.voice.privately(place, await self._use_the_button(incident))
                case Meaning.ASK:
                    await self._ask(said.rest, incident, person, place, answer)
                case _:
                    await self._change(said, incident, person, place)
        except StanchError as error:
            await self.voice.privately(place, escaped(str(error), 1_500))

    async def _ask(
        self,
        question: str,
        incident: str | None,
        person: Person,
        place: Place,
        answer: Callable[[Place, str], Awaitable[bool]] | None,
    ) -> None:
        """The reply is an event of the incident, which its thread shows; without a thread it is said where it was asked."""
        if (
            incident
            and person.name
            and (await self.app.api.find(incident)).state is State.NEEDS_INPUT
            and not question.endswith("?")
        ):
            await self._change(Said(Meaning.STEER, question), incident, person, place)
            return
        await self.voice.busy(place)
        answered = await self.app.api.ask(question, person, incident)
        if incident:
            self.heard(incident)
        if answer is None:
            return
        incident_view = await self.app.api.incident_view(answered.incident)
        used = [source(incident_view.evidence[i]) for i in answered.evidence if i in incident_view.evidence]
        await answer(place, "\n".join([escaped(answered.text), *(listed(used, "sources") if used else ())]))

    async def _change(self, said: Said, incident: str | None, person: Person, place: Place) -> None:
        """Steer, pause, resume or hand over: for people of the catalog, and about one incident."""
        if incident is None:
            example = code(f"/stanch {said.meaning} inc-1a2b3c4d")
            raise UnusableInput(f"Which incident? Say it in the incident's thread, or name it: {example}")
        if person.name is None:
            raise NotEntitled(
                f"{person.principal} is nobody in the catalog: you may ask and look, not steer or decide. "
                "Somebody has to add you under people in catalog.yaml."
            )
        api = self.app.api
        if (await api.find(incident)).state in ENDED:
            raise UnusableInput(f"{incident} has ended. Nothing of it runs any more; ask about it as you like.")
        match said.meaning:
            case Meaning.PAUSE:
                await api.pause(incident, person)
                text = "Paused. What waited for approval is voided, and nothing starts. `resume` goes on."
            case Meaning.HAND_OVER:
                await api.hand_over(incident, person)
                text = "It is yours. What waited for approval is voided; Stanch writes down what it knows and ends."
            case Meaning.RESUME:
                await api.steer(incident, person, "go on")
                text = "It goes on."
            case _:
                if not said.rest:
                    raise UnusableInput("Where to? For example: steer: look at the database first")
                await api.steer(incident, person, said.rest)
                text = "Taken on. A proposal that waited is voided, and the investigation goes on from your words."
        self.heard(incident)
        await self.voice.privately(place, text)

    async def _use_the_button(self, incident: str | None) -> str:
        """Typed words never decide, whoever types them."""
        waiting = [p for p in await self.app.api.proposals() if incident in (None, p.incident)]
        text = "Use the button on the card: typed words never approve or deny anything, so nothing was done."
        if not waiting:
            return f"{text} No proposal waits for a decision{' here' if incident else ''}."
        return "\n".join([text, *listed([f"{escaped(p.id)}: {code(p.command)}" for p in waiting], "proposals")])

    async def _open(self) -> str:
        found = await self.app.api.incidents(50, only_open=True)
        lines = [f"{code(i.id)} {str(i.state).replace('_', ' ')}: {escaped(i.title, 200)}" for i in found]
        return "\n".join(["*Open incidents*", *listed(lines, "incidents")])
