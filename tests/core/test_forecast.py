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

from airflow_provider_avepoint.core.forecast import Trend, fit, look_ahead
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


def daily(values: list[float]) -> list[tuple[datetime, float]]:
    return [(day(index), value) for index, value in enumerate(values)]


RISE = [100 + 0.5 * index for index in range(60)]


@each_row(
    ("values", "begin", "slope"),
    [
        (RISE, 0, 0.5),
        ([190.0] * 30 + [100 + 2.5 * index for index in range(30)], 30, 2.5),
        ([100.0] * 30 + [175] * 60, 30, 0),
        ([50.0] * 30 + [120] * 30 + [170] * 30, 60, 0),  # two steps
        ([50.0] * 30 + [120] * 30 + [50] * 30, 60, 0),  # there and back
        ([100.0] * 40 + [118, 137, 156] + [175] * 20, 43, 0),  # a step over four days
        ([100.0] * 40 + [100 + 2.0 * index for index in range(1, 21)], 39, 2),  # a bend
        ([500.0, *RISE], 1, 0.5),
        ([190.0] * 53 + [100 + 10.0 * index for index in range(8)], 53, 10),  # the trough is true
        ([1e12 * (2 - index // 30) + 1e9 * index for index in range(60)], 30, 1e9),
    ],
)
def test_the_line_begins_at_the_last_change(values: list[float], begin: int, slope: float) -> None:
    outlook = look_ahead(daily(values), grain=max(values) / 400)

    assert outlook.trend is not None
    assert (day(begin), pytest.approx(slope, abs=1e-6)) == (outlook.trend.begin, outlook.trend.slope)
    assert (day(begin) if begin else None) == outlook.changed_at
    assert outlook.newest == daily(values)[-1]
    assert outlook.before == daily(values)[max(0, begin - 1)]


@each_row("days", [1, 2, 3, 7])
def test_a_change_with_few_readings_since_gives_no_line(days: int) -> None:
    """Seven readings span six days."""
    outlook = look_ahead(daily(RISE + [175.0] * days), grain=0.5)

    assert (None, day(60)) == (outlook.trend, outlook.changed_at)
    assert outlook.earlier == fit(daily(RISE))


@each_row("place", [1, 30, 58])
def test_one_wrong_figure_is_passed_over(place: int) -> None:
    """Nobody had a thousand seats for a day; a reading that is the newest may be true."""
    values = list(RISE)
    values[place] = 1000
    outlook = look_ahead(daily(values), grain=0.5)

    assert outlook.trend is not None
    assert (59, None) == (outlook.readings, outlook.changed_at)
    assert pytest.approx(0.5) == outlook.trend.slope


def test_a_figure_that_comes_again_is_not_wrong() -> None:
    """A peak every Sunday, of which each is true."""
    values = [100.0 + 50 * (index % 7 == 6) for index in range(60)]
    outlook = look_ahead(daily(values), grain=0.5)

    assert (60, None) == (outlook.readings, outlook.changed_at)


def test_readings_within_half_a_day_are_one() -> None:
    """A task that was tried twenty times tells no more than one; a daily one may be late by hours."""
    readings = [(day(index + 0.2 * (index % 2)), 100.0) for index in range(20)]
    tries = [(day(19.2 + index / 100), 175.0) for index in range(1, 20)]
    outlook = look_ahead(readings + tries, grain=0.5)

    assert (20, readings[-2], tries[-1]) == (outlook.readings, outlook.before, outlook.newest)


def test_a_difference_of_the_grain_is_no_change() -> None:
    values = [500.0] * 30 + [501]

    assert None is look_ahead(daily(values), grain=1).changed_at
    assert day(30) == look_ahead(daily(values), grain=0.01).changed_at


@each_row(
    ("before", "slope"),
    [
        (None, 0.5),  # a line
        (60, 0.5),  # a line after a step
        (60, 0.0),  # a step, flat since
    ],
)
def test_the_truth_lies_in_the_band_and_no_date_is_false(before: float | None, slope: float) -> None:
    """Made up with a known truth: 90 days, the change 45 days ago, the next reading in 30 days."""
    chance = random.Random(14)
    hits = told = dates = 0
    for _ in range(150):
        truth = [110 + slope * index for index in range(120)]
        values = [each + chance.gauss(0, 2) for each in truth]
        if before is not None:
            values[:45] = [before + chance.gauss(0, 2) for _ in range(45)]
        trend = look_ahead(daily(values[:90]), grain=0.5).trend
        if trend is not None:
            told += 1
            _, low, high = trend.at(day(119))
            hits += low <= values[119] <= high
            dates += trend.reaches(185, day(89), timedelta(days=30)) is not None

    assert told >= 148
    assert 0.95 == pytest.approx(hits / told, abs=0.04)
    assert 0 == dates


@fuzz(4)
@given(
    values=st.lists(
        st.tuples(st.integers(0, 90 * 24), st.integers(0, 10**41) | st.floats(0, 1e12)),
        min_size=1,
        max_size=40,
    ),
    grain=st.floats(0, 1e9),
)
def test_any_readings_have_an_outlook(values: list[tuple[int, float]], grain: float) -> None:
    """Whose newest reading is the newest, and whose line begins at the change."""
    readings = {day(hours / 24): value for hours, value in values}
    outlook = look_ahead(readings.items(), grain)

    assert outlook.newest == max((moment, float(value)) for moment, value in readings.items())
    assert outlook.before[0] <= outlook.newest[0]
    if outlook.changed_at is not None:
        assert outlook.before[0] < outlook.changed_at <= outlook.newest[0]
    if outlook.trend is not None and outlook.changed_at is not None:
        assert outlook.trend.begin == outlook.changed_at
