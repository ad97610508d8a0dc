"""The cards of an incident's thread but approval and end: root, plan, finding, talk. Pure: incident_view in, parts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.domain.claims.quantity import of_fact, shown
from agent.domain.events import EvidenceRecorded, ReplyGiven
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Finding
from agent.domain.moves import Call, Look
from agent.domain.notes import MoveMade
from agent.domain.timeline import events_of
from agent.surfaces.slack.blocks import (
    Block,
    Figure,
    Part,
    bullets,
    context,
    header,
    lines,
    link,
    markdown,
    mention,
    plain_text,
    rich,
    rows,
    safe,
    span,
)
from agent.surfaces.slack.card_context import WORDS, Scene, clock, lasted, words
from agent.surfaces.slack.charts import comparison, table

MOST_FINDINGS = 5
LONGEST_HEADER = 140  # of the 150 that Slack shows
LONGEST_TITLE = 250  # of a task
MOST_TASKS = 12  # lines of a plan before the moves that are over are drawn together


# -- root -------------------------------------------------------------------------------------------------------------


def root_notice(scene: Scene) -> str:
    incident = scene.incident_view.incident
    where = incident.labels.get("cluster", "")
    end = f" after {lasted(scene.ended_at - incident.since)}" if scene.ended_at else f", since {clock(incident.since)}"
    emoji, word = WORDS[incident.state]
    return f"{emoji} {scene.subject}{f' ({where})' if where else ''}: {word.lower()}{end}"


def root(scene: Scene) -> list[Part]:
    """The one message that stands in the channel, edited in place."""
    incident_view, incident = scene.incident_view, scene.incident_view.incident
    emoji, word = WORDS[incident.state]
    pairs: list[tuple[str, Sequence[Block]]] = [("State", [span(word, "bold"), *_since_when(scene)])]
    if (cause := incident_view.cause) and cause.fault not in ("none", "unknown"):
        pairs.append(("Cause", [span(f"{words(cause.fault)} in {cause.component}, {cause.confidence:.0%} sure")]))
    if stopped := incident_view.paused or incident_view.taken_over:
        how = "Paused by" if incident_view.paused else "Taken over by"
        pairs.append((how, [span(scene.catalog.person(stopped).name or stopped)]))
    if len(scene.subject) > LONGEST_HEADER:
        pairs.append(("Alert", [span(scene.subject)]))
    pairs.append(("What", [span(incident.title)]))
    pairs.append(("Where", [span(scene.place)]))
    pairs.append(("Since", [span(clock(incident.since, incident.opened_at))]))
    pairs.append(("Impact", [span(_impact(scene))]))
    pairs.append(
        ("Owner", [span(scene.service.owner if scene.service and scene.service.owner else "not in the catalog")])
    )
    pairs.append(("Runbook", _runbook(scene)))
    if scene.attention.mentions:
        called = [part for who in scene.attention.mentions for part in (mention(who), span(" "))]
        pairs.append(("For", called))
    return [header(f"{emoji} {scene.subject}"), *rows(pairs), *context(footer(scene))]


def footer(scene: Scene) -> str:
    """Id, who thinks, what it cost, how long it took."""
    incident_view = scene.incident_view
    cost = (
        f"{incident_view.tokens:,} tokens, {incident_view.cost:.2f} {scene.currency}"
        if incident_view.tokens
        else "no model cost"
    )
    length = (
        lasted(scene.ended_at - incident_view.incident.since) if scene.ended_at else f"{lasted_so_far(scene)} of work"
    )
    return f"{incident_view.incident.id} · {incident_view.reasoner} · {len(incident_view.evidence)} reads · {cost} · {length}"


def lasted_so_far(scene: Scene) -> str:
    events = scene.incident_view.events
    return lasted(events[-1].at - events[0].at) if events else "0 s"


def _since_when(scene: Scene) -> list[Block]:
    """When the incident came into its state."""
    since = scene.in_state_since
    if since is None:
        return []
    if scene.ended_at:
        return [
            span(f" at {clock(scene.ended_at)}, after {lasted(scene.ended_at - scene.incident_view.incident.since)}")
        ]
    return [span(f" since {clock(since)}")]


def _impact(scene: Scene) -> str:
    """What is known of it: how severe, how many alerts, who needs what is hurt."""
    incident_view = scene.incident_view
    firing = {a.fingerprint: a.name for a in incident_view.alerts if a.status == "firing"}
    cleared = {a.fingerprint for a in incident_view.alerts if a.status == "resolved"}
    names = list(dict.fromkeys(firing.values()))
    alerts = f"{len(firing)} alert{'s' if len(firing) != 1 else ''}" + (
        f" ({', '.join(names)})" if len(names) > 1 else ""
    )
    also = scene.catalog.dependents(scene.service.name) if scene.service else ()
    return ", ".join(
        filter(
            None,
            (
                incident_view.incident.severity,
                alerts,
                f"{len(cleared & set(firing))} cleared" if cleared else "",
                f"needed by {', '.join(also)}" if also else "",
            ),
        )
    )


def _runbook(scene: Scene) -> list[Block]:
    if not scene.incident_view.runbooks:
        return [span("none fits")]
    name = scene.incident_view.runbooks[0].name
    url = next(
        (u for a in scene.incident_view.alerts if (u := a.annotations.get("runbook_url")) and a.runbook_slug == name),
        "",
    )
    address = [span(" "), link(url, url)] if url else []
    return [span(name), *(address if len(url) <= 200 else [])]


# -- plan -------------------------------------------------------------------------------------------------------------


def plan_notice(scene: Scene) -> str:
    return f"Looking at {scene.subject}: {len(scene.incident_view.evidence)} reads"


def plan(scene: Scene) -> list[Part]:
    """What is looked at, live; moves that are over are one line each when there are many."""
    made = [e.payload for e in events_of(scene.incident_view.events, MoveMade)]
    looks = [(one.number, one.move.calls) for one in made if isinstance(one.move, Look)]
    answered = {e.payload.call: e.payload for e in events_of(scene.incident_view.events, EvidenceRecorded)}
    looked_at = sum(len(calls) for _, calls in looks)
    many = looked_at > MOST_TASKS
    tasks = [task for number, calls in looks for task in _tasks(scene, number, calls, answered, many)]
    busy = any(task["status"] == "in_progress" for task in tasks)
    title = "Looking" if busy else f"Looked at {looked_at} things"
    native: Block = {"type": "plan", "title": title, "tasks": tasks}
    marks = {"complete": "✓", "error": "✗", "in_progress": "…"}
    items = [[span(f"{marks[t['status']]} {t['title']}"), *_inner(t, "details"), *_inner(t, "output")] for t in tasks]
    return [Figure(native, (*lines([span(title, "bold")]), *bullets(items)))]


def _tasks(
    scene: Scene, number: int, calls: Sequence[Call], answered: Mapping[str, EvidenceRecorded], many: bool
) -> Iterator[Block]:
    answers = [answered.get(f"{number}:{i}") for i in range(len(calls))]
    if many and len(calls) > 1 and all(answers):
        named = [part for i, call in enumerate(calls) for part in _named(scene, call, answers[i], bool(i))]
        failed = any(one is not None and one.evidence.outcome is ReadOutcome.FAILED for one in answers)
        title = f"{calls[0].why or calls[0].read} and {len(calls) - 1} more"
        yield _task(f"{number}", title, "error" if failed else "complete", details=rich(*named))
        return
    for i, (call, one) in enumerate(zip(calls, answers, strict=True)):
        failed = one is not None and one.evidence.outcome is ReadOutcome.FAILED
        status = "in_progress" if one is None else "error" if failed else "complete"
        output = rich(*_answer(scene, one)) if one is not None else None
        yield _task(f"{number}.{i}", call.why or call.read, status, output=output)


def _task(task_id: str, title: str, status: str, **rest: Block | None) -> Block:
    """A title that is too long for one goes on in the details."""
    if len(safe(title)) > LONGEST_TITLE and not rest.get("details"):
        rest["details"] = rich(span(title))
    found = {
        "type": "task_card",
        "task_id": task_id,
        "title": plain_text(title, LONGEST_TITLE)["text"],
        "status": status,
    }
    return found | {name: part for name, part in rest.items() if part}


def _named(scene: Scene, call: Call, answer: EvidenceRecorded | None, more: bool) -> Iterator[Block]:
    yield span(f"{'; ' if more else ''}{call.why or call.read}")
    if answer is not None:
        yield from scene.evidence_links([answer.evidence.id])


def _answer(scene: Scene, answer: EvidenceRecorded) -> list[Block]:
    one = answer.evidence
    return [span(f"{answer.spark} {_gist(one)}".strip()), *scene.evidence_links([one.id])]


def _gist(one: Evidence) -> str:
    """The one or two facts that say most, else why there is nothing."""
    if one.outcome is not ReadOutcome.OK:
        return f"{one.outcome}: {one.summary.strip()}"
    telling = [f for f in one.facts if f.id.endswith((".last", ".version", "agree", "material.count"))] or one.facts
    return ", ".join(f"{f.name} {shown(of_fact('', f))}" for f in telling[:2] if f.value is not None) or "read"


def _inner(task: Block, name: str) -> list[Block]:
    return [span(": "), *task[name]["elements"][0]["elements"]] if name in task else []


# -- finding ----------------------------------------------------------------------------------------------------------


def finding_notice(scene: Scene) -> str:
    return f"Found for {scene.subject}: {cause_words(scene)}"


def finding(scene: Scene) -> list[Part]:
    """What is wrong, in at most five lines with their evidence; the rest in small print, and the numbers as figures."""
    incident_view = scene.incident_view
    first = _foremost(incident_view.findings)
    rest = [f for f in incident_view.findings if f not in first]
    cited = [i for f in first for i in f.evidence]
    parts: list[Part] = [header(cause_words(scene)[:1].upper() + cause_words(scene)[1:])]
    parts += bullets([span(f.text), *scene.evidence_links(f.evidence)] for f in first)
    parts += [*comparison(scene, cited), *table(scene, cited)]
    if incident_view.ruled_out:
        parts += lines([span("Ruled out", "bold")])
        parts += bullets(
            [span(words(r.cause), "bold"), span(f": {r.why}"), *scene.evidence_links(r.evidence)]
            for r in incident_view.ruled_out
        )
    if incident_view.not_checked:
        parts += lines([span("Not checked", "bold")])
        parts += bullets([span(n.what, "bold"), span(f": {n.why}")] for n in incident_view.not_checked)
    also = [f"{f.text} [{', '.join(f.evidence)}]" for f in rest]
    return [*parts, *context(*([f"Also: {' '.join(also)}"] if also else []))]


def _foremost(findings: Sequence[Finding]) -> list[Finding]:
    """Five that say different things: one of each evidence first, in the reasoner's order."""
    seen: set[str] = set()
    fresh = []
    for one in findings:
        if not set(one.evidence) & seen:
            fresh.append(one)
        seen |= set(one.evidence)
    chosen = [*fresh, *(f for f in findings if f not in fresh)][:MOST_FINDINGS]
    return [f for f in findings if f in chosen]


def cause_words(scene: Scene) -> str:
    cause = scene.incident_view.cause
    if cause is None or cause.fault == "unknown":
        return "no cause found yet"
    if cause.fault == "none":
        return f"no fault, {cause.confidence:.0%} sure"
    return f"{words(cause.fault)} in {cause.component}, {cause.confidence:.0%} sure"


# -- talk -------------------------------------------------------------------------------------------------------------


def question(asked: str) -> list[Part]:
    """Stanch asks a person."""
    return [header("✋ A question for you"), *markdown(asked), *context("Answer in this thread.")]


def said(scene: Scene, actor: str, text: str) -> list[Part]:
    """What somebody said at another surface."""
    name = scene.catalog.person(actor).name or actor
    return list(lines([span(name, "bold"), span(f": {text}")]))


def reply(scene: Scene, given: ReplyGiven) -> list[Part]:
    """An answer out of evidence, with what was asked: it may have been asked elsewhere."""
    to = given.to or "somebody"
    links = scene.evidence_links(given.evidence)
    about = context(f"{scene.catalog.person(to).name or to} asked: {given.question}") if given.question else []
    return [*about, *markdown(given.text), *(lines([span("From"), *links]) if links else [])]
