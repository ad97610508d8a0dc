"""The tree of commands. A command's module is imported when it is called, or when its own --help is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

# name → (module, attribute, what --help says)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("investigate:demo", "See the main job on a simulated platform, from alert to report."),
    "investigate": ("investigate:investigate", "Work an alert: the body Alertmanager sends, from a file or -."),
    "subjects": ("subjects:subjects", "Say what each alert is about, and how that was known."),
    "map": ("map:map_", "Show how the platform hangs together, or what is near one subject."),
    "signals": ("signals:signals", "Say what is measured of a subject, and what is out of line."),
    "ask": ("chat:ask", "Ask about an incident or the platform; answered with evidence."),
    "chat": ("chat:chat", "Converse about a live incident: why, evidence, steer, approve."),
    "incidents": ("incidents:incidents", "List, show, report and resume incidents."),
    "approvals": ("approvals:approvals", "List, show, approve, edit, deny, revoke and settle proposals."),
    "runbooks": ("runbooks:runbooks", "List, search, check and begin runbooks."),
    "tools": ("tools:tools", "List tools, and try a read by hand."),
    "policy": ("policy:policy", "Check, test and explain the policy file."),
    "stop": ("kill_switch:stop", "Start nothing any more, whatever was approved."),
    "resume": ("kill_switch:resume", "Let actions start again after stop."),
    "scorecard": ("scorecard:scorecard", "How well proposals did, and what policy they would justify."),
    "audit": ("audit:audit", "Verify the chain of the timelines."),
    "slack": ("slack:slack", "Print the manifest of the Slack app."),
    "serve": ("serve:serve", "Answer Alertmanager, work incidents and talk in Slack, always on."),
    "init": ("setup:init", "Write stanch.yaml, policy.yaml and a drafted catalog.yaml."),
    "doctor": ("setup:doctor", "Check each configured backend and say what to do."),
    "eval": ("evaluate:evaluate", "Score the reasoner on the scenarios."),
    "lab": ("lab:lab", "Serve the simulated platform."),
    "schema": ("setup:schema", "Print the JSON schema of a file that you write."),
    "completion": ("setup:completion", "Print a shell's completion script."),
    "version": ("setup:version", "Print the version."),
}


class Tree(click.Group):
    """Commands by name, loaded late; the help of the tree itself needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        found = getattr(importlib.import_module(f"agent.surfaces.cli.{module}"), attribute)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Tree, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(), help="stanch.yaml to read instead of ./stanch.yaml or the user's.")
@click.option("--data", type=click.Path(), help="Data folder.")
@click.option("--catalog", type=click.Path(), help="catalog.yaml.")
@click.option("--policy", type=click.Path(), help="policy.yaml.")
@click.option("--runbooks", type=click.Path(), help="Folder of your own runbooks.")
@click.option("--reasoner", type=click.Choice(["auto", "runbook", "openai"]), help="Who decides the next move.")
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Stanch finds what is wrong, proposes a fix, does what was approved, and checks that it is over."""
    ctx.obj.flags.update({name: value for name, value in flags.items() if value is not None})
