"""Loads into the ledger, again and again: what is new, what has ended since, what came late, nothing lost."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.ledger.database import writing
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.ledger.tables import JOBS, LOADS
from airflow_provider_avepoint.operators.avepoint import AvePointJobsToSqlOperator
from airflow_provider_avepoint.simulator import Simulator
from tests.ledger.databases import CONN_ID, NOON, SECOND, Database, engine
from tests.ledger.processes import load

pytestmark = pytest.mark.usefixtures("connection")
HOUR = 3600
DAY = 24 * HOUR
SLACK = timedelta(minutes=5)


@pytest.fixture
def connection(connect: Callable[..., str]) -> str:
    return connect()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


def counts(result: dict[str, Any]) -> tuple[int, int, int]:
    return result["inserted"], result["updated"], result["unchanged"]


def began(result: dict[str, Any], product: str = "dynamics365") -> timedelta:
    """Return how long before now the load of a product began to read."""
    return datetime.now(UTC) - datetime.fromisoformat(result["products"][product]["started_after"])


def about(seconds: float) -> Any:
    """Return what equals a time span of so many seconds, give or take the test's own time."""
    return pytest.approx(timedelta(seconds=seconds), abs=SLACK)


def add(simulator: Simulator, job_id: str, started_ago: float, state: str = "success", **fields: Any) -> None:
    product = fields.pop("product", "dynamics365")
    simulator.add_job(product, job_id=job_id, started_ago=started_ago, state=state, **fields)


def test_the_first_load_takes_thirty_days(simulator: Simulator, database: Database) -> None:
    add(simulator, "NEW", HOUR)
    add(simulator, "OLD", 29.9 * DAY, "failed")
    add(simulator, "OLDER", 30.1 * DAY)
    add(simulator, "RESTORE", HOUR, job_type="restore")

    result = load({})

    assert counts(result) == (2, 0, 0)
    assert began(result) == about(30 * DAY)
    assert database.states() == {"NEW": "success", "OLD": "failed"}
    assert json.loads(json.dumps(result)) == {
        "tenant": "avepoint_default",
        "inserted": 2,
        "updated": 0,
        "unchanged": 0,
        "products": {
            "dynamics365": {
                "inserted": 2,
                "updated": 0,
                "unchanged": 0,
                "started_after": result["products"]["dynamics365"]["started_after"],
            }
        },
    }


def test_the_first_load_goes_back_as_far_as_asked(simulator: Simulator, database: Database) -> None:
    add(simulator, "OLDEST", 700 * DAY)
    add(simulator, "OLDER", 701 * DAY)
    asked = datetime.now(UTC) - timedelta(days=700.5)

    assert counts(load({"started_after": asked.isoformat()})) == (1, 0, 0)
    assert list(database.states()) == ["OLDEST"]


def test_the_same_hour_again_changes_nothing(simulator: Simulator, database: Database) -> None:
    for number, state in enumerate(["success", "partial", "failed", "running", "waiting", "skipped"]):
        add(simulator, f"J{number}", HOUR * number, state, product="iaas_paas")
    first = load({"product": "iaas_paas"})
    before = database.rows(JOBS)

    again = load({"product": "iaas_paas"})

    assert counts(first) == (6, 0, 0)
    assert counts(again) == (0, 0, 6)
    assert database.rows(JOBS) == before


def test_a_load_reads_from_six_hours_before_the_last(simulator: Simulator, database: Database) -> None:
    """A job may be listed late."""
    add(simulator, "BEFORE", 7 * HOUR)
    load({})
    add(simulator, "LATE", 5.9 * HOUR)
    add(simulator, "TOO LATE", 6.2 * HOUR)

    result = load({"reread_days": 0})

    assert began(result) == about(6 * HOUR)
    assert counts(result) == (1, 0, 0)
    assert set(database.states()) == {"BEFORE", "LATE"}


