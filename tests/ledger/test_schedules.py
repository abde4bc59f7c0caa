"""The schedule of past days: kept by gates and loads, read by gates in every mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors, retry
from airflow_provider_avepoint.core.schedule import BackupSchedule, ServiceSchedule
from airflow_provider_avepoint.ledger import schedules as keeper
from airflow_provider_avepoint.ledger.database import writing
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import JOBS, SCHEDULES
from airflow_provider_avepoint.operators.avepoint import (
    AvePointBackupCheckOperator,
    AvePointJobsToSqlOperator,
)
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import ledger as triggers
from tests.ledger.databases import CONN_ID, Database, engine, execute
from tests.sensors.modes import MODES, Outcome, World, run

HOUR = timedelta(hours=1)
FREQUENCY = "/backup/m365/settings/backup/frequency"
#: The API's first day; its clock is set, so that no test depends on the time of day.
MIDNIGHT = (datetime.now(UTC) + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def at(hours: float) -> datetime:
    return MIDNIGHT + hours * HOUR


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.fixture
def conn_id(connect: Callable[..., str]) -> str:
    return connect()


def schedule(read: float, *starts: float, service: str = "teams", **fields: Any) -> BackupSchedule:
    services = (ServiceSchedule(service=service, runs_a_day=1, starts=tuple(map(at, starts))),)
    return BackupSchedule(
        **{"product": "m365", "read_at": at(read), "services": services if starts else ()} | fields
    )


def set_time(simulator: Simulator, hours: float) -> None:
    simulator.set_clock(ahead_seconds=(at(hours) - datetime.now(UTC)).total_seconds())


def set_schedule(simulator: Simulator, *starts: float) -> None:
    rows = [
        {"serviceType": 6, "frequency": "1", "backupStartTime": [at(each).isoformat() for each in starts]}
    ]
    simulator.set_reading("m365", "schedule", rows if starts else [])


def add_backup(simulator: Simulator, start: float, **fields: Any) -> None:
    given = {"started_at": at(start).isoformat(), **fields}
    simulator.add_job("m365", job_id=f"J{start}", workload="teams", **given)


def known(database: Database) -> list[tuple[float, str, list[float]]]:
    """Return what the table holds: the day, the service and the starts, in days and hours since MIDNIGHT."""
    return [
        (
            (row["day"] - MIDNIGHT.date()).days,
            row["service"],
            [(datetime.fromisoformat(each) - MIDNIGHT) / HOUR for each in json.loads(row["starts"])],
        )
        for row in database.rows(SCHEDULES)
    ]


def test_a_day_that_was_read_is_not_a_day_that_nobody_read(database: Database) -> None:
    """In SQL too: the day itself has a row."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_schedule("t", schedule(5, 4, 10))
        ledger.save_schedule("t", schedule(29))
        ledger.save_schedule("other", schedule(53, 52))
        ledger.save_schedule("t", schedule(53, 52, location="NAM"))
        days = ledger.find_schedules("t", "m365", None, MIDNIGHT.date())

    assert [(at(0).date(), at(5), 1), (at(24).date(), at(29), 0)] == [
        (each.day, each.read_at, len(each.services)) for each in days
    ]
    assert days[0].services == schedule(5, 4, 10).services
    assert execute("SELECT count(*) FROM avepoint_schedules WHERE service = '' AND tenant = 't'") == [3]


def test_what_several_writers_keep(database: Database) -> None:
    """Twice, an older one, one after midnight, one whose figures no column holds."""
    with Ledger(CONN_ID) as ledger, Ledger(CONN_ID) as other:
        ledger.save_schedule("t", schedule(5, 4, 10))
        other.save_schedule("t", schedule(12, 20))
        other.save_schedule("t", schedule(12, 20))
        ledger.save_schedule("t", schedule(11, 4, 10, 11))
        other.save_schedule("t", schedule(24.1, 20))
        assert known(database) == [(0, "", []), (0, "teams", [4, 20])]
        many = ServiceSchedule(service="teams", runs_a_day=10**30)
        ledger.save_schedule("t", schedule(29, services=(many,)))
        (day,) = ledger.find_schedules("t", "m365", None, at(24).date())
    assert day.services[0].runs_a_day == 2**63 - 1


