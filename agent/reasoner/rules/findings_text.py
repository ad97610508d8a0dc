"""What the runbook reasoner says: claims in the words of the evidence, each held against the check before it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.domain.claims.claims import Filled, check, fill
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.finding import Assertion, Claim, Finding
from agent.reasoner.protocol import NotChecked, RuledOut, View
from agent.reasoner.rules.checks import Tried, changes
from agent.reasoner.rules.diagnosis import Candidate, Picture, own_heads
from agent.reasoner.rules.evidence_index import EvidenceIndex, fact, number
from agent.reasoner.rules.first_minute import compare_call, history_call, onset, rule_call, signals_call
from agent.reasoner.rules.metric_phrases import statements
from tools.symptoms import SIGNAL, WARNS

MOST_CLAIMS = 14
# what an action does about it, as the end of a sentence
DOES = {
    "scale_workload": "; more replicas share the load",
    "roll_back_workload": "; rolling back takes away the version that came shortly before",
    "restart_workload": "; a rolling restart gives it fresh processes",
    "point_model_alias": "; serving goes back to the version before",
    "request_retraining": "; a new training learns from the data of now",
}
MOST_BESIDE = 3  # other alerts that are named
MOST_SIGNALS = 4  # that are said to be out of line
MOST_SYMPTOMS = 6
MOST_SPLITS = 2
LEAST_HISTORY_DAYS = 1.0  # of shorter histories "it never fired before" would say nothing


def names_in(view: View) -> frozenset[str]:
    """Names that may stand in a text: of the catalog, of runbooks, of the alerts."""
    catalog = {part for s in view.catalog.services() for w in s.workloads for part in (w.name, w.namespace, w.cluster)}
    catalog |= {s.name for s in view.catalog.services()} | {m.name for m in view.catalog.models()}
    return frozenset(catalog | {m.name for m in view.runbooks} | {a.name for a in view.alerts} - {""})


def sound(view: View, claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """The claims that hold, once each, in order."""
    names = names_in(view)
    good = {claim.text: claim for claim in claims if isinstance(check(claim, view.evidence, names), Finding)}
    return tuple(good.values())


def sayable(view: View, templates: Iterable[str]) -> str:
    """The first template that can be filled in; "" when none can."""
    names = names_in(view)
    return next((t for t in templates if isinstance(fill(t, view.evidence, names), Filled)), "")


def findings(view: View, picture: Picture, checks: Iterable[Tried]) -> tuple[Claim, ...]:
    """What the incident looks like, what speaks for the cause, what changed: in this order, and not without end."""
    best = picture.candidates[0] if picture.candidates else None
    signs = sign_claims(view, best) if best else ()
    said = [
        *level(view),
        *signs,
        *on_the_board(picture),
        *history(view),
        *changed(view),
        *model_state(view),
        *out_of_line(view),
        *spread(view),
        *beside(view),
    ]
    if best is None:
        said += [c for one in checks if one.verdict is False for c in sound(view, _check_claims(one, False))[:1]]
    return sound(view, said)[:MOST_CLAIMS]


def on_the_board(picture: Picture) -> Iterator[Claim]:
    """What the evidence's symptoms say, those of the named cause first."""
    named = (*picture.named.signs, *picture.named.explains) if picture.named else ()
    first = dict.fromkeys(one.reference for one in named)
    rest = (
        one.reference for one in picture.board.symptoms if one.symptom.severity >= WARNS and one.symptom.kind != SIGNAL
    )
    for reference in list(dict.fromkeys([*first, *rest]))[:MOST_SYMPTOMS]:
        yield Claim(f"{{says({reference})}}.")


