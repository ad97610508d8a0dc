"""A tour of the machine: each thing that may come in between, once and in order, held against the same law.

What hypothesis finds by chance in minutes, the tour passes by in seconds; what nobody thought of is left to hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from agent.domain.notes import PlainNote
from agent.errors import Overtaken
from agent.store import timeline
from agent.store.database import Database
from tests.gate.world import ANN, BOB, DORA
from tests.proofs.choices import AGENT, ANN_IN_CHAT, COMES_BETWEEN, NOBODY, PEOPLE
from tests.proofs.machine import Held
from tests.proofs.model import OUTCOMES, SEEN, Rules
from tests.proofs.stage import Crash
from tests.proofs.under_fire import GateUnderFire
from tests.proofs.vandals import BY_HAND, GOES_ON, TAMPERED

ASK, ALLOW, DENY = Rules(), Rules(verdict="allow"), Rules(verdict="deny")
USUAL: dict[str, Any] = {
    "kind": "set_replicas",
    "replicas": 6,
    "workload": "web",
    "requester": None,
    "untrusted": False,
    "approvers": 1,
    "twice": False,
}


@contextmanager
def gate(rules: Rules = ASK) -> Iterator[GateUnderFire]:
    machine = GateUnderFire()
    machine.begin(rules)
    try:
        yield machine
    except BaseException:
        machine.begun = 0  # what failed is the news, not what is left of it
        machine.teardown()
        raise
    machine.teardown()


def proposed(machine: GateUnderFire, mode: str = "well", **other: Any) -> Held:
    held = machine._proposed(mode, {**USUAL, "rules": None, **other})
    assert held is not None
    machine.promises()
    return held


def executed(
    machine: GateUnderFire, mode: str = "well", between: str = "nothing", policy: Rules = DENY, **other: Any
) -> Held:
    held = proposed(machine, mode, **other)
    machine._execute(held, between, policy)
    machine.promises()
    return held


def what_comes_between() -> None:
    for rules in (ASK, ALLOW):
        for between in dict.fromkeys(COMES_BETWEEN):
            with gate(rules) as machine:
                executed(machine, between=between)
    for rules in (Rules(frozen=True), Rules(switched_off=True), Rules(approvers=("leads",)), Rules(quorum=2)):
        with gate(ASK) as machine:
            executed(machine, between="policy", policy=rules)
        with gate(ASK) as machine:
            held = proposed(machine)
            machine.policy_changes(rules)
            machine._execute(held, "nothing", ASK)


def what_changes_after_the_approval() -> None:
    with gate(ALLOW) as machine:
        held = proposed(machine)
        machine.policy_changes(ASK)
        machine._execute(held, "nothing", ASK)
    with gate(ASK) as machine:  # who approved has left, and policy would not even ask any more
        held = proposed(machine)
        machine.somebody_joins_or_leaves("ann", "oncall")
        machine.somebody_joins_or_leaves("ann", "leads")
        machine.policy_changes(ALLOW)
        machine._execute(held, "nothing", ASK)
    with gate(Rules(requester_may=True)) as machine:
        held = proposed(machine, requester="ann")
        machine.policy_changes(ASK)
        machine._execute(held, "nothing", ASK)
    with gate(ASK) as machine:
        held = proposed(machine)
        machine.policy_changes(Rules(approvers=("leads",)))
        machine.somebody_joins_or_leaves("ann", "leads")
        machine._execute(held, "nothing", ASK)
    with gate(Rules(quorum=2)) as machine:
        held = proposed(machine, approvers=2)
        machine.somebody_joins_or_leaves("bob", "oncall")
        machine._execute(held, "nothing", ASK)
    for minutes in (14, 16):
        with gate(ASK) as machine:
            held = proposed(machine)
            machine.time_passes(minutes)
            machine._execute(held, "nothing", ASK)
    with gate(ASK) as machine:
        held = proposed(machine)
        machine.stop_or_go_on()
        machine._execute(held, "nothing", ASK)


def what_policy_says() -> None:
    for kind in ("set_replicas", "restart", "destroy", "nowhere"):
        for untrusted in (False, True):
            for rules in (
                ASK,
                ALLOW,
                Rules(untrusted="two_people"),
                Rules(verdict="allow", untrusted="two_people"),
                Rules(verdict="suggest"),
            ):
                with gate(rules) as machine:
                    executed(machine, kind=kind, untrusted=untrusted, approvers=2)
    for most in (5, 6):
        with gate(Rules(most=most)) as machine:
            executed(machine)
    for rules in (Rules(frozen=True), Rules(verdict="allow", frozen=True), Rules(verdict="allow", switched_off=True)):
        with gate(rules) as machine:
            executed(machine)


def what_a_budget_allows() -> None:
    for rules in (
        Rules(per_hour=1),
        Rules(per_target=1),
        Rules(verdict="allow", per_hour=0),
        Rules(per_hour=2, per_target=1),
    ):
        with gate(rules) as machine:
            for replicas, workload in ((6, "web"), (7, "api"), (8, "web"), (9, "api")):
                executed(machine, replicas=replicas, workload=workload)


def who_decides() -> None:
    for person in PEOPLE:
        with gate(Rules(approvers=("oncall",) if person.name != "dora" else ("leads",))) as machine:
            held = proposed(machine, approvers=0)
            machine._answer(held, person, "approve", "0" * 64)
            machine._answer(held, person, "approve", held.proposal.digest)
            machine._execute(held, "nothing", ASK)
    for rules in (ASK, Rules(quorum=2), Rules(requester_may=True), Rules(approvers=("leads",))):
        for person in (ANN, BOB):
            with gate(rules) as machine:
                held = proposed(machine, approvers=0, requester="ann")
                machine._answer(held, person, "approve", held.proposal.digest)
                machine._execute(held, "nothing", ASK)
    stricter, looser = Rules(), Rules(approvers=("oncall", "leads"), requester_may=True)
    for sealed, today in ((stricter, looser), (looser, stricter), (ASK, ALLOW), (ASK, DENY), (ASK, Rules(quorum=2))):
        for person in (ANN, BOB, DORA):
            with gate(sealed) as machine:
                held = proposed(machine, approvers=0, requester="ann")
                machine.policy_changes(today)
                machine._answer(held, person, "approve", held.proposal.digest)
                machine._execute(held, "nothing", ASK)
    for answer in ("deny", "revoke"):
        for person in (ANN, BOB, AGENT, NOBODY):
            with gate(ASK) as machine:
                held = proposed(machine)
                machine._answer(held, person, answer, held.proposal.digest)
                machine._execute(held, "nothing", ASK)
    with gate(Rules(quorum=2)) as machine:
        held = proposed(machine, approvers=0)
        for person in (ANN, ANN_IN_CHAT, ANN):
            machine._answer(held, person, "approve", held.proposal.digest)
        machine._execute(held, "nothing", ASK)
    with gate(ASK) as machine:
        held = proposed(machine, approvers=0)
        machine.time_passes(61)
        machine._answer(held, ANN, "approve", held.proposal.digest)
        machine._execute(held, "nothing", ASK)


def what_is_told() -> None:
    for kind in ("set_replicas", "probed", "blind", "blind_probed", "create"):
        for mode in ("dark", *OUTCOMES.get(kind, SEEN)):
            with gate() as machine:
                executed(machine, mode, kind=kind)


def who_dies_where() -> None:
    for kind, mode, rules in (
        ("set_replicas", "well", ASK),
        ("probed", "well", ALLOW),
        ("set_replicas", "swallowed", ALLOW),
        ("blind", "done, no answer", ASK),
        ("set_replicas", "late, no answer", ALLOW),
    ):
        for point in range(4, 60, 2 if mode == "well" else 5):
            with gate(rules) as machine:
                machine._dies(proposed(machine, mode, kind=kind), point, ("nothing", "late", "stop")[point % 3], DENY)
                machine.promises()


def who_is_held_up() -> None:
    for point in range(8, 40):
        with gate(ALLOW) as machine:
            machine._held_up(proposed(machine), point)
            machine.promises()
    with gate(ASK) as machine:
        proposed(machine)
        machine.a_stale_runner_executes(0)
    with gate(ASK) as machine:
        proposed(machine, twice=True)


def who_acts_at_once() -> None:
    for ops in (
        ["execute 0", "execute 1"],
        ["execute 0", "execute 1", "revoke ann"],
        ["revoke ann", "execute 0"],
        ["execute 1", "stop", "execute 0"],
    ):
        for kind in ("set_replicas", "blind"):
            with gate(ASK) as machine:
                proposed(machine, kind=kind)
                machine.all_at_once(0, ops, False)
    with gate(Rules(verdict="allow", per_hour=1)) as machine:
        proposed(machine)
        proposed(machine, workload="api", replicas=5)
        machine.all_at_once(0, ["execute 0", "execute 1"], True)
    with gate(ASK) as machine:
        proposed(machine, approvers=0)
        machine.all_at_once(0, ["approve ann", "approve bob", "deny bob", "execute 0", "execute 1"], False)


def what_a_twin_does() -> None:
    """Another runner under the same run comes in between claim and intent, and gets as far as each point; or it comes when
    the effect is sent, and is the first to say what became of it."""
    for kind in ("set_replicas", "blind", "blind_probed"):
        for mode in ("well", "swallowed"):
            _with_a_twin(kind, mode, 0, sent=True)
    for kind in ("set_replicas", "blind"):
        for point in (*range(18, 50, 2), 0):
            _with_a_twin(kind, "well", point, sent=False)


def _with_a_twin(kind: str, mode: str, point: int, sent: bool) -> None:
    with gate(ASK) as machine:
        held = proposed(machine, mode, kind=kind)
        machine.run(_beside_a_twin(machine, held, point, sent))
        machine.promises()
        told = machine.run(machine.stage.executor.execute(held.proposal.id, machine.stage.run))
        happened = held.proposal.key in machine.stage.effects()
        assert told.outcome in (("DONE", "UNKNOWN") if happened else ("NOT_DONE", "UNKNOWN")), f"I7: {told.why}"
        machine._told(held, str(told.outcome))


async def _beside_a_twin(machine: GateUnderFire, held: Held, point: int, sent: bool) -> None:
    stage = machine.stage

    async def once_it_is_sent() -> None:
        stage.meanwhile = twin  # the next time that anybody looks

    async def twin() -> None:
        other = await Database.open("", stage.db.folder)
        stage._watch(other)
        stage.at, stage.then = point, stage.crash
        with suppress(Crash):
            await stage.runner(other).execute(held.proposal.id, stage.run)
        stage.at = 0
        await other.close()

    stage.meanwhile = once_it_is_sent if sent else twin
    with suppress(Overtaken):
        told = await stage.executor.execute(held.proposal.id, stage.run)
        row = await stage.row(held.proposal.id)
        stands = row.outcome if row else None
        assert stands == told.outcome, f"I7: told {told.outcome}, and {stands} stands there"


def who_tampers() -> None:
    for what, rules in ((what, rules) for what in TAMPERED for rules in (ASK, ALLOW)):
        for approvers in (0, 1):
            with gate(rules) as machine:
                held = proposed(machine, approvers=approvers)
                machine.somebody_tampers(0, what)
                machine._answer(held, ANN, "approve", held.proposal.digest)
                machine._execute(held, "nothing", ASK)

    for approvers in (0, 1):
        for minutes in (0, 16):
            with gate(ASK) as machine:
                proposed(machine, approvers=approvers)
                machine.somebody_forges_approvals(0, minutes)


def what_goes_on_after_tampering() -> None:
    """Before and after what was approved has run, denied, stopped, late, or used up the budget; then somebody tampers."""
    for what in GOES_ON:
        for place in (3, 4, 5):
            with gate(ASK) as machine:
                held = proposed(machine)
                machine.somebody_makes_a_backup()
                machine.somebody_tampers_with_a_copy_that_goes_on(what, place)
                machine._answer(held, BOB, "deny", held.proposal.digest)
                machine.somebody_tampers_with_a_copy_that_goes_on(what, place)
        with gate(ASK) as machine:
            proposed(machine)
            machine.somebody_makes_a_backup()
            machine.stop_or_go_on()
            machine.somebody_tampers_with_a_copy_that_goes_on(what, 3)
            machine.stop_or_go_on()
            machine.time_passes(16)
            machine.somebody_tampers_with_a_copy_that_goes_on(what, 3)
        with gate(Rules(per_hour=1)) as machine:
            held = proposed(machine)
            other = proposed(machine, workload="api", replicas=5)
            machine.somebody_makes_a_backup()
            machine._execute(held, "nothing", machine.around.rules)
            machine.somebody_changes_the_target(int(held.proposal.before.fields["replicas"]), False)
            assert other.state == "approved"
            for place in (6, 7, 8):
                machine.somebody_tampers_with_a_copy_that_goes_on(what, place)


def what_is_undone() -> None:
    for forged in ("", "arguments"):
        for kind in ("set_replicas", "create"):
            with gate(ASK) as machine:
                executed(machine, kind=kind)
                machine.undo(0, forged)
                if not forged:
                    machine._execute(machine.around.held[-1], "nothing", ASK)
    with gate(ASK) as machine:
        executed(machine)
        machine.somebody_changes_the_target(9, False)
        machine.undo(0, "")
    with gate(ASK) as machine:
        executed(machine, "lost")
        machine.target_behaves("well")
        machine.somebody_changes_the_target(9, False)
        machine.undo(0, "parent")


def what_the_audit_finds() -> None:
    with gate(ASK) as machine:
        executed(machine)
        for what in BY_HAND:
            for place in (1, 2, 3):
                for gone in (False, True):
                    machine.somebody_changes_rows(what, place, gone)
        machine.run(_note(machine))
        machine.somebody_changes_rows("cut", machine.run(machine._count()) - 2, False)  # what no table tells of


async def _note(machine: GateUnderFire) -> None:
    async with machine.stage.db.write() as tx:
        await timeline.append(tx, "inc", PlainNote(text="seen"), "stanch", machine.stage.clock.now())
