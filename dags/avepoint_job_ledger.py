"""Keep every hour what AvePoint's jobs have become: a history that the API does not have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task

from airflow_provider_avepoint.operators.avepoint import AvePointJobsToSqlOperator

DOC = """
### Job ledger

Loads the backup jobs of every tenant and product into the ledger: those that are new, and those that have
ended since the last load. A load that is repeated, or was cut off, changes nothing. One tenant or product
that cannot be read does not keep the others waiting. Reports are made of it: see `avepoint_license_audit`.

**Variable** `avepoint_tenants`: the connection ids, a JSON list; without it there is one, `avepoint_default`.

**Params.** `connections`: these instead of the Variable's. `products`: such as `m365` or `dynamics365`; each
needs its permission. `services`: the Microsoft 365 object types: its jobs name none unless each is asked for.
`started_after`: each load reads everything since then, ISO 8601; null: the first load reads 30 days.
`keep_schedule`: keep the backup schedule of Microsoft 365 too, which the API tells for the current day only;
it needs the permission `microsoft365backup.settings.read.all`.
`ledger_conn_id`: PostgreSQL or SQLite; null is `[avepoint] ledger_conn_id` of Airflow's configuration, or
else a file under `AIRFLOW_HOME`.
"""

with DAG(
    dag_id="avepoint_job_ledger",
    description=__doc__,
    doc_md=DOC,
    schedule="15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=2)},
    # A null param stays null.
    render_template_as_native_obj=True,
    params={
        "connections": Param([], type="array", items={"type": "string"}),
        "products": Param(["m365", "dynamics365"], type="array", items={"type": "string"}, minItems=1),
        "services": Param(
            ["exchange_online", "sharepoint_online", "onedrive", "teams"],
            type="array",
            items={"type": "string"},
            minItems=1,
        ),
        "started_after": Param(None, type=["null", "string"]),
        "keep_schedule": Param(default=False, type="boolean"),
        "ledger_conn_id": Param(None, type=["null", "string"]),
    },
    tags=["avepoint", "example"],
) as dag:

    @task
    def plan(variable: list[str] | None, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what each load reads."""
        tenants = params["connections"] or (["avepoint_default"] if variable is None else variable)
        if not (tenants and isinstance(tenants, list) and all(isinstance(each, str) for each in tenants)):
            raise AirflowFailException(
                f"The Variable avepoint_tenants is {tenants!r}, not a JSON list of connection ids."
            )
        return [
            {
                "avepoint_conn_id": tenant,
                "product": product,
                "object_type": params["services"] if product.startswith("m365") else None,
                "keep_schedule": params["keep_schedule"] and product == "m365",
            }
            for tenant in dict.fromkeys(tenants)
            for product in dict.fromkeys(params["products"])
        ]

    AvePointJobsToSqlOperator.partial(
        task_id="load",
        started_after="{{ params.started_after }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        map_index_template="{{ task.product }} of {{ task.avepoint_conn_id }}",
    ).expand_kwargs(plan("{{ var.json.get('avepoint_tenants', none) }}"))


if __name__ == "__main__":
    dag.test()
