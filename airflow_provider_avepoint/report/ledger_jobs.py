"""Read the jobs of a period from the ledger: plain backups as columns, every other one whole, as a stream."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Float, Text, and_, case, cast, func, literal, not_, or_, select

from airflow_provider_avepoint.core.arguments import ALL
from airflow_provider_avepoint.core.model import LEVELS, BackupJob, JobState
from airflow_provider_avepoint.core.policy import OTHER, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.ledger.database import GATHERS
from airflow_provider_avepoint.ledger.foreign import read_understood
from airflow_provider_avepoint.ledger.rows import read_job
from airflow_provider_avepoint.ledger.tables import JOBS, LOADS
from airflow_provider_avepoint.report.backups import (
    RECENT,
    Outcome,
    Past,
    Period,
    ProductDays,
    ScopeHistory,
    ScopeTimeline,
    is_good,
)
from airflow_provider_avepoint.report.evidence import Failures
from airflow_provider_avepoint.report.gates import NO_LIMITS, Gates, Place
from airflow_provider_avepoint.report.job_columns import (
    BACKUP,
    SCOPE,
    START,
    WHEN,
    Gathered,
    is_partial,
    place_of,
    select_backups,
)
from airflow_provider_avepoint.report.plain_backups import PlainBackups, Source
from airflow_provider_avepoint.report.rows import Rows, find_earliest, of_tenants
from airflow_provider_avepoint.report.schedule import LONGEST_PAST
from airflow_provider_avepoint.report.sizes import SIZED, BackedUp

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement

_read_moments = msgspec.json.Decoder(list[datetime]).decode
_read_texts = msgspec.json.Decoder(list[str]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """What the ledger's jobs say of a period.

    :param scopes: the histories of the scopes.
    :param long_gone: the scopes that are no longer expected to have backups, with the start of the newest.
    :param failures: the failures.
    :param loaded_without_jobs: the tenants and products whose backups are loaded, and of which none came.
    :param loads: when they were last loaded.
    """

    scopes: list[ScopeHistory]
    long_gone: list[tuple[Place, datetime]]
    failures: Failures
    loaded_without_jobs: tuple[tuple[str, str], ...]
    loads: Loads


def read_backups(ledger: Rows, period: Period, tenants: tuple[str, ...] | None, gates: Gates) -> Backups:
    """Return what the jobs of the ledger say of a period.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :param gates: the gates of all tenants.
    :raises AvePointLedgerError: the database fails.
    """
    return _Reader(ledger, period, tenants, gates).read()


class _Reader:
    def __init__(self, ledger: Rows, period: Period, tenants: tuple[str, ...] | None, gates: Gates) -> None:
        self._ledger = ledger
        self._period = period
        self._tenants = tenants
        self._gates = gates
        self._earliest = find_earliest(period)
        self._first_recent = period.date_of(shift(period.now, -RECENT))
        self._pasts: dict[Place, Past] = {}
        self._timelines: dict[Place, ScopeTimeline] = {}

    def read(self) -> Backups:
        self._pasts = self._read_pasts()
        for place, past in self._pasts.items():
            if past.newest_at >= self._earliest:
                self._start_timeline(place)
        failures, plain = Failures(), self._read_plain()
        for (tenant, product), rows in groupby(self._iter_others(), key=itemgetter(0, 1)):
            others = ((day, jobs) for _, _, day, jobs in rows)
            self._follow(tenant, product, plain.pop((tenant, product), {}), others, failures)
        for (tenant, product), of_product in plain.items():
            self._follow(tenant, product, of_product, (), failures)
        timelines, loads = self._timelines, self._read_loads()
        histories = [timeline.conclude(loads.until(place)) for place, timeline in timelines.items()]
        histories += self._list_never_seen()
        gone = [(place, past.newest_at) for place, past in self._pasts.items() if place not in timelines]
        known = {(place.tenant, place.product) for place in (*self._pasts, *timelines)}
        return Backups(
            scopes=histories,
            long_gone=gone,
            failures=failures,
            loaded_without_jobs=tuple(sorted(loads.of_backups - known)),
            loads=loads,
        )

    def _follow(
        self,
        tenant: str,
        product: str,
        plain: Mapping[Scope, PlainBackups],
        others: Iterable[tuple[date, list[BackupJob]]],
        failures: Failures,
    ) -> None:
        """Add the backups of a product to the timelines and the failures."""
        days = ProductDays(self._gates, self._period, tenant, product, plain)
        judged: dict[Scope, set[date]] = defaultdict(set)
        for day in days.iter_days(others):
            is_in_period = day.date >= self._period.dates[0]
            outcomes = days.judge(day) if is_in_period else {}
            for scope, of_day in day.backups.items():
                judged[scope].add(day.date)
                place = Place(tenant=tenant, product=product, scope=scope)
                if scope in outcomes:
                    self._start_timeline(place).add(day.date, outcomes[scope], of_day)
                if day.date >= self._first_recent and (timeline := self._timelines.get(place)) is not None:
                    timeline.add_recent(of_day.others)
                for job in of_day.others if is_in_period else ():
                    failures.add(tenant, job, job.effective_start or self._period.begin(day.date))
        recent = self._period.begin(self._first_recent)
        for scope, known in plain.items():
            place = Place(tenant=tenant, product=product, scope=scope)
            in_period = known.since(self._period.start)
            if in_period and scope not in days.ruled:
                timeline = self._start_timeline(place)
                timeline.add_plain(in_period, judged[scope])
            else:
                timeline = self._timelines.get(place)
            if timeline is not None:
                timeline.add_recent_plain(known.since(recent))

    def _start_timeline(self, place: Place) -> ScopeTimeline:
        """Return the timeline of a place, a new one if there is none."""
        timeline = self._timelines.get(place)
        if timeline is None:
            timeline = ScopeTimeline(place, self._gates, self._pasts.get(place), self._period)
            self._timelines[place] = timeline
        return timeline

    def _list_never_seen(self) -> Iterator[ScopeHistory]:
        """Yield the scopes that a gate names and that never had a backup, as missed when the gate judged."""
        for place, judged_at in self._gates.find_never_seen(self._timelines, self._period.now).items():
            timeline = ScopeTimeline(place, self._gates, None, self._period)
            timeline.add(self._period.date_of(judged_at), Outcome.MISSED)
            yield timeline.conclude(self._period.now)

    def _read_pasts(self) -> dict[Place, Past]:
        """Return the ledger's knowledge of each scope from before the period."""
        # A job that could not be read may belong to another scope, so it makes no scope expected.
        is_read = JOBS.c.problems == "[]"
        is_passed = and_(
            JOBS.c.state == JobState.SUCCESS.value,
            or_(
                JOBS.c.finished_at.is_(None),
                JOBS.c.started_at.is_(None),
                JOBS.c.finished_at >= JOBS.c.started_at,
            ),
            *(not_(is_partial(level)) for level in LEVELS),
        )
        good_at = case((is_passed, START))
        is_of_schedule = self._period.start - LONGEST_PAST <= WHEN
        query = (
            select(
                *SCOPE,
                func.max(JOBS.c.organization_name).label("organization_name"),
                func.min(WHEN, type_=JOBS.c.started_at.type).label("first_at"),
                func.max(WHEN, type_=JOBS.c.started_at.type).label("newest_at"),
                func.max(good_at, type_=JOBS.c.started_at.type).label("newest_good_at"),
                cast(Gathered(WHEN).filter(is_of_schedule), Text).label("starts"),
            )
            .where(*self._backups(), is_read, self._period.start > WHEN)
            .group_by(*SCOPE)
            .execution_options(**{GATHERS: True})
        )
        pasts: dict[Place, Past] = {}
        for row in self._ledger.iter_rows(query):
            past = Past(
                organization_name=row["organization_name"],
                first_at=row["first_at"],
                newest_at=row["newest_at"],
                newest_good_at=row["newest_good_at"],
                starts=tuple(_read_moments(row["starts"] or "[]")),
            )
            place = place_of(row)
            pasts[place] = past.join(pasts.get(place))
        self._add_good_within_limits(pasts)
        return pasts

    def _add_good_within_limits(self, pasts: dict[Place, Past]) -> None:
        """Find the newest good backup before the period where a gate lets a partial backup pass."""
        guards = {place: self._gates.guard(place, self._period.now) for place in pasts}
        lenient = {place: guard for place, guard in guards.items() if guard.limits != NO_LIMITS}
        wanted = {(place.tenant, place.product) for place in lenient}
        for tenant, product in wanted:
            query = (
                select(*BACKUP)
                .where(
                    JOBS.c.tenant == tenant,
                    JOBS.c.product == product,
                    JOBS.c.state.in_([JobState.SUCCESS.value, JobState.PARTIAL.value]),
                    *self._backups(),
                    self._earliest <= WHEN,
                    self._period.start > WHEN,
                )
                .order_by(WHEN)
            )
            for row in self._ledger.iter_rows(query):
                place, job = place_of(row), read_job(row)
                started = job.effective_start
                if (
                    place in lenient
                    and started is not None
                    and is_good(job, self._period.now, lenient[place])
                ):
                    pasts[place] = replace(pasts[place], newest_good_at=started)

    def _read_plain(self) -> dict[tuple[str, str], dict[Scope, PlainBackups]]:
        """Return the plain backups by tenant and product, and by scope."""
        query = (
            select(
                *SCOPE,
                JOBS.c.organization_name,
                cast(Gathered(JOBS.c.started_at), Text).label("starts"),
                cast(Gathered(JOBS.c.job_id), Text).label("job_ids"),
            )
            .where(
                *self._backups(),
                self._is_plain,
                self._first_read <= JOBS.c.started_at,
                self._period.end > JOBS.c.started_at,
            )
            .group_by(*SCOPE, JOBS.c.organization_name)
            .execution_options(**{GATHERS: True})
        )
        groups: dict[Place, list[tuple[Source, list[datetime], list[str]]]] = defaultdict(list)
        for row in self._ledger.iter_rows(query):
            source = Source(row["job_type"], row["organization_name"])
            groups[place_of(row)].append((source, _read_moments(row["starts"]), _read_texts(row["job_ids"])))
        plain: dict[tuple[str, str], dict[Scope, PlainBackups]] = defaultdict(dict)
        for place, of_place in groups.items():
            plain[place.tenant, place.product][place.scope] = PlainBackups.join(of_place)
        return plain

    def _iter_others(self) -> Iterator[tuple[str, str, date, list[BackupJob]]]:
        """Yield the backups that are not plain: by tenant and product, oldest day first."""
        query = (
            select(*BACKUP, WHEN.label("at"))
            .where(
                *self._backups(),
                case((self._is_plain, literal(1)), else_=0) == 0,
                # A backup with a start is there from its start on, and these the index finds.
                or_(
                    JOBS.c.started_at.is_(None),
                    and_(self._first_read <= JOBS.c.started_at, self._period.end > JOBS.c.started_at),
                ),
                self._first_read <= WHEN,
                self._period.end > WHEN,
            )
            .order_by(JOBS.c.tenant, JOBS.c.product, WHEN)
        )
        rows = self._ledger.iter_rows(query)
        for (tenant, product, day), group in groupby(
            rows, key=lambda row: (row["tenant"], row["product"], self._period.date_of(row["at"]))
        ):
            known = (_read_backup(row, self._period.now) for row in group)
            yield tenant, product, day, [job for job in known if job is not None]

    @property
    def _first_read(self) -> datetime:
        """The start of the oldest backup that is read by itself."""
        return min(self._period.start, self._period.begin(self._first_recent))

    @property
    def _is_plain(self) -> ColumnElement[bool]:
        """The condition for a :class:`PlainBackup`; it may be NULL for others."""
        return and_(
            JOBS.c.state == JobState.SUCCESS.value,
            JOBS.c.job_type.is_not(None),
            JOBS.c.problems == "[]",
            JOBS.c.errors == "[]",
            JOBS.c.started_at <= JOBS.c.finished_at,
            JOBS.c.finished_at <= self._period.now,
            JOBS.c.read_at <= self._period.now,
            *(not_(is_partial(level)) for level in LEVELS),
        )

    def _backups(self) -> list[ColumnElement[bool]]:
        return [*select_backups(self._gates), *of_tenants(JOBS, self._tenants)]

    def _read_loads(self) -> Loads:
        loads: dict[tuple[str, str, str, str], datetime] = {}
        for row in self._ledger.iter_rows(select(LOADS).where(*of_tenants(LOADS, self._tenants))):
            if _holds_backups(row["selection"]):
                key = (row["tenant"], row["product"], row["location"], row["organization_key"])
                loads[key] = max(row["begun_at"], loads.get(key, row["begun_at"]))
        return Loads(loads, self._find_reads)

    def _find_reads(self) -> dict[tuple[str, str], datetime]:
        query = (
            select(
                JOBS.c.tenant,
                JOBS.c.product,
                func.max(JOBS.c.read_at, type_=JOBS.c.read_at.type).label("at"),
            )
            .where(*self._backups())
            .group_by(JOBS.c.tenant, JOBS.c.product)
        )
        return {(row["tenant"], row["product"]): row["at"] for row in self._ledger.iter_rows(query)}


