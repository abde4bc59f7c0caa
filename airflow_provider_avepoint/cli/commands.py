"""``airflow avepoint jobs``, ``check``, ``license`` and ``probe``: ask through the hook, print the result.

What is not good: a verdict that does not pass, or a licence near or over a limit.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.cli.command import BAD, GOOD, UNKNOWN, as_command, get_conn_id
from airflow_provider_avepoint.cli.probe import MAX_REQUESTS, probe_products
from airflow_provider_avepoint.cli.report import print_report
from airflow_provider_avepoint.cli.terminal import (
    WatchedHook,
    print_json,
    print_json_list,
    print_line,
    print_table,
    progress_bar,
    say,
    write_span,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.license import (
    FORECAST_DAYS,
    audit,
    describe_models,
    describe_subject,
    list_usages,
)
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState, LicenseConsumption
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import Reason, ScopeVerdict, Verdict
from airflow_provider_avepoint.hooks.avepoint import AvePointHook

#: The default number of rows in a table.
TABLE_ROWS = 100
# Scopes with these reasons are shown, and do not affect the verdict.
_NOT_JUDGED = (Reason.EXCLUDED, Reason.FORGOTTEN)


@as_command
def jobs(args: Namespace) -> int:
    """List jobs.

    :param args: the parsed arguments of ``airflow avepoint jobs``.
    :returns: the exit status, with which the process ends.
    :raises AvePointConfigError: an argument cannot be used; the process prints the error and ends with status
        2.
    """
    is_table = args.output == "table"
    if is_table and args.raw:
        raise AvePointConfigError("raw: a table has no place for the rows as received; add --output json.")
    limit = TABLE_ROWS if args.limit is None and is_table else args.limit
    with (
        progress_bar(f"Jobs of {args.product}", "jobs", output=args.output) as bar,
        WatchedHook(get_conn_id(args), bar) as hook,
    ):
        listed = _Limited(
            hook.iter_jobs(
                args.product,
                started_after=args.started_after,
                started_before=args.started_before,
                job_type=args.job_type or "backup",
                state=args.state,
                object_type=args.object_type,
                organization_id=args.organization_id,
                location=args.location,
            ),
            limit,
        )
        if is_table:
            rows = [_job_row(job) for job in listed]
        else:
            print_json_list(_write_job(job, raw=args.raw) for job in listed)
    if is_table:
        if rows:
            print_table(rows)
        print_line(listed.summary)
    elif listed.left_out:
        say(listed.summary)
    return GOOD


class _Limited:
    """Yield the first *limit* jobs, and count the others."""

    def __init__(self, jobs: Iterator[BackupJob], limit: int | None) -> None:
        self._jobs = jobs
        self._limit = limit
        self.shown = 0
        self.left_out = 0

    def __iter__(self) -> Iterator[BackupJob]:
        for job in self._jobs:
            if self._limit is not None and self.shown >= self._limit:
                self.left_out += 1
            else:
                self.shown += 1
                yield job

    @property
    def summary(self) -> str:
        """The number of jobs, in a sentence."""
        total = self.shown + self.left_out
        text = f"{total:,} job{'' if total == 1 else 's'}"
        if not total:
            return f"{text}. Is the window, the job type or the state too narrow?"
        return f"{text}, {self.left_out:,} of them not shown: see --limit." if self.left_out else f"{text}."


def _job_row(job: BackupJob) -> dict[str, object]:
    return {
        "started": job.started_at,
        "took": None if job.duration is None else write_span(job.duration.total_seconds()),
        "state": _write_state(job),
        "type": job.job_type,
        "workload": job.workload,
        "organization": job.organization_name or job.organization_id,
        "location": job.location,
        "failed": _write_failed(job.counts),
        "job": job.job_id,
        "problems": _write_problems(job),
    }


def _write_job(job: BackupJob, *, raw: bool) -> dict[str, Any]:
    written = job.as_dict()
    if not raw:
        del written["raw"]
    return written


def _write_state(job: BackupJob) -> str:
    # An undocumented state is shown with the vendor's raw value.
    return f"{job.state} ({job.raw_state})" if job.state is JobState.UNKNOWN else job.state.value


def _write_problems(job: BackupJob) -> str:
    return "; ".join(job.problems)


def _write_failed(counts: Counts) -> str:
    if counts.failed is None:
        return ""
    return f"{counts.failed:,}" if counts.total is None else f"{counts.failed:,} of {counts.total:,}"


@as_command
def check(args: Namespace) -> int:
    """Judge the backup now.

    :param args: the parsed arguments of ``airflow avepoint check``.
    :returns: the exit status, with which the process ends.
    """
    policy = _build_policy(args)
    with (
        progress_bar(f"Backups of {policy.product}", "jobs", output=args.output) as bar,
        WatchedHook(get_conn_id(args), bar) as hook,
    ):
        verdict = hook.judge(policy)
    if args.output == "json":
        print_json(verdict.as_dict())
    else:
        if verdict.scopes:
            names = _name_organizations(verdict)
            print_table([_scope_row(scope, names) for scope in verdict.worst_first])
        print_line(_describe(verdict))
    return GOOD if verdict.passed else BAD


def _build_policy(args: Namespace) -> Policy:
    """Return the policy that the flags describe: each flag has the name of a policy's argument."""
    names = {each.name for each in fields(Policy)}
    given = {name: value for name, value in vars(args).items() if name in names and value is not None}
    if given.get("expect_seen_within") == "none":
        given["expect_seen_within"] = None
    return Policy(**given)


