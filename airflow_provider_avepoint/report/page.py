"""The report as one HTML page that loads nothing: no script, font or image from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report import charts, formatting
from airflow_provider_avepoint.report.backups import LETTERS, MEANINGS, ScopeHistory
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.licenses import LicenseHistory, Measure

if TYPE_CHECKING:
    from markupsafe import Markup

T = TypeVar("T")

# How many items are unfolded at first; the others are folded, or in the CSV file only.
_OPEN_CALENDARS = 16
_OPEN_ROWS = 12
_OPEN_CHARTS = 6
_MOST_CHARTS = 24
_MOST_FAILURES = 100
_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The calendar weeks of a period.

    :param months: each month's name, and the number of its weeks, by the Monday.
    :param weeks: the Mondays.
    """

    months: tuple[tuple[str, int], ...]
    weeks: tuple[date, ...]

    @classmethod
    def of(cls, first: date, last: date) -> Calendar:
        """Return the calendar of the weeks from one day to another.

        :param first: the first day.
        :param last: the last day.
        """
        monday = first - timedelta(first.weekday())
        weeks = tuple(monday + timedelta(weeks=week) for week in range((last - monday).days // 7 + 1))
        months = tuple(
            (f"{next(group):%b}", 1 + sum(1 for _ in group))
            for _, group in groupby(weeks, key=lambda week: (week.year, week.month))
        )
        return cls(months=months, weeks=weeks)

    def lay_out(self, by_date: Mapping[date, T]) -> list[tuple[str, list[T | None]]]:
        """Return for each weekday the values of its days, one for each week; None where a day has none.

        :param by_date: the values by day.
        """
        return [
            (name, [by_date.get(week + timedelta(weekday)) for week in self.weeks])
            for weekday, name in enumerate(_WEEKDAYS)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawn measure of a licence.

    :param number: the chart's number in the page.
    :param license: the licence.
    :param measure: the measure.
    :param drawing: the contents of the ``<svg>`` element.
    :param description: the chart in words.
    """

    number: int
    license: LicenseHistory
    measure: Measure
    drawing: Markup
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What stands above the figures, for whoever the report is handed to.

    :param title: the title; None for ``Backups and licences``.
    :param company: the company that the report is about; None for none.
    :param author: who hands the report in; None for nobody.
    """

    title: str | None = None
    company: str | None = None
    author: str | None = None


_NO_HEADING = Heading()


def write_page(report: Report, csv_name: str, heading: Heading = _NO_HEADING) -> str:
    """Return the page as HTML.

    :param report: the figures.
    :param csv_name: the name of the CSV file beside the page.
    :param heading: what stands above the figures.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count_of": formatting.say_count,
        "duration": formatting.say_duration,
        "line": one_line,
        "minute": partial(formatting.say_minute, timezone=report.period.timezone),
        "moment": partial(formatting.say_moment, timezone=report.period.timezone),
        "number": formatting.say_number,
        "share": formatting.say_share,
        "size": formatting.say_size,
        "scope": attrgetter("name"),
    }
    first, last = report.covered or (report.period.dates[0], report.period.dates[-1])
    good = [scope for scope in report.scopes if not scope.bad_days]
    bad = [scope for scope in report.scopes if scope.bad_days]
    return environment.get_template("page.html").render(
        report=report,
        heading=heading,
        first=first,
        last=last,
        period=report.period,
        zone=str(report.period.timezone),
        now=report.period.now,
        version=__version__,
        csv_name=csv_name,
        attention=report.list_attention(),
        calendar=Calendar.of(first, last),
        calendars=_fold(bad, good),
        scopes=_split(report.scopes, _OPEN_ROWS),
        sizes=_split(report.sizes, _OPEN_ROWS),
        charts=_split(_draw(report.licenses), _OPEN_CHARTS),
        measures=_split(_list_measures(report.licenses), _OPEN_ROWS),
        chart_size=(charts.WIDTH, charts.HEIGHT),
        protection=_split(report.list_subjects(), _OPEN_ROWS),
        drills=_split(report.drills, _OPEN_ROWS),
        changes=_split(report.list_changes(), _OPEN_ROWS),
        failures=_split(report.failures[:_MOST_FAILURES], _OPEN_ROWS),
        letters={outcome.value: letter for outcome, letter in LETTERS.items()},
        meanings=MEANINGS,
        label=lambda product: get_product(product).label,
    )


def _split(items: Sequence[T], size: int) -> tuple[Sequence[T], Sequence[T]]:
    return items[:size], items[size:]


def _fold(
    bad: Sequence[ScopeHistory], good: Sequence[ScopeHistory]
) -> list[tuple[str | None, Sequence[ScopeHistory]]]:
    """Return groups of scopes for the calendars: an unfolded group first, then folded groups with a title."""
    shown, more = _split(bad, _OPEN_CALENDARS)
    groups: list[tuple[str | None, Sequence[ScopeHistory]]] = [(None, shown)]
    if more:
        groups.append((f"{len(more)} more scopes with days that were not good", more))
    if good:
        plural = "scope" if len(good) == 1 else "scopes"
        groups.append((f"{len(good)} {plural} with a good backup on every expected day", good))
    return groups


def _list_measures(histories: Iterable[LicenseHistory]) -> list[tuple[LicenseHistory, Measure]]:
    return [(history, measure) for history in histories for measure in history.measures]


def _draw(histories: Iterable[LicenseHistory]) -> list[Chart]:
    pairs = [each for each in _list_measures(histories) if len(each[1].readings) > 1]
    return [
        Chart(
            number=number,
            license=history,
            measure=measure,
            drawing=charts.draw(measure, f"chart{number}"),
            description=charts.describe(measure),
        )
        for number, (history, measure) in enumerate(pairs[:_MOST_CHARTS], start=1)
    ]
