"""Read a period from the ledger as a stream: the memory grows with the number of scopes, not of jobs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import and_, case, func, literal, not_, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_avepoint.core.arguments import ALL
from airflow_provider_avepoint.core.grading import Limits
from airflow_provider_avepoint.core.license import HISTORY, Audit, Finding
from airflow_provider_avepoint.core.model import LEVELS, BackupJob, JobState, LicenseConsumption
from airflow_provider_avepoint.core.policy import OTHER
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.restore import Phase
from airflow_provider_avepoint.ledger.rows import read_audit, read_job, write_tenants
from airflow_provider_avepoint.ledger.tables import (
    AUDITS,
    COUNTS,
    DRILLS,
    INTENTS,
    JOBS,
    LICENSES,
    LOADS,
    PROTECTION_AUDITS,
    REPORTS,
    VERDICTS,
)
from airflow_provider_avepoint.report import backups, drills, licenses, protection
from airflow_provider_avepoint.report.backups import (
    DayJudge,
    Outcome,
    Past,
    Period,
    ScopeHistory,
    ScopeTimeline,
    is_good,
    scope_of,
)
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace, LostRestore, RestoreDrill
from airflow_provider_avepoint.report.evidence import Failures, JudgedVerdict, read_verdict
from airflow_provider_avepoint.report.figures import Report, Reported
from airflow_provider_avepoint.report.gates import Gate, Gates, Judgement, Place, name_gate, read_judgement
from airflow_provider_avepoint.report.kept_schedules import judge_by_schedules
from airflow_provider_avepoint.report.licenses import LicenseHistory, Subscription
from airflow_provider_avepoint.report.protection import KeptAudit, ProtectionHistory
from airflow_provider_avepoint.report.schedule import LONGEST_PAST

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.sql import ColumnElement, Select

    _Moments = FunctionElement[datetime]
else:
    _Moments = FunctionElement  # SQLAlchemy 1.4 has no such parameter

# How many verdicts are shown with their evidence, by passed: the newest ones.
_MOST_SHOWN = {False: 40, True: 20}
# A scope whose newest backup is older is no longer expected to have any; nor is an older verdict read.
_LONG_GONE = timedelta(days=180)
# The report names an organisation by the id for comparison: the API may spell the id in several ways.
_ORGANIZATION = JOBS.c.organization_key.label("organization_id")
_SCOPE = (
    *(JOBS.c.tenant, JOBS.c.product, JOBS.c.organization_key),
    *(JOBS.c.workload, JOBS.c.location, JOBS.c.job_type),
)
# What a job of the report is made from.
_BACKUP = (
    *_SCOPE,
    _ORGANIZATION,
    *(JOBS.c.job_id, JOBS.c.state, JOBS.c.raw_state, JOBS.c.started_at, JOBS.c.finished_at),
    *(JOBS.c.duration_seconds, JOBS.c.organization_name, JOBS.c.errors, JOBS.c.problems, JOBS.c.read_at),
    *(JOBS.c[f"{level}_{kind}"] for level in LEVELS for kind in COUNTS),
)


# What the protection audits of one task on one subject have in common, and what is read of the newest ones.
_SERIES = ("tenant", "product", "location", "organization_key", "dag_id", "task_id", "map_index")
_AUDITED = ("audited_at", "error", "findings", "required")


class Rows(Protocol):
    """A ledger, as far as a report reads it."""

    def iter_rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Yield the rows of a query while they arrive.

        :param query: a query on the ledger's tables.
        """


class _Before(_Moments):
    """A time minus a number of seconds, in SQL."""

    inherit_cache = True
    type = JOBS.c.started_at.type


@compiles(_Before, "postgresql")
def _compile_for_postgresql(element: _Before, compiler: Any, **kwargs: Any) -> str:
    moment, seconds = (compiler.process(each, **kwargs) for each in element.clauses)
    return f"({moment} - {seconds} * INTERVAL '1 second')"


