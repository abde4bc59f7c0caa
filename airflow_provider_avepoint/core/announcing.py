"""Which backups have ended since somebody last looked: each one once, and none lost.

A :class:`Watermark` is what is kept between two looks. It does not trust times to tell what is new: a job is
listed when it starts, ends hours later, and may be listed late. So it remembers the jobs that were under way,
and of the last hours which jobs it has seen end.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.question import fold_id, shift

# A job may be listed this long after it has started.
_LISTED_LATE = timedelta(hours=6)
# A job that has not ended by then, or whose state nobody documents, is no longer looked for.
_LONGEST_JOB = timedelta(days=30)


def key_of(job: BackupJob) -> str:
    """Return what tells the event of *job*'s end from every other event, the same each time."""
    parts = (job.product, job.location, fold_id(job.organization_id), job.workload, job.job_id)
    return "/".join("" if part is None else str(part) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Up to where a watcher has announced the ends of backups.

    :param since: jobs that started before are known: only those of *under_way* can still end.
    :param under_way: the jobs seen that had not ended, by digest, with when they started.
    :param ended: the digests of the jobs since *since* that have ended and are announced.
    """

    since: datetime
    under_way: Mapping[str, datetime] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()

    @classmethod
    def begin(cls, jobs: Iterable[BackupJob], now: datetime) -> Self:
        """Return the watermark of a watcher that begins at *now*: what has ended before is not announced."""
        start = cls(since=shift(now, -_LISTED_LATE))
        return start.advance(jobs, now)[1]

    @classmethod
    def first_start(cls, now: datetime) -> datetime:
        """Return how far back a watcher must look that begins at *now*, to see all that is under way."""
        return shift(now, -_LONGEST_JOB)

    @property
    def earliest_start(self) -> datetime:
        """How far back the next look must go."""
        return min([self.since, *self.under_way.values()])

    def advance(self, jobs: Iterable[BackupJob], now: datetime) -> tuple[list[BackupJob], Self]:
        """Take all *jobs* since :attr:`earliest_start`; return those that have ended since, and what to keep.

        Jobs that nobody can tell to be the same (a workload asked for, and all together) count by
        :func:`key_of`.
        """
        since = max(self.since, shift(now, -_LISTED_LATE))
        news: dict[str, BackupJob] = {}
        under_way: dict[str, datetime] = {}
        ended: set[str] = set()
        for job in jobs:
            digest = _digest(job)
            start = job.effective_start or now
            if not job.state.is_terminal:
                if start >= shift(now, -_LONGEST_JOB):
                    under_way[digest] = start
                continue
            is_known = start < self.since if digest not in self.under_way else False
            if not is_known and digest not in self.ended:
                news[digest] = job
            if start >= since:
                ended.add(digest)
        for digest in ended:
            under_way.pop(digest, None)
        # Jobs that are under way but were not in this listing are not forgotten.
        forgotten = self.under_way.keys() - under_way.keys() - ended - news.keys()
        for digest in forgotten:
            if self.under_way[digest] >= shift(now, -_LONGEST_JOB):
                under_way[digest] = self.under_way[digest]
        ordered = sorted(
            news.values(), key=lambda job: (job.finished_at or job.effective_start or now, job.job_id)
        )
        return ordered, type(self)(since=since, under_way=under_way, ended=frozenset(ended))

    def as_dict(self) -> dict[str, Any]:
        """Return the watermark, ready for JSON."""
        return {
            "since": self.since.isoformat(),
            "under_way": {digest: start.isoformat() for digest, start in sorted(self.under_way.items())},
            "ended": sorted(self.ended),
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_dict` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(
                since=datetime.fromisoformat(written["since"]).astimezone(UTC),
                under_way={
                    digest: datetime.fromisoformat(start).astimezone(UTC)
                    for digest, start in written["under_way"].items()
                },
                ended=frozenset(written["ended"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise ValueError(f"not a watermark: {type(e).__name__}") from e


def _digest(job: BackupJob) -> str:
    """Return a short stand-in for :func:`key_of`: thousands must fit where Airflow keeps them."""
    return urlsafe_b64encode(hashlib.blake2b(key_of(job).encode(), digest_size=9).digest()).decode()
