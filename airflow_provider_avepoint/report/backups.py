"""The outcome of a period's backups, by scope and day; from jobs alone, independent of where they are stored.

A day is a day of the report's time zone, and a backup belongs to the day on which it started. The outcome of
a day is the verdict on that day's backups, by the policies of the gates that guard the scope; where no gate
does, by the check's default rules. Where rows name their organisation, the newest ended backup decides.
Elsewhere all backups must be good, because a row does not say which resource it protects. A backup that could
not be read is never good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any

from airflow_provider_avepoint.core.grading import GRADES, is_askew, is_not_understood
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import OTHER, Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.verdict import Reason, judge
from airflow_provider_avepoint.report.gates import Gates, Guard, Place, normalize_scope
from airflow_provider_avepoint.report.schedule import Schedule

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
    #: Every gate leaves the scope out for now.
    EXCLUDED = "excluded"
    #: The ledger was not loaded after this day: the day may have a backup.
    NOT_LOADED = "not loaded"


#: The letter of each outcome, for readers who cannot tell the colours and patterns apart.
LETTERS = {
    Outcome.GOOD: "G",
    Outcome.PARTIAL: "P",
    Outcome.FAILED: "F",
    Outcome.MISSED: "M",
    Outcome.RUNNING: "R",
    Outcome.SKIPPED: "S",
    Outcome.UNKNOWN: "U",
    Outcome.EXCLUDED: "X",
    Outcome.NOT_LOADED: "N",
}
#: The meaning of each outcome, in words.
MEANINGS = {
    Outcome.GOOD: "good: ended, and nothing failed",
    Outcome.PARTIAL: "partial: some objects failed",
    Outcome.FAILED: "failed",
    Outcome.MISSED: "missed: a backup was due, and none started",
    Outcome.RUNNING: "still running or waiting",
    Outcome.SKIPPED: "skipped or stopped",
    Outcome.UNKNOWN: "unknown: not understood, such as a state the vendor does not document",
    Outcome.EXCLUDED: "excluded: every gate leaves the scope out for now",
    Outcome.NOT_LOADED: "not loaded: the ledger ends before",
}
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
    Reason.EXCLUDED: Outcome.EXCLUDED,
}
# The worst first: what holds where several gates judge a day.
_WORST = (
    Outcome.FAILED,
    Outcome.PARTIAL,
    Outcome.MISSED,
    Outcome.UNKNOWN,
    Outcome.SKIPPED,
    Outcome.RUNNING,
    Outcome.GOOD,
    Outcome.EXCLUDED,
)
#: How far back jobs are read by which a scope is judged now; and how many of a scope are kept.
RECENT = timedelta(days=45)
_MOST_RECENT = 2000
# Days with these outcomes tell nothing of the backups.
_SILENT = frozenset({Outcome.NOT_LOADED, Outcome.EXCLUDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days of a report: whole days, and the day of *now*.

    :param now: the moment of the report, an aware datetime.
    :param days: the number of days, today included.
    :param timezone: the time zone of the days.
    """

    now: datetime
    days: int
    timezone: tzinfo = UTC

    @property
    def dates(self) -> tuple[date, ...]:
        """The days, oldest first."""
        today = self.date_of(self.now)
        return tuple(today - DAY * back for back in reversed(range(self.days)))

    @property
    def start(self) -> datetime:
        """The first moment of the first day."""
        return self.begin(self.dates[0])

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return self.begin(self.dates[-1] + DAY)

    def begin(self, day: date) -> datetime:
        """Return the first moment of a day, in UTC.

        :param day: the day.
        """
        return datetime(day.year, day.month, day.day, tzinfo=self.timezone).astimezone(UTC)

    def date_of(self, moment: datetime) -> date:
        """Return the day of a moment.

        :param moment: an aware datetime.
        """
        return moment.astimezone(self.timezone).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a place.

    :param date: the day.
    :param outcome: the outcome; None where no backup started and none was due.
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
    :param newest_good_at: when the newest backup started that is good by the default rules; None where there
        is none.
    """

    organization_name: str | None = None
    first_at: datetime
    newest_at: datetime
    newest_good_at: datetime | None = None

    def join(self, other: Past | None) -> Past:
        """Return the knowledge of both: backups of several types may hold the same.

        :param other: the knowledge from backups of another type; None where there is none.
        """
        if other is None:
            return self
        good = [each.newest_good_at for each in (self, other) if each.newest_good_at is not None]
        newer = max(self, other, key=lambda each: each.newest_at)
        return Past(
            organization_name=newer.organization_name,
            first_at=min(self.first_at, other.first_at),
            newest_at=newer.newest_at,
            newest_good_at=max(good, default=None),
        )


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
    :param expected: when a backup is expected, such as ``every day``; "" where none ever started.
    :param gates: the DAGs and tasks that judge the scope.
    :param current: the outcome of the scope now: the verdict of its gates, or else of a plain check.
    :param has_run_before: whether a backup started before the newest one.
    :param due_at: when the run after the newest one is due, in the past where the run is late; None where no
        run is known, or where each gate leaves the scope out.
    :param allowed_age: how old the newest good backup may be by the strictest gate; None where no gate says.
    :param known_since: when the first backup started that the ledger knows; None where none ever started.
    """

    place: Place
    organization_name: str | None
    days: tuple[Day, ...]
    newest_good_at: datetime | None
    longest_gap: Gap | None
    loaded_until: datetime
    expected: str
    gates: tuple[str, ...]
    current: Outcome
    has_run_before: bool
    due_at: datetime | None
    allowed_age: timedelta | None
    known_since: datetime | None

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
        return self.counts.total() - sum(self.counts[outcome] for outcome in _SILENT)

    @property
    def bad_days(self) -> int:
        """The number of days without a good backup; a backup running on the newest day does not count."""
        known = self._known
        if known and known[-1] is Outcome.RUNNING:
            known.pop()
        return sum(outcome is not Outcome.GOOD for outcome in known)

    @property
    def needs_attention(self) -> bool:
        """Whether the scope is not good now; the first backup of a scope may still run."""
        if self.current is Outcome.RUNNING:
            return self.has_run_before
        return self.current is not Outcome.GOOD and self.current not in _SILENT

    @property
    def _known(self) -> list[Outcome]:
        outcomes = (day.outcome for day in self.days if day.outcome is not None)
        return [outcome for outcome in outcomes if outcome not in _SILENT]

    def age(self, now: datetime) -> timedelta | None:
        """Return the age of the newest good backup; None where there is none.

        :param now: the moment of the report.
        """
        return None if self.newest_good_at is None else max(timedelta(), now - self.newest_good_at)


