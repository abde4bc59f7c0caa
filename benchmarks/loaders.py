"""Two ways to put the same jobs into a database, as one would write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.listers import PRODUCT, define_connection

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.model import BackupJob

_LEDGER_CONN_ID = "ledger_bench"
_TABLE = "pandas_jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be loaded.

    :param jobs: how many, the newest first.
    :param batch: how many at a time.
    :param source: the Airflow connection to the API, as JSON.
    :param database: the Airflow connection to the database.
    """

    jobs: int
    batch: int
    source: str
    database: dict[str, Any]


def load_with_ledger(order: Order) -> Callable[[], int]:
    """Write into the ledger; return how many jobs were inserted or stood there already."""
    from datetime import UTC, datetime

    from airflow_provider_avepoint.ledger.store import Changes, Ledger

    conn_id = define_connection(_LEDGER_CONN_ID, order.database)
    batches = list(_batch(order))

    def load() -> int:
        read_at = datetime.now(UTC)
        total = Changes()
        with Ledger(conn_id) as ledger:
            for batch in batches:
                total = total.plus(ledger.save_jobs("bench", batch, read_at))
        return total.inserted + total.unchanged

    return load


def load_with_pandas(order: Order) -> Callable[[], int]:
    """Append data frames, by the engine of the same connection."""
    import pandas as pd
    from airflow.providers.common.compat.sdk import BaseHook

    conn_id = define_connection(_LEDGER_CONN_ID, order.database)
    batches = list(_batch(order))

    def load() -> int:
        engine = BaseHook.get_connection(conn_id).get_hook().get_sqlalchemy_engine()
        count = 0
        for batch in batches:
            frame = pd.DataFrame([_flatten(job) for job in batch])
            frame.to_sql(_TABLE, engine, if_exists="append", index=False)
            count += len(frame)
        engine.dispose()
        return count

    return load


def _flatten(job: BackupJob) -> dict[str, Any]:
    """Return a job as a row: times as times, counts as columns, what is nested as JSON."""
    row = job.as_dict() | {"started_at": job.started_at, "finished_at": job.finished_at}
    for level in ("counts", "record_counts", "metadata_counts"):
        row |= {f"{level}_{kind}": value for kind, value in row.pop(level).items()}
    return row | {name: json.dumps(row[name]) for name in ("errors", "problems", "raw")}


def _batch(order: Order) -> Iterator[list[BackupJob]]:
    jobs = _list_jobs(order.source)[: order.jobs]
    for begin in range(0, len(jobs), order.batch):
        yield jobs[begin : begin + order.batch]


@cache
def _list_jobs(source: str) -> list[BackupJob]:
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook

    with AvePointHook(define_connection("avepoint_bench", json.loads(source))) as hook:
        return list(hook.iter_jobs(PRODUCT, started_after="2000-01-01T00:00:00Z"))
