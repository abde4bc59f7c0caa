"""Show the gate at work: one organisation's backup ends well, another's fails, in a real Airflow.

``python -m demo`` starts the AvePoint simulator and Airflow, runs the DAG ``avepoint_backup_gate`` for both, and
ends with 0 only if every task came out as it should. ``KEEP=1`` leaves it up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from demo.processes import INTERRUPTS, Process, stop
from demo.stack import AirflowStack, StackError, airflow_environment

DAG_ID = "avepoint_backup_gate"
WAIT = "organization.wait_for_backup"
GATE = f"{WAIT}[0]"
BEHIND_THE_GATE = [f"organization.{task}[0]" for task in ("extract_jobs", "load_jobs", "check_load", "publish")]
PRODUCT = "dynamics365"

_ROOT = Path(__file__).resolve().parent.parent
# How much longer the good backup runs, from the moment its wait was seen to be deferred.
_RUNS_ON = 20.0
_HISTORY = timedelta(days=7)
_RUN_SECONDS = 150.0
_POLL_SECONDS = 0.5
_SILENCE_SECONDS = 10.0


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why."""


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


class SimulatorProcess:
    """The AvePoint simulator as its console script, with three weeks of history."""

    def __init__(self, directory: Path) -> None:
        self._process = Process(
            "avepoint-simulator",
            [Path(sys.executable).with_name("avepoint-simulator"), "--port", "0", "--seed-demo"],
            env=airflow_environment(directory),
            cwd=directory,
            log=directory / "simulator.log",
        )
        self._control = httpx.Client(timeout=10, trust_env=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have it run until the block ends."""
        try:
            self._process.start()
            self._control.base_url = httpx.URL(self._wait_for_url())
            yield
        finally:
            stop([self._process], grace=2)
            self._control.close()

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self._control.base_url).rstrip("/")

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection to it."""
        from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET

        return {
            "conn_type": "avepoint",
            "host": self.url,
            "login": DEMO_CLIENT_ID,
            "password": DEMO_CLIENT_SECRET,
            "extra": {"identity_endpoint": f"{self.url}/connect/token"},
        }

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs of Dynamics 365, newest first."""
        jobs: list[dict[str, Any]] = self._send("GET", "jobs", params={"product": PRODUCT})["jobs"]
        return jobs

    def add_job(self, run: Run, **fields: Any) -> dict[str, Any]:
        """Add a backup of the run's organisation."""
        job = {
            "product": PRODUCT,
            "organization_id": run.organization_id,
            "organization_name": run.organization,
        }
        added: dict[str, Any] = self._send("POST", "jobs", json=job | fields)[0]
        return added

    def end_in(self, job: dict[str, Any], seconds: float) -> None:
        """Let a running backup end well in *seconds*."""
        age = (datetime.now(UTC) - datetime.fromisoformat(job["started_at"])).total_seconds()
        self._send("PATCH", f"jobs/{PRODUCT}/{job['job_id']}", json={"runs_for": age + seconds})

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        return self._control.request(method, f"/control/{path}", **kwargs).raise_for_status().json()

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + 30
        while not (line := self._process.log.read_text().partition("\n")[0]).startswith("http"):
            if not self._process.is_running or time.monotonic() > deadline:
                raise DemoError(f"The simulator did not start.\n{self._process.tail()}")
            time.sleep(0.1)
        return line


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
        self._simulator.add_job(bad, started_ago=30, state="failed", counts={"failed": 96})
        self._say(f"AvePoint: tonight's backup of {bad.organization} has failed")
        running = self._simulator.add_job(
            good, started_ago=30, runs_for=3600, ends_as="success", counts={"successful": 412}
        )
        self._say(f"AvePoint: tonight's backup of {good.organization} still runs")
        return running

    def _conf(self, run: Run) -> dict[str, Any]:
        return {
            "organizations": [run.organization_id],
            "interval_start": self._interval_start.isoformat(),
            "interval_end": self._interval_end.isoformat(),
        }

    def _watch(self, running: dict[str, Any]) -> None:
        """Follow both runs to their end; the good backup ends once its wait is deferred."""
        deadline = time.monotonic() + _RUN_SECONDS
        good = self.runs[0]
        ends_at: float | None = None
        while not self._are_over():
            self._stack.check_components()
            if time.monotonic() > deadline:
                raise StackError(f"The runs did not end within {_RUN_SECONDS:.0f} s.\n{self._stack.tails()}")
            for run in self.runs:
                self._note_changes(run)
            if ends_at is None and "deferred" in good.seen.get(GATE, []):
                self._simulator.end_in(running, _RUNS_ON)
                ends_at = time.monotonic() + _RUNS_ON
                self._say(f"{good.run_id}: no worker is held meanwhile; the backup ends in {_RUNS_ON:.0f} s")
            if ends_at is not None and time.monotonic() > ends_at:
                self._say(f"AvePoint: tonight's backup of {good.organization} has ended well")
                ends_at = float("inf")
            if time.monotonic() - self._progress.said_at > _SILENCE_SECONDS:
                self._say("...")
            time.sleep(_POLL_SECONDS)
        for run in self.runs:
            self._note_changes(run)

    def _are_over(self) -> bool:
        states = [self._stack.api.run_state(DAG_ID, run.run_id) for run in self.runs]
        return all(state in {"success", "failed"} for state in states)

    def _note_changes(self, run: Run) -> None:
        for name, state in self._stack.api.task_states(DAG_ID, run.run_id).items():
            states = run.seen.setdefault(name, [])
            if state in {None, "scheduled", "queued"} or state in states[-1:]:
                continue
            states.append(str(state))
            if state != "running":
                self._say(f"{run.run_id}: {name} {str(state).replace('_', ' ')}")

    def _check(self, run: Run) -> Iterator[str]:
        """Yield a sentence for each thing that is not as it should be."""
        wanted = "success" if run.passes else "failed"
        if (state := self._stack.api.run_state(DAG_ID, run.run_id)) != wanted:
            yield f"{run.run_id} is {state}, not {wanted}."
        states = self._stack.api.task_states(DAG_ID, run.run_id)
        for name in sorted(states.keys() | run.expected.keys()):
            state, wanted = states.get(name, "absent"), run.expected.get(name, "absent")
            if state != wanted:
                yield f"{run.run_id}: {name} is {state}, not {wanted}.\n{self._log(run, name)}"
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
                "SELECT job_id FROM avepoint_jobs WHERE organization_id = ?", [run.organization_id]
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
        rows = [header]
        for run in self.runs:
            instances = self._stack.api.task_instances(DAG_ID, run.run_id)
            names = [name for name in run.expected if name in instances]
            for name in [*names, *sorted(instances.keys() - run.expected.keys())]:
                seconds = instances[name]["duration"]
                rows.append(
                    (
                        run.run_id,
                        name,
                        str(instances[name]["state"]),
                        f"{seconds:.1f}" if seconds else "-",
                        self._reason(run) if name == GATE else "",
                        str(len(self._loaded(run))) if name == "organization.load_jobs[0]" else "",
                    )
                )
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        rows.insert(1, tuple("-" * width for width in widths))
        print()
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print(flush=True)


def main() -> int:
    """Run the demo; return the exit status: 0 only if all came out as it should."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--directory", type=Path, default=_ROOT / ".demo", help="where its files go")
    directory = parser.parse_args().directory.resolve()
    _raise_once_on_interrupt()
    progress = Progress()
    try:
        with _own(directory):
            status = _run(directory, progress, keep=os.environ.get("KEEP", "") not in {"", "0"})
    except KeyboardInterrupt:
        print("Everything is stopped.", flush=True)
        return 130
    except (DemoError, StackError, httpx.HTTPError) as e:
        print(f"\nThe demo failed: {e}\n\nThe logs are in {directory}. Everything is stopped.", flush=True)
        return 1
    progress.say(f"Everything is stopped; the logs are in {directory}.")
    return status


def _run(directory: Path, progress: Progress, *, keep: bool) -> int:
    warehouse = directory / "warehouse.db"
    simulator = SimulatorProcess(directory)
    progress.say("Starting the AvePoint simulator")
    with simulator.running():
        progress.say(f"It serves at {simulator.url}, with three weeks of history")
        stack = AirflowStack(
            home=directory / "airflow",
            connections={
                "avepoint_default": simulator.connection(),
                "avepoint_warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
            },
            retry_delay=1,
            environment={"AVEPOINT_GATE_POKE_INTERVAL": "5", "AVEPOINT_GATE_TIMEOUT": "120"},
        )
        progress.say("Starting Airflow: API server, scheduler, DAG processor, triggerer")
        with stack:
            progress.say("Airflow is healthy")
            status = 0 if Demo(stack, simulator, warehouse, progress).play() else 1
            if keep:
                print(f"\nAirflow's UI: {stack.url}  user: {stack.username}  password: {stack.password}")
                print("Ctrl-C stops everything.", flush=True)
                with suppress(KeyboardInterrupt):
                    while True:
                        stack.check_components()
                        time.sleep(1)
            progress.say("Stopping Airflow and the simulator")
    return status


@contextmanager
def _own(directory: Path) -> Iterator[None]:
    """Take the directory for this demo alone, and remove what an earlier one has left there.

    :raises DemoError: another demo runs in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"Another demo runs in {directory}; stop it first.") from None
        shutil.rmtree(directory / "airflow", ignore_errors=True)
        for name in ("simulator.log", "warehouse.db"):
            (directory / name).unlink(missing_ok=True)
        yield


def _raise_once_on_interrupt() -> None:
    """Let the first of SIGINT, SIGTERM and SIGHUP end the demo; stopping is bounded and not broken off."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        # Not print(): the interrupt may have come in the middle of one.
        os.write(sys.stdout.fileno(), b"\nInterrupted: stopping Airflow and the simulator.\n")
        raise KeyboardInterrupt

    for number in INTERRUPTS:
        signal.signal(number, interrupt)


if __name__ == "__main__":
    sys.exit(main())
