"""Read page requests and write page links, in the dialects that the products' documents show.

Offsets count rows: jobs times the quirk ``repeat_rows``.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar
from urllib.parse import quote

from typing_extensions import override

from .encoding import ABSENT, VendorError, encode, invalid_parameter
from .quirks import FOREIGN_HOST, Quirks

_NO_LINK = {"none": ABSENT, "empty": "", "null": None}
_TOKEN_LINKS = ("token", "raw_token")
# Its base64 is "+/+/": every token has characters that must be percent-encoded once.
_TOKEN_MARK = b"\xfb\xff\xbf"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page that is asked for.

    :param index: the page's number, in the server's own base.
    :param size: the page size that is asked for.
    :param offset: the first row.
    :param length: the number of rows, if there are enough.
    """

    index: int
    size: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging(ABC):
    """A dialect for pages: its parameters, and how they name a page.

    :param size_parameter: the name of the parameter for the page size.
    :param default_size: the page size without this parameter.
    """

    size_parameter: str
    default_size: int
    unknown_quirks: ClassVar[frozenset[str]]

    @abstractmethod
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        """Return the page that a query asks for.

        :param quirks: the quirks of the server.
        :param query: the query parameters.
        :param size: the page size.
        :raises VendorError: the page's number is not a number, or is negative.
        """

    @property
    @abstractmethod
    def parameter_names(self) -> frozenset[str]:
        """The names of the dialect's parameters."""

    @abstractmethod
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        """Return the page that begins at a row.

        :param quirks: the quirks of the server.
        :param offset: the row, counted from 0.
        :param size: the page size.
        """

    @abstractmethod
    def parameters(self, page: PageRequest) -> dict[str, str]:
        """Return the query parameters that ask for a page.

        :param page: the page.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumbers(Paging):
    """The dialect of a page number and a page size; the quirks decide whether pages count from 0 or 1.

    A request without a number asks for the first page. So does 0 where pages count from 1.

    :param index_parameter: the name of the parameter for the page number.
    :param size_parameter: the name of the parameter for the page size.
    :param default_size: the page size without this parameter.
    """

    index_parameter: str = "pageIndex"
    size_parameter: str = "pageSize"
    default_size: int = 10
    unknown_quirks: ClassVar[frozenset[str]] = frozenset()

    @property
    @override
    def parameter_names(self) -> frozenset[str]:
        return frozenset({self.index_parameter, self.size_parameter})

    @override
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        first = quirks.first_index
        index = max(first, _number(query, self.index_parameter, default=first, least=0))
        return self.at(quirks, _page_start(quirks, index - first, size), size)

    @override
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        number, length = _page_at(quirks, offset, size)
        return PageRequest(quirks.first_index + number, size, offset, length)

    @override
    def parameters(self, page: PageRequest) -> dict[str, str]:
        return {self.index_parameter: str(page.index), self.size_parameter: str(page.size)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOffsets(Paging):
    """The dialect of rows to skip and rows to take; a page's index is the index of its first row.

    :param offset_parameter: the name of the parameter for the rows to skip.
    :param size_parameter: the name of the parameter for the rows to take.
    :param default_size: the page size without this parameter.
    """

    offset_parameter: str = "skip"
    size_parameter: str = "top"
    default_size: int = 100
    unknown_quirks: ClassVar[frozenset[str]] = frozenset({"first_index"})

    @property
    @override
    def parameter_names(self) -> frozenset[str]:
        return frozenset({self.offset_parameter, self.size_parameter})

    @override
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        return self.at(quirks, _number(query, self.offset_parameter, default=0, least=0), size)

    @override
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        return PageRequest(offset, size, offset, _page_at(quirks, offset, size)[1])

    @override
    def parameters(self, page: PageRequest) -> dict[str, str]:
        return {self.size_parameter: str(page.size), self.offset_parameter: str(page.offset)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursors(Paging):
    """The dialect without page numbers: only a token leads from a page to the next one.

    :param token_parameter: the name of the parameter that takes the token.
    :param size_parameter: the name of the parameter for the page size.
    :param default_size: the page size without this parameter.
    """

    token_parameter: str
    unknown_quirks: ClassVar[frozenset[str]] = frozenset({"first_index", "token_parameter"})

    @property
    @override
    def parameter_names(self) -> frozenset[str]:
        return frozenset({self.token_parameter, self.size_parameter})

    @override
    def read(self, quirks: Quirks, query: Mapping[str, str], size: int) -> PageRequest:
        token = parameter(query, self.token_parameter)
        return self.at(quirks, 0 if token is None else _read_token(self.token_parameter, token), size)

    @override
    def at(self, quirks: Quirks, offset: int, size: int) -> PageRequest:
        return PageRequest(offset, size, offset, _page_at(quirks, offset, size)[1])

    @override
    def parameters(self, page: PageRequest) -> dict[str, str]:
        return {self.size_parameter: str(page.size), self.token_parameter: _token(page.offset)}


def parameter(query: Mapping[str, str], name: str) -> str | None:
    """Return a query parameter; None where it is missing or empty.

    :param query: the query parameters.
    :param name: the parameter's name; its case does not matter.
    """
    return (
        next((value for given, value in query.items() if given.casefold() == name.casefold()), None) or None
    )


def read_page_request(paging: Paging, quirks: Quirks, query: Mapping[str, str]) -> PageRequest:
    """Return the page that a query asks for.

    :param paging: the dialect.
    :param quirks: the quirks of the server.
    :param query: the query parameters.
    :raises VendorError: a number is malformed or out of range, the size is too large, or a token is not ours.
    """
    name = paging.size_parameter
    size = _number(query, name, default=paging.default_size, least=1)
    if quirks.max_page_size is not None and size > quirks.max_page_size:
        if quirks.oversize == "refuse":
            raise invalid_parameter(
                name, f"'{name}' must be between 1 and {quirks.max_page_size}, not {size}."
            )
        size = quirks.max_page_size
    token = parameter(query, quirks.token_parameter) if quirks.link in _TOKEN_LINKS else None
    if token is not None:
        return paging.at(quirks, _read_token(quirks.token_parameter, token), size)
    return paging.read(quirks, query, size)


def page_to_serve(paging: Paging, quirks: Quirks, page: PageRequest, row_count: int) -> PageRequest:
    """Return the page that the server sends for a page that is asked for.

    :param paging: the dialect.
    :param quirks: the quirks of the server.
    :param page: the page that is asked for.
    :param row_count: the number of all rows.
    :raises VendorError: the page is beyond the end, and the quirks have a status for that.
    """
    if quirks.sends_everything:
        return dataclasses.replace(paging.at(quirks, 0, page.size), length=row_count)
    if quirks.beyond_end == "empty" or page.offset < max(1, row_count):
        return page
    if quirks.beyond_end == "last_page":
        last, _ = _page_at(quirks, max(0, row_count - 1), page.size)
        return paging.at(quirks, _page_start(quirks, last, page.size), page.size)
    raise VendorError(quirks.beyond_end, f"The page {page.index} is beyond the end.")


def link_field(
    paging: Paging,
    quirks: Quirks,
    query: Mapping[str, str],
    page: PageRequest,
    *,
    base_url: str,
    path: str,
    row_count: int,
) -> Any:
    """Return the value of the link field of a page, or ABSENT for no field.

    The link repeats the request's own parameters, as the vendor's D365 sample does.

    :param paging: the dialect.
    :param quirks: the quirks of the server.
    :param query: the request's query parameters.
    :param page: the page that is sent.
    :param base_url: the server's base URL.
    :param path: the request's path.
    :param row_count: the number of all rows.
    """
    if quirks.link in _NO_LINK:
        return _NO_LINK[quirks.link]
    end = page.offset + page.length
    has_more = end < row_count or (quirks.links_beyond_end and page.offset < row_count)
    if not has_more and not quirks.repeat_link:
        return _NO_LINK[quirks.last_link]
    next_offset = max(0, end - quirks.link_overlap)
    following = page if quirks.repeat_link else paging.at(quirks, next_offset, page.size)
    pointer = paging.parameters(following)
    replaced = {name.casefold() for name in (*pointer, quirks.token_parameter)}
    if quirks.link in _TOKEN_LINKS:
        token = _token(following.offset)
        if not quirks.foreign_link:
            return quote(token, safe="") if quirks.link == "token" else token
        pointer = {quirks.token_parameter: token}
    rest = {name: value for name, value in query.items() if name.casefold() not in replaced}
    bare, target = _query(pointer), f"?{_query(pointer | rest)}"
    if quirks.foreign_link:
        host = FOREIGN_HOST if quirks.foreign_link is True else quirks.foreign_link
        return f"{host.rstrip('/')}{path}{target}"
    return {
        "absolute": f"{base_url}{path}{target}",
        "relative": f"{path}{target}",
        "relative_without_prefix": f"/{path.rpartition('/')[2]}{target}",
        "query": target,
        # Some of the vendor's samples write PageIndex where the table has pageIndex.
        "bare_query": f"{bare[0].upper()}{bare[1:]}",
    }[quirks.link]


def _query(pairs: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe=':')}" for name, value in pairs.items())


def _page_start(quirks: Quirks, number: int, size: int) -> int:
    """Return the first row of a page; the page's *number* counts from 0."""
    lengths = quirks.page_lengths or (size,)
    rounds, rest = divmod(number, len(lengths))
    return rounds * sum(lengths) + sum(lengths[:rest])


