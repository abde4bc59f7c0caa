"""Describe Cloud Backup for IaaS + PaaS.

https://learn.avepoint.com/docs/services-and-features/iaas-paas/iaas-paas.html

Each service has its own number for its backups, and no number stands for all backups. So a query for backups
sends no job type, and the package picks the backups out. There is no filter for the state, either. Rows have
neither service nor machine, and get the service that was asked for. So a gate asks for each service, and
every backup in the window must be good.
"""

from __future__ import annotations

from airflow_provider_avepoint.core.fields import parse_time_span
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

IAAS_PAAS = Product(
    name="iaas_paas",
    label="Cloud Backup for IaaS + PaaS",
    documentation_url="https://learn.avepoint.com/docs/services-and-features/iaas-paas/iaas-paas.html",
    # The page prints the permission in capitals, the vendor's samples in lower case. No read-only
    # permission exists.
    permission="platformbackup.readwrite.all",
    path="/backup/vm/jobs",
    columns=Columns(
        job_id="jobId",
        # An older edition of the page says state.
        state=("status", "state"),
        started_at="startTime",
        finished_at="finishTime",
        job_type="jobType",
        duration="duration",
        parse_duration=parse_time_span,
        counts=CountKeys(
            total="totalCount",
            # The vendor's report of a job says SuccessCount.
            successful=("successfulCount", "successCount"),
            failed="failedCount",
            skipped="skippedCount",
        ),
    ),
    filters=Filters(
        started_after="startTime",
        started_before="finishTime",
        job_type="jobType",
        object_type="serviceType",
    ),
    paging=Paging(index="pageNumber", size="pageSize"),
    envelope=Envelope(rows=(("jobs",),), link=("nextLink",), total=(("totalCount",),)),
    states=(
        State(0, ("Not Started",), JobState.WAITING),
        State(1, ("In Progress",), JobState.RUNNING),
        State(2, ("Successful",), JobState.SUCCESS),
        State(4, ("Skipped",), JobState.SKIPPED),
        State(8, ("Exception",), JobState.PARTIAL),
        State(16, ("Failed",), JobState.FAILED),
        State(32, ("Waiting",), JobState.WAITING),
        State(64, ("Stopped",), JobState.STOPPED),
    ),
    job_types={
        # Virtual machines, Entra ID, Azure Storage, Admin Portal settings, EC2, native Azure SQL, DevOps,
        # Azure SQL, B2C, and nine services that came later.
        "backup": (
            *(1, 128, 1024, 20003, 20009, 20012, 20014, 20016, 20019),
            *(20022, 40000, 60000, 60010, 60100, 70010, 80000, 90000, 90110),
        ),
        "restore": (
            *(2, 256, 2048, 20006, 20010, 20013, 20015, 20017, 20018, 20020),
            *(20023, 60001, 60011, 60101, 70011, 80010, 90001, 90120),
        ),
        "export": (4, 257, 4096, 20004, 20025, 70012, 90002),
        # 33: virtual machines (32 in an older edition of the page). 20024: Google Cloud.
        "index_generation": (33, 20024),
        "retention": 64,
        "data_deletion": 30003,
        "aws_platform_configurations": 40001,
    },
    # The services that bbba00d of the vendor's repository names for these nine types. A type that is not here
    # raises no doubt about the service that was asked for.
    workload_of_type={
        1: "virtual_machine",
        128: "entra_id",
        1024: "azure_storage",
        20003: "admin_portal",
        20009: "ec2",
        20012: "native_azure_sql",
        20014: "devops",
        20016: "azure_sql",
        20019: "b2c",
    },
    object_types={
        "virtual_machine": 1,
        "entra_id": 2,
        "azure_storage": 4,
        "admin_portal": 64,
        "common": 128,
        "ec2": 256,
        "native_azure_sql": 512,
        "devops": 1024,
        "azure_sql": 2048,
        "b2c": 4096,
        "gcp": 8192,
        "aws_setting": 16384,
        "sql_server": 20000,
        "vmware": 21000,
        "gcs": 23000,
        "cosmos": 24000,
        "postgresql": 25000,
        "s3": 26000,
        "entra_external_id": 27000,
    },
)
