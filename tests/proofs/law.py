"""The promise as a law over what happened: who was shown what, who answered what and when, what reached a target.

Nothing here knows how the gate works: no state, no table, no step of it. There is a history of what could be seen from
outside, each entry with the circumstances of its moment, and sentences that an effect, an answer or a word about an outcome
has to fulfil. `tests/proofs/test_law.py` keeps it free of imports from the code that it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.proofs.model import RISKS, Rules, Said

HOUR = timedelta(hours=1)
ON_ITS_WAY = timedelta(seconds=10)  # from the last look at the clocks to the target
NOES = ("deny", "revoke", "edit")


@dataclass(frozen=True)
class Moment:
    """When, and under which policy, groups and kill switch."""

    at: datetime
    rules: Rules
    groups: Mapping[str, tuple[str, ...]]
    stopped: bool

    def entitled(self, name: str, approvers: tuple[str, ...]) -> bool:
        of = {group for group, members in self.groups.items() if name in members}
        return bool({name, *of} & set(approvers))


@dataclass(frozen=True)
class Shown:
    """A proposal as people saw it: exactly this action, on exactly this state, and what policy said about whom to ask."""

    now: Moment
    id: str
    digest: str
    key: str
    action: str
    arguments: Mapping[str, Any]
    target: str
    before: tuple[Mapping[str, Any], str]  # the fields that it alters or owns, and the target's version
    said: Said
    approvers: tuple[str, ...]
    approve_by: datetime
    execute_within: timedelta
    requester: str | None
    untrusted: bool
    undo: tuple[str, Mapping[str, Any]] | None = None  # sealed with it
    undo_covered: bool = False
    undoes: str = ""  # the proposal that it takes back, where its approval was said to cover that


@dataclass(frozen=True)
class Answered:
    """An answer that was taken. `name` is whom the catalog knows; `person`: their identity was verified by a surface."""

    now: Moment
    proposal: str
    digest: str
    name: str | None
    person: bool
    answer: str


@dataclass(frozen=True)
class TurnedAway:
    """Somebody was told that the proposal can no longer be decided."""

    now: Moment
    proposal: str


@dataclass(frozen=True)
class Tampered:
    now: Moment
    proposal: str


@dataclass(frozen=True)
class Began:
    """The record says that it was begun, which counts in the budgets whatever came of it."""

    now: Moment
    proposal: str


@dataclass(frozen=True)
class Sent:
    """A request for a change has reached a target, in the state in which the target was."""

    now: Moment
    key: str
    action: str
    arguments: Mapping[str, Any]
    found: tuple[Mapping[str, Any], str]


@dataclass(frozen=True)
class Told:
    """The record says what became of it. `values` are those that the target had answered."""

    now: Moment
    proposal: str
    outcome: str
    values: Mapping[str, Any] = field(default_factory=dict)


Entry = Shown | Answered | TurnedAway | Tampered | Began | Sent | Told


class History(list[Entry]):
    def of(self, kind: type[Any], proposal: str) -> list[Any]:
        return [entry for entry in self if isinstance(entry, kind) and getattr(entry, "proposal", "") == proposal]

    def shown(self, proposal: str = "", key: str = "") -> Shown | None:
        return next((e for e in self if isinstance(e, Shown) and (e.id == proposal or (key and e.key == key))), None)

    def until(self, place: int) -> History:
        return History(self[:place])


# -- what the sentences speak of --------------------------------------------------------------------------------------


def today(past: History, shown: Shown, now: Moment) -> Said:
    """What policy says now. An undo that no rule names is judged as the action that it takes back."""
    said = now.rules.says(shown.action, shown.arguments, shown.untrusted)
    above = past.shown(shown.undoes) if shown.undoes else None
    if above is not None and not said.named:
        return now.rules.says(above.action, above.arguments, above.untrusted)
    return said


def approvals(past: History, shown: Shown) -> list[Answered]:
    """Verified people who approved exactly what was shown, each once."""
    found = {}
    for one in past.of(Answered, shown.id):
        if one.answer == "approve" and one.digest == shown.digest and one.person and one.name:
            found.setdefault(one.name, one)
    return list(found.values())


def needed(past: History, shown: Shown, now: Moment) -> int:
    """How many people: the stricter of then and now; for what destroys never one."""
    asked = today(past, shown, now)
    least = 2 if RISKS.get(shown.action) == "destructive" else 1
    return max(shown.said.quorum, asked.quorum if asked.verdict == "ask" else 1, least)


def approved(past: History, shown: Shown) -> datetime | None:
    """When its people were complete: with an approval after which as many had approved as had to at that moment."""
    made = approvals(past, shown)
    complete = (one.now.at for n, one in enumerate(made, 1) if n >= needed(past, shown, one.now))
    return next(complete, None) if shown.said.verdict == "ask" else None


def counting(past: History, shown: Shown, now: Moment) -> set[str]:
    """Whose approval counts now: given in time, by people entitled then and entitled now, and not by who asked for it."""
    asked = today(past, shown, now)
    may_be_own = shown.said.requester_may and (asked.requester_may or asked.verdict != "ask")
    return {
        str(one.name)
        for one in approvals(past, shown)
        if one.now.at <= shown.approve_by
        and now.entitled(str(one.name), shown.approvers)
        and (asked.verdict != "ask" or now.entitled(str(one.name), asked.approvers))
        and (may_be_own or one.name != shown.requester)
    }


def taken_back_rightly(past: History, shown: Shown) -> bool:
    """Whether this is the undo that people saw with the action that it takes back, and that action was done."""
    above = past.shown(shown.undoes)
    if above is None or above.undo is None or not above.undo_covered or past.of(Tampered, above.id):
        return False
    ends = past.of(Told, above.id)
    if [one.outcome for one in ends] != ["DONE"]:
        return False
    action, arguments = above.undo
    filled = {name: _filled(value, ends[0].values) for name, value in arguments.items()}
    return (action, filled) == (shown.action, dict(shown.arguments))


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    for name, told in values.items():
        value = value.replace(f"{{receipt.{name}}}", str(told)) if isinstance(value, str) else value
    return value


# -- the sentences: each says what is wrong, or nothing ---------------------------------------------------------------


def nobody_tampered(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    if past.of(Tampered, shown.id):
        yield "I1: it is not what was shown"


def nobody_said_no(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    """A no that was taken holds; one that comes too late is not taken."""
    yield from (f"I4: {one.name} had said {one.answer}" for one in past.of(Answered, shown.id) if one.answer in NOES)


def it_was_not_over(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    yield from (f"I6, I7: it was told as {one.outcome} before" for one in past.of(Told, shown.id))


def nothing_is_stopped(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    if now.stopped or now.rules.switched_off:
        yield "I15: everything was stopped"


def policy_lets_it(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    """Policy allows it, or the right people approved it and policy still lets them."""
    verdict = today(past, shown, now).verdict
    if verdict not in ("ask", "allow"):
        yield f"I12, I13, I16: policy says {verdict}"
    if shown.said.verdict not in ("ask", "allow"):
        yield f"I12: policy said {shown.said.verdict} when it was shown"
    if shown.said.verdict == "allow" and not shown.undoes and verdict != "allow":
        yield "I2, I4: policy wants it asked for, and nobody was"


def its_people_approved(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    if shown.undoes:
        if not taken_back_rightly(past, shown):
            yield "I1, I2: it is not the undo that was approved, of what was done"
    elif shown.said.verdict == "ask":
        counted, least = counting(past, shown, now), needed(past, shown, now)
        if approved(past, shown) is None or len(counted) < least:
            yield f"I2: {len(counted)} of {least} people"


def it_is_in_time(past: History, shown: Shown, now: Moment) -> Iterator[str]:
    """The execution clock runs from the last approval, or from the showing of what needs none."""
    began = shown.now.at if shown.said.verdict == "allow" else approved(past, shown)
    if began is not None and now.at > began + shown.execute_within:
        yield f"I3: it was to start by {began + shown.execute_within}"


LAW: tuple[Callable[[History, Shown, Moment], Iterator[str]], ...] = (
    nobody_tampered,
    nobody_said_no,
    it_was_not_over,
    nothing_is_stopped,
    policy_lets_it,
    its_people_approved,
    it_is_in_time,
)


def objections(past: History, shown: Shown, now: Moment) -> list[str]:
    """Why an effect of this proposal would be against the promise now; the target's state and the budgets apart."""
    return [why for sentence in LAW for why in sentence(past, shown, now)]


