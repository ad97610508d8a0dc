"""The intake under a storm: `python -m tests.bench_storm [--notifications 50000] [--each 1] [--command '… {data} {port}']`.

A real uvicorn in a process of its own, on the machine's cores together with the sender. Without `--command` it is the
webhook alone; with it, whatever serves {data} at {port} (`stanch --data {data} serve --port {port}`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.servers.machines import TOP, answers, ended, until
from tests.storm import kept, lost, send, storm
from tests.webhook_house import TOKEN

ALONE = f"{sys.executable} -m tests.webhook_house {{folder}} {{port}}"


@contextmanager
def served(command: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The port and the process's id of what `command` serves, once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    filled = shlex.split(command.format(folder=folder, data=folder / "data", port=port))
    log = folder / "server.log"
    with log.open("wb") as file:
        env = {**os.environ, "STANCH_WEBHOOK_TOKENS": TOKEN}
        process = subprocess.Popen(filled, cwd=TOP, stdout=file, stderr=file, env=env)
    try:
        ready = f"http://127.0.0.1:{port}/readyz"
        until(lambda: answers(ready) or ended(process, log), f"{ready} answers", 60)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def memory(pid: int) -> dict[str, float]:
    """Megabytes resident now (VmRSS) and at most (VmHWM)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--notifications", type=int, default=50_000)
    asked.add_argument("--alerts", type=int, default=5_000)
    asked.add_argument("--groups", type=int, default=200)
    asked.add_argument("--each", type=int, default=1, help="alerts in one notification")
    asked.add_argument("--connections", type=int, default=64)
    asked.add_argument("--command", default=ALONE)
    given = asked.parse_args()
    made = storm(given.notifications, given.alerts, given.groups, given.each)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(given.command, folder) as (port, pid):
            sent = asyncio.run(send(port, TOKEN, made, given.connections, timedelta(minutes=10)))
            size = memory(pid)
        database = folder / "data" / "stanch.db"
        missing, (signals, deliveries) = lost(sent, database), kept(database)
        print(
            f"{len(made)} notifications of {len(signals)} distinct alerts ({given.each} each) in {given.groups} groups, "
            f"{given.connections} connections: {len(made) / sent.took:.0f}/s sustained over {sent.took:.1f} s, "
            f"p50 {sent.quantile(0.5) * 1000:.1f} ms, p99 {sent.quantile(0.99) * 1000:.1f} ms, "
            f"answers {dict(sorted(sent.answers.items()))}, delivered {deliveries}, lost {len(missing)}, "
            f"memory {size['VmRSS']:.0f} MB (at most {size['VmHWM']:.0f})"
        )
    if missing:
        sys.exit(f"lost: {sorted(missing)[:5]}")


if __name__ == "__main__":
    main()
