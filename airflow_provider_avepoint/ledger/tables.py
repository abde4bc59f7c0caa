"""The ledger's tables, as the newest migration leaves them. ``docs/ledger.md`` explains them to users of SQL.

Each key holds the tenant (the connection's id, unless the task names another), and an empty text where a job
has no location, organisation or workload, because a key has no NULL. Moments are in UTC. PostgreSQL shows the
comments of the tables and columns.

Organisations: ``organization_id`` is the id as the listing spells the id, and so as XCom and the evidence of
verdicts spell the id. ``organization_key`` is the same id as :func:`normalize_id` writes the id: an
organisation has one key in all tables, however the API spells the id.

Runs: a vendor may use the id of a job again, so the key of a job holds ``run_start``, the name of the run:
the start; or ``../`` and the finish, for an ended run without a start; or nothing. The rule for two readings
of one id:

- With the same name (to the second), the readings are about one run.
- With different starts, two ended readings that state their starts are about two runs.
- With different starts, two open readings are about one run: a planned start moves when the job begins.
- With different starts, an open and an ended reading are about one run if the run ended after the open
  reading was read. If the run had ended before, the id had been used again.
- An open reading without a start is about the run that is known.
- An ended reading without a start is about the run with the same finish; without a finish, about the newest
  run that had ended by then.

Of the readings of one run, the row of one is stored (see :meth:`.Ledger.save_jobs`), under the surest name
that an ended reading has given: the name of an ended run stays when a later reading has lost the start.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    cast,
)
from sqlalchemy.types import TypeDecorator, UserDefinedType

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql import ColumnElement
    from sqlalchemy.types import TypeEngine

#: The counts of objects, of records and of metadata.
COUNTS = ("total", "successful", "failed", "skipped", "warning")

#: Each number is smaller: a duration in seconds must be one that Python can hold.
REAL_END = 8.64e13

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


class Whole(TypeDecorator[int]):
    """A whole number; SQLite may hold anything in such a column, and what is no whole number is refused."""

    impl: Any = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Return the number.

        :param value: the database's value, or None.
        :param dialect: SQLAlchemy's dialect of the database.
        :raises ValueError: the value is no whole number.
        """
        if value is not None and not isinstance(value, int):
            raise ValueError(f"{dialect.name} holds {type(value).__name__} in a column of whole numbers")
        return value


class Small(Whole):
    """A whole number of 32 bits."""

    impl = Integer
    cache_ok = True


class Real(TypeDecorator[float]):
    """A number; SQLite may hold anything in such a column, and what is no number is refused."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Return the number for the database.

        :param value: the number, or None.
        :param dialect: SQLAlchemy's dialect of the database.
        :raises OverflowError: the number is too large.
        """
        if value is not None and not abs(value) < REAL_END:
            raise OverflowError(f"{value:g} is too large a number for {dialect.name}")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """Return the number.

        :param value: the database's value, or None.
        :param dialect: SQLAlchemy's dialect of the database.
        :raises ValueError: the value is no number.
        """
        if value is not None and not (isinstance(value, (int, float)) and abs(value) < REAL_END):
            raise ValueError(f"{dialect.name} holds {type(value).__name__} in a column of numbers")
        return value


class _Jsonb(UserDefinedType[str]):
    """PostgreSQL's ``jsonb``, written and read as text."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return the name of the type in PostgreSQL."""
        return "JSONB"

    def bind_expression(self, bindvalue: Any) -> ColumnElement[str]:
        """Return the value as ``jsonb``: the text of a JSON value.

        :param bindvalue: the parameter.
        """
        return cast(bindvalue, self)

    def column_expression(self, column: Any) -> ColumnElement[str]:
        """Return the column as text, whatever a driver makes of ``jsonb``.

        :param column: the column.
        """
        return cast(column, Text)


class Json(TypeDecorator[str]):
    """A JSON value as text: ``jsonb`` in PostgreSQL, a text in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column in the database.

        :param dialect: SQLAlchemy's dialect of the database.
        """
        return dialect.type_descriptor(_Jsonb() if dialect.name == "postgresql" else Text())


