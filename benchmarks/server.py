"""The simulator as a process of its own, so that it takes no time of a contender's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET


class Server:
    """What the benchmarks do to a running simulator."""

    def __init__(self, url: str, control: httpx.Client) -> None:
        self.url = url
        self._control = control

    def generate(self, **fields: Any) -> dict[str, Any]:
        """Add history; return what was generated."""
        generated: dict[str, Any] = self._send("POST", "jobs/generate", fields)
        return generated

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

    def _send(self, method: str, path: str, message: dict[str, Any]) -> Any:
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
