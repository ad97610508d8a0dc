"""The inbox half of the service as a process of its own: `python -m tests.half_server FOLDER PORT [TOKEN]`.

It takes notifications in and works none, so that what was answered can be compared with what is kept.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from agent.clock import RealClock
from agent.service.inbox import Inbox
from agent.settings import DoorSettings, Token, read
from agent.store.database import Database
from agent.surfaces.webhook import Readiness, build
from agent.surfaces.webhook.limits import configured
from tests.half import Half


async def serve(folder: Path, port: int, token: str) -> None:
    settings = read({"data": str(folder), "reasoner": "runbook"}, cwd=folder)
    settings = replace(settings, door=DoorSettings((Token(SecretStr(token)),) if token else ()))
    db = await Database.open("", settings.data)
    inbox = Inbox(db, RealClock())
    web = build(Half(settings, db, inbox), Readiness(ready=True), loopback=True)
    try:
        await uvicorn.Server(configured(web, settings.serve, port=port)).serve()
    finally:
        await inbox.close()
        await db.close()


if __name__ == "__main__":
    config = uvicorn.Config("", loop="auto")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
