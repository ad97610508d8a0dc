"""The composition root: from Settings to every object, in reading order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from agent.api import Api, App, Listener
from agent.clock import RealClock
from agent.domain import catalog as catalogs
from agent.domain.catalog import Catalog
from agent.domain.payload import Payload
from agent.domain.redact import Redactor
from agent.domain.timeline import Event
from agent.gate import approval, startup_audit
from agent.gate.executor import Executor
from agent.gate.known_tools import known
from agent.gate.live_policy import StandingPolicy
from agent.gate.preflight import Entitled
from agent.graph import checkpoints
from agent.graph.graph import build, steps_of
from agent.graph.run_context import RunContext
from agent.graph.steps.propose import Judge
from agent.graph.talk import Talk
from agent.graph.worker import Worker
from agent.library.index import Library
from agent.platform.connections import Trust, client
from agent.reasoner.protocol import Reasoner
from agent.service.dispatcher import Chore, Dispatcher
from agent.service.escalation import Escalation
from agent.service.inbox import Inbox
from agent.service.outbox import Outbox
from agent.service.reconcile import missed
from agent.service.routing import Routes
from agent.service.suggestion_followup import SuggestionFollowup
from agent.settings import Settings, shipped
from agent.store import timeline
from agent.store.audit_key import AuditKeyPlace
from agent.store.database import Database
from agent.store.lock import RunnerLock
from tools.context import Backend, Backends, Clock
from tools.errors import ToolFailed

TAKING_OVER = 25  # moves that the runbook reasoner has at least, beside those of a model
SIGN_IN_S = 3.0  # at most, for each cluster, before the service is ready
PAGER_S, RECONCILE_S, PRUNE_S = (
    15.0,
    300.0,
    3_600.0,
)  # seconds between two looks: at whom nobody answers, at what was missed, at what is old


class Feed:
    """Tells listeners what was appended to a timeline, in order and once, after it was committed.

    `seen` are the newest events that are no news: those that were there when the application was opened.
    """

    def __init__(self, db: Database, listeners: Sequence[Listener], seen: Mapping[str, int]) -> None:
        self._db = db
        self._listeners = tuple(listeners)
        self._seen = dict(seen)
        self._turn = asyncio.Lock()

    async def publish(self, *incidents: str, told: Sequence[Event] = ()) -> None:
        """`told` are committed events that need not be read again, each incident's in order."""
        if not self._listeners or not incidents:
            return
        at_hand: dict[str, list[Event]] = {}
        for event in told:
            at_hand.setdefault(event.incident, []).append(event)
        async with self._turn, self._db.read() as tx:  # two at once would tell the same events twice
            for incident in incidents:
                seen = self._seen.get(incident, 0)
                fresh = at_hand.get(incident, [])
                if not fresh or fresh[0].n != seen + 1:
                    fresh = await timeline.events(tx, incident, seen)
                self._tell(fresh)

    def _tell(self, fresh: Sequence[Event]) -> None:
        for event in fresh:
            self._seen[event.incident] = event.n
            for listener in self._listeners:
                listener(event)


@asynccontextmanager
async def open_app(
    settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = (), reasoner: Reasoner | None = None
) -> AsyncIterator[App]:
    """The application over one data folder. Nothing runs until the api is asked to."""
    checkpoints.require_strict()
    async with AsyncExitStack() as stack:
        now, redact = clock or RealClock(), Redactor(settings.every_secret)
        catalog = catalogs.load(settings.catalog) if settings.catalog else Catalog()
        policy, tools, trust = StandingPolicy(settings.policy), known(settings), Trust(settings)
        backends = await _backends(settings, trust, stack)
        db = await Database.open(settings.database_url, settings.data, redact, _custody(settings))
        stack.push_async_callback(db.close)
        await startup_audit.open_memory(db, now)
        library = Library.open(settings.runbooks, settings.data / "index")
        stack.push_async_callback(_disconnect, backends)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=10.0, trust_env=False, verify=trust.default))
        run_context = RunContext(
            db, now, library, lambda: catalog, tools, backends, redact, settings.data / "reports", http
        )
        executor = Executor(db, now, policy, tools.by_name(), run_context.context_of, _entitled(catalog, settings.demo))
        judge = Judge(run_context, executor)
        async with db.read() as tx:
            feed = Feed(db, listeners, await timeline.heads(tx))
        chosen = reasoner or _reasoner(settings, db, now, redact, feed.publish)
        moves = max(settings.llm.budget.steps, 0 if settings.reasoner == "runbook" else TAKING_OVER)
        steps = steps_of(run_context, chosen, judge, moves)

        async def graph() -> Any:
            return build(steps, redact, await _saver(settings, stack), feed.publish)

        worker = Worker(run_context, judge, graph)
        followup = SuggestionFollowup(judge)
        api = Api(run_context, worker, judge, Talk(run_context, chosen), followup)
        box, refused = Inbox(db, now), asyncio.Event()
        box.on_refusal = refused.set
        escalation = Escalation(
            run_context, timedelta(minutes=settings.serve.remind_minutes), settings.serve.public_url
        )
        chores = (
            Chore(PAGER_S, escalation.look),
            Chore(RECONCILE_S, partial(_reconcile, run_context, box), refused),
            Chore(RECONCILE_S, followup.look),
            Chore(PRUNE_S, box.prune),
        )
        routes = Routes.of(settings.routes, settings.slack.channel)
        watch = Dispatcher(run_context, worker, box, routes, settings.serve, feed.publish, chores)
        lock = RunnerLock(settings.data)
        stack.callback(lock.release)
        held = (settings, now, api, catalog, policy, library, tools, backends, lock, redact, box, watch, escalation)
        where = _custody(settings).where(settings.data)
        yield App(*held, where, partial(Outbox, db, now), partial(_warm, worker, library, backends))