_ORGANIZATION_ID = "The organisation's id as the listing shows the id; empty: none."
_ORGANIZATION_KEY = (
    "The organisation's id for joins, the same in all tables: a GUID in lower case, with hyphens and without "
    "braces; any other id as it is; empty: none."
)
_TENANT = "The tenant: the id of the AvePoint connection, unless the task names another."
_PRODUCT = "The product, such as m365 or dynamics365."
_LOCATION = "The Multi-Geo location; empty: none."
_WHAT = {
    "total": "all that the job handled",
    "successful": "saved",
    "failed": "failed",
    "skipped": "skipped",
    "warning": "saved with a warning",
}
_TASK = {
    "dag_id": "The DAG; NULL outside of a task.",
    "run_id": "The DAG run.",
    "task_id": "The task.",
    "map_index": "The index of a mapped task; -1: not mapped.",
    "try_number": "The try of the task.",
}


def _key(name: str, comment: str) -> Column[Any]:
    return Column(name, String, primary_key=True, nullable=False, comment=comment)


def _counts(of: str, label: str) -> list[Column[Any]]:
    return [
        Column(f"{of}_{kind}", Whole, comment=f"{label}: {_WHAT[kind]}; NULL: not stated.") for kind in COUNTS
    ]


def _task() -> list[Column[Any]]:
    return [
        Column(name, Small if name in ("map_index", "try_number") else String, comment=comment)
        for name, comment in _TASK.items()
    ]


JOBS = Table(
    "avepoint_jobs",
    metadata,
    _key("tenant", _TENANT),
    _key("product", _PRODUCT),
    _key("job_id", "The vendor's id of the job."),
    _key("location", _LOCATION),
    _key("organization_key", _ORGANIZATION_KEY),
    _key(
        "workload",
        "The Microsoft 365 object type, Dynamics or Elements module, Google app, IaaS service or AOS "
        "category; empty: not stated.",
    ),
    _key(
        "run_start",
        "Which run of the id, because an id may be used again: the start in UTC to the second; ../ and the "
        "finish of an ended run that has no start; empty: neither.",
    ),
    Column("organization_id", String, nullable=False, comment=_ORGANIZATION_ID),
    Column("job_type", String, comment="The job type, such as backup or restore; NULL: not stated."),
    Column(
        "state",
        String,
        nullable=False,
        comment="waiting, running, success, partial, failed, skipped, stopped or unknown.",
    ),
    Column("is_terminal", Boolean, nullable=False, comment="Whether the job has ended."),
    Column("raw_state", String, comment="The state as the vendor wrote the state."),
    Column("started_at", Moment, comment="When the job started; for a waiting job the planned start."),
    Column("finished_at", Moment, comment="When the job ended; NULL: not stated."),
    Column("duration_seconds", Real, comment="Finish minus start, else the vendor's own figure."),
    *_counts("objects", "Objects, or Dynamics entities"),
    *_counts("records", "Records"),
    *_counts("metadata", "Metadata"),
    Column("size_bytes", Whole, comment="The size of the backup in bytes."),
    Column("organization_name", String, comment="The organisation's name."),
    Column(
        "errors",
        Json,
        nullable=False,
        comment="JSON: a list of errors, each with is_error_code, message, url and count.",
    ),
    Column("raw", Json, nullable=False, comment="JSON: the row as the vendor sent the row."),
    Column(
        "problems",
        Json,
        nullable=False,
        server_default="[]",
        comment="JSON: a list of what could not be read; a job with a problem never passes a gate.",
    ),
    Column(
        "digest",
        String(32),
        nullable=False,
        comment="Equal digests mean that a job has not changed since the row was written.",
    ),
    Column("read_at", Moment, nullable=False, comment="When this content was first read from the API."),
    Column("first_read_at", Moment, nullable=False, comment="When the job was first read."),
    Index("avepoint_jobs_started_at", "started_at"),
    comment="AvePoint jobs: a row a run of a job, in its newest state.",
)

LOADS = Table(
    "avepoint_loads",
    metadata,
    _key("tenant", _TENANT),
    _key("product", _PRODUCT),
    _key("location", _LOCATION),
    _key("organization_key", _ORGANIZATION_KEY),
    _key("selection", "JSON: the job types and object types that the load asked for."),
    Column(
        "organization_id",
        String,
        nullable=False,
        comment="The organisation's id as the task names the organisation; empty: all.",
    ),
    Column(
        "loaded_from",
        Moment,
        nullable=False,
        comment="Every job that started at or after this time is in avepoint_jobs.",
    ),
    Column(
        "resume_from",
        Moment,
        nullable=False,
        comment="Jobs that started at or after this time may have appeared or changed since the load.",
    ),
    Column("begun_at", Moment, nullable=False, comment="When the newest load began."),
    comment="How far each listing is loaded into avepoint_jobs.",
)

