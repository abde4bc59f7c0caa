"""Airflow's triggerer around our event triggers: its own runner and shared streams, without its processes.

Only the far side of the pipe to the supervisor is ours: the store of assets' state, and the table that events
are written to.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow.jobs.triggerer_job_runner import _USER_ACTION_CANCEL_MSG, TriggerRunner
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    AssetStateStoreResult,
    ErrorResponse,
    GetAssetStateStoreByName,
    OKResponse,
    SetAssetStateStoreByName,
)
from airflow.sdk.execution_time.context import AssetStateStoreAccessors

if TYPE_CHECKING:
    import pytest

LONGEST_WAIT = 300.0  # seconds: a backstop, which no wait comes near on any machine


async def until(condition: Callable[[], object]) -> None:
    """Wait for *condition*, on a machine however slow."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not condition():  # noqa: ASYNC110  # what is waited for is another thread's, or Airflow's
            await asyncio.sleep(0.01)


def rebuild(trigger: Any) -> Any:
    """Make *trigger* again from what it serialises to, as JSON."""
    path, kwargs = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


class Supervisor:
    """What outlives a triggerer: the state that is stored, and the events.

    :param is_away: requests are refused.
    :param hangs: requests are not answered.
    """

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Any] = {}
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.is_away = False
        self.hangs = False
        self.refused = 0

    def watermark(self, asset: str) -> Any:
        return self.stored.get((asset, "avepoint_watermark"))

    def announced(self, trigger_id: int = 1) -> list[str]:
        """Return the ids of the jobs that the trigger has announced, in order."""
        return [payload["job_id"] for number, payload in self.events if number == trigger_id]

    async def asend(self, message: Any) -> Any:
        if isinstance(message, (GetAssetStateStoreByName, SetAssetStateStoreByName)):
            if self.hangs:
                await asyncio.Event().wait()
            if self.is_away:
                self.refused += 1
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
            where = (message.name, message.key)
            if isinstance(message, SetAssetStateStoreByName):
                self.stored[where] = json.loads(json.dumps(message.value))
            elif where in self.stored:
                return AssetStateStoreResult(value=self.stored[where])
            else:
                return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)
        return OKResponse(ok=True)

    def send(self, _message: Any) -> Any:
        return OKResponse(ok=True)


class Triggerer:
    """One triggerer, from ``async with`` to its orderly stop.

    :param stores: whether events reach the database.
    """

    def __init__(self, supervisor: Supervisor, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        self.stores = True
        self.runner = TriggerRunner()
        self._supervisor = supervisor
        self._syncing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._syncing = asyncio.create_task(self._sync())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return len(self.runner._shared_streams._groups)

    def failures(self) -> list[BaseException]:
        """Return why triggers have ended that should not."""
        tasks = [details["task"] for details in self.runner.triggers.values()]
        return [error for task in tasks if task.done() and (error := task.exception()) is not None]

    def start(self, trigger: Any, trigger_id: int = 1, *, watches: str | None = None) -> None:
        """Run *trigger*, for the asset *watches*."""
        trigger = rebuild(trigger)
        asset = Asset(name=watches or trigger.asset, uri="avepoint://dynamics365")
        trigger.asset_state_store = AssetStateStoreAccessors(inlets=[asset])
        trigger.trigger_id = trigger_id
        trigger._log = logging.getLogger("airflow_provider_avepoint.watcher")
        self.runner.triggers[trigger_id] = {"name": str(trigger_id), "events": 0, "is_watcher": True}
        self.runner.triggers[trigger_id]["task"] = asyncio.create_task(
            self.runner.run_trigger(trigger_id, trigger)
        )

    async def remove(self, trigger_id: int = 1) -> None:
        """Cancel a trigger as when its DAG is paused."""
        task = self.runner.triggers.pop(trigger_id)["task"]
        task.cancel(_USER_ACTION_CANCEL_MSG)
        await asyncio.wait([task])

    async def stop(self) -> None:
        """Do what the runner does when it is asked to stop: events that were not handed over are gone."""
        self.stores = False
        if self._syncing is not None:
            self._syncing.cancel()
        async with asyncio.timeout(LONGEST_WAIT):
            await self.runner._shared_streams.stop_all()
        tasks = [details["task"] for details in self.runner.triggers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.runner.triggers.clear()

    async def _sync(self) -> None:
        while True:
            confirmed = []
            while self.stores and self.runner.events:
                entry = self.runner.events.popleft()
                self._supervisor.events.append(
                    (entry.trigger_id, json.loads(json.dumps(entry.event.payload)))
                )
                if entry.persist_seq is not None:
                    confirmed.append(entry.persist_seq)
            self.runner._shared_streams.confirm_persisted(confirmed)
            await asyncio.sleep(0.01)
