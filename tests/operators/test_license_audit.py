"""The licence audit: each reason, each boundary, and what a breach does to the task."""

from __future__ import annotations

import inspect
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from sqlalchemy import select

from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.exceptions import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointLedgerError,
    AvePointLicenseBreach,
    AvePointPayloadError,
    AvePointRequestError,
)
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import LICENSES
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


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an Airflow home of this test, where its ledger is."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    """Return the ledger that a task without ``ledger_conn_id`` writes to."""
    with Ledger() as ledger:
        yield ledger


def recorded(ledger: Ledger) -> list[dict[str, Any]]:
    return [dict(row) for row in ledger.iter_rows(select(LICENSES).order_by(LICENSES.c.tenant))]


def record_seats(
    ledger: Ledger, seats: Iterable[int], tenant: str = "avepoint_default", **fields: Any
) -> None:
    """Record weekly readings of assigned seats, the last a week ago."""
    now = datetime.now(UTC)
    for weeks, assigned in enumerate(reversed(list(seats)), 1):
        figures = {"product": "m365", "purchased_user_seats": 100, "assigned_user_seats": assigned}
        consumption = LicenseConsumption(**figures | fields)
        ledger.save_licenses(tenant, [consumption], now - timedelta(weeks=weeks))


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
    shown = ("tenant", "passed", "reasons", "findings", "notes", "near_limit", "forecast_days")
    assert {name: result[name] for name in shown} == {
        "tenant": "avepoint_default",
        "passed": True,
        "reasons": [],
        "findings": [],
        "notes": [],
        "near_limit": 0.9,
        "forecast_days": 30,
    }
    assert result["consumptions"] == [result["consumption"]]
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
        "service": None,
        "organization_id": None,
        "organization_name": None,
        "location": None,
        "expires_at": None,
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
def test_each_reason(simulator: Simulator, connect: Callable[..., str], product: str) -> None:
    connect()

    for name, (figures, reasons) in FIGURES.items():
        simulator.set_license(product, **(WITHIN | figures))
        result = audit(product=product, on_breach="warn").execute({})
        assert (result["reasons"], result["passed"]) == (reasons, not reasons), name


def test_a_ratio_over_nothing_purchased_is_none(simulator: Simulator, connect: Callable[..., str]) -> None:
    """There is another licence model then, and no limit."""
    connect()
    simulator.set_license("m365", **(WITHIN | {"purchased_user_seats": 0, "purchased_storage_size": 0}))

    result = audit().execute({})

    consumption = result["consumption"]
    assert (consumption["seat_ratio"], consumption["storage_ratio"]) == (None, None)
    assert (result["passed"], result["forecast"]) == (True, [])
    assert result["notes"] == [
        "m365: seats: 47 seats used, none purchased: another licence model, without a limit",
        "m365: storage: 500 GB used, none purchased: another licence model, without a limit",
    ]


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


def test_near_limit_decides(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.set_license("m365", **(WITHIN | {"protected_size": 0}))

    for near_limit, reasons in (
        (0.47, ["near_limit"]),
        ("0.47", ["near_limit"]),
        (0.48, []),
        (1, []),
        ("1", []),
    ):
        result = audit(near_limit=near_limit, on_breach="warn").execute({})
        assert (result["reasons"], result["near_limit"]) == (reasons, float(near_limit))


def test_the_very_share_is_near(simulator: Simulator, connect: Callable[..., str]) -> None:
    """The boundary belongs to it, whatever binary fractions make of decimal ones."""
    connect()
    shares, sizes = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95), (20, 60, 100, 140, 1000)
    for near_limit, purchased in itertools.product(shares, sizes):
        used = round(near_limit * purchased)
        figures = {"purchased_user_seats": purchased, "assigned_user_seats": used, "protected_size": 0}
        simulator.set_license("m365", **(WITHIN | figures))

        result = audit(near_limit=near_limit, on_breach="warn").execute({})

        assert result["reasons"] == ["near_limit"], (near_limit, purchased, used)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_missing_figure_is_not_nothing_used(
    simulator: Simulator, connect: Callable[..., str], product: str
) -> None:
    connect()

    for figure in WITHIN.keys() - {"out_of_policy_time"}:
        simulator.set_license(product, **(WITHIN | {figure: None}))
        with pytest.raises(AvePointPayloadError) as caught:
            audit(product=product, on_breach="skip").execute({})
        assert figure.replace("_", "") in str(caught.value).casefold()
        assert not isinstance(caught.value, AirflowFailException)


def test_a_policy_that_is_not_told_is_noted(simulator: Simulator, connect: Callable[..., str]) -> None:
    """The audit compares the figures by which a licence goes out of policy: the rest is no breach."""
    connect()
    simulator.set_license("m365", **(WITHIN | {"out_of_policy_time": None}))

    result = audit().execute({})

    assert result["passed"]
    assert result["notes"] == [
        "m365: outOfPolicyTime is missing, so nobody knows whether the licence is out of policy"
    ]
    assert result["consumption"]["problems"] == [result["notes"][0].removeprefix("m365: ")]


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

    assert audit().execute({})["tenant"] == "avepoint_default"
    with pytest.raises(AvePointAuthError):
        audit(avepoint_conn_id="another").execute({})


BAD_VALUES: dict[str, list[Any]] = {
    "product": ["nonsense", "dynamics365", None],
    "near_limit": [0, 1.1, -0.5, "90%", "nan", True, None],
    "forecast_days": [-1, 3651, 1.5, "soon", True, None],
    "organization_id": ["c1"],
    "on_breach": ["raise", "", None],
    "avepoint_conn_id": ["elsewhere"],
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_named_and_nothing_is_sent(
    simulator: Simulator, connect: Callable[..., str], name: str
) -> None:
    connect()

    for value in BAD_VALUES[name]:
        with pytest.raises(AirflowFailException, match=name):
            pytest.fail(f"an audit takes {value!r}: {audit(**{name: value}).execute({})}")

    assert simulator.requests() == []


def test_templates_are_rendered(
    simulator: Simulator, connect: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("another")
    monkeypatch.setenv(
        "AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(home / "own.db")})
    )
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 60}), location="EUR")
    given = {
        "tenant": "contoso",
        "ledger_conn_id": "ledger",
        "forecast_days": "60",
        "organization_id": "",
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

    task.organization_id = None  # nothing else goes with Microsoft 365
    result = task.execute({})
    assert (result["reasons"], result["forecast_days"]) == (["near_limit"], 60)
    with Ledger("ledger") as ledger:
        (row,) = recorded(ledger)
    assert (row["tenant"], row["location"], row["assigned_user_seats"]) == ("contoso", "EUR", 60)


def test_default_args_and_mapping(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    simulator.set_license("m365", **WITHIN)
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 120}), location="EUR")
    with DAG("defaults", schedule=None, default_args={"near_limit": 0.4, "on_breach": "warn"}):
        mapped = AvePointLicenseAuditOperator.partial(task_id="audit").expand(location=["EUR", "GBR"])

    reasons = [mapped.unmap({"location": place}).execute({})["reasons"] for place in ("EUR", "GBR")]

    assert reasons == [["over_assigned", "near_limit"], ["near_limit"]]


def test_a_reading_is_recorded(simulator: Simulator, connect: Callable[..., str], ledger: Ledger) -> None:
    """Of two within an hour the later one holds; each tenant, and each location, has its own."""
    connect()
    connect("another")
    now = datetime.now(UTC)
    for seats in (10, 20):
        simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": seats}))
        audit().execute({})
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 30}), location="EUR")
    audit(avepoint_conn_id="another", location="EUR").execute({})

    rows = recorded(ledger)

    names = ("tenant", "product", "location", "assigned_user_seats", "purchased_storage_gb")
    assert {tuple(row[name] for name in names) for row in rows} >= {
        ("another", "m365", "EUR", 30, 1000),
        ("avepoint_default", "m365", "", 20, 1000),
    }
    assert all(now <= row["read_at"] <= datetime.now(UTC) for row in rows)
    assert len({(row["tenant"], row["location"], row["hour"]) for row in rows}) == len(rows)


def test_a_breach_is_recorded_too(simulator: Simulator, connect: Callable[..., str], ledger: Ledger) -> None:
    connect()
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 120}))

    with pytest.raises(AvePointLicenseBreach):
        audit().execute({})

    assert [row["assigned_user_seats"] for row in recorded(ledger)] == [120]


@pytest.mark.parametrize(("seats", "readings"), [([], 1), ([60, 67], 3)])
def test_too_little_history_is_said(
    simulator: Simulator, connect: Callable[..., str], ledger: Ledger, seats: list[int], readings: int
) -> None:
    connect()
    record_seats(ledger, seats)
    simulator.set_license("m365", **WITHIN)

    result = audit().execute({})

    shown = {
        each["of"]: (each["has_enough_history"], each["estimate"], each["crossing"])
        for each in result["forecast"]
    }
    assert shown == {"seats": (False, None, None), "storage": (False, None, None)}
    assert f"too little history for a forecast: readings so far {readings}" in result["forecast"][0]["text"]
    assert result["passed"]


@pytest.mark.parametrize(
    ("forecast_days", "reasons"), [(30, ["forecast"]), ("20", ["forecast"]), (17, []), (0, [])]
)
def test_a_trend_that_reaches_the_limit(
    simulator: Simulator,
    connect: Callable[..., str],
    ledger: Ledger,
    forecast_days: int | str,
    reasons: list[str],
) -> None:
    """Seven seats a week, 81 today: 100 in 19 days."""
    connect()
    record_seats(ledger, [60, 67, 74])
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 81}))

    result = audit(on_breach="warn", forecast_days=forecast_days).execute({})

    assert json.loads(json.dumps(result)) == result
    (seats,) = (each for each in result["forecast"] if each["of"] == "seats")
    assert (result["reasons"], seats["readings"], seats["limit"]) == (reasons, 4, 100)
    assert bool(seats["crossing"]) == bool(reasons)
    if reasons:
        day = datetime.now(UTC) + timedelta(days=19)
        assert abs(datetime.fromisoformat(seats["crossing"]["expected"]) - day) < timedelta(hours=1)
        assert result["findings"] == [f"m365: forecast: {seats['text']}"]


def test_a_forecast_fails_the_task_with_limit_date_and_range(
    simulator: Simulator, connect: Callable[..., str], ledger: Ledger
) -> None:
    connect()
    record_seats(ledger, [60, 65, 76])
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 81}))

    with pytest.raises(AvePointLicenseBreach, match=r"the 100 seats purchased about 20..-..-.. \(95 %: 20"):
        audit().execute({})


def test_a_history_is_of_this_licence_alone(
    simulator: Simulator, connect: Callable[..., str], ledger: Ledger
) -> None:
    """Not another tenant's, product's or location's, nor one that is older than 90 days."""
    connect()
    record_seats(ledger, [60, 67, 74], tenant="another")
    record_seats(ledger, [60, 67, 74], product="m365_legacy")
    record_seats(ledger, [60, 67, 74], location="EUR")
    record_seats(ledger, [60, 67, *(None,) * 13], purchased_user_seats=None)
    simulator.set_license("m365", **(WITHIN | {"assigned_user_seats": 81}))

    assert {each["readings"] for each in audit().execute({})["forecast"]} == {1}
    assert audit(tenant="another", on_breach="warn").execute({})["reasons"] == ["forecast"]