def _name_organizations(verdict: Verdict) -> dict[str, str]:
    """Return the name of each organisation by its id, as the newest job shows it.

    Where a name is also the name or the id of another organisation, the id stands beside the name.
    """
    names: dict[str, str] = {}
    for scope in verdict.scopes:
        for job in (*scope.open_jobs, scope.job):
            if job is not None and scope.scope.organization_id and job.organization_name:
                names[scope.scope.organization_id] = job.organization_name
    ids = {scope.scope.organization_id for scope in verdict.scopes} - {None}
    shown = Counter(names.get(key or "", key) for key in ids)
    return {key: f"{name} ({key})" if shown[name] > 1 else name for key, name in names.items()}


def _scope_row(scope: ScopeVerdict, names: Mapping[str, str]) -> dict[str, object]:
    job = scope.job
    named = scope.scope.organization_id, scope.scope.workload, scope.scope.location
    return {
        "organization": names.get(named[0] or "", named[0])
        or ("" if any(named) or scope.scope.content else "all jobs"),
        "workload": named[1],
        "location": named[2],
        "content": scope.scope.content,
        "reason": scope.reason,
        "started": None if job is None else job.started_at,
        "age": None if scope.age_seconds is None else write_span(scope.age_seconds),
        "state": None if job is None else _write_state(job),
        "failed": None if job is None else _write_failed(job.counts),
        "open": str(len(scope.open_jobs)) if scope.open_jobs else "",
        "job": None if job is None else job.job_id,
        "problems": None if job is None else _write_problems(job),
    }


def _describe(verdict: Verdict) -> str:
    """Describe the verdict in a sentence; the table shows the scopes that caused it."""
    judged = [scope for scope in verdict.scopes if scope.reason not in _NOT_JUDGED]
    if verdict.passed:
        return verdict.summary
    if not judged:
        return verdict.describe()
    good = sum(scope.passed for scope in judged)
    return f"{verdict.policy.product}: {verdict.reason}: {good} of {len(judged)} scopes good."


@as_command
def license_(args: Namespace) -> int:
    """Compare used licences with purchased ones.

    :param args: the parsed arguments of ``airflow avepoint license``.
    :returns: the exit status, with which the process ends.
    """
    with AvePointHook(get_conn_id(args)) as hook:
        consumptions = hook.get_license_consumptions(
            args.product, organization_id=args.organization_id, location=args.location
        )
    now, within = datetime.now(UTC), timedelta(days=FORECAST_DAYS)
    audited = [(each, audit(each, args.near_limit, now=now, within=within)) for each in consumptions]
    sentences = [f"{describe_subject(one)}: {text}" for one, found in audited for text in found.values()]
    notes = [f"{describe_subject(each)}: {text}" for each in consumptions for text in describe_models(each)]
    if args.output == "json":
        print_json(
            {
                "passed": not sentences,
                "reasons": list(dict.fromkeys(reason for _, findings in audited for reason in findings)),
                "findings": sentences,
                "notes": notes,
                "consumptions": [each.as_dict() for each in consumptions],
                "consumption": consumptions[0].as_dict() if len(consumptions) == 1 else None,
                "near_limit": args.near_limit,
            }
        )
    else:
        print_table([row for each in consumptions for row in _license_rows(each)])
        for sentence in (*notes, *(sentences or [f"{args.product}: within the licence"])):
            print_line(f"{sentence}.")
    return BAD if sentences else GOOD


def _license_rows(consumption: LicenseConsumption) -> list[dict[str, object]]:
    return [
        {
            "licence": describe_subject(consumption),
            "what": f"{usage.name}, {usage.unit}" if usage.unit != usage.name else usage.name,
            "used": usage.used,
            "bought": usage.purchased,
            "share": "" if usage.ratio is None else f"{usage.ratio:.0%}",
        }
        for usage in list_usages(consumption)
    ]


@as_command
def probe(args: Namespace) -> int:
    """Find out what the vendor's documents leave open.

    :param args: the parsed arguments of ``airflow avepoint probe``.
    :returns: the exit status, with which the process ends.
    """
    with (
        progress_bar("Probing", f"requests (at most {MAX_REQUESTS} a product)", output="markdown") as bar,
        AvePointHook(get_conn_id(args)) as hook,
    ):
        by_product = probe_products(
            hook,
            args.product,
            started_after=args.started_after,
            organization_id=args.organization_id,
            location=args.location,
            bar=bar,
        )
    print_report(by_product, args.output)
    return GOOD if any(findings.is_readable for findings in by_product) else UNKNOWN
