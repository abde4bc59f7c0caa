"""The ledger's database: an Airflow connection leads to it, Alembic migrates it, and writers take turns.

A writer waits until the writer before has finished, across processes and machines. So the rows that a write
compares its jobs with cannot change meanwhile, and two writes of the same jobs in different orders cannot
deadlock. A write is one transaction: it is stored completely or not at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, conf
from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlalchemy import Column, MetaData, String, Table, create_engine, event, func, inspect, select
from sqlalchemy.exc import DataError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import SetColumnComment, SetTableComment

from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointLedgerError,
    AvePointPayloadError,
)
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.ledger.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection, Engine

_log = logging.getLogger(__name__)

#: The revision that this release reads and writes.
REVISION = "0006"
VERSION_TABLE = "avepoint_ledger_version"

_VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))
_DEFAULT_FILE = "avepoint_ledger.db"
# The executors that run every task on the machine of the scheduler.
_LOCAL_EXECUTORS = ("LocalExecutor", "SequentialExecutor", "DebugExecutor")
# The number of the advisory lock, which no other program should use: "AvePoint" in ASCII.
_LOCK = 0x41766550_6F696E74
_SECONDS_TO_WAIT = 300.0
# While the API is read, a connection is idle, and a firewall may close it: test it before use. "future" makes
# SQLAlchemy 1.4 behave like 2.
_ENGINE_OPTIONS: dict[str, Any] = {"pool_pre_ping": True, "future": True}
_WRITES = "avepoint_writes"
#: The execution option of a query that gathers many rows into few.
GATHERS = "avepoint_gathers"
# PostgreSQL's errors where the encoding of the database has no such character.
_ENCODING_ERRORS = ("22021", "22P05")


def open_engine(conn_id: str | None) -> Engine:
    """Return an engine for the ledger's database.

    :param conn_id: an Airflow connection to PostgreSQL or SQLite; None: the one that Airflow's configuration
        names, ``[avepoint] ledger_conn_id``, or else a SQLite file under ``AIRFLOW_HOME``.
    :raises AvePointConfigError: the connection does not exist, or its database cannot hold a ledger.
    :raises AvePointLedgerError: the connection could not be looked up.
    """
    if conn_id is None:
        conn_id = conf.get("avepoint", "ledger_conn_id", fallback=None) or None
    if conn_id is None:
        _warn_of_other_machines()
        engine = create_engine(f"sqlite:///{_default_path()}", **_ENGINE_OPTIONS)
    else:
        engine = _open_connection(conn_id)
    if engine.dialect.name not in ("postgresql", "sqlite"):
        raise AvePointConfigError(
            f"ledger_conn_id: {conn_id!r} is a {engine.dialect.name} database; the ledger needs PostgreSQL "
            "or SQLite."
        )
    if engine.dialect.name == "sqlite":
        if engine.url.database in (None, "", ":memory:"):
            raise AvePointConfigError(
                f"ledger_conn_id: {conn_id!r} names no file; a SQLite database in memory would be gone with "
                "the task. Its host is the file's path."
            )
        _begin_transactions_ourselves(engine)
    if engine.dialect.driver in ("psycopg", "psycopg2"):
        _speak_unicode(engine)
    if engine.dialect.driver == "psycopg":
        _prepare_nothing(engine)
    return engine


def _default_path() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / _DEFAULT_FILE


def _warn_of_other_machines() -> None:
    """Log that other machines do not see a SQLite file, where tasks run on several machines."""
    executors = [each.strip() for each in conf.get("core", "executor", fallback="").split(",")]
    # Airflow sets the variable in each pod of the Kubernetes executor, where the option may say otherwise.
    if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD"):
        executors = ["KubernetesExecutor"]
    distributed = [each for each in executors if each and not each.endswith(_LOCAL_EXECUTORS)]
    if distributed:
        _log.warning(
            "The ledger is a SQLite file (%s), which is for one machine, but %s runs tasks on several: each "
            "has a ledger of its own. Name a connection to PostgreSQL: ledger_conn_id of the task, or "
            "[avepoint] ledger_conn_id in Airflow's configuration.",
            _default_path(),
            ", ".join(distributed),
        )


def _open_connection(conn_id: str) -> Engine:
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AvePointConfigError(
            f"ledger_conn_id: there is no connection {conn_id!r}; add it (Admin > Connections), or leave it "
            "out for a SQLite file under AIRFLOW_HOME."
        ) from None
    except Exception as e:  # noqa: BLE001  # any error of Airflow's API server or of a secrets backend
        raise AvePointLedgerError(
            f"ledger_conn_id: {conn_id!r} could not be looked up: {one_line(e)}"
        ) from None
    try:
        hook: Any = connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as e:  # noqa: BLE001  # a provider that is not installed, or an unknown type
        raise AvePointConfigError(
            f"ledger_conn_id: {conn_id!r}: {one_line(e)}. The ledger needs "
            "apache-airflow-providers-postgres or apache-airflow-providers-sqlite installed on this machine."
        ) from None
    if not isinstance(hook, DbApiHook):
        raise AvePointConfigError(
            f"ledger_conn_id: {conn_id!r} is of type {hook.conn_type!r}, no SQL database; the ledger needs "
            "PostgreSQL or SQLite."
        )
    options = dict(_ENGINE_OPTIONS)
    if isinstance(ignored := getattr(hook, "ignored_extra_options", None), Collection):
        # PostgresHook itself connects with these options (sslmode and others), but leaves them out here.
        extra = connection.extra_dejson
        options["connect_args"] = {name: value for name, value in extra.items() if name not in ignored}
    try:
        return hook.get_sqlalchemy_engine(engine_kwargs=options)
    except (ImportError, NoSuchModuleError) as e:
        raise AvePointConfigError(f"ledger_conn_id: {conn_id!r}: {one_line(e)}") from None
    except Exception as e:  # noqa: BLE001  # the error's text may contain the password
        raise AvePointConfigError(
            f"ledger_conn_id: {conn_id!r}: its fields do not make the address of a database "
            f"({type(e).__name__})."
        ) from None


def _begin_transactions_ourselves(engine: Engine) -> None:
    """Make a write lock the SQLite file when it begins; the driver would lock it at the first change only."""

    @event.listens_for(engine, "connect")
    def leave_transactions_alone(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_SECONDS_TO_WAIT * 1000:.0f}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _speak_unicode(engine: Engine) -> None:
    """Send and read all texts in UTF-8, whatever the encoding of the database: the server converts them.

    In a database with the encoding SQL_ASCII, which converts nothing, the texts are then in UTF-8.
    """

    @event.listens_for(engine, "do_connect")
    def set_encoding(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        options["client_encoding"] = "utf8"


def _prepare_nothing(engine: Engine) -> None:
    """Have PostgreSQL plan each statement for its values and for the current size of the table.

    PgBouncer may also give the next transaction another session, which does not have a prepared statement.
    """

    @event.listens_for(engine, "connect")
    def set_threshold(connection: Any, _record: object) -> None:
        connection.prepare_threshold = None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction as the only writer; it is committed if the block ends without an error.

    :param engine: the engine of :func:`open_engine`.
    :raises AvePointLedgerError: the database failed, or the lock was not free within 300 seconds.
    :raises AvePointPayloadError: the database cannot hold one of the values.
    """
    # In READ COMMITTED each statement sees what was committed before it. So after the statement that waits
    # for the lock, the others see the rows of the writer before.
    with _transaction(engine, "READ COMMITTED", **{_WRITES: True}) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_SECONDS_TO_WAIT:.0f}s'")
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that reads the database as it is at one moment.

    :param engine: the engine of :func:`open_engine`.
    :raises AvePointLedgerError: the database failed.
    """
    with _transaction(engine, "REPEATABLE READ") as connection:
        if engine.dialect.name == "postgresql":
            # In the server's own time zone the last hours of 9999 could be in the year 10000.
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        yield connection


@contextmanager
def _transaction(engine: Engine, isolation_level: str, **options: Any) -> Iterator[Connection]:
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = isolation_level
    with (
        clear_errors(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def clear_errors(engine: Engine) -> Iterator[None]:
    """Turn an error of the database into one of ours, without the statement and its hundred values.

    :param engine: the engine of :func:`open_engine`.
    :raises AvePointLedgerError: the database failed, or holds a row that is not understood.
    :raises AvePointPayloadError: the database cannot hold one of the values.
    """
    try:
        yield
    except (SQLAlchemyError, OverflowError, TypeError, ValueError) as e:
        address = engine.url.set(query={}).render_as_string()
        if isinstance(e, UnicodeError) or _find_code(e) in _ENCODING_ERRORS:
            raise AvePointLedgerError(
                f"The ledger's database cannot hold a text ({address}): {_describe(e)}. Nothing of this step "
                "was written. Move the ledger to a database that is created with ENCODING 'UTF8'."
            ) from None
        if not isinstance(e, (SQLAlchemyError, OverflowError)):
            if engine.dialect.name != "sqlite":
                raise
            raise AvePointLedgerError(
                f"The ledger holds a row that is not understood ({address}): {_describe(e)}. Nothing of this "
                "step was written. Somebody else has put the row there: the report says in which table. "
                "Mend or delete it."
            ) from e
        if isinstance(e, (DataError, OverflowError)) or isinstance(getattr(e, "orig", None), OverflowError):
            raise AvePointPayloadError(
                f"The ledger cannot hold a value that was sent: {_describe(e)}."
            ) from None
        raise AvePointLedgerError(
            f"The ledger's database failed ({address}): {_describe(e)}. Nothing of this step was written."
        ) from None


def _find_code(error: Exception) -> str | None:
    """Return PostgreSQL's code of an error, as psycopg 2 or 3 names the code; None for another error."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _describe(error: Exception) -> str:
    return one_line(getattr(error, "orig", None) or error).rstrip(".")


def migrate(engine: Engine) -> None:
    """Migrate the tables to this release's revision; other workers may do the same at the same time.

    :param engine: the engine of :func:`open_engine`.
    :raises AvePointConfigError: a newer release has migrated the tables.
    """
    with reading(engine) as connection:
        if revision_of(connection) == REVISION:
            return
    from alembic import command
    from alembic.script import ScriptDirectory

    with writing(engine) as connection:
        found = revision_of(connection)  # another worker may have migrated meanwhile
        config = _configure_alembic(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise AvePointConfigError(
                f"The ledger's tables are of revision {found!r}, which a newer airflow-provider-avepoint has "
                f"made (this one knows {REVISION!r}): upgrade the provider on this worker too."
            )
        command.upgrade(config, REVISION)
        if connection.dialect.name == "postgresql":
            _comment(connection)


def _comment(connection: Connection) -> None:
    """Write the comments of the tables and columns into the database."""
    for each in metadata.sorted_tables:
        connection.execute(SetTableComment(each))
        for named in each.columns:
            connection.execute(SetColumnComment(named))


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the tables; None where there is no ledger yet.

    :param connection: a connection of an engine of :func:`open_engine`.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _configure_alembic(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config