class ScopeTimeline:
    """Collect the jobs of one place, and return its history.

    :param place: the place.
    :param gates: the gates of all tenants.
    :param past: the knowledge from before the period; None where there is none.
    :param period: the period of the report.
    """

    def __init__(self, place: Place, gates: Gates, past: Past | None, period: Period) -> None:
        self._place = place
        self._gates = gates
        self._guard = gates.guard(place, period.now)
        self._past = past
        self._period = period
        self._name = None if past is None else past.organization_name
        self._first_at: datetime | None = None
        self._good_at: list[datetime] = []
        self._days: dict[date, Day] = {}
        self._recent: list[BackupJob] = []
        self._schedule = Schedule(period.timezone, period.now, self._guard.interval)
        if past is not None:
            self._schedule.add(past.newest_at)

    def add_past_start(self, start: datetime) -> None:
        """Add the start of a backup from before the period; it tells when others are due.

        :param start: an aware datetime.
        """
        self._schedule.add(start)

    def add_recent(self, jobs: Iterable[BackupJob]) -> None:
        """Add jobs of the last weeks, by which the scope is judged now.

        :param jobs: the jobs, oldest first.
        """
        self._recent.extend(jobs)
        del self._recent[:-_MOST_RECENT]

    def add(self, day: date, outcome: Outcome, jobs: Sequence[BackupJob] = ()) -> None:
        """Add the jobs of one day of the period.

        :param day: the day on which the jobs started.
        :param outcome: the outcome of these jobs.
        :param jobs: the jobs.
        """
        self._days[day] = Day(date=day, outcome=outcome, backups=len(jobs))
        for job in jobs:
            self._name = job.organization_name or self._name
            started = job.effective_start
            if job.problems:
                continue  # the job may belong to another scope, so it makes no day expected
            first = started or self._period.begin(day)
            self._first_at = first if self._first_at is None else min(first, self._first_at)
            self._schedule.add(first)
            if started is not None and is_good(job, self._period.now, self._guard):
                self._good_at.append(started)

    def conclude(self, loaded_until: datetime) -> ScopeHistory:
        """Return the history, with the runs that were due and did not come.

        :param loaded_until: when the place's jobs were last loaded into the ledger.
        """
        now = self._period.now
        past_good = None if self._past is None else self._past.newest_good_at
        good = sorted(self._good_at)
        if past_good is not None:
            good.insert(0, past_good)
        missed = self._find_missed(loaded_until)
        return ScopeHistory(
            place=self._place,
            organization_name=self._name,
            days=tuple(
                self._days.get(day) or Day(date=day, outcome=missed.get(day)) for day in self._period.dates
            ),
            newest_good_at=good[-1] if good else None,
            longest_gap=self._find_longest_gap(good, now),
            loaded_until=loaded_until,
            expected=self._schedule.describe(),
            gates=self._guard.names,
            current=self._judge_now(loaded_until),
            has_run_before=len(self._schedule.runs) > 1,
            due_at=None if self._guard.excludes else self._schedule.find_due(),
            allowed_age=self._guard.interval,
            known_since=self._first_at if self._past is None else self._past.first_at,
        )

    def _judge_now(self, loaded_until: datetime) -> Outcome:
        """Return the outcome now, by the windows of the gates and by what is due."""
        now, runs = self._period.now, self._schedule.runs
        if self._guard.excludes:
            return Outcome.EXCLUDED
        if not runs:
            return self._judge_without_start()
        late_since = self._schedule.find_late()
        if late_since is not None:
            return Outcome.MISSED if loaded_until >= late_since else Outcome.NOT_LOADED
        newest = runs[-1]
        if any(newest < judged_at for judged_at in self._guard.list_late()):
            return Outcome.MISSED
        outcomes = []
        for policy, window in self._guard.windows.items():
            start = min(newest, now - max(window, DAY))
            outcome = self._judge_since(policy, start)
            if outcome is Outcome.RUNNING and len(runs) > 1 and runs[-2] < start:
                # While a backup runs, the one before holds.
                outcome = self._judge_since(policy, runs[-2])
            outcomes.append(outcome)
        return min(outcomes, key=_WORST.index)

    def _judge_since(self, policy: Policy, start: datetime) -> Outcome:
        """Return the verdict on the recent jobs since a time."""
        found = [
            _OUTCOMES[each.reason]
            for each in judge(self._recent, _since(policy, start, self._recent), self._period.now).scopes
            if each.job is not None
        ]
        return min(found, key=_WORST.index) if found else self._judge_without_start()

    def _judge_without_start(self) -> Outcome:
        """Return the outcome by the days, or by the past, where no recent job has a start."""
        known = [day.outcome for _, day in sorted(self._days.items()) if day.outcome is not None]
        if known:
            return known[-1]
        past = self._past
        is_good = (
            past is not None and past.newest_good_at is not None and past.newest_good_at >= past.newest_at
        )
        return Outcome.GOOD if is_good else Outcome.UNKNOWN

    def _find_missed(self, loaded_until: datetime) -> dict[date, Outcome]:
        """Return the outcome of each whole day on which a run was due that did not come.

        A run was due by the schedule, or a gate has missed it.
        """
        now = self._period.now
        missed = {self._period.date_of(at): Outcome.MISSED for at in self._gates.list_late(self._place)}
        for run in self._schedule.iter_missed():
            end = self._period.begin(run.day + DAY)
            known_at = max(run.known_at, end)
            if self._gates.guard(self._place, min(end, now)).excludes:
                missed[run.day] = Outcome.EXCLUDED
            elif known_at <= now:
                missed[run.day] = Outcome.MISSED if loaded_until >= known_at else Outcome.NOT_LOADED
        return missed

    def _find_longest_gap(self, good: list[datetime], now: datetime) -> Gap | None:
        past = self._past
        since = self._first_at if past is None else past.newest_good_at or past.first_at
        if since is None or since >= now:
            return None
        moments = [since, *(at for at in good if since < at < now), now]
        return max(
            (Gap(start=start, end=end) for start, end in pairwise(moments)), key=lambda gap: gap.length
        )


