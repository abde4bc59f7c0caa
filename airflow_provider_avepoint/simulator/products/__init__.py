"""The table of products: one row and one file for each."""

from __future__ import annotations

from .aos_scan import AOS_SCAN
from .base import Product
from .dynamics365 import DYNAMICS365
from .elements import ELEMENTS
from .google_workspace import GOOGLE_WORKSPACE
from .iaas_paas import IAAS_PAAS
from .m365 import M365
from .m365_legacy import M365_LEGACY
from .salesforce import SALESFORCE

_ALL = (M365, M365_LEGACY, DYNAMICS365, GOOGLE_WORKSPACE, SALESFORCE, IAAS_PAAS, AOS_SCAN, ELEMENTS)
PRODUCTS: dict[str, Product] = {product.name: product for product in _ALL}

SCOPES = frozenset(
    endpoint.scope
    for product in PRODUCTS.values()
    for endpoint in (product, product.license, product.subscriptions, product.restore, *product.readings)
    if endpoint
)
"""The scopes of all endpoints."""
