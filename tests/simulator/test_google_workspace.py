"""Google Workspace: the page's sample, its filters, and what is known of its links.

Source: AvePoint/cloud-api, services-and-features/google/google.md.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from airflow_provider_avepoint.simulator import Simulator

from .caller import GOOGLE, GOOGLE_LIST, Caller

SAMPLE_ROWS: list[dict[str, Any]] = [
    {
        "jobId": "GDIG20241009053431",
        "appType": 1,
        "jobType": 5,
        "dataSource": 1,
        "status": 2,
        "progress": 100.0,
        "startTime": "2024-10-09T05:34:31+00:00",
        "finishTime": "2024-10-09T05:50:36.008+00:00",
        "operator": "System",
    },
    {
        "jobId": "GDIG20240909071817",
        "appType": 1,
        "jobType": 5,
        "dataSource": 1,
        "status": 3,
        "progress": 100.0,
        "startTime": "2024-09-09T07:18:17+00:00",
        "finishTime": "2024-09-09T07:22:34.984+00:00",
        "operator": "System",
    },
]


def test_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample's rows, envelope and percent-encoded token; a failed job's progress is 100 as well."""
    for row, state in zip(SAMPLE_ROWS, ("success", "failed"), strict=True):
        avepoint.add_job(
            "google_workspace",
            job_id=row["jobId"],
            job_type="retention",
            state=state,
            started_at=row["startTime"],
            finished_at=row["finishTime"],
        )
    avepoint.add_job("google_workspace", started_at="2024-01-01")
    query: dict[str, Any] = {"pageindex": 0, "pagesize": 2, "apptype": 1, "starttime": "2024-01-01T00:00:00Z"}
    body = caller.get(GOOGLE_LIST, **query).json()

    assert {"status": 200, "message": "", "jobs": SAMPLE_ROWS, "nextLink": body["nextLink"]} == body
    assert "%2B" in body["nextLink"]


def test_token_goes_back_as_next_link(avepoint: Simulator, caller: Caller) -> None:
    """The swagger's parameter takes the link back, decoded once; on the last page the link is null."""
    for number in range(3):
        avepoint.add_job("google_workspace", job_id=str(number), started_ago=number)
    first = caller.page(GOOGLE, pageSize=2)
    second = caller.page(GOOGLE, pageSize=2, NextLink=unquote(first["nextLink"]))

    assert (["0", "1"], ["2"], None) == (GOOGLE.ids(first), GOOGLE.ids(second), second["nextLink"])
    assert ["0", "1"] == caller.ids(GOOGLE, pageSize=2, skiptoken=unquote(first["nextLink"]))


def test_total_is_not_there_by_default(avepoint: Simulator, caller: Caller) -> None:
    """The page has no total; a server may have one all the same."""
    avepoint.add_job("google_workspace")
    assert "totalCount" not in caller.page(GOOGLE)
    avepoint.set_quirks("google_workspace", total="match")

    assert 1 == caller.page(GOOGLE)["totalCount"]


def test_recenter_is_hidden(avepoint: Simulator, caller: Caller) -> None:
    """Jobs of ReCenter are listed only where they are asked for, and then alone."""
    avepoint.add_job("google_workspace", job_id="admin")
    avepoint.add_job("google_workspace", job_id="recenter", data_source="recenter")

    assert ["admin"] == caller.ids(GOOGLE) == caller.ids(GOOGLE, dataSource=1)
    (row,) = caller.page(GOOGLE, dataSource=2)["jobs"]
    assert ("recenter", 2) == (row["jobId"], row["dataSource"])


def test_new_numbers_are_shown(avepoint: Simulator, caller: Caller) -> None:
    """A number that the page does not list stands in a row as it is; one that it lists is its word."""
    avepoint.add_job("google_workspace", workload=65536, job_type="77")
    known = avepoint.add_job("google_workspace", workload="4096", started_ago=0)

    assert "chat" == known["workload"]
    assert {(4096, 1), (65536, 77)} == {
        (row["appType"], row["jobType"]) for row in caller.page(GOOGLE)["jobs"]
    }


def test_running_job_has_no_progress_yet(avepoint: Simulator, caller: Caller) -> None:
    """A running job's progress is 0, or what is given."""
    avepoint.add_job("google_workspace", state="running")
    avepoint.add_job("google_workspace", state="running", extra={"progress": 37.5}, label="A. Admin")

    rows = caller.page(GOOGLE)["jobs"]
    assert {(0.0, "System"), (37.5, "A. Admin")} == {(row["progress"], row["operator"]) for row in rows}


def test_status_is_no_filter(avepoint: Simulator, caller: Caller) -> None:
    """The sample request says ``status``, and its answer has other states: only ``jobStatus`` filters."""
    for state in ("success", "failed"):
        avepoint.add_job("google_workspace", state=state)

    assert (2, 1) == (len(caller.ids(GOOGLE, status=2)), len(caller.ids(GOOGLE, jobStatus=2)))
