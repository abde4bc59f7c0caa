"""Cloud Backup for IaaS + PaaS.

https://learn.avepoint.com/docs/services-and-features/iaas-paas/iaas-paas.html. A row has a job type, but
neither service nor resource; only the filter ``serviceType`` selects by service.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.control_schema import Counts
from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import PageNumbers
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import (
    Filter,
    Page,
    Product,
    Search,
    Vocabulary,
    Window,
    duration,
    finish,
    numbered,
    shown_state,
    start,
)

_SERVICES = Vocabulary(
    shown={
        "virtual_machine": 1,
        "entra_id": 2,
        "azure_storage": 4,
        "admin_portal": 64,
        "common": 128,
        "ec2": 256,
        "native_azure_sql": 512,
        "devops": 1024,
        "azure_sql": 2048,
        "b2c": 4096,
        "gcp": 8192,
        "aws_setting": 16384,
        "sql_server": 20000,
        "vmware": 21000,
        "gcs": 23000,
        "cosmos": 24000,
        "postgresql": 25000,
        "s3": 26000,
        "entra_external_id": 27000,
    },
    default="virtual_machine",
    others="numbers",
)
_BACKUPS = {
    "virtual_machine": 1,
    "entra_id": 128,
    "azure_storage": 1024,
    "admin_portal": 20003,
    "ec2": 20009,
    "native_azure_sql": 20012,
    "devops": 20014,
    "azure_sql": 20016,
    "b2c": 20019,
    # The documents list nine more services and nine more backup numbers: matching them in order is a guess.
    "gcp": 20022,
    "aws_setting": 40000,
    "sql_server": 60000,
    "vmware": 60010,
    "gcs": 60100,
    "cosmos": 70010,
    "postgresql": 80000,
    "s3": 90000,
    "entra_external_id": 90110,
}
_JOB_TYPES = Vocabulary(
    shown={f"{service}_backup": number for service, number in _BACKUPS.items()}
    | {
        "virtual_machine_restore": 2,
        "virtual_machine_file_level_export": 4,
        # An older page has 32.
        "virtual_machine_index_generation": 33,
        "data_retention": 64,
        "entra_id_restore": 256,
        "entra_id_export": 257,
        "azure_storage_restore": 2048,
        "azure_storage_export": 4096,
        "admin_portal_export": 20004,
        "admin_portal_restore": 20006,
        "ec2_restore": 20010,
        "native_azure_sql_restore": 20013,
        "devops_restore": 20015,
        "azure_sql_restore": 20017,
        "virtual_machine_file_restore": 20018,
        "b2c_restore": 20020,
        "data_deletion": 30003,
        "aws_platform_configurations": 40001,
        # The service of each of these numbers is a guess: the service whose backup has the number before.
        "gcp_restore": 20023,
        "gcp_index_generation": 20024,
        "gcp_export": 20025,
        "sql_server_restore": 60001,
        "vmware_restore": 60011,
        "gcs_restore": 60101,
        "cosmos_restore": 70011,
        "cosmos_export": 70012,
        "postgresql_restore": 80010,
        "s3_restore": 90001,
        "s3_export": 90002,
        "entra_external_id_restore": 90120,
    },
    others="numbers",
)
# "waiting" is 0, Not Started; send raw_state 32 for the vendor's Waiting.
_STATES = {
    "waiting": 0,
    "running": 1,
    "success": 2,
    "skipped": 4,
    "partial": 8,
    "failed": 16,
    "stopped": 64,
}


def _time_span(ticks: int) -> str:
    """Return ``[d.]hh:mm:ss``, the fraction cut off: the samples are a second shorter than their times."""
    minutes, seconds = divmod(ticks // times.TICKS_PER_SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}.' if days else ''}{hours:02d}:{minutes:02d}:{seconds:02d}"


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "startTime": start(job, quirks, times.to_iso),
        "finishTime": finish(job, quirks, times.to_iso),
        "duration": duration(job, _time_span, unfinished=None),
    }


def _tail(facts: Facts, quirks: Quirks) -> dict[str, Any]:
    counts = facts.counts or Counts(total=None, successful=None, failed=None, skipped=None)
    return {
        "jobType": _JOB_TYPES.show(facts.job_type),
        quirks.state_key: shown_state(None, facts),
        "failedCount": counts.failed,
        "successfulCount": counts.successful,
        "skippedCount": counts.skipped,
        "totalCount": counts.total,
        "comments": facts.label,
    }


def _envelope(page: Page, quirks: Quirks) -> dict[str, Any]:
    return present({"totalCount": page.total, "jobs": page.rows, quirks.link_key: page.link})


IAAS_PAAS = Product(
    name="iaas_paas",
    list_path="/backup/vm/jobs",
    scope="platformbackup.readwrite.all",
    filters=(
        Filter(parameter="serviceType", fact="workload", values=numbered(_SERVICES.shown)),
        Filter(parameter="jobType", fact="job_type", values=numbered(_JOB_TYPES.shown)),
    ),
    search=Search(parameter="searchText", facts=("label",)),
    window=Window(read_after=times.parse_iso, read_before=times.parse_iso),
    paging=PageNumbers(index_parameter="pageNumber"),
    job_types=_JOB_TYPES,
    # The service Common has no backups; it gets the job type that the page assigns to no service.
    backups={service: f"{service}_backup" for service in _BACKUPS}
    | {"common": "data_retention", None: "virtual_machine_backup"},
    workloads=_SERVICES,
    default_label="",
    states=_STATES,
    lists_waiting=True,
    carries=frozenset({"workload", "label", "counts", "duration"}),
    job_id_prefix="IB",
    job_id_digits=3,
    quirks=Quirks(first_index=0, link="token", token_parameter="skiptoken", last_link="null"),  # noqa: S106
    own_quirks=frozenset({"link_key", "no_start", "state_key"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="jobs",
)
