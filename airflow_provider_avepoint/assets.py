"""Assets that stand for a product's backups: ``avepoint://<product>[/<connection>[/<organisation>]]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.product import get_product

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset


def create_asset(
    *,
    product: str,
    avepoint_conn_id: str | None = None,
    organization_id: str | None = None,
    extra: dict[str, Any] | None = None,
) -> Asset:
    """Return the asset for the backups of *product*: all, those of a connection, or of one organisation.

    :raises ValueError: the product is not known.
    """
    from airflow.providers.common.compat.sdk import Asset

    parts = [part for part in (product, avepoint_conn_id, organization_id) if part]
    return Asset(uri="avepoint://" + "/".join(quote(part, safe="") for part in parts), extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return *uri* as it compares with others of its kind.

    :raises ValueError: it names no known product, or carries a user, a port, a query or a fragment.
    """
    if "@" in uri.netloc or ":" in uri.netloc or uri.query or uri.fragment:
        raise ValueError("an avepoint:// URI is avepoint://<product>[/<connection>[/<organisation>]]")
    try:
        product = get_product(uri.netloc.lower())
    except AvePointConfigError as e:
        raise ValueError(f"avepoint://{uri.netloc}: {e}") from None
    parts = [part for part in uri.path.split("/") if part]
    return uri._replace(netloc=product.name, path="".join(f"/{part}" for part in parts))
