"""Contenders in processes of their own, measured in turns: seconds, CPU seconds, and the peak of memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

#: Untimed work on an order, which returns what is timed; that in turn returns how much it did.
Prepare = Callable[[Any], Callable[[], int]]

_MIB = 1024 * 1024
# A spawned process has nothing of this one's memory; and this one imports neither Airflow nor a contender.
_processes = multiprocessing.get_context("spawn")


class BenchmarkError(RuntimeError):
    """A contender failed, or did other work than it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One run of a contender.

    :param done: how much it did, in whatever it counts.
    :param peak_bytes: the most memory its process has ever held, until now.
    """

    done: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The runs of one contender on the same order, and the run that warmed it up."""

    warm: Reading
    readings: Sequence[Reading]

    @property
    def seconds(self) -> float:
        """The median."""
        return median(reading.seconds for reading in self.readings)

    @property
    def cpu_seconds(self) -> float:
        """The median of what its own process used."""
        return median(reading.cpu_seconds for reading in self.readings)

    @property
    def memory_mib(self) -> float:
        """By how much the process's peak grew over what it was when warm."""
        return (max(reading.peak_bytes for reading in self.readings) - self.warm.peak_bytes) / _MIB

    def as_dict(self) -> dict[str, Any]:
        """Return every run, ready for JSON."""
        return {
            "median_seconds": round(self.seconds, 4),
            "median_cpu_seconds": round(self.cpu_seconds, 4),
            "memory_mib": round(self.memory_mib, 1),
            "seconds": [round(reading.seconds, 4) for reading in self.readings],
        }


class Contender:
    """A process that does what it is ordered, over and over, from ``with`` to its end.

    :param prepare: a function of a module that imports nothing heavy: the process sets *environment* first.
    :param timeout: seconds after which a run counts as hung.
    """

    def __init__(self, prepare: Prepare, environment: Mapping[str, str], *, timeout: float = 300) -> None:
        self._timeout = timeout
        self._pipe, theirs = _processes.Pipe()
        self._process = _processes.Process(
            target=_serve, args=(theirs, prepare, dict(environment)), name=prepare.__name__, daemon=True
        )
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that its end is seen here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def run(self, order: object) -> Reading:
        """Have *order* done once.

        :raises BenchmarkError: it failed or hung; what it printed says why.
        """
        try:
            self._pipe.send(order)
            if not self._pipe.poll(self._timeout):
                raise BenchmarkError(f"{self._process.name} did not end within {self._timeout} seconds.")
            reading: Reading = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise BenchmarkError(f"{self._process.name} failed at {order}.") from None
        return reading


def quiet_airflow(home: str) -> dict[str, str]:
    """Return the environment of a contender that uses Airflow, with a home of its own."""
    return {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }


def take_turns(runs: Mapping[str, Callable[[], Reading]], rounds: int) -> dict[str, list[Reading]]:
    """Run each of *runs* once a round, another one first each time."""
    readings: dict[str, list[Reading]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            readings[name].append(runs[name]())
    return readings


def _serve(pipe: Connection, prepare: Prepare, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        run = prepare(order)
        cpu, clock = time.process_time(), time.perf_counter()
        done = run()
        pipe.send(
            Reading(
                done=done,
                seconds=time.perf_counter() - clock,
                cpu_seconds=time.process_time() - cpu,
                peak_bytes=_peak_bytes(),
            )
        )


def _peak_bytes() -> int:
    """Return the most memory that this process has held.

    Linux counts to ``ru_maxrss`` what the starting process held, too, before it became this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
