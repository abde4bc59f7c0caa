"""Both runs of the gate: what is set up for them, what is seen of them, and what must come out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from demo.simulator import SimulatorProcess
from demo.stack import AirflowStack, StackError

DAG_ID = "avepoint_backup_gate"
LEDGER, LEDGER_CONN_ID = "ledger.db", "avepoint_ledger"
WAIT = "organization.wait_for_backup"
GATE = f"{WAIT}[0]"
LOAD = "organization.load_jobs[0]"
BEHIND_THE_GATE = [
    "organization.extract_jobs[0]",
    LOAD,
    "organization.check_load[0]",
    "organization.publish[0]",
]

#: How long the gate of Microsoft 365 waits for the end of unusual activity.
M365_TIMEOUT = 30.0
# How much longer the good backup runs, in seconds, from the moment its wait was seen to be deferred.
_RUNS_ON = 20.0
_HISTORY = timedelta(days=7)
_RUN_SECONDS = 150.0
_POLL_SECONDS = 0.5
_SILENCE_SECONDS = 10.0


@dataclass(kw_only=True)
class Run:
    """One run of the DAG: what it is about, what must come out, and what was seen."""

    run_id: str
    organization: str
    passes: bool
    organization_id: str = ""
    seen: dict[str, list[str]] = field(default_factory=dict)

    @property
    def expected(self) -> dict[str, str]:
        """The state of each task at the end."""
        gate, behind = ("success", "success") if self.passes else ("failed", "upstream_failed")
        return {
            "plan": "success",
            "create_table": "success",
            GATE: gate,
            **dict.fromkeys(BEHIND_THE_GATE, behind),
        }

    @property
    def expected_reason(self) -> str:
        """The verdict's reason."""
        return "passed" if self.passes else "failed"


class Progress:
    """Plain lines with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.said_at = self._started

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Write a line."""
        self.said_at = time.monotonic()
        print(f"{self.seconds:6.1f} s  {text}", flush=True)


def build_stack(
    directory: Path,
    warehouse: Path,
    connections: Mapping[str, Mapping[str, Any]],
    environment: Mapping[str, str] | None = None,
) -> AirflowStack:
    """Return the demo's Airflow, which is not started.

    :param warehouse: the SQLite file that the jobs are loaded into; the ledger's is beside it.
    :param connections: the AvePoint connections, ``avepoint_default`` among them.
    """
    return AirflowStack(
        home=directory / "airflow",
        connections={
            **connections,
            "avepoint_warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
            LEDGER_CONN_ID: {"conn_type": "sqlite", "host": str(warehouse.with_name(LEDGER))},
        },
        retry_delay=1,
        environment={
            "AIRFLOW__AVEPOINT__LEDGER_CONN_ID": LEDGER_CONN_ID,
            "AVEPOINT_GATE_POKE_INTERVAL": "5",
            "AVEPOINT_GATE_TIMEOUT": "120",
            "AVEPOINT_M365_GATE_TIMEOUT": f"{M365_TIMEOUT:.0f}",
            **(environment or {}),
        },
    )


