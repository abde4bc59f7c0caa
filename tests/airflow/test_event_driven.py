"""The event-driven DAG in a real Airflow, whose triggerer stops, dies and returns."""

from __future__ import annotations

import json
import shutil
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_avepoint.core.watermark import Watermark
from airflow_provider_avepoint.simulator import Simulator
from demo.stack import DAGS, AirflowStack
from tests.airflow.conftest import QUICK_FAILOVER
from tests.airflow.gate import connection_to
from tests.versions import AIRFLOW, needs_airflow

pytestmark = pytest.mark.airflow

DAG_ID = "avepoint_event_driven"
ASSET, URI = "avepoint_dynamics365_backups", "avepoint://dynamics365/avepoint_default"
PATH = "/dynamicsbackup/jobs"
SECONDS = 60
BROKEN = """\
from airflow.sdk import DAG, Asset

with DAG("broken", schedule=[Asset("avepoint://dynamics/avepoint_default")]):
    pass
"""


@dataclass(frozen=True)
class Events:
    """The DAG's surroundings: Airflow, the backups, and what has become of them."""

    stack: AirflowStack
    simulator: Simulator
    warehouse: Path

    def add(self, name: str, **fields: Any) -> str:
        """Add a backup of ten minutes ago; return its id."""
        job_id = f"{name}-{uuid.uuid4()}"
        given = {"started_ago": 600, "state": "running", **fields}
        self.simulator.add_job("dynamics365", job_id=job_id, organization_id="contoso", **given)
        return job_id

    def end(self, *job_ids: str, state: str = "success") -> None:
        for job_id in job_ids:
            self.simulator.patch_job("dynamics365", job_id, state=state)

    def watermark(self) -> Watermark | None:
        """Return what Airflow keeps with the asset."""
        with closing(sqlite3.connect(f"file:{self.stack.home}/airflow.db?mode=ro", uri=True)) as database:
            found = database.execute(
                "SELECT value FROM asset_state_store WHERE key = 'avepoint_watermark'"
            ).fetchone()
        return None if found is None else Watermark.from_dict(json.loads(found[0]))

    def announced(self, *job_ids: str) -> Counter[str]:
        """Return how often each of *job_ids* was announced."""
        events = self.stack.api.request("GET", "/api/v2/assets/events", params={"limit": 100})["asset_events"]
        payloads = [event["extra"]["payload"] for event in events if "payload" in event["extra"]]
        return Counter(payload["job_id"] for payload in payloads if payload["job_id"] in job_ids)

    def wait_until_announced(self, *job_ids: str) -> None:
        self.stack.wait_until(
            lambda: set(self.announced(*job_ids)) == set(job_ids) or None,
            seconds=SECONDS,
            what="the ends are announced",
        )

    def wait_until_kept(self, *, open_jobs: int) -> None:
        """Wait until Airflow keeps a watermark with so many jobs under way: events before it are stored.

        Where Airflow keeps none, wait until the watcher has looked: it remembers what it has seen.
        """
        if AIRFLOW < (3, 3):
            looks = len(self.simulator.requests(PATH)) + 2
            self.stack.wait_until(
                lambda: len(self.simulator.requests(PATH)) >= looks or None,
                seconds=SECONDS,
                what="the watcher has looked",
            )
            return
        self.stack.wait_until(
            lambda: ((kept := self.watermark()) is not None and len(kept.under_way) == open_jobs) or None,
            seconds=SECONDS,
            what=f"the watermark has {open_jobs} jobs under way",
        )

    def handled(self) -> list[str]:
        """Return the keys that the DAG has handled."""
        try:
            with closing(sqlite3.connect(self.warehouse)) as database:
                return [key for (key,) in database.execute("SELECT event_key FROM avepoint_handled")]
        except sqlite3.OperationalError:  # the table is made by the first run
            return []

    def wait_until_handled(self, *job_ids: str) -> None:
        self.stack.wait_until(
            lambda: set(job_ids) <= {key.rpartition("/")[2] for key in self.handled()} or None,
            seconds=SECONDS,
            what="the backups are handled",
        )

    def runs(self) -> list[dict[str, Any]]:
        path = f"/api/v2/dags/{DAG_ID}/dagRuns"
        return self.stack.api.request("GET", path, params={"limit": 100})["dag_runs"]

    def wait_until_quiet(self) -> None:
        """Wait until every run has ended, and well."""

        def ended() -> bool | None:
            states = {run["state"] for run in self.runs()}
            assert "failed" not in states
            return states == {"success"} or None

        self.stack.wait_until(ended, seconds=SECONDS, what="every run has ended")

    def loaded(self) -> Counter[str]:
        """Return how often each backup was loaded, by its id."""
        api, keys = self.stack.api, Counter[str]()
        for run in self.runs():
            run_id = run["dag_run_id"]
            for name, instance in api.task_instances(DAG_ID, run_id).items():
                if name.startswith("backup.load[") and instance["state"] == "success":
                    key = api.xcom(DAG_ID, run_id, "backup.load", map_index=instance["map_index"])
                    keys[key.rpartition("/")[2]] += 1
        return keys

    def repeat(self, job_id: str) -> None:
        """Announce an end again, as a triggerer may that was killed."""
        api = self.stack.api
        (asset,) = api.request("GET", "/api/v2/assets", params={"name_pattern": ASSET})["assets"]
        events = api.request("GET", "/api/v2/assets/events", params={"limit": 100})["asset_events"]
        extra = next(
            event["extra"] for event in events if event["extra"].get("payload", {}).get("job_id") == job_id
        )
        before = len(self.runs())
        api.request("POST", "/api/v2/assets/events", json={"asset_id": asset["id"], "extra": extra})
        self.stack.wait_until(
            lambda: len(self.runs()) > before or None, seconds=SECONDS, what="the repeat has started a run"
        )


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    directory = tmp_path_factory.mktemp("events")
    dags, warehouse = directory / "dags", directory / "warehouse.db"
    dags.mkdir()
    shutil.copy(DAGS / f"{DAG_ID}.py", dags)
    (dags / "broken.py").write_text(BROKEN)
    with Simulator() as simulator:
        simulator.add_job("dynamics365", job_id="before", organization_id="contoso", started_ago=600)
        stack = AirflowStack(
            home=directory / "airflow",
            dags=dags,
            connections={
                "avepoint_default": connection_to(simulator),
                "avepoint_warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
            },
            retry_delay=1,
            environment={
                "AVEPOINT_EVENT_POLL_INTERVAL": "2",
                # Unpaused later, a DAG gets its watcher at the next parse.
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                # Without it, nothing but a hand starts a run.
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
                **QUICK_FAILOVER,
            },
        )
        with stack:
            stack.unpause(DAG_ID)
            found = Events(stack, simulator, warehouse)
            found.wait_until_kept(open_jobs=0)
            yield found


