"""Which pages to ask for, and when a listing is complete: every row, however the server pages.

The documents leave open from which number a server counts its pages, what its total counts, how large a
page it takes, and they show five forms of a next link. So:

* The first request names no page and gets the server's own first one.
* A link is believed, but only its query: it is sent to the connection's own address.
* Where a link shows the next page's number and pages are full, the pages after it are asked for
  concurrently by number. Where it does not, links are followed one after the other.
* Without a link, the pages numbered 1, 2, 3 … are asked for until one is empty or short: where the server
  counts from 1, the first of them repeats the first page. The total only says how far to read ahead.
* Where fewer rows come than the total promises, or none where a link led to some, the listing is read once
  more, one page after the other: a passing fault must not hide a job. Then the rows are believed, because a
  total may count what does not match.
* A row that arrives meanwhile pushes the others down. Page by page that can only repeat rows, but pages
  fetched at the same time may miss one. So the first page is read again at the end, and if it has changed,
  the pages are read once more, one by one.

Whatever does not add up raises: a listing is never silently short.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.product import Paging
from airflow_provider_avepoint.core.text import one_line

log = logging.getLogger(__name__)

Pairs = tuple[tuple[str, str], ...]
#: One page to ask for: its paging parameters; None for the first page, whatever its number.
Fetch = Pairs | None

#: A listing longer than this is a server that never ends it.
MAX_PAGES = 200_000
#: Pages in a row that may bring nothing new: arrivals explain a few.
MAX_BARREN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page received: the identity of each row in order, the next link and the total, as received.

    :param asked_size: the page size that was asked for, None where none was.
    :param is_last: whatever comes after it was not asked for.
    """

    keys: tuple[int, ...]
    link: object = None
    total: int | None = None
    asked_size: int | None = None
    is_last: bool = False


@dataclass(slots=True)
class Habits:
    """What one server has shown of its paging; later listings need not ask again.

    :param page_size: the largest page it took.
    :param sends_links: it has sent a next link, so no link means no further page.
    :param most_rows: the most rows of a page it has sent, so that fewer are not all it sends at a time.
    :param boasts: its total or a link has promised rows that are not there, however often one looks.
    """

    page_size: int | None = None
    sends_links: bool = False
    most_rows: int = 0
    boasts: bool = False


class Mode(Enum):
    """How the next page is found."""

    FIRST = auto()  #: nothing has come yet
    LINKS = auto()  #: by the last page's link, one after the other
    PROBE = auto()  #: by the number 1, which may be the first page again
    NUMBERS = auto()  #: by number, several at a time
    CHECK = auto()  #: by reading the first page again
    DONE = auto()


