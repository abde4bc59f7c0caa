from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.core.license import (
    Forecast,
    Usage,
    audit,
    describe_models,
    describe_subject,
    forecast,
    foresee,
)
from airflow_provider_avepoint.core.model import LicenseConsumption

from .tables import each_row

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def consumption(**fields: Any) -> LicenseConsumption:
    figures = {
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 1000,
        "protected_gb": 10,
    }
    return LicenseConsumption(**{"product": "m365", **figures, **fields})


def weekly(
    name: str, values: Iterable[float | None], **fields: Any
) -> list[tuple[datetime, LicenseConsumption]]:
    """Return readings of one figure, a week apart, the last of them now."""
    readings = list(values)
    return [
        (NOW - timedelta(weeks=len(readings) - 1 - index), consumption(**fields, **{name: value}))
        for index, value in enumerate(readings)
    ]


@each_row(
    ("fields", "near_limit", "reasons"),
    [
        ({}, 0.9, []),
        ({"assigned_user_seats": 89}, 0.9, []),
        ({"assigned_user_seats": 90}, 0.9, ["near_limit"]),
        ({"assigned_user_seats": 100}, 0.9, ["near_limit"]),
        ({"assigned_user_seats": 100}, 1.0, ["near_limit"]),
        ({"assigned_user_seats": 99}, 1.0, []),
        ({"assigned_user_seats": 101}, 0.9, ["over_assigned"]),
        ({"protected_gb": 900}, 0.9, ["near_limit"]),
        ({"protected_gb": 1001}, 0.9, ["storage_over"]),
        ({"protected_gb": 1000.01}, 0.9, ["storage_over"]),
        ({"assigned_user_seats": 124, "protected_gb": 950}, 0.9, ["over_assigned", "near_limit"]),
        ({"assigned_user_seats": 95, "protected_gb": 2000}, 0.9, ["storage_over", "near_limit"]),
        ({"assigned_user_seats": 124, "protected_gb": 2000}, 0.9, ["over_assigned", "storage_over"]),
        ({"purchased_user_seats": 0}, 0.9, []),
        ({"purchased_storage_gb": 0, "protected_gb": 5000}, 0.9, []),
        ({"purchased_user_seats": None, "protected_gb": None}, 0.9, []),
        ({"assigned_user_seats": None, "purchased_storage_gb": None}, 0.9, []),
        ({"out_of_policy_at": SINCE, "is_out_of_policy": True}, 0.9, ["out_of_policy"]),
        ({"out_of_policy_at": SINCE, "is_out_of_policy": False}, 0.9, []),
    ],
)
def test_reasons(fields: dict[str, Any], near_limit: float, reasons: list[str]) -> None:
    findings = audit(consumption(**fields), near_limit)
    assert reasons == list(findings)
    assert all(sentence.startswith(reason) for reason, sentence in findings.items())


@each_row(
    ("fields", "sentence"),
    [
        ({"assigned_user_seats": 124}, "over_assigned: 124 seats assigned, 100 purchased"),
        ({"protected_gb": 1001}, "storage_over: 1001 GB protected, 1000 purchased"),
        (
            {"protected_gb": 5.014, "purchased_storage_gb": 1.5},
            "storage_over: 5.01 GB protected, 1.5 purchased",
        ),
        (
            {"assigned_user_seats": 95, "protected_gb": 900},
            "near_limit: seats at 95% and storage at 90% of what is purchased",
        ),
        (
            {"assigned_user_seats": 100, "protected_gb": 999.9},
            "near_limit: seats at 100% and storage at 99.9% of what is purchased",
        ),
        (
            {"out_of_policy_at": SINCE, "is_out_of_policy": True},
            (
                "out_of_policy since 2026-10-01: new objects are not backed up; with a licence by GB all "
                "backups stop after 90 days, on 2026-12-30"
            ),
        ),
    ],
)
def test_sentences(fields: dict[str, Any], sentence: str) -> None:
    assert [sentence] == list(audit(consumption(**fields), 0.9).values())


