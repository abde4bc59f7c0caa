"""What the tests know of a ledger's database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, inspect, select, text

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.ledger.database import open_engine, reading, writing
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import JOBS

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

#: The connection to the database.
CONN_ID = "ledger"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
_WHEN = ("read_at", "first_read_at")
_JSON = ("errors", "raw", "problems")


@contextmanager
def engine() -> Iterator[Engine]:
    """Open the database, and close it again."""
    opened = open_engine(CONN_ID)
    try:
        yield opened
    finally:
        opened.dispose()


def execute(statement: str) -> list[Any]:
    """Execute a statement by itself; return the first column of what it returns."""
    with engine() as opened, writing(opened) as connection:
        result = connection.execute(text(statement))
        return list(result.scalars()) if result.returns_rows else []


@dataclass(frozen=True)
class Database:
    """An empty database, to begin with."""

    connection: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """What defines the connection in another process."""
        return {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(self.connection)}

    def tables(self) -> set[str]:
        """Return which tables there are."""
        with engine() as opened, reading(opened) as connection:
            return set(inspect(connection).get_table_names())

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Return a table, by its key."""
        with Ledger(CONN_ID) as ledger:
            return [dict(row) for row in ledger.iter_rows(select(table).order_by(*table.primary_key))]

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs, without when they were read; JSON as the value, however a database writes JSON."""
        return [
            {
                name: json.loads(value) if name in _JSON else value
                for name, value in row.items()
                if name not in _WHEN
            }
            for row in self.rows(JOBS)
        ]

    def states(self) -> dict[str, str]:
        """Return the state of each job."""
        rows = self.rows(JOBS)
        states = {row["job_id"]: row["state"] for row in rows}
        assert len(states) == len(rows), "a job stands there twice"
        return states


def make_job(job_id: str = "J1", state: str = "success", **changes: Any) -> BackupJob:
    """Return a job that says everything; *changes* are fields."""
    fields = {
        "product": "dynamics365",
        "job_id": job_id,
        "job_type": "backup",
        "workload": "customer_engagement",
        "state": JobState(state),
        "raw_state": "Finished",
        "started_at": NOON + timedelta(microseconds=123456),
        "finished_at": NOON + timedelta(minutes=10, microseconds=7),
        "duration": timedelta(minutes=10, microseconds=-123449),
        "counts": Counts(total=10, successful=7, failed=1, skipped=2, warning=3),
        "record_counts": Counts(total=100, successful=70, failed=10, skipped=20, warning=30),
        "metadata_counts": Counts(total=0, successful=0, failed=0, skipped=0, warning=0),
        "size_bytes": 5_000_000_000,
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "location": "EUR",
        "errors": (JobError(is_error_code=True, message="No access", url="https://example.com/1", count=2),),
        "raw": {"jobId": job_id, "status": "Finished"},
    }
    return BackupJob(**(fields | changes))
