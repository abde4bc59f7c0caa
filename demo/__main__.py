"""Show the gate at work: one organisation's backup ends well, another's fails, in a real Airflow.

``python -m demo`` starts the AvePoint simulator and Airflow, runs the DAG ``avepoint_backup_gate`` for both,
and ends with 0 only if every task came out as it should. ``KEEP=1`` leaves it up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from demo.gate import Demo, Progress
from demo.processes import INTERRUPTS
from demo.simulator import SimulatorError, SimulatorProcess
from demo.stack import AirflowStack, StackError

_ROOT = Path(__file__).resolve().parent.parent


class DirectoryTakenError(RuntimeError):
    """Another demo runs in the directory."""


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
    except (DirectoryTakenError, SimulatorError, StackError, httpx.HTTPError) as e:
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
