"""Loads that are killed, that meet each other, and that are large."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator
from tests.ledger.databases import CONN_ID, Database
from tests.ledger.processes import (
    PROCESSES,
    Child,
    load,
    load_and_weigh,
    load_together,
    load_until_commit,
)

pytestmark = pytest.mark.no_cover

PATH = "/dynamicsbackup/jobs"
STATES = ["success", "partial", "failed", "running"]
_SECONDS = 60


@pytest.fixture
def environment(
    simulator: Simulator, database: Database, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return what another process has to know; it fetches a page at a time."""
    connect(extra={"page_size": 500, "max_concurrency": 1})
    connection = {
        "conn_type": "avepoint",
        "host": simulator.url,
        "login": simulator.client_id,
        "password": simulator.client_secret,
        "extra": {"identity_endpoint": simulator.token_url, "page_size": 500, "max_concurrency": 1},
    }
    return database.environment | {"AIRFLOW_CONN_AVEPOINT_DEFAULT": json.dumps(connection)}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def undisturbed(database: Database, define: Callable[..., str], tmp_path: Any) -> Callable[[], Any]:
    """Return a function that loads once into another database and returns its jobs."""

    def load_elsewhere() -> list[dict[str, Any]]:
        other = Database({"conn_type": "sqlite", "host": str(tmp_path / "undisturbed.db")})
        define(CONN_ID, other.connection)
        load({})
        jobs = other.jobs()
        define(CONN_ID, database.connection)
        return jobs

    return load_elsewhere


@pytest.mark.parametrize(
    ("commit", "written"),
    [(2, None), (4, 0), (6, 2000), (7, 2500)],
    ids=["tables", "first batch", "last batch", "load point"],
)
def test_a_load_that_is_killed_is_made_up_for(
    simulator: Simulator,
    database: Database,
    environment: dict[str, str],
    undisturbed: Callable[[], list[dict[str, Any]]],
    commit: int,
    written: int | None,
) -> None:
    """By kill -9, in the middle of each kind of transaction: nothing of that one is there."""
    simulator.generate("dynamics365", 2500, every_seconds=60, states=STATES)

    with Child(load_until_commit, environment, {}, commit) as child:
        assert child.ends() == -signal.SIGKILL
    tables = database.tables()
    assert tables == set() if written is None else len(database.jobs()) == written
    result = load({})

    assert result["inserted"] == 2500 - (written or 0)
    assert result["unchanged"] == (written or 0)
    assert database.jobs() == undisturbed()
    assert load({})["inserted"] == 0


def test_a_load_that_is_killed_while_it_waits_for_a_page_is_made_up_for(
    simulator: Simulator,
    database: Database,
    environment: dict[str, str],
    undisturbed: Callable[[], list[dict[str, Any]]],
) -> None:
    simulator.generate("dynamics365", 2500, every_seconds=60, states=STATES)
    simulator.add_fault("hang", path=PATH, skip=4)

    with Child(load, environment, {}) as child:
        wait_for(lambda: len(simulator.requests(PATH)) == 5)
        child.signal(signal.SIGKILL)
        assert child.ends() == -signal.SIGKILL
    left_behind = len(database.jobs())
    load({})

    assert left_behind == 2000
    assert database.jobs() == undisturbed()


def test_eight_processes_load_overlapping_windows_at_once(
    simulator: Simulator, database: Database, environment: dict[str, str]
) -> None:
    """Every job once, in its last state; each is new to one of them only."""
    newest = datetime.now(UTC) - timedelta(hours=1)
    simulator.generate(
        "dynamics365", 1600, newest_at=newest, every_seconds=60, states=STATES, organizations=["A", "B"]
    )
    windows = [
        {"started_after": (newest - timedelta(minutes=200 * k - 0.5)).isoformat()} for k in range(1, 9)
    ]

    first = load_at_once(windows, environment)
    open_jobs = [
        job["job_id"] for job in simulator.jobs("dynamics365", limit=1600) if job["state"] == "running"
    ]
    for job_id in open_jobs:
        simulator.patch_job("dynamics365", job_id, state="success")
    second = load_at_once(windows, environment)

    assert sum(counts["inserted"] for counts in first) == 1600
    assert sum(counts["updated"] for counts in first) == 0
    assert len(open_jobs) == 400
    assert sum(counts["inserted"] for counts in second) == 0
    assert sum(counts["updated"] for counts in second) == 400
    expected = {job["job_id"]: job["state"] for job in simulator.jobs("dynamics365", limit=1600)}
    assert database.states() == expected
    assert "running" not in expected.values()


def load_at_once(orders: list[dict[str, Any]], environment: dict[str, str]) -> list[dict[str, int]]:
    """Load in as many processes as there are orders; return their counts."""
    barrier = PROCESSES.Barrier(len(orders))
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(load_together, environment, order, barrier)) for order in orders
        ]
        results = [child.result() for child in children]
    return [{name: each[name] for name in ("inserted", "updated", "unchanged")} for each in results]


def test_a_job_that_only_a_long_load_has_seen_running_is_not_lost(
    simulator: Simulator, database: Database, environment: dict[str, str]
) -> None:
    """Another load begins later and ends earlier, and knows nothing of what the first has come upon."""
    simulator.add_job("dynamics365", job_id="OLD", started_ago=20 * 86400, state="running")
    load({"started_after": (datetime.now(UTC) - timedelta(days=1)).isoformat()})
    simulator.add_fault("slow", path=PATH, seconds=0.5)
    seen = len(simulator.requests(PATH))
    back = {"started_after": (datetime.now(UTC) - timedelta(days=25)).isoformat()}

    with Child(load, environment, back) as child:
        wait_for(lambda: len(simulator.requests(PATH)) > seen)
        child.signal(signal.SIGSTOP)
        load({})
        child.signal(signal.SIGCONT)
        assert child.result()["inserted"] == 1
    simulator.patch_job("dynamics365", "OLD", state="failed")
    load({})

    assert database.states() == {"OLD": "failed"}


def test_memory_does_not_grow_with_the_jobs(
    simulator: Simulator, database: Database, environment: dict[str, str]
) -> None:
    simulator.add_job("salesforce", job_id="S")
    simulator.generate("dynamics365", 20_000, every_seconds=60)

    with Child(load_and_weigh, environment, {}) as child:
        counts, mib = child.result()

    assert counts["inserted"] == 20_000
    assert mib < 64
