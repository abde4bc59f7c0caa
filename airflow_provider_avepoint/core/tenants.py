"""The tenants of a partner's customer."""

from __future__ import annotations

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointRequestError
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.license_calls import CustomerListing
from airflow_provider_avepoint.core.listing import read_all
from airflow_provider_avepoint.core.objects import JsonObject
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.text import one_line


def list_tenants(client: Client, product: Product, organization_id: str) -> Flow[list[str]]:
    """Return the ids of a customer's tenants, each once.

    :param client: the connection.
    :param product: a product with customers.
    :param organization_id: the customer's id.
    :raises AvePointRequestError: the customer is not listed, or has no tenant: then nothing is known.
    :raises AvePointPayloadError: the answer is not understood.
    """
    endpoint = product.tenants
    assert endpoint is not None  # noqa: S101  # products whose paths name a tenant have it
    customers = yield from read_all(CustomerListing(client, product, endpoint, organization_id))
    shown = one_line(organization_id, 100)
    if not customers:
        raise AvePointRequestError(f"{product.label} lists no customer {shown}; check the id.", status=404)
    tenants: dict[str, None] = {}
    for customer in customers:
        whole = JsonObject(product, f"customer {shown}", customer)
        for tenant in whole.objects(endpoint.tenants, "tenant"):
            tenants[tenant.require_id(endpoint.tenant_id)] = None
    if not tenants:
        raise AvePointRequestError(
            f"{product.label} lists no tenant of the customer {shown}: nothing is known about it.", status=404
        )
    return list(tenants)
