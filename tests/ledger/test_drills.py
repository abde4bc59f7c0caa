"""Restore drills in the ledger: what is kept of them, and the ledger in place of Airflow's task state."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    mask_secret,
)

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import DRILLS, INTENTS
from airflow_provider_avepoint.operators.avepoint import record_content_check
from airflow_provider_avepoint.simulator import Simulator
from tests.ledger.databases import CONN_ID, Database, execute
from tests.operators import test_restore as restores
from tests.operators.test_restore import MODES, after_preparing, posts, search_for

TASK = {"dag_id": "drill", "run_id": "r1", "task_id": "restore", "map_index": -1, "try_number": 1}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.fixture
def allowed(connect: Callable[..., str]) -> str:
    return connect(extra={"allow_restore": True, "timeout": 5})


class Task(restores.Task):
    """A task of one DAG run of an Airflow without task state."""

    def __init__(self, simulator: Simulator, mode: str = "sleeping", **arguments: Any) -> None:
        super().__init__(simulator, mode, **{"ledger_conn_id": CONN_ID, **arguments})
        del self.context["task_state_store"]


def drills(database: Database) -> list[tuple[bool, str]]:
    return [(bool(row["passed"]), row["reason"]) for row in database.rows(DRILLS)]


@pytest.mark.parametrize("mode", MODES)
def test_a_drill_that_ends_well(simulator: Simulator, database: Database, allowed: str, mode: str) -> None:
    """All of the drill stands in its row; a cleared task restores nothing anew, and keeps one drill."""
    simulator.set_restores(runs_for=0.3)
    task = Task(simulator, mode, expect_files="2")

    drill = task.run()
    assert task.run(tenant=None)["passed"]

    (row,) = database.rows(DRILLS)
    assert posts(simulator) == 1
    assert drill.pop("ledger") == {"tenant": "avepoint_default", "drill_id": row["drill_id"]}
    assert json.loads(row.pop("evidence")) | {"judged_at": 0} == drill | {"judged_at": 0}
    assert json.loads(row["drill_id"]) == ["gate", "manual", "wait", -1]
    wanted = {
        "product": "m365",
        "service": "sharepoint_online",
        "location": "",
        "target": "https://contoso.sharepoint.com/sites/canary",
        "library": "Documents",
        "passed": True,
        "reason": "passed",
        "message": drill["message"],
        "digest": drill["digest"],
        "job_id": drill["job"]["job_id"],
        "restored_files": 2,
        "expect_files": 2,
        "was_adopted": False,
        "dag_id": "gate",
        "try_number": 1,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["sent_at"].isoformat() == drill["sent_at"]
    (intent,) = database.rows(INTENTS)
    assert json.loads(intent["intent"])["phase"] == "started"


def test_what_becomes_of_a_restore_stands_in_the_ledger(
    simulator: Simulator, database: Database, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad, not ended, uncertain, ended after all; nothing of a restore that never began."""
    simulator.set_restores(runs_for=0, ends_as="failed")
    with pytest.raises(exceptions.AvePointJobFailed):
        Task(simulator).run()
    assert drills(database) == [(False, "failed")]

    execute("DELETE FROM avepoint_restore_intents")
    simulator.add_fault("status", path=restores.PATH, status=400, count=1)
    with pytest.raises(exceptions.AvePointRequestError):
        Task(simulator, tenant="refused").run()
    assert len(drills(database)) == 1

    simulator.set_restores(runs_for=3600, ends_as="success")
    late = Task(simulator, tenant="late", timeout=0.001)
    with pytest.raises(AirflowException, match="Gave up waiting"):
        late.run()
    assert drills(database)[-1] == (False, "not_ended")
    assert database.rows(DRILLS)[-1]["job_id"] is not None
    simulator.add_fault("status", status=400, count=None)
    with pytest.raises(AirflowException):
        late.run()
    assert drills(database)[-1] == (False, "not_ended")
    simulator.clear_faults()

    execute("DELETE FROM avepoint_restore_intents")
    simulator.reset()
    search_for(monkeypatch, timedelta(0))
    simulator.add_fault("drop", path=restores.PATH, where="before")
    lost = Task(simulator, tenant="lost")
    for _ in range(2):
        with pytest.raises(exceptions.AvePointRestoreUncertain):
            lost.run()
    assert drills(database)[-1] == (False, "uncertain")
    with pytest.raises(exceptions.AvePointRestoreUncertain, match="another restore"):
        lost.run(library="Others")
    execute("UPDATE avepoint_restore_intents SET intent = '[]'")
    with pytest.raises(exceptions.AvePointRestoreUncertain, match="not understood"):
        lost.run()
    assert posts(simulator) == 1


