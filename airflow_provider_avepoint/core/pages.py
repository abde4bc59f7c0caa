"""What the answer to a listing holds: rows, a link to the next page, a total."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import get_key, get_path, is_absent, parse_integer
from airflow_provider_avepoint.core.paging import Page
from airflow_provider_avepoint.core.products.vocabulary import Envelope, Product


class Answer(NamedTuple):
    """What a server has answered.

    :param document: the JSON of the body.
    :param headers: the headers, their names in lower case.
    """

    document: Any
    headers: Mapping[str, str]


def read_rows(product: Product, answer: Answer) -> list[Any]:
    """Return the jobs of *answer*.

    :param product: the product that was asked for.
    :param answer: the answer.
    :raises AvePointPayloadError: it has none where they should be: that is not an empty list.
    """
    return find_rows(product, product.envelope, answer)


def find_rows(product: Product, envelope: Envelope, answer: Answer, *, may_be_null: bool = True) -> list[Any]:
    """Return the rows of *answer* that stand where *envelope* says.

    :param product: the product, for messages.
    :param envelope: where an answer holds what.
    :param answer: the answer.
    :param may_be_null: null stands for an empty list: the vendor's own description marks its lists as
        nullable.
    :raises AvePointPayloadError: as for :func:`read_rows`.
    """
    for *where, key in envelope.rows:
        holder = get_path(answer.document, tuple(where))
        rows = get_key(holder, key, ...) if isinstance(holder, Mapping) else ...
        if rows is None and may_be_null:
            return []
        if isinstance(rows, list):
            return rows
    raise AvePointPayloadError(
        f"{product.label} answered without the list {'.'.join(envelope.rows[0])}; {product.undocumented}."
    )


def read_page(
    envelope: Envelope, answer: Answer, keys: tuple[int, ...], *, asked_size: int, is_last: bool = False
) -> Page:
    """Return what the pager needs of *answer*.

    :param envelope: where an answer holds what.
    :param answer: the answer.
    :param keys: the identity of each row, in order.
    :param asked_size: how many rows were asked for.
    :param is_last: whether what comes after the page was not asked for.
    """
    totals: list[int] = []
    for path in envelope.total:
        with contextlib.suppress(ValueError):  # a total that cannot be read is none
            total = parse_integer(get_path(answer.document, path))
            totals += [] if total is None else [total]
    return Page(
        keys=keys,
        link=find_link(envelope, answer),
        total=max(totals, default=None),
        asked_size=asked_size,
        is_last=is_last,
    )


def find_link(envelope: Envelope, answer: Answer) -> object:
    """Return the next link of *answer* as the server sent it; None where there is none.

    :param envelope: where an answer holds what.
    :param answer: the answer.
    """
    if envelope.link_header is not None:
        link: object = answer.headers.get(envelope.link_header.lower())
    else:
        link = get_path(answer.document, envelope.link)
    return None if is_absent(link) else link
