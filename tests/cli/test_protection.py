"""``protection``: what is read, what is judged by a file, and the status it leaves with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.simulator import Simulator
from tests.cli.conftest import Done
from tests.hooks.drivers import required_by

Run = Callable[..., Done]
CUSTOMER = required_by("elements")["organization_id"]
SETTINGS = "/backup/m365/settings"
ATTACKED = {
    "tenantOwner": "contoso",
    "tenantId": "t",
    "serviceType": 2,
    "potentialRansomwareAttackCount": 0,
    "unusualActivitiesCount": 5,
}


@pytest.fixture
def require(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes a file of what is required, and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "required.yaml"
        path.write_text(text)
        return str(path)

    return write


def rows_of(done: Done) -> list[tuple[str, ...]]:
    """Return the rows of a table, without its head and its empty cells."""
    _, *rows = [
        tuple(cell.strip() for cell in line.split("|")) for line in done.out.splitlines() if " | " in line
    ]
    return rows


def test_without_a_file_it_shows_what_there_is_and_judges_nothing(
    avepoint: Run, simulator: Simulator
) -> None:
    simulator.set_reading("m365", "unusual_activity", [ATTACKED])
    simulator.set_license("m365", purchased_user_seats=200, assigned_user_seats=100)

    done, scripted = avepoint("protection"), avepoint("protection", "-o", "json")

    assert (done.status, done.err, scripted.status) == (0, "", 0)
    rows = rows_of(done)
    assert ("schedule", "exchange_online", "4 a day, 4 starts listed") in rows
    assert ("unusual activity", "contoso / t / onedrive", "alarm: 0 ransomware, 5 unusual") in rows
    assert ("licence", "m365", "in policy; 100 of 200 seats") in rows
    assert {"schedule", "retention", "unusual activity", "licence"} == {about for about, *_ in rows}
    assert done.out.endswith("Nothing is judged: name what the tenant must have by --required.\n")
    assert {"schedule", "retention", "activity", "license"} == scripted.json["readings"].keys()
    assert scripted.json["problems"] == {}


def test_it_shows_what_other_products_tell(avepoint: Run, simulator: Simulator) -> None:
    """Of Elements by customer; of a product that tells nothing, the names of those that do."""
    then = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    alert = {"organizationId": "org", "objectType": "email", "recordNumber": 1500, "collectTime": then}
    assert ("monitor alerts", "none") in rows_of(avepoint("protection", "salesforce"))
    simulator.set_reading("salesforce", "monitor_alerts", [{**alert, "operation": n} for n in (0, 2)])
    told = ("monitor alerts", "org", "1,500 added, 1,500 removed")
    assert told in rows_of(avepoint("protection", "salesforce"))
    simulator.set_license("elements", organization_id=CUSTOMER, service="Fly", assigned_user_seats=3)

    rows = rows_of(avepoint("protection", "elements", "--organization-id", CUSTOMER))
    assert ("coverage", "exchange_online", "25 of 25 protected, 100%") in rows
    assert ("users", "users", "1 of 1 with an unprotected part") in rows
    assert ("objects out of policy", "Default Microsoft 365 Scan Profile", "0 fell out of backup") in rows
    assert "licence" in {about for about, *_ in rows}

    for flags, text in (
        (("dynamics365",), "tells nothing beside its jobs; those that do: m365, m365_legacy, salesforce"),
        (("elements",), "organization_id"),
        (("m365", "--organization-id", "x"), "organization_id"),
        (("salesforce", "--location", "EUR"), "location"),
        (("moon",), "moon"),
    ):
        done = avepoint("protection", *flags)
        assert (done.status, done.out) == (2, ""), flags
        assert text in done.err


def test_one_part_that_cannot_be_read_hides_no_other(avepoint: Run, simulator: Simulator) -> None:
    for output in ("table", "json"):
        simulator.add_fault("status", path=SETTINGS, status=403, count=2)

        done = avepoint("protection", "-o", output)

        assert done.status == 2
        assert done.err.count("lacks the permission microsoft365backup.settings.read.all") == 2
        assert "licence" in done.out or "license" in done.out
        if output == "json":
            assert {"schedule", "retention"} == done.json["problems"].keys()
        else:
            assert ("schedule", "", "not readable") in rows_of(done)
    simulator.add_fault("status", path="/backup/m365", status=403, count=None)
    done = avepoint("protection")
    assert (done.status, done.out) == (2, "")


def test_a_file_is_what_the_tenant_is_judged_by(
    avepoint: Run, simulator: Simulator, require: Callable[[str], str]
) -> None:
    simulator.set_reading("m365", "unusual_activity", [ATTACKED])
    good = require("exchange_online: {runs_per_day: 4}\n")
    done = avepoint("protection", "--required", good)
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("m365: everything that is required is there.\n")

    bad = require("teams:\nexchange_online: {runs_per_day: 9}\ntenant: {max_unusual: 0}\n")
    done, scripted = (
        avepoint("protection", "--required", bad),
        avepoint("protection", "m365", "--required", bad, "--output", "json"),
    )
    assert (done.status, scripted.status, done.err) == (1, 1, "")
    assert ["not_scheduled", "too_few_runs", "unusual_activity"] == scripted.json["reasons"]
    assert {reason for row in rows_of(done) for reason in row} >= set(scripted.json["reasons"])
    assert done.out.endswith("m365: 3 findings.\n")


def test_what_nobody_can_tell_has_a_status_of_its_own(
    avepoint: Run, simulator: Simulator, require: Callable[[str], str]
) -> None:
    """A part that is unreadable beside good ones: 2; beside a finding: 1, because something is wrong."""
    path = "/backup/m365/cloudbackupunusualactivitydata"
    for runs, status in ((4, 2), (9, 1)):
        simulator.add_fault("status", path=path, status=403)
        required = require(f"exchange_online: {{runs_per_day: {runs}, max_unusual: 0}}\n")

        done = avepoint("protection", "--required", required)

        assert done.status == status
        assert "microsoft365backup.unusualActivity.read.all" in done.out


def test_a_file_that_cannot_be_used_is_refused_before_anything_is_sent(
    avepoint: Run, simulator: Simulator, require: Callable[[str], str], tmp_path: Path
) -> None:
    for text, said in (
        ("exchange_online: {runs_a_day: 1}\n", "line 1"),
        ("", "required.yaml"),
        ("a: [\n", "required.yaml"),
        ("mars: {runs_per_day: 1}\n", "mars"),
    ):
        done = avepoint("protection", "--required", require(text))
        assert (done.status, done.out) == (2, ""), text
        assert said in done.err
    done = avepoint("protection", "--required", str(tmp_path / "nowhere.yaml"))
    assert (done.status, done.out) == (2, "")
    assert simulator.requests() == []


def test_drills_are_looked_up_in_the_ledger(
    avepoint: Run,
    require: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The ledger is opened for nothing else, and a command creates none."""
    ledger = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(ledger)}))
    flags = ("--ledger-conn-id", "ledger", "--tenant", "contoso")

    avepoint("protection", "--required", require("exchange_online: {runs_per_day: 1}\n"), *flags)
    assert not ledger.exists()

    drilled = ("protection", "--required", require("onedrive: {drilled_within: P90D}\n"))
    done = avepoint(*drilled, *flags)
    assert not ledger.exists()
    assert (done.status, done.out) == (2, "")
    assert f"There is no ledger yet: the file {ledger} does not exist" in done.err

    Ledger("ledger").close()
    done = avepoint(*drilled, *flags)
    assert done.status == 1
    assert "not_drilled" in done.out
