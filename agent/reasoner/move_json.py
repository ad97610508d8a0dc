"""Moves as plain JSON for the timeline, and back, so that a move survives a crash between deciding and doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.domain.cause import Cause, Fault
from agent.domain.check import success_from_json
from agent.domain.finding import Claim, assertion_from_json
from agent.domain.incident import Kind
from agent.errors import StanchError
from agent.reasoner.protocol import AskPerson, Call, Conclude, Look, Move, NotChecked, Propose, Reply, RuledOut

J = Mapping[str, Any]


def to_json(move: Move) -> dict[str, Any]:
    match move:
        case Look():
            calls = [{"read": c.read, "args": dict(c.args), "why": c.why} for c in move.calls]
            return {"move": "look", "calls": calls, "claims": [_claim(c) for c in move.claims]}
        case Propose():
            return {
                "move": "propose", "action": move.action, "args": dict(move.args), "why": move.why,
                "success": move.success.to_json(), "source": move.source, **_picture(move),
            }  # fmt: skip
        case AskPerson():
            return {"move": "ask", "question": move.question}
        case Conclude():
            by_hand = [{"action": action, "args": dict(args)} for action, args in move.by_hand]
            return {"move": "conclude", "hand_over": move.hand_over, "by_hand_actions": by_hand, **_picture(move)}
        case Reply():
            return {"move": "reply", "reply": move.text}


def from_json(data: J) -> Move:
    match data["move"]:
        case "look":
            calls = tuple(Call(c["read"], c["args"], c["why"]) for c in data["calls"])
            return Look(calls, _claims(data))
        case "propose":
            return Propose(
                action=data["action"], args=data["args"], why=data["why"], claims=_claims(data), cause=_cause(data),
                success=success_from_json(data["success"]), kind=Kind(data["kind"]), ruled_out=_ruled_out(data),
                not_checked=_not_checked(data), source=data["source"],
            )  # fmt: skip
        case "ask":
            return AskPerson(data["question"])
        case "conclude":
            return Conclude(
                _claims(data),
                _cause(data),
                Kind(data["kind"]),
                _ruled_out(data),
                _not_checked(data),
                data["hand_over"],
                tuple((one["action"], one["args"]) for one in data.get("by_hand_actions", ())),
            )
        case "reply":
            return Reply(data["reply"])
    raise StanchError(f"The timeline holds a move called {data['move']!r}, which this version does not know.")


def _picture(move: Propose | Conclude) -> dict[str, Any]:
    cause = move.cause
    return {
        "claims": [_claim(c) for c in move.claims],
        "cause": {"component": cause.component, "fault": str(cause.fault), "confidence": cause.confidence},
        "kind": str(move.kind),
        "ruled_out": [{"cause": r.cause, "why": r.why, "evidence": list(r.evidence)} for r in move.ruled_out],
        "not_checked": [{"what": n.what, "why": n.why} for n in move.not_checked],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {"text": claim.text, "asserts": [a.to_json() for a in claim.asserts]}


def _claims(data: J) -> tuple[Claim, ...]:
    return tuple(Claim(c["text"], tuple(assertion_from_json(a) for a in c["asserts"])) for c in data["claims"])


def _cause(data: J) -> Cause:
    return Cause(data["cause"]["component"], Fault(data["cause"]["fault"]), data["cause"]["confidence"])


def _ruled_out(data: J) -> tuple[RuledOut, ...]:
    return tuple(RuledOut(r["cause"], r["why"], tuple(r["evidence"])) for r in data["ruled_out"])


def _not_checked(data: J) -> tuple[NotChecked, ...]:
    return tuple(NotChecked(n["what"], n["why"]) for n in data["not_checked"])
