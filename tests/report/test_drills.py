"""When a restore was last proven, and what has not been proven since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace, RestoreDrill, follow
from tests.report.histories import DAY, HOUR, NOW

SHAREPOINT = DrillPlace(tenant="contoso", product="m365", service="sharepoint_online")
SITE = "https://contoso.sharepoint.com/sites/canary, Documents"


def drill(age: timedelta, reason: str | None = "passed", **fields: Any) -> RestoreDrill:
    """Return a drill that was asked for *age* ago and judged an hour later; without a reason never."""
    judged = {"judged_at": NOW - age + HOUR, "passed": reason == "passed", "reason": reason}
    named = {"place": SHAREPOINT, "target": SITE, "sent_at": NOW - age} | (judged if reason else {})
    return RestoreDrill(**named | fields)


def only(*drills: RestoreDrill, demanded: timedelta | None = None) -> DrillHistory:
    demands = {} if demanded is None else {SHAREPOINT: demanded}
    (history,) = follow(drills, demands, NOW)
    return history


CASES: list[tuple[str, list[RestoreDrill], timedelta | None, str, bool]] = [
    ("passed", [drill(DAY)], None, "proven", False),
    ("failed", [drill(DAY, "failed")], None, "failed", True),
    ("failed since", [drill(40 * DAY), drill(DAY, "too_few_files")], None, "too_few_files", True),
    ("passed since", [drill(40 * DAY, "uncertain"), drill(DAY)], None, "proven", False),
    ("failed a year ago, nothing since", [drill(400 * DAY, "failed")], None, "failed", True),
    ("under way", [drill(2 * HOUR, None)], None, "under way", False),
    ("under way, and failed before", [drill(DAY, "failed"), drill(2 * HOUR, None)], None, "failed", True),
    ("under way, and passed before", [drill(DAY), drill(2 * HOUR, None)], None, "proven", False),
    ("lost", [drill(40 * DAY), drill(2 * DAY, None)], None, "no verdict", True),
    ("lost, and repeated", [drill(2 * DAY, None), drill(DAY)], None, "proven", False),
    ("judged tomorrow", [drill(HOUR, "failed", judged_at=NOW + DAY)], None, "under way", False),
    ("begun tomorrow", [drill(DAY), drill(-DAY, "failed")], None, "proven", False),
    ("demanded, never drilled", [], 90 * DAY, "never proven", True),
    ("demanded, and recent", [drill(80 * DAY)], 90 * DAY, "proven", False),
    ("demanded, and old", [drill(91 * DAY)], 90 * DAY, "overdue", True),
    ("demanded, and under way", [drill(HOUR, None)], 90 * DAY, "never proven", True),
    ("old, and not demanded", [drill(900 * DAY)], None, "proven", False),
    ("no word for it", [replace(drill(DAY, "failed"), reason=None)], None, "failed", True),
    (
        "another site has passed since",
        [drill(DAY, "failed", target="other"), drill(HOUR * 3)],
        None,
        "proven",
        False,
    ),
]


def test_how_a_service_stands() -> None:
    for title, drills, demanded, current, needs_attention in CASES:
        for order in (drills, drills[::-1]):
            history = only(*order, demanded=demanded)
            assert (current, needs_attention) == (history.current, history.needs_attention), title
