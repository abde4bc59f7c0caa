"""What the kept schedules say of the backups: runs that were due and did not start, services no longer due.

Gates that expect what is scheduled keep each schedule that they read in the ledger. A run is judged as a gate
judges it: see :func:`~airflow_provider_avepoint.core.circumstances.find_missed_runs`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from sqlalchemy import func, or_, select

from airflow_provider_avepoint.core.circumstances import DUE_TOLERANCE, find_missed_runs, has_begun
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.schedule import DaySchedule
from airflow_provider_avepoint.ledger.rows import read_days, read_state
from airflow_provider_avepoint.ledger.tables import JOBS, SCHEDULES
from airflow_provider_avepoint.report.backups import RECENT, Outcome, Period, ScopeHistory
from airflow_provider_avepoint.report.rows import Rows

# A backup that runs longer than this answers no further run.
_LONGEST_RUN = timedelta(days=7)
_DAY = timedelta(days=1)
#: A tenant, a product and a day.
UnreadDay = tuple[str, str, date]
# An older schedule does not tell how things are now.
_PRESENT = timedelta(days=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedService:
    """A service of a tenant that the schedule names.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param location: the Multi-Geo location; None for the central location.
    :param service: our word, such as ``exchange_online``.
    """

    tenant: str
    product: str
    location: str | None
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedRuns:
    """The runs of a scope, or of a service without any backup, that were due and did not start.

    :param planned: the service.
    :param history: the scope; None where the service has never had a backup.
    :param due: the number of runs that were due in the period, as far as the ledger knows.
    :param missed: when the missed runs of the period were due, earliest first.
    :param newest: when the newest run was due, in the period or before, if it is missed and no backup has
        started since; else None.
    """

    planned: PlannedService
    history: ScopeHistory | None
    due: int
    missed: tuple[datetime, ...]
    newest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """A service that the schedule no longer names.

    :param planned: the service.
    :param last_day: the last day on which the service was scheduled, in UTC.
    :param missing_on: the next day of which the schedule is known.
    """

    planned: PlannedService
    last_day: date
    missing_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSchedules:
    """What the kept schedules say of a period.

    :param scopes: the histories of all scopes, judged by the schedules too.
    :param missed: the runs that did not start, by scope.
    :param vanished: the services that are no longer scheduled.
    :param unread: the tenants, products and days whose rows are not understood.
    """

    scopes: list[ScopeHistory]
    missed: tuple[MissedRuns, ...]
    vanished: tuple[Vanished, ...]
    unread: tuple[UnreadDay, ...]


def judge_by_schedules(
    ledger: Rows,
    period: Period,
    tenants: tuple[str, ...] | None,
    scopes: Iterable[ScopeHistory],
    find_loaded: Callable[[str, str, str | None], datetime | None],
) -> KeptSchedules:
    """Judge the days and the present of each scope by the schedules that the ledger has kept.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :param scopes: the histories of the scopes.
    :param find_loaded: returns until when the jobs of a tenant, a product and a location were loaded; None
        where none ever were.
    :raises AvePointLedgerError: the database fails.
    """
    known = list(scopes)
    days, unread = _read_days(ledger, period, tenants)
    due = _list_due(days, period)
    if not due:
        return KeptSchedules(scopes=known, missed=(), vanished=tuple(_find_vanished(days)), unread=unread)
    jobs = _read_jobs(ledger, due)
    answering = _Answering(days, jobs)
    judged: list[ScopeHistory] = []
    missed: list[MissedRuns] = []
    seen = set()
    for history in known:
        planned = answering.find_plan(_plan_of(history))
        seen.add(planned)
        found = None
        if history.current is not Outcome.EXCLUDED:
            own = answering.list_jobs(planned, normalize_id(history.place.scope.organization_id))
            until = min(period.now, history.loaded_until)
            found = _find_missed(planned, history, due.get(planned, []), own, period, until=until)
        if found is not None:
            history = _judge(history, found, period)  # noqa: PLW2901  # the same scope, judged once more
            missed.append(replace(found, history=history))
        judged.append(history)
    for planned, starts in due.items():
        loaded = find_loaded(planned.tenant, planned.product, planned.location)
        if planned in seen or loaded is None:
            continue  # of what was never loaded, nobody knows whether it ran
        found = _find_missed(planned, None, starts, [], period, until=min(period.now, loaded))
        if found is not None:
            missed.append(found)
    return KeptSchedules(
        scopes=judged,
        missed=tuple(sorted(missed, key=_order_of)),
        vanished=tuple(_find_vanished(days)),
        unread=unread,
    )


def _order_of(missed: MissedRuns) -> tuple[str, ...]:
    planned, history = missed.planned, missed.history
    organization = "" if history is None else history.place.scope.organization_id or ""
    return planned.tenant, planned.product, planned.location or "", planned.service, organization


_Place = tuple[str, str, str | None]


class _Answering:
    """Which backups answer the runs of which schedule.

    A backup answers the schedule of its own location. Where the ledger has kept no schedule of that location,
    it answers the schedule that was asked for without one, unless other backups of the service have none.

    :param days: the kept days, by tenant, product and location.
    :param jobs: the backups, by service and organisation.
    """

    def __init__(
        self,
        days: Iterable[_Place],
        jobs: Mapping[tuple[PlannedService, str | None], Sequence[BackupJob]],
    ) -> None:
        self._places = set(days)
        self._central = {planned for planned, _ in jobs if planned.location is None}
        self._jobs: dict[tuple[PlannedService, str | None], list[BackupJob]] = defaultdict(list)
        for (planned, organization), known in jobs.items():
            self._jobs[self.find_plan(planned), organization] += known
        for each in self._jobs.values():
            each.sort(key=_start_of)

    def find_plan(self, planned: PlannedService) -> PlannedService:
        """Return the service under the location of the schedule by which its backups are judged.

        :param planned: the service under the location of the backups.
        """
        central = replace(planned, location=None)
        is_own = (planned.tenant, planned.product, planned.location) in self._places
        return planned if is_own or central in self._central else central

    def list_jobs(self, planned: PlannedService, organization: str | None) -> list[BackupJob]:
        """Return the backups that answer a schedule, earliest first.

        :param planned: as :meth:`find_plan` returns it.
        :param organization: the organisation.
        """
        return self._jobs[planned, organization]


def _read_days(
    ledger: Rows, period: Period, tenants: tuple[str, ...] | None
) -> tuple[dict[_Place, list[DaySchedule]], tuple[UnreadDay, ...]]:
    """Return the kept days, earliest first, by tenant, product and location; and the days not understood."""
    first = min(period.start, shift(period.now, -RECENT)).astimezone(UTC).date()
    last = period.now.astimezone(UTC).date()
    query = (
        select(SCHEDULES)
        .where(
            SCHEDULES.c.day >= first,
            SCHEDULES.c.day <= last,
            SCHEDULES.c.product.in_(PRODUCTS),
            *([] if tenants is None else [SCHEDULES.c.tenant.in_(tenants)]),
        )
        .order_by(*(SCHEDULES.c[name] for name in ("tenant", "product", "location", "day")))
    )
    by_place: dict[_Place, list[DaySchedule]] = {}
    unread: list[UnreadDay] = []
    for (tenant, product, location), rows in groupby(
        ledger.iter_rows(query), key=lambda row: (row["tenant"], row["product"], row["location"])
    ):
        days = by_place[tenant, product, location or None] = []
        for day, of_day in groupby(rows, key=lambda row: row["day"]):
            known = list(of_day)
            try:
                days += read_days(known)
            except (TypeError, ValueError):
                unread.append((tenant, product, day))
    return by_place, tuple(unread)


def _list_due(
    days: Mapping[_Place, Iterable[DaySchedule]], period: Period
) -> dict[PlannedService, list[datetime]]:
    """Return when each service was due, in the period and in the last days: those tell how things are now."""
    first = min(period.start, shift(period.now, -_PRESENT))
    due: dict[PlannedService, list[datetime]] = defaultdict(list)
    for (tenant, product, location), known in days.items():
        for day in known:
            for each in day.services:
                planned = PlannedService(
                    tenant=tenant, product=product, location=location, service=each.service
                )
                due[planned] += [start for start in each.starts if first <= start <= period.now]
    return {planned: sorted(starts) for planned, starts in due.items() if starts}


def _find_vanished(days: Mapping[_Place, Sequence[DaySchedule]]) -> Iterator[Vanished]:
    """Yield the services that the newest whole day does not schedule, and an earlier day did."""
    for (tenant, product, location), known in days.items():
        whole = [day for day in known if day.read_at is not None]
        scheduled = [{each.service for each in day.services if each.is_scheduled} for day in whole]
        for service in sorted(set().union(*scheduled) - (scheduled[-1] if scheduled else set())):
            last = max(index for index, names in enumerate(scheduled) if service in names)
            yield Vanished(
                planned=PlannedService(tenant=tenant, product=product, location=location, service=service),
                last_day=whole[last].day,
                missing_on=whole[last + 1].day,
            )


def _read_jobs(
    ledger: Rows, due: Mapping[PlannedService, Sequence[datetime]]
) -> dict[tuple[PlannedService, str | None], list[BackupJob]]:
    """Return the backups that may answer a run, by service, location and organisation."""
    begin = min(starts[0] for starts in due.values()) - _LONGEST_RUN
    query = (
        select(
            *(JOBS.c.tenant, JOBS.c.product, JOBS.c.organization_key, JOBS.c.workload, JOBS.c.location),
            *(JOBS.c.job_type, JOBS.c.state, JOBS.c.started_at, JOBS.c.finished_at),
            *(JOBS.c.duration_seconds, JOBS.c.first_read_at),
        )
        .where(
            JOBS.c.tenant.in_(sorted({each.tenant for each in due})),
            JOBS.c.product.in_(sorted({each.product for each in due})),
            JOBS.c.workload.in_(sorted({each.service for each in due})),
            func.coalesce(JOBS.c.started_at, JOBS.c.finished_at, JOBS.c.first_read_at) >= begin,
            or_(JOBS.c.job_type.is_(None), JOBS.c.job_type.in_(_list_types(due))),
        )
        .order_by(JOBS.c.tenant)
    )
    jobs: dict[tuple[PlannedService, str | None], list[BackupJob]] = defaultdict(list)
    for row in ledger.iter_rows(query):
        planned = PlannedService(
            tenant=row["tenant"],
            product=row["product"],
            location=row["location"] or None,
            service=row["workload"],
        )
        job = BackupJob(
            product=row["product"],
            job_id="",
            state=read_state(row["state"]),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            duration=None if row["duration_seconds"] is None else timedelta(seconds=row["duration_seconds"]),
        )
        if job.effective_start is None:  # it started before somebody read it
            job = replace(job, started_at=job.finished_at or row["first_read_at"])
        jobs[planned, row["organization_key"] or None].append(job)
    return jobs


def _list_types(due: Iterable[PlannedService]) -> list[str]:
    """Return the job types that hold the data of a service."""
    products = [get_product(each) for each in {planned.product for planned in due}]
    return sorted({word for each in products for word in each.backup_types if word not in each.contents})


def _start_of(job: BackupJob) -> datetime:
    start = job.effective_start
    assert start is not None  # noqa: S101  # each has got one
    return start


def _find_missed(
    planned: PlannedService,
    history: ScopeHistory | None,
    due: Sequence[datetime],
    jobs: Sequence[BackupJob],
    period: Period,
    *,
    until: datetime,
) -> MissedRuns | None:
    """Return the runs until a time that no backup answers; None where each has one."""
    judged = [each for each in due if each <= until - DUE_TOLERANCE]
    begun = [job for job in jobs if has_begun(job, period.now)]
    starts = [_start_of(job) for job in begun]
    missed: list[datetime] = []
    for index, each in enumerate(judged):
        next_start = bisect_left(starts, each)
        if next_start < len(starts) and starts[next_start] <= each + DUE_TOLERANCE:
            continue  # answered in time, as most runs are
        near = begun[bisect_left(starts, each - _LONGEST_RUN) : bisect_right(starts, each + _DAY)]
        if each in find_missed_runs([each, *due[index + 1 : index + 2]], near, each, period.now):
            missed.append(each)
    is_mended = bool(starts and missed) and starts[-1] >= missed[-1]
    newest = judged[-1] if missed and missed[-1] == judged[-1] and not is_mended else None
    in_period = tuple(each for each in missed if each >= period.start)
    if newest is None and not in_period:
        return None
    return MissedRuns(
        planned=planned,
        history=history,
        due=sum(each >= period.start for each in judged),
        missed=in_period,
        newest=newest,
    )


def _judge(history: ScopeHistory, found: MissedRuns, period: Period) -> ScopeHistory:
    """Return a history whose days with a missed run are missed, if they are not worse."""
    days = {period.date_of(each) for each in found.missed}
    better = (None, Outcome.GOOD)
    return replace(
        history,
        days=tuple(
            replace(day, outcome=Outcome.MISSED) if day.date in days and day.outcome in better else day
            for day in history.days
        ),
        current=Outcome.MISSED if found.newest and history.current in better else history.current,
    )


def _plan_of(history: ScopeHistory) -> PlannedService:
    place = history.place
    return PlannedService(
        tenant=place.tenant,
        product=place.product,
        location=place.scope.location,
        service=place.scope.workload or "",
    )
