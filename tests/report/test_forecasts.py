"""One forecast: the task, the page, its chart, the CSV and the mail's sentences say the same."""

from __future__ import annotations

import csv
import html
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator, AvePointReportOperator
from airflow_provider_avepoint.simulator import Simulator
from tests.report.histories import consumption

DAY = timedelta(days=1)
# 190 of 200, cleaned up to 100 thirty days ago, and 2.5 a day since.
CLEANED_UP = [190] * 60 + [int(100 + 2.5 * day) for day in range(31)]
JUMPED = [100] * 60 + [175]

Said = Callable[..., tuple[dict[str, Any], dict[str, Any], str, list[dict[str, str]]]]


@pytest.fixture
def say(ledger: Ledger, connect: Callable[..., str], simulator: Simulator, tmp_path: Path) -> Said:
    """Return a function that gives what the audit, the report, the page and the CSV say of seats."""

    def run(seats: list[int], *, bought: int = 200, days: int = 90, **arguments: Any) -> Any:
        connect("contoso")
        now = datetime.now(UTC)
        for back, used in enumerate(reversed(seats[:-1]), 1):
            ledger.save_licenses("contoso", [consumption(used, bought)], now - back * DAY)
        simulator.set_license(
            "m365",
            purchased_user_seats=bought,
            assigned_user_seats=seats[-1],
            purchased_storage_size=1000,
            protected_size=400,
            out_of_policy_time=0,
        )
        named = {"avepoint_conn_id": "contoso", "ledger_conn_id": "ledger", "on_breach": "warn"} | arguments
        audited = AvePointLicenseAuditOperator(task_id="audit", **named).execute({})
        page = tmp_path / "report.html"
        report = AvePointReportOperator(task_id="report", ledger_conn_id="ledger", path=page, days=days)
        reported = report.execute({})
        with Path(reported["csv_path"]).open(encoding="utf-8-sig", newline="") as lines:
            table = list(csv.DictReader(lines))
        return audited, reported, html.unescape(page.read_text()), table

    return run


@pytest.mark.no_cover
@pytest.mark.parametrize("days", [90, 7])
def test_growth_since_a_cleanup_has_one_date_everywhere(say: Said, days: int) -> None:
    """Ten days are left; a report on a shorter time forecasts from the same readings."""
    audited, reported, page, table = say(CLEANED_UP, days=days)
    seats = audited["forecast"][0]
    expected = datetime.fromisoformat(seats["crossing"]["expected"])
    day = expected.date().isoformat()

    assert audited["reasons"] == ["forecast"]
    assert abs(expected - datetime.now(UTC) - 10 * DAY) < DAY / 2
    assert f"seats will reach the 200 seats purchased about {day}" in seats["text"]
    assert any(sentence.endswith(f"forecast: {seats['text']}.") for sentence in reported["attention"])
    assert f"<small>S{seats['text'][1:]}.</small>" in page
    assert [line["at"][:10] for line in table if line["figure"] == "seats_limit_reached_expected"] == [day]
    assert len([line for line in table if line["figure"] == "seats_used"]) == min(days, 90)


def test_the_audits_horizon_is_the_reports(say: Said) -> None:
    """The limit is ten days away, and the audit looks nine days ahead: so do page, chart and CSV."""
    audited, reported, page, table = say(CLEANED_UP, forecast_days=9)
    day = (datetime.now(UTC) + 9 * DAY).date().isoformat()
    forecasts = [line for line in table if line["figure"] == "seats_forecast"]

    assert (audited["reasons"], reported["attention"], audited["notes"]) == ([], [], [])
    assert f"seats: about 197.26 on {day}" in audited["forecast"][0]["text"]
    assert [line["at"][:10] for line in forecasts] == [day]
    assert f"Forecast for {day}: " in page
    assert f"not by {day}" in page


