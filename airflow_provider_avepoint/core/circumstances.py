"""Weigh a scope's verdict against the schedule and unusual activity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import is_same_organization
from airflow_provider_avepoint.core.policy import Policy, Scope
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import CLOCK_SKEW

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import ActivityCounts
    from airflow_provider_avepoint.core.model import BackupJob
    from airflow_provider_avepoint.core.questions import Circumstances
    from airflow_provider_avepoint.core.schedule import BackupSchedule

#: How long after its time in the schedule a backup may start. The documents do not say how late it may be;
#: the shortest distance between two starts in their sample is 6 hours.
DUE_TOLERANCE = timedelta(hours=1)


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


def list_scheduled(policy: Policy, known: Circumstances, product: Product) -> Iterator[Scope]:
    """Yield the scopes that the schedule makes expected.

    :param policy: the policy; its object types, where given, leave out all others.
    :param known: what was asked.
    :param product: the policy's product.
    """
    for schedule in known.schedules:
        for service in schedule.scheduled:
            if service in (policy.object_types or product.object_types):
                yield Scope(workload=service, location=schedule.location)


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

    A job answers a time where it started near the time, or was running at the time: the vendor skips a
    backup that is due while another one runs, and may list no row for the skipped one.

    :param due: the times of the schedule.
    :param jobs: the jobs of the service, in any state.
    :param start: the begin of the window.
    :param now: the time of judgement.
    """
    listed = list(jobs)
    passed = (each for each in due if start <= each <= now - DUE_TOLERANCE)
    return tuple(sorted(each for each in passed if not any(_answers(job, each) for job in listed)))


def _answers(job: BackupJob, due: datetime) -> bool:
    begun = job.effective_start
    if begun is None:  # it may be any
        return True
    if due - CLOCK_SKEW <= begun <= due + DUE_TOLERANCE:
        return True
    if begun > due:
        return False
    return not job.state.is_terminal if job.finished_at is None else job.finished_at >= due


class Alarms:
    """The counts of unusual activity above the limit of a policy.

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
            if limit is not None and counts.alarm > limit and not _is_excluded(counts, policy, now)
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
            return tuple(self._above)
        own = (
            counts
            for counts in self._above
            if is_same_organization(counts.organization_id, scope.organization_id)
        )
        return (*own, *self._everywhere)


def _is_excluded(counts: ActivityCounts, policy: Policy, now: datetime) -> bool:
    scope = Scope(organization_id=counts.organization_id, workload=counts.service)
    return any(exclusion.covers(scope, now) for exclusion in policy.exclude or ())
