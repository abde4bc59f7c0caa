"""Deferred tasks survive an upgrade: today's code takes up what each release has left in the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from itertools import product as combinations
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    TaskDeferred,
)

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors, retry
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.wait_events import MAX_FAILED_POLLS, Status
from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import poll
from tests.operators.test_restore import TaskState
from tests.sensors.modes import TaskInstance, World
from tests.upgrades import (
    ACCOUNT,
    ASSET,
    CURRENT,
    ENDED_ID,
    JOB_ID,
    NEWS,
    ORGANIZATION,
    RESTORE,
    RESTORE_ID,
    SUMS,
    UNDER_WAY_ID,
    describe_release,
    digest,
    fixtures,
    load,
)
from tests.versions import needs_airflow

PATH = "/dynamicsbackup/jobs"
LONGEST_WAIT = 300.0  # seconds; no wait here should come near it, on a machine however slow
RELEASES = {version: load(path) for version, path in fixtures().items()}
SENSORS: dict[str, Callable[..., Any]] = {
    "backup": lambda **how: AvePointBackupSensor(
        task_id="wait", product="dynamics365", max_age=86400, organization_ids=ORGANIZATION, **how
    ),
    "job": lambda **how: AvePointJobSensor(
        task_id="wait", product="dynamics365", job_id=JOB_ID, organization_id=ORGANIZATION, **how
    ),
}


each_release = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)


def every(entries: Callable[[dict[str, Any]], dict[str, Any]]) -> pytest.MarkDecorator:
    """Run a test for each of the *entries* of every release, as it was stored."""
    return pytest.mark.parametrize(
        "stored",
        [
            pytest.param(entry, id=f"{version}-{name}")
            for version, release in RELEASES.items()
            for name, entry in entries(release).items()
        ],
    )


def triggers(release: dict[str, Any]) -> dict[str, Any]:
    return dict(release["triggers"])


def waits(release: dict[str, Any]) -> dict[str, Any]:
    """Return the triggers that wait for one thing."""
    ours = triggers(release)
    return {name: ours[name] for name in ours if name.startswith(("backup", "job"))}


def restores(release: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of restores, each with its trigger; releases before 0.2.0 know none."""
    return {
        name: kept | {"trigger": triggers(release)[f"restore, {name}"]}
        for name, kept in release.get("restores", {}).items()
    }


def events(release: dict[str, Any]) -> dict[str, Any]:
    """Return each end of a wait: of which kind of wait, with which method the task goes on, and the event."""
    return {
        f"{kind}, {name}": (kind, release["next_method"], event)
        for kind, known in release["events"].items()
        for name, event in known.items()
    }


def build(stored: list[Any]) -> Any:
    """Make a trigger as Airflow does of the row that it has kept."""
    path, kwargs = stored
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


async def run(trigger: Any) -> dict[str, Any]:
    """Return the one event of a wait, as it comes out of the database."""
    async with asyncio.timeout(LONGEST_WAIT):
        (event,) = [event.payload async for event in trigger.run()]
    result: dict[str, Any] = json.loads(json.dumps(event))
    return result


def add(simulator: Simulator, state: str, job_id: str = JOB_ID, **fields: Any) -> None:
    known = {"organization_id": ORGANIZATION, "workload": "customer_engagement", "started_ago": 600}
    simulator.add_job("dynamics365", **(known | {"job_id": job_id, "state": state} | fields))


