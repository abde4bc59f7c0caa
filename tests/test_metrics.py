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
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_avepoint import metrics
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.exceptions import AvePointBackupNotVerified
from airflow_provider_avepoint.operators import restore as restoring
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator, AvePointRestoreOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers.avepoint import AvePointJobTrigger
from tests.hooks.drivers import DRIVERS, Triggerer, Worker
from tests.versions import AIRFLOW

PATH = "/dynamicsbackup/jobs"
CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
BUSY = "There are already 3 restore/export jobs running, cannot start new restore job."
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


SETTINGS = "/backup/m365/settings"


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
def test_a_reading_is_counted_by_its_outcome(
    simulator: Simulator,
    connect: Connect,
    counted: Counter[tuple[str, ...]],
    driver: Worker | Triggerer,
) -> None:
    """Each topic, each outcome, whatever the reading ends in; what was not asked is not counted."""
    connect()
    for name, arguments, product, topic in (
        ("get_backup_schedule", {}, "m365", "schedule"),
        ("get_retention", {}, "m365", "retention"),
        ("get_unusual_activity", {"product": "salesforce"}, "salesforce", "activity"),
        ("iter_monitor_alerts", {}, "salesforce", "alerts"),
        ("get_coverage", {"organization_id": CUSTOMER, "parts": "services"}, "elements", "coverage"),
    ):
        counted.clear()
        driver.call(name, **arguments)
        assert readings(counted) == {(topic, product, "answered"): 1}

    counted.clear()
    for fault, fields, outcome in (
        ("status", {"status": 403}, "no_permission"),
        ("status", {"status": 400}, "refused"),
        ("status", {"status": 501}, "unavailable"),
        ("missing_rows", {}, "not_understood"),
    ):
        simulator.add_fault(fault, path=SETTINGS, **fields)
        with pytest.raises(AvePointError):
            driver.call("get_backup_schedule")
        assert readings(counted) == {("schedule", "m365", outcome): 1}
        counted.clear()
    with pytest.raises(AvePointConfigError):
        driver.call("get_backup_schedule", product="a" * 1000)
    assert readings(counted) == {}


def test_what_a_gate_asks_beside_the_jobs_is_counted(
    simulator: Simulator, connect: Connect, counted: Counter[tuple[str, ...]]
) -> None:
    connect()
    simulator.add_job("m365", workload="exchange_online", started_ago=600)
    gate = AvePointBackupCheckOperator(
        task_id="gate", product="m365", object_types="exchange_online", max_age=86400, max_unusual=0
    )

    gate.execute({})

    assert readings(counted) == {("activity", "m365", "answered"): 1}


def readings(counted: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """Return the counted readings by topic, product and outcome."""
    found = {}
    for (name, *tags), number in counted.items():
        if name == "avepoint.readings":
            known = dict(tag.split("=") for tag in tags)
            found[known.pop("topic"), known.pop("product"), known.pop("outcome")] = number
            assert known == {}
    return found


def test_a_restore_is_counted_by_its_outcome(
    simulator: Simulator, connect: Connect, counted: Counter[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of the request, and what the restore came to; an uncertain one is none that failed."""
    monkeypatch.setattr(restoring, "BUSY_PAUSE", timedelta(seconds=0.05))
    for name in ("core", "operators"):
        monkeypatch.setattr(f"airflow_provider_avepoint.{name}.restore.SEARCH_FOR", timedelta(0))
    connect(extra={"allow_restore": True})
    path = "/backup/m365/restore/jobs"
    for ends_as, fault, requested, outcomes in (
        ("success", None, ["started"], ["passed"]),
        ("failed", None, ["started"], ["failed"]),
        ("success", {"status": 503}, ["unknown"], ["uncertain"]),
        ("success", {"status": 400}, ["refused"], []),
        ("success", {"status": 429, "body": {"message": BUSY}}, ["busy", "started"], ["passed"]),
    ):
        counted.clear()
        simulator.set_restores(runs_for=0, ends_as=ends_as)
        if fault is not None:
            simulator.add_fault("status", path=path, **fault)
        drill = AvePointRestoreOperator(
            task_id="drill",
            service="sharepoint_online",
            site_url="https://contoso.sharepoint.com/sites/canary",
            library="Documents",
            files="canary/a.txt",
            recovery_time="2026-11-01T00:00:00Z",
            deferrable=False,
            poll_interval=0.05,
        )
        if outcomes == ["passed"]:
            drill.execute({})
        else:
            with pytest.raises(AvePointError):
                drill.execute({})

        tags = "product=m365", "service=sharepoint_online"
        assert {key: n for key, n in counted.items() if "restore" in key[0]} == {
            **{("avepoint.restore_requests", f"outcome={each}", *tags): 1 for each in requested},
            **{("avepoint.restores", f"outcome={each}", *tags): 1 for each in outcomes},
        }


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
