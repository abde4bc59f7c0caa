"""What stays up with ``KEEP=1``: the event-driven DAG, which starts because a backup has ended."""

from __future__ import annotations

import json
from typing import Any

from demo.gate import Progress
from demo.simulator import PRODUCT, SimulatorProcess
from demo.stack import AirflowStack

DAG_ID = "avepoint_event_driven"
#: The watcher's look at the backups, in seconds.
ENVIRONMENT = {"AVEPOINT_EVENT_POLL_INTERVAL": "5"}
_LISTING = "/dynamicsbackup/jobs"
_BACKUP: dict[str, Any] = {
    "product": PRODUCT,
    "organization_id": "0b1f7d3a-5a57-4c0e-9d4b-0f6f3c7f6a11",
    "organization_name": "contoso-service",
    "started_ago": 30,
    "ends_as": "success",
}
_RUNS_FOR = 40
# A DAG that is unpaused gets its watcher at the next parse, half a minute later at most.
_WATCH_SECONDS = 120.0
_RUN_SECONDS = 120.0


class EventDriven:
    """The DAG, on a simulator and an Airflow that are up and have nothing else to do."""

    def __init__(self, stack: AirflowStack, simulator: SimulatorProcess, progress: Progress) -> None:
        self._stack = stack
        self._simulator = simulator
        self._say = progress.say

    def play(self) -> bool:
        """Let backups start the DAG, show one that does, and tell whether its run has ended well.

        Only a scheduler that creates runs by itself does that. The other DAGs are paused before it starts, so
        that it creates no run of theirs.
        """
        self._say("Starting the scheduler anew: from now on it starts runs by itself")
        for dag_id in self._stack.api.dag_ids():
            self._stack.api.pause(dag_id)
        self._stack.kill("scheduler")
        self._stack.environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = "True"
        self._stack.start_component("scheduler", ["scheduler", "--skip-serve-logs"])
        self._stack.unpause(DAG_ID)
        looks = self._count_looks()
        self._stack.wait_until(
            lambda: self._count_looks() > looks or None,
            seconds=_WATCH_SECONDS,
            what="the triggerer watches the backups",
        )
        self._say(f"The triggerer watches the backups for {DAG_ID}")
        self._simulator.add_job(**_BACKUP, runs_for=_RUNS_FOR)
        self._say(f"AvePoint: a backup of contoso-service ends in {_RUNS_FOR - _BACKUP['started_ago']} s")
        run_id = self._stack.wait_until(self._find_run, seconds=_RUN_SECONDS, what=f"{DAG_ID} has a run")
        state = self._stack.wait_for_run(DAG_ID, run_id, seconds=_RUN_SECONDS)
        self._say(f"{DAG_ID}: started because the backup has ended; {state}")
        return state == "success"

    def describe(self) -> str:
        """Return how a reader lets another backup end."""
        job = json.dumps({**_BACKUP, "runs_for": _RUNS_FOR})
        return (
            f"{DAG_ID} starts within half a minute after a backup has ended. This adds a backup that ends in "
            f"{_RUNS_FOR - _BACKUP['started_ago']} s:\n"
            f"  curl --json '{job}' {self._simulator.url}/control/jobs"
        )

    def _count_looks(self) -> int:
        requests: list[Any] = self._simulator.send("GET", "requests", params={"path": _LISTING})
        return len(requests)

    def _find_run(self) -> str | None:
        return next(iter(self._stack.api.run_ids(DAG_ID)), None)