def room(past: History, shown: Shown, now: Moment) -> bool:
    """Whether the budgets leave room for one more beginning. A covered undo counts and is not held up."""
    begun = {
        e.proposal: e for e in past if isinstance(e, Began) and e.now.at > now.at - HOUR and e.proposal != shown.id
    }
    here = [one for one in begun if (other := past.shown(one)) and other.target == shown.target]
    rules = now.rules
    full = (rules.per_hour is not None and len(begun) >= rules.per_hour) or (
        rules.per_target is not None and len(here) >= rules.per_target
    )
    return bool(shown.undoes) or not full


# -- judging ----------------------------------------------------------------------------------------------------------


def unlawful(history: History) -> list[str]:
    """What of everything that reached a target, was answered or was told is against the promise."""
    found = []
    for place, entry in enumerate(history):
        past = history.until(place)
        if isinstance(entry, Sent):
            found += _of_an_effect(past, entry)
        elif isinstance(entry, Answered):
            found += _of_an_answer(past, entry)
        elif isinstance(entry, Told):
            found += _of_a_word(past, entry)
    return found


def _of_an_effect(past: History, sent: Sent) -> list[str]:
    shown = past.shown(key=sent.key)
    if shown is None:
        return [f"I1: {sent.action} reached a target, and nobody was shown it"]
    found = objections(past, shown, _without_the_way(sent.now))
    if (sent.action, dict(sent.arguments)) != (shown.action, dict(shown.arguments)):
        found.append(f"I1: {dict(sent.arguments)} reached the target, {dict(shown.arguments)} was shown")
    if any(isinstance(one, Sent) and one.key == sent.key for one in past):
        found.append("I6: it reached the target before")
    if sent.found != shown.before:
        found.append(f"I5: the target was {sent.found}, and {shown.before} when it was decided on")
    begun = [place for place, one in enumerate(past) if isinstance(one, Began) and one.proposal == shown.id]
    if begun and not room(past.until(begun[0]), shown, past[begun[0]].now):
        found.append("I15: more than the budget")
    return [f"{why} ({shown.id})" for why in found]


