"""Signs that the server did not answer what it was asked, found in the jobs that came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Self

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.fields import get_key, is_absent
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.product import Product
from airflow_provider_avepoint.core.starts import find_start_range
from airflow_provider_avepoint.core.text import one_line

# So many workloads that get the very same jobs show that the server does not filter by workload. Two may
# share a job: a team and its group do.
_TOO_ALIKE = 3


class Organizations(NamedTuple):
    """The organisations that jobs are of: their ids, and the id of each name, both as they compare."""

    ids: set[str | None]
    names: dict[str, str]

    @classmethod
    def of(cls, jobs: Iterable[BackupJob]) -> Self:
        """Return those of *jobs*."""
        found = cls(set(), {})
        for job in jobs:
            if job.organization_id is not None:
                found.ids.add(normalize_id(job.organization_id))
                if job.organization_name is not None:
                    found.names.setdefault(job.organization_name.strip().casefold(), job.organization_id)
        return found

    def refuse_names(self, policy: Policy) -> None:
        """Raise where *policy* gives an organisation's name for its id: the gate would wait for nothing.

        :raises AvePointConfigError: the message has the id.
        """
        for given in policy.organization_ids or ():
            named = self.names.get(given.casefold())
            if named is not None and normalize_id(given) not in self.ids:
                raise AvePointConfigError(
                    f"organization_ids: {given!r} is the name of {one_line(named, 100)}; give the id."
                )


def doubt_unfiltered(jobs: list[BackupJob], product: Product) -> list[BackupJob]:
    """Return *jobs*, with a problem noted in those by which a server shows that a filter is ignored.

    Rows that do not say their workload, location or organisation get those that were asked for. Where the
    very same jobs come for all that was asked, nobody knows whose they are.
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
    """Return what is wrong with jobs that came for so many values of *dimension* that nothing filters by it.

    :returns: by the ``id()`` of the job.
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
        for values in _find_alike(by_value):
            if len(values) >= too_alike:
                shown = ", ".join(sorted(values)[:5])
                problem = f"the same jobs came for {shown}: the server does not filter by {parameter}"
                doubted |= {id(job): problem for value in values for job in by_value[value]}
    return doubted


def _find_alike(by_value: Mapping[str, list[BackupJob]]) -> list[list[str]]:
    """Return the values whose answers are one, but for jobs that have begun between two questions."""
    alike: list[list[str]] = []
    for value in sorted(by_value, key=lambda value: len({job.job_id for job in by_value[value]})):
        for values in alike:
            if is_grown(by_value[values[-1]], by_value[value]):
                values.append(value)
                break
        else:
            alike.append([value])
    return alike


def is_grown(one: Iterable[BackupJob], other: Iterable[BackupJob]) -> bool:
    """Tell whether *other* is the same answer as *one*, or the same with newer jobs in it."""
    before = {job.job_id: find_start_range(job)[1] for job in one}
    newest = max((start for start in before.values() if start is not None), default=None)
    ids = set()
    for job in other:
        ids.add(job.job_id)
        start = find_start_range(job)[1]
        if job.job_id not in before and start is not None and newest is not None and start < newest:
            return False
    return bool(before) and before.keys() <= ids


def _find_shared_ids(jobs: Iterable[BackupJob], parameter: str) -> dict[int, str]:
    """Return what is wrong with jobs that came for two organisations, neither of which their rows name.

    :returns: by the ``id()`` of the job.
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
