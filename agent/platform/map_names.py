"""What a person means by a name: `checkout`, `shop/checkout`, `deploy/checkout`, `Pod/eu-1/shop/checkout-6d4c8b7f9-2xkqz`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from agent.domain.text import visible
from agent.errors import UnusableInput
from agent.platform.settle import WORKLOADS
from agent.platform.vocabulary import vocabulary
from tools.context import Subject

_TIERS = ((*WORKLOADS, "Service"), ("Model", "Node", "Pod", "Queue", "Database", "Target"))  # which of a name is meant
_FIRST = (*_TIERS[0], *_TIERS[1])
_SHORT = {"deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet", "po": "Pod", "svc": "Service"}
_SHORT |= {"no": "Node", "cm": "ConfigMap", "ing": "Ingress", "pvc": "PersistentVolumeClaim", "cj": "CronJob"}
_MOST_NAMED = 12  # of those that fit, or are near


def find(text: str, nodes: Iterable[Subject], same_as: Callable[[Subject], Sequence[Subject]]) -> Subject:
    """The one subject that a text means; UnusableInput names all that fit, or the nearest."""
    nodes = tuple(nodes)
    fitting = sorted((one for one in nodes if _fits(text, one)), key=_rank)
    if not fitting:
        raise UnusableInput(_none(text, nodes))
    best = fitting[0]
    rivals: list[Subject] = []
    for one in fitting:
        if _tier(one) == _tier(best) and not {*rivals} & {*same_as(one)}:
            rivals.append(one)
    if len(rivals) == 1:
        return best
    raise UnusableInput(
        f"{len(rivals)} subjects are called {visible(text, 200)!r}: {_listing(rivals)}. Name one of them."
    )


def reference(subject: Subject) -> str:
    """How to name just this subject: `Deployment/eu-1/shop/checkout`."""
    return "/".join(part for part in (subject.kind, subject.cluster, subject.namespace, subject.name) if part)


def _fits(text: str, subject: Subject) -> bool:
    """Whether a name, and as much before it as is said, agrees; a name may hold slashes itself."""
    if text == subject.name:
        return True
    if not text.endswith(f"/{subject.name}"):
        return False
    before = text[: -len(subject.name) - 1].split("/")
    places = iter((subject.kind, subject.cluster, subject.namespace))
    return all(any(_agrees(part, place, subject) for place in places) for part in before)


def _agrees(part: str, place: str, subject: Subject) -> bool:
    if place != subject.kind:
        return bool(place) and part == place
    lower = part.lower()
    return place.lower() in (lower, lower.removesuffix("s")) or place in (_SHORT.get(lower), vocabulary().spelled(part))


def _tier(subject: Subject) -> int:
    """People mean what runs by a bare name, then what can be named alone, and last a ConfigMap that is called the same."""
    return next((tier for tier, kinds in enumerate(_TIERS) if subject.kind in kinds), len(_TIERS))


def _rank(subject: Subject) -> tuple[int, str]:
    place = _FIRST.index(subject.kind) if subject.kind in _FIRST else len(_FIRST)
    return place, reference(subject)


def _none(text: str, nodes: Sequence[Subject]) -> str:
    wanted = text.rsplit("/", 1)[-1]
    names = sorted({one.name for one in nodes if one.name})
    near = difflib.get_close_matches(wanted, names, 5, 0.5) or [name for name in names if wanted and wanted in name]
    alike = sorted((one for one in nodes if one.name in near), key=lambda one: (near.index(one.name), _rank(one)))
    told = f"The nearest: {_listing(alike)}." if alike else "`stanch map` lists what is known."
    return f"The platform map has no {visible(text, 200)!r}. {told}"


def _listing(subjects: Sequence[Subject]) -> str:
    shown = ", ".join(visible(reference(one), 300) for one in subjects[:_MOST_NAMED])
    return shown + (f" and {len(subjects) - _MOST_NAMED} more" if len(subjects) > _MOST_NAMED else "")
