"""The backups of a scope that are good by any policy, as the report reads them: columns, no objects."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import compress
from typing import NamedTuple, Self

from msgspec import Struct

from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import OTHER, Scope


class Source(NamedTuple):
    """What the plain backups of a scope may differ in.

    :param job_type: the job type.
    :param organization_name: the organisation's name; None where unknown.
    """

    job_type: str
    organization_name: str | None


class PlainBackups(Struct, frozen=True, gc=False):
    """Backups of a scope that are good by any policy: understood, ended, and nothing failed; oldest first.

    Nearly all backups are plain, and the report reads no more of them than this.

    :param starts: when each of them started.
    :param job_ids: the id of each.
    :param sources: the source of each.
    """

    starts: list[datetime]
    job_ids: list[str]
    sources: list[Source]

    @classmethod
    def join(cls, groups: Iterable[tuple[Source, Sequence[datetime], Sequence[str]]]) -> Self:
        """Return the backups of several sources.

        :param groups: of each source the starts and the ids, in any order.
        """
        starts: list[datetime] = []
        job_ids: list[str] = []
        sources: list[Source] = []
        for source, of_starts, of_ids in groups:
            starts += of_starts
            job_ids += of_ids
            sources += [source] * len(of_starts)
        ordered = sorted(starts)
        if ordered == starts:
            return cls(starts, job_ids, sources)
        order = sorted(range(len(starts)), key=starts.__getitem__)
        return cls(ordered, [job_ids[each] for each in order], [sources[each] for each in order])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: slice) -> PlainBackups:
        return PlainBackups(self.starts[part], self.job_ids[part], self.sources[part])

    def select(self, chosen: Sequence[bool]) -> PlainBackups:
        """Return some of the backups.

        :param chosen: of each backup, whether it is one of them.
        """
        return PlainBackups(
            list(compress(self.starts, chosen)),
            list(compress(self.job_ids, chosen)),
            list(compress(self.sources, chosen)),
        )

    def since(self, start: datetime) -> PlainBackups:
        """Return the backups that started at a time or later.

        :param start: the time.
        """
        return self[bisect_left(self.starts, start) :]

    def between(self, start: datetime, end: datetime) -> PlainBackups:
        """Return the backups of a time.

        :param start: its first moment.
        :param end: the first moment after it.
        """
        return self[bisect_left(self.starts, start) : bisect_left(self.starts, end)]

    @property
    def job_types(self) -> set[str]:
        """The job types."""
        return {source.job_type for source in set(self.sources)}

    @property
    def newest_name(self) -> str | None:
        """The organisation's name, as the newest backup with a name has it; None where none has."""
        names = (source.organization_name for source in reversed(self.sources))
        return next(filter(None, names), None)

    def list_jobs(self, product: str, scope: Scope) -> list[BackupJob]:
        """Return the backups as the rules judge them.

        :param product: the product's name.
        :param scope: the scope of the backups.
        """
        return [
            BackupJob(
                product=product,
                job_id=job_id,
                job_type=source.job_type,
                state=JobState.SUCCESS,
                started_at=started_at,
                workload=None if scope.workload == OTHER else scope.workload,
                organization_id=scope.organization_id,
                organization_name=source.organization_name,
                location=scope.location,
            )
            for started_at, job_id, source in zip(self.starts, self.job_ids, self.sources, strict=True)
        ]


#: No backups.
NO_PLAIN = PlainBackups([], [], [])
