"""Looking: the reads of one move, made side by side, each recorded as evidence, also the ones that failed."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from agent.diagnosis.board import LIKELY, board
from agent.domain.events import EvidenceRecorded
from agent.domain.evidence import ReadOutcome, Recorded
from agent.domain.incident_view import IncidentView
from agent.domain.notes import RunbookFound, RunbooksAdded
from agent.domain.redact import Redactor
from agent.domain.timeline import events_of
from agent.graph.run_context import Run, RunContext
from agent.platform.indicator import indicator_of
from agent.reasoner.protocol import Call, Look
from agent.store import timeline
from tools.context import Context, Json
from tools.errors import ToolError
from tools.signals.dialects import signals_measured
from tools.spec import Answer
from tools.toolbox import Tools

READ_SECONDS = 20.0  # of real time; a backend slower than this was not checked, unless it was given more
BODY_BYTES = 2_000_000
SPARK_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Looked:
    call: Call
    answer: Answer | None
    failure: str = ""

    @property
    def outcome(self) -> ReadOutcome:
        if self.answer is None:
            return ReadOutcome.FAILED
        return ReadOutcome.EMPTY if self.answer.empty else ReadOutcome.OK


@dataclass
class LookStep:
    run_context: RunContext

    async def __call__(self, state: Run, run: int) -> Run:
        """The reads of the move, side by side, each recorded as evidence."""
        incident_view = await self.run_context.incident_view(state["incident"])
        move, number, by = self.run_context.last_move(incident_view)
        assert isinstance(move, Look)
        context = self.run_context.context(incident_view)
        done = {event.payload.call for event in events_of(incident_view.events, EvidenceRecorded)}
        calls = [(i, call) for i, call in enumerate(move.calls) if f"{number}:{i}" not in done]
        answers = await look([call for _, call in calls], self.run_context.tools, context)
        for (i, _), one in zip(calls, answers, strict=True):
            key = f"{number}:{i}"
            what = recorded(one, by, context, {"call": key, "move": number}, self.run_context.redact)
            await self.run_context.record(state["incident"], run, what, key)
        await self._runbooks_for(await self.run_context.incident_view(state["incident"]), number, run)
        return {"next": "think"}

    async def _runbooks_for(self, incident_view: IncidentView, number: int, run: int) -> None:
        """Add the runbooks that the evidence calls for, unless the alert, its link or the catalog named some with checks."""
        library = self.run_context.library
        known = [one for one in incident_view.runbooks if (book := library.book(one.name)) and book.checks]
        if any(not one.why.startswith("text") for one in known):
            return
        seen = board(incident_view.evidence, incident_view.incident.since.timestamp())
        measured = self._measured(incident_view)
        found = library.for_evidence(
            [*measured, *seen.signals], [one.fault for one in seen.candidates if one.score >= LIKELY]
        )
        if found:
            added = tuple(RunbookFound(one.name, one.score, one.section, one.why) for one in found)
            note = RunbooksAdded(text="what was seen calls for these runbooks", added=added)
            async with self.run_context.db.write() as tx:
                key = f"{number}:runbooks"
                await timeline.append(
                    tx, incident_view.incident.id, note, "stanch", self.run_context.clock.now(), key, run
                )

    def _measured(self, incident_view: IncidentView) -> list[str]:
        """The signals that the rules of the incident's alerts measure."""
        rules = self.run_context.knowledge.rules
        told = [rules.of(alert.labels, alert.generator_url or alert.expression or "") for alert in incident_view.alerts]
        metrics = [name for rule in told for name in indicator_of(rule.expression, rules.recorded).metrics]
        return signals_measured(metrics) if metrics else []


async def look(calls: Sequence[Call], tools: Tools, context: Context) -> list[Looked]:
    """Answers in the order of the calls. A read that fails is an answer too."""
    seconds = patience(context)
    return list(await asyncio.gather(*(_one(call, tools, context, seconds) for call in calls)))


def patience(context: Context) -> float:
    """How long one read may take: twice what the most patient backend is given for one answer, and 20 s at least."""
    given = [backend.http.timeout.read for backend in context.backends.all]
    return max([READ_SECONDS, *(2 * seconds for seconds in given if seconds)])


async def _one(call: Call, tools: Tools, context: Context, seconds: float) -> Looked:
    try:
        async with asyncio.timeout(seconds):
            return Looked(call, await tools.read(call.read)(context, **call.args))
    except TimeoutError:
        return Looked(call, None, f"{call.read} gave no answer within {seconds:g} s. Is its backend overloaded?")
    except ToolError as error:
        return Looked(call, None, str(error))
    except httpx.HTTPError as error:
        return Looked(
            call, None, f"{call.read}: {type(error).__name__}: {error}. Check the address with `stanch doctor`."
        )


def sparkline(data: Json) -> str:
    """The first series of a metrics answer as one line of blocks; "" where there is none."""
    from sparklines import sparklines

    found = data if isinstance(data, Mapping) else {}
    series = found.get("series") or (found.get("windows") or {}).get("now") or []
    points = [p[1] for p in series[0].get("points", [])] if series and isinstance(series[0], Mapping) else []
    if len(points) < 3:
        return ""
    every = max(1, len(points) // SPARK_WIDTH)
    kept = [None if p is None or not math.isfinite(p) else p for p in points[::every]][:SPARK_WIDTH]
    lowest = min((value for value in kept if value is not None), default=0.0)
    return "".join(sparklines([None if value is None else value - lowest for value in kept]))


def recorded(looked: Looked, by: str, context: Context, extra: Mapping[str, object], redact: Redactor) -> Recorded:
    """What goes into the store: secrets removed, the body bounded and its true length said."""
    answer = looked.answer
    body = redact(json.dumps(answer.data if answer else {"error": looked.failure}, ensure_ascii=False, default=str))
    if len(body) > BODY_BYTES:
        body = body[:BODY_BYTES] + f"\n… cut: the whole had {len(body):,} characters"
    return Recorded(
        read=looked.call.read,
        arguments=dict(looked.call.args),
        by=by,
        as_of=context.as_of,
        outcome=looked.outcome,
        summary=redact(answer.summary if answer else looked.failure),
        body=body,
        facts=answer.facts if answer else (),
        link=answer.link if answer else None,
        why=looked.call.why,
        extra={**extra, "spark": sparkline(answer.data)} if answer else dict(extra),
    )
