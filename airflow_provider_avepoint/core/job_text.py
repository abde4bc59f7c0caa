"""Name a job, its state and its organisation in a message: our words, and the vendor's on one line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from airflow_provider_avepoint.core.fields import parse_number
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line, quoted

# The most characters of an id or a name, of a problem, and of the vendor's text on an error.
_LONGEST_NAME, _LONGEST_PROBLEM, _LONGEST_ERROR = 100, 200, 200
_MOST_PROBLEMS = 3


def describe_state(job: BackupJob) -> str:
    """Return the state of a job as its row has the state; beside a number stand the vendor's words.

    :param job: the job.
    """
    if job.raw_state is None:
        return "no state"
    number = parse_number(job.raw_state)
    if number is None:
        return quoted(job.raw_state)
    known = get_product(job.product).state_table.get(number)
    return f"{number} ({'not documented' if known is None else known.labels[0]})"


def describe_briefly(job: BackupJob) -> str:
    """Describe a job in a clause: its id, state and start, what failed, and what could not be read.

    :param job: the job.
    """
    text = f"job {one_line(job.job_id, _LONGEST_NAME)}, {describe_state(job)}"
    if job.effective_start is not None:
        text += f", started {show_time(job.effective_start)}"
    return text + job.describe_failures() + list_problems(job)


def list_problems(job: BackupJob) -> str:
    """Return what could not be read of a job, each problem after a comma.

    :param job: the job.
    """
    return "".join(f", {one_line(each, _LONGEST_PROBLEM)}" for each in job.problems[:_MOST_PROBLEMS])


def quote_error(job: BackupJob) -> str:
    """Return the first error that the vendor tells of a job, after a semicolon; "" where there is none.

    :param job: the job.
    """
    error = job.errors[0] if job.errors else None
    if error is None or not error.message:
        return ""
    url = f" ({one_line(error.url, _LONGEST_ERROR)})" if error.url else ""
    return f"; {one_line(error.message, _LONGEST_ERROR)}{url}"


def name_organizations(jobs: Iterable[BackupJob | None]) -> dict[str | None, str]:
    """Return the name of each organisation that a row names, by its normalised id.

    :param jobs: the jobs; None counts for nothing.
    """
    return {
        normalize_id(job.organization_id): name
        for job in jobs
        if job is not None
        and job.organization_id is not None
        and (name := one_line(job.organization_name or "", _LONGEST_NAME))
    }


def show_minute(moment: datetime) -> str:
    """Write a time to the minute.

    :param moment: the time, in UTC.
    """
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def show_time(moment: datetime) -> str:
    """Write a time to the second.

    :param moment: the time, in UTC.
    """
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
