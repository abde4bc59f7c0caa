"""What is counted, and under which names: through Airflow's own metrics, a StatsD server's lines."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from airflow_provider_avepoint import metrics
from airflow_provider_avepoint.exceptions import AvePointBackupNotVerified
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers.avepoint import AvePointJobTrigger
from tests.hooks.drivers import DRIVERS, Triggerer, Worker
from tests.versions import AIRFLOW

PATH = "/dynamicsbackup/jobs"
Connect = Callable[..., str]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    """Return what Airflow's metrics are told, by name and tags."""
    seen: Counter[tuple[str, ...]] = Counter()

    class Stats:
        @staticmethod
        def incr(name: str, tags: dict[str, str]) -> None:
            seen[(name, *(f"{key}={value}" for key, value in sorted(tags.items())))] += 1

    monkeypatch.setattr(metrics, "Stats", Stats)
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.0)
    return seen


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
def test_requests_retries_and_throttling(
    simulator: Simulator,
    connect: Connect,
    counted: Counter[tuple[str, ...]],
    driver: Worker | Triggerer,
) -> None:
    connect()
    simulator.add_job("dynamics365")
    simulator.add_fault("status", path=PATH, status=429, count=2)
    simulator.add_fault("status", path=PATH, status=503, count=1)

    driver.list_jobs("dynamics365")

    asked = len(simulator.requests(PATH))
    assert {
        ("avepoint.requests", "product=identity"): 1,
        ("avepoint.requests", "product=dynamics365"): asked,
        ("avepoint.retries", "product=dynamics365"): 3,
        ("avepoint.throttled", "product=dynamics365"): 2,
    } == counted


@pytest.mark.parametrize("state", ["success", "failed"])
@pytest.mark.parametrize("cls", [AvePointBackupCheckOperator, AvePointBackupSensor])
def test_a_verdict_is_counted_once(
    simulator: Simulator, connect: Connect, counted: Counter[tuple[str, ...]], cls: type, state: str
) -> None:
    connect()
    simulator.add_job("dynamics365", state=state, started_ago=600)
    gate = cls(task_id="gate", product="dynamics365", max_age=86400)

    if state == "failed":
        with pytest.raises(AvePointBackupNotVerified):
            gate.execute({})
    else:
        gate.execute({})

    reason = "passed" if state == "success" else "failed"
    verdicts = {key: n for key, n in counted.items() if key[0] == "avepoint.verdicts"}
    assert {("avepoint.verdicts", "product=dynamics365", f"reason={reason}"): 1} == verdicts


@pytest.mark.parametrize("outcome", ["answered", "failed"])
async def test_a_round_of_a_poll_is_counted(
    simulator: Simulator, connect: Connect, counted: Counter[tuple[str, ...]], outcome: str
) -> None:
    connect(**({"password": "wrong"} if outcome == "failed" else {}))
    simulator.add_job("dynamics365", job_id="DCIB1")
    trigger = AvePointJobTrigger(
        product="dynamics365",
        job_id="DCIB1",
        avepoint_conn_id="avepoint_default",
        poll_interval=1,
        started_at=datetime.now(UTC).isoformat(),
    )

    async with asyncio.timeout(60):
        assert 1 == len([event async for event in trigger.run()])

    polls = {key: n for key, n in counted.items() if key[0] == "avepoint.polls"}
    assert {("avepoint.polls", f"outcome={outcome}", "product=dynamics365"): 1} == polls


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        yield server


def test_a_statsd_server_hears_of_it(statsd: socket.socket) -> None:
    """In a process of its own: Airflow reads its settings once."""
    environment = {
        **os.environ,
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
    }
    code = "from airflow_provider_avepoint.metrics import count; count('polls', product='m365')"
    if AIRFLOW == (3, 2):  # reads them where a task or a trigger is read
        code = f"import airflow.sdk.serde; {code}"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)

    while not (line := statsd.recv(1000)).startswith(b"airflow.avepoint"):  # Airflow counts things of its own
        pass
    assert line.startswith(b"airflow.avepoint.polls")
