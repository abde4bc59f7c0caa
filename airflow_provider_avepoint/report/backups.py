"""The outcome of a period's backups, by scope and day; from jobs alone, independent of where they are stored.

A day is a day of the report's time zone, and a backup belongs to the day on which it started. The outcome of
a day is the verdict on that day's backups, by the policies of the gates that guard the scope; where no gate
does, by the check's default rules. Where rows name their organisation, the newest ended backup decides.
Elsewhere all backups must be good, because a row does not say which resource it protects. A backup that could
not be read is never good.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import repeat
from operator import sub
from typing import Any

from airflow_provider_avepoint.core.grading import GRADES, is_askew, is_not_understood
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import OTHER, Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.verdict import Reason, judge
from airflow_provider_avepoint.report.gates import Gates, Guard, Place, normalize_scope
from airflow_provider_avepoint.report.plain_backups import NO_PLAIN, PlainBackups
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
    # No backup of the types that the gate counts.
    Reason.STALE: Outcome.MISSED,
    Reason.RUNNING: Outcome.RUNNING,
    Reason.SKIPPED: Outcome.SKIPPED,
    Reason.UNKNOWN_STATE: Outcome.UNKNOWN,
    Reason.UNREADABLE: Outcome.UNKNOWN,
    Reason.CLOCK_SKEW: Outcome.UNKNOWN,
    Reason.EXCLUDED: Outcome.EXCLUDED,
}
_GRADED = {
    JobState.SUCCESS: Outcome.GOOD,
    JobState.PARTIAL: Outcome.PARTIAL,
    JobState.FAILED: Outcome.FAILED,
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
_BACKUP_ALONE = frozenset({"backup"})


@dataclass(frozen=True, kw_only=True)
class Period:
    """The days of a report: whole days, and the day of *now*.

    :param now: the moment of the report, an aware datetime.
    :param days: the number of days, today included.
    :param timezone: the time zone of the days.
    """

    now: datetime
    days: int
    timezone: tzinfo = UTC

    @cached_property
    def dates(self) -> tuple[date, ...]:
        """The days, oldest first."""
        today = self.date_of(self.now)
        return tuple(today - DAY * back for back in reversed(range(self.days)))

    @cached_property
    def start(self) -> datetime:
        """The first moment of the first day."""
        return self.begin(self.dates[0])

    @cached_property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return self.begin(self.dates[-1] + DAY)

    @cached_property
    def begins(self) -> list[datetime]:
        """The first moment of each day, oldest first."""
        return [self.begin(day) for day in self.dates]

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


@dataclass(slots=True)
class DayBackups:
    """The backups of a scope that started on one day.

    :param plain: the plain ones.
    :param others: all others, oldest first.
    """

    plain: PlainBackups = NO_PLAIN
    others: list[BackupJob] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.plain) + len(self.others)

    def list_jobs(self, product: str, scope: Scope) -> list[BackupJob]:
        """Return all backups as the rules judge them.

        :param product: the product's name.
        :param scope: the scope of the backups.
        """
        return [*self.plain.list_jobs(product, scope), *self.others]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDay:
    """The backups of a product that started on one day, as far as the rules must judge them.

    :param date: the day.
    :param backups: the backups by scope.
    :param are_apart: whether no backup affects the verdict on another scope.
    """

    date: date
    backups: Mapping[Scope, DayBackups]
    are_apart: bool


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


# Most scopes have the same days.
@lru_cache(maxsize=10_000)
def _make_day(date: date, outcome: Outcome | None, backups: int) -> Day:
    return Day(date=date, outcome=outcome, backups=backups)


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
    :param starts: when backups started, in any order, as far back as a schedule reads.
    """

    organization_name: str | None = None
    first_at: datetime
    newest_at: datetime
    newest_good_at: datetime | None = None
    starts: tuple[datetime, ...] = ()

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
            starts=self.starts + other.starts,
        )


