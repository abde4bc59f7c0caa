"""Seats and storage over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.ledger_queries import read_report
from airflow_provider_avepoint.report.licenses import LicenseHistory, Measure
from tests.report.histories import DAY, NOW, consumption, nights

MONTH = Period(now=NOW, days=30)


def read(ledger: Ledger, seats: list[int], bought: int = 100, **fields: Any) -> Report:
    """Write a reading a day, the last of today, and report."""
    for moment, used in zip(nights(len(seats)), seats, strict=True):
        ledger.save_licenses("contoso", [consumption(used, bought, **fields)], moment)
    return read_report(ledger, MONTH, None)


def only(report: Report) -> LicenseHistory:
    (history,) = report.licenses
    return history


def seats_of(report: Report) -> Measure:
    return next(measure for measure in only(report).measures if measure.name == "seats")


def test_what_was_used_and_bought(ledger: Ledger) -> None:
    report = read(ledger, [10, 20, 30], bought=40, protected=123.5)

    assert [
        (measure.name, measure.unit, [(each.at, each.used, each.bought) for each in measure.readings])
        for measure in only(report).measures
    ] == [
        ("seats", "seats", [(at, used, 40) for at, used in zip(nights(3), (10, 20, 30), strict=True)]),
        ("storage", "GB", [(at, 123.5, 1000.0) for at in nights(3)]),
    ]


def test_when_the_limit_will_be_reached(ledger: Ledger) -> None:
    """A seat a day, 90 of 100 today: ten days from the last reading, and no scatter makes it sure."""
    report = read(ledger, list(range(80, 91)))
    crossing = seats_of(report).crossing

    assert crossing is not None
    assert timedelta() <= abs(crossing.expected - (nights(1)[0] + 10 * DAY)) < timedelta(seconds=1)
    assert any(
        each.is_urgent and "seats will reach the 100 seats purchased about 2026-12-02" in each.text
        for each in report.list_attention()
    )


@pytest.mark.parametrize(
    ("seats", "bought"),
    [
        ([80, 85, 90], 100),  # too little history
        ([50, 50, 50, 50, 50, 50, 50, 50, 50], 100),  # level
        ([58, 57, 56, 55, 54, 53, 52, 51, 50], 100),  # falling
        (list(range(11)), 100),  # ninety days ahead
        (list(range(100, 111)), 100),  # reached: over it now
        (list(range(80, 91)), 0),  # no limit
    ],
)
def test_no_limit_ahead(ledger: Ledger, seats: list[int], bought: int) -> None:
    assert seats_of(read(ledger, seats, bought)).crossing is None


def test_nothing_bought_is_another_model(ledger: Ledger) -> None:
    report = read(ledger, [40], bought=0)

    assert (seats_of(report).share, only(report).findings, report.list_attention()) == (None, {}, ())


def test_too_much_used(ledger: Ledger) -> None:
    """The audit's own sentence needs attention, and stands before what is merely to be watched."""
    report = read(ledger, [101])

    assert list(only(report).findings) == ["over_assigned"]
    assert (True, "licenses") == (report.list_attention()[0].is_urgent, report.list_attention()[0].section)


def test_licences_are_kept_apart_and_the_worst_comes_first(ledger: Ledger) -> None:
    for used, fields in (
        (10, {"organization_id": "a", "organization_name": "A"}),
        (99, {"organization_id": "b", "organization_name": "B"}),
        (20, {"organization_id": "b", "organization_name": "B", "service": "Backup"}),
        (30, {"location": "EUR"}),
    ):
        read(ledger, [used], protected=0, **fields)

    names = [history.name for history in read_report(ledger, MONTH, None).licenses]

    assert names == ["B", "EUR", "B / Backup", "A"]


def test_only_the_period_and_the_tenants_asked_for(ledger: Ledger) -> None:
    ledger.save_licenses("contoso", [consumption(1, 2)], NOW - 200 * DAY)
    ledger.save_licenses("contoso", [consumption(1, 2)], NOW + DAY)
    ledger.save_licenses("fabrikam", [consumption(1, 2)], NOW)

    assert read_report(ledger, MONTH, ("contoso",)).licenses == ()
    assert [each.subscription.tenant for each in read_report(ledger, MONTH, None).licenses] == ["fabrikam"]


def test_a_figure_of_before_the_period_alone_is_not_shown(ledger: Ledger) -> None:
    """Storage was read until forty days ago; the forecast of seats begins there too."""
    ledger.save_licenses("contoso", [consumption(50, 100, protected=1)], NOW - 40 * DAY)
    report = read(ledger, [60, 60, 60], protected_gb=None)

    assert [(each.name, len(each.readings)) for each in only(report).measures] == [("seats", 3)]
    assert seats_of(report).forecast.readings == 4
