"""How the vendor's words for a period are read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_avepoint.core.ids import is_same_organization
from airflow_provider_avepoint.core.retention import Period, RetentionPolicy, ServiceRetention, parse_period

from .tables import each_row


@each_row(
    ("text", "least_days"),
    [
        ("1 years", 365),
        ("2 years", 730),
        ("1 year", 365),
        ("1 months", 28),
        ("12 Months", 365),
        ("11 months", 334),
        ("14 months", 424),
        ("30 days", 30),
        ("1day", 1),
        (" 0 days ", 0),
    ],
)
def test_periods(text: str, least_days: int) -> None:
    """The fewest days: twelve months are a year, and one month may be February."""
    period = parse_period(text)
    assert period is not None
    assert (least_days, True, False) == (period.least_days, period.is_understood, period.is_unlimited)


def test_a_period_for_ever() -> None:
    for text in ("Unlimited", "unlimited", "UNLIMITED\u200b"):
        period = parse_period(text)
        assert period is not None
        assert (True, True, None) == (period.is_unlimited, period.is_understood, period.least_days)


def test_a_text_in_another_form_stays_as_it_is() -> None:
    """Never a guess: such a period says nothing, and is not for ever."""
    for text in (
        "1.5 years",
        "-1 years",
        "1 year 2 months",
        "forever",
        "1 Jahre",
        "years",
        "٣ years",
        "9" * 50,
    ):
        period = parse_period(text)
        assert period is not None
        assert (text, False, None, False) == (
            str(period),
            period.is_understood,
            period.least_days,
            period.is_unlimited,
        )
    for value in (1, True, [], {}, 1.5):
        with pytest.raises(ValueError, match="is not a period"):
            parse_period(value)
    assert parse_period(None) is None


def test_a_period_that_is_not_understood_counts_as_the_shortest() -> None:
    policy = RetentionPolicy(
        product="m365",
        read_at=datetime(2026, 11, 28, tzinfo=UTC),
        is_daily=False,
        is_customized=True,
        services=(
            ServiceRetention(
                service="teams", period=parse_period("1 days"), unassigned_period=Period(text="some time")
            ),
        ),
    )
    assert policy.find_shortest("teams") == ("objects in no container", Period(text="some time"))


def test_two_forms_of_an_id_of_salesforce_are_one_organisation() -> None:
    assert is_same_organization("00Dam00000kxWaGEAU", "00Dam00000kxWaG")
    assert is_same_organization("{69CB1ECC-F8E8-4C0B-9A57-1F2E3D4C5B6A}", "69cb1eccf8e84c0b9a571f2e3d4c5b6a")
    assert not is_same_organization("00Dam00000kxWaGEAU", "00Dam00000kxWag")
    assert not is_same_organization("other", None)
