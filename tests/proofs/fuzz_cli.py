"""The command line fed with arguments that nobody meant: every command and option of the tree, good and bad words for each."""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from click.testing import CliRunner

from agent.__main__ import _open
from agent.surfaces.cli import main
from agent.surfaces.cli.root import COMMANDS, command
from tests.proofs.fuzz import WebhookEndpoints
from tests.proofs.garbled import TEXTS

# they wait for the world, for a terminal or for minutes: serve and lab listen, demo and eval work whole incidents
LEFT_OUT = frozenset({"serve", "lab", "demo", "eval", "chat"})
WORDS = (
    "inc-1",
    "inc-1-p1",
    "web",
    "cpu",
    "-",
    "--",
    "-h",
    "--help",
    "--json",
    "--jsonl",
    "--set",
    "k=v",
    "replicas=3",
    "promql=up",
    "promql=up{",
    "query_metrics",
    "describe_service",
    "scale_workload",
    "workload=eu-1/shop/web",
    "nowhere.yaml",
    "policy.yaml",
    ".",
    "..",
    "/",
    "bash",
    "1",
    "-1",
    "--=",
    "--data",
    "--config",
    "=",
    "a=b=c",
    "--no-such",
    "-xyz",
    "--json=1",
    "forecast-contention",
)
EXPECTED = (0, 2, 3, 4, 5, 6, 7, 130)  # 130: no terminal to ask


class NoAnswer(AssertionError):
    """The call ended in what no person can use."""


def commands() -> dict[str, click.Command]:
    """Every command that is asked, by its words."""
    found: dict[str, click.Command] = {}
    with click.Context(command) as context:
        for name in COMMANDS:
            one = command.get_command(context, name)
            if one is None or name in LEFT_OUT:
                continue
            found[name] = one
            if isinstance(one, click.Group):
                found |= {f"{name} {sub}": inner for sub, inner in one.commands.items()}
    return found


TREE = commands()


def arguments(chance: random.Random) -> list[str]:
    """A command, some of its own options, and words; or words alone."""
    if chance.random() < 0.1:
        return [_word(chance) for _ in range(chance.randrange(5))]
    name = chance.choice(list(TREE))
    made = name.split()
    for parameter in TREE[name].params:
        if isinstance(parameter, click.Option) and chance.random() < 0.3:
            made.append(chance.choice(parameter.opts))
            made += [] if parameter.is_flag and chance.random() < 0.9 else [_word(chance)]
        elif isinstance(parameter, click.Argument) and chance.random() < 0.8:
            made += [_word(chance) for _ in range(parameter.nargs if parameter.nargs > 0 else chance.randrange(3))]
    if chance.random() < 0.3:
        made.insert(chance.randrange(len(made) + 1), _word(chance))
    return made


def _word(chance: random.Random) -> str:
    """As the operating system can hand it over: no NUL, and other bytes as surrogates of U+DC80 and up."""
    word = chance.choice(WORDS) if chance.random() < 0.6 else chance.choice(TEXTS)
    return word.replace("\x00", "").replace("\ud800", "\udc80")


@contextmanager
def called(words: Sequence[str]) -> Iterator[None]:
    before, handlers = sys.argv, logging.root.handlers[:]
    sys.argv = ["stanch", *words]
    try:
        yield
    finally:
        sys.argv, logging.root.handlers[:] = before, handlers


class Calls:
    """Calls in a folder of their own, in this process, with nothing on stdin and no terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = CliRunner()

    def door(self) -> WebhookEndpoints:
        return WebhookEndpoints("command lines", arguments, self.call)

    def call(self, words: Sequence[str]) -> None:
        here = Path.cwd()
        os.chdir(self.folder)
        hook = sys.excepthook
        try:
            with called(words), self.runner.isolation(input="") as streams:
                code = self._run()
                said = streams[2].getvalue().decode("utf-8", "replace")
        finally:
            os.chdir(here)
            sys.excepthook = hook
        if "Traceback" in said or code not in EXPECTED:
            raise NoAnswer(f"exit {code}: {said[-800:]}")

    def _run(self) -> int:
        try:
            main(_open)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0
