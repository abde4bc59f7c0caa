"""The triggers by themselves: what they are made of, when they look, and how they end. Times are real."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError, AvePointPayloadError
from airflow_provider_avepoint.core.verdict import Policy
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import poll
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger, AvePointJobTrigger

PATH, JOB = "/dynamicsbackup/jobs", "DCIB00000001"
LONGEST_WAIT = 300.0  # seconds: a backstop, which no wait comes near on any machine
STARTED_AT = "2026-11-22T01:00:00+00:00"


def soon(seconds: float) -> str:
    """Return the moment *seconds* from now; before now where they are negative."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def backup_trigger(**arguments: Any) -> AvePointBackupTrigger:
    policy = Policy(product="dynamics365", max_age=86400, organization_ids=["contoso"])
    needed = {"policy": policy.as_dict(), **WAIT}
    return AvePointBackupTrigger(**(needed | arguments))


def job_trigger(**arguments: Any) -> AvePointJobTrigger:
    return AvePointJobTrigger(**({"product": "dynamics365", "job_id": JOB, **WAIT} | arguments))


WAIT = {"avepoint_conn_id": "avepoint_default", "poll_interval": 0.05, "started_at": STARTED_AT}
#: What the triggers themselves have; the tests look more often.
LEAST_INTERVAL = poll.LEAST_INTERVAL
MAKERS = {"backup": backup_trigger, "job": job_trigger}
each_trigger = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
Make = Callable[..., Any]


def add(simulator: Simulator, state: str, **fields: Any) -> None:
    simulator.add_job(
        "dynamics365",
        **({"job_id": JOB, "organization_id": "contoso", "started_ago": 600, "state": state} | fields),
    )


def rebuild(trigger: Any) -> Any:
    path, kwargs = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


async def run(trigger: Any) -> dict[str, Any]:
    """Return the trigger's one event; that there is no other is part of what is tested."""
    async with asyncio.timeout(LONGEST_WAIT):
        (event,) = [event.payload async for event in trigger.run()]
    return event


def looks(simulator: Simulator) -> int:
    """Return how often a listing was begun, each try of a first page counted."""
    return len([each for each in simulator.requests(PATH) if "pageIndex" not in each["query"]])


async def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*, on a machine however slow."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not condition():  # noqa: ASYNC110  # what is waited for is another thread's
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _quick_looks_and_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.05)
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.fixture(autouse=True)
def _patient_last_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "_GRACE", LONGEST_WAIT)


POLICY = {
    "product": "dynamics365",
    "started_after": None,
    "max_age": 86400.0,
    "organization_ids": ["contoso"],
    "object_types": None,
    "locations": None,
    "expect_seen_within": 604800.0,
    "exclude": None,
    "job_type": ["backup"],
    "decide_by": None,
    "accept_partial": False,
    "max_failed": None,
    "max_failed_ratio": None,
    "on_failed": "fail",
    "fail_fast": True,
}
ARGUMENTS = {
    "avepoint_conn_id": "avepoint_default",
    "poll_interval": 300.0,
    "started_at": STARTED_AT,
    "deadline": "2026-11-22T02:00:00+00:00",
    "execution_deadline": "2026-11-22T03:00:00+00:00",
    "first_poll_at": "2026-11-22T01:00:10+00:00",
    "failed_polls": 3,
    "news": "the newest job is running",
}
SERIALISED = {
    "backup": (
        AvePointBackupTrigger,
        "airflow_provider_avepoint.triggers.avepoint.AvePointBackupTrigger",
        {**ARGUMENTS, "policy": POLICY},
    ),
    "job": (
        AvePointJobTrigger,
        "airflow_provider_avepoint.triggers.avepoint.AvePointJobTrigger",
        {
            **ARGUMENTS,
            "product": "m365",
            "job_id": "FB000001",
            "accept_partial": True,
            "location": "EUR",
            "organization_id": "contoso",
        },
    ),
}


