"""Mutants: each a small mistake that somebody could make, as what stands in the source and what would stand there.

Those of the gate stand here; they were written before the generators that have to find them. Those of other areas stand in
the modules `mutants_*.py` beside this one, each with its own `MUTANTS`; `every()` are all of them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands exactly once in `file`. `breaks` is the invariant of DESIGN.md that the mistake would break.

    `tests` are the ids of the tests that notice it, with spaces between them; "" leaves it to the proofs of proofs.py. They
    have to run in the process of pytest itself: a program that a test starts does not see the mistake.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: str = ""  # pytest node ids that have to fail, separated by spaces; "" for the proofs

    @property
    def area(self) -> str:
        return next(area for start, area in AREAS if self.file.startswith(start))

    def source(self) -> str:
        return (TOP / self.file).read_text().replace(self.old, self.new)


AREAS = (
    ("agent/gate/verification", "recovery"),
    ("agent/gate/audit", "memory"),
    ("agent/gate/table_audit", "memory"),
    ("agent/gate/startup_audit", "memory"),
    ("agent/gate/proposal_history", "memory"),
    ("agent/gate/prepare", "propose"),
    ("agent/gate/provenance", "propose"),
    ("agent/graph/steps/propose", "propose"),
    ("agent/gate", "gate"),
    ("agent/store", "memory"),
    ("agent/graph/steps/verify", "recovery"),
    ("agent/service/suggestion_followup", "recovery"),
    ("agent/surfaces/slack", "slack"),
    ("agent/surfaces/webhook", "webhook"),
    ("agent/surfaces", "terminal"),
    ("agent/sources", "intake"),
    ("agent/service/grouping", "intake"),
    ("agent/service/inbox", "intake"),
    ("agent/reasoner", "reasoner"),
    ("agent/library", "runbooks"),
    ("agent/domain", "domain"),
    ("tools", "tools"),
    ("agent", "graph"),
)


def every() -> tuple[Mutant, ...]:
    """All mutants there are, by area."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("mutants_*.py"))
    found = [*MUTANTS, *(m for name in modules for m in importlib.import_module(f"{__package__}.{name}").MUTANTS)]
    order = list(dict.fromkeys(area for _, area in AREAS))
    return tuple(sorted(found, key=lambda mutant: order.index(mutant.area)))


LEDGER, APPROVAL, OBSTACLES = "agent/gate/executor.py", "agent/gate/approval.py", "agent/gate/preflight.py"
OUTCOME, PROPOSAL, POLICY = "agent/gate/outcome.py", "agent/gate/proposal.py", "agent/gate/policy.py"
POLICY_FILE, PREPARATION, AUDIT = "agent/gate/policy_file.py", "agent/gate/prepare.py", "agent/gate/audit.py"
WITNESS = "agent/gate/proposal_history.py"
VERIFICATION, PROVENANCE = "agent/gate/verification.py", "agent/gate/provenance.py"
EXECUTIONS, INCIDENTS, DATABASE = "agent/store/executions.py", "agent/store/incidents.py", "agent/store/database.py"
INBOX, TIMELINE = "agent/service/inbox.py", "agent/store/timeline.py"
DECISIONS, PROPOSALS = "agent/store/decisions.py", "agent/store/proposals.py"

