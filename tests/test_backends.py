"""A kind of backend is one entry: settings, doctor, init, "not checked", tools and redaction follow, also for a plug-in's."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from agent.app import open_app
from agent.domain.redact import Redactor
from agent.errors import BadConfiguration
from agent.settings import read
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tests.command_line import TOP, Run
from tests.warm import Warm
from tools.backends import BACKENDS, health, installed

PLUG_IN = '''
from tools.backends import BackendKind, Seen, answering
from tools.context import Context
from tools.spec import Answer, read


async def told(context: Context) -> Seen:
    return Seen(models=[{"name": "urgency", "aliases": []}])


@read(needs="tickets")
async def open_tickets(context: Context) -> Answer:
    """Tickets that are open."""
    return Answer("none")


TICKETS = BackendKind(
    "tickets", "ticket api", answering("/status", lambda body: f"Tickets {body['version']}"), "open tickets", discover=told
)
'''
ENTRIES = "[stanch.backends]\ntickets = ticket_desk:TICKETS\n[stanch.tools]\nopen_tickets = ticket_desk:open_tickets\n"
TOKEN = "correct-horse-battery"
ANSWERS = {
    "/status": {"version": "7"},
    "/api/v1/targets": {"data": {"activeTargets": [{"labels": {"service": "checkout"}}]}},
    "/api/v1/rules": {"data": {"groups": []}},
    "/api/v1/query": {"data": {"result": []}},
}
FIRING = TOP / "tests" / "fixtures" / "alertmanager" / "0.25" / "first-firing.json"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package that brings a kind of backend and a read of it."""
    folder = tmp_path_factory.mktemp("site")
    about = folder / "ticket_desk-1.dist-info"
    about.mkdir()
    (folder / "ticket_desk.py").write_text(PLUG_IN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ticket-api\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    return folder


@pytest.fixture
def plug_in(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is installed where this test runs."""
    monkeypatch.syspath_prepend(str(site))


@pytest.fixture(scope="module")
def there(site: Path, quiet_data_folder: None) -> Iterator[Warm]:
    """The command line, where the package is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        process = Warm()
    yield process
    process.close()


class Answering(BaseHTTPRequestHandler):
    """A ticket api that wants its token, and as much of a Prometheus as `init` needs."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        closed = path == "/status" and self.headers.get("Authorization") != f"Bearer {TOKEN}"
        self.send_response(401 if closed else 200)
        self.end_headers()
        self.wfile.write(json.dumps(ANSWERS.get(path, {"data": []})).encode())

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


@dataclass(frozen=True)
class Place:
    """A folder in which somebody works."""

    folder: Path
    indexed: Path
    warm: Warm

    def __call__(self, *args: str | Path, **env: str) -> Run:
        """One call with a data folder of its own."""
        data = self.folder / f"data-{len(list(self.folder.glob('data-*')))}"
        shutil.copytree(self.indexed, data)
        return self.warm.stanch("--data", data, *args, env=env, cwd=self.folder)


@pytest.fixture
def place(there: Warm, tmp_path: Path, indexed: Path) -> Place:
    return Place(tmp_path, indexed, there)


def test_a_kind_from_a_package_has_settings_and_its_token_is_redacted(
    plug_in: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stanch.yaml").write_text("backends: {tickets: [{url: 'http://api', token_env: DESK_TOKEN}]}\n")
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    settings = read({}, tmp_path)
    assert [entry.url for entry in settings.backends["tickets"]] == ["http://api"]
    assert TOKEN not in Redactor(settings.every_secret)(f"the api took {TOKEN}")
    monkeypatch.setenv("STANCH_TICKETS_URL", "http://other/")
    monkeypatch.setenv("STANCH_TICKETS_TOKEN", "another-secret-word")
    settings = read({}, tmp_path)
    assert [(e.url, e.token_env) for e in settings.backends["tickets"]] == [("http://other", "STANCH_TICKETS_TOKEN")]
    assert "another-secret-word" not in Redactor(settings.every_secret)("it says another-secret-word")


def test_a_slip_in_the_name_of_a_packages_kind_is_mended(plug_in: None, tmp_path: Path) -> None:
    (tmp_path / "stanch.yaml").write_text("backends: {ticket: []}\n")
    with pytest.raises(BadConfiguration, match="Did you mean 'tickets'"):
        read({}, tmp_path)


def test_doctor_asks_a_packages_kind_and_says_what_is_wrong_or_missing(place: Place, server: str) -> None:
    works = place("doctor", STANCH_TICKETS_URL=server, STANCH_TICKETS_TOKEN=TOKEN)
    assert f"✓ tickets tickets            Tickets 7 at {server}" in works.out
    closed = place("doctor", STANCH_TICKETS_URL=server)
    assert closed.code == 7
    assert "✗ tickets tickets" in closed.out
    missing = place("doctor").out
    assert "– tickets                    not configured: set STANCH_TICKETS_URL, or backends.tickets" in missing


def test_init_takes_a_packages_kind_and_drafts_from_what_it_says(place: Place, tmp_path: Path, server: str) -> None:
    run = place("init", "--prometheus", server, "--tickets", server)
    assert "1 scrape targets, 0 alerting rules, 1 registered models seen" in run.out, run.err
    assert yaml.safe_load((tmp_path / "stanch.yaml").read_text())["backends"]["tickets"] == [{"url": server}]
    assert list(yaml.safe_load((tmp_path / "catalog.yaml").read_text())["models"]) == ["urgency"]
    again = place("init", "--prometheus", server, "--write")
    assert again.code == 0, again.err
    assert "  # tickets:\n  #   - url: http://…\n" in (tmp_path / "stanch.yaml").read_text()


def test_what_a_packages_kind_shows_is_not_checked_only_where_none_is_configured(place: Place, server: str) -> None:
    def unchecked(**env: str) -> list[str]:
        shown = place("investigate", FIRING, "--json", STANCH_REASONER="runbook", **env).json
        return [one["why"] for one in shown["not_checked"] if one["what"] == "open tickets"]

    assert unchecked() == ["no tickets is configured"]
    assert unchecked(STANCH_TICKETS_URL=server) == []


def test_a_read_of_a_packages_kind_is_offered_where_one_is_configured(place: Place, server: str) -> None:
    def offered(**env: str) -> bool:
        rows = place("tools", "list", "--json", **env).json
        return next(bool(row["offered"]) for row in rows if row["name"] == "open_tickets")

    assert not offered()
    assert offered(STANCH_TICKETS_URL=server)


def test_the_schema_of_the_settings_has_each_kind(place: Place, plug_in: None) -> None:
    schema = place("schema", "stanch").json
    assert set(schema["$defs"]["BackendsSection"]["properties"]) == {kind.kind for kind in installed()}


async def test_the_demo_shows_every_shipped_kind_and_each_answers_doctor(tmp_path: Path) -> None:
    session = Session(open_app, {"data": str(tmp_path), "reasoner": "runbook"})
    async with demo_env.begun(session, [], "forecast-contention", 1) as (app, _, lab):
        assert {backend.kind for backend in app.backends.all} == {kind.kind for kind in BACKENDS}
        for backend in app.backends.all:
            assert (await health(backend)).endswith(f" at {backend.url}")
            assert backend.url.startswith(lab.url)


def test_the_readme_names_the_settings_of_every_kind() -> None:
    text = (TOP / "README.md").read_text()
    assert readme_row() in text
    assert "`stanch.backends`" in text


def readme_row() -> str:
    """The row of backends in its table of settings."""
    by_url = ",".join(kind.kind.upper() for kind in BACKENDS if kind.address == "url")
    others = [f"`{kind.variable}`" for kind in BACKENDS if kind.address != "url"]
    variables = ", ".join([f"`STANCH_{{{by_url}}}_URL`", "`…_TOKEN`", *others])
    return f"| backends | {variables} | `backends: {{prometheus: [{{url, public_url, match, token_env, token_file, headers, "
