"""What the backups of a period came to, by scope and day; from jobs alone, wherever they are kept.

A day is a UTC day, and a backup belongs to the day on which it started. What a day came to is the verdict of
the check over that day's backups, by its default rules: the newest ended one decides where rows name their
organisation; elsewhere all must be good, since a row does not say which resource it protects. A backup that
could not be read is never good.
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
    """What a scope's backups of a day came to."""

    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"
    MISSED = "missed"
    RUNNING = "running"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    #: The ledger was not loaded since: the day may have a backup.
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
    """The days of a report: whole ones, and the one that *now* is in.

    :param days: how many, today included.
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
        """When the first day begins."""
        return begin(self.dates[0])


def begin(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where backups belong: a scope of a product of a tenant."""

    tenant: str
    product: str
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a place; *outcome* is None where no backup was expected."""

    date: date
    outcome: Outcome | None
    backups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time without a good backup."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the ledger knows of a place from before the period.

    :param first_at: its first backup, of any outcome.
    :param newest_at: its newest one.
    :param newest_good_at: its newest good one.
    """

    organization_name: str | None = None
    first_at: datetime
    newest_at: datetime
    newest_good_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeHistory:
    """The period of one place.

    :param newest_good_at: its newest good backup, also from before the period.
    :param longest_gap: the longest time without a good backup that reaches into the period, up to now.
    :param loaded_until: when the ledger was last loaded with its jobs.
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
        """How many days came to what."""
        return Counter(day.outcome for day in self.days if day.outcome is not None)

    @property
    def expected_days(self) -> int:
        """How many days are known, and had or should have had a backup."""
        return self.counts.total() - self.counts[Outcome.NOT_LOADED]

    @property
    def current(self) -> Outcome | None:
        """What the newest day came to of which something is known, and that is over or well."""
        known = [outcome for outcome in self._known if outcome is not Outcome.RUNNING]
        return known[-1] if known else None

    @property
    def bad_days(self) -> int:
        """How many days had no good backup; one that is under way on the newest day may yet be good."""
        known = self._known
        if known and known[-1] is Outcome.RUNNING:
            known.pop()
        return sum(outcome is not Outcome.GOOD for outcome in known)

    @property
    def needs_attention(self) -> bool:
        """Tell whether the newest that is known of it is not good."""
        return self.current is not Outcome.GOOD and bool(self.bad_days)

    @property
    def _known(self) -> list[Outcome]:
        outcomes = (day.outcome for day in self.days if day.outcome is not None)
        return [outcome for outcome in outcomes if outcome is not Outcome.NOT_LOADED]

    def age(self, now: datetime) -> timedelta | None:
        """Return how old the newest good backup is; None where there is none."""
        return None if self.newest_good_at is None else max(timedelta(), now - self.newest_good_at)


class ScopeTimeline:
    """Takes the jobs of one place, oldest first, and becomes its history.

    :param past: what is known from before the period; None where nothing is.
    """

    def __init__(self, place: Place, past: Past | None) -> None:
        self._place = place
        self._past = past
        self._name = None if past is None else past.organization_name
        self._first_at: datetime | None = None
        self._good_at: list[datetime] = []
        self._days: dict[date, Day] = {}

    def add(self, day: date, outcome: Outcome, jobs: Sequence[BackupJob], now: datetime) -> None:
        """Take the jobs that started on *day*, and what they came to, as it is known at *now*."""
        self._days[day] = Day(date=day, outcome=outcome, backups=len(jobs))
        for job in jobs:
            self._name = job.organization_name or self._name
            started = job.effective_start
            if job.problems:
                continue  # perhaps of another scope: nothing is expected because of it
            first = started or begin(day)
            self._first_at = first if self._first_at is None else min(first, self._first_at)
            if started is not None and is_good(job, now):
                self._good_at.append(started)

    def conclude(self, period: Period, loaded_until: datetime) -> ScopeHistory:
        """Return the history, with the days that had no backup."""
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
    """Tell whether a backup is good by itself, as a gate grades it: understood, ended, and a success."""
    return grade_job(job, now) is Reason.PASSED and not is_not_understood(job)


def judge_day(product: str, day: date, jobs: Iterable[BackupJob], now: datetime) -> dict[Scope, Outcome]:
    """Return what the backups that started on *day* came to, by scope."""
    policy = Policy(product=product, started_after=begin(day), expect_seen_within=None)
    verdict = judge(jobs, policy, now)
    return {each.scope: _OUTCOMES[each.reason] for each in verdict.scopes}


def scope_of(job: BackupJob) -> Scope:
    """Return the scope that a job of the ledger belongs to."""
    workload = job.workload
    if workload is None and get_product(job.product).asks_each_object_type:
        workload = OTHER
    return Scope(organization_id=job.organization_id, workload=workload, location=job.location)


def rank(histories: Iterable[ScopeHistory], now: datetime) -> tuple[ScopeHistory, ...]:
    """Return the histories, worst first: not good now, then not good on some day, then good."""

    def badness(history: ScopeHistory) -> tuple[Any, ...]:
        age = history.age(now)
        if history.needs_attention:
            grade, size = 0, timedelta.max if age is None else age
        else:
            grade, size = (1, timedelta(history.bad_days)) if history.bad_days else (2, timedelta())
        return (grade, -size.total_seconds(), history.place.tenant, history.place.product, name_of(history))

    return tuple(sorted(histories, key=badness))


def name_of(history: ScopeHistory) -> str:
    """Return what a scope is called: its organisation, workload and location, on one line."""
    scope = history.place.scope
    organization = one_line(history.organization_name or "", 60) or one_line(scope.organization_id or "", 60)
    parts = (organization, one_line(scope.workload or "", 60), one_line(scope.location or "", 60))
    return " / ".join(filter(None, parts)) or "all jobs"
