"""What an app registration may use beside the lists of jobs, for the test of a connection."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import (
    AvePointError,
    AvePointPermissionError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.features import Feature, check_permission, list_features
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.text import one_line


@dataclass(slots=True)
class Access:
    """What was found out: which features can be used, and what is missing for the others.

    :param usable: the names of features, by product.
    :param missing: what is missing, in phrases.
    """

    usable: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Return the findings as a sentence, empty where no product has a feature."""
        if not self.usable and not self.missing:
            return ""
        can = "; ".join(f"{product} {join_words(names)}" for product, names in self.usable.items())
        return f"Beside jobs it may use {'; '.join((can or 'nothing', *self.missing))}."


def check_features(
    client: Client, products: Iterable[Product], proven: Container[str], run: Callable[[Flow[Any]], Any]
) -> Access:
    """Try each permission that features of *products* need, once; what fails is told, and fails nothing else.

    No restore is ever sent: of its permission a token is the only proof.

    :param client: the connection.
    :param products: the products.
    :param proven: the permissions that are known to be there, because they read jobs.
    :param run: runs a call.
    """
    access = Access()
    for permission, features in _group(products, proven).items():
        try:
            if permission not in proven:
                run(check_permission(client, features))
        except AvePointPermissionError as e:
            access.missing.append(f"{_describe(features)} lacks {e.permission}")
        except AvePointError as e:
            access.missing.append(f"{_describe(features)}: {one_line(e, 300).rstrip('.')}")
            if isinstance(e, AvePointUnavailable) and e.status is None:
                break  # somebody sits before the button: no answer here, so none for the rest
        else:
            for product, names in _name(features).items():
                access.usable.setdefault(product, []).extend(names)
    if not client.settings.allow_restore and any("restore" in names for names in access.usable.values()):
        access.missing.append("the connection does not allow the restore (allow_restore)")
    return access


def _group(products: Iterable[Product], proven: Container[str]) -> dict[str, list[Feature]]:
    """Return features by permission, without those that lack the permission for jobs: that is told before."""
    found: dict[str, list[Feature]] = {}
    for product in products:
        for feature in list_features(product):
            if feature.permission in proven or feature.permission != product.permission:
                found.setdefault(feature.permission, []).append(feature)
    return found


def _name(features: list[Feature]) -> dict[str, list[str]]:
    """Return the names of features, by product."""
    names: dict[str, list[str]] = {}
    for each in features:
        names.setdefault(each.product.name, []).append(each.name)
    return names


def _describe(features: list[Feature]) -> str:
    return ", ".join(f"{product} {join_words(names)}" for product, names in _name(features).items())


def join_words(words: list[str]) -> str:
    """Return words as an enumeration.

    :param words: the words; at least one.
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
