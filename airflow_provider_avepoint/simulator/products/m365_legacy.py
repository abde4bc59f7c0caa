"""Cloud Backup for Microsoft 365, the first API: the product guide's page "Use Public APIs".

Times and durations are .NET ticks; names are PascalCase on that page and camelCase in the sample of the API
reference (AvePoint/cloud-api, docs/docs/services-and-features/m365/jobs.md, late 2024). The request of that
sample has a StartTime and FinishTime of 0, which means no bound.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import LicenseEndpoint, Page, Product, Vocabulary, Window, duration, finish, shown_state
from .m365 import JOB_FILTERS, JOB_TYPES, OBJECT_TYPES, SPELLINGS, STATES, backup_details, job_errors


def read_ticks(text: str) -> int | None:
    """Return a bound in ticks, or None for 0.

    :param text: the bound.
    :raises ValueError: the text is not a whole number, or is negative.
    """
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a time in ticks")
    return int(text) or None


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def _cased(value: Any, quirks: Quirks) -> Any:
    if quirks.casing == "camel":
        return value
    if isinstance(value, dict):
        return {_pascal(name): _cased(inner, quirks) for name, inner in value.items()}
    return [_cased(inner, quirks) for inner in value] if isinstance(value, list) else value


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    fields = {
        "id": job.job_id,
        "startTime": job.started,
        "finishTime": finish(job, quirks, int),
        "duration": duration(job, int, unfinished=None),
    }
    if quirks.casing == "camel":
        return fields
    return {_pascal(name): value for name, value in fields.items()}


def _tail(facts: Facts, quirks: Quirks) -> dict[str, Any]:
    fields = {
        "state": shown_state(SPELLINGS[quirks.state_spelling], facts),
        "backupDetails": backup_details(facts.counts, "Count"),
        "jobErrors": job_errors(facts),
    }
    cased: dict[str, Any] = _cased(fields, quirks)
    return cased


def _envelope(page: Page, quirks: Quirks) -> dict[str, Any]:
    fields: dict[str, Any] = _cased(
        present({"totalCount": page.total, "jobs": page.rows, "nextLink": page.link}), quirks
    )
    return fields


M365_LEGACY = Product(
    name="m365_legacy",
    list_path="/cloudbackup/jobs",
    scope="microsoft365backup.jobInfo.read.all",
    filters=JOB_FILTERS,
    window=Window(read_after=read_ticks, read_before=read_ticks),
    paging=PageNumbers(index_parameter="PageIndex", size_parameter="PageSize"),
    job_types=Vocabulary(shown=JOB_TYPES),
    workloads=Vocabulary(shown=OBJECT_TYPES),
    states=STATES,
    spellings=SPELLINGS,
    carries=frozenset({"workload", "counts", "errors", "duration"}),
    job_id_prefix="FB",
    job_id_digits=6,
    quirks=Quirks(first_index=0, link="absolute", last_link="empty"),
    own_quirks=frozenset({"state_spelling", "casing"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="jobs",
    license=LicenseEndpoint(
        path="/cloudbackup/licenseconsumption",
        scope="microsoft365backup.subscriptionInfo.read.all",
        filters=(),
        envelope=_cased,
        payload_key="",
    ),
)