def test_a_judged_drill_is_not_replaced_by_an_outage(
    simulator: Simulator, database: Database, allowed: str
) -> None:
    simulator.set_restores(runs_for=0)
    task = Task(simulator)
    task.run()
    simulator.add_fault("status", status=400, count=None)

    with pytest.raises(AirflowException):
        task.run()

    assert drills(database) == [(True, "passed")]


def test_the_content_decides_with_the_restore(simulator: Simulator, database: Database, allowed: str) -> None:
    """Until it is checked the drill has not passed; a skipped check checks nothing; the last check counts."""
    simulator.set_restores(runs_for=0)
    task = Task(simulator, expect_content_check="true")
    drill = json.loads(json.dumps(task.run()))

    assert drill["passed"]
    assert drills(database) == [(False, "not_checked")]
    with pytest.raises(AirflowSkipException), record_content_check(drill, ledger_conn_id=CONN_ID):
        raise AirflowSkipException
    assert drills(database) == [(False, "not_checked")]
    mask_secret("a-known-secret")
    with pytest.raises(ValueError, match="other"), record_content_check(drill, ledger_conn_id=CONN_ID):
        raise ValueError("other bytes \x00 \ud800 from https://ada:a-known-secret@example.com")
    assert drills(database) == [(False, "check_failed")]
    (row,) = database.rows(DRILLS)
    assert "ValueError: other bytes" in row["message"]
    assert "a-known-secret" not in row["message"] + row["evidence"]
    task.run()  # cleared alone: the check of the same job stands
    assert drills(database) == [(False, "check_failed")]
    with record_content_check(drill, ledger_conn_id=CONN_ID):
        pass
    assert drills(database) == [(True, "passed")]
    (row,) = database.rows(DRILLS)
    assert row["message"] == f"{drill['message']} The content that came back was right."
    assert json.loads(row["evidence"])["content_check"]["passed"]
    task.run()
    assert drills(database) == [(True, "passed")]


def test_a_check_cannot_mend_what_it_does_not_know(
    simulator: Simulator, database: Database, allowed: str
) -> None:
    """Neither a restore that has failed, nor a drill of another ledger; without a ledger all is let be."""
    simulator.set_restores(runs_for=0, ends_as="failed")
    task = Task(simulator)
    with pytest.raises(exceptions.AvePointJobFailed):
        task.run()
    drill = task.ti.xcoms["drill"]
    known = drill["ledger"]

    for odd, match in (
        (drill, "has not passed"),
        (drill | {"ledger": known | {"tenant": "other"}}, "does not have the drill"),
        (drill | {"ledger": None}, "is in no ledger"),
        ({}, "is in no ledger"),
    ):
        with (
            pytest.raises(AirflowFailException, match=match),
            record_content_check(odd, ledger_conn_id=CONN_ID),
        ):
            pass
        with record_content_check(odd, ledger_conn_id=None):
            pass
        with pytest.raises(KeyError), record_content_check(odd, ledger_conn_id=None):
            raise KeyError
    with pytest.raises(KeyError, match="theirs"), record_content_check(drill, ledger_conn_id=CONN_ID):
        raise KeyError("theirs")
    assert drills(database) == [(False, "failed")]


