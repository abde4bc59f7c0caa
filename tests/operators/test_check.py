"""The check: passes with its evidence, or raises and says which scopes are why."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from sqlalchemy import select

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors, retry
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import VERDICTS
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from airflow_provider_avepoint.simulator import Simulator
from tests.sensors.modes import TaskInstance, World

PATH = "/dynamicsbackup/jobs"


def check(**arguments: Any) -> AvePointBackupCheckOperator:
    return AvePointBackupCheckOperator(
        task_id="check", **({"product": "dynamics365", "max_age": 86400} | arguments)
    )


@pytest.fixture
def ti(simulator: Simulator) -> TaskInstance:
    return TaskInstance(World(simulator))


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


def test_a_pass_returns_the_evidence(
    simulator: Simulator, connect: Callable[..., str], ti: TaskInstance
) -> None:
    """The return value is JSON, and what an auditor keeps: scope, job, policy, time of judgement."""
    connect()
    job = simulator.add_job("dynamics365", organization_id="contoso", state="success")
    before = datetime.now(UTC)

    evidence = check().execute({"ti": ti})

    assert json.loads(json.dumps(evidence)) == evidence
    assert before <= datetime.fromisoformat(evidence["judged_at"]) <= datetime.now(UTC)
    assert (evidence["passed"], evidence["reason"]) == (True, "passed")
    assert evidence["policy"]["max_age"] == 86400
    (scope,) = evidence["scopes"]
    assert scope["scope"] == {
        "organization_id": "contoso",
        "workload": "customer_engagement",
        "location": None,
        "content": None,
    }
    assert (scope["job"]["job_id"], scope["job"]["state"]) == (job["job_id"], "success")
    assert 3600 <= scope["age_seconds"] < 3660
    assert ti.xcoms == {}, "the return value is the evidence"


def test_a_failure_names_each_scope_and_its_reason(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    for organization, state, age in (
        ("alpha", "success", 60),
        ("bravo", "failed", 60),
        ("charlie", "partial", 60),
        ("delta", "running", 60),
        ("echo", "success", 2 * 86400),
    ):
        simulator.add_job("dynamics365", organization_id=organization, state=state, started_ago=age)
    expected = ["bravo", "charlie", "delta", "echo", "foxtrot"]

    with pytest.raises(exceptions.AvePointBackupNotVerified) as caught:
        check(organization_ids=["alpha", *expected]).execute({})

    reasons = {
        scope["scope"]["organization_id"]: scope["reason"]
        for scope in caught.value.verdict["scopes"]
        if not scope["passed"]
    }
    assert reasons == dict(zip(expected, ["failed", "partial", "running", "stale", "missed"], strict=True))
    parts = str(caught.value).split("; ")
    for organization, reason in reasons.items():
        assert any(organization in part and reason in part for part in parts), parts
    assert "alpha" not in str(caught.value)


def test_a_failure_names_the_worst_twenty_scopes_and_counts_the_rest(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """Whoever is called at night can read it to its end; the evidence has every scope."""
    connect()
    failed = [f"failed-{number:02}" for number in range(20)]
    partial = [f"a-partial-{number:02}" for number in range(10)]
    simulator.add_jobs(
        {"product": "dynamics365", "organization_id": organization, "state": state}
        for state, organizations in (("partial", partial), ("failed", failed))
        for organization in organizations
    )

    with pytest.raises(exceptions.AvePointBackupNotVerified) as caught:
        check().execute({})

    message = str(caught.value)
    assert failed == [name for name in failed + partial if name in message]
    assert message.startswith("dynamics365: failed: 0 of 30 scopes good.\n")
    assert "\n- and 10 more: 10 partial\n" in message


@pytest.mark.parametrize(
    ("on_failed", "error"),
    [
        ("fail", exceptions.AvePointBackupFailed),
        ("retry", exceptions.AvePointBackupNotVerified),
        ("skip", AirflowSkipException),
    ],
)
def test_the_evidence_of_a_bad_verdict_is_kept(
    simulator: Simulator,
    connect: Callable[..., str],
    ti: TaskInstance,
    on_failed: str,
    error: type[Exception],
) -> None:
    """A task that raises has no return value, so the XCom "verdict" holds it."""
    connect()
    simulator.add_job("dynamics365", organization_id="contoso", state="failed")

    with pytest.raises(error, match="contoso") as caught:
        check(on_failed=on_failed).execute({"ti": ti})

    assert isinstance(caught.value, error)
    assert isinstance(caught.value, AirflowFailException) == (on_failed == "fail"), "who is retried"
    assert list(ti.xcoms) == ["verdict"]
    assert ti.xcoms["verdict"]["reason"] == "failed"
    if on_failed != "skip":
        assert caught.value.verdict == ti.xcoms["verdict"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ([], "missed"),
        ([{"state": "success", "started_ago": 2 * 86400}], "stale"),
        ([{"state": "running"}], "running"),
        ([{"raw_state": 99}], "unknown_state"),
        ([{"state": "failed", "started_ago": 7200}, {"state": "running"}], "failed"),
    ],
    ids=["missed", "stale", "running", "unknown_state", "failed, a newer one runs"],
)
def test_a_verdict_that_may_still_be_mended_is_retried(
    simulator: Simulator,
    connect: Callable[..., str],
    jobs: list[dict[str, Any]],
    reason: str,
) -> None:
    """By the next try the backup may have come: how often that is, is Airflow's setting."""
    connect()
    for fields in jobs:
        simulator.add_job("dynamics365", organization_id="contoso", **fields)

    for on_failed in ("fail", "retry"):
        with pytest.raises(exceptions.AvePointBackupNotVerified, match=reason) as caught:
            check(on_failed=on_failed).execute({})
        assert isinstance(caught.value, AirflowException)
        assert isinstance(caught.value, errors.AvePointError)
        assert not isinstance(caught.value, AirflowFailException)
    assert simulator.requests(PATH) != []


