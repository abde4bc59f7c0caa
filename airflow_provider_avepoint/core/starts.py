"""When a job may have started, also where its row does not say so that everybody reads the same."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_avepoint.core.fields import UnplacedTime, get_key
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product

#: The earliest and the latest instant at which a job may have started; None where nothing is known.
StartRange = tuple[datetime | None, datetime | None]


def find_start_range(job: BackupJob) -> StartRange:
    """Return between which instants a job started.

    Both are ``effective_start``, but for a row whose start has no offset: its wall clock may hang anywhere
    where it is not later than the job's end.
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