def test_of_two_tries_at_once_one_sends(
    simulator: Simulator, database: Database, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that Airflow has given up may still run: both have found nothing kept, and are about to send."""
    simulator.set_restores(runs_for=0)
    first, second = Task(simulator), Task(simulator)
    ends: list[dict[str, Any]] = []
    pending = [second]

    def overtake() -> None:
        if pending:
            ends.append(pending.pop().run())

    after_preparing(monkeypatch, overtake)
    ends.append(first.run())

    assert posts(simulator) == 1
    assert ends[0]["job"]["job_id"] == ends[1]["job"]["job_id"]
    assert drills(database) == [(True, "passed")]


def test_an_upgrade_of_airflow_in_the_middle_of_a_run_restores_nothing_anew(
    simulator: Simulator, database: Database, allowed: str
) -> None:
    """The ledger has kept the intent; the task state, which is new, is empty."""
    simulator.set_restores(runs_for=0)
    old = Task(simulator)
    drill = old.run()
    new = restores.Task(simulator, ledger_conn_id=CONN_ID)

    assert new.run()["job"] == drill["job"]
    assert posts(simulator) == 1
    assert drills(database) == [(True, "passed")]


def test_a_ledger_that_fails_meanwhile_costs_no_second_restore(
    simulator: Simulator, database: Database, allowed: str
) -> None:
    """What passes and cannot be kept fails the task; what fails, fails by itself. A retry goes on."""
    lose = "ALTER TABLE avepoint_drills RENAME TO gone"
    find = "ALTER TABLE gone RENAME TO avepoint_drills"
    with Ledger(CONN_ID):
        pass
    for ends_as, error in (
        ("success", exceptions.AvePointLedgerError),
        ("failed", exceptions.AvePointJobFailed),
    ):
        simulator.set_restores(runs_for=0, ends_as=ends_as)
        task = Task(simulator)
        execute(lose)
        with pytest.raises(error):
            task.run()
        execute(find)
        execute("DELETE FROM avepoint_restore_intents")
    simulator.set_restores(runs_for=3600)
    task = Task(simulator, timeout=0.001)
    execute(lose)
    with pytest.raises(AirflowException, match="Gave up waiting"):
        task.run()
    with (
        pytest.raises(ValueError, match="theirs"),
        record_content_check({"ledger": {}}, ledger_conn_id=CONN_ID),
    ):
        raise ValueError("theirs")
    execute(find)

    assert posts(simulator) == 3
    assert drills(database) == []


def test_a_ledger_that_cannot_be_used_is_told_before_anything_is_sent(
    simulator: Simulator, allowed: str, connect: Callable[..., str]
) -> None:
    with pytest.raises(exceptions.AvePointConfigError, match="nowhere"):
        Task(simulator, ledger_conn_id="nowhere").run()
    task = Task(simulator, ledger_conn_id=None)
    with pytest.raises(exceptions.AvePointConfigError, match="ledger_conn_id"):
        task.run()
    assert simulator.requests() == []


def test_outside_of_a_task_each_drill_is_one_of_its_own(
    simulator: Simulator, database: Database, allowed: str
) -> None:
    simulator.set_restores(runs_for=0)
    for _ in range(2):
        Task(simulator).make().execute({})

    assert drills(database) == [(True, "passed")] * 2
    assert (posts(simulator), database.rows(INTENTS)) == (2, [])


def test_intents_are_of_their_task(database: Database) -> None:
    """A save goes on from what was read; other tasks, runs and mapped tasks have their own."""
    with Ledger(CONN_ID) as ledger:
        for change in ({}, {"run_id": "r2"}, {"map_index": 0}, {"task_id": "other"}, {"dag_id": "other"}):
            task = TASK | change
            assert ledger.find_intent(task) is None
            ledger.save_intent("t", task, {"a": "\x00 é", "b": [1]}, previous=None)
            assert ledger.find_intent(task | {"try_number": 7}) == {"a": "? é", "b": [1]}
            ledger.save_intent("t", task, {"b": 2}, previous={"b": [1], "a": "\x00 é"})
            for odd in (None, {}, {"b": 3}):
                with pytest.raises(Exception, match="Another try"):
                    ledger.save_intent("t", task, {"c": 1}, previous=odd)
            assert ledger.find_intent(task) == {"b": 2}
