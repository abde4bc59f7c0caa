"""A deferred gate in a real Airflow: the triggerer keeps the schedules that it reads in the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_avepoint.simulator import Simulator
from demo.stack import AirflowStack
from tests.airflow.gate import SECONDS_AFTER_DEFERRAL, connection_to

pytestmark = pytest.mark.airflow

DAG_ID, LEDGER = "scheduled_gate", "ledger_in_the_database"
DAG_FILE = """
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

with DAG("scheduled_gate", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    AvePointBackupSensor(
        task_id="wait",
        product="m365",
        object_types="teams",
        max_age=timedelta(hours=6),
        expect_scheduled=True,
        ledger_conn_id="ledger_in_the_database",
        poke_interval=2,
        timeout=120,
    )
"""


@pytest.fixture
def stack(tmp_path: Path, simulator: Simulator) -> Iterator[AirflowStack]:
    """Airflow, whose own database holds the connection of the ledger: no environment variable tells it."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "gate.py").write_text(DAG_FILE)
    connections = {"avepoint_default": connection_to(simulator)}
    with AirflowStack(home=tmp_path / "airflow", dags=dags, connections=connections) as stack:
        body = {"connection_id": LEDGER, "conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
        stack.api.request("POST", "/api/v2/connections", json=body)
        stack.unpause(DAG_ID)
        yield stack


def find_services(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / "ledger.db")) as database:
        return [name for (name,) in database.execute("SELECT service FROM avepoint_schedules ORDER BY 1")]


def test_the_triggerer_keeps_schedules(stack: AirflowStack, tmp_path: Path, simulator: Simulator) -> None:
    def schedule(*services: int) -> None:
        rows = [{"serviceType": each, "frequency": 1, "backupStartTime": []} for each in services]
        simulator.set_reading("m365", "schedule", rows)

    schedule(6)
    simulator.add_job("m365", job_id="J", workload="teams", state="running", started_ago=60)
    run_id = stack.api.trigger(DAG_ID)
    stack.wait_for_task(DAG_ID, run_id, "wait", "deferred")
    schedule(6, 2)
    stack.wait_until(
        lambda: "onedrive" in find_services(tmp_path) or None, seconds=90, what="the schedule is kept"
    )
    assert stack.api.task_states(DAG_ID, run_id) == {"wait": "deferred"}
    end = datetime.now(UTC) + timedelta(seconds=SECONDS_AFTER_DEFERRAL)
    simulator.patch_job("m365", "J", state="success", finished_at=min(end, datetime.now(UTC)).isoformat())

    assert stack.wait_for_run(DAG_ID, run_id) == "success"
    (days,) = stack.api.xcom(DAG_ID, run_id, "wait")["schedule_days"]
    assert datetime.now(UTC).date().isoformat() in days["known"][-1]
