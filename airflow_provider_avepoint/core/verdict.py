"""Is the backup good? One pure function, one answer with its evidence.

:func:`judge` never sees the API: it takes jobs, a :class:`Policy` and the time, filters and sorts the jobs
itself, and trusts no caller to have done so. A scope that is missing, stale, unfinished or not understood
never passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import OTHER, Policy, Scope
from airflow_provider_avepoint.core.product import Product, get_product
from airflow_provider_avepoint.core.question import CLOCK_SKEW
from airflow_provider_avepoint.core.text import one_line, quoted

__all__ = [
    "RULES_VERSION",
    "Policy",
    "Reason",
    "Scope",
    "ScopeVerdict",
    "Verdict",
    "judge",
    "leave_out_claimed",
]

#: Which rules a verdict was reached by; it rises when the same jobs could be judged otherwise.
RULES_VERSION = 1


class Reason(StrEnum):
    """Why a scope passes or does not; the worst of a verdict's scopes is the verdict's."""

    PASSED = "passed"
    FAILED = "failed"
    PARTIAL = "partial"
    MISSED = "missed"
    STALE = "stale"
    RUNNING = "running"
    SKIPPED = "skipped"
    UNKNOWN_STATE = "unknown_state"
    CLOCK_SKEW = "clock_skew"
    EXCLUDED = "excluded"


# Worst first.
_SEVERITY = (
    Reason.FAILED,
    Reason.PARTIAL,
    Reason.MISSED,
    Reason.STALE,
    Reason.RUNNING,
    Reason.SKIPPED,
    Reason.UNKNOWN_STATE,
    Reason.CLOCK_SKEW,
)
# What a terminal backup is worth, better first.
_GRADES = (JobState.SUCCESS, JobState.PARTIAL, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeVerdict:
    """One scope's verdict.

    :param job: the job that decided; where none did, the newest there is.
    :param open_jobs: every running or waiting job of the scope, newest first.
    :param age_seconds: how long ago *job* started.
    :param is_settled: it does not pass, and nothing newer is under way that could mend it.
    """

    scope: Scope
    passed: bool
    reason: Reason
    job: BackupJob | None = None
    open_jobs: tuple[BackupJob, ...] = ()
    age_seconds: float | None = None
    is_settled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the scope's evidence, ready for JSON; jobs without their raw rows."""
        return {
            "scope": self.scope.as_dict(),
            "passed": self.passed,
            "reason": self.reason.value,
            "job": None if self.job is None else _write_evidence(self.job),
            "open_jobs": [_write_evidence(job) for job in self.open_jobs],
            "age_seconds": self.age_seconds,
        }

    def __str__(self) -> str:
        text = f"{self.scope}: {self.reason}"
        if self.job is not None:
            text += f" (job {one_line(self.job.job_id, 100)}, {quoted(self.job.raw_state)}"
            if self.job.started_at is not None:
                text += f", started {self.job.started_at:%Y-%m-%d %H:%M:%S} UTC"
            text += f"{self.job.describe_failures()})"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the backup is good, and the evidence.

    :param reason: ``passed``, or the worst scope's.
    """

    passed: bool
    reason: Reason
    scopes: tuple[ScopeVerdict, ...]
    policy: Policy
    judged_at: datetime

    @property
    def is_settled(self) -> bool:
        """Tell whether waiting longer cannot help, by what is known: some scope is bad and stays so."""
        return any(scope.is_settled for scope in self.scopes)

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict with its evidence, ready for JSON: what an auditor keeps."""
        return {
            "passed": self.passed,
            "reason": self.reason.value,
            "scopes": [scope.as_dict() for scope in self.scopes],
            "policy": self.policy.as_dict(),
            "judged_at": self.judged_at.isoformat(),
        }

    def describe(self) -> str:
        """Say in one line what the verdict is and, where it does not pass, which scopes are why."""
        good = sum(scope.passed for scope in self.scopes)
        excluded = sum(scope.reason is Reason.EXCLUDED for scope in self.scopes)
        judged = len(self.scopes) - excluded
        tail = f", {excluded} excluded" if excluded else ""
        if self.passed:
            return f"{self.policy.product}: backup verified in {good} of {judged} scopes{tail}."
        if not judged:
            since = self.policy.look_back_start(self.judged_at)
            what = f"no backup of any scope since {since:%Y-%m-%d %H:%M} UTC"
            return f"{self.policy.product}: missed: {what}{tail}."
        bad = [scope for scope in self.scopes if not scope.passed and scope.reason is not Reason.EXCLUDED]
        listed = "; ".join(map(str, bad))
        return f"{self.policy.product}: {self.reason}: {listed} ({good} of {judged} scopes good{tail})."