def test_what_tells_nothing_new_is_not_written(database: Database) -> None:
    """A thousand gates read one schedule. But each start that has passed is settled."""
    with Ledger(CONN_ID) as ledger:

        def read_at() -> datetime:
            return ledger.find_schedules("t", "m365", None, MIDNIGHT.date())[0].read_at

        ledger.save_schedule("t", schedule(3.9, 4))
        ledger.save_schedule("t", schedule(3.95, 4))
        assert read_at() == at(3.9)
        ledger.save_schedule("t", schedule(4, 4))
        assert read_at() == at(4)
        ledger.save_schedule("t", schedule(4.5, 4))
        assert read_at() == at(4.5)
        ledger.save_schedule("t", schedule(4.6, 4, 5))
        assert read_at() == at(4.6)
        ledger.save_schedule("t", schedule(-9, -3, 4.3))  # a part of the day
        assert read_at() == at(4.6)
        ledger.save_schedule("t", schedule(40, 44, 50))  # and of a day that nobody has read
    assert known(database) == [
        *[(-1, "", []), (-1, "teams", [-3])],
        *[(0, "", []), (0, "teams", [4, 4.3, 5])],
        *[(1, "", []), (1, "teams", [44])],
        (2, "teams", [50]),
    ]


def test_a_row_that_somebody_has_changed_is_an_error_that_names_the_table(database: Database) -> None:
    for starts in ("{}", "7", "null", '["soon"]', "[7]", '["2026-11-22T04:00:00"]'):
        with Ledger(CONN_ID) as ledger:
            execute("DELETE FROM avepoint_schedules")
            ledger.save_schedule("t", schedule(5, 4))
            execute(f"UPDATE avepoint_schedules SET starts = '{starts}' WHERE service = 'teams'")
            for use in (
                lambda: ledger.save_schedule("t", schedule(6, 4)),
                lambda: ledger.find_schedules("t", "m365", None, MIDNIGHT.date()),
            ):
                with pytest.raises(errors.AvePointLedgerError, match="avepoint_schedules is not understood"):
                    use()


# Gates.


def gate(**changes: Any) -> dict[str, Any]:
    return {
        "product": "m365",
        "object_types": ["teams"],
        "max_age": timedelta(hours=30),
        "expect_scheduled": True,
        "ledger_conn_id": CONN_ID,
        "decide_by": "newest",
        **changes,
    }


def check(**changes: Any) -> dict[str, Any]:
    return AvePointBackupCheckOperator(task_id="check", **gate(**changes)).execute({})


def wait(simulator: Simulator, mode: str, *steps: Callable[[World], None], **changes: Any) -> Outcome:
    given = {"timeout": 3600, "poke_interval": 60.0, **gate(**changes)}
    return run(mode, partial(AvePointBackupSensor, task_id="wait", **given), World(simulator, list(steps)))


def test_a_check_judges_yesterday_by_what_was_kept(
    simulator: Simulator, database: Database, conn_id: str
) -> None:
    """The check of the day before has kept the schedule, though its own verdict was bad."""
    set_time(simulator, 6)
    set_schedule(simulator, 4, 10)
    with pytest.raises(exceptions.AvePointBackupNotVerified, match="04:00:00"):
        check()
    add_backup(simulator, 4)
    set_time(simulator, 30)
    set_schedule(simulator, 28)
    add_backup(simulator, 28)

    with pytest.raises(exceptions.AvePointBackupNotVerified, match=r"missed, no job answers the .* 10:00:00"):
        check()
    with pytest.raises(exceptions.AvePointBackupNotVerified):
        check(avepoint_conn_id=conn_id, tenant="avepoint_default")
    passed = check(tenant="nobody has read for this one"), check(ledger_conn_id=None)
    add_backup(simulator, 10.2)
    evidence = check()

    (days,) = evidence["schedule_days"]
    today, yesterday = ((MIDNIGHT + timedelta(days=each)).date().isoformat() for each in (1, 0))
    assert (days["known"], days["unknown"]) == ([[yesterday, today]], [])
    for each in passed:
        (days,) = each["schedule_days"]
        assert (days["known"], days["unknown"]) == ([[today, today]], [[yesterday, yesterday]])


def test_a_job_that_runs_for_days_answers_its_own_run_until_it_has_ended(
    simulator: Simulator, sqlite_database: Database, conn_id: str
) -> None:
    """The good backup is of before: the gate must not open on it day after day while nothing else starts."""
    add_backup(simulator, -20)
    add_backup(simulator, 4, state="running")
    for day in range(2):
        set_time(simulator, 6 + 24 * day)
        set_schedule(simulator, 4 + 24 * day)
        if day == 0:
            assert check(max_age="P3D")["passed"]
    with pytest.raises(exceptions.AvePointBackupNotVerified, match=r"missed, no job answers the .* 04:00:00"):
        check(max_age="P3D")
    simulator.patch_job("m365", "J4", state="success", finished_at=at(29).isoformat())

    assert check(max_age="P3D")["passed"]


