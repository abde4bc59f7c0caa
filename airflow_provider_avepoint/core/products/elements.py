"""Describe AvePoint Elements, the platform for partners: a customer's jobs, and all customers' subscriptions.

AvePoint/cloud-api, docs/elements/general: job/get-customer-jobs.md ("Get customer jobs") and service
subscription/get-all-services.md ("Retrieve All Services of Customers").

A list of jobs is of one customer, and holds all jobs that Elements manages for the customer. The customer is
the organisation here, so a query must name an organisation; the module is the workload. There is no filter by
time or state, no order and no next link, and a page has at most 100 jobs: every listing reads the customer's
whole history. Elements has a host of its own, so it needs a connection of its own.

Rows do not tell backups from restores: a job type is a service. The modules Archiver and Retention are no
backup.

Licences are subscriptions of all customers or of one. They cover every service that a partner sells, also
services that are no backup.
"""

from __future__ import annotations

from airflow_provider_avepoint.core.fields import parse_gigabytes, parse_size, parse_units_span
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    ActivityEndpoint,
    Columns,
    CountKeys,
    CoverageEndpoints,
    Envelope,
    Filters,
    LicenseColumns,
    ListEndpoint,
    Paging,
    Product,
    ScanChangesEndpoint,
    ScanJobs,
    ServiceCoverageEndpoint,
    State,
    SubscriptionEndpoint,
    TenantEndpoint,
    UserCoverageEndpoint,
)

_GENERAL = "/partner/external/v3/general/customers"
_PROTECTED_PERMISSION = "elements.cbprotected.read.all"
_PAGES = Envelope(rows=(("data",),), link=("metadata", "nextLink"), total=(("metadata", "totalCount"),))
_PAGING = Paging(index="pageIndex", size="pageSize", sizes=(100,))