@compiles(_Before, "sqlite")
def _compile_for_sqlite(element: _Before, compiler: Any, **kwargs: Any) -> str:
    moment, seconds = (compiler.process(each, **kwargs) for each in element.clauses)
    # The text has the form of Moment, with six digits after the second.
    return f"(strftime('%Y-%m-%d %H:%M:%f', {moment}, printf('%.3f seconds', -({seconds}))) || '000')"


# The same rule as BackupJob.effective_start.
_START = func.coalesce(
    JOBS.c.started_at,
    case(
        (
            and_(JOBS.c.is_terminal, JOBS.c.duration_seconds.is_not(None)),
            _Before(JOBS.c.finished_at, JOBS.c.duration_seconds),
        )
    ),
)
_WHEN = func.coalesce(_START, JOBS.c.finished_at, JOBS.c.first_read_at)


def read_report(ledger: Rows, period: Period, tenants: tuple[str, ...] | None) -> Report:
    """Return the figures of a period.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :raises AvePointLedgerError: the database fails.
    """
    reader = _Reader(ledger, period, tenants)
    scopes, long_gone, failures = reader.read_jobs()
    kept = judge_by_schedules(ledger, period, tenants, scopes)
    scopes = kept.scopes
    audits = tuple(reader.read_audits())
    license_histories = tuple(reader.read_licenses(audits))
    audited = reader.read_protection()
    drilled = drills.follow(reader.read_drills(), protection.list_demands(audited), period.now)
    lost_restores = tuple(reader.find_lost_restores())
    seen = {
        *(tenant for tenant, _ in audits),
        *(scope.place.tenant for scope in scopes),
        *(place.tenant for place, _ in long_gone),
        *(history.subscription.tenant for history in license_histories),
        *(verdict.tenant for verdict in reader.verdicts),
        *(each.place.tenant for each in drilled),
        *(each.last.tenant for each in audited),
        *(each.tenant for each in lost_restores),
    }
    return Report(
        period=period,
        tenants=tenants or tuple(sorted(seen)),
        scopes=backups.rank(scopes, period.now),
        long_gone=tuple(sorted(long_gone, key=lambda each: each[1])),
        licenses=licenses.rank(license_histories),
        audits=audits,
        failures=failures.rank(),
        failures_left_out=failures.left_out,
        verdicts=reader.verdicts,
        silent_tenants=tuple(tenant for tenant in tenants or () if tenant not in seen),
        previous=reader.read_previous(),
        gates=tuple(reader.gates),
        loaded_without_jobs=reader.loaded_without_jobs,
        drills=drilled,
        lost_restores=lost_restores,
        never_drilled=tuple(dict.fromkeys(_list_never_drilled(scopes, drilled))),
        protection=protection.judge_drills(audited, drilled),
        missed_runs=kept.missed,
        vanished=kept.vanished,
    )


