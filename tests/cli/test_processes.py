"""The commands as a person starts them: real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.models.connection import Connection
from sqlalchemy import create_engine

from airflow_provider_avepoint.simulator import Simulator
from tests.versions import needs_airflow

pytestmark = pytest.mark.airflow
#: Seconds that anything may take, on a machine however slow.
PATIENCE = 300
AIRFLOW = (sys.executable, "-W", "ignore", "-m", "airflow")


def airflow(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AIRFLOW, *words], capture_output=True, text=True, check=False, timeout=PATIENCE)


@needs_airflow("3.3", "its own start logs nothing to standard output")
def test_a_check_leaves_with_its_verdict(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Airflow finds the commands by the provider's metadata; a log line would not get into the JSON."""
    connect()
    simulator.add_job("dynamics365", raw_state=5)

    done = airflow("avepoint", "check", "dynamics365", "--max-age", "24h", "--output", "json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == "unknown_state"


def test_a_connection_of_airflows_database_is_found(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not only those of the environment: what the UI has defined can be tried."""
    database = f"sqlite:///{tmp_path}/airflow.db"
    engine = create_engine(database)
    table = Connection.__table__
    table.create(engine)
    with engine.begin() as session:
        session.execute(
            table.insert().values(
                conn_id="avepoint_ui",
                conn_type="avepoint",
                host=simulator.url,
                login=simulator.client_id,
                password=simulator.client_secret,
                extra=json.dumps({"identity_endpoint": simulator.token_url}),
                is_encrypted=False,
                is_extra_encrypted=False,
            )
        )
    engine.dispose()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT", raising=False)

    done = airflow("avepoint", "license", "--conn-id", "avepoint_ui")

    assert (done.returncode, done.stderr) == (0, "")
    assert "within the licence" in done.stdout


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let child processes be interrupted, where whoever runs the suite in the background ignores that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_interrupting_is_quiet_and_does_not_wait(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Pages are on their way in other threads then; none of them holds the command up."""
    connect()
    simulator.generate("dynamics365", 3000)
    simulator.add_fault("slow", path="/dynamicsbackup", skip=1, count=None, seconds=3 * PATIENCE)
    command = [*AIRFLOW, "avepoint", "jobs", "dynamics365"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE
        while len(simulator.requests("/dynamicsbackup")) < 2:
            assert time.monotonic() < deadline, process.poll()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)  # no answer comes as soon as that

    assert (process.returncode, out, err) == (130, "", "")
