"""Is the backup good? One policy, one pure function, one answer with its evidence.

:func:`judge` never sees the API: it takes jobs, a :class:`Policy` and the time, filters and sorts the jobs
itself, and trusts no caller to have done so. A scope that is missing, stale, unfinished or not understood
never passes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.product import Product, get_product
from airflow_provider_avepoint.core.question import (
    ALL,
    CLOCK_SKEW,
    Question,
    fold_id,
    is_same_id,
    parse_job_types,
    parse_list,
    parse_moment,
    parse_words,
)

__all__ = ["Policy", "Reason", "Scope", "ScopeVerdict", "Verdict", "judge"]

#: The workload of Microsoft 365 jobs that no object type claims.
OTHER = "other"


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
class Exclusion:
    """A scope that is shown but not judged until a day (UTC)."""

    organization_id: str | None = None
    workload: str | None = None
    until: date
    reason: str

    def covers(self, scope: Scope, now: datetime) -> bool:
        """Tell whether *scope* is not to be judged at *now*."""
        if now.date() >= self.until:
            return False
        is_ours = self.organization_id is None or is_same_id(self.organization_id, scope.organization_id)
        return is_ours and self.workload in (None, scope.workload)

    def as_dict(self) -> dict[str, Any]:
        """Return the exclusion, ready for JSON."""
        return {
            "organization_id": self.organization_id,
            "workload": self.workload,
            "until": self.until.isoformat(),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a good backup is. The arguments of the check and the sensor, checked.

    :param product: which product, such as ``dynamics365``.
    :param started_after: the data cut-off: the backup must have started at or after it. An aware datetime
        or an ISO 8601 string with an offset.
    :param max_age: the recovery point objective: the backup started no longer ago than this. A timedelta or
        seconds. One of the two is required; with both, both hold.
    :param organization_ids: the organisations expected; an absent one is ``missed``.
    :param object_types: the workloads expected: Microsoft 365 object types, Dynamics modules.
    :param locations: the Multi-Geo locations expected.
    :param expect_seen_within: a scope with any job within this time before the window is expected too; None
        switches it off. A timedelta or seconds.
    :param exclude: scopes that are shown, not judged, until a day:
        ``[{"organization_id" or "workload": …, "until": "2026-12-31", "reason": …}]``.
    :param job_type: the job types that count as a backup, a word or several.
    :param decide_by: which terminal backups of a scope in the window must be good: the ``newest``, ``any``
        one or ``all``. None is ``newest`` where rows name their organisation, else ``all``: rows that do not
        say what they protect must not let one machine's success hide another's failure.
    :param accept_partial: a backup that finished with exceptions passes.
    :param max_failed: a partial backup passes up to this many failed objects, on every level of counts.
    :param max_failed_ratio: a partial backup passes up to this share of failed objects, 0 to 1.
    :param on_failed: ``fail`` or ``skip``: what the task does with a verdict that does not pass. With
        ``skip``, downstream tasks whose trigger rule admits skipped ones still run.
    :param fail_fast: the sensor ends as soon as a scope is bad and nothing newer of it is under way.
    :raises AvePointConfigError: an argument cannot be used; the message names it.
    """

    product: str
    started_after: Any = None
    max_age: Any = None
    organization_ids: Any = None
    object_types: Any = None
    locations: Any = None
    expect_seen_within: Any = timedelta(days=7)
    exclude: Any = None
    job_type: Any = "backup"
    decide_by: str | None = None
    accept_partial: Any = False
    max_failed: Any = None
    max_failed_ratio: Any = None
    on_failed: str = "fail"
    fail_fast: Any = True

    def __post_init__(self) -> None:
        product = get_product(self.product)
        self._set("started_after", parse_moment("started_after", self.started_after))
        self._set("max_age", _parse_span("max_age", self.max_age))
        if self.started_after is None and self.max_age is None:
            raise AvePointConfigError(
                "Give started_after (the backup must have started since) or max_age (it started no longer "
                "ago than this); without either, any old backup would pass."
            )
        self._set("expect_seen_within", _parse_span("expect_seen_within", self.expect_seen_within))
        self._set("organization_ids", parse_list("organization_ids", self.organization_ids))
        self._set(
            "object_types",
            parse_words("object_types", self.object_types, product.known_workloads, product),
        )
        self._set("locations", parse_list("locations", self.locations))
        for name, is_told in (
            ("organization_ids", product.tells_organizations),
            ("object_types", bool(product.known_workloads)),
            ("locations", product.tells_locations),
        ):
            if getattr(self, name) is not None and not is_told:
                raise AvePointConfigError(f"{name}: {product.label} cannot tell jobs apart by it.")
        if self.job_type in (ALL, [ALL]):
            raise AvePointConfigError(
                'job_type: "all" would let a restore or an export stand for a backup; name the types.'
            )
        self._set("job_type", parse_job_types(self.job_type, product))
        self._set("exclude", _parse_exclusions(self.exclude))
        for name, choices in (("decide_by", ("newest", "any", "all")), ("on_failed", ("fail", "skip"))):
            value = getattr(self, name)
            if value not in choices and not (name == "decide_by" and value is None):
                raise AvePointConfigError(f"{name}: {value!r} is not one of {', '.join(choices)}.")
        for name in ("accept_partial", "fail_fast"):
            self._set(name, _parse_flag(name, getattr(self, name)))
        self._set("max_failed", _parse_limit("max_failed", self.max_failed))
        self._set("max_failed_ratio", _parse_ratio("max_failed_ratio", self.max_failed_ratio))
        if self.accept_partial and (self.max_failed is not None or self.max_failed_ratio is not None):
            raise AvePointConfigError(
                "accept_partial lets every partial backup pass, so max_failed and max_failed_ratio would "
                "mean nothing beside it; give one or the other."
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return the policy, ready for JSON: ``Policy(**policy.as_dict())`` is the same policy."""
        written: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, timedelta):
                value = value.total_seconds()
            elif isinstance(value, tuple):
                value = [item.as_dict() if isinstance(item, Exclusion) else item for item in value]
            written[each.name] = value
        return written

    def window_start(self, now: datetime) -> datetime:
        """Return the earliest start that counts at *now*."""
        starts = []
        if self.started_after is not None:
            starts.append(self.started_after)
        if self.max_age is not None:
            starts.append(now - self.max_age)
        start: datetime = max(starts)
        return start

    def look_back_start(self, now: datetime) -> datetime:
        """Return from when on jobs matter at *now*: the window, and what tells which scopes to expect."""
        return self.window_start(now) - (self.expect_seen_within or timedelta())

    def questions(self, now: datetime, *, location: str | None = None) -> list[Question]:
        """Return the listings whose jobs :func:`judge` needs at *now*.

        Microsoft 365 rows do not say their service, so each object type is asked for, and all together.

        :param location: the connection's own location, used where the policy names none.
        """
        product = get_product(self.product)
        workloads: tuple[str | None, ...] = (None,)
        if product.object_types:
            workloads = self.object_types or (*product.object_types, None)
        organization = self.organization_ids[0] if len(self.organization_ids or ()) == 1 else None
        return [
            Question(
                product=product,
                started_after=self.look_back_start(now),
                job_type=job_type,
                object_type=workload,
                organization_id=organization,
                location=place,
            )
            for place in self.locations or (location if product.tells_locations else None,)
            for job_type in self.job_type
            for workload in workloads
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is judged by itself: an organisation, a workload, a location; None where rows do not say."""

    organization_id: str | None = None
    workload: str | None = None
    location: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the scope, ready for JSON."""
        return {
            "organization_id": self.organization_id,
            "workload": self.workload,
            "location": self.location,
        }

    def __str__(self) -> str:
        named = [part for part in (self.organization_id, self.workload, self.location) if part]
        return " / ".join(named) or "all jobs"


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
            text += f" (job {self.job.job_id}, {self.job.raw_state!r}"
            if self.job.started_at is not None:
                text += f", started {self.job.started_at:%Y-%m-%d %H:%M:%S} UTC"
            if self.job.counts.failed:
                text += f", {self.job.counts.failed} of {self.job.counts.total} failed"
            text += ")"
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

    def describe(self, *, limit: int = 20) -> str:
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
        listed = "; ".join(map(str, bad[:limit]))
        more = f"; and {len(bad) - limit} more" if len(bad) > limit else ""
        return f"{self.policy.product}: {self.reason}: {listed}{more} ({good} of {judged} scopes good{tail})."


def judge(jobs: Iterable[BackupJob], policy: Policy, now: datetime) -> Verdict:
    """Decide whether *jobs* hold the good backups that *policy* asks for at *now*.

    :param jobs: in any order; those of other products, types and scopes are left out here.
    :param now: aware; what "ago" is measured from.
    """
    if now.utcoffset() is None:
        raise AvePointConfigError("now: the time of judgement has no time zone.")
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
    # Asked for all object types together, Microsoft 365 repeats the jobs that one of them claims.
    claimed = (
        {_identity(job) for job in counted if job.workload is not None} if product.object_types else set()
    )
    organizations = {fold_id(each): each for each in policy.organization_ids or ()}
    scopes: dict[Scope, dict[tuple[str | None, ...], BackupJob]] = defaultdict(dict)
    spelled: dict[str | None, str | None] = dict(organizations)
    for job in counted:
        workload = job.workload
        if workload is None and product.object_types:
            if _identity(job) in claimed:
                continue
            workload = OTHER
        organization = fold_id(job.organization_id)
        if organizations and organization not in organizations:
            continue
        if policy.object_types and workload not in policy.object_types:
            continue
        if policy.locations and job.location not in policy.locations:
            continue
        scope = Scope(
            organization_id=spelled.setdefault(organization, job.organization_id),
            workload=workload,
            location=job.location,
        )
        rows = scopes[scope]
        known = rows.get(_identity(job))
        # The same job seen twice while it moved on: what it came to stands, and of two such the worse.
        if known is None or _outcome(job) > _outcome(known):
            rows[_identity(job)] = job
    return {scope: list(rows.values()) for scope, rows in scopes.items()}


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
    ordered = sorted(rows, key=_newness, reverse=True)
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
        if not_understood:
            return conclude(Reason.UNKNOWN_STATE, not_understood[0])
        underway = [job for job in window if job.state.is_open]
        if underway:
            return conclude(Reason.RUNNING, underway[0])
        return conclude(Reason.SKIPPED, window[0])
    grade = _grade(decisive, policy)
    if grade is JobState.SUCCESS:
        return conclude(Reason.PASSED, decisive)
    newer = any(_newness(job) > _newness(decisive) for job in open_jobs)
    reason = Reason.FAILED if grade is JobState.FAILED else Reason.PARTIAL
    return conclude(reason, decisive, is_settled=not newer)


def _decide(
    terminal: list[BackupJob], not_understood: list[BackupJob], policy: Policy, scope: Scope
) -> BackupJob | None:
    """Return the backup that decides, or None where there is none or something newer is not understood.

    :param terminal: the window's ended backups, newest first.
    :param not_understood: the window's jobs in a state that nobody documented, newest first.
    """
    if not terminal:
        return None
    rule = policy.decide_by or ("newest" if scope.organization_id is not None else "all")
    if rule == "all":
        # Whatever is not understood may be what another resource's backup came to.
        worst = max(terminal, key=lambda job: _GRADES.index(_grade(job, policy)))
        return worst if _grade(worst, policy) is not JobState.SUCCESS or not not_understood else None
    deciding = terminal[0]
    if rule == "any":
        deciding = next((job for job in terminal if _grade(job, policy) is JobState.SUCCESS), deciding)
    if not_understood and _newness(not_understood[0]) > _newness(deciding):
        return None
    return deciding


def _grade(job: BackupJob, policy: Policy) -> JobState:
    """Return what an ended backup is worth under *policy*: success, partial or failed.

    State and counts are both read and the worse holds; a partial one within the policy's limits is a success.
    """
    levels = [level for level in (job.counts, job.record_counts) if level != Counts()]
    if job.state is JobState.FAILED:
        return JobState.FAILED
    is_partial = job.state is JobState.PARTIAL or any(level.failed for level in levels)
    if not is_partial or policy.accept_partial:
        return JobState.SUCCESS
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
        if policy.max_failed_ratio is not None and level.failed > policy.max_failed_ratio * level.total:
            return False
    return bool(counting)


_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
_BADNESS = {JobState.SUCCESS: 0, JobState.PARTIAL: 1, JobState.FAILED: 2, JobState.UNKNOWN: 3}


def _newness(job: BackupJob) -> tuple[datetime, int]:
    """Order jobs by start, a tie by badness; a job that does not say when it started counts as newest."""
    badness = _BADNESS.get(job.state, -1)
    if job.state is JobState.SUCCESS and (job.counts.failed or job.record_counts.failed):
        badness = _BADNESS[JobState.PARTIAL]
    return (job.effective_start or _FAR_FUTURE, badness)


def _is_since(job: BackupJob, start: datetime) -> bool:
    begun = job.effective_start
    return begun is None or begun >= start


def _is_ahead(job: BackupJob, now: datetime) -> bool:
    """Tell whether a job claims to have started in the future; one that waits may well be planned for it."""
    begun = job.effective_start
    return begun is not None and begun > now + CLOCK_SKEW and job.state is not JobState.WAITING


def _outcome(job: BackupJob) -> tuple[bool, int]:
    return (job.state.is_terminal, _BADNESS.get(job.state, -1))


def _is_undocumented(job: BackupJob) -> bool:
    """Tell whether nobody knows what a job came to: its state, or when a job that ended did so."""
    return job.state is JobState.UNKNOWN or (job.state.is_terminal and job.effective_start is None)


def _identity(job: BackupJob) -> tuple[str | None, ...]:
    return (job.location, fold_id(job.organization_id), job.job_id)


def _write_evidence(job: BackupJob) -> dict[str, Any]:
    written = job.as_dict()
    del written["raw"]
    return written


def _parse_span(name: str, value: object) -> timedelta | None:
    """Read an argument that is a time span: a timedelta, or seconds as a number or in a string."""
    if value is None:
        return None
    span = value
    if isinstance(value, str):
        try:
            span = float(value)
        except ValueError:
            span = None
    if isinstance(span, (int, float)) and not isinstance(span, bool):
        try:
            span = timedelta(seconds=span)
        except (OverflowError, ValueError):
            span = None
    if not isinstance(span, timedelta):
        raise AvePointConfigError(f"{name}: {value!r} is neither a timedelta nor a number of seconds.")
    if not timedelta() < span <= timedelta(days=36500):
        raise AvePointConfigError(f"{name}: {value!r} is not more than zero and at most 100 years.")
    return timedelta(seconds=span.total_seconds())


def _parse_flag(name: str, value: object) -> bool:
    if isinstance(value, str) and value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    if isinstance(value, bool):
        return value
    raise AvePointConfigError(f"{name}: {value!r} is neither true nor false.")


def _parse_limit(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if number < 0:
        raise AvePointConfigError(f"{name}: {value!r} is not a whole number from 0 up.")
    return number


def _parse_ratio(name: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # TypeError below
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise AvePointConfigError(f"{name}: {value!r} is not a share from 0 to 1.")
    return number


def _parse_exclusions(value: object) -> tuple[Exclusion, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise AvePointConfigError(f"exclude: {value!r} is not JSON.") from None
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise AvePointConfigError(f"exclude: {value!r} is not a list of objects.")
    return tuple(_parse_exclusion(each) for each in value)


def _parse_exclusion(value: object) -> Exclusion:
    if isinstance(value, Exclusion):
        return value
    known = {each.name for each in fields(Exclusion)}
    if not isinstance(value, Mapping) or not set(value) <= known:
        raise AvePointConfigError(f"exclude: {value!r} is not an object of {', '.join(sorted(known))}.")
    organization, workload = value.get("organization_id"), value.get("workload")
    if not (organization or workload):
        raise AvePointConfigError(f"exclude: {value!r} names neither an organization_id nor a workload.")
    until = value.get("until")
    if isinstance(until, str):
        try:
            until = date.fromisoformat(until)
        except ValueError:
            until = None
    if isinstance(until, datetime):
        until = until.date()
    if not isinstance(until, date):
        raise AvePointConfigError(f"exclude: {value!r} has no day 'until', such as 2026-12-31.")
    reason = value.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise AvePointConfigError(f"exclude: {value!r} gives no 'reason'; an auditor will ask.")
    return Exclusion(organization_id=organization, workload=workload, until=until, reason=reason)
