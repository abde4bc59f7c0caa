"""A case for each argument of a policy, in which ignoring the argument would change the outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.simulator import Simulator

DAY, HOUR = 86400, 3600


def ago(seconds: float) -> str:
    """Return the moment *seconds* ago, as a caller writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@dataclass(frozen=True)
class Case:
    """One argument, the jobs that make it matter, and the reason with it and without it.

    :param value: the argument; a function where it depends on the time.
    :param readings: what the simulator answers beside jobs, by the reading's name.
    """

    value: Any
    jobs: list[dict[str, Any]]
    with_it: str
    without: str
    base: dict[str, Any] = field(default_factory=dict)
    readings: dict[str, Any] = field(default_factory=dict)

    def arrange(self, simulator: Simulator) -> None:
        product = self.base.get("product", "dynamics365")
        for name, value in self.readings.items():
            simulator.set_reading(product, name, value)
        simulator.add_jobs(
            [{"product": "dynamics365", "organization_id": "contoso", **job} for job in self.jobs]
        )

    def given(self) -> Any:
        return self.value() if isinstance(self.value, Callable) else self.value  # type: ignore[arg-type]

    def arguments(self) -> dict[str, Any]:
        """Return the other arguments."""
        arguments = {"product": "dynamics365", "max_age": DAY, **self.base}
        if isinstance(arguments.get("started_after"), Callable):  # type: ignore[arg-type]
            arguments["started_after"] = arguments["started_after"]()
        return arguments


M365 = {"product": "m365", "organization_id": None}
PARTIAL = {"state": "partial", "counts": {"successful": 98, "failed": 2}}

