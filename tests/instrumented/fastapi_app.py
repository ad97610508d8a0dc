"""A shop on FastAPI with prometheus-fastapi-instrumentator. `fastapi_app.py PORT`."""

from __future__ import annotations

import sys
import time

import uvicorn
from fastapi import FastAPI, Response
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()


@app.get("/orders/{number}")
def orders(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/slow")
def slow() -> dict[str, str]:
    time.sleep(0.3)
    return {}


@app.get("/broken")
def broken() -> Response:
    return Response(status_code=503)


@app.get("/raises")
def raises() -> Response:
    raise ValueError("nobody expected that")


if __name__ == "__main__":
    Instrumentator(excluded_handlers=["/metrics"]).instrument(app).expose(app)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