@pytest.mark.parametrize(("cls", "path", "kwargs"), SERIALISED.values(), ids=SERIALISED)
def test_what_it_serialises_to(cls: type, path: str, kwargs: dict[str, Any]) -> None:
    """These names are kept on disk by whoever upgrades while tasks wait: exactly them, and JSON only."""
    serialised = cls(**kwargs).serialize()

    assert serialised == (path, kwargs)
    assert json.loads(json.dumps(serialised[1])) == kwargs
    assert rebuild(cls(**kwargs)).serialize() == serialised


LATER = {
    "last_error": "The API is away.",
    "unknown_since": "2026-11-22T01:00:00+00:00",
    "exponential_backoff": True,
    "max_wait": 600.0,
}


@pytest.mark.parametrize(("cls", "_path", "kwargs"), SERIALISED.values(), ids=SERIALISED)
def test_later_arguments_are_written_where_they_say_something(
    cls: type, _path: str, kwargs: dict[str, Any]
) -> None:
    """Others would end the waits of a triggerer that is upgraded after its workers."""
    assert cls(**kwargs, **LATER).serialize()[1] == kwargs | LATER
    assert rebuild(cls(**kwargs, **LATER)).serialize()[1] == kwargs | LATER
    nothing = dict.fromkeys(LATER) | {"exponential_backoff": False}
    assert cls(**kwargs, **nothing).serialize()[1] == kwargs


@pytest.mark.parametrize(("cls", "_path", "kwargs"), SERIALISED.values(), ids=SERIALISED)
def test_arguments_of_an_earlier_release_are_enough(cls: type, _path: str, kwargs: dict[str, Any]) -> None:
    """Whatever a release adds has a default."""
    needed = {"avepoint_conn_id", "poll_interval", "started_at", "policy", "product", "job_id"}

    trigger = cls(**{name: value for name, value in kwargs.items() if name in needed})

    left_out = {
        "deadline": None,
        "execution_deadline": None,
        "first_poll_at": None,
        "failed_polls": 0,
        "news": None,
        "last_error": None,
        "unknown_since": None,
        "exponential_backoff": False,
        "max_wait": None,
    }
    assert {name: getattr(trigger, name) for name in left_out} == left_out


@each_trigger
async def test_nothing_secret_in_sight(simulator: Simulator, connect: Callable[..., str], make: Make) -> None:
    """Neither in what is stored of it, nor in its repr, nor in its event: before and after it ran."""
    connect()
    add(simulator, "success")
    trigger = make()
    before = repr(trigger)

    event = await run(trigger)

    (token,) = TOKENS._tokens.values()
    said = before + repr(trigger) + json.dumps(trigger.serialize()) + json.dumps(event)
    assert [secret for secret in (simulator.client_secret, token.value) if secret in said] == []


