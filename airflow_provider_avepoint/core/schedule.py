"""The backup schedule: which services are backed up, how often a day, and when today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.fields import parse_integer, parse_time
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.model import Value
from airflow_provider_avepoint.core.objects import JsonObject, read_each_row, refuse_odd
from airflow_provider_avepoint.core.products import get_product, require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import choose_location

__all__ = [
    "BackupSchedule",
    "DaySchedule",
    "OddService",
    "ServiceSchedule",
    "get_schedule",
    "merge_days",
    "read_schedule",
    "split_into_days",
]

_WHAT = "backup schedule"
# More starts of one service than a day has minutes are no schedule, and would cost a gate its time.
_MOST_STARTS = 1440
_TWO_DAYS = timedelta(days=2)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ServiceSchedule(Value, frozen=True, kw_only=True):
    """The backups of one service on the day of reading.

    :param service: our word; the vendor's number as a text if the documents do not list the number.
    :param runs_a_day: the number of backups that are scheduled within a day.
    :param starts: the starts of the current UTC day, past and to come, earliest first. A backup begins some
        time after its start in this list, and a backup that is due while another one runs may be left out.
    """

    service: str
    runs_a_day: int
    starts: tuple[datetime, ...] = ()

    @property
    def is_scheduled(self) -> bool:
        """Whether any backup is scheduled. The documents do not say what 0 backups a day are: none here."""
        return self.runs_a_day > 0 or bool(self.starts)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class OddService(Value, frozen=True, kw_only=True):
    """A row of a schedule that is not understood.

    :param service: our word; None where the row does not tell: it may be any.
    :param problem: what is odd of which row, in words.
    """

    service: str | None = None
    problem: str


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class BackupSchedule(Value, frozen=True, kw_only=True):
    """Which services are backed up. A service that is not listed is not scheduled.

    The vendor tells the current UTC day only: keep the schedule, because nobody can ask for it tomorrow.

    :param product: the name of the product.
    :param location: the Multi-Geo location that was asked for; None for the central location.
    :param read_at: when the answer came, by the API's clock.
    :param services: the services that are understood, as listed.
    :param odd: the other rows: while there are any, nobody knows all.
    """

    product: str
    location: str | None = None
    read_at: datetime
    services: tuple[ServiceSchedule, ...] = ()
    odd: tuple[OddService, ...] = ()
    only_if_any = ("odd",)

    def list_problems(self, service: str | None) -> tuple[str, ...]:
        """Return what is odd of each row that is, or may be, about a service.

        :param service: our word.
        """
        return tuple(each.problem for each in self.odd if each.service in (None, service))

    def require_all(self) -> BackupSchedule:
        """Return this schedule, whose every row is understood.

        :raises AvePointPayloadError: there is a row that is not.
        """
        refuse_odd(get_product(self.product), _WHAT, [each.problem for each in self.odd])
        return self

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The services with a scheduled backup, each once."""
        return tuple(dict.fromkeys(each.service for each in self.services if each.is_scheduled))

    def is_of_another_day(self, service: str) -> bool:
        """Tell whether the answer lists starts of a service, and none of the day of reading.

        Such an answer is old. Around midnight the clock and the list may be one day apart.

        :param service: our word.
        """
        starts = self.list_starts(service)
        return bool(starts) and all(abs(each - self.read_at) > _TWO_DAYS for each in starts)

    def list_starts(self, service: str) -> tuple[datetime, ...]:
        """Return the day's starts of a service, earliest first; empty if the service is not scheduled.

        :param service: our word.
        """
        starts = {start for each in self.services if each.service == service for start in each.starts}
        return tuple(sorted(starts))


def get_schedule(client: Client, product: object, location: object) -> Flow[BackupSchedule]:
    """Return the schedule of the current UTC day; rows that are not understood are told beside the others.

    :param client: the connection.
    :param product: the product's name.
    :param location: the Multi-Geo location; None for the connection's own, or else the central one.
    :raises AvePointConfigError: the product has no schedule, or no locations.
    :raises AvePointPayloadError: there is no list.
    """
    known = require_endpoint(product, "schedule", "backup schedule")
    endpoint = known.schedule
    assert endpoint is not None  # noqa: S101  # it is required
    place = choose_location(known, location, client.settings.location)
    query = [] if place is None else [(endpoint.location, place)]
    answer = yield from client.get(endpoint.path, query, endpoint.permission, known.name)
    rows = read_schedule(known, answer.document)
    return BackupSchedule(
        product=known.name,
        location=place,
        read_at=client.clock.now(),
        services=tuple(each for each in rows if isinstance(each, ServiceSchedule)),
        odd=tuple(each for each in rows if isinstance(each, OddService)),
    )


