"""Load two organisations only after a good backup of both."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

with DAG(
    "guard_a_load",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:
    wait_for_backup = AvePointBackupSensor(
        task_id="wait_for_backup",
        product="dynamics365",
        max_age=timedelta(hours=24),
        organization_ids=["contoso", "fabrikam"],
        timeout=4 * 3600,
        retries=2,
    )

    @task
    def load() -> None:
        """Load the warehouse."""

    wait_for_backup >> load()
