"""``python -m demo`` as a user runs it: what it shows, what it exits with, and that Ctrl-C ends all of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.airflow.gate import wait_until

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parent.parent.parent
DEMO_SECONDS = 180
# From Ctrl-C to the prompt, on a busy machine.
STOP_SECONDS = 15

# What the demo says of both gates that stay shut on a good state, and of the drill.
PROTECTION = [
    [
        "source-looks-attacked: the gate stays shut by unusual_activity.",
        "  backup        sharepoint_online: success; alone it would open the gate",
        "  objects       sharepoint_online: 1240 may be under attack, 1975 with unusual activity",
        "  objects       onedrive: 0 may be under attack, 31 with unusual activity",
        "  limit         max_unusual=0",
        "  waited        30 s, its timeout, in case this ends",
        "not-scheduled: the gate stays shut by not_scheduled.",
        "  due           project_online: no backup, and none is scheduled, so it does not wait for one",
        "  scheduled     exchange_online 4, sharepoint_online 1, onedrive 1 (backups a day)",
    ],
    ["  came back     3 of 3 files", "  content       read-me.txt is what it was (SHA-256 "],
]


class RunningDemo:
    """A demo that runs, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output
        self._members: set[psutil.Process] = set()

    @property
    def output(self) -> str:
        """What it has written."""
        return self._output.read_text()

    def wait_for(self, text: str, *, seconds: float = DEMO_SECONDS) -> None:
        """Return when it has written *text*."""

        def is_written() -> bool:
            assert self.process.poll() is None or text in self.output, self.output
            return text in self.output

        wait_until(is_written, seconds=seconds)

    def interrupt(self) -> None:
        """Press Ctrl-C, which reaches the demo alone: all else has sessions of its own."""
        self._members |= set(psutil.Process(self.process.pid).children(recursive=True))
        self.process.send_signal(signal.SIGINT)

    def wait_for_exit(self, seconds: float) -> int:
        """Return the exit status."""
        return self.process.wait(seconds)

    def survivors(self) -> list[psutil.Process]:
        """Return what ran at the interrupt and still does, and what works in the demo's directory."""
        stragglers = {process for process in psutil.process_iter() if self._works_for(process)}
        return [
            process
            for process in self._members | stragglers
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    def _works_for(self, process: psutil.Process) -> bool:
        try:
            return process.cwd().startswith(str(self._output.parent))
        except psutil.Error:
            return False


@contextmanager
def running_demo(directory: Path, **environment: str) -> Iterator[RunningDemo]:
    """Start the demo with its files in *directory*; end it at the end if it runs still."""
    output = directory / "output.txt"
    with output.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--directory", str(directory / "demo")],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "KEEP"} | environment,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RunningDemo(process, output)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def test_the_demo_shows_a_gate_that_opens_and_one_that_stays_shut(tmp_path):
    """``KEEP=1`` leaves Airflow up at the end, until Ctrl-C; the exit status is the outcome's."""
    with running_demo(tmp_path, KEEP="1") as demo:
        demo.wait_for("Ctrl-C stops everything.", seconds=2 * DEMO_SECONDS)
        report = Path(re.search(r"^The report: (\S+)$", demo.output, flags=re.MULTILINE)[1])
        page = report.read_text()
        url, password = re.search(r"Airflow's UI: (\S+)  user: admin  password: (\S+)", demo.output).groups()
        health = httpx.get(f"{url}/api/v2/monitor/health", trust_env=False).json()
        posture = read_posture(url, password)
        demo.interrupt()
        status = demo.wait_for_exit(STOP_SECONDS)

    assert {"healthy"} == {component["status"] for component in health.values()}
    assert (0, []) == (status, demo.survivors())
    assert "backup-ends-well: organization.wait_for_backup[0] deferred" in demo.output
    table = dict(re.findall(r"^(backup-\S+  +\S+) +(\S+ +\S+.*)$", demo.output, flags=re.MULTILINE))
    # A backup each night of a week, and tonight's: in the minutes after 02:00 UTC, one of them still runs.
    rows = table["backup-ends-well  organization.load_jobs[0]"].split()[-1]
    assert rows in {"7", "8"}
    assert {
        "backup-ends-well  organization.wait_for_backup[0]": ["success", "passed"],
        "backup-ends-well  organization.load_jobs[0]": ["success", rows],
        "backup-fails      organization.wait_for_backup[0]": ["failed", "failed"],
        "backup-fails      organization.load_jobs[0]": ["upstream_failed", "0"],
    } == {
        name.strip(): [cell for cell in cells.split() if not re.fullmatch(r"-|\d+\.\d", cell)]
        for name, cells in table.items()
        if "wait_for_backup" in name or "load_jobs" in name
    }
    for sentences in PROTECTION:
        assert "\n".join(sentences) in demo.output
    assert re.search(r"^  restored from the newest backup before 20\S+$", demo.output, flags=re.MULTILINE)
    assert "</html>" in page
    assert "fails by its task 'verdict', because there are findings." in demo.output
    assert "avepoint_event_driven: started because the backup has ended; success" in demo.output
    assert "WRONG" not in demo.output
    assert f"The backups at a glance: {url}/plugin/avepoint-page\n" in demo.output
    scopes = posture["scopes"]
    assert [len(scopes) >= 7, scopes[0]["state"]] == [True, "failed"]
    assert {gate["reason"] for scope in scopes for gate in scope["gates"]} >= {"passed", "failed"}


def read_posture(url, password):
    """Return what the page of backups shows, as a script reads it."""
    user = {"username": "admin", "password": password}
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        token = client.post("/auth/token", json=user).json()["access_token"]
        path = "/avepoint-page/api/v1/posture"
        return client.get(path, headers={"Authorization": f"Bearer {token}"}).json()


@pytest.mark.parametrize(
    "moment",
    [
        "Starting the AvePoint simulator",
        "Starting Airflow",
        "Airflow is healthy",
        "organization.wait_for_backup[0] deferred",
    ],
)
def test_ctrl_c_stops_everything_at_once(tmp_path, moment):
    with running_demo(tmp_path) as demo:
        demo.wait_for(moment)
        started = time.monotonic()
        demo.interrupt()
        status = demo.wait_for_exit(STOP_SECONDS)

    assert (130, []) == (status, demo.survivors()), demo.output
    assert time.monotonic() - started < STOP_SECONDS
    assert "Interrupted: stopping Airflow and the simulator.\n" in demo.output
    assert demo.output.endswith("Everything is stopped.\n")


def test_a_second_demo_leaves_the_directory_to_the_first(tmp_path):
    with running_demo(tmp_path) as first:
        first.wait_for("Starting the AvePoint simulator")
        second = subprocess.run(
            [sys.executable, "-m", "demo", "--directory", str(tmp_path / "demo")],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS,
        )

        assert first.process.poll() is None
    assert second.returncode == 1
    assert "Another demo runs in" in second.stdout
