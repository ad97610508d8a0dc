"""`stanch ask` and `stanch chat`: questions answered with evidence, and a conversation over a live incident."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from agent.errors import StanchError, UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, holding, lock_or_busy, opened, out, out_json, places, run

if TYPE_CHECKING:
    from agent.api import App
    from agent.domain.catalog import Person
    from agent.domain.evidence import Evidence
    from agent.domain.timeline import Event
    from agent.surfaces.cli.screen import Screen


@click.command()
@click.argument("text")
@click.option("--incident", default=None, help="Ask about this incident; otherwise the platform at large.")
@click.option("--demo", "in_demo", is_flag=True, help="Ask the demo's platform instead of yours.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def ask(session: Session, text: str, incident: str | None, in_demo: bool, as_json: bool) -> int:
    """Ask about an incident or the platform; every number in the answer has its evidence."""
    return run(_ask(session, text, incident, in_demo, as_json))


async def _ask(session: Session, text: str, incident: str | None, in_demo: bool, as_json: bool) -> int:
    if incident is not None:
        async with holding(session, lambda app: app.api.find(incident)) as (app, found):
            return await _answer(app, text, found.id, as_json)
    async with opened(session, demo=in_demo and True in places(session.settings())) as app:
        return await _answer(app, text, None, as_json)


async def _answer(app: App, text: str, incident: str | None, as_json: bool) -> int:
    answered = await app.api.ask(text, app.api.person(f"os:{app.settings.os_user}"), incident)
    if as_json:
        out_json({"text": answered.text, "evidence": list(answered.evidence), "reads": answered.reads})
    else:
        out(answered.text)
        for line in await sources(app, answered.incident, answered.evidence):
            out(line)
    return Exit.OK


async def sources(app: App, incident: str, ids: tuple[str, ...]) -> list[str]:
    """One line for each piece of evidence an answer rests on."""
    incident_view = await app.api.incident_view(incident)
    found = [incident_view.evidence[i] for i in ids if i in incident_view.evidence]
    return [f"  [{e.id}] {source_of(e)}{f'  {e.link}' if e.link else ''}" for e in found]


def source_of(one: Evidence) -> str:
    """What a piece of evidence is, in one line: why it was read, and its read."""
    from agent.domain.text import visible

    return (
        f"{visible(one.why, 100)} ({one.read}, as of {one.as_of:%H:%M:%S} UTC)"
        if one.why
        else f"{one.read}, as of {one.as_of:%H:%M:%S} UTC"
    )


@click.command()
@click.argument("incident", required=False)
@click.pass_obj
def chat(session: Session, incident: str | None) -> int:
    """Converse about a live incident (the newest open one): why, evidence, steer, approve. /help lists the commands."""
    if not session.interactive:
        raise UnusableInput("chat needs a terminal. Without one use: stanch ask TEXT --incident ID")
    return run(_chat(session, incident))


async def _chat(session: Session, prefix: str | None) -> int:
    from agent.surfaces.cli.screen import Screen

    async def wanted(app: App) -> str:
        if prefix:
            return (await app.api.find(prefix)).id
        found = await app.api.incidents(1, only_open=True) or await app.api.incidents(1)
        if not found:
            raise UnusableInput("There is no incident to talk about. `stanch demo` makes one.")
        return found[0].id

    follower = Follower(Screen(session.console))
    async with holding(session, wanted, [follower.show]) as (app, incident):
        return await Conversation(app, incident, follower).hold()


class Follower:
    """Shows what happens while the incident works, as it happens, and nothing twice."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.seen: int | None = None  # the newest event that is no news any more; None: nothing is worked on

    def show(self, event: Event) -> None:
        if self.seen is not None and event.n > self.seen:
            self.seen = event.n
            self.screen.show(event)


