"""A ledger of many scopes, for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.listers import define_connection

_PRODUCT, _TENANT = "dynamics365", "bench"
_WORKLOADS = ("customer_engagement", "unified_operations")
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The ledger to fill.

    :param connection: the Airflow connection.
    """

    connection: dict[str, Any] = field(repr=False)
    scopes: int
    days: int
    gates_days: int


def fill(order: Order) -> Callable[[], int]:
    """Write a backup a day of each scope, and the verdicts of a gate for each organisation."""
    from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
    from airflow_provider_avepoint.core.policy import Policy
    from airflow_provider_avepoint.core.verdict import judge
    from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream

    conn_id = define_connection("avepoint_bench_ledger", order.connection)
    now = datetime.now(UTC).replace(microsecond=0)
    organizations = [f"00000000-0000-4000-8000-{number:012}" for number in range(order.scopes // 2)]

    def make_job(day: int, number: int) -> BackupJob:
        dice = day * 7919 + number * 104729
        failed = 3 if dice % 29 == 0 else 0
        start = now - day * _DAY - timedelta(hours=5, minutes=dice % 50)
        return BackupJob(
            product=_PRODUCT,
            job_id=f"J{day:03}-{number:05}",
            job_type="backup",
            workload=_WORKLOADS[number % 2],
            state=JobState.PARTIAL if failed else JobState.SUCCESS,
            raw_state="PartialSuccess" if failed else "Finished",
            started_at=start,
            finished_at=start + _HOUR,
            duration=_HOUR,
            counts=Counts(total=1000, successful=1000 - failed, failed=failed, skipped=0, warning=0),
            organization_id=organizations[number // 2],
            organization_name=f"Organisation {number // 2}",
            errors=(JobError(message=f"Mailbox {number % 7} is locked", count=failed),) if failed else (),
        )

    def run() -> int:
        whole = Stream(
            tenant=_TENANT, product=_PRODUCT, location="", organization_id="", selection='[["backup"], null]'
        )
        with Ledger(conn_id) as ledger:
            for day in reversed(range(order.days)):
                jobs = [make_job(day, number) for number in range(order.scopes)]
                ledger.save_jobs(_TENANT, jobs, now - day * _DAY)
                for index, organization in enumerate(organizations if day < order.gates_days else ()):
                    policy = Policy(product=_PRODUCT, max_age="26h", organization_ids=[organization])
                    own = [job for job in jobs if job.organization_id == organization]
                    task = {"dag_id": "load", "task_id": "gate", "map_index": index, "try_number": 1}
                    verdict = judge(own, policy, now - day * _DAY - _HOUR)
                    ledger.save_verdict(_TENANT, verdict.as_dict(), {**task, "run_id": f"day-{day}"})
            point = LoadPoint(loaded_from=now - order.days * _DAY, resume_from=now - _DAY, begun_at=now)
            ledger.save_load_point(whole, point, None)
        return order.days * order.scopes

    return run
