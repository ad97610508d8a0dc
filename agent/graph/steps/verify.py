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
from agent.domain.timeline import EventOf, events_of
from agent.gate.verification import Facts, Look, Verdict, cadence, judge
from agent.gate.verification import look as look_at
from agent.graph.run_context import RunContext
from agent.graph.steps.look import look, recorded
from agent.reasoner.protocol import Call
from agent.store import wakes
from tools.context import Context

MOST_SHOWN = 3  # series of one check that a line names


@dataclass
class Verifier:
    run_context: RunContext

    async def schedule(self, incident: str, proposal: str) -> None:
        """The first look, one beat after the action; a wake brings it."""
        incident_view = await self.run_context.incident_view(incident)
        await self._wake(incident, proposal, success_of(incident_view, proposal))

    async def _wake(self, incident: str, proposal: str, test: SuccessTest) -> None:
        async with self.run_context.db.write() as tx:
            await wakes.add(tx, incident, f"verify {proposal}", self.run_context.clock.now() + cadence(test))

    async def check(self, incident_view: IncidentView, proposal: str, run: int, context: Context) -> Verdict:
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
            proposal=proposal, recovered=verdict.recovered, final=verdict.final, why=verdict.why, helped=verdict.helped,
            evidence=tuple(dict.fromkeys(one.id for one in found)), checks=seen.checks, guards=seen.guards,
            as_of=seen.at, measured=tuple(measured(test, found)),
        )  # fmt: skip
        await self.run_context.append(incident_view.incident.id, run, told, f"verification:{proposal}:{number}")
        if not verdict.final:
            await self._wake(incident_view.incident.id, proposal, test)
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
