"""`stanch lab serve`: the simulated platform in real time, for a real Prometheus to scrape."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from agent.surfaces.cli.session import Session


@click.group()
def lab() -> None:
    """Serve the simulated platform."""


@lab.command()
@click.option("--port", default=9400, show_default=True)
@click.option("--scenario", default="forecast-contention", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--url", default="", help="Where others reach it, if not at that address.")
@click.option("--write", type=click.Path(path_type=Path), help="Folder for stanch.yaml and what belongs to it.")
@click.pass_obj
def serve(session: Session, port: int, scenario: str, seed: int, host: str, url: str, write: Path | None) -> int:
    """Serve it until interrupted: /metrics for a real Prometheus, and the faces of the whole platform.

    With --write, `stanch --config FOLDER/stanch.yaml serve` works on it.
    """
    from agent.lab.server import serve_real_time

    settings = session.settings()
    written = (write, settings.os_user) if write else None
    asyncio.run(serve_real_time(settings.data / "lab-served", scenario, seed, port, host, url, written))
    return 0
