"""What each report said."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, DateTime, PrimaryKeyConstraint, String, Text
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "avepoint_reports",
        Column("tenants", String, nullable=False),
        Column("generated_at", DateTime(timezone=True).with_variant(String(), "sqlite"), nullable=False),
        Column("summary", Text, nullable=False),
        Column("states", Text().with_variant(JSONB(), "postgresql"), nullable=False),
        PrimaryKeyConstraint("tenants", "generated_at", name="avepoint_reports_key"),
    )


def downgrade() -> None:
    """Drop the table, with what it holds."""
    op.drop_table("avepoint_reports")