def shape(value: Any) -> Any:
    """Return the keys of *value*, and of what it holds."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else None


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


# The files.


def test_the_running_release_has_its_file() -> None:
    """Where this fails, what a release leaves behind has changed: ``python -m tests.upgrades`` writes it.

    A release that has been published needs another version first.
    """
    assert shape(describe_release()) == shape(load(CURRENT))


def test_what_a_release_has_left_is_never_changed() -> None:
    written = {path.name: digest(path) for path in fixtures().values()}
    assert dict(reversed(line.split()) for line in SUMS.read_text().splitlines()) == written


@pytest.mark.parametrize("kind", SENSORS)
def test_the_file_of_the_running_release_has_every_end_of_a_wait(kind: str) -> None:
    known = load(CURRENT)["events"][kind].values()
    assert set(Status) == {event["status"] for event in known}
    # The ledger is written by the task itself, when the wait is over; a restore is no such wait.
    ours = set(errors.__all__) - {"AvePointError", "AvePointLedgerError", "AvePointRestoreUncertain"}
    assert ours == {event["error"] for event in known if event["status"] == Status.ERROR}


@pytest.mark.parametrize("kind", SENSORS)
def test_a_sensor_hands_over_what_the_file_shows(
    simulator: Simulator, connect: Callable[..., str], kind: str
) -> None:
    """The file is made without a sensor; it leaves out nothing that one adds."""
    connect()
    add(simulator, "running")
    with pytest.raises(TaskDeferred) as caught:
        SENSORS[kind]().execute({})

    release = load(CURRENT)
    path, kwargs = release["triggers"][kind]
    written = caught.value.trigger.serialize()
    assert (path, kwargs.keys()) == (written[0], written[1].keys())
    assert release["next_method"] == caught.value.method_name
    assert not caught.value.kwargs


def test_nothing_secret_is_kept(simulator: Simulator) -> None:
    words = (simulator.client_secret, "secret", "password", "token", "bearer", "private_key", "http")
    for version, path in fixtures().items():
        text = path.read_text().replace(ACCOUNT, "").casefold()
        assert [] == [word for word in words if word in text], version


# The triggers.


@each_release
def test_a_trigger_is_the_same_again(release: dict[str, Any]) -> None:
    """What it was made of is part of what it is made of now; arguments that are new have their defaults."""
    for name, stored in triggers(release).items():
        path, kwargs = json.loads(json.dumps(build(stored).serialize()))
        assert (name, stored[0]) == (name, path)
        assert stored[1].items() <= kwargs.items(), name


ENDS = {"success": Status.PASSED, "failed": Status.FAILED, "running": Status.TIMEOUT, None: Status.TIMEOUT}


@every(waits)
async def test_a_wait_goes_on_and_ends_as_it_should(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, stored: list[Any]
) -> None:
    """One that is past its deadline takes a last look; the others end when there is something to end for."""
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.0)
    for state, status in ENDS.items():
        simulator.reset()
        TOKENS.clear()  # the server knows them no more
        connect()
        if state is not None:
            add(simulator, state)
        trigger = build(stored)
        if status == Status.TIMEOUT:
            trigger.deadline = trigger.started_at  # some have the rest of the century

        event = await run(trigger)

        assert (state, status) == (state, event["status"])
        if status == Status.PASSED:
            assert JOB_ID in json.dumps(event["evidence"])


@pytest.mark.no_cover
@every(waits)
async def test_what_was_seen_before_the_upgrade_is_not_forgotten(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, stored: list[Any]
) -> None:
    """Polls that had failed count, and the message says what had been seen."""
    connect()
    trigger = build(stored)
    monkeypatch.setattr(poll, "_BACKOFF", 0.0)
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.0)
    simulator.add_fault("status", path=PATH, status=503, count=None)
    trigger.poll_interval, trigger.deadline, trigger.execution_deadline = 0.0, None, None

    event = await run(trigger)

    assert (Status.ERROR, "AvePointUnavailable") == (event["status"], event["error"])
    assert NEWS in event["message"]
    tries = len(simulator.requests(PATH)) / retry.MAX_ATTEMPTS
    assert MAX_FAILED_POLLS - stored[1]["failed_polls"] == tries


RESTORES = [kept for release in RELEASES.values() for kept in restores(release).values()]


def add_restore(simulator: Simulator, **fields: Any) -> None:
    known = {"job_id": RESTORE_ID, "job_type": "restore", "workload": "onedrive", "location": "EUR"}
    times = {"started_at": "2026-01-01T06:01:00Z", "finished_at": "2026-01-01T06:05:00Z"}
    counts = {"total": 3, "successful": 3}
    simulator.add_job("m365", **(known | times | {"state": "success", "counts": counts} | fields))


async def test_the_wait_for_a_restore_goes_on(simulator: Simulator, connect: Callable[..., str]) -> None:
    """It wakes the task as soon as there is something to see, and sends nothing."""
    connect()
    add_restore(simulator)
    for stored in RESTORES:
        trigger = build(stored["trigger"])
        if trigger.intent is None:
            trigger.wake_at = trigger.first_poll_at  # it has the rest of the century

        event = await run(trigger)

        assert event.keys() == stored["event"].keys()
        assert not event["has_failed"]
        assert (RESTORE_ID in event["message"]) is (trigger.intent is not None)
        assert not simulator.requests("/backup/m365/restore")


def test_a_restore_goes_on_and_is_not_asked_for_again(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """After a deferral, and in a new try: the digest of the same arguments is still the same.

    Only a restore that the server had refused for want of a place is asked for now.
    """
    connect(extra={"allow_restore": True})
    for stored, is_deferred in combinations(RESTORES, (True, False)):
        text = json.dumps(stored).replace(ACCOUNT, f"{simulator.url} {simulator.client_id}")
        is_new = stored["kwargs"]["intent"]["phase"] == "refused"
        simulator.reset()
        TOKENS.clear()  # the server knows them no more
        add_restore(simulator)
        simulator.set_restores(runs_for=0)
        kept, state = json.loads(text), TaskState()
        for key, value in kept["task_state_store"].items():
            state.set(key, value, retention=timedelta(days=365))
        context: Any = {"ti": TaskInstance(World(simulator)), "task_state_store": state}
        task = AvePointRestoreOperator(task_id="restore", **RESTORE, deferrable=False, poll_interval=0.05)

        if is_deferred:
            drill = task.execute_complete(context, kept["event"], **kept["kwargs"])
        else:
            drill = task.execute(context)

        assert drill["passed"]
        assert (drill["job"]["job_id"] == RESTORE_ID) is not is_new
        assert int(is_new) == len(simulator.requests("/backup/m365/restore"))


# The events.


def expected_error(kind: str, event: dict[str, Any]) -> type[BaseException]:
    """Return what the task ends with, by the contract."""
    bad = {"backup": exceptions.AvePointBackupNotVerified, "job": exceptions.AvePointJobFailed}[kind]
    ends = {
        Status.FAILED: bad,
        Status.TIMEOUT: AirflowSensorTimeout,
        Status.OUTAGE: AirflowSensorTimeout,
        Status.OVERDUE: AirflowTaskTimeout,
    }
    status = Status(event["status"])
    return ends[status] if status in ends else getattr(exceptions, event["error"])


RETRYABLE = {"AvePointUnavailable", "AvePointPayloadError"}


@each_release
def test_a_wait_that_has_ended_resumes(release: dict[str, Any]) -> None:
    """With the evidence, in the words and with the facts that the trigger sent.

    Where nothing is known about the backup, a retry is left to what a retry can help.
    """
    for name, (kind, next_method, event) in events(release).items():
        ti = TaskInstance(None)  # type: ignore[arg-type]  # no look is taken here
        sensor, sent = SENSORS[kind](), {"event": event}

        if event["status"] == Status.PASSED:
            assert event["evidence"] == sensor.resume_execution(next_method, sent, {"ti": ti})
            continue
        with pytest.raises(expected_error(kind, event)) as caught:
            sensor.resume_execution(next_method, sent, {"ti": ti})
        assert (name, event["message"]) == (name, str(caught.value))
        facts = event.get("facts", {})
        assert facts == {fact: vars(caught.value).get(fact) for fact in facts}, name
        if event.get("evidence"):
            assert [event["evidence"]] == list(ti.xcoms.values()), name
        if event["status"] == Status.ERROR:
            is_final = isinstance(caught.value, AirflowFailException)
            assert is_final is (event["error"] not in RETRYABLE), name


# What is kept between two looks.


@needs_airflow("3.3", "keeps no state of a task")
@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("kind", SENSORS)
def test_a_rescheduled_wait_goes_on(
    simulator: Simulator, connect: Callable[..., str], kind: str, version: str
) -> None:
    """It had nine failed polls behind it: with one more it gives up, and says what it had seen."""
    connect()
    simulator.add_fault("status", path=PATH, status=503, count=None)
    world = World(simulator)
    for key, value in RELEASES[version]["task_state_store"].items():
        world.store.set(key, value)

    with pytest.raises(exceptions.AvePointUnavailable, match="10 polls in a row failed") as caught:
        SENSORS[kind](mode="reschedule").execute(world.context)

    assert NEWS in str(caught.value)


@needs_airflow("3.3", "keeps no state of an asset")
@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("name", ["event", "event, with a policy"])
async def test_a_watcher_goes_on(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    version: str,
) -> None:
    """What had ended before is not announced again; what has ended since is."""
    from tests.triggers.triggerer import Supervisor, Triggerer, until

    connect()
    release = RELEASES[version]
    for job_id, state in ((ENDED_ID, "success"), (UNDER_WAY_ID, "failed"), ("DCIB00000009", "failed")):
        add(simulator, state, job_id)
    airflow = Supervisor()
    for key, value in release["asset_state_store"].items():
        airflow.stored[ASSET, key] = value
    kept = airflow.watermark(ASSET)

    async with Triggerer(airflow, monkeypatch) as running:
        running.start(build(release["triggers"][name]))
        await until(lambda: airflow.watermark(ASSET) != kept)

    assert {UNDER_WAY_ID, "DCIB00000009"} == set(airflow.announced())
