"""The report's figures as CSV: one figure in a line, with its unit.

Programs and spreadsheets in every language read the same. Excel takes a file for UTF-8 only if it begins with
a byte order mark. A spreadsheet in German reads 2.125 as 2125, so each number is whole. That spreadsheet may
split a line at semicolons, so each text is in quotes. Dates and numbers are not in quotes: a spreadsheet that
keeps everything in quotes as text still reads them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime

from airflow_provider_avepoint.core.policy import Scope
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.formatting import say_count, say_size
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
    "content",
    "service",
    # The moment in UTC, always in one form, and its day in the time zone of the report.
    "at",
    "day",
    # A whole number and its unit; or else a word: the outcome of a day, the reason of a verdict or a finding.
    "value",
    "unit",
    "result",
    "detail",
    "link",
)
_BYTE_ORDER_MARK = "\ufeff"
# OWASP's list, without the characters that one_line() removes. U+2212 is the minus of typography.
_FORMULA = frozenset("=+-@\u2212")
_MB_A_GB = 1024

_Cell = str | int | date | None
_Line = dict[str, _Cell]


def write_table(report: Report) -> str:
    """Return the figures as CSV with a byte order mark; times are in UTC, days in the report's time zone.

    :param report: the figures.
    """
    lines = [",".join(COLUMNS)]
    for line in _iter_lines(report):
        if isinstance(at := line.get("at"), datetime):
            line["day"] = report.period.date_of(at)
        lines.append(",".join(_write(line.get(name)) for name in COLUMNS))
    return _BYTE_ORDER_MARK + "".join(f"{line}\r\n" for line in lines)


def _write(value: _Cell) -> str:
    match value:
        case None:
            return ""
        case str():
            text = _disarm(one_line(value, 1000)).replace('"', '""')
            return f'"{text}"' if text else ""
        case datetime():
            return _write_moment(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _write_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _disarm(text: str) -> str:
    """Return *text* with an apostrophe before each part that a spreadsheet would run as a formula.

    A spreadsheet that splits lines at semicolons begins a cell after each of them.
    """
    return ";".join(f"'{part}" if _is_formula(part) else part for part in text.split(";"))


def _is_formula(text: str) -> bool:
    """Tell whether the first visible character is one that begins a formula, or looks like one.

    Invisible characters and quotes come before it: a spreadsheet may drop them. NFKC knows the full-width,
    small, raised and lowered forms of a character.
    """
    for char in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(char)
        if category[0] not in "CMZ" and char != '"':
            return char in _FORMULA or category == "Pd"
    return False


def _iter_lines(report: Report) -> Iterator[_Line]:
    yield from _list_scopes(report)
    yield from _list_sizes(report)
    for history in report.licenses:
        yield from _list_license(history)
    for tenant, audit in report.audits:
        if audit.error is not None:
            yield {
                "figure": "license_audit",
                "tenant": tenant,
                "product": audit.product,
                "organization_id": audit.organization_id,
                "location": audit.location,
                "at": audit.audited_at,
                "result": "not_read",
                "detail": audit.error,
            }
    yield from _list_protection(report)
    for drills in report.drills:
        yield from _list_drills(drills)
    for lost in report.lost_restores:
        yield {"figure": "lost_restore", "tenant": lost.tenant, "at": lost.kept_at, "detail": lost.task}
    for place in report.never_drilled:
        yield {**_name_service(place), "figure": "never_drilled"}
    for failure in report.failures:
        named = {
            **_name(failure.place, failure.organization_name),
            "at": failure.last_at,
            "detail": failure.message,
            "link": failure.url,
        }
        yield {**named, "figure": "failures", "value": failure.count, "unit": failure.unit}
        yield {**named, "figure": "backups_with_failures", "value": failure.jobs, "unit": "backups"}
    if report.failures_left_out:
        yield {"figure": "failures_left_out", "value": report.failures_left_out, "unit": "failures"}
    for verdict in report.verdicts:
        yield {
            "figure": "verdict",
            "tenant": verdict.tenant,
            "product": verdict.product,
            "at": verdict.judged_at,
            "result": verdict.reason,
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
                    "at": report.period.begin(day.date),
                    "value": day.backups,
                    "unit": "backups",
                    "result": day.outcome.value,
                }
        yield {
            **named,
            "figure": "expected",
            "result": scope.expected,
            "detail": "; ".join(scope.gates),
        }
        age = scope.age(now)
        yield {
            **named,
            "figure": "newest_good_backup_age",
            "at": scope.newest_good_at,
            "value": None if age is None else round(age.total_seconds()),
            "unit": "s",
        }
        if (gap := scope.longest_gap) is not None:
            yield {
                **named,
                "figure": "longest_gap",
                "at": gap.start,
                "value": round(gap.length.total_seconds()),
                "unit": "s",
                "detail": f"until {_write_moment(gap.end)}",
            }
    for place, newest_at in report.long_gone:
        yield {**_name(place, None), "figure": "newest_backup", "at": newest_at}


def _list_sizes(report: Report) -> Iterator[_Line]:
    for each in report.sizes:
        yield {
            "figure": "backed_up",
            "tenant": each.tenant,
            "product": each.product,
            "workload": each.workload,
            "location": each.location,
            "content": each.content,
            "at": report.period.start,
            "value": each.size_bytes,
            "unit": "bytes",
            "detail": f"{say_size(each.size_bytes)}; {each.sized:,} of {say_count(each.backups, 'backup')} "
            "with a size",
        }


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
                    **_measure(value, measure.unit),
                }
        yield from ({**named, **line} for line in _list_forecast(measure))
    for reason, sentence in history.findings.items():
        yield {
            **named,
            "figure": "license_finding",
            "at": history.read_at,
            "result": reason,
            "detail": sentence,
        }
    for sentence in history.doubts:
        yield {**named, "figure": "license_doubt", "at": history.read_at, "detail": sentence}


def _list_forecast(measure: Measure) -> Iterator[_Line]:
    estimate, ahead = measure.forecast.estimate, measure.forecast.until
    if estimate is None:
        return
    for bound, value in zip(("", "_low", "_high"), estimate, strict=True):
        yield {
            "figure": f"{measure.name}_forecast{bound}",
            "at": ahead,
            **_measure(value, measure.unit),
        }
    if measure.crossing is not None:
        for when, moment in measure.crossing._asdict().items():
            yield {
                "figure": f"{measure.name}_limit_reached_{when}",
                "at": moment,
                **_measure(measure.newest.bought, measure.unit),
            }


def _list_protection(report: Report) -> Iterator[_Line]:
    for history in report.protection:
        for audit in filter(None, (history.newest, history.failed)):
            result = "not_read" if audit.error is not None else "late" if history.is_late else "read"
            yield {
                "figure": "protection_audit",
                "tenant": audit.tenant,
                "product": audit.product,
                "organization_id": audit.organization_id,
                "location": audit.location,
                "at": audit.audited_at,
                "result": result,
                "detail": audit.error,
            }
    for subject in report.list_subjects():
        named: _Line = {
            "tenant": subject.audit.tenant,
            "product": subject.audit.product,
            "organization_id": subject.organization_id,
            "organization": subject.organization_name,
            "service": subject.service,
            "location": subject.location,
            "at": subject.audit.audited_at,
        }
        yield {
            **named,
            "figure": "protection",
            "value": len(subject.findings),
            "unit": "findings",
            "result": subject.state,
            "detail": "; ".join(subject.rules),
        }
        for found in subject.findings:
            yield {**named, "figure": "protection_finding", "result": found.reason, "detail": found.text}


def _list_drills(history: DrillHistory) -> Iterator[_Line]:
    named = _name_service(history.place)
    proven, age = history.proven, history.age
    yield {
        **named,
        "figure": "newest_proven_restore_age",
        "at": None if proven is None else proven.sent_at,
        "value": None if age is None else round(age.total_seconds()),
        "unit": "s",
        "result": history.current,
    }
    for drill in dict.fromkeys((*filter(None, (proven,)), *history.unproven)):
        yield {
            **named,
            "figure": "restore_drill",
            "at": drill.sent_at,
            "value": drill.restored_files,
            "unit": "files",
            "result": drill.outcome,
            "detail": f"{drill.target}: {drill.message}" if drill.message else drill.target,
        }


def _name_service(place: DrillPlace) -> _Line:
    return {
        "tenant": place.tenant,
        "product": place.product,
        "service": place.service,
        "location": place.location,
    }


def _measure(amount: float | None, unit: str) -> _Line:
    """Return an amount as a whole number, with its unit: GB become MB."""
    factor, unit = (_MB_A_GB, "MB") if unit == "GB" else (1, unit)
    return {"value": None if amount is None else round(amount * factor), "unit": unit}


def _name(place: Place, organization_name: str | None) -> _Line:
    return {
        "tenant": place.tenant,
        "product": place.product,
        "organization_id": place.scope.organization_id,
        "organization": organization_name,
        "workload": place.scope.workload,
        "location": place.scope.location,
        "content": place.scope.content,
    }
