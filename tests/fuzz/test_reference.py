"""Small random sets of odd jobs: ``judge`` and the reference, which was written without it, say the same."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import Reason, judge

from . import HOUR
from .reference import (
    ASKED_BY_TYPE,
    NAMES_ORGANIZATION,
    ODD,
    WORTH,
    covers,
    grade,
    key_of,
    moment_of,
    normalize_id,
    verdict_of,
)

pytestmark = pytest.mark.no_cover

#: So many sets are the same each time; ``AVEPOINT_FUZZ_EXAMPLES`` asks for more, which are others each time.
_SETS = 1000
_MORE = max(0, int(os.environ.get("AVEPOINT_FUZZ_EXAMPLES") or 0) - _SETS)

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 24 * HOUR
# Three spellings of one GUID, another GUID, and two ids that differ in case alone.
GUID = "69cb1ecc-0d5e-4b5f-9a3c-3f0f2c1d7a11"
ORGANIZATIONS = [
    *(GUID, GUID.upper(), "{" + GUID + "}", GUID.replace("-", "")),
    *("a9" + GUID[2:], "abc", "ABC"),
]
WORKLOADS: dict[str, list[str]] = {
    "dynamics365": ["customer_engagement", "unified_operations"],
    "salesforce": [],
    "google_workspace": ["gmail", "drive"],
    "iaas_paas": ["virtual_machine", "entra_id", "devops"],
    "m365": ["exchange_online", "teams", "onedrive"],
    "elements": ["microsoft_teams", "disk"],
}
NAMES = [*["dynamics365"] * 5, *["salesforce", "m365"] * 2, "google_workspace", "iaas_paas", "elements"]
TYPES = {
    "dynamics365": ["backup", "audit_backup"],
    "salesforce": ["backup", "on_demand_backup", "audit_log_backup"],
}

# A good job began one to five hours ago; the windows below begin an hour to a day ago.
RECENT = [NOW - hours * HOUR for hours in (1, 2, 2, 5)]
MOMENTS = [
    *RECENT,
    *(NOW - hours * HOUR for hours in (12, 13, 24, 25, 36, 36, 48, 60, 60, 72, 73, 90, 24 * 9)),
    *(NOW + minutes * MINUTE for minutes in (4, 5, 6, 180)),
]
GOOD = Counts(total=10, successful=10, failed=0, skipped=0, warning=0)
COUNTS = [
    Counts(),
    Counts(total=10),
    Counts(total=10, failed=0),
    Counts(failed=2),
    Counts(successful=3),
    Counts(total=0, successful=0, failed=0),
    Counts(total=0, failed=2),
    Counts(total=4, successful=0),
    Counts(total=10, successful=0, failed=0, skipped=0),
    Counts(total=10, failed=0, skipped=10),
    Counts(total=10, successful=7, failed=1),
    Counts(total=10, successful=8),
    Counts(total=10, successful=8, failed=0, skipped=1),
    Counts(total=10, successful=8, failed=2),
    Counts(total=10, successful=6, failed=2, warning=2),
    Counts(total=10, successful=10, failed=2),
]
LIMITS: list[dict[str, Any]] = [
    {"accept_partial": True},
    {"max_failed": 0},
    {"max_failed": 2},
    {"max_failed": 5},
    {"max_failed_ratio": 0.2},
    {"max_failed": 2, "max_failed_ratio": 0.1},
]


def test_the_verdict_is_what_the_reference_says() -> None:
    """Over all, and by each scope. Every reason comes up, and every product passes."""
    came_up: Counter[tuple[str, str]] = Counter()
    passed = 0
    for seed in [*range(_SETS), *(SystemRandom().getrandbits(64) for _ in range(_MORE))]:
        random = Random(seed)
        asked, single_tenant = make_policy(random), random.random() < 0.3
        jobs = make_jobs(random, asked)

        verdict = judge(jobs, Policy(**asked), NOW, single_tenant=single_tenant)

        told = [
            (
                (
                    normalize_id(each.scope.organization_id),
                    each.scope.workload,
                    each.scope.location,
                    each.scope.content,
                ),
                (each.passed, each.reason.value),
            )
            for each in verdict.scopes
        ]
        is_passed, expected = verdict_of(jobs, asked, NOW, single_tenant=single_tenant)
        where = f"make it again with Random({seed}): {asked}, single_tenant={single_tenant}, {jobs}"
        assert dict(told) == expected, where
        assert len(told) == len(expected), where
        assert verdict.passed is is_passed, where
        passed += is_passed
        came_up.update((asked["product"], reason) for _, reason in expected.values())

    asked_beside = {Reason.NOT_SCHEDULED, Reason.UNUSUAL_ACTIVITY}  # the reference asks for jobs alone
    assert set(Reason) - asked_beside == {reason for name, reason in came_up if name == "dynamics365"}
    assert set(NAMES) == {name for name, reason in came_up if reason == "passed"}
    assert passed > _SETS / 10


def make_policy(random: Random) -> dict[str, Any]:
    """Return the arguments of a policy; in most of them, most are left out."""
    name = random.choice(NAMES)
    cut_off, age = random.choice(
        [(NOW - DAY, None), (None, DAY), (NOW - DAY, 12 * HOUR), (NOW - 12 * HOUR, DAY)]
    )
    asked: dict[str, Any] = {
        "product": name,
        "started_after": cut_off,
        "max_age": age,
        "organization_ids": None,
        "object_types": None,
        "locations": None,
        "expect_seen_within": random.choice([DAY, DAY, 2 * DAY, 7 * DAY, None]),
        "exclude": None,
        "job_type": ["backup"],
        "decide_by": random.choice([None, None, "newest", "any", "all"]),
        "accept_partial": False,
        "max_failed": None,
        "max_failed_ratio": None,
    }
    if random.random() < 0.5:
        asked |= random.choice(LIMITS)
    if name in TYPES and random.random() < 0.5:
        asked["job_type"] = random.sample(TYPES[name], random.randint(1, 2))
    if name == "elements" or (name in NAMES_ORGANIZATION and random.random() < 0.2):
        asked["organization_ids"] = random.sample(ORGANIZATIONS, random.randint(1, 2))
    if WORKLOADS[name] and random.random() < 0.2:
        asked["object_types"] = random.sample(WORKLOADS[name], random.randint(1, 2))
    if name == "m365" and random.random() < 0.3:
        asked["locations"] = random.sample(["NAM", "EUR"], random.randint(1, 2))
    if random.random() < 0.2:
        asked["exclude"] = [make_exclusion(random, name)]
    return asked


def make_exclusion(random: Random, name: str) -> dict[str, Any]:
    exclusion = {"until": NOW.date() + random.choice([0, 1]) * DAY, "reason": "moved"}
    if WORKLOADS[name] and (name not in NAMES_ORGANIZATION or random.random() < 0.5):
        return exclusion | {"workload": random.choice(WORKLOADS[name])}
    return exclusion | {"organization_id": random.choice(ORGANIZATIONS)}


def make_jobs(random: Random, asked: dict[str, Any]) -> list[BackupJob]:
    """Return up to six jobs of few scopes and ids, most of them good but for one thing or two."""
    name = asked["product"]
    organizations: list[str | None] = [None]
    if name in NAMES_ORGANIZATION:
        seen = random.choice([ORGANIZATIONS[:4], ORGANIZATIONS[3:5], ORGANIZATIONS[4:], [GUID, None]])
        organizations = random.choice([asked["organization_ids"] or seen, seen])
    if name == "elements":  # every list is of one customer
        organizations = [each for each in organizations if each]
    workloads = (asked["object_types"] or WORKLOADS[name] or [None])[: random.randint(1, 3)]
    types = random.choice([asked["job_type"], asked["job_type"], TYPES.get(name, ["backup"])])
    recent = random.choice([RECENT, RECENT, RECENT, RECENT, MOMENTS])
    jobs: list[BackupJob] = []
    for _ in range(random.choice([0, 1, 2, 2, 3, 3, 3, 4, 4, 5])):
        begun = random.choice(recent)
        job = BackupJob(
            product=name,
            job_id=random.choice("123456"),
            job_type=random.choice(types),
            workload=random.choice(workloads),
            state=JobState.SUCCESS,
            started_at=begun,
            finished_at=random.choice([begun + HOUR / 2, begun, None]),
            counts=random.choice([Counts(), GOOD]),
            organization_id=random.choice(organizations),
            location=random.choice(asked["locations"] or [None]),
        )
        for _ in range(random.choice([0, 0, 0, 1, 1, 1, 2, 3])):
            job = make_odd(random, job)
        jobs.append(job)
    for job in random.sample(jobs, min(len(jobs), random.choice([0, 0, 1, 2]))):
        jobs.append(make_odd(random, job))
        if name in ASKED_BY_TYPE:
            places = [job.location, *(asked["locations"] or [None])]
            workload = random.choice([None, None, *WORKLOADS[name]])
            jobs.append(replace(job, workload=workload, location=random.choice(places)))
    if name in ASKED_BY_TYPE and random.random() < 0.1:  # the same answer, whatever was asked
        jobs = [replace(job, workload=workload) for job in jobs[:2] for workload in WORKLOADS[name]]
    random.shuffle(jobs)
    return [job for number, job in enumerate(jobs[:6]) if not is_undecided(job, jobs[:number], asked)]


def make_odd(random: Random, job: BackupJob) -> BackupJob:
    """Return *job* with fields that make of it another job, or one that nobody would think of."""
    kinds = (_odd_states, _odd_states, _odd_counts, _odd_counts, _odd_times, _odd_times, _unread, _odd_places)
    odd = replace(job, **random.choice(random.choice(kinds)(random, job)))
    return replace(odd, organization_id=job.organization_id) if job.product == "elements" else odd


def _odd_states(random: Random, job: BackupJob) -> list[dict[str, Any]]:
    states = [*JobState, JobState.FAILED, JobState.FAILED, JobState.PARTIAL, JobState.UNKNOWN]
    return [{"state": state, "finished_at": None if state.is_open else job.finished_at} for state in states]


def _odd_counts(random: Random, job: BackupJob) -> list[dict[str, Any]]:
    one, other = random.choice(COUNTS), random.choice(COUNTS)
    return [
        {"state": JobState.PARTIAL, "counts": one},
        {"state": JobState.PARTIAL, "counts": GOOD, "record_counts": one},
        {"state": JobState.PARTIAL, "counts": one, "metadata_counts": other},
        {"counts": one},
        {"record_counts": one},
    ]


def _odd_times(random: Random, job: BackupJob) -> list[dict[str, Any]]:
    moment, length = random.choice(MOMENTS), random.choice([0, 1, 1, 11, 30]) * HOUR
    at_once = {"started_at": moment, "finished_at": None, "raw": {}}
    return [
        at_once,
        at_once,
        at_once | {"finished_at": moment + HOUR},
        at_once | {"state": JobState.WAITING},
        {"finished_at": moment},
        {"started_at": None},
        {"started_at": None, "finished_at": None},
        {"started_at": None, "finished_at": moment, "duration": length},
        {"started_at": None, "finished_at": job.finished_at, "duration": length},
    ]


def _unread(random: Random, job: BackupJob) -> list[dict[str, Any]]:
    latest = random.choice([*MOMENTS, NOW + 14 * HOUR])
    unread = {"problems": ("failedEntity cannot be read",)}
    return [
        unread,
        unread | {"started_at": random.choice(MOMENTS), "finished_at": None, "raw": {}},
        unread | {"started_at": None, "finished_at": None},
        unread | {"state": JobState.UNKNOWN},
        unread | {"organization_id": None},
        unread | {"workload": None},
        unread | {"started_at": None, "raw": {"startTime": f"{latest - 14 * HOUR:%Y-%m-%dT%H:%M:%S}"}},
    ]


def _odd_places(random: Random, job: BackupJob) -> list[dict[str, Any]]:
    return [
        {"organization_id": None},
        {"workload": None},
        {"workload": random.choice(WORKLOADS[job.product] or [None])},
        {"job_type": random.choice([*TYPES.get(job.product, ["backup"]), "restore"])},
        {"product": random.choice(NAMES)},
    ]


def is_undecided(job: BackupJob, others: list[BackupJob], asked: dict[str, Any]) -> bool:
    """Tell whether *job* is there already, worth the same, but with another start.

    The contract says which of two rows of one job stands only where they are not worth the same.
    """
    return any(
        job.job_id == other.job_id
        and may_share_a_scope(job, other)
        and worth_of(job, asked) == worth_of(other, asked)
        and moment_of(job) != moment_of(other)
        for other in others
    )


def worth_of(job: BackupJob, asked: dict[str, Any]) -> str:
    worth = grade(job, asked)
    may_be_repeated = job.product in ASKED_BY_TYPE
    return WORTH[-1] if worth in ODD or may_be_repeated else worth


def may_share_a_scope(job: BackupJob, other: BackupJob) -> bool:
    one, two = key_of(job), key_of(other)
    return covers(one, two) or covers(two, one)
