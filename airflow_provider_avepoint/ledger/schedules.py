"""Keep the schedules that gates read, and recall those of past days."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from datetime import date
from threading import Lock

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.questions import KnownDays
from airflow_provider_avepoint.core.schedule import BackupSchedule

__all__ = ["keep_schedules"]

# The waits of one triggerer share each reading of a schedule: the first one asks the ledger, for all of them.
_MOST_REMEMBERED = 16
_remembered: OrderedDict[tuple[object, ...], KnownDays] = OrderedDict()
_locks: defaultdict[str, Lock] = defaultdict(Lock)


def keep_schedules(
    schedules: Sequence[BackupSchedule], first: date, *, ledger_conn_id: str, tenant: str
) -> KnownDays:
    """Keep schedules, and return what is known of each day from *first* on.

    :param schedules: what was just read.
    :param first: the first day of the window, in UTC.
    :param ledger_conn_id: an Airflow connection to the ledger's database.
    :param tenant: the tenant's name in the ledger.
    :returns: the days, or the error of a ledger that is away or cannot be used.
    """
    key = (ledger_conn_id, tenant, first, *schedules)
    with _locks[ledger_conn_id]:
        known = _remembered.get(key)
        if known is None:
            known = _remembered[key] = _keep(schedules, first, ledger_conn_id, tenant)
            while len(_remembered) > _MOST_REMEMBERED:
                _remembered.popitem(last=False)
        return known


def _keep(schedules: Sequence[BackupSchedule], first: date, ledger_conn_id: str, tenant: str) -> KnownDays:
    from airflow_provider_avepoint.ledger.store import Ledger

    days = []
    try:
        with Ledger(ledger_conn_id) as ledger:
            for schedule in schedules:
                ledger.save_schedule(tenant, schedule)
                days += ledger.find_schedules(tenant, schedule.product, schedule.location, first)
    except AvePointError as e:
        return KnownDays(error=e.with_traceback(None))
    return KnownDays(days=tuple(days))
