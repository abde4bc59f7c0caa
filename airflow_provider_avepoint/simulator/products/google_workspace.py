"""Cloud Backup for Google Workspace.

https://learn.avepoint.com/docs/services-and-features/google/google.html

Rows have no counts and no duration. Every ended job has a progress of 100, also a failed one.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import Filter, Page, Product, Vocabulary, Window, codes, finish, numbered, shown_state

_JOB_TYPES = Vocabulary(
    shown={"backup": 1, "restore": 2, "export": 3, "delete": 4, "retention": 5, "report": 6},
    others="numbers",
)
_APPS = Vocabulary(
    shown={
        "gmail": 1,
        "drive": 2,
        "calendar": 4,
        "contacts": 8,
        "shared_drives": 64,
        "classroom": 128,
        "users": 256,
        "groups": 512,
        "chat": 4096,
        "vault_gmail": 8192,
        "vault_drive": 16384,
        "vault_shared_drives": 32768,
    },
    default="gmail",
    others="numbers",
)
_DATA_SOURCES = Vocabulary(shown={"admin": 1, "recenter": 2}, default="admin")
_STATES = {"running": 0, "success": 2, "failed": 3, "partial": 7}


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "progress": 0.0 if job.finished is None else 100.0,
        "startTime": times.to_iso_offset(job.started),
        "finishTime": finish(job, quirks, times.to_iso_offset),
    }


def _tail(facts: Facts, _quirks: Quirks) -> dict[str, Any]:
    return {
        "appType": _APPS.show(facts.workload),
        "jobType": _JOB_TYPES.show(facts.job_type),
        "dataSource": _DATA_SOURCES.show(facts.data_source),
        "status": shown_state(None, facts),
        "operator": facts.label,
    }


def _envelope(page: Page, _quirks: Quirks) -> dict[str, Any]:
    counted = {"totalCount": page.total, "nextLink": page.link}
    return {"status": 200, "message": "", "jobs": page.rows} | present(counted)


GOOGLE_WORKSPACE = Product(
    name="google_workspace",
    list_path="/backup/google/admin/jobs",
    scope="gsuite.graph.read.all",
    filters=(
        # Without this filter the jobs of ReCenter are hidden, and no value of it asks for both sources.
        Filter(
            parameter="dataSource",
            fact="data_source",
            values=numbered(_DATA_SOURCES.shown),
            default="admin",
        ),
        Filter(parameter="appType", fact="workload", values=numbered(_APPS.shown)),
        Filter(parameter="jobType", fact="job_type", values=numbered(_JOB_TYPES.shown)),
        # The table's name. The sample request has "status", and its answer shows that the server ignores it.
        Filter(parameter="jobStatus", fact="state_code", values=codes(*_STATES.values())),
    ),
    window=Window(read_after=times.parse_iso, read_before=times.parse_iso),
    paging=PageNumbers(default_size=100),
    job_types=_JOB_TYPES,
    workloads=_APPS,
    data_sources=_DATA_SOURCES,
    default_label="System",
    states=_STATES,
    carries=frozenset({"workload", "data_source", "label"}),
    # The sample's ids end after the seconds: two jobs of one second would have the same id.
    job_id_prefix="GDIG",
    job_id_digits=3,
    # The page has no total and does not name the parameter; the swagger behind the page names it NextLink.
    quirks=Quirks(link="token", token_parameter="NextLink", last_link="null", total="absent"),  # noqa: S106
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="jobs",
)
