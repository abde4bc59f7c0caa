"""What a sensor's author says, and what it hands over when it defers."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    BaseHook,
    TaskDeferred,
)

from airflow_provider_avepoint.core.verdict import Policy
from airflow_provider_avepoint.exceptions import (
    AvePointAuthError,
    AvePointBackupNotVerified,
    AvePointJobFailed,
)
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger, AvePointJobTrigger
from tests.sensors.modes import TaskInstance, World, rebuild

JOB, PATH = "DCIB00000001", "/dynamicsbackup/jobs"
SENSORS: list[tuple[type, dict[str, Any]]] = [
    (AvePointBackupSensor, {"product": "dynamics365", "max_age": 86400}),
    (AvePointJobSensor, {"product": "dynamics365", "job_id": JOB}),
]
MODES = [{"deferrable": True}, {"deferrable": False}, {"mode": "reschedule"}]
each_sensor = pytest.mark.parametrize(("cls", "needed"), SENSORS, ids=[cls.__name__ for cls, _ in SENSORS])


def add(simulator: Simulator, state: str = "success", **fields: Any) -> None:
    simulator.add_job(
        "dynamics365",
        **({"job_id": JOB, "organization_id": "contoso", "started_ago": 600, "state": state} | fields),
    )


def defer(sensor: Any, context: Any = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({} if context is None else context)
    return caught.value


@each_sensor
def test_defaults(cls: type, needed: dict[str, Any]) -> None:
    """A look every five minutes, on the triggerer, at the default connection."""
    sensor = cls(task_id="wait", **needed)

    assert (sensor.poke_interval, sensor.deferrable, sensor.avepoint_conn_id) == (
        300,
        True,
        "avepoint_default",
    )


@each_sensor
def test_who_defers(cls: type, needed: dict[str, Any]) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"mode": "poke"}, True),
        ({"mode": "reschedule"}, False),
        ({"deferrable": False}, False),
        ({"deferrable": True}, True),
        ({"mode": "reschedule", "deferrable": False}, False),
    ]
    for options, deferrable in cases:
        assert cls(task_id="wait", **needed, **options).deferrable is deferrable, options


@each_sensor
def test_two_ways_to_wait_are_refused(cls: type, needed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"deferrable.*reschedule"):
        cls(task_id="wait", **needed, deferrable=True, mode="reschedule")
    with DAG("defaults", schedule=None, default_args={"mode": "reschedule"}), pytest.raises(ValueError):  # noqa: PT011  # the same
        cls(task_id="wait", **needed, deferrable=True)


@each_sensor
def test_constructing_reads_nothing(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, cls: type, needed: dict[str, Any]
) -> None:
    def fail(*_arguments: object) -> None:
        raise AssertionError("a connection was looked up")

    monkeypatch.setattr(BaseHook, "get_connection", fail)

    cls(task_id="wait", **(needed | {"product": "{{ params.product }}"}))

    assert simulator.requests() == []


@each_sensor
def test_it_runs_without_a_task_instance(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    """In a notebook ``execute({})`` gives the evidence, or the failure."""
    connect()
    add(simulator)

    for mode in MODES:
        assert cls(task_id="wait", **needed, **mode).execute({})

    simulator.patch_job("dynamics365", JOB, state="failed")
    for mode in MODES:
        with pytest.raises((AvePointBackupNotVerified, AvePointJobFailed)):
            cls(task_id="wait", **needed, **mode).execute({})


@each_sensor
def test_it_defers_without_a_task_instance(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    connect()
    add(simulator, "running")

    assert defer(cls(task_id="wait", **needed)).method_name == "execute_complete"


@each_sensor
def test_it_does_not_defer_what_is_over(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    """One look on the worker comes first."""
    connect()
    add(simulator)

    cls(task_id="wait", **needed).execute({})

    first_pages = [each for each in simulator.requests(PATH) if "pageIndex" not in each["query"]]
    assert len(first_pages) == 1


@each_sensor
@pytest.mark.parametrize("interval", [3, 300])
def test_what_is_handed_over(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any], interval: int
) -> None:
    """Absolute times; the first event ten seconds later, or an interval, and Airflow's own timeout behind."""
    connect()
    add(simulator, "running")
    before = datetime.now(UTC)

    deferred = defer(
        cls(
            task_id="wait",
            **needed,
            poke_interval=interval,
            timeout=3600,
            execution_timeout=timedelta(seconds=1800),
        )
    )

    after = datetime.now(UTC)
    trigger = deferred.trigger
    assert deferred.method_name == "execute_complete"
    assert trigger.poll_interval == interval
    for moment, since in (
        (trigger.started_at, timedelta()),
        (trigger.deadline, timedelta(hours=1)),
        (trigger.execution_deadline, timedelta(minutes=30)),
        (trigger.first_poll_at, timedelta(seconds=min(10, interval))),
    ):
        parsed = datetime.fromisoformat(moment)
        assert before + since <= parsed <= after + since
        assert parsed.utcoffset() == timedelta()
    # Later than the deadline, its last look and another: the trigger comes first.
    assert deferred.timeout > datetime.fromisoformat(trigger.deadline) - before + timedelta(seconds=interval)


