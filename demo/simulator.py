"""The AvePoint simulator as a process of its own, and what the demo makes it do."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
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

    def add_job(self, **fields: Any) -> dict[str, Any]:
        """Add a job; return it with its id."""
        added: dict[str, Any] = self._send("POST", "jobs", json={"product": PRODUCT, **fields})[0]
        return added

    def end_in(self, job: dict[str, Any], seconds: float) -> None:
        """Let a running backup end well in *seconds*."""
        age = (datetime.now(UTC) - datetime.fromisoformat(job["started_at"])).total_seconds()
        self._send("PATCH", f"jobs/{PRODUCT}/{job['job_id']}", json={"runs_for": age + seconds})

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        return self._control.request(method, f"/control/{path}", **kwargs).raise_for_status().json()

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while not (line := self._process.log.read_text().partition("\n")[0]).startswith("http"):
            if not self._process.is_running or time.monotonic() > deadline:
                raise SimulatorError(f"The simulator did not start.\n{self._process.tail()}")
            time.sleep(0.1)
        return line
