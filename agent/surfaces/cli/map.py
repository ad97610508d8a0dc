"""`stanch map`: what there is on the platform and how it hangs together, or what lies near one subject."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, run

if TYPE_CHECKING:
    from agent.platform.edges import Edge
    from agent.platform.platform_map import PlatformMap
    from tools.context import Subject

_PASSIVE = {
    "calls": "called by",
    "routes": "reached through",
    "serves": "served by",
    "selects": "selected by",
    "owns": "owned by",
    "mounts": "mounted by",
    "reads": "read by",
    "scales": "scaled by",
    "manages": "managed by",
    "runs on": "runs here",
}
_LABEL = 17  # columns


@click.command("map")
@click.argument("subject", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--mermaid", is_flag=True, help="A Mermaid flowchart on stdout.")
@click.option("--demo", "in_demo", is_flag=True, help="Ask the demo's platform instead of yours.")
@click.pass_obj
def map_(session: Session, subject: str | None, as_json: bool, mermaid: bool, in_demo: bool) -> int:
    """How the platform hangs together, as Kubernetes, metrics and the catalog tell it: who calls whom, what runs where.

    With SUBJECT ([Kind/][cluster/][namespace/]name) only what is within two hops of it."""
    return run(_map(session, subject, as_json, mermaid, in_demo))


async def _map(session: Session, name: str | None, as_json: bool, mermaid: bool, demo: bool) -> int:
    from agent.platform.discovery import discover

    async with opened(session, demo=demo) as app:
        platform = await discover(app.api.context())
    subject = platform.find(name) if name else None
    if as_json:
        out_json((platform.around(subject) if subject else platform).to_json())
    elif mermaid:
        out(platform.to_mermaid(subject).rstrip("\n"))
    else:
        for line in _near(platform, subject) if subject else _whole(platform):
            out(line)
        for line in _not_seen(platform):
            out(line)
    return Exit.OK


# -- the whole ----------------------------------------------------------------------------------------------------------


def _whole(platform: PlatformMap) -> Iterator[str]:
    """Each service or workload on a line under its namespace, then what lies outside."""
    yield f"The platform as of {_time(platform)}: {len(platform.nodes)} subjects, {len(platform.edges)} connections."
    place, shown = None, set[object]()
    for one in platform.nodes:
        if one.kind not in _things() or one in shown:
            continue
        group = (one, *platform.same_as(one))
        if one.kind == "Service" and (run_as := [other for other in group if other.kind in _things() - {"Service"}]):
            group = (*run_as, *group)
        shown |= {*group}
        if place != (place := _place(one)):
            yield place
        yield from _thing(platform, tuple(dict.fromkeys(group)))
    outside = [one for one in platform.nodes if one.kind in ("Target", "Database", "Queue", "Model")]
    if outside:
        yield "other ends"
        for one in outside:
            users = _names(platform, (edge.source for edge in platform.edges_of(one) if edge.target == one))
            yield from _folded(f"  {_shown(one)}  ({one.kind})", f"used by {', '.join(users)}" if users else "")


def _thing(platform: PlatformMap, group: Sequence[Subject]) -> Iterator[str]:
    pods = sum(one.kind == "Pod" for one in group)
    kinds = ", ".join(dict.fromkeys(one.kind for one in group if one.kind in _things()))
    calls = _names(platform, (e.target for one in group for e in platform.edges_of(one) if _calls(e, group)))
    counted = f", {pods} pod{'' if pods == 1 else 's'}" if pods else ""
    yield from _folded(f"  {_plain(group[0].name)}  ({kinds}{counted})", f"calls {', '.join(calls)}" if calls else "")


def _calls(edge: Edge, group: Sequence[Subject]) -> bool:
    return edge.kind == "calls" and edge.source in group and edge.target not in group


# -- one subject ----------------------------------------------------------------------------------------------------


def _near(platform: PlatformMap, subject: Subject) -> Iterator[str]:
    """What a subject is under its other names, and what it is connected with, by the kind of connection."""
    same = platform.same_as(subject)
    where = f", in {_plain(subject.cluster)}" if subject.cluster else ""
    yield f"{_shown(subject)}: {subject.kind}{where}, as of {_time(platform)}"
    others = [f"{one.kind} {_plain(one.name)}" for one in same if one.kind != "Pod"]
    pods = [_plain(one.name) for one in same if one.kind == "Pod"]
    yield from _labelled("the same as", others)
    yield from _labelled("pods", pods)
    group = {subject, *same}
    found: dict[str, list[Subject]] = {}
    for one in (subject, *same):
        for edge in platform.edges_of(one):
            if edge.source in group and edge.target not in group:
                found.setdefault(str(edge.kind), []).append(edge.target)
            elif edge.target in group and edge.source not in group:
                found.setdefault(_PASSIVE[edge.kind], []).append(edge.source)
    for label, ends in found.items():
        yield from _labelled(label, _names(platform, ends))
    further = [one for one, hop in platform.neighbours(subject) if hop == 2 and one.kind != "Pod"]
    named = (_shown(one) if one.kind in _things() else f"{_shown(one)} {one.kind}" for one in further)
    yield from _labelled("two hops away", list(dict.fromkeys(named)))


def _names(platform: PlatformMap, subjects: Iterable[Subject]) -> Sequence[str]:
    """Each once, a pod as what owns it."""
    return list(dict.fromkeys(_shown(platform.workload(one)) for one in subjects))


# -- words ----------------------------------------------------------------------------------------------------------


def _not_seen(platform: PlatformMap) -> Iterator[str]:
    if platform.unseen:
        yield "Could not be seen, which does not mean that there is nothing:"
        for one in platform.unseen:
            yield from _folded(f"  {_plain(one.what)}:", _plain(one.why))


def _things() -> set[str]:
    from agent.platform.settle import WORKLOADS

    return {"Service", *WORKLOADS}


def _place(subject: Subject) -> str:
    return "/".join(_plain(part) for part in (subject.cluster, subject.namespace) if part) or "(no namespace)"


def _shown(subject: Subject) -> str:
    return _plain(subject.title or subject.kind)


def _plain(text: str) -> str:
    from agent.domain.text import visible

    return visible(text, 300)


def _time(platform: PlatformMap) -> str:
    return f"{platform.as_of:%Y-%m-%d %H:%M} UTC"


def _labelled(label: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from _folded(f"  {label:{_LABEL}}", ", ".join(names), _LABEL + 3)


def _folded(head: str, text: str, indent: int = 6) -> Iterator[str]:
    """The head and the text behind it, folded at the terminal's width."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    whole = f"{head} {text}".rstrip()
    yield from textwrap.wrap(whole, width, subsequent_indent=" " * indent, drop_whitespace=True, break_on_hyphens=False)