class Demo:
    """Both runs, on a simulator and an Airflow that are up."""

    def __init__(
        self, stack: AirflowStack, simulator: SimulatorProcess, warehouse: Path, progress: Progress
    ) -> None:
        self._stack = stack
        self._simulator = simulator
        self._warehouse = warehouse
        self._say = progress.say
        self._progress = progress
        self._backup_ends_at: float | None = None
        self._backup_has_ended = False
        # A good backup starts after this; the jobs that are loaded, from the history's start on.
        self._interval_end = datetime.now(UTC) - timedelta(minutes=1)
        self._interval_start = self._interval_end - _HISTORY
        self.runs = [
            Run(run_id="backup-ends-well", organization="contoso-sales", passes=True),
            Run(run_id="backup-fails", organization="contoso-sandbox", passes=False),
        ]

    def play(self) -> bool:
        """Run the DAG for both, show what came of it, and tell whether all is as it should be."""
        running = self._prepare()
        self._stack.unpause(DAG_ID)
        for run in self.runs:
            self._stack.api.trigger(DAG_ID, self._conf(run), run_id=run.run_id)
            self._say(f"{run.run_id}: triggered for {run.organization}")
        self._watch(running)
        complaints = [complaint for run in self.runs for complaint in self._check(run)]
        self._show_table()
        for complaint in complaints:
            print(f"WRONG: {complaint}")
        if not complaints:
            print("The gate opened for the backup that ended well, and stayed shut for the one that failed.")
        return not complaints

    def _prepare(self) -> dict[str, Any]:
        """Give each organisation tonight's backup; return the one that still runs."""
        known = {job["organization_name"]: job["organization_id"] for job in self._simulator.jobs()}
        for run in self.runs:
            run.organization_id = known[run.organization]
        good, bad = self.runs
        self._simulator.add_job(**_backup_of(bad), state="failed", counts={"failed": 96})
        self._say(f"AvePoint: tonight's backup of {bad.organization} has failed")
        running = self._simulator.add_job(
            **_backup_of(good), runs_for=3600, ends_as="success", counts={"successful": 412}
        )
        self._say(f"AvePoint: tonight's backup of {good.organization} still runs")
        return running

    def _conf(self, run: Run) -> dict[str, Any]:
        return {
            "organizations": [run.organization_id],
            "interval_start": self._interval_start.isoformat(),
            "interval_end": self._interval_end.isoformat(),
            "ledger_conn_id": LEDGER_CONN_ID,
        }

    def _watch(self, running: dict[str, Any]) -> None:
        """Follow both runs to their end; *running* ends once its wait is deferred."""
        deadline = time.monotonic() + _RUN_SECONDS
        over = False
        while not over:
            if time.monotonic() > deadline:
                raise StackError(f"The runs did not end within {_RUN_SECONDS:.0f} s.\n{self._stack.tails()}")
            self._stack.check_components()
            over = self._are_over()
            for run in self.runs:
                self._note_changes(run)
            self._move_backup(running)
            if time.monotonic() - self._progress.said_at > _SILENCE_SECONDS:
                self._say(f"Waiting: {', '.join(self._open_tasks())}")
            time.sleep(_POLL_SECONDS)

    def _move_backup(self, running: dict[str, Any]) -> None:
        good = self.runs[0]
        if self._backup_ends_at is None and "deferred" in good.seen.get(GATE, []):
            self._simulator.end_in(running, _RUNS_ON)
            self._backup_ends_at = time.monotonic() + _RUNS_ON
            self._say(
                f"{good.run_id}: the triggerer waits, no worker does; the backup ends in {_RUNS_ON:.0f} s"
            )
        if not self._backup_has_ended and time.monotonic() > (self._backup_ends_at or float("inf")):
            self._backup_has_ended = True
            self._say(f"AvePoint: tonight's backup of {good.organization} has ended well")

    def _open_tasks(self) -> list[str]:
        return [
            f"{name} of {run.run_id} is {states[-1].replace('_', ' ')}"
            for run in self.runs
            for name, states in run.seen.items()
            if states and states[-1] in {"running", "deferred", "up_for_retry"}
        ] or ["Airflow schedules"]

    def _are_over(self) -> bool:
        states = [self._stack.api.run_state(DAG_ID, run.run_id) for run in self.runs]
        return all(state in {"success", "failed"} for state in states)

    def _note_changes(self, run: Run) -> None:
        for name, instance in self._stack.api.task_instances(DAG_ID, run.run_id).items():
            state, states = instance["state"], run.seen.setdefault(name, [])
            if state in {None, "scheduled", "queued"} or state in states[-1:]:
                continue
            states.append(state)
            if state == "up_for_retry":
                self._say(f"{run.run_id}: {name} failed, try {instance['try_number']}")
            elif state != "running":
                self._say(f"{run.run_id}: {name} {state.replace('_', ' ')}")

    def _check(self, run: Run) -> Iterator[str]:
        """Yield a sentence for each thing that is not as it should be."""
        wanted = "success" if run.passes else "failed"
        if (state := self._stack.api.run_state(DAG_ID, run.run_id)) != wanted:
            yield f"{run.run_id} is {state}, not {wanted}."
        states = self._stack.api.task_states(DAG_ID, run.run_id)
        for name in sorted(states.keys() | run.expected.keys()):
            found, due = states.get(name, "absent"), run.expected.get(name, "absent")
            if found != due:
                yield f"{run.run_id}: {name} is {found}, not {due}.\n{self._log(run, name)}"
        if run.passes and "deferred" not in run.seen.get(GATE, []):
            yield f"{run.run_id}: {GATE} was never seen deferred."
        if (reason := self._reason(run)) != run.expected_reason:
            yield f"{run.run_id}: the verdict is {reason}, not {run.expected_reason}."
        if (loaded := self._loaded(run)) != (jobs := self._due(run)):
            yield f"{run.run_id}: the table holds the jobs {sorted(loaded)}, not {sorted(jobs)}."

    def _verdict(self, run: Run) -> dict[str, Any]:
        key = "return_value" if run.passes else "verdict"
        return self._stack.api.xcom(DAG_ID, run.run_id, WAIT, key=key, map_index=0) or {}

    def _reason(self, run: Run) -> str:
        return str(self._verdict(run).get("reason", "missing"))

    def _due(self, run: Run) -> set[str]:
        """Return the ids of the jobs that should be in the table, as the simulator has them."""
        if not run.passes:
            return set()
        judged_at = datetime.fromisoformat(self._verdict(run).get("judged_at", "9999-12-31T00:00:00+00:00"))
        return {
            job["job_id"]
            for job in self._simulator.jobs()
            if job["organization_id"] == run.organization_id
            and job["job_type"] == "backup"
            and self._interval_start <= datetime.fromisoformat(job["started_at"]) < judged_at
        }

    def _loaded(self, run: Run) -> set[str]:
        """Return the ids of the jobs that are in the table."""
        with closing(sqlite3.connect(self._warehouse)) as warehouse, suppress(sqlite3.OperationalError):
            rows = warehouse.execute(
                "SELECT job_id FROM dynamics365_jobs WHERE organization_id = ?", [run.organization_id]
            )
            return {job_id for (job_id,) in rows}
        return set()

    def _log(self, run: Run, name: str) -> str:
        """Return the end of a task's log, or that there is none."""
        task_id, _, index = name.removesuffix("]").partition("[")
        try:
            lines = self._stack.api.logs(
                DAG_ID, run.run_id, task_id, map_index=int(index or -1), try_number=1
            )
        except httpx.HTTPError:
            return "  (it has no log)"
        return "\n".join(f"  | {line}" for line in lines[-12:])

    def _show_table(self) -> None:
        header = ("run", "task", "state", "seconds", "verdict", "rows")
        rows: list[tuple[str, ...]] = [header]
        for run in self.runs:
            instances = self._stack.api.task_instances(DAG_ID, run.run_id)
            names = [name for name in run.expected if name in instances]
            for name in [*names, *sorted(instances.keys() - run.expected.keys())]:
                seconds = instances[name]["duration"] or 0.0
                rows.append(
                    (
                        run.run_id,
                        name,
                        str(instances[name]["state"]),
                        # Airflow 3.0 and 3.1 give a task that was deferred a negative one.
                        f"{seconds:.1f}" if seconds > 0 else "-",
                        self._reason(run) if name == GATE else "",
                        str(len(self._loaded(run))) if name == LOAD else "",
                    )
                )
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        rows.insert(1, tuple("-" * width for width in widths))
        print()
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print(flush=True)


def _backup_of(run: Run) -> dict[str, Any]:
    return {
        "organization_id": run.organization_id,
        "organization_name": run.organization,
        "started_ago": 30,
    }
