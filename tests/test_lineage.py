"""Lineage: the judged backups are a gate's inputs, under the names that their assets have."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_avepoint.assets import convert_asset_to_openlineage, create_asset
from airflow_provider_avepoint.exceptions import AvePointBackupNotVerified
from airflow_provider_avepoint.operators.avepoint import AvePointBackupCheckOperator
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
