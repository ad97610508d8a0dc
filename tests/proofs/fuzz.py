"""What is fed to each door of the product, and how: a door gives a value or an error of ours, within a second.

Every input comes from (door, number), so one that failed is made again with `WebhookEndpoints.input(number)`.
"""

from __future__ import annotations

import gc
import json
import random
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from agent import yaml_file
from agent.domain import catalog as catalogs
from agent.domain import moves
from agent.domain.events import read
from agent.domain.payload import EventKind
from agent.domain.redact import Redactor
from agent.domain.timeline import canonical
from agent.errors import ReasonerFailed, StanchError
from agent.gate import policy, policy_check, policy_tests
from agent.gate.explain import explain
from agent.gate.policy import Request
from agent.graph.steps.think import checked, move_made
from agent.lab.catalog import text as lab_catalog
from agent.lab.scenario import load
from agent.library.lint import lint_book
from agent.library.parse import read_file
from agent.reasoner.llm.completion import CutOff, InsideError, NoCompletion
from agent.reasoner.llm.completion import said as completion_said
from agent.reasoner.llm.move_reading import Unusable
from agent.reasoner.llm.openai_reasoner import _move_in
from agent.reasoner.protocol import Call, Look, Move, Spent, Thought, View
from agent.settings import shipped
from agent.settings_file import file_type
from agent.sources import alertmanager, events, grafana
from agent.store.inbox import delivery_key, packed
from agent.surfaces.cli import demo_env
from tests.founding_play import CONCLUDE, LOOK, PROPOSE
from tests.proofs.garbled import bytes_of, json_of
from tests.reasoner.cases import BOOK, Case
from tests.scripted_llm import completion
from tools.context import Target
from tools.listing import TOOLS
from tools.spec import Risk

SEED = 20261124
NOW = datetime(2026, 11, 24, 3, 20, tzinfo=UTC)
TOO_LONG_S = 1.0  # of processor time
HUNG_S = 5.0  # of processor time, when it is cut off
FIXTURES = Path(__file__).parents[1] / "fixtures"
OURS = (StanchError, Unusable)


class Hung(BaseException):
    """Cut off after HUNG_S."""


@dataclass
class WebhookEndpoints:
    """`make` gives an input, `feed` hands it in. An error of `ours` is an answer."""

    name: str
    make: Callable[[random.Random], Any]
    feed: Callable[[Any], object]
    ours: tuple[type[BaseException], ...] = OURS

    def input(self, number: int) -> Any:
        return self.make(random.Random(f"{SEED} {self.name} {number}"))


@dataclass
class Found:
    """What went wrong with inputs: (door, number, what)."""

    inputs: int = 0
    refused: int = 0
    tracebacks: list[tuple[str, int, str]] = field(default_factory=list)
    hangs: list[tuple[str, int, str]] = field(default_factory=list)


@contextmanager
def cut_off() -> Iterator[None]:
    """Raises Hung in whatever still runs after HUNG_S of processor time."""

    def hung(_: int, frame: FrameType | None) -> None:
        raise Hung("".join(traceback.format_stack(frame)[-6:]))

    before = signal.signal(signal.SIGVTALRM, hung)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def knock(door: WebhookEndpoints, numbers: Sequence[int]) -> Found:
    """Hand in the inputs of these numbers, one after the other."""
    found = Found()
    with cut_off():
        for number in numbers:
            if number % 500 == 0:
                gc.collect()
            given = door.input(number)
            began = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, HUNG_S)
            try:
                door.feed(given)
            except door.ours:
                found.refused += 1
            except Hung as error:
                found.hangs.append((door.name, number, str(error)))
            except Exception:  # noqa: BLE001 (whatever else comes out is what is looked for)
                found.tracebacks.append((door.name, number, traceback.format_exc()[-1500:]))
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            spent = time.process_time() - began
            if spent > TOO_LONG_S:
                found.hangs.append((door.name, number, f"{spent:.2f} s"))
            found.inputs += 1
    return found


# -- alerts -----------------------------------------------------------------------------------------------------------

BODIES = [json.loads(p.read_text()) for p in sorted((FIXTURES / "alertmanager").rglob("*.json"))]
GRAFANA = (
    {
        **BODIES[0],
        "version": "1",
        "orgId": 1,
        "title": "[FIRING:1]",
        "state": "alerting",
        "message": "m",
        "alerts": [
            {**one, "valueString": "[ var='B' value=95 ]", "values": {"B": 95.0}, "dashboardURL": "https://g/d/a"}
            for one in BODIES[0]["alerts"]
        ],
    }
    if isinstance(BODIES[0], dict)
    else {}
)
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/ci",
    "type": "dev.cdevents.service.deployed.0.2.0",
    "time": "2026-11-24T03:00:00Z",
    "subject": "web",
    "data": {
        "service": "web",
        "cluster": "eu-1",
        "version": "7",
        "who": "ann",
        "alertname": "Slow",
        "labels": {"service": "web"},
    },
}
SECRETS = Redactor(["hunter2-hunter2"])