def level(view: View) -> Iterator[Claim]:
    """The rule's value against its limit, and against the usual level."""
    rule, compared = EvidenceIndex(view).of(rule_call(view)), EvidenceIndex(view).of(compare_call(view))
    if rule and (value := _first(rule, ".last")) and fact(rule, "limit"):
        ref, limit = f"{rule.id}.{value}", f"{rule.id}.limit"
        for op, words in ((">", "above"), ("<", "below")):
            yield Claim(
                f"The alert's rule measures {{{ref}}}, {words} its limit of {{{limit}}}.", (Assertion(ref, op, limit),)
            )
        if fact(rule, "began"):
            yield Claim(f"The breach began at {{{rule.id}.began}}.")
        yield Claim("No series breaches the rule now.", (Assertion(f"{rule.id}.breaching.count", "==", 0.0),))
    if compared and (heads := own_heads(view, compared, "now.mean")):
        head = heads[0]
        now = f"{head}now.mean"
        for then, word in (("yesterday", "yesterday at this time"), ("last_week", "last week at this time")):
            yield from sound(view, _against(f"{compared.id}.{now}", f"{compared.id}.{head}{then}.mean", word))[:1]


def out_of_line(view: View) -> Iterator[Claim]:
    """Which signals of its subjects have left their usual band in a direction that is bad."""
    measured = EvidenceIndex(view).of(signals_call(view))
    heads = [f.id.removesuffix("bad") for f in measured.facts if f.id.endswith(".bad")] if measured else []
    for head in heads[:MOST_SIGNALS]:
        found = fact(measured, f"{head}now")
        if measured is None or found is None:
            continue
        now, low, high, limit = (f"{measured.id}.{head}{name}" for name in ("now", "low", "high", "limit"))
        what = f"{found.name[:1].upper()}{found.name[1:]} of {found.labels.get('subject', '')}"
        since = f", since {{{measured.id}.{head}settled}}" if fact(measured, f"{head}settled") else ""
        yield Claim(
            f"{what} is {{{now}}}, above its usual {{{low}}} to {{{high}}}{since}.", (Assertion(now, ">", high),)
        )
        yield Claim(
            f"{what} is {{{now}}}, below its usual {{{low}}} to {{{high}}}{since}.", (Assertion(now, "<", low),)
        )
        if fact(measured, f"{head}limit") and not fact(measured, f"{head}low"):
            yield Claim(f"{what} is {{{now}}}, beyond {{{limit}}}.", (Assertion(now, ">=", limit),))
            yield Claim(f"{what} is {{{now}}}, beyond {{{limit}}}.", (Assertion(now, "<=", limit),))


def _against(now: str, then: str, word: str) -> Iterator[Claim]:
    """Unchanged within a quarter, else higher or lower."""
    steady = (Assertion(f"ratio({now}, {then})", "<=", 1.25), Assertion(f"ratio({now}, {then})", ">=", 0.8))
    yield Claim(f"What the alert measures is unchanged at {{{now}}}, against {{{then}}} {word}.", steady)
    for op, words in ((">", "higher"), ("<", "lower")):
        yield Claim(
            f"What the alert measures is {words} than {word}: {{{now}}} against {{{then}}}.",
            (Assertion(now, op, then),),
        )


def spread(view: View) -> Iterator[Claim]:
    """Which label values carry the breach."""
    rule = EvidenceIndex(view).of(rule_call(view))
    if rule is None:
        return
    splits = [f for f in rule.facts if f.id.startswith("by.") and f.id.endswith(".s1.value") and f.labels]
    for found in splits[:MOST_SPLITS]:
        label, value = next(iter(found.labels.items()))
        yield Claim(f"Of {label}, {value} carries the most: {{{rule.id}.{found.id}}}.")


def beside(view: View) -> Iterator[Claim]:
    """Which other alerts began around the same time."""
    around = next(EvidenceIndex(view).reads("began_around"), None)
    if around:
        yield Claim("No other alert began with it.", (Assertion(f"{around.id}.count", "==", 0.0),))
        yield Claim(
            f"{{{around.id}.count}} other alerts began around the same time.",
            (Assertion(f"{around.id}.count", ">", 0.0),),
        )
        for found in [f for f in around.facts if f.id.endswith(".began") and f.labels.get("alertname")][:MOST_BESIDE]:
            yield Claim(f"{found.labels['alertname']} began around then: {{{around.id}.{found.id}}}.")


