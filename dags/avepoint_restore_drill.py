"""Prove once a month that a backup can be restored: restore a canary folder, and look into it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, ObjectStoragePath, Param, task

from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator, record_content_check
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

DOC = """
### Restore drill

| task | what it does |
|---|---|
| `wait_for_backup` | the gate: waits for a good backup of the service |
| `choose_time` | the end of that backup, so that this backup is restored |
| `restore` | restores the canary folder, follows the job, and judges it |
| `check_content` | compares the canary file with what it must be: **fill this in** |

The drill is kept in the ledger, in the table `avepoint_drills`. It has passed there when the files have come
back and `check_content` has found the right content in them.

**A restore writes.** It goes to the place that the files came from, and AvePoint's documents do not say
whether files that exist are overwritten. So make a folder for it, in a site of its own, with a few files that
nobody needs. Best delete or change a file of it before the drill: then its return proves something. The
connection has to allow a restore (*Allow restore* in its form).

One run restores at most once. To restore anew, start a new run. While a run is on, start no other restore by
hand: where an answer is lost, a restore job is known by its start alone.

**Params.** `service`: `sharepoint_online`, `microsoft_365_groups` or `teams`. `site_url`, `library` and
`folder`: where the canary is. `expect_files`: how many files must come back. `canary_url`: where
`check_content` reads the canary file after the restore, a path or a URL that Airflow's `ObjectStoragePath`
takes. `canary_sha256`: what the digest of the file must be. `avepoint_conn_id`: the connection.
`ledger_conn_id`: the connection to the ledger's database, PostgreSQL or SQLite.
"""

with DAG(
    dag_id="avepoint_restore_drill",
    description=__doc__,
    doc_md=DOC,
    schedule="0 6 1 * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "service": Param("sharepoint_online", type="string"),
        "site_url": Param("https://contoso.sharepoint.com/sites/backup-canary", type="string"),
        "library": Param("Documents", type="string"),
        "folder": Param("canary", type="string"),
        "expect_files": Param(1, type="integer", minimum=1),
        "canary_url": Param("", type="string"),
        "canary_sha256": Param("", type="string"),
        "avepoint_conn_id": Param("avepoint_default", type="string"),
        "ledger_conn_id": Param("avepoint_ledger", type="string"),
    },
    tags=["avepoint", "example"],
) as dag:
    gate = AvePointBackupSensor(
        task_id="wait_for_backup",
        avepoint_conn_id="{{ params.avepoint_conn_id }}",
        product="m365",
        object_types="{{ params.service }}",
        max_age=timedelta(hours=26),
        timeout=timedelta(hours=6).total_seconds(),
    )

    @task
    def choose_time(verdict: dict[str, Any]) -> str:
        """Return the moment after the end of the newest backup that the gate has found good."""
        ends = [scope["job"]["finished_at"] for scope in verdict["scopes"] if scope["job"]]
        return (max(map(datetime.fromisoformat, ends)) + timedelta(seconds=1)).isoformat()

    restore = AvePointRestoreOperator(
        task_id="restore",
        avepoint_conn_id="{{ params.avepoint_conn_id }}",
        service="{{ params.service }}",
        site_url="{{ params.site_url }}",
        library="{{ params.library }}",
        folders="{{ params.folder }}",
        expect_files="{{ params.expect_files }}",
        recovery_time=choose_time(gate.output),
        expect_content_check=True,
        ledger_conn_id="{{ params.ledger_conn_id }}",
    )

    @task
    def check_content(drill: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Compare the canary file with what it must be; put your own check here.

        The example reads one file by a URL. Yours may read the site through Microsoft's Graph API, count rows
        of a workbook, or compare a whole folder. It has to fail where the content is not what it must be, and
        what it does stands in the block that records its end in the ledger.
        """
        with record_content_check(drill, ledger_conn_id=params["ledger_conn_id"]):
            if not params["canary_url"] or not params["canary_sha256"]:
                raise AirflowFailException(
                    "The files came back, but nothing says what must be in them: set the params "
                    "'canary_url' and 'canary_sha256', or write your own check."
                )
            with ObjectStoragePath(params["canary_url"]).open("rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            if digest != params["canary_sha256"].lower():
                raise AirflowFailException(
                    f"The canary came back with another content: its digest is {digest}, not the one in "
                    "'canary_sha256'."
                )
        return {"job_id": drill["job"]["job_id"], "restored_files": drill["restored_files"], "digest": digest}

    check_content(restore.output)


if __name__ == "__main__":
    dag.test()