def test_an_audit_that_does_not_look_ahead(say: Said) -> None:
    audited, reported, page, _ = say(CLEANED_UP, forecast_days=0)

    assert (audited["reasons"], reported["attention"]) == ([], [])
    assert "will reach" not in page


def test_a_figure_that_changed_too_recently_is_told_everywhere(say: Said) -> None:
    """A jump in one day is no breach, and is not nothing: the reader has to look."""
    audited, reported, page, table = say(JUMPED)
    seats = audited["forecast"][0]
    days = [(datetime.now(UTC) - back * DAY).date().isoformat() for back in (1, 0, -30)]
    sentence = (
        f"seats: changed too recently to tell: 100 on {days[0]} and 175 on {days[1]}, of 200 seats purchased"
    )
    doubt = f"{sentence}; the limit may be reached by {days[2]}"

    assert (audited["passed"], audited["reasons"]) == (True, [])
    assert (sentence, doubt, None, None) == tuple(
        seats[name] for name in ("text", "doubt", "estimate", "crossing")
    )
    assert audited["notes"] == [f"m365: {doubt}"]
    assert reported["attention"] == [f"contoso, Cloud Backup for Microsoft 365: {doubt}."]
    assert not reported["needs_attention"]
    assert f"<small>S{sentence[1:]}.</small>" in page
    assert "No forecast: changed too recently to tell." in page
    assert [line["detail"] for line in table if line["figure"] == "license_doubt"] == [doubt]
    assert not [line for line in table if line["figure"].startswith("seats_forecast")]


def test_a_licence_without_a_limit_has_a_trend_and_no_doubt(say: Said) -> None:
    """The page shows how fast an unlimited figure grows, since its change."""
    audited, reported, page, table = say([300] * 30 + list(range(100, 130)), bought=0)

    assert [each["of"] for each in audited["forecast"]] == ["storage"]
    assert reported["attention"] == []
    assert [float(line["value"]) for line in table if line["figure"] == "seats_forecast"] == [
        pytest.approx(159, abs=0.01)
    ]
    assert ">+30.0 seats<" in page


def test_an_unlimited_figure_that_just_changed(say: Said) -> None:
    _, reported, page, _ = say(JUMPED, bought=0)

    assert reported["attention"] == []
    assert "175 on" in page
    assert "of an unlimited number of seats." in page


def test_a_licence_in_doubt_is_not_in_order(ledger: Ledger, tmp_path: Path) -> None:
    """It comes before fuller ones; the next report says that it changed."""
    now = datetime.now(UTC)

    def report(seats: list[int]) -> dict[str, Any]:
        for back, used in enumerate(reversed(seats)):
            customers = [consumption(used, 200, product="elements", organization_id="jumped")]
            customers.append(consumption(199, 225, product="elements", organization_id="full"))
            ledger.save_licenses("partner", customers, now - back * DAY)
        arguments = {"ledger_conn_id": "ledger", "path": tmp_path / "r.html"}
        return AvePointReportOperator(task_id="report", **arguments).execute({})

    report([100] * 30)
    said = report([*[100] * 30, 175])
    page = (tmp_path / "r.html").read_text()

    assert "partner, jumped, licence: in order → no forecast." in said["changes"]
    assert page.index("jumped: seats over time") < page.index("full: seats over time")


@pytest.mark.no_cover
def test_many_licences_in_doubt_are_counted(ledger: Ledger, tmp_path: Path) -> None:
    """A partner's customers: the first are named."""
    now = datetime.now(UTC)
    for back, used in enumerate(reversed([100] * 20 + [175])):
        customers = [consumption(used, 200, product="elements", organization_id=f"c{n}") for n in range(7)]
        ledger.save_licenses("partner", customers, now - back * DAY)
    report = AvePointReportOperator(task_id="report", ledger_conn_id="ledger", path=tmp_path / "r.html")

    *named, rest = report.execute({})["attention"]

    assert [sentence.split(": ")[0] for sentence in named] == [f"partner, c{n}" for n in range(5)]
    assert rest == "2 more licences without a forecast."