class _Reader:
    def __init__(self, ledger: Rows, period: Period, tenants: tuple[str, ...] | None) -> None:
        self._ledger = ledger
        self._period = period
        self._tenants = tenants
        self._earliest = min(period.start, shift(period.now, -_LONG_GONE))
        self._first_recent = period.date_of(shift(period.now, -backups.RECENT))
        self.gates, self.verdicts = self._read_verdicts()
        self.loaded_without_jobs: tuple[tuple[str, str], ...] = ()

    def read_jobs(self) -> tuple[list[ScopeHistory], list[tuple[Place, datetime]], Failures]:
        """Return the scopes' histories, the scopes long gone with their newest backup, and the failures."""
        pasts = self._read_pasts()
        timelines = {
            place: self._start_timeline(place, past)
            for place, past in pasts.items()
            if past.newest_at >= self._earliest
        }
        for place, start in self._iter_past_starts():
            if place in timelines:
                timelines[place].add_past_start(start)
        failures = self._follow(timelines, pasts)
        loads = self._read_loads()
        histories = [timeline.conclude(loads.until(place)) for place, timeline in timelines.items()]
        histories += self._list_never_seen(timelines)
        gone = [(place, past.newest_at) for place, past in pasts.items() if place not in timelines]
        known = {(place.tenant, place.product) for place in (*pasts, *timelines)}
        self.loaded_without_jobs = tuple(sorted(loads.of_backups - known))
        return histories, gone, failures

    def _follow(self, timelines: dict[Place, ScopeTimeline], pasts: Mapping[Place, Past]) -> Failures:
        """Add the backups of each day to the timelines, and return the failures of the period."""
        failures, judge = Failures(), DayJudge(self.gates, self._period)
        for tenant, product, day, jobs in self._iter_days():
            by_scope = defaultdict(list)
            for job in jobs:
                by_scope[scope_of(job)].append(job)
            is_in_period = day >= self._period.dates[0]
            outcomes = judge.judge(tenant, product, day, jobs) if is_in_period else {}
            for scope in {**by_scope, **outcomes}:
                place = Place(tenant=tenant, product=product, scope=scope)
                if scope in outcomes and place not in timelines:
                    timelines[place] = self._start_timeline(place, pasts.get(place))
                if place in timelines and day >= self._first_recent:
                    timelines[place].add_recent(by_scope[scope])
                if scope in outcomes:
                    timelines[place].add(day, outcomes[scope], by_scope[scope])
            for job in jobs if is_in_period else ():
                failures.add(tenant, job, job.effective_start or self._period.begin(day))
        return failures

    def _start_timeline(self, place: Place, past: Past | None) -> ScopeTimeline:
        return ScopeTimeline(place, self.gates, past, self._period)

    def _list_never_seen(self, seen: Iterable[Place]) -> Iterator[ScopeHistory]:
        """Yield the scopes that a gate names and that never had a backup, as missed when the gate judged."""
        for place, judged_at in self.gates.find_never_seen(seen, self._period.now).items():
            timeline = self._start_timeline(place, None)
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
            *(not_(_is_partial(level)) for level in LEVELS),
        )
        good_at = case((is_passed, _START))
        query = (
            select(
                *_SCOPE,
                func.max(JOBS.c.organization_name).label("organization_name"),
                func.min(_WHEN, type_=JOBS.c.started_at.type).label("first_at"),
                func.max(_WHEN, type_=JOBS.c.started_at.type).label("newest_at"),
                func.max(good_at, type_=JOBS.c.started_at.type).label("newest_good_at"),
            )
            .where(*self._backups(), is_read, self._period.start > _WHEN)
            .group_by(*_SCOPE)
        )
        pasts: dict[Place, Past] = {}
        for row in self._ledger.iter_rows(query):
            past = Past(
                organization_name=row["organization_name"],
                first_at=row["first_at"],
                newest_at=row["newest_at"],
                newest_good_at=row["newest_good_at"],
            )
            place = _place_of(row)
            pasts[place] = past.join(pasts.get(place))
        self._add_good_within_limits(pasts)
        return pasts

    def _add_good_within_limits(self, pasts: dict[Place, Past]) -> None:
        """Find the newest good backup before the period where a gate lets a partial backup pass."""
        guards = {place: self.gates.guard(place, self._period.now) for place in pasts}
        lenient = {place: guard for place, guard in guards.items() if guard.limits != {Limits()}}
        wanted = {(place.tenant, place.product) for place in lenient}
        for tenant, product in wanted:
            query = (
                select(*_BACKUP)
                .where(
                    JOBS.c.tenant == tenant,
                    JOBS.c.product == product,
                    JOBS.c.state.in_([JobState.SUCCESS.value, JobState.PARTIAL.value]),
                    *self._backups(),
                    self._earliest <= _WHEN,
                    self._period.start > _WHEN,
                )
                .order_by(_WHEN)
            )
            for row in self._ledger.iter_rows(query):
                place, job = _place_of(row), read_job(row)
                started = job.effective_start
                if (
                    place in lenient
                    and started is not None
                    and is_good(job, self._period.now, lenient[place])
                ):
                    pasts[place] = replace(pasts[place], newest_good_at=started)

    def _iter_past_starts(self) -> Iterator[tuple[Place, datetime]]:
        """Yield when backups started before the period, as far back as a schedule reads."""
        query = select(*_SCOPE, _WHEN.label("at")).where(
            *self._backups(),
            JOBS.c.problems == "[]",
            self._period.start - LONGEST_PAST <= _WHEN,
            self._period.start > _WHEN,
        )
        for row in self._ledger.iter_rows(query):
            yield _place_of(row), row["at"]

    def _iter_days(self) -> Iterator[tuple[str, str, date, list[BackupJob]]]:
        """Yield the backups that started on a day, by tenant and product, oldest day first."""
        query = (
            select(*_BACKUP, _WHEN.label("at"))
            .where(
                *self._backups(),
                min(self._period.start, self._period.begin(self._first_recent)) <= _WHEN,
                self._period.end > _WHEN,
            )
            .order_by(JOBS.c.tenant, JOBS.c.product, _WHEN)
        )
        rows = self._ledger.iter_rows(query)
        for (tenant, product, day), group in groupby(
            rows, key=lambda row: (row["tenant"], row["product"], self._period.date_of(row["at"]))
        ):
            known = (_read_backup(row, self._period.now) for row in group)
            yield tenant, product, day, [job for job in known if job is not None]

    def _backups(self) -> list[ColumnElement[bool]]:
        return [*_select_backups(self.gates), *self._of_tenants(JOBS)]

    def _of_tenants(self, table: Any) -> list[ColumnElement[bool]]:
        return [] if self._tenants is None else [table.c.tenant.in_(self._tenants)]

    def _read_loads(self) -> _Loads:
        loads: dict[tuple[str, str, str, str], datetime] = {}
        for row in self._ledger.iter_rows(select(LOADS).where(*self._of_tenants(LOADS))):
            if _holds_backups(row["selection"]):
                key = (row["tenant"], row["product"], row["location"], row["organization_key"])
                loads[key] = max(row["begun_at"], loads.get(key, row["begun_at"]))
        reads = (
            select(
                JOBS.c.tenant,
                JOBS.c.product,
                func.max(JOBS.c.read_at, type_=JOBS.c.read_at.type).label("at"),
            )
            .where(*self._backups())
            .group_by(JOBS.c.tenant, JOBS.c.product)
        )
        return _Loads(
            loads, {(row["tenant"], row["product"]): row["at"] for row in self._ledger.iter_rows(reads)}
        )

    def read_audits(self) -> Iterator[tuple[str, Audit]]:
        """Yield the newest audit of each licence with its tenant, of whatever age; one that failed too."""
        asked = ("tenant", "product", "location", "organization_key")
        later_first = (AUDITS.c.audited_at.desc(), AUDITS.c.audit_id)
        place = func.row_number().over(partition_by=[AUDITS.c[name] for name in asked], order_by=later_first)
        known = (
            select(AUDITS, place.label("place"))
            .where(AUDITS.c.audited_at <= self._period.now, *self._of_tenants(AUDITS))
            .subquery()
        )
        query = select(known).where(known.c.place == 1).order_by(*(known.c[name] for name in asked))
        for row in self._ledger.iter_rows(query):
            yield row["tenant"], read_audit(row)

    def read_licenses(self, audits: Iterable[tuple[str, Audit]]) -> Iterator[LicenseHistory]:
        """Yield what was bought and used, by licence.

        :param audits: with the tenant of each.
        """
        key = ("tenant", "product", "location", "organization_key", "service")
        query = (
            select(LICENSES)
            .where(
                LICENSES.c.read_at >= self._period.start - HISTORY,
                LICENSES.c.read_at <= self._period.now,
                *self._of_tenants(LICENSES),
            )
            .order_by(*(LICENSES.c[name] for name in key), LICENSES.c.hour)
        )
        of_tenant = defaultdict(list)
        for tenant, each in audits:
            of_tenant[tenant].append(each)
        for values, rows in groupby(
            self._ledger.iter_rows(query), key=lambda row: tuple(row[name] for name in key)
        ):
            tenant, product, location, organization, service = values
            subscription = Subscription(
                tenant=tenant,
                product=product,
                location=location or None,
                organization_id=organization or None,
                service=service or None,
            )
            readings = [(row["read_at"], _read_license(row)) for row in rows]
            history = licenses.follow(
                subscription, readings, self._period.now, of_tenant[tenant], begin=self._period.start
            )
            if history.is_listed or history.read_at >= self._period.start:
                yield history

    def read_drills(self) -> Iterator[RestoreDrill]:
        """Yield the restore drills, of whatever age: a proof does not end with the period."""
        facts = ("sent_at", "judged_at", "passed", "reason", "message", "job_id", "restored_files")
        columns = ("tenant", "product", "service", "location", "target", "library", *facts)
        query = select(*(DRILLS.c[name] for name in columns)).where(
            DRILLS.c.sent_at <= self._period.now, *self._of_tenants(DRILLS)
        )
        for row in self._ledger.iter_rows(query):
            place = DrillPlace(
                tenant=row["tenant"],
                product=row["product"],
                service=row["service"],
                location=row["location"] or None,
            )
            yield RestoreDrill(
                place=place,
                target=f"{row['target']}, {row['library']}",
                **{name: row[name] for name in facts},
            )

    def find_lost_restores(self) -> Iterator[LostRestore]:
        """Yield the restores that were begun a day ago or more, and of which there is no drill."""
        task = ("dag_id", "run_id", "task_id", "map_index")
        is_judged = (
            select(literal(1))
            .where(*(DRILLS.c[name] == INTENTS.c[name] for name in ("tenant", *task)))
            .exists()
        )
        query = select(INTENTS).where(
            INTENTS.c.kept_at < shift(self._period.now, -drills.LONGEST_DRILL),
            not_(is_judged),
            *self._of_tenants(INTENTS),
        )
        for row in self._ledger.iter_rows(query):
            intent = json.loads(row["intent"])
            # One that is not understood may have been sent.
            if not isinstance(intent, dict) or intent.get("phase") != Phase.REFUSED:
                yield LostRestore(
                    tenant=row["tenant"], task=f"{name_gate(row)}, {row['run_id']}", kept_at=row["kept_at"]
                )

    def read_protection(self) -> tuple[ProtectionHistory, ...]:
        """Return what the newest audits say, of whatever age, and whether one that is usual is missing."""
        table = PROTECTION_AUDITS
        series = [table.c[name] for name in _SERIES]
        is_known = (table.c.audited_at <= self._period.now, *self._of_tenants(table))
        later_first = (table.c.audited_at.desc(), table.c.audit_id)
        place = func.row_number().over(partition_by=[*series, table.c.error.is_(None)], order_by=later_first)
        known = (
            select(*series, *(table.c[name] for name in _AUDITED), place.label("place"))
            .where(*is_known)
            .subquery()
        )
        newest = self._ledger.iter_rows(select(known).where(known.c.place == 1))
        audits = [_read_protection(row) for row in newest]
        query = select(*series, table.c.audited_at).where(
            *is_known, table.c.audited_at >= shift(self._period.now, -_LONG_GONE)
        )
        moments = [(_read_series(row), row["audited_at"]) for row in self._ledger.iter_rows(query)]
        return protection.follow(audits, moments, self._period.now)

    def read_previous(self) -> Reported | None:
        """Return what the last report on the same tenants said; None where there is none."""
        query = (
            select(REPORTS.c.generated_at, REPORTS.c.states)
            .where(
                REPORTS.c.tenants == write_tenants(self._tenants),
                REPORTS.c.generated_at < self._period.now,
            )
            .order_by(REPORTS.c.generated_at.desc())
            .limit(1)
        )
        for row in self._ledger.iter_rows(query):
            return Reported(generated_at=row["generated_at"], states=json.loads(row["states"]))
        return None

    def _read_verdicts(self) -> tuple[Gates, tuple[JudgedVerdict, ...]]:
        """Return the gates, and the verdicts of the period, newest first, the newest with their evidence.

        Verdicts from some time before the period tell of the gates, too.
        """
        gates: dict[tuple[str, str, str | None], list[Judgement]] = defaultdict(list)
        verdicts = []
        shown = {True: 0, False: 0}
        for row in self._ledger.iter_rows(self._list_verdicts()):
            evidence = json.loads(row["evidence"])
            judgement = read_judgement(row, evidence)
            if judgement is not None:
                gates[row["tenant"], row["product"], name_gate(row)].append(judgement)
            if row["judged_at"] >= self._period.start:
                passed = row["passed"]
                shown[passed] += 1
                is_shown = shown[passed] <= _MOST_SHOWN[passed]
                verdicts.append(read_verdict(row, evidence, self._period.timezone, is_shown=is_shown))
        return Gates(
            Gate(tenant=tenant, product=product, name=name, judgements=tuple(reversed(judgements)))
            for (tenant, product, name), judgements in gates.items()
        ), tuple(verdicts)

    def _list_verdicts(self) -> Any:
        """Return the query for the verdicts, newest first: of the tries of a task in one run, the last."""
        of_run = ("tenant", "dag_id", "run_id", "task_id", "map_index")
        later_first = (VERDICTS.c.try_number.desc(), VERDICTS.c.judged_at.desc())
        place = func.row_number().over(
            partition_by=[VERDICTS.c[name] for name in of_run], order_by=later_first
        )
        judged = (
            select(VERDICTS, place.label("place"))
            .where(
                VERDICTS.c.judged_at >= self._earliest,
                VERDICTS.c.judged_at <= self._period.now,
                *self._of_tenants(VERDICTS),
            )
            .subquery()
        )
        query = select(judged).where(or_(judged.c.place == 1, judged.c.dag_id.is_(None)))
        return query.order_by(judged.c.judged_at.desc(), judged.c.tenant, judged.c.verdict_id)


