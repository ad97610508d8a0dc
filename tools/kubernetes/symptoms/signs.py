"""From what single pods say to symptoms of their workload: the same thing said by three pods is one symptom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tools.context import Subject
from tools.formatting import clean
from tools.kubernetes.symptoms.objects import Load
from tools.symptoms import HURTS, Symptom

MOST = 240  # characters of a sentence
_WRAPPING = re.compile(
    r"rpc error: code = \w+ desc = |Error response from daemon: |failed to create (?:containerd|shim) task: "
    r"|(?:OCI runtime create failed: )?runc create failed: |unable to start container process: |Error: |: unknown$"
)


@dataclass(frozen=True, slots=True)
class Sign:
    """What one pod says. `says` follows "3 of 3 pods" in the sentence; of what `restarts` counts the pods' are summed.
    `began` is the interval in which it began."""

    pod: str
    kind: str
    reason: str
    says: str
    node: str = ""
    severity: int = HURTS
    began: tuple[datetime, datetime] | None = None
    accuses: Subject | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def folded(load: Load, signs: Iterable[Sign]) -> list[Symptom]:
    """One symptom for each kind, reason and accused thing, in the words of the newest pod."""
    groups: dict[tuple[str, str, Subject | None], list[Sign]] = {}
    for sign in signs:
        groups.setdefault((sign.kind, sign.reason, sign.accuses), []).append(sign)
    return [_symptom(load, kind, reason, found) for (kind, reason, _), found in groups.items()]


def _symptom(load: Load, kind: str, reason: str, found: Sequence[Sign]) -> Symptom:
    first = found[0]
    pods = list(dict.fromkeys(sign.pod for sign in found))
    nodes = list(dict.fromkeys(sign.node for sign in found if sign.node))
    began = [sign.began for sign in found if sign.began]
    labels = {**first.labels, "pods": ", ".join(pods[:5]) + (f" and {len(pods) - 5} more" if len(pods) > 5 else "")}
    if nodes:
        labels["node"] = ", ".join(nodes[:5])
    alone = load.subject.kind == "Pod"
    who = "the pod" if alone else f"{len(pods)} of {max(len(pods), pods_meant(load))} pods"
    return Symptom(
        load.subject,
        kind,
        fit(f"{who}{first.says}"),
        max(sign.severity for sign in found),
        reason,
        (min(a for a, _ in began).timestamp(), min(b for _, b in began).timestamp()) if began else None,
        first.accuses,
        labels,
    )


def pods_meant(load: Load) -> int:
    """Of how many pods some are: those that live, or those that should."""
    return max(len(load.living), load.wanted or 0)


def exactly(when: datetime | None) -> tuple[datetime, datetime] | None:
    return (when, when) if when else None


def seconds(when: datetime | None) -> tuple[float, float] | None:
    """The same as a symptom's `since`."""
    return (when.timestamp(), when.timestamp()) if when else None


def fit(text: str, limit: int = MOST) -> str:
    """A sentence that is not longer than its limit; what is too long is cut in its middle, as both ends are decisive."""
    line = clean(text, 4000)
    if len(line) <= limit:
        return line
    head = limit // 2
    return f"{line[:head].rstrip()} … {line[-(limit - head - 3) :].lstrip()}"


def unwrapped(message: str) -> str:
    """A message without what each layer that passed it on put in front."""
    text = clean(message, 4000)
    while (bare := _WRAPPING.sub("", text)) != text:
        text = bare
    return text.strip()


def decisive(message: str, pattern: str = "", room: int = 130) -> str:
    """The part of a long message around what decides, at most `room` characters; its end where nothing is said to."""
    text = unwrapped(message)
    if len(text) <= room:
        return text
    found = re.search(pattern, text) if pattern else None
    if found is None:
        return "…" + text[-(room - 1) :].lstrip()
    begin = max(0, min(found.start() - 30, len(text) - room + 2))
    begin = min(begin, found.start())
    cut = text[begin : begin + room - 2].strip()
    return f"{'…' if begin else ''}{cut}{'…' if begin + room - 2 < len(text) else ''}"


def mended(name: object, limit: int = 60) -> str:
    """A name from outside on one line; a long one keeps its end, where images have their tags."""
    text = clean(str(name), 400)
    return text if len(text) <= limit else "…" + text[-(limit - 1) :]
