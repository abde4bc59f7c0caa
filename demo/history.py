"""Licence readings of sixty days, as an audit of each Monday would have left them in the ledger.

The API tells only how things stand now. So the simulator is given the figures of each week in turn, and each
is read as ever and recorded under its day. ``python -m demo.history <simulator's URL>``, in the environment
of an Airflow with a connection to it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import httpx

from demo.gate import LEDGER_CONN_ID

PRODUCT = "m365"
PURCHASED = {"purchased_user_seats": 2_000, "purchased_storage_size": 40_000}
_WEEKS = 9


def figures(weeks_ago: int) -> dict[str, int]:
    """Return what is bought, and used by then: it grows by the week, now more and now less."""
    week, swing = _WEEKS - weeks_ago, weeks_ago * 7 % 5
    return {
        **PURCHASED,
        "assigned_user_seats": 1_640 + 19 * week + swing,
        "protected_size": 30_500 + 930 * week + 45 * swing,
    }


def main(url: str) -> None:
    """Record one reading a week, the last one today."""
    from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook
    from airflow_provider_avepoint.ledger.store import Ledger

    now = datetime.now(UTC)
    with AvePointHook() as hook, Ledger(LEDGER_CONN_ID) as ledger:
        for weeks_ago in range(_WEEKS, -1, -1):
            httpx.put(
                f"{url}/control/license/{PRODUCT}", json=figures(weeks_ago), trust_env=False
            ).raise_for_status()
            reading = hook.get_license_consumption(PRODUCT)
            ledger.save_licenses(DEFAULT_CONN_ID, [reading], now - timedelta(weeks=weeks_ago))


if __name__ == "__main__":
    main(sys.argv[1])
