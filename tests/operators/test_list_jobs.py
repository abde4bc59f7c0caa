"""Listing: a summary of what was found, small enough for an XCom."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_avepoint.exceptions import AvePointAuthError
from airflow_provider_avepoint.operators.avepoint import AvePointListJobsOperator
from airflow_provider_avepoint.simulator import Simulator

START = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


def list_jobs(**arguments: Any) -> AvePointListJobsOperator:
    return AvePointListJobsOperator(task_id="list", **({"product": "dynamics365"} | arguments))


def ids(summary: dict[str, Any]) -> set[str]:
    return {job["job_id"] for job in summary["jobs"]}


def add(simulator: Simulator, job_id: str, product: str = "dynamics365", **fields: Any) -> None:
    simulator.add_job(product, job_id=job_id, **({"started_at": START} | fields))


def test_the_summary(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Counts by state, newest and oldest start, and the jobs, as JSON."""
    connect()
    for number, state in enumerate(["success", "failed", "success"]):
        begun = START + timedelta(hours=number)
        add(
            simulator,
            f"DCIB0000000{number}",
            state=state,
            organization_id="contoso",
            organization_name="Contoso",
            started_at=begun,
            finished_at=begun + timedelta(minutes=10),
            counts={"successful": 8, "failed": 1, "skipped": 1, "warning": 2},
            record_counts={"successful": 70, "failed": 30},
            size_bytes=4096,
        )

    summary = list_jobs().execute({})

    jobs = summary.pop("jobs")
    assert summary == {
        "product": "dynamics365",
        "total": 3,
        "states": {"success": 2, "failed": 1},
        "newest_started_at": "2026-11-20T03:00:00+00:00",
        "oldest_started_at": "2026-11-20T01:00:00+00:00",
        "is_truncated": False,
    }
    assert json.loads(json.dumps(jobs)) == jobs
    by_id = {job["job_id"]: job for job in jobs}
    assert set(by_id) == {"DCIB00000000", "DCIB00000001", "DCIB00000002"}
    failed = by_id["DCIB00000001"]
    assert failed.pop("raw")["jobId"] == "DCIB00000001"
    assert failed == {
        "product": "dynamics365",
        "job_id": "DCIB00000001",
        "job_type": "backup",
        "workload": "customer_engagement",
        "state": "failed",
        "raw_state": 4,
        "started_at": "2026-11-20T02:00:00+00:00",
        "finished_at": "2026-11-20T02:10:00+00:00",
        "duration": 600.0,
        "counts": {"total": 10, "successful": 8, "failed": 1, "skipped": 1, "warning": 2},
        "record_counts": {"total": 100, "successful": 70, "failed": 30, "skipped": 0, "warning": 0},
        "size_bytes": 4096,
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "location": None,
        "errors": [],
    }


