"""What waits ask beside the jobs, in the poll that they share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import poll
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger

LONGEST_WAIT = 300.0  # seconds: a backstop
SCHEDULE, ACTIVITY = "/backup/m365/settings/backup/frequency", "/backup/m365/cloudbackupunusualactivitydata"
ASKING = {"expect_scheduled": True, "max_unusual": 0}


@pytest.fixture(autouse=True)
def _arranged(simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits poll faster than once a second, and one service be scheduled, whose backup runs."""
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.05)
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    connect()
    simulator.set_reading("m365", "schedule", [{"serviceType": 6, "frequency": 1, "backupStartTime": []}])
    simulator.add_job("m365", job_id="J", workload="teams", state="running", started_ago=60)


def gate(**policy: Any) -> AvePointBackupTrigger:
    written = Policy(**{"product": "m365", "max_age": 86400, "object_types": ["teams"], **policy}).as_dict()
    started_at = datetime.now(UTC).isoformat()
    return AvePointBackupTrigger(
        avepoint_conn_id="avepoint_default", poll_interval=0.2, started_at=started_at, policy=written
    )


async def run(trigger: AvePointBackupTrigger) -> dict[str, Any]:
    async with asyncio.timeout(LONGEST_WAIT):
        (event,) = [event.payload async for event in trigger.run()]
    return event


async def until_asked(simulator: Simulator, path: str, times: int) -> None:
    async with asyncio.timeout(LONGEST_WAIT):
        while len(simulator.requests(path)) < times:  # noqa: ASYNC110  # the simulator is another thread's
            await asyncio.sleep(0.01)


def finish(simulator: Simulator) -> None:
    simulator.patch_job("m365", "J", state="success")


async def test_a_question_is_asked_once_a_round(simulator: Simulator) -> None:
    """However many waits ask it; a wait that asks nothing costs nothing beside the jobs."""
    tasks = [asyncio.create_task(run(gate(max_failed=number, **ASKING))) for number in range(20)]
    await until_asked(simulator, ACTIVITY, 3)
    finish(simulator)
    events = await asyncio.gather(*tasks)

    assert {"passed"} == {event["status"] for event in events}
    asked = Counter(each["path"] for each in simulator.requests())
    assert asked[SCHEDULE] == asked[ACTIVITY] <= asked["/backup/m365/cloudbackupjobs"]
    assert events[0]["evidence"]["schedules"][0]["services"][0]["service"] == "teams"
    seen = len(simulator.requests())
    assert (await run(gate()))["status"] == "passed"
    assert {"/backup/m365/cloudbackupjobs"} == {each["path"] for each in simulator.requests(since=seen)}


async def test_a_missing_permission_ends_only_who_asks(simulator: Simulator) -> None:
    simulator.add_fault("status", path=SCHEDULE, status=403, count=None)
    other = asyncio.create_task(run(gate(max_unusual=0)))
    event = await run(gate(expect_scheduled=True))
    finish(simulator)

    assert ("error", "AvePointPermissionError") == (event["status"], event["error"])
    assert "microsoft365backup.settings.read.all" in event["message"]
    assert (await other)["status"] == "passed"


async def test_an_answer_that_does_not_come_is_waited_for(simulator: Simulator) -> None:
    """Neither an outage nor an odd answer is taken for "nothing unusual"."""
    finish(simulator)
    for fault in ({"kind": "status", "status": 503}, {"kind": "missing_rows"}, {"kind": "html"}):
        seen = len(simulator.requests(ACTIVITY))
        simulator.add_fault(path=ACTIVITY, count=retry.MAX_ATTEMPTS, **fault)
        assert (await run(gate(max_unusual=0)))["status"] == "passed"
        assert len(simulator.requests(ACTIVITY)) - seen == retry.MAX_ATTEMPTS + 1
    simulator.add_fault("missing_rows", path=ACTIVITY, count=None)
    event = await run(gate(max_unusual=0))
    assert ("error", "AvePointPayloadError") == (event["status"], event["error"])


async def test_a_refusal_over_a_connection_read_rounds_ago_is_asked_over_the_new_one(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """Another app registration may have the permission by now."""
    simulator.set_client("another", secret="another-secret", scopes=None)
    task = asyncio.create_task(run(gate(expect_scheduled=True)))
    await until_asked(simulator, SCHEDULE, 2)
    connect(login="another", password="another-secret")
    simulator.add_fault("status", path=SCHEDULE, status=403)
    await until_asked(simulator, SCHEDULE, len(simulator.requests(SCHEDULE)) + 3)
    finish(simulator)

    assert (await task)["status"] == "passed"
    assert simulator.requests(SCHEDULE)[-1]["client_id"] == "another"


async def test_unusual_activity_that_ends_lets_the_wait_end_well(simulator: Simulator) -> None:
    """An alarm is not settled; a service that is not scheduled is."""
    finish(simulator)
    alarm = {"serviceType": 1, "potentialRansomwareAttackCount": 1, "unusualActivitiesCount": 0}
    simulator.set_reading("m365", "unusual_activity", [alarm])
    task = asyncio.create_task(run(gate(max_unusual=0)))
    await until_asked(simulator, ACTIVITY, 3)
    assert not task.done()
    simulator.set_reading("m365", "unusual_activity", [])
    assert (await task)["status"] == "passed"

    event = await run(gate(expect_scheduled=True, object_types=["teams", "onedrive"]))
    assert ("failed", "not_scheduled") == (event["status"], event["evidence"]["reason"])


def test_an_older_triggerer_understands_a_policy_that_asks_nothing() -> None:
    """What is new in a policy travels only where it says something; the policy comes back the same."""
    new = {"expect_scheduled", "max_unusual", "unusual_within"}
    for policy, travels in (
        ({}, set()),
        ({"unusual_within": "P7D"}, set()),
        ({"max_unusual": 0}, {"max_unusual"}),
        ({"expect_scheduled": True, "unusual_within": "2d"}, {"expect_scheduled", "unusual_within"}),
    ):
        trigger = gate(**policy)
        _, arguments = trigger.serialize()
        assert set(arguments["policy"]) & new == travels
        assert Policy(**arguments["policy"]) == Policy(**trigger.policy)
