"""The lab as a whole: a world, its clock and state, and an HTTP server that shows all its faces under one address."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from agent.lab import alertmanager, catalog, kubernetes, loki, mlflow, prometheus, reports, serving
from agent.lab import scenario as scenarios
from agent.lab.alert_rules import renamed, rules
from agent.lab.clock import LabClock, RunningClock, millis, moment
from agent.lab.exposition import CONTENT_TYPE, exposition
from agent.lab.rules import WithAlerts, firing
from agent.lab.scenario import Scenario, Truth
from agent.lab.state import LabState
from agent.lab.world import score
from agent.lab.world.cluster import Cluster
from agent.lab.world.simulation import Applied
from agent.lab.world.world import World

HOST = "127.0.0.1"
STARTING_S = 10.0


class Lab:
    """A running lab. Make one with `Lab.open`; `url` is where it answers."""

    def __init__(self, state: LabState, drawn: Scenario, clock: LabClock | RunningClock) -> None:
        self.state, self.scenario, self.clock = state, drawn, clock
        self.url = ""
        self.world = World(
            drawn, int(state.about["seed"]), int(state.about["start_ms"]), self.now_ms, state.applied, state.append
        )
        listed = rules(drawn.thresholds)
        place = next(n for n, rule in enumerate(listed) if rule.name == drawn.alert.name)
        listed = renamed(listed, int(state.about["seed"])) if drawn.blind else listed
        self.samples = WithAlerts(self.world, listed)
        # the scenario's own rule for itself: asking for it need not evaluate all the others
        self._own = WithAlerts(self.world, [listed[place]])

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, scenario: str = "forecast-contention", seed: int = 1, port: int = 0, blind: bool = False
    ) -> AsyncIterator[Lab]:
        """Begin a scenario in a folder, or go on with the one that lies there if it is the same. Serves until left.

        UnusableInput for an unknown scenario or a state that cannot be read.
        """
        lab = cls.prepare(folder, scenario, seed, blind)
        async with lab.served(port):
            yield lab

    @classmethod
    def prepare(cls, folder: Path, scenario: str, seed: int, blind: bool = False) -> Lab:
        """As `open`, without serving: the world, its clock and what lies on disk."""
        drawn = scenarios.load(scenario).draw(seed)
        drawn = drawn.model_copy(update={"blind": blind or drawn.blind})
        state = LabState.load(folder)
        if state is None or (state.about["scenario"]["name"], state.about["seed"]) != (drawn.name, seed):
            state = LabState.create(folder, _plain(drawn), seed, millis(drawn.start_time()))
        return cls._of(state)

    @classmethod
    def resume(cls, folder: Path) -> Lab | None:
        """The lab that lies in a folder, not yet serving; None where there is none."""
        state = LabState.load(folder)
        return None if state is None else cls._of(state)

    @classmethod
    def _of(cls, state: LabState) -> Lab:
        drawn = Scenario.model_validate(state.about["scenario"])
        clock = LabClock(moment(state.now_ms), lambda when: state.keep_clock(millis(when)))
        return cls(state, drawn, clock)

    @asynccontextmanager
    async def served(self, port: int = 0, host: str = HOST, url: str = "") -> AsyncIterator[str]:
        """The faces on a port, in the running loop; `url` is how others reach it."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            self.url = url.rstrip("/") or f"http://{host}:{listener.getsockname()[1]}"
            config = uvicorn.Config(
                self.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=600
            )
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                await _started(server, task)
                yield self.url
            finally:
                server.should_exit = True
                await task

    def app(self) -> Starlette:
        """Every face under its prefix."""
        clusters = {name: Cluster(self.world, name) for name in self.scenario.clusters}
        found: list[BaseRoute] = [
            Mount(
                "/prometheus",
                routes=prometheus.routes(self.samples, self.samples.rules, lambda: f"{self.url}/prometheus"),
            ),
            *kubernetes.routes(clusters),
            *mlflow.routes(self.world),
            *loki.routes(self.world),
            *reports.routes(self.world),
            *alertmanager.routes(self.world, self.alerts),
            *serving.routes(self.world),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]
        return Starlette(routes=found)

    def _metrics(self, request: Request) -> Response:
        return Response(exposition(self.world), media_type=CONTENT_TYPE)

    def now_ms(self) -> int:
        return millis(self.clock.now())

    # What the demo, the tests and the scores ask

    @property
    def truth(self) -> Truth:
        return self.scenario.truth

    @property
    def onset(self) -> datetime:
        """When the scenario's first own effect began."""
        return moment(score.onset_ms(self.scenario, self.world.start_ms))

    def alerts(self) -> list[dict[str, Any]]:
        """What fires now, each as in Alertmanager's webhook."""
        return [dict(alert) for alert in firing(self.samples, lambda: f"{self.url}/prometheus")]

    def the_alert(self) -> dict[str, Any] | None:
        """The alert that the scenario is about, while it fires."""
        return next((one for one in self._of_the_rule() if self._is_ours(one["labels"])), None)

    def _of_the_rule(self) -> list[dict[str, Any]]:
        return [dict(alert) for alert in firing(self._own, lambda: f"{self.url}/prometheus")]

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name) == value for name, value in self.scenario.alert.labels.items())

    def webhook_body(self) -> dict[str, Any]:
        """Alertmanager's webhook (version 4) that brings the scenario's alert in, with all of its group."""
        one = self.the_alert()
        if one is None:
            return alertmanager.webhook_body([], {}, f"{self.url}/alertmanager")
        group = {k: one["labels"][k] for k in ("alertname", "cluster", "service") if k in one["labels"]}
        same = [a for a in self._of_the_rule() if all(a["labels"].get(k) == v for k, v in group.items())]
        return alertmanager.webhook_body(same, group, f"{self.url}/alertmanager")

    def effects(self) -> Sequence[Applied]:
        """Changes that somebody made, oldest first: what actions really did."""
        return list(self.world.applied)

    def harm(self) -> float:
        """Requests that failed or were slow since the onset beyond what is usual, as a share of all."""
        return score.harm(self.world, millis(self.onset))

    def recovered(self) -> bool:
        """Whether the scenario's alert neither fires nor is about to."""
        return not any(self._is_ours(one.labels) for one in self._own.active())

    def catalog_yaml(self, os_user: str, person: str = "ann") -> str:
        """A catalog of this platform, in which a user of this machine is a person who may approve."""
        return catalog.text(self.scenario, self.url, os_user, person)

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig with one context per cluster, named as the cluster."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(catalog.kubeconfig(self.scenario.clusters, self.url)), encoding="utf-8")
        return path


