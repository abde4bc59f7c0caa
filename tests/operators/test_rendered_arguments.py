"""What templates make of a value reaches each argument, or is refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_avepoint.operators.avepoint import (
    AvePointBackupCheckOperator,
    AvePointJobsToSqlOperator,
    AvePointLicenseAuditOperator,
    AvePointListJobsOperator,
    AvePointReportOperator,
    AvePointRestoreOperator,
)
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator

GATE = {"product": "dynamics365", "max_age": "24h"}
CLASSES: list[tuple[type, dict[str, Any]]] = [
    (AvePointBackupCheckOperator, GATE),
    (AvePointBackupSensor, GATE),
    (AvePointJobSensor, {"product": "dynamics365", "job_id": "J1"}),
    (AvePointListJobsOperator, {"product": "dynamics365", "path": "jobs.jsonl"}),
    (AvePointJobsToSqlOperator, {"product": "dynamics365"}),
    (AvePointLicenseAuditOperator, {}),
    (AvePointReportOperator, {"path": "report.html"}),
    (
        AvePointRestoreOperator,
        {
            "service": "teams",
            "site_url": "https://contoso.sharepoint.com/sites/canary",
            "library": "Documents",
            "files": "a.txt",
            "recovery_time": "2026-11-01T00:00:00Z",
        },
    ),
]


def render(cls: type, context: dict[str, Any], *, native: bool = False, **arguments: Any) -> Any:
    """Return a task whose templates have been rendered."""
    with DAG("rendered", schedule=None, render_template_as_native_obj=native):
        task: Any = cls(task_id="look", **arguments)
    task.render_template_fields(context, task.get_template_env())
    return task


@pytest.mark.parametrize(("cls", "given"), CLASSES, ids=[cls.__name__ for cls, _ in CLASSES])
def test_a_template_that_renders_none_is_refused(
    simulator: Simulator,
    connect: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cls: Any,
    given: dict[str, Any],
) -> None:
    """In every field, before anything is asked or written: nobody's tenant or file is called None."""
    connect()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    silent = []
    for name in cls.template_fields:
        task = render(cls, {"given": None}, **given | {name: "{{ given }}"})
        with pytest.raises(AirflowFailException) as caught:
            task.execute({})
        message = str(caught.value)
        if not message.startswith(f"{name}: 'None'") or "A template has rendered None" not in message:
            silent.append((name, message))

    assert silent == []
    assert simulator.requests() == []
    assert [path for path in tmp_path.iterdir() if path.suffix != ".db"] == []


def test_an_empty_text_is_no_tenant(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    task = AvePointBackupCheckOperator(task_id="look", tenant=" ", **GATE)

    with pytest.raises(AirflowFailException, match=r"^tenant: ' ' names nothing"):
        task.execute({})

    assert simulator.requests() == []


@pytest.mark.parametrize(
    ("ids", "native"),
    [
        (["{{ given }}", "other"], True),
        (["{{ given }}\n", "other"], False),
        ([123.0, "other", 123], False),
        ('["{{ given }}", "other"]', False),
        ("[{{ given }}, 'other']", True),
    ],
)
def test_numbers_are_ids(
    simulator: Simulator, connect: Callable[..., str], ids: Any, *, native: bool
) -> None:
    """A native template makes a number of a text that looks like one."""
    connect()
    simulator.add_job("dynamics365", organization_id="123", state="failed")
    simulator.add_job("dynamics365", organization_id="other", state="success")
    task = render(
        AvePointBackupCheckOperator,
        {"given": "123", "reason": "2026"},
        native=native,
        **GATE,
        organization_ids=ids,
        exclude=[
            {"organization_id": "{{ given }}", "until": "2999-12-31T00:00:00Z", "reason": "{{ reason }}"}
        ],
    )

    evidence = task.execute({})

    assert {scope["scope"]["organization_id"]: scope["reason"] for scope in evidence["scopes"]} == {
        "123": "excluded",
        "other": "passed",
    }
    assert evidence["policy"]["exclude"][0]["reason"] == "2026"


def test_a_job_is_found_by_a_number(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.add_job("dynamics365", job_id="123", organization_id="7", state="success")
    task = render(
        AvePointJobSensor,
        {"job": "123"},
        native=True,
        product="dynamics365",
        job_id="{{ job }}",
        organization_id=7.0,
    )

    assert task.execute({})["job_id"] == "123"


@pytest.mark.parametrize("native", [False, True])
def test_a_rendered_timedelta_is_a_time_span(
    simulator: Simulator, connect: Callable[..., str], *, native: bool
) -> None:
    connect()
    simulator.add_job("dynamics365", state="success", started_ago=3600)
    task = render(
        AvePointBackupCheckOperator,
        {"span": timedelta(hours=24)},
        native=native,
        product="dynamics365",
        max_age="{{ span }}",
        expect_seen_within="P2D",
    )

    policy = task.execute({})["policy"]

    assert (policy["max_age"], policy["expect_seen_within"]) == (86400, 172800)


def test_a_list_in_pythons_words_is_refused_with_the_way_out(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    connect()
    task = render(AvePointBackupCheckOperator, {"ids": ["a", "b"]}, **GATE, organization_ids="{{ ids }}")

    with pytest.raises(AirflowFailException, match=r"^organization_ids: .*\{\{ … \| tojson \}\}"):
        task.execute({})

    assert simulator.requests() == []
