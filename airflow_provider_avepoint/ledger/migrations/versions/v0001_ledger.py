"""The first tables: jobs, loads, verdicts and licence readings."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JOB_KEY = ("tenant", "product", "job_id", "location", "organization_id", "workload")
_LOAD_KEY = ("tenant", "product", "location", "organization_id", "selection")
_VERDICT_KEY = ("tenant", "verdict_id")
_LICENSE_KEY = ("tenant", "product", "location", "organization_id", "service")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "avepoint_jobs",
        *_texts(*_JOB_KEY, nullable=False),
        Column("job_type", String),
        Column("state", String, nullable=False),
        Column("is_terminal", Boolean, nullable=False),
        Column("raw_state", String),
        _moment("started_at"),
        _moment("finished_at"),
        Column("duration_seconds", Float),
        *[
            Column(f"{of}_{kind}", BigInteger)
            for of in ("objects", "records", "metadata")
            for kind in ("total", "successful", "failed", "skipped", "warning")
        ],
        Column("size_bytes", BigInteger),
        Column("organization_name", String),
        Column("errors", Text, nullable=False),
        Column("raw", Text, nullable=False),
        Column("digest", String(32), nullable=False),
        _moment("read_at", nullable=False),
        _moment("first_read_at", nullable=False),
        PrimaryKeyConstraint(*_JOB_KEY, name="avepoint_jobs_key"),
    )
    op.create_index("avepoint_jobs_started_at", "avepoint_jobs", ["started_at"])
    op.create_table(
        "avepoint_loads",
        *_texts(*_LOAD_KEY, nullable=False),
        _moment("loaded_from", nullable=False),
        _moment("resume_from", nullable=False),
        _moment("begun_at", nullable=False),
        PrimaryKeyConstraint(*_LOAD_KEY, name="avepoint_loads_key"),
    )
    op.create_table(
        "avepoint_verdicts",
        *_texts(*_VERDICT_KEY, "product", nullable=False),
        _moment("judged_at", nullable=False),
        Column("passed", Boolean, nullable=False),
        Column("reason", String, nullable=False),
        Column("rules_version", Integer, nullable=False),
        Column("evidence", Text, nullable=False),
        *_texts("dag_id", "run_id", "task_id"),
        Column("map_index", Integer),
        Column("try_number", Integer),
        PrimaryKeyConstraint(*_VERDICT_KEY, name="avepoint_verdicts_key"),
    )
    op.create_index("avepoint_verdicts_judged_at", "avepoint_verdicts", ["tenant", "judged_at"])
    op.create_table(
        "avepoint_licenses",
        *_texts(*_LICENSE_KEY, nullable=False),
        _moment("hour", nullable=False),
        _moment("read_at", nullable=False),
        Column("organization_name", String),
        Column("purchased_user_seats", BigInteger),
        Column("assigned_user_seats", BigInteger),
        Column("purchased_storage_gb", Float),
        Column("protected_gb", Float),
        _moment("out_of_policy_at"),
        Column("is_out_of_policy", Boolean, nullable=False),
        _moment("expires_at"),
        PrimaryKeyConstraint(*_LICENSE_KEY, "hour", name="avepoint_licenses_key"),
    )


def downgrade() -> None:
    """Drop the tables and their contents."""
    for name in ("avepoint_licenses", "avepoint_verdicts", "avepoint_loads", "avepoint_jobs"):
        op.drop_table(name)


def _texts(*names: str, nullable: bool = True) -> list[Column[Any]]:
    return [Column(name, String, nullable=nullable) for name in names]


def _moment(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime(timezone=True).with_variant(String(), "sqlite"), nullable=nullable)
