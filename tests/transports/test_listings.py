"""Listings against the simulator: whole, by either driver; left early; and what is closed in the end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointPayloadError, AvePointUnavailable
from airflow_provider_avepoint.core.flow import Join, NoAnswer, Pause, Protect, Request, Send
from airflow_provider_avepoint.core.listing import JobListing
from airflow_provider_avepoint.core.query import build_queries
from airflow_provider_avepoint.credentials import build_credential
from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook, AvePointHook
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.transports import aiohttp as by_aiohttp
from airflow_provider_avepoint.transports import requests as by_requests
from airflow_provider_avepoint.transports.aiohttp import AiohttpTransport

from .conftest import exchange, hook_with, settings
from .server import Server

PATHS = {
    "m365": "/backup/m365/cloudbackupjobs",
    "m365_legacy": "/cloudbackup/jobs",
    "dynamics365": "/dynamicsbackup/jobs",
}
AFTER = "2020-01-01T00:00:00Z"
Connect = Callable[..., str]


def list_blocking(product: str) -> list[str]:
    with AvePointHook() as hook:
        return [job.job_id for job in hook.iter_jobs(product, started_after=AFTER)]


def list_on_a_loop(product: str) -> list[str]:
    async def run() -> list[str]:
        async with AvePointAsyncHook() as hook:
            return [job.job_id async for job in hook.aiter_jobs(product, started_after=AFTER)]

    return asyncio.run(run())


DRIVERS = pytest.mark.parametrize("list_ids", [list_blocking, list_on_a_loop], ids=["requests", "aiohttp"])


@DRIVERS
@pytest.mark.parametrize("product", PATHS)
@pytest.mark.parametrize("first_index", [0, 1])
@pytest.mark.parametrize(
    "link",
    ["none", "empty", "null", "absolute", "relative", "relative_without_prefix", "query", "token"],
)
def test_every_job_comes_once(
    simulator: Simulator, connect: Connect, list_ids: Any, product: str, first_index: int, link: str
) -> None:
    simulator.generate(product, 95)
    simulator.set_quirks(product, first_index=first_index, link=link, max_page_size=10, arrivals_per_page=1)
    expected = {job["job_id"] for job in simulator.jobs(product)}
    connect()
    got = list_ids(product)
    assert len(got) == len(set(got))
    assert expected <= set(got)


@DRIVERS
@pytest.mark.parametrize("product", PATHS)
def test_netrc_is_never_used(
    simulator: Simulator,
    connect: Connect,
    list_ids: Any,
    product: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The token request is signed by nobody, the others by the token: the simulator would refuse others."""
    path = tmp_path / "netrc"
    path.write_text("machine localhost login stray password x\ndefault login stray password x\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    url = simulator.url.replace("127.0.0.1", "localhost")
    connect(host=url, extra={"identity_endpoint": f"{url}/connect/token"})
    simulator.add_job(product)
    assert 1 == len(list_ids(product))
    token, *others = simulator.requests()
    assert "/connect/token" == token["path"]
    assert "authorization" not in token["header_names"]
    assert {200} == {each["status"] for each in others}


@DRIVERS
def test_the_connections_secrets_are_no_headers(
    simulator: Simulator, connect: Connect, list_ids: Any
) -> None:
    """Airflow's HttpHook sends extras that it does not know as headers, and the login by Basic."""
    connect(extra={"identity_endpoint": simulator.token_url, "location": "NAM", "page_size": 10})
    list_ids("m365")
    usual = {"host", "user-agent", "accept", "accept-encoding", "connection", "authorization"}
    usual |= {"content-length", "content-type"}
    assert {name for each in simulator.requests() for name in each["header_names"]} <= usual


@DRIVERS
@pytest.mark.parametrize("where", ["before", "middle"])
def test_dropped_connections_cost_no_job(
    simulator: Simulator, connect: Connect, list_ids: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    simulator.generate("m365", 55)
    simulator.set_quirks("m365", max_page_size=10)
    simulator.add_fault("drop", path=PATHS["m365"], where=where, skip=2, count=2)
    connect()
    assert 55 == len(set(list_ids("m365")))


@DRIVERS
@pytest.mark.parametrize("kind", ["html", "broken_json", "empty_body", "missing_rows"])
def test_a_page_that_cannot_be_read_is_no_end(
    simulator: Simulator, connect: Connect, list_ids: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    simulator.generate("dynamics365", 55)
    simulator.set_quirks("dynamics365", max_page_size=10, first_index=1)
    simulator.add_fault(kind, path=PATHS["dynamics365"], skip=2, count=None)
    connect(extra={"identity_endpoint": simulator.token_url, "max_concurrency": 1})
    with pytest.raises(AvePointPayloadError):
        list_ids("dynamics365")


@DRIVERS
def test_an_error_body_is_no_end(simulator: Simulator, connect: Connect, list_ids: Any) -> None:
    simulator.generate("m365", 55)
    simulator.set_quirks("m365", max_page_size=10)
    simulator.add_fault("error_body", path=PATHS["m365"], skip=2)
    connect(extra={"identity_endpoint": simulator.token_url, "max_concurrency": 1})
    with pytest.raises(AvePointUnavailable):
        list_ids("m365")


@DRIVERS
def test_a_redirect_gets_no_token(
    simulator: Simulator, connect: Connect, list_ids: Any, server: Server
) -> None:
    simulator.add_fault("redirect", path=PATHS["m365"], location=f"{server.url}/jobs")
    connect()
    with pytest.raises(AvePointPayloadError, match="redirect"):
        list_ids("m365")
    assert [] == server.asked


# Left early

#: Seconds that a wait may take, on a machine however slow.
PATIENCE = 150.0
#: When a driver gives up a page that does not come: longer, so that to wait for that page is to fail.
TIMEOUT = 300.0
#: What has been asked for when the 35th job of pages of ten has come: four pages, and eleven ahead.
ASKED = 15


def fill(alone: Simulator) -> None:
    alone.generate("m365", 2000)
    alone.set_quirks("m365", max_page_size=10)


def is_quiet(alone: Simulator) -> bool:
    """Tell whether all that has been asked for is answered; from now on, no page is."""
    if [200] * ASKED != [each["status"] for each in alone.requests(PATHS["m365"])]:
        return False
    alone.add_fault("hang", path=PATHS["m365"], count=None)
    return True


def is_asked_for_one_more(alone: Simulator) -> bool:
    return ASKED + 1 == len(alone.requests(PATHS["m365"]))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def avepoint_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("avepoint_")}


def test_leaving_a_listing_early_blocking(
    alone: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for pages that nobody will read, and no thread stays."""
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    fill(alone)
    connect(host=alone.url, extra={"identity_endpoint": alone.token_url, "timeout": TIMEOUT})
    with AvePointHook() as hook:
        jobs = hook.iter_jobs("m365", started_after=AFTER)
        assert 35 == len([next(jobs) for _ in range(35)])
        wait_until(lambda: is_quiet(alone))
        assert 10 == len([next(jobs) for _ in range(10)])
        wait_until(lambda: is_asked_for_one_more(alone))
        threads = avepoint_threads()
        jobs.close()  # had it waited, the page would be asked for again
        assert is_asked_for_one_more(alone)
    alone.stop()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert is_asked_for_one_more(alone)


async def jobs_of(pages: Any) -> AsyncGenerator[Any]:
    async with aclosing(pages):
        async for page in pages:
            for job in page:
                yield job


async def leave_early(alone: Simulator, jobs: Any) -> set[asyncio.Task[Any]]:
    """Read and leave in the middle; return the tasks that are left."""
    before = asyncio.all_tasks()
    assert 35 == len([await anext(jobs) for _ in range(35)])
    await asyncio.to_thread(wait_until, lambda: is_quiet(alone))
    assert 10 == len([await anext(jobs) for _ in range(10)])
    await asyncio.to_thread(wait_until, lambda: is_asked_for_one_more(alone))
    assert asyncio.all_tasks() - before
    async with asyncio.timeout(PATIENCE):
        await jobs.aclose()
    return asyncio.all_tasks() - before


async def test_a_driver_that_leaves_a_listing_early(alone: Simulator) -> None:
    fill(alone)
    own = settings(
        alone.url,
        identity_endpoint=alone.token_url,
        client_id=alone.client_id,
        client_secret=alone.client_secret,
    )
    client = Client.build(own, build_credential(own))
    (query,) = build_queries("m365", started_after=AFTER)

    async def protect(_: str) -> None:
        pass

    async with AiohttpTransport(own, protect) as transport:
        pages = transport.draw(JobListing(client, query, datetime.now(UTC)))
        async with aclosing(jobs_of(pages)) as jobs:
            assert set() == await leave_early(alone, jobs)


async def test_leaving_a_listing_early_on_a_loop(alone: Simulator, connect: Connect) -> None:
    """Not left to the garbage collector: the session would be closed before the tasks that use it."""
    fill(alone)
    connect(host=alone.url, extra={"identity_endpoint": alone.token_url, "timeout": TIMEOUT})
    async with AvePointAsyncHook() as hook:
        assert set() == await leave_early(alone, hook.aiter_jobs("m365", started_after=AFTER))


# What is closed


def test_every_thread_has_its_session_and_all_are_closed(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[requests.Session] = []
    closed: list[requests.Session] = []
    own_get_conn, own_close = AvePointHook.get_conn, requests.Session.close

    def get_conn(hook: AvePointHook) -> requests.Session:
        opened.append(own_get_conn(hook))
        return opened[-1]

    def close(session: requests.Session) -> None:
        closed.append(session)
        own_close(session)

    monkeypatch.setattr(AvePointHook, "get_conn", get_conn)
    monkeypatch.setattr(requests.Session, "close", close)
    simulator.generate("m365", 500)
    simulator.set_quirks("m365", max_page_size=10, latency_ms=5)
    connect()
    with AvePointHook() as hook:
        assert 500 == len(list(hook.iter_jobs("m365", started_after=AFTER)))
        assert len(opened) > 1
    assert {id(session) for session in opened} == {id(session) for session in closed}


def test_closed_and_used_again(server: Server) -> None:
    hook = hook_with(settings(server.url))
    request = Request(method="GET", url=server.url)
    for _ in range(2):
        assert 200 == hook.transport.run(exchange((request,)))[0].status
        hook.close()
    assert 2 == len(server.asked)


async def test_flows_that_start_together_share_one_session(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is replaced by another would never be closed."""
    opened: list[aiohttp.ClientSession] = []
    own = aiohttp.ClientSession

    def open_session(**arguments: Any) -> aiohttp.ClientSession:
        opened.append(own(**arguments))
        return opened[-1]

    monkeypatch.setattr(by_aiohttp.aiohttp, "ClientSession", open_session)

    async def protect(_: str) -> None:
        pass

    request = Request(method="GET", url=server.url)
    async with AiohttpTransport(settings(server.url), protect) as transport:
        received = await asyncio.gather(*(transport.run(exchange((request,))) for _ in range(8)))
    assert [200] * 8 == [answers[0].status for answers in received]
    is_closed = [session.closed for session in opened]
    for session in opened:
        await session.close()
    gc.collect()
    assert [True] == is_closed


async def test_closing_what_was_never_opened() -> None:
    async def protect(_: str) -> None:
        pass

    await AiohttpTransport(settings(), protect).close()
    hook_with(settings()).close()


# The other effects


def all_effects(done: Future[None]) -> Any:
    yield Protect("secret")
    yield Pause(0.0)
    yield Join(done)
    return "result"


def test_effects_blocking() -> None:
    done: Future[None] = Future()
    done.set_exception(ValueError("none of the joiner's business"))
    told: list[str] = []
    transport = by_requests.RequestsTransport(settings(), requests.Session, told.append)
    assert "result" == transport.run(all_effects(done))
    assert ["secret"] == told


async def test_effects_on_a_loop() -> None:
    done: Future[None] = Future()
    done.cancel()
    told: list[str] = []

    async def protect(secret: str) -> None:
        told.append(secret)

    assert "result" == await AiohttpTransport(settings(), protect).run(all_effects(done))
    assert ["secret"] == told


def test_a_future_may_outlive_the_loop_that_waited_for_it() -> None:
    done: Future[None] = Future()

    async def give_up() -> None:
        task = asyncio.create_task(by_aiohttp._until_done(done))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(give_up())
    done.set_result(None)
    concurrent.futures.wait([done])


def test_a_flow_is_closed_where_its_driver_fails() -> None:
    """The one that fetches a token lets go of it."""
    ended: list[str] = []

    def flow() -> Any:
        try:
            yield Protect("secret")
        finally:
            ended.append("closed")

    def fail(_: str) -> None:
        raise ZeroDivisionError

    transport = by_requests.RequestsTransport(settings(), requests.Session, fail)
    with pytest.raises(ZeroDivisionError):
        transport.run(flow())
    assert ["closed"] == ended


def test_a_flow_may_bear_no_answer(server: Server) -> None:
    def flow() -> Any:
        with pytest.raises(NoAnswer):
            yield Send(Request(method="GET", url=f"{server.url}/drop"))
        return "borne"

    hook = hook_with(settings(server.url))
    assert "borne" == hook.transport.run(flow())
    hook.close()
