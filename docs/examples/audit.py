"""Keep the jobs, audit the licence, and write the report, every Monday."""

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_avepoint.operators.avepoint import (
    AvePointJobsToSqlOperator,
    AvePointLicenseAuditOperator,
    AvePointReportOperator,
)

with DAG(
    "audit",
    schedule="0 6 * * 1",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:
    jobs = AvePointJobsToSqlOperator(task_id="jobs", product=["m365", "dynamics365"])
    licence = AvePointLicenseAuditOperator(task_id="licence", on_breach="warn")
    report = AvePointReportOperator(
        task_id="report",
        path="{{ var.value.avepoint_report_path }}",
        trigger_rule="all_done",
    )
    [jobs, licence] >> report
