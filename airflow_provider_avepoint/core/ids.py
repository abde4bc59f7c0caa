"""The vendor's ids: one spelling of each, so that they can be compared, asked for and stored."""

from __future__ import annotations

import re
from functools import lru_cache

_GUID = re.compile(
    r"(?:urn:uuid:)?[{(]?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)


@lru_cache(4096)  # a listing of a million rows shows a few organisations
def normalize_id(value: str | None) -> str | None:
    """Return an id in the vendor's form, in which ids compare.

    A GUID gets lower case and hyphens, and loses its braces. Any other id is trimmed and keeps its case:
    Salesforce has ids that differ in case only.
    """
    if value is None:
        return None
    trimmed = value.strip()
    guid = _GUID.fullmatch(trimmed)
    return trimmed if guid is None else "-".join(guid.groups()).lower()


def is_same_id(one: str | None, other: str | None) -> bool:
    """Tell whether two ids name the same thing, however they are written."""
    return normalize_id(one) == normalize_id(other)
