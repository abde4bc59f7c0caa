"""Any policy, any jobs: the verdict is what a reference says that was written from the contract alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.products import PRODUCTS

from . import HOUR, fuzz
from .wire import anything

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
SKEW = timedelta(minutes=5)
LATEST = datetime.max.replace(tzinfo=UTC)

# What the reference knows of the products.
ASKED_BY_TYPE = {"m365", "m365_legacy", "iaas_paas"}
NAMES_ORGANIZATION = {"dynamics365", "salesforce"}
WORST_FIRST = [
    *("failed", "partial", "missed", "stale", "running", "skipped", "unknown_state", "clock_skew"),
    "passed",
]
WORTH = ["success", "partial", "failed", "unknown"]

Scope = tuple[str | None, str | None, str | None]


def reference(jobs: list[BackupJob], asked: dict[str, Any]) -> dict[Scope, str]:
    """Return each scope's reason, by the rules as the contract numbers them."""
    window = max(asked["started_after"] or NOW - 9999 * HOUR, NOW - (asked["max_age"] or 9999 * HOUR))
    look_back = window - (asked["expect_seen_within"] or 0 * HOUR)
    organizations = [fold(each) for each in asked["organization_ids"] or []]
    claimed = {
        (job.job_id, job.location) for job in jobs if job.workload and job.job_type in asked["job_type"]
    }
    scopes: dict[Scope, list[BackupJob]] = {}
    for job in jobs:
        is_asked = asked["product"] in ASKED_BY_TYPE
        workload = job.workload or ("other" if is_asked else None)
        if (
            job.product == asked["product"]
            and job.job_type in asked["job_type"]
            and not (is_asked and job.workload is None and (job.job_id, job.location) in claimed)
            and (not organizations or fold(job.organization_id) in organizations)
            and workload in (asked["object_types"] or [workload])
            and job.location in (asked["locations"] or [job.location])
        ):
            scopes.setdefault((fold(job.organization_id), workload, job.location), []).append(job)
    seen = {
        scope: explain(rows, asked, scope, window)
        for scope, rows in scopes.items()
        if any(begun(job) is None or begun(job) >= look_back for job in rows)
    }
    named = [
        (organization, workload, location)
        for organization in organizations or [None]
        for workload in asked["object_types"] or [None]
        for location in asked["locations"] or [None]
    ]
    missing = [
        name
        for name in named
        if name != (None, None, None)
        and not any(all(part in (None, own) for part, own in zip(name, scope, strict=True)) for scope in seen)
    ]
    return seen | {name: "excluded" if is_excluded(name, asked) else "missed" for name in missing}


def explain(rows: list[BackupJob], asked: dict[str, Any], scope: Scope, window: datetime) -> str:
    """Return the reason of one scope."""
    if is_excluded(scope, asked):
        return "excluded"
    if any(begun(job) and begun(job) > NOW + SKEW and job.state != "waiting" for job in rows):
        return "clock_skew"
    inside = [job for job in rows if begun(job) is None or begun(job) >= window]
    if not inside:
        return "stale"
    worth = {job.job_id: grade(job, asked) for job in inside if job.state in WORTH}
    # The newest first; of two that began together, the worse.
    ordered = sorted(
        (job for job in inside if job.job_id in worth),
        key=lambda job: (begun(job) or LATEST, WORTH.index(worth[job.job_id])),
        reverse=True,
    )
    ended = [worth[job.job_id] for job in ordered]
    if set(ended) <= {"unknown"}:
        is_open = any(job.state in ("running", "waiting") for job in inside)
        return "unknown_state" if ended else "running" if is_open else "skipped"
    is_named = scope[0] is not None and asked["product"] in NAMES_ORGANIZATION
    rule = asked["decide_by"] or ("newest" if is_named else "all")
    if rule == "all":
        known = [each for each in ended if each != "unknown"]
        decisive = max(known, key=WORTH.index)
        decisive = "unknown" if decisive == "success" and len(known) < len(ended) else decisive
    elif rule == "any" and "success" in ended:
        decisive = "unknown" if "unknown" in ended[: ended.index("success")] else "success"
    else:
        decisive = ended[0]
    return {"success": "passed", "unknown": "unknown_state"}.get(decisive, decisive)


