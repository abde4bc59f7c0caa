"""Grade one backup by its state and counts, and order backups by their times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.query import CLOCK_SKEW
from airflow_provider_avepoint.core.starts import find_start_range

#: The grades of an ended backup, the best first.
GRADES = (JobState.SUCCESS, JobState.PARTIAL, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a backup may fail.

    :param accept_partial: whether every partial backup is a success.
    :param max_failed: the largest number of failed objects on each level of counts; None for no limit.
    :param max_failed_ratio: the largest share of failed objects on each level, 0 to 1; None for no limit.
    """

    accept_partial: bool = False
    max_failed: int | None = None
    max_failed_ratio: float | None = None

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Return the limits of a policy.

        :param policy: the policy.
        """
        return cls(
            accept_partial=policy.accept_partial,
            max_failed=policy.max_failed,
            max_failed_ratio=policy.max_failed_ratio,
        )

    def grade(self, job: BackupJob) -> JobState:
        """Grade an ended backup: success, partial or failed.

        The worse of state and counts is the grade. A partial backup within the limits is a success.

        :param job: an ended backup.
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
        """Tell whether every level with counts stays within the limits, and at least one level has counts."""
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
    """Return how many objects a job saved, skipped, or saved with a warning."""
    return sum(filter(None, (level.successful, level.skipped, level.warning)))


def _count_unexplained(level: Counts) -> int:
    """Return how many objects of the total are in none of the other counts.

    The result is 0 if the row does not count successful objects: then the difference means nothing.
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
    """Return a sort key by which a newer job is greater.

    Of two jobs with the same start the worse is newer: first by the grade within *limits*, then by the state.
    A job whose start is not known counts as started at the latest possible time.

    :param job: the job.
    :param limits: how much of the backup may fail.
    """
    begun = find_start_range(job)[1] or _FAR_FUTURE
    if job.problems:
        return (begun, _UNREADABLE_BADNESS, _UNREADABLE_BADNESS)
    graded = limits.grade(job) if job.state in GRADES else job.state
    return (begun, _BADNESS.get(graded, -1), _BADNESS.get(job.state, -1))


def may_be_since(job: BackupJob, start: datetime) -> bool:
    """Tell whether a job started, or may have started, at *start* or later.

    :param job: the job.
    :param start: the earliest start, an aware datetime.
    """
    begun = find_start_range(job)[1]
    return begun is None or begun >= start


# One time of a row may be cut to whole seconds while another time of the same row is not.
_ROUNDING = timedelta(seconds=1)


def is_askew(job: BackupJob, now: datetime) -> bool:
    """Tell whether the times of a job are impossible.

    Impossible are a start or an end in the future, and an end before the start. A waiting job is planned, so
    that its start may lie in the future.

    :param job: the job.
    :param now: the time of judgement, an aware datetime.
    """
    begun, finished, latest = job.effective_start, job.finished_at, now + CLOCK_SKEW
    if begun is not None and begun > latest and job.state is not JobState.WAITING:
        return True
    if finished is None:
        return False
    is_early = begun is not None and finished <= begun - _ROUNDING
    return is_early or (finished > latest and job.state.is_terminal)


# The ranks of a sighting. Of several sightings of one job, the one with the highest rank counts.
_OPEN, _ENDED, _NOT_UNDERSTOOD, _UNREADABLE = range(4)
_END_BADNESS = {
    JobState.SUCCESS: 0,
    JobState.SKIPPED: 1,
    JobState.STOPPED: 1,
    JobState.PARTIAL: 2,
    JobState.FAILED: 3,
}


def outcome(job: BackupJob, limits: Limits) -> tuple[int, int, tuple[datetime, int, int], int]:
    """Return a sort key for the sightings of one job: the greatest sighting counts.

    A sighting that is not understood comes before an ended one, an ended one before an open one. Of two ended
    sightings the worse counts.

    :param job: one sighting of the job.
    :param limits: how much of the backup may fail.
    """
    if is_not_understood(job):  # its result is not known, so order by the start alone
        return (_UNREADABLE if job.problems else _NOT_UNDERSTOOD, 0, newness(job, limits), 0)
    rank = _ENDED if job.state.is_terminal else _OPEN
    graded = limits.grade(job) if job.state in GRADES else job.state
    failed = max(level.failed or 0 for level in job.levels)
    return (rank, _END_BADNESS.get(graded, 0), newness(job, limits), failed)


def is_not_understood(job: BackupJob) -> bool:
    """Tell whether the result of a job is not known, or the start of an ended backup is not known.

    :param job: the job.
    """
    return bool(
        job.problems or job.state is JobState.UNKNOWN or (job.state in GRADES and job.effective_start is None)
    )


def pick_sighting(sightings: Iterable[BackupJob]) -> BackupJob | None:
    """Return the sighting that counts, of one job that was listed several times; see :func:`outcome`.

    :param sightings: all sightings of one job.
    :returns: the sighting; None if there are no sightings.
    """
    return max(sightings, key=lambda job: outcome(job, Limits()), default=None)
