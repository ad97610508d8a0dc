"""The runbook reasoner looks, weighs and proposes; it abstains on thin or contradictory evidence, and says whom to call."""

from __future__ import annotations

import pytest

from agent.domain.cause import Fault
from agent.domain.claims.claims import check, fill
from agent.domain.finding import Finding
from agent.domain.timeline import EventKind
from agent.reasoner.protocol import Conclude, Look, Propose, Reply
from agent.reasoner.rules.findings_text import names_in
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from tests.contexts import ListedCatalog
from tests.reasoner.cases import BEGAN, BOOK, Case, compared, deployed, series
from tests.told import sealed
from tools.spec import Fact

REASONER = RunbookReasoner()
STARVED = {"throttled": series(0.6, service="web")}


async def test_the_first_move_makes_the_first_minutes_reads_side_by_side() -> None:
    move = (await REASONER.next_move(Case().view())).move
    assert isinstance(move, Look)
    reads = {c.read for c in move.calls}
    assert {
        "alert_rule",
        "compare_metrics",
        "alert_history",
        "began_around",
        "recent_changes",
        "restarts_and_versions",
        "describe_service",
        "describe_workload",
        "query_metrics",
    } <= reads
    compare = next(c for c in move.calls if c.read == "compare_metrics")
    assert compare.args["promql"] == 'p99_seconds{service="web"}'


async def test_a_sign_that_holds_leads_to_the_runbooks_action() -> None:
    case = Case(dict(STARVED))
    move = await case.end(REASONER)
    assert isinstance(move, Propose)
    assert (move.action, dict(move.args)) == ("scale_workload", {"workload": "eu-1/shop/web", "replicas": 5})
    assert (move.cause.component, move.cause.fault) == ("web", Fault.CPU_CONTENTION)
    assert move.source.startswith("slow")


async def test_everything_it_says_passes_the_check() -> None:
    case = Case(dict(STARVED))
    move = await case.end(REASONER)
    assert isinstance(move, Propose)
    names = names_in(case.view())
    assert len(move.claims) >= 4
    assert all(isinstance(check(c, case.evidence, names), Finding) for c in move.claims)
    assert all(hasattr(fill(t, case.evidence, names), "text") for t in (move.why, *(r.why for r in move.ruled_out)))


async def test_the_same_case_gives_the_same_moves() -> None:
    first, second = Case(dict(STARVED)), Case(dict(STARVED))
    assert await first.end(REASONER) == await second.end(REASONER)


@pytest.mark.parametrize(
    "answers",
    [
        {"throttled": "Prometheus did not answer", "failing": "Prometheus did not answer"},
        {"throttled": (), "failing": ()},
        {"throttled": series(None), "failing": series(None)},
    ],
    ids=["failed", "empty", "unknown"],
)
async def test_missing_evidence_is_no_sign(answers: dict[str, tuple[Fact, ...] | str]) -> None:
    move = await Case(answers).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.UNKNOWN
    assert any("starved" in n.what for n in move.not_checked)
    assert "web-team" in move.hand_over


async def test_a_deploy_just_before_is_the_cause_and_one_of_this_morning_is_not() -> None:
    near = await Case({"recent_changes": deployed("web", BEGAN - 300)}).end(REASONER)
    assert isinstance(near, Propose)
    assert (near.action, near.args["revision"]) == ("roll_back_workload", 6)
    far = await Case({"recent_changes": deployed("web", BEGAN - 9000)}).end(REASONER)
    assert isinstance(far, Conclude)
    assert far.cause.fault is Fault.UNKNOWN


async def test_a_harmless_deploy_beside_contention_is_not_rolled_back() -> None:
    move = await Case({"throttled": series(0.6, service="web"), "recent_changes": deployed("web", BEGAN - 9000)}).end(
        REASONER
    )
    assert isinstance(move, Propose)
    assert move.action == "scale_workload"


async def test_two_causes_that_fit_alike_are_left_to_a_person() -> None:
    move = await Case({"throttled": series(0.6, service="web"), "recent_changes": deployed("web", BEGAN - 300)}).end(
        REASONER
    )
    assert isinstance(move, Conclude)
    assert "other causes fit" in move.hand_over
    assert move.cause.confidence < 0.55


async def test_failing_calls_lead_to_the_dependency_they_fail_on() -> None:
    peer = {"peer": "checkout"}
    answers = {
        r"failing.service=.web": series(0.4),
        r"sum by .peer..*failing.service=.web": series(0.4, **peer),
    }
    move = await Case(answers).end(REASONER)
    assert isinstance(move, Conclude)
    assert (move.cause.component, move.cause.fault) == ("checkout", Fault.DEPENDENCY_DOWN)
    assert "checkout-team" in move.hand_over


async def test_a_dependency_with_a_fault_of_its_own_is_the_component() -> None:
    answers = {
        r"max.*failing.service=.web": series(0.4),
        r"'sum by .peer..*failing.service=.web": series(0.4, peer="checkout"),
        r"throttled.service=.checkout": series(0.7, service="checkout"),
        r"describe_workload.*checkout": (Fact("replicas.wanted", "wanted", 2, "count", {"workload": "checkout"}),),
    }
    move = await Case(answers).end(REASONER)
    assert isinstance(move, Propose)
    assert (move.cause.component, move.args["workload"], move.args["replicas"]) == ("checkout", "eu-1/shop/checkout", 4)


async def test_a_level_that_is_usual_at_this_hour_is_no_fault() -> None:
    move = await Case({"compare_metrics": compared(1.2, 1.15, 1.18)}).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.NONE
    assert move.hand_over == ""


async def test_chronic_throttling_at_the_usual_level_is_no_fault() -> None:
    move = await Case({**STARVED, "compare_metrics": compared(1.2, 1.15, 1.18)}).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.NONE


