"""A shop with OpenTelemetry: FastAPI, `requests`, and a Prometheus endpoint. `otel_app.py PORT PEER` (a URL that it calls);
OTEL_SEMCONV_STABILITY_OPT_IN chooses the convention."""

from __future__ import annotations

import sys
import time

import requests
import uvicorn
from fastapi import FastAPI, Response
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import make_asgi_app

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


@app.get("/call")
def call(path: str) -> dict[str, str]:
    """Call the peer; `gone` is one that nothing listens at."""
    where = "http://localhost:9/" if path == "gone" else f"{sys.argv[2]}/{path}"
    try:
        return {"said": str(requests.get(where, timeout=5).status_code)}
    except requests.ConnectionError as error:
        return {"said": type(error).__name__}


if __name__ == "__main__":
    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    RequestsInstrumentor().instrument()
    app.mount("/metrics", make_asgi_app())
    FastAPIInstrumentor.instrument_app(app, excluded_urls="metrics")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
