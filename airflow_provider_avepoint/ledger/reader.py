"""Read a ledger for a page that waits: nothing is written, and the database ends a query that is too long."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event

from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.ledger.database import (
    GATHERS,
    REVISION,
    clear_errors,
    open_engine,
    reading,
    revision_of,
)
from airflow_provider_avepoint.ledger.foreign import ForeignRows, hide_foreign_rows

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, RowMapping
    from sqlalchemy.sql import Select

# SQLite asks after so many of its steps whether the query may go on: some thousand times a second.
_STEPS = 10_000
# The database ends a query at the deadline; so much later, nobody waits for it any more.
_GRACE = 0.5


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


class SlowLedgerError(AvePointLedgerError):
    """The database did not answer in time.

    :param seconds: how long the database had.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The ledger's database did not answer within {seconds:g} seconds.")


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


class _Watch:
    """Shuts the sockets of connections that still wait some time after the deadline.

    A database that stalls, or a proxy that loses a connection, never hears the timeout of a statement: the
    reader's thread would wait for ever.
    """

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline
        self._is_closed = threading.Event()
        self._sockets: list[socket.socket] = []

    def add(self, connection: Any) -> None:
        if not hasattr(connection, "fileno"):
            return
        # A number of our own: the connection's number may be another socket's by then.
        self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
        if len(self._sockets) == 1:
            threading.Thread(target=self._run, name="avepoint-ledger-watch", daemon=True).start()

    def close(self) -> None:
        self._is_closed.set()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        while not self._is_closed.wait(self._deadline.milliseconds / 1000 + _GRACE):
            if self._deadline.is_over:
                for each in list(self._sockets):
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
                return


class LedgerReader:
    """A ledger that is only read, as it is at one moment, and for a limited time.

    :param conn_id: as for :class:`~airflow_provider_avepoint.ledger.store.Ledger`.
    :param seconds: how long the database may take for everything together; then the database ends the query.
    :raises AvePointConfigError: the connection is no such database.
    :raises NoLedgerError: there is no ledger yet.
    :raises OtherLedgerError: the tables are of another release.
    :raises SlowLedgerError: the database does not answer in time.
    :raises AvePointLedgerError: the database fails.
    """

    def __init__(self, conn_id: str | None = None, *, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = _Deadline(seconds)
        self._watch = _Watch(self._deadline)
        self._engine = open_engine(conn_id)
        self._transaction = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self._say_slow():
            file = self._engine.url.database
            if self._engine.dialect.name == "sqlite" and not Path(file or "").exists():
                raise NoLedgerError(file or "")
            _limit(self._engine, self._deadline, self._watch)
            self._begin()
            with clear_errors(self._engine):
                found = revision_of(self._connection)
            if found is None:
                raise NoLedgerError
            if found != REVISION:
                raise OtherLedgerError(is_newer=found > REVISION)

    def _begin(self) -> None:
        self._transaction.close()
        self._connection = self._transaction.enter_context(reading(self._engine))

    def close(self) -> None:
        """Close the connections to the database."""
        with suppress(AvePointLedgerError):  # a lost connection cannot end its transaction
            self._transaction.close()
        self._watch.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        :param query: a query on :mod:`~airflow_provider_avepoint.ledger.tables`.
        :raises SlowLedgerError: the database does not answer in time.
        :raises AvePointLedgerError: the database fails.
        """
        with self._say_slow(), clear_errors(self._engine):
            if self._engine.dialect.name == "postgresql":
                # The planner takes the conditions on starts for rare: it would sort what it can hash.
                sort = "off" if query.get_execution_options().get(GATHERS) else "on"
                self._connection.exec_driver_sql(
                    f"SET LOCAL statement_timeout = {self._deadline.milliseconds}; "
                    f"SET LOCAL enable_sort = {sort}"
                )
            result = self._connection.execute(query, execution_options={"stream_results": True})
            try:
                for row in result.mappings():
                    begin = time.monotonic()
                    yield row
                    self._deadline.move(time.monotonic() - begin)
            finally:
                result.close()

    @contextmanager
    def hide_foreign_rows(self) -> Iterator[tuple[ForeignRows, ...]]:
        """Read, of another moment, without rows that are not understood: see :mod:`.foreign`.

        :raises SlowLedgerError: the database does not answer in time.
        :raises AvePointLedgerError: the database fails.
        """
        with self._say_slow(), hide_foreign_rows(self._engine) as found:
            if not found:
                yield found
                return
            self._begin()
            yield found
            self._transaction.close()
        self._begin()

    @contextmanager
    def _say_slow(self) -> Iterator[None]:
        try:
            yield
        except AvePointLedgerError:
            if self._deadline.is_over:
                raise SlowLedgerError(self._seconds) from None
            raise


def _limit(engine: Engine, deadline: _Deadline, watch: _Watch) -> None:
    """Have the database refuse writes, and end each query at the deadline."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def limit_file(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA busy_timeout = {deadline.milliseconds}")
            connection.execute("PRAGMA query_only = ON")
            # In KiB: what one query has read and sorted serves the next.
            connection.execute("PRAGMA cache_size = -32768")
            connection.set_progress_handler(lambda: deadline.is_over, _STEPS)

        return

    @event.listens_for(engine, "do_connect")
    def limit_connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        ours = {
            "connect_timeout": max(2, deadline.milliseconds // 1000),
            "tcp_user_timeout": deadline.milliseconds,
        }
        for name, most in ours.items():
            # The connection's own extra may ask for less than ours; 0 is no limit.
            asked = str(options.get(name) or most)
            options[name] = min(int(asked), most) if asked.isdecimal() else most

    @event.listens_for(engine, "connect")
    def watch_connection(connection: Any, _record: object) -> None:
        watch.add(connection)

    @event.listens_for(engine, "begin")
    def limit_transaction(connection: Connection) -> None:
        # In the transaction alone: behind PgBouncer, the session is somebody else's next. The planner would
        # compile what it runs once, and take the first rows of a cursor for all that is asked for.
        connection.exec_driver_sql(
            f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {deadline.milliseconds}; "
            "SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1"
        )
