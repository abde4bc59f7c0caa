"""Salesforce: the page's sample, its filters, and where table and sample differ.

Source: AvePoint/cloud-api, services-and-features/salesforcebackup (December 2025).
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import SALESFORCE, SALESFORCE_LIST, Caller

SAMPLE_JOB: dict[str, Any] = {
    "job_id": "AI20241015105312327583",
    "job_type": "audit_log_backup",
    "started_at": "2024-12-02T07:52:25Z",
    "finished_at": "2024-12-02T07:53:04Z",
    "counts": {"successful": 2},
}
SAMPLE_ROW: dict[str, Any] = {
    "type": 20,
    "jobId": "AI20241015105312327583",
    "startTime": "2024-12-02T07:52:25Z",
    "finishTime": "2024-12-02T07:53:04Z",
    "state": 2,
    "successfulRecords": 0,
    "skippedRecords": 0,
    "failedRecords": 0,
    "totalRecords": 0,
    "successfulMetadata": 0,
    "failedMetadata": 0,
    "totalMetadata": 0,
    "successfulObjects": 2,
    "skippedObjects": 0,
    "failedObjects": 0,
    "totalObjects": 2,
}
WINDOW = {"startTime": "2024-10-24", "finishTime": "2024-12-25"}


def test_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample: ``state``, no organisation, no size; rows, total and empty link all inside ``data``."""
    avepoint.set_quirks("salesforce", state_key="state", shows_organization=False, first_index=1)
    avepoint.add_job("salesforce", **SAMPLE_JOB, omit=["dataSize", "apiCalls"])
    body = caller.get(SALESFORCE_LIST, **WINDOW, pageSize=10, pageIndex=1).json()

    assert {"totalCount": 1, "jobs": [SAMPLE_ROW], "nextLink": ""} == body["data"]
    assert (200, "") == (body["statusCode"], body["message"])
    assert {"statusCode", "message", "data", "requestId", "timestamp", "traceId"} == body.keys()


def test_row_of_the_table(avepoint: Simulator, caller: Caller) -> None:
    """The table: ``status``, the organisation, the size in KB, calls, and three levels of counts."""
    avepoint.add_job(
        "salesforce",
        organization_id="00D0",
        record_counts={"successful": 5, "skipped": 4, "failed": 3},
        metadata_counts={"successful": 2, "failed": 1},
        counts={"successful": 9, "skipped": 8, "failed": 7},
        size_bytes=10 * 1024 + 1023,
        extra={"apiCalls": 12},
    )

    row = caller.page(SALESFORCE)["data"]["jobs"][0]
    assert "state" not in row
    figures = {
        "type": 1,
        "status": 2,
        "successfulRecords": 5,
        "skippedRecords": 4,
        "failedRecords": 3,
        "totalRecords": 12,
        "successfulMetadata": 2,
        "failedMetadata": 1,
        "totalMetadata": 3,
        "successfulObjects": 9,
        "skippedObjects": 8,
        "failedObjects": 7,
        "totalObjects": 24,
        "dataSize": 10,
        "apiCalls": 12,
        "organizationId": "00D0",
    }
    assert figures == {name: row[name] for name in row if name not in {"jobId", "startTime", "finishTime"}}


def test_level(avepoint: Simulator, caller: Caller) -> None:
    """A level selects rows, none of which shows it."""
    words = ("organization", "object", "record", "field", "metadata", "n_a")
    for word in words:
        avepoint.add_job("salesforce", job_id=word, level=word)
    avepoint.add_job("salesforce", job_id="default")

    found = [caller.ids(SALESFORCE, level=number) for number in range(1, 7)]
    assert [{"organization", "default"}, *({word} for word in words[1:])] == [set(ids) for ids in found]
    assert 7 == len(caller.ids(SALESFORCE, level=0))
    assert "level" not in caller.page(SALESFORCE)["data"]["jobs"][0]


def test_organization(avepoint: Simulator, caller: Caller) -> None:
    """An organisation selects its rows, whether rows show it or not."""
    avepoint.set_quirks("salesforce", shows_organization=False)
    for organization_id in ("a", "b"):
        avepoint.add_job("salesforce", job_id=f"of {organization_id}", organization_id=organization_id)

    assert ["of a"] == caller.ids(SALESFORCE, organizationId="A")
    assert "organizationId" not in caller.page(SALESFORCE)["data"]["jobs"][0]


def test_null_counts(avepoint: Simulator, caller: Caller) -> None:
    """Counts and size can be null."""
    avepoint.add_job("salesforce", counts=None, record_counts=None, metadata_counts=None, size_bytes=None)

    row = caller.page(SALESFORCE)["data"]["jobs"][0]
    names = ("totalObjects", "totalRecords", "totalMetadata", "skippedRecords", "dataSize")
    assert [None] * 5 == [row[name] for name in names]


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_paused_job_has_started(avepoint: Simulator, caller: Caller, state: str) -> None:
    """A paused job is listed with its start and no finish, like one that runs."""
    avepoint.add_job("salesforce", state=state, started_at="2024-12-02T07:52:25Z")

    row = caller.page(SALESFORCE)["data"]["jobs"][0]
    assert ("2024-12-02T07:52:25Z", None) == (row["startTime"], row["finishTime"])


def test_links_lie_in_data(avepoint: Simulator, caller: Caller) -> None:
    """While pages follow, the link is a URL of the simulator's, with the question in it."""
    avepoint.generate("salesforce", 3)
    link = caller.page(SALESFORCE, pageSize=2)["data"]["nextLink"]

    assert link.startswith(f"{avepoint.url}{SALESFORCE_LIST}?pageIndex=1&pageSize=2&startTime=2000-01-01")
    assert 1 == len(SALESFORCE.ids(caller.get(link).json()))
