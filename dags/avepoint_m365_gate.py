"""Refresh the Microsoft 365 reports only when every service they read has a good backup."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task, task_group

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

DOC = """
### Backup gate for Microsoft 365

One waiting task for each service (Exchange, SharePoint, Teams …); the task group `refresh` starts when all
of them have a good backup that started within the last 26 hours. One bad or missing service keeps it shut.

Microsoft 365 rows do not say which tenant or location they belong to, so *all* backups of a service in the
window must be good. Where a connection has a single tenant and location, `decide_by="newest"` is enough.

**Params.** `services`: object types such as `exchange_online`; a wrong word is answered with the known ones.
`avepoint_conn_id`: the connection. `ledger_conn_id`: where verdicts are recorded; null: nowhere.
`max_unusual`: the largest count of unusual activity that passes; 0 keeps
the gate shut while any file of the tenant looks attacked, null does not ask. `expect_scheduled`: whether to
ask for the backup schedule; a service without a backup that nobody has scheduled then ends as `not_scheduled`
at once, while unusual activity may be over before the timeout. They need the permissions
`microsoft365backup.unusualActivity.read.all` and `microsoft365backup.settings.read.all`.

**When it fails**, the waiting task names the reason, and its evidence is in the XCom `verdict`.
"""

# Read when the file is parsed: Airflow fixes it before a run's params are known.
TIMEOUT = float(os.environ.get("AVEPOINT_M365_GATE_TIMEOUT", str(6 * 3600)))

with DAG(
    dag_id="avepoint_m365_gate",
    description=__doc__,
    doc_md=DOC,
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "services": Param(
            ["exchange_online", "sharepoint_online", "teams"], type="array", items={"type": "string"}
        ),
        "avepoint_conn_id": Param("avepoint_default", type="string"),
        "ledger_conn_id": Param(None, type=["null", "string"]),
        "max_unusual": Param(None, type=["null", "integer"], minimum=0),
        "expect_scheduled": Param(default=False, type="boolean"),
    },
    render_template_as_native_obj=True,
    tags=["avepoint", "example"],
) as dag:

    @task
    def list_services(params: dict[str, Any]) -> list[str]:
        """Return the services that must be good."""
        if not params["services"]:
            raise AirflowFailException("The param 'services' is empty: there is nothing to guard.")
        return params["services"]

    verified = AvePointBackupSensor.partial(
        task_id="wait_for_backup",
        avepoint_conn_id="{{ params.avepoint_conn_id }}",
        product="m365",
        max_age=timedelta(hours=26),
        max_unusual="{{ params.max_unusual }}",
        expect_scheduled="{{ params.expect_scheduled }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        timeout=TIMEOUT,
        map_index_template="Service {{ task.object_types }}",
    ).expand(object_types=list_services())

    @task_group
    def refresh() -> None:
        """Stand in for what reads the services' data."""

        @task
        def summarize(verdicts: Any) -> dict[str, str]:
            """Return when each service's backup started."""
            return {
                scope["scope"]["workload"]: scope["job"]["started_at"]
                for verdict in verdicts
                for scope in verdict["scopes"]
            }

        @task
        def report(started: dict[str, str]) -> None:
            """Log what may be refreshed."""
            for service, moment in sorted(started.items()):
                print(f"{service}: covered by the backup of {moment}")  # noqa: T201  # a task's log

        report(summarize(verified.output))

    refresh()


if __name__ == "__main__":
    dag.test()
