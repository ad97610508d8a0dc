"""kill -9 from the webhook's body to the report: the service is killed at every stage of an incident, and in its recoveries."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import pytest

from tests.proofs.report import Report
from tests.proofs.service import STAGES, Order, Services, Story

INCIDENTS = {"scripted": 8, "runbook": 1}  # under --prove; one of them in CI
ON_POSTGRESQL = 2
RESUMES = 6  # points that a new life passes before it does something new
RECOVERY = (2, 5, 9, 14, 20)  # a point of a recovery, in turn


@pytest.fixture(scope="module")
def services(report: Report) -> Iterator[Services]:
    found = Services(["", ""] if report.long else [""])
    with found:
        yield found


def places(whole: Story) -> list[tuple[int, int]]:
    """The life of an incident in pieces, as points: short stages weigh as much as long ones."""
    begins, end = whole.begins, whole.points + 1
    decided = (begins["approval"], begins["verification"])  # awaited, decided, begun, done
    thirds = [decided[0] + (decided[1] - decided[0]) * n // 3 for n in range(4)]
    half = (begins["verification"] + begins["report"]) // 2
    last = (begins["report"] + end) // 2
    borders = [1, begins["correlation"], begins["investigation"], *thirds, half, begins["report"], last, end]
    return list(pairwise(borders))


def deaths(whole: Story, number: int, of: int) -> tuple[int, ...]:
    """One death in each piece of an incident's life, where it falls to this of so many incidents; every third recovery dies
    too. A life counts its own points, so each is told how far it is from where the last one died."""
    found, last = [], 0
    for place, (begin, end) in enumerate(places(whole)):
        at = begin + (end - begin) * (2 * number + 1) // (2 * of)
        found.append(max(at - last, 1) + (RESUMES if last else 0))
        last = at
        if (place + number) % 3 == 0:
            found.append(RECOVERY[(number + place) % len(RECOVERY)])
    return tuple(found)


def orders(wholes: Mapping[str, Story], counts: Mapping[str, int]) -> list[Order]:
    return [
        Order(f"{reasoner}-{number}", deaths(wholes[reasoner], number, count), reasoner)
        for reasoner, count in counts.items()
        for number in range(count)
    ]


def judged(stories: Sequence[Story], report: Report, database: str, began: float) -> Counter[str]:
    """The figures and the table of kills; what is not as promised fails."""
    violations = [f"{wrong}: {story.order}" for story in stories for wrong in story.violations]
    stages = Counter(stage for story in stories for stage in story.kills)
    report.add(
        database,
        whole_graph={
            "kills": stages.total(),
            "incidents": len(stories),
            "twice": sum(wrong.startswith("twice") for wrong in violations),
            "lost": sum(wrong.startswith("lost") for wrong in violations),
        },
    )
    print(f"{[(stage, stages[stage]) for stage in STAGES]}; {time.monotonic() - began:.0f} s")
    print(Counter((s.state, *s.outcomes, f"{s.effects} effects") for s in stories))
    assert violations == []
    assert all(story.effects <= 1 for story in stories)
    return stages


def test_killed_at_every_stage_it_ends_or_waits_and_acts_once(services: Services, report: Report) -> None:
    began = time.monotonic()
    counts = INCIDENTS if report.long else {"scripted": 1}
    told = services.tell([Order(f"whole-{reasoner}", (), reasoner) for reasoner in counts])
    wholes = dict(zip(counts, told, strict=True))
    assert all(story.violations == [] and story.state == "recovered" for story in told), "it works when nobody dies"
    at_the_end = range(6, 11) if report.long else (9,)  # between the last state and the report, told from the end
    ends = [Order(f"end-{n}", (wholes["scripted"].points - n,)) for n in at_the_end]
    before = wholes["scripted"].begins["correlation"]  # few points, and the first of the process
    starts = [Order(f"start-{n}", (max(1, before * n // 4),)) for n in (1, 2, 3)] if report.long else []
    stories = services.tell([*orders(wholes, counts), *starts, *ends])
    stages = judged(stories, report, "sqlite", began)
    assert stages.total() >= (100 if report.long else 8)
    if report.long:
        assert min(stages[stage] for stage in STAGES if stage != "proposal") >= 4, "kills are spread over all of it"
        assert sum(story.effects for story in stories) >= len(stories) / 2, "most of them act in the end"


def test_on_postgresql_too(services: Services, report: Report, request: pytest.FixtureRequest) -> None:
    if not report.long:
        pytest.skip("runs under --prove")
    began = time.monotonic()
    postgres: Callable[[], str] = request.getfixturevalue("postgres")
    (whole,) = services.tell([Order("whole-postgresql", address=postgres())])
    assert whole.violations == []
    stories: list[Story] = []
    for number in range(ON_POSTGRESQL):  # one database, emptied each time
        stories += services.tell(
            [Order(f"postgresql-{number}", deaths(whole, number, ON_POSTGRESQL), address=postgres())]
        )
    stages = judged(stories, report, "postgresql", began)
    assert stages.total() >= 10 * ON_POSTGRESQL
