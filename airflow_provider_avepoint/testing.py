"""Test a DAG against the simulator: fixtures for pytest.

Switch them on in the ``conftest.py`` beside your tests::

    pytest_plugins = ["airflow_provider_avepoint.testing"]

Then a test names the fixtures that it needs::

    def test_a_failed_backup_keeps_the_load_shut(avepoint, run_dag):
        avepoint.add_job("dynamics365", organization_id="contoso", state="failed")
        assert run_dag(dag) == {"backup": "failed", "load": "upstream_failed"}

A wait is short in a test: see :func:`run_dag`. The simulator needs the extra ``simulator``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import pytest
except ImportError as missing:
    raise ModuleNotFoundError(
        "airflow_provider_avepoint.testing holds fixtures of pytest: pip install pytest"
    ) from missing

from airflow_provider_avepoint.simulator import Simulator

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from airflow.sdk.types import Operator

__all__ = ["airflow_database", "avepoint", "avepoint_server", "run_dag"]


@pytest.fixture(scope="session")
def avepoint_server() -> Iterator[Simulator]:
    """Run one simulator for all tests; a test takes :func:`avepoint`."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def avepoint(avepoint_server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Return a simulator without jobs; the connection ``avepoint_default`` leads to the simulator.

    For a connection of another name, set ``AIRFLOW_CONN_…`` to ``json.dumps(avepoint.connection)``.

    :param avepoint_server: the simulator.
    :param monkeypatch: sets the connection, for this test.
    """
    avepoint_server.reset()
    monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_DEFAULT", json.dumps(avepoint_server.connection))
    return avepoint_server


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give Airflow a new SQLite database for the tests of this session, and no example DAGs.

    Where your tests have a database of Airflow's already, define a fixture of this name that does nothing.

    :param tmp_path_factory: where the file of the database is put.
    :returns: the path of the file.
    """
    from airflow import settings
    from airflow.utils.db import initdb

    path = tmp_path_factory.mktemp("airflow") / "airflow.db"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{path}")
        environment.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        settings.configure_vars()  # type: ignore[no-untyped-call]  # Airflow's
        settings.reconfigure_orm()  # type: ignore[no-untyped-call]  # Airflow's
        initdb()
        yield path
    settings.configure_vars()  # type: ignore[no-untyped-call]  # Airflow's
    settings.reconfigure_orm()  # type: ignore[no-untyped-call]  # Airflow's


@pytest.fixture
def run_dag(
    airflow_database: Path,  # noqa: ARG001  # the run needs it
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, str | None]]:
    """Return a function that runs a DAG with ``dag.test()`` and returns the state of each task.

    The arguments of the function are the DAG, *give_up_after*, and what the run gets as its ``conf``. A
    mapped task is called ``task_id[0]``, ``task_id[1]`` …

    In the test nobody waits for hours: a sensor looks each second, and its ``timeout`` is *give_up_after*
    seconds at most, 15 unless given. A retry comes at once. So a backup that is missing, or runs on, ends the
    sensor as ``failed``.

    :param airflow_database: the database of the run.
    :param monkeypatch: tells Airflow where the DAG's file is, and shortens the waits for this test.
    """

    def run(dag: DAG, *, give_up_after: float = 15, **conf: Any) -> dict[str, str | None]:
        from airflow import settings

        monkeypatch.setattr(settings, "DAGS_FOLDER", str(Path(dag.fileloc).parent))
        for task in dag.tasks:
            _shorten(task, give_up_after, monkeypatch)
        ended = dag.test(run_conf=conf or None)
        return {
            each.task_id if each.map_index < 0 else f"{each.task_id}[{each.map_index}]": each.state
            for each in ended.get_task_instances()
        }

    return run


def _shorten(task: Operator, give_up_after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a task neither wait long nor pause before a retry, for this test."""
    from airflow.providers.common.compat.sdk import BaseSensorOperator

    arguments = getattr(task, "partial_kwargs", None)  # of a mapped task
    shorter: dict[str, Any] = {"retry_delay": timedelta(0)}
    if issubclass(getattr(task, "operator_class", None) or type(task), BaseSensorOperator):
        given = getattr(task, "timeout", give_up_after)
        shorter |= {"timeout": min(given, give_up_after), "poke_interval": 1}
    for name, value in shorter.items():
        if arguments is None:
            monkeypatch.setattr(task, name, value)
        else:
            monkeypatch.setitem(arguments, name, value)