def grade(job: BackupJob, asked: dict[str, Any]) -> str:
    """Return what an ended backup is worth: the worse of its state and its counts, less what is excused."""
    levels = [level for level in (job.counts, job.record_counts, job.metadata_counts) if level != Counts()]
    failures = [level.failed for level in levels if level.failed]
    if job.state == "unknown" or begun(job) is None:
        return "unknown"
    if job.state == "failed" or (job.state == "success" and not failures):
        return job.state.value
    limit, share = asked["max_failed"], asked["max_failed_ratio"]
    counting = [level for level in levels if level.total != 0 or level.failed]
    is_excused = asked["accept_partial"] or (
        (limit, share) != (None, None)
        and counting != []
        and all(
            level.total
            and level.failed is not None
            and (limit is None or level.failed <= limit)
            and (share is None or level.failed / level.total <= share)
            for level in counting
        )
    )
    return "success" if is_excused else "partial"


def begun(job: BackupJob) -> Any:
    return job.started_at or (job.finished_at if job.state.is_terminal else None)


def fold(organization: str | None) -> str | None:
    return organization and organization.strip("{}").lower()


def is_excluded(scope: Scope, asked: dict[str, Any]) -> bool:
    return any(
        NOW.date() < each["until"]
        and fold(each.get("organization_id")) in (None, scope[0])
        and each.get("workload") in (None, scope[1])
        for each in asked["exclude"] or []
    )


# What there may be.

_MOMENTS = [
    *(None, None, NOW, NOW + SKEW, NOW + SKEW + timedelta(microseconds=1), NOW + HOUR),
    *(NOW - hours * HOUR for hours in (1, 1, 2, 12, 23, 24, 25, 36, 47, 48, 49, 24 * 8, 24 * 9)),
    *(NOW - hours * HOUR - timedelta(microseconds=1) for hours in (12, 24, 48, 24 * 8)),
]
_LIMITS = [(False, None, None), (True, None, None), (False, 5, None), (False, None, 0.1), (False, 5, 0.05)]
#: What a good backup is, and which must be good, in every combination.
RULES = [
    {
        "decide_by": rule,
        **dict(zip(("accept_partial", "max_failed", "max_failed_ratio"), limits, strict=True)),
    }
    for rule in (None, "newest", "any", "all")
    for limits in _LIMITS
]
_RECENT = [NOW, NOW - HOUR, NOW - 2 * HOUR, NOW - 12 * HOUR]
_DAYS = [NOW.date(), NOW.date() + timedelta(days=1)]
_counts = st.builds(
    Counts, total=st.sampled_from([None, 0, 10, 100]), failed=st.sampled_from([None, 0, 0, 1, 5, 10])
)
_LEVELS = dict.fromkeys(("counts", "record_counts", "metadata_counts"), _counts)


def _parts(name: str) -> tuple[list[str | None], list[str | None], list[str | None]]:
    """Return the organisations, workloads and locations that rows of a product may show."""
    product = PRODUCTS[name]
    words = [word for word in product.known_workloads if word not in product.housekeeping][:2]
    organizations = ["c1", "C2"] if name == "elements" else ["a", "{A}", "b", None]
    return (
        organizations if product.tells_organizations else [None],
        [*words, None],
        ["NAM", "EUR", None] if product.tells_locations else [None],
    )


