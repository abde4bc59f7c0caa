"""Keep each run of a job id, spell organisations as the listing does, and store JSON as ``jsonb``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from alembic import op
from sqlalchemy import Boolean, Column, Float, String, Text, and_, column, func, not_, or_, select, table

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.ledger.rows import write_json
from airflow_provider_avepoint.ledger.runs import write_run_start
from airflow_provider_avepoint.ledger.tables import Moment

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.expression import ColumnClause

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JOBS = "avepoint_jobs"
_ID = ("tenant", "product", "job_id", "location", "organization_key", "workload")
_OLD_KEY = tuple("organization_id" if name == "organization_key" else name for name in _ID)
_WITH_ORGANIZATION = (_JOBS, "avepoint_loads", "avepoint_licenses", "avepoint_audits")
# The columns with JSON of each table, and the names that find a row.
_JSON = {
    _JOBS: (("errors", "raw", "problems"), (*_ID, "run_start")),
    "avepoint_verdicts": (("evidence",), ("tenant", "verdict_id")),
    "avepoint_audits": (("findings",), ("tenant", "audit_id")),
}


def upgrade() -> None:
    """Give each job its run's start, each organisation both spellings, and JSON the type ``jsonb``."""
    connection = op.get_bind()
    is_postgres = connection.dialect.name == "postgresql"
    if is_postgres:
        # In another time zone the last hours of 9999 would be in the year 10000.
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
    for name in _WITH_ORGANIZATION:
        op.alter_column(name, "organization_id", new_column_name="organization_key")
        op.add_column(name, Column("organization_id", String, nullable=False, server_default=""))
        connection.exec_driver_sql(f"UPDATE {name} SET organization_id = organization_key")  # noqa: S608
    op.add_column(_JOBS, Column("run_start", String, nullable=False, server_default=""))
    _fill_run_starts(connection)
    _set_key((*_ID, "run_start"))
    for name, (columns, key) in _JSON.items():
        for each in columns:
            _clean(connection, name, each, key)
    _spell_organizations(connection)
    if is_postgres:
        _set_types(connection, "jsonb")
    for name in _WITH_ORGANIZATION if is_postgres else ():
        op.alter_column(name, "organization_id", server_default=None)


def downgrade() -> None:
    """Store JSON as text and organisations in one spelling; of several runs of an id the newest is kept."""
    connection = op.get_bind()
    jobs = table(_JOBS, *(column(name) for name in (*_ID, "run_start")))
    later = jobs.alias()
    is_older = and_(*(later.c[name] == jobs.c[name] for name in _ID), later.c.run_start > jobs.c.run_start)
    connection.execute(jobs.delete().where(select(later).where(is_older).exists()))
    if connection.dialect.name == "postgresql":
        _set_types(connection, "text")
    _set_key(_ID)
    op.drop_column(_JOBS, "run_start")
    for name in _WITH_ORGANIZATION:
        op.drop_column(name, "organization_id")
        op.alter_column(name, "organization_key", new_column_name="organization_id")


def _set_key(columns: tuple[str, ...]) -> None:
    """Make *columns* the primary key of the table of jobs; SQLite copies the table for this."""
    with op.batch_alter_table(_JOBS) as batch:
        batch.drop_constraint("avepoint_jobs_key", type_="primary")
        batch.create_primary_key("avepoint_jobs_key", list(columns))


def _set_types(connection: Connection, kind: str) -> None:
    """Give the columns with JSON another type in PostgreSQL, which writes each table once."""
    for name, (columns, _) in _JSON.items():
        changes = [f"ALTER COLUMN {each} TYPE {kind} USING {each}::{kind}" for each in columns]
        if name == _JOBS:
            connection.exec_driver_sql(f"ALTER TABLE {name} ALTER COLUMN problems DROP DEFAULT")
            changes.append("ALTER COLUMN problems SET DEFAULT '[]'")
        connection.exec_driver_sql(f"ALTER TABLE {name} {', '.join(changes)}")


