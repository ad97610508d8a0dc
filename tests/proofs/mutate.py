"""Does a proof notice a mutant? `python -m tests.proofs.mutate [NAME…]` prints each mutant with what kills it.

A process that has imported no code of ours forks a child for each mutant; there the mutated module is imported in the place
of the real one, and the proofs run until one fails.
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
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from typing import Any

from tests.proofs.mutants import MUTANTS, TOP, Mutant

LIMIT_S = 20  # of processor time: a machine that others use as well must not let a mutant live
LIBRARIES = (
    "alembic.command", "alembic.config", "asyncio", "hypothesis.stateful", "pydantic", "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.asyncio", "yaml", "zoneinfo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a mutant. `by` names the proof that failed and `said` what it said; "" when it lives."""

    name: str
    breaks: str
    by: str
    said: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.breaks:4} {self.seconds:5.1f} s  {self.name}: {self.by or 'LIVES'}: {self.said}"


class Mutated(SourceFileLoader):
    source = ""

    def get_code(self, fullname: str) -> Any:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class Swap(MetaPathFinder):
    """Imports one module from the mutant's source."""

    def __init__(self, mutant: Mutant) -> None:
        self._module = mutant.file.removesuffix(".py").replace("/", ".")
        self._path, self._source = str(TOP / mutant.file), mutant.source()

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        loader = Mutated(fullname, self._path)
        loader.source = self._source
        return spec_from_file_location(fullname, self._path, loader=loader)


def verdict(mutant: Mutant) -> tuple[str, str]:
    """(proof, what it said) of the first proof that fails with the mutant in place."""
    sys.meta_path.insert(0, Swap(mutant))
    from hypothesis.errors import HypothesisException

    from tests.proofs import proofs

    order = sorted(proofs.PROOFS, key=lambda proof: mutant.breaks not in proof.first_for)
    for proof in order:
        try:
            proof.run()
        except (KeyboardInterrupt, SystemExit, HypothesisException):
            raise  # of us, not of the mutant
        except BaseException as error:  # noqa: BLE001 - whatever a mutant breaks is its end
            lines = str(error).strip().splitlines() or [""]
            return proof.name, f"{type(error).__name__}: {lines[0]}"[:160].removeprefix("AssertionError: ")
    return "", ""


def fate(mutant: Mutant) -> Fate:
    """Try the mutant in a child, for as long as it may take."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        os.close(read)
        os.write(write, json.dumps(verdict(mutant)).encode())
        os._exit(0)
    os.close(write)
    told = os.read(read, 65_536)
    _, status, used = os.wait4(pid, 0)
    os.close(read)
    if not told and os.waitstatus_to_exitcode(status) not in (-signal.SIGXCPU, -signal.SIGKILL):
        raise RuntimeError(f"The proofs could not even be tried on {mutant.name!r}; its child died.")
    by, said = json.loads(told or b'["", "time was up"]')
    seconds = round(used.ru_utime + used.ru_stime, 1)
    return Fate(mutant.name, mutant.breaks, by, said, seconds)


def serve() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not [name for name in sys.modules if name.split(".")[0] in ("agent", "tools")]
    gc.freeze()
    by_name = {mutant.name: mutant for mutant in MUTANTS}
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
    """The list as it is published."""
    lines = [
        "# Mutants of the gate", "",
        "Each is a small mistake put into the gate's source; the proof named beside it fails. `make prove` writes this list.", "",
        "| breaks | mutant | killed by | which says | seconds |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for one in found:
        said = one.said.replace("|", "\\|").removeprefix("AssertionError: ")
        lines.append(f"| {one.breaks} | {one.name} | {one.by or 'nothing'} | {said} | {one.seconds} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    chosen = [m for m in MUTANTS if not sys.argv[1:] or any(word in m.name for word in sys.argv[1:])]
    found = fates(chosen)
    print(f"{sum(bool(one.by) for one in found)} of {len(found)} killed")


if __name__ == "__main__":
    main()
