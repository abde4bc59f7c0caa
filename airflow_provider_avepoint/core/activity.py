"""Unusual activity: how many objects look attacked, by service, tenant or organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointPayloadError
from airflow_provider_avepoint.core.fields import parse_integer, parse_time, read_id, read_text, to_iso
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.ids import is_same_organization, normalize_id
from airflow_provider_avepoint.core.model import Value
from airflow_provider_avepoint.core.objects import JsonObject, read_each_row, refuse_odd
from airflow_provider_avepoint.core.products import get_product, require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import ActivityEndpoint, Product
from airflow_provider_avepoint.core.query import choose_location, shift
from airflow_provider_avepoint.core.tenants import list_tenants
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.windows import ask_by_clock, begin_of, parse_window

__all__ = ["ActivityCounts", "UnusualActivity", "get_activity", "read_activity"]

#: How far back unusual activity is asked for unless the caller says. Elements knows no other window.
ACTIVITY_SPAN = timedelta(days=7)
_WHAT = "unusual activity"
# No document says whether the ends of a window are included, and a server's clock may be ahead of ours.
_SECOND = timedelta(seconds=1)
_ASKED_AHEAD = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ActivityCounts(Value, frozen=True, kw_only=True):
    """The counts of one service, tenant or organisation. A count is None if the product does not have it.

    :param service: our word, for Microsoft 365 and Elements.
    :param tenant_id: the tenant's id, for Microsoft 365 and Elements.
    :param organization_id: the organisation's id, for Salesforce; the customer's id, for Elements.
    :param organization_name: the name of the organisation; for Microsoft 365 the tenant's owner.
    :param detected_at: the latest detection, for Salesforce.
    :param ransomware: objects that may be under a ransomware attack. Table and sample of Microsoft 365
        describe this count and the next one by each other's meaning; the names are believed.
    :param unusual: objects with unusual activities.
    :param suspicious: files, or objects with files, that are suspicious.
    :param added: files that were added, for Salesforce: everyday life.
    :param modified: files that were modified, for Salesforce: everyday life.
    :param deleted: files that were deleted, for Salesforce: everyday life.
    :param alarm: the largest of the counts that are an alarm, and could be read.
    :param problem: what is odd of which row, in words, where it is not understood: then *alarm* is the least
        that there is. None where all is understood.
    """

    service: str | None = None
    tenant_id: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    detected_at: datetime | None = None
    ransomware: int | None = None
    unusual: int | None = None
    suspicious: int | None = None
    added: int | None = None
    modified: int | None = None
    deleted: int | None = None
    alarm: int
    problem: str | None = None
    only_if_any = ("problem",)

    @property
    def subject(self) -> str:
        """The names of what was counted, on one line."""
        names = (self.organization_name or self.organization_id, self.tenant_id, self.service)
        return " / ".join(one_line(name, 100) for name in names if name) or "tenant"

    @property
    def shown(self) -> str:
        """The counts that may be an alarm, and what is not understood, on one line."""
        names = ("ransomware", "unusual", "suspicious")
        told = [f"{count} {name}" for name in names if (count := getattr(self, name)) is not None]
        if self.problem is not None:
            told.append(f"not understood ({self.problem})")
        return ", ".join(told)

    def __str__(self) -> str:
        return f"{self.subject}: {self.shown}"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class UnusualActivity(Value, frozen=True, kw_only=True):
    """What a product has detected in a window. The vendor tells counts only: no object and no single time.

    :param product: the name of the product.
    :param organization_id: the organisation or customer that was asked for; None for all.
    :param location: the Multi-Geo location that was asked for; None for all.
    :param detected_after: the begin of the window.
    :param detected_before: the end of the window.
    :param read_at: when the answer came, by the API's clock.
    :param counts: the counts; empty if the product lists none.
    """

    product: str
    organization_id: str | None = None
    location: str | None = None
    detected_after: datetime
    detected_before: datetime
    read_at: datetime
    counts: tuple[ActivityCounts, ...] = ()

    @property
    def alarm(self) -> int:
        """The largest count that is an alarm; 0 if nothing was detected, as far as there are no problems."""
        return max((each.alarm for each in self.counts), default=0)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is odd of each row that is not understood: while there are any, nobody knows all."""
        return tuple(each.problem for each in self.counts if each.problem is not None)

    def require_all(self) -> UnusualActivity:
        """Return this reading, whose every row is understood.

        :raises AvePointPayloadError: there is a row that is not.
        """
        refuse_odd(get_product(self.product), _WHAT, self.problems)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return every field and the alarm, ready for JSON."""
        return {**Value.as_dict(self), "alarm": self.alarm}


def get_activity(
    client: Client,
    product: object,
    *,
    detected_after: object = None,
    detected_before: object = None,
    organization_id: object = None,
    tenant_id: object = None,
    location: object = None,
) -> Flow[UnusualActivity]:
    """Return what a product has detected; rows that are not understood stand among the others.

    :param client: the connection.
    :param product: the product's name.
    :param detected_after: the begin of the window; by default 7 days ago.
    :param detected_before: the end of the window; by default now.
    :param organization_id: the organisation of Salesforce; the customer of Elements, which is required.
    :param tenant_id: the one tenant of the customer, for Elements; by default each of its tenants.
    :param location: the Multi-Geo location; None for the connection's own, or else all.
    :raises AvePointConfigError: the product knows no unusual activity, or an argument cannot be used.
    :raises AvePointRequestError: the customer is not known, or has no tenant.
    :raises AvePointPayloadError: there is no list, or the answer is about other organisations only.
    """
    known = require_endpoint(product, "activity", "unusual activity")
    endpoint = known.activity
    assert endpoint is not None  # noqa: S101  # it is required
    has_tenants, has_organizations = "{tenant_id}" in endpoint.path, endpoint.organization is not None
    organization = _parse_told("organization_id", organization_id, known, has_tenants or has_organizations)
    tenant = _parse_told("tenant_id", tenant_id, known, has_tenants)
    place = choose_location(known, location, client.settings.location)
    begin, end = parse_window("detected", detected_after, detected_before)
    if endpoint.detected_after is None and (begin, end) != (None, None):
        name = "detected_before" if begin is None else "detected_after"
        raise AvePointConfigError(f"{name}: {known.label} knows the last 7 days only; leave it out.")
    if has_tenants and organization is None:
        raise AvePointConfigError(f"organization_id: {known.label} knows one customer at a time; name it.")

    def ask(now: datetime) -> Flow[list[ActivityCounts]]:
        if has_tenants:
            return (yield from _ask_tenants(client, known, organization or "", tenant))
        after = begin_of(begin, end, ACTIVITY_SPAN, now)
        latest = max(now, after) + _ASKED_AHEAD if end is None else shift(end, _SECOND)
        query = [
            (endpoint.detected_after or "", to_iso(shift(after, -_SECOND))),
            (endpoint.detected_before or "", to_iso(latest)),
        ]
        if organization is not None:
            query.append((endpoint.organization or "", organization))
        if place is not None:
            query.append((endpoint.location or "", place))
        answer = yield from client.get(endpoint.path, query, endpoint.permission, known.name)
        return _keep_organization(known, read_activity(known, answer.document), organization)

    counts = yield from ask_by_clock(client, ask)
    read_at = client.clock.now()
    return UnusualActivity(
        product=known.name,
        organization_id=organization,
        location=place,
        detected_after=begin_of(begin, end, ACTIVITY_SPAN, read_at),
        detected_before=end or read_at,
        read_at=read_at,
        counts=tuple(counts),
    )


def _ask_tenants(
    client: Client, product: Product, organization: str, tenant: str | None
) -> Flow[list[ActivityCounts]]:
    """Return the counts of a tenant, or of each tenant of a customer."""
    endpoint = product.activity
    assert endpoint is not None  # noqa: S101  # it is required
    tenants = [tenant] if tenant else (yield from list_tenants(client, product, organization))
    counts: list[ActivityCounts] = []
    for each in tenants:
        path = endpoint.path.format(
            organization_id=quote(organization, safe=""), tenant_id=quote(each, safe="")
        )
        answer = yield from client.get(path, (), endpoint.permission, product.name)
        counts += _read_bare(product, endpoint, answer.document, organization, each)
    return counts


def read_activity(product: Product, document: object) -> list[ActivityCounts]:
    """Return the rows of an answer.

    An empty list is "nothing detected": the documents leave open whether a service without any detection has
    a row of zeros or no row. A missing list, or null, is not understood. What is no alarm, such as the number
    of added files, is None where it cannot be read: no verdict depends on it.

    :param product: a product with unusual activity in rows.
    :param document: the answer's JSON.
    :raises AvePointPayloadError: the list is missing.
    """
    endpoint = product.activity
    assert endpoint is not None  # noqa: S101  # its answer is what is read

    def read(row: JsonObject, problem: str | None = None) -> ActivityCounts:
        told = row.require if problem is None else row.read_or_none
        owner, tenant = endpoint.organization_id, endpoint.tenant_id
        return ActivityCounts(
            service=told(endpoint.service, product.read_service_type) if endpoint.service else None,
            tenant_id=row.read_or_none(tenant, read_id) if tenant else None,
            organization_id=told(owner, read_id) if owner else None,
            organization_name=(
                row.read_or_none(endpoint.organization_name, read_text)
                if endpoint.organization_name
                else None
            ),
            detected_at=(
                row.read_or_none(endpoint.detected_at, parse_time) if endpoint.detected_at else None
            ),
            problem=problem,
            **_read_counts(endpoint, row, told),
        )

    return read_each_row(product, _WHAT, document, endpoint.rows or (), read=read, tell=read)


def _read_bare(
    product: Product, endpoint: ActivityEndpoint, document: object, organization: str, tenant: str
) -> Iterator[ActivityCounts]:
    """Yield the counts of each service, from one object with a key for each service and count."""
    whole = JsonObject(product, _WHAT, document)
    for service, prefix in endpoint.services.items():
        problem = None
        try:
            counts = _read_counts(endpoint, whole, whole.require, prefix)
        except AvePointPayloadError as e:
            problem = f"tenant {one_line(tenant, 100)}: {e.problem}"
            counts = _read_counts(endpoint, whole, whole.read_or_none, prefix)
        yield ActivityCounts(
            service=service, tenant_id=tenant, organization_id=organization, problem=problem, **counts
        )


def _read_counts(
    endpoint: ActivityEndpoint,
    row: JsonObject,
    read_alarm: Callable[[str, Callable[[object], int | None]], int | None],
    prefix: str = "",
) -> dict[str, Any]:
    """Return the counts of a row or of a service, and the largest that is an alarm."""
    counts = {
        name: (read_alarm if name in endpoint.alarms else row.read_or_none)(prefix + key, parse_integer)
        for name, key in endpoint.counts.items()
    }
    return counts | {"alarm": max(counts[name] or 0 for name in endpoint.alarms)}


def _parse_told(name: str, value: object, product: Product, is_told: object) -> str | None:
    text = normalize_id(parse_text(name, value))
    if text is not None and not is_told:
        raise AvePointConfigError(f"{name}: {product.label} cannot tell unusual activity apart by it.")
    return text


def _keep_organization(
    product: Product, counts: list[ActivityCounts], organization: str | None
) -> list[ActivityCounts]:
    """Return the counts of *organization*, and of rows that do not tell theirs.

    Counts of others only do not mean that nothing was detected: the server may spell the id otherwise.
    """
    if organization is None:
        return counts
    kept = [
        each
        for each in counts
        if each.organization_id is None or is_same_organization(each.organization_id, organization)
    ]
    if counts and not kept:
        others = ", ".join(dict.fromkeys(one_line(each.organization_id, 100) for each in counts[:20]))
        raise AvePointPayloadError(
            f"{product.label} was asked for the unusual activity of organisation "
            f"{one_line(organization, 100)} and answered with that of {others} only; check the id."
        )
    return kept
