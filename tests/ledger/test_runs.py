"""Which readings of one id are about one run: the rule of ``ledger.tables``, in any order of the loads."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.ledger.store import Changes, Ledger
from airflow_provider_avepoint.ledger.tables import JOBS
from tests.ledger.databases import CONN_ID, NOON, SECOND, Database

MINUTE = timedelta(minutes=1)


def job(
    job_id: str, state: str, start: float | None = None, finish: float | None = None, **fields: Any
) -> BackupJob:
    """Return a job whose times are minutes after noon."""
    started_at, finished_at = (None if each is None else NOON + each * MINUTE for each in (start, finish))
    return BackupJob(
        product="iaas_paas",
        job_id=job_id,
        job_type="backup",
        state=JobState(state),
        **({"started_at": started_at, "finished_at": finished_at} | fields),
    )


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


#: What was read of one id (the state, the start, the finish, and when it was read, in minutes), and the runs
#: that stand in the ledger afterwards, in whatever order the readings were written.
HISTORIES: dict[str, tuple[list[tuple[str, float | None, float | None, float]], set[tuple[str, Any]]]] = {
    "a planned start that moves back": (
        [("waiting", 10, None, 1), ("running", 12, None, 15), ("success", 12, 20, 25)],
        {("success", 12)},
    ),
    "a planned start that moves forward": (
        [("waiting", 10, None, 1), ("running", 8, None, 9), ("failed", 8, 20, 25)],
        {("failed", 8)},
    ),
    "a plan that is put off": ([("waiting", 10, None, 1), ("waiting", 30, None, 15)], {("waiting", 30)}),
    "a run that nobody saw": ([("waiting", 10, None, 1), ("success", 12, 20, 25)], {("success", 12)}),
    "no start before it begins": (
        [("waiting", None, None, 1), ("running", 12, None, 15), ("success", 12, 20, 25)],
        {("success", 12)},
    ),
    "two runs": ([("success", 2, 5, 6), ("failed", 60, 70, 75)], {("success", 2), ("failed", 60)}),
    "two runs in one load": (
        [("failed", 2, 5, 75), ("success", 60, 70, 75)],
        {("failed", 2), ("success", 60)},
    ),
    "two runs from their plans to their ends": (
        [
            ("waiting", 10, None, 1),
            ("running", 12, None, 15),
            ("failed", 12, 20, 25),
            ("waiting", 40, None, 26),
            ("running", 42, None, 45),
            ("success", 42, 50, 55),
        ],
        {("failed", 12), ("success", 42)},
    ),
    "a second run that is under way": (
        [("running", 2, None, 3), ("success", 2, 5, 6), ("running", 60, None, 61)],
        {("success", 2), ("running", 60)},
    ),
    "a second run that waits, in one load": (
        [("success", 2, 5, 6), ("waiting", 60, None, 6)],
        {("success", 2), ("waiting", 60)},
    ),
    "the end and the plan in one load": (
        [("waiting", 10, None, 11), ("success", 12, 13, 11)],
        {("success", 12)},
    ),
    "an end that says no finish": (
        [("running", 2, None, 3), ("skipped", 2, None, 6), ("running", 60, None, 61)],
        {("skipped", 2), ("running", 60)},
    ),
    "a start with its fraction, and without": (
        [("running", 2.005, None, 3), ("success", 2, 5, 6)],
        {("success", 2)},
    ),
    "a start that is rounded": ([("running", 2, None, 3), ("success", 2 + 1 / 60, 5, 6)], {("success", 2)}),
    "a start that is lost": (
        [("success", 2, 5, 6), ("success", None, 5, 7)],
        {("success", None)},
    ),
    "a start and a finish that are lost": (
        [("failed", 2, 5, 6), ("failed", None, None, 7)],
        {("failed", None)},
    ),
    "an end without a start, of another run": (
        [("success", 2, 5, 6), ("failed", None, 65, 70)],
        {("success", 2), ("failed", None)},
    ),
    "ends without a start, of two runs": (
        [("success", None, 5, 6), ("failed", None, 65, 70)],
        {("success", None), ("failed", None)},
    ),
    "times that are lost, and the next run": (
        [("success", 2, 5, 6), ("failed", None, None, 7), ("success", 60, 65, 70)],
        {("failed", None), ("success", 60)},
    ),
    "a start that is found": ([("failed", None, 5, 6), ("success", 2, 5, 7)], {("success", 2)}),
    "an end without any time": ([("running", 2, None, 3), ("failed", None, None, 6)], {("failed", None)}),
    "a state that nobody knows, and the end": (
        [("unknown", 10, None, 11), ("success", 12, 20, 25)],
        {("success", 12)},
    ),
    "the same plan, corrected to failed": (
        [("success", 2, 5, 6), ("failed", 2, 5, 7)],
        {("failed", 2)},
    ),
}


def write(ledger: Ledger, readings: Iterable[tuple[BackupJob, datetime]], *, at_once: bool) -> None:
    """Write readings in their order; those of one time in one write, or each by itself."""
    for read_at, group in itertools.groupby(readings, key=lambda reading: reading[1]):
        jobs = [each for each, _ in group]
        for batch in [jobs] if at_once else [[each] for each in jobs]:
            ledger.save_jobs("t", batch, read_at)


def test_runs_are_told_apart_in_any_order_of_loads(sqlite_database: Database) -> None:
    expected = {}
    with Ledger(CONN_ID) as ledger:
        for name, (readings, runs) in HISTORIES.items():
            # Of 720 orders of six readings each 31st.
            orders = itertools.islice(
                itertools.permutations(readings), 0, None, 31 if len(readings) > 4 else 1
            )
            for (number, order), at_once in itertools.product(enumerate(orders), (True, False)):
                job_id = f"{name}, {number}, {at_once}"
                expected[job_id] = {(state, None if start is None else at(start)) for state, start in runs}
                write(
                    ledger,
                    [(job(job_id, *reading[:3]), at(reading[3])) for reading in order],
                    at_once=at_once,
                )

    found: dict[str, set[Any]] = {name: set() for name in expected}
    for row in sqlite_database.rows(JOBS):
        start = row["started_at"]
        found[row["job_id"]].add((row["state"], start and start.replace(second=0)))
    assert found == expected


@pytest.mark.system
def test_runs_are_told_apart_in_postgres_too(postgres_database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        for name, (readings, _) in HISTORIES.items():
            write(ledger, [(job(name, *each[:3]), at(each[3])) for each in readings], at_once=True)

    assert len(postgres_database.rows(JOBS)) == sum(len(runs) for _, runs in HISTORIES.values())


def test_a_run_whose_start_moves_keeps_when_it_was_first_read(database: Database) -> None:
    """And whatever is written again is unchanged."""
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", [job("J1", "waiting", 10)], at(1)) == Changes(inserted=1)
        assert ledger.save_jobs("t", [job("J1", "success", 12, 20)], at(25)) == Changes(updated=1)
        assert ledger.save_jobs("t", [job("J1", "success", 12, 20)], at(30)) == Changes(unchanged=1)
        # A load that began before comes late with what it had read.
        assert ledger.save_jobs("t", [job("J1", "waiting", 10)], at(1)) == Changes(unchanged=1)

    (row,) = database.rows(JOBS)
    assert (row["first_read_at"], row["read_at"]) == (at(1), at(25))
    assert (row["run_start"], row["started_at"]) == ("2026-11-20T12:12:00", at(12))


def test_two_runs_of_one_id_stay_as_they_are(database: Database) -> None:
    """Load after load, the writes in either order, in one write or in two."""
    ended, under_way = job("J1", "success", 2, 5), job("J1", "running", 60)
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [ended, under_way], at(61))
        before = database.rows(JOBS)
        for minute, batches in enumerate(
            ([[ended, under_way]], [[under_way], [ended]], [[ended], [under_way]]), start=62
        ):
            for batch in batches:
                assert ledger.save_jobs("t", batch, at(minute)) == Changes(unchanged=len(batch))

    assert database.rows(JOBS) == before


def test_an_end_without_any_time_is_no_third_run_and_hides_neither(sqlite_database: Database) -> None:
    """In one load, at once or in several writes."""
    rows = [job("J1", "success", 2, 5), job("J1", "failed"), job("J1", "success", 60, 65)]
    with Ledger(CONN_ID) as ledger:
        for number, (order, at_once) in enumerate(
            itertools.product(itertools.permutations(rows), (True, False))
        ):
            tenant = f"t{number}"
            for batch in [order] if at_once else [[each] for each in order]:
                ledger.save_jobs(tenant, batch, at(70))

    found: dict[str, set[str]] = {}
    for row in sqlite_database.rows(JOBS):
        found.setdefault(row["tenant"], set()).add(row["run_start"])
    assert len(found) == 12
    assert set(map(frozenset, found.values())) == {frozenset({"2026-11-20T12:02:00", "2026-11-20T13:00:00"})}


@pytest.mark.no_cover
def test_an_id_that_is_used_each_hour_of_a_year_is_written_in_time(sqlite_database: Database) -> None:
    """A run is found by its start, not by a look at each other run."""
    runs = [job("NIGHTLY", "success", 60 * hour, 60 * hour + 5) for hour in range(8760)]
    with Ledger(CONN_ID) as ledger:
        assert ledger.save_jobs("t", runs[:-1], at(0)) == Changes(inserted=8759)
        assert ledger.save_jobs("t", runs[-24:], at(1)) == Changes(inserted=1, unchanged=23)

    assert len(sqlite_database.rows(JOBS)) == 8760


def test_a_start_that_is_derived_is_the_key_of_an_ended_run(database: Database) -> None:
    """Of a finish and a duration, as a gate derives it; the start that comes later is the same run's."""
    derived = job("J1", "failed", None, 30, duration=10 * MINUTE)
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [derived], at(31))
        (row,) = database.rows(JOBS)
        assert (row["run_start"], row["started_at"]) == ("2026-11-20T12:20:00", None)
        stated = job("J1", "success", None, 30, started_at=at(20) + 4 * SECOND)
        assert ledger.save_jobs("t", [stated], at(40)) == Changes(updated=1)

    (row,) = database.rows(JOBS)
    assert (row["run_start"], row["state"]) == ("2026-11-20T12:20:04", "success")