def _page_at(quirks: Quirks, offset: int, size: int) -> tuple[int, int]:
    """Return the number of the page that has a row, and how many of its rows come from this row on."""
    lengths = quirks.page_lengths
    if not lengths:
        return offset // size, size
    rounds, rest = divmod(offset, sum(lengths))
    place, end = next((place, end) for place, end in enumerate(accumulate(lengths)) if rest < end)
    return rounds * len(lengths) + place, end - rest


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
    content = encode({"offset": offset})
    # JSON allows spaces. With them the base64 always ends in "=", so a reader may take the token for a query.
    padding = " " * ((1 - len(content)) % 3)
    return base64.b64encode(_TOKEN_MARK + f"{content}{padding}".encode()).decode()


def _read_token(name: str, token: str) -> int:
    """Return the offset in a token; the token must be percent-decoded exactly once."""
    try:
        mark, text = base64.b64decode(token, validate=True).split(b"{", 1)
        offset = int(json.loads(b"{" + text)["offset"])
    except (binascii.Error, ValueError, KeyError):
        raise invalid_parameter(name, f"The value '{token}' is not a continuation token.") from None
    if mark != _TOKEN_MARK or offset < 0:
        raise invalid_parameter(name, f"The value '{token}' is not a continuation token.")
    return offset
