"""Parse the arguments that users give; refuse a bad value by its argument's name.

The message of a refusal says what to give instead. A template renders to text or, with native rendering, to
the Python value of that text: each parser accepts both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from numbers import Integral
from typing import TYPE_CHECKING, cast
from uuid import UUID

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.refusals import is_rendered_list, is_rendered_none, refuse, refuse_untold
from airflow_provider_avepoint.core.text import trim

if TYPE_CHECKING:
    from datetime import tzinfo

    import pendulum

    from airflow_provider_avepoint.core.products.vocabulary import Product

#: The argument ``job_type`` that stands for every job type.
ALL = "all"

# Above this value, a float does not hold every digit of a whole number.
_LARGEST_FLOAT = 2**53

_LONGEST_SPAN = timedelta(days=36500)
_SPANS = 'a text with its unit, such as "24h", "1.5d" or "P1D"'
# Pendulum has two parsers, a compiled one and one in Python. They agree on numbers of these lengths. With
# more digits, the compiled parser overflows 32 bits and returns a small number, and the Python parser reads
# 1.25 hours as 1 hour and 25 tenths.
_NUMBER, _SECONDS = r"\d{1,9}(?:[.,]\d)?", r"\d{1,9}(?:[.,]\d{1,6})?"
_ISO_SPAN = re.compile(rf"P(?:T|{_NUMBER}[WDHM]|{_SECONDS}S)+", re.ASCII)
_ISO_YEARS_OR_MONTHS = re.compile(r"P[^T]*\d[YM]", re.ASCII)
# A timedelta as Python prints it: "1 day, 2:00:00".
_CLOCK_SPAN = re.compile(r"(?:(\d{1,9}) days?, )?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,6})?)", re.ASCII)
# In words: "1d12h", "30 minutes", "1 week 3 days" (as pendulum writes a duration).
_WORDS_SPAN = re.compile(r"(?:\d+(?:\.\d+)?\s*[a-z]+(?:,?\s+|(?=\d)|$))+", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII | re.IGNORECASE)
_YEARS_OR_MONTHS = frozenset({"M", "mo", "month", "months", "y", "yr", "yrs", "year", "years"})
_UNITS = {
    word: form
    for words, form in (
        ("w week weeks", "P{}W"),
        ("d day days", "P{}D"),
        ("h hr hrs hour hours", "PT{}H"),
        ("m min mins minute minutes", "PT{}M"),
        ("s sec secs second seconds", "PT{}S"),
    )
    for word in words.split()
}


def parse_text(name: str, value: object) -> str | None:
    """Parse a name or an id: a text, or a whole number, which becomes its text.

    :param name: the argument's name.
    :param value: a text, a UUID, a whole number (also as a float), or None.
    :returns: the text without spaces at its ends; None for None.
    :raises AvePointConfigError: *value* is something else, is empty, or is the text that a template renders
        from None or from a list.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = trim(value)
        if is_rendered_none(text):
            raise refuse(name, value, "names nothing.")
        if is_rendered_list(text):
            raise refuse(name, value, "is not one name.")
        return text
    if isinstance(value, UUID):
        return str(value)
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if is_whole or (isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_FLOAT):
        return str(int(cast("int", value)))
    raise refuse(name, value, "is not a text, nor a whole number that stands for one.")


def require_text(name: str, value: object) -> str:
    """Parse a name or an id that must be given.

    :param name: the argument's name.
    :param value: as in :func:`parse_text`, but for None.
    :raises AvePointConfigError: as in :func:`parse_text`; also where *value* is None.
    """
    text = parse_text(name, value)
    if text is None:
        raise refuse(name, value, "names nothing; give a text.")
    return text


def parse_ledger(ledger_conn_id: object, tenant: object, avepoint_conn_id: object) -> tuple[str | None, str]:
    """Parse the two arguments of a task that writes to the ledger.

    :param ledger_conn_id: the Airflow connection of the ledger's database; None where nothing is kept.
    :param tenant: the tenant's name in the ledger; None takes *avepoint_conn_id*.
    :param avepoint_conn_id: the Airflow connection of the AvePoint API.
    :returns: the ledger's connection id, or None, and the tenant's name.
    :raises AvePointConfigError: as in :func:`parse_text`.
    """
    named = parse_text("tenant", tenant)
    return (
        parse_text("ledger_conn_id", ledger_conn_id),
        require_text("avepoint_conn_id", avepoint_conn_id) if named is None else named,
    )


def parse_list(name: str, value: object) -> tuple[str, ...] | None:
    """Parse one text or several texts: a text, an iterable of texts, or a JSON array as a text.

    Whole numbers become their text. The output of a mapped task is an iterable, too.

    :param name: the argument's name.
    :param value: the text or texts, or None.
    :returns: the texts, each once, in the order given; None for None.
    :raises AvePointConfigError: *value* is something else, or an empty list.
    """
    if value is None:
        return None
    items = value
    if isinstance(value, str) and trim(value).startswith("["):
        try:
            items = json.loads(trim(value))
        except (ValueError, RecursionError):
            raise refuse(name, value, "is not a JSON array.") from None
    if isinstance(items, (bytes, bytearray, Mapping)):
        raise refuse(name, value, "is neither text nor a list of texts.")
    if isinstance(items, str) or not isinstance(items, Iterable):
        items = [items]
    texts: dict[str, None] = {}
    for item in items:
        text = parse_text(name, item)
        if text is None:
            raise refuse(name, item, "is not a text; leave it out of the list.")
        texts[text] = None
    if not texts:
        raise AvePointConfigError(f"{name} is an empty list; leave it out to mean any.")
    return tuple(texts)


def parse_ids(name: str, value: object) -> tuple[str, ...] | None:
    """Parse one id or several ids, and normalise them with :func:`normalize_id`.

    :param name: the argument's name.
    :param value: as in :func:`parse_list`.
    :returns: the ids, each once; None for None.
    :raises AvePointConfigError: as in :func:`parse_list`.
    """
    texts = parse_list(name, value)
    return None if texts is None else tuple(dict.fromkeys(normalize_id(text) or "" for text in texts))


def parse_dimension(name: str, value: object, product: Product, *, is_told: bool) -> str | None:
    """Parse a text that selects jobs, such as an organisation or a location.

    :param name: the argument's name.
    :param value: as in :func:`parse_text`.
    :param product: the product of the jobs.
    :param is_told: whether the product can tell jobs apart by this argument.
    :raises AvePointConfigError: as in :func:`parse_text`; also where *value* is given and the product cannot
        tell jobs apart by this argument.
    """
    text = parse_text(name, value)
    if text is not None and not is_told:
        raise refuse_untold(name, product.label)
    return text


def parse_words(name: str, value: object, known: Collection[str], product: Product) -> tuple[str, ...] | None:
    """Parse one or several of the product's words.

    :param name: the argument's name.
    :param value: as in :func:`parse_list`.
    :param known: the words that the product has for this argument.
    :param product: the product, for the message.
    :returns: the words, each once; None for None.
    :raises AvePointConfigError: a word is not known (the message lists the known words), or the product has
        no words for this argument.
    """
    words = parse_list(name, value)
    if words and not known:
        raise refuse_untold(name, product.label)
    for word in words or ():
        if word not in known:
            raise refuse(name, word, f"is not known for {product.name}; known are {', '.join(known)}.")
    return words


def parse_job_types(value: object, product: Product) -> tuple[str, ...] | None:
    """Parse the argument ``job_type``: a word, a list of words, or ``"all"``.

    :param value: as in :func:`parse_list`, but for None.
    :param product: the product whose job types are known.
    :returns: the words that rows of these types get, each once; None for ``"all"``.
    :raises AvePointConfigError: a word is not known, or *value* is None.
    """
    words = parse_list("job_type", value)
    if words is None:
        raise AvePointConfigError('job_type is None; give a job type, a list of them, or "all".')
    if words == (ALL,):
        return None
    known = parse_words("job_type", words, product.job_types, product)
    # Two words may stand for one of the vendor's codes: keep the word that rows get, and ask once.
    return tuple(dict.fromkeys(map(product.canonical_job_type, known or ())))


