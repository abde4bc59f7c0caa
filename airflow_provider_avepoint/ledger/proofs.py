"""When restores were proven, by the drills of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from airflow_provider_avepoint.ledger.tables import DRILLS

if TYPE_CHECKING:
    from airflow_provider_avepoint.ledger.reader import LedgerReader
    from airflow_provider_avepoint.ledger.store import Ledger

__all__ = ["find_proofs"]


def find_proofs(
    ledger: Ledger | LedgerReader, tenant: str, product: str, location: str | None, now: datetime
) -> dict[str, datetime]:
    """Return when a restore of each service was last proven: the newest drill that passed.

    :param ledger: the ledger.
    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param location: the Multi-Geo location; None for the central location.
    :param now: drills that were judged later, by a wrong clock, do not count.
    :raises AvePointLedgerError: the database fails.
    """
    query = (
        select(DRILLS.c.service, func.max(DRILLS.c.judged_at).label("proven_at"))
        .where(
            DRILLS.c.tenant == tenant,
            DRILLS.c.product == product,
            DRILLS.c.location == (location or ""),
            DRILLS.c.passed.is_(True),
            DRILLS.c.judged_at <= now,
        )
        .group_by(DRILLS.c.service)
    )
    return {row["service"]: row["proven_at"] for row in ledger.iter_rows(query)}