@pytest.mark.parametrize(
    ("fault", "error", "is_final"),
    [
        ({"kind": "status", "status": 503}, exceptions.AvePointUnavailable, False),
        ({"kind": "drop"}, exceptions.AvePointUnavailable, False),
        ({"kind": "retry_after", "seconds": 600}, exceptions.AvePointUnavailable, False),
        ({"kind": "html"}, exceptions.AvePointPayloadError, False),
        ({"kind": "broken_json"}, exceptions.AvePointPayloadError, False),
        ({"kind": "empty_body"}, exceptions.AvePointPayloadError, False),
        ({"kind": "missing_rows"}, exceptions.AvePointPayloadError, False),
        ({"kind": "error_body"}, exceptions.AvePointUnavailable, False),
        ({"kind": "status", "status": 403}, exceptions.AvePointPermissionError, True),
        ({"kind": "expire_token"}, exceptions.AvePointAuthError, True),
    ],
    ids=str,
)
def test_infrastructure_trouble_is_never_a_verdict(
    simulator: Simulator,
    connect: Callable[..., str],
    ti: TaskInstance,
    fault: dict[str, Any],
    error: type[Exception],
    *,
    is_final: bool,
) -> None:
    """Nothing is known about the backup, so on_failed does not apply."""
    connect()
    simulator.add_job("dynamics365", state="success")
    simulator.add_fault(**fault, path=PATH, count=None)

    for on_failed in ("fail", "skip"):
        with pytest.raises(error) as caught:
            check(on_failed=on_failed).execute({"ti": ti})
        assert type(caught.value) is error
        assert isinstance(caught.value, AirflowFailException) == is_final
    assert ti.xcoms == {}


