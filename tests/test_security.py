"""SECURITY.md names the permission of each feature of each product, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_avepoint.core.features import list_features
from airflow_provider_avepoint.core.products import PRODUCTS

DOCUMENT = (Path(__file__).parent.parent / "SECURITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (`.+`) \| (.+) \| `([\w.]+)` \|$", re.MULTILINE)


def test_the_table_of_permissions_is_complete() -> None:
    needed = {
        (product.name, permission, feature)
        for product in PRODUCTS.values()
        for permission, feature in (
            (product.permission, "jobs"),
            *((each.permission, each.name) for each in list_features(product)),
        )
    }
    rows = [
        (product, features, permission)
        for products, features, permission in ROW.findall(DOCUMENT)
        for product in re.findall(r"`(\w+)`", products)
    ]

    for name, permission, feature in needed:
        features = [text for product, text, has in rows if (product, has) == (name, permission)]
        assert any(feature in text for text in features), (name, permission, feature)
    assert {(product, permission) for product, _, permission in rows} == {
        (name, permission) for name, permission, _ in needed
    }
