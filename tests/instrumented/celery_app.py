"""Tasks of Celery over the Redis of $BROKER. `celery_app.py send` puts some into the queue."""

from __future__ import annotations

import os
import sys
import time

from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(worker_send_task_events=True, task_send_sent_event=True, broker_connection_retry_on_startup=True)


@app.task(name="letters.write")
def write() -> str:
    return "dear"


@app.task(name="letters.print")
def slow() -> None:
    time.sleep(0.3)


@app.task(name="letters.lose")
def lose() -> None:
    raise ValueError("lost in the post")


if __name__ == "__main__" and sys.argv[1:] == ["send"]:
    for task in (write, write, slow, lose):
        task.delay()
