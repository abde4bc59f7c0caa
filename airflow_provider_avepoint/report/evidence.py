"""The evidence of the report: the vendor's error messages, and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs

from airflow_provider_avepoint.core.fields import parse_number
from airflow_provider_avepoint.core.model import LEVELS, BackupJob, JobState
from airflow_provider_avepoint.core.policy import Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report.backups import scope_of
from airflow_provider_avepoint.report.formatting import say_duration, say_moment
from airflow_provider_avepoint.report.gates import Place, is_judged, name_gate

# The most kinds of failure that are told apart; failures of further kinds are only counted.
_MOST_FAILURES = 5000
_MOST_SCOPES = 20
_MOST_NOTES = 5
_LONGEST_MESSAGE = 300
_LONGEST_URL = 2000


@dataclass(slots=True, kw_only=True)
class Failure:
    """One kind of failure of one place: a message of the vendor, or failed objects without a message.

    :param place: the place.
    :param organization_name: the organisation's name; None where unknown.
    :param message: the vendor's message on one line; None where there is none.
    :param url: the vendor's link to an explanation; None where there is none.
    :param unit: what *count* counts: ``failures`` for a message; without one ``objects``, ``records`` or
        ``metadata``, which are never added up.
    :param count: how often the failure occurred, by the vendor's count; None where the vendor counts nothing.
    :param jobs: in how many backups the failure occurred.
    :param last_at: when the newest of these backups started.
    :param last_job_id: the id of the newest of these backups.
    """

    place: Place
    organization_name: str | None
    message: str | None
    url: str | None
    unit: str
    count: int | None = None
    jobs: int = 0
    last_at: datetime
    last_job_id: str


class Failures:
    """Collect jobs, oldest first, and count their failures."""

    def __init__(self) -> None:
        self._known: dict[tuple[Place, str | None, str | None, str], Failure] = {}
        #: How often backups had failures of further kinds.
        self.left_out = 0

    def add(self, tenant: str, job: BackupJob, at: datetime) -> None:
        """Count the errors of a job.

        :param tenant: the name of the tenant.
        :param job: the job.
        :param at: when the job started.
        """
        place = Place(tenant=tenant, product=job.product, scope=scope_of(job))
        for message, url, unit, count in _list_failures(job):
            failure = self._known.get((place, message, url, unit))
            if failure is None:
                if len(self._known) >= _MOST_FAILURES:
                    self.left_out += 1
                    continue
                failure = self._known[place, message, url, unit] = Failure(
                    place=place,
                    organization_name=job.organization_name,
                    message=message,
                    url=url,
                    unit=unit,
                    last_at=at,
                    last_job_id=job.job_id,
                )
            if count is not None:
                failure.count = (failure.count or 0) + count
            failure.jobs += 1
            failure.last_at, failure.last_job_id = at, job.job_id

    def rank(self) -> tuple[Failure, ...]:
        """Return the failures, newest day first, and within a day the most frequent first."""
        return tuple(
            sorted(
                self._known.values(), key=lambda each: (each.last_at.date(), each.count or 0), reverse=True
            )
        )


def _list_failures(job: BackupJob) -> Iterator[tuple[str | None, str | None, str, int | None]]:
    """Yield the message, link, unit and count of each failure of *job*."""
    for error in job.errors:
        message = None if error.message is None else one_line(error.message, _LONGEST_MESSAGE) or None
        yield message, keep_link(error.url), "failures", 1 if error.count is None else error.count
    if job.errors:
        return
    failed = [(unit, level.failed) for unit, level in zip(LEVELS, job.levels, strict=True) if level.failed]
    for unit, count in failed:
        yield None, None, unit, count
    if not failed and job.state in (JobState.FAILED, JobState.PARTIAL):
        yield None, None, "failures", None


def keep_link(url: str | None) -> str | None:
    """Return a link that a browser may follow safely: ``http`` or ``https``; None for any other text.

    :param url: the link as the vendor sent it, or None.
    """
    if url is None or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedScope:
    """A scope in a verdict, and the job that decided.

    :param name: the scope's name.
    :param passed: whether the scope passed.
    :param reason: the reason.
    :param is_judged: whether the scope affects the verdict: it is neither excluded nor forgotten.
    :param job_id: the id of the deciding job; None without a job.
    :param state: the vendor's state of this job, with the vendor's words where the state is a number.
    :param started_at: when this job started.
    :param failed: how many objects, records and metadata of this job failed, by unit, where the job says.
    :param open_jobs: the number of jobs that wait or run.
    :param notes: further remarks, a sentence each.
    """

    name: str
    passed: bool
    reason: str
    is_judged: bool
    job_id: str | None
    state: str | None
    started_at: datetime | None
    failed: dict[str, int]
    open_jobs: int
    notes: tuple[str, ...]


class JudgedVerdict(Struct, frozen=True, kw_only=True, gc=False):
    """A verdict of the ledger.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param judged_at: when the verdict was reached.
    :param passed: whether the verdict passed.
    :param reason: the reason.
    :param rules_version: the version of the rules that judged.
    :param gate: the DAG and the task that judged; None outside of a task.
    :param run_id: the run of the DAG; None outside of a task.
    :param task: the DAG, task, run and last try that judged; None outside of a task.
    :param organizations: the organisations of the scopes, by name where known, those of bad scopes first;
        empty where *scopes* is.
    :param judged: the number of scopes that were judged.
    :param good: the number of these scopes that passed.
    :param scopes: the evidence, bad scopes first, at most twenty scopes; empty where the page leaves it out.
    :param policy: the arguments of the policy that were set, as texts by name; empty where *scopes* is.
    """

    tenant: str
    product: str
    judged_at: datetime
    passed: bool
    reason: str
    rules_version: int
    gate: str | None
    run_id: str | None
    task: str | None
    organizations: tuple[str, ...]
    judged: int
    good: int
    scopes: tuple[JudgedScope, ...]
    policy: dict[str, str]


def read_verdict(
    row: Mapping[Any, Any], timezone: tzinfo, evidence: Mapping[str, Any] | None = None
) -> JudgedVerdict:
    """Return a verdict of the ledger with its evidence; without it where the evidence is not understood.

    :param row: a row of the table of verdicts, by column name.
    :param timezone: the time zone of the report.
    :param evidence: ``Verdict.as_dict()``; None for that of the row.
    """
    try:
        return _read_verdict(row, json.loads(row["evidence"]) if evidence is None else evidence, timezone)
    except (AttributeError, KeyError, TypeError, ValueError):
        return summarize_verdict(row, [])


def _read_verdict(row: Mapping[Any, Any], evidence: Mapping[str, Any], timezone: tzinfo) -> JudgedVerdict:
    scopes = sorted(evidence["scopes"], key=lambda each: (each["passed"], not is_judged(each["reason"])))
    return structs.replace(
        summarize_verdict(row, [each["passed"] for each in scopes if is_judged(each["reason"])]),
        scopes=tuple(_read_scope(each, row["product"], timezone) for each in scopes[:_MOST_SCOPES]),
        policy=_read_policy(evidence["policy"]),
        organizations=_name_organizations(scopes),
    )


def summarize_verdict(row: Mapping[Any, Any], judged: Sequence[bool]) -> JudgedVerdict:
    """Return a verdict of the ledger without its evidence.

    :param row: a row of the table of verdicts, by column name.
    :param judged: of each scope that was judged, whether the scope passed.
    """
    gate = name_gate(row)
    return JudgedVerdict(
        tenant=row["tenant"],
        product=row["product"],
        judged_at=row["judged_at"],
        passed=row["passed"],
        reason=row["reason"],
        rules_version=row["rules_version"],
        gate=gate,
        run_id=None if gate is None else row["run_id"],
        task=None if gate is None else f"{gate}, {row['run_id']}, try {row['try_number']}",
        organizations=(),
        judged=len(judged),
        good=sum(judged),
        scopes=(),
        policy={},
    )


def _name_organizations(scopes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the name of each organisation, or else its id, in the order of a verdict's *scopes*."""
    names: dict[str, str] = {}
    for each in scopes:
        key = each["scope"]["organization_id"]
        if key is None:
            continue
        known = [job.get("organization_name") for job in (each["job"], *each["open_jobs"]) if job]
        names[key] = next(filter(None, known), None) or names.get(key) or key
    return tuple(one_line(name, 60) for name in names.values())


