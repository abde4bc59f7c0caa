"""Name a product's backups as assets: ``avepoint://<product>[/<connection>[/<organisation>]]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.lineage import name_dataset

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import Asset

_FORM = "avepoint://<product>[/<connection>[/<organisation>]]"


def create_asset(
    *,
    product: str,
    avepoint_conn_id: str | None = None,
    organization_id: str | None = None,
    name: str | None = None,
    watchers: Sequence[Any] = (),
    extra: dict[str, Any] | None = None,
) -> Asset:
    """Return the asset for backups of *product*: all of them, or those of a connection or an organisation.

    :param product: the product's name, such as ``m365``.
    :param avepoint_conn_id: the connection; if only an organisation is given, the default connection.
    :param organization_id: the organisation; None for all.
    :param name: the asset's name; None takes the URI, which is the only name of a dataset in Airflow 2.
    :param watchers: the ``AssetWatcher`` objects of the asset (Airflow 3).
    :param extra: the asset's extra information.
    :raises ValueError: the product is not known.
    """
    from airflow.providers.common.compat.sdk import Asset

    if organization_id and not avepoint_conn_id:
        avepoint_conn_id = DEFAULT_CONN_ID
    parts = [part for part in (product, avepoint_conn_id, organization_id) if part]
    uri = "avepoint://" + "/".join(quote(part, safe="") for part in parts)
    sanitize_uri(urlsplit(uri))
    given: dict[str, Any] = {"watchers": list(watchers), "extra": extra}
    if hasattr(Asset, "name"):
        given["name"] = name
    return Asset(uri=uri, **{key: value for key, value in given.items() if value})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return *uri* in its canonical form: two spellings of a GUID, for instance, become the same URI.

    :param uri: a URI with the scheme ``avepoint``, split.
    :raises ValueError: the URI names no known product, or has a user, a port, a query, a fragment or more
        parts than three.
    """
    parts = [part for part in uri.path.split("/") if part]
    if "@" in uri.netloc or ":" in uri.netloc or uri.query or uri.fragment or len(parts) > 2:
        raise ValueError(f"an avepoint:// URI is {_FORM}")
    try:
        product = get_product(uri.netloc.lower())
    except AvePointConfigError as e:
        raise ValueError(f"avepoint://{uri.netloc}: {e}") from None
    connection, organization = parts[:1], [normalize_id(unquote(part)) or "" for part in parts[1:]]
    path = [quote(part, safe="") for part in (*map(unquote, connection), *organization)]
    return uri._replace(netloc=product.name, path="".join(f"/{part}" for part in path))


def convert_asset_to_openlineage(asset: Asset, _lineage_context: object) -> Dataset:
    """Return the OpenLineage dataset that a gate on the same backups has as its input.

    :param asset: an asset with an ``avepoint://`` URI.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    uri = urlsplit(asset.uri)
    conn_id, *organization = [unquote(part) for part in uri.path.split("/") if part] or [DEFAULT_CONN_ID]
    namespace, name = name_dataset(conn_id, (uri.netloc, *organization))
    return Dataset(namespace=namespace, name=name)