def judge(jobs: Iterable[BackupJob], policy: Policy, now: datetime) -> Verdict:
    """Decide whether *jobs* hold the good backups that *policy* asks for at *now*.

    :param jobs: in any order; those of other products, types and scopes are left out here.
    :param now: aware; what "ago" is measured from.
    """
    if now.utcoffset() is None:
        raise AvePointConfigError("now: the time of judgement has no time zone.")
    now = now.astimezone(UTC)
    product = get_product(policy.product)
    look_back = policy.look_back_start(now)
    by_scope = _sort_into_scopes(jobs, policy, product)
    expected = {
        scope: rows for scope, rows in by_scope.items() if any(_is_since(job, look_back) for job in rows)
    }
    for scope in _named_scopes(policy, expected):
        expected[scope] = by_scope.get(scope, [])
    verdicts = tuple(
        _judge_scope(scope, rows, policy, now)
        for scope, rows in sorted(expected.items(), key=lambda item: str(item[0]))
    )
    judged = [verdict.reason for verdict in verdicts if verdict.reason is not Reason.EXCLUDED]
    bad = [reason for reason in judged if reason is not Reason.PASSED]
    worst = min(bad, key=_SEVERITY.index) if bad else Reason.PASSED
    return Verdict(
        passed=bool(judged) and not bad,
        reason=worst if judged else Reason.MISSED,
        scopes=verdicts,
        policy=policy,
        judged_at=now,
    )


def _sort_into_scopes(
    jobs: Iterable[BackupJob], policy: Policy, product: Product
) -> dict[Scope, list[BackupJob]]:
    """Return the jobs that count, by scope: those a list leaves out are left out."""
    counted = [job for job in jobs if job.product == policy.product and job.job_type in policy.job_type]
    if product.asks_each_object_type:
        counted = leave_out_claimed(counted)
    organizations = {each: each for each in policy.organization_ids or ()}
    scopes: dict[Scope, dict[tuple[str | None, ...], BackupJob]] = defaultdict(dict)
    spelled: dict[str | None, str | None] = {}
    for name in sorted({job.organization_id for job in counted if job.organization_id is not None}):
        spelled.setdefault(normalize_id(name), name)
    spelled |= organizations
    for job in counted:
        workload = job.workload
        if workload is None and product.asks_each_object_type:
            workload = OTHER
        organization = normalize_id(job.organization_id)
        if organizations and organization not in organizations:
            continue
        if policy.object_types and workload not in policy.object_types:
            continue
        if policy.locations and job.location not in policy.locations:
            continue
        scope = Scope(
            organization_id=spelled.get(organization),
            workload=workload,
            location=job.location,
        )
        rows = scopes[scope]
        known = rows.get(_identity(job))
        # The same job seen twice while it moved on: what it came to stands, and of two such the worse.
        if known is None or _outcome(job, policy) > _outcome(known, policy):
            rows[_identity(job)] = job
    return {scope: list(rows.values()) for scope, rows in scopes.items()}