@st.composite
def jobs_of(draw: st.DrawFn, name: str) -> list[BackupJob]:
    """Return jobs of one product, several to a scope, some of them listed without their workload too."""
    organizations, workloads, locations = (
        draw(st.lists(st.sampled_from(part), min_size=1, max_size=2)) for part in _parts(name)
    )
    types = [*PRODUCTS[name].backup_types * 4, "restore", None]
    jobs = []
    for number in range(draw(st.sampled_from([0, 1, 2, 3, 4, 6, 9]))):
        job = BackupJob(
            product=draw(st.sampled_from([name] * 9 + ["m365"])),
            job_id=str(number),
            job_type=draw(st.sampled_from(types)),
            workload=draw(st.sampled_from(workloads)),
            state=draw(st.just(JobState.SUCCESS) | st.sampled_from([JobState.PARTIAL, *JobState])),
            started_at=draw(st.sampled_from(_RECENT) | st.sampled_from(_MOMENTS)),
            finished_at=draw(st.sampled_from([None, *_MOMENTS])),
            **draw(st.fixed_dictionaries({}, optional=_LEVELS)),
            organization_id=draw(st.sampled_from(organizations)),
            location=draw(st.sampled_from(locations)),
        )
        jobs.append(job)
        if name in ASKED_BY_TYPE and job.workload and draw(st.booleans()):
            jobs.append(replace(job, workload=None))
    return draw(st.permutations(jobs))


@st.composite
def policies_of(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return the arguments of a policy."""
    product = PRODUCTS[name]
    organizations, workloads, locations = ([each for each in part if each] for part in _parts(name))

    def some(values: list[Any], *, required: bool = False) -> st.SearchStrategy[Any]:
        lists = st.lists(st.sampled_from(values), min_size=1, unique_by=fold) if values else st.none()
        return lists if required else st.one_of(st.none(), st.none(), st.none(), lists)

    cut_off, age = draw(
        st.sampled_from(
            [(NOW - 24 * HOUR, None), (None, 24 * HOUR), (NOW - 24 * HOUR, 12 * HOUR), (None, HOUR)]
        )
    )
    parts = {"organization_id": organizations, "workload": workloads}
    exclusions = st.sampled_from([key for key, values in parts.items() if values]).flatmap(
        lambda key: st.fixed_dictionaries(
            {"until": st.sampled_from(_DAYS), "reason": st.just("moved"), key: st.sampled_from(parts[key])},
            optional={
                other: st.sampled_from(values) for other, values in parts.items() if values and other != key
            },
        )
    )
    return {
        "product": name,
        "started_after": cut_off,
        "max_age": age,
        "organization_ids": draw(some(organizations, required=product.needs_organization)),
        "object_types": draw(some(workloads)),
        "locations": draw(some(locations)),
        "expect_seen_within": draw(st.sampled_from([None, 24 * HOUR, 7 * 24 * HOUR])),
        "exclude": draw(st.none() | st.none() | st.lists(exclusions, max_size=2)),
        "job_type": draw(some(list(product.backup_types), required=True)),
        **draw(st.sampled_from(RULES)),
    }


@pytest.mark.parametrize("name", PRODUCTS)
@fuzz(len(PRODUCTS))
@given(data=st.data())
def test_the_verdict_is_what_the_contract_says(name: str, data: st.DataObject) -> None:
    """By every rule, and within each limit."""
    policy = data.draw(policies_of(name), label="policy")
    jobs = data.draw(jobs_of(name), label="jobs")
    for rules in RULES:
        asked = policy | rules

        verdict = judge(jobs, Policy(**asked), NOW)

        expected = reference(jobs, asked)
        assert expected == {
            (fold(each.scope.organization_id), each.scope.workload, each.scope.location): each.reason.value
            for each in verdict.scopes
        }
        judged = [reason for reason in expected.values() if reason != "excluded"] or ["missed"]
        worst = min(judged, key=WORST_FIRST.index)
        event(worst)
        assert worst == verdict.reason
        assert (worst == "passed") is verdict.passed


@fuzz(2)
@given(data=st.data())
def test_any_arguments_give_a_policy_or_an_error(data: st.DataObject) -> None:
    """Templates put anything into a policy; one that is accepted is the same after a trigger has held it."""
    name = data.draw(st.sampled_from(list(PRODUCTS)))
    asked = data.draw(policies_of(name))
    changed = data.draw(st.dictionaries(st.sampled_from(list(asked)), anything, max_size=4))
    try:
        policy = Policy(**(asked | changed))
    except AvePointConfigError:
        return
    assert policy == Policy(**json.loads(json.dumps(policy.as_dict())))
    judge([], policy, NOW)
