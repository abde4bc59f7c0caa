"""The fixtures that users switch on: a simulator with its connection, and a DAG that runs."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from airflow_provider_avepoint import testing
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.testing import avepoint, avepoint_server
from tests.projects import run_tests
from tests.versions import needs_airflow

ROOT = Path(__file__).parent.parent
__all__ = ["avepoint", "avepoint_server"]


@pytest.mark.parametrize("jobs", [2, 1])
def test_each_test_has_a_simulator_of_its_own_and_the_connection(avepoint: Simulator, jobs: int) -> None:
    """No proxy of the environment comes between."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        environment.setenv("http_proxy", "http://127.0.0.1:9")
        environment.delenv("no_proxy", raising=False)
        environment.delenv("NO_PROXY", raising=False)
        for _ in range(jobs):
            avepoint.add_job("dynamics365", organization_id="contoso", started_ago=60)

        with AvePointHook() as hook:
            assert jobs == len(list(hook.iter_jobs("dynamics365")))


def test_a_missing_pytest_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)

    with pytest.raises(ModuleNotFoundError, match="pip install pytest"):
        runpy.run_path(testing.__file__)


@pytest.mark.system
@needs_airflow("3.2", "gives DAG.test() such states")
def test_the_documented_example_runs(tmp_path: Path) -> None:
    """In a directory and an Airflow home of its own, as a user has it."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "project")

    assert "2 passed" in run_tests(tmp_path, seconds=250)


WAITING_DAG = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor

gate = {"product": "dynamics365", "max_age": "24h"}
with DAG("waits", schedule=None) as dag:
    AvePointBackupSensor(task_id="deferred", retries=1, **gate)
    AvePointBackupSensor(task_id="again", mode="reschedule", poke_interval=timedelta(minutes=5), **gate)
    AvePointBackupSensor.partial(task_id="mapped", **gate).expand(organization_ids=[["contoso"]])
    AvePointBackupSensor(task_id="short", deferrable=False, timeout=1, **gate)
    AvePointBackupCheckOperator(task_id="retried", retries=1, **gate)
"""
WAITING_TEST = """
from waits import dag

def test_no_backup(avepoint, run_dag):
    assert set(run_dag(dag, give_up_after=3).values()) == {"failed"}
    assert dag.get_task("short").timeout == 1
"""


@pytest.mark.system
@needs_airflow("3.2", "gives DAG.test() such states")
def test_a_backup_that_never_comes_ends_a_test(tmp_path: Path) -> None:
    """A sensor waits for a week, and a retry for five minutes, where no test is."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "docs" / "examples" / "conftest.py", project)
    (project / "waits.py").write_text(WAITING_DAG)
    (project / "test_waits.py").write_text(WAITING_TEST)

    assert "1 passed" in run_tests(tmp_path, seconds=250)
