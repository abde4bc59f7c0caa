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
