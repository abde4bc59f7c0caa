"""Elements, the API for partners: AvePoint/cloud-api, docs/elements/general/job/get-customer-jobs.md.

Each list belongs to one customer, which is an organisation here. The job types are services, and the modules
are workloads. There is no time or status filter and no link: only the total shows how many pages there are.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.control_schema import Counts
from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import (
    Filter,
    Page,
    Product,
    Reading,
    SubscriptionEndpoint,
    Vocabulary,
    duration,
    finish,
    numbered,
    shown_state,
    start,
)

_NONE = "N/A"
_GIGABYTE = 1024**3
_SERVICES = Vocabulary(
    shown={
        "microsoft_365_scan": 0,
        "microsoft_365": 7,
        "google_workspace_scan": 10,
        "google_workspace": 11,
        "iaas_paas": 12,
        "salesforce": 15,
        "dynamics_365": 16,
    },
    others="numbers",
)
_M365_MODULES = {
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
}
_IAAS_MODULES = {
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
}
# The page calls the last two Dynamics CRM Backup and Dynamics Unified Operations Backup.
_DYNAMICS_MODULES = {"dynamics_365": 401, "customer_engagement": 550, "unified_operations": 551}
_GOOGLE_MODULES = {
    "gmail": 501,
    "calendar": 502,
    "contacts": 503,
    "drive": 504,
    "shared_drives": 505,
    "google_classroom": 506,
    "chat": 507,
    "google_directory": 508,
}
_MODULES = Vocabulary(
    shown=_M365_MODULES | _IAAS_MODULES | _DYNAMICS_MODULES | _GOOGLE_MODULES,
    default="exchange_online",
    others="numbers",
)
# These numbers have no word: 0 None, 7 Failed to start, 8 Canceled, 9 Rejected, 11 Not scanned, 12 Disabled,
# 13 Not started, 14 Waiting for configuration. Send them as raw_state; "waiting" is Pending.
_STATES = {
    "running": 1,
    "success": 2,
    "failed": 3,
    "partial": 4,
    "skipped": 5,
    "waiting": 6,
    "stopped": 10,
}


def _minutes_and_seconds(ticks: int) -> str:
    """Return ``17m39s``, the fraction cut off; the forms ``39s`` and ``1h17m39s`` are guesses."""
    minutes, seconds = divmod(ticks // times.TICKS_PER_SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _text(count: int | None) -> str | None:
    return None if count is None else str(count)


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "startTime": start(job, quirks, times.to_iso),
        "endTime": finish(job, quirks, times.to_iso),
        "jobDuration": duration(job, _minutes_and_seconds, unfinished=_NONE),
        "lastModifyTime": times.to_iso(job.started if job.finished is None else job.finished),
    }


def _tail(facts: Facts, _quirks: Quirks) -> dict[str, Any]:
    counts = facts.counts or Counts(total=None, successful=None, failed=None, skipped=None, warning=None)
    return {
        "jobType": _SERVICES.show(facts.job_type),
        "jobModule": _MODULES.show(facts.workload),
        "status": shown_state(None, facts),
        "name": facts.label,
        "totalCount": _text(counts.total),
        "failedCount": _text(counts.failed),
        "successfulCount": _text(counts.successful),
        "skippedCount": _text(counts.skipped),
        "warningCount": _text(counts.warning),
        "backupSize": None if facts.size_bytes is None else f"{facts.size_bytes // _GIGABYTE} GB",
    }


def _envelope(page: Page, _quirks: Quirks) -> dict[str, Any]:
    metadata = {
        "pageIndex": page.index,
        "pageSize": page.size,
        "totalCount": page.total,
        "nextLink": page.link,
    }
    return {"data": page.rows, "metadata": present(metadata)}


_CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
_TENANT = "f04d7aee-1b0c-4f92-9a57-6521aa00e596"
_PROFILE = "47db2f10-1004-4a3e-b2ce-8f5e1b2c842d"
_CUSTOMERS = "/partner/external/v3/general/customers"
_TENANTS_OF = f"{_CUSTOMERS}/{{customerId}}/tenants/{{tenantId}}"
_PROTECTED_SCOPE = "elements.cbprotected.read.all"
_PROFILES_SCOPE = "elements.scanprofiles.read.all"


def _customers(_now: int) -> list[dict[str, Any]]:
    return [
        {
            "id": _CUSTOMER,
            "organization": "OrganizationABC",
            "ownerEmail": "user@domain.example",
            "jobStatus": 0,
            "countryOrRegion": "Switzerland",
            "managementMode": 1,
            "tenants": [{"id": _TENANT, "name": "Tenant ABC"}],
        }
    ]


def _overview(_now: int) -> list[dict[str, Any]]:
    """Return the page's sample: two modules, whose rows have two mail addresses of one customer."""
    return [
        {
            "customerId": _CUSTOMER,
            "customer": mail,
            "serviceType": "Cloud Backup for Microsoft 365",
            "serviceModule": module,
            "totalScannedObjects": count,
            "totalProtectedObjects": count,
            "dataSizeStoredInAvePoint": "0 GB",
            "dataSizeStoredInBYOS": _NONE,
        }
        for mail, module, count in (
            ("userA@domain.example", "Exchange Online", 25),
            ("userB@domain.example", "Microsoft 365 Group", 7),
        )
    ]


