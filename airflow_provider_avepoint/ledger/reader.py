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
    """There is no ledger yet: no file, or no tables.

    :param file: the SQLite file that does not exist; None where the database has no tables.
    """

    def __init__(self, file: str | None = None) -> None:
        what = "the database has no tables of one" if file is None else f"the file {file} does not exist"
        super().__init__(f"There is no ledger yet: {what}.")
        self.file = file


class OtherLedgerError(AvePointLedgerError):
    """The tables are of another release.

    :param is_newer: whether they are of a newer release.
    """

    def __init__(self, *, is_newer: bool) -> None:
        super().__init__("The ledger's tables are of another release.")
        self.is_newer = is_newer


class _Deadline:
    """When the database must have answered; the time in which the caller works does not count."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    @property
    def milliseconds(self) -> int:
        """What is left, at least one."""
        return max(1, int((self._end - time.monotonic()) * 1000))

    def move(self, seconds: float) -> None:
        self._end += seconds


class LedgerReader:
    """A ledger that is only read, and for a limited time.

    :param conn_id: as for :class:`~airflow_provider_avepoint.ledger.store.Ledger`.
    :param seconds: how long the database may take for everything together; then the database ends the query.
    :raises AvePointConfigError: the connection is no such database.
    :raises NoLedgerError: there is no ledger yet.
    :raises OtherLedgerError: the tables are of another release.
    :raises AvePointLedgerError: the database fails, or does not answer in time.
    """

    def __init__(self, conn_id: str | None = None, *, seconds: float) -> None:
        self._deadline = _Deadline(seconds)
        self._engine = open_engine(conn_id)
        try:
            file = self._engine.url.database
            if self._engine.dialect.name == "sqlite" and not Path(file or "").exists():
                raise NoLedgerError(file or "")
            _limit(self._engine, self._deadline)
            found = find_revision(self._engine)
            if found is None:
                raise NoLedgerError
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
            for row in connection.execution_options(stream_results=True).execute(query).mappings():
                begin = time.monotonic()
                yield row
                self._deadline.move(time.monotonic() - begin)


def _limit(engine: Engine, deadline: _Deadline) -> None:
    """Have the database refuse writes, and end each query at the deadline."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def limit_file(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA busy_timeout = {deadline.milliseconds}")
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(lambda: deadline.is_over, _STEPS)

        return

    @event.listens_for(engine, "do_connect")
    def limit_connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        # What the connection's own extra says wins.
        options.setdefault("connect_timeout", max(2, deadline.milliseconds // 1000))
        options.setdefault("tcp_user_timeout", deadline.milliseconds)

    @event.listens_for(engine, "begin")
    def limit_transaction(connection: Connection) -> None:
        # In the transaction alone: behind PgBouncer, the session is somebody else's next.
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {deadline.milliseconds}")
