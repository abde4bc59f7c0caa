"""Collect the organisations that were listed, and refuse a name that was given for an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.text import one_line


class Organizations:
    """The organisations of some jobs: their ids, and the id of each name."""

    def __init__(self) -> None:
        self.ids: set[str | None] = set()
        self._id_of: dict[str, str] = {}

    @classmethod
    def of(cls, jobs: Iterable[BackupJob]) -> Self:
        """Return the organisations of *jobs*.

        :param jobs: the jobs of a listing.
        """
        found = cls()
        for job in jobs:
            found.add(job)
        return found

    def add(self, job: BackupJob) -> None:
        """Add the organisation of *job*, where its row names one.

        :param job: one job of a listing.
        """
        if job.organization_id is None:
            return
        self.ids.add(normalize_id(job.organization_id))
        if job.organization_name is not None:
            self._id_of.setdefault(job.organization_name.strip().casefold(), job.organization_id)

    def find_misnamed(self, argument: str, given: Iterable[str]) -> dict[str, AvePointConfigError]:
        """Find, among the ids *given*, the names of organisations.

        :param argument: the argument's name, for the message.
        :param given: what the user gave as ids.
        :returns: the error for each name; its message has the organisation's id.
        """
        return {
            each: AvePointConfigError(
                f"{argument}: {each!r} is the name of {one_line(named, 100)}; give the id."
            )
            for each in given
            if (named := self._id_of.get(each.casefold())) is not None and normalize_id(each) not in self.ids
        }

    def refuse_names(self, argument: str, given: Iterable[str]) -> None:
        """Raise where one of the ids *given* is the name of an organisation: no job has a name for its id.

        :param argument: the argument's name, for the message.
        :param given: what the user gave as ids.
        :raises AvePointConfigError: the message has the organisation's id.
        """
        for error in self.find_misnamed(argument, given).values():
            raise error
