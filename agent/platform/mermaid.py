"""The platform map as a Mermaid flowchart, which Slack's and GitHub's Markdown, and most wikis, draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.domain.text import visible
from agent.platform.edges import Edge, EdgeKind
from tools.context import Subject

if TYPE_CHECKING:
    from agent.platform.platform_map import PlatformMap

_MOST_DRAWN = 500  # edges that Mermaid draws unless its maxEdges is raised
_BACKGROUND = frozenset({"Pod", "Node", "ConfigMap", "Secret", "ResourceQuota", "PersistentVolume"})


def flowchart(platform: PlatformMap, around: Subject | None) -> str:
    """Each pod is drawn as what owns it. Without a subject, machines and configuration are left out too: the whole of a
    platform is drawn to see who calls whom."""
    hidden = frozenset[str]() if around else _BACKGROUND
    around = _owner(around, platform) if around else None
    edges = list(dict.fromkeys(_drawn(edge, platform) for edge in platform.edges))
    edges = [e for e in edges if e[0] != e[1] and not {e[0].kind, e[1].kind} & hidden]
    nodes = dict.fromkeys([one for edge in edges for one in edge[:2]] + ([around] if around else []))
    names = {one: f"n{number}" for number, one in enumerate(nodes, 1)}
    lines = ["flowchart LR"]
    if len(edges) > _MOST_DRAWN:
        lines.append(f"  %% {len(edges)} edges: raise Mermaid's maxEdges above its {_MOST_DRAWN}, or name a subject")
    lines += [f'  {names[one]}["{_label(one)}"]' for one in nodes]
    lines += [f"  {names[source]} -->|{kind}| {names[target]}" for source, target, kind in edges]
    if around:
        lines.append(f"  style {names[around]} stroke-width:3px")
    return "\n".join(lines) + "\n"


def _drawn(edge: Edge, platform: PlatformMap) -> tuple[Subject, Subject, EdgeKind]:
    return _owner(edge.source, platform), _owner(edge.target, platform), edge.kind


def _owner(subject: Subject, platform: PlatformMap) -> Subject:
    """What stands for a pod: what owns it, where the map has that."""
    if subject.kind != "Pod":
        return subject
    owned = (e for e in platform.edges_of(subject) if e.kind is EdgeKind.OWNS and e.target == subject)
    return next((edge.source for edge in owned), subject)


def _label(subject: Subject) -> str:
    shown = visible(subject.title or subject.kind, 80).replace("#", "#35;").replace('"', "#quot;")
    return f"{shown}<br/>{visible(subject.kind, 60)}"
