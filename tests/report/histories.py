"""Histories to report on, written into a ledger as the operators write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from airflow_provider_avepoint.core.license import Finding
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState, LicenseConsumption
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.text import storable
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.database import writing
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import INTENTS

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SCRIPT = "<script>document.title='pwned'</script>"
#: Names that a vendor could send, and a page must survive.
NAMES = (
    SCRIPT,
    "\u202egnirts desrever",
    "N" * 10_000,
    "",
    "🗄️ Ünïcode 株式会社",
    "a\0b",
    "=1+1",
    "{{ 7 * 7 }} $x^2$ & <b>\"'",
    "\ud83d",
)


def job(started_at: datetime | None, state: str = "success", **fields: Any) -> BackupJob:
    """Return a Dynamics 365 backup of two hours, or of the time that has passed since it started."""
    named = {
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "workload": "dynamics_sales",
    } | fields
    ended = JobState(state).is_terminal and started_at is not None
    product = named.pop("product", "dynamics365")
    return BackupJob(
        product=product,
        job_type=named.pop("job_type", "backup"),
        job_id=named.pop("job_id", f"{started_at}-{named['organization_id']}-{named['workload']}"),
        state=JobState(state),
        raw_state=named.pop("raw_state", state.title()),
        started_at=started_at,
        finished_at=named.pop(
            "finished_at", min(started_at + 2 * HOUR, max(started_at, NOW)) if ended else None
        ),
        **named,
    )


def consumption(used: int, bought: int, *, protected: float = 400.0, **fields: Any) -> LicenseConsumption:
    return LicenseConsumption(
        **{
            "product": "m365",
            "assigned_user_seats": used,
            "purchased_user_seats": bought,
            "protected_gb": protected,
            "purchased_storage_gb": 1000.0,
        }
        | fields
    )


def nights(count: int, *, hour: int = 1, until: datetime = NOW) -> list[datetime]:
    """Return the starts of *count* nightly backups, oldest first, the last on the day of *until*."""
    midnight = until.replace(hour=hour, minute=0)
    return [midnight - DAY * back for back in reversed(range(count))]


def fill_ordinary(ledger: Ledger) -> None:
    """Write sixty days of a tenant: some failures, two missed nights, a seat forecast that crosses."""
    random = Random(5)
    jobs = []
    for module in ("dynamics_sales", "dynamics_customer_service", "project_operations"):
        for index, night in enumerate(nights(60)):
            if module == "dynamics_sales" and index in (20, 21, 44):
                continue
            state, fields = "success", {}
            if module == "project_operations" and (index % 17 == 3 or index >= 58):
                state = "failed" if index % 2 else "partial"
                fields = {"counts": Counts(total=120, successful=108, failed=12)}
                fields["errors"] = (
                    JobError(
                        is_error_code=True,
                        message="The entity cannot be read: access is denied.",
                        url="https://learn.avepoint.com/errors/DYN-0403",
                        count=12,
                    ),
                )
            jobs.append(
                job(night + timedelta(minutes=random.randrange(50)), state, workload=module, **fields)
            )
    jobs.append(job(NOW - HOUR, "running", workload="dynamics_customer_service", job_id="now"))
    ledger.save_jobs("contoso", jobs, NOW)
    exchange = [
        job(
            night,
            "success",
            product="m365",
            workload="exchange_online",
            organization_id=None,
            organization_name=None,
        )
        for night in nights(60, hour=3)
    ]
    ledger.save_jobs("contoso", exchange, NOW)
    for index, night in enumerate(nights(60, hour=6)):
        seats = 800 + 3 * index + random.randrange(-6, 7)
        ledger.save_licenses("contoso", [consumption(seats, 1000, protected=300 + 1.5 * index)], night)
    ledger.save_licenses("contoso", [consumption(40, 0, product="m365_legacy")], NOW - HOUR)
    for night in nights(8, hour=7):
        policy = Policy(product="dynamics365", max_age=DAY)
        evidence = judge([each for each in jobs if each.started_at < night], policy, night).as_dict()
        task = {
            "dag_id": "load",
            "run_id": f"scheduled__{night:%Y-%m-%d}",
            "task_id": "gate",
            "map_index": -1,
        }
        ledger.save_verdict("contoso", evidence, task | {"try_number": 1})


def fill_wall(ledger: Ledger, scopes: int = 200, days: int = 90) -> None:
    """Write many scopes over many days, a fifth of which had bad nights."""
    random = Random(7)
    starts = nights(days)
    jobs = []
    for number in range(scopes):
        names = {"organization_id": f"org{number:03}", "organization_name": f"Customer {number:03} Ltd"}
        for index, night in enumerate(starts):
            state = "success"
            if number % 5 == 0 and random.random() < 0.08:
                state = random.choice(["failed", "partial", "skipped", "missed"])
            if number % 40 == 0 and index > days - 6:
                state = "missed"
            if state != "missed":
                jobs.append(job(night + timedelta(minutes=number % 60), state, **names))
    ledger.save_jobs("partner", jobs, NOW)
    for night in nights(30, hour=6):
        for number in range(10):
            fields = {"organization_id": f"org{number:03}", "organization_name": f"Customer {number:03} Ltd"}
            ledger.save_licenses(
                "partner", [consumption(90 + number, 100, product="elements", **fields)], night
            )


def fill_hostile(ledger: Ledger) -> None:
    """Write jobs, errors, licences and verdicts whose every text is one of :data:`NAMES`."""
    jobs: list[BackupJob] = []
    for number, name in enumerate(NAMES):
        error = JobError(
            message=name, url=("javascript:alert(1)", 'https://ok.example/?a="><script>')[number % 2], count=1
        )
        jobs.extend(
            job(
                night,
                "failed",
                job_id=f"{number}{night:%d}{name[:500]}",
                organization_id=f"{number}{name[:500]}",
                organization_name=name,
                workload=name[:500] or None,
                raw_state=name,
                location=name[:500],
                errors=(error,),
            )
            for night in nights(3)
        )
        ledger.save_licenses(
            "hostile", [consumption(1, 2, service=name[:500], organization_name=name)], NOW - HOUR
        )
        finding = {"organization_id": name, "service": name, "location": name, "reason": name, "text": name}
        save_protection(ledger, HOUR, Finding(**finding), tenant=f"hostile{number}")
        save_protection(ledger, HOUR, tenant=f"error{number}", error=name)
        places = dict.fromkeys(("service", "location", "owner", "library", "message"), storable(name[:500]))
        save_drill(ledger, HOUR, "failed", tenant=f"hostile{number}", **places)
    ledger.save_jobs("hostile", jobs, NOW)
    ledger.save_verdict("hostile", judge(jobs, Policy(product="dynamics365", max_age=DAY), NOW).as_dict())


def fill(ledger: Ledger, tenant: str, jobs: Iterable[BackupJob], read_at: datetime = NOW) -> None:
    """Write jobs of one product."""
    ledger.save_jobs(tenant, jobs, read_at)


def save_drill(ledger: Ledger, age: timedelta, reason: str = "passed", **fields: Any) -> None:
    """Write a drill that was sent *age* before now, and judged an hour later."""
    names = ("product", "service", "location", "owner", "library")
    request = {
        "product": "m365",
        "service": "sharepoint_online",
        "location": None,
        "owner": "https://contoso.sharepoint.com/sites/canary",
        "library": "Documents",
    } | {name: fields.pop(name) for name in names if name in fields}
    drill = {
        "request": request,
        "digest": "d",
        "sent_at": (NOW - age).isoformat(),
        "judged_at": (NOW - age + HOUR).isoformat(),
        "passed": reason == "passed",
        "reason": reason,
        "message": f"Restore job 7 is {reason}.",
        "job": {"job_id": "7"},
        "restored_files": 3,
        "expect_files": 3,
        "was_adopted": False,
    }
    tenant, task = fields.pop("tenant", "contoso"), fields.pop("task", None)
    ledger.save_drill(tenant, drill | fields, task)


def save_intent(ledger: Ledger, age: timedelta, phase: str = "sending", **fields: Any) -> None:
    """Write how far the restore of a task had come *age* before now, as a task wrote it then."""
    row = {
        "tenant": "contoso",
        "dag_id": "drill",
        "run_id": f"{age}",
        "task_id": "restore",
        "map_index": -1,
        "kept_at": NOW - age,
        "intent": json.dumps({"phase": phase}),
    }
    with writing(ledger._engine) as connection:
        connection.execute(INTENTS.insert(), [row | fields])


REQUIRED = {"exchange_online": {"runs_per_day": 1}, "teams": {"drilled_within": "P90D"}}


def save_protection(ledger: Ledger, age: timedelta, *findings: Finding, **fields: Any) -> None:
    """Write a protection audit that a task made *age* before now."""
    task = {
        name: fields.pop(name, usual)
        for name, usual in (
            ("dag_id", "weekly"),
            ("run_id", f"{age}"),
            ("task_id", "protection"),
            ("map_index", 0),
            ("try_number", 1),
        )
    }
    tenant = fields.pop("tenant", "contoso")
    named = {"product": "m365", "audited_at": NOW - age, "required": REQUIRED, "findings": findings}
    audit = ProtectionAudit(**named | fields)
    ledger.save_protection_audit(tenant, audit, None if task["dag_id"] is None else task)
