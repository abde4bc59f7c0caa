"""The demo's history: sixty days of a tenant whose backups are mostly good, with some failures among them.

Microsoft 365 and Dynamics 365 have all sixty days, the other products only the last nights.

The history depends on the day only, not on chance, so that two runs on one day show the same jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

DAYS = 60
_DAYS_OF_OTHERS = 3

_NIGHTLY_SERVICES = {  # object type: minutes after 01:00 UTC, minutes it takes, objects
    "exchange_online": (0, 42, 1_840),
    "sharepoint_online": (10, 95, 5_210),
    "onedrive": (20, 71, 2_960),
    "microsoft_365_groups": (35, 28, 410),
    "teams": (40, 33, 385),
    "viva_engage": (55, 6, 24),
}
_ORGANIZATIONS = {  # id: name, minutes after 02:00 UTC, entities, records
    "69cb1ecc-f8e8-439b-8077-a4b7fd45e87f": ("contoso-sales", 0, 412, 1_930_400),
    "0b1f7d3a-5a57-4c0e-9d4b-0f6f3c7f6a11": ("contoso-service", 25, 388, 842_150),
    "c7a4f0de-1c2b-4f7e-8a55-92f1b6f0d3e9": ("contoso-sandbox", 50, 96, 12_870),
}
_OTHERS = (  # the jobs of each night, with minutes after 03:00 UTC; Elements has its default customer
    ({"product": "google_workspace", "workload": "gmail"}, 0),
    ({"product": "google_workspace", "workload": "drive"}, 5),
    ({"product": "salesforce", "record_counts": {"successful": 48_210}, "counts": {"successful": 312}}, 10),
    ({"product": "iaas_paas", "workload": "virtual_machine", "counts": {"successful": 14}}, 15),
    ({"product": "iaas_paas", "workload": "azure_sql", "counts": {"successful": 3, "skipped": 1}}, 20),
    ({"product": "aos_scan", "workload": "m365", "label": "Daily scan"}, 25),
    ({"product": "elements", "workload": "exchange_online", "counts": {"successful": 231}}, 30),
    ({"product": "elements", "workload": "onedrive", "counts": {"successful": 228}}, 35),
)
_MISSED = (12, 13)  # nights ago, without a backup of contoso-service
_TEAMS_ERROR = {
    "is_code": False,
    "message": "The team is archived and its site is read-only.",
    "url": "",
    "count": 3,
}


def demo_jobs(now: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield the jobs of the last 60 nights, oldest night first, in the form of the control API.

    :param now: the end of the history: no job finishes later. None takes the current time.
    """
    end = now or datetime.now(UTC)
    for ago in range(DAYS, -1, -1):
        night = (end - timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
        for job in (*_m365_night(night, ago), *_dynamics_night(night, ago), *_other_night(night, ago)):
            if job["finished_at"] <= end:
                yield job


def _m365_night(night: datetime, ago: int) -> Iterator[dict[str, Any]]:
    for product in ("m365", "m365_legacy"):
        for workload, (delay, minutes, objects) in _NIGHTLY_SERVICES.items():
            start = night + timedelta(hours=1, minutes=delay, seconds=7 * (ago % 5))
            job = _job(product, start, minutes + ago % 4) | {"workload": workload}
            grown = _grow(objects, ago)
            if workload == "teams" and ago % 7 == 3:
                yield job | {"state": "partial", "counts": _counts(grown, failed=3), "errors": [_TEAMS_ERROR]}
            elif workload == "onedrive" and ago == 9:
                yield job | {"state": "failed", "counts": _counts(grown, failed=grown)}
            else:
                yield job | {"counts": _counts(grown, skipped=ago % 3)}
        if ago % 7 == 0:
            yield _job(product, night + timedelta(hours=4), 11) | {"job_type": "retention"}


def _dynamics_night(night: datetime, ago: int) -> Iterator[dict[str, Any]]:
    for organization_id, (name, delay, entities, records) in _ORGANIZATIONS.items():
        start = night + timedelta(hours=2, minutes=delay, milliseconds=137 * (ago + 1))
        job = _job("dynamics365", start, 18 + ago % 6) | {
            "organization_id": organization_id,
            "organization_name": name,
            "record_counts": _counts(_grow(records, ago)),
            "size_bytes": _grow(records, ago) * 1_120,
        }
        if name == "contoso-sandbox" and ago <= 2:
            yield job | {"state": "failed", "counts": _counts(entities, failed=entities), "size_bytes": 0}
        elif name == "contoso-service" and ago in _MISSED:
            continue
        elif name == "contoso-service" and ago % 8 == 5:
            yield job | {"state": "partial", "counts": _counts(entities, failed=2, warning=1)}
        else:
            yield job | {"counts": _counts(entities)}


def _other_night(night: datetime, ago: int) -> Iterator[dict[str, Any]]:
    if ago > _DAYS_OF_OTHERS:
        return
    for job, delay in _OTHERS:
        start = night + timedelta(hours=3, minutes=delay, milliseconds=211 * (ago + 1))
        is_bad = ago == 2 and job.get("workload") == "drive"
        yield _job(str(job["product"]), start, 12 + ago % 3) | job | ({"state": "failed"} if is_bad else {})


def _job(product: str, start: datetime, minutes: int) -> dict[str, Any]:
    return {"product": product, "started_at": start, "finished_at": start + timedelta(minutes=minutes)}


def _grow(today: int, ago: int) -> int:
    """Return the number of objects some nights ago, from today's: 0.25 % less for each night."""
    return today * (400 - ago) // 400


def _counts(total: int, *, failed: int = 0, skipped: int = 0, warning: int = 0) -> dict[str, int]:
    successful = total - failed - skipped
    return {
        "total": total,
        "successful": successful,
        "failed": failed,
        "skipped": skipped,
        "warning": warning,
    }