def test_an_open_job_is_looked_for_until_it_has_ended(simulator: Simulator, database: Database) -> None:
    product = {"product": "salesforce", "reread_days": 0}
    add(simulator, "LONG", 20 * HOUR, "running", product="salesforce")
    add(simulator, "LONGER", 40 * HOUR, "waiting", product="salesforce")
    add(simulator, "ENDED", 50 * HOUR, product="salesforce")
    load(product)

    simulator.patch_job("salesforce", "LONGER", state="failed")
    second = load(product)
    simulator.patch_job("salesforce", "LONG", state="success")
    third = load(product)
    fourth = load(product)

    assert (counts(second), began(second, "salesforce")) == ((0, 1, 1), about(40 * HOUR))
    assert (counts(third), began(third, "salesforce")) == ((0, 1, 0), about(20 * HOUR))
    assert (counts(fourth), began(fourth, "salesforce")) == ((0, 0, 0), about(6 * HOUR))
    assert database.states() == {"LONG": "success", "LONGER": "failed", "ENDED": "success"}


def test_a_job_that_waits_has_its_start_before_it(simulator: Simulator, database: Database) -> None:
    """It says none yet: whenever it begins, that is later than the load that saw it wait."""
    product = {"product": "iaas_paas", "reread_days": 0}
    add(simulator, "NEXT", HOUR, "waiting", product="iaas_paas")
    load(product)
    simulator.patch_job("iaas_paas", "NEXT", state="success", started_at=datetime.now(UTC))

    second = load(product)

    assert (counts(second), began(second, "iaas_paas")) == ((0, 1, 0), about(6 * HOUR))
    assert database.states() == {"NEXT": "success"}


def test_an_unknown_state_is_open(simulator: Simulator, database: Database) -> None:
    simulator.add_job("dynamics365", job_id="ODD", raw_state="Befuddled", started_ago=20 * HOUR)
    load({})
    simulator.patch_job("dynamics365", "ODD", raw_state="Finished")

    assert counts(load({})) == (0, 1, 0)
    assert database.states() == {"ODD": "success"}


def test_what_has_run_for_longer_than_a_job_may_is_not_waited_for(
    simulator: Simulator, database: Database
) -> None:
    asked = (datetime.now(UTC) - timedelta(days=100)).isoformat()
    add(simulator, "STUCK", 31 * DAY, "running")
    add(simulator, "LONG", 29 * DAY, "running")
    load({"started_after": asked})

    assert began(load({})) == about(29 * DAY)
    assert database.states() == {"STUCK": "running", "LONG": "running"}


def test_what_a_task_names_is_read_again_at_each_load(simulator: Simulator, database: Database) -> None:
    """A load that names nothing goes back by three days; one that names less goes back no less."""
    asked = (datetime.now(UTC) - timedelta(days=200)).isoformat()
    recent = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    add(simulator, "OLD", 100 * DAY, "failed")
    add(simulator, "NEW", 2 * DAY)
    load({})

    back = load({"started_after": asked})
    simulator.patch_job("dynamics365", "OLD", state="success")
    usual = [load({}), load({"started_after": recent})]
    again = load({"started_after": asked})

    assert (counts(back), began(back)) == ((1, 0, 1), about(200 * DAY))
    assert [(counts(each), began(each)) for each in usual] == [((0, 0, 1), about(3 * DAY))] * 2
    assert (counts(again), began(again)) == ((0, 1, 1), about(200 * DAY))
    assert database.states() == {"OLD": "success", "NEW": "success"}


@pytest.mark.parametrize("states", [("failed", "success"), ("success", "failed")], ids=" then ".join)
def test_the_correction_of_an_ended_job_is_loaded(
    simulator: Simulator, database: Database, states: tuple[str, str]
) -> None:
    """Within the days that each load reads again: three, or as many as the task names."""
    before, after = states
    for days in (2.9, 3.1, 9.9, 10.1):
        add(simulator, f"{days} DAYS", days * DAY, before)
    load({})
    for days in (2.9, 3.1, 9.9, 10.1):
        simulator.patch_job("dynamics365", f"{days} DAYS", state=after)

    usual = load({})
    wide = load({"reread_days": "10"})

    assert (counts(usual), began(usual)) == ((0, 1, 0), about(3 * DAY))
    assert (counts(wide), began(wide)) == ((0, 2, 1), about(10 * DAY))
    assert database.states() == {
        "2.9 DAYS": after,
        "3.1 DAYS": after,
        "9.9 DAYS": after,
        "10.1 DAYS": before,
    }


