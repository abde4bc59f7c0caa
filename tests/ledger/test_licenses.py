"""Licence readings in the ledger: one an hour, the later holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import LICENSES
from tests.ledger.databases import CONN_ID, NOON, SECOND, Database


def reading(**changes: Any) -> LicenseConsumption:
    fields = {
        "product": "elements",
        "service": "Cloud Backup",
        "organization_id": " Con-1 ",
        "organization_name": "Contoso",
        "location": "EUR",
        "out_of_policy_at": NOON,
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 5.5,
        "protected_gb": 0.1,
        "is_out_of_policy": True,
        "expires_at": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    }
    return LicenseConsumption(**(fields | changes))


def test_each_column_is_read_back(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [reading()], NOON + 90 * SECOND)

    assert database.rows(LICENSES) == [
        {
            "tenant": "t",
            "product": "elements",
            "location": "EUR",
            "organization_id": "Con-1",
            "organization_key": "Con-1",
            "service": "Cloud Backup",
            "hour": NOON,
            "read_at": NOON + 90 * SECOND,
            "organization_name": "Contoso",
            "purchased_user_seats": 100,
            "assigned_user_seats": 47,
            "purchased_storage_gb": 5.5,
            "protected_gb": 0.1,
            "out_of_policy_at": NOON,
            "is_out_of_policy": True,
            "expires_at": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        }
    ]


def test_a_tenant_s_own_licence_has_no_names(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [LicenseConsumption(product="m365")], NOON)
        ledger.save_licenses("t", [LicenseConsumption(product="m365")], NOON)

    (row,) = database.rows(LICENSES)
    assert (row["location"], row["organization_id"], row["service"]) == ("", "", "")
    assert (row["purchased_user_seats"], row["expires_at"], row["is_out_of_policy"]) == (None, None, False)


@pytest.mark.parametrize("minutes", [(10, 20), (20, 10), (20, 20)], ids=["in order", "swapped", "at once"])
def test_of_two_readings_in_an_hour_the_later_holds(database: Database, minutes: tuple[int, int]) -> None:
    with Ledger(CONN_ID) as ledger:
        for number, minute in enumerate(minutes):
            seats = 20 if minutes == (20, 20) and number else minute
            ledger.save_licenses(
                "t", [reading(assigned_user_seats=seats)], NOON + minute * timedelta(minutes=1)
            )

    (row,) = database.rows(LICENSES)
    assert row["assigned_user_seats"] == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "m365"},
        {"location": "NAM"},
        {"location": None},
        {"organization_id": "other"},
        {"organization_id": None},
        {"service": "Cloud Backup (2)"},
        {"service": None},
    ],
    ids=str,
)
def test_another_key_has_a_history_of_its_own(database: Database, changes: dict[str, Any]) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [reading()], NOON)
        ledger.save_licenses("t", [reading(**changes)], NOON)

    assert len(database.rows(LICENSES)) == 2


def test_hours_and_tenants_are_apart(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [reading()], NOON)
        ledger.save_licenses("t", [reading()], NOON + timedelta(minutes=59, seconds=59))
        ledger.save_licenses("t", [reading()], NOON + timedelta(hours=1))
        ledger.save_licenses("u", [reading()], NOON)

    rows = [(row["tenant"], row["hour"]) for row in database.rows(LICENSES)]
    assert rows == [("t", NOON), ("t", NOON + timedelta(hours=1)), ("u", NOON)]


def test_an_hour_is_of_utc(database: Database) -> None:
    """Where clocks are half an hour off, too."""
    india = timezone(timedelta(hours=5, minutes=30))
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [reading()], NOON.astimezone(india))
        ledger.save_licenses("t", [reading()], NOON + timedelta(minutes=59))

    assert [row["hour"] for row in database.rows(LICENSES)] == [NOON]


def test_what_no_database_holds_is_a_query_mark(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [reading(organization_name="a\0b", service="cut \ud83d")], NOON)

    assert [(row["organization_name"], row["service"]) for row in database.rows(LICENSES)] == [
        ("a?b", "cut ?")
    ]


def test_a_reading_of_many_licences_is_written_at_once(database: Database) -> None:
    """The last holds where the API says one licence twice."""
    consumptions = [reading(organization_id=f"con-{number}") for number in range(3)]
    with Ledger(CONN_ID) as ledger:
        ledger.save_licenses("t", [], NOON)
        ledger.save_licenses(
            "t", [*consumptions, reading(organization_id="con-1", assigned_user_seats=5)], NOON
        )

    seats = {row["organization_id"]: row["assigned_user_seats"] for row in database.rows(LICENSES)}
    assert seats == {"con-0": 47, "con-1": 5, "con-2": 47}