def test_it_asks_the_connections_location(simulator: Simulator, connect: Callable[..., str]) -> None:
    """A policy without locations is judged where the connection says."""
    connect("european", extra={"location": "EUR"})
    simulator.add_job("m365", workload="teams", location="EUR", state="success")
    simulator.add_job("m365", workload="onedrive", location="NAM", state="failed")

    evidence = check(product="m365", avepoint_conn_id="european").execute({})

    assert [scope["scope"]["workload"] for scope in evidence["scopes"]] == ["teams"]


def test_no_argument_is_changed_by_a_run(simulator: Simulator, connect: Callable[..., str]) -> None:
    """A second run of the same object sees what the author wrote."""
    connect()
    simulator.add_job("dynamics365", organization_id="contoso", state="success")
    started_after = datetime.now(UTC) - timedelta(days=1)
    task = check(started_after=started_after, organization_ids=["contoso"])

    first, second = task.execute({}), task.execute({})

    assert (first["passed"], second["passed"]) == (True, True)
    assert (task.started_after, task.organization_ids) == (started_after, ["contoso"])


def test_an_error_whose_message_says_all_has_no_stack() -> None:
    """A wait that is given up, and an API that refuses or does not answer."""

    @contextmanager
    def around() -> Iterator[None]:
        yield

    for error in (
        exceptions.AvePointWaitTimeout("Gave up."),
        exceptions.AvePointAuthError("Refused."),
        exceptions.AvePointPermissionError("Not allowed."),
        exceptions.AvePointRequestError("Refused."),
        exceptions.AvePointUnavailable("Away."),
    ):
        with pytest.raises(type(error)) as caught, around():
            raise error
        assert caught.value.__traceback__ is None


@pytest.mark.parametrize("cls", [AvePointBackupCheckOperator, AvePointBackupSensor])
def test_a_verdict_is_said_once_and_without_a_stack(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cls: Any,
) -> None:
    """Airflow logs the error with its stack; Airflow's own context managers are around every task."""
    connect()
    monkeypatch.setattr(cls, "log", logging.getLogger("task"))
    caplog.set_level(logging.INFO, "task")
    task = cls(task_id="gate", product="dynamics365", max_age=86400)
    simulator.add_job("dynamics365", job_id="J1", organization_id="contoso", state="failed")

    @contextmanager
    def around() -> Iterator[None]:
        yield

    with pytest.raises(exceptions.AvePointBackupFailed) as caught, around():
        task.execute({})

    assert "job J1, 4 (Failed)" in str(caught.value)
    assert "J1" not in caplog.text
    assert (caught.tb, caught.value.__traceback__) == (None, None)

    skipping = cls(task_id="gate", product="dynamics365", max_age=86400, on_failed="skip")
    with pytest.raises(AirflowSkipException) as skipped, around():
        skipping.execute({})
    # Airflow logs the first argument as one field, where line breaks are no lines.
    assert skipped.value.args == ("dynamics365: failed: 0 of 1 scopes good.",)
    assert 1 == caplog.text.count("\n- contoso / customer_engagement: failed (job J1")
    assert str(skipped.value) in caplog.text

    simulator.patch_job("dynamics365", "J1", state="success")
    task.execute({})
    assert 1 == caplog.text.count(
        "verified in 1 of 1 scopes.\n- contoso / customer_engagement: passed (job J1"
    )


def test_outside_of_a_task_the_ledger_names_the_operator(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two scripts that guard different things are told apart by their ``task_id``, in any run."""
    connect()
    file = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(file))
    simulator.add_job("dynamics365", organization_id="contoso", state="success")

    for _ in range(2):
        check(ledger_conn_id="ledger").execute({})

    with Ledger("ledger") as ledger:
        rows = list(ledger.iter_rows(select(VERDICTS.c.dag_id, VERDICTS.c.task_id, VERDICTS.c.run_id)))
    assert list(map(dict, rows)) == [{"dag_id": None, "task_id": "check", "run_id": None}] * 2
