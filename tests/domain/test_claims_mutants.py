"""True findings pass the check; findings twisted in a number, a unit, a name or a direction do not.

Run with -s to see the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.domain.claims.claims import check
from agent.domain.claims.references import evaluate, pieces
from agent.domain.finding import Assertion, Claim, Dropped, Finding
from tests.domain.true_findings import EVIDENCE, NAMES, TRUE

SERVICES = ("web", "checkout", "payments", "demand-forecast", "order-worker", "forecast-server", "us-1")
TURNED = {
    "rose": "fell",
    "rises": "falls",
    "rise": "fall",
    "grew": "shrank",
    "fell": "rose",
    "above": "below",
    "below": "above",
    "higher": "lower",
    "lower": "higher",
    "exceeds": "stays below",
    "faster": "slower",
    "older": "younger",
    "high": "low",
    "up from": "down from",
    "unchanged": "higher",
    "steady": "lower",
    "doubled": "halved",
    "halved": "doubled",
    "before the breach": "after the breach",
    "after the rollout": "before the rollout",
    "surge": "fall",
}
UNSAID = {
    "Nothing was": "Something was",
    "No ": "A ",
    "no ": "a ",
    "not ": "",
    "did not ": "did ",
    "is not ": "is ",
    "none is": "some are",
    "without": "with",
    "does not follow": "follows",
    "are not the same": "are the same",
    "unchanged": "doubled",
}


def numbers(claim: Claim) -> Iterator[Claim]:
    """Values written out, right or wrong; facts that are not there; assertions that do not hold."""
    for piece in pieces(claim.text):
        value = evaluate(piece.expression, EVIDENCE).value
        for literal in (value, f"{value}%", "three", "12.5", "99") if piece.expression[0] == "E" else ("7", "a dozen"):
            yield replace(claim, text=f"{claim.text[: piece.start]}{literal}{claim.text[piece.end :]}")
        wrong = f"{{{piece.expression.replace('.', '.other.', 1)}}}"
        yield replace(claim, text=claim.text[: piece.start] + wrong + claim.text[piece.end :])
    for place, one in enumerate(claim.asserts):
        if isinstance(one.right, float):
            beyond = one.right + (10.0**12 if one.op in (">", ">=") else -(10.0**12) if one.op != "!=" else 7)
            yield _asserting(claim, place, replace(one, right=beyond))
    if "p99" in claim.text:
        yield replace(claim, text=claim.text.replace("p99", "p95"))
    if "5xx" in claim.text:
        yield replace(claim, text=claim.text.replace("5xx", "4xx"))
    yield replace(claim, text=claim.text.rstrip(".") + ", for 20 minutes.")


def units(claim: Claim) -> Iterator[Claim]:
    """A unit written behind a reference that is not the fact's, and calculations across units."""
    for piece in pieces(claim.text):
        value = evaluate(piece.expression, EVIDENCE)
        if isinstance(value.value, bool | str) or piece.expression.startswith("window"):
            continue
        wrong = [
            u
            for u, d in (("ms", "time"), ("MiB", "bytes"), ("%", "ratio"), ("requests per second", "rate"))
            if d != value.dimension
        ]
        wrong += {"time": ["minutes"], "bytes": ["GB"], "rate": ["seconds"]}.get(value.dimension, [])
        for unit in wrong[:3]:
            yield replace(claim, text=f"{claim.text[: piece.end]} {unit}{claim.text[piece.end :]}")
        if piece.expression[0] == "E":
            other = "E18.firing.count" if value.dimension != "plain" else "E10.limit"
            yield replace(
                claim,
                text=f"{claim.text[: piece.start]}{{ratio({piece.expression}, {other})}}{claim.text[piece.end :]}",
            )


