"""`stanch serve`: the always-on service. The webhooks, the dispatcher and the surfaces, in one process over one data folder."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from agent.errors import BadConfiguration, UnusableInput
from agent.surfaces.cli.logs import log_as_json, logged
from agent.surfaces.cli.session import Session, lock_or_busy

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Server

    from agent.api import App, Listener
    from agent.domain.timeline import Event
    from agent.settings_file import ServeSection
    from agent.surfaces.live import Live

log = logging.getLogger("stanch.serve")
WARMING_S = 30.0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.pass_obj
def serve(session: Session, host: str, port: int) -> int:
    """Answer Alertmanager's webhooks, work incidents, and talk in Slack, until stopped."""
    from uvicorn import Config

    log_as_json(session.redactor())
    with asyncio.Runner(loop_factory=Config("", loop="auto").get_loop_factory()) as runner:  # uvloop where it is there
        runner.run(_serve(session, host, port))
    return 0


async def _serve(session: Session, host: str, port: int) -> None:
    from agent.surfaces.live import open_configured

    settings = session.settings()
    loopback = _is_loopback(host)
    if not loopback and not settings.door.tokens:
        raise BadConfiguration(
            f"Listening on {host} lets others in, and no token is set. Set STANCH_WEBHOOK_TOKENS (one, or two separated by "
            "a comma while you change it), or listen on 127.0.0.1."
        )
    listener = _listener(host, port)
    listeners: list[Listener] = [logged]

    def heard(event: Event) -> None:
        for one in listeners:
            one(event)

    async with session.open(settings, listeners=[heard]) as app:
        lock_or_busy(app)
        surfaces = await open_configured(app)
        listeners += [one.heard for one in surfaces]
        await _run(app, surfaces, listener, loopback, session)


async def _run(app: App, surfaces: Sequence[Live], listener: socket.socket, loopback: bool, session: Session) -> None:
    """Everything side by side, until a signal; then no new work, runs rest, what is in hand is answered."""
    from agent.surfaces.webhook import Readiness, build

    readiness = Readiness()
    api = build(app, readiness, loopback, [route for one in surfaces for route in one.routes()])
    for one in surfaces:
        one.measure(api.state.measures.registry)
    server = _server(api, app.settings.serve)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        # from now on it lives; until it is ready, senders are told to come back
        answering = tasks.create_task(server.serve(sockets=[listener]))
        await _warmed(app)
        gc.freeze()  # what is loaded stays: looking through it for garbage would hold everything up for a tenth of a second
        watching = tasks.create_task(app.watch.run())
        talking = [tasks.create_task(task) for one in surfaces for task in one.tasks()]
        readiness.ready = True
        _say(session, app, surfaces, listener, loopback)
        await asyncio.wait([tasks.create_task(stop.wait()), watching, answering], return_when=asyncio.FIRST_COMPLETED)
        readiness.draining = True
        app.watch.stop()
        await watching
        for one in surfaces:
            await one.close()
        await asyncio.gather(*talking)
        server.should_exit = True
        stop.set()


async def _warmed(app: App) -> None:
    """Whatever goes wrong with it, the service becomes ready: the first incident then loads what it needs, or says what is wrong."""
    try:
        async with asyncio.timeout(WARMING_S):
            await app.warm()
    except Exception:
        log.exception("not everything is loaded ahead; the first incident will take longer")


def _server(api: FastAPI, limits: ServeSection) -> Server:
    """A server that leaves signals to us: first the dispatcher rests, then the webhooks close."""
    import uvicorn

    from agent.surfaces.webhook.limits import configured

    class Unsignalled(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Unsignalled(configured(api, limits, timeout_graceful_shutdown=10))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket:
    """The socket, before anything else is opened: an address that is taken is said at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UnusableInput(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. Choose another --port."
        ) from None
    listener.setblocking(False)
    return listener


def _say(session: Session, app: App, surfaces: Sequence[Live], listener: socket.socket, loopback: bool) -> None:
    host, port = listener.getsockname()[:2]
    from agent.surfaces.live import absent

    missing = [f"no {title} (see `stanch doctor`)" for title in absent(app)]
    where = ", ".join([*(one.where for one in surfaces), *missing])
    known = "anybody on this machine" if loopback and not app.settings.door.tokens else "whoever has a token"
    session.console.print(
        f"Listening on http://{host}:{port} for {known}; {where}; reasoner {app.settings.reasoner}.\n"
        f"Alertmanager's receiver: POST http://{host}:{port}/v1/webhooks/alertmanager"
    )
