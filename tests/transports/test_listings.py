"""What the drivers let go of: listings that are left early, sessions, threads, and flows that fail."""

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
from typing import Any

import aiohttp
import pytest
import requests

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.client import Client
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

PATH = "/backup/m365/cloudbackupjobs"
AFTER = "2020-01-01T00:00:00Z"
Connect = Callable[..., str]


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
    if [200] * ASKED != [each["status"] for each in alone.requests(PATH)]:
        return False
    alone.add_fault("hang", path=PATH, count=None)
    return True


def is_asked_for_one_more(alone: Simulator) -> bool:
    return ASKED + 1 == len(alone.requests(PATH))


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