MUTANTS = (
    # -- the executor
    Mutant(
        "sends again after a crash",
        "I6",
        LEDGER,
        "else self._reconcile(hand))",
        "else self._apply(replace(hand, execution=replace(execution, intent_at=self._clock.now())), await self._now(hand), proposal.before))",
    ),
    Mutant(
        "a crash behind the intent is taken for one before it",
        "I7",
        LEDGER,
        "if known is not None and (known.outcome is not None or known.intent_at is not None):",
        "if known is not None and known.outcome is not None:",
    ),
    Mutant(
        "budgets are not asked in the claim",
        "I15",
        LEDGER,
        "Budgets() if known else self._policy().budgets",
        "Budgets()",
    ),
    Mutant(
        "nothing is asked again before the intent",
        "I4",
        LEDGER,
        "if (objection := await self._obstacle(tx, proposal, Budgets(), said)) is not None:",
        "if (objection := None) is not None:",
    ),
    Mutant(
        "the state is not looked at again",
        "I5",
        LEDGER,
        "if not unchanged(seen, hand.proposal.before):",
        "if as_wanted(seen, hand.proposal) and not unchanged(seen, hand.proposal.before):",
    ),
    Mutant(
        "two runners may both intend",
        "I6",
        EXECUTIONS,
        "_INTEND = _OF.where(table.c.intent_at.is_(None)).values(",
        "_INTEND = _OF.values(",
        "tests/gate/test_stricter.py::test_an_intent_is_written_once_and_whoever_comes_second_is_told",
    ),
    Mutant(
        "the intent is not on the timeline",
        "I8",
        LEDGER,
        'await timeline.append(tx, proposal.incident, told, "stanch", now, key, hand.run, fresh=True, start=start)',
        "await timeline.head(tx, proposal.incident)",
    ),
    Mutant(
        "the effect comes before its intent",
        "I8",
        LEDGER,
        "        async with self._db.write() as tx:\n            hand = replace(hand, execution=await self._intend(tx, hand))",
        "        sent = await hand.action.apply(context, seen, hand.proposal.key)\n        async with self._db.write() as tx:\n            hand = replace(hand, execution=await self._intend(tx, hand))\n        return await self._settle(hand, sent.text)",
    ),
    Mutant(
        "a runner that was paused sends all the same",
        "I6",
        LEDGER,
        "if self._clock.now() - hand.execution.intent_at > PATIENCE:",
        "if self._clock.now() - hand.execution.intent_at > 1000 * PATIENCE:",
    ),
    Mutant(
        "no answer is taken for a refusal",
        "I7",
        LEDGER,
        'return await self._settle(hand, f"no clear answer: {error}")',
        'return await self._end(hand, Outcome.NOT_DONE, f"no clear answer: {error}")',
    ),
    Mutant(
        "a refusal is taken for an effect",
        "I7",
        LEDGER,
        'return await self._end(hand, Outcome.NOT_DONE, f"refused: {error}")',
        'return await self._end(hand, Outcome.DONE, f"refused: {error}")',
    ),
    Mutant(
        "what can never be seen is called done",
        "I7",
        LEDGER,
        'return await self._end(hand, Outcome.UNKNOWN, f"{said}; its effect can never be seen")',
        'return await self._end(hand, Outcome.DONE, f"{said}; its effect can never be seen")',
    ),
    Mutant(
        "the target's answer is not kept before waiting",
        "I7",
        LEDGER,
        "await executions.answered(tx, hand.proposal.id, execution.answered_at, execution.receipt)",
        "assert execution.answered_at",
    ),
    Mutant(
        "the outcome is not on the timeline",
        "I9",
        LEDGER,
        'await timeline.append(tx, ended.incident, told, "stanch", now, key, run, fresh)',
        "await timeline.head(tx, ended.incident)",
    ),
    Mutant(
        "a second outcome overwrites the first",
        "I7",
        EXECUTIONS,
        "_END = _OF.where(table.c.outcome.is_(None)).values(",
        "_END = _OF.values(",
    ),
    Mutant(
        "an overtaken runner goes on",
        "I6",
        INCIDENTS,
        "if run is not None and run != found:",
        "if run is not None and run > found:",
    ),
    Mutant(
        "any undo passes for the approved one",
        "I1",
        LEDGER,
        "for name, value in parent.undo.arguments.items()} == dict(proposal.arguments)",
        "for name, value in parent.undo.arguments.items()} is not None",
    ),
    Mutant(
        "an undo runs though its parent did not",
        "I2",
        LEDGER,
        "if ran is None or not await vouched_done(tx, parent, ran.values) or proposal.action != parent.undo.action:",
        "if ran is None or proposal.action != parent.undo.action:",
    ),
    Mutant(
        "what can never be seen is called not done",
        "I7",
        LEDGER,
        'return await self._end(hand, Outcome.UNKNOWN, f"{said}; its effect can never be seen")',
        'return await self._end(hand, Outcome.NOT_DONE, f"{said}; its effect can never be seen")',
    ),
    Mutant(
        "an answer is taken for the effect though the target knows better",
        "I7",
        LEDGER,
        "        return await self._settle(hand, receipt.text)\n",
        "        if hand.action.settle is None:\n            return await self._end(hand, Outcome.DONE, receipt.text)\n        return await self._settle(hand, receipt.text)\n",
    ),
    Mutant(
        "what knows its keys is not waited for",
        "I7",
        LEDGER,
        "SETTLE = timedelta(seconds=30)",
        "SETTLE = timedelta(seconds=3)",
    ),
    Mutant(
        "no answer is sent once more",
        "I6",
        LEDGER,
        '            return await self._settle(hand, f"no clear answer: {error}")',
        '            try:\n                await hand.action.apply(context, seen, hand.proposal.key)\n            except ToolError:\n                pass\n            return await self._settle(hand, f"no clear answer: {error}")',
    ),
    # -- what the timeline is a witness of
    Mutant(
        "a row that its timeline does not tell of may start",
        "I1",
        WITNESS,
        "if not events or not vouches(tx.audit_key, events[0], proposal):",
        "if not events:",
    ),
    Mutant(
        "a verdict on something else vouches",
        "I1",
        WITNESS,
        "return (verdict.payload.proposal, verdict.payload.digest) == (proposal.id, proposal.digest)",
        "return verdict.payload.proposal == proposal.id",
    ),
    Mutant(
        "approvals that no event tells of count",
        "I2",
        WITNESS,
        "told = [_told(event) for event in events_of(mine, DecisionMade)]",
        "told = await decisions.of(tx, proposal.id)",
    ),
    Mutant(
        "the execution clock is what the row says",
        "I3",
        OBSTACLES,
        "return min(proposal.execute_by, max(began) + proposal.execute_within)",
        "return proposal.execute_by",
    ),
    # -- what stands in the way
    Mutant(
        "a changed proposal is not noticed", "I1", OBSTACLES, "if facts.proposal.intact:", "if facts.proposal.digest:"
    ),
    Mutant(
        "the kill switch is not asked",
        "I15",
        OBSTACLES,
        "return Obstacle(ProposalState.VOIDED, facts.stopped) if facts.stopped else None",
        "return None",
    ),
    Mutant(
        "the execution clock is not asked",
        "I3",
        OBSTACLES,
        "if until is not None and facts.now <= until:",
        "if until is not None:",
    ),
    Mutant(
        "a policy that has become stricter is not noticed",
        "I4",
        OBSTACLES,
        "if verdict.looseness < Verdict.ASK.looseness:",
        "if verdict.looseness < Verdict.DENY.looseness:",
    ),
    Mutant(
        "what was allowed need not be asked for later",
        "I2",
        OBSTACLES,
        "if verdict is Verdict.ASK and facts.proposal.verdict is not Verdict.ASK and not facts.proposal.covered:",
        "if verdict is Verdict.ASK and facts.proposal.verdict is Verdict.DENY:",
    ),
    Mutant(
        "one entitled person is quorum enough at execution",
        "I2",
        OBSTACLES,
        "if len(counted) >= needed:",
        "if len(counted) >= min(needed, 1):",
    ),
    Mutant(
        "who left the group since still counts",
        "I2",
        OBSTACLES,
        "        and facts.entitled(d.person, sealed.approvers)\n",
        "",
    ),
    Mutant(
        "who may approve by today's policy is not asked",
        "I2",
        OBSTACLES,
        "        and (ruling.verdict is not Verdict.ASK or facts.entitled(d.person, ruling.approvers))\n",
        "",
    ),
    Mutant(
        "a requester counts though policy no longer lets them",
        "I2",
        OBSTACLES,
        "requester_may = sealed.requester_may_approve and (ruling.requester_may_approve or ruling.verdict is Verdict.ALLOW)",
        "requester_may = sealed.requester_may_approve",
    ),
    Mutant(
        "a quorum that policy has raised is not noticed",
        "I2",
        OBSTACLES,
        "ruling.quorum if ruling.verdict is Verdict.ASK else 1,",
        "1,",
    ),
    Mutant(
        "one more than the budget",
        "I15",
        POLICY_FILE,
        "if self.per_hour is not None and this_hour >= self.per_hour:",
        "if self.per_hour is not None and this_hour > self.per_hour:",
    ),
    Mutant(
        "the budget of a target counts nothing",
        "I15",
        EXECUTIONS,
        "return len(targets), targets.count(target)",
        "return len(targets), 0",
    ),
    # -- decisions
    Mutant(
        "a decision on another digest counts",
        "I1",
        APPROVAL,
        "if digest != proposal.digest or not proposal.intact:",
        "if not proposal.intact:",
    ),
    Mutant(
        "a decision on a changed proposal counts",
        "I1",
        APPROVAL,
        "if digest != proposal.digest or not proposal.intact:",
        "if digest != proposal.digest:",
    ),
    Mutant(
        "approval never expires",
        "I3",
        APPROVAL,
        "return proposal.state is ProposalState.OPEN and now > proposal.approve_by",
        "return proposal.state is ProposalState.OPEN and now > proposal.approve_by + proposal.execute_within * 1000",
    ),
    Mutant(
        "anybody may approve", "I2", APPROVAL, "    if not may:\n", "    if not may and answer is not Answer.APPROVE:\n"
    ),
    Mutant(
        "a requester may approve",
        "I2",
        APPROVAL,
        "if answer is Answer.APPROVE and name == proposal.requester_person and not proposal.requester_may_approve:",
        "if answer is Answer.APPROVE and name == proposal.requester_person and not proposal.approvers:",
    ),
    Mutant(
        "two identities of one person are two people",
        "I2",
        APPROVAL,
        "    return person.name\n",
        "    return person.principal\n",
    ),
    Mutant(
        "an agent may decide",
        "I2",
        APPROVAL,
        "if person.name is None or not is_person(person.principal):",
        "if person.name is None:",
    ),
    Mutant(
        "a denial is only written down",
        "I4",
        APPROVAL,
        "        return _ENDS[answer]\n    return proposal.state if",
        "        return proposal.state\n    return proposal.state if",
    ),
    Mutant(
        "the execution clock starts at the end of the approval clock",
        "I3",
        APPROVAL,
        "execute_by = decision.at + proposal.execute_within",
        "execute_by = proposal.approve_by + proposal.execute_within",
    ),
    Mutant(
        "the first approval is enough",
        "I2",
        APPROVAL,
        "return proposal.state if lacking > 0 else",
        "return proposal.state if lacking > 1 else",
    ),
    Mutant(
        "who may approve by today's policy is not asked at the decision",
        "I2",
        APPROVAL,
        "    if not entitled(name, person.groups, ruling.approvers):\n",
        "    if not ruling.approvers:\n",
    ),
    Mutant(
        "a requester approves though policy no longer lets them",
        "I2",
        APPROVAL,
        "if name == proposal.requester_person and not ruling.requester_may_approve:",
        "if name == proposal.requester_person and not ruling.approvers:",
    ),
    Mutant(
        "policy that has become stricter is not noticed at the decision",
        "I4",
        APPROVAL,
        "    if ruling.verdict.looseness < Verdict.ASK.looseness:\n        return Outdated(",
        "    if ruling.verdict.looseness < Verdict.DENY.looseness:\n        return Outdated(",
    ),
    # -- the seal
    Mutant(
        "the digest leaves out the arguments",
        "I1",
        PROPOSAL,
        'hashlib.sha256(b"stanch proposal 1\\n" + canonical(sealed)).hexdigest()',
        'hashlib.sha256(b"stanch proposal 1\\n" + canonical({k: v for k, v in sealed.items() if k != "arguments"})).hexdigest()',
    ),
    Mutant(
        "the digest leaves out who approves",
        "I2",
        PROPOSAL,
        'hashlib.sha256(b"stanch proposal 1\\n" + canonical(sealed)).hexdigest()',
        'hashlib.sha256(b"stanch proposal 1\\n" + canonical({k: v for k, v in sealed.items() if k not in ("approvers", "quorum")})).hexdigest()',
    ),
    Mutant(
        "an undo is covered though somebody changed the target since",
        "I1",
        PREPARATION,
        "covered = proposal.undo_covered and ours and execution.outcome is Outcome.DONE",
        "covered = proposal.undo_covered and execution.outcome is Outcome.DONE",
    ),
    Mutant(
        "the same step proposes twice",
        "I6",
        PREPARATION,
        'f"proposal:{step}")) is not None:',
        'f"proposal:{step}?")) is not None:',
    ),
    # -- what became of it
    Mutant(
        "the target's version is not compared",
        "I5",
        OUTCOME,
        "return dict(seen.fields) == dict(before.fields) and seen.version == before.version",
        "return dict(seen.fields) == dict(before.fields)",
    ),
    Mutant(
        "accepted and never seen is called not done",
        "I7",
        OUTCOME,
        "    if answered:\n",
        "    if answered and seen.state is None:\n",
    ),
    Mutant(
        "a target that went dark is called not done",
        "I7",
        OUTCOME,
        'return Outcome.UNKNOWN, "the target gave no answer, and could not be looked at afterwards"',
        'return Outcome.NOT_DONE, "the target gave no answer, and could not be looked at afterwards"',
    ),
    Mutant(
        "neither as before nor as wanted is called not done",
        "I7",
        OUTCOME,
        "    if as_it_was(seen.state, proposal):\n",
        "    if seen.state.fields:\n",
    ),
    Mutant("nobody waits for the effect", "I7", OUTCOME, "    while left > timedelta(0):", "    while left > settle:"),
    # -- policy
    Mutant(
        "a freeze is not kept",
        "I15",
        POLICY,
        'return ruling.no_looser_than(Verdict.DENY, f"there is a freeze: {freeze.reason}")',
        "return ruling",
    ),
    Mutant(
        "a name out of untrusted text passes",
        "I13",
        POLICY,
        "    if not request.untrusted:\n",
        '    if request.untrusted != ("*",):\n',
    ),
    Mutant(
        "a name out of untrusted text needs one person",
        "I13",
        POLICY,
        "return replace(asked, quorum=max(asked.quorum, 2))\n    return ruling if",
        "return asked\n    return ruling if",
    ),
    Mutant(
        "a target without a cluster passes",
        "I16",
        POLICY,
        "return ruling if request.target.cluster else",
        "return ruling if request.target else",
    ),
    Mutant(
        "the kill switch of the policy file is not kept",
        "I15",
        POLICY,
        "if self.file.kill_switch:",
        "if self.file.kill_switch and self.missing:",
    ),
    Mutant(
        "what no rule names is suggested",
        "I12",
        POLICY,
        'return Ruling(Verdict.DENY, "", f"no rule allows {request.action} here")',
        'return Ruling(Verdict.SUGGEST, "", f"no rule allows {request.action} here")',
    ),
    Mutant(
        "what disrupts may run without asking",
        "I2",
        POLICY,
        "if request.risk is Risk.REVERSIBLE:",
        "if request.risk is not Risk.DESTRUCTIVE:",
    ),
    Mutant(
        "what destroys needs one person",
        "I2",
        POLICY,
        "return replace(asked, quorum=max(asked.quorum, 2)) if request.risk is Risk.DESTRUCTIVE else asked",
        "return asked",
    ),
    Mutant(
        "the limit of an argument is not kept", "I12", POLICY_FILE, "self.max is None or value <= self.max]", "True]"
    ),
    # -- the record
    Mutant(
        "a changed event is not found",
        "I9",
        AUDIT,
        "if not same_spelling or chain_hash(key, row.prev, body) != row.hash:",
        "if not same_spelling:",
    ),
    Mutant(
        "a dropped event is not found",
        "I9",
        AUDIT,
        '        if row.n != place:\n            return Break(incident, place, f"it is missing; event {row.n} stands in its place", TAMPERED)\n        if row.prev != prev:',
        "        if row.n < place:",
    ),
    Mutant(
        "a cut-off tail is not found",
        "I9",
        AUDIT,
        '        if n > last:\n            return Break(incident, last + 1, f"it is missing; events up to {max(anchored)} had been written", RESTORE)',
        "        if n > last:\n            continue",
    ),
    Mutant(
        "heads are not anchored",
        "I9",
        DATABASE,
        "lines = heads_to_lines(done.behind | done.heads, done.named)",
        "lines = heads_to_lines({}, [])",
    ),
    Mutant("a write transaction begins as a read", "I6", DATABASE, 'ALONE = "BEGIN IMMEDIATE"', 'ALONE = "BEGIN"'),
    # -- what is kept, and what never is
    Mutant(
        "a notification is answered and not kept",
        "I10",
        INBOX,
        "            await inbox.keep(tx, posted, tally.fresh, tally.again, now)\n",
        "",
    ),
    Mutant(
        "a duplicate is kept once more",
        "I10",
        INBOX,
        "if key in self.old or key in self.fresh:",
        "if key in self.fresh:",
    ),
    Mutant(
        "a duplicate is told as news",
        "I10",
        INBOX,
        "answers.append(Receipt(one.receipt, len(one.alerts), kept is None))",
        "answers.append(Receipt(one.receipt, len(one.alerts), False))",
    ),
    Mutant("a secret gets on the timeline", "I14", TIMELINE, "whole(tx.redact.value(dict(data)))", "whole(dict(data))"),
    Mutant(
        "a secret gets among the decisions", "I14", APPROVAL, "reason=event.payload.reason", "reason=decision.reason"
    ),
    Mutant("a secret gets into a proposal's note", "I14", PROPOSALS, "said = tx.redact(note)", "said = note"),
    Mutant("a secret gets into an outcome", "I14", EXECUTIONS, "tx.redact(ended.why)", "ended.why"),
    Mutant(
        "a secret in an answer is kept",
        "I14",
        EXECUTIONS,
        'tx.redact(str(receipt.get("text", "")))',
        'str(receipt.get("text", ""))',
    ),
    # -- recovery
    Mutant(
        "no data passes for good data",
        "I17",
        VERIFICATION,
        "all(c is True for c in one.checks)",
        "all(c is not False for c in one.checks)",
    ),
    Mutant(
        "stale data passes",
        "I17",
        VERIFICATION,
        'return at - parse_time(fact.window.rsplit("/", 1)[-1]) > STALE',
        'return at - parse_time(fact.window.rsplit("/", 1)[-1]) > 100 * STALE',
        "tests/gate/test_verification.py::test_absent_nan_and_stale_data_are_no_success",
    ),
    Mutant(
        "a guard without data passes",
        "I17",
        VERIFICATION,
        "all(kept is True for kept in guards)",
        "all(kept is not False for kept in guards)",
    ),
    Mutant(
        "a gap in the looking passes",
        "I17",
        VERIFICATION,
        "(first is not None and first.at - one.at > 3 * cadence(test))",
        "(first is None and one is None)",
    ),
    Mutant(
        "one good look is recovery",
        "I17",
        VERIFICATION,
        "if held is not None and held >= test.hold and",
        "if held is not None and",
    ),
)
