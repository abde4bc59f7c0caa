"""Read a period from the ledger: a plain backup as its id and start, every other one whole, as a stream."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import Text, and_, case, cast, func, literal, not_, or_, select, tuple_, union
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_avepoint.core.arguments import ALL
from airflow_provider_avepoint.core.grading import Limits
from airflow_provider_avepoint.core.license import HISTORY, Audit
from airflow_provider_avepoint.core.model import LEVELS, BackupJob, JobState, LicenseConsumption
from airflow_provider_avepoint.core.policy import OTHER, Scope
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.restore import Phase
from airflow_provider_avepoint.ledger.rows import read_audit, read_findings, read_job, write_tenants
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
    SCHEDULES,
    VERDICTS,
    Moment,
)
from airflow_provider_avepoint.report import backups, drills, licenses, protection
from airflow_provider_avepoint.report.backups import (
    Outcome,
    Past,
    Period,
    ProductDays,
    ScopeHistory,
    ScopeTimeline,
    is_good,
    scope_of,
)
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace, LostRestore, RestoreDrill
from airflow_provider_avepoint.report.evidence import Failures, JudgedVerdict, read_verdict, summarize_verdict
from airflow_provider_avepoint.report.figures import Report, Reported
from airflow_provider_avepoint.report.gates import (
    Gate,
    Gates,
    Judgement,
    Place,
    is_judged,
    name_gate,
    read_evidence,
    read_judgement,
)
from airflow_provider_avepoint.report.kept_schedules import judge_by_schedules
from airflow_provider_avepoint.report.licenses import LicenseHistory, Subscription
from airflow_provider_avepoint.report.plain_backups import PlainBackups, Source
from airflow_provider_avepoint.report.protection import KeptAudit, ProtectionHistory
from airflow_provider_avepoint.report.schedule import LONGEST_PAST

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.sql import ColumnElement, Select

    _Moments = FunctionElement[datetime]
    _Texts = FunctionElement[str]
else:
    _Moments = _Texts = FunctionElement  # SQLAlchemy 1.4 has no such parameter

_NO_LIMITS = {Limits()}
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


# What is read of a verdict, and what the tries of one task in one run have in common.
_VERDICT = [
    VERDICTS.c[name]
    for name in (
        *("tenant", "verdict_id", "product", "judged_at", "passed", "reason", "rules_version", "evidence"),
        *("dag_id", "run_id", "task_id", "map_index", "try_number"),
    )
]
_TASK = ("dag_id", "run_id", "task_id", "map_index")

# What the protection audits of one task on one subject have in common, and what is read of the newest ones.
_SERIES = ("tenant", "product", "location", "organization_key", "dag_id", "task_id", "map_index")
_AUDITED = ("audited_at", "error", "findings", "required")


_read_moments = msgspec.json.Decoder(list[datetime]).decode
_read_texts = msgspec.json.Decoder(list[str]).decode


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


class _Gathered(_Texts):
    """The values of a column in several rows: a JSON list; the column holds moments or texts."""

    inherit_cache = True


@compiles(_Gathered, "postgresql")
def _gather_in_postgresql(element: _Gathered, compiler: Any, **kwargs: Any) -> str:
    return f"json_agg({compiler.process(element.clauses, **kwargs)})"


@compiles(_Gathered, "sqlite")
def _gather_in_sqlite(element: _Gathered, compiler: Any, **kwargs: Any) -> str:
    (gathered,) = element.clauses
    # A text of Moment does not name its time zone.
    zone = " || 'Z'" if isinstance(gathered.type, Moment) else ""
    return f"json_group_array({compiler.process(gathered, **kwargs)}{zone})"


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
        gates=reader.gates,
        loaded_without_jobs=reader.loaded_without_jobs,
        unknown_products=tuple(reader.find_unknown_products()),
        drills=drilled,
        lost_restores=lost_restores,
        never_drilled=tuple(dict.fromkeys(_list_never_drilled(scopes, drilled))),
        protection=protection.judge_drills(audited, drilled),
        missed_runs=kept.missed,
        vanished=kept.vanished,
        unread_schedules=kept.unread,
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
        self._pasts: dict[Place, Past] = {}
        self._timelines: dict[Place, ScopeTimeline] = {}

    def read_jobs(self) -> tuple[list[ScopeHistory], list[tuple[Place, datetime]], Failures]:
        """Return the scopes' histories, the scopes long gone with their newest backup, and the failures."""
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
        self.loaded_without_jobs = tuple(sorted(loads.of_backups - known))
        return histories, gone, failures

    def _follow(
        self,
        tenant: str,
        product: str,
        plain: Mapping[Scope, PlainBackups],
        others: Iterable[tuple[date, list[BackupJob]]],
        failures: Failures,
    ) -> None:
        """Add the backups of a product to the timelines and the failures."""
        days = ProductDays(self.gates, self._period, tenant, product, plain)
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
            timeline = ScopeTimeline(place, self.gates, self._pasts.get(place), self._period)
            self._timelines[place] = timeline
        return timeline

    def _list_never_seen(self) -> Iterator[ScopeHistory]:
        """Yield the scopes that a gate names and that never had a backup, as missed when the gate judged."""
        for place, judged_at in self.gates.find_never_seen(self._timelines, self._period.now).items():
            timeline = ScopeTimeline(place, self.gates, None, self._period)
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
        is_of_schedule = self._period.start - LONGEST_PAST <= _WHEN
        query = (
            select(
                *_SCOPE,
                func.max(JOBS.c.organization_name).label("organization_name"),
                func.min(_WHEN, type_=JOBS.c.started_at.type).label("first_at"),
                func.max(_WHEN, type_=JOBS.c.started_at.type).label("newest_at"),
                func.max(good_at, type_=JOBS.c.started_at.type).label("newest_good_at"),
                cast(_Gathered(_WHEN).filter(is_of_schedule), Text).label("starts"),
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
                starts=tuple(_read_moments(row["starts"] or "[]")),
            )
            place = _place_of(row)
            pasts[place] = past.join(pasts.get(place))
        self._add_good_within_limits(pasts)
        return pasts

    def _add_good_within_limits(self, pasts: dict[Place, Past]) -> None:
        """Find the newest good backup before the period where a gate lets a partial backup pass."""
        guards = {place: self.gates.guard(place, self._period.now) for place in pasts}
        lenient = {place: guard for place, guard in guards.items() if guard.limits != _NO_LIMITS}
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

    def _read_plain(self) -> dict[tuple[str, str], dict[Scope, PlainBackups]]:
        """Return the plain backups by tenant and product, and by scope."""
        query = (
            select(
                *_SCOPE,
                JOBS.c.organization_name,
                cast(_Gathered(JOBS.c.started_at), Text).label("starts"),
                cast(_Gathered(JOBS.c.job_id), Text).label("job_ids"),
            )
            .where(
                *self._backups(),
                self._is_plain,
                self._first_read <= JOBS.c.started_at,
                self._period.end > JOBS.c.started_at,
            )
            .group_by(*_SCOPE, JOBS.c.organization_name)
        )
        groups: dict[Place, list[tuple[Source, list[datetime], list[str]]]] = defaultdict(list)
        for row in self._ledger.iter_rows(query):
            source = Source(row["job_type"], row["organization_name"])
            groups[_place_of(row)].append((source, _read_moments(row["starts"]), _read_texts(row["job_ids"])))
        plain: dict[tuple[str, str], dict[Scope, PlainBackups]] = defaultdict(dict)
        for place, of_place in groups.items():
            plain[place.tenant, place.product][place.scope] = PlainBackups.join(of_place)
        return plain

    def _iter_others(self) -> Iterator[tuple[str, str, date, list[BackupJob]]]:
        """Yield the backups that are not plain: by tenant and product, oldest day first."""
        query = (
            select(*_BACKUP, _WHEN.label("at"))
            .where(
                *self._backups(),
                case((self._is_plain, literal(1)), else_=0) == 0,
                self._first_read <= _WHEN,
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
            *(not_(_is_partial(level)) for level in LEVELS),
        )

    def _backups(self) -> list[ColumnElement[bool]]:
        return [*_select_backups(self.gates), *self._of_tenants(JOBS)]

    def _of_tenants(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the conditions for rows of the tenants, and of products that this release knows."""
        conditions: list[ColumnElement[bool]] = []
        if self._tenants is not None:
            conditions.append(table.c.tenant.in_(self._tenants))
        if "product" in table.c:
            conditions.append(table.c.product.in_(PRODUCTS))
        return conditions

    def find_unknown_products(self) -> Iterator[tuple[str, str]]:
        """Yield the tenants and products of which a newer release has written."""
        queries = [
            select(table.c.tenant, table.c.product).where(
                table.c.product.not_in(PRODUCTS),
                *([] if self._tenants is None else [table.c.tenant.in_(self._tenants)]),
            )
            for table in (JOBS, LOADS, VERDICTS, LICENSES, AUDITS, PROTECTION_AUDITS, DRILLS, SCHEDULES)
        ]
        unknown = union(*queries).subquery()
        for row in self._ledger.iter_rows(select(unknown).order_by(*unknown.c)):
            yield row["tenant"], row["product"]

    def _read_loads(self) -> _Loads:
        loads: dict[tuple[str, str, str, str], datetime] = {}
        for row in self._ledger.iter_rows(select(LOADS).where(*self._of_tenants(LOADS))):
            if _holds_backups(row["selection"]):
                key = (row["tenant"], row["product"], row["location"], row["organization_key"])
                loads[key] = max(row["begun_at"], loads.get(key, row["begun_at"]))
        return _Loads(loads, self._find_reads)

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

        Verdicts from some time before the period tell of the gates, too. Of the tries of a task in one run,
        the last one counts.
        """
        query = select(*_VERDICT).where(
            VERDICTS.c.judged_at >= self._earliest,
            VERDICTS.c.judged_at <= self._period.now,
            *self._of_tenants(VERDICTS),
        )
        last: dict[tuple[Any, ...], _KeptVerdict] = {}
        for row in self._ledger.iter_rows(query):
            kept = _KeptVerdict(row)
            known = last.get(kept.task)
            if known is None or known.order < kept.order:
                last[kept.task] = kept
        newest_first = sorted(last.values(), key=lambda each: each.key)
        newest_first.sort(key=lambda each: each.verdict.judged_at, reverse=True)
        gates: dict[tuple[str, str, str | None], list[Judgement]] = defaultdict(list)
        for each in newest_first:
            if each.judgement is not None:
                of = each.verdict
                gates[of.tenant, of.product, of.gate].append(each.judgement)
        shown = self._show([each for each in newest_first if each.verdict.judged_at >= self._period.start])
        return Gates(
            Gate(tenant=tenant, product=product, name=name, judgements=tuple(reversed(judgements)))
            for (tenant, product, name), judgements in gates.items()
        ), tuple(shown)

    def _show(self, newest_first: Sequence[_KeptVerdict]) -> Iterator[JudgedVerdict]:
        """Yield the verdicts, the newest with their evidence."""
        seen = {True: 0, False: 0}
        keys = set()
        for each in newest_first:
            seen[each.verdict.passed] += 1
            if seen[each.verdict.passed] <= _MOST_SHOWN[each.verdict.passed]:
                keys.add(each.key)
        query = select(*_VERDICT).where(tuple_(VERDICTS.c.tenant, VERDICTS.c.verdict_id).in_(keys))
        whole = {
            (row["tenant"], row["verdict_id"]): read_verdict(row, self._period.timezone)
            for row in (self._ledger.iter_rows(query) if keys else ())
        }
        for each in newest_first:
            yield whole.get(each.key, each.verdict)


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
        return not job_types or any(word == ALL or "backup" in word for word in job_types)
    except (TypeError, ValueError):
        return True  # not this release's


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
        findings=read_findings(row["findings"]),
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


class _KeptVerdict:
    """A verdict of the ledger while its evidence is left out: there may be ten thousands."""

    __slots__ = ("judgement", "key", "order", "task", "verdict")

    def __init__(self, row: Mapping[Any, Any]) -> None:
        evidence = read_evidence(row["evidence"])
        self.key = (row["tenant"], row["verdict_id"])
        self.task = (
            row["tenant"],
            *((row["verdict_id"],) if row["dag_id"] is None else [row[name] for name in _TASK]),
        )
        self.order = (row["try_number"] or 0, row["judged_at"])
        self.judgement = read_judgement(row, evidence)
        self.verdict = summarize_verdict(
            row, [each.passed for each in (evidence.scopes if evidence else ()) if is_judged(each.reason)]
        )


class _Loads:
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
        """Return when a place's jobs were last loaded; without a recorded load, when they were last read."""
        location, organization = place.scope.location or "", place.scope.organization_id or ""
        asked = {
            self._loads.get((place.tenant, place.product, location, each)) for each in ("", organization)
        }
        known = [moment for moment in asked if moment is not None]
        return max(known) if known else self._reads[place.tenant, place.product]


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
