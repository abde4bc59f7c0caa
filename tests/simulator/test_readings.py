"""The endpoints beside jobs and licences: what they show at first, and how the control API sets them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS

from .caller import CUSTOMER, Caller

READINGS = [(product, reading) for product in PRODUCTS.values() for reading in product.readings]


def ask(
    caller: Caller, product: str, name: str, *, ids: dict[str, str] | None = None, **question: Any
) -> Any:
    """Return the response of a reading's endpoint."""
    (reading,) = (each for each in PRODUCTS[product].readings if each.name == name)
    path = reading.path.format(**{**reading.defaults, **(ids or {})})
    body = {"json": question.pop("json")} if "json" in question else {}
    window = dict.fromkeys(reading.window, "2026-01-01")
    headers = {"Authorization": f"Bearer {caller.token(reading.scope)}"}
    query = {name: value for name, value in {**window, **question}.items() if value is not None}
    return caller.http.request(reading.method, path, params=query, headers=headers, **body)


def test_each_has_a_value_of_its_own(avepoint: Simulator, caller: Caller) -> None:
    """The value is sent as it was set, also where it is odd, until the next reset."""
    for product, reading in READINGS:
        avepoint.reset()
        caller.forget_tokens()
        first = ask(caller, product.name, reading.name).json()
        for value in (None, [], [{"a": 1}], {"b": None}, "text"):
            answer = caller.http.put(
                f"/control/readings/{product.name}/{reading.name}", json={"value": value}
            )
            assert answer.json() == {"name": reading.name, "value": value}
            shown = ask(caller, product.name, reading.name).json()
            for key in filter(None, reading.payload_key.split(".")):
                shown = shown[key]
            nested = (product.name, reading.name) == ("m365", "unusual_activity")
            if not (reading.wanted and value == [{"a": 1}]):
                assert (reading.name, {"data": value} if nested else value) == (reading.name, shown)
        avepoint.reset()
        caller.forget_tokens()
        again = ask(caller, product.name, reading.name).json()
        assert _payload(again, reading.payload_key) == _payload(first, reading.payload_key)


