"""The tables: made by Alembic, the same as the code has them, by however many at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import String, column, inspect, table

from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointLedgerError
from airflow_provider_avepoint.ledger import database as ledger_database
from airflow_provider_avepoint.ledger.database import VERSION_TABLE, migrate, reading, writing
from airflow_provider_avepoint.ledger.rows import write_job
from airflow_provider_avepoint.ledger.store import Changes, Ledger
from airflow_provider_avepoint.ledger.tables import JOBS, Json, metadata
from tests.ledger.databases import CONN_ID, NOON, Database, engine, execute, make_job
from tests.ledger.processes import PROCESSES, Child, migrate_together

OURS = {*metadata.tables, VERSION_TABLE}


def compare() -> list[Any]:
    """Return how the tables differ from those of the code."""
    with engine() as opened, reading(opened) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return compare_metadata(context, metadata)


def revision() -> str:
    (found,) = execute(f"SELECT version_num FROM {VERSION_TABLE}")
    return found


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    Ledger(CONN_ID).close()

    assert compare() == []
    assert database.tables() == OURS
    with engine() as opened:
        keys = {
            name: inspect(opened).get_pk_constraint(name)["constrained_columns"] for name in metadata.tables
        }
    assert keys == {
        name: [column.name for column in table.primary_key] for name, table in metadata.tables.items()
    }


def test_a_comparison_sees_a_difference(database: Database) -> None:
    """What the test above relies on."""
    Ledger(CONN_ID).close()
    execute("ALTER TABLE avepoint_jobs ADD COLUMN surplus INTEGER")

    ((what, _, table, column),) = compare()

    assert (what, table, column.name) == ("remove_column", "avepoint_jobs", "surplus")


def test_migrating_again_changes_nothing(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)
    before = database.rows(JOBS)

    Ledger(CONN_ID).close()
    with engine() as opened:
        migrate(opened)

    assert database.rows(JOBS) == before
    assert revision() == ledger_database.REVISION


def test_eight_processes_migrate_at_once(database: Database) -> None:
    barrier = PROCESSES.Barrier(8)
    children = [Child(migrate_together, database.environment, barrier) for _ in range(8)]
    for child in children:
        child.__enter__()
    try:
        assert [child.result() for child in children] == [True] * 8
    finally:
        for child in children:
            child.__exit__(None, None, None)

    assert database.tables() == OURS
    assert revision() == ledger_database.REVISION


def test_other_tables_are_left_alone(database: Database) -> None:
    """Another user of Alembic, such as Airflow itself, keeps its revision in the table of that name."""
    execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    execute("INSERT INTO alembic_version VALUES ('theirs')")

    Ledger(CONN_ID).close()

    assert database.tables() == OURS | {"alembic_version"}
    assert execute("SELECT version_num FROM alembic_version") == ["theirs"]


def test_a_foreign_table_of_our_name_is_said_and_nothing_is_made(database: Database) -> None:
    execute("CREATE TABLE avepoint_licenses (id INTEGER)")

    with pytest.raises(AvePointLedgerError, match=r"avepoint_licenses.* already exists"):
        Ledger(CONN_ID)

    assert database.tables() == {"avepoint_licenses"}


def test_tables_of_a_newer_release_are_not_touched(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)
    execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")

    with pytest.raises(
        AvePointConfigError, match=r"revision '9999', which a newer .* upgrade the provider on this worker"
    ):
        Ledger(CONN_ID)

    assert revision() == "9999"
    assert execute("SELECT job_id FROM avepoint_jobs") == ["J1"]
    assert database.tables() == OURS


GUID = "69cb1ecc-0f3b-4d5e-9c1a-2b7d8e9f0a1b"


LATER = ("problems", "organization_key", "run_start")  # what release 0.1.0 did not have


def make_first_tables(*jobs: dict[str, Any]) -> None:
    """Make the tables of release 0.1.0, and put *jobs* into them."""
    with engine() as opened, writing(opened) as connection:
        command.upgrade(ledger_database._configure_alembic(connection), "0001")
        for job in jobs:
            row = write_job("t", make_job(), NOON) | job
            row = {name: value for name, value in row.items() if name not in LATER}
            columns = [column(name, JOBS.c[name].type) for name in row]
            columns = [column(each.name, String) if isinstance(each.type, Json) else each for each in columns]
            connection.execute(table("avepoint_jobs", *columns).insert().values(row))


def test_jobs_of_the_first_tables_are_taken_up(database: Database) -> None:
    """None of them could not be read: such a row ended its load."""
    make_first_tables({"job_id": "J1"}, {"job_id": "J2", "organization_id": GUID})

    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", [make_job()], NOON) == Changes(unchanged=1)

    assert [row["problems"] for row in database.rows(JOBS)] == ["[]", "[]"]
    assert compare() == []


def test_ids_of_organizations_get_back_the_case_that_rows_say(database: Database) -> None:
    """Otherwise the same job would be there twice, once under each spelling."""

    def salesforce(job_id: str, organization: str, stated: str | None) -> dict[str, Any]:
        raw = {"id": job_id} if stated is None else {"id": job_id, "organizationId": stated}
        return {
            "product": "salesforce",
            "job_id": job_id,
            "organization_id": organization,
            "raw": json.dumps(raw),
        }

    make_first_tables(
        salesforce("J1", "00d30000001abc", "00D30000001Abc"),
        salesforce("J2", "00d30000001abc", "00D30000001aBC"),
        salesforce("J3", "00d30000001abc", None),
        salesforce("J4", GUID, f"{{{GUID.upper()}}}"),
        salesforce("J5", GUID.replace("-", ""), GUID.replace("-", "")),
        {"product": "a product to come", "job_id": "J6", "organization_id": "fabrikam"},
    )

    Ledger(CONN_ID).close()

    rows = database.rows(JOBS)
    assert {row["job_id"]: row["organization_key"] for row in rows} == {
        "J1": "00D30000001Abc",
        "J2": "00D30000001aBC",
        "J3": "00d30000001abc",
        "J4": GUID,
        "J5": GUID,
        "J6": "fabrikam",
    }
    spelled = {row["job_id"]: row["organization_id"] for row in rows if row["organization_key"] == GUID}
    assert spelled == {"J4": f"{{{GUID.upper()}}}", "J5": GUID.replace("-", "")}


@pytest.mark.parametrize("ended", [0, 1], ids=["with hyphens", "without"])
def test_a_job_under_two_spellings_of_one_guid_becomes_one(database: Database, ended: int) -> None:
    """The reading that holds is kept."""
    spellings = [GUID, GUID.replace("-", "")]
    make_first_tables(
        *(
            {"organization_id": spelling, "is_terminal": index == ended, "state": state, "raw": "{}"}
            for index, (spelling, state) in enumerate(
                zip(spellings, ["success", "running"] if ended == 0 else ["running", "success"], strict=True)
            )
        )
    )

    Ledger(CONN_ID).close()

    assert [(row["organization_id"], row["state"]) for row in database.rows(JOBS)] == [(GUID, "success")]


def test_a_downgrade_leaves_nothing_and_an_upgrade_begins_anew(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)

    with engine() as opened, writing(opened) as connection:
        command.downgrade(ledger_database._configure_alembic(connection), "base")

    assert database.tables() == {VERSION_TABLE}
    assert database.rows(JOBS) == []
    assert database.tables() == OURS
