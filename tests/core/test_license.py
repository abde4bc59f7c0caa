from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_avepoint.core.license import audit
from airflow_provider_avepoint.core.model import LicenseConsumption

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
CONSEQUENCE = "new objects are not backed up, and backups may stop after 90 days"


def consumption(**fields: Any) -> LicenseConsumption:
    figures = {
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 1000,
        "protected_gb": 10,
    }
    return LicenseConsumption(**{"product": "m365", **figures, **fields})


@pytest.mark.parametrize(
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
        ({"assigned_user_seats": 124, "protected_gb": 950}, 0.9, ["over_assigned", "near_limit"]),
        ({"assigned_user_seats": 95, "protected_gb": 2000}, 0.9, ["storage_over", "near_limit"]),
        ({"assigned_user_seats": 124, "protected_gb": 2000}, 0.9, ["over_assigned", "storage_over"]),
        ({"purchased_user_seats": 0}, 0.9, []),
        ({"purchased_storage_gb": 0, "protected_gb": 5000}, 0.9, []),
        ({"purchased_user_seats": None, "protected_gb": None}, 0.9, []),
        ({"out_of_policy_at": SINCE, "is_out_of_policy": True}, 0.9, ["out_of_policy"]),
        ({"out_of_policy_at": SINCE, "is_out_of_policy": False}, 0.9, []),
    ],
)
def test_reasons(fields: dict[str, Any], near_limit: float, reasons: list[str]) -> None:
    findings = audit(consumption(**fields), near_limit)
    assert reasons == list(findings)
    assert all(sentence.startswith(reason) for reason, sentence in findings.items())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"assigned_user_seats": 124}, "over_assigned: 124 seats assigned, 100 purchased"),
        ({"protected_gb": 1001}, "storage_over: 1001 GB protected, 1000 GB purchased"),
        (
            {"assigned_user_seats": 95, "protected_gb": 900},
            "near_limit: seats at 95% and storage at 90% of what is purchased",
        ),
        (
            {"out_of_policy_at": SINCE, "is_out_of_policy": True},
            f"out_of_policy since {SINCE:%Y-%m-%d}: {CONSEQUENCE}",
        ),
    ],
)
def test_sentences(fields: dict[str, Any], sentence: str) -> None:
    assert [sentence] == list(audit(consumption(**fields), 0.9).values())
