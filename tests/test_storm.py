"""An outage with hundreds of alerts: few threads, few messages, few mentions, and every alert is still to be found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import yaml
from pydantic import SecretStr

from agent.api import App
from agent.app import open_app
from agent.domain.alert import Alert, AlertStatus
from agent.settings import read
from agent.settings_file import RouteEntry
from agent.surfaces.slack.settings import SlackSettings
from agent.surfaces.slack.sync import ThreadSync
from tests.fake_slack import FakeSlack

SERVICES, ALERTS = 40, 600
NAMES = ("HttpLatencyHigh", "HttpErrorRateHigh", "DependencyErrorsHigh", "PodCrashLooping", "TargetDown")


def catalog() -> dict[str, object]:
    """Four tiers of ten; each service needs two of the tier below."""
    services: dict[str, object] = {}
    for n in range(SERVICES):
        below = [f"s{(n // 10 + 1) * 10 + (n + k) % 10}" for k in range(2)] if n < SERVICES - 10 else []
        services[f"s{n}"] = {"depends_on": below, "owner": f"team-{n % 5}"}
    return {"services": services}


def outage(now: datetime) -> list[Alert]:
    """Fifteen alerts of each service within ten minutes; every fifth is critical."""
    draw, found = Random(7), []
    for n in range(ALERTS):
        service = f"s{n % SERVICES}"
        labels = {
            "alertname": NAMES[n % len(NAMES)],
            "service": service,
            "cluster": "eu-1",
            "pod": f"{service}-{n // SERVICES}",
            "severity": "critical" if n % 5 == 0 else "warning",
        }
        began = now - timedelta(seconds=draw.randrange(600))
        summary = {"summary": f"{labels['alertname']} of {service}"}
        found.append(Alert("alertmanager", f"f{n}", AlertStatus.FIRING, labels, summary, began))
    return sorted(found, key=lambda a: a.starts_at)


class Hurried:
    """The machine's clock, on which nobody waits: Slack's pace is not what is looked at here."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
        await asyncio.sleep(0.001)


@asynccontextmanager
async def service(folder: Path, slack: FakeSlack) -> AsyncIterator[tuple[App, ThreadSync]]:
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog()))
    settings = replace(
        read({"data": str(folder / "data"), "reasoner": "runbook", "catalog": "catalog.yaml"}, cwd=folder),
        surfaces={"slack": SlackSettings(bot_token=SecretStr("xoxb-test"), api_url=slack.url, channel="C1")},
        routes=(RouteEntry(match=['severity="critical"'], depth="investigate", mentions=["S1"]),),
    )
    posters: list[ThreadSync] = []
    async with open_app(settings, listeners=[lambda event: posters[0].heard(event)]) as app:
        posters.append(ThreadSync(app, app.outbox("slack"), Hurried()))
        running = [asyncio.create_task(app.watch.run()), asyncio.create_task(posters[0].run())]
        yield app, posters[0]
        app.watch.stop()
        await posters[0].close()
        await asyncio.gather(*running)


async def settled(app: App, poster: ThreadSync) -> None:
    """Until nothing is taken in, run or posted any more."""
    calm = 0
    while calm < 5:
        busy = await app.inbox.waiting() or poster.behind or app.watch.busy
        calm = 0 if busy else calm + 1
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("batch", [20])
async def test_six_hundred_alerts_over_forty_services_disturb_few(tmp_path: Path, batch: int) -> None:
    async with FakeSlack.start() as slack, service(tmp_path, slack) as (app, poster):
        arriving = outage(datetime.now(UTC))
        for start in range(0, ALERTS, batch):
            await app.inbox.accept("alertmanager", arriving[start : start + batch])
        async with asyncio.timeout(120):
            await settled(app, poster)
        messages = slack.messages("C1")
        threads = {m.get("thread_ts") or m["ts"] for m in messages}
        mentions = json.dumps([m["blocks"] for m in messages]).count('"S1"')
        print(
            f"\n{len(threads)} threads, {len(messages)} messages, {mentions} mentions, {len(await app.api.incidents(500))} incidents"
        )
        assert len(threads) <= 4  # three, and the digest
        assert len(messages) <= 25
        assert mentions <= 2
        kept = [
            a.fingerprint for one in await app.api.incidents(500) for a in (await app.api.incident_view(one.id)).alerts
        ]
        assert sorted(kept) == sorted(a.fingerprint for a in arriving)
        told = json.dumps([m["blocks"] for m in messages])
        for one in await app.api.incidents(500):
            assert one.id in told, "an incident that no thread and no digest names"
