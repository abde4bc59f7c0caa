"""The vendor's own samples, served back field by field.

Sources: the two pages this project started from, and AvePoint/cloud-api: m365/jobs/list-jobs.md,
m365/jobs/retrieve-job-details.md, m365/subscription.md, d365/d365.md and the late-2024 m365/jobs.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import D365_LIST, LEGACY_LICENSE, LEGACY_LIST, M365_LICENSE, M365_LIST, Caller

M365_JOBS: list[dict[str, Any]] = [
    {
        "job_id": "FB20241015105312327583",
        "started_at": "2024-12-02T07:52:25Z",
        "finished_at": "2024-12-02T07:53:04Z",
        "counts": {"total": 16, "failed": 0, "successful": 14, "skipped": 2},
    },
    {
        "job_id": "EFB20241015105312828443",
        "started_at": "2024-12-02T01:33:22Z",
        "finished_at": "2024-12-02T01:34:10Z",
        "counts": {"total": 438, "failed": 0, "successful": 438, "skipped": 0},
    },
]
M365_ROWS: list[dict[str, Any]] = [
    {
        "id": "FB20241015105312327583",
        "state": "Finished",
        "startTime": "2024-12-02T07:52:25Z",
        "finishTime": "2024-12-02T07:53:04Z",
        "duration": "0.011",
        "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
        "jobErrors": [],
    },
    {
        "id": "EFB20241015105312828443",
        "state": "Finished",
        "startTime": "2024-12-02T01:33:22Z",
        "finishTime": "2024-12-02T01:34:10Z",
        "duration": "0.014",
        "backupDetails": {"totalCount": 438, "failedCount": 0, "successfulCount": 438, "skippedCount": 0},
        "jobErrors": [],
    },
]
D365_ROW: dict[str, Any] = {
    "module": "Customer Engagement",
    "type": 1,
    "jobId": "DCIB2022081810345391848112",
    "startTime": "2022-08-18T10:34:53.92Z",
    "finishTime": "2022-08-18T10:36:01.603Z",
    "durationHours": pytest.approx(0.018800833333333333, rel=1e-15),
    "status": 3,
    "successfulEntity": 1,
    "failedEntity": 0,
    "skippedEntity": 0,
    "warningEntity": 0,
    "totalEntity": 1,
    "successfulRecord": 2,
    "failedRecord": 0,
    "skippedRecord": 0,
    "warningRecord": 0,
    "totalRecord": 2,
    "backupSize": 185440,
    "organizationId": "6cccccc-ffff-bbb-88888-aabbccdeee",
    "organizationName": "uatorg123",
}


def add_m365_sample(avepoint: Simulator) -> None:
    avepoint.add_jobs([{"product": "m365", **job} for job in M365_JOBS])


def test_m365_list_sample(avepoint: Simulator, caller: Caller) -> None:
    """The list sample's request gets the list sample's rows, total and empty link."""
    add_m365_sample(avepoint)
    window = {"StartTime": "2024-10-24", "FinishTime": "2024-12-25"}
    body = caller.get(M365_LIST, **window, ObjectType=0, PageSize=50).json()

    assert M365_ROWS == body["data"]
    assert (200, "") == (body["statusCode"], body["message"])
    assert {"totalCount": 2, "nextLink": ""} == body["metadata"]
    assert {"statusCode", "message", "data", "requestId", "timestamp", "metadata", "traceId"} == body.keys()


def test_m365_list_sample_from_page_one(avepoint: Simulator, caller: Caller) -> None:
    """The sample's ``PageIndex=1`` gets all rows where pages count from 1, which the table denies."""
    avepoint.set_quirks("m365", first_index=1)
    add_m365_sample(avepoint)

    assert M365_ROWS == caller.get(M365_LIST, PageSize=50, PageIndex=1).json()["data"]


def test_m365_details_sample(avepoint: Simulator, caller: Caller) -> None:
    """The details sample is the list's first row with ``*Number`` in place of ``*Count``."""
    add_m365_sample(avepoint)
    body = caller.get(f"{M365_LIST}/FB20241015105312327583").json()

    details = {"totalNumber": 16, "failedNumber": 0, "successfulNumber": 14, "skippedNumber": 2}
    assert M365_ROWS[0] | {"backupDetails": details} == body["data"]
    assert {"statusCode", "message", "data", "requestId", "timestamp", "traceId"} == body.keys()


@pytest.mark.parametrize(("count_names", "suffix"), [("count", "Count"), ("number", "Number")])
def test_m365_count_names(avepoint: Simulator, caller: Caller, count_names: str, suffix: str) -> None:
    """Table and sample disagree on the counts' names; the quirk makes lists and details say either."""
    avepoint.set_quirks("m365", count_names=count_names)
    add_m365_sample(avepoint)
    listed = caller.get(M365_LIST).json()
    details = caller.get(f"{M365_LIST}/FB20241015105312327583").json()

    assert 2 == listed["metadata"][f"total{suffix}"]
    assert listed["data"][0]["backupDetails"] == details["data"]["backupDetails"]
    assert 14 == details["data"]["backupDetails"][f"successful{suffix}"]


def test_m365_job_errors(avepoint: Simulator, caller: Caller) -> None:
    """A job's errors have the documented four fields."""
    error = {"is_code": True, "message": "Throttled", "url": "https://example.com/e1", "count": 7}
    avepoint.add_job("m365", errors=[error])

    expected = {"isErrorCode": True, "value": "Throttled", "url": "https://example.com/e1", "number": 7}
    assert [expected] == caller.get(M365_LIST).json()["data"][0]["jobErrors"]


