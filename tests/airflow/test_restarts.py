"""A deferred gate in a real Airflow whose triggerers are killed, replaced, and run twice."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_avepoint.core.products import get_product
from demo.stack import TRIGGERER, AirflowStack
from tests.airflow.gate import ALL_GOOD, DAG_ID, GATE, POKE_INTERVAL, PRODUCT, WAIT, Gate, interval

pytestmark = pytest.mark.airflow

SECOND = "triggerer-2"
FAILOVER_SECONDS = 60


def trigger_of(gate: Gate, run_id: str) -> dict[str, Any] | None:
    """Return the trigger that the gate is deferred to, as the database has it; None once it is not."""
    return gate.stack.api.task_instances(DAG_ID, run_id)[GATE]["trigger"]


def arguments_of(gate: Gate, trigger: dict[str, Any]) -> dict[str, Any]:
    """Return a trigger's arguments: the database has them as the worker sent them, the API does not."""
    with closing(sqlite3.connect(f"file:{gate.stack.home}/airflow.db?mode=ro", uri=True)) as database:
        query = "SELECT kwargs FROM trigger WHERE id = ?"
        ((written,),) = database.execute(query, [trigger["id"]]).fetchall()
    return Trigger._decrypt_kwargs(written)


def wait_for_triggerer(gate: Gate, run_id: str, *, other_than: int) -> dict[str, Any]:
    """Return the gate's trigger once another triggerer than *other_than* has it."""

    def moved() -> dict[str, Any] | None:
        trigger = trigger_of(gate, run_id)
        return trigger if trigger and trigger["triggerer_id"] not in (None, other_than) else None

    return gate.stack.wait_until(moved, seconds=FAILOVER_SECONDS, what="another triggerer has the wait")


def wait_until_assigned(gate: Gate, run_id: str) -> dict[str, Any]:
    return wait_for_triggerer(gate, run_id, other_than=-1)


def log_of(gate: Gate, run_id: str) -> str:
    return "\n".join(gate.stack.api.logs(DAG_ID, run_id, WAIT, map_index=0))


def assert_one_outcome(gate: Gate, run_id: str, organization: str, job: dict[str, Any]) -> None:
    """Check that the gate has opened once, on *job*, and what is behind it ran once."""
    instances = gate.stack.api.task_instances(DAG_ID, run_id)
    assert {1} == {instances[name]["try_number"] for name in ALL_GOOD}
    assert [job["job_id"]] == [row[0] for row in gate.rows(organization)]


def test_a_gate_survives_the_death_of_its_triggerer_with_window_and_deadline(gate: Gate) -> None:
    """It is the same wait before and after: the arguments are absolute times, and stay as they are."""
    organization = gate.new_organization()
    running = gate.add_backup(organization, runs_for=3600)
    params = interval()
    run_id = gate.trigger(organization, **params)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    before = wait_until_assigned(gate, run_id)
    arguments = arguments_of(gate, before)

    gate.stack.kill_triggerer()
    gate.stack.start_triggerer()
    after = wait_for_triggerer(gate, run_id, other_than=before["triggerer_id"])
    same_arguments = arguments_of(gate, after)
    gate.end_backup(running)

    assert ("success", ALL_GOOD) == gate.wait_for_end(run_id)
    assert (before["id"], before["classpath"]) == (after["id"], after["classpath"])
    assert arguments == same_arguments
    assert datetime.fromisoformat(params["interval_end"]) == datetime.fromisoformat(
        arguments["policy"]["started_after"]
    )
    waits_for = datetime.fromisoformat(arguments["deadline"]) - datetime.fromisoformat(
        arguments["started_at"]
    )
    assert 119 < waits_for.total_seconds() < 121
    assert gate.simulator.client_secret not in str(arguments)
    assert 1 == log_of(gate, run_id).count("Trigger fired event")
    assert_one_outcome(gate, run_id, organization, running)
    verdict = gate.stack.api.xcom(DAG_ID, run_id, WAIT, map_index=0)
    assert arguments["policy"]["started_after"] == verdict["policy"]["started_after"]


def wait_for_look(gate: Gate) -> None:
    """Wait until the trigger has asked the API."""
    path = get_product(PRODUCT).path
    known = len(gate.simulator.requests(path))
    gate.stack.wait_until(
        lambda: len(gate.simulator.requests(path)) > known or None,
        seconds=FAILOVER_SECONDS,
        what="the trigger has looked",
    )


def wait_for_both_to_fire(gate: Gate, ended: datetime) -> None:
    """Wait until no triggerer asks the API any more, which each does until it has seen the backup's end.

    A triggerer asks with aiohttp, a worker (the task behind the gate lists jobs too) with requests.

    :param ended: when one of two triggerers had seen the end.
    """
    path = get_product(PRODUCT).path

    def are_silent() -> bool | None:
        asked_at = [
            datetime.fromisoformat(request["at"])
            for request in gate.simulator.requests(path)
            if "aiohttp" in request["user_agent"]
        ]
        return datetime.now(UTC) - max(asked_at[-1], ended) > 3 * POKE_INTERVAL or None

    gate.stack.wait_until(are_silent, seconds=FAILOVER_SECONDS, what="both triggerers have seen the end")


@contextmanager
def frozen_supervisor(stack: AirflowStack) -> Iterator[None]:
    """Let the first triggerer's supervisor stand still, while its triggers run on; thaw it at the end."""
    members = stack.component(TRIGGERER).members()
    (leader,) = [member for member in members if member.ppid() not in [each.pid for each in members]]
    leader.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        leader.send_signal(signal.SIGCONT)


def test_two_triggerers_at_once_give_one_outcome(gate: Gate) -> None:
    """The first is cut off and believed dead; both look, both see the end, both fire: the gate opens once."""
    organization = gate.new_organization()
    running = gate.add_backup(organization, runs_for=3600)
    run_id = gate.trigger(organization)
    gate.stack.wait_for_task(DAG_ID, run_id, GATE, "deferred")
    before = wait_until_assigned(gate, run_id)
    wait_for_look(gate)  # it has its connection then, which only the supervisor can look up
    gate.stack.start_triggerer(SECOND)
    try:
        with frozen_supervisor(gate.stack):
            wait_for_triggerer(gate, run_id, other_than=before["triggerer_id"])
            gate.end_backup(running)
            gate.stack.wait_for_task(DAG_ID, run_id, GATE, "success")
            wait_for_both_to_fire(gate, datetime.now(UTC))
        assert ("success", ALL_GOOD) == gate.wait_for_end(run_id)
        # Both have come to the same, each in its own log.
        gate.stack.wait_until(
            lambda: 2 <= log_of(gate, run_id).count("Trigger fired event") or None,
            seconds=30,
            what="the first triggerer has fired too",
        )
        assert_one_outcome(gate, run_id, organization, running)
    finally:
        gate.stack.stop_triggerer(SECOND)
