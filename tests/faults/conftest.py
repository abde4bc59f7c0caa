"""What the cases share: who listens where, how many pages there are, and how to end what is left over."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.simulator import Simulator
from tests.transports.server import Server

from .table import Play

#: Seconds that nothing here takes: only what hangs is cut off by them.
FOR_EVER = 60
IDENTITY = "/connect/token"


@pytest.fixture(autouse=True)
def _as_quick_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    monkeypatch.setattr("airflow_provider_avepoint.transports.limits.MAX_BODY", 1 << 20)
    # Airflow's masker is slow with many tokens. Without the masker, what is not to be logged shows itself.
    monkeypatch.setattr("airflow_provider_avepoint.hooks.avepoint._MOST_MASKED", 0)
    monkeypatch.setattr("airflow_provider_avepoint.transports.limits._TIMEOUTS", 2)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    """Return a simulator that only these tests ask, so that each request it gets is one of theirs."""
    with Simulator() as running:
        yield running


@pytest.fixture(scope="session")
def running_foreigner() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def foreigner(running_foreigner: Server) -> Server:
    """Return a server at another address, which nobody is to ask."""
    running_foreigner.asked.clear()
    return running_foreigner


@pytest.fixture(scope="session")
def nobody() -> Iterator[str]:
    """Return an address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture(scope="session")
def certificate() -> dict[str, str]:
    """Return a certificate and its key, as a connection's extras have them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "faults")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(1),
        not_valid_after=now + dt.timedelta(1),
    )
    return {
        "certificate": builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode(),
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def end_within_bounds(call: Callable[[], Any]) -> Any:
    """Return what *call* returns, or the exception that it raises; fail where it does neither."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as e:  # noqa: BLE001  # whatever comes is what is to be seen
            outcome.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(FOR_EVER)
    assert outcome, "it hangs"
    return outcome[0]


@contextmanager
def no_stragglers() -> Iterator[None]:
    """Wait, at the end, until the pages are read that were on their way when a listing was given up."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + FOR_EVER
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("avepoint_"):
            thread.join(deadline - time.monotonic())
            assert not thread.is_alive(), "it hangs"


def name_addresses(simulator: Simulator, foreigner: Server, nobody: str) -> dict[str, str]:
    """Return what stands for the names of addresses in the table."""
    return {
        "nobody": nobody,
        "foreign": foreigner.url,
        "foreign_host": foreigner.url.replace("127.0.0.1", "localhost"),
        "own": simulator.url,
        "own_by_https": simulator.url.replace("http:", "https:"),
    }


def put(value: Any, addresses: Mapping[str, str]) -> Any:
    """Return *value* with the addresses in place of their names."""
    if isinstance(value, Mapping):
        return {name: put(inner, addresses) for name, inner in value.items()}
    if isinstance(value, str):
        for name, address in addresses.items():
            value = value.replace(f"{{{name}}}", address)
    return value


def arm(simulator: Simulator, play: Play, path: str, position: int, addresses: Mapping[str, str]) -> None:
    """Arm a fault for the page at *position*, or for the token which that page then has to ask for."""
    fields = put(play.fields, addresses)
    if play.at == "page":
        simulator.add_fault(play.kind, path=path, skip=position, count=play.count, **fields)
        return
    if position:
        simulator.add_fault("expire_token", path=path, skip=position)
    simulator.add_fault(play.kind, path=IDENTITY, skip=bool(position), count=play.count, **fields)


def assert_nothing_given_away(
    simulator: Simulator, foreigner: Server, caplog: pytest.LogCaptureFixture, outcome: object
) -> None:
    """Check that nobody else was asked, and that neither the secret nor a token is shown."""
    assert [] == foreigner.asked
    for entry in simulator.requests():
        assert ("authorization" in entry["header_names"]) == (entry["path"] != IDENTITY)
    shown = caplog.text + (str(outcome) if isinstance(outcome, Exception) else "")
    for secret in (simulator.client_secret, *(token.value for token in TOKENS._tokens.values())):
        assert secret not in shown
