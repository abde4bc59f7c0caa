"""When the backups of a scope are due: as its own history shows, or less often where its gates allow that.

A history shows weekdays (most weeks had a backup on each of them) or, without these, an interval: the median
of the gaps between two runs, weighted by their length, in whole days. Backups that start within six hours
are one run.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import accumulate, count, pairwise
from operator import sub
from typing import TypeVar

Gap = TypeVar("Gap", int, timedelta)

#: How much of the past a schedule may take into account: four runs of a monthly backup.
LONGEST_PAST = timedelta(days=130)

_DAY = timedelta(days=1)
_MINUTES = 24 * 60
_RUN = timedelta(hours=6)
# What shows the schedule at a time: the runs of these weeks, and four runs at least.
_RECENT = timedelta(days=42)
_FEWEST = 4
# A run is missed if it has not come after this share of the time to the next one.
_LATE = 1 / 4
_LEAST_MISSED = _DAY * (1 + _LATE)
# The first three weeks are read together with what follows.
_LEAST_HISTORY = timedelta(days=21)
# A usual weekday has had three runs at least, and a run in more than three of five weeks: a backup that runs
# every two weeks has no usual weekday.
_LEAST_RUNS = 3
_USUAL = 0.6
_WEEK = 7
_BEFORE_MIDNIGHT = timedelta(minutes=10)
_LEAST_GAP = timedelta(hours=3)
_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedRun:
    """A run that was due and did not come.

    :param day: the day on which the run was due.
    :param known_at: when the run could be called missed.
    """

    day: date
    known_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The days on which runs are due.

    :param weekdays: the weekdays, 0 for Monday; empty for a schedule by interval.
    :param shift: added to the start of a run, moves the usual time of day to noon. Without it, a run at
        midnight would fall on one weekday or the next by chance.
    :param interval: the time from one run to the next; a schedule by weekdays does not read it.
    """

    weekdays: frozenset[int] = frozenset()
    shift: timedelta = timedelta()
    interval: timedelta = _DAY

    def iter_due(self, run: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield each moment at which a run is due after *run*, and when the due run is missed."""
        if not self.weekdays:
            step = timedelta(days=max(1, round(self.interval / _DAY)))
            for number in count():
                due = run + self.interval + number * step
                yield due, due + self.interval * _LATE
        for days in count(1):
            due = run + timedelta(days=days)
            weekday = (due + self.shift).weekday()
            if weekday in self.weekdays:
                before, after = self._reach(weekday, -1), self._reach(weekday, 1)
                # A backup that started a little early was the run that is due here.
                if due - run >= before * _LATE:
                    yield due, due + after * _LATE

    @property
    def longest_gap(self) -> timedelta:
        """The longest time between two runs that are due."""
        if not self.weekdays:
            return self.interval
        return max(self._reach(weekday, 1) for weekday in self.weekdays)

    def _reach(self, weekday: int, step: int) -> timedelta:
        """Return the time from *weekday* to the weekday before (*step* -1) or after it (1) with a run."""
        return next(
            timedelta(days=days) for days in count(1) if (weekday + step * days) % _WEEK in self.weekdays
        )

    def __str__(self) -> str:
        if self.weekdays and len(self.weekdays) < _WEEK:
            return "on " + ", ".join(_WEEKDAYS[weekday] for weekday in sorted(self.weekdays))
        days = 1 if self.weekdays else round(self.interval / _DAY)
        return "every day" if days == 1 else f"every {days} days"


class Schedule:
    """When the backups of one scope started, and when the next ones were due.

    :param timezone: the time zone of days, and of the time of day at which backups start.
    :param now: the moment of the report.
    :param interval: the longest time between two backups that the scope's gates allow; None where the gates
        name none. A shorter one than the history shows does not count: a gate may judge once a week only.
    """

    def __init__(self, timezone: tzinfo, now: datetime, interval: timedelta | None = None) -> None:
        self._timezone = timezone
        self._now = now
        self._interval = None if interval is None else max(interval, _DAY)
        self._starts: list[datetime] = []

    def add(self, *starts: datetime) -> None:
        """Add the starts of backups, in any order, before the first question.

        :param starts: datetimes in UTC; one after *now* does not count.
        """
        self._starts += starts

    @cached_property
    def _sorted(self) -> list[datetime]:
        starts = sorted(self._starts)
        return starts[: bisect_right(starts, self._now)]

    @cached_property
    def runs(self) -> list[datetime]:
        """The start of each run, oldest first, in the time zone of the schedule."""
        runs: list[datetime] = []
        for start in self._sorted:
            if not runs or start - runs[-1] >= _RUN:
                runs.append(start)
        return runs if self._timezone is UTC else [run.astimezone(self._timezone) for run in runs]

    @cached_property
    def missed(self) -> tuple[MissedRun, ...]:
        """The runs that were due and did not come, oldest first."""
        return tuple(self._iter_missed())

    def _iter_missed(self) -> Iterator[MissedRun]:
        ends = [*self.runs, self._now][1:]
        for run, end, gap in zip(self.runs, ends, map(sub, ends, self.runs), strict=True):
            if gap <= _LEAST_MISSED:
                continue  # no schedule here asks for more than one run a day
            for due, late in self._plan(run).iter_due(run):
                if late >= end:
                    break
                yield MissedRun(day=due.date(), known_at=late)

    def find_late(self, newest: datetime | None = None) -> datetime | None:
        """Return since when the next run is late; None where it is not.

        Where runs come several times a day, a run is late after twice the usual gap.

        :param newest: the start of the run before the next one; None for the newest run that is known.
        """
        if not self.runs:
            return None
        run, start = (self.runs[-1], self._sorted[-1]) if newest is None else (newest, newest)
        _, late = next(self._newest_plan.iter_due(run))
        if self._short_gap is not None:
            late = min(late, start + max(2 * self._short_gap, _LEAST_GAP))
        return late if late <= self._now else None

    def find_due(self) -> datetime | None:
        """Return when the run after the newest one is due, by now or later; None where no backup is known.

        Where runs come several times a day, a run is due after the usual gap.
        """
        if not self.runs:
            return None
        due, _ = next(self._newest_plan.iter_due(self.runs[-1]))
        return due if self._short_gap is None else min(due, self._sorted[-1] + self._short_gap)

    def describe(self) -> str:
        """Say when a backup is expected, such as ``every 7 days``; "" where no backup is known."""
        return str(self._newest_plan) if self.runs else ""

    @cached_property
    def _newest_plan(self) -> _Plan:
        """The plan that holds after the newest run."""
        return self._plan(self.runs[-1])

    @cached_property
    def _short_gap(self) -> timedelta | None:
        return _find_short_gap(self._sorted) if self._interval is None else None

    def _plan(self, run: datetime) -> _Plan:
        """Return the plan that held after *run*, one of the runs."""
        plan = self._read_plan(run)
        # A gate that asks for less than the history shows judges less often than that.
        if self._interval is not None and self._interval > plan.longest_gap:
            return _Plan(interval=self._interval)
        return plan

    def _read_plan(self, run: datetime) -> _Plan:
        """Return the plan that the history shows after *run*."""
        runs = self.runs
        end = bisect_right(runs, run)
        if run - runs[0] < _LEAST_HISTORY or end < _FEWEST:
            known = runs[: max(_FEWEST, bisect_right(runs, runs[0] + _RECENT))]
        else:
            known = runs[min(bisect_left(runs, run - _RECENT), end - _FEWEST) : end]
        shift = timedelta(hours=12) - _find_time_of_day(known)
        weekdays = _find_weekdays({(start + shift).date() for start in known})
        return _Plan(weekdays=weekdays, shift=shift) if weekdays else _Plan(interval=_find_interval(known))


def _find_time_of_day(runs: list[datetime]) -> timedelta:
    """Return the mean time of day of runs: the mean of their directions on the face of a clock.

    The time is negative for some minutes before midnight: people name such a run by the day that begins.
    """
    angles = [math.tau * (run.hour * 60 + run.minute + run.second / 60) / _MINUTES for run in runs]
    mean = math.atan2(sum(map(math.sin, angles)), sum(map(math.cos, angles)))
    time_of_day = mean / math.tau % 1 * _DAY
    return time_of_day if time_of_day < _DAY - _BEFORE_MIDNIGHT else time_of_day - _DAY


def _find_weekdays(days: set[date]) -> frozenset[int]:
    """Return the weekdays on which runs usually start; empty where *days* show no such weekdays."""
    first = min(days)
    weeks, rest = divmod((max(days) - first).days + 1, _WEEK)
    possible = {(first.weekday() + number) % _WEEK: weeks + (number < rest) for number in range(_WEEK)}
    seen = Counter(map(date.weekday, days))
    usual = {weekday for weekday, number in seen.items() if number > _USUAL * possible[weekday]}
    sure = {weekday for weekday in usual if seen[weekday] >= _LEAST_RUNS}
    # In the first weeks, a weekday counts too that has had a run each time.
    young = {weekday for weekday in usual if 1 < seen[weekday] == possible[weekday]}
    return frozenset(sure | young) if sure else frozenset()


def _find_short_gap(starts: list[datetime]) -> timedelta | None:
    """Return the usual gap between two starts of the last two weeks, if it is shorter than most of a day."""
    recent = starts[bisect_left(starts, starts[-1] - 2 * _WEEK * _DAY) :]
    gaps = [later - earlier for earlier, later in pairwise(recent)]
    if len(gaps) < 2 * _WEEK:
        return None
    gap = _find_median(gaps)
    return gap if gap < _DAY * (1 - _LATE) else None


def _find_interval(runs: list[datetime]) -> timedelta:
    """Return the median gap between two runs, weighted by length; a day where no gap came about twice."""
    gaps = [max(1, round((end - start) / _DAY)) for start, end in pairwise(runs)]
    recurring = [gap for gap in gaps if sum(_is_like(gap, other) for other in gaps) > 1]
    return _find_median(recurring) * _DAY if recurring else _DAY


def _find_median(gaps: list[Gap]) -> Gap:
    """Return the median of gaps, weighted by length: half of the time lies in longer ones."""
    ordered = sorted(gaps)
    passed = list(accumulate(ordered))
    return next(gap for gap, until in zip(ordered, passed, strict=True) if 2 * until >= passed[-1])


def _is_like(gap: int, other: int) -> bool:
    return abs(gap - other) <= max(gap, other) * _LATE
