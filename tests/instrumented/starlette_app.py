"""A shop on Starlette with starlette_exporter. `starlette_app.py PORT`."""

from __future__ import annotations

import sys
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware, handle_metrics


def orders(request: Request) -> Response:
    return JSONResponse({"number": request.path_params["number"]})


def slow(request: Request) -> Response:
    time.sleep(0.3)
    return JSONResponse({})


def broken(request: Request) -> Response:
    return Response(status_code=503)


def raises(request: Request) -> Response:
    raise ValueError("nobody expected that")


if __name__ == "__main__":
    app = Starlette(
        routes=[
            Route("/orders/{number:int}", orders),
            Route("/slow", slow),
            Route("/broken", broken),
            Route("/raises", raises),
            Route("/metrics", handle_metrics),
        ]
    )
    app.add_middleware(PrometheusMiddleware, skip_paths=["/metrics"])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