def leave_out_claimed(jobs: Iterable[BackupJob]) -> list[BackupJob]:
    """Return *jobs* without those that came without a workload and with one too.

    Asked for all object types together, a server repeats the jobs that one of them claims.
    """
    listed = list(jobs)
    claimed = {_identity(job) for job in listed if job.workload is not None}
    return [job for job in listed if job.workload is not None or _identity(job) not in claimed]


def _named_scopes(policy: Policy, seen: Iterable[Scope]) -> Iterable[Scope]:
    """Yield the scopes that the policy's lists expect and none of those *seen* covers."""
    known = list(seen)
    for organization in policy.organization_ids or (None,):
        for workload in policy.object_types or (None,):
            for location in policy.locations or (None,):
                if (organization, workload, location) == (None, None, None):
                    continue
                if not any(
                    (organization is None or scope.organization_id == organization)
                    and (workload is None or scope.workload == workload)
                    and (location is None or scope.location == location)
                    for scope in known
                ):
                    yield Scope(organization_id=organization, workload=workload, location=location)


def _judge_scope(scope: Scope, rows: list[BackupJob], policy: Policy, now: datetime) -> ScopeVerdict:
    start, look_back = policy.window_start(now), policy.look_back_start(now)

    def newness(job: BackupJob) -> tuple[datetime, int, int]:
        return _newness(job, policy)

    ordered = sorted(rows, key=lambda job: (*newness(job), job.job_id), reverse=True)
    open_jobs = tuple(job for job in ordered if job.state.is_open)

    def conclude(reason: Reason, job: BackupJob | None, *, is_settled: bool = False) -> ScopeVerdict:
        begun = None if job is None else job.effective_start
        return ScopeVerdict(
            scope=scope,
            passed=reason is Reason.PASSED,
            reason=reason,
            job=job,
            open_jobs=open_jobs,
            age_seconds=None if begun is None else max(0.0, (now - begun).total_seconds()),
            is_settled=is_settled,
        )

    newest = ordered[0] if ordered else None
    if any(exclusion.covers(scope, now) for exclusion in policy.exclude or ()):
        return conclude(Reason.EXCLUDED, newest)
    ahead = [job for job in ordered if _is_ahead(job, now)]
    if ahead:
        return conclude(Reason.CLOCK_SKEW, ahead[0])
    window = [job for job in ordered if _is_since(job, start)]
    if not window:
        known = any(_is_since(job, look_back) for job in ordered)
        return conclude(Reason.STALE if known else Reason.MISSED, newest if known else None)

    terminal = [job for job in window if job.state in _GRADES and job.effective_start is not None]
    not_understood = [job for job in window if _is_undocumented(job)]
    decisive = _decide(terminal, not_understood, policy, scope)
    if decisive is None:
        return conclude(*_explain_indecision(window, not_understood))
    grade = _grade(decisive, policy)
    if grade is JobState.SUCCESS:
        return conclude(Reason.PASSED, decisive)
    if _rule(policy, scope) == "any":
        is_mended = any(job.state.is_open for job in window)
    else:
        is_mended = any(newness(job) > newness(decisive) for job in open_jobs)
    reason = Reason.FAILED if grade is JobState.FAILED else Reason.PARTIAL
    return conclude(reason, decisive, is_settled=not is_mended)


def _explain_indecision(window: list[BackupJob], not_understood: list[BackupJob]) -> tuple[Reason, BackupJob]:
    """Return why a window that holds jobs holds none that decides, and the job that shows it."""
    if not_understood:
        return Reason.UNKNOWN_STATE, not_understood[0]
    underway = next((job for job in window if job.state.is_open), None)
    return (Reason.SKIPPED, window[0]) if underway is None else (Reason.RUNNING, underway)


