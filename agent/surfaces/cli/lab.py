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
@click.pass_obj
def serve(session: Session, port: int, scenario: str, seed: int) -> int:
    """Serve it until interrupted: /metrics for a real Prometheus, and the faces of the whole platform."""
    from agent.lab.server import serve_real_time

    folder: Path = session.settings().data / "lab-served"
    asyncio.run(serve_real_time(folder, scenario, seed, port))
    return 0