@each_row(
    ("fields", "sentences"),
    [
        ({"expires_at": NOW - timedelta(days=1)}, ["expired: the subscription ended on 2026-11-22"]),
        ({"expires_at": NOW}, ["expired: the subscription ended on 2026-11-23"]),
        ({"expires_at": NOW + MONTH}, ["expires_soon: the subscription ends on 2026-12-23"]),
        ({"expires_at": NOW + MONTH + timedelta(seconds=1)}, []),
        (
            {"out_of_policy_at": NOW + MONTH},
            ["expires_soon: the subscription is out of policy from 2026-12-23"],
        ),
        ({"out_of_policy_at": NOW + MONTH + timedelta(seconds=1)}, []),
        ({"out_of_policy_at": NOW}, []),
    ],
)
def test_the_end_of_a_subscription(fields: dict[str, Any], sentences: list[str]) -> None:
    assert sentences == list(audit(consumption(**fields), 0.9, now=NOW, within=MONTH).values())
    assert {} == audit(consumption(**fields), 0.9)


@each_row(
    ("fields", "sentences"),
    [
        ({}, []),
        (
            {"purchased_user_seats": 0},
            ["seats: 47 seats used, none purchased: another licence model, without a limit"],
        ),
        (
            {"purchased_storage_gb": 0.0, "protected_gb": 1.5},
            ["storage: 1.5 GB used, none purchased: another licence model, without a limit"],
        ),
        ({"purchased_user_seats": None, "protected_gb": None}, []),
    ],
)
def test_another_licence_model_is_said(fields: dict[str, Any], sentences: list[str]) -> None:
    assert sentences == describe_models(consumption(**fields))
    assert {} == audit(consumption(**fields), 0.9)


def test_a_forecast_that_reaches_the_limit() -> None:
    """Seven seats a week: from 81 the 100 are 19 days away."""
    history = weekly("assigned_user_seats", [60, 67, 74, 81])
    newest = history[-1][1]

    forecasts = forecast(newest, history, NOW, MONTH)

    assert {
        "forecast": "forecast: seats will reach the 100 seats purchased about 2026-12-12 "
        "(95 %: 2026-12-12 to 2026-12-12)"
    } == audit(newest, 0.9, forecasts=forecasts)
    assert ["seats", "storage"] == [each.usage.name for each in forecasts]
    assert {} == audit(newest, 0.9, forecasts=forecast(newest, history, NOW, timedelta(days=18)))


def test_a_forecast_says_how_sure_it_is() -> None:
    history = weekly("protected_gb", [700, 760, 750, 840, 850])
    newest = history[-1][1]
    (_, storage) = forecast(newest, history, NOW, timedelta(days=40))
    written = storage.as_dict()

    assert written == json.loads(json.dumps(written))
    assert ("storage", 1000, 5, True) == tuple(
        written[name] for name in ("of", "limit", "readings", "has_enough_history")
    )
    assert written["estimate"]["low"] < 1000 < written["estimate"]["value"] < written["estimate"]["high"]
    crossing = written["crossing"]
    assert NOW.isoformat() < crossing["earliest"] < crossing["expected"] < written["until"]
    assert written["until"] < crossing["latest"]
    assert (
        f"storage will reach the 1000 GB purchased about {crossing['expected'][:10]} "
        f"(95 %: {crossing['earliest'][:10]} to {crossing['latest'][:10]})"
    ) == written["text"]


def test_a_forecast_that_may_never_come_true_says_so() -> None:
    history = weekly("protected_gb", [800, 950, 790, 960, 870, 990])
    (_, storage) = forecast(history[-1][1], history, NOW, timedelta(days=60))

    assert storage.crossing is not None
    assert storage.as_dict()["crossing"]["latest"] is None
    assert storage.describe().endswith("or later, or never)")


