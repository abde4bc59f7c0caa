"""Listing: a summary of what was found, small enough for an XCom."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.exceptions import AvePointAuthError
from airflow_provider_avepoint.operators.avepoint import AvePointListJobsOperator
from airflow_provider_avepoint.operators.listing import Progress
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
        "metadata_counts": dict.fromkeys(["total", "successful", "failed", "skipped", "warning"]),
        "size_bytes": 4096,
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "location": None,
        "errors": [],
        "problems": [],
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


SEVERAL = ["salesforce", "dynamics365", "m365"]


def test_several_products(simulator: Simulator, connect: Callable[..., str]) -> None:
    """One summary of all, counts by product and state, and the jobs in the order of the products."""
    connect()
    add(simulator, "D0", started_at=START + timedelta(hours=2))
    add(simulator, "D1", state="failed")
    add(simulator, "S0", "salesforce", state="failed", started_at=START - timedelta(hours=2))

    forms = (SEVERAL, json.dumps(SEVERAL), tuple(SEVERAL), [*SEVERAL, "m365"])
    summary, *others = [list_jobs(product=given).execute({}) for given in forms]

    assert [other for other in others if other != summary] == []
    assert [(job["product"], job["job_id"]) for job in summary.pop("jobs")] == [
        ("salesforce", "S0"),
        ("dynamics365", "D0"),
        ("dynamics365", "D1"),
    ]
    assert summary == {
        "product": SEVERAL,
        "total": 3,
        "states": {"success": 1, "failed": 2},
        "counts": {"salesforce": {"failed": 1}, "dynamics365": {"success": 1, "failed": 1}, "m365": {}},
        "newest_started_at": "2026-11-20T03:00:00+00:00",
        "oldest_started_at": "2026-11-19T23:00:00+00:00",
        "is_truncated": False,
    }


def test_a_list_of_one_product(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Whoever gives a list, which a template may have made, gets the shape of several products."""
    connect()
    add(simulator, "J0")

    summary = list_jobs(product=["dynamics365"]).execute({})

    assert (summary["product"], summary["counts"]) == (["dynamics365"], {"dynamics365": {"success": 1}})


def test_arguments_hold_for_each_product(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    for product in ("dynamics365", "salesforce"):
        for organization_id, state in [("contoso", "failed"), ("contoso", "success"), ("fabrikam", "failed")]:
            add(
                simulator,
                f"{product}-{organization_id}-{state}",
                product,
                organization_id=organization_id,
                state=state,
            )

    summary = list_jobs(
        product=["dynamics365", "salesforce"], organization_id="contoso", state="failed", max_rows=1
    ).execute({})

    assert summary["counts"] == {"dynamics365": {"failed": 1}, "salesforce": {"failed": 1}}
    assert (ids(summary), summary["is_truncated"]) == ({"dynamics365-contoso-failed"}, True)


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


def test_max_rows_limits_the_rows_not_the_counts(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    for number in range(3):
        add(simulator, f"DCIB{number}", started_at=START + timedelta(hours=number))

    limits: list[tuple[Any, int, bool]] = [
        (0, 0, True),
        (1, 1, True),
        ("2", 2, True),
        (3, 3, False),
        (4, 3, False),
    ]
    for max_rows, rows, is_truncated in limits:
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
    "product, several": (
        "product",
        ["dynamics365", "m365"],
        [{}, {"product": "m365"}, {"product": "salesforce"}],
        {"J0", "J1"},
        {"J0"},
    ),
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
    """As a value, and as the text that a template renders to."""
    connect()
    arrange(simulator, jobs)

    found = ids(list_jobs(**{name: value}).execute({})), ids(list_jobs().execute({}))

    assert found == (with_it, without)

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


BAD_VALUES: list[tuple[str, dict[str, Any]]] = [
    ("product", {"product": "nonsense"}),
    ("product", {"product": ["dynamics365", "nonsense"]}),
    ("product", {"product": []}),
    ("product", {"product": '["dynamics365"'}),
    ("product", {"product": None}),
    ("product", {"product": ""}),
    ("product", {"product": 5}),
    ("object_type", {"product": ["dynamics365", "m365"], "object_type": "teams"}),
    ("organization_id", {"product": ["dynamics365", "m365"], "organization_id": "contoso"}),
    ("location", {"product": ["m365", "dynamics365"], "location": "EUR"}),
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
]


def test_a_bad_value_is_named_and_nothing_is_sent(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()

    for name, arguments in BAD_VALUES:
        with pytest.raises(AirflowFailException, match=name):
            pytest.fail(f"{arguments} gave {list_jobs(**arguments).execute({})}")

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


def test_long_listings_log_progress(
    simulator: Simulator,
    connect: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A line at ten thousand jobs and one at the end, not one a page."""
    connect()
    simulator.generate("dynamics365", 10_500, every_seconds=60)
    monkeypatch.setattr(AvePointListJobsOperator, "log", logging.getLogger("task"))

    with caplog.at_level(logging.INFO, "task"):
        list_jobs(product=["m365", "dynamics365"]).execute({})

    lines = [record.getMessage() for record in caplog.records if record.name == "task"]
    assert [re.sub(r"\d+ a second", "… a second", line) for line in lines] == [
        "10000 jobs so far, … a second; now at dynamics365.",
        "m365, dynamics365: 10500 jobs listed ({'success': 10500}).",
    ]


def test_progress_comes_at_each_tenfold_and_every_thirty_seconds() -> None:
    """Each step is told once, however fast the jobs come; a slow listing says that it lives."""
    lines: list[tuple[int, str, int]] = []
    now = 0.0
    progress = Progress(
        lambda _, jobs, rate, product: lines.append((jobs, product, round(rate))), lambda: now
    )
    job = BackupJob(product="m365", job_id="J0", state=JobState.SUCCESS)

    for number in range(1, 100_001):
        now += {5: 29, 6: 1, 20_000: 30}.get(number, 0)
        progress.add(job)

    assert lines == [
        (6, "m365", 0),
        (10_000, "m365", 333),
        (20_000, "m365", 333),
        (100_000, "m365", 1667),
    ]
