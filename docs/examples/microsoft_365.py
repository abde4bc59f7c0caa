"""Start a report when Exchange, SharePoint and Teams each have a good backup."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

with DAG(
    "microsoft_365",
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:
    wait_for_backup = AvePointBackupSensor(
        task_id="wait_for_backup",
        product="m365",
        object_types=["exchange_online", "sharepoint_online", "teams"],
        max_age=timedelta(hours=26),
        retries=2,
    )

    @task
    def report() -> None:
        """Use the data of the three services."""

    wait_for_backup >> report()
