"""A ledger that cannot be had, or that fails: what is said, without a password, and nothing half written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook
from sqlalchemy import create_engine, func, select, table, text

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointError,
    AvePointLedgerError,
)
from airflow_provider_avepoint.ledger import database as ledger_database
from airflow_provider_avepoint.ledger.database import writing
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import JOBS
from demo.postgres import Postgres
from demo.stack import free_port
from tests.ledger.databases import CONN_ID, NOON, Database, engine, execute, make_job
from tests.ledger.processes import Child, load, save_with_room_for
from tests.versions import needs_airflow

SECRET = "hunter2-hunter2"  # what no message shows
NOWHERE = {"conn_type": "postgres", "host": "127.0.0.1", "login": "u", "password": SECRET, "schema": "db"}


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """Return a server that may come to harm."""
    with Postgres() as server:
        yield server


def fail(error: type[AvePointError]) -> str:
    """Return what is said by a ledger that cannot be opened."""
    with pytest.raises(error) as caught:
        Ledger(CONN_ID)
    assert type(caught.value) is error
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (None, "there is no connection 'ledger'"),
        ({"conn_type": "http", "host": "h", "password": SECRET}, "is of type 'http', no SQL database"),
        ({"conn_type": "nobodys", "host": "h", "password": SECRET}, "apache-airflow-providers-postgres"),
        ({"conn_type": "sqlite"}, "names no file"),
        ({"conn_type": "sqlite", "host": ":memory:"}, "names no file"),
        (NOWHERE | {"extra": {"sqlalchemy_scheme": "postgresql+nobodys"}}, "nobodys"),
        (NOWHERE | {"extra": {"sqlalchemy_scheme": "mysql"}}, "do not make the address of a database"),
        (NOWHERE | {"extra": {"sqlalchemy_query": "x"}}, "do not make the address of a database"),
    ],
    ids=[
        "missing",
        "http",
        "unknown type",
        "no file",
        "memory",
        "unknown driver",
        "unknown scheme",
        "unusable extra",
    ],
)
def test_a_connection_that_cannot_be_used_is_said(
    define: Callable[..., str], connection: dict[str, Any] | None, said: str
) -> None:
    if connection is not None:
        define(CONN_ID, connection)

    message = fail(AvePointConfigError)

    assert message.startswith("ledger_conn_id: ")
    assert said in message


def test_another_database_is_refused(define: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever hook leads to it; here PostgreSQL's, which is told to return another engine."""
    define(CONN_ID, NOWHERE)
    hook = type(BaseHook.get_connection(CONN_ID).get_hook())
    other = create_engine("sqlite://")
    monkeypatch.setattr(other.dialect, "name", "mysql")
    monkeypatch.setattr(hook, "get_sqlalchemy_engine", lambda _hook, engine_kwargs: other)

    assert fail(AvePointConfigError) == (
        "ledger_conn_id: 'ledger' is a mysql database; the ledger needs PostgreSQL or SQLite."
    )


def test_a_connection_that_cannot_be_looked_up_may_be_there_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(_conn_id: str) -> None:
        raise ConnectionError("The API server is away")

    monkeypatch.setattr(BaseHook, "get_connection", look_up)

    assert fail(AvePointLedgerError) == (
        "ledger_conn_id: 'ledger' could not be looked up: The API server is away"
    )


def test_a_server_that_nobody_runs_is_said(define: Callable[..., str]) -> None:
    define(CONN_ID, NOWHERE | {"port": free_port()})

    message = fail(AvePointLedgerError)

    assert "The ledger's database failed (postgresql" in message
    assert "refused" in message


def test_a_directory_that_is_not_there_is_said(define: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "ledger.db"
    define(CONN_ID, {"conn_type": "sqlite", "host": str(path)})

    message = fail(AvePointLedgerError)

    assert f"sqlite:///{path}" in message
    assert "unable to open database file" in message
    assert not path.parent.exists()


def test_a_file_that_is_no_database_is_said_and_left_alone(
    define: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("My diary. " * 100)
    define(CONN_ID, {"conn_type": "sqlite", "host": str(path)})

    assert "not a database" in fail(AvePointLedgerError)
    assert path.read_text() == "My diary. " * 100


def test_without_a_connection_the_ledger_is_a_file_under_airflow_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))

    with Ledger() as ledger:
        ledger.save_jobs("t", [make_job()], NOON)

    assert [path.name for path in tmp_path.iterdir()] == ["avepoint_ledger.db"]


