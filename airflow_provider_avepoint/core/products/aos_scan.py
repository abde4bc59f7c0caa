"""Describe the scan jobs of AvePoint Online Services.

https://learn.avepoint.com/docs/services-and-features/aos/jobs.html

A scan finds new objects, and only objects that a scan has found are backed up. A failed scan is a gap that no
backup shows, so the word ``backup`` means the scan here. The API has no filters, not even for time. Jobs are
listed with the newest start first, and the listing stops at the first page that ends before the window. A job
without a start may stand after that page.
"""

from __future__ import annotations

from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    Envelope,
    Filters,
    Paging,
    Product,
    State,
)

AOS_SCAN = Product(
    name="aos_scan",
    label="AvePoint Online Services scans",
    documentation_url="https://learn.avepoint.com/docs/services-and-features/aos/jobs.html",
    permission="autodiscovery.readwrite.all",
    path="/aos/jobs",
    columns=Columns(
        job_id="id",
        state=("state", "status"),
        started_at="startTime",
        finished_at="finishTime",
        job_type="type",
        workload="category",
    ),
    # The spelling of the sample request.
    filters=Filters(always={"orderby": "StartTime", "sortorder": "1"}),
    paging=Paging(index="skip", is_offset=True, size="top", newest_first=True),
    envelope=Envelope(rows=(("jobs",),), link=("nextLink",), total=(("totalCount",),)),
    states=(
        State(0, ("None",), JobState.UNKNOWN),
        State(1, ("Running",), JobState.RUNNING),
        State(2, ("Finished",), JobState.SUCCESS),
        State(3, ("Failed",), JobState.FAILED),
        State(4, ("Finished with exception",), JobState.PARTIAL),
        State(5, ("Skipped",), JobState.SKIPPED),
        State(10, ("Stopped",), JobState.STOPPED),
    ),
    # 0: scans of Microsoft 365 and Power Platform. 10: scans of Google Workspace.
    job_types={"backup": (0, 10), "scan": (0, 10), "batch_import": 11},
    # Rows have these numbers; no filter takes them.
    object_types={"m365": 0, "power_platform": 1, "active_directory": 2, "google": 3},
)
