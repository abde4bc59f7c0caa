"""Grade one backup, and order two backups by age: from state, counts and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.query import CLOCK_SKEW
from airflow_provider_avepoint.core.starts import find_start_range

#: The grades of an ended backup, best first.
GRADES = (JobState.SUCCESS, JobState.PARTIAL, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The share of a backup that may have failed.

    :param accept_partial: a partial backup counts as a success, however much of it failed.
    :param max_failed: a partial backup counts as a success up to this many failed objects.
    :param max_failed_ratio: a partial backup counts as a success up to this share of failed objects, 0 to 1.
    """

    accept_partial: bool = False
    max_failed: int | None = None
    max_failed_ratio: float | None = None

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Return the limits of a policy.

        :param policy: the policy of a gate.
        """
        return cls(
            accept_partial=policy.accept_partial,
            max_failed=policy.max_failed,
            max_failed_ratio=policy.max_failed_ratio,
        )

    def grade(self, job: BackupJob) -> JobState:
        """Grade an ended backup as success, partial or failed.

        State and counts are both read, and the worse of the two holds. A partial backup within the limits is
        a success.

        :param job: a job in one of the states of ``GRADES``.
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
        """Tell whether some level counts objects, and each such level stays within a limit that is given."""
        if self.max_failed is None and self.max_failed_ratio is None:
            return False
        counting = [level for level in levels if level.total != 0 or level.failed]
        for level in counting:
            if not level.total or level.failed is None:
                return False
            failed = level.failed + level.unexplained
            if self.max_failed is not None and failed > self.max_failed:
                return False
            if self.max_failed_ratio is not None and failed / level.total > self.max_failed_ratio:
                return False
        return bool(counting)


def _has_done_nothing(level: Counts) -> bool:
    return bool(level.total) and level.successful is not None and not level.done


_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
_BADNESS = {JobState.SUCCESS: 0, JobState.PARTIAL: 1, JobState.FAILED: 2, JobState.UNKNOWN: 3}
_UNREADABLE_BADNESS = 4


def newness(job: BackupJob, limits: Limits) -> tuple[datetime, int, int]:
    """Return a sort key: a later start is newer; of two equal starts, the worse job is newer.

    "Worse" is first by the grade within *limits*, then by the state itself. A job with an uncertain start
    counts with its latest possible start; a job without any start is the newest.

    :param job: the job to order.
    :param limits: the limits of the policy.
    """
    begun = find_start_range(job)[1] or _FAR_FUTURE
    if job.problems:
        return (begun, _UNREADABLE_BADNESS, _UNREADABLE_BADNESS)
    graded = limits.grade(job) if job.state in GRADES else job.state
    return (begun, _BADNESS.get(graded, -1), _BADNESS.get(job.state, -1))


def may_be_since(job: BackupJob, start: datetime) -> bool:
    """Tell whether a job started, or may have started, at *start* or later.

    :param job: the job; its start may be uncertain.
    :param start: an aware instant.
    """
    begun = find_start_range(job)[1]
    return begun is None or begun >= start


# One time of a row may be cut to whole seconds while another time of the same row is not.
_ROUNDING = timedelta(seconds=1)


def is_askew(job: BackupJob, now: datetime) -> bool:
    """Tell whether a job's times are impossible.

    Impossible are a start in the future (except of a waiting job, whose start is planned), the end of an
    ended job in the future, and an end before the start.

    :param job: the job to check.
    :param now: the time by the API's clock; up to ``CLOCK_SKEW`` ahead is not the future.
    """
    begun, finished, latest = job.effective_start, job.finished_at, now + CLOCK_SKEW
    if begun is not None and begun > latest and job.state is not JobState.WAITING:
        return True
    if finished is None:
        return False
    is_early = begun is not None and finished <= begun - _ROUNDING
    return is_early or (finished > latest and job.state.is_terminal)


# The kinds of sightings, weakest first.
_OPEN, _ENDED, _NOT_UNDERSTOOD, _UNREADABLE = range(4)
_END_BADNESS = {
    JobState.SUCCESS: 0,
    JobState.SKIPPED: 1,
    JobState.STOPPED: 1,
    JobState.PARTIAL: 2,
    JobState.FAILED: 3,
}


def outcome(job: BackupJob, limits: Limits) -> tuple[int, int, tuple[datetime, int, int], int]:
    """Return a sort key for several sightings of one job; the largest one holds.

    A sighting that is not understood beats every other one. An ended job beats an open one. Of two ends, the
    worse holds.

    :param job: one sighting.
    :param limits: the limits of the policy.
    """
    if is_not_understood(job):  # of two such sightings, the newer one holds
        return (_UNREADABLE if job.problems else _NOT_UNDERSTOOD, 0, newness(job, limits), 0)
    rank = _ENDED if job.state.is_terminal else _OPEN
    graded = limits.grade(job) if job.state in GRADES else job.state
    failed = max(level.failed or 0 for level in job.levels)
    return (rank, _END_BADNESS.get(graded, 0), newness(job, limits), failed)


def is_not_understood(job: BackupJob) -> bool:
    """Tell whether nobody knows what a job came to, or when an ended backup started.

    :param job: the job to check.
    """
    return bool(
        job.problems or job.state is JobState.UNKNOWN or (job.state in GRADES and job.effective_start is None)
    )


def pick_sighting(sightings: Iterable[BackupJob]) -> BackupJob | None:
    """Return the sighting that holds, by :func:`outcome` without any limits.

    :param sightings: what several listings said of one job.
    :returns: None where *sightings* is empty.
    """
    return max(sightings, key=lambda job: outcome(job, Limits()), default=None)