VERDICTS = Table(
    "avepoint_verdicts",
    metadata,
    _key("tenant", _TENANT),
    _key("verdict_id", "The task instance and its try, or a random id outside of a task."),
    Column("product", String, nullable=False, comment=_PRODUCT),
    Column("judged_at", Moment, nullable=False, comment="When the gate judged."),
    Column("passed", Boolean, nullable=False, comment="Whether the gate passed."),
    Column(
        "reason",
        String,
        nullable=False,
        comment="passed, failed, partial, missed, stale, running, skipped, unknown_state and others.",
    ),
    Column("rules_version", Small, nullable=False, comment="The version of the rules that judged."),
    Column(
        "evidence",
        Json,
        nullable=False,
        comment="JSON: the whole verdict: policy, scopes and the deciding jobs.",
    ),
    *_task(),
    Index("avepoint_verdicts_judged_at", "tenant", "judged_at"),
    comment="What gates came to: a row a try of a task.",
)

AUDITS = Table(
    "avepoint_audits",
    metadata,
    _key("tenant", _TENANT),
    _key("audit_id", "The task instance and its try, or a random id outside of a task."),
    Column("product", String, nullable=False, comment=_PRODUCT),
    Column("location", String, nullable=False, comment="What the audit asked for; empty: all."),
    Column("organization_id", String, nullable=False, comment="What the audit asked for; empty: all."),
    Column("organization_key", String, nullable=False, comment=_ORGANIZATION_KEY),
    Column("audited_at", Moment, nullable=False, comment="When the licences were read."),
    Column("near_limit", Real, nullable=False, comment="The share of a licence from which a finding begins."),
    Column("forecast_days", Small, nullable=False, comment="How many days the forecast covers."),
    Column("error", Text, comment="Why no figures could be read; NULL: they were read."),
    Column(
        "findings",
        Json,
        nullable=False,
        comment="JSON: a list of findings, each with organization_id, service, location, reason and text.",
    ),
    *_task(),
    Index("avepoint_audits_audited_at", "tenant", "audited_at"),
    comment="What licence audits came to: a row a try of a task.",
)

PROTECTION_AUDITS = Table(
    "avepoint_protection_audits",
    metadata,
    _key("tenant", _TENANT),
    _key("audit_id", "The task instance and its try, or a random id outside of a task."),
    Column("product", String, nullable=False, comment=_PRODUCT),
    Column("location", String, nullable=False, comment="What the audit asked for; empty: all."),
    Column("organization_id", String, nullable=False, comment="What the audit asked for; empty: all."),
    Column("organization_key", String, nullable=False, comment=_ORGANIZATION_KEY),
    Column("audited_at", Moment, nullable=False, comment="When the tenant was audited."),
    Column("required", Json, nullable=False, comment="JSON: the protection that the audit required."),
    Column("readings", Json, nullable=False, comment="JSON: what was read, to compare it with."),
    Column("error", Text, comment="Why nothing could be read; NULL: at least a part was read."),
    Column(
        "findings",
        Json,
        nullable=False,
        comment="JSON: a list of findings, each with organization_id, service, location, reason and text.",
    ),
    *_task(),
    Index("avepoint_protection_audits_audited_at", "tenant", "audited_at"),
    comment="What protection audits came to: a row a try of a task.",
)

SCHEDULES = Table(
    "avepoint_schedules",
    metadata,
    _key("tenant", _TENANT),
    _key("product", _PRODUCT),
    _key("location", "The Multi-Geo location that was asked for; empty: the central location."),
    Column("day", Date, primary_key=True, nullable=False, comment="The day in UTC."),
    _key(
        "service",
        "The service, such as exchange_online; empty: the row of the day itself. If a day has no such row, "
        "nobody has read the schedule of the day.",
    ),
    Column("runs_a_day", Whole, comment="How many backups a day are scheduled; NULL: the day itself."),
    Column(
        "starts",
        Json,
        nullable=False,
        comment="JSON: a list of the scheduled starts of the day, in UTC, earliest first.",
    ),
    Column("read_at", Moment, nullable=False, comment="The newest reading that the row is from."),
    comment="When backups were scheduled: a row a day and service, and a row for each day that was read.",
)

