"""What a release leaves in Airflow's database, and what its successors must be able to take up.

Each release has its file, ``<version>.json``: the arguments of deferred waits, the events that end them, and
what ``mode="reschedule"``, the event trigger and a restore keep between two looks. ``python -m
tests.upgrades`` writes that of the running release; those of earlier ones are never written again, which
``SHA256SUMS`` shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.restore import Intent, Phase, RestoreRequest
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.core.wait_events import MAX_FAILED_POLLS, Watch
from airflow_provider_avepoint.core.watermark import Watermark
from airflow_provider_avepoint.triggers.avepoint import (
    AvePointBackupEventTrigger,
    AvePointBackupTrigger,
    AvePointJobTrigger,
    AvePointRestoreTrigger,
)

FOLDER = Path(__file__).parent
SUMS = FOLDER / "SHA256SUMS"
CURRENT = FOLDER / f"{__version__}.json"

JOB_ID, ORGANIZATION, ASSET = "DCIB00000001", "contoso", "backups"
#: Jobs that the watermark knows: one that has ended, one that was under way.
ENDED_ID, UNDER_WAY_ID = "DCIB00000002", "DCIB00000003"
#: A restore job that had begun, the arguments of its task, and whom it was asked for.
RESTORE_ID = "FB000000000000000042"
RESTORE = {
    "service": "onedrive",
    "onedrive_upn": "canary@contoso.example",
    "library": "Documents",
    "files": ["canary/a.txt", "canary/b.txt"],
    "folders": ["canary/Übung"],
    "recovery_time": "2026-01-01T05:00:00Z",
    "location": "EUR",
}
ACCOUNT = "https://graph-us.avepointonlineservices.com demo-client"
NEWS = "dynamics365: running: the newest backup is under way."

_BEGUN = datetime(2026, 1, 1, 6, tzinfo=UTC)
_NEVER = datetime(2100, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_WAIT = {
    "avepoint_conn_id": "avepoint_default",
    "poll_interval": 60.0,
    "started_at": _BEGUN.isoformat(),
    "deadline": _NEVER.isoformat(),
    "execution_deadline": _NEVER.isoformat(),
    "first_poll_at": (_BEGUN + timedelta(seconds=10)).isoformat(),
    "failed_polls": 3,
    "news": NEWS,
}
_OVER = {"deadline": (_BEGUN + _HOUR).isoformat(), "execution_deadline": None}
# As many of its arguments as go together.
_POLICY = Policy(
    product="dynamics365",
    started_after=_BEGUN - _HOUR,
    max_age=365 * 24 * _HOUR,
    organization_ids=[ORGANIZATION],
    object_types=["customer_engagement"],
    expect_seen_within=24 * _HOUR,
    exclude=[{"organization_id": "fabrikam", "until": "2026-12-31", "reason": "moved to another tenant"}],
    job_type=["backup"],
    decide_by="newest",
    max_failed=5,
    max_failed_ratio=0.1,
)
# What a gate asks beside the jobs.
_BESIDE_JOBS = Policy(
    product="m365",
    max_age=24 * _HOUR,
    object_types=["exchange_online"],
    locations=["EUR"],
    expect_scheduled=True,
    max_unusual=3,
    unusual_within=48 * _HOUR,
)


def fixtures() -> dict[str, Path]:
    """Return the file of each release that has one."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe_release() -> dict[str, Any]:
    """Return what the running release leaves in the database, JSON values all of it."""
    return {
        "triggers": {name: list(trigger.serialize()) for name, trigger in _triggers()},
        "next_method": "execute_complete",
        "events": {"backup": dict(_backup_events()), "job": dict(_job_events())},
        "task_state_store": {
            "avepoint_watch": json.dumps({"failed_polls": MAX_FAILED_POLLS - 1, "news": NEWS})
        },
        "asset_state_store": {"avepoint_watermark": _watermark().as_dict()},
        "restores": {
            name: {
                "kwargs": {"intent": intent, "started_at": _BEGUN.isoformat()},
                "event": {"message": "Restore job FB1 is success (Finished).", "has_failed": False},
                "task_state_store": {"avepoint_restore": intent},
            }
            for name, intent in _intents()
        },
    }


