"""Find signs, among the jobs that came, that the server ignored a filter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from airflow_provider_avepoint.core.fields import get_key, is_absent
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.starts import find_start_range

# This many workloads with the very same jobs show that the server does not filter by workload. Two workloads
# may share a job: a team and its group do.
_TOO_ALIKE = 3


def doubt_unfiltered(jobs: list[BackupJob], product: Product) -> list[BackupJob]:
    """Add a problem to each job by which the server shows that it ignores a filter.

    Where rows leave out their workload, location or organisation, jobs get the value that was asked for.
    Where the server sends the same jobs for every value, nobody knows which value is true.

    :param jobs: the jobs of all queries of one product.
    :param product: that product.
    :returns: the same jobs; doubtful jobs are copies with one more problem.
    """
    doubted: dict[int, str] = {}
    if product.asks_each_object_type:
        doubted |= _find_same_answers(jobs, "workload", product.filters.object_type, _TOO_ALIKE)
    if product.tells_locations:
        doubted |= _find_same_answers(jobs, "location", product.filters.location, 2)
    if product.tells_organizations:
        unnamed = [
            job
            for job in jobs
            if job.organization_id is not None and job.raw and not _names_organization(job, product)
        ]
        doubted |= _find_shared_ids(unnamed, product.filters.organization_id or "the customer in its path")
    if not doubted:
        return jobs
    return [
        replace(job, problems=(*job.problems, problem)) if (problem := doubted.get(id(job))) else job
        for job in jobs
    ]


def _find_same_answers(
    jobs: Iterable[BackupJob], dimension: str, parameter: str | None, too_alike: int
) -> dict[int, str]:
    """Find the jobs that came for *too_alike* or more values of *dimension*.

    :returns: the problem, by the ``id()`` of the job.
    """
    answers: dict[tuple[object, ...], dict[str, list[BackupJob]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        value = getattr(job, dimension)
        if value is not None:
            asked = (
                job.job_type,
                *(getattr(job, each) for each in ("workload", "location") if each != dimension),
            )
            answers[asked][value].append(job)
    doubted: dict[int, str] = {}
    for by_value in answers.values():
        for value, alike in _find_alike(by_value).items():
            if len(alike) >= too_alike:
                shown = ", ".join(sorted(alike)[:5])
                problem = f"the same jobs came for {shown}: the server does not filter by {parameter}"
                doubted |= {id(job): problem for job in by_value[value]}
    return doubted


_Answer = Mapping[str, datetime | None]


def _find_alike(by_value: Mapping[str, list[BackupJob]]) -> dict[str, list[str]]:
    """Return, for each value, the values with the same answer but for jobs that began between two queries."""
    answers: dict[str, _Answer] = {
        value: {job.job_id: find_start_range(job)[1] for job in jobs} for value, jobs in by_value.items()
    }
    order = sorted(answers, key=lambda value: len(answers[value]))
    found = {}
    for place, value in enumerate(order):
        alike = [value]
        for later in order[place + 1 :]:
            if _is_grown(answers[alike[-1]], answers[later]):
                alike.append(later)
        for earlier in reversed(order[:place]):
            if _is_grown(answers[earlier], answers[alike[0]]):
                alike.insert(0, earlier)
        found[value] = alike
    return found


def _is_grown(one: _Answer, other: _Answer) -> bool:
    """Tell whether *other* is the same answer as *one*, or the same answer with newer jobs added."""
    if not one or not one.keys() <= other.keys():
        return False
    newest = max((start for start in one.values() if start is not None), default=None)
    more = [other[job_id] for job_id in other.keys() - one.keys()]
    return newest is None or all(start is None or start >= newest for start in more)


def _find_shared_ids(jobs: Iterable[BackupJob], parameter: str) -> dict[int, str]:
    """Find the jobs that came for two or more organisations and whose rows name none of them.

    :returns: the problem, by the ``id()`` of the job.
    """
    owners: dict[tuple[str | None, ...], list[BackupJob]] = defaultdict(list)
    for job in jobs:
        owners[job.job_type, job.workload, job.location, job.job_id].append(job)
    return {
        id(job): (
            f"it came for {len(shared)} organisations, and its row names none: the server does not filter by "
            f"{parameter}"
        )
        for shared in owners.values()
        if len({normalize_id(job.organization_id) for job in shared}) > 1
        for job in shared
    }


def _names_organization(job: BackupJob, product: Product) -> bool:
    key = product.columns.organization_id
    keys = (key,) if isinstance(key, str) else key or ()
    return any(not is_absent(get_key(job.raw, each)) for each in keys)