@dataclass(slots=True)
class Pager:
    """The state of one listing: :meth:`wanted` says what to fetch, :meth:`receive` takes it in order.

    :param base_url: the connection's address: a link elsewhere raises.
    :param label: what is listed, for messages.
    :param habits: what the server has shown before; what this listing learns is added.
    """

    paging: Paging
    base_url: str
    label: str
    habits: Habits
    mode: Mode = Mode.FIRST
    _first: Page | None = None
    _is_rereading: bool = False
    _was_concurrent: bool = False
    #: The next page by number, and the rows of a full page: the first one's, or pages would not join up.
    _next_number: int = 1
    _page_rows: int = 0
    #: Whether the last page by number looked like the end.
    _seems_over: bool = False
    #: Whether a page said that what comes after it was not asked for.
    _is_cut: bool = False
    #: Rows of this reading, but for those of a page that came again.
    _rows: int = 0
    #: Whether a page of this reading was empty where a link promised rows.
    _has_gap: bool = False
    #: The next page by link.
    _next_link: Pairs = ()
    _links_seen: set[Pairs] = field(default_factory=set)
    _pages_seen: set[int] = field(default_factory=set)
    _received: int = 0
    #: Pages that brought rows which had not come before.
    _useful: int = 0
    _barren: int = 0

    def wanted(self, in_flight: int, limit: int) -> list[Fetch]:
        """Return the pages to ask for now, given how many are on their way and how many may be.

        Empty while pages are on their way and their content must be awaited; empty with none on their way
        once the listing is complete.
        """
        match self.mode:
            case Mode.FIRST | Mode.CHECK if not in_flight:
                return [None]
            case Mode.LINKS if not in_flight:
                return [self._next_link]
            case Mode.PROBE if not in_flight:
                return [self._take_number()]
            case Mode.NUMBERS if not self._seems_over:
                room = min(limit, self._read_ahead()) - in_flight
                fetches: list[Fetch] = [self._take_number() for _ in range(room)]
                self._was_concurrent |= in_flight + len(fetches) > 1
                return fetches
            case Mode.NUMBERS if not in_flight:
                self._conclude()
                return self.wanted(0, limit)
        return []

    def receive(self, page: Page, new_rows: int) -> None:
        """Take the next *page*, of whose rows *new_rows* had not been seen before.

        :raises AvePointPayloadError: the pages do not add up.
        """
        self._received += 1
        if self._received > MAX_PAGES:
            raise self._error(f"did not end within {MAX_PAGES} pages")
        if self.mode is Mode.CHECK:
            self._receive_check(page)
        elif self._first is None:
            self._receive_first(page)
        else:
            self._receive_next(page, new_rows)
        self.habits.most_rows = max(self.habits.most_rows, len(page.keys))

    def _receive_first(self, page: Page) -> None:
        self._first = page
        # A server that sends more than was asked for may do so once only.
        self._page_rows = min(len(page.keys), page.asked_size or len(page.keys))
        self._note(page)
        self._useful = 1
        link = self._read_link(page.link)
        self._has_gap = not page.keys and link is not None
        if page.is_last:
            self._is_cut = True
            self._conclude()
            return
        if link is None:
            self._go_on_without_link(page)
            return
        self.habits.sends_links = True
        if self.paging.is_offset and page.keys:
            # The vendor's own sample link is off by one; where the next page begins needs no link.
            self.mode = Mode.NUMBERS
            return
        number = _find_number(link, self.paging.index)
        is_full = len(page.keys) in (page.asked_size, _find_number(link, self.paging.size))
        if number is None or not is_full:
            self._follow(link)
            return
        self._next_number = number
        self.mode = Mode.NUMBERS

    def _go_on_without_link(self, first: Page) -> None:
        rows = len(first.keys)
        is_short = first.asked_size is None or rows < first.asked_size
        is_less = rows < self.habits.most_rows and (first.total or 0) <= rows
        if not rows or (is_short and (self.habits.sends_links or is_less)):
            self._conclude()
        else:
            self.mode = Mode.NUMBERS if self.paging.is_offset else Mode.PROBE

    def _receive_next(self, page: Page, new_rows: int) -> None:
        if self.mode is Mode.PROBE:
            # Where this is the first page again, the server counts from 1: number 2 follows either way.
            self.mode = Mode.NUMBERS
        self._check_progress(page, new_rows)
        self._note(page)
        self._useful += new_rows > 0
        self._is_cut |= page.is_last
        link = self._read_link(page.link)
        self._has_gap |= not page.keys and (link is not None or self.mode is Mode.LINKS)
        if self.mode is Mode.NUMBERS:
            is_short = len(page.keys) < self._page_rows and link is None
            is_promised = self._received < self._promised_pages()
            self._seems_over = page.is_last or not page.keys or (is_short and not is_promised)
        elif link is None or page.is_last:
            self._conclude()
        else:
            self._follow(link)

    def _conclude(self) -> None:
        """End the listing, unless a row may have slipped through: then look at the first page again."""
        if not self._is_rereading and (self._was_concurrent or self._lacks_rows()):
            self.mode = Mode.CHECK
            return
        self.mode = Mode.DONE
        if self._lacks_rows():
            self.habits.boasts = True
            log.warning(
                "Listing %s: the server promised more rows than the %d that it sent, twice, by a total of %s "
                "or by a link to an empty page. The rows are believed.",
                self.label,
                self._rows,
                self._first and self._first.total,
            )

    def _lacks_rows(self) -> bool:
        """Tell whether fewer rows have come than a server promised that has kept such promises so far."""
        if self._is_cut or self.habits.boasts or self._first is None:
            return False
        return self._has_gap or self._rows < (self._first.total or 0)

    def _receive_check(self, page: Page) -> None:
        """Compare the first page with what it was: unchanged, no row can have slipped between two pages."""
        first = self._first
        is_unchanged = first is not None and page.keys == first.keys and page.total == first.total
        if is_unchanged and not self._lacks_rows():
            self.mode = Mode.DONE
            return
        self._is_rereading = True
        self._seems_over = False
        self._rows = 0
        self._pages_seen.clear()
        self._links_seen.clear()
        self._received = 1
        self._next_number = 1
        self._receive_first(page)

    def _note(self, page: Page) -> None:
        digest = hash(page.keys)
        if page.keys and digest not in self._pages_seen:
            self._pages_seen.add(digest)
            self._rows += len(page.keys)

    def _check_progress(self, page: Page, new_rows: int) -> None:
        """Raise where the server repeats itself instead of going on.

        A page that has come before may be one that arrivals have pushed there; ten in a row are not.
        """
        is_repeated = hash(page.keys) in self._pages_seen
        is_barren = page.keys and (is_repeated or not (new_rows or self._is_rereading))
        self._barren = self._barren + 1 if is_barren else 0
        if self._barren > MAX_BARREN:
            raise self._error(f"sent {self._barren} pages in a row without a new row")

    def _follow(self, link: Pairs) -> None:
        self._next_link = link
        self.mode = Mode.LINKS

    def _take_number(self) -> Pairs:
        number, self._next_number = self._next_number, self._next_number + 1
        if self.paging.is_offset:
            number *= self._page_rows
        # As many rows as the server gave the first time: so a limit of its own shifts no page.
        return ((self.paging.index, str(number)), (self.paging.size, str(self._page_rows)))

    def _read_ahead(self) -> int:
        """Return how many pages may be on their way: as the total promises, else fewer than have come."""
        if self._is_rereading:
            return 1
        promised = self._promised_pages()
        return promised - self._received if promised > self._received else max(1, self._useful - 1)

    def _promised_pages(self) -> int:
        """Return how many pages the first total promises, an empty or short last one included."""
        total = self._first.total if self._first else None
        if total is None or not self._page_rows or total <= self._page_rows:
            return 0
        return total // self._page_rows + 1

    def _read_link(self, link: object) -> Pairs | None:
        """Return the query of a next link, in whichever form it comes; None where there is none.

        :raises AvePointPayloadError: it leads to another scheme, host or port.
        """
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise self._error(f"sent a next link that is a {type(link).__name__}")
        try:
            link.encode()  # lone surrogates cannot be sent
            parts = urlsplit(link)
            address = (parts.hostname, parts.port)
        except ValueError:
            raise self._error("sent a next link that cannot be read") from None
        if parts.netloc or "://" in link:
            own = urlsplit(self.base_url)
            scheme = parts.scheme or own.scheme
            if not _is_same_address((scheme, *address), (own.scheme, own.hostname, own.port)):
                raise self._error(
                    "sent a next link to another address than the connection's "
                    f"({one_line(f'{scheme}://{parts.hostname}', 100)}); it is not followed, "
                    "because the token goes to the connection's own host only: check the connection's host"
                )
        elif "?" not in link and not link.startswith("/"):
            return self._note_link(((self.paging.token, unquote(link)),))
        return self._note_link(tuple(parse_qsl(parts.query, keep_blank_values=True)))

    def _note_link(self, pairs: Pairs) -> Pairs:
        if not pairs:
            raise self._error("sent a next link without a query")
        if pairs in self._links_seen:
            raise self._error("sent the same next link twice")
        self._links_seen.add(pairs)
        return pairs

    def _error(self, problem: str) -> AvePointPayloadError:
        return AvePointPayloadError(
            f"Listing {self.label}: the server {problem}. The listing is given up rather than cut short; try "
            "again, and if it stays so, ask AvePoint's support."
        )


def merge_parameters(own: Iterable[tuple[str, str]], paging: Pairs) -> Pairs:
    """Add a page's parameters to the question's own, which win: a link does not change what is asked."""
    kept = tuple(own)
    names = {name.casefold() for name, _ in kept}
    return (*kept, *((name, value) for name, value in paging if name.casefold() not in names))


def _find_number(pairs: Pairs, name: str) -> int | None:
    folded = name.casefold()
    for key, value in pairs:
        if key.casefold() == folded and (number := parse_digits(value)) is not None:
            return number
    return None


_Address = tuple[str, str | None, int | None]


def _is_same_address(one: _Address, other: _Address) -> bool:
    default = {"https": 443, "http": 80}
    return (one[0], one[1], one[2] or default.get(one[0])) == (
        other[0],
        other[1],
        other[2] or default.get(other[0]),
    )
