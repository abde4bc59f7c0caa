"""What a product offers beside its jobs: each feature with its permission, and one small call to try it.

An app registration needs the permissions of the features that it uses, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from airflow_provider_avepoint.core.activity import get_activity
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.license_calls import get_license
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.schedule import get_schedule

__all__ = ["Feature", "check_permission", "list_features"]

_Read: TypeAlias = Callable[[Client, Product], Flow[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a product offers beside its jobs.

    :param product: the product.
    :param name: what it is, such as ``unusual activity``.
    :param permission: the permission that it needs.
    :param read: one small call that tries it; None where a call would need a customer or change something,
        or where another feature with the same permission has one.
    """

    product: Product
    name: str
    permission: str
    read: _Read | None = None


def list_features(product: Product) -> Iterator[Feature]:
    """Yield what a product offers beside its jobs.

    :param product: the product.
    """
    for name, permission, read in _list_endpoints(product):
        yield Feature(product=product, name=name, permission=permission, read=read)


def _list_endpoints(product: Product) -> Iterator[tuple[str, str, _Read | None]]:
    if product.license is not None:
        yield "licence", product.license.permission, _read_license
    if product.subscriptions is not None:
        yield "licence", product.subscriptions.permission, None
    if product.schedule is not None:
        yield "schedule", product.schedule.permission, _read_schedule
    if product.retention is not None:
        yield "retention", product.retention.permission, None
    if product.activity is not None:
        needs_customer = "{" in product.activity.path
        yield "unusual activity", product.activity.permission, None if needs_customer else _read_activity
    if product.alerts is not None:
        yield "monitor alerts", product.alerts.permission, None
    if product.tenants is not None:
        yield "tenants", product.tenants.permission, None
    if product.coverage is not None:
        yield "coverage of services", product.coverage.services.listing.permission, None
        yield "coverage of users", product.coverage.users.listing.permission, None
        yield "coverage changes", product.coverage.changes.listing.permission, None
    if product.restore is not None:
        yield "restore", product.restore.permission, None


def check_permission(client: Client, features: list[Feature]) -> Flow[None]:
    """Try the permission of features by the first call that only reads; where there is none, by a token.

    A token that was asked for here alone is not kept: it may allow to write, and nothing here writes.

    :param client: the connection.
    :param features: features with one permission.
    :raises AvePointPermissionError: the app registration lacks the permission.
    """
    first = next((each for each in features if each.read is not None), None)
    if first is not None and first.read is not None:
        yield from first.read(client, first.product)
        return
    permission = features[0].permission
    token = yield from client.tokens.get(permission)
    client.tokens.discard(permission, token)


def _read_license(client: Client, product: Product) -> Flow[Any]:
    return (yield from get_license(client, product, None, datetime.now(UTC)))


def _read_schedule(client: Client, product: Product) -> Flow[Any]:
    return (yield from get_schedule(client, product.name, None))


def _read_activity(client: Client, product: Product) -> Flow[Any]:
    return (yield from get_activity(client, product.name))