def _read_policy(policy: Mapping[str, Any]) -> dict[str, str]:
    """Return the set arguments of a policy as readable texts, without the product."""
    asked = {}
    for name, value in policy.items():
        match value:
            case None | False:
                continue
            case _ if name == "product" or (name == "unusual_within" and policy.get("max_unusual") is None):
                continue
            case float() if name in ("max_age", "expect_seen_within", "unusual_within"):
                asked[name] = say_duration(timedelta(seconds=value))
            case list():
                asked[name] = one_line(", ".join(map(str, value)))
            case _:
                asked[name] = one_line(value)
    return asked


def _read_notes(each: Mapping[str, Any], job: Mapping[str, Any], timezone: tzinfo) -> Iterator[str]:
    """Yield the remarks of a scope's evidence; evidence of release 0.1.0 holds fewer of them."""
    start = each.get("window_start")
    if start is not None and each["reason"] in ("missed", "stale"):
        yield f"No backup has started since {say_moment(datetime.fromisoformat(start), timezone)}."
    if each["reason"] == "forgotten":
        yield "It is no longer expected: its last backup is older than expect_seen_within."
    if (newer := each.get("newer_good")) is not None:
        because = one_line(each.get("decided_because", ""))
        yield f"The newer job {one_line(newer['job_id'], 60)} is good, but {because}."
    for problem in job.get("problems", ()):
        yield f"Not understood: {one_line(problem)}."


def _read_state(product: str, raw_state: object) -> str | None:
    """Return a state as the vendor wrote it; beside a number the vendor's words."""
    if raw_state is None:
        return None
    known = get_product(product).find_state(raw_state)
    words = "" if known is None or parse_number(raw_state) is None else f" ({known.labels[0]})"
    return f"{raw_state}{words}"


def _read_scope(each: Mapping[str, Any], product: str, timezone: tzinfo) -> JudgedScope:
    job: Mapping[str, Any] = each["job"] or {}
    started = job.get("started_at")
    levels = zip(LEVELS, ("counts", "record_counts", "metadata_counts"), strict=True)
    failed = {unit: (job.get(key) or {}).get("failed") for unit, key in levels}
    return JudgedScope(
        name=str(Scope(**each["scope"])),
        passed=each["passed"],
        reason=each["reason"],
        is_judged=is_judged(each["reason"]),
        job_id=job.get("job_id"),
        state=_read_state(product, job.get("raw_state")),
        started_at=None if started is None else datetime.fromisoformat(started),
        failed={unit: count for unit, count in failed.items() if count is not None},
        open_jobs=len(each["open_jobs"]),
        notes=tuple(_read_notes(each, job, timezone))[:_MOST_NOTES],
    )