ELEMENTS = Product(
    name="elements",
    label="AvePoint Elements",
    documentation_url="https://learn.avepoint.com/docs/elements/general/job/get-customer-jobs.html",
    permission="elements.jobs.read.all",
    path="/partner/external/v3/general/customers/{organization_id}/avpt-products/jobs/batch",
    method="POST",
    columns=Columns(
        job_id="jobId",
        state=("status", "state"),
        started_at="startTime",
        finished_at="endTime",
        job_type="jobType",
        workload="jobModule",
        duration="jobDuration",
        parse_duration=parse_units_span,
        counts=CountKeys(
            total="totalCount",
            successful="successfulCount",
            failed="failedCount",
            skipped="skippedCount",
            warning="warningCount",
        ),
        size="backupSize",
        parse_size=parse_size,
    ),
    filters=Filters(job_type="jobType", object_type="jobModule"),
    paging=Paging(index="pageIndex", size="pageSize", sizes=(100, 50, 10)),
    envelope=Envelope(rows=(("data",),), link=("metadata", "nextLink"), total=(("metadata", "totalCount"),)),
    # A service without a job has a row, too, with the id "N/A".
    # The vendor's sample has status 3 for a job without failed objects; an older sample had "Successful".
    states=(
        State(0, ("None",), JobState.UNKNOWN, is_no_job=True),
        State(1, ("Running",), JobState.RUNNING),
        State(2, ("Finished", "Successful"), JobState.SUCCESS),
        State(3, ("Failed",), JobState.FAILED),
        State(4, ("Finished with exception",), JobState.PARTIAL),
        State(5, ("Skipped",), JobState.SKIPPED),
        State(6, ("Pending",), JobState.WAITING),
        State(7, ("Failed to start",), JobState.FAILED),
        State(8, ("Canceled",), JobState.STOPPED),
        State(9, ("Rejected",), JobState.FAILED),
        State(10, ("Stopped",), JobState.STOPPED),
        State(11, ("Not scanned",), JobState.SKIPPED, is_no_job=True),
        State(12, ("Disabled",), JobState.SKIPPED, is_no_job=True),
        State(13, ("Not started",), JobState.WAITING, is_no_job=True),
        State(14, ("Waiting for configuration",), JobState.WAITING, is_no_job=True),
    ),
    job_types={
        # Microsoft 365, Google Workspace, IaaS + PaaS, Salesforce, Dynamics 365.
        "backup": (7, 11, 12, 15, 16),
        # Scans of Microsoft 365 and Google Workspace.
        "scan": (0, 10),
        "archiver": (),
        "retention": (),
    },
    # A scan backs up nothing: a gate judges it by itself, where its job_type names it.
    backup_types=("backup", "scan"),
    contents={"scan": "scan"},
    housekeeping=("archiver", "retention"),
    object_types={
        # 0 stands for Salesforce, which has no module.
        "none": 0,
        "archiver": 8,
        "retention": 10,
        "sharepoint_online": 302,
        "exchange_online": 303,
        "microsoft_365_groups": 304,
        "onedrive": 305,
        "project_online": 306,
        "exchange_online_public_folder": 307,
        "microsoft_teams": 308,
        "teams_chat": 309,
        "power_bi": 310,
        "power_automate": 311,
        "power_apps": 312,
        "viva_engage": 402,
        "cloud_backup_for_azure": 355,
        "azure_virtual_machine": 356,
        "disk": 357,
        "microsoft_entra_id": 358,
        "storage": 359,
        "admin_portal_settings": 360,
        "amazon_ec2": 361,
        "native_azure_sql_backup_monitoring": 362,
        "dev_ops": 363,
        "microsoft_entra_id_b2c": 364,
        "azure_sql_backup": 365,
        "google_virtual_machine_instance": 366,
        "azure_vmware_solution": 367,
        "microsoft_sql_server_in_azure_vm": 368,
        "google_cloud_storage": 369,
        "cosmos_db": 370,
        "azure_postgresql": 371,
        "dynamics_365": 401,
        "customer_engagement": 550,
        "unified_operations": 551,
        "gmail": 501,
        "calendar": 502,
        "contacts": 503,
        "drive": 504,
        "shared_drives": 505,
        "google_classroom": 506,
        "chat": 507,
        "google_directory": 508,
    },
    subscriptions=SubscriptionEndpoint(
        path="/partner/external/v3/general/customers/services/batch",
        permission="elements.license.read.all",
        envelope=Envelope(
            rows=(("data",),), link=("metadata", "nextLink"), total=(("metadata", "totalCount"),)
        ),
        paging=Paging(index="pageIndex", size="pageSize", sizes=(100,)),
        # An older edition of the page has customerId, for a single id. A server that ignores customerIds
        # sends more customers; the package filters them.
        wanted="customerIds",
        organization_id="customerId",
        organization_name="organization",
        subscriptions="products",
        # Subscriptions of one service may differ in the package (Microsoft 365) or in a name (Fly).
        service=("service", "subscriptionName", "package"),
        columns=LicenseColumns(
            purchased_user_seats="purchasedUserSeats",
            assigned_user_seats="microsoftLicenseAssigned",
            purchased_storage_gb="purchasedCapacity",
            protected_gb="protectedCapacity",
            parse_storage=parse_gigabytes,
            expires_at="expirationDate",
            not_applicable="N/A",
        ),
    ),
    # docs/elements/general/customer/get-all-customers.md; an older edition has customerId, for a single id.
    tenants=TenantEndpoint(
        path=f"{_GENERAL}/batch",
        permission="elements.customers.read.all",
        envelope=_PAGES,
        paging=_PAGING,
        wanted="customerIds",
        organization_id="id",
        tenants="tenants",
        tenant_id="id",
    ),
    # docs/elements/workspace-management/total-of-workspace-ransomware-detection.md. The change-log has the
    # path without /v3. The window is the last 7 days.
    activity=ActivityEndpoint(
        path="/partner/external/v3/wm/customers/{organization_id}/tenants/{tenant_id}"
        "/overview/data-protection/ransomware-detection",
        permission="elements.wm.read.all",
        counts={
            "ransomware": "UnderPotentialRansomwareAttack",
            "unusual": "WithUnusualActivities",
            "suspicious": "WithSuspiciousObjects",
        },
        # In the sample, objects under attack are not counted among the unusual ones: each count is an alarm.
        alarms=("ransomware", "unusual", "suspicious"),
        services={
            "microsoft_teams": "teams",
            "sharepoint_online": "sharePointSites",
            "onedrive": "oneDrives",
            "microsoft_365_groups": "groups",
        },
    ),
    coverage=CoverageEndpoints(
        # docs/elements/general/job/get-customer-cloud-backup-m365-overview.md
        services=ServiceCoverageEndpoint(
            listing=ListEndpoint(
                path=f"{_GENERAL}/{{organization_id}}/cloud-backup-m365/overview",
                permission=_PROTECTED_PERMISSION,
                envelope=_PAGES,
                paging=_PAGING,
            ),
            organization_id="customerId",
            # A later edition of the page has the tenant and the last run.
            tenant_id="tenantId",
            service="serviceModule",
            # The sample writes one group; the page does not list the labels.
            words={"microsoft_365_group": "microsoft_365_groups"},
            scanned="totalScannedObjects",
            protected="totalProtectedObjects",
            last_run_at="lastRunTime",
        ),
        # docs/elements/general/tenant/get-cloud-backup-m365-users-batch.md. An older edition has id, the
        # later one userId. The table writes Module and IsProtected, the sample small letters.
        users=UserCoverageEndpoint(
            listing=ListEndpoint(
                path=f"{_GENERAL}/{{organization_id}}/tenants/{{tenant_id}}/cloud-backup-m365/users/batch",
                permission=_PROTECTED_PERMISSION,
                method="POST",
                envelope=_PAGES,
                paging=_PAGING,
            ),
            user_id=("userId", "id"),
            email="email",
            display_name="displayName",
            modules="moduleStatus",
            module="module",
            words={"mailbox": 0, "onedrive": 2},
            is_protected="isProtected",
        ),
        # docs/elements/general/job/get-customer-scan-profiles.md and get-customer-scan-profile-changes.md.
        # The table says POST, the text of the sample GET.
        changes=ScanChangesEndpoint(
            listing=ListEndpoint(
                path=f"{_GENERAL}/{{organization_id}}/scan-profiles/batch",
                permission="elements.scanprofiles.read.all",
                method="POST",
                envelope=_PAGES,
                paging=_PAGING,
            ),
            profile_id="profileId",
            profile_name="profileName",
            path=f"{_GENERAL}/{{organization_id}}/scan-profiles/{{profile_id}}/changes",
            removed_count="removedFromMicrosoft365OrOutofPolicy",
            removed="removedFromMicrosoft365OrOutOfPolicyObjects",
            reported_at="lastUpdateTime",
        ),
    ),
    scan=ScanJobs(product="elements", job_type="scan"),
)
