"""Read a ledger for a page that waits: nothing is written, and the database ends a query that is too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event

from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.ledger.database import REVISION, find_revision, open_engine, reading

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, RowMapping
    from sqlalchemy.sql import Select

# SQLite asks after so many of its steps whether the query may go on: some thousand times a second.
_STEPS = 10_000


class NoLedgerError(AvePointLedgerError):
    """There is no ledger yet: no file, or no tables."""


class OtherLedgerError(AvePointLedgerError):
    """The tables are of another release.

    :param is_newer: whether they are of a newer release.
    """

    def __init__(self, *, is_newer: bool) -> None:
        super().__init__("The ledger's tables are of another release.")
        self.is_newer = is_newer


class LedgerReader:
    """A ledger that is only read, and for a limited time.

    :param conn_id: as for :class:`~airflow_provider_avepoint.ledger.store.Ledger`.
    :param seconds: how long everything may take together; the database ends a query that takes longer.
    :raises AvePointConfigError: the connection is no such database.
    :raises NoLedgerError: there is no ledger yet.
    :raises OtherLedgerError: the tables are of another release.
    :raises AvePointLedgerError: the database fails, or does not answer in time.
    """

    def __init__(self, conn_id: str | None = None, *, seconds: float) -> None:
        self._engine = open_engine(conn_id)
        try:
            file = self._engine.url.database
            if self._engine.dialect.name == "sqlite" and not Path(file or "").exists():
                raise NoLedgerError("There is no file of this name.")
            _limit(self._engine, time.monotonic() + seconds)
            found = find_revision(self._engine)
            if found is None:
                raise NoLedgerError("The database has no tables of a ledger.")
            if found != REVISION:
                raise OtherLedgerError(is_newer=found > REVISION)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        :param query: a query on :mod:`~airflow_provider_avepoint.ledger.tables`.
        :raises AvePointLedgerError: the database fails, or does not answer in time.
        """
        with reading(self._engine) as connection:
            yield from connection.execution_options(stream_results=True).execute(query).mappings()


def _limit(engine: Engine, deadline: float) -> None:
    """Have the database refuse writes, and end each query at *deadline*, a time of ``time.monotonic``."""

    def left() -> int:
        return max(1, int((deadline - time.monotonic()) * 1000))

    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def limit_file(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA busy_timeout = {left()}")
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)

        return

    @event.listens_for(engine, "do_connect")
    def limit_connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        # What the connection's own extra says wins.
        options.setdefault("connect_timeout", max(2, left() // 1000))
        options.setdefault("tcp_user_timeout", left())

    @event.listens_for(engine, "begin")
    def limit_transaction(connection: Connection) -> None:
        # In the transaction alone: behind PgBouncer, the session is somebody else's next.
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {left()}")
