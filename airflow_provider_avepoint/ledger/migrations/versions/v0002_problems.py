"""Add the column ``problems``, and normalise organisation ids as this release does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alembic import op
from sqlalchemy import Boolean, Column, String, Text, and_, column, select, table

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.core.text import storable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = ("tenant", "product", "job_id", "location", "organization_id", "workload")
_JOBS = table(
    "avepoint_jobs",
    *(column(name, String) for name in _KEY),
    column("raw", Text),
    column("is_terminal", Boolean),
    column("read_at"),
)


def upgrade() -> None:
    """Add the column, and give each job the organisation id that a load now gives it.

    Release 0.1.0 wrote all ids in lower case. A GUID is still written so; any other id gets its case back if
    the stored row shows it. Where no row shows it (Elements, licence readings), the case is lost.
    """
    op.add_column("avepoint_jobs", Column("problems", Text, nullable=False, server_default="[]"))
    connection = op.get_bind()
    spellings = select(_JOBS.c.product, _JOBS.c.organization_id).distinct()
    for product, organization in connection.execute(spellings).all():
        if not _is_guid(organization):
            _respell(connection, product, organization)


def downgrade() -> None:
    """Drop the column; ids keep their case."""
    op.drop_column("avepoint_jobs", "problems")


def _is_guid(text: str) -> bool:
    """Tell whether a stored id is a GUID in its normalised form."""
    return normalize_id(text.upper()) == text != text.upper()


def _respell(connection: Connection, product: str, organization: str) -> None:
    """Give a product's jobs with the organisation id *organization* that id in its present spelling."""
    try:
        reader = RowReader(get_product(product))
    except AvePointError:  # a product of a later release
        return
    is_theirs = and_(_JOBS.c.product == product, _JOBS.c.organization_id == organization)
    jobs = connection.execute(select(_JOBS).where(is_theirs)).mappings()
    moved = [
        (dict(job), spelled)
        for job in jobs
        if (spelled := _spell(reader, job["raw"], organization)) != organization
    ]
    for job, spelled in moved:
        known = _find(connection, job | {"organization_id": spelled})
        if known is not None and (known.is_terminal, known.read_at) >= (job["is_terminal"], job["read_at"]):
            connection.execute(_JOBS.delete().where(*_is(job)))
            continue
        if known is not None:
            connection.execute(_JOBS.delete().where(*_is(job | {"organization_id": spelled})))
        connection.execute(_JOBS.update().where(*_is(job)).values(organization_id=spelled))


def _spell(reader: RowReader, raw: str, organization: str) -> str:
    """Return the organisation id of a stored row; if the row has none, *organization* normalised."""
    row = json.loads(raw)
    stated = reader.identify(row).organization_id if row else None
    return storable(normalize_id(stated if stated is not None else organization) or "")


def _find(connection: Connection, job: dict[str, Any]) -> Any:
    return connection.execute(select(_JOBS.c.is_terminal, _JOBS.c.read_at).where(*_is(job))).one_or_none()


def _is(job: dict[str, Any]) -> list[Any]:
    return [_JOBS.c[name] == job[name] for name in _KEY]
