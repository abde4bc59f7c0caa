"""The wire passes everything on, and knows what passed."""

from __future__ import annotations

import re

import httpx
import pytest

from cluster.wire import Wire
from demo.stack import free_port

pytestmark = pytest.mark.system


def fetch(wire, simulator, *, proxy=None, url=None):
    """Sign in, and list jobs over one connection that stays open; return the token and the page."""
    base = url or f"http://{wire.address}"
    with httpx.Client(base_url=base, proxy=proxy, trust_env=False) as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": simulator.client_id,
            "client_secret": simulator.client_secret,
            "scope": "dynamics.readwrite.all",
        }
        token = client.post("/connect/token", data=form).raise_for_status().json()["access_token"]
        page = client.get(
            "/dynamicsbackup/jobs",
            params={"type": 1, "startTime": "2026-01-01T00:00:00Z", "finishTime": "2036-01-01T00:00:00Z"},
            headers={"Authorization": f"Bearer {token}"},
        )
        return token, page.raise_for_status().json()


@pytest.fixture
def wire(simulator):
    with Wire() as wire:
        wire.open(simulator.url)
        yield wire


def test_requests_reach_the_simulator_and_are_kept(wire, simulator):
    job = simulator.add_job("dynamics365")

    token, page = fetch(wire, simulator)

    assert [job["job_id"]] == [row["jobId"] for row in page["jobs"]]
    login, listing = wire.requests
    assert login.head.startswith(b"POST /connect/token HTTP/1.1\r\n")
    assert b"client_secret=demo-secret" in login.body
    assert f"authorization: bearer {token}".lower() in listing.head.decode().lower()
    assert b"" == listing.body
    assert {token.encode()} == wire.tokens


def test_it_is_a_proxy_too(wire, simulator):
    """The simulator's pages follow from the host that was asked for, whatever the proxy is."""
    job = simulator.add_job("dynamics365")

    _, page = fetch(wire, simulator, proxy=f"http://user:password@{wire.address}", url=simulator.url)

    assert [job["job_id"]] == [row["jobId"] for row in page["jobs"]]
    assert f"POST {simulator.url}/connect/token HTTP/1.1".encode() in wire.requests[0].head
    assert all(
        re.search(rb"\r\nproxy-authorization: basic ", each.head, re.IGNORECASE) for each in wire.requests
    )


def test_every_token_is_known_however_the_answer_is_cut(wire, simulator):
    tokens = {fetch(wire, simulator)[0].encode() for _ in range(20)}

    assert 20 == len(tokens)
    assert tokens == wire.tokens


def test_no_request_passes_while_it_is_closed(wire, simulator):
    wire.close()
    with pytest.raises(httpx.TransportError):
        fetch(wire, simulator)
    assert [] == wire.requests

    wire.open(simulator.url)
    fetch(wire, simulator)


def test_a_simulator_that_does_not_listen_is_a_connection_that_closes(wire, simulator):
    wire.open(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(httpx.TransportError):
        fetch(wire, simulator)

    wire.open(simulator.url)
    fetch(wire, simulator)