CASES: dict[str, tuple[str, Case]] = {
    "product": (
        "product",
        Case("dynamics365", [{"state": "success"}], "passed", "missed", base={"product": "m365_legacy"}),
    ),
    "started_after": (
        "started_after",
        Case(lambda: ago(HOUR), [{"state": "success", "started_ago": 2 * HOUR}], "stale", "passed"),
    ),
    "max_age": (
        "max_age",
        Case(
            "1h",
            [{"state": "success", "started_ago": 2 * HOUR}],
            "stale",
            "passed",
            base={"max_age": None, "started_after": lambda: ago(DAY)},
        ),
    ),
    "max_age as a timedelta": (
        "max_age",
        Case(
            timedelta(hours=3),
            [{"state": "success", "started_ago": 2 * HOUR}],
            "passed",
            "stale",
            base={"max_age": HOUR},
        ),
    ),
    "organization_ids, an absent one": (
        "organization_ids",
        Case(["contoso", "absent"], [{"state": "success"}], "missed", "passed"),
    ),
    "organization_ids, a bad one left out": (
        "organization_ids",
        Case(
            "contoso",
            [{"state": "success"}, {"state": "failed", "organization_id": "fabrikam"}],
            "passed",
            "failed",
        ),
    ),
    "object_types": (
        "object_types",
        Case(["customer_engagement", "unified_operations"], [{"state": "success"}], "missed", "passed"),
    ),
    "object_types of Microsoft 365": (
        "object_types",
        Case(
            "exchange_online",
            [
                {**M365, "state": "success", "workload": "exchange_online"},
                {**M365, "state": "failed", "workload": "teams"},
            ],
            "passed",
            "failed",
            base={"product": "m365"},
        ),
    ),
    "locations": (
        "locations",
        Case(
            ["EUR", "GBR"],
            [{**M365, "state": "success", "workload": "teams", "location": "EUR"}],
            "missed",
            "passed",
            base={"product": "m365"},
        ),
    ),
    "expect_seen_within": (
        "expect_seen_within",
        Case(
            "24h",
            [
                {"state": "success"},
                {"state": "success", "organization_id": "fabrikam", "started_ago": 3 * DAY},
            ],
            "passed",
            "stale",
        ),
    ),
    "exclude": (
        "exclude",
        Case(
            [{"organization_id": "fabrikam", "until": "2999-12-31", "reason": "it is being closed"}],
            [{"state": "success"}, {"state": "failed", "organization_id": "fabrikam"}],
            "passed",
            "failed",
        ),
    ),
    "job_type": (
        "job_type",
        Case("audit_backup", [{"state": "success", "job_type": "audit_backup"}], "passed", "missed"),
    ),
    "job_type, several": (
        "job_type",
        Case(
            ["backup", "audit_backup"],
            [
                {"state": "success", "started_ago": HOUR},
                {"state": "failed", "job_type": "audit_backup", "started_ago": 60},
            ],
            "failed",
            "passed",
        ),
    ),
    "decide_by any": (
        "decide_by",
        Case(
            "any",
            [{"state": "success", "started_ago": 2 * HOUR}, {"state": "failed", "started_ago": HOUR}],
            "passed",
            "failed",
        ),
    ),
    "decide_by all": (
        "decide_by",
        Case(
            "all",
            [{"state": "failed", "started_ago": 2 * HOUR}, {"state": "success", "started_ago": HOUR}],
            "failed",
            "passed",
        ),
    ),
    "decide_by newest": (
        "decide_by",
        Case(
            "newest",
            [
                {**M365, "state": "failed", "workload": "teams", "started_ago": 2 * HOUR},
                {**M365, "state": "success", "workload": "teams", "started_ago": HOUR},
            ],
            "passed",
            "failed",
            base={"product": "m365", "object_types": ["teams"]},
        ),
    ),
    "accept_partial": (
        "accept_partial",
        Case(value=True, jobs=[PARTIAL], with_it="passed", without="partial"),
    ),
    "accept_partial, switched off": (
        "accept_partial",
        Case(value=False, jobs=[PARTIAL], with_it="partial", without="passed", base={"accept_partial": True}),
    ),
    "max_failed": ("max_failed", Case(2, [PARTIAL], "passed", "partial")),
    "max_failed, one too many": (
        "max_failed",
        Case(1, [PARTIAL], "partial", "passed", base={"max_failed": 2}),
    ),
    "max_failed_ratio": ("max_failed_ratio", Case(0.02, [PARTIAL], "passed", "partial")),
    "expect_scheduled, a service without a job": (
        "expect_scheduled",
        Case(
            value=True,
            jobs=[{**M365, "state": "success", "workload": "onedrive"}],
            with_it="missed",
            without="passed",
            base={"product": "m365"},
            readings={
                "schedule": [
                    {"serviceType": service, "frequency": 1, "backupStartTime": []} for service in (1, 2)
                ]
            },
        ),
    ),
    "expect_scheduled, a service that is not scheduled": (
        "expect_scheduled",
        Case(
            value=True,
            jobs=[{**M365, "state": "success", "workload": "onedrive"}],
            with_it="not_scheduled",
            without="missed",
            base={"product": "m365", "object_types": ["onedrive", "teams"]},
            readings={"schedule": [{"serviceType": 2, "frequency": 1, "backupStartTime": []}]},
        ),
    ),
    "max_unusual": (
        "max_unusual",
        Case(
            4,
            [{**M365, "state": "success", "workload": "teams"}],
            "unusual_activity",
            "passed",
            base={"product": "m365"},
            readings={
                "unusual_activity": [
                    {"serviceType": 1, "potentialRansomwareAttackCount": 0, "unusualActivitiesCount": 5}
                ]
            },
        ),
    ),
    "max_unusual, up to the limit": (
        "max_unusual",
        Case(
            5,
            [{**M365, "state": "success", "workload": "teams"}],
            "passed",
            "unusual_activity",
            base={"product": "m365", "max_unusual": 0},
            readings={
                "unusual_activity": [
                    {"serviceType": 1, "potentialRansomwareAttackCount": 5, "unusualActivitiesCount": 0}
                ]
            },
        ),
    ),
    "unusual_within": (
        "unusual_within",
        Case(
            "2d",
            [{"product": "salesforce", "state": "success"}],
            "passed",
            "unusual_activity",
            base={"product": "salesforce", "max_unusual": 0},
            readings={
                "unusual_activity": [
                    {
                        "organizationId": "contoso",
                        "latestDetectedDate": ago(4 * DAY),
                        "suspiciousFiles": 1,
                        "addedFiles": 0,
                        "modifiedFiles": 0,
                        "deletedFiles": 0,
                    }
                ]
            },
        ),
    ),
    "on_failed": ("on_failed", Case("skip", [{"state": "failed"}], "skipped", "failed")),
}


def as_text(value: Any) -> str:
    """Return *value* as a template renders it where it is not native: text."""
    return str(value) if isinstance(value, (str, timedelta)) else json.dumps(value)
