"""Tell Slack and Teams why a gate is shut."""

from datetime import UTC, datetime, timedelta

from airflow.providers.apprise.notifications.apprise import AppriseNotifier
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

TEXT = "The gate {{ dag.dag_id }} / {{ ti.task_id }} is shut: {{ exception }}"

with DAG(
    "alert",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:
    wait_for_backup = AvePointBackupSensor(
        task_id="wait_for_backup",
        product="dynamics365",
        max_age=timedelta(hours=24),
        on_failure_callback=[
            SlackWebhookNotifier(slack_webhook_conn_id="slack_backups", text=TEXT),
            AppriseNotifier(apprise_conn_id="teams_backups", title="Backups", body=TEXT),
        ],
    )
