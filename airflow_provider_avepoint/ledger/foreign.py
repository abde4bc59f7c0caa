"""Leave out rows that somebody else has put into a SQLite ledger, and that no release has written so.

SQLite keeps whatever is put into a column: a text where a number should be, a date that no calendar has. Such
a row must not end a report. Nothing looks for foreign rows until a report fails: only then each table is
hidden behind a view of the same name with the rows that are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Boolean, Date, event, text

from airflow_provider_avepoint.core.errors import AvePointLedgerError, AvePointPayloadError
from airflow_provider_avepoint.ledger.database import reading
from airflow_provider_avepoint.ledger.tables import REAL_END, Json, Moment, Real, Whole, metadata

if TYPE_CHECKING:
    from sqlalchemy import Column, Table
    from sqlalchemy.engine import Engine

__all__ = ["ForeignRows", "hide_foreign_rows", "read_understood"]

Read = TypeVar("Read")
_FRACTION = "." + 6 * "[0-9]"


class ForeignRows(NamedTuple):
    """Rows of a table that are not understood.

    :param table: the name of the table.
    :param rows: how many.
    """

    table: str
    rows: int


class _Rows(Protocol):
    def hide_foreign_rows(self) -> AbstractContextManager[tuple[ForeignRows, ...]]: ...


def read_understood(
    ledger: _Rows, read: Callable[[], Read], tell: Callable[[Read, tuple[ForeignRows, ...]], Read]
) -> Read:
    """Return what a ledger holds; if a foreign row makes that fail, without the foreign rows.

    :param ledger: the ledger.
    :param read: reads.
    :param tell: adds to what was read that rows were left out.
    :raises AvePointLedgerError: the database fails.
    """
    try:
        return read()
    except (AvePointLedgerError, AvePointPayloadError, TypeError, ValueError, ArithmeticError):
        with ledger.hide_foreign_rows() as found:
            if not found:
                raise
            return tell(read(), found)


@contextmanager
def hide_foreign_rows(engine: Engine) -> Iterator[tuple[ForeignRows, ...]]:
    """Read a SQLite ledger without its foreign rows; yield how many there are, by table.

    Nothing can be written meanwhile. PostgreSQL holds no such rows.

    :param engine: the engine of the ledger.
    :raises AvePointLedgerError: the database fails.
    """
    if engine.dialect.name != "sqlite":
        yield ()
        return
    found = _count(engine)
    event.listen(engine, "connect", _hide)
    engine.dispose()
    try:
        yield found
    finally:
        event.remove(engine, "connect", _hide)
        engine.dispose()


def _count(engine: Engine) -> tuple[ForeignRows, ...]:
    with reading(engine) as connection:
        counts = (
            ForeignRows(table.name, connection.execute(text(_write_count(table))).scalar_one())
            for table in metadata.sorted_tables
        )
        return tuple(each for each in counts if each.rows)


def _hide(connection: Any, _record: object) -> None:
    """Hide the tables of a connection, also of one that may only read."""
    (is_read_only,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute("PRAGMA query_only = OFF")
    for table in metadata.sorted_tables:
        connection.execute(
            f"CREATE TEMP VIEW {table.name} AS "  # noqa: S608  # names of our own
            f"SELECT * FROM main.{table.name} WHERE {_write_condition(table)}"
        )
    connection.execute(f"PRAGMA query_only = {is_read_only}")


def _write_count(table: Table) -> str:
    return f"SELECT count(*) FROM {table.name} WHERE NOT ({_write_condition(table)})"  # noqa: S608


def _write_condition(table: Table) -> str:
    return " AND ".join(f"({_write_check(each)})" for each in table.columns)


def _write_check(column: Column[Any]) -> str:
    """Return the condition, true or false, for a value of a column that is understood."""
    name = column.name
    check = f"typeof({name}) = 'text'"
    if isinstance(column.type, Moment):
        second, fraction = f"substr({name}, 1, 19)", f"substr({name}, 20)"
        check += f" AND {_write_is_date('datetime', second)}"
        check += f" AND ({fraction} = '' OR {fraction} GLOB '{_FRACTION}')"
    elif isinstance(column.type, Date):
        check += f" AND {_write_is_date('date', name)}"
    elif isinstance(column.type, Json):
        check += f" AND json_valid({name})"
    elif isinstance(column.type, Boolean):
        check = f"ifnull({name} IN (0, 1), 0)"
    elif isinstance(column.type, Whole):
        check = f"typeof({name}) = 'integer'"
    elif isinstance(column.type, Real):
        check = f"typeof({name}) IN ('integer', 'real') AND abs({name}) < {REAL_END}"
    return f"{name} IS NULL OR {check}" if column.nullable else f"{name} IS NOT NULL AND {check}"


def _write_is_date(function: str, value: str) -> str:
    # Only a date that is reckoned with becomes one of the calendar: 31 November becomes 1 December.
    return f"{value} > '0001' AND ifnull({function}({value}, '+0 days') = {value}, 0)"
