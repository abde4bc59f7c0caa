"""The outcome of a period's backups, by scope and day; from jobs alone, independent of where they are stored.

A day is a UTC day, and a backup belongs to the day on which it started. The outcome of a day is the verdict
of the check on that day's backups, by its default rules. Where rows name their organisation, the newest ended
backup decides. Elsewhere all backups must be good, because a row does not say which resource it protects. A
backup that could not be read is never good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from airflow_provider_avepoint.core.grading import is_not_understood
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import OTHER, Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.verdict import Reason, grade_job, judge

DAY = timedelta(days=1)


class Outcome(StrEnum):
    """The outcome of a scope's backups on a day."""

    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"
    MISSED = "missed"
    RUNNING = "running"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    #: The ledger was not loaded after this day: the day may have a backup.
    NOT_LOADED = "not loaded"


_OUTCOMES = {
    Reason.PASSED: Outcome.GOOD,
    Reason.PARTIAL: Outcome.PARTIAL,
    Reason.FAILED: Outcome.FAILED,
    Reason.MISSED: Outcome.MISSED,
    Reason.RUNNING: Outcome.RUNNING,
    Reason.SKIPPED: Outcome.SKIPPED,
    Reason.UNKNOWN_STATE: Outcome.UNKNOWN,
    Reason.UNREADABLE: Outcome.UNKNOWN,
    Reason.CLOCK_SKEW: Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days of a report: whole days, and the day of *now*.

    :param now: the moment of the report, an aware datetime.
    :param days: the number of days, today included.
    """

    now: datetime
    days: int

    @property
    def dates(self) -> tuple[date, ...]:
        """The days, oldest first."""
        today = self.now.astimezone(UTC).date()
        return tuple(today - DAY * back for back in reversed(range(self.days)))

    @property
    def start(self) -> datetime:
        """The first moment of the first day."""
        return begin(self.dates[0])


def begin(day: date) -> datetime:
    """Return the first moment of a UTC day.

    :param day: the day.
    """
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A scope of a product of a tenant, to which backups belong.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param scope: the organisation, workload and location.
    """

    tenant: str
    product: str
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a place.

    :param date: the UTC day.
    :param outcome: the outcome; None where no backup was expected.
    :param backups: how many backups started on the day.
    """

    date: date
    outcome: Outcome | None
    backups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time without a good backup.

    :param start: the start of the good backup before, or of the first known backup.
    :param end: the start of the next good backup, or the moment of the report.
    """

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """The length of the gap."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The ledger's knowledge of a place from before the period.

    :param organization_name: the organisation's name; None where unknown.
    :param first_at: when the first backup started, of any outcome.
    :param newest_at: when the newest backup started.
    :param newest_good_at: when the newest good backup started; None where there is none.
    """

    organization_name: str | None = None
    first_at: datetime
    newest_at: datetime
    newest_good_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeHistory:
    """The period of one place.

    :param place: the place.
    :param organization_name: the organisation's name; None where unknown.
    :param days: the days of the period, oldest first.
    :param newest_good_at: when the newest good backup started, in the period or before; None where there is
        none.
    :param longest_gap: the longest time without a good backup that reaches into the period, up to now.
    :param loaded_until: when the place's jobs were last loaded into the ledger.
    """

    place: Place
    organization_name: str | None
    days: tuple[Day, ...]
    newest_good_at: datetime | None
    longest_gap: Gap | None
    loaded_until: datetime

    @property
    def by_date(self) -> dict[date, Day]:
        """The days by their date."""
        return {day.date: day for day in self.days}

    @property
    def counts(self) -> Counter[Outcome]:
        """The number of days by outcome."""
        return Counter(day.outcome for day in self.days if day.outcome is not None)

    @property
    def expected_days(self) -> int:
        """The number of days that are known and had, or should have had, a backup."""
        return self.counts.total() - self.counts[Outcome.NOT_LOADED]

    @property
    def current(self) -> Outcome | None:
        """The outcome of the newest known day whose outcome is not ``running``; None where there is none."""
        known = [outcome for outcome in self._known if outcome is not Outcome.RUNNING]
        return known[-1] if known else None

    @property
    def bad_days(self) -> int:
        """The number of days without a good backup; a backup running on the newest day does not count."""
        known = self._known
        if known and known[-1] is Outcome.RUNNING:
            known.pop()
        return sum(outcome is not Outcome.GOOD for outcome in known)

    @property
    def needs_attention(self) -> bool:
        """Whether the newest known outcome is not good."""
        return self.current is not Outcome.GOOD and bool(self.bad_days)

    @property
    def _known(self) -> list[Outcome]:
        outcomes = (day.outcome for day in self.days if day.outcome is not None)
        return [outcome for outcome in outcomes if outcome is not Outcome.NOT_LOADED]

    def age(self, now: datetime) -> timedelta | None:
        """Return the age of the newest good backup; None where there is none.

        :param now: the moment of the report.
        """
        return None if self.newest_good_at is None else max(timedelta(), now - self.newest_good_at)


class ScopeTimeline:
    """Collect the jobs of one place, oldest first, and return its history.

    :param place: the place.
    :param past: the knowledge from before the period; None where there is none.
    """

    def __init__(self, place: Place, past: Past | None) -> None:
        self._place = place
        self._past = past
        self._name = None if past is None else past.organization_name
        self._first_at: datetime | None = None
        self._good_at: list[datetime] = []
        self._days: dict[date, Day] = {}

    def add(self, day: date, outcome: Outcome, jobs: Sequence[BackupJob], now: datetime) -> None:
        """Add the jobs of one day.

        :param day: the day on which the jobs started.
        :param outcome: the outcome of these jobs.
        :param jobs: the jobs.
        :param now: the moment of the report.
        """
        self._days[day] = Day(date=day, outcome=outcome, backups=len(jobs))
        for job in jobs:
            self._name = job.organization_name or self._name
            started = job.effective_start
            if job.problems:
                continue  # the job may belong to another scope, so it makes no day expected
            first = started or begin(day)
            self._first_at = first if self._first_at is None else min(first, self._first_at)
            if started is not None and is_good(job, now):
                self._good_at.append(started)

    def conclude(self, period: Period, loaded_until: datetime) -> ScopeHistory:
        """Return the history, with the days that had no backup.

        :param period: the period of the report.
        :param loaded_until: when the place's jobs were last loaded into the ledger.
        """
        past_good = None if self._past is None else self._past.newest_good_at
        good = sorted(self._good_at)
        if past_good is not None:
            good.insert(0, past_good)
        return ScopeHistory(
            place=self._place,
            organization_name=self._name,
            days=tuple(self._conclude_day(day, period, loaded_until) for day in period.dates),
            newest_good_at=good[-1] if good else None,
            longest_gap=self._find_longest_gap(good, period.now),
            loaded_until=loaded_until,
        )

    def _conclude_day(self, day: date, period: Period, loaded_until: datetime) -> Day:
        if day in self._days:
            return self._days[day]
        is_expected = self._past is not None or (self._first_at is not None and day > self._first_at.date())
        end = begin(day) + DAY
        if not is_expected or end > period.now:
            return Day(date=day, outcome=None)
        return Day(date=day, outcome=Outcome.MISSED if loaded_until >= end else Outcome.NOT_LOADED)

    def _find_longest_gap(self, good: list[datetime], now: datetime) -> Gap | None:
        past = self._past
        since = self._first_at if past is None else past.newest_good_at or past.first_at
        if since is None or since >= now:
            return None
        moments = [since, *(at for at in good if since < at < now), now]
        return max(
            (Gap(start=start, end=end) for start, end in pairwise(moments)), key=lambda gap: gap.length
        )


def is_good(job: BackupJob, now: datetime) -> bool:
    """Tell whether a gate would grade this backup alone as good: understood, ended, and a success.

    :param job: the backup.
    :param now: the moment of the report.
    """
    return grade_job(job, now) is Reason.PASSED and not is_not_understood(job)


def judge_day(product: str, day: date, jobs: Iterable[BackupJob], now: datetime) -> dict[Scope, Outcome]:
    """Return the outcome of a day's backups, by scope.

    :param product: the product's name.
    :param day: the UTC day.
    :param jobs: the backups that started on the day.
    :param now: the moment of the report.
    """
    policy = Policy(product=product, started_after=begin(day), expect_seen_within=None)
    verdict = judge(jobs, policy, now)
    return {each.scope: _OUTCOMES[each.reason] for each in verdict.scopes}


def scope_of(job: BackupJob) -> Scope:
    """Return the scope that a job of the ledger belongs to.

    :param job: the job.
    """
    workload = job.workload
    if workload is None and get_product(job.product).asks_each_object_type:
        workload = OTHER
    return Scope(organization_id=job.organization_id, workload=workload, location=job.location)


def rank(histories: Iterable[ScopeHistory], now: datetime) -> tuple[ScopeHistory, ...]:
    """Return the histories, worst first: not good now, then not good on some day, then good.

    :param histories: the histories of all places.
    :param now: the moment of the report.
    """

    def badness(history: ScopeHistory) -> tuple[Any, ...]:
        age = history.age(now)
        if history.needs_attention:
            grade, size = 0, timedelta.max if age is None else age
        else:
            grade, size = (1, timedelta(history.bad_days)) if history.bad_days else (2, timedelta())
        return (grade, -size.total_seconds(), history.place.tenant, history.place.product, name_of(history))

    return tuple(sorted(histories, key=badness))


def name_of(history: ScopeHistory) -> str:
    """Return the name of a scope: its organisation, workload and location, on one line.

    :param history: the history of the scope.
    """
    scope = history.place.scope
    organization = one_line(history.organization_name or "", 60) or one_line(scope.organization_id or "", 60)
    parts = (organization, one_line(scope.workload or "", 60), one_line(scope.location or "", 60))
    return " / ".join(filter(None, parts)) or "all jobs"
