"""Judging: a wanted action becomes a sealed proposal with preview, dry run, undo and policy's ruling. Nothing is changed."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agent.clock import iso
from agent.domain.cause import Cause
from agent.domain.check import SuccessTest
from agent.domain.events import ProposalSealed, VerdictGiven
from agent.domain.timeline import canonical, payload_of
from agent.errors import BadArguments, Outdated, Refused
from agent.gate import proposal_store
from agent.gate.outcome import plain
from agent.gate.policy import Policy, Request, Ruling, Verdict
from agent.gate.proposal import BEGINS_AS, Proposal, ProposalState, Undo, seal
from agent.store import incidents, proposals, timeline, wakes
from agent.store.database import Database, Transaction
from agent.store.executions import Execution, Outcome
from tools.context import Clock, Context, Json
from tools.spec import Action, Risk

ContextOf = Callable[[str], Awaitable[Context]]  # by incident id
_RECEIPT = re.compile(r"\{receipt\.([A-Za-z0-9_]+)\}")
_HARM = list(Risk)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants done and why. `untrusted` are the arguments whose names stand only in untrusted text;
    `baseline` are the values of the success test's guards just now, in their order. `about` are the services that the
    incident's alerts are about; None where a person wants it, who knows what it is about."""

    action: str
    arguments: Mapping[str, Json]
    success: SuccessTest
    why: str
    cause: Cause
    requester: str
    requester_person: str | None = None
    untrusted: tuple[str, ...] = ()
    baseline: tuple[float | None, ...] = ()
    about: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    proposal: Proposal
    ruling: Ruling


class Preparation:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        policy: Callable[[], Policy],
        actions: Mapping[str, type[Action]],
        context: ContextOf,
    ) -> None:
        self._db = db
        self._clock = clock
        self._policy = policy
        self._actions = actions
        self._context = context

    async def prepare(self, incident: str, wanted: Wanted) -> Prepared:
        """Look at what is, ask policy, seal. Raises BadArguments, TargetUnclear, Refused (it alters nothing, the platform
        says no, or another controller owns the target), or ToolFailed when the target cannot be looked at."""
        return await self._prepare(incident, wanted, parent=None, covered=False)

    async def submit(self, prepared: Prepared, run: int | None, step: str) -> Proposal:
        """Put the proposal and its verdict on the timeline. The same step again gives the proposal that it made first."""
        proposal = prepared.proposal
        async with self._db.write() as tx:
            await incidents.hold(tx, proposal.incident, run)
            if (known := await timeline.by_key(tx, proposal.incident, f"proposal:{step}")) is not None:
                return await proposal_store.held(tx, payload_of(known, ProposalSealed).id, run)
            if await proposals.next_number(tx, proposal.incident) != proposal.n:
                raise Outdated(f"Another proposal became {proposal.id} meanwhile. Prepare it again.")
            await enter(tx, prepared, self._clock.now(), f"proposal:{step}", run)
        return proposal

    async def undo_of(self, proposal: Proposal, execution: Execution) -> Prepared:
        """The sealed undo as a child proposal. It may run at once when the approval covered it and what would be undone
        is still what we left; else policy says how to ask. Refused when there is nothing to undo, or no value to undo with."""
        if proposal.undo is None:
            raise Refused(f"{proposal.id} has no undo.")
        if execution.outcome is Outcome.NOT_DONE:
            raise Refused(f"{proposal.id} was not done; there is nothing to undo.")
        arguments = {name: resolved(value, execution) for name, value in proposal.undo.arguments.items()}
        parent = self._action(proposal.action).parse(proposal.arguments)
        seen = plain(await parent.observe(await self._context(proposal.incident)))
        ours = all(seen.fields.get(name) == proposal.after.fields[name] for name in proposal.altered)
        wanted = Wanted(
            proposal.undo.action,
            arguments,
            proposal.success,
            f"Undo of {proposal.id}: it did not help.",
            proposal.cause,
            "stanch",
            None,
            proposal.untrusted and ("target",),
            proposal.baseline,
        )
        covered = proposal.undo_covered and ours and execution.outcome is Outcome.DONE
        return await self._prepare(proposal.incident, wanted, proposal.id, covered)

    async def _prepare(self, incident: str, wanted: Wanted, parent: str | None, covered: bool) -> Prepared:
        kind = self._action(wanted.action)
        if kind.undo_only and parent is None:
            raise BadArguments(f"{wanted.action} only undoes another action; it cannot be proposed.")
        context = await self._context(incident)
        action = kind.parse(wanted.arguments).resolved(context)
        async with self._db.read() as tx:
            number = await proposals.next_number(tx, incident)
        arguments: dict[str, Json] = action.model_dump(mode="json")
        target = action.target(context)
        key = _key(incident, number, wanted.action, arguments, iso(self._clock.now()))
        before = plain(await action.observe(context))
        after = plain(action.change(before, key))
        if all(name in before.fields and before.fields[name] == value for name, value in after.fields.items()):
            raise Refused(f"{wanted.action} on {target} would alter nothing: it is so already.")
        dry_run = await action.dry_run(context, before)
        undo = action.undo(before)
        policy, now = self._policy(), self._clock.now()
        aside = wanted.about is not None and target.service not in wanted.about
        request = Request(wanted.action, arguments, target, kind.risk, now, before.fields, wanted.untrusted, aside)
        ruling = policy.rule(request)
        proposal = Proposal(
            id=f"{incident}-p{number}",
            incident=incident,
            n=number,
            parent=parent,
            action=wanted.action,
            arguments=arguments,
            target=target,
            risk=kind.risk,
            before=before,
            after=after,
            key=key,
            success=wanted.success,
            baseline=_baseline(wanted),
            undo=None if undo is None else _undo(undo, context),
            undo_covered=undo is not None and ruling.cover_undo and _no_worse(undo, kind),
            covered=covered,
            untrusted=wanted.untrusted,
            policy_version=policy.version,
            verdict=Verdict.ALLOW if covered else ruling.verdict,
            rule=ruling.rule,
            command=action.command(context),
            dry_run=dry_run,
            why=wanted.why,
            cause=wanted.cause,
            requester=wanted.requester,
            requester_person=wanted.requester_person,
            created_at=now,
            approve_by=now + ruling.approve_within,
            execute_within=ruling.execute_within,
            quorum=ruling.quorum,
            approvers=ruling.approvers,
            requester_may_approve=ruling.requester_may_approve,
            aside=aside,
        )
        return _sealed(proposal, ruling)

    def _action(self, name: str) -> type[Action]:
        if name not in self._actions:
            raise BadArguments(f"There is no action {name!r}. Known: {', '.join(sorted(self._actions)) or 'none'}.")
        return self._actions[name]