class Conversation:
    """One person and one incident. A line is a question, unless it begins with a slash."""

    def __init__(self, app: App, incident: str, follower: Follower) -> None:
        self.app = app
        self.incident = incident
        self.follower = follower
        self.screen = follower.screen
        self.person: Person = app.api.person(f"os:{app.settings.os_user}")
        self.commands: dict[str, tuple[Callable[[str], Awaitable[None]], str]] = {
            "/status": (self._status, "how the incident stands"),
            "/evidence": (self._evidence, "what was read; /evidence E3 opens one"),
            "/why": (self._why, "cause, findings, what was ruled out"),
            "/plan": (self._plan, "what is proposed, and what was not checked"),
            "/approve": (self._approve, "approve the proposal that waits, and run it"),
            "/deny": (self._deny, "/deny REASON refuses it"),
            "/steer": (self._steer, "/steer WORDS sends the investigation another way"),
            "/report": (self._report, "the report, or its draft"),
            "/help": (self._help, "these commands"),
        }

    async def hold(self) -> int:
        """Until /quit or the end of input."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory

        words = [*self.commands, "/quit", *(await self._evidence_ids())]
        prompt: PromptSession[str] = PromptSession(
            f"{self.incident}> ",
            history=FileHistory(str(self.app.settings.data / "chat-history")),
            completer=WordCompleter(words, sentence=True),
        )
        await self._status("")
        self.screen.line("", "Ask in your own words; /help lists the commands, /quit leaves.", "dim")
        while True:
            try:
                line = (await prompt.prompt_async()).strip()
            except (EOFError, KeyboardInterrupt):
                return Exit.OK
            if line in ("/quit", "/exit"):
                return Exit.OK
            if line:
                await self.take(line)

    async def take(self, line: str) -> None:
        """One line of the person; what is wrong with it is said, and the conversation goes on."""
        try:
            if not line.startswith("/"):
                await self._question(line)
                return
            word, _, rest = line.partition(" ")
            if word not in self.commands:
                self.screen.line("", f"There is no {word}. {' '.join(self.commands)} /quit", "yellow")
                return
            await self.commands[word][0](rest.strip())
        except StanchError as error:
            self.screen.line("stanch", str(error), "yellow")

    async def _question(self, line: str) -> None:
        with self.screen.console.status("thinking"):
            answered = await self.app.api.ask(line, self.person, self.incident)
        self.screen.paragraph("answer", answered.text)
        incident_view = await self.app.api.incident_view(answered.incident)
        for one in (incident_view.evidence[i] for i in answered.evidence if i in incident_view.evidence):
            if f"{one.id}: " in answered.text:
                continue  # the answer says itself what it is
            self.screen.line(one.id, source_of(one), "dim")

    async def _status(self, _: str) -> None:
        incident_view = await self.app.api.incident_view(self.incident)
        incident = incident_view.incident
        self.screen.line("incident", f"{incident.id} {incident.title}", "bold")
        self.screen.line("state", str(incident.state).replace("_", " "), "bold")
        if incident_view.cause:
            self.screen.line("cause", f"{incident_view.cause} (confidence {incident_view.cause.confidence:.0%})")
        for proposal in await self._waiting():
            self.screen.line("waits", f"{proposal.id}: {proposal.command}", "yellow")

    async def _evidence_ids(self) -> list[str]:
        return list((await self.app.api.incident_view(self.incident)).evidence)

    async def _evidence(self, which: str) -> None:
        incident_view = await self.app.api.incident_view(self.incident)
        if which:
            wanted = incident_view.evidence.get(which.upper())
            if wanted is None:
                raise UnusableInput(
                    f"There is no evidence {which!r}; there are {', '.join(incident_view.evidence) or 'none'}."
                )
            self._one(wanted)
            return
        for one in incident_view.evidence.values():
            self.screen.line(
                one.id, f"{one.read} ({one.outcome}): {one.summary.splitlines()[0] if one.summary else ''}"
            )

    def _one(self, wanted: Evidence) -> None:
        from agent.surfaces.cli.screen import quantity

        asked = ", ".join(f"{k}={v}" for k, v in wanted.arguments.items())
        self.screen.line(
            wanted.id, f"{wanted.read}({asked}), as of {wanted.as_of:%H:%M:%S} UTC, {wanted.outcome}", "bold"
        )
        self.screen.paragraph("", wanted.summary)
        for fact in wanted.facts:
            self.screen.line("", f"{wanted.id}.{fact.id} = {quantity(fact)}", "cyan")
        if wanted.link:
            self.screen.line("open", wanted.link, "dim")

    async def _why(self, _: str) -> None:
        incident_view = await self.app.api.incident_view(self.incident)
        self.screen.line("cause", str(incident_view.cause or "not found yet"), "bold")
        for finding in incident_view.findings:
            self.screen.line("finding", f"{finding.text} [{' '.join(finding.evidence)}]")
        for one in incident_view.ruled_out:
            self.screen.line("ruled out", f"{one.cause}: {one.why} [{' '.join(one.evidence)}]")

    async def _plan(self, _: str) -> None:
        from agent.surfaces.cli import cards

        waiting = await self._waiting()
        for proposal in waiting:
            await cards.show(self.screen.console, self.app, proposal)
        incident_view = await self.app.api.incident_view(self.incident)
        if not waiting:
            self.screen.line("plan", incident_view.hand_over or "nothing waits for a decision")
        for one in incident_view.not_checked:
            self.screen.line("not checked", f"{one.what}: {one.why}", "yellow")

    async def _waiting(self) -> list[Any]:
        return [p for p in await self.app.api.proposals() if p.incident == self.incident]

    async def _approve(self, _: str) -> None:
        await self._decide("approve", "")

    async def _deny(self, reason: str) -> None:
        await self._decide("deny", reason)

    async def _decide(self, answer: str, reason: str) -> None:
        waiting = await self._waiting()
        if len(waiting) != 1:
            raise UnusableInput(f"{len(waiting) or 'No'} proposals wait for a decision here. `/plan` shows them.")
        async with self._working():
            await self.app.api.decide(waiting[0].id, waiting[0].digest, self.person, answer, reason)

    async def _steer(self, words: str) -> None:
        if not words:
            raise UnusableInput("Say where to: /steer look at the database instead")
        async with self._working():
            await self.app.api.steer(self.incident, self.person, words)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        """After what a person said: run the incident here until it rests again, showing what happens while it does."""
        from agent.surfaces.cli.run_loop import Driver

        events = await self.app.api.events(self.incident)
        self.follower.seen = events[-1].n if events else 0
        try:
            yield
            lock_or_busy(self.app)
            driver = Driver(self.app, self.screen, self.person, wait=True, interactive=False)
            await driver.drive(self.incident)
            for event in await self.app.api.events(self.incident, self.follower.seen):
                self.follower.show(event)
        finally:
            self.follower.seen = None

    async def _report(self, _: str) -> None:
        from agent.domain.report import render

        out(render(await self.app.api.incident_view(self.incident)))

    async def _help(self, _: str) -> None:
        for word, (_function, text) in self.commands.items():
            self.screen.line(word, text)
