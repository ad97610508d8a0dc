"""`stanch subjects`: what each alert of a body is about, and how that was known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.errors import BadConfiguration, StanchError, UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.investigate import body_of
from agent.surfaces.cli.session import Session, opened, out, out_json, run

if TYPE_CHECKING:
    from agent.domain.catalog import Catalog
    from agent.platform.rules import RuleBook
    from tools.context import Subject

SEND = "Give the body of an Alertmanager webhook, a list of alerts, or one alert a line, each with `labels`."
MOST_LABELS = 200  # of one alert; Prometheus itself refuses far fewer in most houses


@click.command()
@click.argument("file", type=click.Path())
@click.option(
    "--rules", type=click.Path(), help="Prometheus' rules, as a file; else the configured Prometheus is asked."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list on stdout.")
@click.pass_obj
def subjects(session: Session, file: str, rules: str | None, as_json: bool) -> int:
    """What each alert in FILE (- for stdin) is about: first what it names itself, then what that belongs to.

    FILE holds a body as Alertmanager sends it, a list of alerts, or one alert a line."""
    return run(_subjects(session, read_alerts(body_of(file)), rules, as_json))


async def _subjects(session: Session, alerts: Sequence[Mapping[str, Any]], rules: str | None, as_json: bool) -> int:
    from agent.platform.subjects import subjects_of

    book, catalog = await _known(session, rules)
    rows = []
    for alert in alerts:
        labels: Mapping[str, str] = alert["labels"]
        rule = book.of(labels, alert["generatorURL"])
        rows.append((labels.get("alertname", ""), subjects_of(labels, rule, book.recorded, catalog=catalog)))
    if as_json:
        out_json([{"alertname": name, "subjects": [one.to_json() for one in found]} for name, found in rows])
    else:
        for name, found in rows:
            _say(name, found)
    return Exit.OK


def _say(name: str, found: Sequence[Subject]) -> None:
    from agent.domain.text import visible

    out(visible(name, 200) or "(an alert without a name)")
    for one in found:
        where = "/".join(part for part in (one.cluster, one.namespace, one.name) if part)
        out(f"  {visible(one.kind, 60):24} {visible(where, 300) or '(the whole of it)'}  ({visible(one.how, 300)})")
    if not found:
        out("  about nothing that its labels and its rule name")


async def _known(session: Session, rules: str | None) -> tuple[RuleBook, Catalog]:
    """The rules and the catalog, as far as they can be had."""
    from agent.domain import catalog
    from agent.platform.rules import RuleBook, read_rules

    settings = session.settings()
    known = catalog.load(settings.catalog) if settings.catalog else catalog.Catalog()
    if rules is not None:
        try:
            return read_rules(Path(rules)), known
        except BadConfiguration as error:
            raise UnusableInput(f"{error} Give a file of Prometheus rules (groups, each with rules).") from None
    if settings.backends.get("prometheus"):
        return await _asked(session), known
    return RuleBook(), known


async def _asked(session: Session) -> RuleBook:
    """The rules of every configured Prometheus; what cannot be asked is said, and labels have to do."""
    from agent.platform.rules import rules_listed
    from tools.prometheus.client import Prometheus

    listed: list[Any] = []
    async with opened(session) as app:
        context = app.api.context()
        for backend in context.backends.of("prometheus"):
            server = Prometheus(backend, context.as_of)
            try:
                listed += [*await server.rules("alert"), *await server.rules("record")]
            except StanchError as error:
                sys.stderr.write(f"The rules of {backend.name} were not read: {error} Labels have to do.\n")
    return rules_listed(listed)


# -- what comes in ------------------------------------------------------------------------------------------------


def read_alerts(body: bytes) -> list[dict[str, Any]]:
    """Labels and generatorURL of each alert in a body; UnusableInput says what was seen and what to give."""
    text = body.decode("utf-8-sig", "replace")
    if not text.strip():
        raise UnusableInput(f"The input is empty. {SEND}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        data = _lines(text, error)
    listed = data.get("alerts", [data]) if isinstance(data, Mapping) else data
    if not isinstance(listed, list) or not listed:
        raise UnusableInput(f"There are no alerts in it. {SEND}")
    return [_alert(one, place) for place, one in enumerate(listed, 1)]


def _lines(text: str, error: Exception) -> list[Any]:
    found = []
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) < 2:
        raise UnusableInput(f"This is not JSON ({_short(error)}); it starts with {text[:40]!r}. {SEND}")
    for number, line in lines:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError) as wrong:
            raise UnusableInput(f"Line {number} is not JSON ({_short(wrong)}). {SEND}") from None
    return found


def _short(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _alert(one: Any, place: int) -> dict[str, Any]:
    if not isinstance(one, Mapping) or not isinstance(one.get("labels"), Mapping) or not one["labels"]:
        raise UnusableInput(f"Alert {place} has no `labels`. {SEND}")
    if len(one["labels"]) > MOST_LABELS:
        raise UnusableInput(f"Alert {place} has {len(one['labels'])} labels; at most {MOST_LABELS} are read.")
    url = one.get("generatorURL")
    labels = dict(_texts(one["labels"], place))
    return {"labels": labels, "generatorURL": _plain(url) if isinstance(url, str) else ""}


def _texts(labels: Mapping[str, Any], place: int) -> Iterator[tuple[str, str]]:
    for name, value in labels.items():
        if isinstance(value, Mapping | list):
            raise UnusableInput(f"Alert {place}: the label {_plain(name)!r} is no text. {SEND}")
        yield _plain(name), "" if value is None else _plain(value if isinstance(value, str) else json.dumps(value))


def _plain(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