def _select_backups(gates: Gates) -> list[ColumnElement[bool]]:
    """Return the conditions that select backups.

    Backups are the jobs of the type ``backup``, and of the types that a gate names. A listing without an
    object type repeats the jobs of the listings with one; the conditions drop these copies.
    """
    twin = JOBS.alias()
    same = ("tenant", "product", "job_id", "location", "organization_key", "run_start")
    claimed = (
        select(literal(1))
        .where(*(twin.c[name] == JOBS.c[name] for name in same), twin.c.workload != "")
        .exists()
    )
    named = [
        and_(JOBS.c.tenant == tenant, JOBS.c.product == product, JOBS.c.job_type.in_(words))
        for (tenant, product), words in gates.job_types.items()
    ]
    return [
        or_(
            JOBS.c.job_type == "backup",
            and_(JOBS.c.job_type.is_(None), JOBS.c.problems != "[]"),
            *named,
        ),
        or_(JOBS.c.workload != "", not_(claimed)),
    ]


def read_newest(ledger: Rows, place: Place, gates: Gates, most: int) -> list[BackupJob]:
    """Return the newest backups of a place, newest first.

    :param ledger: the ledger.
    :param place: the place.
    :param gates: the gates of all tenants; they name the types of jobs that are backups.
    :param most: the number of jobs to return at most.
    :raises AvePointLedgerError: the database fails.
    """
    scope = place.scope
    query = (
        select(*_BACKUP)
        .where(
            JOBS.c.tenant == place.tenant,
            JOBS.c.product == place.product,
            JOBS.c.organization_key == (scope.organization_id or ""),
            JOBS.c.workload == ("" if scope.workload in (None, OTHER) else scope.workload),
            JOBS.c.location == (scope.location or ""),
            *_select_backups(gates),
        )
        .order_by(_WHEN.desc(), JOBS.c.job_id)
    )
    jobs: list[BackupJob] = []
    for row in ledger.iter_rows(query):
        if _place_of(row) == place:
            jobs.append(read_job(row))
        if len(jobs) >= most:
            break
    return jobs


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


