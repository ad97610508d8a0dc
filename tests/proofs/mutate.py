"""Does a proof notice a mutant? `python -m tests.proofs.mutate [AREA|FILE|NAME…]` prints each mutant with what kills it.

A process that has imported no code of ours forks a child for each mutant; there the mutated module is imported in the place
of the real one, and the proofs, or the tests that the mutant names, run until one fails.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType

from tests.proofs.mutants import TOP, Mutant, every
from tests.proofs.trial import Verdict, tried

LIMIT_S = 40  # of processor time: a machine that others use as well must not let a mutant live
PATIENCE_S = 300  # of the clock on the wall, for what waits in vain
TIME_IS_UP = (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM)
LIBRARIES = (
    "alembic.command",
    "alembic.config",
    "asyncio",
    "fastapi",
    "httpx",
    "hypothesis.stateful",
    "jinja2",
    "kr8s.asyncio",
    "pydantic",
    "slack_sdk.web.async_client",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.asyncio",
    "uvicorn",
    "yaml",
    "zoneinfo",
)  # not LangGraph: `agent` has to be imported before it


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a mutant. `by` names the proof or test that failed and `said` what it said; "" when it lives."""

    name: str
    area: str
    breaks: str
    by: str
    said: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.area:9} {self.breaks:7} {self.seconds:5.1f} s  {self.name}: {self.by or 'LIVES'}: {self.said}"


def swap(mutant: Mutant) -> None:
    """From now on the mutant is loaded in the place of its file, whoever loads that: alembic does it by path."""
    load, path, source = SourceFileLoader.get_code, str(TOP / mutant.file), mutant.source()

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        mine = os.path.realpath(loader.path) == path
        return compile(source, path, "exec", dont_inherit=True) if mine else load(loader, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]


def verdict(mutant: Mutant) -> Verdict:
    """What the tests that the mutant names say, or the first proof that fails."""
    return tried(mutant.tests.split()) if mutant.tests else proved(mutant.breaks)


def proved(breaks: str) -> Verdict:
    from hypothesis.errors import HypothesisException

    from tests.proofs import proofs

    order = sorted(proofs.PROOFS, key=lambda proof: breaks not in proof.first_for)
    for proof in order:
        try:
            proof.run()
        except (KeyboardInterrupt, SystemExit, HypothesisException):
            raise  # of us, not of the mutant
        except BaseException as error:  # noqa: BLE001 - whatever a mutant breaks is its end
            lines = str(error).strip().splitlines() or [""]
            return Verdict(proof.name, f"{type(error).__name__}: {lines[0]}"[:160].removeprefix("AssertionError: "))
    return Verdict()


def child(mutant: Mutant, mutated: bool) -> tuple[Verdict, float]:
    """The verdict on the mutant, or, not `mutated`, on what stands in its place; and the seconds of processor time."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        signal.alarm(PATIENCE_S)
        if mutated:
            swap(mutant)
        os.close(read)
        os.write(write, json.dumps(asdict(verdict(mutant))).encode())
        os._exit(0)
    os.close(write)
    told = os.read(read, 65_536)
    _, status, used = os.wait4(pid, 0)
    os.close(read)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what its tests had started
    seconds, code = round(used.ru_utime + used.ru_stime, 1), os.waitstatus_to_exitcode(status)
    if told:
        return Verdict(**json.loads(told)), seconds
    return Verdict(said="time was up" if code in TIME_IS_UP else f"its child ended with {code}"), seconds


def fate(mutant: Mutant) -> Fate:
    """Try the mutant in a child, for as long as it may take."""
    found, seconds = child(mutant, mutated=True)
    if not found.ran:  # a test that could not be set up: is it for the mutant?
        without, _ = child(mutant, mutated=False)
        if without != Verdict():
            found = Verdict(said=f"cannot be tried, mutant or not: {without.by}: {without.said}", ran=False)
    return Fate(mutant.name, mutant.area, mutant.breaks, found.by, found.said, seconds)


def serve() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not [name for name in sys.modules if name.split(".")[0] in ("agent", "tools")]
    gc.freeze()
    by_name = {mutant.name: mutant for mutant in every()}
    for line in sys.stdin:
        print(json.dumps(asdict(fate(by_name[line.strip()]))), flush=True)


def fates(mutants: Iterable[Mutant], workers: int = 2) -> list[Fate]:
    """What becomes of each, tried side by side."""
    waiting = list(mutants)
    shares = [waiting[n::workers] for n in range(workers)]

    def work(share: list[Mutant]) -> list[Fate]:
        command = [sys.executable, "-m", "tests.proofs.mutate", "--serve"]
        names = "".join(f"{mutant.name}\n" for mutant in share)
        found = []
        with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(names)
            process.stdin.close()
            for line in process.stdout:
                if line.startswith("{"):
                    found.append(Fate(**json.loads(line)))
                    print(found[-1], flush=True)
        return found

    with ThreadPoolExecutor(workers) as pool:
        found = {one.name: one for some in pool.map(work, shares) for one in some}
    return [found[mutant.name] for mutant in waiting]


def listed(found: Iterable[Fate]) -> str:
    """The list as it is published, area by area."""
    tried = list(found)
    lines = [
        "# Mutants",
        "",
        "Each is a small mistake put into the source; the proof or test named beside it fails. `make prove` writes this list.",
    ]
    for area in dict.fromkeys(one.area for one in tried):
        mine = [one for one in tried if one.area == area]
        lines += ["", f"## {area.capitalize()}: {sum(bool(one.by) for one in mine)} of {len(mine)} killed", ""]
        lines += ["| breaks | mutant | killed by | which says | seconds |", "|---|---|---|---|---|", *map(_row, mine)]
    return "\n".join(lines) + "\n"


def _row(one: Fate) -> str:
    by, said = one.by.removeprefix("tests/") or "nothing", one.said.removeprefix("AssertionError: ")
    return "| " + " | ".join(v.replace("|", "\\|") for v in (one.breaks, one.name, by, said, str(one.seconds))) + " |"


def main() -> None:
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    chosen = [
        m
        for m in every()
        if not sys.argv[1:] or any(word in (m.area, m.file) or word in m.name for word in sys.argv[1:])
    ]
    found = fates(chosen)
    print(f"{sum(bool(one.by) for one in found)} of {len(found)} killed")


if __name__ == "__main__":
    main()
