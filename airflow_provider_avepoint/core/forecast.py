"""Fit a straight line through the readings since their last change, with the band of the next reading.

Least squares, and the 95 % prediction band around the line: NIST/SEMATECH e-Handbook of Statistical Methods,
4.1.4.1 and 4.5.1.2. The line holds where growth goes on as before and readings scatter about the line by
chance. A purchase, a cleanup or a reorganisation breaks both conditions: the readings before it say nothing
about the growth after it.

The change is found with Chow's test at each possible moment (G. C. Chow, Econometrica 28, 1960), corrected
for the number of moments (Bonferroni); the readings after the most likely moment are tested again, until one
line explains them (J. Bai, Econometric Theory 13, 1997: estimate several breaks one at a time). Where too few
readings follow the change, there is no line. The newest reading alone is tested in the same way: a forecast
whose newest reading does not fit the line is no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import NormalDist, fmean, linear_regression, median
from typing import NamedTuple

__all__ = ["LEAST_READINGS", "LEAST_SPAN", "Crossing", "Estimate", "Outlook", "Trend", "fit", "look_ahead"]

#: A trend needs at least this many readings at different moments, over at least this span.
LEAST_READINGS = 4
LEAST_SPAN = timedelta(days=7)

_DAY = timedelta(days=1)
# Readings that are closer together are one: the last.
_LEAST_GAP = timedelta(hours=12)
# How often a change is found in readings about one line, at most.
_FALSE_ALARMS = 0.01
# A reading is a wrong figure if it lies above, or below, both its neighbours by so many usual steps, and by
# twice the difference of the neighbours.
_WRONG_STEPS = 8
# Where more than one reading of so many looks wrong, all of them are right.
_FEW = 10

_Reading = tuple[datetime, float]


class Estimate(NamedTuple):
    """The estimate of a reading at some moment.

    :param value: the most likely reading, in the unit of the readings.
    :param low: the lower edge of the band that holds 95 of 100 readings.
    :param high: the upper edge of that band.
    """

    value: float
    low: float
    high: float


class Crossing(NamedTuple):
    """When a growing value reaches a limit.

    :param earliest: when the upper edge of the band reaches the limit.
    :param expected: when the line reaches the limit.
    :param latest: when the lower edge of the band reaches the limit; None where that edge may never reach the
        limit.
    """

    earliest: datetime
    expected: datetime
    latest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A line through readings, and how surely it is known.

    :param readings: how many readings there are, each at a moment of its own.
    :param begin: the moment of the first reading.
    :param end: the moment of the last reading.
    :param center: the mean of all moments; there, the line runs through *level*.
    :param level: the mean of all values.
    :param slope: the growth of the value in a day.
    :param scatter: half the width of the band if the line itself were certain: Student's t times the standard
        deviation of the readings about the line.
    :param leverage: the sum of the squared distances from *center*, in square days; a larger sum gives a
        surer slope.
    """

    readings: int
    begin: datetime
    end: datetime
    center: datetime
    level: float
    slope: float
    scatter: float
    leverage: float

    def at(self, moment: datetime) -> Estimate:
        """Estimate a reading.

        :param moment: the aware moment of that reading.
        """
        days = (moment - self.center) / _DAY
        value = self.level + self.slope * days
        half = self.scatter * math.sqrt(self._least + days**2 / self.leverage)
        return Estimate(value, value - half, value + half)

    def reaches(self, limit: float, after: datetime, within: timedelta) -> Crossing | None:
        """Return when the growing value reaches a limit; None where the line reaches it too late or never.

        :param limit: the limit, in the unit of the readings.
        :param after: the first moment that counts; the last reading's moment where that is later.
        :param within: how long after that first moment the line may take.
        """
        if self.slope <= 0:
            return None
        after = max(after, self.end)
        begin = (after - self.center) / _DAY
        gap = limit - self.level
        expected = max(begin, gap / self.slope)
        if expected > begin + within / _DAY:
            return None
        # The band's edges meet the limit where (slope·d - gap)² = scatter²·(least + d²/leverage).
        lead = self.slope**2 - self.scatter**2 / self.leverage
        reach = self.slope * gap
        root = self.scatter * math.sqrt(max(0.0, gap**2 / self.leverage + self._least * lead))
        _, low, high = self.at(after)
        earliest, latest = begin, None
        if high < limit:
            earliest = (gap**2 - self.scatter**2 * self._least) / (reach + root)
        if low >= limit:
            latest = begin
        elif lead > 0:  # otherwise the true slope may be 0, and the lower edge may never reach the limit
            latest = (reach + root) / lead
        return Crossing(
            self.center + earliest * _DAY,
            self.center + expected * _DAY,
            None if latest is None else self._moment(latest),
        )

    @property
    def _least(self) -> float:
        return 1 + 1 / self.readings

    def _moment(self, days: float) -> datetime | None:
        try:
            return self.center + days * _DAY
        except OverflowError:  # beyond the year 9999
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the readings say about the next ones.

    :param readings: how many readings there are; of several within half a day, the last one counts.
    :param before: the last reading before the last change, with its moment; the first reading where there is
        no change.
    :param newest: the newest reading with its moment.
    :param swing: the largest difference between the newest reading and another one from *before* on.
    :param changed_at: the moment of the first reading after the last change; None where there is no change.
    :param trend: the line through the readings since the last change; None where they are too few.
    :param earlier: the line through the readings before the last change; None where there is no change, or
        where those readings are too few.
    """

    readings: int
    before: tuple[datetime, float]
    newest: tuple[datetime, float]
    swing: float
    changed_at: datetime | None
    trend: Trend | None
    earlier: Trend | None


def look_ahead(readings: Iterable[tuple[datetime, float]], grain: float) -> Outlook:
    """Fit a line to the readings since their last change.

    A single reading that both of its neighbours contradict is a wrong figure and does not count, unless it is
    the newest one.

    :param readings: aware moments with their values, in any order; at least one.
    :param grain: the size of a difference that does not matter, in the unit of the readings.
    """
    known = _drop_wrong(_thin(readings), grain)
    start, earlier = _find_last_part(known, grain)
    newest, since = known[-1], known[max(0, start - 1) :]
    return Outlook(
        readings=len(known),
        before=since[0],
        newest=newest,
        swing=max(abs(newest[1] - value) for _, value in since),
        changed_at=known[start][0] if start else None,
        trend=fit(known[start:]),
        earlier=fit(known[earlier:start]),
    )


def fit(readings: Iterable[tuple[datetime, float]]) -> Trend | None:
    """Fit a line to readings.

    :param readings: aware moments with their values, in any order; of several at one moment, the last one
        counts.
    :returns: the line; None where there are fewer than ``LEAST_READINGS``, or they span less than
        ``LEAST_SPAN``.
    """
    known = sorted(dict(readings).items())
    if len(known) < LEAST_READINGS or known[-1][0] - known[0][0] < LEAST_SPAN:
        return None
    begin, end = known[0][0], known[-1][0]
    days = [(moment - begin) / _DAY for moment, _ in known]
    values = [float(value) for _, value in known]
    slope, intercept = linear_regression(days, values)
    middle = fmean(days)
    freedom = len(known) - 2
    residuals = [value - (intercept + slope * day) for day, value in zip(days, values, strict=True)]
    return Trend(
        readings=len(known),
        begin=begin,
        end=end,
        center=begin + middle * _DAY,
        level=fmean(values),
        slope=slope,
        scatter=_student_t(freedom) * math.hypot(*residuals) / math.sqrt(freedom),
        leverage=math.fsum((day - middle) ** 2 for day in days),
    )


def _student_t(freedom: int) -> float:
    """Return the 97.5 % point of Student's t: 95 % of the distribution lie within this distance from 0.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5. The error is at most 1 % from 2 degrees
    of freedom, and 0.2 % from 3.
    """
    z = NormalDist().inv_cdf(0.975)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )


def _thin(readings: Iterable[_Reading]) -> list[_Reading]:
    """Return the readings in order, at least half a day apart; the newest is kept."""
    kept: list[_Reading] = []
    for moment, value in sorted(dict(readings).items(), reverse=True):
        if not kept or kept[-1][0] - moment >= _LEAST_GAP:
            kept.append((moment, float(value)))
    return kept[::-1]


def _drop_wrong(readings: list[_Reading], grain: float) -> list[_Reading]:
    """Return the readings without single ones that both neighbours contradict."""
    values = [value for _, value in readings]
    steps = [later - earlier for earlier, later in pairwise(values)]
    if len(steps) < LEAST_READINGS:
        return readings
    usual = max(grain, median(map(abs, steps)))
    wrong = {
        index + 1
        for index, (to, away) in enumerate(pairwise(steps))
        if to * away < 0 and min(abs(to), abs(away)) > max(_WRONG_STEPS * usual, 2 * abs(to + away))
    }
    if len(wrong) > len(readings) / _FEW:
        return readings
    return [reading for index, reading in enumerate(readings) if index not in wrong]


def _find_last_part(readings: Sequence[_Reading], grain: float) -> tuple[int, int]:
    """Return where the readings after the last change begin, and where those before it begin."""
    days = [(moment - readings[0][0]) / _DAY for moment, _ in readings]
    values = [value for _, value in readings]
    start = earlier = 0
    while split := _find_split(days[start:], values[start:], grain):
        start, earlier = start + split, start
    return start, earlier


def _find_split(days: Sequence[float], values: Sequence[float], grain: float) -> int:
    """Return where two lines explain the values better than one line by more than chance; 0 for nowhere."""
    count = len(values)
    floor = count * grain**2
    before = _list_squares(days, values)
    whole = floor + before[-1]
    after = _list_squares(days[::-1], values[::-1])[::-1]
    if whole <= 0:
        return 0
    best, chance = 0, _FALSE_ALARMS / count
    for split in range(1, count):
        share = min(1.0, (floor + before[split - 1] + after[split]) / whole)
        # Two lines leave this many readings free: a line takes two readings, or the only one.
        freedom = count - min(2, split) - min(2, count - split)
        # The probability of an F as large, with 2 degrees of freedom in the numerator; for 1 it is less.
        if (by_chance := share ** (freedom / 2)) < chance:
            best, chance = split, by_chance
    return best


def _list_squares(days: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return for each reading the squared residuals of the line through the first ones up to that reading.

    Sums are updated reading by reading: B. P. Welford, Technometrics 4, 1962.
    """
    found = []
    day = value = by_day = by_value = both = 0.0
    for count, (x, y) in enumerate(zip(days, values, strict=True), start=1):
        dx, dy = x - day, y - value
        day += dx / count
        value += dy / count
        by_day += dx * (x - day)
        by_value += dy * (y - value)
        both += dx * (y - value)
        found.append(max(0.0, by_value - both**2 / by_day) if by_day else 0.0)
    return found
