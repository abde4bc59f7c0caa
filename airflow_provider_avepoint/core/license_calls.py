"""Licences over the wire: the calls, and how their figures are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointPayloadError,
    AvePointRequestError,
)
from airflow_provider_avepoint.core.fields import (
    get_key,
    get_path,
    parse_date,
    parse_integer,
    parse_time,
    read_id,
    read_text,
)
from airflow_provider_avepoint.core.flow import Flow, Pairs
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.license import require_license
from airflow_provider_avepoint.core.listing import Listing, read_all
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.objects import JsonObject
from airflow_provider_avepoint.core.pages import Answer, find_rows, read_page
from airflow_provider_avepoint.core.products.vocabulary import (
    LicenseColumns,
    Product,
    SubscriptionEndpoint,
    TenantEndpoint,
)
from airflow_provider_avepoint.core.text import one_line

T = TypeVar("T")
Row = Mapping[str, Any]


def get_license(
    client: Client, product: Product, location: str | None, now: datetime
) -> Flow[LicenseConsumption]:
    """Return what is purchased and used.

    :param client: the connection.
    :param product: the product.
    :param location: the Multi-Geo location; None for the product's one licence.
    :param now: the moment by which the licence may have gone out of policy.
    :raises AvePointConfigError: the product has no such endpoint, or one that lists many subscriptions.
    """
    require_license(product, None)
    endpoint = product.license
    if endpoint is None:
        raise AvePointConfigError(
            f"product: {product.label} has the licences of many customers; use get_license_consumptions."
        )
    if location and not endpoint.location:
        raise AvePointConfigError(f"location: {product.label} has one licence for all locations.")
    query = [(endpoint.location, location)] if endpoint.location and location else []
    answer = yield from client.get(endpoint.path, query, endpoint.permission, product.name)
    figures = read_license(product, answer.document)
    since = figures["out_of_policy_at"]
    return LicenseConsumption(
        **figures, location=location, is_out_of_policy=since is not None and since <= now
    )


def get_licenses(
    client: Client, product: Product, organization_id: str | None, location: str | None, now: datetime
) -> Flow[list[LicenseConsumption]]:
    """Return what is purchased and used: a tenant's licence, or a partner's customers' subscriptions.

    :param client: the connection.
    :param product: the product.
    :param organization_id: the one customer; None for all of them.
    :param location: as for :func:`get_license`.
    :param now: as for :func:`get_license`.
    :raises AvePointConfigError: the product has no such endpoint, or cannot tell customers or locations.
    :raises AvePointRequestError: there is no subscription (of this customer): that is no good licence.
    """
    require_license(product, organization_id)
    endpoint = product.subscriptions
    if endpoint is None:
        return [(yield from get_license(client, product, location, now))]
    if organization_id is not None and not organization_id.strip():
        raise AvePointConfigError("organization_id is empty; leave it out for all customers.")
    if location is not None:
        raise AvePointConfigError(f"location: {product.label} has one licence for all locations.")
    customers = yield from read_all(CustomerListing(client, product, endpoint, organization_id))
    found = [LicenseConsumption(**each) for each in read_subscriptions(product, endpoint, customers)]
    if not found:
        whose = "customer" if organization_id is None else f"customer {one_line(organization_id, 100)}"
        raise AvePointRequestError(f"{product.label} lists no subscription of any {whose}.", status=404)
    return found


class CustomerListing(Listing[Row]):
    """A partner's customers, with their subscriptions or tenants.

    A customer may have several rows on one page. A customer that comes again on another page has moved, while
    the pages were read, and says nothing new.

    :param client: the connection.
    :param product: the product.
    :param endpoint: the product's endpoint for subscriptions, or for tenants.
    :param organization_id: the one customer that is wanted; the listing ends where the customer has come.
    """

    def __init__(
        self,
        client: Client,
        product: Product,
        endpoint: SubscriptionEndpoint | TenantEndpoint,
        organization_id: str | None,
    ) -> None:
        super().__init__(client, endpoint.paging, f"customers of {product.label}")
        self._product = product
        self._endpoint = endpoint
        self._organization_id = organization_id
        self._wanted = normalize_id(organization_id)
        self._seen: set[tuple[str | None, int]] = set()

    def begin_up_to(self, limit: int, in_flight: int) -> list[Flow[Any]]:
        """Return the flows of the pages to fetch now; none once the wanted customer has come.

        :param limit: how many pages may be on their way.
        :param in_flight: how many pages are on their way.
        """
        has_come = (self._wanted, 0) in self._seen
        return [] if has_come else super().begin_up_to(limit, in_flight)

    def _ask(self, paging: Pairs) -> Flow[Answer]:
        wanted = {} if self._organization_id is None else {self._endpoint.wanted: [self._organization_id]}
        return self._client.post(
            self._endpoint.path, paging, wanted, self._endpoint.permission, self._product.name
        )

    def _receive(self, answer: Answer) -> Iterator[Row]:
        rows = find_rows(self._product, self._endpoint.envelope, answer)
        of_customer: dict[str | None, list[Row]] = {}
        keys = []
        for row in rows:
            customer_id = normalize_id(read_customer_id(self._product, self._endpoint, row))
            known = of_customer.setdefault(customer_id, [])
            if row not in known:
                known.append(row)
            keys.append((customer_id, known.index(row)))
        if self._wanted in of_customer:
            self._seen.add((self._wanted, 0))
            return iter(of_customer[self._wanted])
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._seen}
        self._seen |= new.keys()
        page = read_page(self._endpoint.envelope, answer, tuple(map(hash, keys)), asked_size=self._page_size)
        self._pager.receive(page, len(new))
        return iter(new.values() if self._wanted is None else ())


def read_license(product: Product, document: object) -> dict[str, Any]:
    """Return the licence figures of an answer, as keywords for ``LicenseConsumption``.

    :param product: the product.
    :param document: the answer's JSON.
    :raises AvePointPayloadError: a figure is missing or has a form nobody documented: an audit must not
        take that for "nothing used".
    """
    endpoint = product.license
    assert endpoint is not None  # noqa: S101  # its answer is what is read
    figures = get_path(document, endpoint.figures)
    if not isinstance(figures, Mapping):
        raise AvePointPayloadError(f"{product.label} answered without licence figures.")
    return _read_figures(product, endpoint.columns, figures, "licence")


def read_customer_id(product: Product, endpoint: SubscriptionEndpoint | TenantEndpoint, row: object) -> str:
    """Return the id of a partner's customer.

    :param product: the product.
    :param endpoint: the product's endpoint for subscriptions, or for tenants.
    :param row: a customer, as received.
    :raises AvePointPayloadError: there is none.
    """
    found = get_key(row, endpoint.organization_id) if isinstance(row, Mapping) else None
    customer_id = read_id(found)
    if customer_id is None:
        raise AvePointPayloadError(f"{product.label} listed a customer without {endpoint.organization_id}.")
    return customer_id


def read_subscriptions(
    product: Product, endpoint: SubscriptionEndpoint, customers: Iterable[Row]
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each subscription of customers, as keywords for ``LicenseConsumption``.

    Several of one name are numbered, so that each has a history of its own.

    :param product: the product.
    :param endpoint: the product's endpoint for subscriptions.
    :param customers: the customers, as received.
    :raises AvePointPayloadError: there is no list of them, or one has no name, or a figure is missing or has
        a form nobody documented.
    """
    names: Counter[tuple[str | None, str]] = Counter()
    for customer in customers:
        rows = get_key(customer, endpoint.subscriptions)
        if not isinstance(rows, list):
            raise AvePointPayloadError(f"{product.label} listed a customer without {endpoint.subscriptions}.")
        customer_id = read_customer_id(product, endpoint, customer)
        for row in rows:
            parts = [get_key(row, key) for key in endpoint.service] if isinstance(row, Mapping) else []
            name = ", ".join(filter(None, map(read_text, parts)))
            if not name:
                raise AvePointPayloadError(
                    f"{product.label} listed a subscription without {endpoint.service[0]}."
                )
            key = (normalize_id(customer_id), name)
            names[key] += 1
            yield {
                **_read_figures(
                    product,
                    endpoint.columns,
                    row,
                    f"licence {one_line(name, 100)} of customer {one_line(customer_id, 100)}",
                ),
                "organization_id": customer_id,
                "organization_name": read_text(get_key(customer, endpoint.organization_name)),
                "service": name if names[key] == 1 else f"{name} ({names[key]})",
            }


