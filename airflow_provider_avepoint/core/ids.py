"""The vendor's ids, and how they compare."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_provider_avepoint.core.text import trim

_GUID = re.compile(
    r"(?:urn:uuid:)?[{(]?([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)


# Rows by the hundred thousand name the same few organisations.
@lru_cache(maxsize=4096)
def normalize_id(value: str | None) -> str | None:
    """Return an id as the vendor writes it, which is also how two ids compare.

    A GUID in any of its forms (capitals, braces, parentheses, no hyphens, ``urn:uuid:``) has small letters
    and hyphens. Any other id stays as it is, trimmed: Salesforce's may differ in case only.
    """
    if value is None:
        return None
    text = trim(value)
    guid = _GUID.fullmatch(text)
    return text if guid is None else "-".join(guid.group(1, 3, 4, 5, 6)).lower()