def _is_partial(level: str) -> ColumnElement[bool]:
    """Return the condition for a success that a gate grades as partial: parts failed or nothing was saved."""
    total, successful, failed, skipped, warning = (
        func.coalesce(JOBS.c[f"{level}_{kind}"], 0) for kind in COUNTS
    )
    has_done_nothing = and_(
        total > 0, JOBS.c[f"{level}_successful"].is_not(None), successful + skipped + warning == 0
    )
    return or_(failed > 0, has_done_nothing)


def _holds_backups(selection: str) -> bool:
    """Tell whether a load reads backups, by the job types that the load selects."""
    try:
        job_types, _ = json.loads(selection)
    except ValueError:
        return True  # not this release's
    return not job_types or any(word == ALL or "backup" in word for word in job_types)


def _read_protection(row: Mapping[Any, Any]) -> KeptAudit:
    tenant, product, location, organization_id, *task = _read_series(row)
    required = json.loads(row["required"])
    return KeptAudit(
        tenant=tenant,
        product=product,
        location=location,
        organization_id=organization_id,
        task=tuple(task),
        audited_at=row["audited_at"],
        error=row["error"],
        findings=tuple(Finding(**finding) for finding in json.loads(row["findings"])),
        required=required if isinstance(required, dict) else {},
    )