def _read_figures(product: Product, columns: LicenseColumns, row: Row, what: str) -> dict[str, Any]:
    whole = JsonObject(product, what, row)
    problems: list[str] = []

    def is_not_applicable(key: str) -> bool:
        return columns.not_applicable is not None and get_key(row, key) == columns.not_applicable

    def read_figure(parser: Callable[[object], T | None], key: str) -> T | None:
        figure = whole.read(key, parser)
        if figure is None and not is_not_applicable(key):
            raise AvePointPayloadError(f"{product.label} answered without the licence figure {key}.")
        return figure

    def read_moment(parser: Callable[[object], T | None], key: str | None, unknown: str) -> T | None:
        """Return a moment; None where there is none, which the vendor writes as 0 or as "N/A"."""
        if key is None:
            return None
        if whole.get(key) is None and not is_not_applicable(key):
            problems.append(f"{key} is missing, so nobody knows {unknown}")
        return whole.read(key, parser)

    figures = {
        "product": product.name,
        "out_of_policy_at": read_moment(
            parse_time, columns.out_of_policy_at, "whether the licence is out of policy"
        ),
        "purchased_user_seats": read_figure(parse_integer, columns.purchased_user_seats),
        "assigned_user_seats": read_figure(parse_integer, columns.assigned_user_seats),
        "purchased_storage_gb": read_figure(columns.parse_storage, columns.purchased_storage_gb),
        "protected_gb": read_figure(columns.parse_storage, columns.protected_gb),
        "expires_at": read_moment(parse_date, columns.expires_at, "when the subscription ends"),
    }
    return figures | {"problems": tuple(problems)} if problems else figures
