"""The stage of a demo: a data folder of its own in which an incident and the lab's world are kept together."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import UnusableInput
from agent.settings import AuditSettings, Settings
from agent.settings_file import BackendEntry
from agent.surfaces.cli.session import Session, demo_folder

if TYPE_CHECKING:
    from agent.api import App, Listener
    from agent.domain.alert import Alert
    from agent.domain.timeline import Event
    from agent.lab.server import Lab

PATIENCE_S = 120.0  # the lab answers from this very process: what is slow is the machine, and it would change the story

POLICY = """\
# The demo's policy: everything is asked for, of whoever is on call. You are alone here, so what you edit you may approve.
approvers: [on-call]
rules:
  - {name: ask for everything, action: "*", verdict: ask, approve_within: 1h, execute_within: 15m, requester_may_approve: true}
"""


def scenarios() -> list[tuple[str, str]]:
    """Name and story of each."""
    from agent.lab.scenario import load, names

    return [(name, load(name).title) for name in names()]


def clear(session: Session) -> None:
    """A demo begins with an empty stage; its folder holds nothing but earlier demos."""
    shutil.rmtree(demo_folder(session.settings()), ignore_errors=True)


@asynccontextmanager
async def begun(
    session: Session, listeners: Sequence[Listener], scenario: str, seed: int, policy: str = POLICY, blind: bool = False
) -> AsyncIterator[tuple[App, list[Alert], Lab]]:
    """A new lab and the application over it, with the alerts that its Alertmanager would send."""
    from agent.lab.server import Lab
    from agent.sources.alertmanager import parse

    folder = demo_folder(session.settings())
    async with (
        Lab.open(folder / "lab", scenario, seed, blind=blind) as lab,
        _application(session, lab, folder, listeners, policy) as app,
    ):
        yield app, parse(json.dumps(lab.webhook_body()), lab.clock.now()), lab


@asynccontextmanager
async def staged(session: Session, listeners: Sequence[Listener] = ()) -> AsyncIterator[App]:
    """The demo as it was left, by a person or by a crash."""
    from agent.lab.server import Lab

    folder = demo_folder(session.settings())
    lab = Lab.resume(folder / "lab")
    if lab is None:
        raise UnusableInput("There is no demo to go on with. `stanch demo` begins one.")
    async with lab.served(), _application(session, lab, folder, listeners) as app:
        yield app


@asynccontextmanager
async def _application(
    session: Session, lab: Lab, folder: Path, listeners: Sequence[Listener], policy: str = POLICY
) -> AsyncIterator[App]:
    from agent.domain.notes import MoveMade
    from agent.lab.clock import LabClock

    settings = _settings(session.settings(), lab, folder, policy)

    def step(event: Event) -> None:
        """The lab's clock stands while anyone thinks, and goes on by one step a move."""
        if isinstance(event.payload, MoveMade) and isinstance(lab.clock, LabClock):
            lab.clock.advance()

    async with session.open(settings, clock=lab.clock, listeners=[step, *listeners]) as app:
        yield app


def _settings(own: Settings, lab: Lab, folder: Path, policy_text: str) -> Settings:
    """The person's settings with everything of the platform replaced by the lab's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    catalog, policy = folder / "catalog.yaml", folder / "policy.yaml"
    catalog.write_text(lab.catalog_yaml(own.os_user), encoding="utf-8")
    policy.write_text(policy_text, encoding="utf-8")
    from agent.lab.catalog import FACES

    kubeconfig = lab.kubeconfig(folder / "kubeconfig")
    backends: dict[str, tuple[BackendEntry, ...]] = {
        kind: (BackendEntry(name=kind, url=f"{lab.url}/{path}", timeout_s=PATIENCE_S),) for kind, path in FACES.items()
    }
    backends["kubernetes"] = tuple(
        BackendEntry(
            name=cluster,
            url=f"{lab.url}/kubernetes/{cluster}",
            match={"cluster": cluster},
            kubeconfig=kubeconfig,
            context=cluster,
            timeout_s=PATIENCE_S,
        )
        for cluster in lab.scenario.clusters
    )
    return replace(
        own,
        data=folder,
        catalog=catalog,
        policy=policy,
        backends=backends,
        drift_folders=(),
        grafana_url="",
        retraining_url=f"{lab.url}/retraining",
        database_url="",
        actions=(),
        audit=AuditSettings(),
        demo=True,
    )