def alert_body(chance: random.Random) -> tuple[str, bytes]:
    kind = chance.choice(("alertmanager", "alertmanager", "grafana", "events"))
    good = {"alertmanager": chance.choice(BODIES), "grafana": GRAFANA, "events": EVENT}[kind]
    return kind, json_of(good, chance, BODIES[:3])


def take_alerts(given: tuple[str, bytes]) -> None:
    """Parsed, and what the inbox and the timeline write of it."""
    kind, body = given
    changes: tuple[Any, ...] = ()
    if kind == "events":
        heard = events.parse(body, {}, NOW)
        alerts, changes = heard.alerts, heard.changes
    elif kind == "grafana":
        alerts = grafana.parse(body, NOW).alerts
    else:
        alerts = alertmanager.delivered(body, NOW).alerts
    packed(alerts, changes, SECRETS)
    for alert in alerts:
        delivery_key(alert)


# -- a language model's answers ---------------------------------------------------------------------------------------


def _view() -> View:
    case = Case()
    case.made(
        Thought(
            Look((Call("query_metrics", {"promql": "throttled"}, "a"), Call("recent_changes", {}, "b"))),
            "x",
            Spent(1, 1),
        )
    )
    return case.view()


VIEW = _view()
ASKED = Case().view(question="why?")
READ_ARGS: dict[str, dict[str, Any]] = {
    "query_metrics": {"promql": "up", "minutes": 30},
    "compare_metrics": {"promql": "up"},
    "recent_changes": {"service": "web", "hours": 3},
    "alert_rule": {"alertname": "Slow"},
    "describe_workload": {"workload": "web"},
    "search_logs": {"find": "error"},
}
ANSWERS = [
    completion(("look", LOOK)),
    completion(("propose", PROPOSE)),
    completion(("conclude", CONCLUDE)),
    completion(("ask", {"question": "Is the sale on?"})),
    completion(text="It is slow."),
    completion(("reply", {"text": "p99 is {E1.value.last}."})),
    completion(*READ_ARGS.items()),
    completion(
        (
            "propose",
            {
                **PROPOSE,
                "args": {"workload": "eu-1/shop/web", "replicas": 5},
                "success": {"promql": "up", "expect": "> 0"},
            },
        )
    ),
]
ARGUMENTS = [LOOK, PROPOSE, CONCLUDE, {"question": "Is the sale on?"}, *READ_ARGS.values()]
NAMES = frozenset({"web", "demand-forecast", "p99"})


def model_answer(chance: random.Random) -> bytes:
    """Something changed within a call's arguments, or in the answer around them."""
    if chance.random() < 0.7:
        name = chance.choice(("look", "propose", "conclude", "ask", "reply", *READ_ARGS))
        good = {"look": LOOK, "propose": PROPOSE, "conclude": CONCLUDE, "ask": {"question": "Is the sale on?"}}.get(
            name
        )
        arguments = json_of(good or READ_ARGS.get(name, {"text": "ok"}), chance, ARGUMENTS).decode(
            "utf-8", "surrogateescape"
        )
        return json.dumps(completion((name, arguments))).encode()
    return json_of(chance.choice(ANSWERS), chance, ANSWERS)


def take_answer(body: bytes) -> None:
    """As the SDK hands it on, as the reasoner reads it, and as the graph checks and keeps that."""
    try:
        said = completion_said(body.decode("utf-8", "replace"))
    except (NoCompletion, CutOff, InsideError) as error:
        raise ReasonerFailed(str(error)) from None
    canonical(dict(said.given))
    for view in (VIEW, ASKED):
        try:
            keep(_move_in(said, view), view)
        except Unusable as error:
            canonical({"repair": str(error)[:1000]})


def keep(move: Move, view: View) -> None:
    made = move_made(Thought(move, "openai", Spent(1, 1)), checked(move, view.evidence, NAMES), 1)
    kept = json.loads(canonical(made.to_json()))
    assert canonical(read(EventKind.NOTE, kept).to_json()) == canonical(kept)
    told = moves.to_json(move)
    assert moves.to_json(moves.from_json(json.loads(canonical(told)))) == json.loads(canonical(told))


# -- files that people write ------------------------------------------------------------------------------------------

