"""What a listing comes to while its jobs stream by: the summary, and lines of progress."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from airflow_provider_avepoint.core.model import BackupJob

__all__ = ["Progress", "Summary"]

# A line at this many jobs and at each tenfold, and whenever so many seconds have passed without one.
_FIRST_STEP = 10_000
_SECONDS_A_LINE = 30.0


class Summary:
    """Counts by product and state, the newest and oldest start, and the first jobs.

    :param products: those listed; one without a job counts too.
    :param max_rows: how many jobs are kept.
    """

    def __init__(self, products: Iterable[str], max_rows: int) -> None:
        self.counts: dict[str, Counter[str]] = {product: Counter() for product in products}
        self._max_rows = max_rows
        self._rows: list[dict[str, Any]] = []
        self._newest: datetime | None = None
        self._oldest: datetime | None = None

    def add(self, job: BackupJob) -> None:
        """Count *job*."""
        self.counts[job.product][job.state.value] += 1
        if (start := job.started_at) is not None:
            self._newest = start if self._newest is None else max(self._newest, start)
            self._oldest = start if self._oldest is None else min(self._oldest, start)
        if len(self._rows) < self._max_rows:
            self._rows.append(job.as_dict())

    @property
    def states(self) -> Counter[str]:
        """Counts by state, of all products."""
        return sum(self.counts.values(), Counter())

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the counts by product, ready for JSON."""
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
    """Logs how far a long listing is: at 10,000 jobs, at each tenfold, and every thirty seconds.

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
        """Count *job*, and log where a line is due."""
        self._jobs += 1
        now = self._clock()
        if self._jobs < self._step and now - self._last < _SECONDS_A_LINE:
            return
        if self._jobs == self._step:
            self._step *= 10
        self._last = now
        rate = self._jobs / max(now - self._begun, 0.001)
        self._log("%s jobs so far, %.0f a second; now at %s.", self._jobs, rate, job.product)