def test_no_more_is_read_again_than_was_asked_for(simulator: Simulator, database: Database) -> None:
    """The first load names a start; the days that are read again do not go back behind the start."""
    add(simulator, "BEFORE", 30 * HOUR)
    load({"started_after": (datetime.now(UTC) - timedelta(days=1)).isoformat()})

    assert began(load({})) == about(DAY)
    assert database.states() == {}


def test_an_id_that_is_used_again_is_two_runs(simulator: Simulator, database: Database) -> None:
    """In one load or in two, and whichever run the API lists first."""
    add(simulator, "J1", 50 * HOUR, "failed")
    load({})
    add(simulator, "AGAIN", 2 * HOUR, "success", extra={"jobId": "J1"})

    assert counts(load({})) == (1, 0, 1)
    assert counts(load({})) == (0, 0, 2)
    runs = {row["run_start"]: row["state"] for row in database.rows(JOBS)}
    assert [runs[start] for start in sorted(runs)] == ["failed", "success"]


def test_a_planned_start_that_moves_is_one_run(simulator: Simulator, database: Database) -> None:
    """A job waits for its planned start, begins later or earlier than planned, and ends."""
    now = datetime.now(UTC)
    for job_id, hours in {"EARLY": -1, "LATE": 1}.items():
        simulator.add_job("salesforce", job_id=job_id, state="waiting", started_at=now + hours * 60 * SECOND)
    load({"product": "salesforce"})
    for job_id in ("EARLY", "LATE"):
        simulator.patch_job(
            "salesforce", job_id, state="success", started_at=now, finished_at=now + timedelta(minutes=1)
        )

    assert counts(load({"product": "salesforce"})) == (0, 2, 0)
    assert database.states() == {"EARLY": "success", "LATE": "success"}


def test_a_start_in_the_future_loses_nothing(simulator: Simulator, database: Database) -> None:
    """A template that names the end of an interval, which the clock is not yet at."""
    tomorrow, later = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (1, 2))
    load({"started_after": later})
    add(simulator, "NEW", 60)

    assert counts(load({"started_after": tomorrow})) == (1, 0, 0)


def test_several_products_are_loaded_in_turn(simulator: Simulator, database: Database) -> None:
    add(simulator, "D", HOUR)
    add(simulator, "S1", HOUR, product="salesforce")
    add(simulator, "S2", HOUR, product="salesforce")

    result = load({"product": '["salesforce", "dynamics365", "google_workspace"]'})

    assert {name: counts(each) for name, each in result["products"].items()} == {
        "salesforce": (2, 0, 0),
        "dynamics365": (1, 0, 0),
        "google_workspace": (0, 0, 0),
    }
    assert counts(result) == (3, 0, 0)
    assert {(row["product"], row["job_id"]) for row in database.rows(JOBS)} == {
        ("dynamics365", "D"),
        ("salesforce", "S1"),
        ("salesforce", "S2"),
    }


def test_tenants_share_a_ledger(
    simulator: Simulator, database: Database, connect: Callable[..., str]
) -> None:
    """A tenant is a connection, unless the task names it."""
    connect("fabrikam")
    add(simulator, "J1", HOUR)

    results = [
        load({}),
        load({"avepoint_conn_id": "fabrikam"}),
        load({"avepoint_conn_id": "fabrikam", "tenant": "Fabrikam Ltd"}),
    ]

    tenants = ["avepoint_default", "fabrikam", "Fabrikam Ltd"]
    assert [(each["tenant"], counts(each)) for each in results] == [(name, (1, 0, 0)) for name in tenants]
    assert {row["tenant"] for row in database.rows(JOBS)} == set(tenants)


def test_locations_are_loaded_each_by_itself(
    simulator: Simulator, database: Database, connect: Callable[..., str]
) -> None:
    """Multi-Geo: the task's location, else the connection's."""
    connect("geo", extra={"location": "NAM"})
    for location in ("EUR", "NAM"):
        add(simulator, "J1", 20 * HOUR, "running", product="m365", location=location)
        add(simulator, f"ONLY {location}", HOUR, product="m365", location=location)

    european = load({"product": "m365", "location": "EUR"})
    american = load({"product": "m365", "avepoint_conn_id": "geo", "tenant": "avepoint_default"})

    assert (counts(european), counts(american)) == ((2, 0, 0), (2, 0, 0))
    assert began(american, "m365") == about(30 * DAY)
    assert {(row["location"], row["job_id"]) for row in database.rows(JOBS)} == {
        ("EUR", "J1"),
        ("EUR", "ONLY EUR"),
        ("NAM", "J1"),
        ("NAM", "ONLY NAM"),
    }


