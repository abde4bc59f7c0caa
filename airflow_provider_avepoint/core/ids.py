"""Normalise the vendor's ids for comparison."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_provider_avepoint.core.text import trim

_GUID = re.compile(
    r"(?:urn:uuid:)?[{(]?([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)


# Cached, because a hundred thousand rows may name the same few organisations.
@lru_cache(maxsize=4096)
def normalize_id(value: str | None) -> str | None:
    """Normalise an id for comparison: write a GUID in small letters with hyphens, and trim any other id.

    A GUID is recognised with capitals, in braces or parentheses, without hyphens, and after ``urn:uuid:``.
    Other ids keep their case, because two ids of Salesforce may differ in case only.

    :param value: the id; None gives None.
    """
    if value is None:
        return None
    text = trim(value)
    guid = _GUID.fullmatch(text)
    return text if guid is None else "-".join(guid.group(1, 3, 4, 5, 6)).lower()
