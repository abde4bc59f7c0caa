"""What the tables hold of our values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from airflow_provider_avepoint.core.model import BackupJob, Counts, LicenseConsumption
from airflow_provider_avepoint.core.question import fold_id
from airflow_provider_avepoint.core.verdict import RULES_VERSION
from airflow_provider_avepoint.ledger.tables import JOBS

Row = dict[str, Any]

_JOB_COLUMNS = tuple(column.name for column in JOBS.columns)
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def write_job(tenant: str, job: BackupJob, read_at: datetime) -> Row:
    """Return the row of a job that was read from the API at *read_at*."""
    key = (
        tenant,
        job.product,
        clean(job.job_id),
        clean(job.location) or "",
        clean(fold_id(job.organization_id)) or "",
        clean(job.workload) or "",
    )
    content = (
        clean(job.job_type),
        job.state.value,
        job.state.is_terminal,
        None if job.raw_state is None else clean(str(job.raw_state)),
        job.started_at,
        job.finished_at,
        None if job.duration is None else job.duration.total_seconds(),
        *_list_counts(job.counts),
        *_list_counts(job.record_counts),
        *_list_counts(job.metadata_counts),
        job.size_bytes,
        clean(job.organization_name),
        _to_json([error.as_dict() for error in job.errors]) if job.errors else "[]",
        _to_json(dict(job.raw)),
    )
    digest = blake2b(repr(content).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return dict(zip(_JOB_COLUMNS, (*key, *content, digest, read_at, read_at), strict=True))


def write_verdict(tenant: str, evidence: Mapping[str, Any], task: Mapping[str, Any] | None) -> Row:
    """Return the row of a verdict.

    :param evidence: ``Verdict.as_dict()``.
    :param task: ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and ``try_number``; None outside of one.
    """
    return {
        "tenant": tenant,
        "verdict_id": uuid4().hex if task is None else _to_json(list(task.values())),
        "product": evidence["policy"]["product"],
        "judged_at": datetime.fromisoformat(evidence["judged_at"]),
        "passed": evidence["passed"],
        "reason": evidence["reason"],
        "rules_version": RULES_VERSION,
        "evidence": _to_json(evidence),
        **(task or {}),
    }


def write_license(tenant: str, consumption: LicenseConsumption, read_at: datetime) -> Row:
    """Return the row of a licence reading."""
    return {
        "tenant": tenant,
        "product": consumption.product,
        "location": clean(consumption.location) or "",
        "organization_id": clean(fold_id(consumption.organization_id)) or "",
        "service": clean(consumption.service) or "",
        "hour": read_at.replace(minute=0, second=0, microsecond=0),
        "read_at": read_at,
        "organization_name": clean(consumption.organization_name),
        "purchased_user_seats": consumption.purchased_user_seats,
        "assigned_user_seats": consumption.assigned_user_seats,
        "purchased_storage_gb": consumption.purchased_storage_gb,
        "protected_gb": consumption.protected_gb,
        "out_of_policy_at": consumption.out_of_policy_at,
        "is_out_of_policy": consumption.is_out_of_policy,
        "expires_at": consumption.expires_at,
    }


def clean(text: str | None) -> str | None:
    """Return *text* without what a database refuses: NUL, and halves of characters that a vendor cut."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _list_counts(counts: Counts) -> tuple[int | None, ...]:
    return (counts.total, counts.successful, counts.failed, counts.skipped, counts.warning)
