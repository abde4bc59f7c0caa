"""Write to the ledger, and read from it.

Every write is an upsert: repeating it changes nothing, in any order and from any number of workers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec
from sqlalchemy import JSON, Column, Table, Text, and_, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.model import BackupJob, JobState, LicenseConsumption
from airflow_provider_avepoint.ledger.database import migrate, open_engine, reading, writing
from airflow_provider_avepoint.ledger.rows import (
    Row,
    read_job,
    write_audit,
    write_job,
    write_key,
    write_license,
    write_verdict,
)
from airflow_provider_avepoint.ledger.tables import AUDITS, JOBS, LICENSES, LOADS, VERDICTS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, RowMapping
    from sqlalchemy.sql import ColumnElement, Executable, Select

__all__ = ["Changes", "Ledger", "LoadPoint", "Stream"]

_PACKED = "rows"
_KEY = tuple(JOBS.primary_key)
_key_of = itemgetter(*(each.name for each in _KEY))
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
    :param organization_id: the organisation in its normalised form; empty for none.
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

    :param conn_id: an Airflow connection to PostgreSQL or SQLite; None: a SQLite file under ``AIRFLOW_HOME``.
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
        self._select_jobs = _select_jobs(
            self._engine, *_KEY, JOBS.c.digest, JOBS.c.state, JOBS.c.problems, JOBS.c.read_at
        )
        self._select_whole_jobs = _select_jobs(self._engine, JOBS)
        self._save_jobs = _upsert(JOBS, self._engine, keep=("first_read_at",))
        self._save_point = _upsert(LOADS, self._engine)
        self._save_verdict = _upsert(VERDICTS, self._engine)
        self._save_audit = _upsert(AUDITS, self._engine)
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

        Of two readings of a job the later is stored. But a job that has ended, or is not understood, is not
        replaced by a running one. All writes with the same *read_at* are one reading. If one reading holds a
        job in several states, the stored state is chosen as in a verdict, in any order of the jobs.

        :param tenant: the name of the tenant.
        :param jobs: the jobs, which were read at or after *read_at*.
        :param read_at: when the reading began, an aware datetime.
        :raises AvePointLedgerError: the database fails; nothing of this write was stored.
        :raises AvePointPayloadError: the database cannot hold one of the values.
        """
        sightings: dict[tuple[str, ...], list[BackupJob]] = defaultdict(list)
        for job in jobs:
            sightings[write_key(tenant, job)].append(job)
        rows = {key: write_job(tenant, _pick(seen), read_at) for key, seen in sightings.items()}
        if not rows:
            return Changes()
        reading_of = (tenant, read_at)
        if self._reading_of != reading_of:
            self._reading_of, self._in_reading = reading_of, set()
        with writing(self._engine) as connection:
            stored = self._find_jobs(connection, self._select_jobs, rows.values())
            new = [row for key, row in rows.items() if key not in stored]
            differing = {
                key: row
                for key, row in rows.items()
                if key in stored and row["digest"] != stored[key]["digest"]
            }
            again = {
                key: row
                for key, row in differing.items()
                if hash(key) in self._in_reading or stored[key]["read_at"] == read_at
            }
            before = self._find_jobs(connection, self._select_whole_jobs, again.values()) if again else {}
            changed, passed_over = [], set()
            for key, row in differing.items():
                if key in before:
                    earlier = read_job(before[key])
                    holds = _pick([earlier, *sightings[key]]) is not earlier
                else:
                    holds = _holds(row, stored[key])
                if holds:
                    changed.append(row)
                elif key not in before:
                    passed_over.add(key)
            if due := new + changed:
                self._execute(connection, self._save_jobs, due)
        self._in_reading.update(hash(key) for key in rows if key not in passed_over)
        return Changes(len(new), len(changed), len(rows) - len(due))

    def _find_jobs(
        self, connection: Connection, query: Executable, rows: Iterable[Row]
    ) -> dict[tuple[str, ...], RowMapping]:
        """Return the stored rows of the jobs that have the keys of *rows*, by key."""
        keys = [{each.name: row[each.name] for each in _KEY} for row in rows]
        return {_key_of(row): row for row in connection.execute(query, _pack(keys)).mappings()}

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
            self._execute(connection, self._save_point, [asdict(stream) | asdict(point)])

    def save_verdict(
        self, tenant: str, evidence: Mapping[str, Any], task: Mapping[str, Any] | None = None
    ) -> None:
        """Write a verdict.

        :param tenant: the name of the tenant.
        :param evidence: ``Verdict.as_dict()``.
        :param task: ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and ``try_number`` of the task that
            judged: each try of a task has one verdict. None outside of a task.
        :raises AvePointLedgerError: the database fails.
        """
        self._write(self._save_verdict, [write_verdict(tenant, evidence, task)])

    def save_audit(self, tenant: str, audit: Audit, task: Mapping[str, Any] | None = None) -> None:
        """Write the result of a licence audit, also if it is an error.

        :param tenant: the name of the tenant in the ledger.
        :param audit: the audit.
        :param task: as :meth:`save_verdict` takes it: a try of a task has one audit.
        """
        self._write(self._save_audit, [write_audit(tenant, audit, task)])

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
        self._write(self._save_licenses, list({_license_key_of(row): row for row in rows}.values()))

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        Read all rows before you write: SQLite lets no write end while a reader is active.

        :param query: a query on :mod:`~airflow_provider_avepoint.ledger.tables`.
        :raises AvePointLedgerError: the database fails.
        """
        with reading(self._engine) as connection:
            yield from connection.execution_options(stream_results=True).execute(query).mappings()

    def _write(self, statement: Executable, rows: list[Row]) -> None:
        if not rows:
            return
        with writing(self._engine) as connection:
            self._execute(connection, statement, rows)

    def _execute(self, connection: Connection, statement: Executable, rows: list[Row]) -> None:
        is_packed = connection.dialect.name == "postgresql"
        connection.execute(statement, _pack(rows) if is_packed else rows)


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
    given = _unpack(_KEY, engine).subquery()
    is_given = and_(*(each == given.c[each.name] for each in _KEY))
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


def _pack(rows: list[Row]) -> dict[str, str]:
    return {_PACKED: msgspec.json.encode(rows).decode()}


def _find_point(connection: Connection, stream: Stream) -> LoadPoint | None:
    query = select(LOADS.c.loaded_from, LOADS.c.resume_from, LOADS.c.begun_at).where(
        *(LOADS.c[name] == value for name, value in asdict(stream).items())
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else LoadPoint(**row)


def _holds(new: Mapping[Any, Any], old: Mapping[Any, Any]) -> bool:
    """Tell whether the reading *new* of a job replaces *old*, independent of the order of writes."""
    return (_is_settled(new), new["read_at"]) >= (_is_settled(old), old["read_at"])


def _is_settled(row: Mapping[Any, Any]) -> bool:
    """Tell whether a job was read as ended, or as something that cannot be understood; not as running."""
    return not JobState(row["state"]).is_open or row["problems"] != "[]"


def _pick(sightings: list[BackupJob]) -> BackupJob:
    """Return the decisive one of several readings of a job; of equal ones the last."""
    picked = pick_sighting(reversed(sightings))
    assert picked is not None  # noqa: S101  # there is one at least
    return picked


def _is_later_reading(stored: Any, new: Any) -> ColumnElement[bool]:
    return stored.read_at <= new.read_at  # type: ignore[no-any-return]
