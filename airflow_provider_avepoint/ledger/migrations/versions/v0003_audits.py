"""What licence audits came to."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, DateTime, Float, Integer, PrimaryKeyConstraint, String, Text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "avepoint_audits",
        *(
            Column(name, String, nullable=False)
            for name in ("tenant", "audit_id", "product", "location", "organization_id")
        ),
        Column("audited_at", DateTime(timezone=True).with_variant(String(), "sqlite"), nullable=False),
        Column("near_limit", Float, nullable=False),
        Column("forecast_days", Integer, nullable=False),
        Column("error", Text),
        Column("findings", Text, nullable=False),
        *(Column(name, String) for name in ("dag_id", "run_id", "task_id")),
        Column("map_index", Integer),
        Column("try_number", Integer),
        PrimaryKeyConstraint("tenant", "audit_id", name="avepoint_audits_key"),
    )
    op.create_index("avepoint_audits_audited_at", "avepoint_audits", ["tenant", "audited_at"])


def downgrade() -> None:
    """Drop the table, with what it holds."""
    op.drop_table("avepoint_audits")