def is_good(job: BackupJob, now: datetime, guard: Guard) -> bool:
    """Tell whether a backup alone passes each gate of its scope: understood, ended, and a success.

    :param job: the backup.
    :param now: the moment of the report.
    :param guard: the gates of the scope.
    """
    if is_not_understood(job) or is_askew(job, now) or job.state not in GRADES:
        return False
    return all(limits.grade(job) is JobState.SUCCESS for limits in guard.limits)


class DayJudge:
    """Judge the backups of one day after another.

    :param gates: the gates of all tenants.
    :param period: the period of the report.
    """

    def __init__(self, gates: Gates, period: Period) -> None:
        self._gates = gates
        self._period = period

    def judge(self, tenant: str, product: str, day: date, jobs: Sequence[BackupJob]) -> dict[Scope, Outcome]:
        """Return the outcome of a day's backups, by scope; of several gates the strictest one's.

        :param tenant: the name of the tenant.
        :param product: the product's name.
        :param day: the day.
        :param jobs: the backups that started on the day.
        """
        now, end = self._period.now, self._period.begin(day + DAY)
        spelled = {normalize_scope(scope): scope for scope in map(scope_of, jobs)}
        guarded: dict[Policy, set[Scope]] = {}
        outcomes: dict[Scope, list[Outcome]] = {}
        for normalized, scope in spelled.items():
            place = Place(tenant=tenant, product=product, scope=scope)
            guard = self._gates.guard(place, min(now, end))
            if guard.excludes:
                outcomes[scope] = [Outcome.EXCLUDED]
                continue
            for policy in guard.windows:
                guarded.setdefault(policy, set()).add(normalized)
        for policy, scopes in guarded.items():
            for each in judge(jobs, _since(policy, self._period.begin(day), jobs), now).scopes:
                normalized = normalize_scope(each.scope)
                if normalized in scopes and each.job is not None:
                    outcomes.setdefault(spelled[normalized], []).append(_OUTCOMES[each.reason])
        return {scope: min(found, key=_WORST.index) for scope, found in outcomes.items()}


