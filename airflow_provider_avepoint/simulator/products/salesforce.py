"""Cloud Backup for Salesforce: AvePoint/cloud-api, services-and-features/salesforcebackup (December 2025)."""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.control_schema import Counts
from airflow_provider_avepoint.simulator.encoding import ABSENT, envelope, present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import Filter, Page, Product, Reading, Vocabulary, Window, codes, finish, numbered, shown_state

_JOB_TYPES = Vocabulary(
    shown={
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
    others="numbers",
)
# Only a filter has the level: no row shows it.
_LEVELS = Vocabulary(
    shown={"organization": 1, "object": 2, "record": 3, "field": 4, "metadata": 5, "n_a": 6},
    default="organization",
)
# "waiting" is Paused: the job has started. No job is listed before its start.
_STATES = {
    "running": 1,
    "success": 2,
    "partial": 3,
    "failed": 4,
    "waiting": 5,
    "stopped": 6,
    "skipped": 7,
}


def _counts(counts: Counts | None, what: str, *, has_skipped: bool = True) -> dict[str, Any]:
    shown = counts or Counts(total=None, successful=None, failed=None, skipped=None)
    return present(
        {
            f"successful{what}": shown.successful,
            f"skipped{what}": shown.skipped if has_skipped else ABSENT,
            f"failed{what}": shown.failed,
            f"total{what}": shown.total,
        }
    )


def _kilobytes(size_bytes: int | None) -> int | None:
    return size_bytes and size_bytes // 1024


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "startTime": times.to_iso(job.started),
        "finishTime": finish(job, quirks, times.to_iso),
    }


def _tail(facts: Facts, quirks: Quirks) -> dict[str, Any]:
    return {
        "type": _JOB_TYPES.show(facts.job_type),
        quirks.state_key: shown_state(None, facts),
        **_counts(facts.record_counts, "Records"),
        **_counts(facts.metadata_counts, "Metadata", has_skipped=False),
        **_counts(facts.counts, "Objects"),
        "dataSize": _kilobytes(facts.size_bytes),
        "apiCalls": 0,
        "organizationId": facts.organization_id if quirks.shows_organization else ABSENT,
    }


def _envelope(page: Page, _quirks: Quirks) -> dict[str, Any]:
    data = present({"totalCount": page.total, "jobs": page.rows, "nextLink": page.link})
    return envelope(data=data)


SALESFORCE = Product(
    name="salesforce",
    list_path="/backup/sfbapi/jobs",
    scope="salesforce.public.read.all",
    filters=(
        Filter(parameter="type", fact="job_type", values=numbered(_JOB_TYPES.shown, all_is_zero=True)),
        Filter(parameter="status", fact="state_code", values=codes(*_STATES.values(), all_is_zero=True)),
        Filter(parameter="level", fact="level", values=numbered(_LEVELS.shown, all_is_zero=True)),
        Filter(parameter="organizationId", fact="organization_id"),
    ),
    window=Window(read_after=times.parse_iso, read_before=times.parse_iso),
    is_window_required=True,
    paging=PageNumbers(),
    job_types=_JOB_TYPES,
    levels=_LEVELS,
    default_organization=("00D5g000004XyzAEAS", None),
    states=_STATES,
    carries=frozenset(
        {"organization_id", "level", "counts", "record_counts", "metadata_counts", "size_bytes"}
    ),
    job_id_prefix="AI",
    job_id_digits=6,
    quirks=Quirks(first_index=0, link="absolute", last_link="empty"),
    own_quirks=frozenset({"state_key", "shows_organization"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="data.jobs",
    readings=(
        Reading(
            name="unusual_activity",
            path="/backup/sfbapi/unusual-activities",
            scope="salesforce.public.read.all",
            window=("startTime", "finishTime"),
            time_key="latestDetectedDate",
            row_filters={"organizationId": "organizationId"},
            envelope=lambda rows, _quirks: envelope(data=rows),
            payload_key="data",
            initial=lambda _now: [],
        ),
        Reading(
            name="monitor_alerts",
            path="/backup/sfbapi/monitor-alerts",
            scope="salesforce.public.read.all",
            window=("startTime", "finishTime"),
            time_key="collectTime",
            # The page does not list the values of alertType, so the server here does not heed it.
            row_filters={"organizationId": "organizationId"},
            envelope=lambda rows, _quirks: envelope(data=rows),
            payload_key="data",
            initial=lambda _now: [],
        ),
    ),
)