LEGACY_JOB: dict[str, Any] = {
    "job_id": "FB20241015105312327583",
    "started_at": 638645575921780695,
    "finished_at": 638645576438386696,
    "counts": {"total": 16, "failed": 0, "successful": 14, "skipped": 2},
    "errors": [{"is_code": False, "message": "m", "url": "u", "count": 1}],
}


def test_legacy_sample_in_camel_case(avepoint: Simulator, caller: Caller) -> None:
    """The reference's sample: ticks to the last digit, camelCase, ``StartTime=0`` as no bound."""
    avepoint.set_quirks("m365_legacy", casing="camel", first_index=1)
    avepoint.add_job("m365_legacy", **LEGACY_JOB)

    row = {
        "id": "FB20241015105312327583",
        "state": "Finished",
        "startTime": 638645575921780695,
        "finishTime": 638645576438386696,
        "duration": 516606001,
        "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
        "jobErrors": [{"isErrorCode": False, "value": "m", "url": "u", "number": 1}],
    }
    expected = {"totalCount": 1, "jobs": [row], "nextLink": ""}
    assert (
        expected
        == caller.get(LEGACY_LIST, StartTime=0, FinishTime=0, ObjectType=0, PageSize=5, PageIndex=1).json()
    )


def test_legacy_page_in_pascal_case(avepoint: Simulator, caller: Caller) -> None:
    """The product guide's page has PascalCase in every name."""
    avepoint.add_job("m365_legacy", **LEGACY_JOB)

    row = {
        "Id": "FB20241015105312327583",
        "State": "Finished",
        "StartTime": 638645575921780695,
        "FinishTime": 638645576438386696,
        "Duration": 516606001,
        "BackupDetails": {"TotalCount": 16, "FailedCount": 0, "SuccessfulCount": 14, "SkippedCount": 2},
        "JobErrors": [{"IsErrorCode": False, "Value": "m", "Url": "u", "Number": 1}],
    }
    assert {"TotalCount": 1, "Jobs": [row], "NextLink": ""} == caller.get(LEGACY_LIST).json()


def test_d365_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample's request: repeated rows, a total of all rows, and a link without the product's prefix."""
    avepoint.set_quirks("dynamics365", repeat_rows=4)
    organization = {"organization_id": D365_ROW["organizationId"], "organization_name": "uatorg123"}
    one = {"total": 1, "successful": 1}
    times = (("19T03:12:43.823Z", "19T03:13:46.633Z"), ("18T10:34:53.92Z", "18T10:36:01.603Z"))
    ids = ("DCIB2022081903124382222110", "DCIB2022081810345391848112")
    for job_id, (started, finished) in zip(ids, times, strict=True):
        avepoint.add_job(
            "dynamics365",
            job_id=job_id,
            started_at=f"2022-08-{started}",
            finished_at=f"2022-08-{finished}",
            counts=one,
            record_counts=one if job_id == ids[0] else {"total": 2, "successful": 2},
            size_bytes=180832 if job_id == ids[0] else 185440,
            **organization,
        )
    question = (
        "pageSize=5&startTime=2021-05-22T11:42:00Z&finishTime=2024-09-22T11:42:00Z&type=1&status=3"
        "&organizationId=6cccccc-ffff-bbb-88888-aabbccdeee"
    )
    body = caller.get(f"{D365_LIST}?pageIndex=1&{question}").json()

    newest = D365_ROW | {
        "jobId": "DCIB2022081903124382222110",
        "startTime": "2022-08-19T03:12:43.823Z",
        "finishTime": "2022-08-19T03:13:46.633Z",
        "durationHours": pytest.approx(0.01744722222222222, rel=1e-15),
        "successfulRecord": 1,
        "totalRecord": 1,
        "backupSize": 180832,
    }
    assert [newest] * 4 + [D365_ROW] == body["jobs"]
    assert (8, 1, 5) == (body["totalCount"], body["pageIndex"], body["pageSize"])
    assert f"/jobs?pageIndex=2&{question}" == body["nextLink"]
    assert [D365_ROW] * 3 == caller.get(f"{D365_LIST}?pageIndex=2&{question}").json()["jobs"]


M365_LICENSE_SAMPLE = {
    "outOfPolicyTime": 0,
    "purchasedUserSeats": 100,
    "assignedUserSeats": 47,
    "purchasedStorageSize": 0,
    "protectedSize": 0,
}


def test_m365_license_sample(caller: Caller) -> None:
    """The licence sample, in the envelope."""
    body = caller.get(M365_LICENSE).json()

    assert M365_LICENSE_SAMPLE == body["data"]
    assert 200 == body["statusCode"]


@pytest.mark.parametrize("casing", ["pascal", "camel"])
def test_legacy_license_is_bare(avepoint: Simulator, caller: Caller, casing: str) -> None:
    """The first API's licence stands without an envelope."""
    avepoint.set_quirks("m365_legacy", casing=casing)
    avepoint.set_license("m365_legacy", assigned_user_seats=101)
    expected = M365_LICENSE_SAMPLE | {"assignedUserSeats": 101}
    if casing == "pascal":
        expected = {name[0].upper() + name[1:]: value for name, value in expected.items()}

    assert expected == caller.get(LEGACY_LICENSE).json()


def test_license_of_a_location(avepoint: Simulator, caller: Caller) -> None:
    """A Multi-Geo location can have figures of its own; the others have the tenant's."""
    avepoint.set_license("m365", purchasedUserSeats=50)
    avepoint.set_license("m365", location="NAM", purchased_user_seats=7)

    seats = {
        location: caller.get(M365_LICENSE, Location=location).json()["data"]["purchasedUserSeats"]
        for location in ("NAM", "EUR", "PrimaryGeoLocation")
    }
    assert {"NAM": 7, "EUR": 50, "PrimaryGeoLocation": 50} == seats