@dataclass(frozen=True, kw_only=True)
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

    @cached_property
    def name(self) -> str:
        """The organisation, workload, location and content, on one line."""
        scope = self.place.scope
        organization = [
            one_line(each, 60) for each in (self.organization_name, scope.organization_id) if each
        ]
        others = [one_line(each, 60) for each in (scope.workload, scope.location, scope.content) if each]
        return " / ".join(filter(None, (next(filter(None, organization), ""), *others))) or "all jobs"

    @cached_property
    def counts(self) -> Counter[Outcome]:
        """The number of days by outcome."""
        return Counter([day.outcome for day in self.days if day.outcome is not None])

    @property
    def expected_days(self) -> int:
        """The number of days that are known and had, or should have had, a backup."""
        return self.counts.total() - sum(self.counts[outcome] for outcome in _SILENT)

    @property
    def bad_days(self) -> int:
        """The number of days without a good backup; a backup running on the newest day does not count."""
        told = (day.outcome for day in reversed(self.days) if day.outcome is not None)
        newest = next((outcome for outcome in told if outcome not in _SILENT), None)
        return self.expected_days - self.counts[Outcome.GOOD] - (newest is Outcome.RUNNING)

    @property
    def needs_attention(self) -> bool:
        """Whether the scope is not good now; the first backup of a scope may still run."""
        if self.current is Outcome.RUNNING:
            return self.has_run_before
        return self.current is not Outcome.GOOD and self.current not in _SILENT

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
        self._recent = NO_PLAIN
        self._recent_others: list[BackupJob] = []
        # When the newest backup started that could not be read; it may belong to another scope.
        self._doubtful_at: datetime | None = None
        self._schedule = Schedule(period.timezone, period.now, self._guard.interval)
        if past is not None:
            self._schedule.add(past.newest_at, *past.starts)

    def add_recent(self, others: Sequence[BackupJob]) -> None:
        """Add backups of a day of the last weeks that are not plain: by them the scope is judged now.

        :param others: the backups, oldest first.
        """
        self._recent_others += others[-_MOST_RECENT:]

    def add_recent_plain(self, backups: PlainBackups) -> None:
        """Add the plain backups of the last weeks, by which the scope is judged now.

        :param backups: the backups.
        """
        self._recent = backups[-_MOST_RECENT:]

    def add_plain(self, backups: PlainBackups, judged: Container[date]) -> None:
        """Add the good days: those of the period with plain backups alone.

        :param backups: the plain backups of the period.
        :param judged: the days that are judged otherwise, and that :meth:`add` takes.
        """
        dates = self._period.dates
        numbers = list(map(bisect_right, repeat(self._period.begins), backups.starts))
        is_other = False
        for number, count in Counter(numbers).items():
            day = dates[number - 1]
            if day in judged:
                is_other = True
            else:
                self._days[day] = _make_day(day, Outcome.GOOD, count)
        if is_other:
            backups = backups.select([dates[number - 1] not in judged for number in numbers])
        self._add_good(backups)

    def _add_good(self, plain: PlainBackups) -> None:
        if plain:
            self._name = plain.newest_name or self._name
            self._good_at += plain.starts
            self._add_starts(plain.starts)

    def add(self, day: date, outcome: Outcome, backups: DayBackups | None = None) -> None:
        """Add one day of the period.

        :param day: the day.
        :param outcome: the outcome of the backups that started on the day.
        :param backups: these backups; None for none.
        """
        found = backups or DayBackups()
        self._days[day] = _make_day(day, outcome, len(found))
        self._add_good(found.plain)
        for job in found.others:
            self._name = job.organization_name or self._name
            started = job.effective_start
            first = started or self._period.begin(day)
            if job.problems:  # the job may belong to another scope, so it makes no day expected
                self._doubtful_at = first
                continue
            self._add_starts([first])
            if started is not None and is_good(job, self._period.now, self._guard):
                self._good_at.append(started)

    def _add_starts(self, starts: list[datetime]) -> None:
        """Add starts, oldest first, at least one."""
        if self._first_at is None or starts[0] < self._first_at:
            self._first_at = starts[0]
        self._schedule.add(*starts)

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
                self._days.get(day) or _make_day(day, missed.get(day), 0) for day in self._period.dates
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
            if self._doubtful_at is not None and self._schedule.find_late(self._doubtful_at) is None:
                return Outcome.UNKNOWN  # a backup came, and could not be read
            return Outcome.MISSED if loaded_until >= late_since else Outcome.NOT_LOADED
        newest = runs[-1]
        if any(newest < judged_at for judged_at in self._guard.list_late()):
            return Outcome.MISSED
        came_late = len(runs) > 1 and any(runs[-2] < each.known_at < newest for each in self._schedule.missed)
        outcomes = []
        for policy, window in self._guard.windows.items():
            start = min(newest, now - max(window, DAY))
            outcome = self._judge_since(policy, start)
            if outcome is Outcome.RUNNING and len(runs) > 1 and runs[-2] < start and not came_late:
                # While a backup runs, the one before holds, unless a run was missed between the two.
                outcome = self._judge_since(policy, runs[-2])
            outcomes.append(outcome)
        return min(outcomes, key=_WORST.index)

    def _judge_since(self, policy: Policy, start: datetime) -> Outcome:
        """Return the verdict on the recent jobs since a time."""
        plain = self._recent.since(start)
        if plain and not self._has_other_since(start) and plain.job_types.issubset(policy.job_type):
            return Outcome.GOOD
        product, scope = self._place.product, self._place.scope
        jobs = _name_runs([*self._recent_others, *self._recent.list_jobs(product, scope)])
        found = [
            _OUTCOMES[each.reason]
            for each in judge(jobs, _since(policy, start, jobs), self._period.now).scopes
            if each.job is not None
        ]
        return min(found, key=_WORST.index) if found else self._judge_without_start()

    def _has_other_since(self, start: datetime) -> bool:
        """Tell whether a recent backup that is not plain started since a time, or has no start."""
        begun = (job.effective_start for job in self._recent_others)
        return any(each is None or each >= start for each in begun)

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
        for run in self._schedule.missed:
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
        moments = [since, *good[bisect_right(good, since) : bisect_left(good, now)], now]
        lengths = list(map(sub, moments[1:], moments))
        longest = lengths.index(max(lengths))
        return Gap(start=moments[longest], end=moments[longest + 1])


