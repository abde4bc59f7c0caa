"""Cloud Backup for Dynamics 365: https://learn.avepoint.com/docs/services-and-features/d365/d365.html."""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.control_schema import Counts
from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import Filter, Page, Product, Vocabulary, Window, codes, duration, finish, numbered, shown_state

_JOB_TYPES = Vocabulary(
    shown={"backup": 1, "restore": 2, "dryrun": 4, "retention": 8, "audit_backup": 16, "export": 32},
    others="numbers",
)
_MODULES = Vocabulary(
    shown={"customer_engagement": "Customer Engagement", "unified_operations": "Unified Operations"},
    default="customer_engagement",
    others="texts",
)
_STATES = {"running": 2, "success": 3, "failed": 4, "partial": 7}


def _hours(ticks: int) -> float:
    return ticks / times.TICKS_PER_SECOND / 3600


def _counts(counts: Counts | None, what: str) -> dict[str, int | None]:
    shown = counts or Counts(total=None, successful=None, failed=None, skipped=None, warning=None)
    return {
        f"successful{what}": shown.successful,
        f"failed{what}": shown.failed,
        f"skipped{what}": shown.skipped,
        f"warning{what}": shown.warning,
        f"total{what}": shown.total,
    }


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "startTime": times.to_iso_millis(job.started),
        "finishTime": finish(job, quirks, times.to_iso_millis),
        # The vendor's type is double, so a job without a finish shows 0 and not null.
        "durationHours": duration(job, _hours, unfinished=0.0),
    }


def _tail(facts: Facts, _quirks: Quirks) -> dict[str, Any]:
    return {
        "module": _MODULES.show(facts.workload),
        "type": _JOB_TYPES.show(facts.job_type),
        "status": shown_state(None, facts),
        **_counts(facts.counts, "Entity"),
        **_counts(facts.record_counts, "Record"),
        "backupSize": facts.size_bytes,
        "organizationId": facts.organization_id,
        "organizationName": facts.organization_name,
    }


def _envelope(page: Page, _quirks: Quirks) -> dict[str, Any]:
    return present(
        {
            "totalCount": page.total,
            "nextLink": page.link,
            "jobs": page.rows,
            "pageIndex": page.index,
            "pageSize": page.size,
        }
    )


DYNAMICS365 = Product(
    name="dynamics365",
    list_path="/dynamicsbackup/jobs",
    scope="dynamics.readwrite.all",
    filters=(
        Filter(
            parameter="type",
            fact="job_type",
            values=numbered(_JOB_TYPES.shown, all_is_zero=True),
            is_required=True,
        ),
        Filter(parameter="status", fact="state_code", values=codes(*_STATES.values())),
        # Any text is accepted: the id in the vendor's sample is no GUID.
        Filter(parameter="organizationId", fact="organization_id"),
    ),
    window=Window(read_after=times.parse_iso, read_before=times.parse_iso),
    is_window_required=True,
    paging=PageNumbers(),
    job_types=_JOB_TYPES,
    workloads=_MODULES,
    default_organization=("69cb1ecc-f8e8-439b-8077-a4b7fd45e87f", "uatorg123"),
    states=_STATES,
    carries=frozenset(
        {
            "workload",
            "organization_id",
            "organization_name",
            "counts",
            "record_counts",
            "size_bytes",
            "duration",
            "warning",
        }
    ),
    job_id_prefix="DCIB",
    job_id_digits=8,
    quirks=Quirks(first_index=1, link="relative_without_prefix", last_link="null"),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="jobs",
)
