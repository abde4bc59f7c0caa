"""The ledger's tables, as the newest migration leaves them.

Each key holds the tenant (the connection's id, unless the task names another), and an empty text where a job
has no location, organisation or workload, because a key has no NULL. Organisation ids are normalised: GUIDs
in lower case, with hyphens and without braces, other ids in the vendor's own case. (Release 0.1.0 wrote every
id in lower case; migration 0002 restores the case where the stored row shows it.) Moments are in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

#: The counts of objects, of records and of metadata.
COUNTS = ("total", "successful", "failed", "skipped", "warning")

metadata = MetaData()
_LENGTH = len("2026-11-22 05:00:00.000000")


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC; in SQLite a text without the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column in the database.

        :param dialect: SQLAlchemy's dialect of the database.
        """
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return the value for the database; in SQLite texts of equal length, so that they sort by time.

        :param value: an aware datetime, or None.
        :param dialect: SQLAlchemy's dialect of the database.
        """
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(" ", "microseconds")[:_LENGTH]

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time in UTC.

        :param value: the database's value, or None.
        :param dialect: SQLAlchemy's dialect of the database.
        """
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        moment: datetime = value.astimezone(UTC)
        return moment


def _key(name: str) -> Column[Any]:
    return Column(name, String, primary_key=True, nullable=False)


def _counts(of: str) -> list[Column[Any]]:
    return [Column(f"{of}_{kind}", BigInteger) for kind in COUNTS]


JOBS = Table(
    "avepoint_jobs",
    metadata,
    _key("tenant"),
    _key("product"),
    _key("job_id"),
    _key("location"),
    _key("organization_id"),
    _key("workload"),
    Column("job_type", String),
    Column("state", String, nullable=False),
    Column("is_terminal", Boolean, nullable=False),
    Column("raw_state", String),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("duration_seconds", Float),
    *_counts("objects"),
    *_counts("records"),
    *_counts("metadata"),
    Column("size_bytes", BigInteger),
    Column("organization_name", String),
    # JSON: a list of JobError.as_dict(), and the row as the vendor sent it.
    Column("errors", Text, nullable=False),
    Column("raw", Text, nullable=False),
    # JSON: BackupJob.problems, the parts of the row that could not be read.
    Column("problems", Text, nullable=False, server_default="[]"),
    # Equal digests mean that a job has not changed since it was written.
    Column("digest", String(32), nullable=False),
    # When this content was read from the API, and when the job was first read.
    Column("read_at", Moment, nullable=False),
    Column("first_read_at", Moment, nullable=False),
    Index("avepoint_jobs_started_at", "started_at"),
)

# The progress of each listing that is loaded repeatedly.
LOADS = Table(
    "avepoint_loads",
    metadata,
    _key("tenant"),
    _key("product"),
    _key("location"),
    _key("organization_id"),
    _key("selection"),
    # Every job that started at or after this time is in the ledger.
    Column("loaded_from", Moment, nullable=False),
    # Jobs that started at or after this time may have changed: the next load begins here.
    Column("resume_from", Moment, nullable=False),
    Column("begun_at", Moment, nullable=False),
)

VERDICTS = Table(
    "avepoint_verdicts",
    metadata,
    _key("tenant"),
    # The task instance and its try, or a random id outside of a task.
    _key("verdict_id"),
    Column("product", String, nullable=False),
    Column("judged_at", Moment, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("rules_version", Integer, nullable=False),
    # JSON: Verdict.as_dict().
    Column("evidence", Text, nullable=False),
    Column("dag_id", String),
    Column("run_id", String),
    Column("task_id", String),
    Column("map_index", Integer),
    Column("try_number", Integer),
    Index("avepoint_verdicts_judged_at", "tenant", "judged_at"),
)

# What licence audits came to: a row a try of a task.
AUDITS = Table(
    "avepoint_audits",
    metadata,
    _key("tenant"),
    # The try of the task that audited, or a random id where there was no task.
    _key("audit_id"),
    Column("product", String, nullable=False),
    # What was asked for; empty: everything.
    Column("location", String, nullable=False),
    Column("organization_id", String, nullable=False),
    Column("audited_at", Moment, nullable=False),
    # By what was judged.
    Column("near_limit", Float, nullable=False),
    Column("forecast_days", Integer, nullable=False),
    # Why no figures could be read; NULL where they were.
    Column("error", Text),
    # JSON: a list of Finding.as_dict().
    Column("findings", Text, nullable=False),
    Column("dag_id", String),
    Column("run_id", String),
    Column("task_id", String),
    Column("map_index", Integer),
    Column("try_number", Integer),
    Index("avepoint_audits_audited_at", "tenant", "audited_at"),
)

# What each report said, so that the next one can tell what has changed.
REPORTS = Table(
    "avepoint_reports",
    metadata,
    # JSON: the sorted list of the tenants that were asked for; null: every tenant.
    _key("tenants"),
    Column("generated_at", Moment, primary_key=True, nullable=False),
    # The one sentence of the report.
    Column("summary", Text, nullable=False),
    # JSON: the state of each scope, licence and gate, by its name.
    Column("states", Text, nullable=False),
)

LICENSES = Table(
    "avepoint_licenses",
    metadata,
    _key("tenant"),
    _key("product"),
    _key("location"),
    _key("organization_id"),
    _key("service"),
    # The hour of the reading: of two readings in one hour the later is stored.
    Column("hour", Moment, primary_key=True, nullable=False),
    Column("read_at", Moment, nullable=False),
    Column("organization_name", String),
    Column("purchased_user_seats", BigInteger),
    Column("assigned_user_seats", BigInteger),
    Column("purchased_storage_gb", Float),
    Column("protected_gb", Float),
    Column("out_of_policy_at", Moment),
    Column("is_out_of_policy", Boolean, nullable=False),
    Column("expires_at", Moment),
)
