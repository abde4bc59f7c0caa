"""Lineage: the judged backups are a gate's inputs, under the names that their assets have."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_avepoint.assets import convert_asset_to_openlineage, create_asset
from airflow_provider_avepoint.exceptions import AvePointBackupNotVerified, AvePointJobFailed
from airflow_provider_avepoint.lineage import describe_drill
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator, AvePointRestoreOperator
from airflow_provider_avepoint.simulator import Simulator


def gate(**arguments: Any) -> AvePointBackupCheckOperator:
    return AvePointBackupCheckOperator(task_id="gate", product="dynamics365", max_age=86400, **arguments)


def test_each_scope_is_an_input(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.add_job("dynamics365", job_id="DCIB1", organization_id="con/toso", started_ago=600)
    operator = gate(organization_ids=["con/toso", "fabrikam"])
    with pytest.raises(AvePointBackupNotVerified):
        operator.execute({})

    lineage = operator.get_openlineage_facets_on_failure(None)

    inputs = {
        (each.namespace, each.name): each.facets["documentation"].description for each in lineage.inputs
    }
    place = "avepoint://avepoint_default"
    assert {(place, "dynamics365/con%2Ftoso/customer_engagement"), (place, "dynamics365/fabrikam")} == set(
        inputs
    )
    assert inputs[place, "dynamics365/con%2Ftoso/customer_engagement"].startswith(
        "passed: job DCIB1, success, started 20"
    )
    assert "missed" == inputs[place, "dynamics365/fabrikam"]
    assert [] == lineage.outputs
    assert ["DCIB1", None] == [read_version(each) for each in lineage.inputs]
    assert [{"backup_verified": True}, {"backup_verified": False}] == list(map(assertions, lineage.inputs))


def assertions(dataset: Any) -> dict[str, bool]:
    """Return the assertions of an input and their results, as data quality views read them."""
    facet = dataset.inputFacets.get("dataQualityAssertions")
    return {} if facet is None else {each.assertion: each.success for each in facet.assertions}


def read_version(dataset: Any) -> str | None:
    facet = dataset.facets.get("version")
    return None if facet is None else facet.datasetVersion


def test_what_is_not_judged_is_shown_and_asserts_nothing(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """An excluded scope neither passed nor failed."""
    connect()
    simulator.add_job("dynamics365", organization_id="a", started_ago=600)
    simulator.add_job("dynamics365", organization_id="b", state="failed", started_ago=600)
    operator = gate(exclude=[{"organization_id": "b", "until": "2099-01-01", "reason": "moved"}])
    operator.execute({})

    lineage = operator.get_openlineage_facets_on_complete(None)

    shown = {each.name.split("/")[1]: each for each in lineage.inputs}
    assert {"backup_verified": True} == assertions(shown["a"])
    assert {} == assertions(shown["b"])
    assert shown["b"].facets["documentation"].description.startswith("excluded")


def test_an_event_with_its_facets_can_be_sent(simulator: Simulator, connect: Callable[..., str]) -> None:
    """OpenLineage's own serialiser takes it, with the facets where the specification has them."""
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    connect()
    simulator.add_job("dynamics365", job_id="DCIB1", started_ago=600)
    operator = gate()
    operator.execute({})
    inputs = operator.get_openlineage_facets_on_complete(None).inputs

    run, job = Run(runId="00000000-0000-4000-8000-000000000000"), Job(namespace="test", name="gate")
    now = "2026-01-01T00:00:00Z"
    event = RunEvent(eventTime=now, run=run, job=job, eventType=RunState.COMPLETE, inputs=inputs)
    (sent,) = json.loads(Serde.to_json(event))["inputs"]

    assert "DCIB1" == sent["facets"]["version"]["datasetVersion"]
    (assertion,) = sent["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert ("backup_verified", True) == (assertion["assertion"], assertion["success"])


@pytest.mark.parametrize("ends_as", ["success", "failed"])
def test_a_restore_has_the_backup_as_its_input(
    simulator: Simulator, connect: Callable[..., str], ends_as: str
) -> None:
    """Under the name that a gate on the same backup has; neither the site nor its user is named."""
    connect(extra={"allow_restore": True})
    simulator.set_restores(runs_for=0, ends_as=ends_as)
    simulator.add_job("m365", workload="onedrive", location="EUR", started_ago=600)
    verified = AvePointBackupCheckOperator(
        task_id="gate", product="m365", object_types="onedrive", locations="EUR", max_age=86400
    )
    verified.execute({})
    drill = AvePointRestoreOperator(
        task_id="drill",
        service="onedrive",
        onedrive_upn="ada@contoso.example",
        library="Documents",
        files="canary/a.txt",
        recovery_time="2026-11-01T00:00:00Z",
        location="EUR",
        deferrable=False,
        poll_interval=0.05,
    )
    assert [] == drill.get_openlineage_facets_on_complete(None).inputs
    if ends_as == "success":
        drill.execute({})
    else:
        with pytest.raises(AvePointJobFailed):
            drill.execute({})

    lineage = drill.get_openlineage_facets_on_failure(None)

    (gated,), (restored,) = verified.get_openlineage_facets_on_complete(None).inputs, lineage.inputs
    assert (gated.namespace, gated.name) == (restored.namespace, restored.name)
    assert {"backup_restored": ends_as == "success"} == assertions(restored)
    assert "restored as of 2026-11-01T00:00:00Z: job " in restored.facets["documentation"].description
    assert read_version(restored) is None
    assert [] == lineage.outputs
    assert "ada" not in repr(lineage)


def test_a_gate_that_has_not_judged_has_no_input() -> None:
    assert [] == gate().get_openlineage_facets_on_complete(None).inputs


def test_without_the_provider_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("airflow.providers.openlineage"):
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert gate().get_openlineage_facets_on_complete(None) is None
    assert describe_drill("avepoint_default", None) is None


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"product": "m365"}, "m365"),
        ({"product": "m365", "avepoint_conn_id": "avepoint_default"}, "m365"),
        (
            {"product": "dynamics365", "avepoint_conn_id": "avepoint_default", "organization_id": "a b"},
            "dynamics365/a%20b",
        ),
    ],
    ids=str,
)
def test_an_asset_is_the_dataset_of_its_gate(fields: dict[str, str], name: str) -> None:
    dataset = convert_asset_to_openlineage(create_asset(**fields), None)

    assert ("avepoint://avepoint_default", name) == (dataset.namespace, dataset.name)