def read_newest(ledger: Rows, place: Place, gates: Gates, most: int) -> list[BackupJob]:
    """Return the newest backups of a place, newest first.

    :param ledger: the ledger.
    :param place: the place.
    :param gates: the gates of all tenants; they name the types of jobs that are backups.
    :param most: the number of jobs to return at most.
    :raises AvePointLedgerError: the database fails.
    """
    return read_understood(
        ledger, lambda: _read_newest(ledger, place, gates, most), lambda jobs, _foreign: jobs
    )


def _read_newest(ledger: Rows, place: Place, gates: Gates, most: int) -> list[BackupJob]:
    scope = place.scope
    query = (
        select(*BACKUP)
        .where(
            JOBS.c.tenant == place.tenant,
            JOBS.c.product == place.product,
            JOBS.c.organization_key == (scope.organization_id or ""),
            JOBS.c.workload == ("" if scope.workload in (None, OTHER) else scope.workload),
            JOBS.c.location == (scope.location or ""),
            *select_backups(gates),
        )
        .order_by(WHEN.desc(), JOBS.c.job_id)
    )
    jobs: list[BackupJob] = []
    for row in ledger.iter_rows(query):
        if place_of(row) == place:
            jobs.append(read_job(row))
        if len(jobs) >= most:
            break
    return jobs


