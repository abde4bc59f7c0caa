"""Tell whether two readings of one job id are about one run of the job.

The rule stands in words in :mod:`airflow_provider_avepoint.ledger.tables`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, Self, TypeVar

from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.query import shift

_TO_THE_SECOND = len("2026-11-22T05:00:00")
# ISO 8601 writes so that a time has an end and no known begin.
_ENDED_AT = "../"
# A server may show a time with its fraction, cut to the second, or rounded.
_ROUNDING = timedelta(seconds=1)


def write_run_start(start: datetime | None) -> str:
    """Return the start of a run as a key holds the start: in UTC, to the second; empty for none.

    :param start: an aware datetime, or None.
    """
    return "" if start is None else start.astimezone(UTC).isoformat()[:_TO_THE_SECOND]


def name_run(job: BackupJob) -> str:
    """Return what tells the run of a job from other runs of the id, as far as this job says.

    :param job: the job.
    :returns: the start; ``../`` and the finish, if a job that is over has no start; or an empty text.
    """
    start = write_run_start(job.effective_start)
    if start or job.finished_at is None or job.state.is_open:
        return start
    return _ENDED_AT + write_run_start(job.finished_at)


class Reading(NamedTuple):
    """What is known of a run.

    :param name: what tells the run from others, as :func:`name_run` writes it.
    :param has_start: whether the row of the vendor states the start.
    :param finished_at: the finish; None where the row does not state the finish.
    :param has_ended: whether the run is over.
    :param read_at: for a run under way, when it was read last; for an ended one, when that was read first.
    :param is_odd: whether the state or another part of the row is not understood.
    :param is_kept: whether the name is from another, surer reading.
    """

    name: str
    has_start: bool
    finished_at: datetime | None
    has_ended: bool
    read_at: datetime
    is_odd: bool
    is_kept: bool = False

    @classmethod
    def of_job(cls, job: BackupJob, read_at: datetime) -> Self:
        """Return what a job says.

        :param job: the job.
        :param read_at: when the job was read, an aware datetime.
        """
        is_over = job.state.is_terminal or (job.finished_at is not None and not job.state.is_open)
        finish = job.finished_at if is_over else None
        is_odd = bool(job.problems) or not (job.state.is_open or job.state.is_terminal)
        return cls(name_run(job), job.started_at is not None, finish, is_over, read_at, is_odd)

    def under(self, name: str) -> Self:
        """Return the reading under the name of its run, which another reading may have given.

        :param name: the name in the ledger.
        """
        if name == self.name:
            return self
        # The row of a run under way never holds against an end, but an odd row does.
        return self._replace(name=name, has_ended=self.has_ended or self.is_odd, is_kept=True)

    @property
    def sureness(self) -> tuple[bool, bool, bool, bool]:
        """How sure the name is: of an ended run, no plan; a start that a row states, a start, a finish."""
        return (self.has_ended, self.is_fixed, self._is_start, bool(self.name))

    @property
    def is_fixed(self) -> bool:
        """Whether the run has ended and a row has stated the start, so that no other start is of this run."""
        return self.has_ended and self._is_start and (self.has_start or self.is_kept)

    @property
    def moment(self) -> str:
        """The start, else the finish, to the second; empty for neither."""
        return self.name.removeprefix(_ENDED_AT)

    @property
    def _is_start(self) -> bool:
        return bool(self.name) and not self.name.startswith(_ENDED_AT)

    def join(self, other: Self, *, holds: bool) -> Self:
        """Return what both readings of one run say together: the row that holds, under the surer name.

        :param other: the other reading.
        :param holds: whether the row of *other* holds, not of this one.
        """
        holding, passing = (other, self) if holds else (self, other)
        joined = holding._replace(finished_at=holding.finished_at or passing.finished_at)
        if holding.sureness >= passing.sureness:
            return joined
        return joined._replace(name=passing.name, has_ended=passing.has_ended, is_kept=True)

    def is_same_run(self, other: Reading) -> bool:
        """Tell whether both readings, which have different names, are about one run.

        :param other: the other reading of the id; the runs of the two readings are not both fixed.
        """
        if self.has_ended and other.has_ended:
            return self._ends_with(other)
        if not self.has_ended and not other.has_ended:
            return True
        ended, under_way = (self, other) if self.has_ended else (other, self)
        if not under_way.name:
            return True
        if not ended.name:
            return ended.read_at >= under_way.read_at
        return (ended.finish or ended.read_at) > under_way.read_at

    def _ends_with(self, other: Reading) -> bool:
        """Tell whether two ended readings may have the same finish; one of them does not state the start."""
        if self.finish is not None and other.finish is not None:
            return abs(self.finish - other.finish) <= _ROUNDING
        if self._is_start and other._is_start:
            return False
        return self.read_at == other.read_at or (self._is_over_for(other) and other._is_over_for(self))

    def _is_over_for(self, other: Reading) -> bool:
        """Tell whether this run may have ended, if nothing says when, after the times of *other*."""
        return self.finish is not None or other.moment <= write_run_start(self.read_at)

    @property
    def finish(self) -> datetime | None:
        """When the run ended, also where only the name says that; None where nothing does."""
        if self.finished_at is None and self.name.startswith(_ENDED_AT):
            return datetime.fromisoformat(self.moment).replace(tzinfo=UTC)
        return self.finished_at


Run = TypeVar("Run")


class KnownRuns(Generic[Run]):
    """The runs of one id, each with what is known of the run. No two have the same name."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[Reading, Run]] = {}
        # The names of the runs that a reading with another name may be about.
        self._movable: set[str] = set()

    def __iter__(self) -> Iterator[tuple[Reading, Run]]:
        return iter(self._by_name.values())

    def add(self, reading: Reading, run: Run) -> None:
        """Add a run.

        :param reading: what is known of the run; no known run has the same name.
        :param run: the run.
        """
        self._by_name[reading.name] = (reading, run)
        if not reading.is_fixed:
            self._movable.add(reading.name)

    def take(self, reading: Reading) -> tuple[Reading, Run] | None:
        """Remove the run that a reading is about, and return the run with what was known of it.

        :param reading: the reading.
        :returns: None where the reading is about a run that is not known.
        """
        known = self._by_name
        name = next((each for each in self._list_names(reading) if each in known), None)
        if name is None:
            # The run under way before the ended ones, and then the newest.
            others = self._movable if reading.is_fixed else known
            same = [each for each, _ in map(known.__getitem__, others) if reading.is_same_run(each)]
            newest = max(same, key=lambda each: (not each.has_ended, each.moment), default=None)
            name = None if newest is None else newest.name
        if name is None:
            return None
        self._movable.discard(name)
        return known.pop(name)

    @staticmethod
    def _list_names(reading: Reading) -> Iterator[str]:
        """Yield the names that count as the name of *reading*, the closest first."""
        yield reading.name
        if reading.name:
            moment, ending = datetime.fromisoformat(reading.moment), len(reading.moment)
            for by in (-_ROUNDING, _ROUNDING):
                yield reading.name[:-ending] + shift(moment, by).isoformat()[:_TO_THE_SECOND]
