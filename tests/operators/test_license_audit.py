"""The licence audit: each reason, each boundary, and what a breach does to the task."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_avepoint.exceptions import (
    AvePointAuthError,
    AvePointLicenseBreach,
    AvePointPayloadError,
)
from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator
from airflow_provider_avepoint.simulator import Simulator
from tests.sensors.modes import TaskInstance, World

PRODUCTS = ("m365", "m365_legacy")
WITHIN = {
    "purchased_user_seats": 100,
    "assigned_user_seats": 47,
    "purchased_storage_size": 1000,
    "protected_size": 500,
    "out_of_policy_time": 0,
}


def ticks(moment: datetime) -> int:
    """Return *moment* as the vendor writes it: ticks of 100 ns since the year 1."""
    since = moment - datetime(1, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10_000_000


def audit(**arguments: Any) -> AvePointLicenseAuditOperator:
    return AvePointLicenseAuditOperator(task_id="audit", **arguments)


@pytest.fixture
def ti(simulator: Simulator) -> TaskInstance:
    return TaskInstance(World(simulator))


@pytest.mark.parametrize("product", PRODUCTS)
def test_within_the_licence(
    simulator: Simulator, connect: Callable[..., str], ti: TaskInstance, product: str
) -> None:
    connect()
    simulator.set_license(product, **WITHIN)

    result = audit(product=product).execute({"ti": ti})

    assert json.loads(json.dumps(result)) == result
    assert {name: result[name] for name in ("passed", "reasons", "near_limit")} == {
        "passed": True,
        "reasons": [],
        "near_limit": 0.9,
    }
    assert result["consumption"] == {
        "product": product,
        "out_of_policy_at": None,
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 1000,
        "protected_gb": 500,
        "seat_ratio": 0.47,
        "storage_ratio": 0.5,
        "is_out_of_policy": False,
    }
    assert ti.xcoms == {}


LONG_AGO, NEXT_YEAR = datetime(2026, 1, 31, tzinfo=UTC), datetime.now(UTC) + timedelta(days=365)
FIGURES: dict[str, tuple[dict[str, int], list[str]]] = {
    "seats below": ({"assigned_user_seats": 89}, []),
    "seats near": ({"assigned_user_seats": 90}, ["near_limit"]),
    "seats full": ({"assigned_user_seats": 100}, ["near_limit"]),
    "seats over": ({"assigned_user_seats": 101}, ["over_assigned"]),
    "storage below": ({"protected_size": 899}, []),
    "storage near": ({"protected_size": 900}, ["near_limit"]),
    "storage full": ({"protected_size": 1000}, ["near_limit"]),
    "storage over": ({"protected_size": 1001}, ["storage_over"]),
    "seats over, storage near": (
        {"assigned_user_seats": 101, "protected_size": 950},
        ["over_assigned", "near_limit"],
    ),
    "both over": ({"assigned_user_seats": 101, "protected_size": 1001}, ["over_assigned", "storage_over"]),
    "out of policy": ({"out_of_policy_time": ticks(LONG_AGO)}, ["out_of_policy"]),
    "out of policy next year": ({"out_of_policy_time": ticks(NEXT_YEAR)}, []),
    "all at once": (
        {"assigned_user_seats": 200, "protected_size": 2000, "out_of_policy_time": ticks(LONG_AGO)},
        ["over_assigned", "storage_over", "out_of_policy"],
    ),
    "no seats purchased": ({"purchased_user_seats": 0, "assigned_user_seats": 47}, []),
    "no storage purchased": ({"purchased_storage_size": 0, "protected_size": 500}, []),
    "nothing used": ({"assigned_user_seats": 0, "protected_size": 0}, []),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("figures", "reasons"), FIGURES.values(), ids=FIGURES)
def test_each_reason(
    simulator: Simulator,
    connect: Callable[..., str],
    product: str,
    figures: dict[str, int],
    reasons: list[str],
) -> None:
    connect()
    simulator.set_license(product, **(WITHIN | figures))

    result = audit(product=product, on_breach="warn").execute({})

    assert (result["passed"], sorted(result["reasons"])) == (not reasons, sorted(reasons))


def test_a_ratio_over_nothing_purchased_is_none(simulator: Simulator, connect: Callable[..., str]) -> None:
    """There is another licence model then, and no limit."""
    connect()
    simulator.set_license("m365", **(WITHIN | {"purchased_user_seats": 0, "purchased_storage_size": 0}))

    consumption = audit().execute({})["consumption"]

    assert (consumption["seat_ratio"], consumption["storage_ratio"]) == (None, None)


def test_a_breach_fails_and_says_why(
    simulator: Simulator, connect: Callable[..., str], ti: TaskInstance
) -> None:
    connect()
    figures = {"assigned_user_seats": 120, "protected_size": 950, "out_of_policy_time": ticks(LONG_AGO)}
    simulator.set_license("m365", **(WITHIN | figures))

    with pytest.raises(AvePointLicenseBreach) as caught:
        audit().execute({"ti": ti})

    assert set(caught.value.reasons) == {"over_assigned", "near_limit", "out_of_policy"}
    for part in (*caught.value.reasons, "120", "100", "storage at 95%", "2026-01-31"):
        assert part in str(caught.value)
    assert isinstance(caught.value, AirflowException)
    assert not isinstance(caught.value, AirflowFailException)
    (result,) = ti.xcoms.values()
    assert (result["passed"], result["consumption"]["assigned_user_seats"]) == (False, 120)


@pytest.mark.parametrize("on_breach", ["fail", "skip", "warn"])
def test_on_breach_decides(simulator: Simulator, connect: Callable[..., str], on_breach: str) -> None:
    connect()
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 120}))
    task = audit(on_breach=on_breach)

    if on_breach == "warn":
        result = task.execute({})
        assert (result["passed"], result["reasons"]) == (False, ["over_assigned"])
    else:
        error = AvePointLicenseBreach if on_breach == "fail" else AirflowSkipException
        with pytest.raises(error, match="over_assigned"):
            task.execute({})


@pytest.mark.parametrize(
    ("near_limit", "reasons"),
    [(0.47, ["near_limit"]), ("0.47", ["near_limit"]), (0.48, []), (1, []), ("1", [])],
)
def test_near_limit_decides(
    simulator: Simulator, connect: Callable[..., str], near_limit: Any, reasons: list[str]
) -> None:
    connect()
    simulator.set_license("m365", **(WITHIN | {"protected_size": 0}))

    result = audit(near_limit=near_limit, on_breach="warn").execute({})

    assert (result["reasons"], result["near_limit"]) == (reasons, float(near_limit))


@pytest.mark.parametrize("near_limit", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_the_very_share_is_near(simulator: Simulator, connect: Callable[..., str], near_limit: float) -> None:
    """The boundary belongs to it, whatever binary fractions make of decimal ones."""
    connect()
    for purchased in (20, 60, 100, 140, 1000):
        used = round(near_limit * purchased)
        figures = {"purchased_user_seats": purchased, "assigned_user_seats": used, "protected_size": 0}
        simulator.set_license("m365", **(WITHIN | figures))

        result = audit(near_limit=near_limit, on_breach="warn").execute({})

        assert result["reasons"] == ["near_limit"], (purchased, used)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("figure", [name for name in WITHIN if name != "out_of_policy_time"])
def test_a_missing_figure_is_not_nothing_used(
    simulator: Simulator, connect: Callable[..., str], product: str, figure: str
) -> None:
    connect()
    simulator.set_license(product, **(WITHIN | {figure: None}))

    with pytest.raises(AvePointPayloadError) as caught:
        audit(product=product, on_breach="skip").execute({})

    assert figure.replace("_", "") in str(caught.value).casefold()
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_figures_at_all(simulator: Simulator, connect: Callable[..., str], product: str) -> None:
    connect()
    simulator.add_fault("missing_rows", path="/backup" if product == "m365" else "/cloudbackup")

    with pytest.raises(AvePointPayloadError):
        audit(product=product).execute({})


def test_the_product_decides(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.set_license("m365", **WITHIN)
    simulator.set_license("m365_legacy", **(WITHIN | {"assigned_user_seats": 120}))

    assert audit(on_breach="warn").execute({})["reasons"] == []
    assert audit(product="m365_legacy", on_breach="warn").execute({})["reasons"] == ["over_assigned"]


def test_the_location_decides(simulator: Simulator, connect: Callable[..., str]) -> None:
    """The one given, else the connection's own."""
    connect()
    connect("european", extra={"location": "EUR"})
    simulator.set_license("m365", **WITHIN)
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 120}), location="EUR")

    passed = [
        audit(on_breach="warn", **arguments).execute({})["passed"]
        for arguments in (
            {},
            {"location": "EUR"},
            {"location": "GBR"},
            {"avepoint_conn_id": "european"},
            {"avepoint_conn_id": "european", "location": "GBR"},
        )
    ]

    assert passed == [True, False, True, False, True]


