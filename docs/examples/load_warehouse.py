"""Load the warehouse only if last night's Dynamics 365 backup is good."""

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

with DAG(
    "load_warehouse",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
) as dag:
    backup = AvePointBackupSensor(task_id="backup", product="dynamics365", max_age="24h")

    @task
    def load() -> None:
        """Your own work goes here."""

    backup >> load()
