"""How much was backed up: where the vendor states sizes, in the page and in the CSV file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.formatting import say_size
from airflow_provider_avepoint.report.ledger_queries import read_report
from airflow_provider_avepoint.report.page import write_page
from airflow_provider_avepoint.report.table import write_table
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights

GB = 1024**3


def read(ledger: Ledger) -> Report:
    return read_report(ledger, Period(now=NOW, days=3), None)


def list_sizes(report: Report) -> list[dict[str, str]]:
    lines = csv.DictReader(io.StringIO(write_table(report).removeprefix("\ufeff"), newline=""))
    return [line for line in lines if line["figure"] == "backed_up"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 GB"),
        (1, "less than 0.1 MB"),
        (50 * 1024**2, "50 MB"),
        (GB // 10, "102.4 MB"),
        (GB // 10 + 1, "0.1 GB"),
        (GB + GB // 2, "1.5 GB"),
        (round(999.94 * GB), "999.9 GB"),
        (round(999.96 * GB), "0.98 TB"),
        (1024 * GB, "1.00 TB"),
        (12_345 * GB, "12.1 TB"),
        (2**63 - 1, "8,388,608.0 TB"),
    ],
)
def test_a_size_is_said_in_its_unit(size: int, text: str) -> None:
    assert text == say_size(size)


def test_sizes_are_added_up_by_service(ledger: Ledger) -> None:
    """Of backups in the period that ended well or in part; one without a size adds nothing."""
    sizes: list[tuple[Any, ...]] = [
        (NOW - 2 * HOUR, "success", 3 * GB),
        (NOW - 3 * HOUR, "partial", GB // 2),
        (NOW - 4 * HOUR, "success", None),
        (NOW - 5 * HOUR, "failed", 100 * GB),
        (NOW - HOUR, "running", 100 * GB),
        (NOW - 9 * DAY, "success", 100 * GB),
    ]
    fill(ledger, "contoso", [job(start, state, size_bytes=size) for start, state, size in sizes])
    fill(ledger, "contoso", [job(NOW - HOUR, size_bytes=0, workload="unified", finished_at=NOW)])
    fill(ledger, "contoso", [job(NOW - 2 * HOUR, job_type="restore", job_id="r", size_bytes=GB)])
    huge = [job(NOW - hours * HOUR, product="salesforce", size_bytes=2**62) for hours in (3, 4, 5)]
    fill(ledger, "other", huge)

    report = read(ledger)
    page = write_page(report, "report.csv")

    assert [
        (each["tenant"], each["workload"], each["value"], each["unit"]) for each in list_sizes(report)
    ] == [
        ("contoso", "dynamics_sales", str(3 * GB + GB // 2), "bytes"),
        ("contoso", "unified", "0", "bytes"),
        ("other", "dynamics_sales", str(3 * 2**62), "bytes"),
    ]
    assert list_sizes(report)[0]["detail"] == "3.5 GB; 2 of 3 backups with a size"
    assert '<td data-is="Backed up" class="num">3.5 GB</td>' in page
    assert '<a href="#sizes">' in page


def test_nothing_is_shown_where_no_size_is_known(ledger: Ledger) -> None:
    """Neither for a product that states none, nor for one whose rows leave the size out."""
    fill(ledger, "contoso", [job(night) for night in nights(3)])
    fill(ledger, "contoso", [job(night, product="m365", workload="teams") for night in nights(3)])

    report = read(ledger)

    assert (report.sizes, list_sizes(report)) == ((), [])
    assert "backed up</h2>" not in write_page(report, "report.csv")


def test_what_came_after_the_moment_of_the_report_is_left_out(ledger: Ledger) -> None:
    fill(ledger, "contoso", [job(NOW + timedelta(minutes=5), size_bytes=GB)], NOW + DAY)
    fill(ledger, "contoso", [job(NOW - DAY, size_bytes=GB)], NOW + DAY)

    assert [each.size_bytes for each in read(ledger).sizes] == [GB]
