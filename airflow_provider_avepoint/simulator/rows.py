"""Render a product's rows as JSON bytes; the parts that jobs share are rendered once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .encoding import encode, present
from .jobs import Facts, Job
from .products.base import Product
from .quirks import Quirks

# A million heads, which benchmarks list repeatedly, take about 350 MB.
_KEPT_HEADS = 1_100_000
_KEPT_TAILS = 10_000


class RowRenderer:
    """Renders one product's rows under one set of quirks, and caches their parts.

    :param product: the product.
    :param quirks: the quirks.
    """

    def __init__(self, product: Product, quirks: Quirks) -> None:
        self._product = product
        self._quirks = quirks
        self._kept_head = lru_cache(_KEPT_HEADS)(self._render_head)
        self._kept_tail = lru_cache(_KEPT_TAILS)(self._render_tail)

    def all_fields(self, job: Job) -> dict[str, Any]:
        """Return a row as a mapping, with the fields that are to be omitted.

        :param job: the job, without a life.
        """
        facts, quirks = job.facts, self._quirks
        own = self._product.head(job, quirks) | self._product.tail(facts, quirks)
        return own | quirks.row_extra | facts.extra

    def fields(self, job: Job) -> dict[str, Any]:
        """Return a row as a mapping.

        :param job: the job, without a life.
        """
        row, facts = present(self.all_fields(job)), job.facts
        omitted = (set(self._quirks.row_omit) - facts.extra.keys()).union(facts.omit)
        return {name: value for name, value in row.items() if name not in omitted}

    def rows(self, jobs: list[Job], now: int) -> list[bytes]:
        """Return the rows of jobs as JSON bytes.

        :param jobs: the jobs.
        :param now: the server's time in ticks.
        """
        head, tail = self._kept_head, self._kept_tail
        is_patched = bool(self._quirks.row_extra or self._quirks.row_omit)
        return [
            self._render(job.at(now))
            if is_patched or job.life is not None or job.facts.extra or job.facts.omit
            else head(job) + tail(job.facts)
            for job in jobs
        ]

    def _render(self, job: Job) -> bytes:
        return encode(self.fields(job)).encode()

    def _render_head(self, job: Job) -> bytes:
        return encode(present(self._product.head(job, self._quirks)))[:-1].encode() + b","

    def _render_tail(self, facts: Facts) -> bytes:
        return encode(present(self._product.tail(facts, self._quirks)))[1:].encode()
