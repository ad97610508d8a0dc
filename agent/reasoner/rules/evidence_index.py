"""Reads a case may ask for, narrowed to what is offered, and the evidence they left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from agent.domain.events import EvidenceRecorded
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.timeline import canonical, events_of
from agent.reasoner.protocol import Call, View
from tools.context import Json
from tools.spec import Fact

UNANSWERED = ("gave no answer", "did not answer")  # an overloaded backend, not a wrong question


def ask(view: View, name: str, why: str, /, **arguments: Json) -> Call | None:
    """A call of a read that is offered, with the arguments it takes; None where it is not offered.

    Empty arguments are left out, so that the read's own default holds.
    """
    offered = next((r for r in view.reads if r.name == name), None)
    if offered is None:
        return None
    known = offered.arguments.model_fields
    given = {key: value for key, value in arguments.items() if key in known and value not in (None, "", {})}
    if any(info.is_required() and key not in given for key, info in known.items()):
        return None
    return Call(name, given, why)


def present(calls: Iterable[Call | None]) -> tuple[Call, ...]:
    """Without the ones that are not offered and without repetitions."""
    return tuple({key(c): c for c in calls if c is not None}.values())


def key(call: Call | Evidence) -> bytes:
    """What makes two calls the same."""
    return canonical([call.read, dict(call.args if isinstance(call, Call) else call.arguments)])


class EvidenceIndex:
    """The case's evidence, by call. `after` leaves out what was read before an event of that number."""

    def __init__(self, view: View, after: int = 0) -> None:
        earlier = [e for e in view.events if e.n <= after] if after else []
        old = {e.payload.evidence.id for e in events_of(earlier, EvidenceRecorded)}
        self.all = [e for e in view.evidence.values() if e.id not in old]
        self._by_key = {key(e): e for e in self.all}

    def of(self, call: Call | None) -> Evidence | None:
        """The newest evidence of exactly this call."""
        return self._by_key.get(key(call)) if call else None

    def missing(self, calls: Iterable[Call]) -> tuple[Call, ...]:
        """Calls without an answer; one that its backend left unanswered is made a second time, never a third."""
        return tuple(c for c in calls if (e := self._by_key.get(key(c))) is None or self._worth_another(e))

    def _worth_another(self, evidence: Evidence) -> bool:
        if evidence.outcome is not ReadOutcome.FAILED or not any(w in evidence.summary for w in UNANSWERED):
            return False
        return sum(1 for e in self.all if key(e) == key(evidence)) < 2

    def reads(self, name: str) -> Iterator[Evidence]:
        """What came back of a read, newest first, without the failures."""
        return (e for e in reversed(self.all) if e.read == name and e.outcome is not ReadOutcome.FAILED)


def fact(evidence: Evidence | None, fact_id: str) -> Fact | None:
    """A fact that is there and known."""
    found = evidence.fact(fact_id) if evidence else None
    return found if found and found.value is not None and found.value == found.value else None


def number(evidence: Evidence | None, fact_id: str) -> float | None:
    found = fact(evidence, fact_id)
    return float(found.value) if found and isinstance(found.value, int | float) else None


def labels_of(view: View) -> dict[str, str]:
    """The labels all alerts share; of a single alert, all of its labels."""
    shared: dict[str, Any] = dict(view.incident.labels)
    if len(view.alerts) == 1:
        shared = {**view.alerts[0].labels, **shared}
    return {str(k): str(v) for k, v in shared.items()}
