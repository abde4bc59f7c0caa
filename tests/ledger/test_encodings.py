"""Texts and JSON at the edge of what databases hold: other encodings, NUL, half characters, odd numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.core.model import JobError
from airflow_provider_avepoint.ledger.database import reading
from airflow_provider_avepoint.ledger.rows import write_job
from airflow_provider_avepoint.ledger.store import Changes, Ledger
from airflow_provider_avepoint.ledger.tables import JOBS, Json, metadata
from airflow_provider_avepoint.simulator import Simulator
from demo.postgres import Postgres
from tests.ledger.databases import CONN_ID, NOON, Database, engine, execute, make_job
from tests.ledger.processes import load
from tests.ledger.test_migrations import make_first_tables
from tests.versions import needs_airflow

DRIVERS = [
    pytest.param(
        "postgresql+psycopg", marks=needs_airflow("3.1", "its SQLAlchemy 1.4 does not know psycopg 3")
    ),
    "postgresql+psycopg2",
]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def encoded(
    postgres: Postgres, define: Callable[..., str], driver: str
) -> Iterator[Callable[[str], Database]]:
    """Return a function that makes an empty database of an encoding."""
    made = []

    def make(encoding: str) -> Database:
        name = f"ledger_{encoding.lower()}_{driver[-1]}"
        postgres.create_database(name, encoding=encoding)
        made.append(name)
        connection = postgres.connection(database=name) | {"extra": {"sqlalchemy_scheme": driver}}
        define(CONN_ID, connection)
        return Database(connection)

    yield make
    for name in made:
        postgres.drop_database(name)


def named(name: str, job_id: str = "J1") -> Any:
    """Return a job with a text in a column, a key and JSON."""
    return make_job(
        job_id, organization_name=name, workload=name, errors=(JobError(message=name),), raw={name: name}
    )


@pytest.mark.system
def test_a_database_that_cannot_hold_a_text_says_the_way_out(encoded: Callable[[str], Database]) -> None:
    """In a column, and in JSON alone; what the encoding has is kept."""
    database = encoded("LATIN1")
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", [named("Zürich")], NOON) == Changes(inserted=1)
        for job in (
            named("株式会社", "J2"),
            make_job("J3", errors=(JobError(message="\N{FIRE}"),)),
            make_job("J4", raw={"€": 1}),
        ):
            with pytest.raises(AvePointLedgerError, match="ENCODING 'UTF8'") as caught:
                ledger.save_jobs("t", [make_job("J0"), job], NOON)
            assert "LATIN1" in str(caught.value)
            assert len(str(caught.value)) < 600

    (row,) = database.rows(JOBS)
    assert (row["organization_name"], row["workload"]) == ("Zürich", "Zürich")
    assert json.loads(row["raw"]) == {"Zürich": "Zürich"}
    assert json.loads(row["errors"])[0]["message"] == "Zürich"


@pytest.mark.system
def test_a_database_that_knows_no_encoding_holds_every_text(encoded: Callable[[str], Database]) -> None:
    """SQL_ASCII, which is what PostgreSQL takes under the locale C."""
    database = encoded("SQL_ASCII")
    jobs = [named("株式会社 \N{FIRE}"), named("Zürich \ud83d \0", "J2")]
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", jobs, NOON) == Changes(inserted=2)
        assert ledger.save_jobs("t", jobs, NOON) == Changes(unchanged=2)

    rows = database.rows(JOBS)
    assert [row["organization_name"] for row in rows] == ["株式会社 \N{FIRE}", "Zürich ? ?"]
    assert json.loads(rows[0]["raw"]) == {"株式会社 \N{FIRE}": "株式会社 \N{FIRE}"}


@pytest.mark.system
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_the_first_tables_are_migrated_in_another_encoding(
    encoded: Callable[[str], Database], encoding: str
) -> None:
    """Release 0.1.0 wrote errors with escapes, which another encoding does not take in ``jsonb``."""
    database = encoded(encoding)
    make_first_tables({"job_id": "J1", "errors": r'[{"message": "Z\u00fcrich"}]'})

    (row,) = database.rows(JOBS)
    assert json.loads(row["errors"]) == [{"message": "Zürich"}]


@pytest.mark.system
def test_a_load_into_such_a_database_may_be_tried_again(
    simulator: Simulator, connect: Callable[..., str], encoded: Callable[[str], Database]
) -> None:
    connect()
    database = encoded("LATIN1")
    simulator.add_job("dynamics365", job_id="J1", organization_name="株式会社")

    with pytest.raises(exceptions.AvePointLedgerError, match="ENCODING 'UTF8'"):
        load({})
    assert database.rows(JOBS) == []


def nest(depth: int, value: Any) -> dict[str, Any]:
    for _ in range(depth):
        value = {"a": value}
    return value


ODD_ROWS: dict[str, tuple[Any, Any]] = {
    "NUL": ({"a": "x\0y"}, {"a": "x?y"}),
    "NUL in a key": ({"x\0y": 1}, {"x?y": 1}),
    "NUL deep down": ({"a": [{"b": ["\0"]}]}, {"a": [{"b": ["?"]}]}),
    "what only looks so": ({"a": r"\u0000", "b": r"\ud800"}, {"a": r"\u0000", "b": r"\ud800"}),
    "both": ({"a": "\\u0000 \0"}, {"a": "\\u0000 ?"}),
    "half a character": ({"a": "\ud800", "\udfff": 1}, {"a": "?", "?": 1}),
    "the halves in the wrong order": ({"a": "\udd25\ud83d"}, {"a": "??"}),
    "half a character and no number": ({"a": ["\ud800", float("nan")]}, {"a": ["?", None]}),
    "no number": ({"a": float("nan"), "b": float("inf")}, {"a": None, "b": None}),
    "a large number": ({"a": 1e22, "b": 10**400}, {"a": 1e22, "b": 10**400}),
    "a small number": ({"a": 5e-324}, {"a": 5e-324}),
    "a pair after a half": ({"a": "\ud83d\N{FIRE}\ud83d"}, {"a": "?\N{FIRE}?"}),
    "nested deeply": (nest(300, "\0"), nest(300, "?")),
    "nested too deeply": (nest(100_000, 1), {}),
    "an empty key": ({"": {"": ""}}, {"": {"": ""}}),
    "an emoji": ({"\N{FIRE}": "\N{FIRE}"}, {"\N{FIRE}": "\N{FIRE}"}),
}


def test_json_of_one_row_hurts_no_query(database: Database) -> None:
    """Each row can be searched in the database itself, and is written once."""
    jobs = [make_job(name, raw=raw) for name, (raw, _) in ODD_ROWS.items()]
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", jobs, NOON) == Changes(inserted=len(jobs))
        assert ledger.save_jobs("t", jobs, NOON) == Changes(unchanged=len(jobs))

    kept = {row["job_id"]: json.loads(row["raw"]) for row in database.rows(JOBS)}
    assert kept == {name: expected for name, (_, expected) in ODD_ROWS.items()}
    if database.connection["conn_type"] == "postgres":
        query = "SELECT job_id FROM avepoint_jobs, jsonb_each_text(raw) AS field WHERE field.value LIKE '%?%'"
    else:
        query = "SELECT job_id FROM avepoint_jobs, json_each(raw) AS field WHERE field.value LIKE '%?%'"
    assert {"NUL", "half a character"} <= set(execute(query))


@pytest.mark.system
def test_json_is_jsonb_in_postgres(postgres_database: Database) -> None:
    Ledger(CONN_ID).close()
    with engine() as opened, reading(opened) as connection:
        columns = connection.execute(
            text(
                "SELECT table_name || '.' || column_name FROM information_schema.columns "
                "WHERE data_type = 'jsonb' ORDER BY 1"
            )
        ).scalars()
        found = list(columns)
    assert found == sorted(
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Json)
    )
    assert "avepoint_jobs.raw" in found


def test_the_digest_is_that_of_the_release_before() -> None:
    """So no load writes the unchanged jobs of a year again, however JSON is stored."""
    odd = make_job(errors=(JobError(message="Zürich \ud83d \0"),), raw={"a": "\ud800\0"})

    assert write_job("t", make_job(), NOON)["digest"] == "4e72e7a131699cfcd2c9d4c72c45393c"
    assert write_job("t", odd, NOON)["digest"] == "f2ff6a296271fd4d7260385a9613d80b"
