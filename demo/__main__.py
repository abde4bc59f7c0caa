"""Show the gate and the audit at work in a real Airflow.

``python -m demo`` starts the AvePoint simulator and Airflow, runs the DAG ``avepoint_backup_gate`` for one
organisation whose backup ends well and one whose fails, shows a gate that stays shut while files look
attacked and one whose backup nobody has scheduled, loads sixty days of jobs into the ledger, audits the
licences, writes the report, and restores a canary folder. It ends with 0 only if every task came out as it
should. ``KEEP=1`` lets a backup's end start ``avepoint_event_driven``, and leaves all of it up until Ctrl-C,
with the page of backups in Airflow's UI.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from demo.audit import REPORT, Audit
from demo.events import ENVIRONMENT as EVENT_ENVIRONMENT
from demo.events import EventDriven
from demo.gate import LEDGER, Demo, Progress, build_stack
from demo.processes import raise_once_on_interrupt
from demo.protection import DRILL_CONN_ID, SITE, Protection
from demo.simulator import SimulatorError, SimulatorProcess
from demo.stack import StackError

_ROOT = Path(__file__).resolve().parent.parent


class DirectoryTakenError(RuntimeError):
    """Another demo runs in the directory."""


def main() -> int:
    """Run the demo; return the exit status: 0 only if all came out as it should."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--directory", type=Path, default=_ROOT / ".demo", help="where its files go")
    directory = parser.parse_args().directory.resolve()
    raise_once_on_interrupt()
    progress = Progress()
    try:
        with _own(directory):
            status = _run(directory, progress, keep=os.environ.get("KEEP", "") not in {"", "0"})
    except KeyboardInterrupt:
        print("Everything is stopped.", flush=True)
        return 130
    except (DirectoryTakenError, SimulatorError, StackError, httpx.HTTPError) as e:
        print(f"\nThe demo failed: {e}\n\nThe logs are in {directory}. Everything is stopped.", flush=True)
        return 1
    progress.say(f"Everything is stopped; the logs are in {directory}. The report: {directory / REPORT}")
    return status


def _run(directory: Path, progress: Progress, *, keep: bool) -> int:
    warehouse = directory / "warehouse.db"
    simulator = SimulatorProcess(directory)
    progress.say("Starting the AvePoint simulator")
    with simulator.running():
        progress.say(f"It serves at {simulator.url}, with 60 days of history")
        connections = {
            "avepoint_default": simulator.connection(),
            DRILL_CONN_ID: simulator.connection(allow_restore=True),
        }
        # The Test button of a connection is off in Airflow unless it is asked for.
        environment = {**EVENT_ENVIRONMENT, "AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
        stack = build_stack(directory, warehouse, connections, environment)
        progress.say("Starting Airflow: API server, scheduler, DAG processor, triggerer")
        with stack:
            progress.say("Airflow is healthy")
            protection = Protection(stack, simulator, directory / SITE, progress)
            protection.start()
            outcomes = [
                Demo(stack, simulator, warehouse, progress).play(),
                protection.show_gates(),
                Audit(stack, simulator, directory / REPORT, progress).play(),
                protection.show_drill(),
            ]
            events = EventDriven(stack, simulator, progress)
            if keep:
                outcomes.append(events.play())
            status = 0 if all(outcomes) else 1
            if keep:
                print(f"\nThe report: {directory / REPORT}")
                print(events.describe())
                print(f"The backups at a glance: {stack.url}/plugin/avepoint-page")
                print(f"Airflow's UI: {stack.url}  user: {stack.username}  password: {stack.password}")
                print("Ctrl-C stops everything.", flush=True)
                with suppress(KeyboardInterrupt):
                    while True:
                        stack.check_components()
                        time.sleep(1)
            else:
                progress.say("Stopping Airflow and the simulator")
    return status


@contextmanager
def _own(directory: Path) -> Iterator[None]:
    """Take the directory for this demo alone, and remove what an earlier one has left there.

    :raises DirectoryTakenError: another demo runs in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryTakenError(f"Another demo runs in {directory}; stop it first.") from None
        for name in ("airflow", SITE):
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in ("simulator.log", "warehouse.db", LEDGER, REPORT, Path(REPORT).with_suffix(".csv")):
            (directory / name).unlink(missing_ok=True)
        yield


if __name__ == "__main__":
    sys.exit(main())
