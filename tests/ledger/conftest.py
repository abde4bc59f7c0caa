"""Each test of the ledger has a database of its own: SQLite, and in ``make test-system`` PostgreSQL too."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import Postgres
from tests.ledger.databases import CONN_ID, Database

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL server; where there is none the tests fail, and say what to install."""
    with Postgres() as server:
        yield server


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that defines an Airflow connection and returns its id."""

    def define_connection(conn_id: str, connection: dict[str, Any]) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return define_connection


@pytest.fixture
def sqlite_database(tmp_path: Path, define: Callable[..., str]) -> Database:
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    define(CONN_ID, connection)
    return Database(connection)


@pytest.fixture
def postgres_database(postgres: Postgres, define: Callable[..., str]) -> Iterator[Database]:
    name = f"ledger_{next(_numbers)}"
    postgres.create_database(name)
    connection = postgres.connection(database=name)
    define(CONN_ID, connection)
    yield Database(connection)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
def database(request: pytest.FixtureRequest) -> Database:
    """Return an empty database, which the connection ``ledger`` leads to."""
    empty: Database = request.getfixturevalue(f"{request.param}_database")
    return empty
