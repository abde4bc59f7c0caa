"""Convert our values to rows of the tables, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any
from uuid import uuid4

import msgspec

from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.license import Audit, Finding
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState, LicenseConsumption
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.schedule import DaySchedule, ServiceSchedule
from airflow_provider_avepoint.core.text import storable, trim
from airflow_provider_avepoint.core.verdict import RULES_VERSION
from airflow_provider_avepoint.ledger.runs import name_run
from airflow_provider_avepoint.ledger.tables import COUNTS, JOBS

Row = dict[str, Any]
_LARGEST = 2**63 - 1

_STATES = frozenset(JobState)
_ERROR = ("is_error_code", "message", "url", "count")
_JOB_COLUMNS = tuple(column.name for column in JOBS.columns)
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_NUL, _HALF = "\\u0000", "\\ud"
# One escape of a JSON text; a pair of halves is one character. The group holds what jsonb refuses.
_ESCAPE = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|u(0000|d[89a-f]..)|.)")


def write_key(tenant: str, job: BackupJob) -> tuple[str, ...]:
    """Return the primary key of a job without the run's start, in the order of the key's columns.

    :param tenant: the name of the tenant.
    :param job: the job.
    """
    return (
        tenant,
        job.product,
        storable(job.job_id),
        _text(job.location) or "",
        _spell_organization(job.organization_id)[1],
        _text(job.workload) or "",
    )


def write_organization(organization_id: str | None) -> dict[str, str]:
    """Return the two columns of an organisation: the id as it is spelled, and the id for comparison.

    :param organization_id: the id as the listing shows the id; None or an empty text for none.
    """
    spelled, key = _spell_organization(organization_id)
    return {"organization_id": spelled, "organization_key": key}


# Hundreds of thousands of jobs name the same few organisations.
@lru_cache(maxsize=4096)
def _spell_organization(organization_id: str | None) -> tuple[str, str]:
    return trim(_text(organization_id) or ""), _text(normalize_id(organization_id)) or ""


def write_job(tenant: str, job: BackupJob, read_at: datetime) -> Row:
    """Return the row of a job.

    :param tenant: the name of the tenant.
    :param job: the job.
    :param read_at: when the job was read from the API, an aware datetime.
    """
    content = (
        _text(job.job_type),
        job.state.value,
        job.state.is_terminal,
        None if job.raw_state is None else storable(str(job.raw_state)),
        job.started_at,
        job.finished_at,
        None if job.duration is None else job.duration.total_seconds(),
        *_list_counts(job.counts),
        *_list_counts(job.record_counts),
        *_list_counts(job.metadata_counts),
        job.size_bytes,
        _text(job.organization_name),
    )
    errors = [error.as_dict() for error in job.errors] if job.errors else []
    raw = dict(job.raw)
    raw_text = _write_raw(raw)
    # For a job without problems this is the digest of release 0.1.0, so no load rewrites unchanged jobs.
    digested = (*content, _to_json(errors) if errors else "[]", raw_text, *job.problems)
    row = (
        *write_key(tenant, job),
        name_run(job),
        _spell_organization(job.organization_id)[0],
        *content,
        write_json(errors) if errors else "[]",
        write_json(raw) if _NUL in raw_text or _HALF in raw_text else raw_text,
        write_json(job.problems) if job.problems else "[]",
        blake2b(msgspec.json.encode(digested), digest_size=16).hexdigest(),
        read_at,
        read_at,
    )
    return dict(zip(_JOB_COLUMNS, row, strict=True))


def write_json(value: Any) -> str:
    """Return a value as JSON that each database can hold and search.

    The characters that PostgreSQL's ``jsonb`` refuses (NUL, lone surrogates) become question marks, in keys
    too, as :func:`storable` writes them in texts. Numbers that JSON does not have become null.

    :param value: what JSON can hold.
    """
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        text = msgspec.json.encode(json.loads(_mend(_to_json(value)))).decode()
    return _mend(text)


def _mend(text: str) -> str:
    """Replace in a JSON text the escapes that ``jsonb`` refuses."""
    if _NUL not in text and _HALF not in text:
        return text
    return _ESCAPE.sub(lambda found: "?" if found[1] else found[0], text)


def read_job(row: Mapping[Any, Any]) -> BackupJob:
    """Return the job that a row of the ledger holds, without the vendor's own row.

    :param row: a row of the table of jobs, by column name.
    """
    duration = row["duration_seconds"]
    return BackupJob(
        product=row["product"],
        job_id=row["job_id"],
        job_type=row["job_type"],
        workload=row["workload"] or None,
        state=read_state(row["state"]),
        raw_state=row["raw_state"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        duration=None if duration is None else timedelta(seconds=duration),
        counts=_read_counts(row, "objects"),
        record_counts=_read_counts(row, "records"),
        metadata_counts=_read_counts(row, "metadata"),
        organization_id=row["organization_id"] or None,
        organization_name=row["organization_name"],
        location=row["location"] or None,
        errors=() if row["errors"] == "[]" else _read_errors(row["errors"]),
        problems=() if row["problems"] == "[]" else _read_problems(row["problems"]),
    )


def read_state(word: str) -> JobState:
    """Return a state of the table of jobs: ``unknown`` for a word that only a newer release knows.

    :param word: the word in the table.
    """
    return JobState(word) if word in _STATES else JobState.UNKNOWN


def _read_errors(written: str) -> tuple[JobError, ...]:
    """Return the errors of a row, as far as this release understands them."""
    try:
        known = [{name: each[name] for name in _ERROR if name in each} for each in json.loads(written)]
        return tuple(msgspec.convert(known, list[JobError]))
    except (TypeError, ValueError):
        return (JobError(message="The ledger's row of the errors is not understood."),)


def _read_problems(written: str) -> tuple[str, ...]:
    """Return the problems of a row: a text that is not understood is a problem."""
    try:
        return msgspec.json.decode(written, type=tuple[str, ...])
    except msgspec.MsgspecError:
        return ("the ledger's row of the problems is not understood",)


def write_verdict(tenant: str, evidence: Mapping[str, Any], task: Mapping[str, Any] | None) -> Row:
    """Return the row of a verdict.

    :param tenant: the name of the tenant.
    :param evidence: ``Verdict.as_dict()``.
    :param task: ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and ``try_number``; outside of a task the
        ``task_id`` alone, as a name, or None.
    """
    return {
        "tenant": tenant,
        "verdict_id": _name_row(task),
        "product": evidence["policy"]["product"],
        "judged_at": datetime.fromisoformat(evidence["judged_at"]),
        "passed": evidence["passed"],
        "reason": evidence["reason"],
        "rules_version": RULES_VERSION,
        "evidence": write_json(evidence),
        **(task or {}),
    }


def write_audit(tenant: str, audit: Audit, task: Mapping[str, Any] | None) -> Row:
    """Return the row of a licence audit.

    :param tenant: the name of the tenant in the ledger.
    :param audit: the audit.
    :param task: as :func:`write_verdict` takes it.
    """
    own = {"near_limit": audit.near_limit, "forecast_days": audit.forecast_days}
    return _write_findings(tenant, audit, task) | own


def write_protection_audit(tenant: str, audit: ProtectionAudit, task: Mapping[str, Any] | None) -> Row:
    """Return the row of a protection audit.

    :param tenant: the name of the tenant in the ledger.
    :param audit: the audit.
    :param task: as :func:`write_verdict` takes it.
    """
    own = {"required": write_json(audit.required), "readings": write_json(audit.readings)}
    return _write_findings(tenant, audit, task) | own


def _write_findings(tenant: str, audit: Audit | ProtectionAudit, task: Mapping[str, Any] | None) -> Row:
    """Return what the rows of both kinds of audit have."""
    return {
        "tenant": tenant,
        "audit_id": _name_row(task),
        "product": audit.product,
        "location": _text(audit.location) or "",
        **write_organization(audit.organization_id),
        "audited_at": audit.audited_at,
        "error": _text(audit.error),
        "findings": write_json([each.as_dict() for each in audit.findings]),
        **(task or {}),
    }


def read_audit(row: Mapping[Any, Any]) -> Audit:
    """Return the licence audit that a row of the ledger holds.

    :param row: column → value.
    """
    return Audit(
        product=row["product"],
        audited_at=row["audited_at"],
        location=row["location"] or None,
        organization_id=row["organization_key"] or None,
        near_limit=row["near_limit"],
        forecast_days=row["forecast_days"],
        error=row["error"],
        findings=read_findings(row["findings"]),
    )


def read_findings(written: str) -> tuple[Finding, ...]:
    """Return the findings of an audit; one that says so where this release does not understand them.

    :param written: the findings as the ledger holds them.
    """
    try:
        return tuple(msgspec.json.decode(written, type=list[Finding]))
    except msgspec.MsgspecError:
        text = "the ledger's row of the findings is not understood"
        return (
            Finding(organization_id=None, service=None, location=None, reason="not_understood", text=text),
        )


def write_license(tenant: str, consumption: LicenseConsumption, read_at: datetime) -> Row:
    """Return the row of a licence reading.

    :param tenant: the name of the tenant.
    :param consumption: the licence's figures.
    :param read_at: when the figures were read, an aware datetime.
    """
    return {
        "tenant": tenant,
        "product": consumption.product,
        "location": _text(consumption.location) or "",
        **write_organization(consumption.organization_id),
        "service": _text(consumption.service) or "",
        "hour": read_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        "read_at": read_at,
        "organization_name": _text(consumption.organization_name),
        "purchased_user_seats": consumption.purchased_user_seats,
        "assigned_user_seats": consumption.assigned_user_seats,
        "purchased_storage_gb": consumption.purchased_storage_gb,
        "protected_gb": consumption.protected_gb,
        "out_of_policy_at": consumption.out_of_policy_at,
        "is_out_of_policy": consumption.is_out_of_policy,
        "expires_at": consumption.expires_at,
    }


def write_drill(tenant: str, drill: Mapping[str, Any], task: Mapping[str, Any] | None) -> Row:
    """Return the row of a restore drill.

    :param tenant: the name of the tenant.
    :param drill: as :meth:`.Drill.as_dict` writes it; ``job`` may be None.
    :param task: as :func:`write_verdict` takes it.
    """
    request, job = drill["request"], drill["job"]
    return {
        "tenant": tenant,
        "drill_id": _name_row(None if task is None else name_task(task)),
        "product": request["product"],
        "service": request["service"],
        "location": storable(request["location"] or ""),
        "digest": drill["digest"],
        "target": storable(request["owner"]),
        "library": storable(request["library"]),
        "sent_at": datetime.fromisoformat(drill["sent_at"]),
        "judged_at": datetime.fromisoformat(drill["judged_at"]),
        "passed": drill["passed"],
        "reason": drill["reason"],
        "message": storable(drill["message"]),
        "job_id": None if job is None else storable(job["job_id"]),
        "restored_files": _fit(drill["restored_files"]),
        "expect_files": _fit(drill["expect_files"]),
        "was_adopted": drill["was_adopted"],
        "evidence": write_json(drill),
        **(task or {}),
    }


def write_intent(tenant: str, task: Mapping[str, Any], kept: object, kept_at: datetime) -> Row:
    """Return the row of what a restore is about to do.

    :param tenant: the name of the tenant.
    :param task: as :func:`name_task` takes it.
    :param kept: the intent, ready for JSON.
    :param kept_at: when it is kept.
    """
    return {**name_task(task), "tenant": tenant, "kept_at": kept_at, "intent": write_json(kept)}


def name_task(task: Mapping[str, Any]) -> Row:
    """Return what names a task of a run, whatever its try.

    :param task: ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and more.
    """
    return {name: task[name] for name in ("dag_id", "run_id", "task_id", "map_index")}


def write_day(key: Mapping[str, str], day: DaySchedule, read_at: datetime) -> list[Row]:
    """Return the rows of what is known of a day: one a service, and one of the day itself if it was read.

    :param key: ``tenant``, ``product`` and ``location``.
    :param day: what is known.
    :param read_at: when the newest reading came that tells of the day.
    """
    parts: list[tuple[str, int | None, tuple[datetime, ...]]] = [
        (storable(each.service), _fit(each.runs_a_day), each.starts) for each in day.services
    ]
    if day.read_at is not None:
        parts.append(("", None, ()))
    return [
        {
            **key,
            "day": day.day,
            "service": service,
            "runs_a_day": runs,
            "starts": write_json([start.astimezone(UTC).isoformat() for start in starts]),
            "read_at": day.read_at or read_at,
        }
        for service, runs, starts in parts
    ]


def read_days(rows: Iterable[Mapping[Any, Any]]) -> list[DaySchedule]:
    """Return what is known of the days of one location, earliest first.

    :param rows: rows of the table of schedules.
    """
    by_day: dict[date, list[Mapping[Any, Any]]] = {}
    for row in rows:
        by_day.setdefault(row["day"], []).append(row)
    return [
        DaySchedule(
            location=of_day[0]["location"] or None,
            day=day,
            read_at=next((row["read_at"] for row in of_day if not row["service"]), None),
            services=tuple(
                ServiceSchedule(
                    service=row["service"],
                    runs_a_day=int(row["runs_a_day"]),
                    starts=_read_starts(row["starts"]),
                )
                for row in sorted(of_day, key=itemgetter("service"))
                if row["service"]
            ),
        )
        for day, of_day in sorted(by_day.items())
    ]


def _read_starts(written: str) -> tuple[datetime, ...]:
    starts = json.loads(written)
    if not isinstance(starts, list):
        raise TypeError("starts is no list")
    read = tuple(map(datetime.fromisoformat, starts))
    if any(each.tzinfo is None for each in read):
        raise ValueError("a start has no time zone")
    return read


def write_report(
    tenants: Sequence[str] | None, generated_at: datetime, summary: str, states: Mapping[str, str]
) -> Row:
    """Return the row of a report.

    :param tenants: the tenants that were asked for; None for every tenant.
    :param generated_at: the moment of the report, an aware datetime.
    :param summary: the report in one sentence.
    :param states: the state of each scope, licence and gate, by its name.
    """
    return {
        "tenants": write_tenants(tenants),
        "generated_at": generated_at,
        "summary": storable(summary),
        "states": write_json(dict(states)),
    }


def write_tenants(tenants: Sequence[str] | None) -> str:
    """Return the key of the reports on some tenants.

    :param tenants: the names of the tenants; None for every tenant.
    """
    return write_json(None if tenants is None else sorted(set(tenants)))


def _name_row(task: Mapping[str, Any] | None) -> str:
    """Return the id of what a try of a task writes once; a random one outside of a task."""
    if task is None or "run_id" not in task:
        return uuid4().hex
    return _to_json(list(task.values()))


def _write_raw(row: dict[str, Any]) -> str:
    """Return a row as JSON; in ASCII if the row holds half a character, which UTF-8 cannot encode.

    A row that is nested too deeply to be written is left out.
    """
    try:
        return msgspec.json.encode(row).decode()
    except UnicodeEncodeError:
        return _to_json(row)
    except RecursionError:
        return "{}"


def _fit(number: int | None) -> int | None:
    """Return a number that a column can hold."""
    return None if number is None else min(number, _LARGEST)


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _read_counts(row: Mapping[Any, Any], of: str) -> Counts:
    return Counts(**{kind: row[f"{of}_{kind}"] for kind in COUNTS})


def _list_counts(counts: Counts) -> tuple[int | None, ...]:
    return tuple([getattr(counts, kind) for kind in COUNTS])
