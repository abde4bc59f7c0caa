"""A job in the simulator's memory: small, exact, and with states by the clock where it has a life.

A million generated jobs share one :class:`Facts`; a :class:`Job` adds its id and times. A job with a
:class:`Life` has three sets of facts and two times. Nothing runs in the background: :meth:`Job.at` returns
the job at a given time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .control_schema import Counts, JobError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Facts:
    """The fields that many jobs can share.

    :param job_type: the product's word.
    :param workload: the product's word; None for none.
    :param organization_id: the organisation's id; None for none.
    :param organization_name: the organisation's name; None for none.
    :param location: the Multi-Geo code; None is the central location.
    :param data_source: google_workspace: the data source.
    :param level: salesforce: the level.
    :param label: the row's free text.
    :param state: the state's word; None for a raw state.
    :param state_code: the number or text by which a state filter finds the job; None where no filter
        finds it.
    :param raw_state: the state as sent; ABSENT for a state with a word.
    :param counts: the object counts; None sends null.
    :param record_counts: the record counts; None sends null.
    :param metadata_counts: salesforce: the counts of metadata items; None sends null.
    :param size_bytes: the size; None sends null.
    :param errors: the job's errors.
    :param duration: the duration as sent; ABSENT for one from the job's times.
    :param extra: fields that are merged into the row, over its own.
    :param omit: fields that are left out of the row.
    """

    job_type: str
    workload: str | None
    organization_id: str | None
    organization_name: str | None
    location: str | None
    data_source: str | None
    level: str | None
    label: str | None
    state: str | None
    state_code: int | str | None
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
    """The facts of a job before its start, while it runs, and after its end.

    :param waiting: the facts before the start.
    :param running: the facts from the start to the end.
    :param ended: the facts after the end.
    """

    waiting: Facts
    running: Facts
    ended: Facts


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One job; times are ticks.

    :param job_id: the job's id.
    :param started: the start, which may be in the future.
    :param finished: the end; None for none. With a life, the future end.
    :param facts: the facts; with a life, those after the end.
    :param life: the facts by time; None for a job of history.
    """

    job_id: str
    started: int
    finished: int | None
    facts: Facts
    life: Life | None = None

    def at(self, now: int) -> Job:
        """Return the job as it is at a time, without a life.

        :param now: the time in ticks.
        """
        if self.life is None:
            return self
        if now < self.started:
            return Job(self.job_id, self.started, None, self.life.waiting)
        if self.finished is not None and now < self.finished:
            return Job(self.job_id, self.started, None, self.life.running)
        return Job(self.job_id, self.started, self.finished, self.life.ended)

    def next_change(self, now: int) -> int | None:
        """Return when a job with a life next changes its state; None if it never will.

        :param now: the time in ticks.
        """
        ahead = (moment for moment in (self.started, self.finished) if moment is not None and now < moment)
        return next(ahead, None)
