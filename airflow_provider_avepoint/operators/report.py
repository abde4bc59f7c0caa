"""Write the report on the contents of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import (
    parse_list,
    parse_moment,
    parse_text,
    parse_timezone,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.literals import check_each
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.exceptions import to_airflow
from airflow_provider_avepoint.operators.stores import check_path, find_file, replace

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_avepoint.report.figures import Report
    from airflow_provider_avepoint.report.page import Heading

__all__ = ["AvePointReportOperator"]

_MOST_DAYS = 366


class AvePointReportOperator(CheckedOperator):
    """Write a report on some weeks of the ledger: one self-contained HTML page, and a CSV file beside it.

    Needs the extra ``report``. Both files appear when they are complete; a task that fails leaves older files
    untouched. Returns ``path``, ``csv_path`` and the key figures. Among the key figures are
    ``needs_attention`` and ``attention``, the sentences at the top of the page; ``summary``, one sentence
    that an auditor can quote; and ``changes`` since the last report on the same tenants: the ledger keeps
    what each report said.

    A scope is judged by the policies of the gates that recorded verdicts on it in the ledger (with their
    *ledger_conn_id*), each day by the policy of that time. A backup is missed if one was due and none
    started: by the weekdays or the interval that the last weeks of the scope show, or less often where the
    *max_age* of its gates is longer (a backup that runs less often than monthly takes such a gate). A scope
    that is known for a short time is expected daily.

    :param path: the page: a path, or any URL that Airflow's ``ObjectStoragePath`` takes, such as
        ``s3://aws_default@bucket/report.html``. The CSV file has the same name with the suffix ``.csv``.
    :param ledger_conn_id: the ledger's connection; None: ``[avepoint] ledger_conn_id`` of Airflow's
        configuration, or else the SQLite file under ``AIRFLOW_HOME``.
    :param days: how many days, today included, 1 to 366.
    :param timezone: the time zone of the days and of the times on the page, such as ``Europe/London``. A
        backup belongs to the day on which it started. The times in the CSV file are in UTC.
    :param tenants: a name of a tenant in the ledger, or several; None: all tenants.
    :param now: the moment of the report, an aware datetime or ISO 8601 string; None: the current time.
    :param title: the title of the page; None: ``Backups and licences``.
    :param company: the company that the report is about, above the title; None: no company.
    :param author: the person or team that hands the report in; None: no author.
    """

    template_fields: Sequence[str] = (
        *("path", "ledger_conn_id", "days", "timezone", "tenants", "now"),
        *("title", "company", "author"),
    )
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        path: str | PathLike[str] | ObjectStoragePath,
        ledger_conn_id: str | None = None,
        days: int | str = 90,
        timezone: str = "UTC",
        tenants: str | list[str] | None = None,
        now: datetime | str | None = None,
        title: str | None = None,
        company: str | None = None,
        author: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.ledger_conn_id = ledger_conn_id
        self.days = days
        self.timezone = timezone
        self.tenants = tenants
        self.now = now
        self.title = title
        self.company = company
        self.author = author
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_each(
            given,
            path=lambda name, value: _check_page(check_path(name, value)),
            days=lambda _, value: _parse_days(value),
            timezone=parse_timezone,
            tenants=parse_list,
            now=parse_moment,
            title=parse_text,
            company=parse_text,
            author=parse_text,
        )

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """Read the ledger, write both files, and return the key figures.

        :param context: Airflow's context of the task.
        :returns: the paths and key figures that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used, or matplotlib is missing.
        :raises AvePointError: the database failed; the error is also an ``AirflowException``.
        """
        try:
            _import_matplotlib()
            page = find_file(self.path)
            table = _find_table(page)
            report = self._report(page, table)
        except OverflowError:
            raise to_airflow(refuse("now", self.now, "is at the end of the calendar.")) from None
        except AvePointError as e:
            raise to_airflow(e) from None
        figures = report.as_dict()
        for sentence in figures["attention"]:
            self.log.warning("%s", sentence)
        self.log.info("Written to %s and %s.", page, table)
        return {"path": str(page), "csv_path": str(table), **figures}

    def _report(self, page: ObjectStoragePath, table: ObjectStoragePath) -> Report:
        """Read the ledger, write both files, and keep in the ledger what the report says."""
        from airflow_provider_avepoint.ledger.store import Ledger
        from airflow_provider_avepoint.report.backups import Period
        from airflow_provider_avepoint.report.ledger_queries import read_report
        from airflow_provider_avepoint.report.page import Heading

        period = Period(
            now=parse_moment("now", self.now) or datetime.now(UTC),
            days=_parse_days(self.days),
            timezone=parse_timezone("timezone", self.timezone),
        )
        tenants = parse_list("tenants", self.tenants)
        heading = Heading(
            title=parse_text("title", self.title),
            company=parse_text("company", self.company),
            author=parse_text("author", self.author),
        )
        with Ledger(parse_text("ledger_conn_id", self.ledger_conn_id)) as ledger:
            report = read_report(ledger, period, tenants)
            self._write(report, heading, page, table)
            ledger.save_report(tenants, period.now, report.summarize(), report.states)
        return report

    @staticmethod
    def _write(report: Report, heading: Heading, page: ObjectStoragePath, table: ObjectStoragePath) -> None:
        from airflow_provider_avepoint.report.page import write_page
        from airflow_provider_avepoint.report.table import write_table

        html, csv = write_page(report, csv_name=table.name, heading=heading), write_table(report)
        with replace(table) as table_file, replace(page) as page_file:
            table_file.write(csv.encode())
            page_file.write(html.encode())


def _import_matplotlib() -> None:
    try:
        import matplotlib as mpl  # noqa: F401  # fail before the first read if matplotlib is missing
    except ImportError as e:
        raise AvePointConfigError(
            f"The report draws with matplotlib: pip install 'airflow-provider-avepoint[report]'. ({e})"
        ) from None


def _find_table(page: ObjectStoragePath) -> ObjectStoragePath:
    _check_page(str(page))
    return find_file(page.with_suffix(".csv"))


def _check_page(path: str) -> None:
    if path.endswith(".csv"):
        raise AvePointConfigError(
            f"path: {path} is where the CSV file goes; give the page's, such as x.html."
        )


def _parse_days(value: object) -> int:
    try:
        days = int(str(value))
    except ValueError:
        days = 0
    if not 1 <= days <= _MOST_DAYS:
        raise refuse("days", value, f"is not a whole number from 1 to {_MOST_DAYS}.")
    return days
