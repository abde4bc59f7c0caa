"""Sixty days of two tenants, for pictures: most scopes are good, one fails, one is late, one gate is shut.

The texts are made up in the vendor's manner, and the figures are the same each time, counted back from *now*.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.license import Finding
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState, LicenseConsumption
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger

#: What each gate asks for, by its DAG and task.
GATES = {
    ("load_sales", "sales_backed_up"): Policy(
        product="dynamics365", max_age=timedelta(days=1), organization_ids=["contoso"]
    ),
    ("load_mail", "mail_backed_up"): Policy(
        product="m365", max_age=timedelta(days=1), object_types=["exchange_online", "onedrive"]
    ),
    ("close_the_month", "files_backed_up"): Policy(
        product="m365", max_age=timedelta(days=3), object_types=["sharepoint_online", "teams"]
    ),
}
#: The DAG run in which each gate judged last.
NEWEST_RUN = "manual__2026-01-01T00:00:00+00:00"
_DAYS = 60
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_DENIED = JobError(
    is_error_code=True,
    message="The entity cannot be read: the service account has lost its access.",
    url="https://learn.avepoint.com/errors/DYN-0403",
    count=12,
)
_BUSY = JobError(message="The mailbox is being moved. The next job backs it up.", count=3)


def fill(ledger: Ledger, now: datetime) -> None:
    """Write the history into an empty ledger.

    :param now: the moment at which the history ends, an aware datetime.
    """
    jobs = {tenant: list(_list_jobs(tenant, now)) for tenant in ("contoso", "fabrikam")}
    for tenant, backups in jobs.items():
        ledger.save_jobs(tenant, backups, now)
    _fill_verdicts(ledger, jobs["contoso"], now)
    _fill_licenses(ledger, now)
    _fill_protection(ledger, now)


def _list_jobs(tenant: str, now: datetime) -> Iterator[BackupJob]:
    contoso = {"organization_id": "contoso", "organization_name": "Contoso Ltd"}
    fabrikam = {"organization_id": "fabrikam", "organization_name": "Fabrikam Inc"}
    scopes = {
        "contoso": [
            ("m365", {"workload": "exchange_online"}, {12: "partial", 33: "failed"}),
            ("m365", {"workload": "sharepoint_online"}, {25: "failed"}),
            ("m365", {"workload": "onedrive"}, {0: "partial"}),
            ("m365", {"workload": "teams"}, {}),
            (
                "dynamics365",
                {**contoso, "workload": "dynamics_sales"},
                {0: "failed", 1: "failed", 20: "missed"},
            ),
            ("dynamics365", {**contoso, "workload": "dynamics_customer_service"}, {7: "skipped"}),
        ],
        "fabrikam": [
            ("salesforce", {**fabrikam, "workload": None}, {40: "failed", 41: "failed"}),
            ("m365", {"workload": "exchange_online"}, dict.fromkeys((0, 1, 2, 3), "missed")),
        ],
    }
    for number, (product, fields, bad) in enumerate(scopes[tenant]):
        for back in range(_DAYS):
            state = bad.get(back, "success")
            start = now - _DAY * back - timedelta(hours=5, minutes=(17 * back + 5 * number) % 40)
            if state == "missed":
                continue
            error = {"failed": _DENIED, "partial": _BUSY}.get(state)
            failed = error.count or 0 if error else 0
            yield BackupJob(
                product=product,
                job_type="backup",
                job_id=f"{product[:3].upper()}{start:%Y%m%d%H%M}{number}",
                state=JobState(state),
                raw_state=state.title(),
                started_at=start,
                finished_at=start + timedelta(minutes=50 + 23 * back % 60),
                counts=Counts(total=1_240, successful=1_240 - failed, failed=failed),
                errors=(error,) if error else (),
                **fields,  # type: ignore[arg-type]  # texts alone
            )


def _fill_verdicts(ledger: Ledger, jobs: list[BackupJob], now: datetime) -> None:
    for (dag_id, task_id), policy in GATES.items():
        known = [job for job in jobs if job.product == policy.product]
        for back in range(14):
            at = now - _DAY * back - 2 * _HOUR
            seen = [job for job in known if job.started_at and job.started_at < at]
            task = {
                "dag_id": dag_id,
                "task_id": task_id,
                "run_id": f"manual__{at:%Y-%m-%d}" if back else NEWEST_RUN,
                "map_index": -1,
                "try_number": 1,
            }
            ledger.save_verdict("contoso", judge(seen, policy, at).as_dict(), task)


def _fill_licenses(ledger: Ledger, now: datetime) -> None:
    for back in range(_DAYS):
        seats = 1_905 - 4 * back + 7 * back % 17
        reading = LicenseConsumption(
            product="m365",
            assigned_user_seats=seats,
            purchased_user_seats=2_000,
            protected_gb=30_500.0 - 60 * back,
            purchased_storage_gb=40_000.0,
        )
        ledger.save_licenses("contoso", [reading], now - _DAY * back - _HOUR)
        reading = LicenseConsumption(product="salesforce", assigned_user_seats=310, purchased_user_seats=500)
        ledger.save_licenses("fabrikam", [reading], now - _DAY * back - _HOUR)


def _fill_protection(ledger: Ledger, now: datetime) -> None:
    text = "unusual_activity: 2 sites look attacked in the last 7 days, 0 allowed"
    found = Finding(
        organization_id=None, service="sharepoint_online", location=None, reason="unusual_activity", text=text
    )
    required = {"sharepoint_online": {"max_unusual": 0, "drilled_within": "P90D"}}
    for weeks in range(6):
        audit = ProtectionAudit(
            product="m365",
            audited_at=now - _DAY * (1 + 7 * weeks),
            required=required,
            findings=() if weeks else (found,),
        )
        task = {"dag_id": "weekly_audit", "run_id": f"{weeks}", "task_id": "protection"}
        ledger.save_protection_audit("contoso", audit, task | {"map_index": -1, "try_number": 1})
    for weeks in range(6):
        at = now - _DAY * (11 + 7 * weeks)
        drill = {
            "request": {
                "product": "m365",
                "service": "sharepoint_online",
                "location": None,
                "owner": "https://contoso.sharepoint.com/sites/canary",
                "library": "Documents",
            },
            "digest": "canary",
            "sent_at": (at - _HOUR).isoformat(),
            "judged_at": at.isoformat(),
            "passed": True,
            "reason": "passed",
            "message": "The restore job has ended well, and 12 files came back.",
            "job": {"job_id": f"RS{at:%Y%m%d}"},
            "restored_files": 12,
            "expect_files": 12,
            "was_adopted": False,
        }
        ledger.save_drill("contoso", drill)