@each_trigger
async def test_one_event_and_then_it_ends(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    connect()
    add(simulator, "success")

    event = await run(make())

    assert set(event) == {"status", "message", "evidence"}
    assert (event["status"], looks(simulator)) == ("passed", 1)
    assert JOB in json.dumps(event["evidence"])
    assert '"raw"' not in json.dumps(event["evidence"]), "the payload goes through the database"


@each_trigger
async def test_it_waits_for_the_world(simulator: Simulator, connect: Callable[..., str], make: Make) -> None:
    """A job that starts and ends while the trigger waits."""
    connect()
    simulator.add_job(
        "dynamics365", job_id=JOB, organization_id="contoso", starts_in=0.3, runs_for=0.8, ends_as="success"
    )

    event = await run(make(deadline=soon(LONGEST_WAIT)))

    assert event["status"] == "passed"


@each_trigger
async def test_the_first_look_is_not_before_its_time(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    """Even where the answer is there already: Airflow can lose a task whose trigger fires too soon."""
    connect()
    add(simulator, "success")
    first_poll_at = soon(1.2)
    moment = datetime.fromisoformat(first_poll_at)

    task = asyncio.create_task(run(make(first_poll_at=first_poll_at)))
    while not task.done():
        asked = len(simulator.requests())
        assert not asked or datetime.now(UTC) >= moment
        await asyncio.sleep(0.02)

    assert datetime.now(UTC) >= moment
    assert (await task)["status"] == "passed"


@each_trigger
async def test_the_first_event_is_not_before_its_time_whatever_the_deadline(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    """A timeout shorter than that delay is no reason to fire into Airflow's race."""
    connect()
    add(simulator, "running")
    first_poll_at = soon(1.0)

    await run(make(first_poll_at=first_poll_at, deadline=soon(0.2)))

    assert datetime.fromisoformat(first_poll_at) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("make", "poll_interval"), [(backup_trigger, 0), (job_trigger, 0.001), (backup_trigger, -1)]
)
async def test_no_interval_runs_hot(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    make: Make,
    poll_interval: float,
) -> None:
    """At most one look a second, whatever a sensor was told: also where every look fails."""
    assert LEAST_INTERVAL == 1
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.3)  # the rest in a third of the time
    connect()
    add(simulator, "running")

    event = await run(make(poll_interval=poll_interval, deadline=soon(0.5)))

    assert event["status"] == "timeout"
    assert looks(simulator) <= 4

    simulator.add_fault("status", path=PATH, status=500, count=None)
    asked = looks(simulator)
    event = await run(make(poll_interval=poll_interval, deadline=soon(0.5)))

    assert event["status"] == "outage"
    assert looks(simulator) - asked <= 4 * retry.MAX_ATTEMPTS


@each_trigger
async def test_pauses_grow_with_the_wait(
    simulator: Simulator,
    connect: Callable[..., str],
    make: Make,
) -> None:
    """Each pause is twice the one before, up to the longest; more than that no machine can shorten."""
    connect()
    add(simulator, "running")
    trigger = rebuild(make(poll_interval=0.2, started_at=soon(0), exponential_backoff=True, max_wait=0.6))
    moments: list[float] = []

    task = asyncio.create_task(run(trigger))
    while len(moments) < 5:
        await until(lambda: looks(simulator) > len(moments))
        moments.append(time.monotonic())
    simulator.patch_job("dynamics365", JOB, state="success")

    assert (await task)["status"] == "passed"
    # What the looks themselves take is a part of the pause after them, and the first waits for nothing.
    lasted = [after - before for before, after in pairwise(moments)]
    assert sum(lasted) >= 0.9 * (0.15 + 0.3 + 0.6 + 0.6)
    assert lasted[-1] >= 0.7 * 0.6


@each_trigger
async def test_a_restarted_triggerer_goes_on_with_the_grown_pause(
    simulator: Simulator,
    connect: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    make: Make,
) -> None:
    """It is derived from when the wait began; and the log says when the next look really comes."""
    caplog.set_level(logging.INFO)
    connect()
    add(simulator, "running")
    trigger = make(poll_interval=60, started_at=soon(-3000), exponential_backoff=True)
    trigger._log = logging.getLogger("trigger")
    began = datetime.now(UTC)
    task = asyncio.create_task(run(trigger))

    await until(lambda: "next look about" in caplog.text)
    task.cancel()

    # 45 s, 90 s, … 1440 s have passed after 2835 s: the seventh pause is of 2880 s.
    said = re.search(r"next look about (\d\d:\d\d:\d\d) UTC", caplog.text)
    assert said is not None
    clock = datetime.combine(began, datetime.strptime(said[1], "%H:%M:%S").time(), UTC)  # noqa: DTZ007
    next_look = (clock - began) % timedelta(days=1)
    assert timedelta(seconds=2875) <= next_look <= timedelta(seconds=2880 + LONGEST_WAIT)


@each_trigger
async def test_the_log_names_the_look_at_the_end_where_that_is_the_next(
    simulator: Simulator,
    connect: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    make: Make,
) -> None:
    caplog.set_level(logging.INFO)
    connect()
    add(simulator, "running")
    deadline = soon(3600)
    trigger = make(poll_interval=7200, deadline=deadline)
    trigger._log = logging.getLogger("trigger")
    task = asyncio.create_task(run(trigger))

    await until(lambda: "next look about" in caplog.text)
    task.cancel()

    assert f"next look about {datetime.fromisoformat(deadline):%H:%M:%S} UTC" in caplog.text


@each_trigger
async def test_a_deadline_survives_a_restart(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    """A triggerer that was away past the deadline asks once more, and then times out for the whole wait."""
    connect()
    add(simulator, "running")
    trigger = rebuild(make(started_at=soon(-7200), deadline=soon(-3600), poll_interval=3600))

    event = await run(trigger)

    assert event["status"] == "timeout"
    assert re.search(r"Gave up after 7[2-9]\d\d s", event["message"])
    assert "running" in event["message"]
    assert looks(simulator) == 1


@each_trigger
async def test_what_came_while_it_was_away_counts(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    connect()
    add(simulator, "success")

    event = await run(rebuild(make(deadline=soon(-3600), execution_deadline=soon(-3600))))

    assert event["status"] == "passed"


@each_trigger
async def test_a_restart_in_the_middle_goes_on(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    """Killed after a look, made again from what is stored: the deadline is still the first one's."""
    connect()
    add(simulator, "running")
    simulator.add_fault("hang", path=PATH, skip=1, count=None)  # or it might have ended before it is killed
    deadline = soon(1.5)
    trigger = make(deadline=deadline, started_at=soon(-100))
    task = asyncio.create_task(run(trigger))
    await until(lambda: looks(simulator) >= 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    simulator.clear_faults()

    event = await run(rebuild(trigger))

    assert event["status"] == "timeout"
    assert re.search(r"Gave up after [1-9]\d\d s", event["message"])
    assert datetime.fromisoformat(deadline) <= datetime.now(UTC)


@each_trigger
async def test_the_deadline_cuts_an_interval_short(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    """With a look at the end: an interval of two hours does not make a timeout of an hour one of two."""
    connect()
    add(simulator, "running")
    pauses: list[float] = []

    async def pause(changed: asyncio.Event, seconds: float) -> None:
        if seconds == float("inf"):
            await changed.wait()
            return
        simulator.patch_job("dynamics365", JOB, state="success")
        pauses.append(seconds)

    monkeypatch.setattr(poll, "pause", pause)
    monkeypatch.setattr(poll.Poll, "now", lambda _poll: sum(pauses))

    event = await run(make(poll_interval=7200, deadline=soon(3600)))

    assert (event["status"], looks(simulator)) == ("passed", 2)
    assert sum(pauses) <= 3600


@each_trigger
@pytest.mark.parametrize(
    ("deadline", "execution_deadline", "status"),
    [
        (None, -1, "overdue"),
        (60, -1, "overdue"),
        (-1, 60, "timeout"),
        (-1, -1, "timeout"),
        (-1, None, "timeout"),
    ],
)
async def test_execution_timeout_is_told_from_the_sensors_own(
    simulator: Simulator,
    connect: Callable[..., str],
    make: Make,
    deadline: float | None,
    execution_deadline: float | None,
    status: str,
) -> None:
    connect()
    add(simulator, "running")

    event = await run(
        make(
            deadline=None if deadline is None else soon(deadline),
            execution_deadline=None if execution_deadline is None else soon(execution_deadline),
        )
    )

    assert event["status"] == status
    assert event["evidence"] is not None


@each_trigger
async def test_failed_polls_before_the_handover_count(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    connect()
    simulator.add_fault("status", path=PATH, status=502, count=None)

    event = await run(make(failed_polls=9))

    assert event["status"] == "error"
    assert event["error"] == "AvePointUnavailable"
    assert event["facts"] == {"status": 502}
    assert looks(simulator) == retry.MAX_ATTEMPTS


@each_trigger
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"password": "wrong"}, "AvePointAuthError"),
        ({"host": "ftp://example.com"}, "AvePointConfigError"),
        ({"extra": {"identity_endpoint": "http://192.0.2.1/token"}}, "AvePointConfigError"),
    ],
    ids=str,
)
async def test_what_waiting_cannot_mend_ends_it_at_once(
    connect: Callable[..., str], make: Make, fields: dict[str, Any], error: str
) -> None:
    connect(**fields)

    event = await run(make())

    assert (event["status"], event["error"]) == ("error", error)
    assert "wrong" not in json.dumps(event)


class Unjudgeable(AvePointBackupTrigger):
    """A wait whose policy turns out, when the rows have come, to be one that cannot be judged."""

    error: AvePointError

    def note(self, *_arguments: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "looks_taken"),
    [
        (AvePointConfigError("organization_ids: 'Contoso' is the name of c1."), 1),
        (AvePointPayloadError("?"), 10),
    ],
    ids=["argument", "payload"],
)
async def test_what_judging_raises_ends_the_wait_as_what_asking_raises(
    simulator: Simulator,
    connect: Callable[..., str],
    error: AvePointError,
    looks_taken: int,
) -> None:
    """In the other modes too: an argument that cannot be used at once, an odd answer after ten in a row."""
    connect()
    policy = Policy(product="dynamics365", max_age=86400).as_dict()
    trigger = Unjudgeable(policy=policy, **WAIT)
    trigger.error = error

    event = await run(trigger)

    assert (event["status"], event["error"]) == ("error", type(error).__name__)
    assert str(error) in event["message"]
    assert looks(simulator) == looks_taken


@pytest.mark.parametrize(
    "trigger",
    [
        AvePointJobTrigger(product="unheard_of", job_id=JOB, **WAIT),
        AvePointBackupTrigger(policy={"product": "dynamics365", "max_age": "never"}, **WAIT),
    ],
    ids=["product", "policy"],
)
async def test_an_argument_that_the_triggerer_cannot_use_ends_the_wait(
    connect: Callable[..., str], trigger: Any
) -> None:
    """As where a triggerer is of an older release than its workers."""
    connect()

    event = await run(trigger)

    assert (event["status"], event["error"]) == ("error", "AvePointConfigError")


@each_trigger
async def test_a_connection_that_is_not_there(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    """A triggerer whose secrets backend is not the worker's."""
    monkeypatch.delenv("AIRFLOW_CONN_AVEPOINT_DEFAULT", raising=False)

    event = await run(make(avepoint_conn_id="elsewhere"))

    assert (event["status"], event["error"]) == ("error", "AvePointConfigError")
    assert "elsewhere" in event["message"]
    assert simulator.requests() == []


@each_trigger
async def test_a_connection_from_the_environment_as_a_uri(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    """The other form in which Airflow reads the environment."""
    from airflow.providers.common.compat.sdk import Connection

    add(simulator, "success")
    connection = Connection(
        conn_id="by_uri",
        conn_type="avepoint",
        host=simulator.url,
        login=simulator.client_id,
        password=simulator.client_secret,
        extra=json.dumps({"identity_endpoint": simulator.token_url}),
    )
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", connection.get_uri())

    assert (await run(make(avepoint_conn_id="by_uri")))["status"] == "passed"


def open_sessions() -> list[aiohttp.ClientSession]:
    gc.collect()
    return [
        each
        for each in gc.get_objects()
        # By type: a lazy proxy of somebody else's would import what it stands for.
        if issubclass(type(each), aiohttp.ClientSession) and not each.closed
    ]


@pytest.mark.no_cover
@each_trigger
@pytest.mark.parametrize("where", ["before the first look", "in a request", "between two looks"])
async def test_cancelling_leaves_nothing_open(
    simulator: Simulator,
    connect: Callable[..., str],
    recwarn: pytest.WarningsRecorder,
    make: Make,
    where: str,
) -> None:
    """A triggerer that stops, or moves its triggers elsewhere, cancels them."""
    connect()
    add(simulator, "running")
    if where == "in a request":
        simulator.add_fault("hang", path=PATH, count=None)
    first_poll_at = soon(3600) if where == "before the first look" else None
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, problem: complaints.append(problem))
    task = asyncio.create_task(run(make(first_poll_at=first_poll_at, poll_interval=3600)))
    if where != "before the first look":
        await until(lambda: looks(simulator) >= 1)
        await asyncio.sleep(0.1)  # enough for a look to end; where it is not, the case is that of another row
    assert len(open_sessions()) == (0 if where == "before the first look" else 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert open_sessions() == []
    await asyncio.sleep(0.1)
    assert complaints == []
    assert [str(warning.message) for warning in recwarn] == []


@each_trigger
async def test_ending_leaves_nothing_open(
    simulator: Simulator, connect: Callable[..., str], make: Make
) -> None:
    """Also where whoever reads takes the event and closes the generator."""
    connect()
    add(simulator, "success")

    await run(make())
    assert open_sessions() == []

    events: AsyncIterator[Any] = make().run()
    async with aclosing(events):
        await anext(events)
    assert open_sessions() == []


@each_trigger
async def test_making_it_opens_nothing(simulator: Simulator, make: Make) -> None:
    """It is made on the worker too, and by whoever lists triggers."""
    trigger = make(avepoint_conn_id="elsewhere")
    await trigger.cleanup()

    assert (open_sessions(), simulator.requests()) == ([], [])


async def test_max_age_is_measured_at_each_look(simulator: Simulator, connect: Callable[..., str]) -> None:
    """A backup that was young enough when the wait began, and is not when it ends, does not pass."""
    connect()
    add(simulator, "success", started_ago=3598)
    younger, policy = (
        Policy(product="dynamics365", max_age=max_age, fail_fast=False).as_dict() for max_age in (7200, 3600)
    )

    old = await run(backup_trigger(policy=policy, first_poll_at=soon(2.5), deadline=soon(2.5)))
    young = await run(backup_trigger(policy=younger, deadline=soon(0)))

    assert (young["status"], old["status"]) == ("passed", "timeout")
    assert old["evidence"]["reason"] == "stale"


async def test_the_windows_end_stays_open(simulator: Simulator, connect: Callable[..., str]) -> None:
    """A backup that starts long after the wait began counts, one from before the cut-off does not."""
    connect()
    add(simulator, "success", job_id="DCIB0", started_ago=7200)
    policy = Policy(product="dynamics365", started_after=soon(-3600)).as_dict()
    trigger = backup_trigger(policy=policy, started_at=soon(-3000), deadline=soon(LONGEST_WAIT))
    task = asyncio.create_task(run(trigger))
    await until(lambda: looks(simulator) >= 1)
    add(simulator, "success", started_ago=0)

    event = await task

    assert event["status"] == "passed"
    assert event["evidence"]["scopes"][0]["job"]["job_id"] == JOB


async def test_many_wait_side_by_side(simulator: Simulator, connect: Callable[..., str]) -> None:
    """A look that is not answered holds up nobody else on the loop that all triggers share."""
    connect("elsewhere", extra={"timeout": 2 * LONGEST_WAIT})
    connect()
    add(simulator, "success")
    simulator.add_fault("hang", path=PATH, count=1)
    held = asyncio.create_task(run(job_trigger(avepoint_conn_id="elsewhere")))
    await until(lambda: looks(simulator) == 1)

    events = await asyncio.gather(*(run(MAKERS[kind]()) for kind in ("backup", "job") * 5))

    assert {event["status"] for event in events} == {"passed"}
    assert not held.done()
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