def _without_the_way(now: Moment) -> Moment:
    return Moment(now.at - ON_ITS_WAY, now.rules, now.groups, now.stopped)


def _of_an_answer(past: History, one: Answered) -> list[str]:
    shown = past.shown(one.proposal)
    if not one.person or one.name is None:
        return ["I2: an answer was taken that no person of the catalog gave"]
    if shown is None or one.digest != shown.digest:
        return ["I1: an answer to something else was taken"]
    if any((e.name, e.answer, e.digest) == (one.name, one.answer, one.digest) for e in past.of(Answered, shown.id)):
        return []  # said again: it is the same answer, of its own moment
    why = _cannot_approve(past, shown, one.name, one.now) if one.answer == "approve" else ()
    return [f"{reason} ({shown.id})" for reason in why]


def _of_a_word(past: History, told: Told) -> list[str]:
    before = {one.outcome for one in past.of(Told, told.proposal)} - {told.outcome}
    return [f"I7: it was told as {other} before and as {told.outcome} now" for other in before]


def _cannot_approve(past: History, shown: Shown, name: str, now: Moment) -> Iterator[str]:
    """Why somebody is not one of the right people: by what was sealed and by what policy says today."""
    asked = today(past, shown, now)
    if not now.entitled(name, shown.approvers) or (asked.verdict == "ask" and not now.entitled(name, asked.approvers)):
        yield f"I2: {name} is not among the approvers"
    own_is_none = not shown.said.requester_may or (asked.verdict == "ask" and not asked.requester_may)
    if name == shown.requester and own_is_none:
        yield f"I2: {name} asked for it"


def heard(past: History, shown: Shown, now: Moment, name: str | None, person: bool, answer: str, digest: str) -> str:
    """What an answer has to lead to: it is "counted", or known "again", or its giver is told "outdated" or "not entitled"."""
    if not person or name is None:
        return "not entitled"
    mine = [one for one in past.of(Answered, shown.id) if one.name == name and one.digest == digest]
    if any(one.answer == answer for one in mine):
        return "again"
    if digest != shown.digest or not _can_be_decided(past, shown, now, answer):
        return "outdated"
    if answer != "approve":
        involved = shown.said.verdict == "allow" or name == shown.requester or bool(mine)
        return "counted" if involved or now.entitled(name, shown.approvers) else "not entitled"
    if not now.entitled(name, shown.approvers) or (name == shown.requester and not shown.said.requester_may):
        return "not entitled"
    if today(past, shown, now).verdict not in ("ask", "allow"):
        return "outdated"
    return "not entitled" if any(_cannot_approve(past, shown, name, now)) else "counted"


def _can_be_decided(past: History, shown: Shown, now: Moment, answer: str) -> bool:
    """It waits: for its people and in time, or, for a no, for its start."""
    waits = shown.said.verdict == "ask" and approved(past, shown) is None
    over = [*nobody_tampered(past, shown, now), *nobody_said_no(past, shown, now), *it_was_not_over(past, shown, now)]
    if over or shown.said.verdict not in ("ask", "allow") or (waits and given_up(past, shown, now)):
        return False
    return waits or answer != "approve"


def given_up(past: History, shown: Shown, now: Moment) -> bool:
    """The approval clock has run out, or somebody was told that policy does not let it be approved any more."""
    told = [one.now for one in past.of(TurnedAway, shown.id)]
    return now.at > shown.approve_by or any(today(past, shown, at).verdict not in ("ask", "allow") for at in told)
