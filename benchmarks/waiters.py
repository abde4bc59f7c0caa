"""Waits as a triggerer has them: many triggers on one event loop, each made from its JSON.

Each function takes an order, starts the waits that are missing, and returns what lets all of them go on for a
while, which returns how many wait. The waits live from order to order, for as long as the process does;
between two orders the loop stands still.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.listers import PRODUCT, define_connection

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

#: What gates are about: all object types together, and each one.
M365_OBJECT_TYPES = (
    "exchange_online",
    "sharepoint_online",
    "onedrive",
    "microsoft_365_groups",
    "project_online",
    "public_folder",
    "teams",
    "viva_engage",
    "teams_chat",
    "power_bi",
    "power_automate",
    "power_apps",
)
M365_PATH = "/backup/m365/cloudbackupjobs"
_GATES: tuple[str | None, ...] = (None, *M365_OBJECT_TYPES)
_HOURS = timedelta(hours=5)
_STEPS = 50

_runner = asyncio.Runner()
_waits: list[asyncio.Task[None]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """So many waits, for so long.

    :param count: how many wait.
    :param interval: seconds between two looks of each.
    :param spread: seconds in which those that are missing begin, evenly, as they do in practice.
    :param seconds: how long they then go on, timed.
    :param begun_at: when the jobs were made, in ISO 8601.
    :param connection: the Airflow connection, for ours.
    :param http_connection: for ``HttpSensor``, with a token.
    """

    count: int
    interval: float
    spread: float
    seconds: float
    begun_at: str
    connection: dict[str, Any] = field(repr=False)
    http_connection: dict[str, Any] = field(repr=False)


def name_job(number: int) -> str:
    """Return the id of the job that a wait is for."""
    return f"BENCH{number:08}"


def wait_for_jobs(order: Order) -> Callable[[], int]:
    """Use what :class:`AvePointJobSensor` defers to: each waits for a job of its own, all of which run."""
    from airflow_provider_avepoint.triggers.avepoint import AvePointJobTrigger

    waiting = _describe_waiting(order)
    return _go_on(
        order, lambda number: AvePointJobTrigger(product=PRODUCT, job_id=name_job(number), **waiting)
    )


def wait_for_verdicts(order: Order) -> Callable[[], int]:
    """Use what :class:`AvePointBackupSensor` defers to, on Microsoft 365, no two with the same policy."""
    from airflow_provider_avepoint.core.policy import Policy
    from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger

    waiting = _describe_waiting(order)
    begun_at = datetime.fromisoformat(order.begun_at)

    def build(number: int) -> BaseTrigger:
        policy = Policy(
            product="m365",
            started_after=begun_at - timedelta(seconds=120, milliseconds=number),
            object_types=_GATES[number % len(_GATES)],
        )
        return AvePointBackupTrigger(policy=policy.as_dict(), **waiting)

    return _go_on(order, build)


def wait_with_http_sensor(order: Order) -> Callable[[], int]:
    """Use what ``HttpSensor(deferrable=True)`` defers to: each asks for a job that there is not, yet.

    It reads no answer; all that it can wait for is that a 404 goes away.
    """
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    conn_id = define_connection("http_bench", order.http_connection)
    return _go_on(
        order,
        lambda number: HttpSensorTrigger(
            endpoint=f"{M365_PATH}/{name_job(number)}", http_conn_id=conn_id, poke_interval=order.interval
        ),
    )


def only_sleep(order: Order) -> Callable[[], int]:
    """Wait for nothing: what is left is Airflow's own."""
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    class SleepTrigger(BaseTrigger):
        """Sleep for hours."""

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "SleepTrigger", {}

        async def run(self) -> AsyncIterator[TriggerEvent]:
            await asyncio.sleep(_HOURS.total_seconds())
            yield TriggerEvent(None)  # type: ignore[no-untyped-call]  # Airflow's

    return _go_on(order, lambda _: SleepTrigger())  # type: ignore[no-untyped-call]  # Airflow's


def _describe_waiting(order: Order) -> dict[str, Any]:
    import airflow_provider_avepoint.hooks.avepoint  # noqa: F401  # as HttpSensor's, before there is a wait

    return {
        "avepoint_conn_id": define_connection("avepoint_bench", order.connection),
        "poll_interval": order.interval,
        "started_at": order.begun_at,
        "deadline": (datetime.fromisoformat(order.begun_at) + _HOURS).isoformat(),
    }


def _go_on(order: Order, build: Callable[[int], BaseTrigger]) -> Callable[[], int]:
    _runner.run(_begin(order, build))
    return lambda: _runner.run(_count_after(order.seconds))


async def _begin(order: Order, build: Callable[[int], BaseTrigger]) -> None:
    missing = order.count - len(_waits)
    for step in range(_STEPS):
        for _ in range(missing * step // _STEPS, missing * (step + 1) // _STEPS):
            _waits.append(asyncio.create_task(_wait(_reload(build(len(_waits))))))
        if missing > 0:
            await asyncio.sleep(order.spread / _STEPS)


def _reload(trigger: BaseTrigger) -> BaseTrigger:
    """Return the trigger as the triggerer gets it: no two share what their arguments hold."""
    _, arguments = trigger.serialize()
    return type(trigger)(**json.loads(json.dumps(arguments)))


async def _wait(trigger: BaseTrigger) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"A wait that should not end has ended: {event.payload}")


async def _count_after(seconds: float) -> int:
    await asyncio.sleep(seconds)
    for wait in _waits:
        if wait.done():
            wait.result()
    return len(_waits)
