"""A product's rows as JSON bytes, each rendered once."""

from __future__ import annotations

from typing import Any

from .jobs import Facts, Job
from .products.base import Product
from .quirks import Quirks
from .wire import encode, present

_KEPT_ROWS = 300_000


class RowRenderer:
    """Renders and keeps one product's rows, under one set of quirks.

    Kept are up to 300,000 rows of jobs without a life (then it starts anew), and the tails of all facts.
    """

    def __init__(self, product: Product, quirks: Quirks) -> None:
        self._product = product
        self._quirks = quirks
        self._rows: dict[Job, bytes] = {}
        self._tails: dict[Facts, str] = {}

    def forget(self, job: Job) -> None:
        """Drop what is kept of a job that was removed."""
        self._rows.pop(job, None)
        self._tails.pop(job.facts, None)

    def all_fields(self, job: Job) -> dict[str, Any]:
        """Return one row as a mapping, with what is to be omitted."""
        facts = job.facts
        return self._product.head(job, self._quirks) | self._product.tail(facts, self._quirks) | facts.extra

    def fields(self, job: Job) -> dict[str, Any]:
        """Return one row as a mapping."""
        row = present(self.all_fields(job))
        return {name: value for name, value in row.items() if name not in job.facts.omit}

    def rows(self, jobs: list[Job], now: int) -> list[bytes]:
        """Return the rows of *jobs* as they are at *now*."""
        kept = self._rows
        return [kept.get(job) or self._render(job, now) for job in jobs]

    def _render(self, job: Job, now: int) -> bytes:
        if job.life is not None:
            return encode(self.fields(job.at(now))).encode()
        if job.facts.extra or job.facts.omit:
            row = encode(self.fields(job)).encode()
        else:
            head = encode(present(self._product.head(job, self._quirks)))
            row = f"{head[:-1]},{self._tail(job.facts)[1:]}".encode()
        if len(self._rows) >= _KEPT_ROWS:
            self._rows.clear()
        self._rows[job] = row
        return row

    def _tail(self, facts: Facts) -> str:
        tail = self._tails.get(facts)
        if tail is None:
            tail = self._tails[facts] = encode(present(self._product.tail(facts, self._quirks)))
        return tail