def test_nothing_found(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()

    assert list_jobs().execute({}) == {
        "product": "dynamics365",
        "total": 0,
        "states": {},
        "newest_started_at": None,
        "oldest_started_at": None,
        "jobs": [],
        "is_truncated": False,
    }
    assert simulator.requests("/dynamicsbackup/jobs") != []


def test_a_job_that_does_not_say_when_it_started_is_listed(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """It is counted, and neither the newest nor the oldest."""
    connect()
    add(simulator, "J0")
    add(simulator, "J1", state="running", omit=["startTime"])

    summary = list_jobs().execute({})

    assert (ids(summary), summary["total"]) == ({"J0", "J1"}, 2)
    assert summary["newest_started_at"] == summary["oldest_started_at"] == START.isoformat()


@pytest.mark.parametrize(
    ("max_rows", "rows", "is_truncated"),
    [(0, 0, True), (1, 1, True), ("2", 2, True), (3, 3, False), (4, 3, False)],
)
def test_max_rows_limits_the_rows_not_the_counts(
    simulator: Simulator, connect: Callable[..., str], max_rows: Any, rows: int, *, is_truncated: bool
) -> None:
    connect()
    for number in range(3):
        add(simulator, f"DCIB{number}", started_at=START + timedelta(hours=number))

    summary = list_jobs(max_rows=max_rows).execute({})

    assert (len(summary["jobs"]), summary["is_truncated"]) == (rows, is_truncated)
    assert (summary["total"], summary["states"]) == (3, {"success": 3})
    assert summary["newest_started_at"] == (START + timedelta(hours=2)).isoformat()
    assert summary["oldest_started_at"] == START.isoformat()


def test_a_hundred_rows_by_default(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.generate("dynamics365", 1234, every_seconds=60)

    summary = list_jobs().execute({})

    assert (summary["total"], len(summary["jobs"]), summary["is_truncated"]) == (1234, 100, True)


# Argument → its value, the jobs that are there, and those found with it and without it.
FILTERS: dict[str, tuple[str, Any, list[dict[str, Any]], set[str], set[str]]] = {
    "product": ("product", "m365_legacy", [{}, {"product": "m365_legacy"}], {"J1"}, {"J0"}),
    "started_after": (
        "started_after",
        START.isoformat(),
        [{"started_at": START - timedelta(seconds=1)}, {}],
        {"J1"},
        {"J0", "J1"},
    ),
    "started_after a datetime": (
        "started_after",
        START,
        [{"started_at": START - timedelta(seconds=1)}, {}],
        {"J1"},
        {"J0", "J1"},
    ),
    "started_before": (
        "started_before",
        START.isoformat(),
        [{"started_at": START - timedelta(seconds=1)}, {}],
        {"J0"},
        {"J0", "J1"},
    ),
    "job_type": ("job_type", "restore", [{}, {"job_type": "restore"}], {"J1"}, {"J0"}),
    "job_type, several": (
        "job_type",
        ["restore", "export"],
        [{}, {"job_type": "restore"}, {"job_type": "export"}],
        {"J1", "J2"},
        {"J0"},
    ),
    "job_type all": ("job_type", "all", [{}, {"job_type": "restore"}], {"J0", "J1"}, {"J0"}),
    "state": ("state", "failed", [{}, {"state": "failed"}], {"J1"}, {"J0", "J1"}),
    "state, several": (
        "state",
        ["failed", "partial"],
        [{}, {"state": "failed"}, {"state": "partial"}],
        {"J1", "J2"},
        {"J0", "J1", "J2"},
    ),
    "object_type": (
        "object_type",
        "unified_operations",
        [{}, {"workload": "unified_operations"}],
        {"J1"},
        {"J0", "J1"},
    ),
    "organization_id": (
        "organization_id",
        "CONTOSO",
        [{"organization_id": "CONTOSO"}, {"organization_id": "fabrikam"}],
        {"J0"},
        {"J0", "J1"},
    ),
}


def arrange(simulator: Simulator, jobs: list[dict[str, Any]]) -> None:
    for number, fields in enumerate(jobs):
        add(simulator, f"J{number}", **fields)


@pytest.mark.parametrize(("name", "value", "jobs", "with_it", "without"), FILTERS.values(), ids=FILTERS)
def test_an_argument_decides(
    simulator: Simulator,
    connect: Callable[..., str],
    name: str,
    value: Any,
    jobs: list[dict[str, Any]],
    with_it: set[str],
    without: set[str],
) -> None:
    connect()
    arrange(simulator, jobs)

    found = ids(list_jobs(**{name: value}).execute({})), ids(list_jobs().execute({}))

    assert found == (with_it, without)


@pytest.mark.parametrize(("name", "value", "jobs", "with_it", "_without"), FILTERS.values(), ids=FILTERS)
def test_a_rendered_template_decides_the_same(
    simulator: Simulator,
    connect: Callable[..., str],
    name: str,
    value: Any,
    jobs: list[dict[str, Any]],
    with_it: set[str],
    _without: set[str],
) -> None:
    connect()
    arrange(simulator, jobs)
    task = list_jobs(**{name: "{{ params.given }}"})
    given = json.dumps(value) if isinstance(value, list) else str(value)

    task.render_template_fields({"params": {"given": given}}, task.get_template_env())

    assert ids(task.execute({})) == with_it


def test_the_location_decides(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    connect("european", extra={"location": "EUR"})
    add(simulator, "J0", "m365", workload="teams", location="EUR")
    add(simulator, "J1", "m365", workload="teams", location="GBR")

    found = [
        ids(list_jobs(product="m365", **arguments).execute({}))
        for arguments in (
            {},
            {"location": "EUR"},
            {"avepoint_conn_id": "european"},
            {"avepoint_conn_id": "european", "location": "GBR"},
        )
    ]

    assert found == [{"J0", "J1"}, {"J0"}, {"J0"}, {"J1"}]


def test_the_connection_is_the_one_named(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    connect("another", password="wrong")
    add(simulator, "J0")

    assert ids(list_jobs().execute({})) == {"J0"}
    with pytest.raises(AvePointAuthError):
        list_jobs(avepoint_conn_id="another").execute({})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("product", {"product": "nonsense"}),
        ("started_after", {"started_after": "yesterday"}),
        ("started_after", {"started_after": "2026-11-20T00:00:00"}),
        ("started_before", {"started_before": 5}),
        ("started_before", {"started_after": START, "started_before": START}),
        ("job_type", {"job_type": "nonsense"}),
        ("job_type", {"job_type": []}),
        ("job_type", {"job_type": None}),
        ("job_type", {"job_type": [["backup"]]}),
        ("state", {"state": "good"}),
        ("state", {"state": []}),
        ("object_type", {"object_type": "mailbox"}),
        ("organization_id", {"product": "m365", "organization_id": "contoso"}),
        ("organization_id", {"organization_id": ""}),
        ("location", {"location": "EUR"}),
        ("max_rows", {"max_rows": -1}),
        ("max_rows", {"max_rows": "many"}),
        ("max_rows", {"max_rows": 1.5}),
        ("max_rows", {"max_rows": None}),
        ("max_rows", {"max_rows": True}),
        ("avepoint_conn_id", {"avepoint_conn_id": "elsewhere"}),
    ],
    ids=str,
)
def test_a_bad_value_is_named_and_nothing_is_sent(
    simulator: Simulator, connect: Callable[..., str], name: str, arguments: dict[str, Any]
) -> None:
    connect()

    with pytest.raises(AirflowFailException, match=name):
        list_jobs(**arguments).execute({})

    assert simulator.requests() == []


def test_every_argument_is_a_template_field() -> None:
    parameters = inspect.signature(AvePointListJobsOperator).parameters

    assert set(AvePointListJobsOperator.template_fields) == set(parameters) - {"kwargs", "self"}


def test_default_args_and_mapping(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    add(simulator, "J0")
    add(simulator, "J1", state="failed")
    with DAG("defaults", schedule=None, default_args={"product": "dynamics365", "max_rows": 1}):
        task = AvePointListJobsOperator(task_id="list")
        mapped = AvePointListJobsOperator.partial(task_id="by_state").expand(state=["failed", "running"])

    assert (task.product, task.max_rows) == ("dynamics365", 1)
    found = [ids(mapped.unmap({"state": state}).execute({})) for state in ("failed", "running")]
    assert found == [{"J1"}, set()]
