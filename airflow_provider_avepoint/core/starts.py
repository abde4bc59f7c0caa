"""Find the range of instants in which a job may have started: rows may have a time without an offset."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_avepoint.core.fields import UnplacedTime, get_key
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product

#: The earliest and the latest instant at which a job may have started, in UTC; None where nothing is known.
StartRange = tuple[datetime | None, datetime | None]


def find_start_range(job: BackupJob) -> StartRange:
    """Return the earliest and the latest instant at which a job may have started.

    Both are ``effective_start``, except where the row's start has no offset. Then the range is that of all
    offsets, cut at the job's end where the end lies in the range.

    :param job: the job, with its raw row.
    :returns: both None where nothing is known.
    """
    if job.problems and job.started_at is None:
        columns = get_product(job.product).columns
        key = columns.started_at
        try:
            columns.parse_time(get_key(job.raw, key if isinstance(key, str) else key[0]))
        except UnplacedTime as e:
            earliest, latest = e.span
            finished = job.finished_at
            return (earliest, latest if finished is None or finished < earliest else min(latest, finished))
        except ValueError:
            pass
    begun = job.effective_start
    return (begun, begun)
