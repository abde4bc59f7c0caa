"""Three waits, each with a task behind it; run by :mod:`benchmarks.wakeups`."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import dag, task

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor

WAITING: dict[str, Any] = {
    "poke_interval": float(os.environ.get("BENCHMARK_POKE_INTERVAL", "5")),
    "timeout": 300,
    "deferrable": True,
    "retries": 2,
}


@dag(
    dag_id="benchmark_wakeups",
    schedule=None,
    params={"job": "", "http_job": "", "started_after": "2026-01-01T00:00:00Z"},
)
def benchmark_wakeups() -> None:
    """Wait for a job, for a verdict, and with HttpSensor, side by side."""

    @task
    def go_on() -> None:
        pass

    waits = {
        "job": AvePointJobSensor(
            task_id="job",
            avepoint_conn_id="avepoint_bench",
            product="dynamics365",
            job_id="{{ params.job }}",
            **WAITING,
        ),
        "verdict": AvePointBackupSensor(
            task_id="verdict",
            avepoint_conn_id="avepoint_bench",
            product="m365",
            object_types="exchange_online",
            started_after="{{ params.started_after }}",
            **WAITING,
        ),
        "http": HttpSensor(
            task_id="http",
            http_conn_id="http_bench",
            endpoint="/backup/m365/cloudbackupjobs/{{ params.http_job }}",
            **WAITING,
        ),
    }
    for name, wait in waits.items():
        wait >> go_on.override(task_id=f"after_{name}")()


benchmark_wakeups()