WIDE_POLICY = """\
approvers: [oncall]
freezes:
  - {reason: sale, from: 2026-11-27T00:00, to: 2026-11-30T23:59, zone: Europe/Berlin, except: [fix]}
budgets: {per_hour: 10, per_target_per_hour: 2}
rules:
  - name: scale within bounds by day
    action: [scale_workload, "restart_*"]
    environment: production
    cluster: "eu-*"
    service: [web, checkout]
    hours: {days: [mon, tue, wed], from: 09:00, to: 18:30, zone: Europe/Berlin}
    arguments: {replicas: {min: 1, max: 10, at_most_times: 3}}
    verdict: ask
    approvers: [oncall, ann]
    quorum: 2
    approve_within: 30m
    execute_within: 10m
    requester_may_approve: false
  - {name: the rest, action: "*", verdict: suggest}
"""
CASES = """\
- name: by day
  action: scale_workload
  arguments: {workload: eu-1/shop/web, replicas: 5}
  circumstances: {environment: production, cluster: eu-1, service: web, at: 2026-11-24T10:00:00+01:00, now: {replicas: 3}}
  expect: ask
  quorum: 2
- {name: unknown, action: format_disk, expect: deny}
"""
STANCH = """\
backends:
  prometheus: [{name: eu, url: "http://127.0.0.1:9090", match: {cluster: eu-1}, timeout_s: 5}]
  kubernetes: [{name: eu-1, kubeconfig: kubeconfig, context: eu-1}]
runbooks: [runbooks]
llm: {model: m, timeout_s: 20, prices: {prompt: 2, completion: 8}, budget: {steps: 25, tokens: 200000}}
slack: {channel: "#ops", mode: socket}
serve: {remind_minutes: 10, max_body_mb: 8}
routes:
  - {match: ['severity=~"critical|page"'], depth: investigate, mentions: [U1]}
"""

BOOKS = [BOOK, *(p.read_text() for p in sorted(shipped("runbooks").rglob("*.md")))]
READS = {read.name: read.arguments for read in TOOLS.reads}
ACTIONS: dict[str, Any] = dict(TOOLS.by_name())
TODAY = date(2026, 11, 24)
POLICIES = [demo_env.POLICY, policy.SUGGEST_EVERYTHING, WIDE_POLICY]
REQUESTS = [
    Request(
        action,
        {"workload": "eu-1/shop/web", "replicas": 5},
        Target("workload", "web", "eu-1", "shop", "production", "web"),
        risk,
        NOW,
        {"replicas": 3},
        untrusted,
    )
    for action, risk, untrusted in (
        ("scale_workload", Risk.REVERSIBLE, ()),
        ("restart_workload", Risk.DISRUPTIVE, ()),
        ("x", Risk.DESTRUCTIVE, ("workload",)),
    )
]
CATALOG = lab_catalog(load("forecast-contention").draw(1), "http://127.0.0.1:9", "ann")


def runbook(chance: random.Random) -> bytes:
    """Mostly the front matter is changed; sometimes a block below it."""
    good = chance.choice(BOOKS)
    front, dashes, body = good.partition("\n---\n")
    if chance.random() < 0.7:
        return bytes_of(front, chance) + (dashes + body).encode()
    return bytes_of(good, chance)


def take_runbook(path: Path) -> None:
    lint_book(read_file(path), READS, ACTIONS, TODAY)


def configuration(chance: random.Random) -> tuple[str, bytes]:
    """policy.yaml, most of the time; its cases, catalog.yaml and stanch.yaml too."""
    kind = chance.choice(("policy",) * 5 + ("cases", "catalog", "stanch"))
    good = {"policy": chance.choice(POLICIES), "cases": CASES, "catalog": CATALOG, "stanch": STANCH}[kind]
    return kind, bytes_of(good, chance)


def take_configuration(kind: str, path: Path) -> None:
    """Read, and asked for everything that it decides."""
    match kind:
        case "policy":
            made = policy.load(path)
            for request in REQUESTS:
                made.rule(request)
                explain(made, request, ())
            policy_check.findings(path.read_text(), "policy.yaml", made, ACTIONS, None)
        case "cases":
            policy_tests.run(policy.parse(WIDE_POLICY), policy_tests.load(path), ACTIONS, NOW)
        case "catalog":
            catalogs.load(path)
        case "stanch":
            yaml_file.load(path, file_type())


def doors(folder: Path) -> tuple[WebhookEndpoints, ...]:
    """The doors; files are written into `folder`."""

    def book(body: bytes) -> None:
        path = folder / (f"{_name_in(body)}.md")
        path.write_bytes(body)
        try:
            take_runbook(path)
        finally:
            path.unlink()

    def configured(given: tuple[str, bytes]) -> None:
        path = folder / f"{given[0]}.yaml"
        path.write_bytes(given[1])
        take_configuration(given[0], path)

    return (
        WebhookEndpoints("alerts", alert_body, take_alerts),
        WebhookEndpoints("reasoner answers", model_answer, take_answer),
        WebhookEndpoints("runbooks", runbook, book),
        WebhookEndpoints("policy files", configuration, configured),
    )


def _name_in(body: bytes) -> str:
    """The name that a runbook gives itself, so that the file's name is none of its mistakes."""
    found = re.search(rb"^name: ([a-z-]+)$", body, re.MULTILINE)
    return found[1].decode() if found else "slow"
