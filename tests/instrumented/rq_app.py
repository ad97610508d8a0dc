"""Jobs of RQ in the Redis of $BROKER: `rq_app.py fill` leaves three in `letters`, one of `parcels` done and one failed."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker


def write() -> str:
    return "dear"


def lose() -> None:
    raise ValueError("lost in the post")


if __name__ == "__main__" and sys.argv[1:] == ["fill"]:
    redis = Redis.from_url(os.environ["BROKER"])
    letters, parcels = Queue("letters", connection=redis), Queue("parcels", connection=redis)
    for _ in range(3):
        letters.enqueue("rq_app.write")
    for name in ("write", "lose"):
        parcels.enqueue(f"rq_app.{name}")
    SimpleWorker([parcels], connection=redis).work(burst=True)
