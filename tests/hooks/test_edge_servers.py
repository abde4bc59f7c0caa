"""Servers at the edge of what AvePoint's documents allow, over sockets, by both drivers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_avepoint.core.errors import (
    AvePointPayloadError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.retry import MAX_ATTEMPTS
from tests.hooks.drivers import DRIVERS

pytestmark = pytest.mark.no_cover

Query = dict[str, str]
#: A status and a body: JSON, or bytes as they are.
Answer = tuple[int, Any]
Serve = Callable[[Query], Answer]

NOW = datetime.now(UTC)
PAGE = b"\xef\xbb\xbf<!DOCTYPE html><title>Maintenance</title>"


class EdgeServer:
    """Answers pages of jobs by *serve*, and tokens by *identity*; *asked* has the queries for pages."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.serve: Serve = lambda _: (200, {})
        self.identity: Iterator[Answer] = iter(())
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str) -> Answer:
        parts = urlsplit(path)
        if parts.path == "/connect/token":
            return next(self.identity, (200, {"access_token": "t", "expires_in": 3600}))
        query = {name.casefold(): value for name, value in parse_qsl(parts.query)}
        self.asked.append(query)
        return self.serve(query)


class _Server(ThreadingHTTPServer):
    owner: EdgeServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, body = self.server.owner.answer(self.path)
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if status != 204:
            self.wfile.write(sent)

    do_POST = do_GET  # noqa: N815  # the library's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@pytest.fixture
