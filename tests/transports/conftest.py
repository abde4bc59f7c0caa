"""Both drivers behind one function: give it requests, get answers or reports that there was none."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_avepoint.core.flow import Flow, NoAnswer, Request, Response, Send
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.transports.aiohttp import AiohttpTransport

from .server import Server

Fetch = Callable[..., list[Response | NoAnswer]]


@pytest.fixture
def alone() -> Iterator[Simulator]:
    """Return a simulator of the test's own: pages on their way when it ends must not reach the next."""
    with Simulator() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxies and bundles the machine has are not what is tested."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


def settings(url: str = "https://h", **fields: Any) -> Settings:
    return Settings(
        **{
            "base_url": url,
            "identity_endpoint": f"{url}/connect/token",
            "client_id": "c",
            "client_secret": "s3cr3t",
            "timeout": 300.0,
            **fields,
        }
    )


def hook_with(own: Settings) -> AvePointHook:
    """Return a hook whose connection has been read already: its transport and sessions are the real ones."""
    hook = AvePointHook()
    hook.__dict__["settings"] = own
    return hook


def exchange(requests: tuple[Request, ...]) -> Flow[list[Response | NoAnswer]]:
    received: list[Response | NoAnswer] = []
    for request in requests:
        try:
            received.append((yield Send(request)))
        except NoAnswer as e:
            received.append(e)
    return received


def by_requests(own: Settings, *requests: Request) -> list[Response | NoAnswer]:
    with hook_with(own) as hook:
        return hook.transport.run(exchange(requests))


def by_aiohttp(own: Settings, *requests: Request) -> list[Response | NoAnswer]:
    async def protect(_: str) -> None:
        pass

    async def run() -> list[Response | NoAnswer]:
        async with AiohttpTransport(own, protect) as transport:
            return await transport.run(exchange(requests))

    return asyncio.run(run())


@pytest.fixture(params=[by_requests, by_aiohttp], ids=["requests", "aiohttp"])
def fetch(request: pytest.FixtureRequest) -> Fetch:
    return request.param


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def proxy() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for the loopback address, and its key behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(1),
        not_valid_after=now + dt.timedelta(1),
    )
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + key_pem)
    return path


@pytest.fixture
def tls_server(bundle: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    with Server(context) as running:
        yield running
