"""Whom to look at next: what the board's symptoms point at, and what below suffers without saying why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.diagnosis.board import POINTING, SUFFERS, Board
from tools.context import Subject
from tools.symptoms import BELOW

MOST = 3
_OF_KUBERNETES = frozenset(
    {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Rollout",
        "Job",
        "CronJob",
        "Pod",
        "Service",
        "Node",
        "PersistentVolumeClaim",
    }
)


def next_subjects(board: Board, looked_at: Sequence[Subject]) -> list[Subject]:
    """At most MOST objects of Kubernetes that were not looked at yet, those that are accused first."""
    found = dict.fromkeys(one for one in _pointed_at(board) if one.kind in _OF_KUBERNETES)
    return [one for one in found if one not in looked_at and (one.namespace or one.kind == "Node")][:MOST]


def _pointed_at(board: Board) -> Iterator[Subject]:
    yield from (one.subject for one in board.candidates if one.fault in POINTING)
    yield from (one.symptom.accuses for one in board.symptoms if one.symptom.accuses)
    said = {one.subject for one in board.candidates if one.fault not in POINTING}
    for one in board.symptoms:
        if (
            one.symptom.kind in SUFFERS
            and one.symptom.labels.get("relation") == BELOW
            and one.symptom.subject not in said
        ):
            yield one.symptom.subject
