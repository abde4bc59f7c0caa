"""Scan jobs of AvePoint Online Services: https://learn.avepoint.com/docs/services-and-features/aos/jobs.html.

There is no time or status filter. A scan is not a backup; "backup" means a scan here.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import times
from airflow_provider_avepoint.simulator.encoding import present
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import RowOffsets
from airflow_provider_avepoint.simulator.quirks import Quirks

from .base import Order, Page, Product, Search, Vocabulary, finish, shown_state

_JOB_TYPES = Vocabulary(shown={"scan": 0, "google_scan": 10, "batch_import": 11}, others="numbers")
_CATEGORIES = Vocabulary(
    shown={"m365": 0, "power_platform": 1, "active_directory": 2, "google": 3},
    default="m365",
    others="numbers",
)
# The number 0, None, has no state word: send it as raw_state.
_STATES = {"running": 1, "success": 2, "failed": 3, "partial": 4, "skipped": 5, "stopped": 10}


def _head(job: Job, quirks: Quirks) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "startTime": times.to_iso_offset_full(job.started),
        "finishTime": finish(job, quirks, times.to_iso_offset_full),
    }


def _tail(facts: Facts, _quirks: Quirks) -> dict[str, Any]:
    return {
        "type": _JOB_TYPES.show(facts.job_type),
        "state": shown_state(None, facts),
        "scanProfileName": facts.label,
        "category": _CATEGORIES.show(facts.workload),
        "extension": None,
    }


def _envelope(page: Page, _quirks: Quirks) -> dict[str, Any]:
    return present({"jobs": page.rows, "nextLink": page.link, "totalCount": page.total})


AOS_SCAN = Product(
    name="aos_scan",
    list_path="/aos/jobs",
    scope="autodiscovery.readwrite.all",
    filters=(),
    search=Search(parameter="search"),
    order=Order(column_parameter="orderby", column="startTime", sense_parameter="sortorder"),
    window=None,
    paging=RowOffsets(),
    job_types=_JOB_TYPES,
    backups={"google": "google_scan", None: "scan"},
    workloads=_CATEGORIES,
    default_label="Default scan profile",
    states=_STATES,
    carries=frozenset({"workload", "label"}),
    job_id_prefix="Scan",
    job_id_digits=6,
    quirks=Quirks(link="absolute", last_link="null", max_page_size=1000, oversize="refuse"),
    own_quirks=frozenset({"link_overlap"}),
    head=_head,
    tail=_tail,
    envelope=_envelope,
    payload_key="jobs",
)
