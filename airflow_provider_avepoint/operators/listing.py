"""Count the jobs of a listing while they are read: the summary, and the progress lines of the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from airflow_provider_avepoint.core.model import BackupJob

__all__ = ["Progress", "Summary"]

# A line is logged at this many jobs, at ten times as many and so on, and after this time without a line.
_FIRST_STEP = 10_000
_SECONDS_A_LINE = 30.0


class Summary:
    """Counts by product and state, the newest and oldest start, and the first jobs.

    :param products: the names of the listed products; a product without jobs appears in the counts too.
    :param max_rows: how many jobs are kept as rows.
    """

    def __init__(self, products: Iterable[str], max_rows: int) -> None:
        self.counts: dict[str, Counter[str]] = {product: Counter() for product in products}
        self._max_rows = max_rows
        self._rows: list[dict[str, Any]] = []
        self._newest: datetime | None = None
        self._oldest: datetime | None = None

    def add(self, job: BackupJob) -> None:
        """Count one job.

        :param job: the job; its product must be one of those listed.
        """
        self.counts[job.product][job.state.value] += 1
        if (start := job.started_at) is not None:
            self._newest = start if self._newest is None else max(self._newest, start)
            self._oldest = start if self._oldest is None else min(self._oldest, start)
        if len(self._rows) < self._max_rows:
            self._rows.append(job.as_dict())

    @property
    def states(self) -> Counter[str]:
        """The counts by state, over all products."""
        return sum(self.counts.values(), Counter())

    def as_dict(self) -> dict[str, Any]:
        """Return the summary without the counts by product, ready for JSON."""
        states = self.states
        total = states.total()
        return {
            "total": total,
            "states": dict(states),
            "newest_started_at": self._newest.isoformat() if self._newest else None,
            "oldest_started_at": self._oldest.isoformat() if self._oldest else None,
            "jobs": self._rows,
            "is_truncated": total > len(self._rows),
        }


class Progress:
    """Log the progress of a long listing: at 10,000 jobs, at each tenfold, and every thirty seconds.

    :param log: takes a message and its arguments, as ``Logger.info`` does.
    :param clock: returns seconds.
    """

    def __init__(self, log: Callable[..., object], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._jobs = 0
        self._begun = self._last = clock()
        self._step = _FIRST_STEP

    def add(self, job: BackupJob) -> None:
        """Count one job, and log a line if one is due.

        :param job: the job; its product is named in the line.
        """
        self._jobs += 1
        now = self._clock()
        if self._jobs < self._step and now - self._last < _SECONDS_A_LINE:
            return
        if self._jobs == self._step:
            self._step *= 10
        self._last = now
        rate = self._jobs / max(now - self._begun, 0.001)
        self._log("%s jobs so far, %.0f a second; now at %s.", self._jobs, rate, job.product)
