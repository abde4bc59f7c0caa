"""Write to the ledger, and read from it.

Every write is an upsert: repeating it changes nothing, in any order and from any number of workers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec
from sqlalchemy import JSON, Column, Table, Text, and_, bindparam, cast, column, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_avepoint.core.errors import AvePointLedgerError, AvePointUnavailable
from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.schedule import (
    BackupSchedule,
    DaySchedule,
    merge_days,
    split_into_days,
)
from airflow_provider_avepoint.core.text import one_line, storable
from airflow_provider_avepoint.ledger.database import migrate, open_engine, reading, writing
from airflow_provider_avepoint.ledger.foreign import ForeignRows, hide_foreign_rows
from airflow_provider_avepoint.ledger.rows import (
    Row,
    name_task,
    read_days,
    read_job,
    read_state,
    write_audit,
    write_day,
    write_drill,
    write_intent,
    write_job,
    write_json,
    write_key,
    write_license,
    write_organization,
    write_protection_audit,
    write_report,
    write_verdict,
)
from airflow_provider_avepoint.ledger.runs import KnownRuns, Reading
from airflow_provider_avepoint.ledger.tables import (
    AUDITS,
    DRILLS,
    INTENTS,
    JOBS,
    LICENSES,
    LOADS,
    PROTECTION_AUDITS,
    REPORTS,
    SCHEDULES,
    VERDICTS,
    Json,
    metadata,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, RowMapping
    from sqlalchemy.sql import ColumnElement, Executable, Select

__all__ = ["Changes", "Ledger", "LoadPoint", "Stream"]

_PACKED = "rows"
# What names a job; a run of the job is named by its start too.
_ID = tuple(each for each in JOBS.primary_key if each is not JOBS.c.run_start)
_id_of = itemgetter(*(each.name for each in _ID))
_key_of = itemgetter(*(each.name for each in JOBS.primary_key))
_JSON = {
    table.name: [each.name for each in table.columns if isinstance(each.type, Json)]
    for table in metadata.sorted_tables
}
# The reasons of drills that nobody could judge, and of those whose files came back.
_NOT_JUDGED = ("uncertain", "not_ended")
_RESTORED = ("passed", "not_checked", "check_failed")
# A reading of a schedule that tells nothing new is written all the same after this time.
_WRITTEN_AGAIN = timedelta(minutes=10)
_license_key_of = itemgetter(*(each.name for each in LICENSES.primary_key))


class Changes(NamedTuple):
    """The result of a write.

    :param inserted: how many jobs were new.
    :param updated: how many jobs had changed.
    :param unchanged: how many jobs were stored already.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def plus(self, other: Changes) -> Changes:
        """Return the sums of both results.

        :param other: the result of another write.
        """
        return Changes(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One listing that is loaded repeatedly.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param location: the Multi-Geo location; empty for none.
    :param organization_id: the organisation, in any spelling; empty for none.
    :param selection: a text that names the job types and object types; equal selections have equal texts.
    """

    tenant: str
    product: str
    location: str
    organization_id: str
    selection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """The progress of a stream.

    :param loaded_from: every job that started at or after this time is in the ledger.
    :param resume_from: jobs that started at or after this time may have appeared or changed since the load.
    :param begun_at: when the load began that reached this point.
    """

    loaded_from: datetime
    resume_from: datetime
    begun_at: datetime

    def join(self, other: LoadPoint) -> LoadPoint:
        """Return the progress of two loads together: jobs that one of the loads left open stay open.

        :param other: the point of the other load.
        """
        return LoadPoint(
            loaded_from=min(self.loaded_from, other.loaded_from),
            resume_from=min(self.resume_from, other.resume_from),
            begun_at=max(self.begun_at, other.begun_at),
        )


class Ledger:
    """A ledger in a database whose tables have this release's form.

    :param conn_id: an Airflow connection to PostgreSQL or SQLite; None: ``[avepoint] ledger_conn_id`` of
        Airflow's configuration, or else a SQLite file under ``AIRFLOW_HOME``.
    :raises AvePointConfigError: the connection is no such database, or a newer release has migrated it.
    :raises AvePointLedgerError: the database fails.
    """

    def __init__(self, conn_id: str | None = None) -> None:
        self._engine: Engine = open_engine(conn_id)
        try:
            migrate(self._engine)
        except BaseException:
            self.close()
            raise
        compared = (JOBS.c[name] for name in ("run_start", "digest", "state", "problems", "read_at"))
        self._select_jobs = _select_jobs(self._engine, *_ID, *compared)
        self._select_whole_jobs = _select_jobs(self._engine, JOBS)
        self._save_jobs = _upsert(JOBS, self._engine, keep=("first_read_at",))
        self._save_point = _upsert(LOADS, self._engine)
        self._save_verdict = _upsert(VERDICTS, self._engine)
        self._save_audit = _upsert(AUDITS, self._engine)
        self._save_protection_audit = _upsert(PROTECTION_AUDITS, self._engine)
        self._save_report = _upsert(REPORTS, self._engine)
        self._save_schedule = _upsert(SCHEDULES, self._engine)
        self._save_drill = _upsert(DRILLS, self._engine)
        self._save_intent = _upsert(INTENTS, self._engine)
        self._save_licenses = _upsert(LICENSES, self._engine, where=_is_later_reading)
        # The current reading, and the jobs whose stored row is from this reading (as hashes of their keys).
        self._reading_of: tuple[str, datetime] | None = None
        self._in_reading: set[int] = set()

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def save_jobs(self, tenant: str, jobs: Iterable[BackupJob], read_at: datetime) -> Changes:
        """Write jobs.

        Of two readings of a run the later is stored. But a run that has ended, or is not understood, is not
        replaced by a running one. All writes with the same *read_at* are one reading. If one reading holds a
        run in several states, the stored state is chosen as in a verdict, in any order of the jobs. Which
        readings of an id are about one run is said in
        :mod:`~airflow_provider_avepoint.ledger.tables`.

        :param tenant: the name of the tenant.
        :param jobs: the jobs, which were read at or after *read_at*.
        :param read_at: when the reading began, an aware datetime.
        :raises AvePointLedgerError: the database fails; nothing of this write was stored.
        :raises AvePointPayloadError: the database cannot hold one of the values.
        """
        sightings: dict[tuple[str, ...], list[BackupJob]] = defaultdict(list)
        for job in jobs:
            sightings[write_key(tenant, job)].append(job)
        if not sightings:
            return Changes()
        reading_of = (tenant, read_at)
        if self._reading_of != reading_of:
            self._reading_of, self._in_reading = reading_of, set()
        with writing(self._engine) as connection:
            runs = self._find_runs(connection, tenant, sightings, read_at)
            # All old keys go before a new one comes: a run may take the key that another run leaves.
            if moved := [_name_key(run.stored) for run in runs if run.is_moved]:
                connection.execute(_DELETE_RUN, moved)
            if due := [run.row for run in runs if run.is_new or run.is_updated or run.is_moved]:
                self._execute(connection, self._save_jobs, JOBS, due)
        self._in_reading.difference_update(hash(_key_of(run.stored)) for run in runs if run.is_moved)
        self._in_reading.update(hash(_key_of(run.row)) for run in runs if run.is_read)
        inserted, updated = (sum(getattr(run, name) for run in runs) for name in ("is_new", "is_updated"))
        return Changes(inserted, updated, len(runs) - inserted - updated)

    def _find_runs(
        self,
        connection: Connection,
        tenant: str,
        sightings: Mapping[tuple[str, ...], list[BackupJob]],
        read_at: datetime,
    ) -> list[_Run]:
        """Return the runs that a write is about, each with the row that holds.

        :param connection: the transaction of the write.
        :param tenant: the name of the tenant.
        :param sightings: the jobs of the write, by id.
        :param read_at: when the reading began.
        """
        stored = self._find_jobs(connection, self._select_jobs, sightings)
        runs, unclear = [], []
        for key, seen in sightings.items():
            if (run := self._find_clear_run(tenant, seen, stored.get(key, ()), read_at)) is None:
                unclear.append(key)
            else:
                runs.append(run)
        if unclear:
            whole = self._find_jobs(connection, self._select_whole_jobs, unclear)
            for key in unclear:
                runs += self._sort_into_runs(tenant, sightings[key], whole.get(key, ()), read_at)
        return runs

    def _find_clear_run(
        self, tenant: str, seen: list[BackupJob], stored: Sequence[RowMapping], read_at: datetime
    ) -> _Run | None:
        """Return the run of an id that is seen once, if the stored rows need no closer look.

        That is nearly always so: the run is new, or one stored row has the run's name and another reading
        has stored that row.
        """
        if len(seen) > 1:
            return None
        row = write_job(tenant, seen[0], read_at)
        if not stored:
            return _Run(row, is_read=True)
        same = next((each for each in stored if each["run_start"] == row["run_start"]), None)
        if same is None:
            return None
        if same["digest"] == row["digest"]:
            return _Run(row, same, is_read=True)
        if self._is_in_reading(same, read_at):
            return None
        return _Run(row, same, is_read=True) if _holds(row, same) else _Run(same, same)

    def _is_in_reading(self, row: Any, read_at: datetime) -> bool:
        """Tell whether the present reading, which began at *read_at*, has seen the run of a stored row."""
        return hash(_key_of(row)) in self._in_reading or row["read_at"] == read_at

    def _sort_into_runs(
        self, tenant: str, seen: list[BackupJob], stored: Sequence[RowMapping], read_at: datetime
    ) -> list[_Run]:
        """Return the runs that the sightings of one id are about, each with the row that holds.

        :param tenant: the name of the tenant.
        :param seen: the sightings of this write.
        :param stored: the rows of the id, whole.
        :param read_at: when the reading began.
        """
        known: KnownRuns[_Run] = KnownRuns()
        for each in stored:
            row: Row = dict(each)
            is_read, job = self._is_in_reading(row, read_at), read_job(row)
            at = read_at if is_read and job.state.is_open else row["read_at"]
            known.add(Reading.of_job(job, at).under(row["run_start"]), _Run(row, row, is_read=is_read))
        touched: list[_Run] = []
        by_name: dict[str, tuple[Reading, _Run]] = {}
        for job in seen:
            said, row = Reading.of_job(job, read_at), write_job(tenant, job, read_at)
            before, run = by_name.get(said.name) or (said, _Run(row, is_read=True))
            by_name[said.name] = before.join(said, holds=run.see(row)), run
        for said, new in sorted(by_name.values(), key=_rank):
            before, run = known.take(said) or (said, new)
            known.add(before.join(said, holds=run.see(new.row)), run)
            touched.append(run)
        names = {id(run): known_of.name for known_of, run in known}
        runs = list({id(run): run for run in touched}.values())
        for run in runs:
            run.rename(names[id(run)])
        return runs

    def _find_jobs(
        self, connection: Connection, query: Executable, ids: Iterable[tuple[str, ...]]
    ) -> dict[tuple[str, ...], list[RowMapping]]:
        """Return the stored rows of the jobs with these *ids*, by id."""
        names = [each.name for each in _ID]
        found = defaultdict(list)
        packed = _pack([dict(zip(names, each, strict=True)) for each in ids])
        for row in connection.execute(query, packed).mappings():
            found[_id_of(row)].append(row)
        return found

    def set_clock_right(self, tenant: str, product: str, now: datetime) -> None:
        """Correct the times of readings that a worker with a wrong clock has written into the future.

        Otherwise no later reading would replace such a reading until then.

        :param tenant: the name of the tenant.
        :param product: the product's name.
        :param now: when the present reading began; it counts as later than every corrected one.
        :raises AvePointLedgerError: the database fails.
        """
        before = now - timedelta(microseconds=1)
        with writing(self._engine) as connection:
            for moment in (JOBS.c.read_at, JOBS.c.first_read_at):
                is_ahead = and_(JOBS.c.tenant == tenant, JOBS.c.product == product, moment >= now)
                connection.execute(update(JOBS).where(is_ahead).values({moment: before}))

    def load_point(self, stream: Stream) -> LoadPoint | None:
        """Return the progress of a stream; None where nothing of it was loaded.

        :param stream: the stream.
        :raises AvePointLedgerError: the database fails.
        """
        with reading(self._engine) as connection:
            return _find_point(connection, stream)

    def save_load_point(self, stream: Stream, point: LoadPoint, previous: LoadPoint | None) -> None:
        """Write the progress of a stream.

        If another load of the stream has ended meanwhile, its point is joined with this one, because this
        load knows nothing of the jobs that the other one left open.

        :param stream: the stream.
        :param point: the point that the load reached.
        :param previous: the point at which the load began; None for a first load.
        :raises AvePointLedgerError: the database fails.
        """
        with writing(self._engine) as connection:
            found = _find_point(connection, stream)
            if found is not None and found != previous:
                point = point.join(found)
            row = asdict(stream) | write_organization(stream.organization_id) | asdict(point)
            self._execute(connection, self._save_point, LOADS, [row])

    def save_verdict(
        self, tenant: str, evidence: Mapping[str, Any], task: Mapping[str, Any] | None = None
    ) -> None:
        """Write a verdict.

        :param tenant: the name of the tenant.
        :param evidence: ``Verdict.as_dict()``.
        :param task: ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and ``try_number`` of the task that
            judged: each try of a task has one verdict. Outside of a task ``{"task_id": "nightly"}`` gives the
            verdicts of one script a name of your choice; None: what the policy guards tells them apart.
        :raises AvePointLedgerError: the database fails.
        """
        self._write(self._save_verdict, VERDICTS, [write_verdict(tenant, evidence, task)])

    def save_audit(self, tenant: str, audit: Audit, task: Mapping[str, Any] | None = None) -> None:
        """Write the result of a licence audit, also if it is an error.

        :param tenant: the name of the tenant in the ledger.
        :param audit: the audit.
        :param task: as :meth:`save_verdict` takes it: a try of a task has one audit.
        """
        self._write(self._save_audit, AUDITS, [write_audit(tenant, audit, task)])

    def save_protection_audit(
        self, tenant: str, audit: ProtectionAudit, task: Mapping[str, Any] | None = None
    ) -> None:
        """Write the result of a protection audit, also if it is an error.

        :param tenant: the name of the tenant in the ledger.
        :param audit: the audit.
        :param task: as :meth:`save_verdict` takes it: a try of a task has one audit. Outside of a task,
            audits without a name are told apart by what is required.
        :raises AvePointLedgerError: the database fails.
        """
        row = write_protection_audit(tenant, audit, task)
        self._write(self._save_protection_audit, PROTECTION_AUDITS, [row])

    def save_licenses(
        self, tenant: str, consumptions: Iterable[LicenseConsumption], read_at: datetime
    ) -> None:
        """Write licence readings, all or none; of two readings of one licence in an hour the later is stored.

        :param tenant: the name of the tenant.
        :param consumptions: the figures of each licence.
        :param read_at: when the figures were read, an aware datetime.
        :raises AvePointLedgerError: the database fails.
        """
        rows = [write_license(tenant, each, read_at) for each in consumptions]
        latest = {_license_key_of(row): row for row in rows}
        self._write(self._save_licenses, LICENSES, list(latest.values()))

    def save_schedule(self, tenant: str, schedule: BackupSchedule) -> None:
        """Keep a schedule under the days of its starts.

        A schedule with rows that are not understood is not kept: a service would look as if it were not
        scheduled. How several readings of a day go together is said in :func:`.merge_days`.

        :param tenant: the name of the tenant.
        :param schedule: the schedule, as it was read.
        :raises AvePointLedgerError: the database fails.
        """
        if schedule.odd:
            return
        key = _name_schedule(tenant, schedule.product, schedule.location)
        told = split_into_days(schedule)
        is_told = SCHEDULES.c.day.in_([each.day for each in told])
        with reading(self._engine) as connection:
            known = _find_days(connection, key, is_told)
        if all(_is_known(day, known.get(day.day), schedule.read_at) for day in told):
            return
        with writing(self._engine) as connection:
            known = _find_days(connection, key, is_told)
            for day in told:
                merged = merge_days(known[day.day], day) if day.day in known else day
                is_day = and_(SCHEDULES.c.day == day.day, *_match_schedule(key))
                connection.execute(delete(SCHEDULES).where(is_day))
                rows = write_day(key, merged, schedule.read_at)
                self._execute(connection, self._save_schedule, SCHEDULES, rows)

    def find_schedules(
        self, tenant: str, product: str, location: str | None, since: date
    ) -> list[DaySchedule]:
        """Return what is known of the schedule of each day, earliest first.

        A day of which nothing is known is absent.

        :param tenant: the name of the tenant.
        :param product: the product's name.
        :param location: the Multi-Geo location; None for the central location.
        :param since: the first day, in UTC.
        :raises AvePointLedgerError: the database fails.
        """
        key = _name_schedule(tenant, product, location)
        with reading(self._engine) as connection:
            return list(_find_days(connection, key, SCHEDULES.c.day >= since).values())

    def save_drill(
        self,
        tenant: str,
        drill: Mapping[str, Any],
        task: Mapping[str, Any] | None = None,
        *,
        awaits_check: bool = False,
    ) -> str:
        """Write a restore drill; return its id.

        A drill that was judged is not replaced by one that was not (``uncertain``, ``not_ended``), nor is a
        check of its content that was recorded for the same job.

        :param tenant: the name of the tenant.
        :param drill: as :meth:`.Drill.as_dict` writes it; ``job`` may be None.
        :param task: as :meth:`save_verdict` takes it: a task of one DAG run has one drill, whatever its try.
        :param awaits_check: a drill that has passed, but passes in the ledger only when
            :meth:`save_content_check` says that the content was right.
        :raises AvePointLedgerError: the database fails.
        """
        row = write_drill(tenant, drill, task)
        if awaits_check:
            message = f"{row['message']} Its content is not checked yet."
            row |= {"passed": False, "reason": "not_checked", "message": message}
        with writing(self._engine) as connection:
            known = _find_drill(connection, tenant, row["drill_id"])
            if known is None or not _outlasts(known, row):
                self._execute(connection, self._save_drill, DRILLS, [row])
        return str(row["drill_id"])

    def save_content_check(self, tenant: str, drill_id: str, at: datetime, problem: str | None) -> bool:
        """Write what the check of a drill's content came to.

        :param tenant: the name of the tenant.
        :param drill_id: as :meth:`save_drill` returned it.
        :param at: when the content was checked, an aware datetime.
        :param problem: why the check failed; None where it passed.
        :returns: whether there is a drill with this id whose restore has passed.
        :raises AvePointLedgerError: the database fails.
        """
        with writing(self._engine) as connection:
            known = _find_drill(connection, tenant, drill_id)
            if known is None or known["reason"] not in _RESTORED:
                return False
            drill = json.loads(known["evidence"])
            text = "was right" if problem is None else f"was not proven right ({problem})"
            checked = {
                "passed": problem is None,
                "reason": "passed" if problem is None else "check_failed",
                "message": f"{drill['message']} The content that came back {text}.",
            }
            evidence = drill | {"content_check": {"at": at.isoformat(), **checked}}
            row = {**known, **checked, "judged_at": at, "evidence": write_json(evidence)}
            row["message"] = storable(row["message"])
            self._execute(connection, self._save_drill, DRILLS, [row])
        return True

    def find_intent(self, task: Mapping[str, Any]) -> Any:
        """Return what the restore of a task was about to do; None where nothing was kept.

        :param task: ``dag_id``, ``run_id``, ``task_id`` and ``map_index``.
        :raises AvePointLedgerError: the database fails.
        """
        with reading(self._engine) as connection:
            return _find_intent(connection, task)

    def save_intent(self, tenant: str, task: Mapping[str, Any], kept: object, *, previous: object) -> None:
        """Keep what the restore of a task is about to do; when this returns, it outlives a crash.

        :param tenant: the name of the tenant.
        :param task: as :meth:`find_intent` takes it.
        :param kept: the intent, ready for JSON.
        :param previous: what :meth:`find_intent` returned last, or what was kept last.
        :raises AvePointUnavailable: there is something else than *previous*: nothing is kept.
        :raises AvePointLedgerError: the database fails.
        """
        row = write_intent(tenant, task, kept, datetime.now(UTC))
        expected = None if previous is None else json.loads(write_json(previous))
        with writing(self._engine) as connection:
            if _find_intent(connection, task) != expected:
                raise AvePointUnavailable("Another try of this task has gone on with its restore meanwhile.")
            self._execute(connection, self._save_intent, INTENTS, [row])

    def save_report(
        self, tenants: Sequence[str] | None, generated_at: datetime, summary: str, states: Mapping[str, str]
    ) -> None:
        """Write what a report said.

        :param tenants: the tenants that were asked for; None for every tenant.
        :param generated_at: the moment of the report, an aware datetime.
        :param summary: the report in one sentence.
        :param states: the state of each scope, licence and gate, by its name.
        :raises AvePointLedgerError: the database fails.
        """
        self._write(self._save_report, REPORTS, [write_report(tenants, generated_at, summary, states)])

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        Read all rows before you write: SQLite lets no write end while a reader is active.

        :param query: a query on :mod:`~airflow_provider_avepoint.ledger.tables`.
        :raises AvePointLedgerError: the database fails.
        """
        with reading(self._engine) as connection:
            yield from connection.execution_options(stream_results=True).execute(query).mappings()

    def hide_foreign_rows(self) -> AbstractContextManager[tuple[ForeignRows, ...]]:
        """Read without rows that are not understood, and write nothing meanwhile; see :mod:`.foreign`."""
        return hide_foreign_rows(self._engine)

    def _write(self, statement: Executable, table: Table, rows: list[Row]) -> None:
        if not rows:
            return
        with writing(self._engine) as connection:
            self._execute(connection, statement, table, rows)

    def _execute(self, connection: Connection, statement: Executable, table: Table, rows: list[Row]) -> None:
        is_packed = connection.dialect.name == "postgresql"
        connection.execute(statement, _pack(rows, _JSON[table.name]) if is_packed else rows)


@dataclass(slots=True, eq=False)
class _Run:
    """A run of a job in a write.

    :param row: the row that holds.
    :param stored: the stored row of the run; None where the run is new.
    :param is_read: whether the row that holds is of the present reading, or the same as there.
    """

    row: Any
    stored: Any = None
    is_read: bool = False

    @property
    def is_new(self) -> bool:
        """Whether the run is not stored yet."""
        return self.stored is None

    @property
    def is_updated(self) -> bool:
        """Whether the stored row says something else."""
        return self.stored is not None and bool(self.stored["digest"] != self.row["digest"])

    @property
    def is_moved(self) -> bool:
        """Whether the name of the run has changed, and so the key."""
        return self.stored is not None and bool(self.stored["run_start"] != self.row["run_start"])

    def see(self, row: Row) -> bool:
        """Take another row of the run; tell whether what that row says holds.

        Of two readings the later holds, as :func:`_holds` says. Of one reading the decisive row holds, and of
        equal ones the last.

        :param row: what the present reading says of the run.
        """
        if row["digest"] == self.row["digest"]:
            self.is_read = True
            return True
        if self.is_read:
            new = read_job(row)
            holds = pick_sighting([new, read_job(self.row)]) is new
        else:
            holds = _holds(row, self.row)
        if holds:
            self.row, self.is_read = row, True
        return holds

    def rename(self, name: str) -> None:
        """Write the name of the run, and when the run was first read.

        :param name: as :func:`.name_run` returns it.
        """
        kept = {} if self.stored is None else {"first_read_at": self.stored["first_read_at"]}
        self.row = {**self.row, "run_start": name, **kept}


def _rank(sighted: tuple[Reading, _Run]) -> tuple[bool, ...]:
    """Return a sort key: the sightings of an id with a time first, and of these the ones under way.

    So an ended run is compared with what is known to be under way, and a row without times with all others.
    """
    said, _ = sighted
    return (not said.name, said.has_ended, *(not each for each in said.sureness))


def _name_key(row: Mapping[Any, Any]) -> Row:
    """Return the parameters of the statement that deletes a stored row."""
    return {f"its_{each.name}": row[each.name] for each in JOBS.primary_key}


_DELETE_RUN = delete(JOBS).where(*(each == bindparam(f"its_{each.name}") for each in JOBS.primary_key))


def _upsert(table: Table, engine: Engine, *, keep: tuple[str, ...] = (), where: Any = None) -> Any:
    """Return the statement that inserts a row, or updates the row with the same key.

    For PostgreSQL the statement takes all rows at once, as :func:`_pack` makes them.
    """
    names = [column.name for column in table.columns]
    if engine.dialect.name == "postgresql":
        insert: Any = postgresql.insert(table).from_select(names, _unpack(table.columns, engine))
    else:
        insert = sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    return insert.on_conflict_do_update(
        index_elements=keys,
        set_={name: insert.excluded[name] for name in names if name not in (*keys, *keep)},
        where=None if where is None else where(table.c, insert.excluded),
    )


def _select_jobs(engine: Engine, *wanted: Any) -> Executable:
    """Return the statement that finds, by their keys, the stored rows that a write compares its jobs with.

    The statement is a join. With a list of ids PostgreSQL would read all jobs of the product until its
    statistics show that there are many.
    """
    given = _unpack(_ID, engine).subquery()
    is_given = and_(*(each == given.c[each.name] for each in _ID))
    return select(*wanted).join(given, is_given)


def _unpack(columns: Iterable[Column[Any]], engine: Engine) -> Select[Any]:
    """Return the rows that a JSON text holds: it takes a third of the time of PostgreSQL's own parameters."""
    text = bindparam(_PACKED, type_=Text)
    if engine.dialect.name == "postgresql":
        named = [column(each.name, each.type) for each in columns]
        rows = func.json_to_recordset(cast(text, JSON)).table_valued(*named)
        return select(*rows.render_derived("given", with_types=True).c)
    row = func.json_each(text).table_valued("value").c.value
    return select(*(func.json_extract(row, f"$.{each.name}").label(each.name) for each in columns))


def _pack(rows: list[Row], json_columns: Iterable[str] = ()) -> dict[str, str]:
    """Return rows as one JSON text; the values of *json_columns* are JSON already.

    :param rows: column → value.
    :param json_columns: the names of columns of the type :class:`~.tables.Json`.
    """
    nested = [row | {name: msgspec.Raw(row[name]) for name in json_columns} for row in rows]
    return {_PACKED: msgspec.json.encode(nested).decode()}


def _find_point(connection: Connection, stream: Stream) -> LoadPoint | None:
    key = asdict(stream) | write_organization(stream.organization_id)
    query = select(LOADS.c.loaded_from, LOADS.c.resume_from, LOADS.c.begun_at).where(
        *(each == key[each.name] for each in LOADS.primary_key)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else LoadPoint(**row)


def _name_schedule(tenant: str, product: str, location: str | None) -> dict[str, str]:
    return {"tenant": tenant, "product": product, "location": storable(location or "")}


def _match_schedule(key: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [SCHEDULES.c[name] == value for name, value in key.items()]


def _find_days(
    connection: Connection, key: Mapping[str, str], is_wanted: ColumnElement[bool]
) -> dict[date, DaySchedule]:
    query = select(SCHEDULES).where(is_wanted, *_match_schedule(key))
    rows = connection.execute(query).mappings().all()
    try:
        days = read_days(rows)
    except (TypeError, ValueError) as e:
        raise AvePointLedgerError(
            f"A row of {SCHEDULES.name} is not understood ({one_line(e)}); delete the rows of its day."
        ) from None
    return {each.day: each for each in days}


def _is_known(told: DaySchedule, known: DaySchedule | None, read_at: datetime) -> bool:
    """Tell whether a reading tells nothing new, so that nothing is written: many gates read one schedule.

    A reading settles the starts that have passed, so a start that has passed since is something new.
    """
    if known is None or known.services != merge_days(known, told).services:
        return False
    if known.read_at is None or told.read_at is None:
        return told.read_at is None
    passed = (start for each in known.services for start in each.starts if known.read_at < start <= read_at)
    return read_at - known.read_at < _WRITTEN_AGAIN and next(passed, None) is None


def _find_drill(connection: Connection, tenant: str, drill_id: str) -> dict[str, Any] | None:
    query = select(DRILLS).where(DRILLS.c.tenant == tenant, DRILLS.c.drill_id == drill_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _outlasts(known: Row, new: Row) -> bool:
    """Tell whether a stored drill stays, because the new one knows less."""
    if new["reason"] in _NOT_JUDGED:
        return known["reason"] not in _NOT_JUDGED
    is_same = (known["digest"], known["job_id"]) == (new["digest"], new["job_id"])
    was_checked = "content_check" in json.loads(known["evidence"])
    return is_same and was_checked and new["reason"] in _RESTORED


def _find_intent(connection: Connection, task: Mapping[str, Any]) -> Any:
    key = name_task(task)
    query = select(INTENTS.c.intent).where(*(INTENTS.c[name] == value for name, value in key.items()))
    written = connection.execute(query).scalar_one_or_none()
    return None if written is None else json.loads(written)


def _holds(new: Mapping[Any, Any], old: Mapping[Any, Any]) -> bool:
    """Tell whether the reading *new* of a job replaces *old*, independent of the order of writes."""
    return (_is_settled(new), new["read_at"]) >= (_is_settled(old), old["read_at"])


def _is_settled(row: Mapping[Any, Any]) -> bool:
    """Tell whether a job was read as ended, or as something that cannot be understood; not as running."""
    return not read_state(row["state"]).is_open or row["problems"] != "[]"


def _is_later_reading(stored: Any, new: Any) -> ColumnElement[bool]:
    return stored.read_at <= new.read_at  # type: ignore[no-any-return]