def _read_series(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return what the audits of one task on one subject have in common."""
    tenant, product, location, organization_key, *task = (row[name] for name in _SERIES)
    return tenant, product, location or None, organization_key or None, *task


def _list_never_drilled(
    scopes: Iterable[ScopeHistory], known: Iterable[DrillHistory]
) -> Iterator[DrillPlace]:
    """Yield the services with backups that can be restored, and that have neither a drill nor a demand."""
    drilled = {each.place for each in known}
    for scope in (each.place for each in scopes):
        restore, workload = get_product(scope.product).restore, scope.scope.workload
        if restore is None or workload is None or workload not in restore.services:
            continue
        place = DrillPlace(
            tenant=scope.tenant,
            product=scope.product,
            service=workload,
            location=scope.scope.location,
        )
        if place not in drilled:
            yield place


class _Loads:
    """When each listing was last loaded into the ledger."""

    def __init__(
        self, loads: Mapping[tuple[str, str, str, str], datetime], reads: Mapping[tuple[str, str], datetime]
    ) -> None:
        self._loads = loads
        self._reads = reads

    @property
    def of_backups(self) -> set[tuple[str, str]]:
        """The tenants and products whose backups are loaded, whole."""
        return {
            (tenant, product)
            for tenant, product, location, organization in self._loads
            if not (location or organization)
        }

    def until(self, place: Place) -> datetime:
        """Return when a place's jobs were last loaded; without a recorded load, when they were last read."""
        location, organization = place.scope.location or "", place.scope.organization_id or ""
        asked = {
            self._loads.get((place.tenant, place.product, location, each)) for each in ("", organization)
        }
        return max(
            (moment for moment in asked if moment is not None),
            default=self._reads[place.tenant, place.product],
        )


def _place_of(row: Mapping[Any, Any]) -> Place:
    return _make_place(tuple(row[column.name] for column in _SCOPE))


@lru_cache(maxsize=10_000)
def _make_place(values: tuple[Any, ...]) -> Place:
    tenant, product, organization, workload, location, job_type = values
    job = BackupJob(
        product=product,
        job_id="",
        job_type=job_type,
        state=JobState.UNKNOWN,
        workload=workload or None,
        organization_id=organization or None,
        location=location or None,
    )
    return Place(tenant=tenant, product=product, scope=scope_of(job))


def _read_license(row: Mapping[Any, Any]) -> LicenseConsumption:
    return LicenseConsumption(
        product=row["product"],
        service=row["service"] or None,
        organization_id=row["organization_id"] or None,
        organization_name=row["organization_name"],
        location=row["location"] or None,
        out_of_policy_at=row["out_of_policy_at"],
        purchased_user_seats=row["purchased_user_seats"],
        assigned_user_seats=row["assigned_user_seats"],
        purchased_storage_gb=row["purchased_storage_gb"],
        protected_gb=row["protected_gb"],
        is_out_of_policy=row["is_out_of_policy"],
        expires_at=row["expires_at"],
    )
