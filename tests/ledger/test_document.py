"""``docs/ledger.md``: its tables are those of the code, and its queries return what they promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_avepoint.core.model import Counts, JobError, LicenseConsumption
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import metadata
from tests.ledger.databases import CONN_ID, Database, engine, make_job

if TYPE_CHECKING:
    from sqlalchemy import Table

DOCUMENT = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
BOTH = "-- PostgreSQL, SQLite"
QUERIES: dict[str, str] = dict(
    re.findall(
        r"^### (.+?)\n.*?^```sql\n(.*?)^```$",
        DOCUMENT.partition("## Six queries")[2],
        re.DOTALL | re.MULTILINE,
    )
)


def describe(table: Table) -> str:
    """Return a table of the code as a table of the document."""
    types = [
        {each.name: each.type.compile(dialect.dialect()) for each in table.columns}
        for dialect in (postgresql, sqlite)
    ]
    lines = [
        f"| {'**' * each.primary_key}`{each.name}`{'**' * each.primary_key} "
        f"| {types[0][each.name].lower()} | {types[1][each.name].lower()} | {each.comment} |"
        for each in table.columns
    ]
    return "\n".join(["| column | PostgreSQL | SQLite | what it holds |", "|---|---|---|---|", *lines])


def test_the_document_has_the_tables_of_the_code() -> None:
    """The words of a column are its comment in PostgreSQL."""
    for name, table in metadata.tables.items():
        assert f"### `{name}`\n\n{table.comment}\n\n{describe(table)}\n" in DOCUMENT


NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
GUID = "69cb1ecc-0f3b-4d5e-9c1a-2b7d8e9f0a1b"
TASK = {"dag_id": "gate", "run_id": "r1", "task_id": "check", "map_index": -1, "try_number": 1}


def day(ago: int) -> datetime:
    return NOW - timedelta(days=ago)


def backup(ago: int, state: str = "success", **fields: Any) -> Any:
    """Return a backup that took ten minutes at noon, some days ago."""
    said = {
        "organization_id": GUID.upper(),
        "location": None,
        "counts": Counts(total=10, successful=10, failed=0),
        "record_counts": Counts(),
        "errors": (),
        "started_at": day(ago),
        "finished_at": day(ago) + timedelta(minutes=10),
    }
    return make_job(f"J{ago}", state, **(said | fields))


def verdict(reason: str) -> dict[str, Any]:
    return {
        "policy": {"product": "dynamics365"},
        "judged_at": day(1).isoformat(),
        "passed": reason == "passed",
        "reason": reason,
        "scopes": [],
    }


def drill(service: str, ago: int, *, passed: bool) -> dict[str, Any]:
    request = {"product": "m365", "service": service, "location": None, "owner": "o", "library": "l"}
    return {
        "request": request,
        "digest": "d",
        "sent_at": day(ago).isoformat(),
        "judged_at": day(ago).isoformat(),
        "passed": passed,
        "reason": "passed" if passed else "failed",
        "message": "m",
        "job": None,
        "restored_files": 1,
        "expect_files": None,
        "was_adopted": False,
    }


def license_reading(seats: int) -> LicenseConsumption:
    return LicenseConsumption(
        product="elements", service="Backup", purchased_user_seats=100, assigned_user_seats=seats
    )


@pytest.fixture
def filled(database: Database) -> Database:
    no_access = JobError(message="No access", count=3)
    partly = {
        "counts": Counts(total=10, successful=6, failed=4),
        "errors": (no_access, JobError(message="?")),
    }
    jobs = [
        *(backup(ago) for ago in (7, 6, 4)),
        backup(3, "failed", errors=(no_access,)),
        backup(2, **partly),
        backup(1, problems=("status: 'Odd'",)),
        backup(9, job_type="restore"),
        backup(5, "failed", workload="unified_operations"),
    ]
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", jobs, NOW)
        for month, number, seats in ((8, 1, 70), (8, 30, 80), (9, 2, 90)):
            ledger.save_licenses("t", [license_reading(seats)], datetime(2026, month, number, 5, tzinfo=UTC))
        ledger.save_verdict("t", verdict("failed"), TASK)
        ledger.save_verdict("t", verdict("passed"), TASK | {"try_number": 2})
        ledger.save_verdict("t", verdict("stale"), TASK | {"task_id": "wait"})
        ledger.save_verdict("t", verdict("stale"))
        for service, ago, passed in (
            ("teams", 1, False),
            ("onedrive", 3, True),
            ("onedrive", 2, True),
            ("onedrive", 1, False),
        ):
            ledger.save_drill("t", drill(service, ago, passed=passed))
    return database


def expected() -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Yield what each query returns, by its heading."""
    scope = ("t", "dynamics365", GUID, "Contoso", "customer_engagement", "")
    other = (*scope[:4], "unified_operations", "")
    yield "The last good backup of each scope", [(*other, None), (*scope, day(4))]
    yield (
        "Days without a good backup",
        sorted(
            [(day(ago).date(), *scope[:3], scope[4], "") for ago in (5, 3, 2, 1)]
            + [(day(ago).date(), *other[:3], other[4], "") for ago in range(1, 8)]
        ),
    )
    yield (
        "Licence use by month",
        [
            ("2026-08", "t", "elements", "", "Backup", 80, 100, None, None),
            ("2026-09", "t", "elements", "", "Backup", 90, 100, None, None),
        ],
    )
    yield (
        "Gates that did not pass, with their task",
        [(day(1), "t", "dynamics365", "stale", "gate", "wait", "r1", -1, 1)],
    )
    yield (
        "Failed objects by reason",
        [("t", "dynamics365", "No access", 6, 2, day(2)), ("t", "dynamics365", "?", 1, 1, day(2))],
    )
    yield (
        "When a restore was last proven",
        [("t", "m365", "teams", None, 1), ("t", "m365", "onedrive", day(2), 3)],
    )


def plain(row: Any) -> tuple[Any, ...]:
    """Return a row with moments as moments, whichever database has them."""
    values = []
    for value in row:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", value):
            values.append(datetime.fromisoformat(value).replace(tzinfo=UTC))
        else:
            values.append(value.astimezone(UTC) if isinstance(value, datetime) else value)
    return tuple(values)


def test_each_query_returns_what_it_promises(filled: Database) -> None:
    is_sqlite = filled.connection["conn_type"] == "sqlite"
    wanted = dict(expected())
    ran = 0

    assert list(QUERIES) == list(wanted)
    with engine() as opened, opened.connect() as connection:
        for heading, query in QUERIES.items():
            if is_sqlite and not query.startswith(BOTH):
                continue
            rows = [plain(row) for row in connection.exec_driver_sql(query.replace("%", "%%"))]
            assert rows == wanted[heading], heading
            ran += 1
    assert ran == (4 if is_sqlite else 6)
