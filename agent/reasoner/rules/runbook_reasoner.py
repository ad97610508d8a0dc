"""The runbook reasoner: no key, no network. It looks, weighs and proposes as the runbooks say, and says when it cannot tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.diagnosis.board import board
from agent.diagnosis.follow import next_subjects
from agent.domain.cause import Cause, Fault
from agent.domain.events import EvidenceRecorded
from agent.domain.finding import Claim
from agent.domain.incident import Kind
from agent.domain.notes import MoveMade, Steered
from agent.domain.timeline import events_of
from agent.platform.map_names import reference
from agent.reasoner.protocol import Call, Conclude, Look, Move, Propose, Thought, View
from agent.reasoner.rules.checks import Subject, Tried, calls_of, changes, details_of, own_subject, subject_of, tried
from agent.reasoner.rules.diagnosis import Picture, depths, implicated, kind_of, weigh
from agent.reasoner.rules.evidence_index import EvidenceIndex, ask, labels_of, present
from agent.reasoner.rules.findings_text import findings, not_checked, reason, ruled_out, sound
from agent.reasoner.rules.first_minute import compare_call, first_minute, onset, rule_call, workload_calls
from agent.reasoner.rules.mitigation import SURE_ENOUGH, Attempt, Step, attempts, by_hand, steps
from agent.reasoner.rules.question_rules import answer
from agent.reasoner.rules.still_breaching import ended, fresh_calls, over_claims, quick, still_breaching
from tools.context import Json

MOST_CALLS = 16  # side by side in one move: more would only queue at the backend
MOST_LOOKS = 10
MOST_SUSPECTS = 3
OVER = 0.6  # how sure that nothing has to be done, where the last minute shows nothing any more
MOST_FOLLOWED = 5  # things that the first look points at
MOST_LOST = 2  # times an action that never reached its target is proposed


class RunbookReasoner:
    """Implements Reasoner. Deterministic: the same view gives the same move."""

    name = "runbook"

    async def next_move(self, view: View) -> Thought:
        move = answer(view) if view.question is not None else decide(view)
        return Thought(move, self.name)


def decide(view: View) -> Move:
    """Look until the checks are done, then propose, hand over, or conclude."""
    view = _without_questions(view)
    made = attempts(view)
    mended = bool(made) and made[-1].fate == "recovered"
    if mended:
        if quick(view) and (look := _look(view, present([rule_call(view)]), made[-1].event)):
            return look
        if not (quick(view) and still_breaching(view, made[-1].event)):
            return _ended(view, "")
    mended = mended or (bool(made) and made[-1].fate == "helped")
    after = made[-1].event if mended else 0  # the action mended what it was meant to, and the alert goes on: all anew
    own = own_subject(view)
    subjects = [own, *(s for s in _steered_to(view) if s.name != own.name)]
    if look := _look(view, [c for s in subjects[1:] for c in _about(view, s)], after):
        return look
    if look := _look(view, [*first_minute(view), *calls_of(tried(view, own))], after):
        return look
    if look := _look(view, _followed(view), after):
        return look
    while True:
        checks = [one for subject in subjects for one in tried(view, subject)]
        further = _suspects(view, checks, subjects)
        wanted = [c for s in further for c in (*_about(view, s), *calls_of(tried(view, s)))]
        if look := _look(view, [*details_of(view, checks), *wanted], after):
            return look
        if not further:
            break
        subjects += further
    if made and made[-1].fate in ("not recovered", "NOT_DONE", "lost") and (look := _look_again(view, made[-1])):
        return look
    picture = weigh(view, checks, _acted_on(view) if mended else frozenset())
    return _next(view, picture, checks, made)


def _next(view: View, picture: Picture, checks: list[Tried], made: list[Attempt]) -> Move:
    """The action, unless one more look shows that it is over by itself; else the end."""
    action = _act(view, picture, checks, made)
    if action is None:
        return _conclude(view, picture, checks, made)
    best = picture.candidates[0]
    if look := _look(view, fresh_calls(view, best), made[-1].event if made else 0):
        return look
    if not ended(view, best):
        return action
    cause = Cause(picture.cause.component, Fault.NONE, OVER)
    claims = sound(view, [*over_claims(view), *findings(view, picture, checks)])
    return Conclude(claims, cause, Kind.NONE, ruled_out(view, picture), not_checked(view, checks))


def _acted_on(view: View) -> frozenset[tuple[str, Fault]]:
    """Causes that an action was proposed for."""
    return frozenset((move.cause.component, move.cause.fault) for move in _proposals(view))


def _proposals(view: View) -> list[Propose]:
    """The proposals that were made so far, as moves."""
    moves = [e.payload.move for e in events_of(view.events, MoveMade)]
    return [move for move in moves if isinstance(move, Propose)]


def _look(view: View, calls: Iterable[Call], after: int = 0) -> Look | None:
    """The reads that were not made yet (since an event), side by side; None when all were, or enough was looked at.

    A language model's looks do not count: what it has spent is not spent here.
    """
    made = (e for e in events_of(view.events, MoveMade) if isinstance(e.payload.move, Look) and e.n > after)
    moves = [e for e in made if e.payload.by.endswith(RunbookReasoner.name)]
    missing = EvidenceIndex(view, after).missing(present(calls))
    return Look(missing[:MOST_CALLS]) if missing and len(moves) < MOST_LOOKS else None


def _without_questions(view: View) -> View:
    """What was read to answer somebody's question is about that question; the investigation reads for itself."""
    recorded = [e.payload for e in events_of(view.events, EvidenceRecorded)]
    asked = {one.evidence.id for one in recorded if one.for_question}
    return replace(view, evidence={i: e for i, e in view.evidence.items() if i not in asked}) if asked else view


