"""The AvePoint simulator as a process of its own, and what the demo makes it do."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET
from demo.processes import Process, stop
from demo.stack import airflow_environment

PRODUCT = "dynamics365"
_START_SECONDS = 30.0


class SimulatorError(RuntimeError):
    """The simulator did not start; the message ends with its log."""


class SimulatorProcess:
    """The AvePoint simulator as its console script.

    :param arguments: the script's; the default has it start with 60 days of history.
    """

    def __init__(self, directory: Path, *, arguments: Sequence[str] = ("--seed-demo",)) -> None:
        self.process = Process(
            "avepoint-simulator",
            [Path(sys.executable).with_name("avepoint-simulator"), "--port", "0", *arguments],
            env=airflow_environment(directory),
            cwd=directory,
            log=directory / "simulator.log",
        )
        self._control = httpx.Client(timeout=10, trust_env=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have it run until the block ends."""
        try:
            self.start()
            yield
        finally:
            stop([self.process], grace=2)
            self._control.close()

    def start(self) -> None:
        """Start it, at a port of its own each time; what an earlier one was told, it does not know.

        :raises SimulatorError: that did not come in time.
        """
        log = self.process.log
        known = log.stat().st_size if log.exists() else 0
        self.process.start()
        self._control.base_url = httpx.URL(self._wait_for_url(known))

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self._control.base_url).rstrip("/")

    def connection(self, **extra: Any) -> dict[str, Any]:
        """Return the Airflow connection to it; *extra* is added to its extra fields."""
        return {
            "conn_type": "avepoint",
            "host": self.url,
            "login": DEMO_CLIENT_ID,
            "password": DEMO_CLIENT_SECRET,
            "extra": {"identity_endpoint": f"{self.url}/connect/token", **extra},
        }

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs of Dynamics 365, newest first."""
        jobs: list[dict[str, Any]] = self.send("GET", "jobs", params={"product": PRODUCT})["jobs"]
        return jobs

    def add_job(self, **fields: Any) -> dict[str, Any]:
        """Add a job; return it with its id."""
        added: dict[str, Any] = self.send("POST", "jobs", json={"product": PRODUCT, **fields})[0]
        return added

    def end_in(self, job: dict[str, Any], seconds: float) -> None:
        """Let a running backup end well in *seconds*."""
        age = (datetime.now(UTC) - datetime.fromisoformat(job["started_at"])).total_seconds()
        self.send("PATCH", f"jobs/{PRODUCT}/{job['job_id']}", json={"runs_for": age + seconds})

    def send(self, method: str, path: str, **kwargs: Any) -> Any:
        """Return the answer of the control API at ``/control/`` *path*."""
        return self._control.request(method, f"/control/{path}", **kwargs).raise_for_status().json()

    def _wait_for_url(self, offset: int) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while not (line := self._read_line(offset)).startswith("http"):
            if not self.process.is_running or time.monotonic() > deadline:
                raise SimulatorError(f"The simulator did not start.\n{self.process.tail()}")
            time.sleep(0.1)
        return line

    def _read_line(self, offset: int) -> str:
        return self.process.log.read_bytes()[offset:].decode().partition("\n")[0]
