"""Forecast a figure: fit a straight line to readings, with a prediction band for the next reading.

Least squares, and the 95 % prediction band around the line: NIST/SEMATECH e-Handbook of Statistical Methods,
4.1.4.1 and 4.5.1.2. The forecast holds if growth goes on as before and the readings scatter about the line by
chance. A reorganisation breaks both, so a forecast comes with its band, and too little history gives none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist, fmean, linear_regression
from typing import NamedTuple

__all__ = ["LEAST_READINGS", "LEAST_SPAN", "Crossing", "Estimate", "Trend", "fit"]

#: The least history for a trend: the number of readings at different moments, and the time that they span.
LEAST_READINGS = 4
LEAST_SPAN = timedelta(days=7)

_DAY = timedelta(days=1)


class Estimate(NamedTuple):
    """The forecast of one reading.

    :param value: the most likely reading.
    :param low: the lower edge of the 95 % prediction band.
    :param high: the upper edge of the 95 % prediction band.
    """

    value: float
    low: float
    high: float


class Crossing(NamedTuple):
    """The forecast of the moment at which a limit is reached.

    :param earliest: when the upper edge of the 95 % band reaches the limit.
    :param expected: when the line reaches the limit.
    :param latest: when the lower edge of the band reaches the limit; None if that edge may never reach it.
    """

    earliest: datetime
    expected: datetime
    latest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A straight line through readings.

    :param readings: the number of readings at different moments.
    :param begin: the moment of the first reading.
    :param end: the moment of the last reading.
    :param center: the mean of all moments.
    :param level: the mean of all values, which is the value of the line at *center*.
    :param slope: the growth of the value per day.
    :param scatter: half the width of the band if the line itself were certain: Student's t times the standard
        deviation of the readings about the line.
    :param leverage: the sum of the squared distances from *center*, in days²; a larger sum gives a more
        certain slope.
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
        """Forecast the reading at a moment.

        :param moment: an aware datetime.
        """
        days = (moment - self.center) / _DAY
        value = self.level + self.slope * days
        half = self.scatter * math.sqrt(self._least + days**2 / self.leverage)
        return Estimate(value, value - half, value + half)

    def reaches(self, limit: float, after: datetime, within: timedelta) -> Crossing | None:
        """Return when the growing value reaches a limit; None if the line does not reach the limit in time.

        :param limit: the limit, in the unit of the readings.
        :param after: when to begin, an aware datetime; if it is before the last reading, that reading counts.
        :param within: how far to look ahead.
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
        elif lead > 0:  # else a level line lies within the band
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
    """Fit a straight line to readings; return None if there is too little history.

    :param readings: pairs of an aware moment and a value, in any order. Of several pairs with the same moment
        the last one counts.
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
    """Return the 97.5 % point of Student's t: 95 % lie between it and its negative.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5: within 1 % from 2 degrees of freedom,
    0.2 % from 3.
    """
    z = NormalDist().inv_cdf(0.975)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )
