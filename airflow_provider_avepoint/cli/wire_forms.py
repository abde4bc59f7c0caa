"""Describe the form of a value without showing the value: a report must not reveal a tenant's data.

Every returned text is made of our own words, except the labels of states.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from airflow_provider_avepoint.core.fields import normalize_label
from airflow_provider_avepoint.core.products.vocabulary import Product

#: The value of a key that a row does not have.
MISSING = object()

_ISO = re.compile(
    r"(?P<year>\d{4})-\d\d-\d\d"
    r"(?:(?P<gap>[T ])\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
# A state's label is shown only if it consists of these words, so that no name is shown by mistake.
_USUAL_WORDS = (
    "a aborted active all and archived at back been blocked by cancel canceled canceling cancelled "
    "cancelling closed complete completed completing configuration conflict corrupted created creating "
    "deleted deleting disabled done due error errors exception exceptions executing expired fail failed "
    "failing failure finish finished finishing for full fully has idle ignored in incomplete initial "
    "initialized initializing interrupted invalid is job limited lost manually missed missing new no "
    "none not ok on open or out overdue partial partially paused pausing pending planned preparing "
    "process processed processing progress queued ready rejected resumed resuming retry retrying rolled "
    "run running scan scanned scanning scheduled skip skipped some start started starting stop stopped "
    "stopping submitted succeeded success successful successfully suspended system terminated the time "
    "timed timeout to unknown user validating wait waiting warning warnings was with without"
)
_STATE_WORDS = frozenset(_USUAL_WORDS.split())
# The words that names of the vendor's fields are made of, beside those of the product files.
_USUAL_NAMES = (
    "account activity added alert amount another area assigned attack available avepoint average backup "
    "begin byos byte bytes category change changed channel class client code collected collection comment "
    "config connection container content count country create created current customer customized daily "
    "data database date day days default deleted department description destination detail detected "
    "detection device domain drive duration email enable enabled end environment event export file files "
    "finish flag folder form format frequency full geo group hash host hour hours id identifier ignore "
    "index info interval item items job jobs key kind label language last latest level library license "
    "limit link list location mail mailbox management max message metadata microsoft min minute mode "
    "modified module month monthly moved name namespace next note number object objects offset one option "
    "order organization overview owner page parent partner path percent period permission plan platform "
    "point policy potential previous principal priority product profile progress protected provider "
    "purchased quota ransomware rate ratio reason record region registered removed report request reset "
    "result retention role root row rule run runs scan scanned schedule scheduled scope score second "
    "seconds security sequence service severity share site sites size source space stage start started "
    "state status storage stored subscription summary suspicious table tag task team teams tenant text "
    "threshold time times timestamp title total trace type unassigned unit unusual update updated uri url "
    "usage user users utc value version volume week weekly window workload year yearly zone"
)
_FIELD_WORDS = frozenset(_USUAL_NAMES.split())
_LABEL = re.compile(r"[A-Za-z]+(?:[ _-]+[A-Za-z]+)*")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LONGEST_LABEL = 60
_MOST_DIGITS = 6


def describe_absence(value: object) -> str | None:
    """Describe how a value means "none"; None where the value is present.

    :param value: a value as received, or ``MISSING``.
    """
    if value is MISSING:
        return "no such key"
    if value is None:
        return "null"
    if value in ("", "N/A"):
        return f'"{value}"'
    return None


def describe_time(value: object) -> str:
    """Describe the form of a time.

    :param value: a value as received, or ``MISSING``.
    """
    absence = describe_absence(value)
    if absence is not None:
        return absence
    if isinstance(value, str):
        match = _ISO.fullmatch(value)
        if match is not None:
            return _describe_iso(match)
        if value.isascii() and value.isdigit():
            return f"{_describe_number(int(value[:40]))}, as text"
    elif isinstance(value, int) and not isinstance(value, bool):
        return _describe_number(value)
    return "a form of its own"


def _describe_iso(match: re.Match[str]) -> str:
    if match["year"] == "0001":
        return "the year 1"
    if match["gap"] is None:
        return "ISO 8601, a day only"
    digits = len(match["fraction"] or "")
    fraction = f"{digits} fraction digit{'' if digits == 1 else 's'}" if digits else "whole seconds"
    zone = match["zone"]
    if zone is None:
        offset = "no offset"
    elif zone == "Z" or zone[1:].replace(":", "") == "0000":
        offset = zone
    else:
        offset = "an offset that is not UTC's"
    return f"ISO 8601, {fraction}, {offset}"


def _describe_number(number: int) -> str:
    if number <= 0:
        return "0" if number == 0 else "a negative number"
    # The same bounds as in parse_time.
    return ".NET ticks" if number >= 10**17 else "milliseconds" if number >= 10**11 else "seconds"


def describe_link(link: object, *, base_url: str, path: str) -> str:
    """Describe the form of a next link.

    :param link: the link as received, or ``MISSING``.
    :param base_url: the connection's base URL.
    :param path: the path of the listing.
    """
    absence = describe_absence(link)
    if absence is not None:
        return absence
    if not isinstance(link, str):
        return "no text"
    try:
        parts, own = urlsplit(link), urlsplit(base_url)
    except ValueError:
        return "a text that is no address"
    if parts.netloc:
        where = "the connection's host" if parts.netloc == own.netloc else "another host"
        return f"{'an absolute URL' if parts.scheme else 'a URL without a scheme'} at {where}"
    if link.startswith("/"):
        return f"a path, {'complete' if parts.path == path else 'not the whole of it'}"
    if link.startswith("?"):
        return "a query only"
    if "?" in link:
        return "a relative path"
    return f"a token, {'percent-encoded' if unquote(link) != link else 'as it is'}"


def describe_state(product: Product, raw: object) -> str:
    """Describe how a state is spelled; a label is shown only if it is documented or made of usual words.

    :param product: the product, whose table holds the documented labels.
    :param raw: the state as received, or ``MISSING``.
    """
    if raw is MISSING:
        return "no such key"
    if isinstance(raw, bool) or raw is None:
        return str(raw).lower().replace("none", "null")
    if isinstance(raw, int):
        return describe_number(raw)
    if not isinstance(raw, str):
        return "neither number nor text"
    if raw.isascii() and raw.isdigit():
        return f'"{describe_number(int(raw[:40]))}"'
    is_shown = normalize_label(raw) in product.state_table or _is_label(raw)
    return f'"{raw}"' if is_shown else f"a text of {len(raw)} characters, not shown"


def _is_label(text: str) -> bool:
    if len(text) > _LONGEST_LABEL or not _LABEL.fullmatch(text):
        return False
    return all(word.casefold() in _STATE_WORDS for word in _WORD.findall(text))


def split_key(name: str) -> list[str]:
    """Return the words that the name of a field is made of, in lower case.

    :param name: the name, such as ``backupStartTime``.
    """
    return [word.casefold() for word in _WORD.findall(name)]


def describe_key(name: str, words: Collection[str] = ()) -> str | None:
    """Return the name of a field if it is made of words of fields; else None: it may be anybody's name.

    :param name: the name as received.
    :param words: more words that may be shown, in lower case.
    """
    if len(name) > _LONGEST_LABEL or not _LABEL.fullmatch(name):
        return None
    is_usual = all(word in _FIELD_WORDS or word in _STATE_WORDS or word in words for word in split_key(name))
    return name if is_usual else None


def describe_number(number: int) -> str:
    """Return the digits of a number; of a number with more than six digits only how many digits it has.

    :param number: a number as received; a negative number is not shown either.
    """
    return str(number) if 0 <= number < 10**_MOST_DIGITS else f"a number of {len(str(abs(number)))} digits"
