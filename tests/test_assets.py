"""Assets that stand for a product's backups, and their URIs as Airflow treats them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_avepoint.assets import create_asset
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.get_provider_info import get_provider_info
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger
from tests.versions import needs_airflow

GUID = "{0F8FAD5B-D9CB-469F-A165-70867728950E}"
FOLDED = "0f8fad5b-d9cb-469f-a165-70867728950e"

URIS: dict[str, tuple[dict[str, Any], str]] = {
    "a product": ({"product": "m365"}, "avepoint://m365"),
    "a connection": (
        {"product": "dynamics365", "avepoint_conn_id": "tenant"},
        "avepoint://dynamics365/tenant",
    ),
    "an organisation": (
        {"product": "dynamics365", "avepoint_conn_id": "tenant", "organization_id": GUID},
        f"avepoint://dynamics365/tenant/{FOLDED}",
    ),
    "an organisation on the default connection": (
        {"product": "dynamics365", "organization_id": "contoso"},
        "avepoint://dynamics365/avepoint_default/contoso",
    ),
    "names that a URI must quote": (
        {"product": "salesforce", "avepoint_conn_id": "a/b", "organization_id": "c d"},
        "avepoint://salesforce/a%2Fb/c%20d",
    ),
}


@pytest.mark.parametrize(("arguments", "uri"), URIS.values(), ids=URIS)
def test_what_an_asset_is_called(arguments: dict[str, Any], uri: str) -> None:
    assert uri == create_asset(**arguments).uri


def test_every_product_has_an_asset() -> None:
    assert [f"avepoint://{product}" for product in PRODUCTS] == [
        create_asset(product=product).uri for product in PRODUCTS
    ]


@needs_airflow("3.0", "assets have names and watchers")
def test_an_asset_takes_a_name_watchers_and_extra() -> None:
    from airflow.sdk import AssetWatcher

    watcher = AssetWatcher(
        name="ended", trigger=AvePointBackupEventTrigger(asset="nightly", product="dynamics365")
    )
    asset = create_asset(product="dynamics365", name="nightly", watchers=[watcher], extra={"team": "data"})

    assert ("nightly", "avepoint://dynamics365", {"team": "data"}) == (asset.name, asset.uri, asset.extra)
    assert ["ended"] == [each.name for each in asset.watchers]


SAME = {
    "the scheme": "AvePoint://dynamics365/tenant",
    "the product": "avepoint://Dynamics365/tenant",
    "a slash at the end": "avepoint://dynamics365/tenant/",
    "two slashes": "avepoint://dynamics365//tenant",
    "what need not be quoted": "avepoint://dynamics365/%74enant",
}


def test_uris_of_the_same_backups_are_the_same() -> None:
    """Airflow compares them as texts, once the handler has had them."""
    assert {name: Asset(uri=uri).uri for name, uri in SAME.items()} == dict.fromkeys(
        SAME, "avepoint://dynamics365/tenant"
    )


def test_an_organisation_may_be_written_in_either_case() -> None:
    for organization in (GUID, GUID.lower(), GUID.strip("{}"), "%7B" + FOLDED + "%7D"):
        uri = Asset(uri=f"avepoint://dynamics365/tenant/{organization}").uri
        assert uri == f"avepoint://dynamics365/tenant/{FOLDED}", organization


def test_a_connection_may_not() -> None:
    """Airflow tells connections apart by case."""
    assert "avepoint://dynamics365/Tenant" == Asset(uri="avepoint://dynamics365/Tenant").uri


BAD = {
    "avepoint://dynamics/tenant": "avepoint://dynamics: product: 'dynamics' is not known; known are m365,",
    "avepoint://dynamics365:443/tenant": "an avepoint:// URI is avepoint://<product>",
    "avepoint://me@dynamics365/tenant": "an avepoint:// URI is avepoint://<product>",
    "avepoint://dynamics365/tenant?state=success": "an avepoint:// URI is avepoint://<product>",
    "avepoint://dynamics365/tenant/contoso/jobs": "an avepoint:// URI is avepoint://<product>",
}


@needs_airflow("3.1", "a URI that means nothing is an error, not a warning")
def test_an_uri_that_means_nothing_is_refused() -> None:
    """In a DAG file, that is an import error."""
    for uri, message in BAD.items():
        with pytest.raises(ValueError, match=message):
            pytest.fail(f"{uri} is taken as {Asset(uri=uri)}")


def test_a_fragment_is_refused() -> None:
    """Airflow drops it before the handler is asked; others that call it may not."""
    from urllib.parse import urlsplit

    from airflow_provider_avepoint.assets import sanitize_uri

    with pytest.raises(ValueError, match="an avepoint:// URI is"):
        sanitize_uri(urlsplit("avepoint://dynamics365/tenant#jobs"))


def test_an_asset_of_an_unknown_product_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="'dynamics' is not known"):
        create_asset(product="dynamics")


def test_the_provider_declares_scheme_handler_and_factory() -> None:
    (declared,) = get_provider_info()["asset-uris"]
    paths = {name: path for name, path in declared.items() if name != "schemes"}

    assert ["avepoint"] == declared["schemes"]
    assert {"handler", "factory"} <= set(paths)
    for path in paths.values():
        module, _, name = path.rpartition(".")
        assert callable(getattr(import_module(module), name))
