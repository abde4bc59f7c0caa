"""Load each organisation's data only once a good Dynamics 365 backup covers it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, Param, task, task_group
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

DOC = """
### Backup gate for Dynamics 365

For every organisation, on every connection: wait for a backup that **started at or after the end of the data
interval** (an earlier one does not hold all of the interval's data), judge it, and only then load.

| task | what it does |
|---|---|
| `plan` | one entry for each connection and organisation; fails when there is none |
| `create_table` | makes the table `dynamics365_jobs` where it is missing |
| `organization.wait_for_backup` | waits for the verdict on the triggerer; returns the evidence |
| `organization.extract_jobs` | the backup jobs from the interval's start up to the verdict |
| `organization.load_jobs` | writes them to the warehouse; loading twice changes nothing |
| `organization.check_load` | compares what the table holds with the verdict's evidence |
| `organization.publish` | emits the asset, so that other DAGs can start |

**Params.** `organizations`: the organisation ids. `connections`: AvePoint connection ids, one a tenant.
`warehouse_conn_id`: any SQL connection; SQLite for a try, PostgreSQL by naming another. `interval_start` and
`interval_end` replace the data interval; a run without one takes the 24 hours before it was due.
`ledger_conn_id`: where verdicts are recorded; null: nowhere.

**When it fails.** `wait_for_backup` names the scope and the reason. Its evidence is in the XCom `verdict`.
"""

JOBS = Asset("avepoint://dynamics365/jobs")
PRODUCT = "dynamics365"
# Read when the file is parsed: Airflow fixes these before a run's params are known.
POKE_INTERVAL = float(os.environ.get("AVEPOINT_GATE_POKE_INTERVAL", "300"))
TIMEOUT = float(os.environ.get("AVEPOINT_GATE_TIMEOUT", str(12 * 3600)))

# What Airflow shows for a mapped task. The word before the id keeps a native template a text.
LABEL = "Organisation {{ task.op_kwargs['organization_id'] }}"

COLUMNS = {
    "product": "VARCHAR(50) NOT NULL",
    "organization_id": "VARCHAR(100) NOT NULL",
    "job_id": "VARCHAR(100) NOT NULL",
    "workload": "VARCHAR(100)",
    "state": "VARCHAR(20) NOT NULL",
    "started_at": "VARCHAR(40)",
    "finished_at": "VARCHAR(40)",
    "total": "BIGINT",
    "failed": "BIGINT",
}
KEY = ["product", "organization_id", "job_id"]


def _warehouse(conn_id: str) -> Any:
    from airflow.providers.common.compat.sdk import BaseHook

    return BaseHook.get_connection(conn_id).get_hook()


def _interval(dag_run: Any, params: dict[str, Any]) -> tuple[str, str]:
    """Return the run's interval: its params', else its own, else the 24 hours before it was due."""
    start, end = params["interval_start"], params["interval_end"]
    if start and end:
        return start, end
    if start or end:
        raise AirflowFailException("Give both interval_start and interval_end, or neither.")
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    if not start or not end or start == end:
        end = getattr(dag_run, "run_after", None) or datetime.now(UTC)
        start = end - timedelta(days=1)
    return start.isoformat(), end.isoformat()


with DAG(
    dag_id="avepoint_backup_gate",
    description=__doc__,
    doc_md=DOC,
    # A cron string would give runs of Airflow 3 an empty data interval.
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "organizations": Param([], type="array", items={"type": "string"}, title="Organisation ids"),
        "connections": Param(["avepoint_default"], type="array", items={"type": "string"}),
        "warehouse_conn_id": Param("avepoint_warehouse", type="string"),
        "ledger_conn_id": Param(None, type=["null", "string"]),
        "interval_start": Param(None, type=["null", "string"], format="date-time"),
        "interval_end": Param(None, type=["null", "string"], format="date-time"),
    },
    render_template_as_native_obj=True,
    tags=["avepoint", "example"],
) as dag:

    @task
    def plan(params: dict[str, Any], dag_run: Any) -> list[dict[str, str]]:
        """Return what to wait for: one entry for each connection and organisation."""
        organizations, connections = params["organizations"], params["connections"]
        if not organizations or not connections:
            missing = "connections" if organizations else "organizations"
            raise AirflowFailException(f"The param {missing!r} is empty: there is nothing to guard.")
        start, end = _interval(dag_run, params)
        return [
            {
                "avepoint_conn_id": connection,
                "organization_id": organization,
                "interval_start": start,
                "interval_end": end,
            }
            for connection in connections
            for organization in organizations
        ]

    @task
    def create_table(params: dict[str, Any]) -> None:
        """Make the table where it is missing."""
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        statement = f"CREATE TABLE IF NOT EXISTS dynamics365_jobs ({columns}, PRIMARY KEY ({', '.join(KEY)}))"
        _warehouse(params["warehouse_conn_id"]).run(statement)

    @task(map_index_template=LABEL)
    def extract_jobs(
        avepoint_conn_id: str, organization_id: str, interval_start: str, verdict: dict[str, Any]
    ) -> list[list[Any]]:
        """Return the organisation's backup jobs since the interval's start, the judged ones among them."""
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        with AvePointHook(avepoint_conn_id) as hook:
            jobs = [
                job.as_dict()
                for job in hook.iter_jobs(
                    PRODUCT,
                    started_after=interval_start,
                    started_before=verdict["judged_at"],
                    organization_id=organization_id,
                )
            ]
        return [[{**job, **job["counts"]}[name] for name in COLUMNS] for job in jobs]

    @task
    def load_jobs(rows: list[list[Any]], params: dict[str, Any]) -> int:
        """Write the jobs, replacing those that are there; return how many."""
        _warehouse(params["warehouse_conn_id"]).insert_rows(
            "dynamics365_jobs", rows, target_fields=list(COLUMNS), replace=True, replace_index=KEY
        )
        return len(rows)

    @task
    def check_load(rows: list[list[Any]], verdict: dict[str, Any], params: dict[str, Any]) -> int:
        """Compare the table with what was extracted, and with the jobs that the verdict rests on."""
        warehouse = _warehouse(params["warehouse_conn_id"])
        mark = warehouse.placeholder
        judged = {scope["job"]["job_id"]: scope["job"] for scope in verdict["scopes"] if scope["job"]}
        names = list(COLUMNS)
        stored = {}
        for row in rows:
            key = [row[names.index(name)] for name in KEY]
            where = " AND ".join(f"{name} = {mark}" for name in KEY)
            query = f"SELECT state, total, failed FROM dynamics365_jobs WHERE {where}"  # noqa: S608  # our names
            found = warehouse.get_first(query, key)
            if found is None:
                raise AirflowFailException(f"Job {key[-1]} was loaded, but the table does not hold it.")
            stored[key[-1]] = tuple(found)
        for job_id, job in judged.items():
            expected = (job["state"], job["counts"]["total"], job["counts"]["failed"])
            if stored.get(job_id) != expected:
                raise AirflowFailException(
                    f"The verdict rests on job {job_id}, {expected}; the table holds {stored.get(job_id)}."
                )
        return len(stored)

    @task(outlets=[JOBS], map_index_template=LABEL)
    def publish(organization_id: str, loaded: int) -> dict[str, Any]:
        """Tell other DAGs that the organisation's data may be used."""
        return {"organization_id": organization_id, "jobs": loaded}

    @task_group
    def organization(
        avepoint_conn_id: str, organization_id: str, interval_start: str, interval_end: str
    ) -> None:
        """Guard one organisation's tasks by its own backup."""
        wait_for_backup = AvePointBackupSensor(
            task_id="wait_for_backup",
            avepoint_conn_id=avepoint_conn_id,
            product=PRODUCT,
            organization_ids=organization_id,
            started_after=interval_end,
            ledger_conn_id="{{ params.ledger_conn_id }}",
            poke_interval=POKE_INTERVAL,
            timeout=TIMEOUT,
            map_index_template="Organisation {{ task.organization_ids }}",
        )
        verdict = wait_for_backup.output
        rows = extract_jobs(
            avepoint_conn_id=avepoint_conn_id,
            organization_id=organization_id,
            interval_start=interval_start,
            verdict=verdict,
        )
        loaded = load_jobs(rows)
        checked = check_load(rows, verdict)
        loaded >> checked
        publish(organization_id=organization_id, loaded=checked)

    create_table() >> organization.expand_kwargs(plan())


if __name__ == "__main__":
    dag.test()
