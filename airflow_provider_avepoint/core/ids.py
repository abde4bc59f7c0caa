"""Normalise the vendor's ids for comparison."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_provider_avepoint.core.text import trim

_GUID = re.compile(
    r"(?:urn:uuid:)?[{(]?([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)


# Hundreds of thousands of rows name the same few organisations.
@lru_cache(maxsize=4096)
def normalize_id(value: str | None) -> str | None:
    """Normalise an id for comparison: write GUIDs as the vendor does, with small letters and hyphens.

    Braces, parentheses and ``urn:uuid:`` go; missing hyphens are added. Every other id is only trimmed: ids
    of Salesforce may differ in case alone.

    :param value: an id, or None.
    :returns: the normalised id; None for None.
    """
    if value is None:
        return None
    text = trim(value)
    guid = _GUID.fullmatch(text)
    return text if guid is None else "-".join(guid.group(1, 3, 4, 5, 6)).lower()


# Salesforce writes an id of 15 characters also with 3 more, which only tell the case of the others.
_SALESFORCE_ID = re.compile(r"([a-zA-Z0-9]{15})[A-Z0-5]{3}", re.ASCII)


def is_same_organization(one: str | None, other: str | None) -> bool:
    """Tell whether two ids are of one organisation; the two forms of an id of Salesforce are.

    :param one: an id.
    :param other: an id.
    """
    return _shorten(one) == _shorten(other)


def _shorten(value: str | None) -> str | None:
    text = normalize_id(value)
    long_form = _SALESFORCE_ID.fullmatch(text or "")
    return long_form[1] if long_form else text