def history(view: View) -> Iterator[Claim]:
    past = EvidenceIndex(view).of(history_call(view))
    if past and number(past, "earlier.count"):
        yield Claim(
            f"It fired and cleared {{{past.id}.earlier.count}} times before, as a rule after {{{past.id}.median_duration}}."
        )
    elif past and (number(past, "covered.days") or 0.0) >= LEAST_HISTORY_DAYS:
        yield Claim(
            f"It never fired before in {{window({past.id}.earlier.count)}}.",
            (Assertion(f"{past.id}.earlier.count", "==", 0.0),),
        )


def changed(view: View) -> Iterator[Claim]:
    """What changed before the breach, and what did not."""
    listed = next(EvidenceIndex(view).reads("recent_changes"), None)
    if listed:
        ref = f"{listed.id}.changes.count"
        yield Claim(f"No change is known in {{window({ref})}}.", (Assertion(ref, "==", 0.0),))
        ref = f"{listed.id}.deployments.count"
        yield Claim(f"Nothing was deployed in {{window({ref})}}.", (Assertion(ref, "==", 0.0),))
    began = onset(view)
    last = {c[1:3]: c for c in changes(view) if c[0] <= began + 120}  # two reads may time one change differently
    for _, kind, service, evidence, found in list(last.values())[-2:]:
        what = f"{kind.replace('_', ' ') or 'change'}{f' of {service}' if service else ''}"
        yield Claim(f"The last {what} was at {{{evidence.id}.{found.id}}}.")
    restarts = next(EvidenceIndex(view).reads("restarts_and_versions"), None)
    if restarts:
        ref = f"{restarts.id}.restarts.count"
        yield Claim(f"No process restarted in {{window({ref})}}.", (Assertion(ref, "==", 0.0),))
        yield Claim(
            f"Processes restarted: {{{ref}}} in {{window({ref})}}, the last at {{{restarts.id}.restarts.last}}.",
            (Assertion(ref, ">", 0.0),),
        )
        for found in [f for f in restarts.facts if f.id.startswith("version") and f.id.endswith(".to")][-1:]:
            at = found.id.removesuffix("to") + "at"
            yield Claim(f"The version in use changed to {{{restarts.id}.{found.id}}} at {{{restarts.id}.{at}}}.")


def model_state(view: View) -> Iterator[Claim]:
    """What serving runs, whether features drifted or are stale, up to when outcomes are known."""
    evidence_index = EvidenceIndex(view)
    served, drift = (
        next(evidence_index.reads("served_version"), None),
        next(evidence_index.reads("inspect_drift"), None),
    )
    fresh, quality = (
        next(evidence_index.reads("feature_freshness"), None),
        next(evidence_index.reads("model_quality"), None),
    )
    if served:
        both = f"version {{{served.id}.served.version}}, the alias points at {{{served.id}.alias.version}}"
        yield Claim(f"Serving runs {both}.", (Assertion(f"{served.id}.agree", "==", "true"),))
        yield Claim(
            f"Serving does not follow the alias: it runs {both}.", (Assertion(f"{served.id}.agree", "==", "false"),)
        )
    if drift:
        ref = f"{drift.id}.material.count"
        yield Claim("No feature drifted enough to matter.", (Assertion(ref, "==", 0.0),))
        yield Claim(f"Features whose drift matters: {{{ref}}}.", (Assertion(ref, ">", 0.0),))
    if fresh:
        ref = f"{fresh.id}.stale.count"
        yield Claim("No feature is stale.", (Assertion(ref, "==", 0.0),))
        yield Claim(
            f"Stale features: {{{ref}}}; the stalest is {{{fresh.id}.oldest.age}} old.", (Assertion(ref, ">", 0.0),)
        )
    if quality and fact(quality, "labels_complete_until"):
        yield Claim(f"True outcomes are known up to {{{quality.id}.labels_complete_until}}.")