def server(connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[EdgeServer]:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    running = EdgeServer()
    connect(host=running.url, extra={"identity_endpoint": f"{running.url}/connect/token"})
    yield running
    running.close()


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Any:
    return DRIVERS[request.param]


def d365(number: int, **fields: Any) -> dict[str, Any]:
    start = NOW - timedelta(hours=1, minutes=number)
    return {
        "jobId": f"DCIB{number}",
        "type": 1,
        "module": "Customer Engagement",
        "status": 3,
        "startTime": start.isoformat(),
        "finishTime": (start + timedelta(minutes=1)).isoformat(),
        "organizationId": "o1",
        **fields,
    }


def m365(number: int) -> dict[str, Any]:
    row = d365(number)
    return {"id": f"FB{number}", "state": "Finished"} | {
        name: row[name] for name in ("startTime", "finishTime")
    }


def scan(number: int) -> dict[str, Any]:
    row = d365(number)
    return {"id": f"Scan{number}", "type": 0, "category": 0, "state": 2} | {
        name: row[name] for name in ("startTime", "finishTime")
    }


def list_ids(driver: Any, product: str = "dynamics365") -> list[str]:
    jobs = driver.list_jobs(product, started_after=NOW - timedelta(days=2))
    return [job.job_id for job in jobs]


def judge(driver: Any) -> Any:
    return driver.judge(product="dynamics365", max_age=timedelta(days=1))


def by_pages(pages: list[list[dict[str, Any]]], total: int | None, base: int = 1) -> Serve:
    """Serve *pages*, the first of which is also what no number brings, and a number below *base*."""

    def serve(query: Query) -> Answer:
        index = max(0, int(query.get("pageindex", base)) - base)
        rows = pages[index] if index < len(pages) else []
        return 200, {"jobs": rows, "nextLink": None} | ({} if total is None else {"totalCount": total})

    return serve


def test_a_short_page_is_no_end(driver: Any, server: EdgeServer) -> None:
    """Pages of 10, 7 and 8 rows, on a server that counts from 1: the last one has a failure."""
    rows = [
        d365(number, status=4 if number == 24 else 3, organizationId=f"o{number}") for number in range(25)
    ]
    for total in (25, None):
        server.serve = by_pages([rows[:10], rows[10:17], rows[17:]], total)
        assert 25 == len(list_ids(driver))
        assert "failed" == judge(driver).reason


def test_pages_that_are_filtered_after_they_are_cut(driver: Any, server: EdgeServer) -> None:
    """400 jobs, a third of them restores, among these all of sixteen pages in the middle."""
    is_backup = [number % 3 != 0 or 260 < number for number in range(400)]
    is_backup[100:260] = [False] * 160
    rows = [d365(number) if is_backup[number] else None for number in range(400)]
    pages = [[row for row in rows[begin : begin + 10] if row] for begin in range(0, 400, 10)]
    for base in (0, 1):
        server.serve = by_pages(pages, sum(is_backup), base)
        assert sum(is_backup) == len(set(list_ids(driver)))


def test_what_one_listing_promised_in_vain_weakens_no_other(driver: Any, server: EdgeServer) -> None:
    """The total was one too high in the first listing; in the second one, the second page is empty once."""
    rows = [d365(number) for number in range(20)]
    honest, lying = by_pages([rows[:10], rows[10:]], 20), by_pages([rows[:10], rows[10:]], 21)
    seconds = 0

    def forget_once(query: Query) -> Answer:
        nonlocal seconds
        if query.get("pageindex") == "2":
            seconds += 1
            if seconds == 1:
                return 200, {"jobs": [], "totalCount": 20}
        return honest(query)

    def list_twice() -> Iterator[dict[str, Any]]:
        server.serve = lying
        yield {"started_after": NOW - timedelta(days=2)}
        server.serve = forget_once
        yield {"started_after": NOW - timedelta(days=2)}

    assert [20, 20] == [len(jobs) for jobs in driver.list_each("dynamics365", list_twice())]
    assert seconds > 1


def test_a_link_to_an_empty_page_is_a_promise(driver: Any, server: EdgeServer) -> None:
    """The page is asked for once more; then the listing raises, whatever the total says."""

    def serve(query: Query) -> Answer:
        if "pageindex" in query:
            return 200, {"jobs": [], "nextLink": ""}
        return 200, {"jobs": [d365(1)], "totalCount": 1, "nextLink": "/jobs?pageIndex=2&pageSize=1000"}

    server.serve = serve
    with pytest.raises(AvePointPayloadError, match="a link to a page without rows, also when"):
        judge(driver)
    assert 2 == sum("pageindex" in query for query in server.asked)


def test_a_200_without_success_is_an_error(driver: Any, server: EdgeServer) -> None:
    server.serve = lambda _: (200, {"statusCode": 200, "success": False, "data": None})
    with pytest.raises(AvePointUnavailable):
        driver.judge(product="m365", object_types=["teams"], max_age=timedelta(days=1))


def test_a_server_that_sends_everything_at_once(driver: Any, server: EdgeServer) -> None:
    """The rows make its total, so they are all, whatever page is asked for."""
    for count in (2, 10, 37):
        answer = {
            "data": [m365(number) for number in range(count)],
            "metadata": {"totalCount": count, "nextLink": ""},
        }
        server.serve = lambda _, answer=answer: (200, answer)
        assert count == len(list_ids(driver, "m365"))
    assert 1 + 4 + 4 == len(server.asked)


def test_a_page_beyond_the_end_may_be_refused(driver: Any, server: EdgeServer) -> None:
    """The rows make the total; where they do not, the refusal is an error."""
    refused, promised = iter((204, 400, 404, 416, 404)), 12

    def serve(query: Query) -> Answer:
        if "pageindex" in query:
            return next(refused), {"message": "There is no such page."}
        return 200, {"jobs": [d365(number) for number in range(12)], "totalCount": promised}

    server.serve = serve
    for _ in range(4):
        assert 12 == len(list_ids(driver))
    promised = 13
    with pytest.raises(AvePointRequestError):
        list_ids(driver)


def test_a_link_that_is_a_bare_query(driver: Any, server: EdgeServer) -> None:
    def serve(query: Query) -> Answer:
        assert "skiptoken" not in query
        number = int(query.get("pageindex", 1))
        link = f"PageIndex={number + 1}&pageSize=100" if number < 3 else ""
        rows = [d365(each) for each in range(number * 10, number * 10 + 7)]
        return 200, {"jobs": rows, "nextLink": link}

    server.serve = serve
    assert 21 == len(list_ids(driver))
    assert [None, "2", "3"] == [query.get("pageindex") for query in server.asked]


def test_a_link_that_stays_the_same_where_rows_are_skipped(driver: Any, server: EdgeServer) -> None:
    """Where the next page begins follows from the rows, so no link is needed."""

    def serve(query: Query) -> Answer:
        begin = int(query.get("skip", 0))
        link = "/aos/jobs?skip=10&top=10" if begin < 30 else None
        return 200, {"jobs": [scan(number) for number in range(begin, min(begin + 10, 35))], "nextLink": link}

    server.serve = serve
    assert 35 == len(set(list_ids(driver, "aos_scan")))


def test_a_gateways_page_is_tried_again(driver: Any, server: EdgeServer) -> None:
    """HTML with 200, twice, from the identity service and from the API."""
    good: Answer = (200, {"jobs": [d365(1)], "totalCount": 1})
    answers = iter([(200, PAGE)] * 2)
    server.serve, server.identity = lambda _: next(answers, good), iter([(200, PAGE)] * 2)
    assert ["DCIB1"] == list_ids(driver)
    assert 3 == len(server.asked)


def test_a_gateways_page_that_stays(driver: Any, server: EdgeServer) -> None:
    server.serve = lambda _: (200, PAGE)
    with pytest.raises(
        AvePointPayloadError, match="check that the connection's host is an address of AvePoint"
    ):
        list_ids(driver)
    assert MAX_ATTEMPTS == len(server.asked)
