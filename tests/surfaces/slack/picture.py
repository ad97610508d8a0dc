"""One whole incident as a page: `python -m tests.surfaces.slack.picture page.html`, then headless Chromium's --screenshot.

The desktop shows the whole thread at its end, the phone what it showed at the moment somebody was asked.
"""

from __future__ import annotations

import asyncio
import copy
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.blockkit_page import page
from tests.surfaces.slack.play import played


async def incident() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The messages of the founding incident: the thread at its end, and what a phone showed when approval was asked."""
    with tempfile.TemporaryDirectory() as folder:
        async with played(Path(folder)) as play:
            play.slack.now = lambda: play.app.clock.now().timestamp()
            await play.attend(mentions=("S0MLONCALL",))
            await play.work()
            await play.settled()
            root, _, _, card = copy.deepcopy(play.slack.messages("C1"))
            await play.approve()
            await play.to_the_end()
            await play.settled()
            return copy.deepcopy(play.slack.messages("C1")), [root, card]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(*asyncio.run(incident())), encoding="utf-8")
