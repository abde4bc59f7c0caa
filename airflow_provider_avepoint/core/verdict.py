"""Judge whether the backup is good, in one pure function, and give the evidence with the answer.

:func:`judge` never sees the API. The function takes jobs, a :class:`Policy` and the time, and filters and
    sorts the jobs itself: no caller needs to do so. A scope that is missing, stale, unfinished or not
    understood never passes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_avepoint.core.circumstances import (
    Alarms,
    DueRuns,
    describe_days,
    find_missed_runs,
    find_schedule,
    list_due_runs,
    list_scheduled,
    require_answers,
)
from airflow_provider_avepoint.core.doubts import doubt_unfiltered
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.grading import (
    GRADES,
    Limits,
    is_askew,
    is_not_understood,
    may_be_since,
    newness,
    outcome,
)
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.job_text import (
    describe_briefly,
    name_organizations,
    quote_error,
    show_minute,
    show_time,
)
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.organizations import Organizations
from airflow_provider_avepoint.core.policy import OTHER, Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.questions import Circumstances
from airflow_provider_avepoint.core.text import list_some, one_line

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import ActivityCounts

__all__ = [
    "RULES_VERSION",
    "WINDOW",
    "Policy",
    "Reason",
    "Scope",
    "ScopeVerdict",
    "Verdict",
    "grade_job",
    "judge",
    "leave_out_claimed",
]

#: The version of the rules. Raise the number when a change may judge the same jobs otherwise.
RULES_VERSION = 2

# The most missed runs, or counts of unusual activity, that a message names of one scope.
_MOST_COUNTS = 3
#: The beginning of a message's line about the window: the one line that differs from look to look.
WINDOW = "Window: "
# The most scopes that a message names.
_MOST_SCOPES = 20


class Reason(StrEnum):
    """Why a scope passes or does not pass. The worst reason of its scopes is the reason of a verdict."""

    PASSED = "passed"
    FAILED = "failed"
    PARTIAL = "partial"
    UNUSUAL_ACTIVITY = "unusual_activity"
    NOT_SCHEDULED = "not_scheduled"
    MISSED = "missed"
    STALE = "stale"
    RUNNING = "running"
    SKIPPED = "skipped"
    UNKNOWN_STATE = "unknown_state"
    UNREADABLE = "unreadable"
    CLOCK_SKEW = "clock_skew"
    EXCLUDED = "excluded"
    FORGOTTEN = "forgotten"


# Worst first.
_SEVERITY = (
    Reason.UNUSUAL_ACTIVITY,
    Reason.FAILED,
    Reason.PARTIAL,
    Reason.NOT_SCHEDULED,
    Reason.MISSED,
    Reason.STALE,
    Reason.RUNNING,
    Reason.SKIPPED,
    Reason.UNKNOWN_STATE,
    Reason.UNREADABLE,
    Reason.CLOCK_SKEW,
)
# Scopes with these reasons are in the evidence but do not count in the verdict.
_NOT_JUDGED = frozenset({Reason.EXCLUDED, Reason.FORGOTTEN})
_RANKS = {
    reason: rank for rank, reason in enumerate((*_SEVERITY, Reason.PASSED, Reason.FORGOTTEN, Reason.EXCLUDED))
}
# A scope with one of these reasons waits for a backup, which comes only where one is scheduled.
_WAITS_FOR_BACKUP = frozenset({Reason.MISSED, Reason.STALE, Reason.SKIPPED})
# No backup of a scope with one of these reasons has started in the window.
_WITHOUT_START = frozenset({Reason.MISSED, Reason.STALE, Reason.NOT_SCHEDULED})
# The problem of a row that may belong to several scopes.
_UNPLACED = "the row does not say whose it is, so it may belong here"
# What a message advises for each reason.
_ADVICE = {
    Reason.FAILED: (
        "Look at the failed job in AvePoint Online Services, mend its cause and run the backup again."
    ),
    Reason.PARTIAL: (
        "Look at the job's errors in AvePoint Online Services; max_failed, max_failed_ratio or "
        "accept_partial let a partial backup pass."
    ),
    Reason.UNUSUAL_ACTIVITY: (
        "Look at the unusual activity in AvePoint Online Services before you delete or overwrite anything: "
        "the newest good backup may hold the damage. max_unusual lets more of it pass."
    ),
    Reason.NOT_SCHEDULED: (
        "Schedule the backup of this service in AvePoint Online Services, or leave the service out of "
        "object_types."
    ),
    Reason.MISSED: (
        "Check that the backup is scheduled, and that the policy names ids, object types and locations that "
        "exist."
    ),
    Reason.STALE: (
        "Check why the backup has not run since, or give an older started_after or a longer max_age."
    ),
    Reason.RUNNING: "Wait for the backup to end: AvePointBackupSensor does.",
    Reason.SKIPPED: "Check why the backup was skipped or stopped, and run it again.",
    Reason.UNKNOWN_STATE: (
        "Look at the job in AvePoint Online Services; update this provider, or report the state."
    ),
    Reason.UNREADABLE: (
        "Look in AvePoint Online Services at what is named; update this provider, or report the row."
    ),
    Reason.CLOCK_SKEW: "Compare the clocks of this machine and of the API, and look at the job's times.",
}


# What each rule asks for: the values of decide_by.
_RULES = {
    "newest": "the newest ended backup of a scope decides",
    "any": "one good backup of a scope is enough",
    "all": "every ended backup of a scope must be good",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeVerdict:
    """The verdict on one scope.

    :param scope: the scope.
    :param passed: whether the scope is good.
    :param reason: why *passed* is what it is.
    :param decided_by: which backups had to be good: ``newest``, ``any`` or ``all``.
    :param decided_because: why *decided_by* held.
    :param job: the job that decided; where none did, the newest job.
    :param newer_good: a newer backup that is good, where *job* is bad and all backups had to be good.
    :param open_jobs: every running or waiting job of the scope, newest first.
    :param age_seconds: the time from the start of *job* to the judgement; None where the start is not known.
    :param window_start: the earliest start that counts.
    :param is_settled: the scope is bad, and no running or waiting job can mend that.
    :param missed_runs: the times at which a backup was due in the window, and that no job answers.
    :param unusual: the counts of unusual activity that are above the policy's limit, or are not understood.
    :param schedule_problems: what is odd of rows of the schedule that may be about the service of the scope.
    """

    scope: Scope
    passed: bool
    reason: Reason
    decided_by: str = "newest"
    decided_because: str = ""
    job: BackupJob | None = None
    newer_good: BackupJob | None = None
    open_jobs: tuple[BackupJob, ...] = ()
    age_seconds: float | None = None
    window_start: datetime | None = None
    is_settled: bool = False
    missed_runs: tuple[datetime, ...] = ()
    unusual: tuple[ActivityCounts, ...] = ()
    schedule_problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the scope's evidence, ready for JSON; jobs come without their raw rows.

        Missed runs, unusual activity and problems of the schedule are there only where there are any.
        """
        written = {
            "scope": self.scope.as_dict(),
            "passed": self.passed,
            "reason": self.reason.value,
            "decided_by": self.decided_by,
            "decided_because": self.decided_because,
            "job": None if self.job is None else _write_evidence(self.job),
            "newer_good": None if self.newer_good is None else _write_evidence(self.newer_good),
            "open_jobs": [_write_evidence(job) for job in self.open_jobs],
            "age_seconds": self.age_seconds,
            "window_start": None if self.window_start is None else self.window_start.isoformat(),
        }
        if self.missed_runs:
            written["missed_runs"] = [each.isoformat() for each in self.missed_runs]
        if self.unusual:
            written["unusual_activity"] = [each.as_dict() for each in self.unusual]
        if self.schedule_problems:
            written["schedule_problems"] = list(self.schedule_problems)
        return written

    def describe(self, organizations: Mapping[str | None, str]) -> str:
        """Describe the verdict on the scope in one line: its name, the reason, and the job that decided.

        :param organizations: names of organisations, by :func:`.normalize_id` of their ids.
        """
        text = f"{_name(self.scope, organizations)}: {self.reason}"
        if self.reason is Reason.NOT_SCHEDULED:
            text += ", no backup is scheduled"
        if self.missed_runs:
            missed = list_some(map(show_time, self.missed_runs), _MOST_COUNTS)
            text += f", no job answers the backup due {missed}"
        elif self.window_start is not None and self.reason in _WITHOUT_START:
            text += f", no backup has started since {show_minute(self.window_start)}"
        if self.unusual:
            text += f", {list_some(map(str, self.unusual), _MOST_COUNTS)}"
        if self.schedule_problems:
            text += f", its schedule is not understood: {list_some(self.schedule_problems, _MOST_COUNTS)}"
        if self.job is not None:
            error = "" if self.passed else quote_error(self.job)
            text += f" ({describe_briefly(self.job)}{error})"
        if self.newer_good is not None:
            text += f"; the newer {describe_briefly(self.newer_good)} is good, but {self.decided_because}"
        return text

    def __str__(self) -> str:
        return self.describe({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the backup is good, with the evidence.

    :param passed: whether every judged scope is good, and at least one scope was judged.
    :param reason: ``passed``, or the reason of the worst scope.
    :param scopes: the verdicts on the scopes, sorted by scope.
    :param policy: what had to be good.
    :param judged_at: the time of judgement, in UTC.
    :param circumstances: the schedules and the unusual activity that the policy asks for.
    """

    passed: bool
    reason: Reason
    scopes: tuple[ScopeVerdict, ...]
    policy: Policy
    judged_at: datetime
    circumstances: Circumstances = field(default_factory=Circumstances, compare=False, repr=False)

    @property
    def is_settled(self) -> bool:
        """Whether waiting longer cannot help: some scope is bad and stays bad."""
        return any(scope.is_settled for scope in self.scopes)

    @property
    def warnings(self) -> list[str]:
        """Sentences about what the verdict itself does not say.

        They name scopes that are no longer expected, organisations of which no job was listed, and services
        that are scheduled and cannot be looked for.
        """
        product, found = self.policy.product, []
        forgotten = [each for each in self.scopes if each.reason is Reason.FORGOTTEN and each.job is not None]
        if forgotten:
            named = list_some(
                f"{each.scope} ({describe_briefly(each.job)})" for each in forgotten if each.job
            )
            found.append(
                f"{product}: no longer expected, since the last backup is older than expect_seen_within: "
                f"{named}. Name in the policy what must be backed up."
            )
        seen = {each.scope.organization_id for each in self.scopes if each.job is not None}
        missed = [each.scope.organization_id for each in self.scopes if each.reason is Reason.MISSED]
        unknown = [
            one_line(each, 100) for each in dict.fromkeys(missed) if each is not None and each not in seen
        ]
        if unknown:
            since, whose = show_minute(self.policy.memory_start(self.judged_at)), list_some(unknown)
            found.append(
                f"{product}: no job of organisation {whose} has started since {since}; check the id."
            )
        object_types = get_product(product).object_types
        scheduled = {name for each in self.circumstances.schedules for name in each.scheduled}
        if not_asked := sorted(scheduled - set(object_types)):
            found.append(
                f"{product}: scheduled, but no job can be asked for by this service: {list_some(not_asked)}."
            )
        if (days := self.circumstances.known_days) is not None and days.error is not None:
            found.append(
                f"{product}: the schedule of past days cannot be read, so nothing passes: {days.error}"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict with its evidence, ready for JSON.

        Schedules and unusual activity are there only where the policy asks for them.
        """
        written = {
            "passed": self.passed,
            "reason": self.reason.value,
            "scopes": [scope.as_dict() for scope in self.scopes],
            "policy": self.policy.as_dict(),
            "judged_at": self.judged_at.isoformat(),
        }
        if self.policy.expect_scheduled:
            written["schedules"] = [each.as_dict() for each in self.circumstances.schedules]
            written["schedule_days"] = describe_days(self.policy, self.circumstances, self.judged_at)
        if self.policy.max_unusual is not None:
            written["unusual_activity"] = [each.as_dict() for each in self.circumstances.activities]
        return written

    @property
    def summary(self) -> str:
        """The verdict in one line: how many scopes are good, and the worst reason."""
        judged = self._judged
        good = sum(scope.passed for scope in judged)
        tail = "".join(
            f", {count} {reason}"
            for reason in sorted(_NOT_JUDGED)
            if (count := sum(scope.reason is reason for scope in self.scopes))
        )
        product = self.policy.product
        if self.passed:
            return f"{product}: backup verified in {good} of {len(judged)} scopes{tail}."
        if not judged:
            since = show_minute(self.policy.look_back_start(self.judged_at))
            return f"{product}: missed: no backup of any scope since {since}{tail}."
        return f"{product}: {self.reason}: {good} of {len(judged)} scopes good{tail}."

    @property
    def worst_first(self) -> list[ScopeVerdict]:
        """The scopes, worst first: after those that pass come those that do not count in the verdict."""
        return sorted(self.scopes, key=lambda scope: _RANKS[scope.reason])

    def describe(self) -> str:
        """Describe the verdict for a log: a summary, and one line a scope, worst first.

        Of a verdict that passes, the lines name the jobs that decided. Of any other, the lines name the
        scopes that are not good; then come the window, the rule, and what to do.
        """
        bad = [scope for scope in self.worst_first if scope.reason in _SEVERITY]
        names = name_organizations(job for scope in self.scopes for job in (scope.job, *scope.open_jobs))
        shown = self._judged if self.passed else bad
        lines = [self.summary]
        lines += [f"- {scope.describe(names)}" for scope in shown[:_MOST_SCOPES]]
        if rest := Counter(scope.reason.value for scope in shown[_MOST_SCOPES:]):
            counts = ", ".join(f"{count} {reason}" for reason, count in rest.items())
            lines.append(f"- and {rest.total()} more: {counts}")
        if self.passed:
            return "\n".join(lines)
        lines.append(self._describe_window())
        lines += [
            f"Rule: {_RULES[rule]} ({rule}: {why})."
            for rule, why in dict.fromkeys((scope.decided_by, scope.decided_because) for scope in bad)
        ]
        reasons = list(dict.fromkeys(scope.reason for scope in bad)) or [self.reason]
        lines += [f"What to do ({reason}): {_ADVICE[reason]}" for reason in reasons]
        if ways := self._explain_rule(bad):
            lines.append(ways)
        return "\n".join(lines)

    @property
    def _judged(self) -> list[ScopeVerdict]:
        return [scope for scope in self.scopes if scope.reason not in _NOT_JUDGED]

    def _describe_window(self) -> str:
        """Say which starts count, and which argument of the policy says so."""
        policy, start = self.policy, self.policy.window_start(self.judged_at)
        is_age = policy.max_age is not None and start == self.judged_at - policy.max_age
        given = f"max_age is {_show_span(policy.max_age)}" if is_age else "started_after"
        return (
            f"{WINDOW}a backup counts if it has started since {show_time(start)} ({given}); "
            f"judged at {show_time(self.judged_at)}."
        )

    def _explain_rule(self, bad: Iterable[ScopeVerdict]) -> str:
        """Return what would let a newer good backup decide; empty where there is no such backup."""
        if not any(scope.newer_good for scope in bad):
            return ""
        ways = 'decide_by="newest"'
        if get_product(self.policy.product).differs_by_tenant_only:
            ways += ", or single_tenant in the connection where the app registration reaches one tenant,"
        return f"{ways} lets the newest backup decide."


def judge(
    jobs: Iterable[BackupJob],
    policy: Policy,
    now: datetime,
    *,
    single_tenant: bool = False,
    circumstances: Circumstances | None = None,
) -> Verdict:
    """Decide whether *jobs* hold the good backups that *policy* asks for at *now*.

    :param jobs: jobs in any order; jobs of other products, types and scopes are ignored.
    :param policy: what a good backup is.
    :param now: an aware datetime, from which ages are measured.
    :param single_tenant: rows without an organisation all belong to one organisation.
    :param circumstances: the answers to ``policy.questions()``; None where the policy asks nothing.
    :raises AvePointConfigError: *now* has no time zone, the policy gives an organisation's name where its id
        belongs, or an answer to one of its questions is missing.
    :raises AvePointError: the jobs are good, but what is known of past days could not be read.
    """
    if now.utcoffset() is None:
        raise AvePointConfigError("now: the time of judgement has no time zone.")
    now = now.astimezone(UTC)
    known = circumstances or Circumstances()
    require_answers(policy, known)
    product = get_product(policy.product)
    counted = [job for job in jobs if job.product == policy.product and job.job_type in policy.job_type]
    Organizations.of(counted).refuse_names("organization_ids", policy.organization_ids or ())
    if product.asks_each_object_type:
        counted = leave_out_claimed(counted)
    counted = doubt_unfiltered(counted, product)
    by_scope = _sort_into_scopes(counted, policy, product)
    look_back, memory = policy.look_back_start(now), policy.memory_start(now)
    expected = {
        scope: rows for scope, rows in by_scope.items() if any(may_be_since(job, look_back) for job in rows)
    }
    for scope in _named_scopes(policy, expected):
        expected[scope] = by_scope.get(scope, [])
    due = list_due_runs(policy, known, product)
    for scope in list_scheduled(policy, known, due, now):
        if not any(_covers(each, scope) for each in expected):
            expected[scope] = by_scope.get(scope, [])
    forgotten = {
        scope: rows
        for scope, rows in by_scope.items()
        if scope not in expected and any(may_be_since(job, memory) for job in rows)
    }
    alarms = Alarms(policy, known, expected, now)
    verdicts = [
        _weigh(
            _judge_scope(scope, rows, policy, now, single_tenant=single_tenant),
            rows,
            policy,
            now,
            known=known,
            due=due,
            unusual=alarms.of(scope),
        )
        for scope, rows in expected.items()
    ]
    verdicts += [
        _forget(scope, rows, policy, now, single_tenant=single_tenant) for scope, rows in forgotten.items()
    ]
    judged = [verdict.reason for verdict in verdicts if verdict.reason not in _NOT_JUDGED]
    bad = [reason for reason in judged if reason is not Reason.PASSED]
    worst = min(bad, key=_SEVERITY.index) if bad else Reason.PASSED
    passed = bool(judged) and not bad
    if passed and known.known_days is not None and known.known_days.error is not None:
        raise known.known_days.error
    return Verdict(
        passed=passed,
        reason=worst if judged else Reason.MISSED,
        scopes=tuple(sorted(verdicts, key=lambda verdict: str(verdict.scope))),
        policy=policy,
        judged_at=now,
        circumstances=known,
    )


def _weigh(
    verdict: ScopeVerdict,
    seen: list[BackupJob],
    policy: Policy,
    now: datetime,
    *,
    known: Circumstances,
    due: DueRuns,
    unusual: tuple[ActivityCounts, ...],
) -> ScopeVerdict:
    """Return the verdict on a scope with what the schedule and unusual activity say of the scope.

    A backup that is good shows no schedule to be wrong: a scope that passes is not ``not_scheduled``. A run
    may be listed late, and unusual activity may be over tomorrow: neither is settled.
    """
    if verdict.reason is Reason.EXCLUDED:
        return verdict
    scope, service = verdict.scope, verdict.scope.workload
    schedule = find_schedule(scope, known) if policy.expect_scheduled else None
    starts = due.get((scope.location, service or ""))
    if schedule is not None and starts is not None:
        missed = find_missed_runs(starts, seen, policy.window_start(now), now)
        problems = schedule.list_problems(service)
        verdict = replace(verdict, missed_runs=missed, schedule_problems=problems)
        if problems:
            is_named = service in (policy.object_types or ())
            if verdict.passed or (verdict.reason is Reason.MISSED and not is_named):
                verdict = replace(verdict, passed=False, reason=Reason.UNREADABLE)
        elif service not in schedule.scheduled and verdict.reason in _WAITS_FOR_BACKUP:
            if service in (policy.object_types or ()):
                verdict = replace(verdict, reason=Reason.NOT_SCHEDULED, is_settled=True)
        elif missed and verdict.passed:
            verdict = replace(verdict, passed=False, reason=Reason.MISSED)
    if unusual:
        verdict = replace(verdict, unusual=unusual)
        if verdict.passed:
            is_alarm = any(each.alarm > (policy.max_unusual or 0) for each in unusual)
            reason = Reason.UNUSUAL_ACTIVITY if is_alarm else Reason.UNREADABLE
            verdict = replace(verdict, passed=False, reason=reason)
    return verdict


def grade_job(job: BackupJob, now: datetime, *, accept_partial: bool = False) -> Reason:
    """Grade one job by itself, by the same rules as a gate.

    :param job: the job.
    :param now: the time by the API's clock, aware.
    :param accept_partial: a partial backup passes.
    """
    if job.problems:
        return Reason.UNREADABLE
    if job.state is JobState.UNKNOWN:
        return Reason.UNKNOWN_STATE
    if job.state.is_open:
        return Reason.RUNNING
    if is_askew(job, now):
        return Reason.CLOCK_SKEW
    if job.state not in GRADES:
        return Reason.SKIPPED
    grade = Limits(accept_partial=accept_partial).grade(job)
    return {JobState.SUCCESS: Reason.PASSED, JobState.PARTIAL: Reason.PARTIAL}.get(grade, Reason.FAILED)


def _sort_into_scopes(
    jobs: Iterable[BackupJob], policy: Policy, product: Product
) -> dict[Scope, list[BackupJob]]:
    """Group jobs by scope; drop scopes that the policy does not name.

    A job that was listed several times is kept several times. A job that may belong to several scopes is put
    into each of them, with a problem.
    """
    counted = list(jobs)
    spelled: dict[str | None, str | None] = {}
    for name in sorted({job.organization_id for job in counted if job.organization_id is not None}):
        spelled.setdefault(normalize_id(name), name)
    organizations = {normalize_id(each): each for each in policy.organization_ids or ()}
    spelled |= organizations
    sightings: dict[Scope, list[BackupJob]] = defaultdict(list)
    unplaced: list[tuple[Scope, BackupJob]] = []
    for job in counted:
        workload = job.workload
        if workload is None and product.asks_each_object_type:
            workload = OTHER
        scope = Scope(
            organization_id=spelled.get(normalize_id(job.organization_id)),
            workload=workload,
            location=job.location,
            content=policy.content_of(job.job_type or ""),
        )
        if _is_unplaced(job, scope, policy, product):
            unplaced.append((scope, job))
        elif policy.names(scope):
            sightings[scope].append(job)
    # Rows with more dimensions come first: a row with fewer dimensions may belong to their scopes.
    for scope, job in sorted(
        unplaced, key=lambda each: (each[0].organization_id, each[0].workload).count(None)
    ):
        doubted = job if job.problems else replace(job, problems=(_UNPLACED,))
        possible = [each for each in sightings if _may_be(scope, each)]
        if not possible and policy.names(scope):
            possible = [scope]
        for each in possible:
            sightings[each].append(doubted)
    return dict(sightings)


def _is_unplaced(job: BackupJob, scope: Scope, policy: Policy, product: Product) -> bool:
    """Tell whether a row leaves out a dimension that other rows have, so that several scopes may own the job.

    A job without its raw row is trusted.
    """
    parts = (
        (scope.organization_id, product.columns.organization_id, policy.organization_ids),
        (scope.workload, product.columns.workload, policy.object_types),
    )
    return any(
        found is None and column is not None and (job.problems or (named is not None and job.raw))
        for found, column, named in parts
    )


def _may_be(unplaced: Scope, scope: Scope) -> bool:
    """Tell whether a job whose row shows only the dimensions of *unplaced* may belong to *scope*."""
    return (
        unplaced.organization_id in (None, scope.organization_id)
        and unplaced.workload in (None, scope.workload)
        and unplaced.location == scope.location
        and unplaced.content == scope.content
    )


def leave_out_claimed(jobs: Iterable[BackupJob]) -> list[BackupJob]:
    """Drop each job without a workload that was also listed with a workload.

    Where a query asks for all object types together, the server repeats the jobs of each single type.

    :param jobs: the jobs of all queries of one product.
    """
    listed = list(jobs)
    claimed = {_identity(job) for job in listed if job.workload is not None}
    return [job for job in listed if job.workload is not None or _identity(job) not in claimed]


def _named_scopes(policy: Policy, seen: Iterable[Scope]) -> Iterable[Scope]:
    """Yield the scopes that the policy names, by its lists or job types, and that no scope in *seen* covers.

    Where job types have different contents, each content is expected of every organisation.
    """
    known = list(seen)
    contents = list(dict.fromkeys(map(policy.content_of, policy.job_type)))
    organizations: Iterable[str | None] = policy.organization_ids or ()
    if len(contents) > 1 and not organizations:
        organizations = sorted({each.organization_id for each in known if each.organization_id is not None})
    for organization in organizations or (None,):
        for workload in policy.object_types or (None,):
            for location in policy.locations or (None,):
                for content in contents:
                    named = Scope(
                        organization_id=organization, workload=workload, location=location, content=content
                    )
                    is_named = named != Scope() or len(contents) > 1
                    if is_named and not any(_covers(scope, named) for scope in known):
                        yield named


def _covers(scope: Scope, named: Scope) -> bool:
    return (
        named.organization_id in (None, scope.organization_id)
        and named.workload in (None, scope.workload)
        and named.location in (None, scope.location)
        and named.content == scope.content
    )


def _judge_scope(
    scope: Scope, seen: list[BackupJob], policy: Policy, now: datetime, *, single_tenant: bool
) -> ScopeVerdict:
    start, look_back = policy.window_start(now), policy.look_back_start(now)
    rule = _find_rule(policy, scope, single_tenant=single_tenant)
    limits = Limits.of(policy)
    ordered = _order(seen, limits)
    open_jobs = tuple(job for job in ordered if job.state.is_open)

    def conclude(reason: Reason, job: BackupJob | None, **more: Any) -> ScopeVerdict:
        return ScopeVerdict(
            scope=scope,
            passed=reason is Reason.PASSED,
            reason=reason,
            decided_by=rule.word,
            decided_because=rule.because,
            job=job,
            open_jobs=open_jobs,
            age_seconds=_age(job, now),
            window_start=start,
            **more,
        )

    newest = ordered[0] if ordered else None
    if any(exclusion.covers(scope, now) for exclusion in policy.exclude or ()):
        return conclude(Reason.EXCLUDED, newest)
    window = [job for job in ordered if may_be_since(job, start)]
    askew = [job for job in seen if may_be_since(job, start) and is_askew(job, now)]
    if askew:
        return conclude(Reason.CLOCK_SKEW, max(askew, key=lambda job: (*newness(job, limits), job.job_id)))
    if not window:
        known = any(may_be_since(job, look_back) for job in seen)
        return conclude(Reason.STALE if known else Reason.MISSED, newest if known else None)

    not_understood = [job for job in window if is_not_understood(job)]
    ended = [job for job in window if job.state in GRADES and not is_not_understood(job)]
    decisive = _decide(ended, not_understood, rule.word, limits)
    if decisive is None:
        return conclude(*_explain_indecision(window, not_understood))
    grade = limits.grade(decisive)
    if grade is JobState.SUCCESS:
        return conclude(Reason.PASSED, decisive)
    reason = Reason.FAILED if grade is JobState.FAILED else Reason.PARTIAL
    if rule.word == "all":
        # Under this rule, no newer backup can mend a bad one.
        newer = [job for job in ended if newness(job, limits) > newness(decisive, limits)]
        newer_good = next((job for job in newer if limits.grade(job) is JobState.SUCCESS), None)
        return conclude(reason, decisive, newer_good=newer_good, is_settled=True)
    hopeful = [job for job in window if job.state.is_open]
    if rule.word == "newest":
        hopeful = [job for job in hopeful if newness(job, limits) > newness(decisive, limits)]
    return conclude(reason, decisive, is_settled=not hopeful)


def _forget(
    scope: Scope, seen: list[BackupJob], policy: Policy, now: datetime, *, single_tenant: bool
) -> ScopeVerdict:
    """Return the evidence of a scope that is older than look-back, so no longer expected."""
    rule = _find_rule(policy, scope, single_tenant=single_tenant)
    newest = _order(seen, Limits.of(policy))[0]
    is_excluded = any(exclusion.covers(scope, now) for exclusion in policy.exclude or ())
    return ScopeVerdict(
        scope=scope,
        passed=False,
        reason=Reason.EXCLUDED if is_excluded else Reason.FORGOTTEN,
        decided_by=rule.word,
        decided_because=rule.because,
        job=newest,
        age_seconds=_age(newest, now),
        window_start=policy.window_start(now),
    )


def _order(seen: Iterable[BackupJob], limits: Limits) -> list[BackupJob]:
    """Return each job of a scope once, newest first."""
    sightings: dict[str, list[BackupJob]] = defaultdict(list)
    for job in seen:
        sightings[job.job_id].append(job)
    rows = [max(each, key=lambda job: outcome(job, limits)) for each in sightings.values()]
    return sorted(rows, key=lambda job: (*newness(job, limits), job.job_id), reverse=True)


def _explain_indecision(window: list[BackupJob], not_understood: list[BackupJob]) -> tuple[Reason, BackupJob]:
    """Return why no job in the window decides, and the job that shows the reason."""
    if not_understood:
        job = not_understood[0]
        return Reason.UNREADABLE if job.problems else Reason.UNKNOWN_STATE, job
    underway = next((job for job in window if job.state.is_open), None)
    return (Reason.SKIPPED, window[0]) if underway is None else (Reason.RUNNING, underway)


def _decide(
    ended: list[BackupJob], not_understood: list[BackupJob], rule: str, limits: Limits
) -> BackupJob | None:
    """Return the backup that decides; None where no backup ended, or a newer job is not understood.

    :param ended: the window's ended backups, newest first.
    :param not_understood: the window's jobs with an unknown outcome, newest first.
    """
    if not ended:
        return None
    if rule == "all":
        # A job that is not understood may be a bad backup of another tenant or machine.
        worst = max(ended, key=lambda job: GRADES.index(limits.grade(job)))
        return worst if limits.grade(worst) is not JobState.SUCCESS or not not_understood else None
    deciding = ended[0]
    if rule == "any":
        deciding = next((job for job in ended if limits.grade(job) is JobState.SUCCESS), deciding)
    if not_understood and newness(not_understood[0], limits) > newness(deciding, limits):
        return None
    return deciding


class _Rule(NamedTuple):
    """Which backups of a scope must be good, and why."""

    word: str
    because: str


def _find_rule(policy: Policy, scope: Scope, *, single_tenant: bool) -> _Rule:
    """Return which backups of *scope* must be good, and why."""
    product = get_product(policy.product)
    if policy.decide_by is not None:
        return _Rule(policy.decide_by, f"the policy says decide_by={policy.decide_by!r}")
    if product.needs_organization:
        return _Rule("all", "rows do not tell a customer's tenants and machines apart, so all must be good")
    if scope.organization_id is not None:
        return _Rule("newest", "each row's organisation is known")
    if single_tenant and product.differs_by_tenant_only:
        return _Rule("newest", "the connection says single_tenant")
    return _Rule("all", "rows do not say what they belong to, so all must be good")


def _identity(job: BackupJob) -> tuple[str | None, ...]:
    return (job.location, normalize_id(job.organization_id), job.job_id)


def _age(job: BackupJob | None, now: datetime) -> float | None:
    begun = None if job is None else job.effective_start
    return None if begun is None else max(0.0, (now - begun).total_seconds())


def _show_span(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:g} s" if seconds < 3600 else f"{seconds / 3600:g} h"


def _name(scope: Scope, organizations: Mapping[str | None, str]) -> str:
    """Return the name of a scope, with the organisation's name before its id where a row names both."""
    known = organizations.get(normalize_id(scope.organization_id))
    if scope.organization_id is None or known in (None, scope.organization_id):
        return str(scope)
    return f"{known} ({replace(scope, workload=None, location=None, content=None)})" + "".join(
        f" / {one_line(part)}" for part in (scope.workload, scope.location, scope.content) if part
    )


def _write_evidence(job: BackupJob) -> dict[str, Any]:
    written = job.as_dict()
    del written["raw"]
    return written