def _users(_now: int) -> list[dict[str, Any]]:
    return [
        {
            "userId": "96c5a607-0001-42d7-8b1a-b1a10000aeae",
            "email": "user@domain.onmicrosoft.example",
            "displayName": "UserA",
            "moduleStatus": [{"module": 0, "isProtected": False}, {"module": 2, "isProtected": True}],
        }
    ]


def _scan_profile(_now: int) -> dict[str, Any]:
    return {
        "profileName": "Default Microsoft 365 Scan Profile",
        "profileId": _PROFILE,
        "scanMode": 0,
        "modifiedTime": "2025-09-11T03:19:14Z",
    }


def _scan_changes(now: int) -> dict[str, Any]:
    return {
        **_scan_profile(now),
        "tenantDomain": "Domain",
        "tenantId": _TENANT,
        "description": "This is a partner-configured scan profile.",
        "lastUpdateTime": "2025-09-11T03:19:14Z",
        "lastScanStatus": 2,
        "newRegisteredContentCount": 0,
        "movedToAnotherContainer": 0,
        "removedFromMicrosoft365OrOutofPolicy": 0,
        "newRegisteredContent": [],
        "removedFromMicrosoft365OrOutOfPolicyObjects": [],
        "movedToAnotherContainerObjects": [],
    }


def _no_detection(_now: int) -> dict[str, Any]:
    return {
        f"{service}{count}": 0
        for count in ("UnderPotentialRansomwareAttack", "WithUnusualActivities", "WithSuspiciousObjects")
        for service in ("teams", "sharePointSites", "oneDrives", "groups")
    }


def _bare(value: Any, _quirks: Quirks) -> Any:
    return value


_READINGS = (
    Reading(
        name="customers",
        path=f"{_CUSTOMERS}/batch",
        method="POST",
        scope="elements.customers.read.all",
        wanted=("customerIds", "id"),
        is_paged=True,
        envelope=_envelope,
        payload_key="data",
        initial=_customers,
    ),
    Reading(
        name="overview",
        path=f"{_CUSTOMERS}/{{customerId}}/cloud-backup-m365/overview",
        scope=_PROTECTED_SCOPE,
        defaults={"customerId": _CUSTOMER},
        is_paged=True,
        envelope=_envelope,
        payload_key="data",
        initial=_overview,
    ),
    Reading(
        name="users",
        path=f"{_TENANTS_OF}/cloud-backup-m365/users/batch",
        method="POST",
        scope=_PROTECTED_SCOPE,
        wanted=("userEmails", "email"),
        defaults={"customerId": _CUSTOMER, "tenantId": _TENANT},
        is_paged=True,
        envelope=_envelope,
        payload_key="data",
        initial=_users,
    ),
    Reading(
        name="scan_profiles",
        path=f"{_CUSTOMERS}/{{customerId}}/scan-profiles/batch",
        method="POST",
        scope=_PROFILES_SCOPE,
        wanted=("scanProfileIds", "profileId"),
        defaults={"customerId": _CUSTOMER},
        is_paged=True,
        envelope=_envelope,
        payload_key="data",
        initial=lambda now: [_scan_profile(now)],
    ),
    Reading(
        name="scan_changes",
        path=f"{_CUSTOMERS}/{{customerId}}/scan-profiles/{{scanProfileId}}/changes",
        scope=_PROFILES_SCOPE,
        defaults={"customerId": _CUSTOMER, "scanProfileId": _PROFILE},
        envelope=_bare,
        payload_key="",
        initial=_scan_changes,
    ),
    Reading(
        name="unusual_activity",
        path="/partner/external/v3/wm/customers/{customerId}/tenants/{tenantId}"
        "/overview/data-protection/ransomware-detection",
        scope="elements.wm.read.all",
        defaults={"customerId": _CUSTOMER, "tenantId": _TENANT},
        envelope=_bare,
        payload_key="",
        initial=_no_detection,
    ),
)

ELEMENTS = Product(
    name="elements",
    method="POST",
    list_path="/partner/external/v3/general/customers/{customerId}/avpt-products/jobs/batch",
    customer_parameter="customerId",
    scope="elements.jobs.read.all",
    filters=(
        # 0 is a value of both filters; a request for all rows leaves the filters out.
        Filter(parameter="jobType", place="body", fact="job_type", values=numbered(_SERVICES.shown)),
        Filter(parameter="jobModule", place="body", fact="workload", values=numbered(_MODULES.shown)),
    ),
    window=None,
    paging=PageNumbers(default_size=50),
    job_types=_SERVICES,
    backups={
        **dict.fromkeys(_IAAS_MODULES, "iaas_paas"),
        **dict.fromkeys(_DYNAMICS_MODULES, "dynamics_365"),
        **dict.fromkeys(_GOOGLE_MODULES, "google_workspace"),
        None: "microsoft_365",
    },
    workloads=_MODULES,
    default_label=_NONE,
    default_organization=(_CUSTOMER, None),
    states=_STATES,
    lists_waiting=True,
    carries=frozenset(
        {"workload", "organization_id", "label", "counts", "size_bytes", "duration", "warning"}
    ),
    job_id_prefix="FB",
    job_id_digits=6,
    quirks=Quirks(
        first_index=1,
        link="none",
        max_page_size=100,
        oversize="refuse",
        no_finish="n/a",
        no_start="n/a",
    ),
    own_quirks=frozenset({"no_start"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="data",
    subscriptions=SubscriptionEndpoint(
        path="/partner/external/v3/general/customers/services/batch",
        scope="elements.license.read.all",
        envelope=_envelope,
        payload_key="data",
    ),
    readings=_READINGS,
)
