"""HTTP connections to backends as stanch.yaml describes them: headers, authentication, certificates, proxies.

Proxies and certificate authorities of the environment are honoured (settings.py reads them), a backend's own come first.
Redirects are never followed: another server's answer would be taken for this one's, and would get its token.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # documented by its use in getproxies

import httpx

from agent.errors import BadConfiguration
from agent.settings import Settings
from agent.settings_file import BackendEntry

_OWN_HOST = frozenset({"localhost", "127.0.0.1", "::1"})


class Trust:
    """Certificates to trust, by file. The default is read once: that takes 40 ms."""

    def __init__(self, settings: Settings) -> None:
        self.default = self._read(settings.certificates)

    def context(self, entry: BackendEntry) -> ssl.SSLContext:
        """BadConfiguration names the file that cannot be read."""
        if entry.ca_file is None and entry.cert_file is None:
            return self.default
        context = self._read(entry.ca_file)
        if entry.cert_file is not None:
            try:
                context.load_cert_chain(entry.cert_file, entry.key_file)
            except (OSError, ssl.SSLError) as error:
                files = " and ".join(str(one) for one in (entry.cert_file, entry.key_file) if one)
                raise BadConfiguration(
                    f"The client certificate of {entry.url} cannot be read from {files}: {error}. cert_file takes the "
                    "certificate in PEM, key_file its key; both may stand in one file."
                ) from None
        return context

    def _read(self, path: Path | None) -> ssl.SSLContext:
        try:
            if path is not None and path.is_dir():
                return ssl.create_default_context(capath=path)
            return ssl.create_default_context(cafile=path) if path else httpx.create_ssl_context(trust_env=False)
        except (OSError, ssl.SSLError) as error:
            raise BadConfiguration(
                f"The certificate authorities in {path} cannot be read: {error}. A file in PEM is wanted."
            ) from None


class Transport(httpx.AsyncHTTPTransport):
    """Asks a second time where a read met a kept connection that the server was just closing; `server_name` is the name that
    the server's certificate has to bear, where it is not the address's."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None = None, server_name: str = "") -> None:
        super().__init__(verify=context, proxy=proxy)
        self._server_name = server_name

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._server_name:
            request.extensions = {**request.extensions, "sni_hostname": self._server_name}
        try:
            return await super().handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if request.method != "GET":
                raise
            return await super().handle_async_request(request)


class TokenFile(httpx.Auth):
    """A bearer token out of a file that somebody renews, as Kubernetes does: it is read again for each request."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            request.headers["Authorization"] = f"Bearer {self._path.read_text().strip()}"
        except OSError as error:
            raise httpx.RequestError(f"the token file {self._path} cannot be read: {error}", request=request) from None
        yield request


def client(entry: BackendEntry, settings: Settings, trust: Trust) -> httpx.AsyncClient:
    """BadConfiguration where a file or a variable that the entry names is not there."""
    return httpx.AsyncClient(
        base_url=entry.url,
        timeout=entry.timeout_s,
        headers=_headers(entry, settings),
        auth=_auth(entry, settings),
        trust_env=False,
        follow_redirects=False,
        transport=Transport(trust.context(entry), _proxy(entry, settings), entry.server_name),
    )


def _proxy(entry: BackendEntry, settings: Settings) -> str | None:
    """The backend's own, else the environment's for its scheme, unless NO_PROXY names the host."""
    if entry.proxy:
        return entry.proxy
    url = httpx.URL(entry.url)
    proxies = dict(settings.proxies)
    if url.host in _OWN_HOST or proxy_bypass_environment(url.host, proxies):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def _headers(entry: BackendEntry, settings: Settings) -> dict[str, str]:
    headers = dict(entry.headers) | {name: _secret(of, settings) for name, of in entry.headers_env.items()}
    return headers | ({"Authorization": f"Bearer {_secret(entry.token_env, settings)}"} if entry.token_env else {})


def _auth(entry: BackendEntry, settings: Settings) -> httpx.Auth | tuple[str, str] | None:
    if entry.token_file is not None:
        return TokenFile(entry.token_file)
    return (entry.user, _secret(entry.password_env, settings)) if entry.user and entry.password_env else None


def _secret(name: str, settings: Settings) -> str:
    if name not in settings.secrets:
        raise BadConfiguration(f"stanch.yaml names the environment variable {name}, which is not set. Set it.")
    return settings.secrets[name].get_secret_value()
