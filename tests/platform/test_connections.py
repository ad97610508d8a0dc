"""A backend is reached as stanch.yaml describes it: over real TLS, through a real proxy, with what it wants to see."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent import settings
from agent.app import open_app
from agent.errors import BadConfiguration
from agent.platform.connections import Transport

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NAME = "prometheus.internal"


# -- a server ---------------------------------------------------------------------------------------------------------


class Authority:
    """A certificate authority that signs what a test needs. Certificate and key of one name stand in one file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        built = self._built(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _built(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            self._name, subject, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
        )

    def signed(self, name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        built = self._built(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        plain = serialization.NoEncryption()
        text = built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        text += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path = self._folder / f"{name}.pem"
        path.write_bytes(text)
        return path


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[dict[str, str]]]]:
    """Answers every request; its port, and what it was sent: headers, with the first line under ``."""
    heard: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *lines = head.strip().split("\r\n")
                heard.append({"": first, **dict(line.split(": ", 1) for line in lines)})
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1], heard


@asynccontextmanager
async def reached(folder: Path, entry: Mapping[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """The application's own connection to a Prometheus with this entry of stanch.yaml."""
    (folder / "stanch.yaml").write_text(yaml.safe_dump({"backends": {"prometheus": [dict(entry)]}}))
    async with open_app(settings.read({"data": str(folder / "data"), "reasoner": "runbook"}, folder)) as app:
        yield app.backends.of("prometheus")[0].http


@asynccontextmanager
async def locked(authority: Authority) -> AsyncIterator[int]:
    """A server with a certificate of the authority that wants one of its clients too; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(authority.signed(NAME))
    async with server(context) as (port, _):
        yield port


# -- certificates -----------------------------------------------------------------------------------------------------


async def test_certificates_of_ones_own_open_the_door_and_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.signed("stanch")
    async with locked(authority) as port:
        whole = {
            "url": f"https://127.0.0.1:{port}",
            "ca_file": "ca.pem",
            "cert_file": "stanch.pem",
            "server_name": NAME,
        }
        async with reached(tmp_path, whole) as http:
            assert (await http.get("/")).text == "ok"
        for lacking in ("ca_file", "server_name"):
            async with reached(tmp_path, {k: v for k, v in whole.items() if k != lacking}) as http:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    await http.get("/")
        async with reached(tmp_path, {k: v for k, v in whole.items() if k != "cert_file"}) as http:
            with pytest.raises(httpx.TransportError):
                await http.get("/")


async def test_authorities_of_the_environment_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.signed(NAME))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with (
        server(context) as (port, _),
        reached(tmp_path, {"url": f"https://127.0.0.1:{port}", "server_name": NAME}) as http,
    ):
        assert (await http.get("/")).text == "ok"


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
async def test_a_certificate_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"nowhere\.pem.*PEM"):
        async with reached(tmp_path, {"url": "https://127.0.0.1:1", name: "nowhere.pem"}):
            pass


# -- who we are -------------------------------------------------------------------------------------------------------


async def test_a_token_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    async with (
        server() as (port, heard),
        reached(tmp_path, {"url": f"http://127.0.0.1:{port}", "token_file": "token"}) as http,
    ):
        await http.get("/")
        (tmp_path / "token").write_text("second")
        await http.get("/")
        (tmp_path / "token").unlink()
        with pytest.raises(httpx.RequestError, match="token cannot be read"):
            await http.get("/")
    assert [one["Authorization"] for one in heard] == ["Bearer first", "Bearer second"]


async def test_tenants_and_keys_go_as_headers_and_keys_are_redacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "k3y-of-the-gateway")
    entry = {"headers": {"X-Scope-OrgID": "team-a"}, "headers_env": {"X-Api-Key": "GATEWAY_KEY"}}
    async with server() as (port, heard), reached(tmp_path, {"url": f"http://127.0.0.1:{port}", **entry}) as http:
        await http.get("/")
    assert (heard[0]["X-Scope-OrgID"], heard[0]["X-Api-Key"]) == ("team-a", "k3y-of-the-gateway")
    assert "k3y-of-the-gateway" in settings.read({}, tmp_path).every_secret
    monkeypatch.delenv("GATEWAY_KEY")
    with pytest.raises(BadConfiguration, match="GATEWAY_KEY, which is not set"):
        async with reached(tmp_path, {"url": "http://127.0.0.1:1", **entry}):
            pass


# -- the way there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "own", "through"),
    [
        ({"HTTP_PROXY": "{proxy}"}, "", True),
        ({"http_proxy": "{proxy}"}, "", True),
        ({"ALL_PROXY": "{proxy}"}, "", True),
        ({"HTTPS_PROXY": "{proxy}"}, "", False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": ".internal"}, "", False),
        ({}, "{proxy}", True),
        ({"HTTP_PROXY": "http://127.0.0.1:1"}, "{proxy}", True),
    ],
)
async def test_a_proxy_is_used_where_it_is_meant(
    environment: dict[str, str], own: str, through: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with server() as (port, heard):
        proxy = f"http://127.0.0.1:{port}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(proxy=proxy))
        async with reached(tmp_path, {"url": f"http://{NAME}:9090", "proxy": own.format(proxy=proxy)}) as http:
            if through:
                assert (await http.get("/api/v1/query")).text == "ok"
                assert heard[0][""] == f"GET http://{NAME}:9090/api/v1/query HTTP/1.1"
            else:
                with pytest.raises(httpx.ConnectError):
                    await http.get("/")
                assert heard == []


async def test_this_machine_is_never_asked_through_the_environments_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with server() as (port, _), reached(tmp_path, {"url": f"http://127.0.0.1:{port}"}) as http:
        assert (await http.get("/")).text == "ok"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_dropped_connection_is_tried_again_for_reads_only(method: str) -> None:
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        if seen > 1:
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    dropping = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{dropping.sockets[0].getsockname()[1]}"
    transport = Transport(ssl.create_default_context())
    async with dropping, httpx.AsyncClient(base_url=url, transport=transport) as client:
        if method == "GET":
            assert (await client.get("/")).text == "ok"
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post("/")
    assert seen == (2 if method == "GET" else 1)
