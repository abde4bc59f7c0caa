"""Weigh a scope's verdict against the schedule and unusual activity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import is_same_organization
from airflow_provider_avepoint.core.policy import Policy, Scope
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import CLOCK_SKEW, shift
from airflow_provider_avepoint.core.schedule import split_into_days

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import ActivityCounts
    from airflow_provider_avepoint.core.model import BackupJob
    from airflow_provider_avepoint.core.questions import Circumstances
    from airflow_provider_avepoint.core.schedule import BackupSchedule, DaySchedule

#: How long after its time in the schedule a backup may start before it is missed. The documents do not say
#: how late it may be; the shortest distance between two starts in their sample is 6 hours.
DUE_TOLERANCE = timedelta(hours=1)
_DAY = timedelta(days=1)
# A job that has not ended for so long may hang: it answers no run that is due after this time. It is a little
# less than a day, so that a backup of yesterday does not answer today's.
_LONGEST_OPEN = timedelta(hours=23)


def require_answers(policy: Policy, known: Circumstances) -> None:
    """Raise where nobody has asked what the policy needs to know: then nothing passes.

    :param policy: the policy.
    :param known: what was asked.
    :raises AvePointConfigError: an answer is missing.
    """
    for is_needed, readings, argument in (
        (policy.expect_scheduled, known.schedules, "expect_scheduled"),
        (policy.max_unusual is not None, known.activities, "max_unusual"),
    ):
        places = {each.location for each in readings}
        wanted = set(policy.locations or ())
        if is_needed and not (readings and places >= wanted):
            raise AvePointConfigError(f"{argument}: judge() needs the answers to Policy.questions().")


#: Location and service → the starts of the service that the schedule of the location tells.
DueRuns = Mapping[tuple[str | None, str], set[datetime]]


def list_due_runs(policy: Policy, known: Circumstances, product: Product) -> DueRuns:
    """Return the starts of each service that the policy may expect, of all days that are known.

    :param policy: the policy; its object types, where given, leave out all others.
    :param known: what was asked, and what is known of past days.
    :param product: the policy's product.
    """
    return {
        (schedule.location, service): list_due(schedule, service, known)
        for schedule in known.schedules
        for service in policy.object_types or product.object_types
    }


def list_scheduled(policy: Policy, known: Circumstances, due: DueRuns, now: datetime) -> Iterator[Scope]:
    """Yield the scopes that the schedule makes expected: what is scheduled today, or was due in the window.

    A service whose row is not understood is expected, too: nobody knows that it is not scheduled.

    :param policy: the policy.
    :param known: what was asked.
    :param due: what :func:`list_due_runs` returned.
    :param now: the time of judgement.
    """
    start = policy.window_start(now)
    scheduled = {
        (each.location, service)
        for each in known.schedules
        for service in (*each.scheduled, *(odd.service for odd in each.odd))
    }
    for (location, service), starts in due.items():
        if (location, service) in scheduled or any(_is_due(each, start, now) for each in starts):
            yield Scope(workload=service, location=location)


def list_due(schedule: BackupSchedule, service: str, known: Circumstances) -> set[datetime]:
    """Return the starts of a service on today and on the past days that are known.

    Where readings of a day were kept, they hold today's answer and also what was due before a change of the
    schedule.

    :param schedule: today's answer.
    :param service: our word.
    :param known: what was asked, and what is known of past days.
    """
    days = _list_days(schedule, known)
    kept = {each.day for each in days}
    due = {start for each in days for start in each.list_starts(service)}
    answered = schedule.list_starts(service)
    return due | {start for start in answered if start.astimezone(UTC).date() not in kept}


def _list_days(schedule: BackupSchedule, known: Circumstances) -> list[DaySchedule]:
    days = () if known.known_days is None else known.known_days.days
    return [each for each in days if each.location == schedule.location]


def describe_days(policy: Policy, known: Circumstances, now: datetime) -> list[dict[str, Any]]:
    """Return, for each location, which days of the window have a known schedule, as ranges of days.

    The due runs of a day that nobody has read are not judged.

    :param policy: the policy.
    :param known: what was asked, and what is known of past days.
    :param now: the time of judgement.
    """
    first, last = policy.window_start(now).astimezone(UTC).date(), now.date()
    written = []
    for schedule in known.schedules:
        days = [*split_into_days(schedule), *_list_days(schedule, known)]
        read = sorted({each.day for each in days if each.read_at is not None and first <= each.day <= last})
        unknown, begin = [], first
        for day in read:
            if begin < day:
                unknown.append((begin, day - _DAY))
            begin = day + _DAY
        if begin <= last:
            unknown.append((begin, last))
        written.append(
            {
                "location": schedule.location,
                "known": _write_ranges(_join_days(read)),
                "unknown": _write_ranges(unknown),
            }
        )
    return written


def _join_days(days: Iterable[date]) -> list[tuple[date, date]]:
    ranges: list[tuple[date, date]] = []
    for day in days:
        if ranges and ranges[-1][1] == day - _DAY:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def _write_ranges(ranges: Iterable[tuple[date, date]]) -> list[list[str]]:
    return [[first.isoformat(), last.isoformat()] for first, last in ranges]


def find_schedule(scope: Scope, known: Circumstances) -> BackupSchedule | None:
    """Return the schedule of a scope's location; None where there is none.

    :param scope: the scope.
    :param known: what was asked.
    """
    return next((each for each in known.schedules if each.location == scope.location), None)


def find_missed_runs(
    due: Iterable[datetime], jobs: Iterable[BackupJob], start: datetime, now: datetime
) -> tuple[datetime, ...]:
    """Return the times of the schedule in the window that no job answers, earliest first.

    A job answers a time where it started then, or later and before the next time, or was running at the time:
    the vendor skips a backup that is due while another one runs, and may list no row for the skipped one. But
    a job that has not ended answers so for 23 hours only: afterwards it may hang. So a late backup is missed
    until it starts: a job that waits for a start to come answers nothing.

    :param due: the times of the schedule.
    :param jobs: the jobs of the service, in any state.
    :param start: the begin of the window.
    :param now: the time of judgement.
    """
    listed, times = [job for job in jobs if has_begun(job, now)], sorted(due)
    missed = []
    for index, each in enumerate(times):
        end = min([*times[index + 1 : index + 2], shift(each, _DAY)])
        if _is_due(each, start, now) and not any(_answers(job, each, end) for job in listed):
            missed.append(each)
    return tuple(missed)


def _is_due(moment: datetime, start: datetime, now: datetime) -> bool:
    """Tell whether a backup that is scheduled for *moment* was due in the window, and must have begun."""
    return start <= moment <= now - DUE_TOLERANCE


def has_begun(job: BackupJob, now: datetime) -> bool:
    """Tell whether a job may have begun: it states no start, or one that has come.

    :param job: the job; a job that waits states its planned start.
    :param now: the time of judgement.
    """
    begun = job.effective_start
    return begun is None or begun <= shift(now, CLOCK_SKEW)


def _answers(job: BackupJob, due: datetime, following: datetime) -> bool:
    begun = job.effective_start
    if begun is None:  # it may be any
        return True
    if begun >= due - CLOCK_SKEW:
        return begun <= due + DUE_TOLERANCE or begun < following
    if job.state.is_terminal or job.finished_at is not None:
        return job.finished_at is not None and job.finished_at >= due
    return due < shift(begun, _LONGEST_OPEN)


class Alarms:
    """The counts of unusual activity above the limit of a policy, and the rows that are not understood.

    :param policy: the policy; what it excludes is no alarm.
    :param known: what was asked.
    :param scopes: the scopes that are judged.
    :param now: the time of judgement.
    """

    def __init__(self, policy: Policy, known: Circumstances, scopes: Iterable[Scope], now: datetime) -> None:
        limit = policy.max_unusual
        above = [
            counts
            for activity in known.activities
            for counts in activity.counts
            if limit is not None
            and (counts.alarm > limit or counts.problem is not None)
            and not _is_excluded(counts, policy, now)
        ]
        organizations = {scope.organization_id for scope in scopes}
        #: Those that belong to every scope: no scope is of their organisation.
        self._everywhere = [
            counts
            for counts in above
            if not any(is_same_organization(counts.organization_id, each) for each in organizations)
        ]
        self._above = above

    def of(self, scope: Scope) -> tuple[ActivityCounts, ...]:
        """Return the counts that shut a scope.

        :param scope: the scope.
        """
        if scope.organization_id is None:
            return tuple(dict.fromkeys(self._above))
        own = (
            counts
            for counts in self._above
            if is_same_organization(counts.organization_id, scope.organization_id)
        )
        return tuple(dict.fromkeys((*own, *self._everywhere)))


def _is_excluded(counts: ActivityCounts, policy: Policy, now: datetime) -> bool:
    scope = Scope(organization_id=counts.organization_id, workload=counts.service)
    return any(exclusion.covers(scope, now) for exclusion in policy.exclude or ())