def test_a_forecast_below_the_limit_says_what_is_expected() -> None:
    history = weekly("assigned_user_seats", [40, 41, 42, 43])
    seats, _ = forecast(history[-1][1], history, NOW, timedelta(weeks=4))

    assert "seats: about 47 on 2026-12-21 (95 %: 47 to 47), of 100 seats purchased" == seats.describe()
    assert seats.as_dict()["crossing"] is None


@each_row("values", [[81], [60, 70, 80]])
def test_too_little_history_is_said_and_no_breach(values: list[int]) -> None:
    history = weekly("assigned_user_seats", values)
    newest = history[-1][1]
    seats, _ = forecasts = forecast(newest, history, NOW, MONTH)

    assert (
        f"seats: too little history for a forecast: readings so far {len(values)}, and it takes 4 over 7 days"
    ) == seats.describe()
    assert (False, None, None) == tuple(
        seats.as_dict()[name] for name in ("has_enough_history", "estimate", "crossing")
    )
    assert {} == audit(newest, 0.9, forecasts=forecasts)


def test_the_limit_of_a_forecast_is_todays() -> None:
    """More was bought last week: the trend of what is used does not care, and now it fits."""
    history = weekly("assigned_user_seats", [60, 67, 74, 81], purchased_user_seats=85)
    newest = consumption(assigned_user_seats=81, purchased_user_seats=200)

    assert ["seats will reach the 85 seats purchased about 2026-11-27 (95 %: 2026-11-27 to 2026-11-27)"] == [
        each.describe() for each in forecast(history[-1][1], history, NOW, MONTH) if each.crossing
    ]
    assert {} == audit(newest, 0.9, forecasts=forecast(newest, history, NOW, MONTH))


def test_what_is_over_already_is_not_forecast() -> None:
    history = weekly("assigned_user_seats", [90, 97, 104, 111])
    newest = history[-1][1]

    assert ["over_assigned"] == list(audit(newest, 0.9, forecasts=forecast(newest, history, NOW, MONTH)))


def test_a_figure_without_a_limit_has_no_forecast() -> None:
    """Nothing purchased, or no such figure; a reading that lacks it is none."""
    history = weekly("protected_gb", [1, 2, None, 3, 4])
    newest = history[-1][1]
    (_, storage) = forecast(newest, history, NOW, MONTH)
    unlimited = consumption(purchased_user_seats=0, purchased_storage_gb=None)

    assert 4 == storage.readings
    assert [] == forecast(unlimited, history, NOW, MONTH)


@each_row(
    ("fields", "said"),
    [
        ({}, "m365"),
        ({"product": "elements", "organization_id": "c1"}, "elements, c1"),
        (
            {
                "product": "elements",
                "organization_id": "c1",
                "organization_name": "Contoso",
                "service": "Fly",
            },
            "elements, Contoso, Fly",
        ),
        ({"service": "two\nlines"}, "m365, two lines"),
    ],
)
def test_whose_licence_it_is(fields: dict[str, Any], said: str) -> None:
    assert said == describe_subject(consumption(**fields))


CLEANED_UP = [190.0] * 60 + [100 + 2.5 * day for day in range(31)]
JUMPED = [100.0] * 60 + [175]


def daily(values: list[float]) -> list[tuple[datetime, float]]:
    return [(NOW - timedelta(days=len(values) - 1 - index), value) for index, value in enumerate(values)]


def ahead(
    values: list[float], limit: float = 200, within: timedelta = MONTH, gap: timedelta = timedelta(days=1)
) -> Forecast:
    """Return the forecast of readings, the last of them now."""
    readings = [(NOW - (len(values) - 1 - index) * gap, value) for index, value in enumerate(values)]
    return foresee(Usage("seats", "seats", values[-1], limit), readings, NOW, within)


