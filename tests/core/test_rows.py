"""Rows, starting from the vendor's own samples."""

from __future__ import annotations

import inspect
import itertools
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.license_calls import read_customer_id, read_license, read_subscriptions
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.core.starts import find_start_range

from .tables import each_row

M365_ROW: dict[str, Any] = {
    "id": "FB20241015105312327583",
    "state": "Finished",
    "startTime": "2024-12-02T07:52:25Z",
    "finishTime": "2024-12-02T07:53:04Z",
    "duration": "0.011",
    "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
    "jobErrors": [{"isErrorCode": True, "value": "Throttled.", "url": "https://example.com/1", "number": 3}],
}
M365_JOB = BackupJob(
    product="m365",
    job_id="FB20241015105312327583",
    state=JobState.SUCCESS,
    raw_state="Finished",
    started_at=datetime(2024, 12, 2, 7, 52, 25, tzinfo=UTC),
    finished_at=datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
    duration=timedelta(seconds=39),
    counts=Counts(total=16, failed=0, successful=14, skipped=2),
    errors=(JobError(is_error_code=True, message="Throttled.", url="https://example.com/1", count=3),),
)
LEGACY_ROW: dict[str, Any] = {
    "id": "FB20241015105312327583",
    "state": "Finished",
    "startTime": 638645575921780695,
    "finishTime": 638645576438386696,
    "duration": 516606001,
    "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
    "jobErrors": [{"isErrorCode": False, "value": "Oops.", "url": "", "number": 1}],
}
LEGACY_JOB = BackupJob(
    product="m365_legacy",
    job_id="FB20241015105312327583",
    state=JobState.SUCCESS,
    raw_state="Finished",
    started_at=datetime(2024, 10, 15, 2, 53, 12, 178069, tzinfo=UTC),
    finished_at=datetime(2024, 10, 15, 2, 54, 3, 838669, tzinfo=UTC),
    duration=timedelta(seconds=51, microseconds=660600),
    counts=Counts(total=16, failed=0, successful=14, skipped=2),
    errors=(JobError(is_error_code=False, message="Oops.", count=1),),
)
D365_ROW: dict[str, Any] = {
    "module": "Customer Engagement",
    "type": 1,
    "jobId": "DCIB2022081903124382222110",
    "startTime": "2022-08-19T03:12:43.823Z",
    "finishTime": "2022-08-19T03:13:46.633Z",
    "durationHours": 0.01744722222222222,
    "status": 3,
    "successfulEntity": 1,
    "failedEntity": 0,
    "skippedEntity": 0,
    "warningEntity": 0,
    "totalEntity": 1,
    "successfulRecord": 1,
    "failedRecord": 0,
    "skippedRecord": 0,
    "warningRecord": 0,
    "totalRecord": 1,
    "backupSize": 180832,
    "organizationId": "6cccccc-ffff-bbb-88888-aabbccdeee",
    "organizationName": "uatorg123",
}
ONE = Counts(total=1, successful=1, failed=0, skipped=0, warning=0)
D365_JOB = BackupJob(
    product="dynamics365",
    job_id="DCIB2022081903124382222110",
    job_type="backup",
    workload="customer_engagement",
    state=JobState.SUCCESS,
    raw_state=3,
    started_at=datetime(2022, 8, 19, 3, 12, 43, 823000, tzinfo=UTC),
    finished_at=datetime(2022, 8, 19, 3, 13, 46, 633000, tzinfo=UTC),
    duration=timedelta(seconds=62, microseconds=810000),
    counts=ONE,
    record_counts=ONE,
    size_bytes=180832,
    organization_id="6cccccc-ffff-bbb-88888-aabbccdeee",
    organization_name="uatorg123",
)
GOOGLE_ROW: dict[str, Any] = {
    "jobId": "GDIG20241009053431",
    "appType": 1,
    "jobType": 5,
    "dataSource": 1,
    "status": 2,
    "progress": 100.0,
    "startTime": "2024-10-09T05:34:31+00:00",
    "finishTime": "2024-10-09T05:50:36.008+00:00",
    "operator": "System",
}
GOOGLE_JOB = BackupJob(
    product="google_workspace",
    job_id="GDIG20241009053431",
    job_type="retention",
    workload="gmail",
    state=JobState.SUCCESS,
    raw_state=2,
    started_at=datetime(2024, 10, 9, 5, 34, 31, tzinfo=UTC),
    finished_at=datetime(2024, 10, 9, 5, 50, 36, 8000, tzinfo=UTC),
    duration=timedelta(minutes=16, seconds=5, milliseconds=8),
)
# The sample; the table says status, and has an organisation, a size and the calls that were made.
SALESFORCE_ROW: dict[str, Any] = {
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
SALESFORCE_JOB = BackupJob(
    product="salesforce",
    job_id="AI20241015105312327583",
    job_type="audit_log_backup",
    state=JobState.SUCCESS,
    raw_state=2,
    started_at=datetime(2024, 12, 2, 7, 52, 25, tzinfo=UTC),
    finished_at=datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
    duration=timedelta(seconds=39),
    counts=Counts(total=2, successful=2, failed=0, skipped=0),
    record_counts=Counts(total=0, successful=0, failed=0, skipped=0),
    metadata_counts=Counts(total=0, successful=0, failed=0),
)
IAAS_ROW: dict[str, Any] = {
    "jobId": "IB20241025160014096",
    "jobType": 1,
    "status": 2,
    "failedCount": 0,
    "successfulCount": 10,
    "skippedCount": 35,
    "totalCount": 45,
    "startTime": "2024-10-25T16:00:14Z",
    "finishTime": "2024-10-27T08:00:58Z",
    "duration": "1.16:00:44",
    "comments": "",
}
IAAS_JOB = BackupJob(
    product="iaas_paas",
    job_id="IB20241025160014096",
    job_type="backup",
    state=JobState.SUCCESS,
    raw_state=2,
    started_at=datetime(2024, 10, 25, 16, 0, 14, tzinfo=UTC),
    finished_at=datetime(2024, 10, 27, 8, 0, 58, tzinfo=UTC),
    duration=timedelta(days=1, hours=16, seconds=44),
    counts=Counts(total=45, successful=10, failed=0, skipped=35),
)
AOS_ROW: dict[str, Any] = {
    "id": "Scan20240926055840723067",
    "type": 0,
    "state": 2,
    "startTime": "2024-09-26T05:58:40.4092427+00:00",
    "finishTime": "2024-09-26T05:59:12.2300688+00:00",
    "scanProfileName": "scan sharepoint sites",
    "category": 0,
    "extension": None,
}
AOS_JOB = BackupJob(
    product="aos_scan",
    job_id="Scan20240926055840723067",
    job_type="backup",
    workload="m365",
    state=JobState.SUCCESS,
    raw_state=2,
    started_at=datetime(2024, 9, 26, 5, 58, 40, 409242, tzinfo=UTC),
    finished_at=datetime(2024, 9, 26, 5, 59, 12, 230068, tzinfo=UTC),
    duration=timedelta(seconds=31, microseconds=820826),
)
# A job that failed, and not one of its objects did: so the vendor's sample has it.
ELEMENTS_ROW: dict[str, Any] = {
    "jobType": 7,
    "jobModule": 304,
    "status": 3,
    "jobId": "FB20250911032116214502",
    "name": "N/A",
    "totalCount": "2323",
    "failedCount": "0",
    "successfulCount": "2323",
    "skippedCount": "0",
    "warningCount": "0",
    "backupSize": "0 GB",
    "startTime": "2025-09-11T03:21:16Z",
    "endTime": "2025-09-11T03:38:56Z",
    "jobDuration": "17m39s",
    "lastModifyTime": "2025-09-11T03:38:57Z",
}
ELEMENTS_JOB = BackupJob(
    product="elements",
    job_id="FB20250911032116214502",
    job_type="backup",
    workload="microsoft_365_groups",
    state=JobState.FAILED,
    raw_state=3,
    started_at=datetime(2025, 9, 11, 3, 21, 16, tzinfo=UTC),
    finished_at=datetime(2025, 9, 11, 3, 38, 56, tzinfo=UTC),
    duration=timedelta(minutes=17, seconds=40),
    counts=Counts(total=2323, successful=2323, failed=0, skipped=0, warning=0),
    size_bytes=0,
)
SAMPLES = {
    "m365": M365_ROW,
    "m365_legacy": LEGACY_ROW,
    "dynamics365": D365_ROW,
    "google_workspace": GOOGLE_ROW,
    "salesforce": SALESFORCE_ROW,
    "iaas_paas": IAAS_ROW,
    "aos_scan": AOS_ROW,
    "elements": ELEMENTS_ROW,
}
JOBS = [M365_JOB, LEGACY_JOB, D365_JOB, GOOGLE_JOB, SALESFORCE_JOB, IAAS_JOB, AOS_JOB, ELEMENTS_JOB]
# Id, state, start and finish.
KEYS = {
    "m365": ("id", "state", "startTime", "finishTime"),
    "m365_legacy": ("id", "state", "startTime", "finishTime"),
    "dynamics365": ("jobId", "status", "startTime", "finishTime"),
    "google_workspace": ("jobId", "status", "startTime", "finishTime"),
    "salesforce": ("jobId", "state", "startTime", "finishTime"),
    "iaas_paas": ("jobId", "status", "startTime", "finishTime"),
    "aos_scan": ("id", "state", "startTime", "finishTime"),
    "elements": ("jobId", "status", "startTime", "endTime"),
}
# The vendor's own duration of the samples, which is not quite finish minus start.
DURATIONS = {
    "m365": ("duration", timedelta(seconds=39.6)),
    "m365_legacy": ("duration", timedelta(seconds=51.6606)),
    "dynamics365": ("durationHours", timedelta(seconds=62.81)),
    "iaas_paas": ("duration", timedelta(days=1, hours=16, seconds=44)),
    "elements": ("jobDuration", timedelta(minutes=17, seconds=39)),
}
_numbers = itertools.count()


def to_pascal(value: Any) -> Any:
    """Write every key the way the older page's tables do."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: to_pascal(each) for name, each in value.items()}
    return [to_pascal(each) for each in value] if isinstance(value, list) else value


def read(product: str, row: object, **asked: Any) -> BackupJob:
    return RowReader(PRODUCTS[product]).read(row, **asked)


def change(product: str, **fields: Any) -> dict[str, Any]:
    """Return the sample with other *fields*; ``...`` leaves one out."""
    return {name: value for name, value in (SAMPLES[product] | fields).items() if value is not ...}


for_each_product = each_row("product", SAMPLES)


@each_row("expected", JOBS)
def test_the_samples(expected: BackupJob) -> None:
    row = SAMPLES[expected.product]
    for written in (row, to_pascal(row)):
        job = read(expected.product, written)
        assert expected == job
        assert written == job.raw


def test_every_product_has_its_sample() -> None:
    assert PRODUCTS.keys() == SAMPLES.keys() == KEYS.keys() == {job.product for job in JOBS}
    assert DURATIONS.keys() == {name for name, product in PRODUCTS.items() if product.columns.duration}


def test_raw_is_read_only() -> None:
    with pytest.raises(TypeError):
        read("m365", M365_ROW).raw["id"] = "other"  # type: ignore[index]


@each_row("product", ["m365", "m365_legacy"])
@each_row("suffix", ["Number", "Count", "NUMBER", "count"])
def test_either_name_of_the_counts(product: str, suffix: str) -> None:
    """The tables say totalNumber, the list's sample and the older page totalCount."""
    details = {f"{name}{suffix}": i for i, name in enumerate(("total", "failed", "successful", "skipped"))}
    job = read(product, change(product, backupDetails=details))
    assert Counts(total=0, failed=1, successful=2, skipped=3) == job.counts


def test_counts_that_are_absent() -> None:
    job = read("dynamics365", change("dynamics365", failedEntity=None, totalEntity="", warningRecord=...))
    assert Counts(successful=1, skipped=0, warning=0) == job.counts
    assert Counts(total=1, successful=1, failed=0, skipped=0) == job.record_counts


DOCUMENTED = {
    "m365": {
        JobState.RUNNING: ("In Progress", "InProgress", "in progress", "1", 1),
        JobState.SUCCESS: ("Finished", "finished", " FINISHED ", "2", 2),
        JobState.FAILED: ("Failed", "3", 3),
        JobState.PARTIAL: (
            "Finished with Exception",
            "FinishedException",
            "FinishedWithException",
            "Finished_with-exception",
            "4",
            4,
            "Partially Finished",
            "PartiallyFinished",
            "5",
            5,
        ),
    },
    "dynamics365": {
        JobState.RUNNING: (2, "2", "In progress", "InProgress"),
        JobState.SUCCESS: (3, "3", "Finished"),
        JobState.FAILED: (4, "4", "Failed"),
        JobState.PARTIAL: (7, "7", "Finished with Exception", "FinishedWithException"),
    },
    "google_workspace": {
        JobState.RUNNING: (0, "0", "In progress"),
        JobState.SUCCESS: (2, "Finished"),
        JobState.FAILED: (3, "Failed"),
        JobState.PARTIAL: (7, "Finished with exception", "FinishedWithException"),
    },
    "salesforce": {
        JobState.RUNNING: (1, "In progress"),
        JobState.SUCCESS: (2, "2", "Finished"),
        JobState.PARTIAL: (3, "3", "Finished with exception"),
        JobState.FAILED: (4, "Failed"),
        JobState.WAITING: (5, "Paused"),
        JobState.STOPPED: (6, "Stopped"),
        JobState.SKIPPED: (7, "Skipped"),
    },
    "iaas_paas": {
        JobState.WAITING: (0, "0", "Not Started", "NotStarted", 32, "Waiting"),
        JobState.RUNNING: (1, "In Progress", "InProgress"),
        JobState.SUCCESS: (2, "Successful"),
        JobState.SKIPPED: (4, "Skipped"),
        JobState.PARTIAL: (8, "Exception"),
        JobState.FAILED: (16, "Failed"),
        JobState.STOPPED: (64, "Stopped"),
    },
    "aos_scan": {
        JobState.UNKNOWN: (0, "None"),
        JobState.RUNNING: (1, "Running"),
        JobState.SUCCESS: (2, "Finished"),
        JobState.FAILED: (3, "Failed"),
        JobState.PARTIAL: (4, "Finished with Exception"),
        JobState.SKIPPED: (5, "Skipped"),
        JobState.STOPPED: (10, "Stopped"),
    },
    "elements": {
        JobState.UNKNOWN: (0, "None"),
        JobState.RUNNING: (1, "Running"),
        # The sample of an earlier edition has the word.
        JobState.SUCCESS: (2, "Finished", "Successful"),
        JobState.FAILED: (3, "Failed", 7, "Failed to start", 9, "Rejected"),
        JobState.PARTIAL: (4, "Finished with exception"),
        JobState.SKIPPED: (5, "Skipped", 11, "Not scanned", 12, "Disabled"),
        JobState.WAITING: (6, "Pending", 13, "Not started", 14, "Waiting for configuration"),
        JobState.STOPPED: (8, "Canceled", 10, "Stopped"),
    },
}
DOCUMENTED["m365_legacy"] = DOCUMENTED["m365"]


@each_row(
    ("product", "raw", "expected"),
    [
        (product, raw, state)
        for product, states in DOCUMENTED.items()
        for state, spellings in states.items()
        for raw in spellings
    ],
)
def test_every_documented_state(
    product: str, raw: object, expected: JobState, caplog: pytest.LogCaptureFixture
) -> None:
    job = read(product, change(product, **{KEYS[product][1]: raw}))
    assert (expected, raw) == (job.state, job.raw_state)
    assert [] == caplog.records


@each_row("finish", [None, "", "N/A", ..., "0001-01-01T00:00:00Z", 0])
@each_row("product", ["m365", "m365_legacy"])
def test_partially_finished_without_a_finish_is_running(product: str, finish: object) -> None:
    """Also where the row takes the tolerant way, as one without counts that are numbers does."""
    for details in ({}, {"backupDetails": {"totalCount": 1.0}}):
        job = read(product, change(product, state="Partially Finished", finishTime=finish, **details))
        assert (JobState.RUNNING, None) == (job.state, job.finished_at)


UNDOCUMENTED = {
    "m365": (0, "0", 6, -2, "Successful", "Skipped", "Stopped", "Finished?", "\uff12"),
    "m365_legacy": (0, "0", 6, -2, "Successful", "Skipped", "Stopped", "Finished?", "\uff12"),
    "dynamics365": (0, "0", 1, 5, 6, 8, -2, "Success", "\uff13"),
    "google_workspace": (1, 4, 5, 8, -2, "Success", "\uff12"),
    "salesforce": (0, "0", 8, -2, "Success"),
    # No combination of flags is documented.
    "iaas_paas": (3, 5, 10, 24, -2, "Finished"),
    "aos_scan": (6, 7, 8, 9, 11, -2, "Success"),
    # What the deprecated API says of a customer without jobs.
    "elements": (15, -2, "Not Finished", "Success"),
}


def test_every_product_has_documented_and_undocumented_states() -> None:
    assert PRODUCTS.keys() == DOCUMENTED.keys() == UNDOCUMENTED.keys()
    for name, product in PRODUCTS.items():
        assert DOCUMENTED[name].keys() == {line.state for line in product.states}


@each_row(("product", "raw"), [(product, raw) for product, states in UNDOCUMENTED.items() for raw in states])
def test_undocumented_states_are_unknown(product: str, raw: object) -> None:
    job = read(product, change(product, **{KEYS[product][1]: raw}))
    assert (JobState.UNKNOWN, raw) == (job.state, job.raw_state)
    assert not job.state.is_terminal


@for_each_product
@each_row("raw", [None, "", ..., True, False, [3], {"state": 3}])
def test_a_state_that_is_none_makes_the_row_unreadable(product: str, raw: object) -> None:
    """Nobody knows what the job came to; the problem names the key, or both where the documents have two."""
    key = KEYS[product][1]
    job = read(product, change(product, **{key: raw}))
    assert JobState.UNKNOWN is job.state
    (problem,) = job.problems
    assert key.casefold() in problem.casefold()
    assert "('" not in problem


@each_row(
    ("product", "raw", "expected"),
    [
        ("dynamics365", 3.0, "success"),
        ("dynamics365", "3 ", "success"),
        ("dynamics365", " 3.0", "success"),
        ("m365", "Finished With Exceptions", "partial"),
        ("m365", " finished ", "success"),
        ("elements", "Finished with exceptions", "partial"),
        ("google_workspace", 0.0, "running"),
        ("google_workspace", "0", "running"),
    ],
)
def test_a_state_in_another_form(product: str, raw: object, expected: str) -> None:
    job = read(product, change(product, **{KEYS[product][1]: raw, KEYS[product][3]: "2099-01-01T00:00:00Z"}))
    assert (expected, ()) == (job.state, job.problems)


@each_row(
    ("product", "key", "raw", "expected"),
    [
        ("dynamics365", "module", "CustomerEngagement", "customer_engagement"),
        ("dynamics365", "module", "customer engagement", "customer_engagement"),
        ("google_workspace", "appType", "Shared drives", "shared_drives"),
        ("google_workspace", "appType", "64 ", "shared_drives"),
        ("elements", "jobModule", "ExchangeOnline", "exchange_online"),
    ],
)
def test_a_workload_in_another_form(product: str, key: str, raw: object, expected: str) -> None:
    assert expected == read(product, change(product, **{key: raw})).workload


def test_a_job_type_in_another_form() -> None:
    assert "audit_backup" == read("dynamics365", change("dynamics365", type="AuditBackup")).job_type


@for_each_product
def test_an_undocumented_state_is_reported_once(product: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the vendor's word, cut to a sane length, and where it should be documented."""
    odd = f"Odd {next(_numbers)} " + "x" * 10_000
    reader = RowReader(PRODUCTS[product])
    for _ in range(3):
        reader.read(change(product, **{KEYS[product][1]: odd}))
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert odd[:50] in record.getMessage()
    assert PRODUCTS[product].documentation_url in record.getMessage()
    assert 1000 > len(record.getMessage())


@for_each_product
@each_row("value", [None, "", "N/A", ..., "0001-01-01T00:00:00Z", "0001-01-01T00:00:00", 0])
@each_row("which", [2, 3])
def test_absent_times(product: str, which: int, value: object) -> None:
    """Where a time is missing, the vendor's own duration counts."""
    job = read(product, change(product, **{KEYS[product][which]: value}))
    assert None is (job.started_at, job.finished_at)[which - 2]
    _, expected = DURATIONS.get(product, (None, None))
    assert expected == job.duration


@for_each_product
def test_neither_times_nor_duration(product: str) -> None:
    *_, start, finish = KEYS[product]
    duration, _ = DURATIONS.get(product, ("duration", None))
    job = read(product, change(product, **{start: None, finish: None, duration: None}))
    assert (None, None, None) == (job.started_at, job.finished_at, job.duration)


def test_a_product_without_durations() -> None:
    columns = replace(PRODUCTS["m365"].columns, duration=None, parse_duration=None)
    reader = RowReader(replace(PRODUCTS["m365"], columns=columns))
    assert timedelta(seconds=39) == reader.read(M365_ROW).duration
    assert None is reader.read(change("m365", finishTime=None)).duration


@for_each_product
def test_times_in_another_offset_are_utc(product: str) -> None:
    job = read(product, change(product, **{KEYS[product][2]: "2024-12-02T15:52:25.1234567+08:00"}))
    assert datetime(2024, 12, 2, 7, 52, 25, 123456, tzinfo=UTC) == job.started_at
    assert UTC is job.started_at.tzinfo


ASKED = {"job_type": "restore", "workload": "teams", "organization_id": "o1", "location": "NAM"}


def test_what_was_asked_for_fills_what_a_row_leaves_out() -> None:
    job = read("m365", M365_ROW, **ASKED)
    assert ("restore", "teams", "o1", "NAM") == (
        job.job_type,
        job.workload,
        job.organization_id,
        job.location,
    )


def test_a_rows_own_word_counts() -> None:
    job = read("dynamics365", D365_ROW, **ASKED)
    assert ("backup", "customer_engagement", D365_ROW["organizationId"]) == (
        job.job_type,
        job.workload,
        job.organization_id,
    )


@each_row(
    ("value", "expected"),
    [
        (1, "backup"),
        (2, "restore"),
        (4, "dryrun"),
        (8, "retention"),
        (16, "audit_backup"),
        (32, "export"),
        ("16", "audit_backup"),
        ("Audit Backup", "audit_backup"),
        ("Backup", "backup"),
        ("Dryrun", "dryrun"),
        (64, "64"),
        (0, "0"),
        ("Odd One", "odd_one"),
    ],
)
def test_job_types(value: object, expected: str) -> None:
    """The table's labels count as much as its numbers; an undocumented one is never a backup."""
    assert expected == read("dynamics365", change("dynamics365", type=value)).job_type


@each_row(
    ("value", "expected"),
    [("Customer Engagement", "customer_engagement"), ("Unified Operations", "unified_operations"), (5, "5")],
)
def test_modules(value: object, expected: str) -> None:
    assert expected == read("dynamics365", change("dynamics365", module=value)).workload


@each_row("value", [None, "", "N/A", ...])
def test_absent_size_and_names(value: object) -> None:
    absent = dict.fromkeys(("backupSize", "organizationId", "organizationName", "module", "type"), value)
    job = read("dynamics365", change("dynamics365", **absent))
    assert [None] * 5 == [
        job.size_bytes,
        job.organization_id,
        job.organization_name,
        job.workload,
        job.job_type,
    ]


@each_row("errors", [None, [], ..., ""])
def test_no_errors(errors: object) -> None:
    assert () == read("m365", change("m365", jobErrors=errors)).errors


def test_an_error_with_gaps() -> None:
    """The details page types the number as an integer, the list as a long; a flag that is none is None."""
    job = read("m365", change("m365", jobErrors=[{}, {"isErrorCode": "true", "value": 5, "number": "7"}]))
    assert (JobError(), JobError(message="5", count=7)) == job.errors


@for_each_product
@each_row("row", [None, [], "row", 5, [M365_ROW]])
def test_a_row_that_is_no_object(product: str, row: object) -> None:
    with pytest.raises(AvePointPayloadError, match=re.escape(PRODUCTS[product].label)):
        read(product, row)


@for_each_product
@each_row("value", [..., None, "", "N/A", [], {}, 1.5, "two\nlines"])
def test_a_row_without_an_id(product: str, value: object) -> None:
    key = KEYS[product][0]
    with pytest.raises(AvePointPayloadError) as caught:
        read(product, change(product, **{key: value}))
    assert PRODUCTS[product].label in str(caught.value)
    assert key.casefold() in str(caught.value).casefold()


@for_each_product
def test_an_id_that_is_a_number(product: str) -> None:
    """The Salesforce sample forgets the quotes."""
    assert (
        "20241015105312327583"
        == read(product, change(product, **{KEYS[product][0]: 20241015105312327583})).job_id
    )


M365S = ("m365", "m365_legacy")
D365_NUMBERS = ("totalEntity", "failedEntity", "warningRecord")
# What a verdict reads: one value that is none for each key.
UNREADABLE = [
    *((product, keys[2], value) for product, keys in KEYS.items() for value in ("soon", True, [], 1.5, -1)),
    *((product, keys[3], value) for product, keys in KEYS.items() for value in ("soon", {})),
    *itertools.product(
        M365S, ["backupDetails"], [{"failedCount": bad} for bad in (-1, "many", 1.5, True, [])]
    ),
    *itertools.product(
        M365S, ["backupDetails"], ["many", [{"totalCount": 1}, {"totalCount": 2}], True, 16, "16"]
    ),
    *itertools.product(["dynamics365"], D365_NUMBERS, [-1, "many", 1.5, True]),
    *itertools.product(["dynamics365"], ["type", "module", "organizationId"], [True, [1]]),
    *itertools.product(["google_workspace"], ["jobType", "appType"], [True, [1]]),
    *itertools.product(
        ["salesforce"], ["type", "failedObjects", "totalRecords", "failedMetadata"], [[], True]
    ),
    *itertools.product(["iaas_paas"], ["jobType", "failedCount", "successfulCount"], [{}, True]),
    *itertools.product(["aos_scan"], ["type", "category"], [[0], True]),
    *itertools.product(["elements"], ["jobType", "jobModule", "failedCount"], [[0], True]),
]


@each_row(("product", "key", "value"), UNREADABLE)
def test_what_a_verdict_reads_and_cannot_is_a_problem(product: str, key: str, value: object) -> None:
    """The row is read all the same; the problem names the key and shows the value."""
    job = read(product, change(product, **{key: value}))
    (problem,) = job.problems
    wanted = "count" if key == "backupDetails" else key
    assert wanted.casefold() in problem.casefold()
    assert SAMPLES[product][KEYS[product][0]] == job.job_id


UNREAD = [
    *itertools.product(["dynamics365"], ["backupSize"], [-1, "1.2 GB", 1.5, True, []]),
    *itertools.product(["salesforce"], ["dataSize"], [-1, "5 GB", True]),
    *itertools.product(["elements"], ["backupSize"], [5, "many GB", "-1 GB", "1,024 GB", True, []]),
    *itertools.product(["dynamics365"], ["organizationName"], [5, []]),
]


@each_row(("product", "key", "value"), UNREAD)
def test_what_no_verdict_reads_is_left_out(product: str, key: str, value: object) -> None:
    job = read(product, change(product, **{key: value}))
    assert ((), None) == (job.problems, job.size_bytes if key.endswith("ize") else None)


def test_what_is_left_out_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    odd = f"odd {next(_numbers)}"
    reader = RowReader(PRODUCTS["elements"])
    for _ in range(3):
        reader.read(change("elements", backupSize=odd))
    (record,) = caplog.records
    assert "backupSize" in record.getMessage()
    assert odd in record.getMessage()


@each_row(
    ("listed", "expected"),
    [
        ("text", (JobError(message="text"),)),
        (["one", None, {"value": "two", "number": -1}], (JobError(message="one"), JobError(message="two"))),
        ([5, {"number": "many"}], (JobError(message="5"), JobError())),
        ({"value": "x"}, (JobError(message="x"),)),
    ],
)
def test_errors_in_another_form(listed: object, expected: tuple[JobError, ...]) -> None:
    job = read("m365", change("m365", jobErrors=listed))
    assert (expected, ()) == (job.errors, job.problems)


@each_row("value", ["soon", True, [], "17 min", "-", 10**400, "-739575.05:12:33"])
@each_row("product", DURATIONS)
def test_a_malformed_duration_is_left_out(product: str, value: object) -> None:
    *_, finish = KEYS[product]
    duration, _ = DURATIONS[product]
    assert read(product, change(product, **{duration: value})).duration is not None
    unfinished = read(product, change(product, **{duration: value, finish: None}))
    assert (None, ()) == (unfinished.duration, unfinished.problems)


#: Products whose times without an offset are not of a known zone.
WITHOUT_ZONE = [
    name for name, product in PRODUCTS.items() if not isinstance(product.columns.parse_time, partial)
]


@each_row("product", WITHOUT_ZONE)
@each_row(
    ("written", "earliest", "latest"),
    [
        ("2024-12-02T07:52:25", "2024-12-01T17:52:25+00:00", "2024-12-02T21:52:25+00:00"),
        ("2024-12-02", "2024-12-01T10:00:00+00:00", "2024-12-03T14:00:00+00:00"),
    ],
)
def test_a_start_without_an_offset_may_be_anywhere_on_earth(
    product: str, written: str, earliest: str, latest: str
) -> None:
    job = read(product, change(product, **{KEYS[product][2]: written, KEYS[product][3]: None}))
    assert job.started_at is None
    assert [earliest, latest] == [moment and moment.isoformat() for moment in find_start_range(job)]
    assert job.problems


@pytest.mark.parametrize(
    ("finish", "latest"),
    [
        ("2024-12-02T08:10:00+00:00", "2024-12-02T08:10:00+00:00"),
        ("2024-12-01T08:10:00+00:00", "2024-12-02T21:52:25+00:00"),
    ],
    ids=["in the span", "before it"],
)
def test_no_job_started_after_its_end(finish: str, latest: str) -> None:
    """But an end that lies before all that the start may be says nothing."""
    job = read("dynamics365", change("dynamics365", startTime="2024-12-02T07:52:25", finishTime=finish))

    assert datetime.fromisoformat(latest) == find_start_range(job)[1]


@for_each_product
def test_a_row_that_does_not_say_its_type(product: str) -> None:
    """It gets the type that was asked for, and nobody knows whether it is of it."""
    key = PRODUCTS[product].columns.job_type
    if key is None:
        assert () == read(product, SAMPLES[product], job_type="backup").problems
        return
    for value in (None, "", ...):
        job = read(product, change(product, **{str(key): value}), job_type="backup")
        assert ("backup", (f"{key} is missing",)) == (job.job_type, job.problems)


@each_row("asked", ["entra_id", "virtual_machine", None])
def test_a_machines_job_answers_for_no_other_service(asked: str | None) -> None:
    job = read("iaas_paas", IAAS_ROW, workload=asked)
    assert bool(job.problems) == (asked == "entra_id")


@each_row("key", ["startTime", "id"])
def test_a_problem_is_one_bounded_line(key: str) -> None:
    text = "line one\n2026-11-22 INFO all is well " + "x" * 100_000
    row = change("m365", startTime=text, **({"id": text.replace("\n", " ")} if key == "id" else {}))
    (problem,) = read("m365", row).problems
    assert 500 > len(problem)
    assert problem.isprintable()


def test_one_reader_for_rows_of_several_forms() -> None:
    """Which key holds what is kept for each set of keys, not for the first row's."""
    reader = RowReader(PRODUCTS["m365_legacy"])
    for row in (LEGACY_ROW, to_pascal(LEGACY_ROW), change("m365_legacy", duration=...), LEGACY_ROW):
        assert LEGACY_JOB == reader.read(row)


def test_rows_with_ever_new_keys_do_not_fill_the_memory() -> None:
    reader = RowReader(PRODUCTS["m365"])
    for number in range(2500):
        assert M365_JOB == reader.read({**M365_ROW, f"extra{number}": 1})
    assert 1100 > max(len(reader._layouts), len(reader._forms))
    for number in range(1100):
        details = {**M365_ROW["backupDetails"], f"extra{number}": 1}
        assert M365_JOB == reader.read({**M365_ROW, "backupDetails": details})
    assert 1100 > len(reader._count_schemas)


def test_two_columns_under_one_key() -> None:
    """A product may read two columns from one key: then each row takes the tolerant way."""
    columns = replace(PRODUCTS["aos_scan"].columns, organization_name="category")
    reader = RowReader(replace(PRODUCTS["aos_scan"], columns=columns))
    assert replace(AOS_JOB, organization_name=str(AOS_ROW["category"])) == reader.read(AOS_ROW)


@each_row("value", ["a\nb", "\0", 10**41, True, ["o1"]])
def test_an_organisation_whose_id_can_be_none(value: object) -> None:
    job = read("dynamics365", change("dynamics365", organizationId=value))
    if value == 10**41:
        assert (str(value), ()) == (job.organization_id, job.problems)
    else:
        assert (None, 1) == (job.organization_id, len(job.problems))


def test_words_made_up_as_a_server_goes_do_not_fill_the_memory() -> None:
    """What words mean is kept for the few that rows repeat."""
    reader = RowReader(PRODUCTS["dynamics365"])
    for number in range(2500):
        row = change("dynamics365", type=f"Odd {number}", module=1000 + number)
        job = reader.read(row)
        assert (f"odd_{number}", str(1000 + number)) == (job.job_type, job.workload)
    assert D365_JOB == reader.read(D365_ROW)
    for number in range(1100):
        reader.read(change("dynamics365", status=number))
    assert 1100 > max(len(reader._words), len(reader._states))
    for look_up in (reader._job_type, reader._workload):
        assert 1100 > len(inspect.getclosurevars(look_up).nonlocals["remembered"])


@each_row(
    ("more", "expected"),
    [
        ({"State": "Failed"}, JobState.FAILED),
        ({"State": "Finished"}, JobState.SUCCESS),
        ({"STATE": None, "State": "N/A"}, JobState.SUCCESS),
        ({"State": "Odd"}, JobState.UNKNOWN),
    ],
)
def test_of_two_states_in_one_row_the_worse_holds(more: dict[str, Any], expected: JobState) -> None:
    """Whichever stands first; empty ones do not count."""
    assert expected is read("m365", {**more, **M365_ROW}).state
    assert expected is read("m365", {**M365_ROW, **more}).state


def test_two_other_values_in_one_row_are_not_understood() -> None:
    job = read("m365", {**M365_ROW, "StartTime": "2024-12-02T07:00:00Z"})
    assert job.started_at is None
    assert job.problems
    assert () == read("m365", {**M365_ROW, "StartTime": M365_ROW["startTime"], "FinishTime": ""}).problems
    assert None is read("m365", {**M365_ROW, "finishTime": None, "FinishTime": ""}).finished_at


FORMS_OF_COUNTS = [
    {"failedNumber": None, "failedCount": 400, "totalNumber": 1000, "successfulNumber": 600},
    {"failedNumber": 0, "failedCount": 400, "totalCount": 1000, "successfulCount": 600},
    {"FailedCount": "400", "failedCount": 3, "totalCount": 1000.0, "successfulCount": " 600"},
    [{"failedCount": 400, "totalCount": 1000, "successfulCount": 600}],
    '{"failedCount": 400, "totalCount": 1000, "successfulCount": 600}',
]


@each_row("details", FORMS_OF_COUNTS)
def test_counts_in_another_form(details: object) -> None:
    job = read("m365", change("m365", backupDetails=details))
    assert (Counts(total=1000, successful=600, failed=400), ()) == (job.counts, job.problems)


def test_counts_beside_the_object_that_should_hold_them() -> None:
    job = read("m365", change("m365", failedCount=400))
    assert (400, 14) == (job.counts.failed, job.counts.successful)
    job = read("m365", change("m365", backupDetails=None, failedNumber=400, totalNumber=1000))
    assert Counts(total=1000, failed=400) == job.counts


@each_row("details", [None, "", "N/A", {}, [], "{}", "null", ...])
def test_no_counts(details: object) -> None:
    job = read("m365", change("m365", backupDetails=details))
    assert (Counts(), ()) == (job.counts, job.problems)


# The products that rows say more or less of


ORGANIZATION = "00D5g000004XyzAEAS"
NO_FIGURES = (None, "", "N/A", ...)


@each_row("progress", [0.0, 50.0, 100.0, None, ...])
@each_row(("status", "expected"), [(0, "running"), (2, "success"), (3, "failed"), (7, "partial")])
def test_google_progress_is_no_success(status: int, expected: str, progress: object) -> None:
    """Whatever ended has 100 %, a failure too; and 0 is a state, not none."""
    job = read("google_workspace", change("google_workspace", status=status, progress=progress))
    assert (expected, status, Counts()) == (job.state, job.raw_state, job.counts)


def test_salesforce_as_the_table_has_it() -> None:
    """``status``, three levels of counts without skipped metadata, KB of 1,024 bytes, an organisation."""
    figures = {"successfulMetadata": 3, "failedMetadata": 1, "totalMetadata": 4, "failedRecords": 7}
    row = change(
        "salesforce", state=..., status=3, dataSize=12, apiCalls=9, organizationId=ORGANIZATION, **figures
    )
    job = read("salesforce", row, job_type="backup", organization_id="another")
    assert (JobState.PARTIAL, 3, 12 * 1024) == (job.state, job.raw_state, job.size_bytes)
    assert Counts(total=4, successful=3, failed=1) == job.metadata_counts
    assert (7, 0, 0) == (job.record_counts.failed, job.counts.failed, job.record_counts.total)
    assert ("audit_log_backup", ORGANIZATION) == (job.job_type, job.organization_id)


@each_row(
    ("product", "status", "state", "expected"),
    [
        ("salesforce", 2, 4, "failed"),
        ("salesforce", 4, 2, "failed"),
        ("salesforce", None, 2, "success"),
        ("salesforce", 2, 1, "running"),
        ("iaas_paas", 2, 16, "failed"),
        ("iaas_paas", 16, 2, "failed"),
        ("iaas_paas", None, 2, "success"),
    ],
)
def test_where_a_row_has_both_the_worse_holds(
    product: str, status: object, state: int, expected: str
) -> None:
    assert expected == read(product, change(product, status=status, state=state)).state


@each_row("value", NO_FIGURES)
def test_salesforce_rows_that_leave_out_their_organisation(value: object) -> None:
    """Then it is the one that was asked for, or nobody knows."""
    row = change("salesforce", organizationId=value, dataSize=value)
    asked = read("salesforce", row, organization_id=ORGANIZATION)
    assert (ORGANIZATION, None) == (asked.organization_id, asked.size_bytes)
    assert read("salesforce", row).organization_id is None


@each_row("name", ["successfulCount", "successCount", "SuccessCount"])
def test_iaas_as_older_pages_have_it(name: str) -> None:
    """``state``, and in the report of a job ``SuccessCount``."""
    row = change("iaas_paas", status=..., state=8, successfulCount=...) | {name: 11}
    job = read("iaas_paas", row)
    assert (JobState.PARTIAL, 8, 11) == (job.state, job.raw_state, job.counts.successful)


def test_iaas_rows_say_their_type_and_not_their_service() -> None:
    job = read("iaas_paas", IAAS_ROW, job_type="restore", workload="cosmos")
    assert ("backup", "cosmos", None) == (job.job_type, job.workload, job.organization_id)
    assert read("iaas_paas", change("iaas_paas", jobType=None)).job_type is None
    assert "99999" == read("iaas_paas", change("iaas_paas", jobType=99999), job_type="backup").job_type


@each_row(
    ("kind", "category", "expected"),
    [
        (0, 1, ("backup", "power_platform")),
        (10, 3, ("backup", "google")),
        (11, 2, ("batch_import", "active_directory")),
        (12, 4, ("12", "4")),
        (None, None, (None, None)),
    ],
)
def test_scans(kind: object, category: object, expected: tuple[str, str]) -> None:
    """A scan is the backup here, of whichever cloud; a batch import, or what nobody documents, is none."""
    job = read("aos_scan", change("aos_scan", type=kind, category=category))
    assert expected == (job.job_type, job.workload)


@each_row("asked", [None, "backup", "archiver"])
@each_row(
    ("kind", "module", "expected"),
    [
        (7, 304, ("backup", "microsoft_365_groups")),
        ("12", "361", ("backup", "amazon_ec2")),
        (0, 0, ("scan", "none")),
        (7, 8, ("archiver", "archiver")),
        (7, 10, ("retention", "retention")),
        (11, 10, ("retention", "retention")),
        (10, 999, ("scan", "999")),
        (None, 10, ("retention", "retention")),
    ],
)
def test_elements_modules(kind: object, module: object, expected: tuple[str, str], asked: str | None) -> None:
    """Archiver and retention are no backup, whatever service the row counts them to and whoever asks."""
    job = read("elements", change("elements", jobType=kind, jobModule=module), job_type=asked)
    assert expected == (job.job_type, job.workload)


@each_row("value", NO_FIGURES)
def test_elements_figures_that_are_absent(value: object) -> None:
    names = ["totalCount", "failedCount", "successfulCount", "skippedCount", "warningCount"]
    names += ["backupSize", "startTime", "endTime", "jobDuration"]
    job = read("elements", change("elements", **dict.fromkeys(names, value)), organization_id="c1")
    assert (Counts(), None, None, None, None) == (
        job.counts,
        job.size_bytes,
        job.started_at,
        job.finished_at,
        job.duration,
    )
    assert "c1" == job.organization_id


@each_row(
    ("written", "expected"), [("0 GB", 0), ("5 GB", 5 * 1024**3), ("1.5 MB", 1572864), ("12 KB", 12288)]
)
def test_elements_sizes(written: str, expected: int) -> None:
    assert expected == read("elements", change("elements", backupSize=written)).size_bytes


FIGURES = {
    "outOfPolicyTime": 0,
    "purchasedUserSeats": 100,
    "assignedUserSeats": 47,
    "purchasedStorageSize": 0,
    "protectedSize": 0,
}
LICENSED = {
    "m365": lambda figures: {"statusCode": 200, "data": figures},
    "m365_legacy": lambda figures: figures,
}


@pytest.mark.parametrize("product", LICENSED)
@pytest.mark.parametrize("written", [FIGURES, to_pascal(FIGURES)], ids=["camelCase", "PascalCase"])
def test_the_licence_sample(product: str, written: dict[str, int]) -> None:
    assert {
        "product": product,
        "out_of_policy_at": None,
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 0,
        "protected_gb": 0,
        "expires_at": None,
    } == read_license(PRODUCTS[product], LICENSED[product](written))


@each_row("value", [638645575921780695, 1728960792178, "2024-10-15T02:53:12.178Z"])
def test_out_of_policy_in_any_unit(value: object) -> None:
    figures = read_license(PRODUCTS["m365"], {"data": {**FIGURES, "outOfPolicyTime": value}})
    assert datetime(2024, 10, 15, 2, 53, 12, 178000, tzinfo=UTC) == figures["out_of_policy_at"].replace(
        microsecond=178000
    )


@each_row("product", LICENSED)
@each_row("document", [None, [], {"data": None}, {"data": []}, {}, "text"])
def test_no_licence_figures(product: str, document: object) -> None:
    with pytest.raises(AvePointPayloadError, match="answered without"):
        read_license(PRODUCTS[product], document)


@each_row("value", [None, ..., "", "N/A", "5 GB", -1, 1.5, True, []])
@each_row("name", list(FIGURES)[1:])
def test_a_licence_figure_is_never_guessed(name: str, value: object) -> None:
    """An audit must not take what is missing for nothing used."""
    figures = {key: each for key, each in (FIGURES | {name: value}).items() if each is not ...}
    with pytest.raises(AvePointPayloadError, match=name):
        read_license(PRODUCTS["m365"], {"data": figures})


@each_row("value", ["soon", True, 1.5, []])
def test_a_malformed_out_of_policy_time(value: object) -> None:
    with pytest.raises(AvePointPayloadError, match="licence: outOfPolicyTime"):
        read_license(PRODUCTS["m365"], {"data": {**FIGURES, "outOfPolicyTime": value}})


def test_no_out_of_policy_time() -> None:
    figures = {name: value for name, value in FIGURES.items() if name != "outOfPolicyTime"}
    read = read_license(PRODUCTS["m365"], {"data": figures})
    assert read["out_of_policy_at"] is None
    assert read["problems"] == (
        "outOfPolicyTime is missing, so nobody knows whether the licence is out of policy",
    )


# The two subscriptions of "Retrieve All Services of Customers".
SUBSCRIPTIONS: dict[str, Any] = {
    "customerId": "1c10525c-****-****-****-2e641bc13421",
    "organization": "OrganizationABC",
    "customer": "user@domain.com",
    "products": [
        {
            "service": "Cloud Backup for IaaS + PaaS - Unit",
            "subscriptionModel": "N/A",
            "purchasedUserSeats": "N/A",
            "purchasedUnits": "N/A",
            "microsoftLicenseAssigned": "0",
            "microsoftLicenseAvailable": "0",
            "purchasedCapacity": "0/1 GB",
            "protectedCapacity": "0 GB",
            "storage": "Bring your own storage",
            "retention": "N/A",
            "consumedStorage": "N/A",
            "expirationDate": "2025-09-26T00:00:00Z",
            "change": "N/A",
            "source": "AvePoint pooled subscription",
            "paymentType": "Prepaid",
            "subscriptionName": "N/A",
            "package": "N/A",
            "contractEndDate": "N/A",
        },
        {
            "service": "Fly Migration to Google",
            "purchasedUserSeats": "2",
            "microsoftLicenseAssigned": "0",
            "purchasedCapacity": "N/A",
            "protectedCapacity": "N/A",
            "expirationDate": "2025-09-26T00:00:00Z",
            "subscriptionName": "N/A",
            "package": "N/A",
        },
    ],
}


def read_customer(customer: Any) -> list[dict[str, Any]]:
    elements = PRODUCTS["elements"]
    assert elements.subscriptions is not None
    return list(read_subscriptions(elements, elements.subscriptions, [customer]))


def change_subscription(**changes: Any) -> dict[str, Any]:
    """Return the customer with one subscription, changed; ... is a key that is not there."""
    row = SUBSCRIPTIONS["products"][0] | changes
    return SUBSCRIPTIONS | {"products": [{key: value for key, value in row.items() if value is not ...}]}


@pytest.mark.parametrize(
    "written", [SUBSCRIPTIONS, to_pascal(SUBSCRIPTIONS)], ids=["camelCase", "PascalCase"]
)
def test_the_sample_of_subscriptions(written: dict[str, Any]) -> None:
    shared = {
        "product": "elements",
        "organization_id": "1c10525c-****-****-****-2e641bc13421",
        "organization_name": "OrganizationABC",
        "out_of_policy_at": None,
        "assigned_user_seats": 0,
        "expires_at": datetime(2025, 9, 26, tzinfo=UTC),
    }
    assert [
        shared
        | {
            "service": "Cloud Backup for IaaS + PaaS - Unit",
            "purchased_user_seats": None,
            "purchased_storage_gb": 1,
            "protected_gb": 0,
        },
        shared
        | {
            "service": "Fly Migration to Google",
            "purchased_user_seats": 2,
            "purchased_storage_gb": None,
            "protected_gb": None,
        },
    ] == read_customer(written)


def test_subscriptions_of_one_service_are_told_apart() -> None:
    """By package or name where they have one, else by a number."""
    rows = [
        SUBSCRIPTIONS["products"][0] | {"service": "Backup", **names}
        for names in (
            {"package": "Standard"},
            {"package": "Premium"},
            {"subscriptionName": "North", "package": "Premium"},
            {},
            {},
            {"package": "Premium"},
        )
    ]
    found = read_customer(SUBSCRIPTIONS | {"products": rows})

    assert [
        "Backup, Standard",
        "Backup, Premium",
        "Backup, North, Premium",
        "Backup",
        "Backup (2)",
        "Backup, Premium (2)",
    ] == [each["service"] for each in found]


def test_a_customer_without_subscriptions() -> None:
    assert [] == read_customer(SUBSCRIPTIONS | {"products": []})


@each_row("value", ["N/A", None, "", ...])
def test_a_subscription_without_end(value: object) -> None:
    (found,) = read_customer(change_subscription(expirationDate=value))
    assert found["expires_at"] is None


@each_row("value", [None, ..., "", "many", -1, True, []])
@each_row(
    "name", ["purchasedUserSeats", "microsoftLicenseAssigned", "purchasedCapacity", "protectedCapacity"]
)
def test_a_figure_of_a_subscription_is_never_guessed(name: str, value: object) -> None:
    """Only N/A says that there is none."""
    with pytest.raises(AvePointPayloadError, match=name):
        read_customer(change_subscription(**{name: value}))


@each_row(
    ("customer", "missing"),
    [
        (change_subscription(expirationDate="soon"), "expirationDate"),
        (change_subscription(service="N/A"), "without service"),
        (SUBSCRIPTIONS | {"products": None}, "without products"),
        (SUBSCRIPTIONS | {"products": ["text"]}, "without service"),
        ({"customerId": "c1"}, "without products"),
    ],
)
def test_subscriptions_that_cannot_be_read(customer: Any, missing: str) -> None:
    with pytest.raises(AvePointPayloadError, match=missing):
        read_customer(customer)


@each_row("customer", [None, "text", {}, {"customerId": None}, {"customerId": "N/A"}])
def test_a_customer_without_id(customer: object) -> None:
    elements = PRODUCTS["elements"]
    assert elements.subscriptions is not None
    with pytest.raises(AvePointPayloadError, match="without customerId"):
        read_customer_id(elements, elements.subscriptions, customer)


@each_row(
    ("fields", "expected"),
    [
        ({"status": 12}, True),
        ({"status": "Disabled"}, True),
        ({"status": 3}, False),
        ({"status": [12]}, False),
        ({"status": 12, "jobId": "FB1"}, False),
    ],
)
def test_a_row_without_an_id_is_no_job_where_its_state_says_so(
    fields: dict[str, Any], *, expected: bool
) -> None:
    reader = RowReader(PRODUCTS["elements"])
    row = change("elements", **({"jobId": "N/A"} | fields))
    assert expected is reader.is_no_job(reader.identify(row))