def entities(claim: Claim) -> Iterator[Claim]:
    """Another name of the catalog, or of a label, in place of the one the evidence is about."""
    for name in (*SERVICES, "price", "promo"):
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", claim.text):
            others = [o for o in (*SERVICES, "catalog-db") if o != name and o not in claim.text][:4]
            if name in ("price", "promo"):
                others = ["promo" if name == "price" else "price"]
                if "promo" in claim.text and "price" in claim.text:
                    continue  # both stand there: exchanging one gives nonsense, not a falsehood
            for other in others:
                text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", other, claim.text)
                if not _same_subject(name, other):
                    yield replace(claim, text=text)
    for pod in re.findall(r"forecast-server-7d9f-\w+", claim.text):
        other = "forecast-server-7d9f-klmno" if "klmno" not in pod else "forecast-server-7d9f-abcde"
        yield replace(claim, text=claim.text.replace(pod, other))


def _same_subject(a: str, b: str) -> bool:
    """demand-forecast and forecast-server are service and workload of one thing."""
    return {a, b} == {"demand-forecast", "forecast-server"}


def directions(claim: Claim) -> Iterator[Claim]:
    """The opposite word; a denial taken away; the two values of a change exchanged; an assertion turned round."""
    for table in (TURNED, UNSAID):
        for word, other in table.items():
            pattern = rf"\b{re.escape(word)}" if word[-1] == " " else rf"\b{re.escape(word)}\b"
            if re.search(pattern, claim.text) and not (table is UNSAID and word == "not " and "is not " in claim.text):
                yield replace(claim, text=re.sub(pattern, other, claim.text, count=1))
    refs = pieces(claim.text)
    if re.search(r"from \{[^}]*\} to \{", claim.text):
        a, b = refs[0], refs[1]
        text = claim.text
        yield replace(
            claim,
            text=f"{text[: a.start]}{text[b.start : b.end]}{text[a.end : b.start]}{text[a.start : a.end]}{text[b.end :]}",
        )
    for place, one in enumerate(claim.asserts):
        turned = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}[one.op]
        yield _asserting(claim, place, replace(one, op=turned))
    yield replace(
        claim,
        text=claim.text.rstrip(".") + ", and it keeps rising."
        if claim.asserts == ()
        else claim.text.rstrip(".") + " and halved.",
    )


def _asserting(claim: Claim, place: int, one: Assertion) -> Claim:
    return replace(claim, asserts=(*claim.asserts[:place], one, *claim.asserts[place + 1 :]))


KINDS = {"numbers": numbers, "units": units, "entities": entities, "directions": directions}


def test_true_findings_pass() -> None:
    dropped = [d for claim in TRUE if isinstance(d := check(claim, EVIDENCE, NAMES), Dropped)]
    print(f"\ntrue findings: {len(TRUE)}, dropped {len(dropped)}")
    assert len(TRUE) >= 60
    assert len(dropped) <= 0.05 * len(TRUE), [d.why for d in dropped]


def test_twisted_findings_do_not() -> None:
    total = caught = 0
    for name, twist in KINDS.items():
        mutants = {(m.text, m.asserts): m for claim in TRUE for m in twist(claim) if m != claim}
        missed = [m for m in mutants.values() if isinstance(check(m, EVIDENCE, NAMES), Finding)]
        print(f"{name}: {len(mutants) - len(missed)} of {len(mutants)} caught")
        for one in missed:
            print(f"  missed: {one.text} {[(a.left, a.op, a.right) for a in one.asserts]}")
        assert len(mutants) - len(missed) >= 0.9 * len(mutants), name
        total, caught = total + len(mutants), caught + len(mutants) - len(missed)
    print(f"all: {caught} of {total} caught ({caught / total:.1%})")
    assert total >= 400
    assert caught >= 0.95 * total


@pytest.mark.parametrize("claim", TRUE[:5], ids=lambda c: c.text[:30])
def test_a_finding_names_its_evidence_and_keeps_its_template(claim: Claim) -> None:
    found = check(claim, EVIDENCE, NAMES)
    assert isinstance(found, Finding)
    assert "{" not in found.text
    assert found.template == claim.text
    assert set(found.evidence) <= set(EVIDENCE)