def _steered_to(view: View) -> list[Subject]:
    """Services of the catalog that people named when they steered: they are looked at too."""
    said = " ".join(e.payload.steer.lower() for e in events_of(view.events, Steered))
    names = [s.name for s in view.catalog.services() if s.name in said or s.name.replace("-", " ") in said]
    return [s for name in names[:MOST_SUSPECTS] if (s := subject_of(view, name)) is not None]


def _look_again(view: View, last: Attempt) -> Look | None:
    """After a fix that did not mend it: the same first reads once more, as of now."""
    labels = labels_of(view)
    model = view.model.name if view.model else ""
    calls = present(
        [
            rule_call(view),
            compare_call(view),
            *workload_calls(view, view.service, labels)[:1],
            ask(view, "served_version", "which version is served now", model=model) if model else None,
        ]
    )
    missing = EvidenceIndex(view, after=last.event).missing(calls)
    return Look(missing) if missing else None


def _suspects(view: View, checks: list[Tried], known: list[Subject]) -> list[Subject]:
    """Dependencies that something points at and that were not followed yet: failing calls, an alert, a change of theirs."""
    near, began = depths(view), onset(view)
    pointed = list(implicated(view, [one for one in checks if one.verdict]))
    pointed += [service for at, _, service, _, _ in changes(view) if 0 <= began - at <= 3600]
    followed = {s.name for s in known}
    names = [n for n in dict.fromkeys(sorted(pointed, key=lambda n: near.get(n, 0))) if n in near and n not in followed]
    room = MOST_SUSPECTS - len(known) + 1
    return [s for name in names[: max(room, 0)] if (s := subject_of(view, name)) is not None]


def _followed(view: View) -> tuple[Call, ...]:
    """What Kubernetes says of the things that the symptoms point at, one after another as they come to be known."""
    seen = [text for e in EvidenceIndex(view).reads("survey") if (text := str(e.arguments.get("subject", "")))]
    if len(seen) >= MOST_FOLLOWED:
        return ()
    known = board(view.evidence, onset(view))
    wanted = [one for one in next_subjects(known, ()) if reference(one) not in seen]
    return present([ask(view, "survey", f"what is wrong with {one.title}", subject=reference(one)) for one in wanted])


def _about(view: View, subject: Subject) -> tuple[Call, ...]:
    labels = {k: v for k, v in labels_of(view).items() if k == "cluster"}
    return present(
        [
            ask(view, "recent_changes", f"what changed in {subject.name}", service=subject.name, hours=24),
            ask(
                view, "restarts_and_versions", f"what restarted in {subject.name}", service=subject.name, labels=labels
            ),
            *workload_calls(view, subject.service, labels),
        ]
    )


def _act(view: View, picture: Picture, checks: list[Tried], made: list[Attempt]) -> Propose | None:
    """The action for the likeliest cause, where nothing contradicts it and it was not tried; else None."""
    if picture.quiet or picture.usual:
        return None  # nothing to mend now
    if not picture.candidates or picture.confidences[0] < SURE_ENOUGH or not picture.candidates[0].sound:
        return None
    if any(
        a.fate in ("denied", "revoked", "UNKNOWN", "undecided") or a.fate.startswith("policy") for a in made
    ) or told_to_stop(view):
        return None  # a person or the policy has spoken; what follows is theirs to say
    best = picture.candidates[0]
    # what never reached its target, and what a person's words took back while it waited, may be proposed again
    lost = Counter(a.key for a in made if a.fate == "lost")
    again = {a.key for a in made if a.fate == "lost" and lost[a.key] < MOST_LOST}
    again |= {a.key for a in made if a.fate == "open" and _spoken_since(view, a)}
    used = {a.key for a in made} - again
    for step in steps(view, best)[0]:
        if Attempt(step.action, step.args, "", 0).key not in used:
            claims = findings(view, picture, checks)
            return _propose(view, picture, checks, step, claims) if claims else None
    return None


