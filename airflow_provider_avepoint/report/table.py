"""The report's figures as CSV: one figure in a line, with its unit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime

from airflow_provider_avepoint.core.policy import Scope
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.formatting import say_count
from airflow_provider_avepoint.report.gates import Place
from airflow_provider_avepoint.report.licenses import LicenseHistory, Measure

COLUMNS = (
    "figure",
    "tenant",
    "product",
    "organization_id",
    "organization",
    "workload",
    "location",
    "service",
    "at",
    "value",
    "unit",
    "detail",
    "link",
)
# A spreadsheet would read a text that begins with one of these characters as a formula.
_FORMULA = ("=", "+", "-", "@")

_Cell = str | float | date | None
_Line = dict[str, _Cell]


def write_table(report: Report) -> str:
    """Return the figures as CSV; times are in UTC.

    :param report: the figures.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for line in _iter_lines(report):
        writer.writerow({name: _write(value) for name, value in line.items()})
    return text.getvalue()


def _write(value: _Cell) -> str | float:
    match value:
        case None:
            return ""
        case str():
            text = one_line(value, 1000)
            return f"'{text}" if text.startswith(_FORMULA) else text
        case datetime() | date():
            return value.isoformat()
        case _:
            return value


def _iter_lines(report: Report) -> Iterator[_Line]:
    yield from _list_scopes(report)
    for history in report.licenses:
        yield from _list_license(history)
    for failure in report.failures:
        yield {
            **_name(failure.place, failure.organization_name),
            "figure": "failures",
            "at": failure.last_at,
            "value": failure.count,
            "unit": "failures",
            "detail": failure.message,
            "link": failure.url,
        }
    for verdict in report.verdicts:
        yield {
            "figure": "verdict",
            "tenant": verdict.tenant,
            "product": verdict.product,
            "at": verdict.judged_at,
            "value": verdict.reason,
            "detail": f"{verdict.good} of {verdict.judged} scopes good"
            + (f"; {verdict.task}" if verdict.task else ""),
        }


def _list_scopes(report: Report) -> Iterator[_Line]:
    now = report.period.now
    for scope in report.scopes:
        named = _name(scope.place, scope.organization_name)
        for day in scope.days:
            if day.outcome is not None:
                yield {
                    **named,
                    "figure": "outcome",
                    "at": day.date,
                    "value": day.outcome.value,
                    "detail": say_count(day.backups, "backup"),
                }
        age = scope.age(now)
        yield {
            **named,
            "figure": "newest_good_backup_age",
            "at": scope.newest_good_at,
            "value": None if age is None else age.total_seconds(),
            "unit": "s",
        }
        if (gap := scope.longest_gap) is not None:
            yield {
                **named,
                "figure": "longest_gap",
                "at": gap.start,
                "value": gap.length.total_seconds(),
                "unit": "s",
                "detail": f"until {gap.end.isoformat()}",
            }
    for place, newest_at in report.long_gone:
        yield {**_name(place, None), "figure": "newest_backup", "at": newest_at}


def _list_license(history: LicenseHistory) -> Iterator[_Line]:
    of = history.subscription
    named: _Line = {
        **_name(
            Place(
                tenant=of.tenant,
                product=of.product,
                scope=Scope(organization_id=of.organization_id, location=of.location),
            ),
            history.newest.organization_name,
        ),
        "service": of.service,
    }
    for measure in history.measures:
        for reading in measure.readings:
            for figure, value in (("used", reading.used), ("bought", reading.bought)):
                yield {
                    **named,
                    "figure": f"{measure.name}_{figure}",
                    "at": reading.at,
                    "value": value,
                    "unit": measure.unit,
                }
        yield from ({**named, **line} for line in _list_forecast(measure))
    for reason, sentence in history.findings.items():
        yield {
            **named,
            "figure": "license_finding",
            "at": history.read_at,
            "value": reason,
            "detail": sentence,
        }


def _list_forecast(measure: Measure) -> Iterator[_Line]:
    if measure.trend is None:
        return
    ahead = measure.newest.at + measure.horizon
    for bound, value in zip(("", "_low", "_high"), measure.trend.at(ahead), strict=True):
        yield {
            "figure": f"{measure.name}_forecast{bound}",
            "at": ahead,
            "value": value,
            "unit": measure.unit,
        }
    if measure.crossing is not None:
        for when, moment in measure.crossing._asdict().items():
            yield {
                "figure": f"{measure.name}_limit_reached_{when}",
                "at": moment,
                "value": measure.newest.bought,
                "unit": measure.unit,
            }


def _name(place: Place, organization_name: str | None) -> _Line:
    return {
        "tenant": place.tenant,
        "product": place.product,
        "organization_id": place.scope.organization_id,
        "organization": organization_name,
        "workload": place.scope.workload,
        "location": place.scope.location,
    }
