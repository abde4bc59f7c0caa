"""The rules of the verdict once more, written from the contract alone and from no line of ``judge``.

The functions below are slow and short. They know each product by the facts in the first lines, and nothing
else of the package but its values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from airflow_provider_avepoint.core.model import BackupJob, Counts

ASKED_BY_TYPE = {"m365", "m365_legacy", "iaas_paas"}  # the rows do not say their workload
NAMES_ORGANIZATION = {"dynamics365", "salesforce", "elements"}
NAMES_NO_WORKLOAD = {"salesforce"}
DECIDED_BY_ALL = {"iaas_paas", "aos_scan", "elements"}  # many machines or tenants behind one scope
ONE_TENANT = {"m365", "m365_legacy", "google_workspace"}  # what ``single_tenant`` is about
CONTENT = {"audit_backup": "audit_log", "audit_log_backup": "audit_log"}  # any other type holds the data
SKEW = timedelta(minutes=5)
LATEST = datetime.max.replace(tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
ODD = ("unreadable", "unknown_state")
#: What a job may be worth. Of two rows of one job, the one further down stands; of two jobs that began
#: together, the one further down counts as newer.
WORTH = ("running", "success", "skipped", "partial", "failed", "unknown_state", "unreadable")
STATES = {"waiting": "running", "running": "running", "skipped": "skipped", "stopped": "skipped"}

#: Organisation, workload, location, content.
Key = tuple[str | None, str | None, str | None, str | None]


def verdict_of(
    jobs: list[BackupJob], asked: Mapping[str, Any], now: datetime, *, single_tenant: bool = False
) -> tuple[bool, dict[Key, tuple[bool, str]]]:
    """Return whether the verdict passes, and for each scope whether the scope passes and why.

    :param asked: the arguments of the policy.
    """
    window = max(end for end in (asked["started_after"], asked["max_age"] and now - asked["max_age"]) if end)
    before = asked["expect_seen_within"] or timedelta()
    organizations = list({normalize_id(each) for each in asked["organization_ids"] or []})
    lists = (organizations, asked["object_types"] or [], asked["locations"] or [])
    scopes = split(mark_repeated_answers(asked_for(jobs, asked)), lists)
    newest = {key: max(map(moment_of, rows)) for key, rows in scopes.items()}
    seen = [key for key in scopes if newest[key] >= window - before]
    reasons = {
        key: explain(scopes[key], window, now, asked, rule_of(key, asked, single_tenant=single_tenant))
        for key in seen
    }

    contents = {CONTENT.get(word) for word in asked["job_type"]}
    if len(contents) > 1 and not organizations:
        organizations = list({key[0] for key in seen if key[0]})
    names = product(organizations or [None], *(wanted or [None] for wanted in lists[1:]), contents)
    if contents != {None} or any(lists):
        missed = [name for name in names if not any(covers(name, key) for key in seen)]
        reasons |= dict.fromkeys(missed, "missed")
    let_go = [key for key in scopes if key not in reasons and newest[key] >= window - 2 * before]
    reasons |= dict.fromkeys(let_go, "forgotten")
    reasons |= {key: "excluded" for key in reasons if is_excluded(key, asked, now)}

    passed = set(reasons.values()) - {"excluded", "forgotten"} == {"passed"}
    return passed, {key: (reason == "passed", reason) for key, reason in reasons.items()}


def asked_for(jobs: list[BackupJob], asked: Mapping[str, Any]) -> list[BackupJob]:
    """Return the rows of the product, the types and the locations."""
    rows = [
        job
        for job in jobs
        if job.product == asked["product"]
        and job.job_type in asked["job_type"]
        and job.location in (asked["locations"] or [job.location])
    ]
    claimed = {(job.job_id, job.location) for job in rows if job.workload}
    is_by_type = asked["product"] in ASKED_BY_TYPE  # the answer for all types repeats the rows of each
    return [
        job for job in rows if job.workload or not is_by_type or (job.job_id, job.location) not in claimed
    ]


def mark_repeated_answers(rows: list[BackupJob]) -> list[BackupJob]:
    """Return *rows*; those of a server that gives the same answer whatever is asked are not understood.

    An answer is the same, too, where jobs have begun since: those that it has more are the newest ones.
    """
    answers: dict[tuple[str | None, str | None], dict[str, datetime]] = {}
    for job in rows:
        answers.setdefault((job.workload, job.location), {})[job.job_id] = moment_of(job)

    def is_followed(one: dict[str, datetime], other: dict[str, datetime]) -> bool:
        more = [moment for job_id, moment in other.items() if job_id not in one]
        known = [moment for moment in one.values() if moment != LATEST]
        return one.keys() <= other.keys() and min(more, default=LATEST) >= max(known, default=NEVER)

    def count_same(own: tuple[str | None, str | None], dimension: int) -> int:
        """Return how many answers are the own one, of those that differ from it in one dimension only."""
        if own[dimension] is None:
            return 1
        asked = [
            each
            for each in answers
            if each[1 - dimension] == own[1 - dimension] and each[dimension] is not None
        ]
        asked.sort(key=lambda each: len(answers[each]))
        same = [own]
        for each in asked[asked.index(own) + 1 :]:
            same += [each] if is_followed(answers[same[-1]], answers[each]) else []
        for each in reversed(asked[: asked.index(own)]):
            same[:0] = [each] if is_followed(answers[each], answers[same[0]]) else []
        return len(same)

    def is_repeated(job: BackupJob) -> bool:
        own = (job.workload, job.location)
        return count_same(own, 0) > 2 or count_same(own, 1) > 1

    return [
        replace(job, problems=("repeated",)) if job.product in ASKED_BY_TYPE and is_repeated(job) else job
        for job in rows
    ]


def split(rows: list[BackupJob], lists: tuple[list[str], ...]) -> dict[Key, list[BackupJob]]:
    """Return the rows of each scope.

    A row that cannot be read and does not say its scope is of each scope that it may be of.
    """
    scopes: dict[Key, list[BackupJob]] = {}
    strays = []
    for job in rows:
        key = key_of(job)
        told = (job.product in NAMES_ORGANIZATION, job.product not in NAMES_NO_WORKLOAD)
        if job.problems and any(is_told and part is None for is_told, part in zip(told, key, strict=False)):
            strays.append((key, job))
        else:
            scopes.setdefault(key, []).append(job)
    for own, job in sorted(strays, key=lambda stray: stray[0].count(None)):  # what says most, first
        for key in [key for key in scopes if covers(own, key)] or [own]:
            scopes.setdefault(key, []).append(job)
    return {
        key: own
        for key, own in scopes.items()
        if all(not wanted or part in wanted for wanted, part in zip(lists, key, strict=False))
    }


def explain(
    rows: list[BackupJob], window: datetime, now: datetime, asked: Mapping[str, Any], rule: str
) -> str:
    """Return the reason of one scope that has rows."""
    if any(moment_of(job) >= window and is_skewed(job, now) for job in rows):
        return "clock_skew"
    stands: dict[str, tuple[int, datetime]] = {}  # one id is one job
    for job in rows:
        each = WORTH.index(grade(job, asked)), moment_of(job)
        stands[job.job_id] = max(each, stands.get(job.job_id, each))
    inside = sorted(((moment, worth) for worth, moment in stands.values() if moment >= window), reverse=True)
    if not inside:
        return "stale"
    newest_first = [WORTH[worth] for _, worth in inside]
    telling = [worth for worth in newest_first if worth not in ("running", "skipped")]
    if not telling:
        return "running" if "running" in newest_first else "skipped"
    odd = [worth for worth in telling if worth in ODD]
    bad = [worth for worth in telling if worth in ("partial", "failed")]
    if rule == "all":
        decisive = max(bad, key=WORTH.index) if bad else (odd or telling)[0]
    elif rule == "any" and "success" in telling:
        decisive = next(worth for worth in telling if worth not in bad)
    else:
        decisive = telling[0]
    return "passed" if decisive == "success" else decisive


def grade(job: BackupJob, asked: Mapping[str, Any]) -> str:
    """Return what a job is worth: the worse of its state and its counts, less what is excused."""
    if job.problems:
        return "unreadable"
    if job.state in STATES:
        return STATES[job.state]
    if job.state == "unknown" or begin_of(job) is None:
        return "unknown_state"
    levels = [level for level in (job.counts, job.record_counts, job.metadata_counts) if level != Counts()]
    is_clean = not any(
        level.failed or (level.total and level.successful is not None and not handled(level))
        for level in levels
    )
    if job.state == "failed" or (job.state == "success" and is_clean):
        return job.state.value
    limit, share = asked["max_failed"], asked["max_failed_ratio"]
    telling = [level for level in levels if level.total != 0 or level.failed]
    is_excused = asked["accept_partial"] or (
        (limit, share) != (None, None)
        and telling != []
        and all(
            level.total
            and level.failed is not None
            and (limit is None or lost(level) <= limit)
            and (share is None or lost(level) / level.total <= share)
            for level in telling
        )
    )
    return "success" if is_excused else "partial"


def handled(level: Counts) -> int:
    return (level.successful or 0) + (level.skipped or 0) + (level.warning or 0)


def lost(level: Counts) -> int:
    """Return how many objects failed, with those that no count explains; without the good ones none is."""
    if level.successful is None:
        return level.failed or 0
    return max(level.failed or 0, (level.total or 0) - handled(level))


def begin_of(job: BackupJob) -> datetime | None:
    if job.started_at or not (job.state.is_terminal and job.finished_at and job.duration is not None):
        return job.started_at
    return job.finished_at - job.duration


def moment_of(job: BackupJob) -> datetime:
    """Return how new a job counts: the latest moment at which the job may have started."""
    if without_offset := job.raw.get("startTime"):
        latest = datetime.fromisoformat(without_offset).replace(tzinfo=UTC) + timedelta(hours=14)
        earliest = latest - timedelta(hours=28)
        has_ended = job.finished_at is not None and job.finished_at >= earliest
        return min(latest, job.finished_at) if has_ended else latest
    return begin_of(job) or LATEST


def is_skewed(job: BackupJob, now: datetime) -> bool:
    begun, finished = begin_of(job), job.finished_at
    is_begun_ahead = begun is not None and begun > now + SKEW and job.state != "waiting"
    is_ended_ahead = finished is not None and finished > now + SKEW and job.state.is_terminal
    return is_begun_ahead or is_ended_ahead or bool(begun and finished and finished < begun)


def key_of(job: BackupJob) -> Key:
    workload = job.workload or ("other" if job.product in ASKED_BY_TYPE else None)
    return (normalize_id(job.organization_id), workload, job.location, CONTENT.get(job.job_type or ""))


def normalize_id(value: str | None) -> str | None:
    """Return an organisation's id as it compares: a GUID in any of its forms is the same GUID."""
    digits = re.sub(r"[{}\s-]", "", value or "").lower()
    return digits if re.fullmatch("[0-9a-f]{32}", digits) else value


def rule_of(key: Key, asked: Mapping[str, Any], *, single_tenant: bool) -> str:
    name = asked["product"]
    is_one = (single_tenant and name in ONE_TENANT) or (key[0] is not None and name not in DECIDED_BY_ALL)
    return asked["decide_by"] or ("newest" if is_one else "all")


def covers(name: Key, key: Key) -> bool:
    """Tell whether *key* is a scope of those that are called *name*."""
    return name[3] == key[3] and all(part in (None, own) for part, own in zip(name, key, strict=True))


def is_excluded(key: Key, asked: Mapping[str, Any], now: datetime) -> bool:
    return any(
        now.date() < each["until"]
        and normalize_id(each.get("organization_id")) in (None, key[0])
        and each.get("workload") in (None, key[1])
        for each in asked["exclude"] or []
    )
