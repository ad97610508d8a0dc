"""The judge: what a reasoner wants becomes a sealed proposal with policy's verdict, and people's decisions reach the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent.domain.catalog import Catalog, Person
from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest, expectation
from agent.domain.evidence import ReadOutcome
from agent.domain.incident import Incident, State
from agent.domain.incident import Kind as IncidentKind
from agent.domain.incident_view import IncidentView
from agent.domain.own_alerts import about_us
from agent.errors import BadArguments, Outdated, Refused, ToolError
from agent.gate import approval, kill_switch, proposal_store, provenance
from agent.gate.executor import Executor
from agent.gate.explain import Explanation, explain, standing
from agent.gate.policy import Request
from agent.gate.prepare import Prepared, Wanted
from agent.gate.proposal import WAITING, Proposal, ProposalState
from agent.gate.verification import guard_value
from agent.graph.run_context import Run, RunContext, subject
from agent.graph.steps.look import look, recorded
from agent.graph.steps.success import Yardstick
from agent.graph.steps.think import named_in, without_finding
from agent.graph.waits import WaitsFor, Why
from agent.reasoner.protocol import Call, Propose
from agent.store import decisions, executions
from tools.context import Context, Target
from tools.spec import Action


@dataclass(frozen=True, slots=True)
class Ruled:
    proposal: str
    verdict: str
    why: str


@dataclass
class ProposeStep:
    run_context: RunContext
    judge: Judge

    async def __call__(self, state: Run, run: int) -> Run:
        """Seal the proposal, make preview and dry run, ask policy."""
        incident_view = await self.run_context.incident_view(state["incident"])
        move, number, by = self.run_context.last_move(incident_view)
        assert isinstance(move, Propose)
        if not incident_view.findings:
            return {"next": "think", "told": [without_finding(move)]}
        try:
            ruled = await self.judge.seal(incident_view, move, number, by, run, self.run_context.context(incident_view))
        except ToolError as error:
            word = "was refused" if isinstance(error, Refused) else "cannot be made"
            return {"next": "think", "told": [f"{move.action} {word}: {error}"]}
        return await after_verdict(self.run_context, state["incident"], run, ruled)


async def after_verdict(run_context: RunContext, incident: str, run: int, ruled: Ruled) -> Run:
    """Where it goes on once policy has ruled: allowed, asked about, or only told."""
    if ruled.verdict == "allow":
        return {"next": "act", "proposal": ruled.proposal}
    if ruled.verdict == "ask":
        await run_context.move_to(incident, run, State.AWAITING_APPROVAL, f"{ruled.proposal} needs approval")
        return {"next": "wait", "proposal": ruled.proposal, "waits_for": WaitsFor.APPROVAL.value}
    return {"next": "think", "proposal": ruled.proposal, "told": [f"Policy says {ruled.verdict}: {ruled.why}"]}


@dataclass
class Judge:
    run_context: RunContext
    executor: Executor

    # -- for the graph ------------------------------------------------------------------------------------------------

    async def seal(
        self, incident_view: IncidentView, move: Propose, number: int, by: str, run: int, context: Context
    ) -> Ruled:
        """Preview, dry run, undo, verdict; on the timeline. Raises a ToolError where the action cannot be made."""
        self._check_not_ourselves(incident_view)
        success = await self._success(incident_view, move, number, run, context)
        wanted = Wanted(
            action=move.action,
            arguments=move.args,
            success=success,
            why=self.run_context.redact(incident_view.why or move.why),
            cause=move.cause,
            requester=by,
            untrusted=self._untrusted(incident_view, move),
            baseline=await self._baseline(incident_view, success, number, run, context),
            about=self._about(incident_view),
        )
        prepared = await self.executor.preparation.prepare(incident_view.incident.id, wanted)
        self._check_secrets(prepared)
        return await self._submit(prepared, run, f"{number}")

    def _check_not_ourselves(self, incident_view: IncidentView) -> None:
        """Nothing is done about Stanch itself, whatever policy allows: it would judge its own recovery."""
        if any(about_us(alert) for alert in incident_view.alerts):
            raise Refused("This incident is about Stanch itself, about which it does nothing. Ask a person.")

    def _about(self, incident_view: IncidentView) -> frozenset[str]:
        """The service that the alerts are about, by the catalog."""
        service, _ = subject(self.run_context.catalog(), incident_view.incident.labels, incident_view.alerts)
        return frozenset({service.name} if service else ())

    def _check_secrets(self, prepared: Prepared) -> None:
        """A proposal is shown to many and kept for ever: one that holds a secret is not made."""
        sealed = prepared.proposal.sealed()
        held = [name for name, value in sealed.items() if self.run_context.redact.value({name: value}) != {name: value}]
        if held:
            raise BadArguments(
                f"{prepared.proposal.action}: {', '.join(held)} holds what looks like a secret, and proposals are shown "
                "and kept. Let the action fetch it by reference (`secrets` of a declared action)."
            )

    async def _submit(self, prepared: Prepared, run: int | None, step: str) -> Ruled:
        proposal = await self.executor.preparation.submit(prepared, run, step)
        verdict = str(proposal.verdict)
        return Ruled(proposal.id, verdict, proposal.note)

    async def _success(
        self, incident_view: IncidentView, move: Propose, number: int, run: int, context: Context
    ) -> SuccessTest:
        """The test to seal; an empty one where the action mends nothing, so that nobody asks whether it helped."""
        if not self.mitigates(move.action):
            return SuccessTest(())
        self._check_success(move.success)
        return await Yardstick(self.run_context).sealed(incident_view, move.success, number, run, context)

    def mitigates(self, action: str) -> bool:
        """Whether an action changes anything of what ails: a silence or a request for training does not."""
        return self.run_context.tools.action(action).mitigates

    def _check_success(self, success: SuccessTest) -> None:
        """A success test that cannot be read is refused now, not when it should save somebody."""
        if any(check.is_rule for check in success.checks):
            raise BadArguments("The alert's own rule is put beside a success test by code; leave it out.")
        if not success.checks:
            raise BadArguments("A proposal needs a success test: at least one check whose numbers say that it helped.")
        for check in (*success.checks, *(guard.check for guard in success.guards)):
            self.run_context.tools.read(check.read).parse(check.args)
        for check in success.checks:
            expectation(check.expect)

    def _untrusted(self, incident_view: IncidentView, move: Propose) -> tuple[str, ...]:
        """Arguments that name a thing which only untrusted text knows."""
        kind = self.run_context.tools.action(move.action)
        sources = provenance.Sources(
            catalog=self.run_context.catalog().names()
            | {str(w) for s in self.run_context.catalog().services() for w in s.workloads},
            platform=provenance.names_of_platform(incident_view.events, self.run_context.tools.vouching),
            people=provenance.words_of_people(
                e for e in incident_view.events if self.run_context.catalog().person(e.actor).name
            ),
            runbook=self._written_out(incident_view, move),
        )
        return provenance.untrusted(move.args, kind.identifiers(), sources)

    def _written_out(self, incident_view: IncidentView, move: Propose) -> frozenset[str]:
        """Names that the action block of a runbook of this incident spells out, or of one that such a runbook names."""
        library = self.run_context.library
        found = {match.name for match in incident_view.runbooks}
        books = [book for name in found if (book := library.book(name))]
        found |= {name for book in books for name in named_in(book, library.names())}
        source = move.source.split("#")[0]
        book = library.book(source) if source in found else None
        blocks = [block for block in book.actions if block.action == move.action] if book else []
        return frozenset(name for block in blocks for name in provenance.written_out(block.args))

    async def _baseline(
        self, incident_view: IncidentView, success: SuccessTest, number: int, run: int, context: Context
    ) -> tuple[float | None, ...]:
        """The guards' values before anything is done."""
        calls = [Call(guard.check.read, guard.check.args, f"{guard.name} before") for guard in success.guards]
        values = []
        for i, looked in enumerate(await look(calls, self.run_context.tools, context)):
            key = f"{number}:guard{i}"
            what = recorded(looked, "stanch", context, {"call": key}, self.run_context.redact)
            found = await self.run_context.record(incident_view.incident.id, run, what, key)
            facts = found.facts if found.outcome is ReadOutcome.OK else None
            values.append(guard_value(success.guards[i], facts, context.as_of))
        return tuple(values)

    async def undo(self, incident_view: IncidentView, proposal_id: str, run: int) -> Ruled | None:
        """The sealed undo as a child proposal; None where there is none, or nothing to undo."""
        async with self.run_context.db.read() as tx:
            proposal = await proposal_store.find(tx, proposal_id)
            execution = await executions.get(tx, proposal_id)
        if proposal is None or execution is None or proposal.undo is None:
            return None
        try:
            prepared = await self.executor.preparation.undo_of(proposal, execution)
        except ToolError:
            return None
        return await self._submit(prepared, run, f"undo:{proposal_id}")

    # -- for the worker -----------------------------------------------------------------------------------------------

    async def current(self, incident: str) -> Proposal | None:
        """The proposal that waits or was decided last."""
        async with self.run_context.db.read() as tx:
            every = await proposal_store.of(tx, incident)
        waiting = [p for p in every if p.state in WAITING] or every
        return waiting[-1] if waiting else None

    async def void(self, proposal: Proposal, why: str, run: int) -> None:
        state = ProposalState.EXPIRED if why == Why.EXPIRED else ProposalState.VOIDED
        await proposal_store.withdraw(self.run_context.db, self.run_context.clock, proposal.id, state, why, run)

    async def outside(self, proposal: Proposal, context: Context) -> Why | None:
        """OUTSIDE when somebody has made exactly this change by hand while it waited."""
        action = self.run_context.tools.action(proposal.action).parse(proposal.arguments)
        try:
            seen = await action.observe(context)
        except ToolError:
            return None
        same = proposal.altered and all(
            seen.fields.get(name) == proposal.after.fields[name] for name in proposal.altered
        )
        return Why.OUTSIDE if same else None

    # -- for people ---------------------------------------------------------------------------------------------------

    async def decide(
        self, proposal: str, digest: str, person: Person, answer: str, reason: str = "", demo: bool = False
    ) -> Proposal:
        """One person's answer to exactly this proposal; Outdated or NotEntitled where it does not count."""
        book = self.run_context
        made = await approval.decide(
            book.db,
            book.clock,
            proposal,
            digest,
            person,
            approval.Answer(answer),
            reason,
            demo=demo,
            policy=self.executor.policy,
        )
        return made.proposal

    async def missing(self, proposal: Proposal) -> int:
        """How many more people have to approve, by the stricter of what was sealed and what policy says today."""
        async with self.run_context.db.read() as tx:
            made = await decisions.of(tx, proposal.id)
        return approval.missing(
            proposal, made, self.executor.policy.rule(proposal.request(self.run_context.clock.now()))
        )

    async def settle(self, proposal: str, person: Person, done: bool, reason: str) -> Proposal:
        """A person's word on an UNKNOWN."""
        return await approval.settle(self.run_context.db, self.run_context.clock, proposal, person, done, reason)

    async def edit(self, proposal_id: str, person: Person, changes: Mapping[str, Any]) -> Proposal:
        """A new proposal with some arguments changed; the old one is superseded in the same transaction."""
        async with self.run_context.db.read() as tx:
            old = await proposal_store.find(tx, proposal_id)
        if old is None or old.state not in WAITING:
            raise Outdated(
                f"{proposal_id} does not wait for a decision any more. `stanch approvals list` shows what does."
            )
        unknown = sorted(set(changes) - set(self.run_context.tools.action(old.action).model_fields))
        if unknown:
            raise BadArguments(
                f"{old.action} has no argument {', '.join(unknown)}. It takes: {', '.join(old.arguments)}."
            )
        prepared = await self.executor.preparation.prepare(
            old.incident, self._like(old, {**old.arguments, **changes}, person, old.success, old.why)
        )
        self._check_secrets(prepared)
        made = await approval.edit(self.run_context.db, self.run_context.clock, old.id, old.digest, person, prepared)
        return made.proposal

    def _like(
        self, old: Proposal, arguments: Mapping[str, Any], person: Person, success: SuccessTest, why: str
    ) -> Wanted:
        """The same action as an earlier proposal, as this person wants it: what a person types is a person's word."""
        return Wanted(
            old.action,
            arguments,
            success,
            why,
            old.cause,
            person.principal,
            person.name,
            tuple(u for u in old.untrusted if arguments.get(u) == old.arguments.get(u)),
            old.baseline,
        )

    async def explain(self, request: Request) -> Explanation:
        """Why policy says what it says to this, and what else would be asked if it were to start now."""
        book, policy = self.run_context, self.executor.policy
        now, halt = book.clock.now(), await kill_switch.stopped(book.db)
        async with book.db.read() as tx:
            ran = await executions.count_since(tx, now - timedelta(hours=1), str(request.target))
        return explain(policy, request, standing(policy, request, str(halt) if halt else None, *ran))

    def request(
        self,
        name: str,
        arguments: Mapping[str, Any],
        where: Mapping[str, str],
        at: datetime | None,
        now: Mapping[str, Any],
    ) -> Request:
        """A request by hand: the target as the catalog knows it, and what `where` says of it instead."""
        kind = self.run_context.tools.action(name)
        context = self.run_context.context(
            IncidentView(Incident("by-hand", State.NEW, IncidentKind.NONE, "", self.run_context.clock.now()))
        )
        try:
            target = kind.parse(arguments).resolved(context).target(context)
        except ToolError:
            target = _by_catalog(kind, arguments, self.run_context.catalog())
        return Request(
            name, dict(arguments), _placed(target, where), kind.risk, at or self.run_context.clock.now(), dict(now)
        )

    async def preview(self, name: str, arguments: Mapping[str, Any], person: Person, incident: str) -> Prepared:
        """What an action would change and what policy says to it. Nothing is kept."""
        success = SuccessTest((Check("query_metrics", {"promql": "vector(1)"}, "== 1"),))
        wanted = Wanted(
            name, arguments, success, "previewed by hand", Cause("", Fault.UNKNOWN), person.principal, person.name
        )
        return await self.executor.preparation.prepare(incident, wanted)


def _by_catalog(kind: type[Action], arguments: Mapping[str, Any], catalog: Catalog) -> Target:
    """The target as far as the catalog alone can tell, where its platform is not configured here."""
    for argument, what in kind.identifiers().items():
        try:
            load = catalog.workload(str(arguments.get(argument))) if what == "workload" else None
        except ToolError:
            continue
        if load is not None:
            entry = catalog.service(load.service)
            confirmed = entry is not None and entry.confirmed
            return Target(
                "workload", load.name, load.cluster, load.namespace, load.environment, load.service, confirmed
            )
    return Target("workload", kind.name(), "")


def _placed(target: Target, where: Mapping[str, str]) -> Target:
    """The target with what a person says of its environment, cluster and service; the rest is the catalog's word."""
    return replace(
        target,
        environment=where.get("environment") or target.environment,
        cluster=where.get("cluster") or target.cluster,
        service=where.get("service") or target.service,
    )