def _check_claims(one: Tried, holds: bool) -> Iterator[Claim]:
    """A check that held, or that did not, with its worst value. The plain form comes last, for titles that say too much."""
    if one.check is None or one.evidence is None or not one.facts:
        return
    from agent.domain.check import expectation

    found, wanted = one.facts[0], expectation(one.check.expect)
    ref = f"{one.evidence.id}.{found.id}"
    op = wanted.op if holds else {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}[wanted.op]
    asserted = (Assertion(ref, op, wanted.value),)
    fault = str(one.block.suggests or one.block.rules_out or "").replace("_", " ")
    side = {">": ", above what the runbook allows", "<": ", below what the runbook asks"}.get(op[0], "")
    side = "" if found.unit == "count" else side
    for said in statements(one):
        yield Claim(f"{said}{side}.", asserted)
        yield Claim(f"{said}.", asserted)
    word = "A sign of" if holds else "It speaks against"
    yield Claim(f"{_title(one)} {'Yes' if holds else 'No'}: {{{ref}}}.", asserted)
    yield Claim(f"{word} {fault}: {{{ref}}}.", asserted)


def _title(one: Tried) -> str:
    """The question of a check, without what its author added to it."""
    head, mark, _ = one.block.title.partition("?")
    return f"{head.strip()}{mark}" if mark else f"{head.strip().rstrip('.')}:"


def sign_claims(view: View, candidate: Candidate) -> tuple[Claim, ...]:
    """One claim for each sign of a candidate, in the fullest form that holds."""
    return tuple(good[0] for one in candidate.signs if (good := sound(view, _check_claims(one, True))))


def ruled_out(view: View, picture: Picture) -> tuple[RuledOut, ...]:
    """Faults whose own checks did not hold, or that a check excluded, each with the value that says so."""
    found = []
    for candidate in picture.refuted:
        refs = [(one.evidence, one.facts[0]) for one in _seen(candidate) if one.evidence]
        if not refs:
            continue
        cause = f"{str(candidate.fault).replace('_', ' ')} in {candidate.subject.name}".removesuffix(" in ")
        said = [f"{text}." for one in candidate.against for text in statements(one)]
        asked = [f"{_title(one)} {{{e.id}.{f.id}}}." for one, (e, f) in zip(_seen(candidate), refs, strict=True)]
        why = sayable(view, [*said, *asked])
        if why:
            found.append(RuledOut(cause, why, tuple(dict.fromkeys(e.id for e, _ in refs))))
    return tuple(found)


def _seen(candidate: Candidate) -> list[Tried]:
    return [one for one in candidate.against if one.evidence and one.facts]


def reason(view: View, picture: Picture, checks: Iterable[Tried], action: str) -> str:
    """Why this action, for somebody who has to decide on it at night: the strongest sign, what it is not, what it does."""
    best = picture.candidates[0]
    fault, name = str(best.fault).replace("_", " ").replace("cpu", "CPU"), picture.cause.component
    where = f" in {name}" if name else ""
    signs = [text for one in best.signs for text in list(statements(one))[:1]]
    usual = next((text for one in checks if one.subject.name == best.subject.name for text in _usual_traffic(one)), "")
    does = DOES.get(action, "")
    heads = [f"This looks like {fault}{where}: {_lower(text)}" for text in signs] or [f"This looks like {fault}{where}"]
    return sayable(view, [f"{head}{more}{end}." for head in heads for more in (usual, "") for end in (does, "")])


def _usual_traffic(one: Tried) -> Iterator[str]:
    """A clause that traffic is as last week, where a check compared it and it is."""
    ratio = one.facts[0] if one.facts and one.facts[0].id.endswith("ratio.last_week") else None
    known = one.evidence is not None and "http_requests_total" in str(one.evidence.arguments.get("promql", ""))
    if known and one.evidence and ratio and isinstance(ratio.value, float | int) and 0.8 <= ratio.value <= 1.25:
        yield f", while traffic is {{{one.evidence.id}.{ratio.id}}} times last week's"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def not_checked(view: View, checks: Iterable[Tried]) -> tuple[NotChecked, ...]:
    """Reads that failed and checks that gave no verdict, each once."""
    found = {e.why or e.read: e.summary for e in view.evidence.values() if e.outcome is ReadOutcome.FAILED}
    found |= {one.block.title or one.block.read: one.why for one in checks if one.verdict is None}
    return tuple(NotChecked(what, why[:300]) for what, why in found.items())


def _first(evidence: Evidence, ending: str) -> str | None:
    """Id of the first known fact that ends so; readers order the worst first."""
    return next((f.id for f in evidence.facts if f.id.endswith(ending) and fact(evidence, f.id)), None)
