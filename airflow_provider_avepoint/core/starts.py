"""Find the time range in which a job started, also if its row gives the start without an offset."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_avepoint.core.fields import UnplacedTime, get_key, parse_time
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product

#: The earliest and the latest instant at which a job may have started; None if the instant is not known.
StartRange = tuple[datetime | None, datetime | None]


def find_start_range(job: BackupJob) -> StartRange:
    """Return the earliest and the latest instant at which a job may have started.

    Both are ``effective_start``, unless the start in the row has no offset. Such a start may be local time
    anywhere on earth, but not later than the end of the job.

    :param job: the job.
    """
    if job.problems and job.started_at is None:
        key = get_product(job.product).columns.started_at
        try:
            parse_time(get_key(job.raw, key if isinstance(key, str) else key[0]))
        except UnplacedTime as e:
            earliest, latest = e.span
            finished = job.finished_at
            return (earliest, latest if finished is None or finished < earliest else min(latest, finished))
        except ValueError:
            pass
    begun = job.effective_start
    return (begun, begun)
