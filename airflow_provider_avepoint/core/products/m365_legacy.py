"""Describe the older API of Cloud Backup for Microsoft 365.

"Use Public APIs" in the user guide: ``/cloudbackup/jobs`` and ``/cloudbackup/licenseconsumption``. Times and
durations are .NET ticks. Names are in PascalCase in the tables and in camelCase in the samples. The API has
no locations and no endpoint for one job.
"""

from __future__ import annotations

from datetime import datetime

from airflow_provider_avepoint.core.fields import parse_ticks_or_hours, to_ticks
from airflow_provider_avepoint.core.products.m365 import (
    COUNTS,
    ERRORS,
    JOB_TYPES,
    JOBS_PERMISSION,
    LICENSE_COLUMNS,
    LICENSE_PERMISSION,
    OBJECT_TYPES,
    STATES,
)
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    Envelope,
    Filters,
    LicenseEndpoint,
    Paging,
    Product,
    ScanJobs,
)


def _write_ticks(moment: datetime) -> str:
    return str(to_ticks(moment))


M365_LEGACY = Product(
    name="m365_legacy",
    label="Cloud Backup for Microsoft 365 (older API)",
    documentation_url="https://learn.avepoint.com/docs/services-and-features/m365/jobs.html",
    permission=JOBS_PERMISSION,
    path="/cloudbackup/jobs",
    columns=Columns(
        job_id="Id",
        state=("State", "Status"),
        started_at="StartTime",
        finished_at="FinishTime",
        duration="Duration",
        parse_duration=parse_ticks_or_hours,
        counts_at="BackupDetails",
        counts=COUNTS,
        errors=ERRORS,
    ),
    filters=Filters(
        started_after="StartTime",
        started_before="FinishTime",
        write_time=_write_ticks,
        job_type="JobType",
        state="JobState",
        object_type="ObjectType",
        # An older edition of the page requires every parameter; 0 stands for "all" and "unbounded".
        always={"StartTime": "0", "FinishTime": "0", "JobType": "0", "ObjectType": "0", "JobState": "0"},
    ),
    paging=Paging(index="PageIndex", size="PageSize"),
    envelope=Envelope(rows=(("Jobs",),), link=("NextLink",), total=(("TotalCount",),)),
    states=STATES,
    job_types=JOB_TYPES,
    object_types=OBJECT_TYPES,
    differs_by_tenant_only=True,
    license=LicenseEndpoint(
        path="/cloudbackup/licenseconsumption", permission=LICENSE_PERMISSION, columns=LICENSE_COLUMNS
    ),
    scan=ScanJobs(product="aos_scan", job_type="scan", object_type="m365", profile="scanProfileName"),
)
