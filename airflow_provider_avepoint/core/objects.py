"""Read the fields of one JSON object of an answer; refuse what is missing or not understood.

Rows of jobs have a reader of their own, which bears an odd field. Here nothing is borne: what an audit or a
gate reads must not look good because a part of it could not be read. Where a row speaks for itself alone,
:func:`read_each_row` lets the others be judged, and a row that is not understood stands among them as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import (
    get_key,
    get_path,
    is_absent,
    parse_integer,
    read_id,
    read_text,
)
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.products.vocabulary import Key, Path, Product
from airflow_provider_avepoint.core.text import list_some, one_line, quoted

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
# The most odd rows that a message names.
_MOST = 3

# Where the vendor's other lists have a link to a next page, or a total.
_ENVELOPES: tuple[Path, ...] = ((), ("metadata",), ("data",), ("data", "metadata"))
_LINKS: tuple[Path, ...] = tuple((*place, "nextLink") for place in _ENVELOPES)
_TOTALS: tuple[Path, ...] = tuple(
    (*place, name) for place in _ENVELOPES for name in ("totalCount", "totalNumber")
)


class JsonObject:
    """One JSON object of an answer.

    :param product: the product that has answered.
    :param what: what the object is, for messages, such as ``backup schedule``.
    :param value: the object as received.
    :raises AvePointPayloadError: *value* is no JSON object.
    """

    def __init__(self, product: Product, what: str, value: object) -> None:
        self._product = product
        self._what = what
        if not isinstance(value, Mapping):
            raise self.refuse(f"{quoted(value)} stands where an object was expected")
        self._fields: Mapping[str, Any] = value

    @property
    def key(self) -> int:
        """What tells the object from every other one: two that differ in any field have other keys."""
        return hash(repr(self._fields))

    def refuse(self, problem: str) -> AvePointPayloadError:
        """Return the error for an answer that is not understood.

        :param problem: what is wrong.
        """
        return AvePointPayloadError(
            f"{self._product.label}, {self._what}: {problem}. Nothing is concluded from the answer; "
            "if it stays so, update this provider, or report it.",
            problem=problem,
        )

    def get(self, key: Key) -> object:
        """Return the value of a key, in any case of the letters; None if the object does not have the key.

        :param key: the key, or several keys, of which the first one with a value counts.
        :raises AvePointPayloadError: the key is there twice, with two values: nobody can tell which holds.
        """
        for name in (key,) if isinstance(key, str) else key:
            folded = name.casefold()
            found = [value for each, value in self._fields.items() if each.casefold() == folded]
            values = [value for value in found if not is_absent(value)]
            if any(value != values[0] for value in values[1:]):
                raise self.refuse(f"{name} is there twice, as {quoted(values[0])} and {quoted(values[1])}")
            if values:
                return values[0]
        return None

    def read(self, key: Key, parse: Callable[[object], T | None]) -> T | None:
        """Return a field that may be missing.

        :param key: the key, or several spellings of it.
        :param parse: returns the field's value, None for "no value", or raises ValueError.
        :raises AvePointPayloadError: the field has another form.
        """
        try:
            return parse(self.get(key))
        except ValueError as e:
            raise self.refuse(f"{_name(key)}: {e}") from None

    def read_or_none(self, key: Key, parse: Callable[[object], T | None]) -> T | None:
        """Return a field that nothing depends on; None where it is missing or has another form.

        :param key: the key, or several spellings of it.
        :param parse: as in :meth:`read`.
        """
        try:
            return self.read(key, parse)
        except AvePointPayloadError:
            return None

    def require(self, key: Key, parse: Callable[[object], T | None]) -> T:
        """Return a field that must be there.

        :param key: the key, or several spellings of it.
        :param parse: as in :meth:`read`.
        :raises AvePointPayloadError: the field is missing, or has another form.
        """
        value = self.read(key, parse)
        if value is None:
            raise self.refuse(f"{_name(key)} is missing")
        return value

    def require_flag(self, key: str) -> bool:
        """Return a flag that must be there.

        :param key: the key.
        :raises AvePointPayloadError: the field is neither true nor false.
        """
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.refuse(f"{key}: {quoted(value)} is neither true nor false")
        return value

    def require_id(self, key: Key) -> str:
        """Return an id that must be there.

        :param key: the key, or several spellings of it.
        :raises AvePointPayloadError: the field is missing, or can be no id.
        """
        return self.require(key, read_id)

    def read_text(self, key: str) -> str | None:
        """Return a text that nothing depends on.

        :param key: the key.
        """
        return read_text(self.get(key))

    def require_list(self, key: str, *, may_be_null: bool = False) -> list[Any]:
        """Return a list.

        :param key: the key.
        :param may_be_null: whether null stands for an empty list.
        :raises AvePointPayloadError: there is no list.
        """
        value = self.get(key)
        if isinstance(value, list):
            return value
        is_there = get_key(self._fields, key, ...) is not ...
        if value is None and is_there and may_be_null:
            return []
        raise self.refuse(f"{key}: {quoted(value)} is no list" if is_there else f"the list {key} is missing")

    def objects(self, key: str, what: str, *, may_be_null: bool = False) -> list[JsonObject]:
        """Return the objects of a list.

        :param key: the list's key.
        :param what: what each object is, for messages.
        :param may_be_null: whether null stands for an empty list.
        :raises AvePointPayloadError: there is no list, or one of its items is no object.
        """
        items = self.require_list(key, may_be_null=may_be_null)
        return [JsonObject(self._product, f"{self._what}, {what}", item) for item in items]


def read_object(product: Product, what: str, document: object, place: Path) -> JsonObject:
    """Return the object at a place of an answer.

    :param product: the product that has answered.
    :param what: what the object is, for messages.
    :param document: the answer's JSON.
    :param place: the keys from the outside to the object; empty for the whole answer.
    :raises AvePointPayloadError: there is no object.
    """
    return JsonObject(product, what, get_path(document, place))


def read_each_row(
    product: Product,
    what: str,
    document: object,
    places: tuple[Path, ...],
    *,
    read: Callable[[JsonObject], T],
    tell: Callable[[JsonObject, str], T],
) -> list[T]:
    """Return what each row of an answer says; a row that is not understood hides no other.

    The answer has all rows: the documents know no second page.

    :param product: the product that has answered.
    :param what: what a row is, for messages.
    :param document: the answer's JSON.
    :param places: the places where the list may be.
    :param read: reads a row, or raises AvePointPayloadError.
    :param tell: returns what stands for a row that is not understood, from the row and what is odd of which
        row, in words.
    :raises AvePointPayloadError: there is no list (null is none, too), or the answer says that there are more
        rows.
    """
    rows = _list_rows(product, what, document, places)
    objects = [(JsonObject if isinstance(row, Mapping) else _NoObject)(product, what, row) for row in rows]
    return read_apart(objects, read=read, tell=tell)


def read_apart(
    rows: Sequence[JsonObject], *, read: Callable[[JsonObject], T], tell: Callable[[JsonObject, str], T]
) -> list[T]:
    """Return what each row says; a row that is not understood hides no other.

    :param rows: the rows.
    :param read: as for :func:`read_each_row`.
    :param tell: likewise.
    """
    found: list[T] = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(read(row))
        except AvePointPayloadError as e:
            found.append(tell(row, f"row {number} of {len(rows)}: {e.problem}"))
    return found


class _NoObject(JsonObject):
    """A value in the place of an object: nothing can be read of it."""

    def __init__(self, product: Product, what: str, value: object) -> None:
        super().__init__(product, what, {})
        self._value = value

    def get(self, key: Key) -> object:  # noqa: ARG002  # no key is there
        raise self.refuse(f"{quoted(self._value)} stands where an object was expected")


def refuse_odd(product: Product, what: str, problems: Sequence[str]) -> None:
    """Raise where rows were not understood, for a caller who would take the others for all of them.

    :param product: the product that has answered.
    :param what: what a row is, for messages.
    :param problems: what is odd of which row, in words.
    :raises AvePointPayloadError: there are such rows.
    """
    if problems:
        raise JsonObject(product, what, {}).refuse(list_some(problems, _MOST))


class Whole(Protocol[T_co]):
    """A reading, some rows of which may not be understood."""

    def require_all(self) -> T_co:
        """Return the reading; raise where there is such a row."""


def require_all(flow: Flow[Whole[T]]) -> Flow[T]:
    """Return a reading whose every row is understood.

    :param flow: the flow that reads.
    :raises AvePointPayloadError: there is a row that is not understood.
    """
    return (yield from flow).require_all()


def _list_rows(product: Product, what: str, document: object, places: tuple[Path, ...]) -> list[Any]:
    whole = JsonObject(product, what, document)
    found = (_find(product, what, document, place) for place in places)
    rows = next((each for each in found if isinstance(each, list)), None)
    if rows is None:
        raise whole.refuse(f"the list {'.'.join(places[-1])} is missing")
    links = [link for place in _LINKS if not is_absent(link := get_path(document, place))]
    if links:
        raise whole.refuse(
            f"the answer has a next page ({one_line(links[0], 100)}), which no document describes"
        )
    for place in _TOTALS:
        try:
            total = parse_integer(get_path(document, place))
        except ValueError:
            continue  # a total that cannot be read promises nothing
        if total is not None and total > len(rows):
            raise whole.refuse(
                f"the answer has {len(rows)} of {total} rows, and no document says how to go on"
            )
    return rows


def _find(product: Product, what: str, document: object, place: Path) -> object:
    """Return the value at a place; None where there is no way to the place."""
    for key in place:
        if not isinstance(document, Mapping):
            return None
        document = JsonObject(product, what, document).get(key)
    return document


def _name(key: Key) -> str:
    return key if isinstance(key, str) else key[0]
