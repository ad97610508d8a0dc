"""A Deployment's life, worked out from what was asked of it: revisions, and pods by replica slot.

A slot is a place among the replicas; pods follow one another in it. A rollout replaces slot after slot, starting the new
pod before the old one ends (surge); a version that cannot start takes one slot in four down and stalls, as Kubernetes'
rolling update does with maxUnavailable 25 %.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.lab.ports import Revision
from agent.lab.world.noise import generator
from agent.lab.world.platform import NODES

FOREVER = float("inf")
START_S = 2  # until the scheduler has placed a pod
READY_S = (32, 42)  # until it answers
STAGGER_S = 7  # between the slots of a rollout


@dataclass(frozen=True, slots=True)
class Order:
    """Something asked of a Deployment at a time: replicas, parts of the pod template, annotations of the object itself."""

    at_ms: int
    replicas: int | None = None
    template: Mapping[str, object] | None = None
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """One pod. `ready_ms` is when it first answers (infinite for one that never does); `end_ms` when it is gone."""

    slot: int
    name: str
    node: str
    image: str
    revision: int
    template: str  # hash
    start_ms: float
    ready_ms: float
    end_ms: float = FOREVER
    crashes: bool = False


@dataclass(frozen=True)
class Rollouts:
    """Everything a Deployment's orders led to, up to now and as far ahead as they are known."""

    cluster: str
    name: str
    namespace: str
    orders: tuple[Order, ...]
    revisions: tuple[Revision, ...]  # oldest first
    lives: tuple[Life, ...]
    replicas: tuple[tuple[int, int], ...]  # (from when, how many wanted)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        return max(wanted for _, wanted in self.replicas)

    @property
    def wanted(self) -> int:
        return self.replicas[-1][1]


@dataclass(frozen=True)
class Origin:
    """How a Deployment stood before the first order."""

    seed: int
    cluster: str
    name: str
    namespace: str
    replicas: int
    image: str
    first_ms: int
    rollout_ms: int  # when its running version was rolled out
    env: Mapping[str, str] = field(default_factory=dict)


