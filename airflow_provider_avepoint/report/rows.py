"""What all queries of the report have in common: a ledger that yields rows, and whose rows are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.ledger.foreign import ForeignRows
from airflow_provider_avepoint.report.backups import Period

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.sql import ColumnElement, Select

#: A scope whose newest backup is older is no longer expected to have any; nor is an older verdict read.
LONG_GONE = timedelta(days=180)


class Rows(Protocol):
    """A ledger, as far as a report reads it."""

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        :param query: a query on the ledger's tables.
        """

    def hide_foreign_rows(self) -> AbstractContextManager[tuple[ForeignRows, ...]]:
        """Leave out rows that are not understood; yield how many there are."""


def find_earliest(period: Period) -> datetime:
    """Return the moment from which on scopes are followed and verdicts are read.

    :param period: the period of the report.
    """
    return min(period.start, shift(period.now, -LONG_GONE))


def of_tenants(table: Table, tenants: tuple[str, ...] | None) -> list[ColumnElement[bool]]:
    """Return the conditions for rows of tenants, and of products that this release knows.

    :param table: a table of the ledger.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    """
    conditions: list[ColumnElement[bool]] = []
    if tenants is not None:
        conditions.append(table.c.tenant.in_(tenants))
    if "product" in table.c:
        conditions.append(table.c.product.in_(PRODUCTS))
    return conditions
