"""What holds of the runs of one id, whatever was read of them, in any order and by any number of writers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.ledger.rows import write_job
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import JOBS
from tests.ledger.databases import CONN_ID, NOON, SECOND, Database

_NUMBERS = itertools.count()
_LONG = os.environ.get("AVEPOINT_FUZZ_EXAMPLES")
_SETTINGS = settings(
    max_examples=int(_LONG or 100),
    derandomize=_LONG is None,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
STARTS = (0, 10, 10 + 0.4 / 60, 10 + 1 / 60, 30)


class Said(NamedTuple):
    """What a row says; times in minutes after noon."""

    state: JobState
    start: float | None
    finish: float | None
    has_duration: bool
    total: int
    problems: tuple[str, ...]

    def as_job(self) -> BackupJob:
        return BackupJob(
            product="iaas_paas",
            job_id="J1",
            job_type="backup",
            state=self.state,
            started_at=None if self.start is None else NOON + timedelta(minutes=self.start),
            finished_at=None if self.finish is None else NOON + timedelta(minutes=self.finish),
            duration=timedelta(minutes=5) if self.has_duration else None,
            counts=Counts(total=self.total),
            problems=self.problems,
        )


class Write(NamedTuple):
    """Rows of a reading that begins some minutes after noon, written at once by one of two workers."""

    minute: int
    rows: list[Said]
    worker: int


ROWS = st.builds(
    Said,
    st.sampled_from(JobState),
    st.none() | st.sampled_from(STARTS),
    st.none() | st.sampled_from([5 + start for start in STARTS]),
    st.booleans(),
    st.integers(0, 1),
    st.sampled_from([(), (), ("odd",)]),
)
WRITES = st.lists(
    st.builds(
        Write, st.sampled_from([0, 8, 20, 60]), st.lists(ROWS, min_size=1, max_size=4), st.integers(0, 1)
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture
def workers(database: Database) -> Iterator[tuple[Ledger, Ledger]]:
    with Ledger(CONN_ID) as one, Ledger(CONN_ID) as other:
        yield one, other


def read(ledger: Ledger, tenant: str) -> list[dict[str, Any]]:
    query = select(JOBS).where(JOBS.c.tenant == tenant).order_by(JOBS.c.run_start)
    return [dict(row) for row in ledger.iter_rows(query)]


@pytest.mark.no_cover
@_SETTINGS
@given(writes=WRITES)
def test_no_write_fails_or_loses_a_run_and_the_newest_reading_holds(
    workers: tuple[Ledger, Ledger], writes: list[Write]
) -> None:
    tenant = f"t{next(_NUMBERS)}"
    written: list[BackupJob] = []
    newest = NOON - SECOND
    for minute, rows, worker in writes:
        read_at, seen = NOON + timedelta(minutes=minute), [row.as_job() for row in rows]
        workers[worker].save_jobs(tenant, seen, read_at)
        written += seen
        stored = read(workers[0], tenant)

        # Where a row hides when its run ended, the other rows of a reading may say more the second time.
        for again in () if any(map(hides_end, written)) else (*workers, workers[worker]):
            assert again.save_jobs(tenant, seen, read_at).inserted == 0
            assert read(again, tenant) == stored

        starts = [_parse(row["run_start"]) for row in stored if row["run_start"].startswith("2026")]
        # A start that a row plans, or that a duration makes, may move.
        plans = {
            job.effective_start for job in written if not job.state.is_terminal or job.started_at is None
        }
        for job in written:
            if job.state.is_terminal and job.started_at is not None and not _is_near(job.started_at, plans):
                assert _is_near(job.started_at, starts), "a run is lost"
        if len(seen) == 1 and read_at > newest and (seen[0].problems or not seen[0].state.is_open):
            assert write_job(tenant, seen[0], read_at)["digest"] in {row["digest"] for row in stored}
        newest = max(newest, read_at)


def hides_end(job: BackupJob) -> bool:
    if job.state.is_terminal:
        return job.finished_at is None
    return bool(job.problems) or job.state is JobState.UNKNOWN


def _parse(run_start: str) -> datetime:
    return datetime.fromisoformat(run_start).replace(tzinfo=UTC)


def _is_near(moment: datetime, others: Iterable[datetime | None]) -> bool:
    return any(abs(moment - other) < 2 * SECOND for other in others if other is not None)
