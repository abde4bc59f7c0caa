"""Start when a Dynamics 365 backup has ended well."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, AssetWatcher, task

from airflow_provider_avepoint.assets import create_asset
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger

BACKUPS = create_asset(
    name="crm_backups",
    product="dynamics365",
    avepoint_conn_id="avepoint_default",
    watchers=[
        AssetWatcher(
            name="backup_ended",
            trigger=AvePointBackupEventTrigger(
                asset="crm_backups",
                product="dynamics365",
                announce="passed",
                poll_interval=60,
            ),
        )
    ],
)

with DAG(
    "start_when_a_backup_ends",
    schedule=[BACKUPS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
) as dag:

    @task(inlets=[BACKUPS])
    def load(inlet_events: Any) -> None:
        """Say which backups have ended; the newest event is the last one."""
        for event in inlet_events[BACKUPS][-3:]:
            backup = event.extra["payload"]
            print(backup["organization_name"], backup["job_id"], backup["finished_at"])

    load()
