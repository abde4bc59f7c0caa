"""Describe Cloud Backup for Dynamics 365.

https://learn.avepoint.com/graphapi/docs/services-and-features/d365/d365.html
"""

from __future__ import annotations

from airflow_provider_avepoint.core.fields import parse_hours
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    CountKeys,
    Envelope,
    Filters,
    Paging,
    Product,
    State,
)


def _count_keys(level: str) -> CountKeys:
    return CountKeys(
        total=f"total{level}",
        successful=f"successful{level}",
        failed=f"failed{level}",
        skipped=f"skipped{level}",
        warning=f"warning{level}",
    )


DYNAMICS365 = Product(
    name="dynamics365",
    label="Cloud Backup for Dynamics 365",
    documentation_url="https://learn.avepoint.com/graphapi/docs/services-and-features/d365/d365.html",
    # The page prints the permission in capitals, the table of permissions in lower case. No read-only
    # permission exists.
    permission="dynamics.readwrite.all",
    path="/dynamicsbackup/jobs",
    columns=Columns(
        job_id="jobId",
        # The vendor's page says status. Pages of other products say state, so both are read.
        state=("status", "state"),
        started_at="startTime",
        finished_at="finishTime",
        job_type="type",
        workload="module",
        duration="durationHours",
        parse_duration=parse_hours,
        counts=_count_keys("Entity"),
        record_counts=_count_keys("Record"),
        size="backupSize",
        organization_id="organizationId",
        organization_name="organizationName",
    ),
    filters=Filters(
        started_after="startTime",
        started_before="finishTime",
        window_required=True,
        job_type="type",
        state="status",
        organization_id="organizationId",
        always={"type": 0},
    ),
    paging=Paging(index="pageIndex", size="pageSize"),
    envelope=Envelope(rows=(("jobs",),), link=("nextLink",), total=(("totalCount",),)),
    # The page does not list 0, 1, 5 and 6. Skipped, stopped or waiting jobs may have these numbers.
    states=(
        State(2, ("In progress",), JobState.RUNNING),
        State(3, ("Finished",), JobState.SUCCESS),
        State(4, ("Failed",), JobState.FAILED),
        State(7, ("Finished with Exception",), JobState.PARTIAL),
    ),
    # A backup of the audit log has its own type, and holds no data.
    backup_types=("backup", "audit_backup"),
    contents={"audit_backup": "audit_log"},
    job_types={
        "backup": 1,
        "restore": 2,
        "dryrun": 4,
        "retention": 8,
        "audit_backup": 16,
        "export": 32,
    },
    # The sample shows the first module; the partner API names both.
    workloads=("customer_engagement", "unified_operations"),
)
