"""Jobs in the ledger: every column, and the same table whatever comes in whatever order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.ledger.store import Changes, Ledger
from airflow_provider_avepoint.ledger.tables import JOBS
from tests.ledger.databases import CONN_ID, NOON, SECOND, Database, execute, make_job


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(CONN_ID) as opened:
        yield opened


def save(ledger: Ledger, *jobs: BackupJob, read_at: datetime = NOON) -> Changes:
    return ledger.save_jobs("t", jobs, read_at)


def test_each_column_is_read_back(ledger: Ledger, database: Database) -> None:
    save(ledger, make_job(problems=("status: 'Odd'", "it came twice")))

    (row,) = database.rows(JOBS)
    assert len(row.pop("digest")) == 32
    assert {name: json.loads(row.pop(name)) for name in ("errors", "raw", "problems")} == {
        "errors": [
            {"is_error_code": True, "message": "No access", "url": "https://example.com/1", "count": 2}
        ],
        "raw": {"jobId": "J1", "status": "Finished"},
        "problems": ["status: 'Odd'", "it came twice"],
    }
    assert row == {
        "tenant": "t",
        "product": "dynamics365",
        "job_id": "J1",
        "location": "EUR",
        "organization_key": "contoso",
        "workload": "customer_engagement",
        "run_start": "2026-11-20T12:00:00",
        "organization_id": "contoso",
        "job_type": "backup",
        "state": "success",
        "is_terminal": True,
        "raw_state": "Finished",
        "started_at": datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC),
        "finished_at": datetime(2026, 11, 20, 12, 10, 0, 7, tzinfo=UTC),
        "duration_seconds": 599.876551,
        "objects_total": 10,
        "objects_successful": 7,
        "objects_failed": 1,
        "objects_skipped": 2,
        "objects_warning": 3,
        "records_total": 100,
        "records_successful": 70,
        "records_failed": 10,
        "records_skipped": 20,
        "records_warning": 30,
        "metadata_total": 0,
        "metadata_successful": 0,
        "metadata_failed": 0,
        "metadata_skipped": 0,
        "metadata_warning": 0,
        "size_bytes": 5_000_000_000,
        "organization_name": "Contoso",
        "read_at": NOON,
        "first_read_at": NOON,
    }
    assert {row[name].tzinfo for name in ("started_at", "finished_at", "read_at", "first_read_at")} == {UTC}


def test_a_job_that_says_nothing_has_empty_keys_and_no_figures(ledger: Ledger, database: Database) -> None:
    save(ledger, BackupJob(product="m365", job_id="J1", state=JobState.WAITING))

    (row,) = database.rows(JOBS)
    assert {name for name, value in row.items() if value == ""} == {
        "location",
        "organization_id",
        "organization_key",
        "workload",
        "run_start",
    }
    assert {name: value for name, value in row.items() if value is not None and value != ""} == {
        "tenant": "t",
        "product": "m365",
        "job_id": "J1",
        "state": "waiting",
        "is_terminal": False,
        "errors": "[]",
        "raw": "{}",
        "problems": "[]",
        "digest": row["digest"],
        "read_at": NOON,
        "first_read_at": NOON,
    }


def test_what_is_written_again_is_unchanged(ledger: Ledger, database: Database) -> None:
    jobs = [make_job("J1"), make_job("J2", "running"), make_job("J3", "unknown")]

    assert save(ledger, *jobs) == Changes(inserted=3)
    before = database.rows(JOBS)
    assert save(ledger, *jobs) == Changes(unchanged=3)
    assert save(ledger, *reversed(jobs), read_at=NOON + SECOND) == Changes(unchanged=3)

    assert database.rows(JOBS) == before


def test_each_write_is_counted(ledger: Ledger, database: Database) -> None:
    save(ledger, make_job("J1", "running"), make_job("J2", "success"), make_job("J3", "running"))

    changes = save(
        ledger,
        make_job("J1", "failed"),
        make_job("J2", "success"),
        make_job("J3", "running"),
        make_job("J4", "waiting"),
        read_at=NOON + SECOND,
    )

    assert changes == Changes(inserted=1, updated=1, unchanged=2)
    assert database.states() == {"J1": "failed", "J2": "success", "J3": "running", "J4": "waiting"}


def test_nothing_is_no_write(ledger: Ledger, database: Database) -> None:
    assert save(ledger) == Changes()
    assert database.rows(JOBS) == []


def test_counts_add_up() -> None:
    assert Changes(1, 2, 3).plus(Changes(10, 20, 30)) == Changes(inserted=11, updated=22, unchanged=33)


def test_an_update_keeps_when_the_job_was_first_seen(ledger: Ledger, database: Database) -> None:
    save(ledger, make_job(state="running"))
    save(ledger, make_job(state="success"), read_at=NOON + SECOND)

    (row,) = database.rows(JOBS)
    assert (row["state"], row["first_read_at"], row["read_at"]) == ("success", NOON, NOON + SECOND)


RUNNING, RUNNING_ON, ENDED = (
    make_job(state="running", counts=Counts(total=1)),
    make_job(state="running", counts=Counts(total=2)),
    make_job(state="success", counts=Counts(total=3)),
)


READINGS = {
    "later": ([(RUNNING, 0), (RUNNING_ON, 1)], 2),
    "earlier": ([(RUNNING_ON, 1), (RUNNING, 0)], 2),
    "at once": ([(RUNNING, 0), (RUNNING_ON, 0)], 2),
    "ended": ([(RUNNING, 0), (ENDED, 1)], 3),
    "ended before": ([(ENDED, 1), (RUNNING, 0)], 3),
    "ended stays": ([(ENDED, 0), (RUNNING, 1)], 3),
    # a long load that began earlier, and came to the job later
    "ended in a load that began before": ([(RUNNING, 1), (ENDED, 0)], 3),
}


def test_the_latest_reading_holds_and_an_end_is_an_end(ledger: Ledger, database: Database) -> None:
    for name, (readings, _) in READINGS.items():
        for job, seconds in readings:
            save(ledger, replace(job, job_id=name), read_at=NOON + seconds * SECOND)

    totals = {row["job_id"]: row["objects_total"] for row in database.rows(JOBS)}
    assert totals == {name: total for name, (_, total) in READINGS.items()}


def test_of_a_batch_s_readings_one_is_written(ledger: Ledger, database: Database) -> None:
    batches = {
        "the last": ((RUNNING, RUNNING_ON), 2),
        "ended": ((RUNNING, ENDED), 3),
        "ended before": ((ENDED, RUNNING), 3),
    }
    for name, (jobs, _) in batches.items():
        assert save(ledger, *(replace(job, job_id=name) for job in jobs)) == Changes(inserted=1)

    totals = {row["job_id"]: row["objects_total"] for row in database.rows(JOBS)}
    assert totals == {name: total for name, (_, total) in batches.items()}


def test_an_ended_job_may_be_put_right(ledger: Ledger, database: Database) -> None:
    """The vendor counts again, or we read a state better: an end that is read later holds."""
    save(ledger, make_job(state="success"))

    assert save(ledger, make_job(state="partial"), read_at=NOON + SECOND) == Changes(updated=1)
    assert database.states() == {"J1": "partial"}


def test_another_key_is_another_job(ledger: Ledger, database: Database) -> None:
    changes: list[dict[str, Any]] = [
        {"workload": "unified_operations"},
        {"workload": None},
        {"location": "NAM"},
        {"location": None},
        {"organization_id": "fabrikam"},
        {"organization_id": None},
        {"job_id": "j1"},
    ]
    jobs = [make_job(**({"job_id": "J1"} | each)) for each in changes]

    assert save(ledger, make_job("J1"), *jobs) == Changes(inserted=8)
    assert len(database.rows(JOBS)) == 8


def test_tenants_and_products_are_apart(ledger: Ledger, database: Database) -> None:
    for tenant in ("t", "T"):
        for product in ("dynamics365", "salesforce"):
            assert ledger.save_jobs(tenant, [make_job(product=product)], NOON) == Changes(inserted=1)

    assert len(database.rows(JOBS)) == 4


GUID = "69cb1ecc-0f3b-4d5e-9c1a-2b7d8e9f0a1b"


def test_an_organization_is_the_same_however_it_is_spelled(ledger: Ledger, database: Database) -> None:
    save(ledger, make_job(organization_id=GUID))

    for spelling in (f"{{{GUID}}}", GUID.upper(), f" {GUID} ", GUID.replace("-", "")):
        assert save(ledger, make_job(organization_id=spelling)) == Changes(unchanged=1), spelling
    assert [row["organization_id"] for row in database.rows(JOBS)] == [GUID]


def test_ids_that_differ_in_case_are_two_organizations(ledger: Ledger, database: Database) -> None:
    """Salesforce has such; GUIDs alone are the same in any case."""
    jobs = [make_job(organization_id=each) for each in ("00D30000001Abc", "00D30000001aBC")]

    assert save(ledger, *jobs) == Changes(inserted=2)
    assert {row["organization_id"] for row in database.rows(JOBS)} == {"00D30000001Abc", "00D30000001aBC"}


FAILED, GOOD = make_job(state="failed"), make_job(state="success")
UNREADABLE = make_job(state="success", problems=("failedCount: 'many' is no number",))
SIGHTINGS = {
    "of two ends the worse": ([FAILED, GOOD], "failed"),
    "the worse one last": ([GOOD, FAILED], "failed"),
    "an end, not a run": ([GOOD, RUNNING], "success"),
    "a run, then its end": ([RUNNING, FAILED, GOOD], "failed"),
    "a state that nobody documents stands": ([make_job(state="unknown"), GOOD], "unknown"),
    "and when it is seen last": ([GOOD, make_job(state="unknown")], "unknown"),
    "what could not be read stands": ([UNREADABLE, FAILED], "success"),
    "and when it is seen last too": ([FAILED, UNREADABLE], "success"),
}


def test_of_one_reading_s_sightings_that_stands_which_decides_in_a_verdict(sqlite_database: Database) -> None:
    """Whatever stood there before, and however the writes of the reading cut it."""
    later = NOON + SECOND
    before = {"new": [], "failed": [FAILED], "good": [GOOD], "running": [RUNNING]}
    expected = {}
    with Ledger(CONN_ID) as ledger:
        for (name, (sightings, state)), (stood, standing), at_once in itertools.product(
            SIGHTINGS.items(), before.items(), (True, False)
        ):
            job_id = f"{name}; before: {stood}; at once: {at_once}"
            save(ledger, *(replace(job, job_id=job_id) for job in standing))
            seen = [replace(job, job_id=job_id) for job in sightings]
            for batch in [seen] if at_once else [[each] for each in seen]:
                save(ledger, *batch, read_at=later)
            expected[job_id] = (state, UNREADABLE.problems if UNREADABLE in sightings else ())

    assert expected == {
        row["job_id"]: (row["state"], tuple(json.loads(row["problems"])))
        for row in sqlite_database.rows(JOBS)
    }


def test_sightings_are_told_apart_in_postgres_too(postgres_database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        save(ledger, FAILED)
        for each in (FAILED, GOOD):
            save(ledger, each, read_at=NOON + SECOND)
        assert postgres_database.states() == {"J1": "failed"}

        save(ledger, GOOD, read_at=NOON + 2 * SECOND)
    assert postgres_database.states() == {"J1": "success"}


def test_what_could_not_be_read_stands_until_a_later_reading_can(ledger: Ledger, database: Database) -> None:
    """A reading of the run from before does not hide it."""
    save(ledger, make_job(state="running", problems=("startTime: no offset",)), read_at=NOON + SECOND)

    assert save(ledger, RUNNING) == Changes(unchanged=1)
    assert save(ledger, GOOD, read_at=NOON + 2 * SECOND) == Changes(updated=1)
    (row,) = database.rows(JOBS)
    assert (row["state"], row["problems"]) == ("success", "[]")


HOSTILE = [
    "株式会社 \N{FIRE}",
    "it's; DROP TABLE avepoint_jobs; --",
    'a "b" \\ c %s %(d)s :e $1 {f}',
    "line\r\nline\ttab",
    "\\u0000 \\x00 \\N",
    "",
    "x" * 100_000,
    "\u202e\ufeff\ue000",
]


def test_a_text_is_kept_as_it_is(ledger: Ledger, database: Database) -> None:
    jobs = [
        make_job(f"J{number}", organization_name=text, raw_state=text, raw={"name": text, text: 1})
        for number, text in enumerate(HOSTILE)
    ]

    assert save(ledger, *jobs) == Changes(inserted=len(jobs))
    assert save(ledger, *jobs) == Changes(unchanged=len(jobs))

    for row, text in zip(database.rows(JOBS), HOSTILE, strict=True):
        assert (row["organization_name"], row["raw_state"]) == (text, text)
        assert json.loads(row["raw"]) == {"name": text, text: 1}


def test_a_hostile_text_may_be_a_key(ledger: Ledger, database: Database) -> None:
    jobs = [make_job(text, organization_id=text, location=text) for text in HOSTILE if len(text) < 1000]

    assert ledger.save_jobs(HOSTILE[2], jobs, NOON) == Changes(inserted=len(jobs))
    assert ledger.save_jobs(HOSTILE[2], jobs, NOON) == Changes(unchanged=len(jobs))
    assert {row["job_id"] for row in database.rows(JOBS)} == {job.job_id for job in jobs}


@pytest.mark.parametrize(("text", "kept"), [("nul \0 byte", "nul ? byte"), ("cut \ud83d", "cut ?")])
def test_what_no_database_holds_is_a_query_mark(
    ledger: Ledger, database: Database, text: str, kept: str
) -> None:
    """A text that the vendor cut in the middle of an emoji is no reason to lose a thousand jobs."""
    job = make_job(
        organization_name=text,
        raw_state=text,
        errors=(JobError(message=text),),
        raw={"n": text, text: [text]},
    )

    assert save(ledger, job) == Changes(inserted=1)
    assert save(ledger, job) == Changes(unchanged=1)

    (row,) = database.rows(JOBS)
    assert (row["organization_name"], row["raw_state"]) == (kept, kept)
    assert json.loads(row["errors"])[0]["message"] == kept
    assert json.loads(row["raw"]) == {"n": kept, kept: [kept]}


def test_a_moment_is_kept_in_utc(ledger: Ledger, database: Database) -> None:
    moments = [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 20, 14, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ]
    save(ledger, *(make_job(f"J{number}", started_at=each) for number, each in enumerate(moments)))

    kept = [row["started_at"] for row in database.rows(JOBS)]
    assert kept == moments
    assert {each.tzinfo for each in kept} == {UTC}


def test_the_largest_figures_are_kept(ledger: Ledger, database: Database) -> None:
    save(ledger, make_job(size_bytes=2**63 - 1, counts=Counts(total=2**63 - 1)))

    (row,) = database.rows(JOBS)
    assert (row["size_bytes"], row["objects_total"]) == (2**63 - 1, 2**63 - 1)


def test_a_figure_beyond_all_databases_is_said_and_nothing_is_written(
    ledger: Ledger, database: Database
) -> None:
    for figure in (2**63, 2**64, 10**39):
        with pytest.raises(AvePointPayloadError, match="The ledger cannot hold a value that was sent: "):
            save(ledger, make_job("J1"), make_job("J2", size_bytes=figure))

    assert database.rows(JOBS) == []


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_server_s_time_zone_is_of_no_account(ledger: Ledger, database: Database, zone: str) -> None:
    """Where it is 14 hours later, the last moments of the year 9999 are in a year that Python has not."""
    latest = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    if database.connection["conn_type"] == "postgres":
        execute(f"""ALTER DATABASE "{database.connection["schema"]}" SET timezone = '{zone}'""")

    save(ledger, make_job(started_at=latest, finished_at=NOON))

    (row,) = database.rows(JOBS)
    assert (row["started_at"], row["finished_at"], row["read_at"]) == (latest, NOON, NOON)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[tuple[BackupJob, datetime]]], dict[str, tuple[str, int]]]:
    """Return batches of readings of some jobs, and how each job stands by the best of its readings.

    A job's progress never goes back while it runs; it is listed as ended at any time, for a load that began
    early may come to it late.
    """
    readings = []
    expected = {}
    for number in range(draw(st.integers(1, 4))):
        name = f"J{number}"
        moments = sorted(draw(st.lists(st.integers(0, 20), max_size=5, unique=True)))
        steps = sorted(draw(st.lists(st.integers(0, 3), min_size=len(moments), max_size=len(moments))))
        running = [
            (make_job(name, "running", counts=Counts(total=step)), NOON + moment * SECOND)
            for moment, step in zip(moments, steps, strict=True)
        ]
        ended = [
            (make_job(name, "success", counts=Counts(total=9)), NOON + moment * SECOND)
            for moment in draw(st.lists(st.integers(0, 20), max_size=2))
        ]
        readings += running + ended
        if best := ended[:1] or running[-1:]:
            job = best[0][0]
            expected[name] = (job.state.value, job.counts.total)
    readings = draw(st.permutations(readings))
    again = draw(st.lists(st.sampled_from(readings), max_size=5)) if readings else []
    batches: dict[datetime, list[tuple[BackupJob, datetime]]] = {}
    order = []
    for job, read_at in [*readings, *again]:
        if read_at in batches and draw(st.booleans()):
            batches[read_at].append((job, read_at))
        else:
            batches[read_at] = [(job, read_at)]
            order.append(batches[read_at])
    return order, expected


@pytest.mark.no_cover
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(drawn=histories())
def test_any_order_and_overlap_of_batches_gives_the_same_table(
    ledger: Ledger,
    database: Database,
    drawn: tuple[list[list[tuple[BackupJob, datetime]]], dict[str, tuple[str, int]]],
) -> None:
    batches, expected = drawn
    execute("DELETE FROM avepoint_jobs")
    total = Changes()
    for batch in batches:
        total = total.plus(save(ledger, *(job for job, _ in batch), read_at=batch[0][1]))

    rows = database.rows(JOBS)
    assert {row["job_id"]: (row["state"], row["objects_total"]) for row in rows} == expected
    assert total.inserted == len(rows)
