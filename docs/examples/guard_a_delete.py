"""Delete old files only if they are in a good backup, and nothing looks attacked."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator

with DAG(
    "guard_a_delete",
    schedule="0 20 * * 6",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:

    @task
    def list_old_files() -> list[str]:
        """Return what to delete: only what was there before the backup began."""
        return []

    is_backed_up = AvePointBackupCheckOperator(
        task_id="is_backed_up",
        product="m365",
        object_types=["sharepoint_online"],
        max_age=timedelta(hours=24),
        max_unusual=0,
    )

    @task  # The trigger rule is all_success: never give a delete another one.
    def delete(paths: list[str]) -> None:
        """Delete the files."""

    old_files = list_old_files()
    old_files >> is_backed_up >> delete(old_files)
