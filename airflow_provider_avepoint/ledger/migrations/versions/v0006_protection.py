"""What the schedule said on each day, restore drills, and what protection audits came to."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MOMENT = DateTime(timezone=True).with_variant(String(), "sqlite")
_JSON = Text().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "avepoint_schedules",
        *_texts("tenant", "product", "location"),
        Column("day", Date, nullable=False),
        *_texts("service"),
        Column("runs_a_day", BigInteger),
        Column("starts", _JSON, nullable=False),
        Column("read_at", _MOMENT, nullable=False),
        PrimaryKeyConstraint(
            "tenant", "product", "location", "day", "service", name="avepoint_schedules_key"
        ),
    )
    op.create_table(
        "avepoint_drills",
        *_texts("tenant", "drill_id", "product", "service", "location", "digest", "target", "library"),
        Column("sent_at", _MOMENT, nullable=False),
        Column("judged_at", _MOMENT, nullable=False),
        Column("passed", Boolean, nullable=False),
        *_texts("reason"),
        Column("message", Text, nullable=False),
        Column("job_id", String),
        Column("restored_files", BigInteger),
        Column("expect_files", BigInteger),
        Column("was_adopted", Boolean, nullable=False),
        Column("evidence", _JSON, nullable=False),
        *_task(),
        PrimaryKeyConstraint("tenant", "drill_id", name="avepoint_drills_key"),
    )
    op.create_index("avepoint_drills_judged_at", "avepoint_drills", ["tenant", "judged_at"])
    op.create_table(
        "avepoint_restore_intents",
        *_texts("dag_id", "run_id", "task_id"),
        Column("map_index", Integer, nullable=False),
        *_texts("tenant"),
        Column("kept_at", _MOMENT, nullable=False),
        Column("intent", _JSON, nullable=False),
        PrimaryKeyConstraint("dag_id", "run_id", "task_id", "map_index", name="avepoint_restore_intents_key"),
    )
    op.create_table(
        "avepoint_protection_audits",
        *_texts("tenant", "audit_id", "product", "location", "organization_id", "organization_key"),
        Column("audited_at", _MOMENT, nullable=False),
        Column("required", _JSON, nullable=False),
        Column("readings", _JSON, nullable=False),
        Column("error", Text),
        Column("findings", _JSON, nullable=False),
        *_task(),
        PrimaryKeyConstraint("tenant", "audit_id", name="avepoint_protection_audits_key"),
    )
    op.create_index(
        "avepoint_protection_audits_audited_at", "avepoint_protection_audits", ["tenant", "audited_at"]
    )


def downgrade() -> None:
    """Drop the tables, with what they hold."""
    for name in (
        "avepoint_protection_audits",
        "avepoint_restore_intents",
        "avepoint_drills",
        "avepoint_schedules",
    ):
        op.drop_table(name)


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, String, nullable=False) for name in names]


def _task() -> list[Column[int] | Column[str]]:
    return [
        *(Column(name, String) for name in ("dag_id", "run_id", "task_id")),
        Column("map_index", Integer),
        Column("try_number", Integer),
    ]