DRILLS = Table(
    "avepoint_drills",
    metadata,
    _key("tenant", _TENANT),
    _key("drill_id", "The task instance, whatever its try, or a random id outside of a task."),
    Column("product", String, nullable=False, comment=_PRODUCT),
    Column("service", String, nullable=False, comment="What was restored, such as sharepoint_online."),
    Column(
        "location", String, nullable=False, comment="The Multi-Geo location; empty: the central location."
    ),
    Column("digest", String, nullable=False, comment="Equal digests mean equal requests."),
    Column("target", String, nullable=False, comment="The URL of the site, or the owner of the OneDrive."),
    Column("library", String, nullable=False, comment="The document library."),
    Column("sent_at", Moment, nullable=False, comment="When the restore was asked for."),
    Column("judged_at", Moment, nullable=False, comment="When the drill was judged last."),
    Column(
        "passed",
        Boolean,
        nullable=False,
        comment="Whether the files came back and, where their content is checked, the content was right.",
    ),
    Column(
        "reason",
        String,
        nullable=False,
        comment="passed, partial, failed, skipped, too_few_files, nothing_restored, uncertain, not_ended, "
        "not_checked or check_failed.",
    ),
    Column("message", Text, nullable=False, comment="The same in a sentence."),
    Column("job_id", String, comment="The vendor's id of the restore job; NULL: not known."),
    Column("restored_files", Whole, comment="How many files came back; NULL: not stated."),
    Column("expect_files", Whole, comment="How many files had to come back; NULL: not said."),
    Column(
        "was_adopted",
        Boolean,
        nullable=False,
        comment="Whether the job was found by its start, because its answer was lost.",
    ),
    Column("evidence", Json, nullable=False, comment="JSON: the whole drill: the request and the job."),
    *_task(),
    Index("avepoint_drills_judged_at", "tenant", "judged_at"),
    comment="What restore drills came to: a row a drill.",
)

INTENTS = Table(
    "avepoint_restore_intents",
    metadata,
    _key("dag_id", "The DAG."),
    _key("run_id", "The DAG run."),
    _key("task_id", "The task."),
    Column(
        "map_index",
        Small,
        primary_key=True,
        nullable=False,
        autoincrement=False,
        comment="The index of a mapped task; -1: not mapped.",
    ),
    Column("tenant", String, nullable=False, comment=_TENANT),
    Column("kept_at", Moment, nullable=False, comment="When the intent was kept."),
    Column("intent", Json, nullable=False, comment="JSON: how far the restore of the task has come."),
    comment="Restores that were begun, for AvePointRestoreOperator alone: so no task restores twice.",
)

REPORTS = Table(
    "avepoint_reports",
    metadata,
    _key("tenants", "JSON: the sorted list of the tenants that the report was asked for; null: all."),
    Column("generated_at", Moment, primary_key=True, nullable=False, comment="The moment of the report."),
    Column("summary", Text, nullable=False, comment="The report in one sentence."),
    Column(
        "states",
        Json,
        nullable=False,
        comment="JSON: the state of each scope, licence and gate, by its name.",
    ),
    comment="What each report said: the next one tells what has changed.",
)

LICENSES = Table(
    "avepoint_licenses",
    metadata,
    _key("tenant", _TENANT),
    _key("product", _PRODUCT),
    _key("location", _LOCATION),
    _key("organization_key", _ORGANIZATION_KEY),
    _key("service", "The subscription; empty: the product states none."),
    Column(
        "hour",
        Moment,
        primary_key=True,
        nullable=False,
        comment="The hour of the reading; of two readings in one hour the later is stored.",
    ),
    Column("organization_id", String, nullable=False, comment=_ORGANIZATION_ID),
    Column("read_at", Moment, nullable=False, comment="When the figures were read."),
    Column("organization_name", String, comment="The organisation's name."),
    Column("purchased_user_seats", Whole, comment="Purchased seats; NULL: not stated."),
    Column("assigned_user_seats", Whole, comment="Assigned seats; NULL: not stated."),
    Column("purchased_storage_gb", Real, comment="Purchased storage in GB; NULL: not stated."),
    Column("protected_gb", Real, comment="Protected data in GB; NULL: not stated."),
    Column("out_of_policy_at", Moment, comment="When the subscription went, or goes, out of policy."),
    Column(
        "is_out_of_policy",
        Boolean,
        nullable=False,
        comment="Whether out_of_policy_at was in the past when the figures were read.",
    ),
    Column("expires_at", Moment, comment="When the subscription ends; NULL: not stated."),
    comment="Licence figures: a row an hour and licence.",
)
