"""The tables: made by Alembic, the same as the code has them, by however many at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import String, column, inspect, table
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointLedgerError
from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.ledger import database as ledger_database
from airflow_provider_avepoint.ledger.database import VERSION_TABLE, migrate, reading, writing
from airflow_provider_avepoint.ledger.rows import write_job
from airflow_provider_avepoint.ledger.store import Changes, Ledger, LoadPoint, Stream
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


ODD_JSON = {
    "emoji": (r'{"a": "\ud83d\udd25"}', {"a": "\N{FIRE}"}),
    "half a character": (r'{"a": "\ud83d", "\udd25": 1}', {"a": "?", "?": 1}),
    "NUL": (r'{"a\u0000": ["\u0000"]}', {"a?": ["?"]}),
    "an escaped backslash": (r'{"a": "\\u0000"}', {"a": r"\u0000"}),
    "no number": ('{"a": NaN, "b": -Infinity, "c": "NaN"}', {"a": None, "b": None, "c": "NaN"}),
    "a list": ("[1]", [1]),
    "no JSON": ("a dog's ear", "a dog's ear"),
    "empty": ("", ""),
    "usual": ('{"status":"Finished","status":"Failed"}', {"status": "Failed"}),
}


def test_json_of_the_first_tables_is_taken_up(database: Database) -> None:
    """Also what ``jsonb`` refuses: such a row would end the migration, and every query before."""
    make_first_tables(
        *(
            {"job_id": name, "organization_id": GUID, "raw": raw, "errors": r'["\u0000"]'}
            for name, (raw, _) in ODD_JSON.items()
        )
    )

    rows = {row["job_id"]: row for row in database.rows(JOBS)}

    assert {name: json.loads(row["raw"]) for name, row in rows.items()} == {
        name: value for name, (_, value) in ODD_JSON.items()
    }
    assert {row["errors"] for row in rows.values()} == {'["?"]'}
    assert {row["digest"] for row in rows.values()} == {write_job("t", make_job(), NOON)["digest"]}
    assert compare() == []


def test_runs_of_the_first_tables_get_their_start(database: Database) -> None:
    """From the start, else from the finish and the duration of an ended job."""
    nothing = {"started_at": None, "finished_at": None, "duration_seconds": None}
    make_first_tables(
        {"job_id": "STATED"},
        {"job_id": "DERIVED", "started_at": None, "duration_seconds": 600.5},
        {"job_id": "UNDER WAY", "started_at": None, "is_terminal": False, "state": "running"},
        {"job_id": "ENDLESS", "started_at": None, "duration_seconds": 1e11},
        {"job_id": "UNKNOWN", **nothing},
        {"job_id": "LAST", "started_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
        {"job_id": "FIRST", "started_at": datetime(1, 1, 1, tzinfo=UTC)},
    )

    rows = database.rows(JOBS)

    assert {row["job_id"]: row["run_start"] for row in rows} == {
        "STATED": "2026-11-20T12:00:00",
        "DERIVED": "2026-11-20T11:59:59",
        "UNDER WAY": "",
        "ENDLESS": "",
        "UNKNOWN": "",
        "LAST": "9999-12-31T23:59:59",
        "FIRST": "0001-01-01T00:00:00",
    }
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", [make_job("STATED", raw=make_job().raw)], NOON) == Changes(unchanged=1)
        again = make_job("STATED", started_at=NOON + timedelta(days=1), finished_at=None)
        assert ledger.save_jobs("t", [again], NOON) == Changes(inserted=1)


def test_every_table_keeps_its_rows(database: Database) -> None:
    """From the release before, with a row in each; then back, and up again."""
    audit = Audit(product="m365", audited_at=NOON, organization_id=GUID, near_limit=0.9, forecast_days=30)
    stream = Stream(tenant="t", product="m365", location="", organization_id=GUID, selection="[]")
    point = LoadPoint(loaded_from=NOON, resume_from=NOON, begun_at=NOON)
    evidence = {
        "policy": {"product": "m365"},
        "judged_at": NOON.isoformat(),
        "passed": True,
        "reason": "passed",
    }
    reading = LicenseConsumption(product="m365", organization_id=GUID)
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job(organization_id=GUID)], NOON)
        ledger.save_load_point(stream, point, None)
        ledger.save_verdict("t", evidence)
        ledger.save_audit("t", audit)
        ledger.save_licenses("t", [reading], NOON)
    before = {name: database.rows(each) for name, each in metadata.tables.items()}

    to_revision("0003")
    ((at_0003,),) = [execute(f"SELECT organization_id FROM {name}") for name in ("avepoint_jobs",)]
    after = {name: database.rows(each) for name, each in metadata.tables.items()}

    assert at_0003 == GUID
    assert after == before
    assert compare() == []
    with Ledger(CONN_ID) as ledger:
        assert ledger.load_point(stream) == point


def test_of_two_runs_a_downgrade_keeps_the_newest(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job(), make_job("J2")], NOON)
        later = make_job(state="failed", started_at=NOON + timedelta(days=1), finished_at=None)
        ledger.save_jobs("t", [later], NOON)

    to_revision("0003")

    assert database.states() == {"J1": "failed", "J2": "success"}


def test_a_worker_of_the_release_before_writes_nothing_more(database: Database) -> None:
    """It opened the ledger before the migration; opened again, it is told to upgrade."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)
    before = database.rows(JOBS)
    row = dict(write_job("t", make_job(state="failed"), NOON).items())
    row = {name: value for name, value in row.items() if name not in ("organization_key", "run_start")}
    key = ["tenant", "product", "job_id", "location", "organization_id", "workload"]
    columns = [JOBS.c[name] for name in row]
    old = table("avepoint_jobs", *(column(each.name, each.type) for each in columns))
    dialect = sqlite if database.connection["conn_type"] == "sqlite" else postgresql
    insert = dialect.insert(old).values(row)
    statement = insert.on_conflict_do_update(index_elements=key, set_={"state": "failed"})

    def write() -> None:
        with engine() as opened, writing(opened) as connection:
            connection.execute(statement)

    with pytest.raises(AvePointLedgerError, match="Nothing of this step was written"):
        write()
    assert database.rows(JOBS) == before


@pytest.mark.system
def test_tables_and_columns_say_what_they_are_in_postgres(postgres_database: Database) -> None:
    """In the words of the code, also after a migration; a comparison sees another word."""
    make_first_tables({"job_id": "J1"})
    Ledger(CONN_ID).close()

    assert compare() == []
    silent = [
        f"{name}.{each.name}"
        for name, of in metadata.tables.items()
        for each in of.columns
        if not (of.comment and each.comment)
    ]
    assert silent == []
    execute("COMMENT ON COLUMN avepoint_jobs.state IS 'Whatever'")
    assert [change[0][0] for change in compare()] == ["modify_comment"]


def to_revision(revision: str) -> None:
    """Take the tables back to a revision."""
    with engine() as opened, writing(opened) as connection:
        command.downgrade(ledger_database._configure_alembic(connection), revision)


def test_a_downgrade_leaves_nothing_and_an_upgrade_begins_anew(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job()], NOON)

    to_revision("base")

    assert database.tables() == {VERSION_TABLE}
    assert database.rows(JOBS) == []
    assert database.tables() == OURS