def _since(policy: Policy, start: datetime, jobs: Iterable[BackupJob]) -> Policy:
    """Return *policy* for backups since a time, and for the organisations of *jobs* if it must name some."""
    if get_product(policy.product).needs_organization:
        ids = sorted({job.organization_id or "unknown" for job in jobs}) or ["unknown"]
        return replace(policy, started_after=start, organization_ids=ids)
    return replace(policy, started_after=start)


def scope_of(job: BackupJob) -> Scope:
    """Return the scope that a job of the ledger belongs to.

    :param job: the job.
    """
    workload = job.workload
    if workload is None and get_product(job.product).asks_each_object_type:
        workload = OTHER
    return Scope(
        organization_id=job.organization_id,
        workload=workload,
        location=job.location,
        content=get_product(job.product).contents.get(job.job_type or ""),
    )


def rank(histories: Iterable[ScopeHistory], now: datetime) -> tuple[ScopeHistory, ...]:
    """Return the histories, worst first: not good or not known now, then not good on some day, then good.

    :param histories: the histories of all places.
    :param now: the moment of the report.
    """

    def badness(history: ScopeHistory) -> tuple[Any, ...]:
        age = history.age(now)
        # Of a scope that is no longer loaded, nobody knows how it is.
        if history.needs_attention or history.current is Outcome.NOT_LOADED:
            grade, size = 0, timedelta.max if age is None else age
        else:
            grade, size = (1, timedelta(history.bad_days)) if history.bad_days else (2, timedelta())
        return (grade, -size.total_seconds(), history.place.tenant, history.place.product, name_of(history))

    return tuple(sorted(histories, key=badness))


def name_of(history: ScopeHistory) -> str:
    """Return the name of a scope: its organisation, workload, location and content, on one line.

    :param history: the history of the scope.
    """
    scope = history.place.scope
    organization = one_line(history.organization_name or "", 60) or one_line(scope.organization_id or "", 60)
    parts = (
        organization,
        *(one_line(each or "", 60) for each in (scope.workload, scope.location, scope.content)),
    )
    return " / ".join(filter(None, parts)) or "all jobs"
