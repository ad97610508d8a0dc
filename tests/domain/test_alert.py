"""How an alert stands is told by when it began and ended, whatever arrived first."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from agent.domain.alert import Alert, AlertStatus, standing

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def signal(status: AlertStatus, minutes: int = 0, fingerprint: str = "f") -> Alert:
    return Alert("alertmanager", fingerprint, status, {}, {}, AT + timedelta(minutes=minutes))


def test_a_late_start_does_not_undo_an_end_and_a_late_end_does_not_end_what_began_anew() -> None:
    first, over, again = signal(AlertStatus.FIRING), signal(AlertStatus.RESOLVED), signal(AlertStatus.FIRING, 20)
    for arrived in itertools.permutations([first, over]):
        assert standing(arrived) == [over]
    for arrived in itertools.permutations([first, over, again]):
        assert standing(arrived) == [again]


def test_each_fingerprint_stands_for_itself() -> None:
    one, two = signal(AlertStatus.RESOLVED), signal(AlertStatus.FIRING, 0, "g")
    assert standing([one, two]) == [one, two]
