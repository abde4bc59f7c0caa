"""A product's rows as JSON bytes, each rendered once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .jobs import Facts, Job
from .products.base import Product
from .quirks import Quirks
from .wire import encode, present

_KEPT_ROWS = 300_000
_KEPT_TAILS = 10_000


class RowRenderer:
    """Renders one product's rows under one set of quirks, and keeps those of jobs without a life."""

    def __init__(self, product: Product, quirks: Quirks) -> None:
        self._product = product
        self._quirks = quirks
        self._kept_row = lru_cache(_KEPT_ROWS)(self._render)
        self._kept_tail = lru_cache(_KEPT_TAILS)(self._render_tail)

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
        return [self._kept_row(job) if job.life is None else self._render(job.at(now)) for job in jobs]

    def _render(self, job: Job) -> bytes:
        if job.facts.extra or job.facts.omit:
            return encode(self.fields(job)).encode()
        head = encode(present(self._product.head(job, self._quirks)))
        return f"{head[:-1]},{self._kept_tail(job.facts)[1:]}".encode()

    def _render_tail(self, facts: Facts) -> str:
        return encode(present(self._product.tail(facts, self._quirks)))
