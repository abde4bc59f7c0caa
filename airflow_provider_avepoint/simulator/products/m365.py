"""Cloud Backup for Microsoft 365, the current API.

https://learn.avepoint.com/docs/services-and-features/m365/jobs/list-jobs.html, .../retrieve-job-details.html,
.../perform-restore-job.html and .../subscription.html. Rows do not show service, job type, tenant or
location; only the filters select by them. The readings: AvePoint/cloud-api,
docs/docs/services-and-features/m365/backup-frequency.md, retention-policy.md and unusual-activities.md.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.control_schema import Counts
from airflow_provider_avepoint.simulator.encoding import envelope, present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import (
    Details,
    Filter,
    LicenseEndpoint,
    Page,
    Product,
    Reading,
    RestoreEndpoint,
    Vocabulary,
    Window,
    codes,
    duration,
    finish,
    numbered,
    shown_state,
)

JOB_TYPES = {"backup": 1, "restore": 2, "export": 3, "delete": 4, "retention": 5}
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
STATES = {"running": 1, "success": 2, "failed": 3, "partial": 4}
STATE_CODES = (1, 2, 3, 4, 5)
# "labels" are the enum's descriptions on the page, "names" the enum names of the older swagger; the samples
# show "Finished" only. The number 5 has no state word: send raw_state "Partially Finished".
SPELLINGS = {
    "labels": {
        1: "In Progress",
        2: "Finished",
        3: "Failed",
        4: "Finished with Exception",
        5: "Partially Finished",
    },
    "names": {1: "InProgress", 2: "Finished", 3: "Failed", 4: "FinishedException", 5: "PartiallyFinished"},
}
JOB_FILTERS = (
    Filter(parameter="jobType", fact="job_type", values=numbered(JOB_TYPES, all_is_zero=True)),
    Filter(parameter="objectType", fact="workload", values=numbered(OBJECT_TYPES, all_is_zero=True)),
    Filter(parameter="jobState", fact="state_code", values=codes(*STATE_CODES, all_is_zero=True)),
)
_LOCATION_CODES = (
    "PrimaryGeoLocation NAM EUR GBR JPN APC AUS CAN IND FRA ARE ZAF CHE KOR "
    "DEU BRA NOR SWE QAT POL ITA ISR MEX NZL ESP TWN"
)
LOCATIONS = tuple(_LOCATION_CODES.split())
_LOCATION_VALUES = {code.casefold(): code for code in LOCATIONS} | {LOCATIONS[0].casefold(): None}
_ANY_LOCATION = Filter(parameter="location", fact="location", values=_LOCATION_VALUES)
_CENTRAL_LOCATION = Filter(parameter="location", fact="location", values=_LOCATION_VALUES, default=None)


_SITE = ("siteRestoreScope", "Site Restore Scope", "siteUrl")
_ONEDRIVE = ("oneDriveRestoreScope", "One Drive Restore Scope", "oneDriveUpn")
RESTORE_SERVICES = {
    1: ("sharepoint_online", *_SITE),
    2: ("onedrive", *_ONEDRIVE),
    3: ("microsoft_365_groups", *_SITE),
    6: ("teams", *_SITE),
}


def hours_rounded_up(ticks: int) -> str:
    """Return decimal hours, rounded up to three places: the samples show 39 s as "0.011" and 48 s as "0.014".

    :param ticks: the duration in ticks.
    """
    ticks_per_milli_hour = 3_600 * times.TICKS_PER_SECOND // 1000
    return f"{-(-ticks // ticks_per_milli_hour) / 1000:.3f}"


def job_errors(facts: Facts) -> list[dict[str, Any]]:
    """Return the rows of ``jobErrors``.

    :param facts: the job's facts.
    """
    return [
        {"isErrorCode": error.is_code, "value": error.message, "url": error.url, "number": error.count}
        for error in facts.errors
    ]


def backup_details(counts: Counts | None, suffix: str) -> dict[str, Any] | None:
    """Return the value of ``backupDetails``; None without counts.

    :param counts: the object counts.
    :param suffix: the end of the names: Count or Number.
    """
    if counts is None:
        return None
    return {
        f"total{suffix}": counts.total,
        f"failed{suffix}": counts.failed,
        f"successful{suffix}": counts.successful,
        f"skipped{suffix}": counts.skipped,
    }


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "startTime": times.to_iso(job.started),
        "finishTime": finish(job, quirks, times.to_iso),
        "duration": duration(job, hours_rounded_up, unfinished=None),
    }


def _suffix(quirks: Quirks) -> str:
    return "Number" if quirks.count_names == "number" else "Count"


def _tail(facts: Facts, quirks: Quirks) -> dict[str, Any]:
    return {
        "state": shown_state(SPELLINGS[quirks.state_spelling], facts),
        "backupDetails": backup_details(facts.counts, _suffix(quirks)),
        "jobErrors": job_errors(facts),
    }


def _envelope(page: Page, quirks: Quirks) -> dict[str, Any]:
    metadata = present({f"total{_suffix(quirks)}": page.total, "nextLink": page.link})
    return envelope(data=page.rows, metadata=metadata)


def _detail_quirks(quirks: Quirks) -> Quirks:
    return quirks.model_copy(update={"count_names": "number"}) if quirks.count_names == "sample" else quirks


_SETTINGS_SCOPE = "microsoft365backup.settings.read.all"


def _todays_schedule(now: int) -> list[dict[str, Any]]:
    """Return the page's sample, on the clock's own day."""
    day = times.to_iso(now)[:10]

    def service(number: int, *hours: int) -> dict[str, Any]:
        starts = [f"{day}T{hour:02}:54:22Z" for hour in hours]
        return {"serviceType": number, "frequency": len(hours), "backupStartTime": starts}

    return [service(0, 3, 9, 15, 21), service(1, 3), service(2, 3)]


def _retention(_now: int) -> dict[str, Any]:
    """Return the page's sample, with fewer services."""

    def service(number: int, period: str, unassigned: str, *containers: dict[str, str]) -> dict[str, Any]:
        return {
            "serviceType": number,
            "containerPolicies": list(containers),
            "retentionPeriod": period,
            "unassignedObjectRetentionPeriod": unassigned,
        }

    def container(name: str, period: str) -> dict[str, str]:
        # One container, under two services and two names.
        container_id = "5c8b139c-f380-4473-be2b-338d8cd938ce"
        return {"containerId": container_id, "containerName": name, "retentionPeriod": period}

    return {
        "enableDailyRetentionPolicy": False,
        "enableCustomizedRetentionPolicy": True,
        "retentionPeriod": "1 years",
        "servicePolicies": [
            service(0, "2 years", "2 years"),
            service(3, "1 years", "1 years", container("Default Group Container", "3 years")),
            service(6, "1 years", "Unlimited", container("Default Team Container", "1 years")),
            service(2, "Unlimited", "Unlimited"),
        ],
    }