def _fill_run_starts(connection: Connection) -> None:
    """Fill ``run_start``: from the start, or else from an ended job's finish and duration."""
    if connection.dialect.name == "postgresql":
        start = """to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')"""
    else:
        start = "substr(started_at, 1, 10) || 'T' || substr(started_at, 12, 8)"
    connection.exec_driver_sql(
        f"UPDATE {_JOBS} SET run_start = {start} WHERE started_at IS NOT NULL"  # noqa: S608
    )
    jobs = _table(
        _JOBS,
        (*_ID, "run_start"),
        column("started_at", Moment),
        column("finished_at", Moment),
        column("duration_seconds", Float),
        column("is_terminal", Boolean),
    )
    tells_start = and_(
        jobs.c.started_at.is_(None),
        jobs.c.is_terminal,
        jobs.c.finished_at.is_not(None),
        jobs.c.duration_seconds.is_not(None),
    )
    for row in connection.execute(select(jobs).where(tells_start)).mappings().all():
        try:
            start_at = row["finished_at"] - timedelta(seconds=row["duration_seconds"])
        except OverflowError:
            continue
        _update(connection, jobs, row, (*_ID,), run_start=write_run_start(start_at))


def _spell_organizations(connection: Connection) -> None:
    """Give each job the id of its organisation as the stored row spells the id."""
    key = (*_ID, "run_start")
    jobs = _table(_JOBS, key, column("organization_id", String), column("raw", Text))
    find = func.strpos if connection.dialect.name == "postgresql" else func.instr
    is_spelled_otherwise = and_(
        jobs.c.organization_key != "", find(jobs.c.raw, jobs.c.organization_key) == 0, jobs.c.raw != "{}"
    )
    readers: dict[str, RowReader | None] = {}
    for row in _fetch(connection, select(jobs).where(is_spelled_otherwise)):
        product = row["product"]
        if product not in readers:
            try:
                readers[product] = RowReader(get_product(product))
            except AvePointError:  # a product of a later release
                readers[product] = None
        reader, raw = readers[product], json.loads(row["raw"])
        if reader is None or not isinstance(raw, dict):
            continue
        spelled = reader.identify(raw).organization_id
        if spelled is not None and normalize_id(spelled) == row["organization_key"]:
            _update(connection, jobs, row, key, organization_id=spelled)


def _clean(connection: Connection, name: str, of: str, key: tuple[str, ...]) -> None:
    """Write JSON again that PostgreSQL refuses: NUL, half characters, NaN, or a text that is no JSON."""
    rows = _table(name, key, column(of, Text))
    text = rows.c[of]
    odd = [r"\u0000", r"\ud", "NaN", "Infinity"]
    if connection.dialect.name == "postgresql" and _find_encoding(connection) != "UTF8":
        odd.append(r"\u")  # another encoding takes characters, and no escapes
    is_odd = or_(
        *(text.contains(each, autoescape=True) for each in odd),
        not_(or_(text.startswith("{"), text.startswith("["))),
    )
    for row in _fetch(connection, select(rows).where(is_odd)):
        try:
            value = json.loads(row[of])
        except ValueError:
            value = row[of]
        _update(connection, rows, row, key, **{of: write_json(value)})


def _find_encoding(connection: Connection) -> str:
    encoding: str = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    return encoding


def _table(name: str, key: tuple[str, ...], *columns: ColumnClause[Any]) -> Any:
    return table(name, *(column(each, String) for each in key), *columns)


def _fetch(connection: Connection, query: Any) -> Iterator[Mapping[Any, Any]]:
    """Return all rows, before a change of them."""
    return iter(connection.execute(query).mappings().all())


def _update(
    connection: Connection, rows: Any, row: Mapping[Any, Any], key: tuple[str, ...], **values: str
) -> None:
    connection.execute(rows.update().where(*(rows.c[name] == row[name] for name in key)).values(values))
