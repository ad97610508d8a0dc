"""kill -9 at every point from proposal to outcome, and again at the points of every different recovery, on both databases."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.proofs.kills import MEANWHILE, Order, Story, Workers
from tests.proofs.report import Report

OTHERS = ("probed", "restart", "create", "blind")
THIN = {"sqlite": 4, "postgresql": 8}  # of a recovery's points, every so many in CI
MAY_BE_UNKNOWN = ("blind",)  # its effect can never be seen


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    addresses = ["", ""]
    if request.param == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        addresses = [fresh(), str(request.getfixturevalue("second_postgres"))]
    with Workers(addresses) as two:
        yield two


def test_killed_at_every_point_it_has_one_effect_at_most_and_says_the_truth(workers: Workers, report: Report) -> None:
    began = time.monotonic()
    whole = workers.tell([Order(f"whole-{action}", action) for action in ("set_replicas", *OTHERS)])
    points = {story.order["action"]: story.points for story in whole}
    assert min(points.values()) > 100, "every statement, commit and effect is a point"

    once = workers.tell(deaths_once(points, every=1 if report.long else 12))
    again = workers.tell(deaths_again(once, every=1 if report.long else THIN[workers.database]))
    stories = [*once, *again]

    kills, unknown = (
        sum(story.kills for story in stories),
        Counter(s.order["action"] for s in stories if s.outcome == "UNKNOWN"),
    )
    violations = [f"{wrong}: {story}" for story in stories for wrong in story.violations]
    report.add(
        workers.database,
        kills=kills,
        unknown=sum(n for action, n in unknown.items() if action not in MAY_BE_UNKNOWN),
        violations=len(violations),
    )
    ends = Counter((s.outcome or s.state, s.effects) for s in stories)
    print(
        f"{points} points; {len(once)} died once, {len(again)} twice; {time.monotonic() - began:.0f} s\n{ends}\nUNKNOWN: {dict(unknown)}"
    )
    assert violations == []
    assert kills >= 150
    assert set(unknown) <= set(MAY_BE_UNKNOWN), "with a target that can be observed, what became of it is known"
    assert {"DONE", "NOT_DONE"} <= {story.outcome for story in stories}
    assert sum(story.effects for story in stories) > len(stories) / 3, "most of them act in the end"


def deaths_once(points: dict[str, int], every: int) -> list[Order]:
    """Each point of one action, with what may come in between in turn; of the other actions some or all."""
    found = []
    for action, count in points.items():
        for at in range(1, count + 1, 1 if action == "set_replicas" else every):
            changes = MEANWHILE if every == 1 else (MEANWHILE[at % len(MEANWHILE)],)
            found += [Order(f"{action}-{at}-{change}", action, (at,), change) for change in changes]
    return found


def deaths_again(once: Sequence[Story], every: int) -> list[Order]:
    """The points of a recovery, for one death of each kind: recoveries with as many points are alike."""
    kinds: dict[tuple[str, int, int], Story] = {}
    for story in once:
        if story.order["action"] in ("set_replicas", "probed") and story.order["meanwhile"] == "nothing":
            kinds.setdefault((story.order["action"], story.points, story.effects), story)
    return [
        Order(f"again-{kind[0]}-{story.order['deaths'][0]}-{at}", kind[0], (story.order["deaths"][0], at), "nothing")
        for kind, story in kinds.items()
        for at in range(1, story.points + 1, every if kind[0] == "set_replicas" else 3 * every)
    ]