def _triggers() -> Iterator[tuple[str, Any]]:
    job = {"product": "dynamics365", "job_id": JOB_ID, "organization_id": ORGANIZATION}
    watch = {"asset": ASSET, "product": "dynamics365", "poll_interval": 60.0}
    yield "backup", AvePointBackupTrigger(policy=_POLICY.as_dict(), **_WAIT)
    yield "beside the jobs", AvePointBackupTrigger(policy=_BESIDE_JOBS.as_dict(), **_WAIT)
    yield "backup, past its deadline", AvePointBackupTrigger(policy=_POLICY.as_dict(), **(_WAIT | _OVER))
    yield "job", AvePointJobTrigger(**job, **_WAIT)
    yield "job, past its deadline", AvePointJobTrigger(**job, accept_partial=True, **(_WAIT | _OVER))
    yield "event", AvePointBackupEventTrigger(**watch)
    policy = {"max_age": 365 * 24 * _HOUR, "organization_ids": ORGANIZATION, "max_failed": 5}
    request = RestoreRequest.parse(**RESTORE).as_dict()
    restore = {"avepoint_conn_id": "avepoint_default", "request": request, "poll_interval": 60.0}
    times = {"wake_at": _NEVER.isoformat(), "first_poll_at": _WAIT["first_poll_at"]}
    for name, intent in _intents():
        kept = None if name == "no place" else intent
        yield f"restore, {name}", AvePointRestoreTrigger(**restore, intent=kept, **times)
    yield "event, with a policy", AvePointBackupEventTrigger(**watch, announce="not_passed", policy=policy)


def _intents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is kept of a restore, at each point where a task of it defers."""
    intent = Intent(
        digest=RestoreRequest.parse(**RESTORE).digest,
        account=ACCOUNT,
        nonce="00112233445566ff",
        sent_at=_BEGUN,
        known_ids=("FB000000000000000041",),
    )
    yield "under way", replace(intent, phase=Phase.STARTED, job_id=RESTORE_ID).as_dict()
    answered = _BEGUN + timedelta(seconds=30)
    yield "not answered", replace(intent, answered_at=answered, doubt="POST answered 503.").as_dict()
    yield "no place", replace(intent, phase=Phase.REFUSED).as_dict()


def _job(job_id: str = JOB_ID, state: JobState = JobState.SUCCESS, *, failed: int = 0) -> BackupJob:
    is_over = state.is_terminal
    return BackupJob(
        product="dynamics365",
        job_id=job_id,
        job_type="backup",
        workload="customer_engagement",
        state=state,
        raw_state=str(state),
        started_at=_BEGUN,
        finished_at=_BEGUN + _HOUR if is_over else None,
        duration=_HOUR if is_over else None,
        counts=Counts(total=96, successful=96 - failed, failed=failed, skipped=0, warning=0),
        size_bytes=180832,
        organization_id=ORGANIZATION,
        organization_name="Contoso",
    )


def _backup_events() -> Iterator[tuple[str, Any]]:
    now = _BEGUN + 2 * _HOUR
    yield "passed", Watch().note_verdict(judge([_job()], _POLICY, now))
    yield "failed", Watch().note_verdict(judge([_job(state=JobState.FAILED, failed=96)], _POLICY, now))
    watch = Watch()
    watch.note_verdict(judge([_job(state=JobState.RUNNING)], _POLICY, now))
    yield from _ends(watch)


def _job_events() -> Iterator[tuple[str, Any]]:
    yield "passed", Watch().note_job(_job(), accept_partial=False)
    yield "failed", Watch().note_job(_job(state=JobState.PARTIAL, failed=5), accept_partial=False)
    watch = Watch()
    watch.note_job(_job(state=JobState.RUNNING), accept_partial=False)
    yield from _ends(watch)


def _ends(watch: Watch) -> Iterator[tuple[str, Any]]:
    """Yield the events that are the same for both waits."""
    yield "timeout", watch.time_out(3600)
    yield "timeout, nothing seen", Watch().time_out(3600)
    yield "outage", Watch(1, NEWS, "The API is away.", _BEGUN).time_out(3600)
    yield "overdue", watch.overrun()
    facts = {"status": 400, "code": "E1", "field": "pageSize", "request_id": "0HN:1"}
    for error in (
        errors.AvePointConfigError("product: 'x' is not known."),
        errors.AvePointAuthError("The credentials are refused."),
        errors.AvePointPermissionError("A permission is missing.", permission="dynamics.readwrite.all"),
        errors.AvePointRequestError("The API refuses a parameter.", **facts),
        errors.AvePointJobNotFound("No job has this id.", **(facts | {"status": 404})),
        errors.AvePointUnavailable("The API is away.", status=503, retry_after=7.0),
        errors.AvePointPayloadError("The answer is no JSON."),
    ):
        name = type(error).__name__
        yield f"error: {name}", Watch(MAX_FAILED_POLLS - 1, NEWS).note_error(error)


def _watermark() -> Watermark:
    now = _BEGUN + 2 * _HOUR
    jobs = [_job(ENDED_ID), _job(UNDER_WAY_ID, JobState.RUNNING)]
    return Watermark.begin(jobs, now)
