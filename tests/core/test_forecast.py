"""The line and its band: by hand-computed figures, by simulation, and at the edges of what is sent."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import linear_regression

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_avepoint.core.forecast import Trend, fit
from tests.fuzz import fuzz

from .tables import each_row

BEGIN = datetime(2026, 11, 2, 6, tzinfo=UTC)
YEAR = timedelta(days=365)


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


def weekly(*values: float) -> Trend:
    trend = fit((day(7 * index), value) for index, value in enumerate(values))
    assert trend is not None
    return trend


def test_a_line_and_its_band_by_hand() -> None:
    """Mean 13, slope 77 / 245, squared residuals 1.8 in sum; at day 28 the root is that of 2.5."""
    trend = weekly(10, 12, 13, 17)

    value, low, high = trend.at(day(28))

    assert (4, day(0), day(21), day(10.5)) == (trend.readings, trend.begin, trend.end, trend.center)
    assert 18.5 == pytest.approx(value)
    assert 4.303 * math.sqrt(0.9 * 2.5) == pytest.approx(high - value, rel=0.01)
    assert value - low == pytest.approx(high - value)


# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: the column 0.975.
STUDENT_T = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 8: 2.306, 10: 2.228, 30: 2.042, 100: 1.984}


@each_row(("freedom", "quantile"), STUDENT_T.items())
def test_few_readings_make_a_wide_band(freedom: int, quantile: float) -> None:
    count = freedom + 2
    values = [(-1.0) ** index for index in range(count)]
    slope, intercept = linear_regression(range(count), values)
    squares = sum((value - intercept - slope * index) ** 2 for index, value in enumerate(values))
    trend = weekly(*values)

    value, _, high = trend.at(trend.center)

    expected = quantile * math.sqrt(squares / freedom * (1 + 1 / count))
    assert expected == pytest.approx(high - value, rel=0.01)


@each_row("count", [4, 5, 8, 14])
def test_the_next_reading_lies_in_the_band_95_times_of_100(count: int) -> None:
    """So it does for readings that scatter about a line as they are assumed to."""
    chance = random.Random(count)
    hits, tries = 0, 2000
    for _ in range(tries):
        values = [50 + 2 * index + chance.gauss(0, 3) for index in range(count + 3)]
        _, low, high = weekly(*values[:count]).at(day(7 * (count + 2)))
        hits += low <= values[-1] <= high

    assert 0.95 == pytest.approx(hits / tries, abs=0.015)


def test_the_band_is_narrowest_amid_the_readings() -> None:
    trend = weekly(10, 12, 13, 17)
    widths = [trend.at(day(number)).high - trend.at(day(number)).low for number in (-30, 0, 10.5, 21, 51)]

    assert widths[2] == min(widths)
    assert widths == pytest.approx(widths[::-1])


@each_row(
    "days",
    [[], [0], [0, 30], [0, 15, 30], [0, 1, 2, 3, 4, 5, 6.99], [0, 0, 0, 30], [0, 10, 10, 20]],
)
def test_too_little_history(days: list[float]) -> None:
    """Four moments over a week are the least; several readings at one moment are one."""
    assert None is fit((day(number), number) for number in days)


@pytest.mark.parametrize(
    "days", [[0, 1, 2, 7], [7, 0, 2, 1], [0, 7, 14, 21, 28], [0, 0.01, 0.02, 7]], ids=str
)
def test_enough_history(days: list[float]) -> None:
    """In whatever order it comes."""
    trend = fit((day(number), 5 + number) for number in days)

    assert trend is not None
    assert 35 == pytest.approx(trend.at(day(30)).value)


def test_of_readings_at_one_moment_the_last_holds() -> None:
    values = [(day(0), 1.0), (day(7), 99.0), (day(7), 2.0), (day(14), 3.0), (day(21), 4.0)]

    assert fit(values) == weekly(1, 2, 3, 4)


def test_readings_on_a_line_leave_no_doubt() -> None:
    trend = weekly(60, 67, 74, 81)
    crossing = trend.reaches(100, day(21), YEAR)

    assert crossing is not None
    assert [pytest.approx(102)] * 3 == list(trend.at(day(42)))
    for moment in crossing:
        assert abs(moment - day(40)) < timedelta(seconds=1)


@each_row("values", [(47, 47, 47, 47), (0, 0, 0, 0), (90, 80, 70, 60), (100, 99, 98, 97)])
def test_what_does_not_grow_reaches_nothing(values: tuple[float, ...]) -> None:
    assert None is weekly(*values).reaches(100, day(21), YEAR)


def test_a_constant_has_no_band() -> None:
    assert (47, 47, 47) == weekly(47, 47, 47, 47).at(day(400))


@each_row(("within", "is_reached"), [(18, False), (20, True)])
def test_within_decides(within: float, *, is_reached: bool) -> None:
    crossing = weekly(60, 67, 74, 81).reaches(100, day(21), timedelta(days=within))

    assert is_reached == (crossing is not None)


def test_a_crossing_is_where_line_and_band_meet_the_limit() -> None:
    trend = weekly(60, 66, 75, 80, 88)
    crossing = trend.reaches(130, day(28), YEAR)

    assert crossing is not None
    assert crossing.latest is not None
    assert day(28) < crossing.earliest < crossing.expected < crossing.latest
    assert 130 == pytest.approx(trend.at(crossing.earliest).high)
    assert 130 == pytest.approx(trend.at(crossing.expected).value)
    assert 130 == pytest.approx(trend.at(crossing.latest).low)


def test_a_doubtful_slope_may_never_reach_the_limit() -> None:
    trend = weekly(60, 80, 58, 84, 66)
    crossing = trend.reaches(100, day(28), 10 * YEAR)

    assert crossing is not None
    assert crossing.latest is None
    assert trend.at(day(28) + 100 * YEAR).low < 100
    assert day(28) == crossing.earliest < crossing.expected


def test_a_doubtful_slope_below_the_band() -> None:
    """Its upper edge is yet to reach the limit, its lower one never will."""
    trend = weekly(60, 63, 60, 63, 60, 63)
    crossing = trend.reaches(80, day(35), 10 * YEAR)

    assert crossing is not None
    assert crossing.latest is None
    assert day(35) < crossing.earliest < crossing.expected
    assert 80 == pytest.approx(trend.at(crossing.earliest).high)


def test_a_limit_that_the_line_is_beyond_is_reached_at_once() -> None:
    """It was lowered, or the last reading lies below the line."""
    trend = weekly(60, 67, 74, 81)

    assert (day(21),) * 3 == trend.reaches(70, day(21), YEAR)
    assert (day(30),) * 3 == trend.reaches(70, day(30), YEAR)


def test_a_crossing_lies_after_the_readings() -> None:
    """Whenever it is asked for."""
    trend = weekly(60, 67, 74, 81)

    assert trend.reaches(75, day(0), YEAR) == trend.reaches(75, day(21), YEAR) == (day(21),) * 3


def test_an_end_beyond_all_calendars_is_none() -> None:
    """The band's lower edge rises so slowly that it reaches the limit in a million years."""
    trend = replace(weekly(60, 67, 74, 81), scatter=math.sqrt(245 * (1 - 1e-9)))
    crossing = trend.reaches(100, day(21), YEAR)

    assert crossing is not None
    assert (day(40), None) == (crossing.expected, crossing.latest)


@fuzz(4)
@given(
    values=st.lists(
        st.tuples(st.integers(0, 90 * 24), st.integers(0, 10**41) | st.floats(0, 1e12)),
        min_size=4,
        max_size=40,
    ),
    limit=st.integers(1, 10**41) | st.floats(0.01, 1e12),
)
def test_any_readings_give_an_ordered_answer_or_none(values: list[tuple[int, float]], limit: float) -> None:
    trend = fit((day(hours / 24), value) for hours, value in values)
    if trend is None:
        return

    low, high = trend.at(day(100)).low, trend.at(day(100)).high
    crossing = trend.reaches(limit, day(90), YEAR)

    assert low <= trend.at(day(100)).value <= high
    if crossing is not None:
        assert day(90) <= crossing.earliest <= crossing.expected <= day(90) + YEAR
        assert crossing.latest is None or crossing.expected <= crossing.latest
