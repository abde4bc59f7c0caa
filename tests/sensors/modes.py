"""Poke, reschedule and deferrable mode without Airflow's processes: what those do between two looks.

A wait is given a world: steps that change the simulator, the first before the first look, one more in each
pause. Time passes where a step says so, on the clock that each mode reads.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    TaskDeferred,
)

from airflow_provider_avepoint.exceptions import AvePointSkipped, AvePointWaitTimeout
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import avepoint as triggers
from airflow_provider_avepoint.triggers import poll
from tests.versions import AIRFLOW, AirflowRescheduleException

MAX_PAUSES = 60
#: Whether Airflow keeps what one look of ``mode="reschedule"`` has seen for the next.
KEEPS_STATE = AIRFLOW >= (3, 3)
_MOMENTS = ("started_at", "deadline", "execution_deadline", "first_poll_at")

Step = Callable[["World"], None]
Make = Callable[..., Any]


class TaskInstance:
    """What a sensor asks of a task instance."""

    dag_id, task_id, run_id, map_index, try_number, max_tries = "gate", "wait", "manual", -1, 1, 0

    def __init__(self, world: World) -> None:
        self.xcoms: dict[str, Any] = {}
        self._world = world
        self._first_look: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def get_first_reschedule_date(self, _context: object) -> datetime | None:
        """Return when the first look was, on the world's clock; None at that look itself."""
        if self._first_look is None:
            self._first_look = datetime.now(UTC)
            return None
        return self._first_look - timedelta(seconds=self._world.passed)

    def begin(self) -> None:
        """Forget the XComs of the look before, as Airflow does unless a task resumes from a deferral."""
        self.xcoms.clear()


class TaskStateStore:
    """What a task keeps across its processes and its tries: JSON values."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self.values[key] = json.dumps(value)


@dataclass
class World:
    """What happens around a wait, and what is left behind by it."""

    simulator: Simulator
    steps: list[Step] = field(default_factory=list)
    passed: float = 0.0
    pauses: int = 0
    store: TaskStateStore = field(default_factory=TaskStateStore)

    def __post_init__(self) -> None:
        self.ti = TaskInstance(self)

    @property
    def context(self) -> dict[str, Any]:
        known: dict[str, Any] = {"ti": self.ti}
        return known | {"task_state_store": self.store} if KEEPS_STATE else known

    def begin(self) -> None:
        """Take the step before the first look."""
        self._step()

    def pause(self) -> None:
        """Take the step between two looks."""
        self.pauses += 1
        assert self.pauses < MAX_PAUSES, "the wait goes on for ever"
        self._step()

    def _step(self) -> None:
        if self.steps:
            self.steps.pop(0)(self)

    @property
    def requests(self) -> int:
        return len(self.simulator.requests())


@dataclass(frozen=True)
class Outcome:
    """How a wait ended."""

    error: BaseException | None
    value: Any
    xcoms: dict[str, Any]
    pauses: int

    @property
    def kind(self) -> type[BaseException] | None:
        """The class of the error; of a skip and a timeout, Airflow's class."""
        ours = {AvePointSkipped: AirflowSkipException, AvePointWaitTimeout: AirflowSensorTimeout}
        return None if self.error is None else ours.get(type(self.error), type(self.error))

    @property
    def message(self) -> str:
        return str(self.error)


def wait_by_poking(make: Make, world: World) -> Any:
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + world.passed, sleep=lambda _seconds: world.pause()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module(BaseSensorOperator.__module__), "time", clock)
        return make(mode="poke", deferrable=False).execute(world.context)


def wait_by_rescheduling(make: Make, world: World) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        if AIRFLOW < (3, 0):  # the sensor itself reads the database
            patch.setattr(
                import_module(BaseSensorOperator.__module__),
                "_orig_start_date",
                lambda **_task: world.ti.get_first_reschedule_date(world.context),
            )
        while True:
            world.ti.begin()
            try:
                return make(mode="reschedule").execute(world.context)  # each look is a process of its own
            except AirflowRescheduleException:
                world.pause()


def wait_by_deferring(make: Make, world: World) -> Any:
    try:
        return make(deferrable=True).execute(world.context)
    except TaskDeferred as e:
        deferred = e
    world.pause()
    event = run_trigger(deferred.trigger, world)
    next_kwargs = {**(deferred.kwargs or {}), "event": event}
    return make(deferrable=True).resume_execution(deferred.method_name, next_kwargs, world.context)


def run_trigger(trigger: Any, world: World) -> Any:
    """Hand *trigger* over as Airflow does, as JSON, and return its one event, which is JSON too."""
    looked, sleeps, skipped = world.requests, 0, 0.0

    def pause() -> None:
        nonlocal looked, sleeps
        sleeps += 1
        assert sleeps <= MAX_PAUSES + 1, "the trigger sleeps for ever"
        if world.requests != looked:  # the first sleep, before any look, is no pause between two
            world.pause()
            looked, sleeps = world.requests, 0

    async def sleep(_seconds: float) -> None:
        pause()

    async def pause_poll(changed: asyncio.Event, seconds: float) -> None:
        nonlocal skipped
        if seconds == float("inf"):  # nobody waits for a look
            await changed.wait()
            return
        pause()
        skipped += seconds

    async def collect() -> list[Any]:
        return [json.loads(json.dumps(event.payload)) async for event in rebuild(trigger, world.passed).run()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triggers, "asyncio", SimpleNamespace(sleep=sleep))
        patch.setattr(poll, "pause", pause_poll)
        patch.setattr(poll.Poll, "now", lambda _poll: time.monotonic() + skipped)
        (event,) = asyncio.run(collect())
    return event


def rebuild(trigger: Any, passed: float = 0.0) -> Any:
    """Make *trigger* again from what it serialises to, *passed* seconds later."""
    path, kwargs = trigger.serialize()
    kwargs = json.loads(json.dumps(kwargs))
    for name in _MOMENTS:
        if kwargs[name] is not None:
            kwargs[name] = (datetime.fromisoformat(kwargs[name]) - timedelta(seconds=passed)).isoformat()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


MODES: dict[str, Callable[[Make, World], Any]] = {
    "poke": wait_by_poking,
    "reschedule": wait_by_rescheduling,
    "deferrable": wait_by_deferring,
}


def run(mode: str, make: Make, world: World) -> Outcome:
    """Run a whole wait in *mode*."""
    world.begin()
    return conclude(world, lambda: MODES[mode](make, world))


def resume(make: Make, world: World, next_method: str, next_kwargs: dict[str, Any] | None) -> Outcome:
    """Resume a deferred wait as the scheduler does."""
    sensor = make(deferrable=True)
    return conclude(world, lambda: sensor.resume_execution(next_method, next_kwargs, world.context))


def conclude(world: World, call: Callable[[], Any]) -> Outcome:
    error: BaseException | None = None
    value = None
    try:
        value = call()
    except (Exception, AirflowTaskTimeout) as e:  # noqa: BLE001  # how it ends is what is tested
        error = e
    return Outcome(error=error, value=value, xcoms=world.ti.xcoms, pauses=world.pauses)
