"""Rows of the ledger that this release does not understand: they are never good, and hide no other row."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.ledger.tables import AUDITS, JOBS, PROTECTION_AUDITS, VERDICTS
from airflow_provider_avepoint.page import reading
from airflow_provider_avepoint.report.backups import Outcome, Period
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights, save_protection
from tests.report.test_gates import guard

ODD = ["null", "5", "[]", "{}", '"x"', "", '{"policy": {}, "scopes": [{"scope": {"organization_id": 5}}]}']
MONTH = Period(now=NOW, days=30)


def test_a_verdict_that_is_not_understood_hides_no_other(ledger: Ledger) -> None:
    jobs = [job(night) for night in nights(7)]
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs)
    plain = read_report(ledger, MONTH, None)
    for number, evidence in enumerate(
        [*ODD, '{"policy": {}, "scopes": [{"scope": {"organization_id": 5}, "passed": true, "reason": "x"}]}']
    ):
        task = {"dag_id": "odd", "run_id": str(number), "task_id": "t", "map_index": -1, "try_number": 1}
        with ledger._engine.begin() as connection:
            row = dict(next(iter(ledger.iter_rows(VERDICTS.select()))))
            row |= {
                "verdict_id": str(number),
                "evidence": evidence,
                "passed": False,
                "judged_at": NOW,
                **task,
            }
            connection.execute(VERDICTS.insert(), [row])

    report = read_report(ledger, MONTH, None)
    odd = [each for each in report.verdicts if each.gate == "odd.t"]

    assert report.scopes == plain.scopes
    assert [(each.passed, each.judged, each.scopes) for each in odd if each.judged == 0][: len(ODD)] == [
        (False, 0, ())
    ] * len(ODD)


def test_the_page_shows_a_verdict_that_is_not_understood(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(night) for night in nights(7)]
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs)
    monkeypatch.setenv("AIRFLOW__AVEPOINT__LEDGER_CONN_ID", "ledger")
    for evidence in ODD:
        with ledger._engine.begin() as connection:
            connection.execute(update(VERDICTS).values(evidence=evidence))

        snapshot = reading.read_snapshot(None)
        scope = snapshot.find(reading.key_of(read_report(ledger, MONTH, None).scopes[0].place))

        assert scope is not None
        assert b'"verdicts":[]' in reading.read_scope(snapshot, scope)
        assert b'"scopes":[]' in reading.read_verdicts(None)


@pytest.mark.parametrize(
    ("values", "now", "message"),
    [
        ({"state": "verified"}, Outcome.UNKNOWN, None),
        ({"problems": "null"}, Outcome.UNKNOWN, None),
        ({"problems": "[5]"}, Outcome.UNKNOWN, None),
        ({"errors": '[{"message": "m", "kind": 1}]'}, Outcome.GOOD, "m"),
        ({"errors": "null"}, Outcome.GOOD, "The ledger's row of the errors is not understood."),
        ({"errors": '[{"message": 5}]'}, Outcome.GOOD, "The ledger's row of the errors is not understood."),
    ],
)
def test_a_job_that_is_not_understood_hides_no_other(
    ledger: Ledger, values: dict[str, str], now: Outcome, message: str | None
) -> None:
    fill(ledger, "contoso", [job(night) for night in nights(7)])
    fill(ledger, "other", [job(night) for night in nights(7)])
    with ledger._engine.begin() as connection:
        connection.execute(
            update(JOBS).where(JOBS.c.tenant == "other", JOBS.c.started_at > NOW - DAY).values(values)
        )

    report = read_report(ledger, MONTH, None)

    assert {each.place.tenant: each.current for each in report.scopes} == {"contoso": "good", "other": now}
    assert [each.message for each in report.failures] == ([] if message is None else [message])


def test_an_audit_and_a_load_that_are_not_understood_hide_nothing(ledger: Ledger) -> None:
    fill(ledger, "contoso", [job(night) for night in nights(7)])
    save_protection(ledger, HOUR)
    ledger.save_audit(
        "contoso", Audit(product="m365", audited_at=NOW - HOUR, near_limit=0.9, forecast_days=30)
    )
    stream = Stream(
        tenant="contoso", product="dynamics365", location="", organization_id="", selection="null"
    )
    moment = NOW - HOUR
    ledger.save_load_point(stream, LoadPoint(loaded_from=moment, resume_from=moment, begun_at=moment), None)
    for findings in ("null", '[{"reason": "near"}]', ""):
        with ledger._engine.begin() as connection:
            for table in (AUDITS, PROTECTION_AUDITS):
                connection.execute(update(table).values(findings=findings))

        report = read_report(ledger, MONTH, None)

        assert [each.current for each in report.scopes] == ["good"]
        assert [each.reason for _, audit in report.audits for each in audit.findings] == ["not_understood"]
        texts = [each.text for each in report.list_attention()]
        assert any("findings is not understood" in each for each in texts)
