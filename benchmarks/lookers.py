"""One look of a gate, by each driver.

Each function takes an order and returns the look to be timed, which returns 1 where the gate passes, else 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.listers import define_connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The look to take.

    :param connection: the Airflow connection.
    """

    product: str
    connection: dict[str, Any] = field(repr=False)


def look_with_hook(order: Order) -> Callable[[], int]:
    """Use :meth:`AvePointHook.judge`, as ``AvePointBackupCheckOperator`` does on a worker."""
    from airflow_provider_avepoint.core.auth import TOKENS
    from airflow_provider_avepoint.core.policy import Policy
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook

    TOKENS.clear()  # as in a task's process, which is new
    conn_id = define_connection("avepoint_bench", order.connection)

    def run() -> int:
        with AvePointHook(conn_id) as hook:
            verdict = hook.judge(Policy(product=order.product, max_age="24h"))
        return int(verdict.passed)

    return run


def look_with_async_hook(order: Order) -> Callable[[], int]:
    """Use :meth:`AvePointAsyncHook.ajudge`, on an event loop."""
    from airflow_provider_avepoint.core.auth import TOKENS
    from airflow_provider_avepoint.core.policy import Policy
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

    TOKENS.clear()
    conn_id = define_connection("avepoint_bench", order.connection)

    async def look() -> int:
        async with AvePointAsyncHook(conn_id) as hook:
            verdict = await hook.ajudge(Policy(product=order.product, max_age="24h"))
        return int(verdict.passed)

    return lambda: asyncio.run(look())
