"""DAGs that start because a backup has ended: the trigger in Airflow's own runner. Times are real."""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger, BaseTrigger
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.watermark import Watermark
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import events as module
from airflow_provider_avepoint.triggers import poll
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger
from airflow_provider_avepoint.triggers.events import Look
from tests.triggers.triggerer import Supervisor, Triggerer, rebuild, until

PATH = "/dynamicsbackup/jobs"
QUICK, NEVER_AGAIN = 0.05, 3600.0
CLASS = "airflow_provider_avepoint.triggers.avepoint.AvePointBackupEventTrigger"

Make = Callable[[], Triggerer]


def watcher(asset: str = "backups", **arguments: Any) -> AvePointBackupEventTrigger:
    return AvePointBackupEventTrigger(
        asset=asset, **({"product": "dynamics365", "poll_interval": QUICK} | arguments)
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.0)
    monkeypatch.setattr(module, "_RETRY_DELAY", 0.02)


@pytest.fixture
def airflow() -> Supervisor:
    """Return what outlives the triggerers of a test."""
    return Supervisor()


@pytest.fixture
def triggerer(airflow: Supervisor, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a triggerer; there is a connection to the simulator."""
    connect()
    return lambda: Triggerer(airflow, monkeypatch)


def add(simulator: Simulator, job_id: str, state: str = "running", **fields: Any) -> None:
    simulator.add_job(
        "dynamics365",
        **({"job_id": job_id, "organization_id": "contoso", "started_ago": 600, "state": state} | fields),
    )


def end(simulator: Simulator, job_id: str, state: str = "success", **fields: Any) -> None:
    simulator.patch_job("dynamics365", job_id, state=state, **fields)


def looks(simulator: Simulator) -> int:
    """Return how often a listing was begun."""
    return len([each for each in simulator.requests(PATH) if "pageIndex" not in each["query"]])


async def look_again(simulator: Simulator, times: int = 2) -> None:
    """Wait until the API was asked some more, and what it said has been taken."""
    wanted = looks(simulator) + times
    await until(lambda: looks(simulator) >= wanted)


async def begun(airflow: Supervisor, *assets: str) -> None:
    """Wait until the watchers of *assets* have begun."""
    await until(lambda: all(airflow.watermark(asset) for asset in assets or ("backups",)))


async def test_a_backup_that_ends_is_announced_once(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """With ids, state, counts and times; nothing of the connection, and no more than that."""
    add(simulator, "old", "success")
    add(
        simulator,
        "J1",
        organization_name="Contoso",
        workload="customer_engagement",
        extra={"comment": "E" * 9000},
    )
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        end(simulator, "J1", "partial", counts={"successful": 90, "failed": 6})
        await until(airflow.announced)
        await look_again(simulator, 3)

    ((_, payload),) = airflow.events
    times = {name: payload.pop(name) for name in ("started_at", "finished_at", "duration")}
    assert {
        "key": "avepoint_default/dynamics365//contoso/customer_engagement/J1",
        "avepoint_conn_id": "avepoint_default",
        "product": "dynamics365",
        "job_id": "J1",
        "job_type": "backup",
        "workload": "customer_engagement",
        "state": "partial",
        "raw_state": payload["raw_state"],
        "counts": {"total": 96, "successful": 90, "failed": 6, "skipped": 0, "warning": 0},
        "record_counts": payload["record_counts"],
        "metadata_counts": payload["metadata_counts"],
        "size_bytes": payload["size_bytes"],
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "location": None,
        "problems": [],
        "passed": False,
        "reason": "partial",
    } == payload
    assert datetime.fromisoformat(times["started_at"]) < datetime.fromisoformat(times["finished_at"])
    assert len(json.dumps(payload)) < 2000
    assert simulator.client_secret not in json.dumps([airflow.events, list(airflow.stored.values())])


async def test_an_end_that_is_corrected_is_announced_once_more(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """Under the same id, with a key of its own."""
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        end(simulator, "J1", "failed")
        await until(airflow.announced)
        end(simulator, "J1", "success")
        await until(lambda: len(airflow.events) == 2)
        await look_again(simulator, 3)

    key = "avepoint_default/dynamics365//contoso/customer_engagement/J1"
    assert [(key, False, "failed"), (f"{key}/success", True, "passed")] == [
        (payload["key"], payload["passed"], payload["reason"]) for _, payload in airflow.events
    ]


@pytest.mark.parametrize(
    ("odd", "policy"),
    [
        ({"failedEntity": "many"}, None),
        ({"startTime": "without an offset"}, {"organization_ids": ["contoso"]}),
        ({"startTime": "without an offset", "finishTime": "without an offset"}, None),
        ({"organizationId": [7]}, {"object_types": ["customer_engagement"]}),
    ],
    ids=["a count", "a start", "all times", "an organisation"],
)
async def test_what_cannot_be_read_is_announced_once_as_such(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    odd: dict[str, Any],
    policy: dict[str, Any] | None,
) -> None:
    """It ends no stream: what is read after it is announced."""
    if "startTime" in odd:
        odd = dict.fromkeys(odd, datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"))
    fields = {"workload": "customer_engagement"}
    async with triggerer() as running:
        running.start(watcher(policy=policy))
        await begun(airflow)
        add(simulator, "ODD", "success", started_ago=60, extra=odd, **fields)
        await until(airflow.announced)
        await look_again(simulator, 3)
        add(simulator, "J1", "success", started_ago=1, **fields)
        await until(lambda: len(airflow.events) >= 2)

    assert [("ODD", False, "unreadable"), ("J1", True, "passed")] == [
        (payload["job_id"], payload["passed"], payload["reason"]) for _, payload in airflow.events
    ]
    assert airflow.events[0][1]["problems"]


async def test_watchers_of_a_connection_share_one_stream_and_one_poll(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """Each with a policy and an asset of its own; all of them ask once."""
    policies = [{}, {"accept_partial": True}, {"max_failed": 3}]
    async with triggerer() as running:
        for number, policy in enumerate(policies, 1):
            running.start(watcher(f"asset {number}", policy=policy, poll_interval=NEVER_AGAIN), number)
        await begun(airflow, "asset 1", "asset 2", "asset 3")

        assert (1, 1) == (running.streams, looks(simulator))


async def test_watchers_that_list_different_things_share_the_poll_alone(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """None sees the others' organisations, and none misses its own."""
    names = ["contoso", "fabrikam"]
    for name in names:
        add(simulator, name, organization_id=name)
    async with triggerer() as running:
        for number, name in enumerate(names, 1):
            running.start(watcher(name, policy={"organization_ids": [f" {name} "]}), number)
        running.start(watcher("both", policy={"organization_ids": names}), 3)
        running.start(watcher("all"), 4)
        await begun(airflow, *names, "both", "all")
        polls = len(poll._POLLS[asyncio.get_running_loop()])
        add(simulator, "another's", "success", organization_id="adatum", started_ago=1)
        for name in names:
            end(simulator, name)
        await until(lambda: len(airflow.events) == 7)
        await look_again(simulator, 6)

        assert (3, 1) == (running.streams, polls)
    assert (["contoso"], ["fabrikam"]) == (airflow.announced(1), airflow.announced(2))
    assert sorted(names) == sorted(airflow.announced(3))
    assert ["another's", *names] == sorted(airflow.announced(4))


ANNOUNCED = {
    "all": ({"announce": "all"}, ["failed", "partial", "success"]),
    "passed": ({"announce": "passed"}, ["success"]),
    "not passed": ({"announce": "not_passed"}, ["failed", "partial"]),
    "passed, partial ones too": (
        {"announce": "passed", "policy": {"accept_partial": True}},
        ["partial", "success"],
    ),
    "not passed, by a threshold": (
        {"announce": "not_passed", "policy": {"max_failed": 6}},
        ["failed"],
    ),
    "passed, too old": ({"announce": "passed", "policy": {"max_age": 60}}, []),
    "not passed, too old": (
        {"announce": "not_passed", "policy": {"max_age": timedelta(minutes=1)}},
        ["failed", "partial", "success"],
    ),
    "started before the cut-off": (
        {"announce": "not_passed", "policy": {"started_after": "2100-01-01T00:00:00Z"}},
        ["failed", "partial", "success"],
    ),
    "of a scope that is left out for now": (
        {
            "policy": {
                "exclude": [{"organization_id": "contoso", "until": "2200-01-01", "reason": "moving out"}]
            }
        },
        [],
    ),
    "of a scope that was left out until lately": (
        {"policy": {"exclude": [{"organization_id": "contoso", "until": "2026-01-01", "reason": "moved"}]}},
        ["failed", "partial", "success"],
    ),
    "of a module that is not asked for": ({"policy": {"object_types": ["unified_operations"]}}, []),
}


@pytest.mark.parametrize(("arguments", "announced"), ANNOUNCED.values(), ids=ANNOUNCED)
async def test_which_ends_are_announced(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    arguments: dict[str, Any],
    announced: list[str],
) -> None:
    """Each backup is judged by itself; nothing is announced of a scope that the policy is not about."""
    states = ["failed", "partial", "success"]
    for state in states:
        add(simulator, state, workload="customer_engagement", counts={"successful": 94})
    async with triggerer() as running:
        running.start(watcher(**arguments))
        await begun(airflow)
        for state in states:
            end(simulator, state, state, **({"counts": {"failed": 6}} if state == "partial" else {}))
        await look_again(simulator, 3)
        await until(lambda: len(airflow.events) >= len(announced))

    assert announced == sorted(airflow.announced())
    passed = {payload["passed"] for _, payload in airflow.events}
    assert {"passed": {True}, "not_passed": {False}}.get(arguments.get("announce", ""), passed) >= passed


async def test_a_backup_of_the_job_types_asked_for_alone_is_announced(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    add(simulator, "backup")
    add(simulator, "restore", job_type="restore")
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        end(simulator, "restore")
        await look_again(simulator)
        end(simulator, "backup")
        await until(airflow.announced)

    assert ["backup"] == airflow.announced()


async def test_a_microsoft_365_backup_is_announced_once_with_its_object_type(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """Asked for all object types together, the server repeats it; what no type claims comes without one."""
    for job_id, workload in (("FB1", "teams"), ("FB2", None)):
        typed = {} if workload is None else {"workload": workload}
        simulator.add_job("m365", job_id=job_id, started_ago=60, state="running", **typed)
    async with triggerer() as running:
        running.start(watcher(product="m365", poll_interval=0.5))
        await begun(airflow)  # the next look comes in half a second, and sees both ends in every listing
        for job_id in ("FB1", "FB2"):
            simulator.patch_job("m365", job_id, state="success")
        await until(lambda: len(airflow.events) >= 2)
        asked = len(simulator.requests("/backup/m365"))
        await until(lambda: len(simulator.requests("/backup/m365")) > asked + 40)

    assert [
        ("FB1", "teams", "avepoint_default/m365////FB1"),
        ("FB2", None, "avepoint_default/m365////FB2"),
    ] == (sorted((payload["job_id"], payload["workload"], payload["key"]) for _, payload in airflow.events))


async def test_two_connections_have_keys_of_their_own(
    triggerer: Make, airflow: Supervisor, simulator: Simulator, connect: Callable[..., str]
) -> None:
    """Two tenants may count their jobs alike."""
    connect("other_tenant")
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher("one"), 1)
        running.start(watcher("two", avepoint_conn_id="other_tenant"), 2)
        await begun(airflow, "one", "two")
        end(simulator, "J1")
        await until(lambda: len(airflow.events) == 2)

        assert 2 == running.streams
    assert {
        "avepoint_default/dynamics365//contoso/customer_engagement/J1",
        "other_tenant/dynamics365//contoso/customer_engagement/J1",
    } == {payload["key"] for _, payload in airflow.events}


async def test_what_ends_while_no_triggerer_runs_is_announced_when_one_does(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """Each once: also what was under way at the watermark, and what began and ended in between."""
    add(simulator, "J1")
    add(simulator, "long", started_ago=3 * 86400)
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        end(simulator, "J1")
        await until(lambda: "J1" in airflow.announced())
        await until(lambda: len(airflow.watermark("backups")["under_way"]) == 1)

    end(simulator, "long")
    add(simulator, "short", "success", started_ago=1)
    async with triggerer() as running:
        running.start(watcher())
        await until(lambda: len(airflow.events) >= 3)
        await look_again(simulator, 3)

    assert ["J1", "long", "short"] == sorted(airflow.announced())


async def test_a_repeat_after_a_kill_carries_the_same_event(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """The event was stored, the watermark not yet."""
    add(simulator, "J1")
    async with triggerer() as killed:
        killed.start(watcher())
        await begun(airflow)
        airflow.is_away = True
        end(simulator, "J1")
        await until(airflow.announced)
    airflow.is_away = False
    async with triggerer() as running:
        running.start(watcher())
        await until(lambda: len(airflow.events) >= 2)
        await look_again(simulator, 3)

    (_, first), (_, second) = airflow.events
    assert first == second


async def test_an_event_that_was_not_stored_is_announced_again(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """The watermark stays where it is until Airflow has the event."""
    add(simulator, "J1")
    async with triggerer() as stopped:
        stopped.start(watcher())
        await begun(airflow)
        stopped.stores = False
        before = airflow.watermark("backups")["under_way"]
        end(simulator, "J1")
        await until(lambda: stopped.runner.events)
        await look_again(simulator, 3)

        assert before == airflow.watermark("backups")["under_way"]
    assert [] == airflow.announced()
    async with triggerer() as running:
        running.start(watcher())
        await until(airflow.announced)

    assert ["J1"] == airflow.announced()


async def test_watchers_keep_watermarks_of_their_own(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """One that comes back later than the other misses nothing, and makes the other repeat nothing."""
    add(simulator, "J1", started_ago=36 * 3600)
    async with triggerer() as first:
        first.start(watcher("one"), 1)
        first.start(watcher("two"), 2)
        await begun(airflow, "one", "two")
    end(simulator, "J1")
    async with triggerer() as second:
        second.start(watcher("one"), 1)
        await until(lambda: airflow.announced(1))
        await look_again(simulator, 3)
        second.start(watcher("two"), 2)
        await until(lambda: airflow.announced(2))
        await look_again(simulator, 3)

        assert 1 == second.streams
    assert [(1, "J1"), (2, "J1")] == [(number, payload["job_id"]) for number, payload in airflow.events]


async def test_a_watcher_that_joins_late_begins_with_what_runs_then(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """A job that has run for days is in no look that the others need."""
    async with triggerer() as running:
        running.start(watcher("one"), 1)
        await begun(airflow, "one")
        add(simulator, "long", started_ago=20 * 86400)
        await look_again(simulator)
        running.start(watcher("two"), 2)
        await begun(airflow, "two")
        end(simulator, "long")
        await until(lambda: airflow.announced(2))

    assert ["long"] == airflow.announced(2)


async def test_a_watermark_holds_what_the_policy_is_about(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """One listing brings every organisation's jobs; those of others would only make it grow."""
    for name in ("contoso", "fabrikam", "adatum"):
        add(simulator, name, organization_id=name)
    async with triggerer() as running:
        running.start(watcher(policy={"organization_ids": ["contoso", "fabrikam"]}))
        await begun(airflow)

    assert 2 == len(airflow.watermark("backups")["under_way"])


async def test_a_look_goes_back_as_far_as_it_must(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """The first a month, for what is under way; the others six hours, while nothing older is."""
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        await look_again(simulator, 4)

    starts = [datetime.fromisoformat(each["query"]["startTime"]) for each in simulator.requests(PATH)]
    now = datetime.now(UTC)
    assert [30, 0] == [(now - start).days for start in (starts[0], starts[-1])]
    assert 6 == (now - starts[-1]).seconds // 3600


async def test_a_watermark_is_of_the_time_when_jobs_were_asked_for(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    """A listing may take minutes; what is listed meanwhile is not in it."""
    simulator.set_quirks("all", latency_ms=400)
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        seen_at = datetime.now(UTC)

    since = datetime.fromisoformat(airflow.watermark("backups")["since"])
    assert since + timedelta(hours=6, seconds=0.4) < seen_at


async def test_the_others_go_on_when_one_watcher_is_removed(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher("one"), 1)
        running.start(watcher("two"), 2)
        await begun(airflow, "one", "two")
        await running.remove(1)
        end(simulator, "J1")
        await until(lambda: airflow.announced(2))

    assert ([], ["J1"]) == (airflow.announced(1), airflow.announced(2))


async def test_nothing_is_left_of_a_poll_that_nobody_needs(
    triggerer: Make, airflow: Supervisor, simulator: Simulator
) -> None:
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        await running.remove()

        assert 0 == running.streams
        assert not poll._POLLS.get(asyncio.get_running_loop())


async def test_an_api_that_is_away_ends_no_watcher(
    triggerer: Make, airflow: Supervisor, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """What ended meanwhile is announced once it is back."""
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        simulator.add_fault("status", status=500, path=PATH, count=None)
        await until(lambda: "the poll failed" in caplog.text)
        end(simulator, "J1")
        simulator.clear_faults()
        await until(airflow.announced)

        assert [] == running.failures()


async def test_a_defect_of_the_poll_ends_no_watcher(
    triggerer: Make, airflow: Supervisor, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow would begin the stream anew, at once and for ever."""
    add(simulator, "J1")
    defects = 0

    async def fail(*_: object) -> None:
        nonlocal defects
        defects += 1
        raise ZeroDivisionError

    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        with monkeypatch.context() as patch:
            patch.setattr(poll.Poll, "_ask", fail)
            await until(lambda: defects >= 3)
        end(simulator, "J1")
        await until(airflow.announced)

        assert [] == running.failures()


async def test_a_store_that_refuses_a_watermark_ends_no_watcher(
    triggerer: Make, airflow: Supervisor, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The next look is kept instead."""
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        airflow.is_away = True
        end(simulator, "J1")
        await until(lambda: airflow.refused >= 3)
        airflow.is_away = False
        await until(lambda: not airflow.watermark("backups")["under_way"])

        assert [] == running.failures()
    assert ["J1"] == airflow.announced()
    assert "The watermark of asset backups could not be kept; events may repeat" in caplog.text


async def test_a_store_that_does_not_answer_holds_nobody_up(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A triggerer that stops takes no answers any more, and must still come to its end."""
    monkeypatch.setattr(module, "_KEEPING", 0.05)
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
        airflow.hangs = True
        await until(lambda: "could not be kept" in caplog.text)
        airflow.hangs = False
        before = airflow.watermark("backups")
        await until(lambda: airflow.watermark("backups") != before)


async def test_a_watermark_that_cannot_be_read_yet_is_waited_for(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beginning without it would lose what ended meanwhile; the stream does not wait for one watcher."""
    monkeypatch.setattr(module, "_PATIENCE", 0.02)
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher())
        await begun(airflow)
    end(simulator, "J1")
    airflow.is_away = True
    async with triggerer() as running:
        running.start(watcher())
        await until(lambda: airflow.refused >= 3)
        await look_again(simulator, 3)
        airflow.is_away = False
        await until(airflow.announced)

    assert ["J1"] == airflow.announced()
    assert "The watermark of asset backups cannot be read; it is tried again in 0.02 s" in caplog.text


@pytest.mark.parametrize("foreign", [{"since": "yesterday"}, "2026-11-22", [1]], ids=str)
async def test_a_watermark_of_another_kind_is_reported_and_replaced(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    foreign: Any,
) -> None:
    airflow.stored["backups", "avepoint_watermark"] = foreign
    add(simulator, "J1")
    async with triggerer() as running:
        running.start(watcher())
        await until(lambda: airflow.watermark("backups") != foreign)
        end(simulator, "J1")
        await until(airflow.announced)

    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "The watermark of asset backups cannot be read (not a watermark: " in error.getMessage()
    assert "its watcher begins anew" in error.getMessage()


@pytest.mark.parametrize(("watches", "errors"), [("backups", 0), ("another", 1)])
async def test_an_asset_argument_that_names_no_watched_asset_is_reported(
    triggerer: Make, airflow: Supervisor, caplog: pytest.LogCaptureFixture, watches: str, errors: int
) -> None:
    async with triggerer() as running:
        running.start(watcher(), watches=watches)
        await begun(airflow)

    assert errors == caplog.text.count(
        "asset='backups' is not the name of the asset that this trigger watches"
    )


async def test_without_shared_streams_a_watcher_says_what_it_cannot_do(
    triggerer: Make,
    airflow: Supervisor,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On Airflow 3.0 to 3.2 it announces what ends while it runs."""
    monkeypatch.setattr(module, "SharedStreamProducer", None)
    caplog.set_level(logging.INFO, logger="airflow_provider_avepoint")
    add(simulator, "J1")
    add(simulator, "J2", started_ago=3 * 86400)
    async with triggerer() as running:
        running.start(watcher())
        await until(lambda: looks(simulator) >= 2)
        for job_id in ("J1", "J2"):
            end(simulator, job_id)
        await until(lambda: len(airflow.events) >= 2)
        await look_again(simulator, 3)

        assert (0, {}) == (running.streams, airflow.stored)
    assert ["J1", "J2"] == sorted(airflow.announced())
    assert 1 == caplog.text.count("This Airflow keeps no state for assets: backups of dynamics365 that end")


NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


def a_look(*states: str) -> Look:
    jobs = [
        BackupJob(
            product="dynamics365",
            job_id=f"J{index}",
            job_type="backup",
            state=JobState(state),
            started_at=NOW - timedelta(minutes=5),
        )
        for index, state in enumerate(states, 1)
    ]
    return Look(now=NOW, since=NOW - timedelta(days=40), jobs=jobs)


async def stream(*given: Look) -> AsyncIterator[Look]:
    for look in given:
        yield look


async def test_a_watcher_that_stops_between_two_events_of_a_look_keeps_its_old_watermark(
    triggerer: Make, airflow: Supervisor
) -> None:
    """Airflow counts a look as taken when the watcher leaves, though some of its events were not."""
    triggerer()
    first, second = a_look("running", "running"), a_look("success", "success")
    events = watcher().filter_shared_stream(stream(first, second))

    await anext(events)
    assert ({"backups"}, set()) == (set(first.kept), set(second.kept))
    await anext(events)
    assert set() == set(second.kept)
    await events.aclose()

    assert set() == set(second.kept)


@pytest.mark.parametrize(
    ("exclude", "announced"),
    [(None, ["teams"]), ("teams", ["teams_chat"])],
    ids=["both count", "one is left out"],
)
async def test_a_backup_that_two_object_types_claim_is_announced_once(
    triggerer: Make, airflow: Supervisor, exclude: str | None, announced: list[str]
) -> None:
    """With the first of them that the policy is about."""
    triggerer()
    jobs = [
        BackupJob(
            product="m365", job_id="FB1", job_type="backup", workload=workload, state=state, started_at=NOW
        )
        for state in (JobState.RUNNING, JobState.SUCCESS)
        for workload in ("teams", "teams_chat")
    ]
    looks = [Look(now=NOW, since=NOW - timedelta(days=40), jobs=each) for each in (jobs[:2], jobs[2:])]
    left_out = [{"workload": exclude, "until": "2200-01-01", "reason": "moved"}] if exclude else None
    trigger = watcher(product="m365", policy={"exclude": left_out})

    events = [event.payload["workload"] async for event in trigger.filter_shared_stream(stream(*looks))]

    assert announced == events


async def test_a_watermark_is_kept_once_the_last_event_is_taken(triggerer: Make, airflow: Supervisor) -> None:
    triggerer()
    look = a_look("success")
    events = [event async for event in watcher().filter_shared_stream(stream(a_look("running"), look))]

    assert 1 == len(events)
    assert {} == look.kept["backups"].under_way


async def test_a_look_that_some_watcher_has_not_taken_is_not_kept(
    triggerer: Make, airflow: Supervisor
) -> None:
    """A later one that all have taken covers it."""
    triggerer()
    producer = watcher().create_shared_stream_producer(watcher().serialize()[1])
    outcomes = {
        "clean": AdvanceOutcome(acked=2, failed=0),
        "failed": AdvanceOutcome(acked=1, failed=1),
        "rejected": AdvanceOutcome(acked=1, failed=0, rejected=1),
        "nobody": AdvanceOutcome(acked=0, failed=0),
    }

    async def advance(*names: str) -> list[str]:
        batch = []
        for name in names:
            look = a_look()
            look.kept[name] = Watermark.begin([], NOW)
            batch.append(AdvanceItem(look, outcomes[name]))
        await producer.advance(batch)
        return [asset for asset, _ in airflow.stored]

    assert [] == await advance("failed", "rejected", "nobody")
    assert ["clean"] == await advance("failed", "clean", "rejected")


async def test_of_several_looks_the_last_is_kept(triggerer: Make, airflow: Supervisor) -> None:
    triggerer()
    producer = watcher().create_shared_stream_producer(watcher().serialize()[1])
    batch = []
    for hours in range(3):
        look = a_look()
        look.kept["backups"] = Watermark.begin([], NOW + timedelta(hours=hours))
        batch.append(AdvanceItem(look, AdvanceOutcome(acked=1, failed=0)))

    await producer.advance(batch)

    assert (NOW + timedelta(hours=2 - 6)).isoformat() == airflow.watermark("backups")["since"]


ARGUMENTS = {
    "asset": "backups",
    "product": "dynamics365",
    "announce": "not_passed",
    "policy": {
        "max_age": 93600.0,
        "organization_ids": ["contoso"],
        "exclude": [
            {"organization_id": None, "workload": "x", "until": "2026-12-31", "reason": "moved"},
        ],
    },
    "avepoint_conn_id": "other",
    "poll_interval": 60,
}


def test_an_older_airflow_loads_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 2 knows no event triggers, Airflow 3.0 to 3.2 no shared streams."""
    monkeypatch.setitem(sys.modules, "airflow.triggers.shared_stream", None)
    monkeypatch.delattr("airflow.triggers.base.BaseEventTrigger")
    older = runpy.run_path(module.__file__)

    trigger = older["AvePointBackupEventTrigger"](asset="backups", product="dynamics365")
    assert isinstance(trigger, BaseTrigger)
    assert trigger.shared_stream_key() is None


def test_what_it_serialises_to() -> None:
    """These names are kept in Airflow's database: exactly them, and JSON only."""
    assert (CLASS, ARGUMENTS) == AvePointBackupEventTrigger(**ARGUMENTS).serialize()


def test_what_a_dag_author_writes_is_made_json() -> None:
    policy = {"max_age": timedelta(hours=26), "started_after": NOW, "organization_ids": "contoso"}
    serialised = watcher(policy=policy).serialize()

    assert {
        "max_age": 93600.0,
        "started_after": "2026-11-22T06:00:00+00:00",
        "organization_ids": ["contoso"],
    } == serialised[1]["policy"]
    assert serialised == rebuild(watcher(policy=policy)).serialize()
    assert BaseEventTrigger.hash(*serialised) == BaseEventTrigger.hash(
        *rebuild(watcher(policy=policy)).serialize()
    )


def test_a_whole_policy_is_taken() -> None:
    policy = watcher(policy={"max_age": 60}).checked_policy.as_dict()

    assert watcher(policy=policy).checked_policy == watcher(policy={"max_age": 60}).checked_policy


KEYS: dict[str, tuple[dict[str, Any], bool]] = {
    "the asset": ({"asset": "other"}, True),
    "what is announced": ({"announce": "passed"}, True),
    "how good a backup must be": ({"policy": {"accept_partial": True, "max_age": 60}}, True),
    "the interval as another number": ({"poll_interval": 300.0}, True),
    "several organisations of one listing": ({"policy": {"organization_ids": ["a", "b"]}}, True),
    "the connection": ({"avepoint_conn_id": "other"}, False),
    "the product": ({"product": "salesforce"}, False),
    "the interval": ({"poll_interval": 60}, False),
    "an organisation": ({"policy": {"organization_ids": ["a"]}}, False),
}


def test_who_shares_a_stream() -> None:
    def key(**given: Any) -> Any:
        needed = {"asset": "backups", "product": "dynamics365", "poll_interval": 300}
        return AvePointBackupEventTrigger(**(needed | given)).shared_stream_key()

    for name, (arguments, shares) in KEYS.items():
        assert shares is (key() == key(**arguments)), name
        assert isinstance(hash(key(**arguments)), int)


def test_streams_differ_by_what_each_lists() -> None:
    """Where the object types, the location, the customer or the job type decide what is asked."""
    m365 = [{}, {"object_types": ["teams"]}, {"object_types": ["onedrive"]}, {"locations": ["EUR"]}]
    keys = [watcher(product="m365", policy=policy).shared_stream_key() for policy in m365]
    keys += [
        watcher(product="elements", policy={"organization_ids": [name]}).shared_stream_key()
        for name in ("a", "b")
    ]
    keys += [
        watcher(product="salesforce", policy={"job_type": words}).shared_stream_key()
        for words in ("backup", "on_demand_backup")
    ]

    assert len(keys) == len(set(keys))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "product": ({"product": "dynamics"}, "product: 'dynamics' is not known"),
    "no asset": ({"asset": " "}, "asset: ' ' is not a text"),
    "an asset object": ({"asset": SimpleNamespace(name="a")}, "asset: namespace"),
    "connection": ({"avepoint_conn_id": None}, "avepoint_conn_id: None is not a text"),
    "announce": ({"announce": "failed"}, "announce: 'failed' is not one of all, passed, not_passed"),
    "interval 0": ({"poll_interval": 0}, "poll_interval: 0 is not a number of seconds above 0"),
    "interval below 0": ({"poll_interval": -1}, "poll_interval: -1"),
    "interval nan": ({"poll_interval": float("nan")}, "poll_interval: nan"),
    "interval for ever": ({"poll_interval": float("inf")}, "poll_interval: inf"),
    "interval of over a day": ({"poll_interval": 86401}, "at most a day"),
    "interval as text": ({"poll_interval": "300"}, "poll_interval: '300'"),
    "interval as flag": ({"poll_interval": True}, "poll_interval: True"),
    "policy as text": ({"policy": "{}"}, "policy: '{}' is not an object"),
    "policy about the source": (
        {"product": "m365", "policy": {"max_unusual": 0}},
        "policy: max_unusual is not about a single backup",
    ),
    "policy about the schedule": (
        {"product": "m365", "policy": {"expect_scheduled": True}},
        "policy: expect_scheduled is not about a single backup",
    ),
    "policy argument": ({"policy": {"max_fail": 1}}, "policy: 'max_fail' is not one of product, "),
    "policy value": ({"policy": {"max_failed": -1}}, "max_failed: -1"),
    "policy of another product": (
        {"policy": {"product": "m365"}},
        "policy: its product is 'm365', the watcher's is 'dynamics365'",
    ),
    "a job type that is no backup": ({"policy": {"job_type": "restore"}}, "job_type: 'restore' is no backup"),
    "no customer": ({"product": "elements"}, "organization_ids: .* one customer at a time"),
}


def test_a_watcher_that_cannot_work_is_refused_when_the_dag_file_is_read() -> None:
    for arguments, message in BAD.values():
        with pytest.raises(AvePointConfigError, match=message):
            AvePointBackupEventTrigger(**({"asset": "backups", "product": "dynamics365"} | arguments))
