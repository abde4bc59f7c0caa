"""Keep schedules in a ledger from the triggerer, without holding up its event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from asgiref.sync import sync_to_async

from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.core.questions import KnownDays
from airflow_provider_avepoint.core.schedule import BackupSchedule

__all__ = ["akeep_schedules"]

# How long a look waits for the ledger, in seconds.
_PATIENCE = 60.0
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="avepoint-ledger")


async def akeep_schedules(
    schedules: list[BackupSchedule], first: date, *, ledger_conn_id: str, tenant: str
) -> KnownDays:
    """Keep schedules, and return what is known of each day from *first* on; see ``keep_schedules``.

    The thread looks the ledger's connection up, which Airflow allows in a thread of asgiref's only. The
    threads are the ledgers' own. In asgiref's one thread, or in the event loop's few, a database that hangs
    would hold up the connections of all waits.

    :param schedules: what was just read.
    :param first: the first day of the window, in UTC.
    :param ledger_conn_id: an Airflow connection to the ledger's database.
    :param tenant: the tenant's name in the ledger.
    """

    def keep() -> KnownDays:
        from airflow_provider_avepoint.ledger.schedules import keep_schedules

        return keep_schedules(schedules, first, ledger_conn_id=ledger_conn_id, tenant=tenant)

    try:
        async with asyncio.timeout(_PATIENCE):
            return await sync_to_async(keep, thread_sensitive=False, executor=_THREADS)()
    except TimeoutError:
        message = f"The ledger {ledger_conn_id!r} did not answer within {_PATIENCE:.0f} s."
        return KnownDays(error=AvePointLedgerError(message))