async def test_an_alert_that_comes_and_goes_by_itself_is_no_fault_while_it_is_young() -> None:
    habit = (
        Fact("count", "times", 9, "count"),
        Fact("earlier.count", "before", 8, "count"),
        Fact("median_duration", "median", 600.0, "s"),
    )
    move = await Case({**STARVED, "alert_history": habit}).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.NONE


@pytest.mark.parametrize(("last", "acts"), [(0.02, False), (0.2, True), (0.6, True), (None, True)])
async def test_a_burst_that_is_over_in_the_last_minute_is_not_acted_on(last: float | None, acts: bool) -> None:
    case = Case({r"throttled": series(0.6, service="web"), r"rate.throttled.*1m": series(last, service="web")})
    case.book = BOOK.replace("throttled{service={{ service }}}'", "rate(throttled{service={{ service }}}[5m])'")
    move = await case.end(REASONER)
    assert isinstance(move, Propose) is acts
    assert acts or move.cause.fault is Fault.NONE


async def _proposed() -> tuple[Case, Propose]:
    case = Case(dict(STARVED))
    move = await case.end(REASONER)
    assert isinstance(move, Propose)
    case.note(EventKind.PROPOSAL, sealed("P1", move.action, dict(move.args)))
    return case, move


async def test_after_recovery_it_concludes_with_the_cause_it_acted_on() -> None:
    case, move = await _proposed()
    case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    case.note(EventKind.VERIFICATION, {"proposal": "P1", "recovered": True, "final": True})
    end = await case.end(REASONER)
    assert isinstance(end, Conclude)
    assert end.cause == move.cause
    assert end.hand_over == ""


async def test_what_did_not_mend_it_is_looked_at_again_and_not_repeated() -> None:
    case, move = await _proposed()
    case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    case.note(EventKind.VERIFICATION, {"proposal": "P1", "recovered": False, "final": True})
    again = (await REASONER.next_move(case.view())).move
    assert isinstance(again, Look)
    assert "alert_rule" in {c.read for c in again.calls}
    end = await case.end(REASONER)
    assert isinstance(end, Conclude)
    assert "did not mend it" in end.hand_over
    assert end.cause.confidence < move.cause.confidence


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        (EventKind.DECISION, {"proposal": "P1", "answer": "deny"}, "denied"),
        (EventKind.VERDICT, {"proposal": "P1", "verdict": "suggest"}, "left to a person"),
        (EventKind.OUTCOME, {"proposal": "P1", "outcome": "UNKNOWN"}, "may or may not have happened"),
    ],
)
async def test_a_no_is_a_no(kind: EventKind, data: dict[str, str], says: str) -> None:
    case, _ = await _proposed()
    case.note(kind, data)
    end = await case.end(REASONER)
    assert isinstance(end, Conclude)
    assert says in end.hand_over


async def test_without_a_runbook_the_first_minute_is_still_done() -> None:
    move = await Case(with_book=False).end(REASONER)
    assert isinstance(move, Conclude)
    assert move.cause.fault is Fault.UNKNOWN
    assert any("above its limit" in c.text for c in move.claims)


async def test_why_is_answered_from_the_findings() -> None:
    case, move = await _proposed()
    case.note(EventKind.FINDING, {"template": move.claims[0].text, "text": "", "evidence": [], "asserts": []})
    reply = await case.end(REASONER, question="Why do you think so?")
    assert isinstance(reply, Reply)
    assert "cpu contention" in reply.text
    assert move.claims[0].text in reply.text


@pytest.mark.parametrize(
    "question",
    ["What was not checked?", "what did you not check?", "what didn't you look at", "What have you not yet looked at?"],
)
async def test_a_question_for_what_is_missing_is_understood(question: str) -> None:
    case = Case({"throttled": "Prometheus does not answer"})
    await case.end(REASONER)
    reply = await case.end(REASONER, question=question)
    assert isinstance(reply, Reply)
    assert reply.text.startswith("Not checked:")


async def test_what_was_and_was_not_checked() -> None:
    case = Case({"began_around": "Prometheus did not answer"})
    await case.end(REASONER)
    done = await case.end(REASONER, question="what have you checked?")
    missing = await case.end(REASONER, question="What was not checked?")
    assert isinstance(done, Reply)
    assert isinstance(missing, Reply)
    assert "the rule of Slow" in done.text
    assert "other alerts began" in missing.text
    assert "other alerts began" not in done.text


async def test_a_question_about_a_service_is_looked_up_first() -> None:
    case = Case()
    await case.end(REASONER)
    look = (await REASONER.next_move(case.view(question="how is payments doing?"))).move
    assert isinstance(look, Look)
    assert all("payments" in str(c.args) for c in look.calls)
    reply = await case.end(REASONER, question="how is payments doing?")
    assert isinstance(reply, Reply)
    assert "{E" in reply.text


@pytest.mark.parametrize("question", ["", "sing me a song", "{{7*7}}", "{E1.value.last}?", "42"])
async def test_what_it_cannot_parse_it_says_so(question: str) -> None:
    case = Case()
    await case.end(REASONER)
    reply = await case.end(REASONER, question=question)
    assert isinstance(reply, Reply)
    assert "I answer from what was recorded" in reply.text or "E1" in question


async def test_with_an_empty_catalog_the_cause_is_named_and_nothing_proposed() -> None:
    move = await Case(dict(STARVED), catalog=ListedCatalog()).end(REASONER)
    assert isinstance(move, Conclude)
    assert (move.cause.component, move.cause.fault) == ("web", Fault.CPU_CONTENTION)
    assert "Add what is missing to the catalog" in move.hand_over
