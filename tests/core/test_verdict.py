"""The verdict, sentence by sentence of its contract: one table of cases, and what it says."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from types import EllipsisType
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.m365 import M365
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.core.verdict import Policy, ScopeVerdict, Verdict, grade_job, judge

from .tables import each_row

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
WEEK = 7 * 24
FORGED = repr("Failed\r\nforged")


def ago(hours: float) -> datetime:
    """Return the time *hours* before NOW."""
    return NOW - hours * HOUR


def make_job(product: str, start: float | datetime | None, state: str, **given: Any) -> BackupJob:
    """Return a job that started *start* hours ago, called ``state@start`` unless told otherwise."""
    name = f"{state}@{start:g}" if isinstance(start, (int, float)) else f"{state}@{start and start.time()}"
    fields = {
        "product": product,
        "job_id": name,
        "job_type": "backup",
        "state": JobState(state),
        "raw_state": state,
        "started_at": ago(start) if isinstance(start, (int, float)) else start,
    }
    return BackupJob(**(fields | given))


def d365(start: float | datetime | None, state: str = "success", **given: Any) -> BackupJob:
    """Return a job of Dynamics 365: of organisation a and the module CE, unless told otherwise."""
    given = {"org": "a", "module": "customer_engagement"} | given
    named = {"organization_id": given.pop("org"), "workload": given.pop("module")}
    return make_job("dynamics365", start, state, **(named | given))


def m365(
    start: float | datetime | None, state: str = "success", workload: str | None = "teams", **given: Any
) -> BackupJob:
    """Return a job of Microsoft 365 that was asked for as *workload*; None: as all of them together."""
    return make_job("m365", start, state, **({"workload": workload} | given))


def legacy(start: float, state: str = "success", workload: str | None = "teams", **given: Any) -> BackupJob:
    return make_job("m365_legacy", start, state, **({"workload": workload} | given))


def google(start: float, state: str = "success", app: str | None = "gmail", **given: Any) -> BackupJob:
    return make_job("google_workspace", start, state, **({"workload": app} | given))


def salesforce(start: float, state: str = "success", org: str | None = "a", **given: Any) -> BackupJob:
    return make_job("salesforce", start, state, **({"organization_id": org} | given))


def iaas(
    start: float, state: str = "success", service: str | None = "virtual_machine", **given: Any
) -> BackupJob:
    """Return a job of IaaS + PaaS that was asked for as *service*; None: as all of them together."""
    return make_job("iaas_paas", start, state, **({"workload": service} | given))


def scan(start: float, state: str = "success", category: str | None = "m365", **given: Any) -> BackupJob:
    return make_job("aos_scan", start, state, **({"workload": category} | given))


def elements(
    start: float, state: str = "success", module: str | None = "onedrive", **given: Any
) -> BackupJob:
    """Return a job of Elements: of customer c1, unless told otherwise."""
    return make_job("elements", start, state, **({"workload": module, "organization_id": "c1"} | given))


def entities(total: int | None, failed: int | None) -> dict[str, Counts]:
    return {"counts": Counts(total=total, failed=failed)}


def records(total: int | None, failed: int | None) -> dict[str, Counts]:
    return {"record_counts": Counts(total=total, failed=failed)}


def metadata(total: int | None, failed: int | None) -> dict[str, Counts]:
    return {"metadata_counts": Counts(total=total, failed=failed)}


def exclude(until: str, **scope: str) -> list[dict[str, str]]:
    return [{**scope, "until": until, "reason": "moved to another tenant"}]


def label(scope: ScopeVerdict) -> str:
    """Return a scope as the table writes it: organisation/workload/location, "-" where there is none."""
    parts = scope.scope.as_dict()
    content = parts.pop("content")
    return "/".join([*(part or "-" for part in parts.values()), *([content] if content else [])])


def reasons_of(verdict: Verdict) -> dict[str, str]:
    return {label(scope): scope.reason.value for scope in verdict.scopes}


@dataclass(frozen=True)
class Case:
    """One row of the table. What is left out is not looked at; *job* to *age* are the only scope's.

    :param reason: the verdict's; it passes if and only if this is ``passed``.
    :param policy: arguments; ``max_age`` is 24 hours unless one of the two is given.
    :param scopes: every scope and its reason.
    """

    name: str
    jobs: list[BackupJob]
    reason: str
    _: KW_ONLY
    policy: dict[str, Any] = field(default_factory=dict)
    scopes: dict[str, str] | None = None
    job: str | EllipsisType | None = ...
    open_jobs: set[str] | None = None
    age: float | EllipsisType | None = ...
    settled: bool | None = None
    now: datetime = NOW

    def judge(self, jobs: Iterable[BackupJob] | None = None) -> Verdict:
        product = self.jobs[0].product if self.jobs else "dynamics365"
        policy: dict[str, Any] = {"product": product} | self.policy
        if product == "elements":
            policy = {"organization_ids": "c1"} | policy
        if not policy.keys() & {"started_after", "max_age"}:
            policy["max_age"] = 24 * HOUR
        return judge(self.jobs if jobs is None else jobs, Policy(**policy), self.now)


A_CE = "a/customer_engagement/-"
A_UO = "a/unified_operations/-"
B_CE = "b/customer_engagement/-"
UO = "unified_operations"
GUID = "69cb1ecc-0000-4000-8000-000000000001"

SCOPES = [
    Case(
        "Dynamics 365: one good backup",
        [d365(2)],
        "passed",
        scopes={A_CE: "passed"},
        job="success@2",
        open_jobs=set(),
        age=7200,
        settled=False,
    ),
    Case("Microsoft 365: one good backup", [m365(2)], "passed", scopes={"-/teams/-": "passed"}),
    Case("the older API: one good backup", [legacy(2)], "passed", scopes={"-/teams/-": "passed"}),
    Case("no rows at all", [], "missed", scopes={}, settled=False),
    Case("no rows at all, Microsoft 365", [], "missed", policy={"product": "m365"}, scopes={}),
    Case(
        "two organisations, both good",
        [d365(2), d365(3, org="b")],
        "passed",
        scopes={A_CE: "passed", B_CE: "passed"},
    ),
    Case(
        "one organisation's success does not hide another's failure",
        [d365(2), d365(3, "failed", org="b")],
        "failed",
        scopes={A_CE: "passed", B_CE: "failed"},
    ),
    Case(
        "one organisation's success does not hide that another's backup no longer runs",
        [d365(2), d365(60, org="b")],
        "stale",
        scopes={A_CE: "passed", B_CE: "stale"},
    ),
    Case(
        "one module's success does not hide another's failure",
        [d365(2), d365(3, "failed", module=UO)],
        "failed",
        scopes={A_CE: "passed", A_UO: "failed"},
    ),
    Case(
        "rows without module are a scope of their own",
        [d365(2), d365(3, "failed", module=None)],
        "failed",
        scopes={A_CE: "passed", "a/-/-": "failed"},
    ),
    Case(
        "a module that nobody documented is a scope of its own",
        [d365(2), d365(3, "failed", module="power_platform")],
        "failed",
        scopes={A_CE: "passed", "a/power_platform/-": "failed"},
    ),
    Case(
        "rows without organisation are a scope of their own",
        [d365(2), d365(3, "failed", org=None)],
        "failed",
        scopes={A_CE: "passed", "-/customer_engagement/-": "failed"},
    ),
    Case(
        "an organisation's GUID is the same in either case, with braces and without hyphens",
        [d365(3, "failed", org="{69CB1ECC-0000-4000-8000-000000000001}"), d365(2, org=GUID)],
        "passed",
        policy={"organization_ids": GUID.replace("-", "").upper()},
        scopes={f"{GUID}/customer_engagement/-": "passed"},
    ),
    Case(
        "organisations whose ids are no GUIDs differ in case",
        [salesforce(2, org="00D5g000001AbcD"), salesforce(2, "failed", "00D5g000001aBCd")],
        "failed",
        scopes={"00D5g000001AbcD/-/-": "passed", "00D5g000001aBCd/-/-": "failed"},
    ),
    Case(
        "object types are scopes",
        [m365(2), m365(2, "failed", "onedrive")],
        "failed",
        scopes={"-/teams/-": "passed", "-/onedrive/-": "failed"},
    ),
    Case(
        "the older API's object types are scopes",
        [legacy(2), legacy(2, "failed", "onedrive")],
        "failed",
        scopes={"-/teams/-": "passed", "-/onedrive/-": "failed"},
    ),
    Case(
        "rows that no object type claims are the scope other, and judged",
        [m365(2), m365(2, "failed", None)],
        "failed",
        scopes={"-/teams/-": "passed", "-/other/-": "failed"},
    ),
    Case(
        "the older API's unclaimed rows are the scope other",
        [legacy(2, workload=None)],
        "passed",
        scopes={"-/other/-": "passed"},
    ),
    Case(
        "a row that an object type claims is not other too",
        [m365(2, job_id="1"), m365(2, workload=None, job_id="1")],
        "passed",
        scopes={"-/teams/-": "passed"},
    ),
    Case(
        "a claimed row that went on between the two queries is not other too",
        [m365(2, "running", None, job_id="1"), m365(2, job_id="1")],
        "passed",
        scopes={"-/teams/-": "passed"},
    ),
    Case(
        "what is claimed in one location is not claimed in another",
        [m365(2, job_id="1", location="NAM"), m365(2, "failed", None, job_id="1", location="EUR")],
        "failed",
        scopes={"-/teams/NAM": "passed", "-/other/EUR": "failed"},
    ),
    Case(
        "a row that two object types claim counts in both",
        [m365(2, "failed", each, job_id="1") for each in ("teams", "onedrive")],
        "failed",
        scopes={"-/teams/-": "failed", "-/onedrive/-": "failed"},
    ),
    Case(
        "locations are scopes",
        [m365(2, location="NAM"), m365(2, "failed", location="EUR")],
        "failed",
        scopes={"-/teams/NAM": "passed", "-/teams/EUR": "failed"},
    ),
    Case(
        "a job listed while it ran and again when it had ended has ended",
        [d365(2, "running", job_id="1"), d365(2, job_id="1")],
        "passed",
        job="1",
        open_jobs=set(),
    ),
    Case(
        "the same, listed the other way round",
        [d365(2, job_id="1"), d365(2, "running", job_id="1")],
        "passed",
        job="1",
        open_jobs=set(),
    ),
    Case(
        "the same job id in two organisations is two jobs",
        [d365(2, job_id="1"), d365(2, "failed", org="b", job_id="1")],
        "failed",
        scopes={A_CE: "passed", B_CE: "failed"},
    ),
    Case(
        "the same job id in two modules is two jobs",
        [d365(2, job_id="1"), d365(2, "failed", module=UO, job_id="1")],
        "failed",
        scopes={A_CE: "passed", A_UO: "failed"},
    ),
    Case(
        "rows of other products are nobody's scope",
        [d365(2), m365(2, "failed"), make_job("dynamics", 1, "failed")],
        "passed",
        scopes={A_CE: "passed"},
    ),
    Case(
        "rows of the newer Microsoft 365 API are not the older one's",
        [m365(2)],
        "missed",
        policy={"product": "m365_legacy"},
        scopes={},
    ),
]

LISTS = [
    Case(
        "an expected organisation that is absent is missed",
        [d365(2)],
        "missed",
        policy={"organization_ids": ["a", "b"]},
        scopes={A_CE: "passed", "b/-/-": "missed"},
        settled=False,
    ),
    Case(
        "every expected organisation is absent",
        [],
        "missed",
        policy={"organization_ids": ["a", "b"]},
        scopes={"a/-/-": "missed", "b/-/-": "missed"},
    ),
    Case(
        "organisations beside the list are left out",
        [d365(2), d365(2, "failed", org="b"), d365(2, "failed", org=None)],
        "passed",
        policy={"organization_ids": "a"},
        scopes={A_CE: "passed"},
    ),
    Case(
        "a listed organisation is still split by module",
        [d365(2), d365(2, "failed", module=UO)],
        "failed",
        policy={"organization_ids": ["a"]},
        scopes={A_CE: "passed", A_UO: "failed"},
    ),
    Case(
        "a listed organisation is still expected in a module seen in the look-back",
        [d365(2), d365(60, module=UO)],
        "stale",
        policy={"organization_ids": ["a"]},
        scopes={A_CE: "passed", A_UO: "stale"},
    ),
    Case(
        "an expected module that is absent is missed",
        [d365(2)],
        "missed",
        policy={"object_types": ["customer_engagement", UO]},
        scopes={A_CE: "passed", "-/unified_operations/-": "missed"},
    ),
    Case(
        "modules beside the list are left out, and the organisations still split",
        [d365(2), d365(2, "failed", module=UO), d365(2, "failed", org="b")],
        "failed",
        policy={"object_types": "customer_engagement"},
        scopes={A_CE: "passed", B_CE: "failed"},
    ),
    Case(
        "with two lists, each of one is expected in each of the other",
        [d365(2), d365(2, module=UO), d365(2, org="b")],
        "missed",
        policy={"organization_ids": ["a", "b"], "object_types": ["customer_engagement", UO]},
        scopes={A_CE: "passed", A_UO: "passed", B_CE: "passed", "b/unified_operations/-": "missed"},
    ),
    Case(
        "an expected object type that is absent is missed",
        [m365(2)],
        "missed",
        policy={"object_types": ["teams", "exchange_online"]},
        scopes={"-/teams/-": "passed", "-/exchange_online/-": "missed"},
    ),
    Case(
        "object types beside the list are left out, other among them",
        [m365(2), m365(2, "failed", "onedrive"), m365(1, "failed", None)],
        "passed",
        policy={"object_types": "teams"},
        scopes={"-/teams/-": "passed"},
    ),
    Case(
        "an expected location that is absent is missed",
        [m365(2, location="NAM")],
        "missed",
        policy={"locations": ["NAM", "EUR"]},
        scopes={"-/teams/NAM": "passed", "-/-/EUR": "missed"},
    ),
    Case(
        "each object type is expected in each location",
        [m365(2, location="NAM"), m365(2, "success", "onedrive", location="EUR")],
        "missed",
        policy={"locations": ["NAM", "EUR"], "object_types": ["teams", "onedrive"]},
        scopes={
            "-/teams/NAM": "passed",
            "-/onedrive/EUR": "passed",
            "-/teams/EUR": "missed",
            "-/onedrive/NAM": "missed",
        },
    ),
    Case(
        "locations beside the list, and rows of no location, are left out",
        [m365(2, location="EUR"), m365(2)],
        "missed",
        policy={"locations": "NAM"},
        scopes={"-/-/NAM": "missed"},
        job=None,
        age=None,
    ),
    Case(
        "an expected organisation seen in the look-back only is stale",
        [d365(60)],
        "stale",
        policy={"organization_ids": "a"},
        scopes={A_CE: "stale"},
    ),
    Case(
        "an expected organisation not seen even in the look-back is missed",
        [d365(24 + WEEK + 1)],
        "missed",
        policy={"organization_ids": "a"},
        scopes={"a/-/-": "missed", A_CE: "forgotten"},
    ),
]

LOOK_BACK = [
    Case(
        "a scope seen in the look-back is expected, and stale",
        [d365(60), d365(90)],
        "stale",
        job="success@60",
        age=60 * 3600,
        settled=False,
    ),
    Case("seen just within the look-back", [d365(24 + WEEK)], "stale", scopes={A_CE: "stale"}),
    Case(
        "seen just before the look-back",
        [d365(ago(24 + WEEK) - MICROSECOND)],
        "missed",
        scopes={A_CE: "forgotten"},
    ),
    Case("seen as long ago as it is remembered", [d365(24 + 2 * WEEK)], "missed", scopes={A_CE: "forgotten"}),
    Case("seen just before that", [d365(ago(24 + 2 * WEEK) - MICROSECOND)], "missed", scopes={}),
    Case(
        "what failed all week and fell silent is said, and shuts nothing",
        [d365(2), *(d365(24 * day, "failed", org="b") for day in range(9, 15))],
        "passed",
        scopes={A_CE: "passed", B_CE: "forgotten"},
    ),
    Case(
        "an excluded scope is not forgotten",
        [d365(2), d365(24 + WEEK + 1, org="b")],
        "passed",
        policy={"exclude": exclude("2027-01-01", organization_id="b")},
        scopes={A_CE: "passed", B_CE: "excluded"},
    ),
    Case(
        "the look-back is counted from the window's start, not from now",
        [d365(40 + WEEK)],
        "stale",
        policy={"started_after": ago(48)},
        scopes={A_CE: "stale"},
    ),
    Case(
        "a shorter look-back expects less",
        [d365(2), d365(60, org="b")],
        "passed",
        policy={"expect_seen_within": 24 * HOUR},
        scopes={A_CE: "passed", B_CE: "forgotten"},
    ),
    Case(
        "a longer look-back expects more",
        [d365(2), d365(24 + WEEK + 1, org="b")],
        "stale",
        policy={"expect_seen_within": timedelta(days=30)},
        scopes={A_CE: "passed", B_CE: "stale"},
    ),
    Case(
        "without look-back only the window tells what to expect",
        [d365(2), d365(25, org="b")],
        "passed",
        policy={"expect_seen_within": None},
        scopes={A_CE: "passed"},
    ),
    Case(
        "without look-back the window's scopes are judged all the same",
        [d365(2), d365(3, "failed", org="b")],
        "failed",
        policy={"expect_seen_within": None},
        scopes={A_CE: "passed", B_CE: "failed"},
    ),
    Case(
        "without look-back an empty window is missed",
        [d365(25)],
        "missed",
        policy={"expect_seen_within": None},
        scopes={},
    ),
    Case(
        "without look-back a listed scope with an empty window is missed",
        [d365(25)],
        "missed",
        policy={"expect_seen_within": None, "organization_ids": "a"},
        scopes={"a/-/-": "missed"},
        job=None,
    ),
    *(
        Case(
            f"any row in the look-back makes a scope expected: {state}",
            [d365(2), d365(60, state, org="b")],
            "stale",
            scopes={A_CE: "passed", B_CE: "stale"},
        )
        for state in ("failed", "partial", "skipped", "stopped", "running", "waiting", "unknown")
    ),
    Case(
        "a restore in the look-back makes nothing expected",
        [d365(2), d365(60, org="b", job_type="restore")],
        "passed",
        scopes={A_CE: "passed"},
    ),
]

BOTH = [d365(2), d365(3, "failed", org="b")]
EXCLUSIONS = [
    Case(
        "an excluded organisation is shown, not judged",
        BOTH,
        "passed",
        policy={"exclude": exclude("2026-11-23", organization_id="b")},
        scopes={A_CE: "passed", B_CE: "excluded"},
        settled=False,
    ),
    Case(
        "on the day until it is judged",
        BOTH,
        "failed",
        policy={"exclude": exclude("2026-11-22", organization_id="b")},
        scopes={A_CE: "passed", B_CE: "failed"},
    ),
    Case(
        "a moment before the day until it is not",
        BOTH,
        "passed",
        policy={"exclude": exclude("2026-11-23", organization_id="b")},
        now=datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC),
    ),
    Case(
        "from midnight of the day until it is judged",
        BOTH,
        "failed",
        policy={"exclude": exclude("2026-11-23", organization_id="b")},
        now=datetime(2026, 11, 23, tzinfo=UTC),
    ),
    Case(
        "the day is UTC's: already begun there, though not where the clock stands",
        BOTH,
        "failed",
        policy={"exclude": exclude("2026-11-23", organization_id="b")},
        now=datetime(2026, 11, 22, 21, tzinfo=timezone(-5 * HOUR)),
    ),
    Case(
        "the day is UTC's: not yet begun there, though it has where the clock stands",
        BOTH,
        "passed",
        policy={"exclude": exclude("2026-11-23", organization_id="b")},
        now=datetime(2026, 11, 23, 2, tzinfo=timezone(5 * HOUR)),
    ),
    Case(
        "an excluded organisation is so in every module",
        [d365(2), d365(60, org="b"), d365(2, "failed", org="b", module=UO)],
        "passed",
        policy={"exclude": exclude("2027-01-01", organization_id="b")},
        scopes={A_CE: "passed", B_CE: "excluded", "b/unified_operations/-": "excluded"},
    ),
    Case(
        "an excluded module is so in every organisation",
        [d365(2), d365(3, "failed", module=UO), d365(3, "failed", org="b", module=UO)],
        "passed",
        policy={"exclude": exclude("2027-01-01", workload=UO)},
        scopes={A_CE: "passed", A_UO: "excluded", "b/unified_operations/-": "excluded"},
    ),
    Case(
        "an excluded object type",
        [m365(2), m365(3, "failed", "onedrive")],
        "passed",
        policy={"exclude": exclude("2027-01-01", workload="onedrive")},
        scopes={"-/teams/-": "passed", "-/onedrive/-": "excluded"},
    ),
    Case(
        "the scope other can be excluded",
        [m365(2), m365(3, "failed", None)],
        "passed",
        policy={"exclude": exclude("2027-01-01", workload="other")},
        scopes={"-/teams/-": "passed", "-/other/-": "excluded"},
    ),
    Case(
        "an exclusion of one scope excuses no other",
        BOTH,
        "failed",
        policy={"exclude": exclude("2027-01-01", organization_id="a")},
        scopes={A_CE: "excluded", B_CE: "failed"},
    ),
    Case(
        "an expected scope without rows can be excluded",
        [d365(2)],
        "passed",
        policy={"organization_ids": ["a", "b"], "exclude": exclude("2027-01-01", organization_id="b")},
        scopes={A_CE: "passed", "b/-/-": "excluded"},
    ),
    Case(
        "an excluded scope's clock does not matter",
        [d365(2), d365(-1, org="b")],
        "passed",
        policy={"exclude": exclude("2027-01-01", organization_id="b")},
        scopes={A_CE: "passed", B_CE: "excluded"},
    ),
    Case(
        "where everything is excluded nothing is verified",
        [d365(2)],
        "missed",
        policy={"exclude": exclude("2027-01-01", organization_id="a")},
        scopes={A_CE: "excluded"},
    ),
]

JOB_TYPES = [
    *(
        Case(
            f"a newer successful {kind} does not stand for a backup",
            [d365(5, "failed"), d365(2, job_type=kind)],
            "failed",
            job="failed@5",
        )
        for kind in ("restore", "dryrun", "retention", "audit_backup", "export")
    ),
    Case(
        "a newer failed restore does not spoil a backup",
        [d365(5), d365(2, "failed", job_type="restore")],
        "passed",
        job="success@5",
    ),
    Case(
        "restores, retentions and exports alone are missed",
        [d365(2, job_type=kind) for kind in ("restore", "retention", "export")],
        "missed",
        scopes={},
    ),
    Case(
        "a running restore is no open job",
        [d365(5), d365(2, "running", job_type="restore")],
        "passed",
        open_jobs=set(),
    ),
    Case("a row without job type is no backup", [d365(2, job_type=None)], "missed", scopes={}),
    Case(
        "job types in a list are expected each, where they hold something else",
        [d365(5, "failed"), d365(2, job_type="audit_backup")],
        "failed",
        policy={"job_type": ["backup", "audit_backup"]},
        scopes={A_CE: "failed", f"{A_CE}/audit_log": "passed"},
    ),
    Case(
        "two contents are expected where nothing is seen at all",
        [],
        "missed",
        policy={"job_type": ["backup", "audit_backup"]},
        scopes={"-/-/-": "missed", "-/-/-/audit_log": "missed"},
    ),
    Case(
        "an audit log alone is no backup",
        [d365(2, job_type="audit_backup")],
        "missed",
        policy={"job_type": ["backup", "audit_backup"]},
        scopes={"a/-/-": "missed", f"{A_CE}/audit_log": "passed"},
    ),
    Case(
        "a job type by name is the only one that counts",
        [d365(2), d365(5, "failed", job_type="audit_backup")],
        "failed",
        policy={"job_type": "audit_backup"},
        job="failed@5",
    ),
]

WORSE_AND_BETTER = [d365(9, "partial"), d365(7, "failed"), d365(5), d365(3, "failed"), d365(1, "partial")]
DECIDE_BY = [
    Case("newest: a success after a failure", [d365(5, "failed"), d365(2)], "passed", job="success@2"),
    Case(
        "newest: a failure after a success",
        [d365(5), d365(2, "failed")],
        "failed",
        job="failed@2",
        age=7200,
        settled=True,
    ),
    Case("newest of five", WORSE_AND_BETTER, "partial", job="partial@1", settled=True),
    Case(
        "any: a failure after a success",
        [d365(5), d365(2, "failed")],
        "passed",
        policy={"decide_by": "any"},
        job="success@5",
        age=5 * 3600,
    ),
    Case("any of five", WORSE_AND_BETTER, "passed", policy={"decide_by": "any"}, job="success@5"),
    Case(
        "any: none is good",
        [d365(5, "failed"), d365(2, "failed")],
        "failed",
        policy={"decide_by": "any"},
        settled=True,
    ),
    Case(
        "any: the good one is older than the window",
        [d365(25), d365(2, "failed")],
        "failed",
        policy={"decide_by": "any"},
        job="failed@2",
    ),
    Case(
        "any: a partial one within the limit is good",
        [d365(5, "partial", **entities(10, 1)), d365(2, "failed")],
        "passed",
        policy={"decide_by": "any", "max_failed": 1},
        job="partial@5",
    ),
    Case("all: every one is good", [d365(5), d365(2)], "passed", policy={"decide_by": "all"}),
    Case(
        "all: a failure between successes",
        [d365(7), d365(5, "failed"), d365(2)],
        "failed",
        policy={"decide_by": "all"},
        job="failed@5",
        settled=True,
    ),
    Case("all: the worst of five", WORSE_AND_BETTER, "failed", policy={"decide_by": "all"}),
    Case(
        "all: a failure older than the window does not count",
        [d365(25, "failed"), d365(5), d365(2)],
        "passed",
        policy={"decide_by": "all"},
    ),
    Case(
        "all: skipped, stopped, waiting and running ones are no failures",
        [d365(9 - 2 * n, state) for n, state in enumerate(("skipped", "stopped", "waiting", "running"))]
        + [d365(4)],
        "passed",
        policy={"decide_by": "all"},
        job="success@4",
    ),
    Case(
        "all: a partial one within the limit is good",
        [d365(5, "partial", **entities(10, 1)), d365(2)],
        "passed",
        policy={"decide_by": "all", "max_failed": 1},
    ),
    Case(
        "Microsoft 365 rows do not say their organisation: all by default",
        [m365(5, "failed"), m365(2)],
        "failed",
        job="failed@5",
    ),
    Case(
        "the older API's rows do not say it either",
        [legacy(5, "partial"), legacy(2)],
        "partial",
        job="partial@5",
    ),
    Case(
        "Microsoft 365, newest by the user's word",
        [m365(5, "failed"), m365(2)],
        "passed",
        policy={"decide_by": "newest"},
        job="success@2",
    ),
    Case(
        "Microsoft 365, any by the user's word",
        [m365(5), m365(2, "failed")],
        "passed",
        policy={"decide_by": "any"},
        job="success@5",
    ),
    Case(
        "the default goes by what the rows say, scope by scope",
        [d365(5, "failed"), d365(2), d365(5, "failed", org=None), d365(2, org=None)],
        "failed",
        scopes={A_CE: "passed", "-/customer_engagement/-": "failed"},
    ),
    Case(
        "rows without organisation, newest by the user's word",
        [d365(5, "failed", org=None), d365(2, org=None)],
        "passed",
        policy={"decide_by": "newest"},
    ),
]

TIES = [
    Case("a tie: failed is newer than success", [d365(2), d365(2, "failed")], "failed"),
    Case("a tie: partial is newer than success", [d365(2), d365(2, "partial")], "partial"),
    Case("a tie: failed is newer than partial", [d365(2, "failed"), d365(2, "partial")], "failed"),
    Case(
        "a tie: a state not understood is newer than success", [d365(2), d365(2, "unknown")], "unknown_state"
    ),
    Case(
        "a tie: a success with failed entities is newer than one without",
        [d365(2, job_id="1", **entities(10, 1)), d365(2, job_id="2")],
        "partial",
        job="1",
    ),
    Case(
        "a tie: a success with failed records is newer than one without",
        [d365(2, job_id="1"), d365(2, job_id="2", **records(10, 1))],
        "partial",
        job="2",
    ),
    Case(
        "a tie: of two partial ones the one beyond the limit is newer",
        [
            d365(2, "partial", job_id="1", **entities(100, 50)),
            d365(2, "partial", job_id="2", **entities(100, 1)),
        ],
        "partial",
        policy={"max_failed": 5},
        job="1",
    ),
    Case(
        "a tie: the same, listed the other way round",
        [
            d365(2, "partial", job_id="2", **entities(100, 1)),
            d365(2, "partial", job_id="1", **entities(100, 50)),
        ],
        "partial",
        policy={"max_failed": 5},
        job="1",
    ),
    Case(
        "a tie: the same, a success with failed objects beside a partial one within the limit",
        [
            d365(2, "partial", job_id="2", **entities(100, 1)),
            d365(2, "success", job_id="1", **records(100, 50)),
        ],
        "partial",
        policy={"max_failed": 5},
        job="1",
    ),
    Case(
        "a tie: a running one changes nothing",
        [d365(2), d365(2, "running")],
        "passed",
        open_jobs={"running@2"},
    ),
    Case("a tie: a skipped one is looked through", [d365(2), d365(2, "skipped")], "passed", job="success@2"),
]

NO_START = [
    Case("running without start", [d365(None, "running")], "running", age=None, open_jobs={"running@None"}),
    Case(
        "waiting without start is newer, and changes nothing",
        [d365(2), d365(None, "waiting")],
        "passed",
        job="success@2",
        open_jobs={"waiting@None"},
    ),
    Case(
        "running without start is newer than a failure, which it may mend",
        [d365(2, "failed"), d365(None, "running")],
        "failed",
        job="failed@2",
        settled=False,
    ),
    Case(
        "running without start and, so the row says, with a finish is still a newer running one",
        [d365(2, "failed"), d365(None, "running", finished_at=ago(9))],
        "failed",
        settled=False,
        open_jobs={"running@None"},
    ),
    Case(
        "ended without start: it began at its finish less its duration",
        [d365(None, finished_at=ago(2), duration=HOUR)],
        "passed",
        age=3 * 3600,
    ),
    Case(
        "ended without start, begun on the window's edge",
        [d365(None, finished_at=ago(2), duration=22 * HOUR)],
        "passed",
    ),
    Case(
        "ended without start, finished in the window and begun before it",
        [d365(None, finished_at=ago(23), duration=10 * HOUR)],
        "stale",
        age=33 * 3600,
    ),
    Case(
        "ended without start and without a duration: not understood",
        [d365(None, finished_at=ago(2))],
        "unknown_state",
        age=None,
    ),
    Case(
        "ended without start is ordered by when it began: older",
        [d365(None, finished_at=ago(1), duration=2 * HOUR), d365(2, "failed")],
        "failed",
    ),
    Case(
        "ended without start is ordered by when it began: newer",
        [d365(None, finished_at=ago(0.5), duration=HOUR), d365(2, "failed")],
        "passed",
        job="success@None",
    ),
    Case(
        "a start is a start, however late the finish",
        [d365(9, finished_at=ago(1)), d365(2, "failed", finished_at=ago(2))],
        "failed",
    ),
    Case(
        "ended with neither start nor finish: not understood",
        [d365(None)],
        "unknown_state",
        age=None,
        settled=False,
    ),
    Case(
        "ended with neither, beside a good backup: not understood",
        [d365(2), d365(None, "failed")],
        "unknown_state",
        settled=False,
    ),
    Case(
        "not understood and without start, beside a good backup",
        [d365(2), d365(None, "unknown")],
        "unknown_state",
    ),
    Case(
        "ended without start, finished in the future: clock skew",
        [d365(2), d365(None, finished_at=ago(-1), duration=HOUR / 2)],
        "clock_skew",
    ),
]

LOOKED_THROUGH = [
    Case(
        "a newer skipped one is looked through to a success",
        [d365(5), d365(2, "skipped")],
        "passed",
        job="success@5",
        age=5 * 3600,
    ),
    Case(
        "a newer stopped one is looked through to a failure",
        [d365(9), d365(5, "failed"), d365(2, "stopped")],
        "failed",
        job="failed@5",
        settled=True,
    ),
    Case(
        "several are looked through",
        [d365(9), *(d365(n, state) for n in (2, 4) for state in ("skipped", "stopped"))],
        "passed",
        job="success@9",
    ),
    Case("only skipped", [d365(2, "skipped")], "skipped", settled=False),
    Case("only stopped", [d365(2, "stopped")], "skipped", settled=False),
    Case("only skipped and stopped", [d365(4, "skipped"), d365(2, "stopped")], "skipped"),
    Case(
        "only skipped in the window; the good one before it is too old",
        [d365(25), d365(2, "skipped")],
        "skipped",
    ),
    Case("skipped before the window is as stale as anything", [d365(25, "skipped")], "stale"),
]

OPEN = [
    Case("only running", [d365(2, "running")], "running", job="running@2", settled=False),
    Case("only waiting", [d365(2, "waiting")], "running", open_jobs={"waiting@2"}),
    Case(
        "only running in the window; the good one before it is too old",
        [d365(25), d365(2, "running")],
        "running",
        open_jobs={"running@2"},
    ),
    Case(
        "running since before the window: stale, and evidence",
        [d365(25, "running")],
        "stale",
        open_jobs={"running@25"},
        settled=False,
    ),
    Case(
        "open ones, older and newer and before the window, are evidence of a pass",
        [d365(30, "running"), d365(5, "waiting"), d365(4), d365(2, "running"), d365(None, "waiting")],
        "passed",
        job="success@4",
        open_jobs={"running@30", "waiting@5", "running@2", "waiting@None"},
    ),
    Case(
        "a newer running one does not mend a failure, which it may yet",
        [d365(5, "failed"), d365(2, "running")],
        "failed",
        job="failed@5",
        open_jobs={"running@2"},
        settled=False,
    ),
    Case(
        "a newer waiting one may mend it as well",
        [d365(5, "partial"), d365(2, "waiting")],
        "partial",
        settled=False,
    ),
    Case(
        "an older running one cannot mend a failure",
        [d365(5, "running"), d365(2, "failed")],
        "failed",
        open_jobs={"running@5"},
        settled=True,
    ),
    Case(
        "one scope cannot be mended, though another's may",
        [d365(5, "failed"), d365(2, "running"), d365(5, "failed", org="b")],
        "failed",
        settled=True,
    ),
    Case(
        "another scope's running one mends nothing",
        [d365(5, "failed"), d365(2, "running", org="b")],
        "failed",
        scopes={A_CE: "failed", B_CE: "running"},
        settled=True,
    ),
]

SOME = {"max_failed": 2}
SHARE = {"max_failed_ratio": 0.1}
GOODNESS = [
    Case("success without counts", [d365(2)], "passed"),
    Case("success, counts agree", [d365(2, **entities(10, 0), **records(99, 0))], "passed"),
    Case("success of nothing at all", [d365(2, **entities(0, 0), **records(0, 0))], "passed"),
    Case(
        "success, skipped and warnings are no failures",
        [d365(2, counts=Counts(total=35, successful=10, failed=0, skipped=20, warning=5))],
        "passed",
    ),
    Case("success with failed entities is partial", [d365(2, **entities(10, 1))], "partial", settled=True),
    Case("success with failed records is partial", [d365(2, **entities(10, 0), **records(99, 1))], "partial"),
    Case(
        "success with failed objects of an unknown total is partial",
        [d365(2, **entities(None, 1))],
        "partial",
    ),
    Case("success with failed objects, Microsoft 365", [m365(2, **entities(16, 1))], "partial"),
    Case("partial", [d365(2, "partial")], "partial", job="partial@2", settled=True),
    Case("partial stays partial, whatever the counts say", [d365(2, "partial", **entities(9, 0))], "partial"),
    Case(
        "failed stays failed, whatever the counts say",
        [d365(2, "failed", counts=Counts(total=2323, successful=2323, failed=0))],
        "failed",
        settled=True,
    ),
    Case(
        "failed stays failed beside accept_partial",
        [d365(2, "failed", **entities(100, 1))],
        "failed",
        policy={"accept_partial": True},
    ),
    Case(
        "failed stays failed below any limit",
        [d365(2, "failed", **entities(100, 1))],
        "failed",
        policy={"max_failed": 50, "max_failed_ratio": 1},
    ),
    Case(
        "accept_partial: partial",
        [d365(2, "partial", **entities(10, 9))],
        "passed",
        policy={"accept_partial": True},
    ),
    Case(
        "accept_partial: partial without counts",
        [d365(2, "partial")],
        "passed",
        policy={"accept_partial": True},
    ),
    Case(
        "accept_partial: success with failed objects",
        [d365(2, **records(10, 9))],
        "passed",
        policy={"accept_partial": True},
    ),
    Case("max_failed: just so many", [d365(2, "partial", **entities(9, 2))], "passed", policy=SOME),
    Case("max_failed: one more", [d365(2, "partial", **entities(9, 3))], "partial", policy=SOME),
    Case("max_failed: success with failed objects", [d365(2, **entities(9, 2))], "passed", policy=SOME),
    Case("max_failed: success with more failed objects", [d365(2, **entities(9, 3))], "partial", policy=SOME),
    Case(
        "max_failed of none: partial with none failed",
        [d365(2, "partial", **entities(9, 0))],
        "passed",
        policy={"max_failed": 0},
    ),
    Case(
        "max_failed of none: partial with one failed",
        [d365(2, "partial", **entities(9, 1))],
        "partial",
        policy={"max_failed": 0},
    ),
    Case(
        "max_failed_ratio: just that share", [d365(2, "partial", **entities(100, 10))], "passed", policy=SHARE
    ),
    Case("max_failed_ratio: one more", [d365(2, "partial", **entities(100, 11))], "partial", policy=SHARE),
    Case(
        "max_failed_ratio: just that share, of a share that binary cannot write",
        [d365(2, "partial", **entities(100, 29))],
        "passed",
        policy={"max_failed_ratio": 0.29},
    ),
    Case(
        "max_failed_ratio of none: one failed",
        [d365(2, "partial", **entities(1_000_000, 1))],
        "partial",
        policy={"max_failed_ratio": 0},
    ),
    Case(
        "max_failed_ratio of all: all failed",
        [d365(2, "partial", **entities(9, 9))],
        "passed",
        policy={"max_failed_ratio": 1},
    ),
    Case("both limits: within both", [d365(2, "partial", **entities(20, 2))], "passed", policy=SOME | SHARE),
    Case(
        "both limits: too many, though a small share",
        [d365(2, "partial", **entities(100, 3))],
        "partial",
        policy=SOME | SHARE,
    ),
    Case(
        "both limits: too great a share, though few",
        [d365(2, "partial", **entities(5, 1))],
        "partial",
        policy=SOME | SHARE,
    ),
    *(
        Case(
            f"two levels: {name}, by {next(iter(limit))}",
            [d365(2, state, **entities(20, of_entities), **records(20, of_records))],
            reason,
            policy=limit,
        )
        for limit in (SOME, SHARE)
        for state in ("success", "partial")
        for name, of_entities, of_records, reason in (
            (f"{state}, both within the limit", 2, 2, "passed"),
            (f"{state}, entities beyond it", 3, 0, "partial"),
            (f"{state}, records beyond it", 0, 3, "partial"),
        )
    ),
    Case("records alone are counted", [d365(2, "partial", **records(20, 2))], "passed", policy=SOME),
    Case(
        "success with nothing successful, failed or skipped of many is partial",
        [d365(2, counts=Counts(total=1000, successful=0, failed=0, skipped=0))],
        "partial",
    ),
    Case(
        "what no count explains has failed: beyond the limit",
        [d365(2, "partial", counts=Counts(total=1000, successful=200, failed=2))],
        "partial",
        policy={"max_failed": 5},
    ),
    Case(
        "what no count explains has failed: within the limit",
        [d365(2, "partial", counts=Counts(total=10, successful=6, failed=1, skipped=1, warning=1))],
        "passed",
        policy=SOME,
    ),
    *(
        Case(f"{name} excuse nothing", [d365(2, "partial", **counts)], "partial", policy=limit)
        for limit in (SOME, {"max_failed_ratio": 1})
        for name, counts in (
            (f"missing counts, with {next(iter(limit))},", {}),
            (f"a total of zero, with {next(iter(limit))},", entities(0, 0)),
            (f"a total of zero on both levels, with {next(iter(limit))},", entities(0, 0) | records(0, 0)),
            (f"a missing total, with {next(iter(limit))},", entities(None, 1)),
            (f"a missing number of failed, with {next(iter(limit))},", entities(20, None)),
            (f"failed ones of a total of zero, with {next(iter(limit))},", entities(0, 1)),
            (
                f"good entities beside failed records of no total, with {next(iter(limit))},",
                entities(20, 1) | records(None, 1),
            ),
        )
    ),
]

NEVER_A_PASS = [
    Case("a state not understood", [d365(2, "unknown")], "unknown_state", settled=False),
    Case(
        "a state not understood, newer than a success",
        [d365(5), d365(2, "unknown")],
        "unknown_state",
        settled=False,
    ),
    Case(
        "a state not understood, newer than a failure",
        [d365(5, "failed"), d365(2, "unknown")],
        "unknown_state",
        settled=False,
    ),
    Case(
        "a state not understood, older than a success",
        [d365(5, "unknown"), d365(2)],
        "passed",
        job="success@2",
    ),
    Case(
        "a state not understood, older than a failure",
        [d365(5, "unknown"), d365(2, "failed")],
        "failed",
        settled=True,
    ),
    Case("a state not understood, before the window", [d365(25, "unknown"), d365(2)], "passed"),
    Case(
        "a state not understood is not looked through as a skipped one is",
        [d365(5), d365(3, "unknown"), d365(2, "skipped")],
        "unknown_state",
    ),
    Case(
        "any: a state not understood, older than the good one",
        [d365(5, "unknown"), d365(3), d365(2, "failed")],
        "passed",
        policy={"decide_by": "any"},
        job="success@3",
    ),
    Case(
        "any: a state not understood, newer than the good one",
        [d365(5), d365(3, "unknown"), d365(2, "failed")],
        "unknown_state",
        policy={"decide_by": "any"},
    ),
    Case(
        "all: a state not understood, newer than the good ones",
        [m365(5), m365(3), m365(2, "unknown")],
        "unknown_state",
        settled=False,
    ),
    Case("five minutes ahead is now", [d365(NOW + timedelta(minutes=5))], "passed", age=0),
    Case(
        "a little ahead and failed is a failure",
        [d365(2), d365(NOW + timedelta(minutes=3), "failed")],
        "failed",
        age=0,
        settled=True,
    ),
    Case(
        "more than five minutes ahead is clock skew",
        [d365(NOW + timedelta(minutes=5) + MICROSECOND)],
        "clock_skew",
        settled=False,
    ),
    Case(
        "clock skew beside a good backup is clock skew", [d365(2), d365(-1)], "clock_skew", job="success@-1"
    ),
    Case("a running one ahead is clock skew", [d365(2), d365(-1, "running")], "clock_skew"),
    Case("a failed one ahead is clock skew", [d365(2), d365(-1, "failed")], "clock_skew"),
    Case(
        "clock skew is its scope's, not another's",
        [d365(2), d365(-1, org="b")],
        "clock_skew",
        scopes={A_CE: "passed", B_CE: "clock_skew"},
    ),
    Case("a restore ahead is nobody's clock", [d365(2), d365(-1, job_type="restore")], "passed"),
]

WINDOW = [
    Case("started just at the cut-off", [d365(6)], "passed", policy={"started_after": ago(6)}),
    Case(
        "started just before the cut-off",
        [d365(ago(6) - MICROSECOND)],
        "stale",
        policy={"started_after": ago(6)},
    ),
    Case("started just so long ago", [d365(24)], "passed", age=24 * 3600),
    Case("started just too long ago", [d365(ago(24) - MICROSECOND)], "stale"),
    Case(
        "started before the cut-off and finished after it",
        [d365(7, finished_at=ago(1))],
        "stale",
        policy={"started_after": ago(6)},
    ),
    Case(
        "both: the cut-off is the later",
        [d365(7)],
        "stale",
        policy={"started_after": ago(6), "max_age": 24 * HOUR},
    ),
    Case(
        "both: the age is the later",
        [d365(7)],
        "stale",
        policy={"started_after": ago(24), "max_age": 6 * HOUR},
    ),
    Case("both: both hold", [d365(6)], "passed", policy={"started_after": ago(24), "max_age": 6 * HOUR}),
    Case(
        "the cut-off has an offset",
        [d365(6)],
        "passed",
        policy={"started_after": "2026-11-22T01:00:00+01:00"},
    ),
    Case(
        "a job's offset is not its hour",
        [d365(datetime(2026, 11, 22, 1, tzinfo=timezone(2 * HOUR)))],
        "stale",
        policy={"started_after": "2026-11-22T00:00:00Z"},
    ),
    Case(
        "the age is measured at the judgement",
        [d365(2)],
        "stale",
        policy={"max_age": 3 * HOUR},
        now=NOW + 2 * HOUR,
        age=4 * 3600,
    ),
    Case(
        "an old cut-off takes an old backup",
        [d365(900)],
        "passed",
        policy={"started_after": ago(1000)},
        age=900 * 3600,
    ),
]

# Where the contract leaves a choice: what the code does, and why that is right.
CHOICES = [
    Case(
        "a waiting one ahead is planned, not skewed",
        [d365(2), d365(-1, "waiting")],
        "passed",
        open_jobs={"waiting@-1"},
    ),
    Case(
        "a planned one may yet mend a failure",
        [d365(2, "failed"), d365(-1, "waiting")],
        "failed",
        settled=False,
    ),
    Case(
        "running beats skipped: something is still under way",
        [d365(5, "running"), d365(2, "skipped")],
        "running",
        job="running@5",
    ),
    Case(
        "nothing has ended, and one is not understood",
        [d365(5, "unknown"), d365(2, "running")],
        "unknown_state",
        open_jobs={"running@2"},
    ),
    Case(
        "all: what is not understood may be another resource's, even if older",
        [m365(5, "unknown"), m365(3), m365(2)],
        "unknown_state",
        settled=False,
    ),
    Case(
        "all: a failure stays one, whatever else is not understood",
        [m365(5, "failed"), m365(2, "unknown")],
        "failed",
        job="failed@5",
    ),
    Case(
        "success with failed ones of a total of zero: the worse holds", [d365(2, **entities(0, 1))], "partial"
    ),
    Case(
        "a level that counted nothing does not void the other's limit",
        [d365(2, "partial", **entities(20, 1), **records(0, 0))],
        "passed",
        policy=SOME,
    ),
    Case(
        "a module is not expected of an organisation that never showed it",
        [d365(2), d365(2, module=UO), d365(2, org="b")],
        "passed",
        policy={"object_types": ["customer_engagement", UO]},
        scopes={A_CE: "passed", A_UO: "passed", B_CE: "passed"},
    ),
    Case(
        "an exclusion that names both excludes where both hold",
        [d365(2, "failed"), d365(2, "failed", module=UO), d365(2, org="b", module=UO)],
        "failed",
        policy={"exclude": exclude("2027-01-01", organization_id="a", workload=UO)},
        scopes={A_CE: "failed", A_UO: "excluded", "b/unified_operations/-": "passed"},
    ),
]

GOOGLE = [
    Case(
        "Google apps are scopes",
        [google(2), google(3, "failed", "drive")],
        "failed",
        scopes={"-/gmail/-": "passed", "-/drive/-": "failed"},
    ),
    Case(
        "Google rows do not say their organisation: all by default",
        [google(5, "failed"), google(2)],
        "failed",
        job="failed@5",
    ),
    Case(
        "Google, newest by the user's word",
        [google(5, "failed"), google(2)],
        "passed",
        policy={"decide_by": "newest"},
    ),
    Case(
        "an app that was not backed up is missed",
        [google(2)],
        "missed",
        policy={"object_types": ["gmail", "chat"]},
        scopes={"-/gmail/-": "passed", "-/chat/-": "missed"},
    ),
    Case(
        "an app that nobody documents is a scope of its own",
        [google(2), google(2, "failed", "3")],
        "failed",
        scopes={"-/gmail/-": "passed", "-/3/-": "failed"},
    ),
    Case(
        "Google without counts: no limit excuses a partial one",
        [google(2, "partial")],
        "partial",
        policy={"max_failed_ratio": 1},
    ),
]

ALL_BACKUPS = ["backup", "on_demand_backup", "continuous_data_protection", "audit_log_backup"]
SALESFORCE = [
    Case(
        "Salesforce organisations are scopes",
        [salesforce(2), salesforce(3, "failed", "b")],
        "failed",
        scopes={"a/-/-": "passed", "b/-/-": "failed"},
    ),
    Case(
        "Salesforce: newest by default where rows say their organisation",
        [salesforce(5, "failed"), salesforce(2)],
        "passed",
        job="success@2",
    ),
    Case(
        "Salesforce: all by default where they do not",
        [salesforce(5, "failed", None), salesforce(2, org=None)],
        "failed",
        scopes={"-/-/-": "failed"},
        job="failed@5",
    ),
    Case(
        "a Salesforce organisation that was not backed up is missed",
        [salesforce(2)],
        "missed",
        policy={"organization_ids": ["a", "b"]},
        scopes={"a/-/-": "passed", "b/-/-": "missed"},
    ),
    *(
        Case(
            f"a newer successful {kind} of Salesforce does not stand for a backup unless named",
            [salesforce(5, "failed"), salesforce(2, job_type=kind)],
            "failed",
            job="failed@5",
        )
        for kind in (*ALL_BACKUPS[1:], "generate_recovery_point", "archive", "backup_export")
    ),
    *(
        Case(
            f"a newer successful {kind} of Salesforce stands for one where it is named",
            [salesforce(5, "failed"), salesforce(2, job_type=kind)],
            "passed",
            policy={"job_type": ALL_BACKUPS[:3]},
            job="success@2",
        )
        for kind in ALL_BACKUPS[:3]
    ),
    Case(
        "an audit log holds no data: a good one stands for no backup",
        [salesforce(5, "failed"), salesforce(2, job_type="audit_log_backup")],
        "failed",
        policy={"job_type": ALL_BACKUPS},
        scopes={"a/-/-": "failed", "a/-/-/audit_log": "passed"},
    ),
    Case(
        "a good backup stands for no audit log",
        [salesforce(2)],
        "missed",
        policy={"job_type": ALL_BACKUPS},
        scopes={"a/-/-": "passed", "a/-/-/audit_log": "missed"},
    ),
    Case("failed metadata makes a success partial", [salesforce(2, **metadata(4, 1))], "partial"),
    Case(
        "failed metadata alone, within the limit",
        [salesforce(2, **entities(20, 0), **records(900, 0), **metadata(20, 1))],
        "passed",
        policy=SOME,
    ),
    Case(
        "failed metadata alone, beyond the limit that objects and records keep",
        [salesforce(2, "partial", **entities(20, 1), **records(900, 1), **metadata(20, 3))],
        "partial",
        policy=SOME,
    ),
    Case(
        "an audit log has no records: what counts nothing voids no limit",
        [salesforce(2, "partial", **entities(20, 1), **records(0, 0), **metadata(0, 0))],
        "passed",
        policy=SOME,
    ),
    Case(
        "a tie: a success with failed metadata is newer than one without",
        [salesforce(2, job_id="2"), salesforce(2, job_id="1", **metadata(20, 1))],
        "partial",
        job="1",
    ),
    Case(
        "a job seen twice: failed metadata is the worse",
        [salesforce(2, job_id="1"), salesforce(2, job_id="1", **metadata(20, 1))],
        "partial",
        job="1",
    ),
    Case("paused is under way", [salesforce(2, "waiting")], "running", open_jobs={"waiting@2"}),
]

IAAS = [
    Case(
        "IaaS services are scopes",
        [iaas(2), iaas(2, "failed", "cosmos")],
        "failed",
        scopes={"-/virtual_machine/-": "passed", "-/cosmos/-": "failed"},
    ),
    Case(
        "one machine's success does not hide another's failure",
        [iaas(5, "failed"), iaas(2)],
        "failed",
        job="failed@5",
    ),
    Case(
        "one machine's success does not hide what nobody understands of another",
        [iaas(5, "unknown"), iaas(2)],
        "unknown_state",
    ),
    Case(
        "IaaS jobs that no service claims are the scope other, where all must be good too",
        [iaas(2), iaas(5, "failed", None), iaas(3, service=None)],
        "failed",
        scopes={"-/virtual_machine/-": "passed", "-/other/-": "failed"},
    ),
    Case(
        "an IaaS job that a service claims is not other too",
        [iaas(2, job_id="1"), iaas(2, service=None, job_id="1")],
        "passed",
        scopes={"-/virtual_machine/-": "passed"},
    ),
    Case(
        "with services listed, what no service claims is left out",
        [iaas(2), iaas(2, "failed", None)],
        "passed",
        policy={"object_types": "virtual_machine"},
        scopes={"-/virtual_machine/-": "passed"},
    ),
    Case(
        "most objects skipped is the vendor's success",
        [iaas(2, counts=Counts(total=45, successful=10, failed=0, skipped=35))],
        "passed",
    ),
    Case("an IaaS backup that has not started", [iaas(2, "waiting"), iaas(4)], "passed", job="success@4"),
    Case(
        "an IaaS job of a type that nobody documents is no backup",
        [iaas(5, "failed"), iaas(2, job_type="99999")],
        "failed",
    ),
    Case(
        "IaaS, newest by the user's word",
        [iaas(5, "failed"), iaas(2)],
        "passed",
        policy={"decide_by": "newest"},
    ),
]

SCANS = [
    Case(
        "scan categories are scopes",
        [scan(2), scan(2, "failed", "power_platform")],
        "failed",
        scopes={"-/m365/-": "passed", "-/power_platform/-": "failed"},
    ),
    Case(
        "one scan profile's success does not hide another's failure",
        [scan(5, "failed"), scan(2)],
        "failed",
        job="failed@5",
    ),
    Case("by its other name, a scan is the same", [scan(2)], "passed", policy={"job_type": "scan"}),
    Case("a batch import is no scan", [scan(5, "failed"), scan(2, job_type="batch_import")], "failed"),
    Case(
        "a category without a scan is missed",
        [scan(2)],
        "missed",
        policy={"object_types": ["m365", "google"]},
        scopes={"-/m365/-": "passed", "-/google/-": "missed"},
    ),
    Case("a scan of no category", [scan(2), scan(2, "failed", None)], "failed"),
]

ELEMENTS = [
    Case(
        "customers and modules are scopes",
        [elements(2), elements(2, "failed", "exchange_online"), elements(2, organization_id="c2")],
        "failed",
        policy={"organization_ids": ["c1", "c2"]},
        scopes={"c1/onedrive/-": "passed", "c1/exchange_online/-": "failed", "c2/onedrive/-": "passed"},
    ),
    Case(
        "a customer without jobs is missed",
        [elements(2)],
        "missed",
        policy={"organization_ids": ["c1", "c2"]},
        scopes={"c1/onedrive/-": "passed", "c2/-/-": "missed"},
    ),
    *(
        Case(
            f"Elements: all by default for {module}, whose rows do not say which one",
            [elements(5, "failed", module), elements(2, module=module)],
            "failed",
            job="failed@5",
        )
        for module in (
            "exchange_online",
            "azure_virtual_machine",
            "disk",
            "google_cloud_storage",
            "none",
            "372",
            None,
        )
    ),
    Case(
        "Elements: a machine by the user's word",
        [elements(5, "failed", "disk"), elements(2, module="disk")],
        "passed",
        policy={"decide_by": "newest"},
    ),
    *(
        Case(
            f"{kind} is no backup of Elements",
            [elements(5, "failed"), elements(2, module=kind, job_type=kind)],
            "failed",
            scopes={"c1/onedrive/-": "failed"},
        )
        for kind in ("archiver", "retention")
    ),
    Case("housekeeping alone is missed", [elements(2, module="retention", job_type="retention")], "missed"),
    Case("a scan is no backup of Elements", [elements(2, job_type="scan")], "missed"),
    Case(
        "failed stays failed though no object did, as in the vendor's sample",
        [elements(2, "failed", counts=Counts(total=2323, successful=2323, failed=0, skipped=0, warning=0))],
        "failed",
        policy={"max_failed_ratio": 1},
        settled=True,
    ),
    Case("warnings are no failures", [elements(2, counts=Counts(total=9, failed=0, warning=9))], "passed"),
]

CASES = [
    *SCOPES,
    *LISTS,
    *LOOK_BACK,
    *EXCLUSIONS,
    *JOB_TYPES,
    *DECIDE_BY,
    *TIES,
    *NO_START,
    *LOOKED_THROUGH,
    *OPEN,
    *GOODNESS,
    *NEVER_A_PASS,
    *WINDOW,
    *CHOICES,
    *GOOGLE,
    *SALESFORCE,
    *IAAS,
    *SCANS,
    *ELEMENTS,
]


@each_row("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_table(case: Case) -> None:
    """Each row of the table gets the verdict, and the evidence, that the contract gives it."""
    verdict = case.judge()
    assert (case.reason == "passed", case.reason) == (verdict.passed, verdict.reason.value), (
        verdict.describe()
    )
    if case.scopes is not None:
        assert case.scopes == reasons_of(verdict)
    if case.settled is not None:
        assert case.settled == verdict.is_settled
    if case.open_jobs is not None or case.job is not ... or case.age is not ...:
        (scope,) = verdict.scopes
        if case.open_jobs is not None:
            assert case.open_jobs == {job.job_id for job in scope.open_jobs}
        if case.job is not ...:
            assert case.job == (scope.job and scope.job.job_id)
        if case.age is not ...:
            assert case.age == scope.age_seconds


# Each product, whatever its rows say.


def make_typed_job(product: str, start: float | None, state: str, job_type: str = "backup") -> BackupJob:
    """Return a job of an organisation and a workload, so far as *product* tells them apart."""
    known = PRODUCTS[product]
    return make_job(
        product,
        start,
        state,
        job_type=job_type,
        organization_id="c1" if known.tells_organizations else None,
        workload=next((word for word in known.known_workloads if word not in known.housekeeping), None),
    )


def judge_product(product: str, *jobs: BackupJob) -> str:
    named = {"organization_ids": "c1"} if PRODUCTS[product].needs_organization else {}
    verdict = judge(jobs, Policy(product=product, max_age=24 * HOUR, **named), NOW)
    assert verdict.passed is (verdict.reason == "passed")
    return verdict.reason


@each_row("product", PRODUCTS)
@each_row(
    ("start", "state", "reason"),
    [
        (2, "success", "passed"),
        (2, "partial", "partial"),
        (2, "failed", "failed"),
        (2, "running", "running"),
        (2, "waiting", "running"),
        (2, "skipped", "skipped"),
        (2, "stopped", "skipped"),
        (2, "unknown", "unknown_state"),
        (60, "success", "stale"),
        (None, "success", "unknown_state"),
        (-1, "success", "clock_skew"),
        (24 + WEEK + 1, "success", "missed"),
    ],
)
def test_one_job_of_each_product(product: str, start: float | None, state: str, reason: str) -> None:
    assert reason == judge_product(product, make_typed_job(product, start, state))


@each_row("product", PRODUCTS)
def test_no_job_of_each_product(product: str) -> None:
    assert "missed" == judge_product(product)


@each_row(
    ("product", "job_type"),
    [
        (name, word)
        for name, product in PRODUCTS.items()
        for word in dict.fromkeys(product.job_type_words.values())
    ]
    + [(name, word) for name, product in PRODUCTS.items() for word in product.housekeeping],
)
def test_nothing_but_a_backup_stands_for_one(product: str, job_type: str) -> None:
    """Of every documented job type: alone it is missed, newer than a failure it mends nothing."""
    other = make_typed_job(product, 2, "success", job_type)
    if job_type == "backup":
        assert "passed" == judge_product(product, other)
    else:
        assert "missed" == judge_product(product, other)
        assert "failed" == judge_product(product, make_typed_job(product, 5, "failed"), other)


# Rows that do not say whose they are must not let one tenant's, or machine's, success hide another's failure.
BY_THE_NEWEST = {"dynamics365", "salesforce"}


@each_row("product", PRODUCTS)
def test_what_decides_unless_told_otherwise(product: str) -> None:
    jobs = [make_typed_job(product, 5, "failed"), make_typed_job(product, 2, "success")]
    assert ("passed" if product in BY_THE_NEWEST else "failed") == judge_product(product, *jobs)


def test_the_table_names_each_case_once() -> None:
    assert len(CASES) == len({case.name for case in CASES})


@each_row("case", CASES)
def test_the_table_in_any_order_and_with_repeats(case: Case) -> None:
    """Neither the order of the rows nor seeing some of them again changes verdict or evidence."""
    expected = case.judge().as_dict()
    rng = random.Random(case.name)
    for _ in range(5):
        again = [*case.jobs, *rng.choices(case.jobs, k=3 if case.jobs else 0)]
        rng.shuffle(again)
        assert expected == case.judge(iter(again)).as_dict()


# Worst first, as section 4.5 lists them after "passed".
REASONS = [
    "failed",
    "partial",
    "missed",
    "stale",
    "running",
    "skipped",
    "unknown_state",
    "clock_skew",
    "passed",
]
EXAMPLES = {
    "failed": d365(2, "failed", org="failed"),
    "partial": d365(2, "partial", org="partial"),
    "stale": d365(60, org="stale"),
    "running": d365(2, "running", org="running"),
    "skipped": d365(2, "skipped", org="skipped"),
    "unknown_state": d365(2, "unknown", org="unknown_state"),
    "clock_skew": d365(-1, org="clock_skew"),
    "passed": d365(2, org="passed"),
}


@each_row("worst", REASONS)
def test_the_worst_scope_gives_the_reason(worst: str) -> None:
    present = REASONS[REASONS.index(worst) :]
    jobs = [EXAMPLES[reason] for reason in present if reason in EXAMPLES]
    verdict = judge(jobs, Policy(product="dynamics365", max_age=86400, organization_ids=present), NOW)
    assert (worst == "passed", worst) == (verdict.passed, verdict.reason)
    assert dict(zip(present, present, strict=True)) == {
        scope.scope.organization_id: scope.reason for scope in verdict.scopes
    }


def test_open_jobs_are_evidence_of_their_own_scope() -> None:
    jobs = [d365(5), d365(3, "running"), d365(5, org="b"), d365(4, "waiting", org="b")]
    verdict = judge(jobs, Policy(product="dynamics365", max_age=86400), NOW)
    expected = {A_CE: ["running@3"], B_CE: ["waiting@4"]}
    assert expected == {label(scope): [job.job_id for job in scope.open_jobs] for scope in verdict.scopes}


@pytest.mark.parametrize(("finished", "reason"), [("", "running"), ("2026-11-22T04:30:00Z", "partial")])
def test_partially_finished_without_a_finish_is_running(finished: str, reason: str) -> None:
    """The documents leave open whether that state is final, so only a finish time makes it so."""
    row = {
        "id": "1",
        "state": "Partially Finished",
        "startTime": "2026-11-22T04:00:00Z",
        "finishTime": finished,
    }
    job = RowReader(M365).read(row, job_type="backup", workload="teams")
    verdict = judge([job], Policy(product="m365", max_age=86400), NOW)
    assert {"-/teams/-": reason} == reasons_of(verdict)


@each_row(
    ("services", "reason"),
    [
        # The same answer for three, and the same but for a job that began between the queries.
        ({"exchange_online": [9], "sharepoint_online": [9], "teams": [9]}, "unreadable"),
        ({"exchange_online": [9], "sharepoint_online": [9, 1], "teams": [9, 1]}, "unreadable"),
        ({"exchange_online": [9], "sharepoint_online": [9, 2], "teams": [9, 2, 1]}, "unreadable"),
        # A team and its group share a job; Exchange has its own.
        ({"exchange_online": [8], "microsoft_365_groups": [9, 1], "teams": [9, 1]}, "passed"),
        ({"exchange_online": [8], "microsoft_365_groups": [9], "teams": [9, 1]}, "passed"),
        # An old job in common is no sign where newer ones are each service's own.
        ({"exchange_online": [9, 3], "sharepoint_online": [9, 2], "teams": [9, 1]}, "passed"),
    ],
)
def test_the_same_jobs_for_three_services_show_a_server_that_does_not_filter(
    services: dict[str, list[int]], reason: str
) -> None:
    jobs = [
        m365(start, workload=workload, job_id=str(start))
        for workload, starts in services.items()
        for start in starts
    ]
    policy = Policy(product="m365", max_age=24 * HOUR, object_types=list(services))
    assert reason == judge(jobs, policy, NOW).reason


def test_a_time_of_judgement_without_time_zone_is_refused() -> None:
    with pytest.raises(AvePointConfigError, match=r"^now: "):
        judge([], Policy(product="dynamics365", max_age=86400), NOW.replace(tzinfo=None))


# What a verdict says: the message of AvePointBackupNotVerified.


def test_the_message_names_the_worst_twenty_scopes_and_their_reasons() -> None:
    failing = [f"org-{n:03}" for n in range(45)]
    jobs = [d365(2, "failed" if n % 2 else "partial", org=org) for n, org in enumerate(failing)]
    text = judge([*jobs, d365(2, org="fine")], Policy(product="dynamics365", max_age=86400), NOW).describe()
    reasons = {org: "failed" if n % 2 else "partial" for n, org in enumerate(failing)}
    named = [org for org in failing if f"{org} / customer_engagement: {reasons[org]} (" in text]
    assert [org for org in failing if reasons[org] == "failed"][:20] == named
    assert "\n- and 25 more: 2 failed, 23 partial\n" in text
    assert "fine" not in text


@each_row(
    ("jobs", "policy", "said"),
    [
        ([d365(2)], {}, ["dynamics365", "verified in 1 of 1 scopes"]),
        (
            [d365(2), d365(2, "failed", org="b")],
            {"exclude": exclude("2027-01-01", organization_id="b")},
            ["verified in 1 of 1 scopes", "1 excluded"],
        ),
        ([], {}, ["missed", "2026-11-14 06:00 UTC"]),
        ([], {"max_age": 90}, ["(max_age is 90 s)"]),
        ([], {"started_after": ago(1)}, ["since 2026-11-22 05:00:00 UTC (started_after)"]),
        ([], {"started_after": ago(99)}, ["(max_age is 24 h)"]),
        ([d365(2)], {"exclude": exclude("2027-01-01", organization_id="a")}, ["missed", "1 excluded"]),
        (
            [d365(2, "partial", **entities(10, 3))],
            {},
            ["partial", "a / customer_engagement", "partial@2", "04:00:00 UTC", "3 of 10 objects failed"],
        ),
        ([d365(None)], {}, ["unknown_state", "success@None"]),
        ([], {"organization_ids": ["b"]}, ["b: missed", "0 of 1 scopes good"]),
        ([d365(2, "failed", org=None, module=None)], {}, ["all jobs: failed"]),
    ],
)
def test_the_message_says_what_is_wrong(
    jobs: list[BackupJob], policy: dict[str, Any], said: list[str]
) -> None:
    text = judge(jobs, Policy(**({"product": "dynamics365", "max_age": 86400} | policy)), NOW).describe()
    assert not [words for words in said if words not in text], text


def test_the_message_has_one_line_a_scope_with_names_and_the_vendors_words() -> None:
    """Foreign text adds no line: the worst scope comes first, then the window, the rule and what to do."""
    jobs = [
        d365(30, raw_state=3, org="B", organization_name="Fabrikam"),
        d365(2, "failed", raw_state=4, org="A", organization_name="Con\ntoso\x1b[31m", **entities(10, 3)),
        d365(2, "unknown", raw_state=77, org="C", organization_name="C"),
        d365(
            3, "failed", raw_state="Failed\r\nforged", org="A", module="a", errors=[JobError(message="a\nb")]
        ),
        d365(2, "running", raw_state=None, org="D", module="b", organization_name=" "),
    ]
    policy = Policy(product="dynamics365", max_age=86400)

    lines = judge(jobs, policy, NOW).describe().split("\n")

    in_morning = "started 2026-11-22 04:00:00 UTC"
    ce = "/ customer_engagement:"
    old = "job success@30, 3 (Finished), started 2026-11-21 00:00:00 UTC"
    window = (
        "Window: a backup counts if it has started since 2026-11-21 06:00:00 UTC (max_age is 24 h); "
        "judged at 2026-11-22 06:00:00 UTC."
    )
    told = f"Con toso [31m (A) / a: failed (job failed@3, {FORGED}, started 2026-11-22 03:00:00 UTC; a b)"
    assert [
        "dynamics365: failed: 0 of 5 scopes good.",
        f"- {told}",
        f"- Con toso [31m (A) {ce} failed (job failed@2, 4 (Failed), {in_morning}, 3 of 10 objects failed)",
        f"- Fabrikam (B) {ce} stale, no backup has started since 2026-11-21 06:00 UTC ({old})",
        f"- D / b: running (job running@2, no state, {in_morning})",
        f"- C {ce} unknown_state (job unknown@2, 77 (not documented), {in_morning})",
        window,
        "Rule: the newest ended backup of a scope decides (newest: each row's organisation is known).",
    ] == lines[:8]
    advised = [line.partition(":")[0] for line in lines[8:]]
    assert [f"What to do ({reason})" for reason in ("failed", "stale", "running", "unknown_state")] == advised


def test_the_message_of_a_pass_names_the_jobs() -> None:
    jobs = [d365(2, org=f"org-{number:02}", organization_name=f"Name {number}") for number in range(22)]
    policy = Policy(product="dynamics365", started_after=ago(24))

    lines = judge(jobs, policy, NOW).describe().split("\n")

    assert "dynamics365: backup verified in 22 of 22 scopes." == lines[0]
    assert lines[1].startswith("- Name 0 (org-00) / customer_engagement: passed (job success@2, 'success', ")
    assert (22, "- and 2 more: 2 passed") == (len(lines), lines[-1])


@each_row(
    ("jobs", "ways"),
    [
        ([m365(5, "failed"), m365(2)], 'decide_by="newest", or single_tenant in the connection'),
        ([iaas(5, "failed"), iaas(2)], 'decide_by="newest" lets the newest backup decide.'),
        ([m365(5, "failed"), m365(2, "partial")], None),
    ],
)
def test_the_message_names_a_newer_good_backup_and_what_lets_it_decide(
    jobs: list[BackupJob], ways: str | None
) -> None:
    text = judge(jobs, Policy(product=jobs[0].product, max_age=86400), NOW).describe()
    newer = "; the newer job success@2, 'success', started 2026-11-22 04:00:00 UTC is good, but"
    assert (ways is not None) is (newer in text) is ("lets the newest" in text), text
    assert ways is None or ways in text, text


def test_warnings_name_what_is_forgotten_and_ids_that_no_job_has() -> None:
    policy = Policy(product="dynamics365", max_age=86400, organization_ids=["a", "b", "c"])
    verdict = judge([d365(2), d365(24 + WEEK + 1, org="b")], policy, NOW)

    forgotten, unknown = verdict.warnings

    assert "no longer expected" in forgotten
    assert "b / customer_engagement (job success@193" in forgotten
    assert "no job of organisation c has started since 2026-11-07 06:00 UTC; check the id." in unknown
    assert [] == judge([d365(2)], Policy(product="dynamics365", max_age=86400), NOW).warnings


def test_an_organisations_name_is_refused_unless_it_is_an_id_too() -> None:
    policy = Policy(product="salesforce", max_age=86400, organization_ids=["Contoso"])
    named = salesforce(2, org="00D5g", organization_name="contoso ")
    with pytest.raises(AvePointConfigError, match="'Contoso' is the name of 00D5g; give the id"):
        judge([named], policy, NOW)
    assert judge([named, salesforce(2, org="Contoso")], policy, NOW).passed


# One job by itself, as a sensor that waits for it grades it.


@each_row(
    ("job", "expected"),
    [
        (d365(2), "passed"),
        (d365(2, problems=("failedEntity cannot be read",)), "unreadable"),
        (d365(2, "unknown"), "unknown_state"),
        (d365(2, "running"), "running"),
        (d365(2, "waiting"), "running"),
        (d365(-1), "clock_skew"),
        (d365(2, finished_at=ago(3)), "clock_skew"),
        (d365(2, "skipped"), "skipped"),
        (d365(2, "stopped"), "skipped"),
        (d365(2, "failed"), "failed"),
        (d365(2, **entities(1000, 400)), "partial"),
        (d365(2, counts=Counts(total=1000, successful=0, failed=0, skipped=0)), "partial"),
    ],
)
def test_one_job_by_itself(job: BackupJob, expected: str) -> None:
    assert expected == grade_job(job, NOW)