def _spoken_since(view: View, made: Attempt) -> bool:
    return any(e.n > made.event for e in events_of(view.events, Steered))


def told_to_stop(view: View) -> bool:
    """Whether somebody's words since the last move ask us to hold back; more than that is not understood here."""
    words = {w.strip(".,!?").lower() for said in view.steering for w in said.split()}
    return bool(words & {"no", "not", "don't", "dont", "stop", "wait", "hold", "never", "nothing", "abort", "cancel"})


def _propose(view: View, picture: Picture, checks: list[Tried], step: Step, claims: tuple[Claim, ...]) -> Propose:
    why = reason(view, picture, checks, step.action)
    return Propose(
        action=step.action,
        args=step.args,
        why=why,
        claims=claims,
        cause=picture.cause,
        success=step.success,
        kind=picture.kind,
        ruled_out=ruled_out(view, picture),
        not_checked=not_checked(view, checks),
        source=step.source,
    )


def _conclude(view: View, picture: Picture, checks: list[Tried], made: list[Attempt]) -> Conclude:
    cause, kind = picture.cause, picture.kind
    if any(a.fate in ("not recovered",) for a in made) and (last := _cause_of_last(view)) and last.fault is cause.fault:
        cause = replace(cause, confidence=round(cause.confidence / 2, 2))  # its mend did not mend it
    claims = findings(view, picture, checks)
    if cause.fault is not Fault.NONE and not claims:
        cause = Cause(cause.component, Fault.UNKNOWN)
    return Conclude(
        claims=claims,
        cause=cause,
        kind=kind,
        ruled_out=ruled_out(view, picture),
        not_checked=not_checked(view, checks),
        hand_over="" if cause.fault is Fault.NONE else _hand_over(view, picture, made),
        by_hand=_by_hand(view, picture),
    )


def _by_hand(view: View, picture: Picture) -> tuple[tuple[str, Mapping[str, Json]], ...]:
    """What a person would do about the likeliest cause where it is likely enough and its action is not configured here."""
    best = next(iter(picture.candidates), None)
    if best is None or picture.quiet or picture.usual or not best.sound or picture.confidences[0] < SURE_ENOUGH:
        return ()
    return tuple(by_hand(view, best)[:1])


def _ended(view: View, hand_over: str) -> Conclude:
    """After recovery: the cause that was acted on, with everything found."""
    own = own_subject(view)
    checks = tried(view, own)
    picture = weigh(view, checks)
    cause = _cause_of_last(view) or picture.cause
    return Conclude(
        findings(view, picture, checks),
        cause,
        kind_of(view, cause.fault),
        ruled_out(view, picture),
        not_checked(view, checks),
        hand_over,
    )


def _cause_of_last(view: View) -> Cause | None:
    """The cause the last proposal was made on."""
    made = _proposals(view)
    return made[-1].cause if made else None


def _hand_over(view: View, picture: Picture, made: list[Attempt]) -> str:
    """Whom to call, and why no action is proposed."""
    service = view.catalog.service(picture.cause.component) or view.service
    model = view.catalog.model(picture.cause.component)
    owner = (model.owner if model else "") or (service.owner if service else "")
    whom = (
        f"{owner} ({picture.cause.component or (service.name if service else '')})" if owner else "the service's owner"
    )
    return f"Call {whom}: {_why_no_action(view, picture, made)}"


def _why_no_action(view: View, picture: Picture, made: list[Attempt]) -> str:
    last = made[-1] if made else None
    if last is not None and last.fate != "open":
        ends = {
            "refused": "was refused",
            "denied": "was denied",
            "revoked": "was revoked",
            "not recovered": "ran and did not mend it",
            "recovered": "mended what it was meant to, and the alert goes on",
            "helped": "did what was asked of it, and the alert goes on",
            "undecided": "ran, and whether it is over cannot be told: look, and close it or take it back",
            "NOT_DONE": "did not happen",
            "lost": "did not reach its target",
            "UNKNOWN": "may or may not have happened",
            "DONE": "ran",
        }
        told = "; ".join(view.rejections)
        return f"{last.action} {ends.get(last.fate, f'is left to a person ({last.fate})')}. {told}".strip()
    if picture.named is not None:
        return f"the evidence shows {str(picture.named.fault).replace('_', ' ')}; no action that mends it is at hand."
    if not picture.candidates:
        return "no check of the runbooks shows a cause; see what was and was not checked."
    best = picture.candidates[0]
    fault = str(best.fault).replace("_", " ")
    if best.contradicted:
        return f"the evidence for {fault} is contradictory."
    if best.thin:
        return f"{fault} is likely, and not every check of it could be made."
    if picture.confidences[0] < SURE_ENOUGH:
        return f"{fault} is likely, and other causes fit as well."
    _, why = steps(view, best)
    return f"no action of the runbooks mends {fault} here{': ' + why[0].rstrip('.') if why else ''}."
