"""What holds of what a tenant must have: by the newest audits, and never all clear where one is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_avepoint.core.license import Finding
from airflow_provider_avepoint.report.protection import (
    KeptAudit,
    ProtectionHistory,
    follow,
    list_subjects,
    series_of,
)
from tests.report.histories import DAY, NOW

REQUIRED = {"exchange_online": {"runs_per_day": 1, "retention": "P1Y"}, "teams": {"runs_per_day": 1}}


def finding(reason: str, service: str | None = "exchange_online", **fields: Any) -> Finding:
    named = {"organization_id": None, "location": None, "text": f"{reason}: it is so"}
    return Finding(**named | {"service": service, "reason": reason} | fields)


def audit(age: timedelta, *reasons: str, task: str = "weekly", **fields: Any) -> KeptAudit:
    """Return an audit that was made *age* ago by a task, with a finding for each reason."""
    named: dict[str, Any] = {
        "tenant": "contoso",
        "product": "m365",
        "location": None,
        "organization_id": None,
        "task": (task, "protection", -1),
        "audited_at": NOW - age,
        "error": None,
        "findings": tuple(map(finding, reasons)),
        "required": REQUIRED,
    }
    return KeptAudit(**named | fields)


def read(*audits: KeptAudit) -> tuple[ProtectionHistory, ...]:
    return follow(audits, [(series_of(each), each.audited_at) for each in audits], NOW)


def tell(*audits: KeptAudit) -> list[tuple[str, str]]:
    """Return the state of each subject by its name."""
    return [(" ".join(each.ids), each.state) for each in list_subjects(read(*audits), {})]


WEEK = 7 * DAY
CASES: list[tuple[str, list[KeptAudit], list[tuple[str, str]]]] = [
    ("all holds", [audit(DAY)], [("exchange_online", "in order"), ("teams", "in order")]),
    (
        "one does not",
        [audit(DAY, "not_scheduled", "retention_short")],
        [("exchange_online", "not_scheduled, retention_short"), ("teams", "in order")],
    ),
    (
        "mended since",
        [audit(8 * DAY, "not_scheduled"), audit(DAY)],
        [("exchange_online", "in order"), ("teams", "in order")],
    ),
    (
        "could not be read since: what was found stands, and nothing else is in order",
        [audit(8 * DAY, "not_scheduled"), audit(DAY, error="refused", required={})],
        [("exchange_online", "not_scheduled"), ("teams", "was in order")],
    ),
    ("never read", [audit(DAY, error="refused")], [("exchange_online", "not known"), ("teams", "not known")]),
    ("gone silent", [audit(9 * DAY)], [("exchange_online", "was in order"), ("teams", "was in order")]),
    (
        "monthly, and of last month",
        [audit(80 * DAY), audit(50 * DAY), audit(20 * DAY)],
        [("exchange_online", "in order"), ("teams", "in order")],
    ),
    (
        "part of it could not be read",
        [audit(DAY, findings=(finding("unreadable", None),))],
        [("", "unreadable"), ("exchange_online", "not all read"), ("teams", "not all read")],
    ),
    (
        "a customer's service: the others' is not said to be in order",
        [audit(DAY, findings=(finding("coverage_low", "teams", organization_id="c1"),))],
        [("c1 teams", "coverage_low"), ("exchange_online", "in order")],
    ),
    (
        "another task asks for less, and finds nothing",
        [
            audit(2 * DAY, "not_scheduled"),
            audit(DAY, task="nightly", required={"teams": {"runs_per_day": 1}}),
        ],
        [("exchange_online", "not_scheduled"), ("teams", "in order"), ("teams", "in order")],
    ),
    (
        "another task asks for another value",
        [
            audit(2 * DAY, "retention_short"),
            audit(DAY, task="lenient", required=REQUIRED | {"exchange_online": {"retention": "P1D"}}),
        ],
        [
            ("exchange_online", "retention_short"),
            ("exchange_online", "in order"),
            ("teams", "in order"),
            ("teams", "in order"),
        ],
    ),
    (
        "another task asks for as much: the DAG was renamed",
        [audit(9 * DAY, "not_scheduled"), audit(DAY, task="renamed")],
        [("exchange_online", "in order"), ("teams", "in order")],
    ),
    (
        "another location is not the same",
        [audit(2 * DAY, "not_scheduled", location="EUR"), audit(DAY, location="NAM", task="nam")],
        [
            ("exchange_online EUR", "not_scheduled"),
            ("exchange_online NAM", "in order"),
            ("teams NAM", "in order"),
            ("teams EUR", "in order"),
        ],
    ),
    (
        "all locations are more than one",
        [audit(2 * DAY, "not_scheduled", location="EUR"), audit(DAY, task="all")],
        [("exchange_online", "in order"), ("teams", "in order")],
    ),
    (
        "an audit that failed before it knew what to ask for",
        [audit(2 * DAY, error="no such file", required={}), audit(DAY, task="nightly")],
        [("exchange_online", "in order"), ("teams", "in order")],
    ),
]


def test_how_a_tenant_is_protected() -> None:
    for title, audits, expected in CASES:
        for order in (audits, audits[::-1]):
            assert sorted(expected) == sorted(tell(*order)), title


def test_what_needs_attention() -> None:
    """Each but the first and the mended ones."""
    calm = {
        "all holds",
        "mended since",
        "monthly, and of last month",
        "another task asks for as much: the DAG was renamed",
        "all locations are more than one",
    }
    assert calm == {
        title for title, audits, _ in CASES if not any(each.needs_attention for each in read(*audits))
    }
