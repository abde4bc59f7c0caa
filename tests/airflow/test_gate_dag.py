"""The example DAG in a real Airflow: API server, scheduler, workers and triggerer are processes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_avepoint.simulator import Simulator
from demo.stack import airflow_environment
from tests.airflow.gate import (
    ALL_GOOD,
    DAG_ID,
    GATE,
    PRODUCT,
    WAIT,
    connection_to,
    interval,
    rows_of,
    wait_until,
)
from tests.versions import needs_airflow

pytestmark = pytest.mark.airflow

COMMAND_SECONDS = 120
TRIGGER_RUNS = "running trigger in line"


def test_a_backup_that_still_runs_is_waited_for_on_the_triggerer_and_then_loaded(gate):
    """What was backed up in the interval is loaded as well; an older backup and a restore are not."""
    organization = gate.new_organization()
    now = datetime.now(UTC)
    earlier = gate.add_backup(organization, started_at=now - timedelta(hours=5), counts={"successful": 7})
    gate.add_backup(organization, started_at=now - timedelta(hours=30))
    gate.add_backup(organization, job_type="restore")
    running = gate.add_backup(organization, runs_for=3600, counts={"successful": 400, "skipped": 12})

    run_id = gate.trigger(organization)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    gate.end_backup(running)

    assert ("success", ALL_GOOD) == gate.wait_for_end(run_id)
    assert [
        (earlier["job_id"], "customer_engagement", "success", 7, 0),
        (running["job_id"], "customer_engagement", "success", 412, 0),
    ] == gate.rows(organization)
    verdict = gate.stack.api.xcom(DAG_ID, run_id, WAIT, map_index=0)
    assert (True, "passed", running["job_id"]) == (
        verdict["passed"],
        verdict["reason"],
        verdict["scopes"][0]["job"]["job_id"],
    )
    assert {"organization_id": organization, "jobs": 2} == gate.stack.api.xcom(
        DAG_ID, run_id, "organization.publish", map_index=0
    )


def test_the_log_of_a_wait_says_on_both_sides_of_the_deferral_what_was_seen(gate):
    organization = gate.new_organization()
    running = gate.add_backup(organization, runs_for=3600)

    run_id = gate.trigger(organization)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    gate.end_backup(running)
    gate.wait_for_end(run_id)

    log = "\n".join(gate.stack.api.logs(DAG_ID, run_id, WAIT, map_index=0))
    assert f"running (job {running['job_id']}" in log
    assert "Waiting on the triggerer, a look every 5 s" in log
    assert "Trigger fired event" in log
    assert "backup verified in 1 of 1 scopes." in log
    assert gate.simulator.client_secret not in log


def test_a_backup_that_failed_keeps_shut_what_is_behind_the_gate(gate):
    """No retry can mend it; nothing behind the gate starts, for this organisation alone."""
    failed, good = gate.new_organization(), "123456789"  # native rendering must not make it a number
    gate.add_backup(failed, state="failed", counts={"failed": 96})
    good_job = gate.add_backup(good, counts={"successful": 5})

    run_id = gate.trigger(failed, good)

    state, states = gate.wait_for_end(run_id)
    behind = ("extract_jobs", "load_jobs", "check_load", "publish")
    assert {
        "plan": "success",
        "create_table": "success",
        f"{WAIT}[0]": "failed",
        **{f"organization.{task}[0]": "upstream_failed" for task in behind},
        f"{WAIT}[1]": "success",
        **{f"organization.{task}[1]": "success" for task in behind},
    } == states
    assert state == "failed"
    assert gate.stack.api.task_instances(DAG_ID, run_id)[f"{WAIT}[0]"]["try_number"] == 1
    shown = gate.stack.api.task_instances(DAG_ID, run_id)
    for task in ("wait_for_backup", "extract_jobs", "publish"):
        assert f"Organisation {good}" == shown[f"organization.{task}[1]"]["rendered_map_index"]
    verdict = gate.stack.api.xcom(DAG_ID, run_id, WAIT, key="verdict", map_index=0)
    assert (False, "failed") == (verdict["passed"], verdict["reason"])
    assert [] == gate.rows(failed)
    assert [good_job["job_id"]] == [row[0] for row in gate.rows(good)]


def test_a_backup_that_fails_while_it_is_waited_for_keeps_the_gate_shut(gate):
    """The trigger's event carries the verdict."""
    organization = gate.new_organization()
    gate.add_backup(organization, runs_for=3600, ends_as="failed", counts={"failed": 3})
    running = gate.simulator.jobs(PRODUCT, limit=1)[0]

    run_id = gate.trigger(organization)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    gate.end_backup(running)

    state, states = gate.wait_for_end(run_id)
    assert ("failed", "failed", "upstream_failed") == (
        state,
        states[GATE],
        states["organization.load_jobs[0]"],
    )
    assert [] == gate.rows(organization)


