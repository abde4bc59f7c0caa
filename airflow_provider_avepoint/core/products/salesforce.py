"""Describe Cloud Backup for Salesforce: "Retrieve Job Information" of December 2025.

Scheduled, on-demand and continuous backups have their own job types; all three hold the data. A backup of the
audit log holds no data. Only a scheduled backup is a ``backup``; the other types count where a caller names
them.

The table gives rows an organisation; the sample does not. So each organisation that a caller names has its
own query.
"""

from __future__ import annotations

from airflow_provider_avepoint.core.fields import parse_kilobytes
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    ActivityEndpoint,
    AlertEndpoint,
    Columns,
    CountKeys,
    Envelope,
    Filters,
    Paging,
    Product,
    State,
)

SALESFORCE = Product(
    name="salesforce",
    label="Cloud Backup for Salesforce",
    documentation_url="https://learn.avepoint.com/docs/services-and-features/salesforcebackup/jobs.html",
    # The vendor's table of permissions does not list this permission.
    permission="salesforce.public.read.all",
    path="/backup/sfbapi/jobs",
    columns=Columns(
        job_id="jobId",
        # The table says status, the sample state.
        state=("status", "state"),
        started_at="startTime",
        finished_at="finishTime",
        job_type="type",
        counts=CountKeys(
            total="totalObjects",
            successful="successfulObjects",
            failed="failedObjects",
            skipped="skippedObjects",
        ),
        record_counts=CountKeys(
            total="totalRecords",
            successful="successfulRecords",
            failed="failedRecords",
            skipped="skippedRecords",
        ),
        metadata_counts=CountKeys(
            total="totalMetadata", successful="successfulMetadata", failed="failedMetadata"
        ),
        size="dataSize",
        parse_size=parse_kilobytes,
        organization_id="organizationId",
    ),
    filters=Filters(
        started_after="startTime",
        started_before="finishTime",
        window_required=True,
        job_type="type",
        state="status",
        organization_id="organizationId",
    ),
    paging=Paging(index="pageIndex", size="pageSize"),
    # Unlike Microsoft 365's, the link stands beside the rows.
    envelope=Envelope(rows=(("data", "jobs"),), link=("data", "nextLink"), total=(("data", "totalCount"),)),
    states=(
        State(1, ("In progress",), JobState.RUNNING),
        State(2, ("Finished",), JobState.SUCCESS),
        State(3, ("Finished with exception",), JobState.PARTIAL),
        State(4, ("Failed",), JobState.FAILED),
        State(5, ("Paused",), JobState.WAITING),
        State(6, ("Stopped",), JobState.STOPPED),
        State(7, ("Skipped",), JobState.SKIPPED),
    ),
    backup_types=("backup", "on_demand_backup", "continuous_data_protection", "audit_log_backup"),
    contents={"audit_log_backup": "audit_log"},
    job_types={
        "backup": 1,
        "on_demand_backup": 2,
        "restore": 3,
        "pre_restore": 4,
        "compare": 5,
        "archive": 6,
        "simulation": 7,
        "inactive_data_analysis": 8,
        "retention": 9,
        "discovery": 10,
        "backup_export": 11,
        "on_demand_export": 12,
        "auto_export": 13,
        "data_cleanup": 14,
        "sandbox_seeding": 15,
        "generate_recovery_point": 16,
        "continuous_data_protection": 17,
        "data_service": 18,
        "on_demand_data_service": 19,
        "audit_log_backup": 20,
        "audit_log_export": 21,
        "audit_log_auto_export": 22,
    },
    asks_each_organization=True,
    # AvePoint/cloud-api, docs/docs/services-and-features/salesforcebackup/unusual-activities.md
    activity=ActivityEndpoint(
        path="/backup/sfbapi/unusual-activities",
        permission="salesforce.public.read.all",
        rows=(("data",),),
        organization_id="organizationId",
        organization_name="organizationName",
        detected_at="latestDetectedDate",
        counts={
            "suspicious": "suspiciousFiles",
            "added": "addedFiles",
            "modified": "modifiedFiles",
            "deleted": "deletedFiles",
        },
        # Added, modified and deleted files are everyday life, also in the sample.
        alarms=("suspicious",),
        detected_after="startTime",
        detected_before="finishTime",
        organization="organizationId",
    ),
    # AvePoint/cloud-api, docs/docs/services-and-features/salesforcebackup/monitor-alerts.md
    alerts=AlertEndpoint(
        path="/backup/sfbapi/monitor-alerts",
        permission="salesforce.public.read.all",
        rows=(("data",),),
        organization_id="organizationId",
        # An integer in the table, a text such as "classes" in the sample.
        object_type="objectType",
        operation="operation",
        operations={"added": 0, "modified": 1, "removed": 2},
        records="recordNumber",
        collected_at="collectTime",
        collected_after="startTime",
        collected_before="finishTime",
        organization="organizationId",
        # The page names the choices Data and Metadata, and not the values to send.
        alert_type="alertType",
    ),
)