def is_good(job: BackupJob, now: datetime, guard: Guard) -> bool:
    """Tell whether a backup alone passes each gate of its scope: understood, ended, and a success.

    :param job: the backup.
    :param now: the moment of the report.
    :param guard: the gates of the scope.
    """
    return _is_settled(job, now) and all(limits.grade(job) is JobState.SUCCESS for limits in guard.limits)


def _is_settled(job: BackupJob, now: datetime) -> bool:
    """Tell whether a backup is understood, and ended as a success, partial or failed."""
    return job.state in GRADES and not is_not_understood(job) and not is_askew(job, now)


class ProductDays:
    """The days of one product of a tenant: which of them the rules must judge, and their outcomes.

    A day on which a scope had plain backups alone is good by every gate, unless a gate excludes scopes or
    counts other types of jobs.

    :param gates: the gates of all tenants.
    :param period: the period.
    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param plain: the plain backups by scope.
    """

    def __init__(
        self, gates: Gates, period: Period, tenant: str, product: str, plain: Mapping[Scope, PlainBackups]
    ) -> None:
        self._gates = gates
        self._period = period
        self._tenant = tenant
        self._product = product
        self._plain = plain
        policies = gates.list_policies(tenant, product)
        self._owners: dict[str, Scope] = {}
        for scope, own in plain.items():
            self._owners.update(dict.fromkeys(own.job_ids, scope))
        is_simple = (
            not any(policy.exclude for policy in policies)
            and all("backup" in policy.job_type for policy in policies)
            and sum(len(set(own.job_ids)) for own in plain.values()) == len(self._owners)
        )
        #: The plain backups of the scopes whose days are all judged by the rules.
        self.ruled = {
            scope: own for scope, own in plain.items() if not is_simple or own.job_types != _BACKUP_ALONE
        }

    def iter_days(self, others: Iterable[tuple[date, Sequence[BackupJob]]]) -> Iterator[ProductDay]:
        """Yield the days that the rules must judge, oldest first.

        :param others: the backups that are not plain, by the day on which they started, oldest day first.
        """
        date_of = self._period.date_of
        left = {date_of(start) for own in self.ruled.values() for start in own.starts}
        for day, jobs in others:
            for earlier in sorted(each for each in left if each < day):
                yield self._collect(earlier, ())
            left = {each for each in left if each > day}
            yield self._collect(day, jobs)
        for later in sorted(left):
            yield self._collect(later, ())

    def _collect(self, day: date, others: Sequence[BackupJob]) -> ProductDay:
        found: dict[Scope, DayBackups] = {}
        for job in others:
            found.setdefault(scope_of(job), DayBackups()).others.append(job)
        start, end = self._period.begin(day), self._period.begin(day + DAY)
        are_apart = self._are_apart(others)
        for scope in [*found, *(self.ruled if are_apart else self._plain)]:
            plain = self._plain.get(scope, NO_PLAIN).between(start, end)
            if plain:
                found.setdefault(scope, DayBackups()).plain = plain
        return ProductDay(date=day, backups=found, are_apart=are_apart)

    def _are_apart(self, others: Iterable[BackupJob]) -> bool:
        """Tell whether no job affects the verdict on another scope.

        A job that could not be read may belong to another scope; and jobs that are listed for several scopes
        may show that the server does not filter.
        """
        owners: dict[str, Scope] = {}
        for job in others:
            scope = scope_of(job)
            owner = owners.setdefault(job.job_id, self._owners.get(job.job_id, scope))
            if job.problems or owner != scope:
                return False
        return True

    def judge(self, day: ProductDay) -> dict[Scope, Outcome]:
        """Return the outcome of a day's backups, by scope; of several gates the strictest one's.

        :param day: the day.
        """
        now, begin, end = self._period.now, self._period.begin(day.date), self._period.begin(day.date + DAY)
        spelled = {normalize_scope(scope): scope for scope in day.backups}
        guarded: dict[Policy, set[Scope]] = {}
        outcomes: dict[Scope, list[Outcome]] = {}
        left = dict(day.backups)
        for normalized, scope in spelled.items():
            place = Place(tenant=self._tenant, product=self._product, scope=scope)
            guard = self._gates.guard(place, min(now, end))
            if guard.excludes:
                outcomes[scope] = [Outcome.EXCLUDED]
                continue
            if day.are_apart and (known := self._judge_alone(day.backups[scope], begin, guard)):
                outcomes[scope] = known
                del left[scope]
                continue
            for policy in guard.windows:
                guarded.setdefault(policy, set()).add(normalized)
        jobs = _name_runs(
            [job for scope, found in left.items() for job in found.list_jobs(self._product, scope)]
            if guarded
            else []
        )
        for policy, scopes in guarded.items():
            for each in judge(jobs, _since(policy, begin, jobs), now).scopes:
                normalized = normalize_scope(each.scope)
                if normalized in scopes and each.job is not None:
                    outcomes.setdefault(spelled[normalized], []).append(_OUTCOMES[each.reason])
        return {scope: min(found, key=_WORST.index) for scope, found in outcomes.items()}

    def _judge_alone(self, backups: DayBackups, begin: datetime, guard: Guard) -> list[Outcome]:
        """Return what the rules would say, by gate, where that is plain to see; empty where it is not.

        It is where all backups are plain, and where the only one is settled: then every rule on which of
        several backups decides comes to the same.
        """
        job_types = backups.plain.job_types.union(job.job_type for job in backups.others)
        for policy in guard.windows:
            if policy.organization_ids is not None or not job_types.issubset(policy.job_type):
                return []  # the rules may leave some of the backups out
        if not backups.others:
            return [Outcome.GOOD]
        job, *more = backups.others
        start, now = job.effective_start, self._period.now
        if more or backups.plain or start is None or start < begin or not _is_settled(job, now):
            return []
        return [_GRADED[limits.grade(job)] for limits in guard.limits]


def _name_runs(jobs: list[BackupJob]) -> list[BackupJob]:
    """Return jobs with an id a run: a vendor may use an id again, and the rules take one id for one job."""
    if len({job.job_id for job in jobs}) == len(jobs):
        return jobs
    return [replace(job, job_id=f"{job.job_id} {job.effective_start}") for job in jobs]


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
        return (grade, -size.total_seconds(), history.place.tenant, history.place.product, history.name)

    return tuple(sorted(histories, key=badness))