@pytest.mark.parametrize("mode", MODES)
def test_midnight_during_a_wait(simulator: Simulator, database: Database, conn_id: str, mode: str) -> None:
    """The last run of the day was due at 23:00. Nothing answers it until the wait's third look."""

    def begin(_world: World) -> None:
        set_time(simulator, 22)
        set_schedule(simulator, 22, 23)
        add_backup(simulator, 21.9, state="running")

    def turn(_world: World) -> None:
        set_time(simulator, 24.5)
        set_schedule(simulator, 28)
        simulator.patch_job("m365", "J21.9", state="success", finished_at=at(22.5).isoformat())

    def catch_up(_world: World) -> None:
        set_time(simulator, 24.6)
        add_backup(simulator, 23.5)

    outcome = wait(simulator, mode, begin, turn, catch_up)

    assert (outcome.kind, outcome.pauses) == (None, 2)
    assert known(database) == [(0, "", []), (0, "teams", [22, 23]), (1, "", []), (1, "teams", [28])]
    assert len(outcome.value["schedule_days"][0]["known"]) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_ledger_that_is_away_opens_no_gate_in_any_mode(
    simulator: Simulator, sqlite_database: Database, conn_id: str, mode: str
) -> None:
    """A verdict that does not pass is waited on, or ends the wait; one that would pass fails the task."""
    set_time(simulator, 6)
    set_schedule(simulator, 4)
    add_backup(simulator, 4, state="running")
    with Ledger(CONN_ID):
        pass

    def lose(_world: World) -> None:
        execute("ALTER TABLE avepoint_schedules RENAME TO gone")

    def finish(state: str) -> Callable[[World], None]:
        return lambda _world: simulator.patch_job("m365", "J4", state=state, finished_at=at(5).isoformat())

    lost = wait(simulator, mode, lose, finish("success"))
    bad = wait(simulator, mode, finish("failed"))
    execute("ALTER TABLE gone RENAME TO avepoint_schedules")
    found = wait(simulator, mode, finish("success"))

    assert (lost.kind, lost.pauses) == (exceptions.AvePointLedgerError, 1)
    assert not isinstance(lost.error, AirflowFailException)  # a retry may find the ledger again
    assert bad.kind is exceptions.AvePointBackupFailed
    assert found.kind is None


async def test_a_ledger_that_hangs_holds_up_one_look(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is locked by another writer, and the loop goes on."""
    with Ledger(CONN_ID):
        pass
    monkeypatch.setattr(triggers, "_PATIENCE", 0.2)
    with engine() as opened, writing(opened):
        keep = triggers.akeep_schedules([schedule(5, 4)], MIDNIGHT.date(), ledger_conn_id=CONN_ID, tenant="t")
        answer, _ = await asyncio.gather(keep, asyncio.sleep(0))
    assert "did not answer within" in str(answer.error)


def test_waits_that_share_a_reading_ask_the_ledger_once(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = Ledger.__init__
    monkeypatch.setattr(Ledger, "__init__", lambda self, *args: (opened.append(1), original(self, *args))[1])
    read = [schedule(6 + number, 4) for number in range(20)]
    keep = partial(keeper.keep_schedules, first=MIDNIGHT.date(), ledger_conn_id=CONN_ID, tenant="t")

    assert {keep([read[0]]) for _ in range(9)} == {keep([read[0]])}
    assert len(opened) == 1
    assert len({keep([each]) for each in read}) == 20


# Loads.


def load(**changes: Any) -> dict[str, Any]:
    given = {"product": "m365", "object_type": "teams", "keep_schedule": True, "ledger_conn_id": CONN_ID}
    return AvePointJobsToSqlOperator(task_id="load", **given | changes).execute({})


def test_a_load_keeps_the_schedule_where_it_is_told_to(
    simulator: Simulator,
    database: Database,
    conn_id: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missing permission, or an answer that is not understood, costs no job."""
    set_time(simulator, 6)
    set_schedule(simulator, 4)
    add_backup(simulator, 4)
    assert "schedule_kept" not in load(keep_schedule="false")["products"]["m365"]
    assert known(database) == []
    simulator.add_fault("status", path=FREQUENCY, status=403, count=1)
    refused = load()
    simulator.set_reading("m365", "schedule", "nonsense")
    odd = load()
    set_schedule(simulator, 4)
    kept = load(product=["m365", "dynamics365"], object_type=None)

    assert [False, False, True] == [
        each["products"]["m365"]["schedule_kept"] for each in (refused, odd, kept)
    ]
    assert "schedule_kept" not in kept["products"]["dynamics365"]
    assert {row["job_id"] for row in database.rows(JOBS)} == {"J4"}
    assert known(database) == [(0, "", []), (0, "teams", [4])]
    assert "microsoft365backup.settings.read.all" in caplog.text + capsys.readouterr().out


def test_a_product_without_a_schedule_is_refused_by_name(database: Database, conn_id: str) -> None:
    with pytest.raises(AirflowFailException, match=r"keep_schedule: .*'dynamics365' .*m365"):
        load(product="dynamics365", object_type=None)
    with pytest.raises(AirflowFailException, match="keep_schedule: 'perhaps'"):
        load(keep_schedule="perhaps")
