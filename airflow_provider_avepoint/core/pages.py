"""What the answer to a listing holds: rows, a link to the next page, a total."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import get_key, get_path, is_absent, parse_integer
from airflow_provider_avepoint.core.paging import Page
from airflow_provider_avepoint.core.products.vocabulary import Envelope, Product


def read_rows(product: Product, document: Any) -> list[Any]:
    """Return the jobs of an answer.

    :raises AvePointPayloadError: it has none where they should be: that is not an empty list.
    """
    return find_rows(product, product.envelope, document)


def find_rows(product: Product, envelope: Envelope, document: Any) -> list[Any]:
    """Return the rows of an answer that stand where *envelope* says.

    :param document: the answer's JSON.
    :raises AvePointPayloadError: as for :func:`read_rows`.
    """
    for *where, key in envelope.rows:
        holder = get_path(document, tuple(where))
        rows = get_key(holder, key, ...) if isinstance(holder, Mapping) else ...
        if rows is None:  # the vendor's own description marks its lists as nullable
            return []
        if isinstance(rows, list):
            return rows
    raise AvePointPayloadError(
        f"{product.label} answered without the list {'.'.join(envelope.rows[0])}; {product.undocumented}."
    )


def read_page(
    envelope: Envelope, document: Any, keys: tuple[int, ...], *, asked_size: int, is_last: bool = False
) -> Page:
    """Return what the pager needs of an answer.

    :param keys: the identity of each row, in order.
    :param asked_size: how many rows were asked for.
    :param is_last: whether what comes after the page was not asked for.
    """
    totals: list[int] = []
    for path in envelope.total:
        with contextlib.suppress(ValueError):  # a total that cannot be read is none
            total = parse_integer(get_path(document, path))
            totals += [] if total is None else [total]
    link = get_path(document, envelope.link)
    return Page(
        keys=keys,
        link=None if is_absent(link) else link,
        total=max(totals, default=None),
        asked_size=asked_size,
        is_last=is_last,
    )