async def _started(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(STARTING_S):
        while not server.started:
            if task.done():
                task.result()
                raise OSError("the lab's server ended before it answered")
            await asyncio.sleep(0.005)


def _plain(drawn: Scenario) -> Mapping[str, Any]:
    return dict(drawn.model_dump(mode="json", by_alias=True))


async def serve_real_time(
    folder: Path,
    scenario: str,
    seed: int,
    port: int,
    host: str = HOST,
    url: str = "",
    written: tuple[Path, str] | None = None,
) -> None:
    """Run a scenario in real time until cancelled: its start is now, and `/metrics` shows the present.

    `written` is a folder for the configuration of an application over it, and the user of this machine who may approve.
    """
    drawn = scenarios.load(scenario).draw(seed)
    start = datetime.now(UTC).replace(microsecond=0)
    start -= timedelta(seconds=start.second % 30)
    lab = Lab(LabState.create(folder, _plain(drawn), seed, millis(start)), drawn, RunningClock())
    async with lab.served(port, host, url):
        if written is not None:
            _write(lab, *written)
        await asyncio.Event().wait()


def _write(lab: Lab, folder: Path, os_user: str) -> None:
    """stanch.yaml, catalog.yaml, policy.yaml and a kubeconfig for this platform."""
    folder.mkdir(parents=True, exist_ok=True)
    lab.kubeconfig(folder / "kubeconfig")
    for name, text in catalog.configuration(lab.scenario.clusters, lab.url).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "catalog.yaml").write_text(lab.catalog_yaml(os_user), encoding="utf-8")
