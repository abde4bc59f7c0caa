"""Verdicts of checks and sensors, recorded where a ledger is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from sqlalchemy import select

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core.verdict import RULES_VERSION
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import VERDICTS
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from airflow_provider_avepoint.simulator import Simulator
from tests.ledger.databases import CONN_ID, Database
from tests.sensors.modes import MODES, Outcome, World, conclude, run

TASK = {"dag_id": "gate", "run_id": "manual", "task_id": "wait", "map_index": -1, "try_number": 1}
WAYS = ["check", *MODES]
GONE = {"conn_type": "sqlite", "host": "/does/not/exist/ledger.db"}


@pytest.fixture(params=WAYS)
def judge(request: pytest.FixtureRequest, simulator: Simulator, connect: Callable[..., str]) -> Any:
    """Return a function that judges by a task, of each kind in turn, and returns how it ended."""
    connect()
    world = World(simulator)
    for name, value in TASK.items():
        setattr(world.ti, name, value)

    def run_task(state: str, **arguments: Any) -> Outcome:
        simulator.add_job("dynamics365", job_id=f"J-{state}", state=state, organization_id="contoso")
        given = {"product": "dynamics365", "max_age": 86400, "ledger_conn_id": CONN_ID, **arguments}
        if request.param == "check":
            operator = AvePointBackupCheckOperator(task_id="wait", **given)
            return conclude(world, lambda: operator.execute(world.context))
        return run(
            request.param,
            lambda **mode: AvePointBackupSensor(
                task_id="wait", poke_interval=60, timeout=300, **given, **mode
            ),
            world,
        )

    return run_task


def test_a_verdict_that_passes_is_recorded(judge: Callable[..., Outcome], database: Database) -> None:
    outcome = judge("success")

    assert outcome.error is None
    (row,) = database.rows(VERDICTS)
    evidence = json.loads(row.pop("evidence"))
    assert evidence == outcome.value
    assert row == {
        "tenant": "avepoint_default",
        "verdict_id": '["gate","manual","wait",-1,1]',
        "product": "dynamics365",
        "judged_at": datetime.fromisoformat(evidence["judged_at"]),
        "passed": True,
        "reason": "passed",
        "rules_version": RULES_VERSION,
        **TASK,
    }
    assert evidence["policy"]["max_age"] == 86400
    assert [scope["job"]["job_id"] for scope in evidence["scopes"]] == ["J-success"]


def test_a_verdict_that_does_not_pass_is_recorded(judge: Callable[..., Outcome], database: Database) -> None:
    outcome = judge("failed", tenant="Contoso Ltd")

    assert outcome.kind is exceptions.AvePointBackupFailed
    (row,) = database.rows(VERDICTS)
    assert (row["tenant"], row["passed"], row["reason"]) == ("Contoso Ltd", False, "failed")
    assert json.loads(row["evidence"]) == outcome.error.verdict == outcome.xcoms["verdict"]


def test_a_verdict_that_skips_the_task_is_recorded(judge: Callable[..., Outcome], database: Database) -> None:
    outcome = judge("failed", on_failed="skip")

    assert outcome.kind is AirflowSkipException
    assert [row["reason"] for row in database.rows(VERDICTS)] == ["failed"]


def test_without_a_ledger_nothing_is_recorded(judge: Callable[..., Outcome], database: Database) -> None:
    assert judge("success", ledger_conn_id=None).error is None
    assert database.tables() == set()


def test_a_pass_that_cannot_be_recorded_is_none(
    judge: Callable[..., Outcome], define: Callable[..., str]
) -> None:
    """An auditor would miss it: the task fails, and may try again."""
    define("gone", GONE)

    outcome = judge("success", ledger_conn_id="gone")

    assert outcome.kind is exceptions.AvePointLedgerError
    assert isinstance(outcome.error, AirflowException)
    assert not isinstance(outcome.error, AirflowFailException)
    assert "/does/not/exist/ledger.db" in outcome.message


@pytest.mark.parametrize(
    "connection", [GONE, {"conn_type": "http", "host": "x"}, None], ids=["gone", "no database", "not there"]
)
def test_bad_news_are_the_news_whatever_the_ledger_does(
    judge: Callable[..., Outcome], define: Callable[..., str], connection: dict[str, str] | None
) -> None:
    if connection is not None:
        define("gone", connection)

    outcome = judge("failed", ledger_conn_id="gone")

    assert outcome.kind is exceptions.AvePointBackupFailed
    assert outcome.xcoms["verdict"]["reason"] == "failed"


def test_a_ledger_that_is_not_there_fails_a_pass_for_good(judge: Callable[..., Outcome]) -> None:
    outcome = judge("success", ledger_conn_id="not_there")

    assert outcome.kind is exceptions.AvePointConfigError
    assert isinstance(outcome.error, AirflowFailException)


def evidence(*, passed: bool = True, product: str = "m365") -> dict[str, Any]:
    return {
        "policy": {"product": product},
        "judged_at": "2026-11-20T12:00:00.123456+00:00",
        "passed": passed,
        "reason": "passed" if passed else "stale",
        "scopes": [{"reason": "株式会社 \N{FIRE} \ud83d \0"}],
    }


def test_a_try_of_a_task_has_one_verdict(database: Database) -> None:
    """The last: a task that is resumed, or whose process died after it had judged, judges again."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_verdict("t", evidence(passed=False), TASK)
        ledger.save_verdict("t", evidence(passed=True), TASK)
        ledger.save_verdict("t", evidence(passed=False), {**TASK, "try_number": 2})
        ledger.save_verdict("t", evidence(passed=False), {**TASK, "map_index": 0})
        ledger.save_verdict("u", evidence(passed=False), TASK)

    rows = {
        (row["tenant"], row["map_index"], row["try_number"]): row["passed"] for row in database.rows(VERDICTS)
    }
    assert rows == {("t", -1, 1): True, ("t", -1, 2): False, ("t", 0, 1): False, ("u", -1, 1): False}


def test_without_a_task_each_verdict_is_its_own(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        ledger.save_verdict("t", evidence())
        ledger.save_verdict("t", evidence())

    assert [(row["dag_id"], row["try_number"]) for row in database.rows(VERDICTS)] == [(None, None)] * 2


def test_the_evidence_is_kept_but_for_what_no_database_holds(database: Database) -> None:
    """NUL and half characters, which ``jsonb`` refuses."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_verdict("t", evidence())
        (row,) = ledger.iter_rows(select(VERDICTS))

    kept = {"reason": "株式会社 \N{FIRE} ? ?"}
    assert json.loads(row["evidence"]) == evidence() | {"scopes": [kept]}
    assert (row["rules_version"], row["product"]) == (RULES_VERSION, "m365")
