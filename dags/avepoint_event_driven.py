"""Start when a Dynamics 365 backup has ended well: no task waits, no schedule guesses."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, AssetWatcher, Param, task, task_group

from airflow_provider_avepoint.assets import create_asset
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger

log = logging.getLogger(__name__)

DOC = """
### Start because a backup has ended

The triggerer watches the backups of Dynamics 365 and starts this DAG once one has **ended well**: nobody
waits in between, and several backups that end together may come as one run.

| task | what it does |
|---|---|
| `create_table` | makes the table `avepoint_handled` where it is missing |
| `take_events` | the backups that were announced in the last week and that no run has handled yet |
| `backup.load` | your own work goes here |
| `backup.remember` | notes the backup as handled, once its load is done |

A triggerer that is killed may announce a backup a second time, with the same `key`: that is why handled keys
are kept. A load that failed is not among them: clear it to try again. Airflow 3.0 or newer; from 3.3 on, what
ends while no triggerer runs is announced as soon as one does.

**Params.** `warehouse_conn_id`: any SQL connection; SQLite for a try, PostgreSQL by naming another.
"""

NAME = "avepoint_dynamics365_backups"
# Events that are older were handled, or are too old to care.
LOOK_BACK = timedelta(days=7)
# Backups for one run; Airflow maps a task 1,024 times at most ([core] max_map_length).
MOST = 1000
BACKUPS = create_asset(
    name=NAME,
    product="dynamics365",
    avepoint_conn_id="avepoint_default",
    watchers=[
        AssetWatcher(
            name="backup_ended",
            trigger=AvePointBackupEventTrigger(
                asset=NAME,
                product="dynamics365",
                announce="passed",
                poll_interval=float(os.environ.get("AVEPOINT_EVENT_POLL_INTERVAL", "300")),
            ),
        )
    ],
)


def _warehouse(conn_id: str) -> Any:
    from airflow.providers.common.compat.sdk import BaseHook

    return BaseHook.get_connection(conn_id).get_hook()


with DAG(
    dag_id="avepoint_event_driven",
    description=__doc__,
    doc_md=DOC,
    schedule=[BACKUPS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # One after the other, or two runs could handle the same repeat.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"warehouse_conn_id": Param("avepoint_warehouse", type="string")},
    tags=["avepoint", "example"],
) as dag:

    @task
    def create_table(params: dict[str, Any]) -> None:
        """Make the table where it is missing."""
        _warehouse(params["warehouse_conn_id"]).run(
            "CREATE TABLE IF NOT EXISTS avepoint_handled (event_key VARCHAR(500) PRIMARY KEY)"
        )

    @task(inlets=[BACKUPS])
    def take_events(params: dict[str, Any], inlet_events: Any) -> list[dict[str, Any]]:
        """Return the backups that are not handled yet, each once.

        Not from ``triggering_asset_events``: Airflow 3.3.2 leaves out what ended while a run was due or
        running, until some later backup starts another (apache/airflow#56050).
        """
        events = inlet_events[BACKUPS]
        if hasattr(events, "after"):  # Airflow 3.0 gives them all
            events = events.after((datetime.now(UTC) - LOOK_BACK).isoformat())
        payloads = [event.extra["payload"] for event in events if "payload" in event.extra]
        backups = {payload["key"]: payload for payload in payloads}
        warehouse = _warehouse(params["warehouse_conn_id"])
        query = f"SELECT 1 FROM avepoint_handled WHERE event_key = {warehouse.placeholder}"  # noqa: S608  # ours
        unknown = [backup for key, backup in backups.items() if warehouse.get_first(query, [key]) is None]
        return unknown[:MOST]

    @task(map_index_template="Organisation {{ task.op_kwargs['backup']['organization_name'] or '?' }}")
    def load(backup: dict[str, Any]) -> str:
        """Do what waits for the backup; return its key."""
        log.info("%s: %s ended %s", backup["organization_name"], backup["job_id"], backup["finished_at"])
        return backup["key"]

    @task
    def remember(key: str, params: dict[str, Any]) -> None:
        """Note the backup as handled."""
        _warehouse(params["warehouse_conn_id"]).insert_rows(
            "avepoint_handled",
            [(key,)],
            target_fields=["event_key"],
            replace=True,
            replace_index=["event_key"],
        )

    @task_group
    def backup(ended: dict[str, Any]) -> None:
        """Handle one backup, whatever becomes of the others."""
        remember(load(backup=ended))

    taken = take_events()
    create_table() >> taken
    backup.expand(ended=taken)
