"""List the products: each has a file beside this one, and a row in this table."""

from __future__ import annotations

from airflow_provider_avepoint.core.products.aos_scan import AOS_SCAN
from airflow_provider_avepoint.core.products.dynamics365 import DYNAMICS365
from airflow_provider_avepoint.core.products.elements import ELEMENTS
from airflow_provider_avepoint.core.products.google_workspace import GOOGLE_WORKSPACE
from airflow_provider_avepoint.core.products.iaas_paas import IAAS_PAAS
from airflow_provider_avepoint.core.products.m365 import M365
from airflow_provider_avepoint.core.products.m365_legacy import M365_LEGACY
from airflow_provider_avepoint.core.products.salesforce import SALESFORCE
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.refusals import refuse

#: Every product by name, in the order in which they are shown.
PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        M365,
        M365_LEGACY,
        DYNAMICS365,
        GOOGLE_WORKSPACE,
        SALESFORCE,
        IAAS_PAAS,
        AOS_SCAN,
        ELEMENTS,
    )
}


def get_product(name: object) -> Product:
    """Return a product by its name.

    :param name: a name such as ``dynamics365``.
    :raises AvePointConfigError: no product has this name; the message lists the known names.
    """
    if isinstance(name, str) and name in PRODUCTS:
        return PRODUCTS[name]
    raise refuse("product", name, f"is not known; known are {', '.join(PRODUCTS)}.")


def require_endpoint(name: object, endpoint: str, what: str) -> Product:
    """Return a product that has an endpoint.

    :param name: the product's name.
    :param endpoint: the name of the endpoint's field in :class:`.Product`.
    :param what: what the endpoint tells, for the message.
    :raises AvePointConfigError: no product has this name, or the product has no such endpoint; the message
        lists the products that have the endpoint.
    """
    product = get_product(name)
    if getattr(product, endpoint) is None:
        able = ", ".join(each.name for each in PRODUCTS.values() if getattr(each, endpoint) is not None)
        raise refuse("product", product.name, f"cannot tell its {what}; those that can: {able}.")
    return product