def template_hash(image: str, env: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    text = repr((image, sorted(env.items()), sorted(annotations.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:9]


def unroll(origin: Origin, orders: Iterable[Order], crashes: Callable[[str], bool]) -> Rollouts:
    """Follow the orders in time. An order changes nothing before its own time."""
    book = _Book(origin, crashes)
    kept = tuple(sorted(orders, key=lambda order: order.at_ms))
    for order in kept:
        if order.annotations is not None:
            book.annotations = {**book.annotations, **order.annotations}
        if order.template is not None:
            book.roll(order)
        if order.replicas is not None:
            book.scale(order.at_ms, order.replicas)
    return Rollouts(
        origin.cluster,
        origin.name,
        origin.namespace,
        kept,
        tuple(book.revisions),
        tuple(book.gone) + book.current(),
        tuple(book.replicas),
        book.annotations,
    )


def changed(revision: Revision, template: Mapping[str, object], at_ms: int) -> Revision:
    """The next revision: given parts replace the old ones, annotations and env are merged; None removes one."""
    after = replace(
        revision,
        number=revision.number + 1,
        at_ms=at_ms,
        image=str(template.get("image") or revision.image),
        annotations=_merged(revision.annotations, template.get("annotations")),
        env=_merged(revision.env, template.get("env")),
    )
    return replace(after, change_cause=str(template.get("change_cause") or _why(revision, after)))


def _why(before: Revision, after: Revision) -> str:
    if before.image != after.image:
        return f"image {after.image.rpartition(':')[2]}"
    return "restart" if before.env == after.env else "environment changed"


def _merged(old: Mapping[str, str], new: object) -> dict[str, str]:
    if not isinstance(new, Mapping):
        return dict(old)
    both = {**old, **{str(k): v for k, v in new.items()}}
    return {k: str(v) for k, v in both.items() if v is not None}


class _Book:
    """The state while orders are followed."""

    def __init__(self, origin: Origin, crashes: Callable[[str], bool]) -> None:
        self.origin, self.crashes = origin, crashes
        self.revisions = [Revision(12, origin.image, origin.rollout_ms, env=dict(origin.env), change_cause="Release")]
        self.replicas = [(origin.first_ms - 30 * 86_400_000, origin.replicas)]
        self.annotations: dict[str, str] = {}
        self.gone: list[Life] = []
        self.slots: dict[int, Life] = {}
        for slot in range(origin.replicas):
            began = origin.rollout_ms + slot * STAGGER_S * 1000
            self._place(slot, began)

    def current(self) -> tuple[Life, ...]:
        return tuple(self.slots[slot] for slot in sorted(self.slots))

    def roll(self, order: Order) -> None:
        assert order.template is not None
        before = self.revisions[-1]
        after = changed(before, order.template, order.at_ms)
        wanted = template_hash(after.image, after.env, after.annotations)
        if wanted == template_hash(before.image, before.env, before.annotations):
            return
        # a template that ran before keeps its ReplicaSet, under a new number
        self.revisions = [r for r in self.revisions if template_hash(r.image, r.env, r.annotations) != wanted]
        self.revisions.append(after)
        out = [slot for slot in sorted(self.slots) if self.slots[slot].template != wanted]
        if self.crashes(after.image):
            for slot in out[: max(1, len(out) // 4)]:
                self._end(slot, order.at_ms + START_S * 1000)
                self._place(slot, order.at_ms + START_S * 1000)
            return
        for place, slot in enumerate(out):
            old = self.slots[slot]
            new = self._place(slot, order.at_ms + 1000 * (START_S + place * STAGGER_S), keep=True)
            # a pod that never answered makes way at once; a running one stays until its successor answers
            ends = new.ready_ms if old.ready_ms < FOREVER else order.at_ms + START_S * 1000.0
            self.gone.append(replace(old, end_ms=ends))

    def scale(self, at_ms: int, replicas: int) -> None:
        self.replicas.append((at_ms, replicas))
        for slot in [slot for slot in self.slots if slot >= replicas]:
            self._end(slot, at_ms + 3000)
            del self.slots[slot]
        for slot in range(replicas):
            if slot not in self.slots:
                self._place(slot, at_ms + START_S * 1000)

    def _end(self, slot: int, at_ms: float) -> None:
        self.gone.append(replace(self.slots[slot], end_ms=at_ms))

    def _place(self, slot: int, start_ms: float, keep: bool = False) -> Life:
        now, origin = self.revisions[-1], self.origin
        digest = template_hash(now.image, now.env, now.annotations)
        rng = generator(origin.seed, "pod", origin.cluster, origin.namespace, origin.name, now.number, slot, start_ms)
        letters = "".join("bcdfghjklmnpqrstvwxz2456789"[i] for i in rng.integers(0, 27, 5))
        crashes = self.crashes(now.image)
        ready = FOREVER if crashes else start_ms + 1000.0 * round(float(rng.uniform(*READY_S)), 1)
        node = f"{origin.cluster}-{NODES[slot % len(NODES)]}"
        life = Life(
            slot,
            f"{origin.name}-{digest}-{letters}",
            node,
            now.image,
            now.number,
            digest,
            start_ms,
            ready,
            crashes=crashes,
        )
        self.slots[slot] = life
        return life


def at(lives: Sequence[Life], when_ms: float) -> list[Life]:
    """The pods there are at a time, by slot."""
    return sorted((x for x in lives if x.start_ms <= when_ms < x.end_ms), key=lambda x: (x.slot, x.start_ms))


def crash_restarts(life: Life, when_ms: float) -> int:
    """How often a pod that cannot start has been restarted: back-off of 10, 20, 40 … up to 300 s (Kubernetes)."""
    if not life.crashes or when_ms < life.start_ms:
        return 0
    left, pause, count = (when_ms - life.start_ms) / 1000 - 6, 10.0, 0
    while left > pause:
        left -= pause + 6
        pause = min(2 * pause, 300.0)
        count += 1
    return count


def ready_after(life: Life, when_ms: float) -> bool:
    return life.ready_ms <= when_ms < life.end_ms and not math.isinf(life.ready_ms)