def test_the_limit_is_todays(simulator: Simulator, connect: Callable[..., str], ledger: Ledger) -> None:
    """More was bought: what was near is not any more."""
    connect()
    record_seats(ledger, [60, 67, 74])
    simulator.set_license("m365", **(WITHIN | {"purchased_user_seats": 400, "assigned_user_seats": 81}))

    result = audit().execute({})

    assert [each["limit"] for each in result["forecast"]] == [400, 1000]
    assert result["passed"]


def test_an_end_ahead_is_a_reason(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    in_ten_days = ticks(datetime.now(UTC) + timedelta(days=10))
    simulator.set_license("m365", **(WITHIN | {"out_of_policy_time": in_ten_days}))

    assert audit(on_breach="warn").execute({})["reasons"] == ["expires_soon"]
    assert audit(on_breach="warn", forecast_days=9).execute({})["reasons"] == []


# Elements


@pytest.fixture
def partner(simulator: Simulator, connect: Callable[..., str]) -> Simulator:
    """Return the simulator with two customers of a partner."""
    connect()
    simulator.set_license(
        "elements",
        organization_id="C1",
        organization_name="Contoso",
        service="Backup",
        purchased_storage_size=None,
        protected_size=None,
    )
    simulator.set_license(
        "elements",
        organization_id="C1",
        organization_name="Contoso",
        service="Azure",
        purchased_user_seats=None,
        purchased_storage_size=500,
        protected_size=501,
    )
    simulator.set_license(
        "elements",
        organization_id="C2",
        organization_name="Umbrella\n<b>",
        service="Backup",
        assigned_user_seats=124,
        purchased_storage_size=0,
        protected_size=0,
        expiration_date="2020-01-31",
    )
    return simulator


def test_subscriptions_of_a_partner(partner: Simulator, ti: TaskInstance, ledger: Ledger) -> None:
    with pytest.raises(AvePointLicenseBreach) as caught:
        audit(product="elements").execute({"ti": ti})

    (result,) = ti.xcoms.values()
    assert result["reasons"] == ["storage_over", "over_assigned", "expired"]
    assert set(caught.value.reasons) == set(result["reasons"])
    assert result["findings"] == [
        "elements, Contoso, Azure: storage_over: 501 GB protected, 500 purchased",
        "elements, Umbrella <b>, Backup: over_assigned: 124 seats assigned, 100 purchased",
        "elements, Umbrella <b>, Backup: expired: the subscription ended on 2020-01-31",
    ]
    assert str(caught.value) == "; ".join(result["findings"]) + "."
    assert [(each["organization_id"], each["service"]) for each in result["consumptions"]] == [
        ("C1", "Backup"),
        ("C1", "Azure"),
        ("C2", "Backup"),
    ]
    assert result["consumption"] is None
    assert [(each["organization_id"], each["service"], each["of"]) for each in result["forecast"]] == [
        ("C1", "Backup", "seats"),
        ("C1", "Azure", "storage"),
        ("C2", "Backup", "seats"),
    ]
    assert [(row["organization_id"], row["service"]) for row in recorded(ledger)] == [
        ("C1", "Azure"),
        ("C1", "Backup"),
        ("C2", "Backup"),
    ]


def test_one_customer_of_a_partner(partner: Simulator) -> None:
    result = audit(product="elements", organization_id="C2", on_breach="warn").execute({})

    assert result["consumption"]["organization_name"] == "Umbrella\n<b>"
    assert result["reasons"] == ["over_assigned", "expired"]
    with pytest.raises(AvePointRequestError, match="no subscription of any customer c3"):
        audit(product="elements", organization_id="c3").execute({})


def test_a_subscription_has_its_own_trend(partner: Simulator, ledger: Ledger) -> None:
    for organization_id, seats in (("C1", [60, 67, 74]), ("C2", [1, 1, 1])):
        record_seats(ledger, seats, product="elements", organization_id=organization_id, service="Backup")
    partner.set_license("elements", organization_id="C1", service="Backup", assigned_user_seats=81)

    result = audit(product="elements", organization_id="C1", on_breach="warn").execute({})

    assert [(each["service"], each["readings"], bool(each["crossing"])) for each in result["forecast"]] == [
        ("Backup", 4, True),
        ("Azure", 1, False),
    ]


def test_message_and_log_name_the_first_of_many(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once: the error's message is not logged beside the error. The result has all."""
    connect()
    monkeypatch.setattr(AvePointLicenseAuditOperator, "log", logging.getLogger("task"))
    for index in range(30):
        simulator.set_license("elements", organization_id=f"c{index:02}", assigned_user_seats=101)

    with pytest.raises(AvePointLicenseBreach, match=r"c19, .*; and 10 more\.$") as caught:
        audit(product="elements").execute({})

    assert "c20" not in str(caught.value)
    assert "c19, Cloud" not in caplog.text
    assert len(audit(product="elements", on_breach="warn").execute({})["findings"]) == 30
    words = ("c19, Cloud", "c20, Cloud", "And 10 more findings.")
    assert [True, False, True] == [said in caplog.text for said in words]


# Many tenants, and ledgers that fail


def test_one_tenants_bad_credentials_do_not_hide_the_others_figures(
    simulator: Simulator, connect: Callable[..., str], ledger: Ledger
) -> None:
    """Each is a task of its own: the one fails for good, the others report and are recorded."""
    tenants = [connect("contoso"), connect("fabrikam", password="wrong"), connect("umbrella")]
    simulator.set_license("m365", **WITHIN)
    with DAG("tenants", schedule=None):
        mapped = AvePointLicenseAuditOperator.partial(task_id="audit").expand(avepoint_conn_id=tenants)

    outcomes: dict[str, Any] = {}
    for tenant in tenants:
        try:
            outcomes[tenant] = mapped.unmap({"avepoint_conn_id": tenant}).execute({})["tenant"]
        except AirflowFailException as e:
            outcomes[tenant] = type(e)

    assert outcomes == {"contoso": "contoso", "fabrikam": AvePointAuthError, "umbrella": "umbrella"}
    assert [row["tenant"] for row in recorded(ledger)] == ["contoso", "umbrella"]


def test_a_ledger_that_fails_comes_after_the_figures_were_logged(
    simulator: Simulator,
    connect: Callable[..., str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And may succeed at the next try."""
    connect()
    broken = home / "broken.db"
    broken.write_text("no database, but of some length, so that nobody takes it for an empty one")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(broken)}))
    simulator.set_license("m365", **WITHIN)
    monkeypatch.setattr(AvePointLicenseAuditOperator, "log", logging.getLogger("task"))

    with caplog.at_level(logging.INFO, "task"), pytest.raises(AvePointLedgerError) as caught:
        audit(ledger_conn_id="ledger").execute({})

    assert isinstance(caught.value, AirflowException)
    assert not isinstance(caught.value, AirflowFailException)
    assert "m365: 47 of 100 seats, 500 of 1000 GB." in caplog.text


def test_a_ledger_that_is_not_there(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()

    with pytest.raises(AvePointConfigError, match="ledger_conn_id") as caught:
        audit(ledger_conn_id="elsewhere").execute({})

    assert isinstance(caught.value, AirflowFailException)
