"""`stanch slack`: setting up the Slack app."""

from __future__ import annotations

import click

from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, out, out_json


@click.group()
def slack() -> None:
    """Set up the Slack app."""


@slack.command("manifest")
@click.option("--mode", type=click.Choice(["socket", "http"]), default=None, help="Default: slack.mode of stanch.yaml.")
@click.option("--url", default="", help="For http: where Slack reaches /slack/events. Default: from serve.public_url.")
@click.option("--command", default="/stanch", show_default=True, help="The slash command.")
@click.option("--yaml", "as_yaml", is_flag=True, help="YAML instead of JSON.")
@click.pass_obj
def manifest_(session: Session, mode: str | None, url: str, command: str, as_yaml: bool) -> int:
    """Print the app's manifest: paste it at api.slack.com/apps, Create New App, From a manifest."""
    import yaml

    from agent.domain import catalog
    from agent.surfaces.slack.manifest import manifest

    settings = session.settings()
    chosen = mode or settings.slack.mode
    public = settings.serve.public_url.rstrip("/")
    url = url or (f"{public}/slack/events" if public else "")
    if chosen == "http" and not url.startswith("https://"):
        raise UnusableInput("--mode http needs the address at which Slack reaches you: --url https://HOST/slack/events")
    if not command.startswith("/") or " " in command or len(command) > 32:
        raise UnusableInput(f"--command {command!r} is no slash command; it is written like /stanch.")
    groups = catalog.load(settings.catalog).kept_elsewhere() if settings.catalog else ()
    found = manifest(chosen, url, command, bool(groups))
    if as_yaml:
        out(yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip())
    else:
        out_json(found)
    return Exit.OK
