"""Fit a straight line through readings, with the band in which the next reading will lie.

Least squares, and the 95 % prediction band around the line: NIST/SEMATECH e-Handbook of Statistical Methods,
4.1.4.1 and 4.5.1.2. The line holds where growth goes on as before and readings scatter about the line by
chance. A reorganisation breaks both conditions. So each forecast comes with its band, and a short history
gives no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist, fmean, linear_regression
from typing import NamedTuple

__all__ = ["LEAST_READINGS", "LEAST_SPAN", "Crossing", "Estimate", "Trend", "fit"]

#: A trend needs at least this many readings at different moments, over at least this span.
LEAST_READINGS = 4
LEAST_SPAN = timedelta(days=7)

_DAY = timedelta(days=1)


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
