"""One gate an organisation, and behind each the task that it guards."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

log = logging.getLogger(__name__)

with DAG(
    dag_id="cluster_gates",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_tasks=1000,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
) as dag:

    @task
    def plan() -> list[dict[str, str]]:
        """Return what to wait for, a connection and an organisation each."""
        gates: list[dict[str, str]] = json.loads(Path(os.environ["CLUSTER_GATES"]).read_text())
        return gates

    @task
    def record(organization_id: str, ti: Any) -> str:
        """Write down that this organisation's data may be touched: the line is there before the task ends."""
        line = {"organization_id": organization_id, "try_number": ti.try_number}
        with Path(os.environ["CLUSTER_RECORDS"]).open("a") as records:
            records.write(json.dumps(line) + "\n")
        log.info("Recorded %s", organization_id)
        return organization_id

    @task_group
    def organization(avepoint_conn_id: str, organization_id: str) -> None:
        """Guard one organisation's task by its own backup."""
        gate = AvePointBackupSensor(
            task_id="gate",
            avepoint_conn_id=avepoint_conn_id,
            product="dynamics365",
            organization_ids=organization_id,
            started_after="{{ dag_run.conf['started_after'] }}",
            poke_interval=10,
            timeout=float(os.environ["CLUSTER_TIMEOUT"]),
        )
        gate >> record(organization_id)

    organization.expand_kwargs(plan())
