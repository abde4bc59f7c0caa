"""What one backup is worth, and which of two is newer: by its state, its counts and its times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.query import CLOCK_SKEW
from airflow_provider_avepoint.core.starts import find_start_range

#: What an ended backup may be worth, better first.
GRADES = (JobState.SUCCESS, JobState.PARTIAL, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a backup may have failed."""

    accept_partial: bool = False
    max_failed: int | None = None
    max_failed_ratio: float | None = None

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Return the limits of *policy*."""
        return cls(
            accept_partial=policy.accept_partial,
            max_failed=policy.max_failed,
            max_failed_ratio=policy.max_failed_ratio,
        )

    def grade(self, job: BackupJob) -> JobState:
        """Return what an ended backup is worth: success, partial or failed.

        State and counts are both read and the worse holds; a partial one within the limits is a success.
        """
        if job.state is JobState.FAILED:
            return JobState.FAILED
        is_partial = job.state is JobState.PARTIAL or any(
            level.failed or _has_done_nothing(level) for level in job.levels
        )
        if not is_partial or self.accept_partial:
            return JobState.SUCCESS
        levels = [level for level in job.levels if level != Counts()]
        return JobState.SUCCESS if self._holds(levels) else JobState.PARTIAL

    def _holds(self, levels: list[Counts]) -> bool:
        """Tell whether every level that counts anything stays within the limits, and one does count."""
        if self.max_failed is None and self.max_failed_ratio is None:
            return False
        counting = [level for level in levels if level.total != 0 or level.failed]
        for level in counting:
            if not level.total or level.failed is None:
                return False
            failed = level.failed + _count_unexplained(level)
            if self.max_failed is not None and failed > self.max_failed:
                return False
            if self.max_failed_ratio is not None and failed / level.total > self.max_failed_ratio:
                return False
        return bool(counting)


def _count_done(level: Counts) -> int:
    """Return how many objects a job has saved, passed over, or saved with a warning."""
    return sum(filter(None, (level.successful, level.skipped, level.warning)))


def _count_unexplained(level: Counts) -> int:
    """Return how many objects of the total are in none of the other counts.

    None are where the row does not count the successful ones: then the total says nothing.
    """
    if level.successful is None:
        return 0
    return max(0, (level.total or 0) - _count_done(level) - (level.failed or 0))


def _has_done_nothing(level: Counts) -> bool:
    return bool(level.total) and level.successful is not None and not _count_done(level)


_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
_BADNESS = {JobState.SUCCESS: 0, JobState.PARTIAL: 1, JobState.FAILED: 2, JobState.UNKNOWN: 3}
_UNREADABLE_BADNESS = 4


def newness(job: BackupJob, limits: Limits) -> tuple[datetime, int, int]:
    """Order jobs by start; of two with the same, the worse is newer, by the limits and then by itself.

    A job that does not say when it started counts as the newest, or as new as it may be.
    """
    begun = find_start_range(job)[1] or _FAR_FUTURE
    if job.problems:
        return (begun, _UNREADABLE_BADNESS, _UNREADABLE_BADNESS)
    graded = limits.grade(job) if job.state in GRADES else job.state
    return (begun, _BADNESS.get(graded, -1), _BADNESS.get(job.state, -1))


def may_be_since(job: BackupJob, start: datetime) -> bool:
    """Tell whether a job started at *start* or later, or may have."""
    begun = find_start_range(job)[1]
    return begun is None or begun >= start


# A time may be cut to whole seconds, and another of the same row may not.
_ROUNDING = timedelta(seconds=1)


def is_askew(job: BackupJob, now: datetime) -> bool:
    """Tell whether a job's times cannot be: a start or an end that is still to come, an end before the start.

    A job that waits may well be planned for a time to come.
    """
    begun, finished, latest = job.effective_start, job.finished_at, now + CLOCK_SKEW
    if begun is not None and begun > latest and job.state is not JobState.WAITING:
        return True
    if finished is None:
        return False
    is_early = begun is not None and finished <= begun - _ROUNDING
    return is_early or (finished > latest and job.state.is_terminal)


# What a job was seen as, from what says least to what stands whatever else was seen.
_OPEN, _ENDED, _NOT_UNDERSTOOD, _UNREADABLE = range(4)
_END_BADNESS = {
    JobState.SUCCESS: 0,
    JobState.SKIPPED: 1,
    JobState.STOPPED: 1,
    JobState.PARTIAL: 2,
    JobState.FAILED: 3,
}


def outcome(job: BackupJob, limits: Limits) -> tuple[int, int, tuple[datetime, int, int], int]:
    """Order what one job was seen as: what is not understood stands, else its end, and of two the worse."""
    if is_not_understood(job):  # as new as it may be, whatever it came to
        return (_UNREADABLE if job.problems else _NOT_UNDERSTOOD, 0, newness(job, limits), 0)
    rank = _ENDED if job.state.is_terminal else _OPEN
    graded = limits.grade(job) if job.state in GRADES else job.state
    failed = max(level.failed or 0 for level in job.levels)
    return (rank, _END_BADNESS.get(graded, 0), newness(job, limits), failed)


def is_not_understood(job: BackupJob) -> bool:
    """Tell whether nobody knows what a job came to, or when a backup that ended began."""
    return bool(
        job.problems or job.state is JobState.UNKNOWN or (job.state in GRADES and job.effective_start is None)
    )


def pick_sighting(sightings: Iterable[BackupJob]) -> BackupJob | None:
    """Return what stands of one job that was listed several times: what it came to, of two ends the worse."""
    return max(sightings, key=lambda job: outcome(job, Limits()), default=None)
