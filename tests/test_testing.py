"""The fixtures that users switch on: a simulator with its connection, and a DAG that runs."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_avepoint import testing
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.testing import avepoint, avepoint_server
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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path / "project",
        env=environment | {"AIRFLOW_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr
