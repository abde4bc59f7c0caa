"""The protection audit: each reason over sockets, what cannot be read, and what a finding does."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException
from sqlalchemy import select

from airflow_provider_avepoint.core.protection import REASONS
from airflow_provider_avepoint.core.requirements import RULES
from airflow_provider_avepoint.exceptions import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointLedgerError,
    AvePointPermissionError,
    AvePointProtectionBreach,
    AvePointUnavailable,
)
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import PROTECTION_AUDITS, SCHEDULES
from airflow_provider_avepoint.operators.avepoint import AvePointProtectionAuditOperator
from airflow_provider_avepoint.simulator import Simulator
from demo.stack import free_port
from tests.sensors.modes import TaskInstance, World

CUSTOMER = "caf9d1c2-2cc6-4f0e-b04b-794c8a3b5ea3"
EXCHANGE, SHAREPOINT, TEAMS = 0, 1, 6
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., str]) -> Path:
    """Return an Airflow home of this test, where its ledger is."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.01)
    connect()
    return tmp_path


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with Ledger() as ledger:
        yield ledger


@pytest.fixture
def ti(simulator: Simulator) -> TaskInstance:
    return TaskInstance(World(simulator))


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return what the task has logged."""
    monkeypatch.setattr(AvePointProtectionAuditOperator, "log", logging.getLogger("task"))
    caplog.set_level(logging.INFO, "task")
    return lambda: caplog.text


def audit(required: Any, **arguments: Any) -> AvePointProtectionAuditOperator:
    named = {"task_id": "audit", "on_breach": "warn", **arguments}
    return AvePointProtectionAuditOperator(required=required, **named)


def find(required: Any, **arguments: Any) -> dict[str, str]:
    """Return the reasons of an audit, each with its first sentence."""
    result = audit(required, **arguments).execute({})
    assert json.loads(json.dumps(result)) == result
    assert result["passed"] == (not result["findings"])
    # A sentence names its subject, then its reason.
    told = [(each.split(": ")[1].split(" ")[0], each) for each in result["findings"]]
    assert list(dict.fromkeys(reason for reason, _ in told)) == result["reasons"]
    assert set(result["reasons"]) <= set(REASONS)
    return dict(reversed(told))


def schedule(simulator: Simulator, **runs: int) -> None:
    numbers = {"exchange_online": EXCHANGE, "sharepoint_online": SHAREPOINT, "teams": TEAMS}
    rows = [
        {"serviceType": numbers[name], "frequency": count, "backupStartTime": []}
        for name, count in runs.items()
    ]
    simulator.set_reading("m365", "schedule", rows)


def retention(simulator: Simulator, default: str, **periods: Any) -> None:
    """Set how long backups are kept; a service's periods are its own, its objects', its containers'."""
    numbers = {"exchange_online": EXCHANGE, "sharepoint_online": SHAREPOINT, "teams": TEAMS}
    rows = []
    for name, (own, unassigned, *containers) in periods.items():
        boxes = [
            {"containerId": f"c{index}", "containerName": f"Box {index}", "retentionPeriod": period}
            for index, period in enumerate(containers)
        ]
        rows.append(
            {
                "serviceType": numbers[name],
                "retentionPeriod": own,
                "unassignedObjectRetentionPeriod": unassigned,
                "containerPolicies": boxes,
            }
        )
    policy = {
        "enableDailyRetentionPolicy": False,
        "enableCustomizedRetentionPolicy": bool(rows),
        "retentionPeriod": default,
        "servicePolicies": rows,
    }
    simulator.set_reading("m365", "retention", policy)


def test_schedule(simulator: Simulator) -> None:
    schedule(simulator, exchange_online=4, sharepoint_online=0, teams=1)

    assert find({"exchange_online": {"runs_per_day": 4}, "teams": {}}) == {}
    assert find({"sharepoint_online": {"runs_per_day": 1}, "onedrive": {}, "teams": {"runs_per_day": 2}}) == {
        "not_scheduled": "m365, sharepoint_online: not_scheduled: no backup is scheduled today",
        "too_few_runs": "m365, teams: too_few_runs: 1 backup a day scheduled, 2 required",
    }
    assert find({"onedrive": {"scheduled": False, "max_unusual": 0}}) == {}
    result = audit({"exchange_online": {"runs_per_day": 4}}).execute({})
    assert result["notes"] == ["exchange_online: 4 backups a day scheduled, 0 listed for today"]
    row = {"serviceType": TEAMS, "frequency": 1, "backupStartTime": ["2026-02-27T03:54:22Z"]}
    simulator.set_reading("m365", "schedule", [row])
    assert find({"teams": {}}) == {
        "not_scheduled": "m365, teams: not_scheduled: the listed backups are of 2026-02-27, not of today"
    }


def test_retention(simulator: Simulator) -> None:
    """The shortest period decides: a container's, the service's, that of objects in none, the default."""
    demand = {name: {"scheduled": False, "retention": "P2Y"} for name in ("exchange_online", "teams")}
    retention(
        simulator, "1 years", exchange_online=("2 years", "Unlimited", "3 years"), teams=("7 years", None)
    )
    assert find(demand) == {}
    retention(simulator, "2 years", exchange_online=("7 years", "7 years", "23 months"))
    assert find(demand) == {
        "retention_short": "m365, exchange_online: retention_short: kept 23 months for container Box 0, "
        "P2Y required"
    }
    # Containers alone: whatever is in none of them is kept by the default.
    retention(simulator, "1 years", exchange_online=(None, None, "7 years"), teams=("2 years", "for good"))
    assert find(demand) == {
        "retention_short": "m365, exchange_online: retention_short: kept 1 years for default, P2Y required",
        "retention_unknown": "m365, teams: retention_unknown: not understood: 'for good' for objects in no "
        "container, P2Y required",
    }
    retention(simulator, "", exchange_online=("2 years", None))
    assert find(demand) == {
        "retention_unknown": "m365, teams: retention_unknown: the tenant tells none, P2Y required"
    }


def test_retention_that_contradicts_itself(simulator: Simulator) -> None:
    """Private channels hold data of Teams; periods that do not hold are a note."""
    row = {"serviceType": 8, "retentionPeriod": "1 months"}
    policy = {"retentionPeriod": "3 years", "servicePolicies": [row]}
    demand = {"teams": {"scheduled": False, "retention": "P1Y"}}
    simulator.set_reading("m365", "retention", {**policy, "enableCustomizedRetentionPolicy": True})
    assert find(demand) == {
        "retention_short": "m365, teams: retention_short: kept 1 months for service, P1Y required"
    }
    simulator.set_reading("m365", "retention", {**policy, "enableCustomizedRetentionPolicy": False})
    result = audit(demand).execute({})
    assert (result["findings"], result["notes"]) == (
        [],
        ["teams: periods of services are off, and one is listed: 1 months for service"],
    )


def test_unusual_activity(simulator: Simulator) -> None:
    """Either count above the limit; a count without a service is about each of them."""
    row = {"tenantOwner": "o", "tenantId": "t", "serviceType": TEAMS, "unusualActivitiesCount": 0}
    simulator.set_reading("m365", "unusual_activity", [{**row, "potentialRansomwareAttackCount": 3}])

    calm = {"scheduled": False, "max_unusual": 0}
    assert find({"exchange_online": calm, "teams": {**calm, "max_unusual": 3}}) == {}
    found = find({"teams": calm, "tenant": {"max_unusual": 2, "unusual_within": "30d"}})
    assert found["unusual_activity"].startswith(
        "m365, teams: unusual_activity: o / t / teams: 3 ransomware, "
    )
    assert found["unusual_activity"].endswith(" UTC, 0 allowed")
    assert len(audit({"teams": calm, "tenant": {"max_unusual": 2}}).execute({})["findings"]) == 2
    private = {**row, "serviceType": 8, "potentialRansomwareAttackCount": 9}
    simulator.set_reading("m365", "unusual_activity", [private])
    assert set(find({"teams": calm, "exchange_online": calm})) == {"unusual_activity"}


def test_salesforce(simulator: Simulator) -> None:
    moment = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    alert = {"objectType": 1, "operation": 2, "recordNumber": 600, "collectTime": moment}
    alerts = [
        {**alert, "organizationId": "org-1"},
        {**alert, "organizationId": "org-1", "objectType": "classes", "recordNumber": 401},
        {**alert, "organizationId": "org-2", "recordNumber": 1000},
        {**alert, "organizationId": "org-2", "operation": 0},
    ]
    simulator.set_reading("salesforce", "monitor_alerts", alerts)
    activity = {"organizationId": "org-3", "organizationName": "Ops", "latestDetectedDate": moment}
    files = {"suspiciousFiles": 2, "addedFiles": 9, "modifiedFiles": 9, "deletedFiles": 9}
    simulator.set_reading("salesforce", "unusual_activity", [{**activity, **files}])

    required = {"tenant": {"max_removed": 1000, "removed_within": "2d", "max_unusual": 1}}
    found = find(required, product="salesforce")
    assert found["mass_deletion"] == (
        "salesforce, org-1: mass_deletion: 1001 records removed within P2D, 1000 allowed: 600 1; 401 classes"
    )
    assert "Ops: 2 suspicious" in found["unusual_activity"]
    result = audit(required, product="salesforce", organization_id="org-2").execute({})
    assert result["readings"]["alerts"] == {"org-2": {"removed": 1000, "added": 600}}
    assert "mass_deletion" not in result["reasons"]


def test_a_row_that_is_not_understood_hides_no_other(simulator: Simulator) -> None:
    """The others are judged; the audit is not in order while nobody knows what the row says."""
    moment = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    alert = {"organizationId": "org-1", "objectType": 1, "operation": 2, "collectTime": moment}
    odd = {**alert, "operation": 3, "recordNumber": 1}
    old = {**odd, "collectTime": "2020-01-01T00:00:00Z"}
    required = {"tenant": {"max_removed": 1000}}
    simulator.set_quirks("salesforce", ignored_parameters=("startTime", "organizationId"))
    told = (
        "salesforce: unreadable: 1 row of monitor alerts is not understood, so nobody knows max_removed of "
        "tenant: row 2 of 3: operation: 3 is not a documented operation"
    )
    for number, reasons in ((600, {"unreadable"}), (1600, {"unreadable", "mass_deletion"})):
        simulator.set_reading("salesforce", "monitor_alerts", [{**alert, "recordNumber": number}, odd, old])
        found = find(required, product="salesforce")
        assert (set(found), found["unreadable"]) == (reasons, told)
    with_another = [{**alert, "organizationId": "org-2", "recordNumber": 1}, odd]
    simulator.set_reading("salesforce", "monitor_alerts", with_another)
    result = audit(required, product="salesforce", organization_id="org-2").execute({})
    assert result["findings"] == []  # the odd row is another organisation's

    row = {"tenantOwner": "o", "tenantId": "t", "serviceType": TEAMS, "potentialRansomwareAttackCount": 0}
    rows = [{**row, "unusualActivitiesCount": 5}, {**row, "unusualActivitiesCount": None}, "none"]
    simulator.set_reading("m365", "unusual_activity", rows)
    calm = {"scheduled": False, "max_unusual": 0}
    found = find({"teams": calm})
    assert set(found) == {"unusual_activity", "unreadable"}
    assert found["unreadable"] == (
        "m365, teams: unreadable: 2 rows of unusual activity are not understood, so nobody knows max_unusual "
        "of teams: row 2 of 3: unusualActivitiesCount is missing; row 3 of 3: 'none' stands where an object "
        "was expected"
    )
    assert "row 3 of 3" in find({"exchange_online": calm})["unreadable"]


def test_an_odd_row_of_the_schedule_hides_no_other(simulator: Simulator, home: Path) -> None:
    """It is a finding of its service, or of each; and such a schedule is not kept."""
    good = {"serviceType": TEAMS, "frequency": 1, "backupStartTime": []}
    for odd, expected in (
        ({"serviceType": 1, "frequency": -1}, {"sharepoint_online": "unreadable"}),
        ({}, {"sharepoint_online": "unreadable", "teams": "unreadable"}),
    ):
        simulator.set_reading("m365", "schedule", [good, odd])
        result = audit({"teams": {}, "sharepoint_online": {"scheduled": True}}).execute({})
        assert {each.split(", ")[1].split(":")[0] for each in result["findings"]} == set(expected)
        assert set(result["reasons"]) == {"unreadable"}
        assert "row 2 of 2: " in result["findings"][0]
    with Ledger(None) as ledger:
        assert list(ledger.iter_rows(select(SCHEDULES))) == []


def test_an_odd_row_of_the_coverage_hides_no_other(simulator: Simulator) -> None:
    row = {"customerId": CUSTOMER, "totalScannedObjects": 100, "totalProtectedObjects": 1}
    services = [
        row | {"serviceModule": "Teams"},
        row | {"serviceModule": "OneDrive", "totalScannedObjects": None},
    ]
    required = {"microsoft_teams": {"coverage": 0.5}, "onedrive": {"coverage": 0.5}}
    customer = {"product": "elements", "organization_id": CUSTOMER}
    simulator.set_reading("elements", "overview", services)
    findings = audit(required, **customer).execute({})["findings"]
    assert [each.split(": ")[:2] for each in findings] == [
        ["elements, microsoft_teams", "coverage_low"],
        ["elements, onedrive", "unreadable"],
    ]
    assert findings[1].endswith("row 2 of 2: totalScannedObjects is missing")
    simulator.set_reading("elements", "overview", [*services[:1], row | {"customerId": "another"}])
    assert set(find(required, **customer)) == {"coverage_low", "unreadable"}

    users = [
        {"id": "u1", "moduleStatus": []},
        {"id": "u2", "moduleStatus": [{"module": 0, "isProtected": "yes"}]},
    ]
    simulator.set_reading("elements", "users", users)
    found = find({"tenant": {"max_unprotected_users": 0}}, **customer)
    assert set(found) == {"users_unprotected", "unreadable"}
    assert found["unreadable"].endswith("row 2 of 2: isProtected: 'yes' is neither true nor false (user u2)")


def test_elements(simulator: Simulator) -> None:
    def overview(*rows: tuple[str, int, int]) -> None:
        named = {"customerId": CUSTOMER, "customer": "c", "dataSizeStoredInAvePoint": "0 GB"}
        simulator.set_reading(
            "elements",
            "overview",
            [
                {
                    **named,
                    "serviceModule": label,
                    "totalScannedObjects": scanned,
                    "totalProtectedObjects": kept,
                }
                for label, scanned, kept in rows
            ],
        )

    def check(required: Any) -> dict[str, str]:
        return find(required, product="elements", organization_id=CUSTOMER)

    overview(("Exchange Online", 100, 98), ("Teams", 10, 12), ("OneDrive", 0, 0))
    assert check({"exchange_online": {"coverage": 0.98}}) == {}
    result = audit(
        {"microsoft_teams": {"coverage": 1}}, product="elements", organization_id=CUSTOMER
    ).execute({})
    assert (result["findings"], result["notes"]) == (
        [],
        ["microsoft_teams: 12 of 10 scanned objects protected"],
    )
    assert check({"tenant": {"coverage": 0.99}, "sharepoint_online": {"coverage": 0.5}}) == {
        "coverage_low": "elements, exchange_online: coverage_low: 98 of 100 scanned objects protected, a "
        "share of 0.99 required",
        "coverage_unknown": "elements, sharepoint_online: coverage_unknown: the coverage lists Exchange "
        "Online; Teams; OneDrive",
    }
    assert check({"onedrive": {"coverage": 1}}) == {
        "coverage_unknown": "elements, onedrive: coverage_unknown: 0 of 0 scanned objects protected"
    }
    unused = audit({"tenant": {"coverage": 0.9}}, product="elements", organization_id=CUSTOMER).execute({})
    assert unused["findings"] == []
    assert "onedrive: nothing was scanned, and nothing is protected" in unused["notes"]
    overview()
    assert check({"tenant": {"coverage": 0.9}}) == {
        "coverage_unknown": "elements: coverage_unknown: the coverage lists nothing"
    }
    # The customer of the samples: one user, whose mailbox is not protected; nothing fell out.
    people = {"tenant": {"max_unprotected_users": 0, "max_out_of_policy": 0, "max_unusual": 0}}
    assert check(people) == {
        "users_unprotected": "elements: users_unprotected: 1 of 1 users, 0 allowed: "
        "user@domain.onmicrosoft.example"
    }
    simulator.set_reading("elements", "users", [])
    simulator.set_reading("elements", "scan_profiles", [])
    assert set(check(people)) == {"coverage_unknown"}


def test_objects_that_fell_out_of_backup(simulator: Simulator) -> None:
    result = audit(
        {"tenant": {"max_out_of_policy": 0}}, product="elements", organization_id=CUSTOMER
    ).execute({})
    (profile,) = result["readings"]["changes"]
    removed = {"removedFromMicrosoft365OrOutOfPolicyObjects": ["a@b.example"]}
    changes = {
        "profileId": profile["profile_id"],
        "removedFromMicrosoft365OrOutofPolicy": 2,
        "lastUpdateTime": "2026-09-11T03:19:14Z",
        **removed,
    }
    simulator.set_reading("elements", "scan_changes", changes)

    assert find({"tenant": {"max_out_of_policy": 1}}, product="elements", organization_id=CUSTOMER) == {
        "objects_out_of_policy": "elements: objects_out_of_policy: 2 objects, 1 allowed: a@b.example"
    }

    # The documents do not say how often a report comes.
    for moment, told in (
        ("2020-01-31T03:19:14Z", "of 2020-01-31"),
        (None, "not dated"),
        (f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", None),
    ):
        simulator.set_reading("elements", "scan_changes", changes | {"lastUpdateTime": moment})
        calm = {"tenant": {"max_out_of_policy": 2}}
        result = audit(calm, product="elements", organization_id=CUSTOMER).execute({})
        assert [] == result["findings"]
        assert ([] if told is None else [told]) == [
            each.partition(": its report is ")[2] for each in result["notes"]
        ]


def test_scan_and_licence(simulator: Simulator) -> None:
    required = {"tenant": {"scanned_within": "1d", "licensed": True}}
    limits = {"purchased_user_seats": 10, "assigned_user_seats": 99, "out_of_policy_time": 0}
    simulator.set_license("m365", **limits)
    simulator.add_job("aos_scan", workload="m365", started_ago=3600)
    simulator.add_job("aos_scan", workload="google", state="failed", started_ago=60)
    assert find(required) == {}  # seats are the licence audit's

    # A failed scan is mended by a later one of the same profile, and of no other.
    simulator.add_job("aos_scan", workload="m365", state="failed", started_ago=1900, label="p")
    assert set(find(required)) == {"scan_failed"}
    simulator.add_job("aos_scan", workload="m365", started_ago=1850, label="p")
    assert find(required) == {}

    since = datetime(1, 1, 1, tzinfo=UTC)
    ticks = int((NOW - timedelta(days=3) - since).total_seconds()) * 10_000_000
    simulator.set_license("m365", **{**limits, "out_of_policy_time": ticks})
    simulator.add_job("aos_scan", workload="m365", state="failed", started_ago=1800)
    found = find(required)
    assert set(found) == {"scan_failed", "out_of_policy"}
    assert found["scan_failed"].startswith("m365: scan_failed: m365: failed (job ")
    assert found["out_of_policy"].startswith("m365: out_of_policy since ")
    assert find({"tenant": {"scanned_within": "1m"}}) == {
        "scan_failed": "m365: scan_failed: no scan has begun within PT1M"
    }


def test_a_licence_that_does_not_tell_its_policy_or_its_end(simulator: Simulator) -> None:
    """0 is the documented word for "in policy", and N/A for "no end"; nothing at all is neither."""
    unknown = "so nobody knows whether the licence is out of policy"
    path = "/backup/m365/cloudbackuplicenseconsumption"
    figures = dict.fromkeys(
        ("purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize"), 1
    )
    for given in ({"outOfPolicyTime": None}, {"outOfPolicyTime": ""}, {}):
        simulator.add_fault("status", path=path, status=200, body={"data": figures | given})
        (found,) = find({"tenant": {"licensed": True}}).items()
        said = f"m365: license_unknown: outOfPolicyTime is missing, {unknown} (m365)"
        assert found == ("license_unknown", said)
    for zero in (0, "0", "0001-01-01T00:00:00Z"):
        body = {"data": figures | {"outOfPolicyTime": zero}}
        simulator.add_fault("status", path=path, status=200, body=body)
        assert find({"tenant": {"licensed": True}}) == {}

    customer = {"product": "elements", "organization_id": CUSTOMER}
    subscription = {"organization_id": CUSTOMER, "service": "Backup"}
    for given in ({"extra": {"expirationDate": None}}, {"omit": ["expirationDate"]}):
        simulator.set_license("elements", **subscription, **given)
        assert set(find({"tenant": {"licensed": True}}, **customer)) == {"license_unknown"}
    simulator.set_license("elements", **subscription, extra={"expirationDate": "N/A"}, omit=[])
    assert find({"tenant": {"licensed": True}}, **customer) == {}


def test_a_licence_of_two_minds_or_an_error_in_its_answer_is_a_finding(simulator: Simulator) -> None:
    """And hides no other part: somebody has answered."""
    row = {"serviceType": TEAMS, "potentialRansomwareAttackCount": 0, "unusualActivitiesCount": 1}
    simulator.set_reading("m365", "unusual_activity", [row])
    figures = dict.fromkeys(
        ("purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize"), 1
    )
    for body, said in (
        ({"data": figures | {"outOfPolicyTime": 0, "OutOfPolicyTime": 5}}, "is there twice, as 0 and 5"),
        ({"data": figures, "error": "Odd"}, "was refused with an error: Odd"),
    ):
        simulator.add_fault(
            "status", path="/backup/m365/cloudbackuplicenseconsumption", status=200, body=body
        )
        found = find({"tenant": {"licensed": True, "max_unusual": 0}})
        assert set(found) == {"unreadable", "unusual_activity"}
        assert said in found["unreadable"]


def test_a_customer_in_two_rows(simulator: Simulator) -> None:
    """Neither row hides the subscriptions or the tenants of the other, whichever comes first."""
    customer = {"customerId": CUSTOMER, "organization": "o"}
    names = {"service": "Backup", "subscriptionName": "s", "package": "p", "purchasedCapacity": "N/A"}
    seats = {"purchasedUserSeats": "1", "microsoftLicenseAssigned": "1", "protectedCapacity": "N/A"}
    ended, fine = (
        {**customer, "products": [names | seats | {"expirationDate": end}]}
        for end in ("2020-01-31T00:00:00Z", "2999-01-31T00:00:00Z")
    )
    services = "/partner/external/v3/general/customers/services/batch"
    for rows in ([ended, fine], [fine, ended], [fine, ended, fine]):
        body = {"data": rows, "metadata": {"totalCount": 2, "nextLink": ""}}
        simulator.clear_faults()
        simulator.add_fault("status", path=services, status=200, body=body, count=None)
        for asked in ({}, {"organization_id": CUSTOMER}):
            result = audit({"tenant": {"licensed": True}}, product="elements", **asked).execute({})
            assert result["reasons"] == ["expired"]
            assert len(result["readings"]["license"]) == 2

    one, other = ({"id": CUSTOMER, "tenants": [{"id": each}]} for each in ("T-1", "T-2"))
    listed = {"data": [one, other], "metadata": {"totalCount": 2, "nextLink": ""}}
    base = "/partner/external/v3/general/customers"
    simulator.add_fault("status", path=f"{base}/batch", status=200, body=listed, count=None)
    for tenant, is_protected in (("T-1", False), ("T-2", True)):
        user = {"id": tenant, "moduleStatus": [{"module": 0, "isProtected": is_protected}]}
        users = {"data": [user], "metadata": {"totalCount": 1, "nextLink": ""}}
        path = f"{base}/{CUSTOMER}/tenants/{tenant}/cloud-backup-m365/users/batch"
        simulator.add_fault("status", path=path, status=200, body=users, count=None)
    found = find({"tenant": {"max_unprotected_users": 0}}, product="elements", organization_id=CUSTOMER)
    assert found["users_unprotected"].endswith("1 of 2 users, 0 allowed: T-1")


def test_a_subscription_that_has_ended(simulator: Simulator) -> None:
    subscription = {"organization_id": CUSTOMER, "service": "Backup"}
    simulator.set_license("elements", **subscription, expiration_date="2020-01-31")

    found = find({"tenant": {"licensed": True}}, product="elements", organization_id=CUSTOMER)

    assert set(found) == {"expired"}
    assert ": expired: the subscription ended on 2020-01-31" in found["expired"]


@pytest.mark.parametrize("ahead", [-3 * 86400, 3 * 86400])
def test_the_apis_clock_holds(simulator: Simulator, ahead: float) -> None:
    """Also for the first thing that is asked."""
    simulator.set_clock(ahead_seconds=ahead)
    simulator.add_job("aos_scan", workload="m365", started_ago=3600)
    moment = datetime.now(UTC) + timedelta(seconds=ahead, hours=-1)
    alert = {"objectType": 1, "operation": 2, "recordNumber": 6, "organizationId": "org-1"}
    alerts = [{**alert, "collectTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}]
    simulator.set_reading("salesforce", "monitor_alerts", alerts)

    assert find({"tenant": {"scanned_within": "1d"}}) == {}
    removed = {"tenant": {"max_removed": 0, "removed_within": "1d"}}
    assert set(find(removed, product="salesforce")) == {"mass_deletion"}


def test_scans_of_elements_are_of_the_customer(simulator: Simulator) -> None:
    def add(job_type: str, **fields: Any) -> None:
        simulator.add_job("elements", organization_id=CUSTOMER, job_type=job_type, **fields)

    arguments = {"product": "elements", "organization_id": CUSTOMER}
    required = {"tenant": {"scanned_within": "1d"}}
    add("microsoft_365_scan", started_ago=60)
    assert find(required, **arguments) == {}
    add("microsoft_365", state="failed", started_ago=5)
    assert find(required, **arguments) == {}
    add("microsoft_365_scan", state="failed", started_ago=5)
    assert set(find(required, **arguments)) == {"scan_failed"}


def test_drills_are_those_of_the_ledger(ledger: Ledger) -> None:
    required = {"sharepoint_online": {"scheduled": False, "drilled_within": "90d"}}
    assert find(required) == {
        "not_drilled": "m365, sharepoint_online: not_drilled: no restore has been proven, one within P90D "
        "required"
    }
    drill = make_drill(NOW - timedelta(days=91))
    ledger.save_drill("avepoint_default", drill)
    assert "not_drilled: the last proven restore is of " in find(required)["not_drilled"]
    ledger.save_drill("avepoint_default", {**make_drill(NOW), "passed": False, "reason": "failed"})
    ledger.save_drill("another", make_drill(NOW))
    assert "not_drilled" in find(required)
    ledger.save_drill("avepoint_default", make_drill(NOW - timedelta(days=89)))
    assert find(required) == {}


def make_drill(judged_at: datetime) -> dict[str, Any]:
    """Return a drill that has passed, as ``Drill.as_dict()`` writes it."""
    request = {
        "product": "m365",
        "service": "sharepoint_online",
        "location": None,
        "owner": "https://contoso.example/sites/canary",
        "library": "Documents",
        "files": [],
        "folders": ["canary"],
        "recovery_time": judged_at.isoformat(),
    }
    return {
        "passed": True,
        "reason": "passed",
        "message": "All came back.",
        "request": request,
        "digest": "d",
        "sent_at": judged_at.isoformat(),
        "was_adopted": False,
        "expect_files": None,
        "restored_files": 1,
        "job": None,
        "judged_at": judged_at.isoformat(),
    }


EVERYTHING = {
    "teams": {"runs_per_day": 1, "retention": "P1Y", "max_unusual": 0},
    "tenant": {"licensed": True},
}


def test_a_part_that_cannot_be_read_hides_no_other(simulator: Simulator) -> None:
    """A missing permission names itself; a broken answer is a finding too."""
    schedule(simulator, exchange_online=1)
    retention(simulator, "1 years")
    simulator.add_fault("status", path="/backup/m365/settings/retention-policy", count=None, status=403)
    simulator.add_fault("status", path="/backup/m365/cloudbackupunusual", count=None, status=500)
    simulator.add_fault("broken_json", path="/backup/m365/cloudbackuplicense", count=None)

    result = audit(EVERYTHING).execute({})

    assert result["reasons"] == ["not_scheduled", "unreadable"]
    unreadable = [each for each in result["findings"] if "unreadable" in each]
    assert len(unreadable) == 3
    assert unreadable[0].startswith(
        "m365: unreadable: retention cannot be read, so nobody knows: retention of teams: "
    )
    assert "microsoft365backup.settings.read.all" in unreadable[0]
    assert set(result["readings"]) == {"schedule"}


def test_an_outage_is_an_error_that_is_recorded(
    simulator: Simulator, ledger: Ledger, connect: Callable[..., str]
) -> None:
    simulator.add_fault("status", path="/backup/m365/", count=None, status=403)
    with pytest.raises(AvePointPermissionError):
        audit({"teams": {"max_unusual": 0}}).execute({})
    simulator.clear_faults()
    simulator.add_fault("status", path="/backup/m365/", count=None, status=503)
    with pytest.raises(AvePointUnavailable):
        audit({"teams": {}}).execute({})
    connect(host=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AvePointUnavailable):
        audit(EVERYTHING).execute({})

    rows = [dict(row) for row in ledger.iter_rows(select(PROTECTION_AUDITS))]
    assert len(rows) == 3
    assert all(row["error"] and row["findings"] == "[]" for row in rows)
    assert json.loads(rows[0]["required"]) == {
        "teams": {"scheduled": True, "max_unusual": 0, "unusual_within": "P7D"}
    }


def test_an_audit_that_fails_is_of_the_same_location(
    simulator: Simulator, ledger: Ledger, connect: Callable[..., str]
) -> None:
    """The connection's own, unless the task names one: else the report would follow two series."""
    connect(extra={"location": "EUR"})
    calm = {"teams": {"scheduled": False, "max_unusual": 0}}
    removed = {"tenant": {"max_removed": 5}}
    for fails in (False, True):
        if fails:
            simulator.add_fault("status", path="/", count=None, status=403)
        for required, arguments in (
            (calm, {}),
            (calm, {"location": "GBR"}),
            (removed, {"product": "salesforce"}),
        ):
            with pytest.raises(AvePointPermissionError) if fails else nullcontext():
                audit(required, **arguments).execute({})

    rows = [
        (row["location"], row["error"] is not None) for row in ledger.iter_rows(select(PROTECTION_AUDITS))
    ]
    assert sorted(rows) == [(place, fails) for place in ("", "EUR", "GBR") for fails in (False, True)]


def test_a_ledger_that_is_away_hides_no_finding(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Callable[[], str]
) -> None:
    """Nor an error of the API."""
    schedule(simulator)
    away = {"conn_type": "sqlite", "host": str(tmp_path / "no" / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(away))
    with pytest.raises(AvePointLedgerError):
        audit({"teams": {}}, ledger_conn_id="away").execute({})
    assert "m365, teams: not_scheduled: no backup is scheduled today." in told()

    simulator.add_fault("status", path="/backup/m365/", count=None, status=403)
    with pytest.raises(AvePointPermissionError):
        audit({"teams": {}}, ledger_conn_id="away").execute({})
    assert "The failed audit could not be recorded: The ledger's database failed" in told()


def test_without_a_ledger_no_drill_is_known() -> None:
    with AvePointHook() as hook, pytest.raises(AvePointConfigError, match="drilled_within needs the ledger"):
        hook.audit_protection({"teams": {"scheduled": False, "drilled_within": "9d"}})


def test_refused_credentials_are_an_error(connect: Callable[..., str]) -> None:
    connect(password="wrong")

    with pytest.raises(AvePointAuthError):
        audit(EVERYTHING).execute({})


def test_the_result_is_in_the_ledger_with_the_schedule(simulator: Simulator, ledger: Ledger) -> None:
    schedule(simulator, exchange_online=1)
    result = audit({"exchange_online": {}, "teams": {}}, tenant="contoso").execute({})

    (row,) = (dict(each) for each in ledger.iter_rows(select(PROTECTION_AUDITS)))
    assert (row["tenant"], row["product"], row["location"], row["error"]) == ("contoso", "m365", "", None)
    assert json.loads(row["required"]) == result["required"]
    assert json.loads(row["readings"]) == result["readings"]
    assert json.loads(row["findings"]) == [
        {
            "organization_id": None,
            "service": "teams",
            "location": None,
            "reason": "not_scheduled",
            "text": "not_scheduled: no backup is scheduled today",
        }
    ]
    (day,) = ledger.find_schedules("contoso", "m365", None, NOW.date() - timedelta(days=1))
    assert [each.service for each in day.services] == ["exchange_online"]


@pytest.mark.parametrize("on_breach", ["fail", "skip", "warn"])
def test_a_finding_ends_the_task_as_on_breach_says(
    simulator: Simulator, ti: TaskInstance, told: Callable[[], str], on_breach: str
) -> None:
    schedule(simulator, exchange_online=1)
    task = audit({"teams": {}}, on_breach=on_breach)
    if on_breach == "warn":
        result = task.execute({"ti": ti})
        assert ti.xcoms == {}
    else:
        with pytest.raises(
            AvePointProtectionBreach if on_breach == "fail" else AirflowSkipException
        ) as caught:
            task.execute({"ti": ti})
        assert str(caught.value) == "m365, teams: not_scheduled: no backup is scheduled today."
        if isinstance(caught.value, AvePointProtectionBreach):
            assert caught.value.reasons == ("not_scheduled",)
            assert not isinstance(caught.value, AirflowFailException)
        result = ti.xcoms["audit"]
    assert result["reasons"] == ["not_scheduled"]
    assert "m365, teams: not_scheduled: no backup is scheduled today." in told()


def test_a_good_tenant_passes(simulator: Simulator, ti: TaskInstance, told: Callable[[], str]) -> None:
    schedule(simulator, teams=1)

    result = audit('{"teams": {"runs_per_day": 1}}', on_breach="fail").execute({"ti": ti})

    assert (result["passed"], ti.xcoms) == (True, {})
    assert "m365: everything that is required is there." in told()


def test_a_file_beside_the_dag(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path begins in the folder of the DAG's file; without a DAG where the process is."""
    schedule(simulator, teams=1)
    (tmp_path / "required.yaml").write_text("teams:\n  runs_per_day: 2\n")
    with DAG("d", schedule=None) as dag:
        task = audit(Path("required.yaml"))
    dag.fileloc = str(tmp_path / "dag.py")
    assert task.execute({})["reasons"] == ["too_few_runs"]
    monkeypatch.chdir(tmp_path)
    assert find("required.yaml").keys() == {"too_few_runs"}
    assert find(str(tmp_path / "required.yaml")).keys() == {"too_few_runs"}


def test_arguments_that_cannot_be_used() -> None:
    for required, arguments, message in [
        (EVERYTHING, {"on_breach": "shout"}, "on_breach: 'shout' is not one of"),
        ("{not json", {}, "required: .* is not JSON"),
        ("None", {}, "required: 'None' names no file"),
        ("gone.yaml", {}, "gone.yaml cannot be read"),
        ({"teams": {}}, {"product": "dynamics365"}, "known are tenant only"),
        ({"teams": {}}, {"organization_id": "x"}, "organization_id: .* leave the id out. .*elements"),
        ({"tenant": {"coverage": 1}}, {"product": "elements"}, "knows one customer at a time"),
        ({"tenant": {"max_removed": 1}}, {"product": "salesforce", "location": "NAM"}, "location"),
    ]:
        with pytest.raises(AvePointConfigError, match=message):
            audit(required, **arguments).execute({})


def test_the_docstring_names_each_rule_and_reason() -> None:
    text = AvePointProtectionAuditOperator.__doc__ or ""

    assert not [name for name in (*REASONS, *RULES) if f"``{name}``" not in text]
