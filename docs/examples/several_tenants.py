"""Guard the load of each tenant by the tenant's own backup."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

TENANTS = ["avepoint_contoso", "avepoint_fabrikam"]

with DAG(
    "several_tenants",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:

    @task
    def load(tenant: str) -> None:
        """Load one tenant."""

    @task_group
    def guard(tenant: str) -> None:
        """Let one tenant's bad backup stop this tenant only."""
        wait_for_backup = AvePointBackupSensor(
            task_id="wait_for_backup",
            avepoint_conn_id=tenant,
            product="dynamics365",
            max_age=timedelta(hours=24),
            retries=2,
            map_index_template="{{ task.avepoint_conn_id }}",
        )
        wait_for_backup >> load(tenant)

    guard.expand(tenant=TENANTS)