def read_schedule(product: Product, document: object) -> list[ServiceSchedule | OddService]:
    """Return the services of an answer, row by row.

    :param product: a product with a schedule.
    :param document: the answer's JSON.
    :raises AvePointPayloadError: the list is missing.
    """
    endpoint = product.schedule
    assert endpoint is not None  # noqa: S101  # its answer is what is read

    def read(row: JsonObject) -> ServiceSchedule | OddService:
        return ServiceSchedule(
            service=row.require(endpoint.service, product.read_service_type),
            runs_a_day=row.require(endpoint.runs, parse_integer),
            starts=_read_starts(row, endpoint.starts),
        )

    def tell(row: JsonObject, problem: str) -> ServiceSchedule | OddService:
        service = row.read_or_none(endpoint.service, product.read_service_type)
        return OddService(service=service, problem=problem)

    return read_each_row(product, _WHAT, document, endpoint.rows, read=read, tell=tell)


def _read_starts(row: JsonObject, key: str) -> tuple[datetime, ...]:
    starts: set[datetime] = set()
    items: list[Any] = row.require_list(key)
    if len(items) > _MOST_STARTS:
        raise row.refuse(f"{key}: {len(items)} starts of one service within a day")
    for item in items:
        try:
            start = parse_time(item)
        except ValueError as e:
            raise row.refuse(f"{key}: {e}") from None
        if start is None:
            raise row.refuse(f"{key}: a start is empty")
        starts.add(start)
    return tuple(sorted(starts))


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class DaySchedule(Value, frozen=True, kw_only=True):
    """What readings have told of one UTC day.

    :param location: the Multi-Geo location that was asked for; None for the central location.
    :param day: the day.
    :param read_at: when the day was read last; None where only some starts of the day are known.
    :param services: the services, with their starts on this day; sorted by name.
    """

    location: str | None = None
    day: date
    read_at: datetime | None = None
    services: tuple[ServiceSchedule, ...] = ()

    def list_starts(self, service: str) -> tuple[datetime, ...]:
        """Return the starts of a service on this day, earliest first.

        :param service: our word.
        """
        return next((each.starts for each in self.services if each.service == service), ())


def split_into_days(schedule: BackupSchedule) -> list[DaySchedule]:
    """Return what an answer tells of each UTC day, earliest first.

    Around midnight the clock and the list may be of different days, so the starts tell the day. Where the
    starts are of several days, only the day of the clock is told as a whole.

    :param schedule: the answer.
    """
    today = schedule.read_at.astimezone(UTC).date()
    days = {start.astimezone(UTC).date() for each in schedule.services for start in each.starts} or {today}
    whole = days if len(days) == 1 else {today}
    names = sorted({each.service for each in schedule.services})
    told = []
    for day in sorted(days | whole):
        services = []
        for name in names:
            starts = tuple(
                start for start in schedule.list_starts(name) if start.astimezone(UTC).date() == day
            )
            runs = max(each.runs_a_day for each in schedule.services if each.service == name)
            if starts or day in whole:
                services.append(ServiceSchedule(service=name, runs_a_day=runs, starts=starts))
        told.append(
            DaySchedule(
                location=schedule.location,
                day=day,
                read_at=schedule.read_at if day in whole else None,
                services=tuple(services),
            )
        )
    return told


def merge_days(known: DaySchedule, told: DaySchedule) -> DaySchedule:
    """Return what two readings tell of one day.

    Each reading settles the starts up to its own time: whoever changes the schedule later does not change
    what was due before. What comes after that, the newer reading tells.

    :param known: what earlier readings have told.
    :param told: what the new reading tells. If it is the older one of the two, it tells nothing new.
    """
    if known.read_at is None or told.read_at is None:
        whole = known if told.read_at is None else told
        return _join(whole, known, told, whole.read_at)
    settled_until = known.read_at
    if told.read_at < settled_until:
        return known
    before = (_replace_starts(each, lambda start: start <= settled_until) for each in known.services)
    after = (_replace_starts(each, lambda start: start > settled_until) for each in told.services)
    settled = DaySchedule(day=known.day, services=tuple(each for each in before if each.starts))
    return _join(told, settled, DaySchedule(day=told.day, services=tuple(after)), told.read_at)


def _replace_starts(service: ServiceSchedule, is_kept: Callable[[datetime], bool]) -> ServiceSchedule:
    return ServiceSchedule(
        service=service.service,
        runs_a_day=service.runs_a_day,
        starts=tuple(filter(is_kept, service.starts)),
    )


def _join(whole: DaySchedule, one: DaySchedule, other: DaySchedule, read_at: datetime | None) -> DaySchedule:
    """Return all starts of two parts of a day; the runs a day are those of *other* where it lists them."""
    runs = {each.service: each.runs_a_day for part in (one, other) for each in part.services}
    services = tuple(
        ServiceSchedule(
            service=name,
            runs_a_day=runs[name],
            starts=tuple(sorted({*one.list_starts(name), *other.list_starts(name)})),
        )
        for name in sorted(runs)
    )
    return DaySchedule(location=whole.location, day=whole.day, read_at=read_at, services=services)