def test_the_asset_is_listed_with_its_uri(events: Events) -> None:
    assets = events.stack.api.request("GET", "/api/v2/assets")["assets"]

    assert {ASSET: URI} == {asset["name"]: asset["uri"] for asset in assets}


def test_an_uri_of_a_product_nobody_knows_is_an_import_error(events: Events) -> None:
    """The provider's metadata name the handler that says so."""
    (error,) = events.stack.wait_until(
        lambda: events.stack.api.import_errors() or None, seconds=SECONDS, what="there is an import error"
    )

    assert "avepoint://dynamics: product: 'dynamics' is not known; known are m365," in error


def test_a_backup_that_ends_well_starts_the_dag_once(events: Events) -> None:
    """Not one that ended before the watcher began, nor one that failed."""
    failed, good, short = events.add("failed"), events.add("good"), events.add("short", started_ago=5)
    events.wait_until_kept(open_jobs=3)

    events.end(failed, state="failed")
    events.end(good, short)
    events.wait_until_handled(good, short)
    events.wait_until_kept(open_jobs=0)
    events.wait_until_quiet()

    assert {good: 1, short: 1} == events.loaded()
    assert {good: 1, short: 1} == events.announced(failed, good, short)


@needs_airflow("3.3", "assets keep state")
def test_what_ends_around_an_orderly_restart_is_announced_once(events: Events) -> None:
    """Before it, while no triggerer runs, and after it."""
    jobs = [events.add(name) for name in ("early", "meanwhile", "late")]
    events.wait_until_kept(open_jobs=3)
    events.end(jobs[0])
    events.wait_until_announced(jobs[0])
    events.wait_until_kept(open_jobs=2)

    events.stack.stop_triggerer()
    events.end(jobs[1])
    jobs.append(events.add("between", state="success", started_ago=1))
    events.stack.start_triggerer()
    events.wait_until_announced(jobs[1], jobs[3])
    events.end(jobs[2])
    events.wait_until_handled(*jobs)
    events.wait_until_kept(open_jobs=0)
    events.wait_until_quiet()

    once = dict.fromkeys(jobs, 1)
    assert once == events.announced(*jobs)
    assert once == {job_id: events.loaded()[job_id] for job_id in jobs}


@needs_airflow("3.3", "assets keep state")
def test_after_a_kill_nothing_is_lost_and_a_repeat_is_dropped(events: Events) -> None:
    """Killed between the event and the watermark, a triggerer announces the end again, with the same key."""
    jobs = [events.add(name) for name in ("first", "second", "third")]
    events.wait_until_kept(open_jobs=3)

    events.end(jobs[0])
    events.wait_until_announced(jobs[0])
    events.stack.kill_triggerer()
    events.end(jobs[1])
    events.stack.start_triggerer()
    events.wait_until_handled(jobs[0], jobs[1])
    events.repeat(jobs[1])
    events.end(jobs[2])
    events.wait_until_handled(*jobs)
    events.wait_until_kept(open_jobs=0)
    events.wait_until_quiet()

    once = dict.fromkeys(jobs, 1)
    assert set(jobs) == set(events.announced(*jobs))
    assert events.announced(jobs[1])[jobs[1]] >= 2
    loaded, handled = events.loaded(), Counter(events.handled())
    assert once == {job_id: loaded[job_id] for job_id in jobs}
    assert {1} == set(handled.values())
    assert once == {job_id: sum(key.endswith(job_id) for key in handled) for job_id in jobs}
