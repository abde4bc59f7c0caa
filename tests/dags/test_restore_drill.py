"""The monthly drill: which backup it restores, and what its content check makes of a canary."""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from sqlalchemy import select

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import DRILLS
from airflow_provider_avepoint.simulator import Simulator

FOLDER = Path(__file__).parent.parent.parent / "dags"
CANARY = b"If this file comes back, the backup can be restored."


@pytest.fixture
def dag() -> Any:
    return runpy.run_path(str(FOLDER / "avepoint_restore_drill.py"))["dag"]


def params(dag: Any, **changes: Any) -> dict[str, Any]:
    return {name: dag.params[name] for name in dag.params} | changes


def render(dag: Any, task_id: str, **changes: Any) -> Any:
    task = dag.get_task(task_id)
    context = {"params": params(dag, **changes)}
    for name in task.template_fields:
        value = getattr(task, name)
        if isinstance(value, str):
            setattr(task, name, task.render_template(value, context, dag.get_template_env()))
    return task


@pytest.fixture(autouse=True)
def _ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_LEDGER", json.dumps(connection))


def find_drill() -> tuple[bool, str]:
    """Return what the one drill in the ledger came to."""
    with Ledger("avepoint_ledger") as ledger:
        (row,) = ledger.iter_rows(select(DRILLS))
    return row["passed"], row["reason"]


@pytest.mark.parametrize("service", ["sharepoint_online", "teams"])
def test_the_drill_restores_the_backup_that_the_gate_has_verified(
    simulator: Simulator, connect: Callable[..., str], dag: Any, tmp_path: Path, service: str
) -> None:
    """From the gate to the content, task by task, against the simulator."""
    connect(extra={"allow_restore": True})
    backup = simulator.add_job("m365", workload=service, started_ago=3600)
    simulator.set_restores(runs_for=0)
    canary = tmp_path / "canary.txt"
    canary.write_bytes(CANARY)
    chosen = {
        "service": service,
        "canary_url": str(canary),
        "canary_sha256": hashlib.sha256(CANARY).hexdigest(),
    }

    verdict = render(dag, "wait_for_backup", **chosen).execute({})
    moment = dag.get_task("choose_time").python_callable(json.loads(json.dumps(verdict)))
    restore = render(dag, "restore", **chosen)
    restore.recovery_time = moment
    drill = json.loads(json.dumps(restore.execute({})))
    assert find_drill() == (False, "not_checked")
    check = dag.get_task("check_content").python_callable
    with pytest.raises(AirflowFailException):
        check(drill, params(dag, **chosen | {"canary_sha256": "0" * 64}))
    assert find_drill() == (False, "check_failed")
    checked = check(drill, params(dag, **chosen))
    assert find_drill() == (True, "passed")

    (started,) = simulator.restores()
    assert drill["passed"]
    assert checked["job_id"] == started["job_id"]
    scope = started["body"]["siteRestoreScope"]
    assert scope["siteUrl"] == dag.params["site_url"]
    assert scope["restoreTargets"] == [{"libraryName": "Documents", "folders": [{"relativePath": "canary"}]}]
    finished_at = datetime.fromisoformat(backup["finished_at"])
    asked = datetime.fromisoformat(started["body"]["recoveryDateTime"])
    assert timedelta(0) <= asked - finished_at.replace(microsecond=0) <= timedelta(seconds=1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({}, "what must be in them"),
        ({"canary_url": "x"}, "what must be in them"),
        ({"canary_sha256": "x"}, "what must be in them"),
        ({"canary_url": "file", "canary_sha256": "0" * 64}, "another content"),
    ],
)
def test_content_that_is_not_known_or_wrong_fails_the_drill(
    dag: Any, tmp_path: Path, changes: dict[str, str], match: str
) -> None:
    (tmp_path / "file").write_bytes(CANARY)
    if changes.get("canary_url") == "file":
        changes = changes | {"canary_url": str(tmp_path / "file")}

    with pytest.raises(AirflowFailException, match=match):
        dag.get_task("check_content").python_callable({"job": {}, "ledger": {}}, params(dag, **changes))


def test_what_waits_for_what(dag: Any) -> None:
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}

    assert upstream == {
        "wait_for_backup": set(),
        "choose_time": {"wait_for_backup"},
        "restore": {"choose_time"},
        "check_content": {"restore"},
    }
    assert dag.max_active_runs == 1
