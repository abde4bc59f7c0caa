"""The example DAGs load cheaply, are documented, and say what they need."""

from __future__ import annotations

import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from tests.versions import needs_airflow

FOLDER = Path(__file__).parent.parent.parent / "dags"
FILES = sorted(FOLDER.glob("*.py"))
WATCHES = "avepoint_event_driven"


def each(paths: list[Path]) -> pytest.MarkDecorator:
    """Run a test for each of the example files that this Airflow can load."""
    needs = needs_airflow("3.0", "asset watchers")
    rows = [pytest.param(path, id=path.stem, marks=needs if path.stem == WATCHES else ()) for path in paths]
    return pytest.mark.parametrize("path", rows)


def load(path: Path) -> object:
    """Return the DAG that *path* defines, found by any of its tasks where it has no name of its own."""
    values = runpy.run_path(str(path)).values()
    dags = [value if type(value).__name__ == "DAG" else getattr(value, "dag", None) for value in values]
    return next(dag for dag in dags if getattr(dag, "dag_id", None) == path.stem)


@each(FILES)
def test_a_file_holds_the_dag_of_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And touches no network when it is parsed."""

    def refuse(*args: object) -> None:
        raise AssertionError("a DAG file opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    dag = load(path)

    assert dag.tasks


@each([path for path in FILES if path.stem != "avepoint_quickstart"])
def test_a_dag_is_documented(path: Path) -> None:
    dag = load(path)

    assert len(dag.doc_md) > 300
    assert "avepoint" in dag.tags
    assert set(dag.params) <= {name for name in dag.params if f"`{name}`" in dag.doc_md}, (
        "each param is explained"
    )


@each(FILES)
def test_waiting_tasks_have_retries(path: Path) -> None:
    """A poll that cannot reach the API says nothing about the backup."""
    for task in load(path).tasks:
        kwargs = getattr(task, "partial_kwargs", {})
        if getattr(task, "operator_class", type(task)) is AvePointBackupSensor:
            assert (kwargs.get("retries") or getattr(task, "retries", 0)) >= 1


def test_the_gate_states_its_timetable() -> None:
    """A cron string would give Airflow 3's runs an empty interval."""
    dag = load(FOLDER / "avepoint_backup_gate.py")

    assert isinstance(dag.timetable, CronDataIntervalTimetable) or "CronDataInterval" in str(
        type(dag.schedule)
    )


@needs_airflow("3.1", "itself loads none of them")
def test_parsing_loads_no_client() -> None:
    """Requests and aiohttp cost more than all else in such a file."""
    code = (
        "import runpy, sys\n"
        "clients = ('requests', 'aiohttp', 'jwt', 'airflow.providers.http.hooks.http')\n"
        "for path in sys.argv[1:]:\n"
        "    runpy.run_path(path)\n"
        "    print(path, [name for name in clients if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *FILES], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-len(FILES) :] == [f"{path} []" for path in FILES]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (None, False)),
        ({"max_unusual": 0, "expect_scheduled": True}, (0, True)),
    ],
)
def test_the_services_gate_asks_what_its_params_say(
    changes: dict[str, object], expected: tuple[object, bool]
) -> None:
    """Zero is a limit, and null asks for nothing."""
    dag = load(FOLDER / "avepoint_m365_gate.py")
    asked = dag.get_task("wait_for_backup").partial_kwargs
    params = {name: dag.params[name] for name in dag.params} | changes

    rendered = dag.get_task("list_services").render_template(
        {name: asked[name] for name in ("max_unusual", "expect_scheduled")},
        {"params": params},
        dag.get_template_env(),
    )

    assert tuple(rendered.values()) == expected
