"""The application as surfaces hold it. agent.app puts it together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from agent.api import Api
from agent.domain.catalog import Catalog
from agent.domain.redact import Redactor
from agent.domain.timeline import Event
from agent.gate.policy import Policy
from agent.library.index import Library
from agent.service.dispatcher import Dispatcher
from agent.service.escalation import Escalation
from agent.service.inbox import Inbox
from agent.service.outbox import Outbox
from agent.settings import Settings
from agent.store.lock import RunnerLock
from tools.context import Backends, Clock
from tools.toolbox import Tools

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class App:
    """Everything over one data folder. `clock` may be the lab's."""

    settings: Settings
    clock: Clock
    api: Api
    catalog: Catalog
    policy: Callable[[], Policy]  # what holds at this moment
    library: Library
    tools: Tools
    backends: Backends
    lock: RunnerLock
    redact: Redactor
    inbox: Inbox
    watch: Dispatcher
    escalation: Escalation
    audit_key_place: tuple[
        str, str, str
    ]  # where the audit key lies, where the anchors do, and who else can read the key
    outbox: Callable[[str], Outbox]  # of a surface, by its name
    warm: Callable[[], Awaitable[None]]  # loads ahead of the first incident; without it that one waits 2 s longer


class Opener(Protocol):
    """`agent.app.open_app`, handed to the surfaces by the entry point."""

    def __call__(
        self, settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = ()
    ) -> AbstractAsyncContextManager[App]: ...
