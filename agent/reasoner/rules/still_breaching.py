"""Looking once more before and after acting: is it over already, and is it over now?

Alerts and checks measure over windows of minutes, so that what has just ended still shows in them. Measured over the last
minute it does not: a burst that ends by itself needs no action, and one that was mended and still fires has more causes.
"""

from __future__ import annotations

import re
from datetime import timedelta

from agent.domain.check import Check, expectation
from agent.domain.duration import duration
from agent.domain.evidence import Evidence
from agent.domain.finding import Assertion, Claim
from agent.errors import UnusableInput
from agent.reasoner.protocol import Call, View
from agent.reasoner.rules.checks import OUTCOME_METRICS
from agent.reasoner.rules.diagnosis import Candidate
from agent.reasoner.rules.evidence_index import EvidenceIndex, ask, labels_of, number, present
from agent.reasoner.rules.first_minute import alert_of, measured, rule_call
from tools.alerts.expression import breach_of
from tools.errors import ToolError
from tools.prometheus.promql import parse

FAR = 0.5  # of a limit: below that a sign is gone and not merely noisy
SHORT, LONG = timedelta(minutes=1), timedelta(minutes=10)
_RANGE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\[([0-9a-z]+)\]")


def narrowed(promql: str) -> str | None:
    """The same over the last minute; None where nothing in it is measured over some minutes, up to ten."""
    spans = [span for found in _RANGE.finditer(promql) if found[1] and (span := _span(found[1])) is not None]
    if not spans or not all(SHORT < span <= LONG for span in spans):
        return None
    text = _RANGE.sub(lambda found: "[1m]" if found[1] else found[0], promql)
    try:
        parse(text)
    except ToolError:
        return None
    return text


def _span(text: str) -> timedelta | None:
    try:
        return duration(text)
    except UnusableInput:
        return None


def last_minute_call(view: View) -> Call | None:
    """What the alert measures, over the last minute."""
    promql = narrowed(measured(alert_of(view)) or "")
    return ask(view, "query_metrics", "what the alert measures, over the last minute", promql=promql, minutes=5)


def fresh_calls(view: View, candidate: Candidate) -> tuple[Call, ...]:
    """The alert's measure and the signs of a cause, over the last minute."""
    return present([last_minute_call(view), *(_sign_call(view, one.check) for one in candidate.signs if one.check)])


def _sign_call(view: View, check: Check) -> Call | None:
    promql = narrowed(str(check.args.get("promql", ""))) if check.read == "query_metrics" else None
    return ask(view, "query_metrics", "whether it still shows in the last minute", promql=promql, minutes=5)


def ended(view: View, candidate: Candidate) -> bool:
    """Whether in the last minute no sign of the cause shows any more, all with data, and the alert's measure does not
    either; where that cannot be taken over a minute, one of the signs has to be far from its limit."""
    evidence_index, measure = EvidenceIndex(view), last_minute_call(view)
    calls = [(one.check, call) for one in candidate.signs if one.check and (call := _sign_call(view, one.check))]
    seen = [(check, e) for check, call in calls if (e := evidence_index.of(call)) is not None]
    if len(seen) < len(calls) or any(check.holds(e.facts) is not False for check, e in seen):
        return False
    return (
        any(_far(check, e) for check, e in seen)
        if measure is None
        else _breaching(view, evidence_index.of(measure)) is False
    )


def _far(check: Check, evidence: Evidence) -> bool:
    """Whether every value is on the good side of half the limit."""
    wanted = expectation(check.expect)
    if not isinstance(wanted.value, float) or wanted.op not in (">", ">="):
        return False
    values = [number(evidence, f.id) for f in check.select(evidence.facts)]
    return bool(values) and all(value is not None and value < wanted.value * FAR for value in values)


def _breaching(view: View, evidence: Evidence | None) -> bool | None:
    """Whether a series of the incident's own breaches the alert's limit; None without data or without a limit."""
    alert, labels = alert_of(view), labels_of(view)
    breach = breach_of(alert.expression) if alert and alert.expression else None
    mine = [
        value
        for seen in (evidence.facts if evidence else ())
        if seen.id.endswith(".last") and all(labels.get(k, v) == v for k, v in seen.labels.items())
        if evidence and (value := number(evidence, seen.id)) is not None
    ]
    held = [breach.holds(value) for value in mine] if breach else []
    return None if not held or None in held else any(held)


def quick(view: View) -> bool:
    """Whether the alert ends within minutes of what caused it: it measures over some minutes, and no true outcomes."""
    promql = measured(alert_of(view)) or ""
    spans = [span for found in _RANGE.finditer(promql) if found[1] and (span := _span(found[1])) is not None]
    return bool(spans) and max(spans) <= LONG and not any(word in promql for word in OUTCOME_METRICS)


def still_breaching(view: View, after: int) -> bool | None:
    """Whether the alert's rule is in breach by what was read after an event of that number; None: not looked at."""
    count = number(EvidenceIndex(view, after).of(rule_call(view)), "breaching.count")
    return None if count is None else count > 0


def over_claims(view: View) -> tuple[Claim, ...]:
    """That it is over by itself, in numbers; each in the direction that its limit has."""
    now, rule = EvidenceIndex(view).of(last_minute_call(view)), EvidenceIndex(view).of(rule_call(view))
    labels = labels_of(view)
    seen = next(
        (
            f
            for f in (now.facts if now else ())
            if f.id.endswith(".last")
            and f.value is not None
            and all(labels.get(k, v) == v for k, v in f.labels.items())
        ),
        None,
    )
    if now is None or rule is None or seen is None:
        return ()
    ref, limit = f"{now.id}.{seen.id}", f"{rule.id}.limit"
    text = "Over the last minute it measures {%s}, %s the limit of {%s}: it is over by itself."
    return tuple(
        Claim(text % (ref, words, limit), (Assertion(ref, op, limit),))
        for op, words in (("<", "below"), (">", "above"))
    )