def parse_breach(name: str, value: object) -> str:
    """Parse what an audit does with a breach.

    :param name: the argument's name.
    :param value: ``fail``, ``skip`` or ``warn``.
    :raises AvePointConfigError: *value* is something else.
    """
    if not isinstance(value, str) or value not in ("fail", "skip", "warn"):
        raise refuse(name, value, "is not one of fail, skip, warn.")
    return value


def parse_states(value: object) -> frozenset[JobState] | None:
    """Parse the argument ``state``: one or several words of :class:`JobState`.

    :param value: as in :func:`parse_list`.
    :returns: the states; None for None.
    :raises AvePointConfigError: a word is not a state.
    """
    words = parse_list("state", value)
    return None if words is None else frozenset(map(JobState.parse, words))


def parse_flag(name: str, value: object) -> bool:
    """Parse a boolean, or the text ``true`` or ``false`` (from a template), in capitals or small letters.

    :param name: the argument's name.
    :param value: the boolean or the text.
    :raises AvePointConfigError: *value* is neither.
    """
    if isinstance(value, str) and trim(value).casefold() in ("true", "false"):
        return trim(value).casefold() == "true"
    if isinstance(value, bool):
        return value
    raise refuse(name, value, "is neither true nor false.")


def parse_moment(name: str, value: object) -> datetime | None:
    """Parse an instant: an aware datetime, or an ISO 8601 text with an offset.

    :param name: the argument's name.
    :param value: the instant, or None.
    :returns: the instant in UTC; None for None.
    :raises AvePointConfigError: *value* is neither, has no offset, or is outside the years that UTC has.
    """
    if value is None:
        return None
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(trim(value))
        except ValueError:
            raise refuse(
                name, value, "is not an ISO 8601 time; write for example 2026-11-22T05:00:00Z."
            ) from None
    if not isinstance(moment, datetime):
        raise refuse(name, value, "is neither a datetime nor an ISO 8601 string.")
    if moment.utcoffset() is None:
        raise AvePointConfigError(
            f"{name}: {value!s} has no time zone; write for example {moment.isoformat()}Z for UTC."
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise AvePointConfigError(f"{name}: {value!s} is beyond the years that UTC has.") from None


def parse_timezone(name: str, value: object) -> tzinfo:
    """Parse the name of a time zone.

    :param name: the argument's name.
    :param value: a name of the IANA database, such as ``Europe/London``; None is UTC.
    :raises AvePointConfigError: no time zone has this name.
    """
    text = parse_text(name, value)
    if text is None or text == "UTC":
        return UTC
    import pendulum  # imported late, so that parsing a DAG file does not load pendulum
    from pendulum.tz.exceptions import InvalidTimezone

    try:
        return pendulum.timezone(text)
    except (InvalidTimezone, ValueError):
        raise refuse(name, value, "is no time zone; give a name such as Europe/London.") from None


def parse_day(name: str, value: object) -> date:
    """Parse a day: a date, a datetime, or either of them as an ISO 8601 text.

    :param name: the argument's name.
    :param value: the day. Of a datetime, the date part counts, whatever its offset.
    :raises AvePointConfigError: *value* is something else.
    """
    day = value
    if isinstance(value, str):
        try:
            day = datetime.fromisoformat(trim(value))
        except ValueError:
            day = None
    if isinstance(day, datetime):
        day = day.date()
    if not isinstance(day, date):
        raise refuse(name, value, "is not a day, such as 2026-12-31.")
    return day


def parse_span(name: str, value: object) -> timedelta | None:
    """Parse a time span: a timedelta, a number of seconds, or a text with its unit.

    Accepted texts: ``24h``, ``1d12h``, ``30 minutes``, ISO 8601 (``P1D``), or a timedelta as Python prints
    it.

    :param name: the argument's name.
    :param value: the time span, or None.
    :returns: more than zero and at most 100 years; None for None.
    :raises AvePointConfigError: *value* is something else, such as a text without a unit or a span in months
        or years; or the span is out of range.
    """
    if value is None:
        return None
    span: timedelta | None = None
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, str):
        span = _read_span(name, value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            span = timedelta(seconds=value)
        except (OverflowError, ValueError):
            span = timedelta()
    if span is None:
        spans = _SPANS if isinstance(value, str) else f"{_SPANS}, a timedelta, or a number of seconds"
        raise refuse(name, value, f"is not a time span; give {spans}.")
    if not timedelta() < span <= _LONGEST_SPAN:
        raise refuse(name, value, "is not more than zero and at most 100 years.")
    return timedelta(seconds=span.total_seconds())


def _read_span(name: str, value: str) -> timedelta | None:
    """Read a time span from a text; return None where pendulum cannot read the text."""
    import pendulum  # imported late, so that parsing a DAG file does not load pendulum

    text = trim(value)
    if _is_number(text):
        raise refuse(name, value, f"has no unit; give {_SPANS}.")
    seconds = 0.0
    for part in _write_iso(name, value, text):
        try:
            # Pendulum returns a Duration for a text that begins with P.
            seconds += cast("pendulum.Duration", pendulum.parse(part)).total_seconds()
        except (ValueError, OverflowError):
            return None
    return timedelta(seconds=seconds)


def _write_iso(name: str, value: str, text: str) -> list[str]:
    """Rewrite a time span as ISO 8601 durations: one for each number with a unit where *text* is in words."""
    if _ISO_YEARS_OR_MONTHS.match(text.upper()):
        raise _refuse_months(name, value)
    if match := _CLOCK_SPAN.fullmatch(text):
        days, hours, minutes, seconds = match.groups(default="0")
        return [f"P{days}DT{hours}H{minutes}M{seconds}S"]
    if not _WORDS_SPAN.fullmatch(text):
        parts = [text.upper()]
    else:
        parts = []
        for number, word in _WORD.findall(text):
            unit = word if word == "M" else word.casefold()
            if unit in _YEARS_OR_MONTHS:
                raise _refuse_months(name, value)
            parts.append(_UNITS.get(unit, "").format(number))
    if not all(map(_ISO_SPAN.fullmatch, parts)):
        raise refuse(name, value, f"is not a time span; give {_SPANS}.")
    return parts


def _refuse_months(name: str, value: str) -> AvePointConfigError:
    return refuse(name, value, "counts in months or years, which are not all as long; give days or hours.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_limit(name: str, value: object) -> int | None:
    """Parse a whole number from 0 up, or its text.

    :param name: the argument's name.
    :param value: the number, or None.
    :returns: the number; None for None.
    :raises AvePointConfigError: *value* is something else.
    """
    if value is None:
        return None
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if number < 0:
        raise refuse(name, value, "is not a whole number from 0 up.")
    return number


def parse_ratio(name: str, value: object) -> float | None:
    """Parse a share from 0 to 1, or its text.

    :param name: the argument's name.
    :param value: the share, or None.
    :returns: the share; None for None.
    :raises AvePointConfigError: *value* is something else.
    """
    if value is None:
        return None
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # TypeError below
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number <= 1:
        raise refuse(name, value, "is not a share from 0 to 1.")
    return number


def parse_objects(name: str, value: object) -> list[object] | None:
    """Parse one object or several objects: a mapping, an iterable, or either of them as JSON text.

    The objects themselves are not checked here.

    :param name: the argument's name.
    :param value: the object or objects, or None.
    :returns: the objects in a list; None for None.
    :raises AvePointConfigError: *value* is something else.
    """
    if value is None:
        return None
    items = value
    if isinstance(value, str):
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            raise refuse(name, value, "is not JSON; give an object, or a list of objects.") from None
    if isinstance(items, Mapping):
        return [items]
    if isinstance(items, (str, bytes, bytearray)) or not isinstance(items, Iterable):
        raise refuse(name, value, "is not a list of objects.")
    return list(items)
