"""A shop that is asked by gRPC, and asks itself. `grpc_app.py PORT interceptors|legacy|opentelemetry`: measured by
py-grpc-prometheus (with the names that Go has, or its older ones), or by gRPC's own plugin for OpenTelemetry. `/call?path=NAME` over HTTP makes it ask once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
from prometheus_client import generate_latest

SERVICE = "shop.Orders"


def orders(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def slow(request: bytes, context: grpc.ServicerContext) -> bytes:
    time.sleep(0.3)
    return request


def broken(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAVAILABLE, "no stock")
    return b""


def absent(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
    return b""


def measured_by_opentelemetry() -> None:
    from grpc_observability import OpenTelemetryPlugin
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    OpenTelemetryPlugin(meter_provider=MeterProvider([PrometheusMetricReader()])).register_global()


def interceptors(legacy: bool) -> tuple[list[Any], Callable[[grpc.Channel], grpc.Channel]]:
    from py_grpc_prometheus.prometheus_client_interceptor import PromClientInterceptor
    from py_grpc_prometheus.prometheus_server_interceptor import PromServerInterceptor

    client = PromClientInterceptor(enable_client_handling_time_histogram=True, legacy=legacy)
    server = PromServerInterceptor(enable_handling_time_histogram=True, legacy=legacy)
    return [server], lambda one: grpc.intercept_channel(one, client)


class Asks(BaseHTTPRequestHandler):
    """HTTP around the gRPC: /metrics and /call."""

    channel: grpc.Channel

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        body = generate_latest() if asked.path == "/metrics" else self._call(parse_qs(asked.query)["path"][0])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def _call(self, name: str) -> bytes:
        with suppress(grpc.RpcError):
            self.channel.unary_unary(f"/{SERVICE}/{name}", _registered_method=True)(b"7", timeout=5)
        return b""

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    around, of_channel = [], lambda one: one
    if sys.argv[2] == "opentelemetry":
        measured_by_opentelemetry()
    else:
        around, of_channel = interceptors(legacy=sys.argv[2] == "legacy")
    server = grpc.server(ThreadPoolExecutor(4), interceptors=around)
    methods = {one.__name__: grpc.unary_unary_rpc_method_handler(one) for one in (orders, slow, broken, absent)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    server.add_registered_method_handlers(SERVICE, methods)
    place = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    Asks.channel = of_channel(grpc.insecure_channel(place))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Asks).serve_forever()