def test_each_needs_its_own_permission(caller: Caller) -> None:
    for product, reading in READINGS:
        path = reading.path.format(**reading.defaults)
        for token, status in ((caller.token("dynamics.readwrite.all"), 403), ("none", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            response = caller.http.request(reading.method, path, headers=headers)
            assert (product.name, reading.name, status) == (product.name, reading.name, response.status_code)


def test_a_window_is_required_and_selects_alerts(avepoint: Simulator, caller: Caller) -> None:
    for product, name in (("m365", "unusual_activity"), ("salesforce", "monitor_alerts")):
        for parameter in ("startTime", "finishTime"):
            assert 400 == ask(caller, product, name, **{parameter: None}).status_code
            assert 400 == ask(caller, product, name, **{parameter: "yesterday"}).status_code
    rows = [{"collectTime": f"2026-01-0{day}T00:00:00Z"} for day in (1, 2, 3)] + [{"collectTime": None}]
    avepoint.set_reading("salesforce", "monitor_alerts", rows)

    def days(**question: Any) -> list[Any]:
        found = ask(caller, "salesforce", "monitor_alerts", **question).json()["data"]
        return [rows.index(row) for row in found]

    assert [0, 3] == days()
    assert [1, 2, 3] == days(startTime="2026-01-02", finishTime="2026-01-03")
    avepoint.set_quirks("salesforce", ignored_parameters=["finishTime"])
    assert [1, 2, 3] == days(startTime="2026-01-02", finishTime="2026-01-02")


def test_an_organisation_selects_rows(avepoint: Simulator, caller: Caller) -> None:
    rows = [{"organizationId": name} for name in "ab"]
    avepoint.set_reading("salesforce", "unusual_activity", rows)

    assert rows[:1] == ask(caller, "salesforce", "unusual_activity", organizationId="a").json()["data"]
    avepoint.set_quirks("salesforce", ignored_parameters=["organizationId"])
    assert rows == ask(caller, "salesforce", "unusual_activity", organizationId="a").json()["data"]


def test_locations(avepoint: Simulator, caller: Caller) -> None:
    """Settings are of one location, by default the central one; unusual activity is of all."""
    for name in ("schedule", "unusual_activity"):
        avepoint.set_reading("m365", name, [{"at": "centre"}])
        avepoint.set_reading("m365", name, [{"at": "EUR"}], location="EUR")

    def places(name: str, **question: Any) -> list[str]:
        data = ask(caller, "m365", name, **question).json()["data"]
        return [row["at"] for row in (data if name == "schedule" else data["data"])]

    assert ["centre"] == places("schedule") == places("schedule", location="PrimaryGeoLocation")
    assert ["EUR"] == places("schedule", location="eur") == places("unusual_activity", location="EUR")
    assert ["centre", "EUR"] == places("unusual_activity")
    assert ["centre"] == places("unusual_activity", location="NAM")
    assert 400 == ask(caller, "m365", "schedule", location="MARS").status_code


def test_the_older_form_of_unusual_activity(avepoint: Simulator, caller: Caller) -> None:
    avepoint.set_reading("m365", "unusual_activity", [{"serviceType": 1}])
    avepoint.set_quirks("m365", activity_form="flat")
    assert [{"serviceType": 1}] == ask(caller, "m365", "unusual_activity").json()["data"]


def test_customers_tenants_and_profiles(avepoint: Simulator, caller: Caller) -> None:
    """A value is of the ids in its path; ids that nobody has set are unknown."""
    avepoint.set_reading("elements", "users", [{"email": "a"}, {"email": "b"}], tenant_id="T1")

    def emails(**question: Any) -> list[str]:
        response = ask(caller, "elements", "users", ids={"tenantId": "t1"}, **question)
        return [row["email"] for row in response.json()["data"]]

    assert ["a", "b"] == emails(json={}) == emails(json={"userEmails": []})
    assert ["b"] == emails(json={"userEmails": ["B", "nobody"]}) == emails(json={}, pageIndex=2, pageSize=1)
    response = ask(caller, "elements", "users", ids={"tenantId": "t1"}, json={"userEmails": "a"})
    assert (400, "userEmails") == (response.status_code, response.json()["errors"][0]["field"])
    for ids in ({"tenantId": "t2"}, {"customerId": "c2"}, {"customerId": "c2", "tenantId": "t1"}):
        assert 404 == ask(caller, "elements", "users", ids=ids, json={}).status_code
    avepoint.set_reading("elements", "scan_changes", {"x": 1}, organization_id="c2", profile_id="p")
    ids = {"customerId": "c2", "scanProfileId": "P"}
    assert {"x": 1} == ask(caller, "elements", "scan_changes", ids=ids).json()


def test_values_that_are_refused(avepoint: Simulator, caller: Caller) -> None:
    refused: list[tuple[str, str, dict[str, Any], int]] = [
        ("m366", "schedule", {"value": []}, 404),
        ("m365", "scedule", {"value": []}, 404),
        ("dynamics365", "schedule", {"value": []}, 404),
        ("m365", "schedule", {}, 422),
        ("m365", "schedule", {"value": [], "place": "NAM"}, 422),
        ("m365", "schedule", {"value": [], "location": "MARS"}, 400),
        ("m365", "schedule", {"value": [], "organization_id": CUSTOMER}, 400),
        ("salesforce", "monitor_alerts", {"value": [], "location": "NAM"}, 400),
        ("elements", "overview", {"value": [], "tenant_id": "t"}, 400),
        ("elements", "overview", {"value": [], "location": "NAM"}, 400),
    ]
    for product, name, change, status in refused:
        response = caller.http.put(f"/control/readings/{product}/{name}", json=change)
        assert (product, name, change, status) == (product, name, change, response.status_code)
    with pytest.raises(ValueError, match="unknown m365 reading"):
        avepoint.set_reading("m365", "scedule", [])


def _payload(answer: Any, payload_key: str) -> Any:
    return answer if payload_key == "" else answer[payload_key]
