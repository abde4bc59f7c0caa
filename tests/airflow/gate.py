"""The example DAG in a real Airflow: organisations of their own for each test, and what became of them."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_avepoint.simulator import Simulator
from demo.stack import AirflowStack
from tests.mail import MailServer

DAG_ID = "avepoint_backup_gate"
PRODUCT = "dynamics365"
WAIT = "organization.wait_for_backup"
GATE = f"{WAIT}[0]"
ALL_GOOD = {
    "plan": "success",
    "create_table": "success",
    GATE: "success",
    "organization.extract_jobs[0]": "success",
    "organization.load_jobs[0]": "success",
    "organization.check_load[0]": "success",
    "organization.publish[0]": "success",
}
POKE_INTERVAL = timedelta(seconds=5)
# Airflow 3.3.2 can fail a deferred task whose trigger fires within seconds: a job ends no sooner than this
# after its wait was seen to be deferred.
SECONDS_AFTER_DEFERRAL = 8.0


def connection_to(simulator: Simulator, **fields: Any) -> dict[str, Any]:
    """Return the fields of a connection to *simulator*."""
    return {
        "conn_type": "avepoint",
        "host": simulator.url,
        "login": simulator.client_id,
        "password": simulator.client_secret,
        "extra": {"identity_endpoint": simulator.token_url},
        **fields,
    }


@dataclass(frozen=True)
class Gate:
    """The DAG's surroundings: Airflow, the backups, the table that is loaded, and who gets mails."""

    stack: AirflowStack
    simulator: Simulator
    warehouse: Path
    mail_server: MailServer

    def new_organization(self) -> str:
        """Return the id of an organisation that no other test knows."""
        return str(uuid.uuid4())

    def add_backup(self, organization: str, **fields: Any) -> dict[str, Any]:
        """Add a backup of *organization* that began 30 seconds ago, unless *fields* say otherwise."""
        times = {} if "started_at" in fields else {"started_ago": 30}
        return self.simulator.add_job(PRODUCT, organization_id=organization, **times, **fields)

    def end_backup(self, job: dict[str, Any]) -> None:
        """Let a running backup end well in a few seconds."""
        age = (datetime.now(UTC) - datetime.fromisoformat(job["started_at"])).total_seconds()
        self.simulator.patch_job(PRODUCT, job["job_id"], runs_for=age + SECONDS_AFTER_DEFERRAL)

    def trigger(self, *organizations: str, **params: Any) -> str:
        """Start a run for a day that ended a minute ago; return its id."""
        conf = {"organizations": list(organizations), **interval(), **params}
        return self.stack.api.trigger(DAG_ID, conf)

    def wait_for_end(self, run_id: str) -> tuple[str, dict[str, str | None]]:
        """Return the run's state and its tasks' states once it has ended."""
        state = self.stack.wait_for_run(DAG_ID, run_id)
        return state, self.stack.api.task_states(DAG_ID, run_id)

    def rows(self, organization: str) -> list[tuple[Any, ...]]:
        """Return the organisation's rows of the table, oldest first."""
        return rows_of(self.warehouse, organization)


def interval() -> dict[str, str]:
    """Return the params of a day that ended a minute ago."""
    end = datetime.now(UTC) - timedelta(minutes=1)
    return {"interval_start": (end - timedelta(days=1)).isoformat(), "interval_end": end.isoformat()}


def rows_of(warehouse: Path, organization: str) -> list[tuple[Any, ...]]:
    """Return ``(job_id, workload, state, total, failed)`` of each job of *organization*, oldest first."""
    with closing(sqlite3.connect(warehouse)) as database:
        return database.execute(
            "SELECT job_id, workload, state, total, failed FROM dynamics365_jobs"
            " WHERE product = 'dynamics365' AND organization_id = ? ORDER BY started_at",
            [organization],
        ).fetchall()


def wait_until(check: Callable[[], object], *, seconds: float) -> None:
    """Return when *check* is true.

    :raises TimeoutError: it was not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.1)
