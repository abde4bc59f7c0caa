"""A restore in a real Airflow: its task is killed and tried again, and one restore is all there is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_avepoint.simulator import Simulator
from demo.stack import AirflowStack
from tests.airflow.gate import connection_to
from tests.versions import needs_airflow

pytestmark = [pytest.mark.airflow, needs_airflow("3.3", "tasks keep state")]

SLEEPING, DEFERRING = "restore_sleeping", "restore_deferring"
PATH = "/backup/m365/restore/jobs"
JOBS = "/backup/m365/cloudbackupjobs"
DAG_FILE = """
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator


def write_pid(context):
    Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))


for dag_id, deferrable in (("restore_sleeping", False), ("restore_deferring", True)):
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        AvePointRestoreOperator(
            task_id="restore",
            service="sharepoint_online",
            site_url="https://contoso.sharepoint.com/sites/canary",
            library="Documents",
            folders="canary",
            recovery_time="2026-11-01T00:00:00Z",
            poll_interval=1,
            deferrable=deferrable,
            pre_execute=write_pid,
            retries=1,
            retry_delay=timedelta(seconds=1),
        )
    globals()[dag_id] = dag
"""


class Airflow:
    """Airflow, the simulator, and the process of the task that began last."""

    def __init__(self, stack: AirflowStack, simulator: Simulator, pid_file: Path) -> None:
        self.stack = stack
        self.simulator = simulator
        self._pid_file = pid_file

    def kill_task_when(self, condition: Callable[[], object]) -> None:
        self.stack.wait_until(lambda: condition() or None, seconds=60, what="the task is where it dies")
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        self.simulator.clear_faults()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    directory = tmp_path_factory.mktemp("restore")
    dags = directory / "dags"
    dags.mkdir()
    (dags / "restores.py").write_text(DAG_FILE)
    with Simulator() as simulator:
        connection = connection_to(simulator)
        connection["extra"] = connection["extra"] | {"allow_restore": True}
        with AirflowStack(
            home=directory / "airflow",
            dags=dags,
            connections={"avepoint_default": connection},
            environment={"PID_FILE": str(directory / "pid")},
        ) as stack:
            stack.unpause(SLEEPING)
            stack.unpause(DEFERRING)
            yield Airflow(stack, simulator, directory / "pid")


def before_the_intent(airflow: Airflow) -> None:
    airflow.simulator.add_fault("hang", path=JOBS)
    airflow.kill_task_when(lambda: airflow.simulator.requests(JOBS))


def before_the_answer(airflow: Airflow) -> None:
    airflow.simulator.add_fault("hang", path=PATH, where="after")
    airflow.kill_task_when(airflow.simulator.restores)


def while_the_job_runs(airflow: Airflow) -> None:
    airflow.kill_task_when(lambda: airflow.simulator.requests(f"{JOBS}/"))


@pytest.mark.parametrize(
    ("kill", "was_adopted"),
    [(before_the_intent, False), (before_the_answer, True), (while_the_job_runs, False)],
)
def test_a_task_that_is_killed_restores_once(
    airflow: Airflow, kill: Callable[[Airflow], None], *, was_adopted: bool
) -> None:
    """Airflow's own store hands the intent to the next try."""
    airflow.simulator.reset()
    airflow.simulator.set_restores(runs_for=3)

    run_id = airflow.stack.api.trigger(SLEEPING)
    kill(airflow)

    assert airflow.stack.wait_for_run(SLEEPING, run_id) == "success"
    assert airflow.stack.api.task_instances(SLEEPING, run_id)["restore"]["try_number"] == 2
    (started,) = airflow.simulator.restores()
    assert len(airflow.simulator.requests(PATH)) == 1
    drill = airflow.stack.api.xcom(SLEEPING, run_id, "restore")
    assert (drill["passed"], drill["was_adopted"]) == (True, was_adopted)
    assert drill["job"]["job_id"] == started["job_id"]


def test_a_restore_is_followed_on_the_triggerer(airflow: Airflow) -> None:
    """A task that is cleared after its end goes on from what it has kept, and restores nothing."""
    airflow.simulator.reset()
    airflow.simulator.set_restores(runs_for=20)
    run_id = airflow.stack.api.trigger(DEFERRING)
    airflow.stack.wait_for_task(DEFERRING, run_id, "restore", "deferred")

    assert airflow.stack.wait_for_run(DEFERRING, run_id) == "success"
    first = airflow.stack.api.xcom(DEFERRING, run_id, "restore")
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "task_ids": ["restore"]}
    airflow.stack.api.request("POST", f"/api/v2/dags/{DEFERRING}/clearTaskInstances", json=body)
    assert airflow.stack.wait_for_run(DEFERRING, run_id) == "success"

    assert airflow.stack.api.task_instances(DEFERRING, run_id)["restore"]["try_number"] == 2
    second = airflow.stack.api.xcom(DEFERRING, run_id, "restore")
    assert first["job"] == second["job"]
    assert len(airflow.simulator.requests(PATH)) == 1