def test_a_location_that_the_product_cannot_tell_is_refused(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    """The whole tenant's figures must not pass for one location's."""
    connect()
    simulator.set_license("m365_legacy", **WITHIN)

    with pytest.raises(AirflowFailException, match="location"):
        audit(product="m365_legacy", location="EUR").execute({})

    assert simulator.requests() == []


def test_the_connection_is_the_one_named(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    connect("another", password="wrong")

    assert audit().execute({})["passed"]
    with pytest.raises(AvePointAuthError):
        audit(avepoint_conn_id="another").execute({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("product", "nonsense"),
        ("product", "dynamics365"),
        ("product", None),
        ("near_limit", 0),
        ("near_limit", 1.1),
        ("near_limit", -0.5),
        ("near_limit", "90%"),
        ("near_limit", "nan"),
        ("near_limit", True),
        ("near_limit", None),
        ("on_breach", "raise"),
        ("on_breach", ""),
        ("on_breach", None),
        ("avepoint_conn_id", "elsewhere"),
    ],
)
def test_a_bad_value_is_named_and_nothing_is_sent(
    simulator: Simulator, connect: Callable[..., str], name: str, value: Any
) -> None:
    connect()

    with pytest.raises(AirflowFailException, match=name):
        audit(**{name: value}).execute({})

    assert simulator.requests() == []


def test_templates_are_rendered(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect("another")
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 60}), location="EUR")
    given = {
        "avepoint_conn_id": "another",
        "product": "m365",
        "near_limit": "0.6",
        "on_breach": "warn",
        "location": "EUR",
    }
    assert set(given) == set(AvePointLicenseAuditOperator.template_fields)
    assert set(given) == set(inspect.signature(AvePointLicenseAuditOperator).parameters) - {"kwargs"}
    task = audit(**{name: "{{ params." + name + " }}" for name in given})

    task.render_template_fields({"params": given}, task.get_template_env())

    assert task.execute({})["reasons"] == ["near_limit"]


def test_default_args_and_mapping(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.set_license("m365", **WITHIN)
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 120}), location="EUR")
    with DAG("defaults", schedule=None, default_args={"near_limit": 0.4, "on_breach": "warn"}):
        mapped = AvePointLicenseAuditOperator.partial(task_id="audit").expand(location=["EUR", "GBR"])

    reasons = [mapped.unmap({"location": place}).execute({})["reasons"] for place in ("EUR", "GBR")]

    assert reasons == [["over_assigned", "near_limit"], ["near_limit"]]
