"""The power fails at every point: no effect comes twice, nothing that was acknowledged is lost, and nobody has to settle it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.gate.world import World
from tests.proofs.power import Cut, PowerCuts, Powered, left
from tests.proofs.report import Report

THIN = 10  # in CI, of all points every so many


def test_after_a_power_cut_at_any_point_it_goes_on_with_one_effect_and_nothing_acknowledged_lost(
    report: Report,
) -> None:
    every = 1 if report.long else THIN
    with PowerCuts(["", ""]) as workers:
        whole = workers.tell([Cut(f"whole-{action}", action) for action in ("set_replicas", "restart", "blind")])
        points = {story.order["action"]: story.points for story in whole}
        once = workers.tell(
            [
                Cut(f"{action}-{at}-{torn}", action, (at,), torn=torn)
                for action, count in points.items()
                for at in range(1, count + 1, every if action == "set_replicas" else 2 * every)
                for torn in (0, 1, 2)
            ]
        )
        again = workers.tell(
            [
                Cut(f"again-{at}-{second}", "set_replicas", (at, second), torn=at % 3)
                for at in range(points["set_replicas"] // 2, points["set_replicas"], 2 * every)
                for second in range(1, 40, 2 * every)
            ]
        )
    stories = [*whole, *once, *again]
    violations = [f"{wrong}: {story}" for story in stories for wrong in story.violations]
    print(points, Counter((story.outcome, story.effects) for story in stories))
    report.add("sqlite", kills=sum(story.kills for story in stories), violations=len(violations))
    assert violations == []
    assert sum(story.kills for story in stories) >= len(once)
    assert sum(story.effects for story in stories) > len(stories) / 3, "most of them act in the end"


def test_what_was_not_on_disk_may_be_gone_to_the_half_of_a_line() -> None:
    synced, written = b"one\n", b"one\ntwo\nthree\n"
    assert [left(synced, written, torn) for torn in (0, 1, 2)] == [b"one\n", b"one\ntwo\n", b"one\ntwo\nthr"]


async def test_what_people_are_told_and_what_is_sent_has_its_anchor_on_disk(tmp_path: Path) -> None:
    """One life without a cut, in this process; it asserts at each acknowledgement and at the effect."""
    lives = Powered("", tmp_path)
    await lives.open()
    lives.laid_out(Cut("once", "restart"))
    await lives.live(Cut("once", "restart"), None, 0)
    told = json.loads((tmp_path / "once" / "told").read_text())
    assert (told["effects"], told["violations"]) == (1, [])
    World.point = World.reached = staticmethod(lambda _key: None)