def _decide(
    terminal: list[BackupJob], not_understood: list[BackupJob], policy: Policy, scope: Scope
) -> BackupJob | None:
    """Return the backup that decides, or None where there is none or something newer is not understood.

    :param terminal: the window's ended backups, newest first.
    :param not_understood: the window's jobs in a state that nobody documented, newest first.
    """
    if not terminal:
        return None
    rule = _rule(policy, scope)
    if rule == "all":
        # Whatever is not understood may be what another resource's backup came to.
        worst = max(terminal, key=lambda job: _GRADES.index(_grade(job, policy)))
        return worst if _grade(worst, policy) is not JobState.SUCCESS or not not_understood else None
    deciding = terminal[0]
    if rule == "any":
        deciding = next((job for job in terminal if _grade(job, policy) is JobState.SUCCESS), deciding)
    if not_understood and _newness(not_understood[0], policy) > _newness(deciding, policy):
        return None
    return deciding


def _rule(policy: Policy, scope: Scope) -> str:
    """Return which backups of *scope* must be good: ``newest``, ``any`` or ``all``."""
    # A customer who had to be named may have several tenants and machines, which rows do not tell apart.
    is_named = scope.organization_id is not None and not get_product(policy.product).needs_organization
    return policy.decide_by or ("newest" if is_named else "all")


def _grade(job: BackupJob, policy: Policy) -> JobState:
    """Return what an ended backup is worth under *policy*: success, partial or failed.

    State and counts are both read and the worse holds; a partial one within the policy's limits is a success.
    """
    if job.state is JobState.FAILED:
        return JobState.FAILED
    is_partial = job.state is JobState.PARTIAL or any(level.failed for level in job.levels)
    if not is_partial or policy.accept_partial:
        return JobState.SUCCESS
    levels = [level for level in job.levels if level != Counts()]
    return JobState.SUCCESS if _is_within_limits(levels, policy) else JobState.PARTIAL


def _is_within_limits(levels: list[Counts], policy: Policy) -> bool:
    """Tell whether every level that counts anything stays within the policy's limits, and one does count."""
    if policy.max_failed is None and policy.max_failed_ratio is None:
        return False
    counting = [level for level in levels if level.total != 0 or level.failed]
    for level in counting:
        if not level.total or level.failed is None:
            return False
        if policy.max_failed is not None and level.failed > policy.max_failed:
            return False
        if policy.max_failed_ratio is not None and level.failed / level.total > policy.max_failed_ratio:
            return False
    return bool(counting)


_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
_BADNESS = {JobState.SUCCESS: 0, JobState.PARTIAL: 1, JobState.FAILED: 2, JobState.UNKNOWN: 3}


def _newness(job: BackupJob, policy: Policy) -> tuple[datetime, int, int]:
    """Order jobs by start; of two with the same, the worse is newer, by the policy and then by itself.

    A job that does not say when it started counts as the newest.
    """
    graded = _grade(job, policy) if job.state in _GRADES else job.state
    return (job.effective_start or _FAR_FUTURE, _BADNESS.get(graded, -1), _BADNESS.get(job.state, -1))


def _is_since(job: BackupJob, start: datetime) -> bool:
    begun = job.effective_start
    return begun is None or begun >= start


def _is_ahead(job: BackupJob, now: datetime) -> bool:
    """Tell whether a job claims to have started in the future; one that waits may well be planned for it."""
    begun = job.effective_start
    return begun is not None and begun > now + CLOCK_SKEW and job.state is not JobState.WAITING


def _outcome(job: BackupJob, policy: Policy) -> tuple[bool, tuple[datetime, int, int], int]:
    """Order what one job was seen as: ended last, and of two ends the worse."""
    failed = max(level.failed or 0 for level in job.levels)
    return (job.state.is_terminal, _newness(job, policy), failed)


def _is_undocumented(job: BackupJob) -> bool:
    """Tell whether nobody knows what a job came to: its state, or when a backup that ended did so."""
    return job.state is JobState.UNKNOWN or (job.state in _GRADES and job.effective_start is None)


def _identity(job: BackupJob) -> tuple[str | None, ...]:
    return (job.location, normalize_id(job.organization_id), job.job_id)


def _write_evidence(job: BackupJob) -> dict[str, Any]:
    written = job.as_dict()
    del written["raw"]
    return written
