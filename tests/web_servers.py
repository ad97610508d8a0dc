"""Servers as a distribution packages them, with their exporters, under a real Prometheus: HAProxy before nginx,
MariaDB, a Pushgateway."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.conftest import need
from tests.exporters import answers, free_port, process, scraping, until, value_of

ROUNDS = 4
ASKED = ("orders", "orders", "orders", "broken")  # one in four fails

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend doors
  bind {balanced}
  default_backend orders
frontend measured
  bind {haproxy}
  http-request use-service prometheus-exporter if {{ path /metrics }}
backend orders
  server first {web} check
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.errors;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {web};
    location /orders {{ return 200 "here"; }}
    location /broken {{ return 503; }}
    location /stub_status {{ stub_status; }}
  }}
}}
"""
CLIENT = "[client]\nuser=root\npassword=nobody asks for it\nhost=127.0.0.1\nport={port}\n"
TABLES = ("mysql_system_tables.sql", "mariadb_system_tables.sql")  # as older and newer releases call it
SCRAPED = ("haproxy", "nginx", "mariadb", "pushgateway")


@contextmanager
def web_servers(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Prometheus' address, and those of what is scraped by job. HAProxy and nginx were asked ROUNDS times ASKED since their
    first scrape, and the job `nightly` pushed once."""
    ports = {name: free_port() for name in (*SCRAPED, "balanced", "web", "database")}
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        for name, text in (("haproxy.cfg", HAPROXY), ("nginx.conf", NGINX), ("my.cnf", CLIENT)):
            (folder / name).write_text(text.format(folder=folder, port=ports["database"], **at))
        _tables(folder)
        for command in _commands(folder, ports, at):
            stack.enter_context(process(command, folder))
        for name in SCRAPED:
            until(lambda place=at[name]: answers(f"http://{place}/metrics"), f"an answer of {name}")
        until(lambda: answers(f"http://{at['balanced']}/orders"), "an answer through HAProxy")
        for path in ASKED[1:]:
            httpx.get(f"http://{at['balanced']}/{path}", timeout=5)
        httpx.post(f"http://{at['pushgateway']}/metrics/job/nightly", content="rows 3\n").raise_for_status()
        url = stack.enter_context(scraping(folder, [_job(name, at[name]) for name in SCRAPED]))
        until(lambda: value_of(url, "min(count_over_time(up[1m]))") >= 2, "a scrape of each")
        for path in ASKED * ROUNDS:
            httpx.get(f"http://{at['balanced']}/{path}", timeout=5)
        seen = value_of(url, "min(count_over_time(up[1m]))")
        until(lambda: value_of(url, "min(count_over_time(up[1m]))") >= seen + 3, "three further scrapes of each")
        yield url, at


def _job(name: str, place: str) -> Mapping[str, object]:
    job: dict[str, object] = {"job_name": name, "static_configs": [{"targets": [place]}]}
    return job | {"honor_labels": True} if name == "pushgateway" else job


def _tables(folder: Path) -> None:
    """A data folder of MariaDB, without what its installer needs besides."""
    (folder / "rows" / "mysql").mkdir(parents=True)
    found = next(path for name in TABLES if (path := Path("/usr/share/mysql", name)).exists() or name == TABLES[-1])
    subprocess.run(
        [*_mariadb(folder), "--bootstrap"],
        input=f"use mysql;\n{found.read_text()}".encode(),
        check=True,
        capture_output=True,
        timeout=60,
    )


def _mariadb(folder: Path) -> list[str]:
    program = need("mariadbd", "mariadb-server-core")
    told = ["--no-defaults", "--user=root", "--skip-grant-tables", "--innodb-buffer-pool-size=16M"]
    return [program, *told, f"--datadir={folder / 'rows'}"]


def _commands(folder: Path, ports: Mapping[str, int], at: Mapping[str, str]) -> Iterator[list[str]]:
    yield [need("nginx", "nginx-light"), "-c", str(folder / "nginx.conf")]
    yield [need("haproxy", "haproxy"), "-f", str(folder / "haproxy.cfg")]
    socket = ["--bind-address=127.0.0.1", f"--port={ports['database']}", f"--socket={folder / 'rows.sock'}"]
    yield [*_mariadb(folder), *socket]
    nginx = need("prometheus-nginx-exporter", "prometheus-nginx-exporter")
    yield [nginx, f"--nginx.scrape-uri=http://{at['web']}/stub_status", f"--web.listen-address={at['nginx']}"]
    mysqld = need("prometheus-mysqld-exporter", "prometheus-mysqld-exporter")
    yield [mysqld, f"--config.my-cnf={folder / 'my.cnf'}", f"--web.listen-address={at['mariadb']}"]
    gateway = need("prometheus-pushgateway", "prometheus-pushgateway")
    yield [gateway, f"--web.listen-address={at['pushgateway']}"]