@each_row(
    ("values", "text"),
    [
        (
            CLEANED_UP,
            (
                "seats will reach the 200 seats purchased about 2026-12-03 (95 %: 2026-12-03 to 2026-12-03), "
                "by the readings since the change of 2026-10-24"
            ),
        ),
        (
            [100.0] * 30 + [175] * 60,
            (
                "seats: about 175 on 2026-12-23 (95 %: 175 to 175), of 200 seats purchased, by the readings "
                "since the change of 2026-09-25"
            ),
        ),
        (JUMPED, "seats: changed too recently to tell: 100 on 2026-11-22 and 175 on 2026-11-23"),
        ([*JUMPED, 175, 175], "seats: changed too recently to tell: 100 on 2026-11-20 and 175 on 2026-11-23"),
        (JUMPED + [175] * 7, "seats: about 175 on 2026-12-23"),
        ([-3.0, -2, -1, 0, 0, 0, 0, -5], "seats: about 0 on 2026-12-23 (95 %: 0 to "),
    ],
)
def test_a_forecast_begins_at_the_last_change(values: list[float], text: str) -> None:
    forecast_of = ahead(values)

    assert text in forecast_of.describe()
    assert ("changed too recently to tell" in text) == (forecast_of.unknown is not None)


@each_row(
    ("values", "limit", "said"),
    [
        (JUMPED, 200, "; the limit may be reached by 2026-12-23"),  # as much again
        (JUMPED, 251, "100 on 2026-11-22 and 175 on 2026-11-23, of 251 seats purchased"),  # not by as much
        ([190.0] * 60 + [100], 200, "190 on 2026-11-22 and 100 on 2026-11-23, of 200 seats purchased"),
        # The growth before a figure that is perhaps wrong.
        ([100 + 1.5 * day for day in range(60)] + [0], 200, "; the limit may be reached by 2026-12-23"),
        ([100.0, 100, 175], 200, "it takes 4 over 7 days: 100 on 2026-11-21 and 175 on 2026-11-23, of 200"),
        ([100.0, 110, 120], 200, None),
        ([190.0] * 54 + [100, 112, 124, 136, 148, 160, 172], 200, "; the limit may be reached by 2026-12-23"),
        ([100.0], 200, None),
        (CLEANED_UP, 200, None),
        ([100.0] * 60, 200, None),
        (JUMPED, 0, None),  # no limit
        (JUMPED, 150, None),  # a finding of its own
    ],
)
def test_what_a_reader_has_to_look_at_without_a_forecast(
    values: list[float], limit: float, said: str | None
) -> None:
    forecast_of = ahead(values, limit)

    assert (said or "") in (forecast_of.doubt or "")
    assert (said is None) == (forecast_of.doubt is None)
    assert ahead(values, limit, timedelta()).doubt is None


def test_a_date_by_chance_is_not_told() -> None:
    """Three readings and a jump: a line through them reaches the limit, and its band may never."""
    weekly_jump = ahead([100, 100, 100, 175], gap=timedelta(weeks=1))
    scattered = ahead([150.0] * 40 + [189, 193, 188, 192, 194, 187, 193, 191, 195])

    assert "the 4 readings so far scatter too much" in weekly_jump.describe()
    assert (weekly_jump.unknown, scattered.unknown) == ("too little history", "changed too recently to tell")
    for each in (weekly_jump, scattered):
        assert each.crossing is None
        assert "; the limit may be reached by 2026-12-23" in str(each.doubt)


def test_readings_after_now_or_of_long_ago_do_not_count() -> None:
    """A worker's clock was ahead; a report may have read more of the ledger than an audit."""
    usage = Usage("seats", "seats", 175, 200)
    known = daily(CLEANED_UP)
    more = [(NOW - timedelta(days=days), 5000.0) for days in range(91, 400)]
    later = [(NOW + timedelta(days=1), 999.0)]

    assert foresee(usage, known, NOW, MONTH) == foresee(usage, [*later, *more, *known], NOW, MONTH)
    assert 1 == foresee(usage, later, NOW, MONTH).readings