async def _reconcile(run_context: RunContext, box: Inbox) -> None:
    """What fired or cleared while nobody listened goes the way of a notification."""
    if alerts := await missed(run_context):
        await box.accept("reconcile", alerts)


async def _warm(worker: Worker, library: Library, backends: Backends) -> None:
    """Load what the first incident would wait for: the runbooks' index, the graph, the way into each cluster."""
    await asyncio.to_thread(library.warm)
    await worker.warm()
    for backend in backends.of("kubernetes"):
        from tools.kubernetes.client import connect

        with suppress(ToolFailed, TimeoutError):  # a cluster that does not answer is told of by the read that wants it
            async with asyncio.timeout(SIGN_IN_S):
                await connect(backend)


async def _disconnect(backends: Backends) -> None:
    """Close what the Kubernetes client opened on its own, before the loop goes."""
    if backends.has("kubernetes"):
        from tools.kubernetes.client import disconnect

        for backend in backends.of("kubernetes"):
            await disconnect(backend)


async def _saver(settings: Settings, stack: AsyncExitStack) -> Any:
    """Checkpoints in a file of their own, so that the store's writer never waits for them."""
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    path = settings.data / "checkpoints.db"
    path.touch(mode=0o600)
    connection = await stack.enter_async_context(aiosqlite.connect(path))
    await connection.execute("PRAGMA synchronous=FULL")
    saver = AsyncSqliteSaver(connection, serde=checkpoints.serializer())
    await saver.setup()
    return saver


async def _backends(settings: Settings, trust: Trust, stack: AsyncExitStack) -> Backends:
    found = []
    for kind, entries in settings.backends.items():
        for i, entry in enumerate(entries):
            http = client(entry, settings, trust)
            await stack.enter_async_context(http)
            name = entry.name or (kind if len(entries) == 1 else f"{kind}-{i + 1}")
            found.append(
                Backend(
                    kind,
                    name,
                    entry.url.rstrip("/"),
                    http,
                    entry.public_url,
                    entry.match,
                    entry.kubeconfig,
                    entry.context,
                )
            )
    return Backends(tuple(found), settings.drift_folders, settings.grafana_url, settings.retraining_url)


def _custody(settings: Settings) -> AuditKeyPlace:
    audit = settings.audit
    return AuditKeyPlace(audit.key.get_secret_value(), audit.key_file, audit.anchors, audit.to_log)


def _entitled(catalog: Catalog, demo: bool) -> Entitled:
    """Whether a person of the catalog is among the approvers today, by name or by group."""

    def entitled(person: str, approvers: Sequence[str]) -> bool:
        return (demo and person == approval.DEMO) or approval.entitled(person, catalog.groups_of(person), approvers)

    return entitled


def _reasoner(
    settings: Settings, db: Database, clock: Clock, redact: Redactor, publish: Callable[[str], Awaitable[None]]
) -> Reasoner:
    """The runbook reasoner, or a language model that fails over to it in mid-incident."""
    from agent.reasoner.rules.runbook_reasoner import RunbookReasoner

    if settings.reasoner == "runbook":
        return RunbookReasoner()
    from agent.reasoner.failover import Failover
    from agent.reasoner.llm.budget import Limits, Prices
    from agent.reasoner.llm.openai_reasoner import OpenAIReasoner

    async def money_today() -> float:
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        async with db.read() as tx:
            return await timeline.money_since(tx, midnight)

    async def tell(incident: str, note: Payload) -> None:
        """At once, and not with the move: so that people see what is waited for."""
        async with db.write() as tx:
            await timeline.append(tx, incident, note, OpenAIReasoner.name, clock.now())
        await publish(incident)

    llm, budget = settings.llm, settings.llm.budget
    first = OpenAIReasoner(
        model=llm.model,
        api_key=settings.api_key.get_secret_value(),
        prompts=shipped("prompts"),
        base_url=llm.base_url,
        timeout_s=llm.timeout_s,
        prices=Prices(llm.prices.prompt, llm.prices.completion),
        limits=Limits(budget.steps, budget.tokens, budget.seconds, budget.money, budget.money_a_day),
        money_today=money_today,
        redact=redact,
        answer_tokens=llm.answer_tokens,
        tell=tell,
    )
    return Failover(first, RunbookReasoner())
