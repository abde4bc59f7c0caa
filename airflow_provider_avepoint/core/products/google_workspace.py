"""Describe Cloud Backup for Google Workspace.

https://learn.avepoint.com/docs/services-and-features/google/google.html

Rows have neither counts nor a duration nor an organisation. A failed job has a progress of 100, as every
ended job has. The API lists the jobs of one data source, by default Admin's, so jobs of ReCenter are not
listed.
"""

from __future__ import annotations

from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    Envelope,
    Filters,
    Paging,
    Product,
    ScanJobs,
    State,
)

GOOGLE_WORKSPACE = Product(
    name="google_workspace",
    label="Cloud Backup for Google Workspace",
    documentation_url="https://learn.avepoint.com/docs/services-and-features/google/google.html",
    permission="gsuite.graph.read.all",
    path="/backup/google/admin/jobs",
    columns=Columns(
        job_id="jobId",
        state=("status", "state"),
        started_at="startTime",
        finished_at="finishTime",
        job_type="jobType",
        workload="appType",
    ),
    filters=Filters(
        started_after="startTime",
        started_before="finishTime",
        job_type="jobType",
        # The name in the table. The sample sends "status", and its answer shows that the server ignores that.
        state="jobStatus",
        object_type="appType",
    ),
    # The page does not name the parameter for the token; the vendor's Swagger file does.
    paging=Paging(index="pageIndex", size="pageSize", token="NextLink"),  # noqa: S106  # a parameter's name
    # An older edition of the page calls the rows Value.
    envelope=Envelope(rows=(("jobs",), ("Value",)), link=("nextLink",), total=(("totalCount",),)),
    # 0 is a state here, although other products use 0 for "all".
    states=(
        State(0, ("In progress",), JobState.RUNNING),
        State(2, ("Finished",), JobState.SUCCESS),
        State(3, ("Failed",), JobState.FAILED),
        State(7, ("Finished with exception",), JobState.PARTIAL),
    ),
    job_types={"backup": 1, "restore": 2, "export": 3, "delete": 4, "retention": 5, "report": 6},
    object_types={
        "gmail": 1,
        "drive": 2,
        "calendar": 4,
        "contacts": 8,
        "shared_drives": 64,
        "classroom": 128,
        "users": 256,
        "groups": 512,
        "chat": 4096,
        "vault_gmail": 8192,
        "vault_drive": 16384,
        "vault_shared_drives": 32768,
    },
    differs_by_tenant_only=True,
    scan=ScanJobs(product="aos_scan", job_type="scan", object_type="google", profile="scanProfileName"),
)
