"""Tell every Monday which tenants are over, or nearly over, the backup licence they have bought."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task

from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator

DOC = """
### Licence audit

Reads seats and storage of every connection and fails a tenant's task when seats are over-assigned, storage is
over what was bought, either is at 90 % or more, or the subscription is out of policy: then AvePoint stops
backing up new objects, and with some licences stops altogether after 90 days.

**Params.** `connections`: AvePoint connection ids, one a tenant; one tenant's bad credentials do not hide the
others' figures. **When it fails**, the task names the figures; they are in its XCom `audit`.
"""

with DAG(
    dag_id="avepoint_license_audit",
    description=__doc__,
    doc_md=DOC,
    schedule="0 6 * * 1",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={"connections": Param(["avepoint_default"], type="array", items={"type": "string"})},
    tags=["avepoint", "example"],
) as dag:

    @task
    def list_connections(params: dict[str, Any]) -> list[str]:
        """Return the tenants' connections."""
        if not params["connections"]:
            raise AirflowFailException("The param 'connections' is empty: there is nothing to audit.")
        return params["connections"]

    AvePointLicenseAuditOperator.partial(task_id="audit", product="m365", near_limit=0.9).expand(
        avepoint_conn_id=list_connections()
    )


if __name__ == "__main__":
    dag.test()
