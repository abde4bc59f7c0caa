"""A job as the simulator keeps it: lean, exact, and alive where its life is told by the clock.

What a million generated jobs have in common stands once, in :class:`Facts`; a :class:`Job` adds id and times.
A job with a :class:`Life` is three sets of facts and two moments: nothing runs in the background,
:meth:`Job.at` says what it is at a given time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .control_schema import Counts, JobError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Facts:
    """What many jobs can share. *state* is None for a raw state; filters ask for *state_code*."""

    job_type: str
    workload: str | None
    organization_id: str | None
    organization_name: str | None
    location: str | None
    data_source: str | None
    level: str | None
    label: str | None
    state: str | None
    state_code: int | None
    raw_state: Any
    counts: Counts | None
    record_counts: Counts | None
    metadata_counts: Counts | None
    size_bytes: int | None
    errors: tuple[JobError, ...]
    duration: Any
    extra: dict[str, Any]
    omit: tuple[str, ...]


class Life(NamedTuple):
    """The facts of a job before its start, while it runs, and after its end."""

    waiting: Facts
    running: Facts
    ended: Facts


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One job; times are ticks. With a life, *finished* is when it will end and *facts* are how."""

    job_id: str
    started: int
    finished: int | None
    facts: Facts
    life: Life | None = None

    def at(self, now: int) -> Job:
        """Return the job as it is at *now*, without a life."""
        if self.life is None:
            return self
        if now < self.started:
            return Job(self.job_id, self.started, None, self.life.waiting)
        if self.finished is not None and now < self.finished:
            return Job(self.job_id, self.started, None, self.life.running)
        return Job(self.job_id, self.started, self.finished, self.life.ended)

    def next_change(self, now: int) -> int | None:
        """Return when a job with a life next becomes something else, or None if it never will."""
        ahead = (moment for moment in (self.started, self.finished) if moment is not None and now < moment)
        return next(ahead, None)
