"""The simulator as a process of its own, so that it takes no time of a contender's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET

M365_SCOPE = "microsoft365backup.jobInfo.read.all"


class Server:
    """What the benchmarks do to a running simulator."""

    def __init__(self, url: str, control: httpx.Client) -> None:
        self.url = url
        self._control = control

    def reset(self) -> None:
        """Put everything back to the start."""
        self._send("POST", "reset", {})

    def generate(self, **fields: Any) -> dict[str, Any]:
        """Add history; return what was generated."""
        generated: dict[str, Any] = self._send("POST", "jobs/generate", fields)
        return generated

    def add_jobs(self, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Add jobs."""
        self._send("POST", "jobs", list(jobs))

    def patch_job(self, product: str, job_id: str, **changes: Any) -> None:
        """Change a job."""
        self._send("PATCH", f"jobs/{product}/{job_id}", changes)

    def jobs(self, product: str) -> dict[str, dict[str, Any]]:
        """Return the newest jobs by their ids, as they are now."""
        answer = self._control.get(f"{self.url}/control/jobs", params={"product": product})
        return {job["job_id"]: job for job in answer.raise_for_status().json()["jobs"]}

    def count_requests(self) -> int:
        """Return how many requests there have been, for tokens too."""
        answer = self._control.get(f"{self.url}/control/stats").raise_for_status()
        return sum(sum(counts.values()) for counts in answer.json()["requests"].values())

    def set_latency(self, milliseconds: float) -> None:
        """Let every answer take so much longer, tokens included."""
        self._send("PUT", "quirks/all", {"latency_ms": milliseconds})

    def get_token(self, scope: str) -> str:
        """Return a token for those who do not get one themselves."""
        form = {
            "grant_type": "client_credentials",
            "client_id": DEMO_CLIENT_ID,
            "client_secret": DEMO_CLIENT_SECRET,
            "scope": scope,
        }
        answer = self._control.post(f"{self.url}/connect/token", data=form).raise_for_status()
        return str(answer.json()["access_token"])

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection to it."""
        return {
            "conn_type": "avepoint",
            "host": self.url,
            "login": DEMO_CLIENT_ID,
            "password": DEMO_CLIENT_SECRET,
            "extra": {"identity_endpoint": f"{self.url}/connect/token"},
        }

    def http_connection(self) -> dict[str, Any]:
        """Return the Airflow connection to it for the http provider: a token for Microsoft 365 goes along."""
        token = self.get_token(M365_SCOPE)
        return {"conn_type": "http", "host": self.url, "extra": {"Authorization": f"Bearer {token}"}}

    def _send(self, method: str, path: str, message: object) -> Any:
        answer = self._control.request(method, f"{self.url}/control/{path}", json=message)
        return answer.raise_for_status().json()


@contextmanager
def serve() -> Iterator[Server]:
    """Have a simulator run until the block ends."""
    command = [sys.executable, "-m", "airflow_provider_avepoint.simulator", "--port", "0", "--quiet"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        httpx.Client(timeout=120, trust_env=False) as control,
    ):
        try:
            assert process.stdout is not None  # noqa: S101  # as asked for
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("The simulator did not start; it says why above.")
            yield Server(url, control)
        finally:
            process.terminate()