def read_sizes(
    ledger: Rows, period: Period, tenants: tuple[str, ...] | None, gates: Gates
) -> Iterator[BackedUp]:
    """Yield how much was backed up in a period, by service; no service whose rows state no size.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :param gates: the gates of these tenants; they name the types of jobs that are backups.
    :raises AvePointLedgerError: the database fails.
    """
    key = (JOBS.c.tenant, JOBS.c.product, JOBS.c.workload, JOBS.c.location, JOBS.c.job_type)
    # As a float: a sum of whole numbers may be larger than SQLite can hold.
    size = func.sum(cast(JOBS.c.size_bytes, Float), type_=Float).label("size")
    query = (
        select(*key, size, func.count(JOBS.c.size_bytes).label("sized"), func.count().label("backups"))
        .where(
            *select_backups(gates),
            *of_tenants(JOBS, tenants),
            JOBS.c.product.in_(SIZED),
            JOBS.c.state.in_([JobState.SUCCESS.value, JobState.PARTIAL.value]),
            or_(JOBS.c.size_bytes.is_(None), JOBS.c.size_bytes >= 0),
            period.start <= WHEN,
            period.end > WHEN,
            period.now >= WHEN,
        )
        .group_by(*key)
    )
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in ledger.iter_rows(query):
        content = get_product(row["product"]).contents.get(row["job_type"] or "")
        found[row["tenant"], row["product"], row["workload"], row["location"], content or ""].append(row)
    for (tenant, product, workload, location, content), rows in sorted(found.items()):
        sized = sum(row["sized"] for row in rows)
        if sized:
            yield BackedUp(
                tenant=tenant,
                product=product,
                workload=workload or None,
                location=location or None,
                content=content or None,
                size_bytes=round(sum(row["size"] or 0 for row in rows)),
                sized=sized,
                backups=sum(row["backups"] for row in rows),
            )


