"""Load the warehouse only if last night's Dynamics 365 backup is good."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

with DAG(
    "avepoint_quickstart",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
):
    backup = AvePointBackupSensor(
        task_id="backup", product="dynamics365", max_age=timedelta(hours=24), retries=2
    )

    @task
    def load_warehouse() -> None:
        """Your own work goes here."""

    backup >> load_warehouse()
