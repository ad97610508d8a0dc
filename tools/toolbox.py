"""A set of tools, looked up by name and narrowed to what the configured backends can answer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

from tools.context import Backends
from tools.errors import BadArguments
from tools.spec import Action, Read


@dataclass(frozen=True)
class Tools:
    reads: tuple[Read, ...] = ()
    actions: tuple[type[Action], ...] = ()

    def read(self, name: str) -> Read:
        """The read of this name; BadArguments names the nearest."""
        found = next((r for r in self.reads if r.name == name), None)
        if found is None:
            raise BadArguments(f"There is no read {name!r}.{_nearest(name, (r.name for r in self.reads))}")
        return found

    def action(self, name: str) -> type[Action]:
        found = next((a for a in self.actions if a.name() == name), None)
        if found is None:
            raise BadArguments(f"There is no action {name!r}.{_nearest(name, (a.name() for a in self.actions))}")
        return found

    def offered(self, backends: Backends) -> Tools:
        """Only what can be answered here: a backend that is not configured is not offered."""
        return Tools(
            tuple(r for r in self.reads if r.offered and _available(r.needs, backends)),
            tuple(a for a in self.actions if _available(a.needs, backends) and not a.undo_only),
        )

    @property
    def vouching(self) -> frozenset[str]:
        """Names of the reads whose answers vouch for the names in them."""
        return frozenset(read.name for read in self.reads if read.vouches)

    def maps(self, names: Iterable[str]) -> bool:
        """Whether one of these reads goes by the platform map."""
        wanted = set(names)
        return any(read.maps and read.name in wanted for read in self.reads)

    def by_name(self) -> dict[str, type[Action]]:
        return {action.name(): action for action in self.actions}

    def plus(self, reads: Iterable[Read] = (), actions: Iterable[type[Action]] = ()) -> Tools:
        return Tools((*self.reads, *reads), (*self.actions, *actions))


def installed(base: Tools) -> Tools:
    """The base with what other packages bring under the entry-point group `stanch.tools` (a Read or an Action class)."""
    found = [entry.load() for entry in entry_points(group="stanch.tools")]
    return base.plus(
        (tool for tool in found if isinstance(tool, Read)), (tool for tool in found if not isinstance(tool, Read))
    )


def _available(needs: str, backends: Backends) -> bool:
    return not needs or any(backends.has(kind) for kind in needs.split("|"))


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(names)}."