def test_an_organization_is_loaded_by_itself(simulator: Simulator, database: Database) -> None:
    """However it is spelled, it is the same listing and the same jobs."""
    ours, theirs = "69cb1ecc-0f3b-4d5e-9c1a-2b7d8e9f0a1b", "7a0f4d21-58e6-4b39-8c77-d1e2f3a4b5c6"
    add(simulator, "A", HOUR, organization_id=ours.upper())
    add(simulator, "B", HOUR, organization_id=theirs)

    first = load({"organization_id": ours})
    again = load({"organization_id": f"{{{ours.upper()}}}"})
    everything = load({})

    assert counts(first) == (1, 0, 0)
    assert (counts(again), began(again)) == ((0, 0, 1), about(3 * DAY))
    assert (counts(everything), began(everything)) == ((1, 0, 1), about(30 * DAY))
    assert [row["organization_key"] for row in database.rows(JOBS)] == [ours, theirs]
    # What the listing shows, and XCom.
    with AvePointHook() as hook:
        listed = {job.job_id: job.organization_id for job in hook.iter_jobs("dynamics365")}
    assert {row["job_id"]: row["organization_id"] for row in database.rows(JOBS)} == listed
    assert listed["A"] == ours.upper()


def test_a_job_that_cannot_be_read_ends_no_load(simulator: Simulator, database: Database) -> None:
    """What a verdict reads is noted as a problem; what no verdict reads is left out."""
    add(simulator, "J1", HOUR)
    add(simulator, "NAIVE", HOUR, extra={"startTime": "2026-11-20T02:00:00"})
    add(simulator, "SIZE", HOUR, extra={"backupSize": "1.2 GB"})
    add(simulator, "COUNT", HOUR, extra={"failedEntity": "many"})

    assert load({})["inserted"] == 4

    rows = {row["job_id"]: row for row in database.rows(JOBS)}
    assert {name for name, row in rows.items() if row["problems"] != "[]"} == {"NAIVE", "COUNT"}
    assert (rows["SIZE"]["size_bytes"], rows["NAIVE"]["started_at"]) == (None, None)


