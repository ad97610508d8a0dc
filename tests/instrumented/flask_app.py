"""A shop on Flask with prometheus-flask-exporter. `flask_app.py PORT`."""

from __future__ import annotations

import sys
import time

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
PrometheusMetrics(app)


@app.get("/orders/<int:number>")
def orders(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/slow")
def slow() -> dict[str, str]:
    time.sleep(0.3)
    return {}


@app.get("/broken")
def broken() -> tuple[str, int]:
    return "", 503


@app.get("/raises")
def raises() -> str:
    raise ValueError("nobody expected that")


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