def test_without_a_connection_the_configuration_names_the_ledger(
    monkeypatch: pytest.MonkeyPatch, define: Callable[..., str], tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__AVEPOINT__LEDGER_CONN_ID", "of_all")
    define("of_all", {"conn_type": "sqlite", "host": str(tmp_path / "shared.db")})

    with Ledger() as ledger:
        ledger.save_jobs("t", [make_job()], NOON)

    assert [path.name for path in tmp_path.iterdir()] == ["shared.db"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}, None),
        ({"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}, "CeleryExecutor"),
        ({"AIRFLOW__CORE__EXECUTOR": "LocalExecutor,my.own.EdgeExecutor"}, "my.own.EdgeExecutor"),
        (
            {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW_IS_K8S_EXECUTOR_POD": "True"},
            "KubernetesExecutor",
        ),
    ],
)
def test_a_file_is_said_to_be_for_one_machine(
    variables: dict[str, str],
    named: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    for name, value in {"AIRFLOW_HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)

    with Ledger():
        pass

    said = [record.getMessage() for record in caplog.records if "one machine" in record.getMessage()]
    assert [named in each for each in said] == ([] if named is None else [True])


def test_a_database_that_is_not_there_is_said(postgres: Postgres, define: Callable[..., str]) -> None:
    define(CONN_ID, postgres.connection(database="nowhere"))

    assert '"nowhere" does not exist' in fail(AvePointLedgerError)


def test_a_wrong_password_is_said_without_it(own_postgres: Postgres, define: Callable[..., str]) -> None:
    define(CONN_ID, own_postgres.connection())
    execute("CREATE ROLE guarded LOGIN PASSWORD 'another'")
    rules = Path(*execute("SHOW hba_file"))
    rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    execute("SELECT pg_reload_conf()")
    define(CONN_ID, own_postgres.connection() | {"login": "guarded", "password": SECRET})

    assert 'password authentication failed for user "guarded"' in fail(AvePointLedgerError)


@pytest.fixture
def reader(postgres_database: Database, define: Callable[..., str]) -> Iterator[dict[str, Any]]:
    """Return a connection of somebody who may read what the others write, and no more."""
    execute("CREATE ROLE reader LOGIN")
    execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader")
    yield postgres_database.connection | {"login": "reader"}
    define(CONN_ID, postgres_database.connection)
    execute("DROP OWNED BY reader")
    execute("DROP ROLE reader")


def test_who_may_not_create_tables_is_told(
    reader: dict[str, Any], postgres_database: Database, define: Callable[..., str]
) -> None:
    define(CONN_ID, reader)

    message = fail(AvePointLedgerError)

    assert "permission denied for schema public" in message
    define(CONN_ID, postgres_database.connection)
    assert postgres_database.tables() == set()


def test_who_may_only_read_can_read(
    reader: dict[str, Any], postgres_database: Database, define: Callable[..., str]
) -> None:
    """Such as the report."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)
    define(CONN_ID, reader)

    with Ledger(CONN_ID) as ledger:
        assert list(ledger.iter_rows(select(JOBS.c.job_id))) == [{"job_id": "J1"}]
        with pytest.raises(AvePointLedgerError, match="permission denied"):
            ledger.save_jobs("t", [make_job("J2")], NOON)


@pytest.mark.parametrize(
    "driver",
    [
        pytest.param(
            "postgresql+psycopg", marks=needs_airflow("3.1", "its SQLAlchemy 1.4 does not know psycopg 3")
        ),
        "postgresql+psycopg2",
    ],
)
def test_either_driver_will_do(postgres_database: Database, define: Callable[..., str], driver: str) -> None:
    define(CONN_ID, postgres_database.connection | {"extra": {"sqlalchemy_scheme": driver}})
    with engine() as opened:
        assert opened.url.drivername == driver
    jobs = [make_job(f"J{number}", raw={"text": "100 % \N{FIRE} :x %(y)s"}) for number in range(3)]

    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", jobs, NOON)
        assert ledger.save_jobs("t", jobs, NOON) == (0, 0, 3)

    assert [row["job_id"] for row in postgres_database.rows(JOBS)] == ["J0", "J1", "J2"]


def test_no_session_is_relied_on(postgres_database: Database) -> None:
    """PgBouncer gives each transaction another: nothing is prepared in one and used in the next."""
    with Ledger(CONN_ID) as ledger:
        for number in range(12):
            ledger.save_jobs("t", [make_job(f"J{number}")], NOON)
        prepared = select(func.count()).select_from(table("pg_prepared_statements"))

        assert list(ledger.iter_rows(prepared)) == [{"count_1": 0}]


def test_a_connection_s_extras_hold_for_the_ledger(
    postgres_database: Database, define: Callable[..., str]
) -> None:
    """Such as a schema of one's own, or that TLS is a must (the server here has none)."""
    execute("CREATE SCHEMA own")
    define(CONN_ID, postgres_database.connection | {"extra": {"options": "-c search_path=own"}})
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)
    assert [row["job_id"] for row in postgres_database.rows(JOBS)] == ["J1"]
    define(CONN_ID, postgres_database.connection)
    assert postgres_database.tables() == set()

    define(CONN_ID, postgres_database.connection | {"extra": {"sslmode": "require"}})
    assert "SSL" in fail(AvePointLedgerError)


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_the_database_s_own_isolation_is_of_no_account(
    postgres_database: Database, define: Callable[..., str], isolation: str
) -> None:
    """Whoever waited for another's write sees it."""
    Ledger(CONN_ID).close()
    options = {"options": f"-c default_transaction_isolation={isolation.replace(' ', chr(92) + ' ')}"}
    define(CONN_ID, postgres_database.connection | {"extra": options})
    changes = []

    def save() -> None:
        with Ledger(CONN_ID) as ledger:
            changes.append(ledger.save_jobs("t", [make_job()], NOON))

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(changes) == [(0, 0, 1)] * 3 + [(1, 0, 0)]


def test_a_lock_that_nobody_gives_back_is_not_waited_for_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(CONN_ID).close()
    monkeypatch.setattr(ledger_database, "_SECONDS_TO_WAIT", 1.0)

    with (
        engine() as opened,
        writing(opened),
        Ledger(CONN_ID) as ledger,
        pytest.raises(AvePointLedgerError, match="lock"),
    ):
        ledger.save_jobs("t", [make_job()], NOON)

    assert database.rows(JOBS) == []


def test_a_session_that_the_server_ends_has_written_nothing(postgres_database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)

    def delete_and_be_ended() -> None:
        with engine() as opened, writing(opened) as connection:
            connection.execute(JOBS.delete())
            process = connection.execute(text("SELECT pg_backend_pid()")).scalar()
            with opened.connect() as other:
                other.execute(text(f"SELECT pg_terminate_backend({process})"))
            connection.execute(JOBS.delete())

    with pytest.raises(AvePointLedgerError, match="terminat"):
        delete_and_be_ended()

    assert [row["job_id"] for row in postgres_database.rows(JOBS)] == ["J1"]


def test_a_full_disk_is_said_and_nothing_is_half_written_in_sqlite(sqlite_database: Database) -> None:
    """Here a limit on the file's size, which is as much as a full disk to SQLite."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job("J0")], NOON)
    size = Path(sqlite_database.connection["host"]).stat().st_size

    with Child(save_with_room_for, sqlite_database.environment, size + 50_000, 1000) as child:
        kind, message = child.result()

    assert kind == "AvePointLedgerError"
    assert "disk" in message
    assert message.endswith("Nothing of this step was written.")
    assert [row["job_id"] for row in sqlite_database.rows(JOBS)] == ["J0"]
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", [make_job("J1")], NOON) == (1, 0, 0)


def limit_files(size: int | str) -> None:
    """Let no file of the server grow larger, in the sessions that begin from now on.

    It does so itself: nobody else may, not even root in a container.
    """
    (settings,) = execute("SELECT pg_read_file('postmaster.pid')")
    # Who reads nothing may be gone before the server has written its row.
    command = f"cat > /dev/null && prlimit --pid={settings.split()[0]} --fsize={size}:unlimited"
    execute(f"COPY (SELECT 1) TO PROGRAM '{command}'")


def test_a_full_disk_is_said_and_nothing_is_half_written_in_postgres(
    own_postgres: Postgres, define: Callable[..., str]
) -> None:
    """Here a limit on the size of the server's files, large enough for its log."""
    define(CONN_ID, own_postgres.connection())
    noise = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(100_000))
    jobs = [make_job(f"J{number}", raw={"text": noise[number:]}) for number in range(60)]

    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", jobs[:1], NOON)
    limit_files(16 * 1024 * 1024)
    with Ledger(CONN_ID) as ledger, pytest.raises(AvePointLedgerError, match="File too large") as caught:
        ledger.save_jobs("t", jobs, NOON)
    assert len(str(caught.value)) < 600
    assert execute("SELECT job_id FROM avepoint_jobs") == ["J0"]
    limit_files("unlimited")
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", jobs[:2], NOON) == (1, 0, 1)


@pytest.mark.parametrize(
    ("connection", "error"),
    [
        ({"conn_type": "http", "host": "h"}, exceptions.AvePointConfigError),
        ({"conn_type": "sqlite", "host": "/does/not/exist/x.db"}, exceptions.AvePointLedgerError),
    ],
    ids=["no database", "failing"],
)
def test_a_load_fails_before_anything_is_asked(
    simulator: Any,
    connect: Callable[..., str],
    define: Callable[..., str],
    connection: dict[str, Any],
    error: type[Exception],
) -> None:
    """For good where the connection is at fault; else it may be tried again."""
    connect()
    define(CONN_ID, connection)

    with pytest.raises(error) as caught:
        load({})

    assert isinstance(caught.value, AirflowFailException) is (error is exceptions.AvePointConfigError)
    assert simulator.requests() == []
