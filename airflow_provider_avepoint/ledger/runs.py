"""Tell whether two readings of one job id are about one run of the job.

The rule stands in words in :mod:`airflow_provider_avepoint.ledger.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self, TypeVar

from airflow_provider_avepoint.core.model import BackupJob

_TO_THE_SECOND = len("2026-11-22T05:00:00")
# A server may show a time with its fraction, cut to the second, or rounded.
_ROUNDING = timedelta(seconds=1)


def write_run_start(start: datetime | None) -> str:
    """Return the start of a run as a key holds the start: in UTC, to the second; empty for none.

    :param start: an aware datetime, or None.
    """
    return "" if start is None else start.astimezone(UTC).isoformat()[:_TO_THE_SECOND]


class Reading(NamedTuple):
    """What a reading of a job says about the run.

    :param run_start: the start, as :func:`write_run_start` writes the start.
    :param states_start: whether the row of the vendor states the start; else the start is an ended run's
        finish less its duration.
    :param finished_at: the finish; None where the row does not state the finish.
    :param has_ended: whether the state is terminal.
    :param read_at: when the job was read.
    """

    run_start: str
    states_start: bool
    finished_at: datetime | None
    has_ended: bool
    read_at: datetime

    @classmethod
    def of_job(cls, job: BackupJob, read_at: datetime) -> Self:
        """Return what a job says.

        :param job: the job.
        :param read_at: when the job was read, an aware datetime.
        """
        return cls(
            run_start=write_run_start(job.effective_start),
            states_start=job.started_at is not None,
            finished_at=job.finished_at,
            has_ended=job.state.is_terminal,
            read_at=read_at,
        )

    @classmethod
    def of_row(cls, row: Mapping[Any, Any], read_at: datetime | None = None) -> Self:
        """Return what a row of the table of jobs says.

        :param row: the row, by column name.
        :param read_at: when the job was read last; the row's own time unless given.
        """
        return cls(
            run_start=row["run_start"],
            states_start=row["started_at"] is not None,
            finished_at=row["finished_at"],
            has_ended=row["is_terminal"],
            read_at=read_at or row["read_at"],
        )

    def is_same_run(self, other: Reading) -> bool:
        """Tell whether both readings of the id are about one run.

        :param other: the other reading.
        """
        if self.starts_with(other):
            return True
        if self.has_ended and other.has_ended:
            return self._ends_with(other)
        if not self.has_ended and not other.has_ended:
            return True
        ended, under_way = (self, other) if self.has_ended else (other, self)
        return not under_way.run_start or (ended.finished_at or ended.read_at) > under_way.read_at

    def starts_with(self, other: Reading) -> bool:
        """Tell whether both readings have the same start, or no start.

        :param other: the other reading.
        """
        if not self.run_start or not other.run_start:
            return self.run_start == other.run_start
        starts = [datetime.fromisoformat(each.run_start) for each in (self, other)]
        return abs(starts[0] - starts[1]) <= _ROUNDING

    def _ends_with(self, other: Reading) -> bool:
        """Tell whether two ended readings may have the same finish; one of them does not state the start."""
        if self.states_start and other.states_start:
            return False
        if self.finished_at is None or other.finished_at is None:
            return True
        return abs(self.finished_at - other.finished_at) <= _ROUNDING


Run = TypeVar("Run")


def find_run(reading: Reading, known: Iterable[tuple[Reading, Run]]) -> Run | None:
    """Return the known run that a reading is about; None where the reading is about another run.

    :param reading: the reading.
    :param known: the runs of the same id, each with a reading of it.
    """
    candidates = [(each, run) for each, run in known if reading.is_same_run(each)]
    if not candidates:
        return None

    def closeness(candidate: tuple[Reading, Run]) -> tuple[bool, bool, bool, str]:
        """Order by the start, then the run under way before the ended ones, then the newest."""
        each = candidate[0]
        return (
            each.run_start == reading.run_start,
            each.starts_with(reading),
            not each.has_ended,
            each.run_start,
        )

    return max(candidates, key=closeness)[1]
