"""Page requests in, page links out: the dialects that the products' documents show.

Offsets count rows, which are jobs times the quirk ``repeat_rows``.
"""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from typing_extensions import override

from .quirks import FOREIGN_HOST, Quirks
from .wire import ABSENT, encode, invalid_parameter

_NO_LINK = {"none": ABSENT, "empty": "", "null": None}
# Its base64 is "+/+/", so that a token always holds characters that must be percent-encoded, once.
_TOKEN_MARK = b"\xfb\xff\xbf"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for: its index in the server's own base, its size, and its first row."""

    index: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging(ABC):
    """A way to say which page is meant, and of what size; *unknown_quirks* have no place in it."""

    size_parameter: str
    default_size: int
    unknown_quirks: ClassVar[frozenset[str]]

    @abstractmethod
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        """Return the page that *query* asks for.

        :raises VendorError: the number is none, or negative.
        """

    @abstractmethod
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        """Return the page that begins at a row."""

    @abstractmethod
    def parameters(self, page: PageRequest) -> dict[str, str]:
        """Return the parameters that ask for *page*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumbers(Paging):
    """The dialect of a page number and a page size; the first page's number is a quirk.

    Without a number the first page is meant, and so it is by 0 where pages count from 1.
    """

    index_parameter: str = "pageIndex"
    size_parameter: str = "pageSize"
    default_size: int = 10
    unknown_quirks: ClassVar[frozenset[str]] = frozenset()

    @override
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        first = quirks.first_index
        index = max(first, _number(query, self.index_parameter, default=first, least=0))
        return PageRequest(index, size, (index - first) * size)

    @override
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        return PageRequest(quirks.first_index + offset // size, size, offset)

    @override
    def parameters(self, page: PageRequest) -> dict[str, str]:
        return {self.index_parameter: str(page.index), self.size_parameter: str(page.size)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOffsets(Paging):
    """The dialect of rows to skip and rows to take; a page's index is its first row's."""

    offset_parameter: str = "skip"
    size_parameter: str = "top"
    default_size: int = 100
    unknown_quirks: ClassVar[frozenset[str]] = frozenset({"first_index"})

    @override
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        return self.at(quirks, _number(query, self.offset_parameter, default=0, least=0), size)

    @override
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        return PageRequest(offset, size, offset)

    @override
    def parameters(self, page: PageRequest) -> dict[str, str]:
        return {self.size_parameter: str(page.size), self.offset_parameter: str(page.offset)}


def parameter(query: Mapping[str, str], name: str) -> str | None:
    """Return a query parameter by name, whatever its case; None where it is missing or empty."""
    return (
        next((value for given, value in query.items() if given.casefold() == name.casefold()), None) or None
    )


def read_page_request(paging: Paging, quirks: Quirks, query: Mapping[str, str]) -> PageRequest:
    """Return which page *query* asks for.

    :raises VendorError: a number is none or out of range, a size is refused, or a token is not one of ours.
    """
    name = paging.size_parameter
    size = _number(query, name, default=paging.default_size, least=1)
    if quirks.max_page_size is not None and size > quirks.max_page_size:
        if quirks.oversize == "refuse":
            raise invalid_parameter(
                name, f"'{name}' must be between 1 and {quirks.max_page_size}, not {size}."
            )
        size = quirks.max_page_size
    token = parameter(query, quirks.token_parameter) if quirks.link == "token" else None
    if token is not None:
        return paging.at(quirks, _read_token(quirks.token_parameter, token), size)
    return paging.read(quirks, query, size)


def link_field(
    paging: Paging,
    quirks: Quirks,
    query: Mapping[str, str],
    page: PageRequest,
    *,
    base_url: str,
    path: str,
    has_more: bool,
) -> Any:
    """Return what stands in the link field of *page*, ABSENT for no field.

    The link repeats the request's own parameters, as the vendor's D365 sample does.
    """
    if quirks.link in _NO_LINK:
        return _NO_LINK[quirks.link]
    if not has_more and not quirks.repeat_link:
        return _NO_LINK[quirks.last_link]
    next_offset = max(0, page.offset + page.size - quirks.link_overlap)
    following = page if quirks.repeat_link else paging.at(quirks, next_offset, page.size)
    pointer = paging.parameters(following)
    replaced = {name.casefold() for name in (*pointer, quirks.token_parameter)}
    if quirks.link == "token":
        token = _token(following.offset)
        if not quirks.foreign_link:
            return quote(token, safe="")
        pointer = {quirks.token_parameter: token}
    rest = {name: value for name, value in query.items() if name.casefold() not in replaced}
    pairs = (f"{quote(name, safe='')}={quote(value, safe=':')}" for name, value in (pointer | rest).items())
    target = f"?{'&'.join(pairs)}"
    if quirks.foreign_link:
        host = FOREIGN_HOST if quirks.foreign_link is True else quirks.foreign_link
        return f"{host.rstrip('/')}{path}{target}"
    return {
        "absolute": f"{base_url}{path}{target}",
        "relative": f"{path}{target}",
        "relative_without_prefix": f"/{path.rpartition('/')[2]}{target}",
        "query": target,
    }[quirks.link]


def _number(query: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = parameter(query, name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        raise invalid_parameter(name, f"The value '{text}' is not valid for {name}.") from None
    if number < least:
        raise invalid_parameter(name, f"'{name}' must be at least {least}, not {number}.")
    return number


def _token(offset: int) -> str:
    return base64.b64encode(_TOKEN_MARK + encode({"offset": offset}).encode()).decode()


def _read_token(name: str, token: str) -> int:
    """Return the offset in *token*, which must arrive as it was before it was percent-encoded."""
    try:
        mark, text = base64.b64decode(token, validate=True).split(b"{", 1)
        offset = int(json.loads(b"{" + text)["offset"])
    except (binascii.Error, ValueError, KeyError):
        raise invalid_parameter(name, f"The value '{token}' is not a continuation token.") from None
    if mark != _TOKEN_MARK or offset < 0:
        raise invalid_parameter(name, f"The value '{token}' is not a continuation token.")
    return offset
