"""`stanch init`, `doctor`, `completion` and `version`: getting started, and finding out what is missing."""

from __future__ import annotations

import difflib
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from agent.errors import StanchError, Unsettled, UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, run
from tools.backends import BackendKind, Seen, health, installed, survey

if TYPE_CHECKING:
    from agent.api import App


@click.command()
def version() -> int:
    """Print the version."""
    out(f"stanch {installed_version('stanch')}")
    return Exit.OK


@click.command()
@click.argument("file", type=click.Choice(["stanch", "catalog", "policy", "cases", "scenario"]))
def schema(file: str) -> int:
    """Print the JSON schema of stanch.yaml, catalog.yaml, policy.yaml, a table of policy cases or a scenario, for an editor to check against."""
    from agent.domain import catalog
    from agent.gate.policy_file import PolicyFile
    from agent.gate.policy_tests import Cases
    from agent.lab.scenario import Scenario
    from agent.settings_file import file_type

    kinds: dict[str, type[BaseModel]] = {
        "stanch": file_type(),
        "catalog": catalog.file_type(),
        "policy": PolicyFile,
        "cases": Cases,
        "scenario": Scenario,
    }
    out_json(kinds[file].model_json_schema())
    return Exit.OK


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print a shell's completion script. For bash: eval "$(stanch completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root()
    out(found(root.command, {}, "stanch", "_STANCH_COMPLETE").source())
    return Exit.OK


class OfBackends(click.Command):
    """A command with one option more for each kind of backend, which says where it is."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*map(_option, installed()), *super().get_params(ctx)]


def _option(kind: BackendKind) -> click.Option:
    """The rest of the catalog is drafted from what Prometheus says, so that one has to be named."""
    needed = kind.kind == "prometheus"
    name = kind.kind if kind.address == "url" else kind.address
    words = f"Address of your {kind.title}" if kind.address == "url" else f"Path of a {kind.address}"
    example = ", such as http://prometheus:9090" if needed else ""
    return click.Option([f"--{name}", kind.kind], required=needed, help=f"{words}{example}.")


@click.command(cls=OfBackends)
@click.option("--dir", "folder", type=click.Path(file_okay=False), default=".", show_default=True)
@click.option("--write", is_flag=True, help="Replace files that differ; otherwise the difference is only shown.")
@click.pass_obj
def init(session: Session, /, folder: str, write: bool, **backends: str | None) -> int:
    """Write commented stanch.yaml, policy.yaml (suggest for everything) and a drafted catalog.yaml."""
    named = {kind: place.rstrip("/") for kind, place in backends.items() if place}
    for kind in installed():
        place = named.get(kind.kind, "")
        if place and kind.address == "url" and not place.startswith(("http://", "https://")):
            raise UnusableInput(f"--{kind.kind} {place!r} is no address. Give it as http://host:port.")
    return run(_init(session, Path(folder), named, write))


async def _init(session: Session, folder: Path, backends: dict[str, str], write: bool) -> int:
    from agent.gate.policy import SUGGEST_EVERYTHING
    from agent.platform import catalog_discovery

    seen = await _seen(session, backends)
    texts = {
        "stanch.yaml": catalog_discovery.settings(backends),
        "policy.yaml": SUGGEST_EVERYTHING,
        "catalog.yaml": catalog_discovery.catalog(seen, session.settings().os_user),
    }
    folder.mkdir(parents=True, exist_ok=True)
    differs = [name for name, text in texts.items() if not _placed(folder / name, text, write)]
    out(
        f"{len(seen.targets)} scrape targets, {len(seen.rules)} alerting rules, {len(seen.models)} registered models seen."
    )
    if differs:
        out(f"Left as they are: {', '.join(differs)}. `stanch init … --write` replaces them.")
    out("Next: stanch doctor; then confirm entries of catalog.yaml, and: stanch investigate ALERT.json")
    return Exit.OK


def _placed(path: Path, text: str, write: bool) -> bool:
    """Write a new file; show how an existing one differs and leave it unless told to replace it."""
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old == text:
        out(f"{path} is as it would be written.")
        return True
    if old is not None:
        names = (str(path), f"{path} (drafted now)")
        out("".join(difflib.unified_diff(old.splitlines(True), text.splitlines(True), *names)).rstrip())
        if not write:
            return False
    path.write_text(text, encoding="utf-8")
    out(f"{path} written.")
    return True


async def _seen(session: Session, backends: dict[str, str]) -> Seen:
    """What the named backends say of the platform, through the tools' own clients."""
    from dataclasses import replace

    from agent.settings_file import BackendEntry

    settings = session.settings()
    entries = {
        kind.kind: (BackendEntry.model_validate({"name": kind.kind, kind.address: backends[kind.kind]}),)
        for kind in installed()
        if kind.kind in backends
    }
    plain = replace(settings, backends=entries, catalog=None, policy=None, runbooks=())
    async with session.open(plain) as app:
        return await survey(app.api.context())


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option("--llm", is_flag=True, help="Also make two calls to the language model's endpoint and say what works.")
@click.pass_obj
def doctor(session: Session, as_json: bool, llm: bool) -> int:
    """Check each configured backend, the catalog, the policy and the reasoner; one line each with what to do."""
    return run(_doctor(session, as_json, llm))


async def _inbox(app: App) -> list[tuple[str, str, str]]:
    """Notifications that were kept and could not be read, for a person to look at."""
    from agent.domain.text import visible

    return [
        (
            "inbox",
            "wrong",
            f"{source} sent {receipt} at {at:%Y-%m-%d %H:%M} UTC: {visible(why, 200)} It is kept; mend the sender.",
        )
        for receipt, source, at, why in await app.inbox.quarantined(5)
    ]


