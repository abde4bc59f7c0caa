"""The event-driven example takes each backup once, whatever Airflow hands it."""

from __future__ import annotations

import json
import runpy
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger

FILE = Path(__file__).parent.parent.parent / "dags" / "avepoint_event_driven.py"
PARAMS = {"params": {"warehouse_conn_id": "avepoint_warehouse"}}


class Events(list):  # type: ignore[type-arg]
    """The asset's events as Airflow 3.1 and later hand them over."""

    asked_after = None

    def after(self, moment: str) -> Events:
        self.asked_after = datetime.fromisoformat(moment)
        return self


def event(key: str, **payload: Any) -> SimpleNamespace:
    return SimpleNamespace(extra={"from_trigger": True, "payload": {"key": key, **payload}})


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that does what a task does; the warehouse is a file, its table is made."""
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
    monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_WAREHOUSE", json.dumps(connection))
    dag = runpy.run_path(str(FILE))["dag"]

    def run(task_id: str, *args: Any, **context: Any) -> Any:
        return dag.get_task(task_id).python_callable(*args, **PARAMS, **context)

    run("create_table")
    return run


class InletEvents:
    """Where a task finds the events of its inlet; before Airflow 3.2, assets are no keys of a dictionary."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def __getitem__(self, asset: object) -> list[Any]:
        assert asset == BACKUPS
        return self._events


def take(call: Callable[..., Any], events: list[Any]) -> list[str]:
    return [backup["key"] for backup in call("take_events", inlet_events=InletEvents(events))]


BACKUPS = runpy.run_path(str(FILE))["BACKUPS"]


def test_a_repeat_is_taken_once_and_a_handled_backup_not_at_all(call: Callable[..., Any]) -> None:
    call("backup.remember", "J1")

    assert ["J2", "J3"] == take(call, [event("J1"), event("J2"), event("J2"), event("J3"), event("J1")])


def test_remembering_twice_is_remembering_once(call: Callable[..., Any], tmp_path: Path) -> None:
    for _ in range(2):
        call("backup.remember", "J1")
        call("create_table")

    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as database:
        assert [("J1",)] == database.execute("SELECT event_key FROM avepoint_handled").fetchall()


def test_events_that_are_of_no_watcher_are_left_out(call: Callable[..., Any]) -> None:
    """Somebody may have pressed the asset's button."""
    assert ["J1"] == take(call, [SimpleNamespace(extra={"from_rest_api": True}), event("J1")])


def test_a_week_of_events_is_asked_for(call: Callable[..., Any]) -> None:
    events = Events([event("J1")])

    assert ["J1"] == take(call, events)
    assert timedelta(minutes=1) > abs(datetime.now(UTC) - timedelta(days=7) - events.asked_after)


def test_a_run_takes_no_more_than_airflow_maps(call: Callable[..., Any], tmp_path: Path) -> None:
    """The oldest come first; the others are the next run's."""
    many = [event(f"J{index}") for index in range(1100)]

    taken = take(call, many)
    call("backup.remember", taken[0])
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as database, database:
        database.executemany(
            "INSERT INTO avepoint_handled (event_key) VALUES (?)", [(key,) for key in taken[1:]]
        )

    assert [f"J{index}" for index in range(1000)] == taken
    assert [f"J{index}" for index in range(1000, 1100)] == take(call, many)


def test_a_load_returns_the_key_that_is_remembered(call: Callable[..., Any]) -> None:
    dag = runpy.run_path(str(FILE))["dag"]
    backup = {"key": "J1", "organization_name": None, "job_id": "1", "finished_at": None}

    assert "J1" == dag.get_task("backup.load").python_callable(backup)


def test_the_watcher_names_the_asset_that_it_watches() -> None:
    """Its watermark is kept there."""
    (watcher,) = BACKUPS.watchers
    trigger = watcher.trigger
    kwargs = trigger["kwargs"] if isinstance(trigger, dict) else trigger.serialize()[1]

    assert (BACKUPS.name, "passed") == (kwargs["asset"], kwargs["announce"])
    assert kwargs == AvePointBackupEventTrigger(**kwargs).serialize()[1]
