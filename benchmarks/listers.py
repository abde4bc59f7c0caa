"""Five ways to list the same jobs, each as one would write it.

Each function takes an order and returns the listing to be timed, which returns how many jobs came. Ours gets
its token in that time; the others are given one, and the last is told how many pages there are, too.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PRODUCT = "dynamics365"
SCOPE = "dynamics.readwrite.all"
_PATH = "/dynamicsbackup/jobs"
_BACKUP = "1"
_CONNECTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The jobs to list: as many as started within the window, both of its ends included.

    :param connection: the Airflow connection, for ours.
    :param token: for those who do not get one themselves.
    :param page_size: rows a page; ours is at its default.
    """

    jobs: int
    url: str
    connection: dict[str, Any] = field(repr=False)
    token: str = field(repr=False)
    started_after: str
    finished_before: str
    page_size: int

    @property
    def query(self) -> dict[str, str]:
        """The parameters of every page."""
        return {
            "type": _BACKUP,
            "startTime": self.started_after,
            "finishTime": self.finished_before,
            "pageSize": str(self.page_size),
        }


def list_with_hook(order: Order) -> Callable[[], int]:
    """Use :meth:`AvePointHook.iter_jobs`, on workers: typed jobs, one after the other."""
    from airflow_provider_avepoint.core.auth import TOKENS
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook

    TOKENS.clear()  # as in a task's process, which is new
    conn_id = define_connection("avepoint_bench", order.connection)

    def run() -> int:
        with AvePointHook(conn_id) as hook:
            return sum(1 for _ in hook.iter_jobs(PRODUCT, started_after=order.started_after))

    return run


def list_with_async_hook(order: Order) -> Callable[[], int]:
    """Use :meth:`AvePointAsyncHook.aiter_jobs`, on the triggerer."""
    from airflow_provider_avepoint.core.auth import TOKENS
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

    TOKENS.clear()
    conn_id = define_connection("avepoint_bench", order.connection)

    async def list_jobs() -> int:
        count = 0
        async with AvePointAsyncHook(conn_id) as hook:
            async for _ in hook.aiter_jobs(PRODUCT, started_after=order.started_after):
                count += 1
        return count

    return lambda: asyncio.run(list_jobs())


def list_with_http_operator(order: Order) -> Callable[[], int]:
    """Use ``HttpOperator`` with a ``pagination_function``: a list of dicts.

    As in https://airflow.apache.org/docs/apache-airflow-providers-http/stable/operators.html: the function
    reads where the next page is from a page and returns the ``data`` that ask for it, and the
    ``response_filter`` makes one list of all pages.
    """
    from airflow.providers.http.operators.http import HttpOperator

    def find_next_page(response: Any) -> dict[str, Any] | None:
        link = response.json().get("nextLink")
        if link:
            return {"data": dict(parse_qsl(urlsplit(link).query))}
        return None

    def collect_jobs(responses: list[Any]) -> list[dict[str, Any]]:
        return [job for response in responses for job in response.json()["jobs"]]

    list_jobs = HttpOperator(
        task_id="list_jobs",
        http_conn_id=define_connection("http_bench", {"conn_type": "http", "host": order.url}),
        method="GET",
        endpoint=_PATH,
        headers={"Authorization": f"Bearer {order.token}"},
        data=order.query,
        pagination_function=find_next_page,
        response_filter=collect_jobs,
    )
    # execute() is for Airflow's own task runner; this is all that it does.
    return lambda: len(list_jobs.execute_sync(context={}))


def list_with_aiohttp(order: Order) -> Callable[[], int]:
    """Use aiohttp and nothing else, eight pages at a time whose numbers are known: the limit."""
    import aiohttp

    page_count = -(-order.jobs // order.page_size)

    async def fetch(session: aiohttp.ClientSession, numbers: Iterator[int]) -> int:
        count = 0
        for number in numbers:  # the eight share the iterator
            async with session.get(
                order.url + _PATH, params={**order.query, "pageIndex": str(number)}
            ) as answer:
                count += len(json.loads(await answer.read())["jobs"])
        return count

    async def list_jobs() -> int:
        numbers = iter(range(1, page_count + 1))
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            headers={"Authorization": f"Bearer {order.token}"},
            raise_for_status=True,
        ) as session:
            return sum(await asyncio.gather(*(fetch(session, numbers) for _ in range(_CONNECTIONS))))

    return lambda: asyncio.run(list_jobs())


def list_page_by_page_with_aiohttp(order: Order) -> Callable[[], int]:
    """Use aiohttp and nothing else, and follow the links: what one writes who knows no number of pages."""
    import aiohttp

    async def list_jobs() -> int:
        count = 0
        query: dict[str, str] | None = order.query
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {order.token}"}, raise_for_status=True
        ) as session:
            while query is not None:
                async with session.get(order.url + _PATH, params=query) as answer:
                    page = json.loads(await answer.read())
                count += len(page["jobs"])
                link = page.get("nextLink")
                query = dict(parse_qsl(urlsplit(link).query)) if link else None
        return count

    return lambda: asyncio.run(list_jobs())


def define_connection(conn_id: str, connection: dict[str, Any]) -> str:
    """Define an Airflow connection for this process; return its id."""
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
    return conn_id
