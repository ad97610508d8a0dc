"""A surface is one entry: settings, redaction, doctor, serve, and approval by the people it verifies follow from it."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent.api import App
from agent.app import open_app
from agent.domain import people
from agent.domain.catalog import Catalog
from agent.domain.people import Identity
from agent.domain.redact import Redactor
from agent.domain.timeline import Event, EventKind
from agent.errors import BadConfiguration, NotEntitled
from agent.settings import Settings, read
from agent.surfaces import live, table
from agent.surfaces.cli import demo_env, serve
from agent.surfaces.cli.session import Session
from agent.surfaces.table import Remote, Surface
from tests.graph.test_graph import END, LOOK, Scripted, replicas, scale

TOKEN = "seed-and-water"
FIRING = Path(__file__).parents[1] / "fixtures" / "alertmanager" / "0.25" / "first-firing.json"


class LoftSection(BaseModel):
    model_config = ConfigDict(extra="forbid")

    place: str = ""


@dataclass(frozen=True)
class LoftSettings:
    token: SecretStr
    place: str

    @property
    def configured(self) -> bool:
        return bool(self.place)

    @property
    def begun(self) -> bool:
        return bool(self.place)


def settings_of(env: Mapping[str, str], section: LoftSection) -> LoftSettings:
    return LoftSettings(SecretStr(env.get("PIGEON_TOKEN", "")), section.place)


@dataclass
class Loft:
    """What runs of it in `serve`."""

    opened: ClassVar[list[Loft]] = []
    where: str
    told: list[Event] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    flown: bool = False

    @classmethod
    async def open(cls, app: App) -> Loft:
        cls.opened.append(cls(f"pigeons at {app.settings.surfaces['pigeon'].place}"))
        return cls.opened[-1]

    def heard(self, event: Event) -> None:
        self.told.append(event)
        self.arrived.set()

    def routes(self) -> Sequence[Route]:
        async def landing(request: Request) -> PlainTextResponse:
            return PlainTextResponse("coo")

        return [Route("/pigeon/landing", landing, methods=["GET"])]

    def measure(self, registry: CollectorRegistry) -> None:
        Gauge("stanch_pigeons", "Pigeons in the loft.", registry=registry).set(3)

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (self._fly(),)

    async def _fly(self) -> None:
        self.flown = True
        await self.ended.wait()

    async def close(self) -> None:
        self.ended.set()


async def checked(settings: LoftSettings, catalog: Catalog) -> list[live.Row]:
    return [("pigeon loft", "ok", f"{settings.place}, {len(catalog.people)} people")]


PIGEON = Surface(
    "pigeon",
    "Pigeons",
    Identity("pigeon", "pigeon"),
    Remote(
        LoftSection, settings_of, f"{__name__}:Loft.open", f"{__name__}:checked", "build a loft, then set pigeon.place"
    ),
)


@pytest.fixture(autouse=True)
def one_more_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SURFACES", (*table.SURFACES, PIGEON))
    monkeypatch.setattr(people, "IDENTITIES", (*people.IDENTITIES, PIGEON.identity))
    Loft.opened.clear()


def configured(folder: Path) -> Settings:
    (folder / "stanch.yaml").write_text("pigeon: {place: north tower}\n")
    return read({"data": str(folder / "data"), "reasoner": "runbook"}, cwd=folder)


def test_its_section_is_read_and_its_secret_is_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCH_PIGEON_TOKEN", TOKEN)
    settings = configured(tmp_path)
    assert settings.surfaces["pigeon"].place == "north tower"
    assert TOKEN not in Redactor(settings.every_secret)(f"the pigeon ate {TOKEN}")
    (tmp_path / "stanch.yaml").write_text("pigeon: {plaice: north tower}\n")
    with pytest.raises(BadConfiguration, match="Did you mean 'place'"):
        read({}, tmp_path)


async def test_doctor_looks_at_it_where_it_is_set_up_and_says_how_to_begin_where_not(tmp_path: Path) -> None:
    async with open_app(configured(tmp_path)) as app:
        assert ("pigeon loft", "ok", "north tower, 0 people") in await live.check(app)
    (tmp_path / "stanch.yaml").unlink()
    async with open_app(read({"data": str(tmp_path / "data"), "reasoner": "runbook"}, cwd=tmp_path)) as app:
        assert ("pigeon", "absent", "not configured: build a loft, then set pigeon.place") in await live.check(app)
        assert live.absent(app) == ["Slack", "Pigeons"]


async def test_serve_opens_it_mounts_its_routes_tells_it_what_happens_and_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(tmp_path)
    monkeypatch.chdir(tmp_path)
    port = free_port()
    session = Session(open_app, {"data": str(tmp_path / "data"), "reasoner": "runbook"})
    serving = asyncio.create_task(serve._serve(session, "127.0.0.1", port))
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await _ready(client)
            (loft,) = Loft.opened
            assert loft.flown
            assert (await client.get("/pigeon/landing")).text == "coo"
            assert "stanch_pigeons 3.0" in (await client.get("/metrics")).text
            body = json.loads(FIRING.read_text())
            assert (await client.post("/v1/webhooks/alertmanager", json=body)).status_code == 202
            await loft.arrived.wait()
            assert loft.told[0].kind is EventKind.ALERT
            signal.raise_signal(signal.SIGTERM)
            await serving
            assert loft.ended.is_set(), "it is closed before the service ends"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert "pigeons at north tower, no Slack (see" in " ".join(capsys.readouterr().err.split())


async def _ready(client: httpx.AsyncClient) -> None:
    while True:
        try:
            if (await client.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)


def _opened(settings: Settings, clock: Any = None, listeners: Any = ()) -> AbstractAsyncContextManager[App]:
    """The demo's application, with people whom the pigeons know."""
    assert settings.catalog is not None
    catalog = yaml.safe_load(settings.catalog.read_text())
    catalog["people"] |= {"cleo": {"pigeon": "coo-7"}, "otto": {"pigeon": "coo-8"}}
    catalog["groups"]["on-call"] = ["cleo"]
    settings.catalog.write_text(yaml.safe_dump(catalog))
    return open_app(settings, clock, listeners, Scripted([LOOK, scale(), END]))


async def test_a_person_it_has_verified_approves_where_the_catalog_entitles_them(tmp_path: Path) -> None:
    session = Session(_opened, {"data": str(tmp_path)})
    async with demo_env.begun(session, [], "forecast-contention", 1) as (app, alerts, _):
        (received,) = await app.api.receive(alerts[:1])
        rest = await app.api.work(str(received.incident))
        proposal = await app.api.proposal(str(rest.proposal))
        decide = functools.partial(app.api.decide, proposal.id, proposal.digest)
        for refused, why in (("pigeon:coo-9", "nobody"), ("raven:coo-7", "nobody"), ("pigeon:coo-8", "otto may not")):
            with pytest.raises(NotEntitled, match=why):
                await decide(app.api.person(refused), "approve")
        await decide(app.api.person("pigeon:coo-7"), "approve")
        await app.api.work(str(received.incident))
        assert await replicas(app) == 6
        decisions = [e for e in await app.api.events(str(received.incident)) if e.kind is EventKind.DECISION]
        assert [(one.actor, one.data["person"]) for one in decisions] == [("pigeon:coo-7", "cleo")]


async def test_every_shipped_surface_can_be_loaded_and_its_people_are_known() -> None:
    for surface in table.SURFACES:
        assert surface.identity in people.IDENTITIES
        assert people.is_person(surface.identity.principal("somebody"))
    for remote in table.remotes().values():
        assert callable(live._load(remote.live))
        assert callable(live._load(remote.checks))
