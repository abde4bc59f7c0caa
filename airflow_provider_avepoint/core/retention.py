"""Retention: how long backups are kept, by service and container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.model import Value
from airflow_provider_avepoint.core.objects import JsonObject, read_object
from airflow_provider_avepoint.core.products import require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import Product, RetentionEndpoint
from airflow_provider_avepoint.core.query import choose_location
from airflow_provider_avepoint.core.text import quoted, storable, trim

__all__ = [
    "ContainerRetention",
    "Period",
    "RetentionPolicy",
    "ServiceRetention",
    "get_retention",
    "read_retention",
]

_WHAT = "retention policy"
_PERIOD = re.compile(r"([0-9]{1,6})\s*(day|month|year)s?", re.ASCII | re.IGNORECASE)
_UNLIMITED = "unlimited"
# The fewest days that so many months in a row have; February is among them in a year that is not a leap year.
_LEAST_DAYS = (0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class Period(Value, frozen=True, kw_only=True):
    """How long backups are kept: a number of days, months or years, or for ever.

    The samples show ``1 years`` and ``Unlimited``. A text in another form stays as it is and is not
    understood: then *number*, *unit* and *least_days* are None, and *is_unlimited* is False.

    :param text: the vendor's text.
    :param number: the number of units.
    :param unit: ``day``, ``month`` or ``year``.
    :param is_unlimited: whether backups are kept for ever.
    """

    text: str
    number: int | None = None
    unit: str | None = None
    is_unlimited: bool = False

    @property
    def is_understood(self) -> bool:
        """Whether the text says how long."""
        return self.is_unlimited or self.number is not None

    @property
    def months(self) -> int | None:
        """The number of months; None for days, for ever, or if the text is not understood."""
        if self.number is None or self.unit == "day":
            return None
        return self.number * (12 if self.unit == "year" else 1)

    @property
    def least_days(self) -> int | None:
        """The fewest days that the period can have; None for ever, or if the text is not understood."""
        if self.months is None:
            return self.number
        years, months = divmod(self.months, 12)
        return years * 365 + _LEAST_DAYS[months]

    def as_dict(self) -> dict[str, Any]:
        """Return every field and the fewest days, ready for JSON."""
        return {
            **Value.as_dict(self),
            "is_understood": self.is_understood,
            "least_days": self.least_days,
        }

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ContainerRetention(Value, frozen=True, kw_only=True):
    """How long the backups of a container's objects are kept.

    :param container_id: the vendor's id. One container may stand under several services, with other names.
    :param container_name: the container's name.
    :param period: how long.
    """

    container_id: str
    container_name: str | None = None
    period: Period


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ServiceRetention(Value, frozen=True, kw_only=True):
    """How long the backups of a service are kept.

    :param service: our word; the vendor's number as a text if the documents do not list the number.
    :param period: how long; None if the service has no period of its own.
    :param unassigned_period: how long for objects in no container; None if it is not told.
    :param containers: the containers with a period of their own.
    """

    service: str
    period: Period | None = None
    unassigned_period: Period | None = None
    containers: tuple[ContainerRetention, ...] = ()


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class RetentionPolicy(Value, frozen=True, kw_only=True):
    """How long backups are kept. Older data may be deleted, after mails to the tenant's administrators.

    :param product: the name of the product.
    :param location: the Multi-Geo location that was asked for; None for the central location.
    :param read_at: when the answer came, by the API's clock.
    :param is_daily: whether daily retention is enabled; None if it is not told. The documents do not say what
        that changes.
    :param is_customized: whether services have periods of their own.
    :param period: the default of all services; None only where services have periods of their own.
    :param services: the services that are listed.
    """

    product: str
    location: str | None = None
    read_at: datetime
    is_daily: bool | None = None
    is_customized: bool
    period: Period | None = None
    services: tuple[ServiceRetention, ...] = ()

    def list_unused_periods(self, service: str) -> list[tuple[str, Period]]:
        """Return the periods that are listed for a service and do not hold, each with what it is for.

        :param service: our word.
        """
        rows = () if self.is_customized else self.services
        return [period for each in rows if each.service == service for period in _list_own(each)]

    def list_periods(self, service: str) -> list[tuple[str, Period]]:
        """Return the periods that hold for objects of a service, each with what it is for.

        A container's period comes before the service's, and the service's before the default, which holds
        where a service has periods for its containers only. Which objects are in which container is not told,
        so all of them are returned.

        :param service: our word.
        """
        own = [each for each in self.services if self.is_customized and each.service == service]
        found = [period for each in own for period in _list_own(each)]
        has_rest = any(each.period or each.unassigned_period for each in own)
        if not has_rest and self.period is not None:
            found.append(("default", self.period))
        return found

    def find_shortest(self, service: str) -> tuple[str, Period] | None:
        """Return the shortest period of a service, with what it is for; None if none is told.

        A period that is not understood counts as the shortest one.

        :param service: our word.
        """
        return min(self.list_periods(service), key=_rank, default=None)


def _list_own(retention: ServiceRetention) -> Iterator[tuple[str, Period]]:
    for container in retention.containers:
        yield f"container {container.container_name or container.container_id}", container.period
    if retention.period is not None:
        yield "service", retention.period
    if retention.unassigned_period is not None:
        yield "objects in no container", retention.unassigned_period


def _rank(found: tuple[str, Period]) -> float:
    period = found[1]
    if period.is_unlimited:
        return float("inf")
    return -1 if period.least_days is None else period.least_days


def get_retention(client: Client, product: object, location: object) -> Flow[RetentionPolicy]:
    """Return how long backups are kept.

    :param client: the connection.
    :param product: the product's name.
    :param location: the Multi-Geo location; None for the connection's own, or else the central one.
    :raises AvePointConfigError: the product does not tell its retention, or has no locations.
    :raises AvePointPayloadError: the answer is not understood.
    """
    known = require_endpoint(product, "retention", "retention")
    endpoint = known.retention
    assert endpoint is not None  # noqa: S101  # it is required
    place = choose_location(known, location, client.settings.location)
    query = [] if place is None else [(endpoint.location, place)]
    answer = yield from client.get(endpoint.path, query, endpoint.permission, known.name)
    figures = read_retention(known, answer.document)
    return RetentionPolicy(product=known.name, location=place, read_at=client.clock.now(), **figures)


def read_retention(product: Product, document: object) -> dict[str, Any]:
    """Return the policy of an answer, as keywords for ``RetentionPolicy``.

    :param product: a product that tells its retention.
    :param document: the answer's JSON.
    :raises AvePointPayloadError: a field is missing or not understood, or periods of services are announced
        and missing.
    """
    endpoint = product.retention
    assert endpoint is not None  # noqa: S101  # its answer is what is read
    whole = read_object(product, _WHAT, document, endpoint.policy)
    is_customized = whole.require_flag(endpoint.is_customized)
    is_listed = is_customized or whole.get(endpoint.services) is not None
    services = whole.objects(endpoint.services, "service") if is_listed else []
    period = whole.read(endpoint.period, parse_period)
    if period is None and not (is_customized and services):
        raise whole.refuse(f"{endpoint.period} is missing")
    return {
        "is_daily": flag if isinstance(flag := whole.get(endpoint.is_daily), bool) else None,
        "is_customized": is_customized,
        "period": period,
        "services": tuple(_read_service(product, endpoint, service) for service in services),
    }


def parse_period(value: object) -> Period | None:
    """Read how long backups are kept.

    :param value: such as ``1 years`` or ``Unlimited``; another text becomes a period that is not understood.
    :returns: the period; None for "no value".
    :raises ValueError: the value is no text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is not a period")  # noqa: TRY004  # a wire value, not a type
    text = trim(value)
    if text.casefold() == _UNLIMITED:
        return Period(text=text, is_unlimited=True)
    match = _PERIOD.fullmatch(text)
    if match is None:
        return Period(text=storable(text))
    return Period(text=text, number=parse_digits(match[1]), unit=match[2].lower())


def _list_containers(endpoint: RetentionEndpoint, service: JsonObject) -> list[JsonObject]:
    if service.get(endpoint.containers) is None:
        return []  # the documents do not say how a service without containers looks
    return service.objects(endpoint.containers, "container")


def _read_service(product: Product, endpoint: RetentionEndpoint, service: JsonObject) -> ServiceRetention:
    return ServiceRetention(
        service=service.require(endpoint.service, product.read_service_type),
        period=service.read(endpoint.period, parse_period),
        unassigned_period=service.read(endpoint.unassigned_period, parse_period),
        containers=tuple(
            ContainerRetention(
                container_id=container.require_id(endpoint.container_id),
                container_name=container.read_text(endpoint.container_name),
                period=container.require(endpoint.period, parse_period),
            )
            for container in _list_containers(endpoint, service)
        ),
    )
