"""Describe Cloud Backup for Microsoft 365: jobs, licence, schedule, retention, unusual activity, restore.

Jobs: https://learn.avepoint.com/graphapi/docs/services-and-features/m365/jobs/list-jobs.html
One job: https://learn.avepoint.com/graphapi/docs/services-and-features/m365/jobs/retrieve-job-details.html
Licence: https://learn.avepoint.com/graphapi/docs/services-and-features/m365/subscription.html
Schedule: AvePoint/cloud-api, docs/docs/services-and-features/m365/backup-frequency.md
Retention: .../m365/retention-policy.md
Unusual activity: .../m365/unusual-activities.md
Restore: https://learn.avepoint.com/graphapi/docs/services-and-features/m365/jobs/perform-restore-job.html
"""

from __future__ import annotations

from airflow_provider_avepoint.core.fields import parse_hours
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    ActivityEndpoint,
    Columns,
    CountKeys,
    Envelope,
    ErrorKeys,
    Filters,
    JobEndpoint,
    LicenseColumns,
    LicenseEndpoint,
    Paging,
    Product,
    RestoreEndpoint,
    RestoreService,
    RetentionEndpoint,
    ScanJobs,
    ScheduleEndpoint,
    State,
)

# Rows have the label; the jobState filter takes the number. The samples show "Finished" only. The table
# spells the other labels in words, the API's own description in CamelCase ("FinishedException").
STATES = (
    State(1, ("In Progress",), JobState.RUNNING),
    State(2, ("Finished",), JobState.SUCCESS),
    State(3, ("Failed",), JobState.FAILED),
    State(4, ("Finished with Exception", "FinishedException"), JobState.PARTIAL),
    State(5, ("Partially Finished",), JobState.PARTIAL, needs_finish=True),
)

# The current page calls type 4 Deletion, the older one Delete.
JOB_TYPES = {"backup": 1, "restore": 2, "export": 3, "delete": 4, "deletion": 4, "retention": 5}

# The numbers of the objectType filter. The serviceType of other endpoints has other numbers.
OBJECT_TYPES = {
    "exchange_online": 1,
    "sharepoint_online": 2,
    "onedrive": 3,
    "microsoft_365_groups": 4,
    "project_online": 5,
    "public_folder": 6,
    "teams": 7,
    "viva_engage": 8,
    "teams_chat": 9,
    "power_bi": 10,
    "power_automate": 11,
    "power_apps": 12,
}

# The serviceType of schedule, retention and unusual activity. Three of them have no objectType: the list of
# jobs cannot be asked for them. The page calls 9 Yammer Group and 10 Personal Chat.
SERVICE_TYPES = {
    "exchange_online": 0,
    "sharepoint_online": 1,
    "onedrive": 2,
    "microsoft_365_groups": 3,
    "project_online": 4,
    "public_folder": 5,
    "teams": 6,
    "public_folder_metadata": 7,
    "private_channel": 8,
    "viva_engage": 9,
    "teams_chat": 10,
    "power_bi": 11,
    "power_automate": 12,
    "shared_channel": 13,
    "power_apps": 14,
}

ERRORS = ErrorKeys(at="jobErrors", is_error_code="isErrorCode", message="value", url="url", count="number")

# The tables call the counts *Number; the sample of the list and the older API call them *Count.
# Both are read.
COUNTS = CountKeys(
    total=("totalNumber", "totalCount"),
    successful=("successfulNumber", "successfulCount"),
    failed=("failedNumber", "failedCount"),
    skipped=("skippedNumber", "skippedCount"),
)

LICENSE_COLUMNS = LicenseColumns(
    purchased_user_seats="purchasedUserSeats",
    assigned_user_seats="assignedUserSeats",
    # Both in whole GB.
    purchased_storage_gb="purchasedStorageSize",
    protected_gb="protectedSize",
    # The table has the time at which the subscription went out of policy; the sample has the time at which
    # the subscription expires. 0 means neither.
    out_of_policy_at="outOfPolicyTime",
)

JOBS_PERMISSION = "microsoft365backup.jobInfo.read.all"
LICENSE_PERMISSION = "microsoft365backup.subscriptionInfo.read.all"
SETTINGS_PERMISSION = "microsoft365backup.settings.read.all"
RESTORE_PERMISSION = "microsoft365backup.restore.readwrite.all"


