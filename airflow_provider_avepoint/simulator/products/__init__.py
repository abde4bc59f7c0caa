"""The table of products: one row each, one file each."""

from __future__ import annotations

from .base import Product
from .dynamics365 import DYNAMICS365
from .m365 import M365
from .m365_legacy import M365_LEGACY

PRODUCTS: dict[str, Product] = {product.name: product for product in (M365, M365_LEGACY, DYNAMICS365)}

SCOPES = frozenset(
    scope
    for product in PRODUCTS.values()
    for scope in (product.scope, product.license and product.license.scope)
    if scope
)
"""Every scope that some endpoint asks for."""
