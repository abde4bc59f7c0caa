"""What somebody else has put into a SQLite ledger, by hand or otherwise: it ends no report, and is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointLedgerError, AvePointPayloadError
from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.ledger.reader import LedgerReader
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.ledger.tables import metadata
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.gates import Gates
from airflow_provider_avepoint.report.ledger_jobs import read_newest
from airflow_provider_avepoint.report.ledger_queries import read_report
from airflow_provider_avepoint.report.page import write_page
from airflow_provider_avepoint.report.table import write_table
from tests.report.histories import (
    DAY,
    HOUR,
    NOW,
    consumption,
    fill,
    job,
    nights,
    save_drill,
    save_intent,
    save_protection,
)
from tests.report.test_gates import guard
from tests.report.test_kept_schedules import exchange, keep

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

MONTH = Period(now=NOW, days=30)
IS_LONG = "AVEPOINT_FUZZ_EXAMPLES" in os.environ
#: SQL for values that no writer of ours has written.
FOREIGN = (
    *("1e30", "-5", "0.5", "9e999", "'many'", "''", "'NaN'", "'[NaN]'", "'2026-11-31 01:00:00.000000'"),
    *("'2026-11-20 25:61:00.000000'", "'2026-13-45'", "'9999-99-99'", "12345"),
    *("x'fffe'", "'null'", "'[]'"),
)


def fill_all(ledger: Ledger) -> None:
    """Write rows into every table."""
    jobs = [job(night) for night in nights(7)]
    partial = job(NOW - 5 * HOUR, "failed", job_id="odd", workload="odd")
    fill(ledger, "contoso", [*jobs, partial])
    fill(ledger, "contoso", [exchange(night) for night in nights(60)])
    guard(ledger, jobs)
    keep(ledger, 0, {"exchange_online": [1]})
    save_drill(ledger, DAY)
    save_intent(ledger, 3 * DAY)
    save_protection(ledger, HOUR)
    ledger.save_licenses("contoso", [consumption(5, 10)], NOW - HOUR)
    ledger.save_audit(
        "contoso", Audit(product="m365", audited_at=NOW - HOUR, near_limit=0.9, forecast_days=30)
    )
    stream = Stream(tenant="contoso", product="dynamics365", location="", organization_id="", selection="[]")
    moment = NOW - HOUR
    ledger.save_load_point(stream, LoadPoint(loaded_from=moment, resume_from=moment, begun_at=moment), None)
    ledger.save_report(None, NOW - DAY, "All good.", {"a": "good"})


def iter_columns() -> Iterator[tuple[Table, Column[Any]]]:
    for table in metadata.sorted_tables:
        for column in table.columns:
            yield table, column


def put(ledger: Ledger, statement: str) -> str:
    with ledger._engine.begin() as connection:
        result = connection.exec_driver_sql(statement)
        return str(result.scalar()) if result.returns_rows else ""


def test_no_foreign_value_ends_the_report(ledger: Ledger) -> None:
    """Some values in some columns; every value in every column where ``AVEPOINT_FUZZ_EXAMPLES`` is set."""
    fill_all(ledger)
    cases = [(table, column, value) for table, column in iter_columns() for value in FOREIGN]
    for table, column, value in cases[:: 1 if IS_LONG else 131]:
        row = f"WHERE rowid = {put(ledger, f'SELECT max(rowid) FROM {table.name}')}"
        before = put(ledger, f"SELECT quote({column.name}) FROM {table.name} {row}")
        put(ledger, f"UPDATE {table.name} SET {column.name} = {value} {row}")
        try:
            report = read_report(ledger, MONTH, None)
            write_page(report, "report.csv")
            write_table(report)
        except Exception as e:
            e.add_note(f"{table.name}.{column.name} = {value}")
            raise
        assert len(report.scopes) > 0
        put(ledger, f"UPDATE {table.name} SET {column.name} = {before} {row}")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("avepoint_jobs", "objects_failed", "'many'"),
        ("avepoint_jobs", "started_at", "'2026-11-21 25:61:00.000000'"),
        ("avepoint_drills", "judged_at", "'2026-11-31 01:00:00.000000'"),
        ("avepoint_licenses", "purchased_user_seats", "0.5"),
        ("avepoint_verdicts", "try_number", "'first'"),
        ("avepoint_jobs", "location", "x'fffe'"),
        ("avepoint_licenses", "service", "x'fffe'"),
    ],
)
def test_a_foreign_row_is_told_and_hides_no_other(
    ledger: Ledger, table: str, column: str, value: str
) -> None:
    fill_all(ledger)
    known = read_report(ledger, MONTH, None)
    put(ledger, f"UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})")

    report = read_report(ledger, MONTH, None)
    for scope in report.scopes:
        assert read_newest(ledger, scope.place, Gates(report.gates), 9) or scope.place.scope.workload == "odd"
    ledger.save_report(None, NOW, "Written as before.", {})

    texts = [each.text for each in report.list_attention() if each.is_urgent]
    assert f"The ledger: 1 row of {table} is not understood" in "\n".join(texts)
    assert {each.place for each in report.scopes} == {each.place for each in known.scopes}
    with LedgerReader("ledger", seconds=30) as reader:
        assert read_report(reader, MONTH, None).foreign_rows == report.foreign_rows


@pytest.mark.parametrize("states", ["null", "[]", '{"a": 1}'])
def test_a_report_that_is_not_understood_is_no_last_report(ledger: Ledger, states: str) -> None:
    fill_all(ledger)
    put(ledger, f"UPDATE avepoint_reports SET states = '{states}'")
    report = read_report(ledger, MONTH, None)
    write_page(report, "report.csv")
    assert report.previous is None


@pytest.mark.parametrize(
    ("column", "value"), [("started_at", "'soon'"), ("finished_at", "x'fffe'"), ("objects_failed", "'many'")]
)
def test_a_write_that_meets_a_foreign_row_says_so(ledger: Ledger, column: str, value: str) -> None:
    runs = [job(NOW - hours * HOUR, "success", job_id="again") for hours in (5, 29)]
    ledger.save_jobs("contoso", runs[:1], NOW - HOUR)
    put(ledger, f"UPDATE avepoint_jobs SET {column} = {value}")
    with pytest.raises(AvePointLedgerError, match=r"row that is not understood.*Mend or delete it"):
        ledger.save_jobs("contoso", runs[1:], NOW)


def test_a_figure_that_no_reader_takes_is_not_written(ledger: Ledger) -> None:
    with pytest.raises(AvePointPayloadError, match=r"1e\+20 is too large a number"):
        ledger.save_licenses("contoso", [consumption(5, 10, protected=1e20)], NOW)
    assert not read_report(ledger, MONTH, None).licenses