async def enter(tx: Transaction, prepared: Prepared, now: datetime, key: str, run: int | None) -> None:
    """A prepared proposal into the store and, with its verdict, onto the timeline."""
    proposal, incident = prepared.proposal, prepared.proposal.incident
    await proposal_store.add(tx, proposal)
    sealed, verdict = ProposalSealed.from_json(proposal.to_json()), _verdict(proposal, prepared.ruling)
    await timeline.append(tx, incident, sealed, proposal.requester, now, key, run)
    await timeline.append(tx, incident, verdict, "stanch", now, f"verdict:{proposal.id}", run)
    if proposal.state is ProposalState.OPEN:
        await wakes.add(tx, incident, f"expiry of {proposal.id}", proposal.approve_by)


def _sealed(proposal: Proposal, ruling: Ruling) -> Prepared:
    """In the state in which the verdict lets it begin; what its parent's approval covers may run."""
    if proposal.covered:
        ruling = replace(ruling, verdict=Verdict.ALLOW, why=f"the approval of {proposal.parent} covers its undo")
    allowed = ruling.verdict is Verdict.ALLOW
    return Prepared(
        replace(
            seal(proposal),
            state=BEGINS_AS[ruling.verdict],
            note=ruling.why,
            execute_by=proposal.created_at + ruling.execute_within if allowed else None,
        ),
        ruling,
    )


def _verdict(proposal: Proposal, ruling: Ruling) -> VerdictGiven:
    return VerdictGiven(
        proposal=proposal.id,
        verdict=str(ruling.verdict),
        rule=ruling.rule,
        why=ruling.why,
        approvers=ruling.approvers,
        quorum=ruling.quorum,
        policy_version=proposal.policy_version,
        digest=proposal.digest,
    )


def resolved(value: Json, execution: Execution) -> Json:
    """The value with `{receipt.NAME}` filled in from what the target answered; Refused where it did not say."""
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if found[1] not in execution.values:
            raise Refused(f"The undo of {execution.proposal} needs {found[0]}, which the target never told.")
        return execution.values[found[1]]

    return _RECEIPT.sub(fill, value)


def _key(incident: str, number: int, action: str, arguments: Mapping[str, Json], at: str) -> str:
    """Fixed before sealing and different for every proposal; the same world makes the same one."""
    text = canonical([incident, number, action, dict(arguments), at])
    return f"stanch-{incident}-p{number}-{hashlib.sha256(text).hexdigest()[:10]}"


def _undo(undo: Action, context: Context) -> Undo:
    return Undo(undo.name(), undo.model_dump(mode="json"), undo.command(context))


def _no_worse(undo: Action, kind: type[Action]) -> bool:
    """An approval covers only an undo that can do no more harm than what was approved."""
    return _HARM.index(undo.risk) <= _HARM.index(kind.risk) and undo.risk is not Risk.DESTRUCTIVE


def _baseline(wanted: Wanted) -> tuple[float | None, ...]:
    """One value a guard; what is no finite number is not known."""
    known = [value if value is not None and math.isfinite(value) else None for value in wanted.baseline]
    return (*known, *(None for _ in wanted.success.guards[len(known) :]))
