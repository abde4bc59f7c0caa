"""Whether the bad days of a scope come again and again, such as each Wednesday."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count, groupby, pairwise
from statistics import median

from airflow_provider_avepoint.report.backups import Outcome, ScopeHistory

_WEEK = timedelta(days=7)
_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
# Less often is no habit.
_FEWEST = 3
# What comes again comes each time after about the usual time: else it is chance.
_EARLY, _LATE = 0.75, 1.25
_SILENT = (Outcome.EXCLUDED, Outcome.NOT_LOADED, Outcome.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """Bad days that come again, with good ones between.

    :param times: how often they came: several bad days in a row count once.
    :param weekday: the weekday, 0 for Monday, if they came on this day of each week; else None.
    :param last: the first day of the last time.
    :param outcomes: what the days came to, worst first as the page lists them.
    """

    times: int
    weekday: int | None
    last: date
    outcomes: tuple[Outcome, ...]

    def describe(self) -> str:
        """Return the recurrence as the end of a sentence."""
        how = ", ".join(self.outcomes)
        if self.weekday is not None:
            return f"not good on each of the last {self.times} {_WEEKDAYS[self.weekday]} ({how})"
        return f"not good {self.times} times, again and again, the last time on {self.last} ({how})"


def find_recurrence(history: ScopeHistory, today: date) -> Recurrence | None:
    """Return the bad days of a scope that still come again; None where the bad days are over.

    :param history: the scope.
    :param today: the day of the report.
    """
    told = history.counts.total() - sum(history.counts[outcome] for outcome in _SILENT)
    if told - history.counts[Outcome.GOOD] < 2:
        return None  # as most scopes
    days = [day for day in history.days if day.outcome is not None and day.outcome not in _SILENT]
    times = [
        list(group)
        for is_good, group in groupby(days, key=lambda day: day.outcome is Outcome.GOOD)
        if not is_good
    ]
    if len(times) < 2:
        return None
    starts = [group[0].date for group in times]
    gaps = [(later - earlier).days for earlier, later in pairwise(starts)]
    since = (today - starts[-1]).days
    bad = {day.date for group in times for day in group}
    weekly = next(weeks for weeks in count(1) if starts[-1] - weeks * _WEEK not in bad)
    # In a short history, two are all there can be.
    fewest = min(_FEWEST, max(2, (days[-1].date - days[0].date).days // _WEEK.days))
    is_weekly = weekly >= fewest and since <= _WEEK.days
    if not is_weekly and (len(times) < _FEWEST or not _is_regular(gaps, since)):
        return None
    shown = {starts[-1] - week * _WEEK for week in range(weekly)} if is_weekly else bad
    seen = {day.outcome for day in days if day.date in shown}
    return Recurrence(
        times=weekly if is_weekly else len(times),
        weekday=starts[-1].weekday() if is_weekly else None,
        last=starts[-1],
        outcomes=tuple(outcome for outcome in Outcome if outcome in seen),
    )


def _is_regular(gaps: list[int], since: int) -> bool:
    """Tell whether days come at a steady pace, and the next one is not overdue."""
    usual = median(gaps)
    return _EARLY * usual <= min(gaps) and max(*gaps, since) <= _LATE * usual