def test_loading_twice_changes_nothing(gate):
    organization = gate.new_organization()
    job = gate.add_backup(organization, counts={"successful": 9})
    params = interval()
    first = gate.trigger(organization, **params)
    assert ("success", ALL_GOOD) == gate.wait_for_end(first)
    loaded = gate.rows(organization)

    second = gate.trigger(organization, **params)

    assert ("success", ALL_GOOD) == gate.wait_for_end(second)
    assert [(job["job_id"], "customer_engagement", "success", 9, 0)] == loaded == gate.rows(organization)


def test_a_run_without_organizations_fails_at_its_plan(gate):
    """It is not tried again: the params stay as they are."""
    run_id = gate.trigger()

    state, states = gate.wait_for_end(run_id)

    assert {
        "plan": "failed",
        "create_table": "success",
        WAIT: "upstream_failed",
        "organization.extract_jobs": "upstream_failed",
        "organization.load_jobs": "upstream_failed",
        "organization.check_load": "upstream_failed",
        "organization.publish": "upstream_failed",
    } == states
    assert state == "failed"
    assert gate.stack.api.task_instances(DAG_ID, run_id)["plan"]["try_number"] == 1


def test_a_connection_of_the_database_is_found_by_worker_and_triggerer(gate):
    organization = gate.new_organization()
    running = gate.add_backup(organization, runs_for=3600)
    fields = connection_to(gate.simulator)
    gate.stack.api.request(
        "POST",
        "/api/v2/connections",
        json={"connection_id": "avepoint_stored", **fields, "extra": json.dumps(fields["extra"])},
    )

    run_id = gate.trigger(organization, connections=["avepoint_stored"])
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    gate.end_backup(running)

    assert ("success", ALL_GOOD) == gate.wait_for_end(run_id)
    assert [running["job_id"]] == [row[0] for row in gate.rows(organization)]


def test_a_wait_goes_on_after_the_triggerer_was_killed(gate):
    organization = gate.new_organization()
    running = gate.add_backup(organization, runs_for=3600)
    run_id = gate.trigger(organization)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")

    gate.stack.kill_triggerer()
    gate.end_backup(running)
    gate.stack.start_triggerer()

    assert ("success", ALL_GOOD) == gate.wait_for_end(run_id)
    assert [running["job_id"]] == [row[0] for row in gate.rows(organization)]


@needs_airflow("3.1", "`airflow dags test` refuses assets that no DAG processor has seen")
def test_dags_test_runs_the_whole_dag_in_one_process(tmp_path):
    """The command line's way, in an Airflow home of its own with no component running."""
    warehouse, output = tmp_path / "warehouse.db", tmp_path / "output.txt"
    with Simulator() as simulator:
        environment = airflow_environment(
            tmp_path,
            connections={
                "avepoint_default": connection_to(simulator),
                "avepoint_warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
            },
        ) | {"AVEPOINT_GATE_POKE_INTERVAL": "2"}
        migration = airflow("db", "migrate", environment=environment)
        assert migration.wait(COMMAND_SECONDS) == 0
        job = simulator.add_job(PRODUCT, organization_id="contoso", started_ago=30, runs_for=3600)
        conf = json.dumps({"organizations": ["contoso"], **interval()})

        run = airflow("dags", "test", DAG_ID, "-c", conf, environment=environment)
        try:
            wait_until(lambda: TRIGGER_RUNS in output.read_text(), seconds=COMMAND_SECONDS)
            simulator.patch_job(PRODUCT, job["job_id"], state="success")
            code = run.wait(COMMAND_SECONDS)
        finally:
            run.kill()
            run.wait()

    assert code == 0, output.read_text()
    assert [job["job_id"]] == [row[0] for row in rows_of(warehouse, "contoso")]


def airflow(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start an Airflow command in its home; what it writes is appended to ``output.txt`` there."""
    home = Path(environment["AIRFLOW_HOME"])
    with (home / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