async def _doctor(session: Session, as_json: bool, llm: bool) -> int:
    from agent.surfaces.live import check

    try:
        async with opened(session) as app:
            rows = [
                *_configuration(app),
                *await _memory(app),
                await _switch(app),
                *[row for b in app.backends.all for row in await _backend(app, b)],
                *_missing(app),
                *_sources(app),
                *await _inbox(app),
                *await check(app),
                *(await _llm(app) if llm else ()),
            ]
    except StanchError as error:
        rows = [("configuration", "wrong", str(error))]
    if as_json:
        out_json([{"what": what, "state": state, "text": text} for what, state, text in rows])
    else:
        for what, state, text in rows:
            out(f"{ {'ok': '✓', 'wrong': '✗', 'absent': '–'}[state] } {what:26} {text}")
    return Exit.FOUND if any(state == "wrong" for _, state, _ in rows) else Exit.OK


Row = tuple[str, str, str]


def _configuration(app: App) -> list[Row]:
    settings = app.settings
    unconfirmed = sum(not service.confirmed for service in app.catalog.services())
    catalog = f"{len(app.catalog.services())} services, {len(app.catalog.models())} models, {unconfirmed} not confirmed"
    person = app.api.person(f"os:{settings.os_user}")
    rows: list[Row] = [
        (
            "settings",
            "ok" if settings.file else "absent",
            str(settings.file or "no stanch.yaml; `stanch init` writes one"),
        ),
        (
            "catalog",
            "ok" if settings.catalog else "absent",
            catalog if settings.catalog else "none: everything is read-only",
        ),
        ("policy", "ok" if settings.policy else "absent", str(settings.policy or "none: every proposal is denied")),
        (
            "you",
            "ok" if person.name else "absent",
            f"{person.principal} is {person.name}"
            if person.name
            else f"{person.principal} is not in the catalog and cannot approve",
        ),
        (
            "reasoner",
            "ok",
            f"{settings.reasoner}" + (f" ({settings.llm.model})" if settings.reasoner == "openai" else ""),
        ),
        ("runbooks", "ok" if app.library.names() else "wrong", f"{len(app.library.names())} runbooks"),
    ]
    return rows + [(f"runbook {one.path.name}", "wrong", one.why) for one in app.library.broken]


async def _memory(app: App) -> list[Row]:
    """Where key and anchors lie, and what is not as it was anchored: nothing of that starts."""
    key, anchors, open_to = app.audit_key_place
    rows: list[Row] = [("audit", "ok", f"key: {key}{open_to}; anchors: {anchors}")]
    return rows + [(f"audit {name}", "wrong", why) for name, why in sorted((await app.api.unsettled()).items())]


async def _switch(app: App) -> Row:
    """Who has stopped everything: people with `stanch stop`, or the policy file."""
    try:
        why = await app.api.stopped() or app.policy().stopped()
    except Unsettled as error:
        return ("kill switch", "wrong", f"nobody can tell how it stands, so nothing starts: {error}")
    return ("kill switch", "wrong", f"{why}; `stanch resume` ends a stop") if why else ("kill switch", "ok", "off")


def _missing(app: App) -> list[Row]:
    return [
        (kind.kind, "absent", f"not configured: set {kind.variable}, or backends.{kind.kind} in stanch.yaml")
        for kind in installed()
        if not app.backends.has(kind.kind)
    ]


def _sources(app: App) -> list[Row]:
    """Of each source that signs, whether its signatures open its route."""
    from agent.sources import SOURCES

    return [
        (f"source {source.name}", "ok", f"{source.path}, with a token or its signature")
        if app.settings.door.secret_of(source.name).get_secret_value()
        else (f"source {source.name}", "absent", f"{source.path}: set {source.secret_variable} to take what it signs")
        for source in SOURCES
        if source.signs
    ]


async def _backend(app: App, backend: Any) -> list[Row]:
    """Whether it answers; and of a Prometheus, how much of what the reasoners look at it can tell."""
    name = f"{backend.kind} {backend.name}"
    try:
        rows = [(name, "ok", await health(backend))]
        return [*rows, await _signals(app, backend)] if backend.kind == "prometheus" else rows
    except StanchError as error:
        return [(name, "wrong", str(error))]


async def _signals(app: App, backend: Any) -> Row:
    """By the names of its metrics: one query."""
    from tools.prometheus.client import Prometheus
    from tools.signals.dialects import shipped, spoken
    from tools.signals.signal import names_of

    names = await names_of(Prometheus(backend, app.api.context().as_of))
    found = sum(spoken(one, names) is not None for one in shipped())
    state = "ok" if found else "absent"
    return (
        f"signals {backend.name}",
        state,
        f"{found} of {len(shipped())} signals resolve here; `stanch signals` names them",
    )


async def _llm(app: App) -> list[Row]:
    """Two calls to the language model's endpoint."""
    if app.settings.reasoner != "openai":
        why = (
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own"
            if not app.settings.api_key.get_secret_value()
            else "reasoner is runbook: set STANCH_REASONER=openai"
        )
        return [("llm", "absent", f"not used: {why}")]
    from agent.reasoner.llm.endpoint import Endpoint
    from agent.reasoner.llm.probe import probe

    llm = app.settings.llm
    endpoint = Endpoint(
        model=llm.model, api_key=app.settings.api_key.get_secret_value(), base_url=llm.base_url, timeout_s=llm.timeout_s
    )
    try:
        return [(what, state, app.redact(text)) for what, state, text in await probe(endpoint, llm.answer_tokens)]
    finally:
        await endpoint.close()