@each_sensor
def test_growing_pauses_are_handed_over(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    connect()
    add(simulator, "running")
    cases: list[tuple[dict[str, Any], tuple[bool, float | None]]] = [
        ({}, (False, None)),
        ({"exponential_backoff": True}, (True, None)),
        ({"exponential_backoff": 2.0, "max_wait": timedelta(minutes=10)}, (True, 600.0)),
        ({"exponential_backoff": True, "max_wait": 90}, (True, 90.0)),
    ]

    for options, expected in cases:
        trigger = rebuild(defer(cls(task_id="wait", **needed, **options)).trigger)
        assert (trigger.exponential_backoff, trigger.max_wait) == expected, options


def test_the_policy_is_handed_over_frozen(simulator: Simulator, connect: Callable[..., str]) -> None:
    """The cut-off as an absolute time, max_age as a span, everything else as given."""
    connect()
    add(simulator, "running")
    arguments = {
        "product": "dynamics365",
        "started_after": "2026-01-01T02:00:00+02:00",
        "max_age": timedelta(days=36000),
        "organization_ids": '["contoso"]',
        "object_types": "customer_engagement",
        "expect_seen_within": "1h",
        "exclude": [{"organization_id": "fabrikam", "until": "2999-12-31", "reason": "closing"}],
        "job_type": ["backup", "audit_backup"],
        "decide_by": "all",
        "max_failed": "3",
        "max_failed_ratio": 0.5,
        "on_failed": "skip",
        "fail_fast": "false",
    }

    trigger = defer(AvePointBackupSensor(task_id="wait", **arguments)).trigger

    assert isinstance(trigger, AvePointBackupTrigger)
    handed_over = trigger.serialize()[1]["policy"]
    assert json.loads(json.dumps(handed_over)) == handed_over
    assert Policy(**handed_over) == Policy(**arguments)
    assert datetime.fromisoformat(handed_over["started_after"]) == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_job_is_handed_over(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.add_job("m365", job_id="FB1", workload="teams", location="EUR", state="running")
    connect("another")
    job = {"product": "m365", "job_id": "FB1", "location": "EUR", "accept_partial": True}

    trigger = defer(AvePointJobSensor(task_id="wait", **job, avepoint_conn_id="another")).trigger

    assert isinstance(trigger, AvePointJobTrigger)
    assert trigger.subject == {**job, "organization_id": None}
    assert trigger.avepoint_conn_id == "another"


@each_sensor
def test_nothing_secret_is_handed_over(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    from airflow_provider_avepoint.core.auth import TOKENS

    connect()
    add(simulator, "running")

    deferred = defer(cls(task_id="wait", **needed))

    (token,) = TOKENS._tokens.values()
    said = json.dumps(deferred.trigger.serialize()) + repr(deferred.trigger) + repr(deferred)
    assert [secret for secret in (simulator.client_secret, token.value) if secret in said] == []


@each_sensor
def test_a_timeout_of_zero_looks_once(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    """What has no time to wait does not defer."""
    connect()
    add(simulator, "running")

    with pytest.raises(AirflowSensorTimeout, match="running"):
        cls(task_id="wait", **needed, timeout=0).execute({})


@each_sensor
def test_failed_polls_are_handed_over(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    cls: type,
    needed: dict[str, Any],
) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    connect()
    simulator.add_fault("status", path=PATH, status=500, count=None)

    trigger = defer(cls(task_id="wait", **needed)).trigger

    assert trigger.failed_polls == 1
    assert "500" in trigger.last_error
    assert datetime.fromisoformat(trigger.unknown_since) <= datetime.now(UTC)


@each_sensor
def test_the_duration_of_a_wait_without_a_deferral_is_true(
    simulator: Simulator, connect: Callable[..., str], cls: type, needed: dict[str, Any]
) -> None:
    """The first look may take longer than the timeout."""
    connect()
    add(simulator, "running")
    simulator.add_fault("slow", path=PATH, seconds=1.2, count=1)

    with pytest.raises(AirflowSensorTimeout, match=r"Gave up after [1-9]\d* s"):
        cls(task_id="wait", **needed, timeout=0.2).execute({})


def poke_once(arguments: dict[str, Any], *, context: Any = None, render: dict[str, Any] | None = None) -> str:
    """Return how a job sensor ends that may look only once: the job's state, or the error's name."""
    sensor = AvePointJobSensor(
        task_id="wait",
        mode="poke",
        deferrable=False,
        timeout=0,
        **({"product": "dynamics365", "job_id": JOB} | arguments),
    )
    if render is not None:
        sensor.render_template_fields({"params": render}, sensor.get_template_env())
    try:
        return sensor.execute({} if context is None else context)["state"]
    except AirflowException as e:
        return "AirflowSensorTimeout" if isinstance(e, AirflowSensorTimeout) else type(e).__name__


# Argument → its value, the jobs that are there, and the outcome with it and without it.
ARGUMENTS: dict[str, tuple[str, Any, list[dict[str, Any]], str, str]] = {
    "product": (
        "product",
        "m365_legacy",
        [{"product": "m365_legacy", "organization_id": None}],
        "success",
        "AirflowSensorTimeout",
    ),
    "job_id": ("job_id", "DCIB2", [{"job_id": "DCIB2"}], "success", "AirflowSensorTimeout"),
    "accept_partial": ("accept_partial", True, [{"state": "partial"}], "partial", "AvePointJobFailed"),
    "location": (
        "location",
        "GBR",
        [{"product": "m365", "organization_id": None, "location": "EUR"}],
        "AirflowSensorTimeout",
        "success",
    ),
    "organization_id": ("organization_id", "fabrikam", [{}], "AirflowSensorTimeout", "success"),
    "avepoint_conn_id": ("avepoint_conn_id", "another", [{}], "AvePointAuthError", "success"),
}


@pytest.fixture
def arrange(simulator: Simulator, connect: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    def add_all(name: str, jobs: list[dict[str, Any]]) -> dict[str, Any]:
        connect()
        connect("another", password="wrong")
        for fields in jobs:
            job = {"product": "dynamics365", "job_id": JOB, "organization_id": "contoso", **fields}
            simulator.add_job(job.pop("product"), **job)
        return {"product": "m365"} if name == "location" else {}

    return add_all


@pytest.mark.parametrize(("name", "value", "jobs", "with_it", "without"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_of_the_job_sensor_decides(
    arrange: Callable[..., dict[str, Any]],
    name: str,
    value: Any,
    jobs: list[dict[str, Any]],
    with_it: str,
    without: str,
) -> None:
    """As a value, and as the text that a template renders to."""
    base = arrange(name, jobs)

    assert (poke_once(base | {name: value}), poke_once(base)) == (with_it, without)
    assert poke_once(base | {name: "{{ params.given }}"}, render={"given": str(value)}) == with_it


@pytest.mark.parametrize("given", ["False", "false"])
def test_a_rendered_false_does_not_accept_partial(arrange: Callable[..., dict[str, Any]], given: str) -> None:
    """Text that says false must not open the gate because text is true."""
    arrange("accept_partial", [{"state": "partial"}])

    assert poke_once({"accept_partial": "{{ params.given }}"}, render={"given": given}) == "AvePointJobFailed"


def test_accept_partial_is_true_or_false(arrange: Callable[..., dict[str, Any]]) -> None:
    arrange("accept_partial", [{"state": "partial"}])

    for value in ("perhaps", "", None, 1):
        assert poke_once({"accept_partial": value}) == "AvePointConfigError", value


def test_every_argument_of_the_job_sensor_has_a_case() -> None:
    parameters = set(inspect.signature(AvePointJobSensor).parameters) - {"kwargs"}

    assert {name for name, *_ in ARGUMENTS.values()} == parameters == set(AvePointJobSensor.template_fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("product", "nonsense"),
        ("product", None),
        ("job_id", ""),
        ("job_id", " "),
        ("job_id", None),
        ("job_id", 5.5),
        ("avepoint_conn_id", "elsewhere"),
    ],
)
def test_a_bad_value_of_the_job_sensor_is_named(
    simulator: Simulator, connect: Callable[..., str], name: str, value: Any
) -> None:
    connect()
    arguments = {"product": "dynamics365", "job_id": JOB} | {name: value}

    for mode in MODES:
        with pytest.raises(AirflowFailException, match=name):
            AvePointJobSensor(task_id="wait", **mode, **arguments).execute({})

    assert simulator.requests() == []


def test_a_job_of_microsoft_365_is_asked_for_by_id(simulator: Simulator, connect: Callable[..., str]) -> None:
    """One request, for products that have an endpoint for one job."""
    connect()
    simulator.generate("m365", 50)
    simulator.add_job("m365", job_id="FB999999", workload="teams", state="success")

    job = AvePointJobSensor(task_id="wait", product="m365", job_id="FB999999").execute({})

    assert (job["job_id"], job["state"]) == ("FB999999", "success")
    assert [each["path"] for each in simulator.requests("/backup")] == [
        "/backup/m365/cloudbackupjobs/FB999999"
    ]


def test_a_job_that_failed_says_why(simulator: Simulator, connect: Callable[..., str]) -> None:
    """The vendor's own words, the counts, and the page of its error code."""
    connect()
    simulator.add_job(
        "m365",
        job_id="FB000001",
        workload="teams",
        state="failed",
        counts={"successful": 3, "failed": 4},
        errors=[{"message": "Insufficient permissions", "url": "https://errors.example/403"}],
    )
    ti = TaskInstance(World(simulator))

    with pytest.raises(AvePointJobFailed) as caught:
        AvePointJobSensor(task_id="wait", product="m365", job_id="FB000001").execute({"ti": ti})

    for part in ("FB000001", "Failed", "4 of 7", "Insufficient permissions", "https://errors.example/403"):
        assert part in str(caught.value)
    assert caught.value.job == ti.xcoms["job"]
    assert isinstance(caught.value, AirflowFailException), "the next try would find the same end"


def test_default_args_and_mapping_of_job_sensors(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    connect("another", password="wrong")
    add(simulator)
    add(simulator, "failed", job_id="DCIB2")
    defaults = {"product": "dynamics365", "poke_interval": 7, "deferrable": False}
    with DAG("defaults", schedule=None, default_args=defaults):
        mapped = AvePointJobSensor.partial(task_id="wait").expand(job_id=[JOB, "DCIB2"])
        by_kwargs = AvePointJobSensor.partial(task_id="others").expand_kwargs(
            [{"job_id": JOB, "avepoint_conn_id": "another"}]
        )

    first, second = (mapped.unmap({"job_id": each}) for each in (JOB, "DCIB2"))

    assert (first.poke_interval, first.deferrable) == (7, False)
    assert first.execute({})["state"] == "success"
    with pytest.raises(AvePointJobFailed):
        second.execute({})
    with pytest.raises(AvePointAuthError):
        by_kwargs.unmap({"job_id": JOB, "avepoint_conn_id": "another"}).execute({})


def test_a_wait_logs_what_has_changed(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The age of the window alone is no news, and a value that nobody can poll with is no failed poll."""
    connect()
    monkeypatch.setattr(AvePointBackupSensor, "log", logging.getLogger("task"))
    caplog.set_level(logging.INFO, "task")
    simulator.add_job("dynamics365", job_id="A1", organization_id="a", state="running")
    simulator.add_job("dynamics365", job_id="B1", organization_id="b", started_ago=3 * 86400)

    def look(sensor: AvePointBackupSensor, job_id: str | None = None) -> list[str]:
        caplog.clear()
        sensor.poke({})
        said = [record.getMessage() for record in caplog.records]
        assert (
            job_id is None or len(said[0].split(f"- a / customer_engagement: running (job {job_id}, ")) == 2
        )
        return said

    sensor = AvePointBackupSensor(task_id="wait", product="dynamics365", max_age="24h", deferrable=False)
    look(sensor, "A1")
    assert look(sensor) == ["Nothing has changed."]
    simulator.add_job("dynamics365", job_id="A2", organization_id="a", state="running", started_ago=-60)
    look(sensor, "A2")
    simulator.add_fault("missing_rows", count=None)
    assert look(sensor)[-1].startswith("The poll failed (1 in a row): ")

    caplog.clear()
    sensor = AvePointBackupSensor(task_id="wait", product="dynamics365", max_age="{{ 24 }}")
    sensor.render_template_fields({}, sensor.get_template_env())
    with pytest.raises(AirflowFailException, match="max_age: '24'"):
        sensor.execute({})
    assert "poll failed" not in caplog.text