def _site_service(number: int) -> RestoreService:
    return RestoreService(number=number, scope="siteRestoreScope", owner="siteUrl", argument="site_url")


# The numbers of serviceType, which are not those of the objectType filter.
RESTORE_SERVICES = {
    "sharepoint_online": _site_service(1),
    "onedrive": RestoreService(
        number=2, scope="oneDriveRestoreScope", owner="oneDriveUpn", argument="onedrive_upn"
    ),
    "microsoft_365_groups": _site_service(3),
    "teams": _site_service(6),
}

M365 = Product(
    name="m365",
    label="Cloud Backup for Microsoft 365",
    documentation_url="https://learn.avepoint.com/graphapi/docs/services-and-features/m365/jobs/list-jobs.html",
    permission=JOBS_PERMISSION,
    path="/backup/m365/cloudbackupjobs",
    # A row has neither service nor job type nor location, and gets the values that were asked for.
    columns=Columns(
        job_id="id",
        state=("state", "status"),
        started_at="startTime",
        finished_at="finishTime",
        duration="duration",
        parse_duration=parse_hours,
        counts_at="backupDetails",
        counts=COUNTS,
        errors=ERRORS,
    ),
    filters=Filters(
        started_after="startTime",
        started_before="finishTime",
        job_type="jobType",
        state="jobState",
        object_type="objectType",
        location="location",
    ),
    # The number of the first page: the table says 0; the sample asks for page 1 and gets all rows. So the
    # first request names no page.
    paging=Paging(index="pageIndex", size="pageSize"),
    # The table says totalNumber, the sample totalCount.
    envelope=Envelope(
        rows=(("data",),),
        link=("metadata", "nextLink"),
        total=(("metadata", "totalNumber"), ("metadata", "totalCount")),
    ),
    states=STATES,
    job_types=JOB_TYPES,
    object_types=OBJECT_TYPES,
    differs_by_tenant_only=True,
    job=JobEndpoint(path="/backup/m365/cloudbackupjobs/{job_id}", row=("data",)),
    license=LicenseEndpoint(
        path="/backup/m365/cloudbackuplicenseconsumption",
        permission=LICENSE_PERMISSION,
        columns=LICENSE_COLUMNS,
        figures=("data",),
        location="location",
    ),
    service_types=SERVICE_TYPES,
    service_parts={
        "teams": ("private_channel", "shared_channel"),
        "public_folder": ("public_folder_metadata",),
    },
    schedule=ScheduleEndpoint(
        path="/backup/m365/settings/backup/frequency",
        permission=SETTINGS_PERMISSION,
        rows=(("data",),),
        service="serviceType",
        runs="frequency",
        starts="backupStartTime",
        location="location",
    ),
    retention=RetentionEndpoint(
        path="/backup/m365/settings/retention-policy",
        permission=SETTINGS_PERMISSION,
        policy=("data",),
        is_daily="enableDailyRetentionPolicy",
        is_customized="enableCustomizedRetentionPolicy",
        period="retentionPeriod",
        services="servicePolicies",
        service="serviceType",
        unassigned_period="unassignedObjectRetentionPeriod",
        containers="containerPolicies",
        container_id="containerId",
        container_name="containerName",
        location="location",
    ),
    activity=ActivityEndpoint(
        path="/backup/m365/cloudbackupunusualactivitydata",
        permission="microsoft365backup.unusualActivity.read.all",
        # The current sample has data in data, the older page and the API's own description one data.
        rows=(("data", "data"), ("data",)),
        service="serviceType",
        tenant_id="tenantId",
        organization_name="tenantOwner",
        # Table and sample describe each count by the meaning of the other one. The names are believed, and
        # both counts are an alarm.
        counts={"ransomware": "potentialRansomwareAttackCount", "unusual": "unusualActivitiesCount"},
        alarms=("ransomware", "unusual"),
        detected_after="startTime",
        # An older form of the API called the parameter EndTime.
        detected_before="finishTime",
        location="location",
    ),
    # The page has no destination, no rule for files that exist, and no dry run: take it as in place.
    restore=RestoreEndpoint(
        path="/backup/m365/restore/jobs",
        permission=RESTORE_PERMISSION,
        services=RESTORE_SERVICES,
        location="location",
        job_id=("data", "jobId"),
    ),
    scan=ScanJobs(product="aos_scan", job_type="scan", object_type="m365", profile="scanProfileName"),
)