def _activity(rows: Any, quirks: Quirks) -> dict[str, Any]:
    return envelope(data={"data": rows} if quirks.activity_form == "nested" else rows)


_READINGS = (
    Reading(
        name="schedule",
        path="/backup/m365/settings/backup/frequency",
        scope=_SETTINGS_SCOPE,
        filters=(_CENTRAL_LOCATION,),
        envelope=lambda rows, _quirks: envelope(data=rows),
        payload_key="data",
        initial=_todays_schedule,
    ),
    Reading(
        name="retention",
        path="/backup/m365/settings/retention-policy",
        scope=_SETTINGS_SCOPE,
        filters=(_CENTRAL_LOCATION,),
        envelope=lambda policy, _quirks: envelope(data=policy),
        payload_key="data",
        initial=_retention,
    ),
    Reading(
        name="unusual_activity",
        path="/backup/m365/cloudbackupunusualactivitydata",
        scope="microsoft365backup.unusualActivity.read.all",
        filters=(_ANY_LOCATION,),
        joins_locations=True,
        window=("startTime", "finishTime"),
        envelope=_activity,
        payload_key="data",
        initial=lambda _now: [],
    ),
)

M365 = Product(
    name="m365",
    list_path="/backup/m365/cloudbackupjobs",
    scope="microsoft365backup.jobInfo.read.all",
    filters=(*JOB_FILTERS, _ANY_LOCATION),
    window=Window(read_after=times.parse_iso, read_before=times.parse_iso),
    paging=PageNumbers(),
    job_types=Vocabulary(shown=JOB_TYPES),
    workloads=Vocabulary(shown=OBJECT_TYPES),
    locations=LOCATIONS,
    states=STATES,
    spellings=SPELLINGS,
    carries=frozenset({"workload", "location", "counts", "errors", "duration"}),
    job_id_prefix="FB",
    job_id_digits=6,
    quirks=Quirks(first_index=0, link="absolute", last_link="empty"),
    own_quirks=frozenset({"state_spelling", "count_names", "activity_form"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="data",
    details=Details(
        path="/backup/m365/cloudbackupjobs/{job_id}",
        filters=(_CENTRAL_LOCATION,),
        quirks=_detail_quirks,
        envelope=lambda row: envelope(data=row),
        payload_key="data",
    ),
    license=LicenseEndpoint(
        path="/backup/m365/cloudbackuplicenseconsumption",
        scope="microsoft365backup.subscriptionInfo.read.all",
        filters=(_ANY_LOCATION,),
        envelope=lambda figures, _quirks: envelope(data=figures),
        payload_key="data",
    ),
    readings=_READINGS,
    restore=RestoreEndpoint(
        path="/backup/m365/restore/jobs",
        scope="microsoft365backup.restore.readwrite.all",
        filters=(_CENTRAL_LOCATION,),
        services=RESTORE_SERVICES,
        envelope=lambda data: envelope(data=data),
        payload_key="data",
    ),
)
