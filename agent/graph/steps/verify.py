"""Verifying: the sealed success test and its guards, looked at again and again, without holding anybody up in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.check import SuccessTest
from agent.domain.claims.quantity import of_fact, shown
from agent.domain.events import EffectChecked, StateChanged
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import GivenToPerson
from agent.domain.timeline import EventOf, events_of
from agent.gate.verification import Facts, Look, Verdict, cadence, judge
from agent.gate.verification import look as look_at
from agent.graph.run_context import Run, RunContext
from agent.graph.steps.look import look, recorded
from agent.graph.steps.propose import Judge, after_verdict
from agent.graph.steps.think import halted
from agent.graph.waits import WaitsFor
from agent.reasoner.protocol import Call
from agent.store import wakes
from tools.context import Context

MOST_SHOWN = 3  # series of one check that a line names


@dataclass
class VerifyStep:
    run_context: RunContext
    judge: Judge

    async def __call__(self, state: Run, run: int) -> Run:
        """The sealed success test, with its guards; an undo where it failed and one was sealed."""
        incident, proposal = state["incident"], state["proposal"]
        incident_view = await self.run_context.incident_view(incident)
        if not self.judge.mitigates(action := incident_view.proposals[proposal].action):
            return await mends_nothing(self.run_context, incident, proposal, action, run)
        if incident_view.incident.state is not State.VERIFYING:  # done outside Stanch: still watched
            return await watch(self.run_context, incident, proposal, run)
        verdict = await self._check(incident_view, proposal, run, self.run_context.context(incident_view))
        if verdict.recovered is None and not verdict.final:
            return {"next": "wait", "waits_for": WaitsFor.CLOCK.value}
        if verdict.recovered is True:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            return {"next": "think", "told": []}
        if verdict.recovered is None:
            return await self._ask_whether_over(incident, proposal, verdict.why, run)
        left = bool(halted(incident_view)) or verdict.helped
        undo = None if left else await self.judge.undo(incident_view, proposal, run)
        if verdict.helped:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            told = f"{proposal} did what was asked of it, and the alert goes on: there is another cause. {verdict.why}"
            return {"next": "think", "told": [told]}
        if undo is None:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            return {"next": "think", "told": [f"{proposal} did not help: {verdict.why}"]}
        await self.run_context.move_to(incident, run, State.INVESTIGATING, f"{proposal} did not help: its undo is due")
        return await after_verdict(self.run_context, incident, run, undo)

    async def _ask_whether_over(self, incident: str, proposal: str, why: str, run: int) -> Run:
        """Nothing that was seen says whether it helped: nothing is taken back, and a person is asked."""
        question = f"Is it over? {proposal} was done: {why}. Stanch cannot tell; look, and close it or take it back."
        note = GivenToPerson(text=question, hand_over=question)
        await self.run_context.append(incident, run, note, f"over:{proposal}")
        await self.run_context.move_to(incident, run, State.INVESTIGATING, why)
        return {"next": "think", "told": [f"Whether {proposal} helped cannot be told: {why}. Hand it over with that."]}

    async def _check(self, incident_view: IncidentView, proposal: str, run: int, context: Context) -> Verdict:
        """One look, recorded, and the verdict so far; another look is scheduled where there is none yet."""
        test = success_of(incident_view, proposal)
        number = len(incident_view.verifications.get(proposal, [])) + 1
        found = await self._read(incident_view, proposal, test, number, run, context)
        facts = [_usable(one) for one in found]
        seen = look_at(test, facts[: len(test.checks)], facts[len(test.checks) :], context.as_of)
        earlier = [look_of(event) for event in incident_view.verifications.get(proposal, [])]
        baseline = incident_view.proposals[proposal].baseline
        verdict = judge(test, baseline, [*earlier, seen], started(incident_view, proposal), context.as_of)
        told = EffectChecked(
            proposal=proposal,
            recovered=verdict.recovered,
            final=verdict.final,
            why=verdict.why,
            helped=verdict.helped,
            evidence=tuple(dict.fromkeys(one.id for one in found)),
            checks=seen.checks,
            guards=seen.guards,
            as_of=seen.at,
            measured=tuple(measured(test, found)),
        )
        await self.run_context.append(incident_view.incident.id, run, told, f"verification:{proposal}:{number}")
        if not verdict.final:
            await _wake(self.run_context, incident_view.incident.id, proposal, test)
        return verdict

    async def _read(
        self, incident_view: IncidentView, proposal: str, test: SuccessTest, number: int, run: int, context: Context
    ) -> list[Evidence]:
        """The reads of all checks and guards, in their order, as recorded evidence."""
        checks = [(c, f"whether {proposal} helped") for c in test.checks]
        checks += [(g.check, f"whether {g.name} got worse") for g in test.guards]
        calls = [Call(check.read, check.args, why) for check, why in checks]
        found = []
        for i, one in enumerate(await look(calls, self.run_context.tools, context)):
            key = f"verify:{proposal}:{number}:{i}"
            what = recorded(one, "stanch", context, {"call": key}, self.run_context.redact)
            found.append(await self.run_context.record(incident_view.incident.id, run, what, key))
        return found


async def watch(run_context: RunContext, incident: str, proposal: str, run: int) -> Run:
    """From here on it is looked at whether the action helped; a wake brings the first look, one beat after it."""
    await run_context.move_to(incident, run, State.VERIFYING, f"the effect of {proposal} is watched")
    await _wake(run_context, incident, proposal, success_of(await run_context.incident_view(incident), proposal))
    return {"next": "wait", "waits_for": WaitsFor.CLOCK.value, "proposal": proposal}


async def _wake(run_context: RunContext, incident: str, proposal: str, test: SuccessTest) -> None:
    async with run_context.db.write() as tx:
        await wakes.add(tx, incident, f"verify {proposal}", run_context.clock.now() + cadence(test))


async def mends_nothing(run_context: RunContext, incident: str, proposal: str, action: str, run: int) -> Run:
    """An action that mends nothing was done: nobody asks whether it helped, and the incident goes on."""
    why = f"{proposal} was done and mends nothing by itself: the incident goes on"
    await run_context.move_to(incident, run, State.INVESTIGATING, why)
    return {"next": "think", "told": [f"{action} was done. It mends nothing by itself; go on, or say whom to call."]}


def success_of(incident_view: IncidentView, proposal: str) -> SuccessTest:
    return incident_view.proposals[proposal].success


def started(incident_view: IncidentView, proposal: str) -> datetime:
    """When the effect was there: the outcome, or, done outside Stanch, when verification began."""
    if (outcome := incident_view.outcomes.get(proposal)) is not None:
        return outcome.at
    changes = reversed(events_of(incident_view.events, StateChanged))
    return next((e.at for e in changes if e.payload.to is State.VERIFYING), incident_view.incident.since)


def look_of(event: EventOf[EffectChecked]) -> Look:
    told = event.payload
    return Look(told.as_of or event.at, told.checks, told.guards)


def measured(test: SuccessTest, found: Sequence[Evidence]) -> list[str]:
    """What each check saw and wants, with its evidence: `2.12 s, wanted < 1 [E16]`. Unknown values are named so."""
    said = []
    for check, one in zip(test.checks, found, strict=False):
        if check.is_rule and one.outcome is ReadOutcome.OK:
            count = next((f.value for f in check.select(one.facts)), None)
            said.append(f"the alert's own rule {'still fires' if count else 'gives nothing'} [{one.id}]")
            continue
        values = [of_fact(one.id, f) for f in check.select(one.facts)] if one.outcome is ReadOutcome.OK else []
        text = ", ".join(shown(v) if v.known else "unknown" for v in values[:MOST_SHOWN]) or "no data"
        said.append(f"{text}, wanted {check.expect} [{one.id}]")
    return said


def _usable(evidence: Evidence) -> Facts:
    return evidence.facts if evidence.outcome is ReadOutcome.OK else None
