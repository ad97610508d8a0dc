"""A storm against a real server: `python -m tests.bench_storm [--notifications N] [-- COMMAND …]`.

COMMAND is the server; `{data}`, `{port}` in it are filled in. Without one it is the inbox half (tests/half_server.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agent.sources.alertmanager import delivered
from agent.store.inbox import delivery_key
from tests.servers.conftest import free
from tests.servers.machines import TOP, answers, ended, until
from tests.storm import Sent, Storm, send

HALF = (sys.executable, "-m", "tests.half_server", "{data}", "{port}")


def main() -> int:
    own = sys.argv[1:]
    command = own[own.index("--") + 1 :] if "--" in own else list(HALF)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--notifications", type=int, default=50_000)
    options.add_argument("--alerts", type=int, default=5_000)
    options.add_argument("--groups", type=int, default=200)
    options.add_argument("--each", type=int, default=5, help="alerts in one notification")
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--token", default="")
    asked = options.parse_args(own[: own.index("--")] if "--" in own else own)
    storm = Storm(asked.notifications, asked.alerts, asked.groups, asked.each)
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), command, storm, asked.clients, asked.token)


def run(folder: Path, command: Sequence[str], storm: Storm, clients: int, token: str) -> int:
    port, bodies, data = free(), storm.bodies(), folder / "data"
    filled = [part.format(data=data, port=port) for part in command]
    data.mkdir()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(filled, stdout=log, stderr=log, cwd=TOP)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz") or ended(server, folder / "log"), "it is ready", 60)
        began, before = time.perf_counter(), cpu(server.pid)
        sent = asyncio.run(send(port, bodies, clients, token))
        seconds = time.perf_counter() - began
        memory, worked = peak(server.pid), cpu(server.pid) - before
    finally:
        server.terminate()
        server.wait(30)
    lost = len(missing(data, bodies, sent))
    print(
        f"{len(bodies):,} notifications ({sent.alerts:,} alerts, {storm.alerts:,} distinct, {storm.groups} groups) "
        f"in {seconds:.1f} s over {clients} connections\n"
        f"rate {len(bodies) / seconds:,.0f}/s · p50 {sent.quantile(0.5) * 1e3:.1f} ms · p99 {sent.quantile(0.99) * 1e3:.1f} ms "
        f"· longest {max(sent.seconds) * 1e3:.0f} ms\n"
        f"answers {dict(sorted(sent.answers.items()))} · lost {lost} · memory {memory:.0f} MB "
        f"· processor {worked / len(bodies) * 1e3:.2f} ms a notification"
    )
    return 1 if lost else 0


def cpu(pid: int) -> float:
    """Seconds the process has spent on a processor, its own and the system's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """The most memory the process ever held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def missing(data: Path, bodies: Sequence[tuple[bytes, tuple[str, ...]]], sent: Sent) -> set[str]:
    """Fingerprints that were answered with a 2xx and are not on disk."""
    from agent.clock import RealClock

    now = RealClock().now()
    wanted = {one.fingerprint: delivery_key(one) for body, _ in set(bodies) for one in delivered(body, now).alerts}
    with sqlite3.connect(data / "stanch.db") as store:
        kept = {key for (key,) in store.execute("SELECT key FROM deliveries")}
    store.close()
    return {fingerprint for fingerprint in sent.kept if wanted[fingerprint] not in kept}


if __name__ == "__main__":
    raise SystemExit(main())