@pytest.mark.parametrize("apart", [1, 1100], ids=["one write", "writes a thousand jobs apart"])
@pytest.mark.parametrize("states", [("failed", "success"), ("success", "failed")], ids=" then ".join)
def test_a_job_that_is_listed_twice_is_loaded_as_a_gate_reads_it(
    simulator: Simulator, sqlite_database: Database, states: tuple[str, str], apart: int
) -> None:
    """Whatever comes first, and whatever it was loaded as before: of two ends the worse holds."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1.5)
    named = {"organization_id": "contoso", "workload": "customer_engagement", "started_at": start}
    simulator.add_job("dynamics365", job_id="J1", state=states[0], **named)
    load({})
    simulator.add_job("dynamics365", job_id="AGAIN", state=states[1], **named, extra={"jobId": "J1"})
    simulator.add_jobs(
        {"product": "dynamics365", "job_id": f"OTHER {number}", "started_ago": 1.5 * HOUR, "state": "success"}
        for number in range(apart)
    )

    load({})

    assert sqlite_database.states()["J1"] == "failed"


def test_microsoft_365_jobs_have_the_workload_that_was_asked_for(
    simulator: Simulator, database: Database
) -> None:
    for workload in ("teams", "onedrive", "sharepoint_online"):
        add(simulator, workload.upper(), HOUR, product="m365", workload=workload)

    result = load({"product": "m365", "object_type": ["teams", "onedrive"]})

    assert counts(result) == (2, 0, 0)
    assert {row["job_id"]: row["workload"] for row in database.rows(JOBS)} == {
        "ONEDRIVE": "onedrive",
        "TEAMS": "teams",
    }


def test_other_job_types_are_another_listing(simulator: Simulator, database: Database) -> None:
    add(simulator, "B", HOUR)
    add(simulator, "R", 20 * HOUR, job_type="restore")
    load({})

    result = load({"job_type": ["backup", "restore"]})

    assert (counts(result), began(result)) == ((1, 0, 1), about(30 * DAY))
    assert {row["job_id"]: row["job_type"] for row in database.rows(JOBS)} == {"B": "backup", "R": "restore"}


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        ({"job_type": "backup"}, {"job_type": ["backup"]}),
        ({"job_type": ["restore", "backup"]}, {"job_type": '["backup", "restore"]'}),
        (
            {"product": "m365", "object_type": ["teams", "onedrive"]},
            {"product": "m365", "object_type": '["onedrive", "teams"]'},
        ),
    ],
    ids=["alone", "job types", "object types"],
)
def test_a_listing_is_the_same_however_it_is_asked_for(
    simulator: Simulator, database: Database, spelling: dict[str, Any], other: dict[str, Any]
) -> None:
    load(spelling)

    result = load(other)

    assert began(result, spelling.get("product", "dynamics365")) == about(3 * DAY)
    assert len(database.rows(LOADS)) == 1


def test_a_listing_that_breaks_off_is_loaded_again(
    simulator: Simulator, database: Database, connect: Callable[..., str]
) -> None:
    """What was written stays, and the next load begins where this one did."""
    connect(extra={"page_size": 500, "max_concurrency": 1})
    simulator.generate("dynamics365", 2100, every_seconds=60)
    simulator.add_fault("status", status=400, path="/dynamicsbackup/jobs", skip=4)

    with pytest.raises(exceptions.AvePointRequestError):
        load({})
    written = len(database.rows(JOBS))
    result = load({})

    assert written == 2000
    assert (counts(result), began(result)) == ((100, 0, 2000), about(30 * DAY))
    assert len(database.states()) == 2100


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"product": "dynamics"}, "dynamics365"),
    ({"product": None}, "product"),
    ({"product": []}, "product"),
    ({"started_after": "yesterday"}, "started_after"),
    ({"started_after": datetime(2026, 11, 20)}, "started_after"),  # noqa: DTZ001  # that is why
    ({"reread_days": None}, "reread_days"),
    ({"reread_days": -1}, "reread_days"),
    ({"reread_days": "1.5"}, "reread_days"),
    ({"reread_days": True}, "reread_days"),
    ({"reread_days": 3651}, "reread_days"),
    ({"job_type": "bakcup"}, "job_type"),
    ({"object_type": "teams"}, "object_type"),
    ({"location": "EUR"}, "location"),
    ({"organization_id": " "}, "organization_id"),
]


def test_an_argument_that_cannot_be_used_fails_the_task(
    simulator: Simulator, sqlite_database: Database
) -> None:
    for arguments, named in UNUSABLE:
        with pytest.raises(exceptions.AvePointConfigError, match=named) as caught:
            load(arguments)
        assert isinstance(caught.value, AirflowFailException)

    assert simulator.requests() == []
    assert sqlite_database.rows(LOADS) == []


def test_every_argument_is_a_template_field() -> None:
    parameters = inspect.signature(AvePointJobsToSqlOperator.__init__).parameters

    assert set(AvePointJobsToSqlOperator.template_fields) == set(parameters) - {"self", "kwargs"}


# Clocks that are wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, -1, 400, -400])
def test_a_worker_whose_clock_is_wrong_loses_no_job(
    simulator: Simulator, database: Database, days: int
) -> None:
    """The worker's clock is *days* ahead of the API's in the first load; then a right one loads."""
    simulator.set_clock(ahead_seconds=-days * DAY)
    there = datetime.now(UTC) - timedelta(days=days)
    add(simulator, "FIRST", 2 * HOUR)

    assert counts(load({})) == (1, 0, 0)

    (row,) = database.rows(JOBS)
    (progress,) = database.rows(LOADS)
    assert abs(row["read_at"] - there) < SLACK
    assert abs(progress["begun_at"] - there) < SLACK
    assert progress["resume_from"] <= there - timedelta(hours=6) + SLACK
    if days > 0:  # time passes, until it is as late there as it is here
        simulator.set_clock(ahead_seconds=0)
    # It began just after the first load.
    simulator.add_job("dynamics365", job_id="NEXT", state="success", started_at=there + 10 * SECOND)
    load({"reread_days": 0})

    assert database.states() == {"FIRST": "success", "NEXT": "success"}


@pytest.mark.parametrize("date", [None, "soon", "Mon, 01 Jan 2176 00:00:00 GMT", 400 * DAY, -400 * DAY])
def test_an_api_that_does_not_know_the_time_loses_no_job(
    simulator: Simulator, database: Database, date: float | str | None
) -> None:
    """An answer without a date, with one that is none, or with one of a clock that is far off."""
    simulator.set_clock(ahead_seconds=0, date_header=date)
    add(simulator, "FIRST", HOUR, "running")
    load({})
    simulator.set_clock(ahead_seconds=0, date_header=0)
    add(simulator, "NEXT", 60)
    simulator.patch_job("dynamics365", "FIRST", state="success")

    load({})

    assert database.states() == {"FIRST": "success", "NEXT": "success"}
    assert all(row["read_at"] < datetime.now(UTC) for row in database.rows(JOBS))


@pytest.mark.parametrize("field", ["resume_from", "begun_at", "loaded_from"])
def test_a_ledger_that_was_loaded_in_the_future_is_put_right(
    simulator: Simulator, database: Database, field: str
) -> None:
    """By an earlier release on a worker whose clock was ahead: what it has missed since is read."""
    add(simulator, "KNOWN", 20 * DAY, "failed")
    load({})
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with engine() as opened, writing(opened) as connection:
        connection.execute(LOADS.update().values({"resume_from": tomorrow, field: tomorrow}))
        connection.execute(JOBS.update().values(read_at=tomorrow, first_read_at=tomorrow))
    add(simulator, "MISSED", 10 * DAY)
    simulator.patch_job("dynamics365", "KNOWN", state="success")

    healed = load({})
    usual = load({})

    assert (counts(healed), began(healed)) == ((1, 1, 0), about(30 * DAY))
    assert began(usual) == about(3 * DAY)
    assert database.states() == {"KNOWN": "success", "MISSED": "success"}
    for row in (*database.rows(JOBS), *database.rows(LOADS)):
        moments = [row.get(name) for name in ("read_at", "first_read_at", "resume_from", "begun_at")]
        assert all(moment < datetime.now(UTC) for moment in moments if moment is not None)


# Loads that meet ------------------------------------------------------------------------------------

STREAM = Stream(tenant="t", product="dynamics365", location="", organization_id="", selection="")


def point(loaded_from: int, resume_from: int, begun_at: int) -> LoadPoint:
    """Return a point by seconds."""
    return LoadPoint(
        loaded_from=NOON + loaded_from * SECOND,
        resume_from=NOON + resume_from * SECOND,
        begun_at=NOON + begun_at * SECOND,
    )


def test_a_load_moves_the_point_on(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        assert ledger.load_point(STREAM) is None
        ledger.save_load_point(STREAM, point(0, 50, 100), None)
        assert ledger.load_point(STREAM) == point(0, 50, 100)
        ledger.save_load_point(STREAM, point(0, 150, 200), point(0, 50, 100))

        assert ledger.load_point(STREAM) == point(0, 150, 200)


@pytest.mark.parametrize("is_swapped", [False, True], ids=["in order", "swapped"])
def test_of_two_loads_at_once_both_count(database: Database, *, is_swapped: bool) -> None:
    """One goes back and finds an old job that runs; the other, which began later, knows nothing of it."""
    before, back, usual = point(50, 90, 100), point(0, 30, 110), point(50, 115, 120)
    with Ledger(CONN_ID) as ledger:
        ledger.save_load_point(STREAM, before, None)
        for loaded in (usual, back) if is_swapped else (back, usual):
            ledger.save_load_point(STREAM, loaded, before)

        assert ledger.load_point(STREAM) == point(0, 30, 120)


def test_streams_are_apart(database: Database) -> None:
    others = [
        {"tenant": "u"},
        {"product": "m365"},
        {"location": "EUR"},
        {"organization_id": "a"},
        {"selection": "b"},
    ]
    with Ledger(CONN_ID) as ledger:
        ledger.save_load_point(STREAM, point(0, 1, 2), None)
        fields = {name: getattr(STREAM, name) for name in STREAM.__slots__}

        assert [ledger.load_point(Stream(**(fields | other))) for other in others] == [None] * 5
