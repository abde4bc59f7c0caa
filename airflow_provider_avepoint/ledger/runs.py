"""Tell whether two readings of one job id are about one run of the job.

The rule stands in words in :mod:`airflow_provider_avepoint.ledger.tables`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, Self, TypeVar

from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.query import shift

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

    @property
    def is_fixed(self) -> bool:
        """Whether the run has ended and states its start, so that the start is final."""
        return self.has_ended and self.states_start

    def is_same_run(self, other: Reading) -> bool:
        """Tell whether both readings, which have different starts, are about one run.

        :param other: the other reading of the id; the runs of the two readings are not both fixed.
        """
        if self.has_ended and other.has_ended:
            return self._ends_with(other)
        if not self.has_ended and not other.has_ended:
            return True
        ended, under_way = (self, other) if self.has_ended else (other, self)
        return not under_way.run_start or (ended.finished_at or ended.read_at) > under_way.read_at

    def _ends_with(self, other: Reading) -> bool:
        """Tell whether two ended readings may have the same finish; one of them does not state the start."""
        if self.finished_at is None or other.finished_at is None:
            return True
        return abs(self.finished_at - other.finished_at) <= _ROUNDING


Run = TypeVar("Run")


class KnownRuns(Generic[Run]):
    """The runs of one id, each with the reading that tells the run."""

    def __init__(self) -> None:
        self._by_start: dict[str, tuple[Reading, Run]] = {}
        # The starts of the runs that a reading with another start may be about.
        self._movable: set[str] = set()

    def __iter__(self) -> Iterator[Run]:
        return iter([run for _, run in self._by_start.values()])

    def add(self, reading: Reading, run: Run) -> None:
        """Add a run.

        :param reading: what is known of the run; no known run has the same start.
        :param run: the run.
        """
        self._by_start[reading.run_start] = (reading, run)
        if not reading.is_fixed:
            self._movable.add(reading.run_start)

    def take(self, reading: Reading) -> tuple[Reading, Run] | None:
        """Remove the run that a reading is about, and return the run with what was known of it.

        :param reading: the reading.
        :returns: None where the reading is about a run that is not known.
        """
        known = self._by_start
        start = next((each for each in self._list_starts(reading) if each in known), None)
        if start is None:
            # The run under way before the ended ones, and then the newest.
            others = self._movable if reading.is_fixed else known
            same = [each for each, _ in map(known.__getitem__, others) if reading.is_same_run(each)]
            newest = max(same, key=lambda each: (not each.has_ended, each.run_start), default=None)
            start = None if newest is None else newest.run_start
        if start is None:
            return None
        self._movable.discard(start)
        return known.pop(start)

    @staticmethod
    def _list_starts(reading: Reading) -> Iterator[str]:
        """Yield the starts that count as the start of *reading*, the closest first."""
        yield reading.run_start
        if reading.run_start:
            start = datetime.fromisoformat(reading.run_start)
            for by in (-_ROUNDING, _ROUNDING):
                yield shift(start, by).isoformat()[:_TO_THE_SECOND]