def _read_backup(row: Mapping[Any, Any], now: datetime) -> BackupJob | None:
    """Return a job as it was at a time; None where it had not started.

    A job of unknown type may be a backup, and counts as one.
    """
    job = read_job(row)
    if job.job_type is None:
        job = replace(job, job_type="backup")
    if row["read_at"] <= now:
        return job
    # The ledger was loaded after the moment of the report: what came later had not come yet.
    start = job.effective_start
    if start is not None and start > now:
        return None
    if job.finished_at is not None and job.finished_at > now:
        return replace(job, state=JobState.RUNNING, finished_at=None, duration=None)
    return job


def _holds_backups(selection: str) -> bool:
    """Tell whether a load reads backups, by the job types that the load selects."""
    try:
        job_types, _ = json.loads(selection)
        return not job_types or any(word == ALL or "backup" in word for word in job_types)
    except (TypeError, ValueError):
        return True  # not this release's


class Loads:
    """When each listing was last loaded into the ledger.

    :param loads: when each load began, by tenant, product, location and organisation.
    :param find_reads: returns when the newest backup was read, by tenant and product.
    """

    def __init__(
        self,
        loads: Mapping[tuple[str, str, str, str], datetime],
        find_reads: Callable[[], Mapping[tuple[str, str], datetime]],
    ) -> None:
        self._loads = loads
        self._find_reads = find_reads

    @cached_property
    def _reads(self) -> Mapping[tuple[str, str], datetime]:
        return self._find_reads()

    @property
    def of_backups(self) -> set[tuple[str, str]]:
        """The tenants and products whose backups are loaded, whole."""
        return {
            (tenant, product)
            for tenant, product, location, organization in self._loads
            if not (location or organization)
        }

    def until(self, place: Place) -> datetime:
        """Return when the jobs of a place that has some were last loaded.

        :param place: a place with jobs.
        """
        scope = place.scope
        until = self.find_until(place.tenant, place.product, scope.location, scope.organization_id)
        assert until is not None  # noqa: S101  # its jobs have been read
        return until

    def find_until(
        self, tenant: str, product: str, location: str | None, organization_id: str | None = None
    ) -> datetime | None:
        """Return when jobs were last loaded; without a recorded load, when they were last read.

        :param tenant: the name of the tenant.
        :param product: the product's name.
        :param location: the Multi-Geo location; None for no location.
        :param organization_id: the organisation, by whose own loads too; None: by those of all alone.
        :returns: None where none ever were.
        """
        asked = {
            self._loads.get((tenant, product, location or "", each or "")) for each in (None, organization_id)
        }
        known = [moment for moment in asked if moment is not None]
        return max(known) if known else self._reads.get((tenant, product))
